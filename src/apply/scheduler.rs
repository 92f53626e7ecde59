//! What is to be run, as the scheduler takes it: a plan forward, or what was begun of it backward.
//!
//! The [`Scheduler`] itself is the one that planning simulates, so what a plan promises is what happens.

use crate::model::{Action, Budget, Host, Joint, Role, Selector, Spec, Stage, Step};
use crate::plan::{Indexed, RollbackError, Rows, RowsError, Selection, Workload, rollback};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

pub use crate::plan::{Ended, SESSIONS_PER_HOST, Scheduler, State, bound};

/// Rows to run.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    hosts: &'a [Host],
    stages: &'a [Stage],
    budgets: &'a [Budget],
    steps: Cow<'a, [Step]>,
    actions: Cow<'a, [Action]>,
    joints: Cow<'a, [Joint]>,
    selection: Selection,
}

impl<'a> Frame<'a> {
    /// The plan as it stands.
    pub fn forward(spec: &'a Spec) -> Frame<'a> {
        Frame {
            hosts: &spec.hosts,
            stages: &spec.stages,
            budgets: &spec.budgets,
            steps: Cow::Borrowed(&spec.steps),
            actions: Cow::Borrowed(&spec.actions),
            joints: Cow::Borrowed(&spec.joints),
            selection: selection(spec),
        }
    }

    /// The plan turned round, over everything with an intent. Budgets protect what serves; on the way back it is to serve
    /// again as soon as it can, so only connections and sessions count.
    ///
    /// # Errors
    ///
    /// [`RollbackError`] when something that cannot be undone may have run, or the intents are not of this plan.
    pub fn backward(spec: &'a Spec, intents: &BTreeSet<String>) -> Result<Frame<'a>, RollbackError> {
        let forward = Frame::forward(spec);
        let back = rollback(forward.rows(), intents)?;
        let rows: BTreeMap<&str, &Action> = spec.actions.iter().map(|row| (row.id.as_str(), row)).collect();
        let actions = back.undos.into_iter().filter_map(|undo| {
            let row = rows.get(undo.action.as_str())?;
            Some(Action {
                id: undo.action,
                step: row.step.clone(),
                host: row.host.clone(),
                needs: undo.needs,
                undecided: None,
            })
        });
        let steps = spec.steps.iter().map(|step| Step {
            budgets: Vec::new(),
            ..step.clone()
        });
        Ok(Frame {
            actions: Cow::Owned(actions.collect()),
            steps: Cow::Owned(steps.collect()),
            joints: Cow::Owned(back.joints),
            ..forward
        })
    }

    /// The rows.
    pub fn rows(&self) -> Rows<'_> {
        Rows {
            stages: self.stages,
            steps: &self.steps,
            actions: &self.actions,
            joints: &self.joints,
        }
    }

    /// The rows as numbers.
    ///
    /// # Errors
    ///
    /// [`RowsError`] when they are no graph, as after an edit by hand.
    pub fn indexed(&self) -> Result<Indexed<'_>, RowsError> {
        Indexed::new(self.rows())
    }

    /// What the scheduler works on.
    pub fn workload<'w>(&self, indexed: &'w Indexed<'w>) -> Workload<'w> {
        let hosts: BTreeMap<&str, u32> = self.hosts.iter().map(|host| host.id.as_str()).zip(0..).collect();
        Workload::new(indexed, &hosts, &self.selection, self.budgets)
    }

    /// Position of the lead among the hosts.
    pub fn lead(&self) -> Option<u32> {
        self.selection.lead()
    }

    /// Position of a stage.
    pub fn stage(&self, id: &str) -> Option<u32> {
        (0..)
            .zip(self.stages)
            .find(|(_, stage)| stage.id == id)
            .map(|(at, _)| at)
    }
}

/// Lead and spare are whom the steps for them are about; without such a step, the first manager leads.
fn selection(spec: &Spec) -> Selection {
    let about = |selector: Selector| {
        let steps: BTreeSet<&str> = spec
            .steps
            .iter()
            .filter(|step| step.subjects == selector)
            .map(|step| step.id.as_str())
            .collect();
        let action = spec
            .actions
            .iter()
            .find(|action| steps.contains(action.step.as_str()))?;
        place(spec, |host| host.id == action.host)
    };
    let first = || place(spec, |host| host.role == Some(Role::Manager));
    let roles: Vec<Option<Role>> = spec.hosts.iter().map(|host| host.role).collect();
    Selection::new(
        &roles,
        about(Selector::Lead).or_else(first),
        about(Selector::Spare),
    )
}

fn place(spec: &Spec, is: impl Fn(&Host) -> bool) -> Option<u32> {
    (0..)
        .zip(&spec.hosts)
        .find(|(_, host)| is(host))
        .map(|(at, _)| at)
}
