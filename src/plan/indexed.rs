//! The rows of a plan as numbers: actions first, then joints, with an order in which needs come first.
//!
//! Works on stored rows, so that whatever reads a plan needs nothing of what made it.

use crate::model::{Action, Joint, Stage, Step};
use std::collections::{BTreeMap, HashMap};
use thiserror::Error;

/// The rows of a plan that make its graph.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Stages, in order.
    pub stages: &'a [Stage],
    /// Steps.
    pub steps: &'a [Step],
    /// Actions.
    pub actions: &'a [Action],
    /// Joints and gates.
    pub joints: &'a [Joint],
}

/// Rows that are no graph. The builder makes no such rows; a plan that was edited by hand may hold them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RowsError {
    /// A need that is no row.
    #[error("{id} needs {needed}, which is not in the plan; make the plan again")]
    Need {
        /// The row.
        id: String,
        /// What it needs.
        needed: String,
    },
    /// A step or stage that is no row.
    #[error("{id} belongs to {of}, which is not in the plan; make the plan again")]
    Belongs {
        /// The row.
        id: String,
        /// The step or stage.
        of: String,
    },
    /// Two rows with one id.
    #[error("{0} is in the plan twice; make the plan again")]
    Twice(String),
    /// Rows that wait for each other.
    #[error("{0} waits for itself; make the plan again")]
    Cycle(String),
}

/// The graph of the rows.
pub struct Indexed<'a> {
    /// The rows.
    pub rows: Rows<'a>,
    /// Step of each action.
    pub step: Vec<u32>,
    /// Stage of each step.
    pub stage: Vec<u32>,
    /// What each node needs: actions by position, joints after them.
    pub needs: Vec<Vec<u32>>,
    /// All nodes, needs first.
    pub order: Vec<u32>,
}

impl<'a> Indexed<'a> {
    /// Numbers the rows.
    pub fn new(rows: Rows<'a>) -> Result<Indexed<'a>, RowsError> {
        let belongs = |id: &str, of: &str| RowsError::Belongs {
            id: id.to_owned(),
            of: of.to_owned(),
        };
        let stages: BTreeMap<&str, u32> = rows.stages.iter().map(|it| it.id.as_str()).zip(0..).collect();
        let steps: HashMap<&str, u32> = rows.steps.iter().map(|it| it.id.as_str()).zip(0..).collect();
        let mut stage = Vec::with_capacity(rows.steps.len());
        for step in rows.steps {
            let found = stages.get(step.stage.as_str());
            stage.push(*found.ok_or_else(|| belongs(&step.id, &step.stage))?);
        }
        let mut step = Vec::with_capacity(rows.actions.len());
        for action in rows.actions {
            let found = steps.get(action.step.as_str());
            step.push(*found.ok_or_else(|| belongs(&action.id, &action.step))?);
        }
        let ids = || {
            let actions = rows.actions.iter().map(|action| action.id.as_str());
            actions.chain(rows.joints.iter().map(|joint| joint.id.as_str()))
        };
        let total = rows.actions.len() + rows.joints.len();
        let mut places: HashMap<&str, u32> = HashMap::with_capacity(total);
        for (id, place) in ids().zip(0..) {
            if places.insert(id, place).is_some() {
                return Err(RowsError::Twice(id.to_owned()));
            }
        }
        let lists = rows.actions.iter().map(|action| &action.needs);
        let lists = lists.chain(rows.joints.iter().map(|joint| &joint.needs));
        let mut needs = Vec::with_capacity(total);
        for (id, list) in ids().zip(lists) {
            let mut found = Vec::with_capacity(list.len());
            for needed in list {
                found.push(*places.get(needed.as_str()).ok_or_else(|| RowsError::Need {
                    id: id.to_owned(),
                    needed: needed.clone(),
                })?);
            }
            needs.push(found);
        }
        let order = sorted(&needs).map_err(|node| {
            let id = ids().nth(node as usize);
            RowsError::Cycle(id.unwrap_or_default().to_owned())
        })?;
        Ok(Indexed {
            rows,
            step,
            stage,
            needs,
            order,
        })
    }

    /// The step of an action; `None` for a joint.
    pub fn step(&self, node: u32) -> Option<&'a Step> {
        let step = self.step.get(node as usize)?;
        self.rows.steps.get(*step as usize)
    }

    /// The action of a node; `None` for a joint.
    pub fn action(&self, node: u32) -> Option<&'a Action> {
        self.rows.actions.get(node as usize)
    }

    /// The id of a node.
    pub fn id(&self, node: u32) -> &'a str {
        let node = node as usize;
        match self.rows.actions.get(node) {
            Some(action) => &action.id,
            None => &self.rows.joints[node - self.rows.actions.len()].id,
        }
    }

    /// What follows each node: the needs turned round.
    pub fn followers(&self) -> Vec<Vec<u32>> {
        turned(&self.needs)
    }
}

/// Edges turned round.
pub fn turned(needs: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let mut turned = vec![Vec::new(); needs.len()];
    for (node, list) in (0u32..).zip(needs) {
        for need in list {
            turned[*need as usize].push(node);
        }
    }
    turned
}

/// An order in which needs come first, or a node that waits for itself.
pub fn sorted(needs: &[Vec<u32>]) -> Result<Vec<u32>, u32> {
    let followers = turned(needs);
    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut order: Vec<u32> = (0u32..)
        .zip(&open)
        .filter(|(_, open)| **open == 0)
        .map(|(node, _)| node)
        .collect();
    let mut next = 0;
    while let Some(&node) = order.get(next) {
        next += 1;
        for &follower in &followers[node as usize] {
            open[follower as usize] -= 1;
            if open[follower as usize] == 0 {
                order.push(follower);
            }
        }
    }
    match open.iter().position(|open| *open > 0) {
        Some(stuck) => Err(stuck as u32),
        None => Ok(order),
    }
}
