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

/// mkectl is killed, its home is removed, and another home goes on, or back, from the plan and the hosts.
#[test]
fn what_is_lost_at_a_record_comes_to_the_same_end_from_another_home() {
    let output = Command::new(env!("CARGO_BIN_EXE_mkectl"))
        .args(["rehearse", "--crash-at", "30", "--until", "prepare"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(14), "{said}");
    assert!(said.contains("Go on in another home"), "{said}");
    assert!(said.contains("Go back in another home"), "{said}");
    assert!(said.contains("Taking an earlier run up"), "{said}");
    for then in ["as an undisturbed run left it", "as before"] {
        for class in ["containers", "files", "etcd keys"] {
            let wanted = format!(" {class}: ");
            let found = said
                .lines()
                .any(|line| line.contains(&wanted) && line.ends_with(then));
            assert!(found, "no {class} {then}: {said}");
        }
    }
}

/// A rehearsal of the smallest cluster: its exit code, the table, and what is said.
fn crashes(more: &[&str]) -> (Option<i32>, String, String) {
    let file = |name: &str| repo(&format!("testdata/clusters/minimal/{name}"));
    let output = Command::new(env!("CARGO_BIN_EXE_mkectl"))
        .arg("rehearse")
        .arg("--mke3-config")
        .arg(file("mke3.toml"))
        .arg("--hosts-path")
        .arg(file("hosts.yaml"))
        .args(more)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// A sample of what docs/reliability.md has whole, with records on both sides of the point of no return.
#[test]
fn a_sample_of_all_records_comes_to_the_end_or_back() {
    let (code, table, said) = crashes(&["--all-crashes", "--sample", "2", "--seed", "14"]);
    assert_eq!(code, Some(0), "{table}\n{said}");
    assert!(
        table.contains(", seed 14, 4 cases; 4 ended as they should, 0 did not."),
        "{table}"
    );
    assert!(table.contains("| resumed | rolled back |"), "{table}");
    // Behind the point of no return a rollback is refused, and nothing is lost by having asked.
    assert!(table.contains("| resumed | refused, and resumed |"), "{table}");
}

/// What goes back goes on back, whatever is asked for, until nothing is left to be undone.
#[test]
fn a_rollback_that_is_lost_goes_on_from_another_home() {
    let back = ["--all-crashes", "--way-back", "--until", "prepare"];
    let (code, table, said) = crashes(&[&back[..], &["--sample", "3", "--seed", "8"]].concat());
    assert_eq!(code, Some(0), "{table}\n{said}");
    assert!(
        table.contains("| resumed, on the way back | rolled back |"),
        "{table}"
    );
    assert!(table.contains("| was at its end | was at its end |"), "{table}");
}

/// A record that there is not is not waited for.
#[test]
fn a_loss_behind_the_end_is_refused() {
    let (code, _, said) = crashes(&["--crash-at", "9999", "--until", "prepare"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("so nothing is lost at 9999"), "{said}");
    let (code, _, said) = crashes(&["--crash-at", "1", "--until", "cleanup", "--way-back"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("there is no way back from cleanup"), "{said}");
    assert!(said.contains("platform, verify\n"), "{said}");
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
