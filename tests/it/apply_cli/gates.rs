//! Facts are compared once more before a stage behind a gate.

use super::{Desk, text};
use mkectl::lab::model::Backend;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Waits until the events of a run tell that an action is done.
fn done(state: &Path, action: &str) {
    let wanted = format!("\"action\":\"{action}\"");
    let until = Instant::now() + Duration::from_secs(120);
    while Instant::now() < until {
        for entry in fs::read_dir(state).into_iter().flatten().flatten() {
            let told = fs::read_to_string(entry.path().join("events.jsonl")).unwrap_or_default();
            if told
                .lines()
                .any(|line| line.contains("\"type\":\"action-end\"") && line.contains(&wanted))
            {
                return;
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{action} was never done");
}

/// Somebody else changes a worker after the start of the run, which compared the facts, and before the outage.
#[test]
fn what_changes_while_a_run_prepares_is_found_before_the_outage() {
    let desk = Desk::new();
    let plan = desk.save("plan.json", &desk.spec);
    let state = desk.path("state");
    let words = [
        "--yes",
        "--state-dir",
        state.to_str().unwrap(),
        "--until",
        "quiesce",
    ];
    let child = desk
        .command(&plan, &words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    done(&state, "worker-01/stage-config");
    {
        let mut state = desk.stage.lab.state();
        let worker = state.hosts.get_mut("worker-01").unwrap();
        // Nothing after stage-config relies on this one.
        worker.system.selinux = "enforcing".to_owned();
        worker.netfilter.backend = Backend::Legacy;
    }
    let out = child.wait_with_output().unwrap();
    let err = text(&out.stderr);
    assert_eq!(out.status.code(), Some(13), "{err}");
    assert!(
        err.contains("the stage quiesce was not begun, because the cluster is not as this plan relied on: worker-01: iptables was \"nft\" and is \"legacy\" now; it concerns worker-01/"),
        "{err}"
    );
    assert!(
        err.contains("worker-01: selinux was \"disabled\" and is \"enforcing\" now; nothing that is still to run relies on it"),
        "{err}"
    );
    assert!(desk.stage.lab.state().runs("manager-01", "ucp-kv"), "{err}");
    assert!(!err.contains("left out"), "{err}");
}

/// What the run did itself is no drift at the gates, and a run that begins at a gate does not look twice.
#[test]
fn a_run_passes_its_gates_once() {
    const LOOKS: &str = "Compare facts with the plan before the stage ";
    let desk = Desk::new();
    let plan = desk.save("plan.json", &desk.spec);
    let state = desk.path("state");
    let run = |words: &[&str]| {
        let state = state.to_str().unwrap();
        let out = desk.apply(&plan, &[&["--yes", "--state-dir", state][..], words].concat());
        (out.status.code(), text(&out.stderr))
    };
    let (code, err) = run(&["--until", "first-controller"]);
    assert_eq!(code, Some(14), "{err}");
    assert_eq!(err.matches(LOOKS).count(), 1, "{err}");
    assert!(err.contains(&format!("{LOOKS}quiesce")), "{err}");
    let (code, err) = run(&["--resume", "--until", "controllers"]);
    assert_eq!(code, Some(14), "{err}");
    assert_eq!(err.matches(LOOKS).count(), 0, "{err}");
    // Facts were read a moment ago.
    let (code, err) = run(&["--resume", "--until", "workers"]);
    assert_eq!(code, Some(14), "{err}");
    assert_eq!(err.matches(LOOKS).count(), 0, "{err}");
}
