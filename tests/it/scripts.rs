//! Every script of the plan, on simulated hosts: in all its verbs, twice, half done, undone; what it changes is what the
//! plan says; and a script with one line less is caught.
//!
//! Nothing here knows an action: what is asked of each is what the contract of scripts asks of all.

mod changes;
mod stage;
mod walker;

use mkectl::apply::engine::Direction;
use stage::Stage;
use walker::Walker;

/// The way forward: each action is probed, undone though it never ran, killed half-way, run, and run again.
#[test]
fn forward() {
    let stage = Stage::new(&["manager-01", "manager-02", "manager-03", "worker-01", "worker-02"]);
    let walker = Walker::forward(&stage);
    let (result, walker) = stage.walk(walker, Vec::new(), Direction::Forward, None);
    walker.report();
    assert_eq!(result.exit(), 0, "{:#?}", result.failures);
}

/// Lines whose loss must be noticed, by script.
fn mutants() -> std::collections::BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(crate::support::repo("testdata/mutants.yaml")).unwrap();
    serde_yaml::from_str(&text).unwrap()
}
