//! `catalogue.yaml`: stages, budgets and actions, as written. `docs/catalogue.md` is the reference.

use crate::model::{At, Cancel, Changes, Effect, OnFailure, Output, Selector, Take, Undo};
use std::collections::BTreeMap;

/// The whole catalogue, checked: see [`Catalogue::load`].
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    /// Stages, in order.
    pub stages: Vec<StageDef>,
    /// Budgets.
    pub budgets: Vec<BudgetDef>,
    /// Actions, in the order of the file.
    pub actions: Vec<ActionDef>,
    /// Script bytes by file name; an action whose script is not here makes plans that are not applyable.
    pub scripts: BTreeMap<String, String>,
}

/// A stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageDef {
    /// Id.
    pub id: String,
    /// Title.
    pub title: String,
    /// The Kubernetes API is down for its users while it runs.
    pub downtime: bool,
    /// What a failure leads to under `--on-failure=auto`.
    pub failure: OnFailure,
    /// A gate stands before it.
    pub gate: bool,
    /// It, and all after it, may destroy. Implies a gate.
    pub point_of_no_return: bool,
    /// What undoing it, and all before it, loses.
    pub undo_loses: String,
}

/// How large a budget is.
#[derive(Clone, Debug, PartialEq)]
pub enum Capacity {
    /// A number.
    Fixed(u32),
    /// The name of an option that gives a number or a percentage.
    Option(String),
}

/// A budget.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetDef {
    /// Id.
    pub id: String,
    /// The selector whose hosts use it up.
    pub counts: Selector,
    /// How large it is.
    pub capacity: Capacity,
}

/// An ordering between actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// The instance about the same host.
    Same(String),
    /// All instances.
    All(String),
}

impl Need {
    /// The action that is needed.
    pub fn action(&self) -> &str {
        match self {
            Need::Same(id) | Need::All(id) => id,
        }
    }
}

/// The one source of a parameter, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamDef {
    /// The text itself.
    Literal(String),
    /// An option of the plan.
    Option(String),
    /// A named function of `plan::values`.
    Value(String),
    /// A field of the subject's host row.
    Host(String),
    /// A generated document.
    File(String),
    /// An entry of the release's assets.
    Asset(String),
    /// A secret by reference.
    Secret(String),
    /// `ACTION.OUTPUT`.
    Output(String),
}

/// From when on users can write through the new API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsersWrite {
    /// Whenever this action runs.
    Always,
    /// When a named condition holds.
    When(String),
}

/// An action.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionDef {
    /// Id.
    pub id: String,
    /// Stage.
    pub stage: String,
    /// One sentence, without variables.
    pub title: String,
    /// Which hosts it is about.
    pub subjects: Selector,
    /// Where it executes.
    pub at: At,
    /// Conditions that must all hold.
    pub when: Vec<String>,
    /// Conditions none of which may hold.
    pub unless: Vec<String>,
    /// What must have ended first.
    pub needs: Vec<Need>,
    /// Budgets it takes.
    pub budgets: Vec<Take>,
    /// Script file.
    pub script: Option<String>,
    /// Act of the engine.
    pub builtin: Option<String>,
    /// Parameters.
    pub params: BTreeMap<String, ParamDef>,
    /// Outputs.
    pub outputs: BTreeMap<String, Output>,
    /// What it does to the world.
    pub effect: Effect,
    /// How it is undone, the default by effect filled in.
    pub undo: Undo,
    /// What it may alter.
    pub changes: Changes,
    /// Whether it may be interrupted.
    pub cancel: Cancel,
    /// From when on users can write through the new API.
    pub users_write: Option<UsersWrite>,
    /// Facts it takes for granted.
    pub relies: Vec<String>,
    /// Running it again after success does no harm.
    pub repeatable: bool,
    /// Seconds until it counts as hanging.
    pub timeout_s: u32,
    /// How often a temporary failure is tried again.
    pub retry: u32,
    /// Seconds it is expected to take on one host.
    pub estimate_s: u32,
    /// Line in catalogue.yaml, from 1; 0 when made by hand.
    pub line: u32,
}

impl Catalogue {
    /// The action with this id.
    pub fn action(&self, id: &str) -> Option<&ActionDef> {
        self.actions.iter().find(|action| action.id == id)
    }
}
