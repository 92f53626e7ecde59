//! `mkectl check images` as a process, in front of a registry on loopback that does as it is told.

use crate::api_faults::{Act, Bad, json};
use crate::images::{manifest, missing, registry as start, unauthorized};
use mkectl::lab::api::Authority;
use mkectl::plan::digest::digest_bytes;
use mkectl::source::api::{Address, Patience};
use mkectl::source::registry::{self, Access, Client, Reference};
use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

const PASSWORD: &str = "poison-registry";
const MANIFEST: &str = r#"{"schemaVersion":2}"#;
const LIST: &str = "# what k0s needs\nquay.io/k0sproject/coredns:1.12.0\n\nquay.io/calico/node:v3.30.200\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs it with a list and these words; the CA is the registry's unless the words have one.
fn check(registry: &Bad, list: &str, words: &[&str]) -> Output {
    let desk = tempfile::tempdir().unwrap();
    fs::write(desk.path().join("list"), list).unwrap();
    fs::write(desk.path().join("ca.pem"), Authority::of_mke3().unwrap().pem()).unwrap();
    fs::write(
        desk.path().join("stranger.pem"),
        Authority::stranger().unwrap().pem(),
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mkectl"));
    command
        .env_clear()
        .current_dir(desk.path())
        .env("MKECTL_IMAGE_REGISTRY_PASSWORD", PASSWORD)
        .args(["check", "images", "--list", "list", "--image-registry"])
        .arg(format!("{}/mke", registry.address))
        .args(words);
    if !words.contains(&"--image-registry-ca-file") {
        command.args(["--image-registry-ca-file", "ca.pem"]);
    }
    let output = command.output().unwrap();
    for stream in [&output.stdout, &output.stderr] {
        assert!(!text(stream).contains(PASSWORD), "{}", text(stream));
    }
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_listed_by_digest_and_missing_ones_named() {
    let registry = start(|line| match line {
        line if line.contains("coredns") => manifest(MANIFEST),
        _ => missing(),
    })
    .await;
    let output = check(&registry, LIST, &[]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{said}{}", text(&output.stderr));
    let digest = digest_bytes(MANIFEST.as_bytes());
    assert!(
        said.contains(&format!("{digest}  quay.io/k0sproject/coredns:1.12.0\n")),
        "{said}"
    );
    let place = registry.address;
    assert!(
        said.contains(&format!(
            "missing: quay.io/calico/node:v3.30.200: not at {place}/mke/calico/node:v3.30.200 (MANIFEST_UNKNOWN: manifest unknown)"
        )),
        "{said}"
    );
    assert!(said.contains("1 of 2 are there"), "{said}");
    assert_eq!(
        *registry.calls.lock().unwrap(),
        [
            "GET /v2/mke/calico/node/manifests/v3.30.200 HTTP/1.1",
            "GET /v2/mke/k0sproject/coredns/manifests/1.12.0 HTTP/1.1"
        ]
    );
    let output = check(
        &registry,
        "quay.io/k0sproject/coredns:1.12.0\n",
        &["--format", "json"],
    );
    assert_eq!(output.status.code(), Some(0));
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows[0]["digest"], digest);
}

/// A token for each repository, from the token service that the registry names, for the user that was given.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_fetched_where_the_registry_wants_one() {
    let address = std::sync::Arc::new(std::sync::OnceLock::new());
    let here = address.clone();
    let asked = std::sync::Mutex::new(Vec::new());
    let registry = start(move |line| {
        if line.contains("/token?") {
            return json(200, r#"{"token":"t0ken"}"#);
        }
        let mut asked = asked.lock().unwrap();
        if asked.contains(&line.to_owned()) {
            return manifest(MANIFEST);
        }
        asked.push(line.to_owned());
        let headers = format!(
            "HTTP/1.1 401 X\r\nWWW-Authenticate: Bearer realm=\"https://{}/token\",service=\"the registry\"\r\nContent-Length: 0\r\n\r\n",
            here.get().unwrap()
        );
        Act::Raw(headers)
    })
    .await;
    address.set(registry.address).unwrap();
    let output = check(&registry, LIST, &["--image-registry-username", "robot"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let calls = registry.calls.lock().unwrap().clone();
    assert_eq!(
        calls[1],
        "GET /token?service=the%20registry&scope=repository%3Amke%2Fcalico%2Fnode%3Apull HTTP/1.1"
    );
    let basic = format!(
        "Basic {}",
        data_encoding::BASE64.encode(format!("robot:{PASSWORD}").as_bytes())
    );
    assert_eq!(
        registry.authorizations.lock().unwrap()[..3],
        [String::new(), basic, "Bearer t0ken".to_owned()]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_sent_to_who_asks_for_one() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let registry = start(
        move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => unauthorized(),
            _ => manifest(MANIFEST),
        },
    )
    .await;
    let output = check(&registry, LIST, &["--image-registry-username", "robot"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    // Asked once; the second image is asked for with the password at once.
    assert_eq!(registry.calls.lock().unwrap().len(), 3);

    let registry = start(move |_| unauthorized()).await;
    let output = check(&registry, LIST, &["--image-registry-username", "robot"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(
        said.contains("user and password are refused (UNAUTHORIZED: who are you)"),
        "{said}"
    );
    let output = check(&registry, LIST, &[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(
        said.contains("it wants to know who asks, and no user is given"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_registry_has_its_sentence() {
    let one = "quay.io/k0sproject/coredns:1.12.0\n";
    let html = || {
        Act::Answer(
            200,
            "Content-Type: text/html\r\n",
            "<html>welcome</html>".to_owned(),
        )
    };
    // Name, behaviour of the registry, exit code, words of the error.
    type Case = (&'static str, fn() -> Act, i32, &'static str);
    let cases: [Case; 6] = [
        (
            "html",
            || Act::Answer(200, "Content-Type: text/html\r\n", "<html></html>".to_owned()),
            4,
            "no registry: it sends \"text/html\"",
        ),
        (
            "html 404",
            || Act::Answer(404, "Content-Type: text/html\r\n", "<html></html>".to_owned()),
            4,
            "what answers there is no registry",
        ),
        (
            "500",
            || json(500, "{}"),
            10,
            "it answered with status 500 (tried 3 times)",
        ),
        (
            "closed",
            || Act::Close,
            15,
            "the connection ended before the answer did (tried 3 times)",
        ),
        ("noise", || Act::Noise, 4, "does not speak HTTP"),
        (
            "token over http",
            || {
                Act::Raw("HTTP/1.1 401 X\r\nWWW-Authenticate: Bearer realm=\"http://127.0.0.1/token\"\r\nContent-Length: 0\r\n\r\n".to_owned())
            },
            4,
            "which is not a place with TLS, so nothing was sent there",
        ),
    ];
    for (name, act, code, says) in cases {
        let registry = start(move |_| act()).await;
        let output = check(&registry, one, &["--image-registry-username", "robot"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
        assert!(said.contains(says), "{name}: {said}");
        assert!(output.stdout.is_empty(), "{name}");
    }
    // What is said to be of one digest has to be.
    let forged = start(|_| {
        Act::Raw(format!(
            "HTTP/1.1 200 X\r\nContent-Type: application/vnd.oci.image.index.v1+json\r\nDocker-Content-Digest: sha256:{}\r\nContent-Length: {}\r\n\r\n{MANIFEST}",
            "ab".repeat(32),
            MANIFEST.len()
        ))
    })
    .await;
    let output = check(&forged, one, &[]);
    assert_eq!(output.status.code(), Some(10));
    assert!(
        text(&output.stderr).contains("is said to be sha256:abab"),
        "{}",
        text(&output.stderr)
    );
    // Nobody whom we trust signed it.
    let registry = start(move |_| html()).await;
    let output = check(&registry, one, &["--image-registry-ca-file", "stranger.pem"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(15), "{said}");
    assert!(
        said.contains("none of the CAs that are trusted") && said.contains("--image-registry-ca-file"),
        "{said}"
    );
    assert!(registry.calls.lock().unwrap().is_empty(), "something was sent");
    // A list that is none.
    let output = check(&registry, "nginx\n", &[]);
    assert_eq!(output.status.code(), Some(4));
    assert!(
        text(&output.stderr).contains("list:1:1: \"nginx\" names no image"),
        "{}",
        text(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_says_nothing_is_given_up() {
    let registry = start(|_| Act::Hang).await;
    let access = Access {
        address: Address::parse(&registry.address.to_string()).unwrap(),
        connect_to: None,
        ca: Authority::of_mke3().unwrap().pem().as_bytes().to_vec(),
        login: None,
    };
    let patience = Patience {
        call: Duration::from_millis(200),
        attempts: 2,
        first_pause: Duration::from_millis(1),
        ..registry::patience()
    };
    let mut client = Client::new(access, patience).unwrap();
    let reference = Reference::within("mke", "quay.io/calico/node:v3.30.200").unwrap();
    let error = client.look(&reference).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "registry {}: /v2/mke/calico/node/manifests/v3.30.200: no answer within 200 ms (tried 2 times)",
            registry.address
        )
    );
    assert!(!error.is_input());
}
