//! `mkectl rehearse` as a process.

use crate::support::repo;
use std::process::Command;

/// One manager, no worker, and no setting of Calico: snapshot and keys leave the host, and nothing of the network is chosen.
#[test]
fn the_smallest_cluster_comes_to_the_end() {
    let file = |name: &str| repo(&format!("testdata/clusters/minimal/{name}"));
    let output = Command::new(env!("CARGO_BIN_EXE_mkectl"))
        .arg("rehearse")
        .arg("--mke3-config")
        .arg(file("mke3.toml"))
        .arg("--hosts-path")
        .arg(file("hosts.yaml"))
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(
        err.contains("was uninstalled from the cluster successfully."),
        "{err}"
    );
    assert!(!err.contains("the simulation does not know"), "{err}");
}

/// mkectl dies without a word, its home is removed, and another home goes on from the plan and the hosts.
#[test]
fn what_is_lost_at_a_record_comes_to_the_same_end_from_another_home() {
    let output = Command::new(env!("CARGO_BIN_EXE_mkectl"))
        .args(["rehearse", "--crash-at", "30", "--until", "prepare"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(14), "{said}");
    assert!(said.contains("Go on in another home"), "{said}");
    assert!(said.contains("Taking an earlier run up"), "{said}");
    for class in ["containers", "files", "etcd keys"] {
        let line = said
            .lines()
            .find(|line| line.contains(&format!(" {class}: ")))
            .unwrap_or_else(|| panic!("no {class}: {said}"));
        assert!(line.contains("as an undisturbed run left it"), "{line}");
    }
}

/// Nobody recorded facts: what the hosts are is taken from hosts.yaml, or assumed, and said.
#[test]
fn a_cluster_without_facts_is_rehearsed_with_assumed_ones() {
    let desk = tempfile::tempdir().unwrap();
    let hosts = desk.path().join("hosts.yaml");
    std::fs::write(
        &hosts,
        "hosts:\n- address: 203.0.113.77\n- address: node-b.example.com\n",
    )
    .unwrap();
    let rehearse = |until: &str| {
        Command::new(env!("CARGO_BIN_EXE_mkectl"))
            .args(["rehearse", "--until", until, "--mke3-config"])
            .arg(repo("testdata/clusters/minimal/mke3.toml"))
            .arg("--accounts")
            .arg(repo("testdata/clusters/minimal/accounts.json"))
            .arg("--hosts-path")
            .arg(&hosts)
            .output()
            .unwrap()
    };
    let output = rehearse("prepare");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(14), "{err}");
    assert!(
        err.contains("it is assumed that the managers are 203.0.113.77, and 1 of 2 hosts workers"),
        "{err}"
    );
    std::fs::write(
        &hosts,
        "hosts:\n- {address: 203.0.113.77, role: worker}\n- {address: node-b.example.com, role: manager}\n",
    )
    .unwrap();
    let output = rehearse("prepare");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(14), "{err}");
    assert!(
        err.contains("hosts.yaml says that the managers are node-b.example.com, and 1 of 2"),
        "{err}"
    );
}
