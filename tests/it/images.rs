//! Lists of images in `plan` and `upgrade`, as processes, in front of a registry on loopback that does as it is told.

use crate::api_faults::{Act, Bad, json};
use crate::support::repo;
use mkectl::lab::api::Authority;
use mkectl::model::{Plan, Severity};
use mkectl::plan::digest::digest_bytes;
use std::fs;
use std::process::{Command, Output};

const PASSWORD: &str = "poison-registry";
const MANIFEST: &str = r#"{"schemaVersion":2}"#;
const COREDNS: &str = "quay.io/k0sproject/coredns:1.12.0";
const NODE: &str = "quay.io/calico/node:v3.30.200";
const CHART: &str = "oci://registry.mirantis.com/mke/charts/operator:4.1.5";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub async fn registry(script: impl Fn(&str) -> Act + Send + Sync + 'static) -> Bad {
    let identity = Authority::of_mke3()
        .unwrap()
        .issue(&["127.0.0.1".to_owned()])
        .unwrap();
    Bad::start(Some(identity), move |_, line| script(line)).await
}

pub fn manifest(text: &str) -> Act {
    Act::Answer(
        200,
        "Content-Type: application/vnd.oci.image.index.v1+json\r\n",
        text.to_owned(),
    )
}

pub fn missing() -> Act {
    json(
        404,
        r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
    )
}

pub fn unauthorized() -> Act {
    Act::Answer(
        401,
        "WWW-Authenticate: Basic realm=\"registry\"\r\nContent-Type: application/json\r\n",
        r#"{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}"#.to_owned(),
    )
}

/// A directory with a list and the registry's CA, in which `mkectl` runs on the files of a recorded cluster.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new(list: &str) -> Desk {
        let desk = tempfile::tempdir().unwrap();
        fs::write(desk.path().join("list"), list).unwrap();
        fs::write(desk.path().join("ca.pem"), Authority::of_mke3().unwrap().pem()).unwrap();
        Desk(desk)
    }

    fn run(&self, command: &str, words: &[&str]) -> Output {
        let of = |name: &str| repo(&format!("testdata/clusters/minimal/{name}"));
        let output = Command::new(env!("CARGO_BIN_EXE_mkectl"))
            .env_clear()
            .env("HOME", self.0.path())
            .env("MKECTL_IMAGE_REGISTRY_PASSWORD", PASSWORD)
            // The name that Mirantis' tool has for it.
            .env("MKE_CHART_REGISTRY_PASSWORD", PASSWORD)
            .current_dir(self.0.path())
            .arg(command)
            .arg("--hosts-path")
            .arg(of("hosts.yaml"))
            .arg("--mke3-config")
            .arg(of("mke3.toml"))
            .arg("--facts")
            .arg(of("facts.json"))
            .arg("--accounts")
            .arg(of("accounts.json"))
            .args(["--external-address", "mke.example.com"])
            .args([
                "--gateway-http-node-port",
                "33000",
                "--gateway-https-node-port",
                "33001",
            ])
            .args(words)
            .output()
            .unwrap();
        for stream in [&output.stdout, &output.stderr] {
            assert!(!text(stream).contains(PASSWORD), "{}", text(stream));
        }
        output
    }

    /// The words that name the registry.
    fn plan(&self, registry: &Bad, words: &[&str]) -> (Option<i32>, Plan, String) {
        let place = format!("{}/mke", registry.address);
        let all = [
            &["--image-registry", &place, "--image-registry-ca-file", "ca.pem"][..],
            words,
        ]
        .concat();
        let output = self.run("plan", &all);
        let said = text(&output.stderr);
        let plan = mkectl::plan::read(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
        (output.status.code(), plan, said)
    }
}

