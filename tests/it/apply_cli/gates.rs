//! Facts are compared once more before a stage behind a gate.

use super::{Desk, text};
use mkectl::lab::model::{Backend, Host};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// What a run says before it looks.
const LOOKS: &str = "Compare facts with the plan before the stage ";

/// Waits until the events of a run tell that an action is done.
fn done(state: &Path, action: &str) {
    let wanted = format!("\"action\":\"{action}\"");
    let until = Instant::now() + Duration::from_secs(900);
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

/// Runs a plan on which somebody else changes a worker when an action is done. Its code, and what it said.
fn meanwhile(
    desk: &Desk,
    plan: &str,
    state: &Path,
    action: &str,
    change: impl Fn(&mut Host),
) -> (Option<i32>, String) {
    let words = ["--yes", "--state-dir", state.to_str().unwrap()];
    let child = desk
        .command(plan, &words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    done(state, action);
    change(desk.stage.lab.state().hosts.get_mut("worker-01").unwrap());
    let out = child.wait_with_output().unwrap();
    (out.status.code(), text(&out.stderr))
}

/// Somebody else changes a worker after the start of the run, which compared the facts, and before the outage.
#[test]
fn what_changes_while_a_run_prepares_is_found_before_the_outage() {
    let desk = Desk::new();
    let plan = desk.save("plan.json", &desk.spec);
    let state = desk.path("state");
    let (code, err) = meanwhile(&desk, &plan, &state, "worker-01/stage-config", |host| {
        // Nothing after stage-config relies on this one.
        host.system.selinux = "enforcing".to_owned();
        host.netfilter.backend = Backend::Legacy;
    });
    assert_eq!(code, Some(13), "{err}");
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

/// Between the managers and the workers, while going back still loses nothing.
#[test]
fn what_changes_during_the_outage_is_found_before_the_workers() {
    let desk = Desk::new();
    let plan = desk.save("plan.json", &desk.spec);
    let state = desk.path("state");
    let (code, err) = meanwhile(&desk, &plan, &state, "manager-02/mint-controller-token", |host| {
        host.netfilter.backend = Backend::Legacy;
    });
    assert_eq!(code, Some(13), "{err}");
    assert!(
        err.contains("the stage workers was not begun, because the cluster is not as this plan relied on: worker-01: iptables was \"nft\" and is \"legacy\" now; it concerns worker-01/stop-node-worker"),
        "{err}"
    );
    assert!(!err.contains("left out"), "{err}");
    assert!(desk.stage.lab.state().runs("manager-01", "ucp-kv"), "{err}");
}

/// After the workers nothing relies on what a host was like, so a change is told at the point of no return and stops nothing.
#[test]
fn what_nothing_relies_on_any_more_is_told_at_the_point_of_no_return() {
    let desk = Desk::new();
    let plan = desk.save("plan.json", &desk.spec);
    let state = desk.path("state");
    let (code, err) = meanwhile(&desk, &plan, &state, "worker-01/join-worker", |host| {
        host.system.selinux = "enforcing".to_owned();
    });
    assert_eq!(code, Some(0), "{err}");
    let (before, after) = err.split_once(&format!("{LOOKS}commit")).expect(&err);
    let told = "worker-01: selinux was \"disabled\" and is \"enforcing\" now; nothing that is still to run relies on it";
    assert!(after.contains(told) && !before.contains(told), "{err}");
}

/// What the run did itself is no drift at the gates, and a run that begins at a gate does not look twice.
#[test]
fn a_run_passes_its_gates_once() {
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
