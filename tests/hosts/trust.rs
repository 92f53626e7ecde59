//! Host keys, as real servers show them.

use crate::sshd::{Setup, World, says};
use mkectl::ssh::ConnectError;
use mkectl::ssh::hostkey::{Distrust, HostKeyError};
use std::fs;

fn distrust(error: ConnectError) -> HostKeyError {
    assert!(!error.is_transient());
    match error {
        ConnectError::HostKey(error) => *error,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn known_hosts_plain_wildcard_and_hashed_are_trusted() {
    let world = World::new();
    let sshd = world.sshd("");
    let host = world.host("h", sshd.port, "user");
    let line = sshd.known();
    fs::write(world.path("hashed"), &line).unwrap();
    world.keygen(&["-q", "-H", "-f", "hashed"]);
    let hashed = fs::read_to_string(world.path("hashed")).unwrap();
    assert!(hashed.starts_with("|1|"));
    let key = line.split_once(' ').unwrap().1.to_owned();
    for known in [line.clone(), format!("[127.0.*]:* {key}"), hashed] {
        let session = Setup::known(&known).connect(&host).await.unwrap();
        assert_eq!(says(&*session, &["echo", "in"]).await, "in");
    }
}

#[tokio::test]
async fn unknown_changed_and_revoked_keys_are_refused_before_any_login() {
    let world = World::new();
    let sshd = world.sshd("");
    let host = world.host("h", sshd.port, "user");
    let other = world.key("other", "ed25519");
    let name = format!("[127.0.0.1]:{}", sshd.port);
    let error = distrust(Setup::known("").refused(&host).await);
    assert_eq!(error.why, Distrust::Unknown);
    assert!(
        error.to_string().contains(&name) && error.to_string().contains("ssh-keyscan"),
        "{error}"
    );
    let error = distrust(
        Setup::known(&format!("# c\n{name} {other}\n"))
            .refused(&host)
            .await,
    );
    assert!(
        matches!(&error.why, Distrust::Changed(place) if place.line == 2),
        "{error}"
    );
    assert!(error.to_string().contains("ssh-keygen -R"), "{error}");
    let revoked = format!(
        "{}@revoked * {}",
        sshd.known(),
        sshd.known().split_once(' ').unwrap().1
    );
    let error = distrust(Setup::known(&revoked).refused(&host).await);
    assert!(
        matches!(&error.why, Distrust::Revoked(place) if place.line == 2),
        "{error}"
    );
    // A plan that pins it does not outweigh the revocation.
    let mut pinned = host.clone();
    pinned.host_keys = vec![error.fingerprint.clone()];
    let error = distrust(Setup::known(&revoked).refused(&pinned).await);
    assert!(matches!(error.why, Distrust::Revoked(_)), "{error}");
    assert!(!sshd.log().contains("Accepted"), "{}", sshd.log());
}

#[tokio::test]
async fn the_recorded_algorithm_is_asked_for_first() {
    let world = World::new();
    world.key("user", "ed25519");
    world.key("host-rsa", "rsa");
    world.key("host-ed", "ed25519");
    let sshd = world.sshd_with(
        "host-ed",
        &["user"],
        &format!("HostKey {}", world.name("host-rsa")),
    );
    let host = world.host("h", sshd.port, "user");
    let rsa = format!("[127.0.0.1]:{} {}", sshd.port, world.public("host-rsa"));
    assert!(Setup::known(&rsa).connect(&host).await.is_ok());
    // Recorded with an algorithm that it no longer has.
    let ecdsa = world.key("gone", "ecdsa");
    let error = distrust(
        Setup::known(&format!("[127.0.0.1]:{} {ecdsa}", sshd.port))
            .refused(&host)
            .await,
    );
    assert_eq!(
        error.why,
        Distrust::OtherAlgorithms(vec!["ecdsa-sha2-nistp256".into()])
    );
}

#[tokio::test]
async fn the_plans_fingerprints_decide_whatever_known_hosts_says() {
    let world = World::new();
    world.key("user", "ed25519");
    world.key("host-rsa", "rsa");
    world.key("host-ed", "ed25519");
    let sshd = world.sshd_with(
        "host-ed",
        &["user"],
        &format!("HostKey {}", world.name("host-rsa")),
    );
    let fingerprint = |name: &str| {
        let key = russh::keys::PublicKey::from_openssh(&world.public(name)).unwrap();
        mkectl::ssh::hostkey::fingerprint(&key)
    };
    let mut host = world.host("h", sshd.port, "user");
    // Either of the host's keys will do, also the one that it does not show first, and with an empty known_hosts.
    for name in ["host-ed", "host-rsa"] {
        host.host_keys = vec![fingerprint(name)];
        assert!(Setup::known("").connect(&host).await.is_ok(), "{name}");
    }
    // known_hosts trusts the key, the plan was made for another host.
    world.key("other", "ed25519");
    host.host_keys = vec![fingerprint("other")];
    let error = distrust(Setup::trusting(&[&sshd]).refused(&host).await);
    assert_eq!(error.why, Distrust::NotPinned(vec![fingerprint("other")]));
    let text = error.to_string();
    assert!(
        text.contains(&fingerprint("other")) && text.contains(&fingerprint("host-ed")),
        "both, to be compared: {text}"
    );
}

#[tokio::test]
async fn host_certificates_of_known_authorities_are_trusted() {
    let world = World::new();
    let ca = world.key("ca", "ed25519");
    world.key("user", "ed25519");
    for (name, kind) in [("host-ed", "ed25519"), ("host-rsa", "rsa"), ("host-ec", "ecdsa")] {
        world.key(name, kind);
        world.keygen(&[
            "-q",
            "-s",
            "ca",
            "-h",
            "-I",
            name,
            "-n",
            "127.0.0.1",
            &format!("{name}.pub"),
        ]);
        let certificate = format!("HostCertificate {}", world.name(&format!("{name}-cert.pub")));
        let sshd = world.sshd_with(name, &["user"], &certificate);
        let host = world.host("h", sshd.port, "user");
        let known = format!("@cert-authority [127.0.0.*]:* {ca}\n");
        let session = Setup::known(&known)
            .connect(&host)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(says(&*session, &["echo", "in"]).await, "in");
        // Without the authority the bare key must be known.
        assert_eq!(
            distrust(Setup::known("").refused(&host).await).why,
            Distrust::Unknown
        );
        assert!(Setup::trusting(&[&sshd]).connect(&host).await.is_ok());
        let revoked = format!("{known}@revoked * {ca}\n");
        assert!(matches!(
            distrust(Setup::known(&revoked).refused(&host).await).why,
            Distrust::Revoked(_)
        ));
    }
    // Signed for another host.
    world.key("wrong", "ed25519");
    world.keygen(&["-q", "-s", "ca", "-h", "-I", "w", "-n", "10.0.0.1", "wrong.pub"]);
    let certificate = format!("HostCertificate {}", world.name("wrong-cert.pub"));
    let sshd = world.sshd_with("wrong", &["user"], &certificate);
    let known = format!("@cert-authority * {ca}\n");
    let error = distrust(
        Setup::known(&known)
            .refused(&world.host("h", sshd.port, "user"))
            .await,
    );
    assert!(matches!(&error.why, Distrust::BadCertificate(_, why) if why.contains("not for this host")));
}
