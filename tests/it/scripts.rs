//! Every script of the plan, on simulated hosts: in all its verbs, twice, half done, undone; what it changes is what the
//! plan says; and a script with one line less is caught.
//!
//! Nothing here knows an action: what is asked of each is what the contract of scripts asks of all.

mod changes;
mod stage;
mod walker;

use mkectl::apply::engine::Direction;
use mkectl::catalogue::Mke3Objects;
use mkectl::lab::Picture;
pub use stage::Stage;
use walker::Walker;

/// The way forward: each action is probed, undone though it never ran, killed half-way, run, and run again.
#[test]
#[ignore = "many minutes on two cores: cargo test --test it scripts:: -- --ignored"]
fn forward() {
    let stage = Stage::new(&["manager-01", "manager-02", "manager-03", "worker-01", "worker-02"]);
    let walker = Walker::forward(&stage);
    let (result, walker) = stage.walk(walker, Vec::new(), Direction::Forward, None);
    walker.report();
    assert_eq!(result.exit(), 0, "{:#?}", result.failures);
}

/// Forward until after a stage, and back: each undo is killed half-way and made twice, and the cluster is as it was.
fn there_and_back(until: &str) {
    let stage = Stage::new(&["manager-01", "manager-02", "manager-03", "worker-01"]);
    let passing = Mke3Objects::load(&crate::simulated::bundle()).unwrap().passing;
    let picture = || Picture::of(&stage.lab, &passing).unwrap();
    let before = picture();
    let (result, walker) = stage.walk(Walker::plain(&stage), Vec::new(), Direction::Forward, Some(until));
    walker.report();
    assert_eq!(result.exit(), 14, "{:#?}", result.failures);
    let records = walker.records();
    let (result, walker) = stage.walk(Walker::back(&stage), records, Direction::Back, None);
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
#[ignore = "many minutes on two cores: cargo test --test it scripts:: -- --ignored"]
fn back_from_quiesce() {
    there_and_back("quiesce");
}

#[test]
#[ignore = "many minutes on two cores: cargo test --test it scripts:: -- --ignored"]
fn back_from_first_controller() {
    there_and_back("first-controller");
}

#[test]
#[ignore = "many minutes on two cores: cargo test --test it scripts:: -- --ignored"]
fn back_from_controllers() {
    there_and_back("controllers");
}

#[test]
#[ignore = "many minutes on two cores: cargo test --test it scripts:: -- --ignored"]
fn back_from_workers() {
    there_and_back("workers");
}

/// Lines whose loss must be noticed, by script.
fn mutants() -> std::collections::BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(crate::support::repo("testdata/mutants.yaml")).unwrap();
    serde_yaml::from_str(&text).unwrap()
}
