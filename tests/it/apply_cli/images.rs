//! The registries are asked again before anything changes.

use super::{Desk, text};
use crate::images::{manifest, missing, registry, unauthorized};
use crate::simulated::sh;
use mkectl::lab::api::Authority;
use mkectl::model::{Document, Image, SecretRef, Spec};
use mkectl::plan::digest::digest_bytes;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

const PASSWORD: &str = "poison-registry";
const MANIFEST: &str = r#"{"schemaVersion":2}"#;

/// The plan, with an image of a registry that wants to know who asks.
fn with_image(spec: &Spec, registry: &str) -> Spec {
    let mut spec = spec.clone();
    spec.images = vec![Image {
        name: "quay.io/calico/node:v3.30.200".to_owned(),
        kind: "image".to_owned(),
        place: format!("{registry}/mke/calico/node:v3.30.200"),
        digest: digest_bytes(MANIFEST.as_bytes()),
    }];
    let cas = Authority::of_mke3().unwrap().pem().to_owned();
    let digest = digest_bytes(cas.as_bytes());
    spec.documents
        .retain(|document| document.name != "registry-cas.pem");
    spec.documents.push(Document {
        name: "registry-cas.pem".to_owned(),
        digest: digest.clone(),
        secrets: false,
    });
    spec.files.insert(digest, cas);
    for (name, value) in [
        ("image-registry-ca-file", "ca.pem"),
        ("image-registry-username", "robot"),
    ] {
        spec.intent.options.insert(name.to_owned(), value.to_owned());
    }
    spec.secrets.push(SecretRef {
        name: "image-registry-password".to_owned(),
        from: "env:MKECTL_IMAGE_REGISTRY_PASSWORD".to_owned(),
        used_for: "asking the image registry".to_owned(),
    });
    spec
}

fn search(directory: &Path, word: &str) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, word);
        } else {
            let bytes = fs::read(&path).unwrap();
            assert!(!text(&bytes).contains(word), "{word} is in {}", path.display());
        }
    }
}

#[test]
fn a_plan_is_refused_when_a_registry_does_not_hold_its_digests() {
    #[derive(Clone, Copy)]
    enum Does {
        Same,
        Other,
        Missing,
        Shut,
    }
    let desk = Desk::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let does = Arc::new(Mutex::new(Does::Other));
    let now = does.clone();
    let server = runtime.block_on(registry(move |_| match *now.lock().unwrap() {
        Does::Same => manifest(MANIFEST),
        Does::Other => manifest("{}"),
        Does::Missing => missing(),
        Does::Shut => unauthorized(),
    }));
    let at = server.address.to_string();
    let spec = with_image(&desk.spec, &at);
    let plan = desk.save("images.json", &spec);
    fs::write(desk.path("password"), format!("{PASSWORD}\n")).unwrap();
    let password = desk.path("password").to_string_lossy().into_owned();
    let words = ["--yes", "--image-registry-password-file", &password];

    // Without a terminal, a variable or a file nobody knows the password.
    desk.refused(&plan, &["--yes"], 4, "the password of robot is not given");
    let (was, is) = (digest_bytes(MANIFEST.as_bytes()), digest_bytes(b"{}"));
    desk.refused(
        &plan,
        &words,
        8,
        &format!(
            "so nothing was begun\n  quay.io/calico/node:v3.30.200: {at}/mke/calico/node:v3.30.200 had the digest {was} and has {is} now"
        ),
    );
    *does.lock().unwrap() = Does::Missing;
    desk.refused(&plan, &words, 8, "any more (MANIFEST_UNKNOWN: manifest unknown)");
    *does.lock().unwrap() = Does::Shut;
    desk.refused(
        &plan,
        &words,
        4,
        "user and password are refused (UNAUTHORIZED: who are you)",
    );
    let gone = desk.save("gone.json", &with_image(&desk.spec, "127.0.0.1:1"));
    desk.refused(
        &gone,
        &words,
        15,
        "cannot be told whether the registry still holds",
    );
    // A plan that asks nobody has no use for a password.
    let without = desk.save("plan.json", &desk.spec);
    desk.refused(&without, &words, 4, "the plan asks none as a user");

    *does.lock().unwrap() = Does::Same;
    let state = desk.path("state");
    let state_dir = state.to_string_lossy().into_owned();
    let out = desk.apply(
        &plan,
        &[&words[..], &["--until", "prepare", "--state-dir", &state_dir]].concat(),
    );
    assert_eq!(out.status.code(), Some(14), "{}", text(&out.stderr));
    for stream in [&out.stdout, &out.stderr] {
        assert!(!text(stream).contains(PASSWORD), "{}", text(stream));
    }
    search(&state, PASSWORD);
    for host in super::HOSTS {
        let found = sh(
            &desk.stage.lab,
            host,
            &format!("grep -rl {PASSWORD} /var/lib/mkectl /etc || true"),
            b"",
        );
        assert!(found.text().is_empty(), "{host}: {}", found.text());
    }
    // A tag that was moved meanwhile stops a run that goes on, too.
    *does.lock().unwrap() = Does::Other;
    let out = desk.apply(
        &plan,
        &[&words[..], &["--resume", "--state-dir", &state_dir]].concat(),
    );
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(8), "{said}");
    assert!(said.contains("so nothing more was begun"), "{said}");
}
