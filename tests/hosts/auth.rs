//! Logging in.

use crate::sshd::{Setup, World, says};
use mkectl::ssh::ConnectError;
use mkectl::ssh::keyfile::KeyFileFault;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[tokio::test]
async fn keys_of_every_kind_log_in_to_hosts_of_every_kind() {
    let world = World::new();
    let mut sshds = Vec::new();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        world.key(&format!("user-{kind}"), kind);
        world.key(&format!("host-{kind}"), kind);
    }
    for kind in ["ed25519", "ecdsa", "rsa"] {
        sshds.push(world.sshd_with(
            &format!("host-{kind}"),
            &["user-ed25519", "user-ecdsa", "user-rsa"],
            "",
        ));
    }
    for sshd in &sshds {
        for kind in ["ed25519", "ecdsa", "rsa"] {
            let host = world.host("h", sshd.port, &format!("user-{kind}"));
            let session = Setup::trusting(&[sshd]).connect(&host).await.unwrap();
            assert_eq!(says(&*session, &["echo", "in"]).await, "in");
            session.close().await;
            assert!(session.is_closed());
        }
        // RSA never signs with SHA-1.
        assert!(!sshd.log().contains("ssh-rsa SHA1"), "{}", sshd.log());
    }
}

#[tokio::test]
async fn an_encrypted_key_asks_once_for_its_passphrase() {
    let world = World::new();
    world.locked_key("user", "ed25519", "correct horse");
    world.key("host", "ed25519");
    let sshd = world.sshd_with("host", &["user"], "");
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let mut setup = Setup::trusting(&[&sshd]);
    setup.ask = Some(Arc::new(move |path: &Path, attempt| {
        count.fetch_add(1, Ordering::SeqCst);
        assert!(path.ends_with("user"));
        Some(if attempt < 2 { "wrong" } else { "correct horse" }.to_owned())
    }));
    let client = setup.client();
    let hosts: Vec<_> = (0..4)
        .map(|n| world.host(&format!("h{n}"), sshd.port, "user"))
        .collect();
    let (a, b, c, d) = tokio::join!(
        mkectl::ssh::Transport::connect(&client, &hosts[0]),
        mkectl::ssh::Transport::connect(&client, &hosts[1]),
        mkectl::ssh::Transport::connect(&client, &hosts[2]),
        mkectl::ssh::Transport::connect(&client, &hosts[3]),
    );
    for session in [a, b, c, d] {
        assert_eq!(says(&*session.unwrap(), &["echo", "in"]).await, "in");
    }
    assert_eq!(
        asked.load(Ordering::SeqCst),
        2,
        "one wrong answer, one right, for four hosts"
    );
}

#[tokio::test]
async fn encrypted_keys_that_cannot_be_opened_say_why() {
    let world = World::new();
    world.locked_key("user", "ed25519", "correct horse");
    world.key("host", "ed25519");
    let sshd = world.sshd_with("host", &["user"], "");
    let host = world.host("h", sshd.port, "user");
    let error = Setup::trusting(&[&sshd]).refused(&host).await;
    assert!(error.is_input() && !error.is_transient());
    assert!(
        matches!(&error, ConnectError::KeyFile(error) if error.why == KeyFileFault::NoPassphrase),
        "{error}"
    );
    assert!(error.to_string().contains("ssh-add"), "{error}");
    let mut setup = Setup::trusting(&[&sshd]);
    setup.ask = Some(Arc::new(|_: &Path, _| Some("poison-passphrase".to_owned())));
    let error = setup.refused(&host).await;
    assert!(
        matches!(&error, ConnectError::KeyFile(error) if error.why == KeyFileFault::WrongPassphrase),
        "{error}"
    );
    assert!(!format!("{error} {error:?}").contains("poison"));
}

