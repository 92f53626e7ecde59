//! The host-key policy, against keys, hashes and certificates that OpenSSH makes.

use mkectl::ssh::knownhosts::{KnownHosts, Verdict};
use russh::keys::ssh_key::{Certificate, PublicKey};
use std::fs;
use std::path::Path;
use std::process::Command;

struct Keys {
    dir: tempfile::TempDir,
}

impl Keys {
    fn new() -> Self {
        Keys {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn keygen(&self, args: &[&str]) {
        let out = Command::new("ssh-keygen")
            .args(args)
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    fn key(&self, name: &str, kind: &str) -> (PublicKey, String) {
        self.keygen(&["-q", "-t", kind, "-N", "", "-C", name, "-f", name]);
        let text = self.read(&format!("{name}.pub"));
        let words: Vec<&str> = text.split_whitespace().collect();
        (
            PublicKey::from_openssh(&text).unwrap(),
            format!("{} {}", words[0], words[1]),
        )
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(Path::new(self.dir.path()).join(name)).unwrap()
    }

    fn certificate(&self, args: &[&str], name: &str) -> Certificate {
        self.keygen(&[&["-q", "-s", "ca"], args, &[&format!("{name}.pub")]].concat());
        Certificate::from_openssh(self.read(&format!("{name}-cert.pub")).trim()).unwrap()
    }
}

fn known(text: &str) -> KnownHosts {
    let mut known = KnownHosts::default();
    known.add("known_hosts", text);
    known
}

fn trusted(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Trusted(_))
}

#[test]
fn plain_names_ports_wildcards_and_negation() {
    let keys = Keys::new();
    let (key, line) = keys.key("a", "ed25519");
    let known = known(&format!(
        "# comment\n\nmke.example.com,203.0.113.7 {line} comment\n\t[ssh.example.com]:2222\t{line}\n\
         *.lab.example,!bad.lab.example,node-? {line}\n"
    ));
    assert!(known.unreadable().is_empty());
    for (host, port) in [
        ("mke.example.com", 22),
        ("MKE.Example.COM", 22),
        ("203.0.113.7", 22),
        ("ssh.example.com", 2222),
        ("x.lab.example", 22),
        ("node-7", 22),
    ] {
        assert!(trusted(&known.check_key(host, port, &key)), "{host}:{port}");
    }
    for (host, port) in [
        ("ssh.example.com", 22),
        ("mke.example.com", 2222),
        ("bad.lab.example", 22),
        ("lab.example", 22),
        ("node-77", 22),
        ("203.0.113.70", 22),
    ] {
        assert_eq!(
            known.check_key(host, port, &key),
            Verdict::Unknown,
            "{host}:{port}"
        );
    }
}

#[test]
fn names_hashed_by_openssh_match() {
    let keys = Keys::new();
    let (key, line) = keys.key("a", "ed25519");
    fs::write(
        keys.dir.path().join("kh"),
        format!("host.example {line}\n[host.example]:2200 {line}\n"),
    )
    .unwrap();
    keys.keygen(&["-q", "-H", "-f", "kh"]);
    let text = keys.read("kh");
    assert!(
        text.starts_with("|1|") && !text.contains("host.example"),
        "{text}"
    );
    let known = known(&text);
    assert!(trusted(&known.check_key("host.example", 22, &key)));
    assert!(trusted(&known.check_key("host.example", 2200, &key)));
    assert_eq!(known.check_key("other.example", 22, &key), Verdict::Unknown);
}

#[test]
fn a_changed_key_is_told_from_another_algorithm() {
    let keys = Keys::new();
    let (_, recorded) = keys.key("a", "ed25519");
    let (other, _) = keys.key("b", "ed25519");
    let (ecdsa, _) = keys.key("c", "ecdsa");
    let known = known(&format!("h {recorded}\n"));
    assert!(matches!(known.check_key("h", 22, &other), Verdict::Changed(place) if place.line == 1));
    assert_eq!(
        known.check_key("h", 22, &ecdsa),
        Verdict::OtherAlgorithms(vec!["ssh-ed25519".into()])
    );
    assert_eq!(known.algorithms("h", 22).len(), 1);
    assert!(known.algorithms("x", 22).is_empty());
}

#[test]
fn a_revoked_key_is_refused_wherever_else_it_is_trusted() {
    let keys = Keys::new();
    let (key, line) = keys.key("a", "ed25519");
    let known = known(&format!("h {line}\n@revoked * {line}\n"));
    assert!(matches!(known.check_key("h", 22, &key), Verdict::Revoked(place) if place.line == 2));
    assert_eq!(
        known.check_key("h", 2222, &key),
        Verdict::Revoked(mkectl::ssh::knownhosts::Place {
            file: "known_hosts".into(),
            line: 2
        })
    );
}

#[test]
fn lines_that_cannot_be_read_vouch_for_nothing() {
    let keys = Keys::new();
    let (key, line) = keys.key("a", "ed25519");
    let known = known(&format!(
        "h ssh-ed25519 AAAA\n@unknown h {line}\nh\n|1|nothash {line}\n"
    ));
    assert_eq!(known.unreadable().len(), 4);
    assert_eq!(known.check_key("h", 22, &key), Verdict::Unknown);
}

#[test]
fn certificates_need_authority_principal_time_and_kind() {
    let keys = Keys::new();
    let (_, ca) = keys.key("ca", "ed25519");
    let (host_key, host_line) = keys.key("host", "ecdsa");
    let now = 1_800_000_000;
    let good = keys.certificate(
        &[
            "-h",
            "-I",
            "id",
            "-n",
            "h.example,*.lab.example",
            "-V",
            "20200101:20300101",
        ],
        "host",
    );
    let known_ca = known(&format!("@cert-authority *.example {ca}\n"));
    assert!(known_ca.has_authority("h.example", 22));
    assert!(trusted(&known_ca.check_certificate("h.example", 22, &good, now)));
    assert!(trusted(&known_ca.check_certificate(
        "x.lab.example",
        22,
        &good,
        now
    )));
    let refused = |host: &str, certificate: &Certificate, at: u64, word: &str| match known_ca
        .check_certificate(host, 22, certificate, at)
    {
        Verdict::BadCertificate(_, why) => assert!(why.contains(word), "{why}"),
        other => panic!("{other:?}"),
    };
    refused("other.example", &good, now, "not for this host");
    refused("h.example", &good, 1_950_000_000, "expired");
    let user = keys.certificate(&["-I", "id", "-n", "h.example"], "host");
    refused("h.example", &user, now, "user certificate");
    // Outside the authority's pattern the certificate counts as its bare key.
    assert_eq!(
        known_ca.check_certificate("h.other", 22, &good, now),
        Verdict::Unknown
    );
    assert!(trusted(
        &known(&format!("h.other {host_line}\n")).check_certificate("h.other", 22, &good, now)
    ));
    // A revoked authority, or a revoked key inside, is refused.
    for revoked in [&ca, &host_line] {
        let known = known(&format!("@cert-authority * {ca}\n@revoked * {revoked}\n"));
        assert!(matches!(
            known.check_certificate("h.example", 22, &good, now),
            Verdict::Revoked(_)
        ));
    }
    // An authority's line says nothing about bare keys.
    assert_eq!(known_ca.check_key("h.example", 22, &host_key), Verdict::Unknown);
}
