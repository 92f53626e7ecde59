//! What a run came to.

use super::book::Book;
use super::call::{Reason, Verb};
use super::control::Interrupt;
use super::events::EndKind;
use std::collections::BTreeSet;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is done, but for hosts that were left out.
    Done,
    /// It stopped where `--until` says, before this stage.
    Gate(String),
    /// It failed or was interrupted before any change.
    NothingChanged,
    /// Everything was undone.
    RolledBack,
    /// It failed or was interrupted; it can be resumed.
    Paused,
    /// A person must decide.
    Undecided,
    /// It let go of what runs on hosts.
    Detached,
}

impl Outcome {
    /// Its name in journal and events.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Gate(_) => "gate",
            Outcome::NothingChanged => "nothing-changed",
            Outcome::RolledBack => "rolled-back",
            Outcome::Paused => "paused",
            Outcome::Undecided => "undecided",
            Outcome::Detached => "detached",
        }
    }
}

/// An action that did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Action.
    pub action: String,
    /// What was done.
    pub verb: Verb,
    /// How it ended.
    pub end: EndKind,
    /// Why.
    pub reason: Reason,
}

/// When an action ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Action.
    pub action: String,
    /// What was done.
    pub verb: Verb,
    /// Start of its first attempt in this run, in milliseconds from the start of the run.
    pub start_ms: u64,
    /// End of its last attempt.
    pub end_ms: u64,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunResult {
    /// How it ended.
    pub outcome: Outcome,
    /// The first request to stop.
    pub interrupted: Option<Interrupt>,
    /// The cluster was not this run's any more.
    pub superseded: bool,
    /// What did not end well, in order.
    pub failures: Vec<Failure>,
    /// Hosts that were left out.
    pub left_out: BTreeSet<String>,
    /// Actions that may still run on their hosts.
    pub running: Vec<String>,
    /// Undos that remain, when a rollback could not be finished.
    pub remaining: Vec<String>,
    /// When each action of this run ran, in the order of their ends.
    pub timings: Vec<Timing>,
    /// From the first start to the last end of the way forward.
    pub achieved_ms: u64,
    /// No run with these times of actions could have been shorter.
    pub bound_ms: u64,
    /// Everything that is known about the plan now.
    pub book: Book,
}

impl RunResult {
    /// Exit status of the process.
    pub fn exit(&self) -> u8 {
        match (&self.outcome, self.interrupted) {
            (Outcome::Done, _) if self.left_out.is_empty() => 0,
            (Outcome::NothingChanged, Some(Interrupt::Int)) => 130,
            (Outcome::NothingChanged, Some(Interrupt::Term)) => 143,
            (Outcome::NothingChanged, _) => 10,
            (Outcome::Done | Outcome::Paused | Outcome::Detached, _) => 11,
            (Outcome::Undecided, _) => 12,
            (Outcome::RolledBack, _) => 13,
            (Outcome::Gate(_), _) => 14,
        }
    }
}