/// Messages of the findings with a code, and where they are.
fn found(plan: &Plan, code: &str) -> Vec<String> {
    let all = plan.spec.findings.iter().filter(|finding| finding.code == code);
    all.map(|finding| {
        assert!(!finding.remedy.is_empty());
        format!(
            "{:?} {}:{} {}: {} → {}",
            finding.severity,
            finding.subject.file.as_deref().unwrap_or("-"),
            finding.subject.line.unwrap_or_default(),
            finding.subject.name,
            finding.message,
            finding.remedy
        )
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_holds_the_digests_and_a_recording_gives_the_same_plan() {
    let one = registry(|_| manifest(MANIFEST)).await;
    let desk = Desk::new(&format!("{COREDNS}\n{CHART}\n{NODE}\n"));
    let charts = format!("oci://{}/charts", one.address);
    let words = [
        "--chart-registry",
        &charts,
        "--image-registry-username",
        "robot",
        "--chart-registry-username",
        "pilot",
    ];
    let (code, plan, said) = desk.plan(
        &one,
        &[&words[..], &["--image-list", "list", "--record", "kept"]].concat(),
    );
    assert_eq!(code, Some(0), "{said}");
    let digest = digest_bytes(MANIFEST.as_bytes());
    let at = one.address;
    let rows: Vec<(String, String, String)> = plan
        .spec
        .images
        .iter()
        .map(|row| {
            assert_eq!(row.digest, digest);
            (row.name.clone(), row.kind.clone(), row.place.clone())
        })
        .collect();
    let expected = [
        (CHART, "chart", format!("{at}/charts/mke/charts/operator:4.1.5")),
        (NODE, "image", format!("{at}/mke/calico/node:v3.30.200")),
        (COREDNS, "image", format!("{at}/mke/k0sproject/coredns:1.12.0")),
    ];
    assert_eq!(
        rows,
        expected.map(|(name, kind, place)| (name.to_owned(), kind.to_owned(), place))
    );
    // A person sees them, too.
    for name in [COREDNS, CHART, NODE] {
        assert!(said.contains(name), "{name} is not in {said}");
    }
    assert!(said.contains(&digest[..19]), "{said}");
    // The plan says what it will be asked with again, and that hosts get nothing of it.
    let secrets: Vec<&str> = plan.spec.secrets.iter().map(|one| one.from.as_str()).collect();
    for from in [
        "env:MKECTL_IMAGE_REGISTRY_PASSWORD",
        "env:MKECTL_CHART_REGISTRY_PASSWORD",
    ] {
        assert!(secrets.contains(&from), "{secrets:?}");
    }
    assert_eq!(found(&plan, "REGISTRY-LOGIN").len(), 2);

    let calls = one.calls.lock().unwrap().len();
    assert_eq!(calls, 3);
    let recording = fs::read(desk.0.path().join("kept/images.json")).unwrap();
    assert!(!text(&recording).contains(PASSWORD));
    let (code, again, said) = desk.plan(&one, &[&words[..], &["--images", "kept/images.json"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(again.spec, plan.spec);
    assert_eq!(again.digest, plan.digest);
    assert_eq!(
        one.calls.lock().unwrap().len(),
        calls,
        "a recording was not enough"
    );

    // What another digest means is told by `diff`.
    let other = registry(|_| manifest("{}")).await;
    let kept = |name: &str, plan: &Plan| {
        fs::write(desk.0.path().join(name), mkectl::plan::write(plan).unwrap()).unwrap();
    };
    let (_, changed, _) = desk.plan(&other, &["--image-list", "list", "--chart-registry", &charts]);
    kept("a.json", &plan);
    kept("b.json", &changed);
    let diff = Command::new(env!("CARGO_BIN_EXE_mkectl"))
        .current_dir(desk.0.path())
        .args(["diff", "a.json", "b.json"])
        .output()
        .unwrap();
    let diff = text(&diff.stdout);
    assert!(
        diff.contains("Images and charts (2)") && diff.contains(NODE),
        "{diff}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_blocks_and_what_was_not_told_is_told() {
    let desk = Desk::new(&format!("# k0s\n{COREDNS}\n{NODE}\n"));
    let half = registry(|line| match line {
        line if line.contains("coredns") => manifest(MANIFEST),
        _ => missing(),
    })
    .await;
    let (code, plan, said) = desk.plan(&half, &["--image-list", "list"]);
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(
        found(&plan, "IMAGE-MISSING"),
        [format!(
            "Blocking list:3 {NODE}: it is not at {}/mke/calico/node:v3.30.200 (MANIFEST_UNKNOWN: manifest unknown) → copy it \
             into the registry, for example with `skopeo copy` or `oras copy`, and make the plan again",
            half.address
        )]
    );
    assert!(found(&plan, "IMAGE-UNTOLD").is_empty());
    assert!(!plan.spec.intent.applyable);
    let digests: Vec<bool> = plan.spec.images.iter().map(|row| row.digest.is_empty()).collect();
    assert_eq!(digests, [true, false]);

    // Nobody is let in: one cause is one finding, whatever the number of images.
    let shut = registry(|_| unauthorized()).await;
    let (code, plan, said) = desk.plan(&shut, &["--image-list", "list"]);
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(
        found(&plan, "IMAGE-UNTOLD"),
        [format!(
            "Blocking -:0 {}: 2 images could not be looked up: it wants to know who asks, and no user is given → check \
             --image-registry-username and the password, or leave --image-list out",
            shut.address
        )]
    );
    // Nobody is there: the second image is not waited for.
    let gone = registry(|_| Act::Close).await;
    let (code, plan, said) = desk.plan(&gone, &["--image-list", "list"]);
    assert_eq!(code, Some(3), "{said}");
    let untold = found(&plan, "IMAGE-UNTOLD");
    assert!(
        untold.len() == 1 && untold[0].contains("the connection ended before the answer did"),
        "{untold:?}"
    );
    assert_eq!(
        gone.calls.lock().unwrap().len(),
        3,
        "the first image alone is tried"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_registry_is_asked_without_a_list_and_no_list_without_its_registry() {
    let one = registry(|_| manifest(MANIFEST)).await;
    let desk = Desk::new(&format!("{COREDNS}\n{CHART}\n"));
    let (code, plan, said) = desk.plan(&one, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(one.calls.lock().unwrap().is_empty());
    let why = |code: &str| {
        let all = plan.spec.unchecked.iter();
        all.filter(|row| row.code == code)
            .map(|row| row.why.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(why("IMAGE-MISSING"), ["no list of images and charts was given"]);
    let place = format!("{}/mke", one.address);
    let given = ["--image-registry", &place, "--image-registry-ca-file", "ca.pem"];
    for (words, says) in [
        (
            &["--image-list", "list"][..],
            "list:2: this is a chart that no registry is given for",
        ),
        (
            &["--image-registry-password", "x"],
            "a password of the image registry is given, and no user",
        ),
        (&["--image-list", "nowhere"], "nowhere"),
        (&["--images", "list"], "list"),
    ] {
        let output = desk.run("plan", &[&given[..], words].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains(says), "{says:?} is not in {said}");
        assert!(output.stdout.is_empty());
    }
    assert!(one.calls.lock().unwrap().is_empty());
}

/// The command line of Mirantis' documents, logins included.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_asks_the_registries_with_their_logins() {
    let one = registry(|_| manifest(MANIFEST)).await;
    let desk = Desk::new(&format!("{COREDNS}\n{CHART}\n"));
    let (place, charts) = (
        format!("{}/mke", one.address),
        format!("oci://{}/charts", one.address),
    );
    let shut = std::sync::atomic::AtomicUsize::new(0);
    let asks = registry(
        move |_| match shut.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => unauthorized(),
            _ => manifest(MANIFEST),
        },
    )
    .await;
    let secured = format!("{}/mke", asks.address);
    let base = [
        "--dry-run",
        "--force",
        "--mke3-airgapped=true",
        "--image-registry-ca-file",
        "ca.pem",
        "--chart-registry",
        &charts,
        "--chart-registry-ca-file",
        "ca.pem",
        "--image-registry-username",
        "robot",
    ];
    let base = &base[..];
    let output = desk.run(
        "upgrade",
        &[base, &["--image-registry", &secured, "--image-list", "list"]].concat(),
    );
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let basic = format!(
        "Basic {}",
        data_encoding::BASE64.encode(format!("robot:{PASSWORD}").as_bytes())
    );
    assert_eq!(*asks.authorizations.lock().unwrap(), [String::new(), basic]);
    assert_eq!(one.calls.lock().unwrap().len(), 1, "the chart");
    // Without a list the login is used for nothing, which is said.
    let output = desk.run("upgrade", &[base, &["--image-registry", &place]].concat());
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stderr);
    assert!(
        said.contains("--image-registry-username is used for nothing"),
        "{said}"
    );
    let plan = mkectl::plan::read(&output.stdout).unwrap();
    assert!(found(&plan, "REGISTRY-LOGIN")[0].starts_with("Warning"));
    assert!(
        plan.spec
            .findings
            .iter()
            .all(|finding| finding.severity != Severity::Blocking)
    );
    assert_eq!(one.calls.lock().unwrap().len(), 1);
}
