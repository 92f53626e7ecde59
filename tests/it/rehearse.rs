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
