//! One action to execute, and how it ended.

use super::Fut;
use super::events::{Event, Events, Stream};
use super::outputs::{Inputs, OutputValue};
use crate::model::{Action, Host, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is done with an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Probe, run, verify.
    Run,
    /// Undo.
    Undo,
}

/// Why something did not go well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// One sentence.
    pub message: String,
    /// Exit status of the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u32>,
    /// The last lines of its stderr.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stderr: Vec<String>,
    /// The probe says afterwards that nothing was done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untouched: bool,
    /// It is not about this host alone: to leave the host out would not help.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub common: bool,
}

impl Reason {
    /// A reason in words alone.
    pub fn new(message: impl Into<String>) -> Reason {
        Reason {
            message: message.into(),
            ..Reason::default()
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum ActionEnd {
    /// Done and verified, with everything that the step hands on.
    Done(BTreeMap<String, OutputValue>),
    /// Worth another try (exit 75, or out of time).
    Temporary(Reason),
    /// The host is not as the plan took it to be (exit 78).
    NotAsPlanned(Reason),
    /// Failed for good.
    Failed(Reason),
    /// The host could not be reached, or was lost and did not come back.
    Unreachable(Reason),
    /// What it did cannot be told.
    CannotTell(Reason),
    /// It must not be interrupted, is out of time, and runs on.
    StillRunning(Reason),
    /// It was cancelled on request.
    Cancelled(Reason),
}

/// Executes actions on hosts.
pub trait Executor: Send + Sync {
    /// Executes one attempt. Dropping the future lets go of the action and must not stop it on its host.
    ///
    /// With [`ActionCall::doubtful`], it may have begun already: look at what the host knows about this attempt first.
    fn execute<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ActionEnd>;

    /// Stops an attempt on its host, or waits for its end where the step must never be interrupted. When it comes back, the
    /// attempt does not run any more.
    fn cancel<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ()>;
}

/// One attempt at one action.
pub struct ActionCall {
    pub(super) spec: Arc<Spec>,
    pub(super) action: usize,
    pub(super) step: usize,
    pub(super) host: usize,
    pub(super) at: Option<usize>,
    pub(super) events: Events,
    pub(super) doubtful: AtomicBool,
    pub(super) heard: AtomicBool,
    pub(super) seen: Mutex<String>,
    /// What is done.
    pub verb: Verb,
    /// Number of the attempt, from 1, over all runs of the plan.
    pub attempt: u32,
    /// When it counts as hanging.
    pub deadline: Duration,
    /// Parameters with their values.
    pub inputs: Inputs,
}

impl ActionCall {
    /// The plan.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The action.
    pub fn action(&self) -> &Action {
        &self.spec.actions[self.action]
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.action().id
    }

    /// Its step.
    pub fn step(&self) -> &Step {
        &self.spec.steps[self.step]
    }

    /// The host that it is about.
    pub fn host(&self) -> &Host {
        &self.spec.hosts[self.host]
    }

    /// The host that it executes on; `None` for the operator's machine.
    pub fn at(&self) -> Option<&Host> {
        self.at.map(|at| &self.spec.hosts[at])
    }

    /// The exact bytes of its script; `None` for builtins.
    pub fn script(&self) -> Option<&str> {
        let digest = self.step().script_digest.as_ref()?;
        self.spec.scripts.get(digest).map(String::as_str)
    }

    /// It may have begun: in a run that was killed, or before a connection was lost.
    pub fn doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    /// Tells that its host has answered: if it is lost after this, that is a new loss.
    pub fn heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Tells what a wait sees: for who watches, and for the message when time runs out.
    pub fn seen(&self, text: &str) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen != text {
            text.clone_into(&mut seen);
            drop(seen);
            self.events.emit(Event::ActionSeen {
                action: self.id().to_owned(),
                verb: self.verb,
                text: text.to_owned(),
            });
        }
    }

    /// Hands on what the script prints.
    pub fn output(&self, stream: Stream, text: &str) {
        self.events.emit(Event::ActionOutput {
            action: self.id().to_owned(),
            verb: self.verb,
            stream,
            text: text.to_owned(),
        });
    }

    /// The last thing that a wait saw; empty when it told nothing.
    pub fn last_seen(&self) -> String {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for ActionCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} attempt {}", self.verb, self.id(), self.attempt)
    }
}