#[tokio::test]
async fn key_files_that_cannot_be_used_are_named() {
    let world = World::new();
    let sshd = world.sshd("");
    world.key("open", "ed25519");
    fs::set_permissions(world.path("open"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(world.path("text"), "nothing of the sort\n").unwrap();
    fs::set_permissions(world.path("text"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(world.path("directory")).unwrap();
    for (key, word) in [
        ("absent", "does not exist"),
        ("open", "mode 0640"),
        ("text", "not a private key"),
        ("directory", "cannot be read"),
    ] {
        let error = Setup::trusting(&[&sshd])
            .refused(&world.host("h", sshd.port, key))
            .await;
        assert!(error.is_input(), "{error}");
        let text = error.to_string();
        assert!(text.contains(word) && text.contains(&world.name(key)), "{text}");
    }
}

#[tokio::test]
async fn the_agent_signs_with_keys_of_every_kind() {
    let world = World::new();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        world.key(&format!("user-{kind}"), kind);
        world.key(&format!("host-{kind}"), "ed25519");
    }
    world.key("stranger", "ed25519");
    let agent = world.agent(&["stranger", "user-ed25519", "user-ecdsa", "user-rsa"]);
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let user = format!("user-{kind}");
        let sshd = world.sshd_with(&format!("host-{kind}"), &[&user], "");
        // No key path: all of the agent's keys. The public key: this one alone. Neither needs the private file.
        for key in [String::new(), format!("{user}.pub")] {
            let host = world.host("h", sshd.port, &key);
            let session = Setup::trusting(&[&sshd])
                .agent(&agent)
                .connect(&host)
                .await
                .unwrap_or_else(|error| panic!("{kind} {key:?}: {error}"));
            assert_eq!(says(&*session, &["echo", "in"]).await, "in");
        }
        let refusals = sshd.log().matches("Failed publickey").count();
        let offered = usize::from(kind != "ed25519") + usize::from(kind == "rsa") + 1;
        assert_eq!(
            refusals,
            offered,
            "only the login without a key path offers others: {}",
            sshd.log()
        );
    }
    // A public key whose private half the agent does not have.
    world.key("elsewhere", "ed25519");
    let sshd = world.sshd("");
    let error = Setup::trusting(&[&sshd])
        .agent(&agent)
        .refused(&world.host("h", sshd.port, "elsewhere.pub"))
        .await;
    assert!(
        error.is_input() && error.to_string().contains("not in the agent"),
        "{error}"
    );
}

#[tokio::test]
async fn an_encrypted_key_that_the_agent_has_needs_no_passphrase() {
    let world = World::new();
    world.key("user", "ed25519");
    let agent = world.agent(&["user"]);
    world.keygen(&["-q", "-p", "-P", "", "-N", "secret", "-a", "2", "-f", "user"]);
    world.key("host", "ed25519");
    let sshd = world.sshd_with("host", &["user"], "");
    let mut setup = Setup::trusting(&[&sshd]).agent(&agent);
    setup.ask = Some(Arc::new(|_: &Path, _| panic!("nobody is to be asked")));
    let session = setup.connect(&world.host("h", sshd.port, "user")).await.unwrap();
    assert_eq!(says(&*session, &["echo", "in"]).await, "in");
}

#[tokio::test]
async fn certificates_beside_keys_and_in_the_agent() {
    let world = World::new();
    world.key("ca", "ed25519");
    let ca = world.name("ca.pub");
    for kind in ["ed25519", "rsa"] {
        let user = format!("user-{kind}");
        world.key(&user, kind);
        world.keygen(&[
            "-q",
            "-s",
            "ca",
            "-I",
            "id",
            "-n",
            &world.user,
            &format!("{user}.pub"),
        ]);
    }
    world.key("host", "ed25519");
    // No key is authorized: only the certificate's authority is.
    let sshd = world.sshd_with("host", &[], &format!("TrustedUserCAKeys {ca}"));
    for kind in ["ed25519", "rsa"] {
        let host = world.host("h", sshd.port, &format!("user-{kind}"));
        let session = Setup::trusting(&[&sshd])
            .connect(&host)
            .await
            .unwrap_or_else(|error| panic!("{kind}: {error}\n{}", sshd.log()));
        assert_eq!(says(&*session, &["echo", "in"]).await, "in");
    }
    // ssh-add takes the certificate along.
    let agent = world.agent(&["user-ed25519", "user-rsa"]);
    for key in ["", "user-rsa.pub", "user-ed25519.pub"] {
        let session = Setup::trusting(&[&sshd])
            .agent(&agent)
            .connect(&world.host("h", sshd.port, key))
            .await
            .unwrap_or_else(|error| panic!("agent {key}: {error}\n{}", sshd.log()));
        assert_eq!(says(&*session, &["echo", "in"]).await, "in");
    }
    // A certificate of another key is a mistake to be told, not to be passed over.
    fs::copy(
        world.path("user-rsa-cert.pub"),
        world.path("user-ed25519-cert.pub"),
    )
    .unwrap();
    let error = Setup::trusting(&[&sshd])
        .refused(&world.host("h", sshd.port, "user-ed25519"))
        .await;
    assert!(error.to_string().contains("not for the key beside it"), "{error}");
}

#[tokio::test]
async fn a_refusal_lists_the_keys_that_were_tried_and_the_banner() {
    let world = World::new();
    fs::write(world.path("banner"), "Mind \u{1b}[31mthe gap\n").unwrap();
    let sshd = world.sshd(&format!("Banner {}", world.name("banner")));
    world.key("other", "ed25519");
    world.key("third", "ecdsa");
    let agent = world.agent(&["third"]);
    let error = Setup::trusting(&[&sshd])
        .agent(&agent)
        .refused(&world.host("h", sshd.port, "other"))
        .await;
    let ConnectError::AuthFailed { tried, banner, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(tried.len(), 2, "{tried:?}");
    assert!(tried[0].starts_with(&format!("{} (ssh-ed25519 SHA256:", world.name("other"))));
    assert!(
        tried[1].starts_with("agent third (ecdsa-sha2-nistp256 SHA256:"),
        "{tried:?}"
    );
    assert_eq!(banner, "Mind the gap\n");
    assert!(!error.is_transient() && !error.is_input());
    assert!(
        error.to_string().contains("the server says: Mind the gap"),
        "{error}"
    );
}

#[tokio::test]
async fn too_many_keys_and_methods_we_do_not_have() {
    let world = World::new();
    let sshd = world.sshd("MaxAuthTries 2");
    for name in ["a", "b", "c", "d"] {
        world.key(name, "ed25519");
    }
    let agent = world.agent(&["a", "b", "c", "d"]);
    let error = Setup::trusting(&[&sshd])
        .agent(&agent)
        .refused(&world.host("h", sshd.port, ""))
        .await;
    assert!(error.to_string().contains("MaxAuthTries"), "{error}");
    // A key and a password: the first is not enough, and the error says so.
    let both = world.sshd("PasswordAuthentication yes\nAuthenticationMethods publickey,password");
    let error = Setup::trusting(&[&both])
        .refused(&world.host("h", both.port, "user"))
        .await;
    assert!(error.to_string().contains("another proof"), "{error}");
    // Nothing to offer.
    let error = Setup::trusting(&[&sshd])
        .refused(&world.host("h", sshd.port, ""))
        .await;
    assert!(error.to_string().contains("no key to offer"), "{error}");
}
