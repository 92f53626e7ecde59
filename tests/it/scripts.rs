//! Every script of the plan, on simulated hosts: in all its verbs, twice, half done, undone; what it changes is what the
//! plan says; a script with one line less is caught; and nothing changes outside the hosts.
//!
//! Nothing here knows an action: what is asked of each is what the contract of scripts asks of all. A test walks plainly up
//! to its stages and looks hard there, so that each is short and all run side by side.

mod changes;
mod mutants;
mod near;
mod outside;
mod stage;
mod walker;

use mkectl::apply::engine::Direction;
use mkectl::catalogue::Mke3Objects;
use mkectl::lab::Picture;
use outside::Outside;
pub use stage::Stage;
use walker::Walker;

const HOSTS: &[&str] = &["manager-01", "manager-02", "manager-03", "worker-01"];

/// The way forward. In these stages, which stand side by side in the plan, each action is probed, undone though it never ran,
/// killed half-way, run, and run again; the way there, and what comes after, is plain.
fn forward(before: Option<&str>, stages: &[&str]) {
    let stage = Stage::new(HOSTS);
    let machine = Outside::now(&stage.spec);
    let mut records = Vec::new();
    if let Some(before) = before {
        let (result, walker) = stage.walk(Walker::plain(&stage), records, Direction::Forward, Some(before));
        walker.report();
        assert_eq!(result.exit(), 14, "{:#?}", result.failures);
        records = walker.records();
    }
    let last = stages.last().copied().filter(|last| *last != "outputs");
    let (result, walker) = stage.walk(Walker::forward(&stage, stages), records, Direction::Forward, last);
    walker.report();
    let wanted = if last.is_some() { 14 } else { 0 };
    assert_eq!(result.exit(), wanted, "{:#?}", result.failures);
    assert_eq!(machine, Outside::now(&stage.spec), "this machine was changed");
}

#[test]
fn forward_prepare() {
    forward(None, &["prepare"]);
}

#[test]
fn forward_quiesce() {
    forward(Some("prepare"), &["quiesce"]);
}

#[test]
fn forward_first_controller() {
    forward(Some("quiesce"), &["first-controller"]);
}

#[test]
fn forward_controllers_and_workers() {
    forward(Some("first-controller"), &["controllers", "workers"]);
}

#[test]
fn forward_platform_to_the_end() {
    forward(
        Some("workers"),
        &["platform", "verify", "commit", "cleanup", "outputs"],
    );
}

/// The last stage from which there is a way back.
const LAST: &str = "verify";

/// Forward until after a stage, and back: each undo is killed half-way and made twice, and the cluster is as it was.
fn there_and_back(until: &str) {
    let stage = Stage::new(HOSTS);
    let passing = Mke3Objects::load(&crate::simulated::bundle()).unwrap().passing;
    let picture = || Picture::of(&stage.lab, &passing).unwrap();
    let before = picture();
    let (result, walker) = stage.walk(Walker::plain(&stage), Vec::new(), Direction::Forward, Some(until));
    walker.report();
    assert_eq!(result.exit(), 14, "{:#?}", result.failures);
    let records = walker.records();
    let (result, walker) = stage.walk(
        Walker::back(&stage, until == LAST),
        records,
        Direction::Back,
        None,
    );
    walker.report();
    assert_eq!(result.exit(), 13, "{:#?}", result.failures);
    // Agents and kubelets bring back the rest by themselves.
    let mut differences = Vec::new();
    for _ in 0..200 {
        differences = before.differences(&picture());
        if differences.is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(
        differences.is_empty(),
        "after a rollback from {until}:\n{}",
        differences
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    );
}

#[test]
fn back_from_prepare() {
    there_and_back("prepare");
}

#[test]
fn back_from_quiesce() {
    there_and_back("quiesce");
}

#[test]
fn back_from_first_controller() {
    there_and_back("first-controller");
}

#[test]
fn back_from_controllers() {
    there_and_back("controllers");
}

#[test]
fn back_from_verify() {
    there_and_back(LAST);
}
