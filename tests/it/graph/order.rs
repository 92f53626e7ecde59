//! What comes before what, read from the rows of a plan.

use mkectl::plan::{Graph, Rollback};
use std::collections::{BTreeMap, BTreeSet};

/// Needs by id.
pub struct Order(pub BTreeMap<String, Vec<String>>);

impl Order {
    pub fn of(graph: &Graph) -> Order {
        let actions = graph.actions.iter().map(|it| (it.id.clone(), it.needs.clone()));
        let joints = graph.joints.iter().map(|it| (it.id.clone(), it.needs.clone()));
        Order(actions.chain(joints).collect())
    }

    pub fn of_rollback(rollback: &Rollback) -> Order {
        let undos = rollback
            .undos
            .iter()
            .map(|it| (it.action.clone(), it.needs.clone()));
        let joints = rollback.joints.iter().map(|it| (it.id.clone(), it.needs.clone()));
        Order(undos.chain(joints).collect())
    }

    /// Everything that comes before a row.
    pub fn before(&self, id: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = self.0[id].iter().map(String::as_str).collect();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.0[id].iter().map(String::as_str));
            }
        }
        seen
    }

    pub fn edges(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}
