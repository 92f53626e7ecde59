//! Rollback: the same graph turned round.
//!
//! The order of a rollback is never written down. It is the order of the actions the other way, over everything that may
//! have done something. What must come back late was prepared early by an action whose undo brings it back.

use super::dag::Contracted;
use super::indexed::{Indexed, Rows, RowsError, turned};
use crate::model::{Joint, UndoKind};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// Why there is no rollback.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RollbackError {
    /// The rows are no graph.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// Something that cannot be undone may have run.
    #[error("{action} cannot be undone: {why}")]
    Impossible {
        /// The action.
        action: String,
        /// Why not, as the catalogue says.
        why: String,
    },
    /// An intent that is no action of this plan.
    #[error("{0} is no action of this plan; use the plan that the run belongs to")]
    Unknown(String),
    /// No such stage.
    #[error("{0} is no stage of this plan; `mkectl show` lists them")]
    Stage(String),
}

/// One undo: of an action, after those that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoRow {
    /// The action that is undone.
    pub action: String,
    /// Ids of undone actions and of joints that must have ended first, sorted.
    pub needs: Vec<String>,
}

/// A rollback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollback {
    /// Undos, each after those that it needs.
    pub undos: Vec<UndoRow>,
    /// Joints, and actions that have nothing to undo but stand between others; each after what it needs.
    pub joints: Vec<Joint>,
    /// Undos by the earliest moment at which each could start if all took equally long: what may run side by side.
    pub waves: Vec<Vec<String>>,
}

/// The undo of a step, for reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoStep {
    /// The step.
    pub step: String,
    /// Hosts that it is undone about, in plan order.
    pub hosts: Vec<String>,
    /// The earliest wave that one of them is in, from 0.
    pub wave: u32,
}

/// The inverse graph over all actions with an intent: also failed and doubtful ones. Actions without an intent, or with
/// nothing to undo, only hand on the order.
pub fn rollback(rows: Rows<'_>, intents: &BTreeSet<String>) -> Result<Rollback, RollbackError> {
    let indexed = Indexed::new(rows)?;
    let known: BTreeSet<&str> = rows.actions.iter().map(|action| action.id.as_str()).collect();
    if let Some(unknown) = intents.iter().find(|intent| !known.contains(intent.as_str())) {
        return Err(RollbackError::Unknown(unknown.clone()));
    }
    let meant = |node: u32| {
        indexed
            .action(node)
            .is_some_and(|action| intents.contains(&action.id))
    };
    let undone = undone(&indexed, meant)?;
    let order: Vec<u32> = indexed.order.iter().rev().copied().collect();
    let mut inverse = Contracted::new(turned(&indexed.needs));
    inverse.contract(&order, |node| !undone[node as usize]);
    let mut rollback = Rollback::default();
    for &node in &order {
        let at = node as usize;
        if inverse.gone[at] {
            continue;
        }
        let mut needs: Vec<String> = inverse.needs[at]
            .iter()
            .map(|need| indexed.id(*need).to_owned())
            .collect();
        needs.sort();
        let id = indexed.id(node).to_owned();
        match undone[at] {
            true => rollback.undos.push(UndoRow { action: id, needs }),
            false => rollback.joints.push(Joint { id, needs }),
        }
    }
    let waves = waves(&indexed, &undone);
    for (node, _) in undone.iter().enumerate().filter(|(_, undone)| **undone) {
        let wave = waves[node] as usize;
        if rollback.waves.len() <= wave {
            rollback.waves.resize(wave + 1, Vec::new());
        }
        rollback.waves[wave].push(indexed.id(node as u32).to_owned());
    }
    Ok(rollback)
}

/// What is undone, in order, when everything up to the end of a stage has run and then something fails.
pub fn describe(rows: Rows<'_>, stage: &str) -> Result<Vec<UndoStep>, RollbackError> {
    let last = rows.stages.iter().position(|it| it.id == stage);
    let last = last.ok_or_else(|| RollbackError::Stage(stage.to_owned()))?;
    let indexed = Indexed::new(rows)?;
    let within = |node: u32| {
        let step = indexed.step.get(node as usize);
        step.is_some_and(|step| indexed.stage[*step as usize] as usize <= last)
    };
    let undone = undone(&indexed, within)?;
    let waves = waves(&indexed, &undone);
    let mut steps: BTreeMap<u32, UndoStep> = BTreeMap::new();
    for (node, _) in undone.iter().enumerate().filter(|(_, undone)| **undone) {
        let index = indexed.step[node];
        let step = steps.entry(index).or_insert_with(|| UndoStep {
            step: rows.steps[index as usize].id.clone(),
            hosts: Vec::new(),
            wave: u32::MAX,
        });
        step.hosts.push(rows.actions[node].host.clone());
        step.wave = step.wave.min(waves[node]);
    }
    let mut steps: Vec<(u32, UndoStep)> = steps.into_iter().collect();
    steps.sort_by_key(|(index, step)| (step.wave, std::cmp::Reverse(*index)));
    Ok(steps.into_iter().map(|(_, step)| step).collect())
}

/// Which nodes have an undo to run.
fn undone(indexed: &Indexed<'_>, meant: impl Fn(u32) -> bool) -> Result<Vec<bool>, RollbackError> {
    let mut undone = vec![false; indexed.needs.len()];
    for node in (0..indexed.rows.actions.len() as u32).filter(|node| meant(*node)) {
        let Some(step) = indexed.step(node) else { continue };
        match step.undo.kind {
            UndoKind::Script => undone[node as usize] = true,
            UndoKind::Impossible => {
                return Err(RollbackError::Impossible {
                    action: indexed.id(node).to_owned(),
                    why: step.undo.why.clone(),
                });
            }
            _ => {}
        }
    }
    Ok(undone)
}

/// How many undos must come one after the other before each node.
fn waves(indexed: &Indexed<'_>, undone: &[bool]) -> Vec<u32> {
    let mut waves = vec![0u32; indexed.needs.len()];
    for &node in indexed.order.iter().rev() {
        let after = waves[node as usize] + u32::from(undone[node as usize]);
        for &need in &indexed.needs[node as usize] {
            waves[need as usize] = waves[need as usize].max(after);
        }
    }
    waves
}
