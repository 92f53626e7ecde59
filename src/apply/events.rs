//! What a run tells: one stream, and everything that people or programs see of a run comes out of it.
//!
//! As JSON lines: `{"v":"1.0","run":…,"seq":1,"at":…,"ms":0,"type":"run-start",…}`. The first is `run-start`, the last
//! `run-end`; a stream without the latter is of a run that was killed. A minor version adds types and fields, so readers
//! pass over those that they do not know. Text of hosts is raw here: who shows it cleans it.

use super::Clock;
use super::call::{Reason, Verb};
use super::control::{Cause, Decision, Interrupt, Reaction};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};

/// Version of the stream.
pub const EVENTS_FORMAT: &str = "1.0";

/// Where a line was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// stdout.
    Stdout,
    /// stderr.
    Stderr,
}

/// How an action ended, for readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EndKind {
    /// Done.
    Done,
    /// Temporary failure; it may be tried again.
    Temporary,
    /// The host is not as planned.
    NotAsPlanned,
    /// Failed for good.
    Failed,
    /// The host cannot be reached.
    Unreachable,
    /// Its effect cannot be told.
    CannotTell,
    /// Out of time, and still running.
    StillRunning,
    /// Cancelled on request.
    Cancelled,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// The run begins.
    RunStart {
        /// Digest of the plan.
        plan: String,
        /// Connections at once.
        width: u32,
        /// Actions of the plan.
        actions: u32,
        /// Actions that earlier runs did.
        done: u32,
        /// An earlier run is taken up.
        resumed: bool,
    },
    /// The first action of a stage starts.
    StageStart {
        /// Stage.
        stage: String,
    },
    /// The last action of a stage has ended well.
    StageEnd {
        /// Stage.
        stage: String,
    },
    /// An attempt begins; its intent is in the journal.
    ActionStart {
        /// Action.
        action: String,
        /// Its step.
        step: String,
        /// The host that it is about.
        host: String,
        /// Its stage.
        stage: String,
        /// What is done.
        verb: Verb,
        /// Number of the attempt.
        attempt: u32,
        /// It may have begun in an earlier run.
        doubtful: bool,
    },
    /// What a wait sees.
    ActionSeen {
        /// Action.
        action: String,
        /// What is done.
        verb: Verb,
        /// What is seen.
        text: String,
    },
    /// A line of output.
    ActionOutput {
        /// Action.
        action: String,
        /// What is done.
        verb: Verb,
        /// Where.
        stream: Stream,
        /// The line, as the host sent it.
        text: String,
    },
    /// An attempt is made again after a while.
    ActionRetry {
        /// Action.
        action: String,
        /// What is done.
        verb: Verb,
        /// Number of the next attempt; the same when a connection was lost.
        attempt: u32,
        /// Milliseconds until then.
        after_ms: u64,
        /// Why.
        reason: Reason,
    },
    /// An action has ended.
    ActionEnd {
        /// Action.
        action: String,
        /// What was done.
        verb: Verb,
        /// How it ended.
        end: EndKind,
        /// From its start, with all attempts of this run.
        elapsed_ms: u64,
        /// Why, unless it is done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// A host is left out from here on.
    HostQuarantined {
        /// Host.
        host: String,
        /// The action that failed.
        action: String,
        /// Why.
        reason: Reason,
    },
    /// A person asked the run to stop.
    Interrupted {
        /// How.
        interrupt: Interrupt,
        /// What that does.
        reaction: Reaction,
    },
    /// What is done about a failure or an interruption.
    Decided {
        /// What happened.
        cause: Cause,
        /// The action, unless a person asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<String>,
        /// What is done.
        decision: Decision,
    },
    /// The rollback begins.
    RollbackStart {
        /// How many undos.
        undos: u32,
        /// What it loses.
        loses: String,
    },
    /// The run ends.
    RunEnd {
        /// How, see [`super::Outcome`].
        outcome: String,
        /// Exit status of the process.
        exit: u8,
        /// Actions done, over all runs.
        done: u32,
        /// Actions that failed.
        failed: Vec<String>,
        /// Hosts that are left out.
        left_out: Vec<String>,
        /// What still runs on hosts.
        running: Vec<String>,
        /// Time of this run.
        achieved_ms: u64,
        /// No run with these times of actions could have been shorter.
        bound_ms: u64,
    },
}

/// One line of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Version of the format.
    pub v: String,
    /// The run.
    pub run: String,
    /// Number of the line, from 1, without gaps.
    pub seq: u64,
    /// Wall-clock time, RFC 3339, UTC.
    pub at: String,
    /// Milliseconds since some moment before the run; never goes back.
    pub ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Line {
    /// The line as JSON, without a line break.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Takes lines. Must be quick: the run waits meanwhile.
pub trait Subscriber: Send + Sync {
    /// One line, in order.
    fn line(&self, line: &Line);
}

/// The stream of one run. Copies write into the same stream.
#[derive(Clone)]
pub struct Events(Arc<Inner>);

struct Inner {
    run: String,
    clock: Arc<dyn Clock>,
    subscribers: Vec<Arc<dyn Subscriber>>,
    seq: Mutex<u64>,
}

impl Events {
    /// A stream for these subscribers.
    pub fn new(
        run: impl Into<String>,
        clock: Arc<dyn Clock>,
        subscribers: Vec<Arc<dyn Subscriber>>,
    ) -> Events {
        Events(Arc::new(Inner {
            run: run.into(),
            clock,
            subscribers,
            seq: Mutex::new(0),
        }))
    }

    /// Name of the run.
    pub fn run(&self) -> &str {
        &self.0.run
    }

    /// The clock of the run.
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// Tells something.
    pub fn emit(&self, event: Event) {
        // Held while the subscribers take the line, so that all see the same order.
        let mut seq = self.0.seq.lock().unwrap_or_else(PoisonError::into_inner);
        *seq += 1;
        if self.0.subscribers.is_empty() {
            return;
        }
        let line = Line {
            v: EVENTS_FORMAT.to_owned(),
            run: self.0.run.clone(),
            seq: *seq,
            at: self.0.clock.timestamp(),
            ms: millis(self.0.clock.elapsed()),
            event,
        };
        for subscriber in &self.0.subscribers {
            subscriber.line(&line);
        }
    }
}

/// Whole milliseconds.
pub fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The JSON Schema of a line (draft 2020-12).
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Line).to_value()
}
