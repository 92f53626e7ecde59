//! What the records of a journal add up to. The engine keeps its own state in the same way, record by record, so that a run
//! that was taken up again knows exactly what the one before knew.

use super::call::Verb;
use super::control::Decision;
use super::events::EndKind;
use super::journal::{JournalError, Record};
use super::outputs::Recorded;
use crate::model::{Effect, OutputKind, ParamSource, Spec, UndoKind};
use std::collections::{BTreeMap, BTreeSet};

/// The state of a plan that was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// Actions that are done, with what they handed on.
    pub done: BTreeMap<String, BTreeMap<String, Recorded>>,
    /// Actions that were undone.
    pub undone: BTreeSet<String>,
    /// Actions that were begun, whatever became of them: a rollback is over all of these.
    pub intents: BTreeSet<String>,
    /// Actions that may have done something.
    pub touched: BTreeSet<String>,
    /// Actions whose last attempt did not end well, and how it ended.
    pub failed: BTreeMap<String, EndKind>,
    /// Attempts without a result: what became of them only the hosts can tell.
    pub open: BTreeMap<(Verb, String), u32>,
    /// The last attempt of each.
    pub attempts: BTreeMap<(Verb, String), u32>,
    /// Hosts that are left out.
    pub left_out: BTreeSet<String>,
    /// A rollback was decided.
    pub rolling_back: bool,
    /// Nothing is left to do.
    pub used_up: bool,
    /// There was a run before.
    pub begun: bool,
}

impl Book {
    /// Adds the records of a journal up.
    ///
    /// # Errors
    ///
    /// [`JournalError::Plan`] when it belongs to another plan.
    pub fn read(plan: &str, records: &[Record]) -> Result<Book, JournalError> {
        let mut book = Book::default();
        for record in records {
            match record {
                Record::Start { plan: found, .. } if found != plan => {
                    return Err(JournalError::Plan {
                        found: found.clone(),
                        wanted: plan.to_owned(),
                    });
                }
                _ => book.apply(record),
            }
        }
        Ok(book)
    }

    /// Adds one record.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Start { .. } => self.begun = true,
            Record::Intent {
                action,
                verb,
                attempt,
                ..
            } => {
                let key = (*verb, action.clone());
                self.open.insert(key.clone(), *attempt);
                self.attempts.insert(key, *attempt);
                if *verb == Verb::Run {
                    self.intents.insert(action.clone());
                    self.touched.insert(action.clone());
                    // A producer that runs again has nothing to hand on until it is done again.
                    self.done.remove(action);
                }
            }
            Record::Result {
                action,
                verb,
                end,
                outputs,
                reason,
                ..
            } => {
                // What runs on has no result: a later run has to look at it again.
                if *end != EndKind::StillRunning {
                    self.open.remove(&(*verb, action.clone()));
                }
                match (verb, end) {
                    (Verb::Run, EndKind::Done) => {
                        self.failed.remove(action);
                        self.done.insert(action.clone(), outputs.clone());
                    }
                    (Verb::Undo, EndKind::Done) => {
                        self.undone.insert(action.clone());
                    }
                    (Verb::Run, end) => {
                        self.failed.insert(action.clone(), *end);
                        if reason.as_ref().is_some_and(|reason| reason.untouched) {
                            self.touched.remove(action);
                        }
                    }
                    (Verb::Undo, _) => {}
                }
            }
            Record::Retry { .. } => {}
            Record::Quarantine { host, .. } => {
                self.left_out.insert(host.clone());
            }
            Record::Decision { decision, .. } => self.rolling_back |= *decision == Decision::Rollback,
            Record::End { used_up, .. } => self.used_up = *used_up,
        }
    }

    /// Which of the done actions need not run again. One that made a secret which somebody still has to get runs again:
    /// the secret went with the run that knew it.
    pub fn still_done(&self, spec: &Spec) -> BTreeSet<String> {
        let mut done: BTreeSet<String> = self.done.keys().cloned().collect();
        for step in &spec.steps {
            let secrets: BTreeSet<String> = step
                .outputs
                .iter()
                .filter(|(_, output)| output.kind == OutputKind::Secret)
                .map(|(name, _)| format!("{}.{name}", step.id))
                .collect();
            if secrets.is_empty() {
                continue;
            }
            let takes =
                |source: &ParamSource| matches!(source, ParamSource::Output(name) if secrets.contains(name));
            let consumers: BTreeSet<&str> = spec
                .steps
                .iter()
                .filter(|step| step.params.values().any(takes))
                .map(|step| step.id.as_str())
                .collect();
            let pending: Vec<&str> = spec
                .actions
                .iter()
                .filter(|action| consumers.contains(action.step.as_str()))
                .filter(|action| !self.done.contains_key(&action.id) && !self.left_out.contains(&action.host))
                .map(|action| action.host.as_str())
                .collect();
            let makers: Vec<&str> = spec
                .actions
                .iter()
                .filter(|action| action.step == step.id)
                .map(|action| action.host.as_str())
                .collect();
            match makers.as_slice() {
                [] => {}
                [only] if !pending.is_empty() => {
                    done.remove(&format!("{only}/{}", step.id));
                }
                _ => {
                    for host in pending {
                        done.remove(&format!("{host}/{}", step.id));
                    }
                }
            }
        }
        done
    }

    /// Whether something may have been changed, whether users may have written through the new API, and whether something
    /// that cannot be undone may have been done.
    pub fn crossed(&self, spec: &Spec) -> Crossed {
        let steps: BTreeMap<&str, &crate::model::Step> =
            spec.steps.iter().map(|step| (step.id.as_str(), step)).collect();
        let mut crossed = Crossed::default();
        for id in &self.touched {
            let step = id.rsplit('/').next().and_then(|step| steps.get(step));
            let Some(step) = step else { continue };
            crossed.changed |= step.effect != Effect::Reads;
            crossed.users_wrote |= step.users_write || *id == spec.lines.last_automatic_rollback;
            crossed.no_return |= step.effect == Effect::Destroys || step.undo.kind == UndoKind::Impossible;
        }
        crossed
    }
}

/// Which lines are behind a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crossed {
    /// Something may have been changed.
    pub changed: bool,
    /// A user may have written through the new API.
    pub users_wrote: bool,
    /// Something that cannot be undone may have been done.
    pub no_return: bool,
}
