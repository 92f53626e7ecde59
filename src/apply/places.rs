//! Where the rows of a plan are.

use crate::model::Spec;
use std::collections::HashMap;

/// Rows of the plan by id.
pub(super) struct Places {
    pub(super) actions: HashMap<String, usize>,
    pub(super) steps: HashMap<String, usize>,
    pub(super) hosts: HashMap<String, usize>,
    /// The action of each step that has only one.
    pub(super) only: HashMap<String, String>,
}

impl Places {
    pub(super) fn new(spec: &Spec) -> Places {
        let mut only: HashMap<String, Option<String>> = HashMap::new();
        for action in &spec.actions {
            only.entry(action.step.clone())
                .and_modify(|known| *known = None)
                .or_insert_with(|| Some(action.id.clone()));
        }
        Places {
            actions: (0..)
                .zip(&spec.actions)
                .map(|(at, it)| (it.id.clone(), at))
                .collect(),
            steps: (0..)
                .zip(&spec.steps)
                .map(|(at, it)| (it.id.clone(), at))
                .collect(),
            hosts: (0..)
                .zip(&spec.hosts)
                .map(|(at, it)| (it.id.clone(), at))
                .collect(),
            only: only
                .into_iter()
                .filter_map(|(step, action)| Some((step, action?)))
                .collect(),
        }
    }
}
