//! `mkectl rehearse --fail`, as a process: what goes wrong, how the run ends, and what is said.

use crate::simulated;
use crate::support::repo;
use mkectl::lab::Lab;
use mkectl::model::Host;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

fn rehearse(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mkectl"))
        .args(["rehearse", "--no-color"])
        .args(words)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether lines with these pieces of text come in this order.
#[track_caller]
fn in_order(text: &str, pieces: &[&str]) {
    let mut rest = text;
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => panic!("{piece:?} does not come in its place:\n{text}"),
        }
    }
}

#[test]
fn an_unknown_action_or_fault_names_what_there_is() {
    let output = rehearse(&["--fail", "worker-2/join-worker"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    in_order(
        &said(&output),
        &["no action \"worker-2/join-worker\"", "\"worker-02/join-worker\""],
    );
    let output = rehearse(&["--fail", "join-worker:flood"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    in_order(&said(&output), &["no fault \"flood\"", "fail-after", "disk-full"]);
    let output = rehearse(&["--drop-connection", "admin-kubeconfig"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    in_order(&said(&output), &["on the operator's machine"]);
}

#[test]
fn a_failure_is_told_and_undone_and_the_cluster_is_compared() {
    let output = rehearse(&["--fail", "manager-02/stage-config:fail-after"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(13), "{text}");
    in_order(
        &text,
        &[
            "A fault is to come: manager-02/stage-config: fail-after",
            "stage-config: run failed",
            "the script did its work and fails now",
            "Initiating rollback because of upgrade failure. upgradeErr = ",
            "Initiating rollback of MKE to version: 3.8.5",
            "Step 1 of 1: [Rollback Pre Upgrade Tasks]",
            "[Rollback Pre Upgrade Tasks] Completed",
            "Rollback to MKE version 3.8.5 completed successfully ...",
            "Upgrade failed due to error: ",
            "containers: 128, as before",
            "files: as before",
            "etcd keys: ",
            "The upgrade was rolled back",
        ],
    );
}

#[test]
fn a_connection_that_is_cut_costs_nothing() {
    let output = rehearse(&["--drop-connection", "record-state", "--until", "prepare"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(14), "{text}");
    assert!(!text.contains("the fault did not come"), "{text}");
}

/// A host that we are cut off from while it checks our key has not turned us down: an upgrade must not go back for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_while_logging_in_is_no_refusal() {
    let facts = simulated::facts("three-managers", &["manager-01"]);
    let lab = Lab::from_facts(&facts, &simulated::options(1000)).await.unwrap();
    let transport = lab.transport(Arc::new(|| 1_800_000_000)).unwrap();
    let host = Host {
        id: "manager-01".to_owned(),
        role: None,
        address: String::new(),
        port: 22,
        user: "ubuntu".to_owned(),
        key_path: String::new(),
        bastion: None,
        host_keys: Vec::new(),
        machine_id: String::new(),
        fields: Default::default(),
        facts: Default::default(),
    };
    let (mut cut, mut in_login) = (0, 0);
    for at in 0..60 {
        let (transport, host) = (transport.clone(), host.clone());
        let connecting = tokio::spawn(async move { transport.connect(&host).await.map(drop) });
        tokio::time::sleep(Duration::from_millis(at)).await;
        lab.server("manager-01").unwrap().drop_connections();
        if let Err(error) = connecting.await.unwrap() {
            assert!(error.is_transient(), "cut after {at} ms: {error}");
            cut += 1;
            in_login += i32::from(error.to_string().contains("during authentication"));
        }
    }
    assert!(cut > 0 && in_login <= cut, "nothing was cut");
}

/// The smallest cluster, whose hosts and files are quickly copied.
fn minimal(words: &[&str]) -> Output {
    let of = |file: &str| repo(&format!("testdata/clusters/minimal/{file}"));
    let (config, hosts) = (of("mke3.toml"), of("hosts.yaml"));
    let mut all = vec![
        "--mke3-config",
        config.to_str().unwrap(),
        "--hosts-path",
        hosts.to_str().unwrap(),
    ];
    all.extend(words);
    rehearse(&all)
}

/// Some of the cases, from all stages; the whole is `.ci/reliability`.
#[test]
fn a_sample_of_all_faults_ends_as_it_should() {
    let output = minimal(&["--all-faults", "--sample", "10", "--seed", "7"]);
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}\n{table}", said(&output));
    in_order(
        &table,
        &[
            "## 1 manager and no worker",
            "A sample of 10 of ",
            "10 ended as they should, 0 did not",
            "| prepare |",
            "| verify |",
        ],
    );
}

#[test]
fn a_step_that_is_not_there_is_refused() {
    let output = minimal(&["--all-faults", "--only", "start-lead,start-lad"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    in_order(&said(&output), &["no step \"start-lad\"", "\"start-lead\""]);
}

#[test]
fn the_table_of_faults_names_every_kind() {
    let text = std::fs::read_to_string(repo("docs/reliability.md")).unwrap();
    for kind in mkectl::lab::fault::FaultKind::ALL {
        assert!(text.contains(&format!("| {kind} | {} |", kind.about())), "{kind}");
    }
}
