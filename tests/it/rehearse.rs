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
