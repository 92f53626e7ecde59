//! The engine: one loop that asks the scheduler what may start, writes the journal, executes and decides.
//!
//! In each turn everything that has ended is taken in, then everything that may start is chosen, then all of it goes into
//! the journal with one sync, and only then the chosen actions begin.

mod settle;
mod take_up;

use self::take_up::TakenUp;
use super::book::{Book, Crossed};
use super::call::{ActionCall, ActionEnd, Executor, Reason, Verb};
use super::control::{Cause, Control, Decision, Interrupt, Moment, Policy, Reaction, Signals, decide};
use super::events::{EndKind, Event, Events, millis};
use super::journal::{JOURNAL_FORMAT, Journal, JournalError, Kept, Record};
use super::outputs::{self, Inputs, OutputError, OutputValue, Recorded, Values};
use super::places::Places;
pub use super::result::{Failure, Outcome, RunResult, Timing};
use super::scheduler::{Ended, Frame, Scheduler, State, bound};
use super::secret::Secret;
use super::task::{Halt, attempt};
use crate::model::{At, Cancel, Effect, OnFailure, Role, Spec, Stage, Step};
use crate::plan::{RollbackError, RowsError, Workload};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long the engine waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Before the first new attempt; doubled each time.
    pub retry_first: Duration,
    /// Before any new attempt, at most.
    pub retry_most: Duration,
    /// For a host that cannot be reached.
    pub unreachable: Duration,
    /// For a host to confirm a cancellation.
    pub cancel: Duration,
    /// For any action, however long the plan lets it take.
    pub action: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            retry_first: Duration::from_secs(2),
            retry_most: Duration::from_secs(60),
            unreachable: Duration::from_secs(600),
            cancel: Duration::from_secs(60),
            action: Duration::MAX,
        }
    }
}

/// Which way to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// On with the plan; a rollback that was begun goes on as one.
    #[default]
    Forward,
    /// Back, because a person says so.
    Back,
}

/// Everything that a run takes.
pub struct Setup {
    /// The plan, as [`plan::read`](crate::plan::read()) verified it.
    pub spec: Arc<Spec>,
    /// Its digest.
    pub digest: String,
    /// Executes actions.
    pub executor: Arc<dyn Executor>,
    /// Where records go.
    pub journal: Journal,
    /// The records of earlier runs; empty for the first.
    pub earlier: Vec<Record>,
    /// Fencing token of this run.
    pub token: u64,
    /// Where events go.
    pub events: Events,
    /// Requests to stop.
    pub control: Control,
    /// Secrets of the plan by name.
    pub secrets: BTreeMap<String, Secret>,
    /// Connections at once.
    pub width: u32,
    /// Stop after this stage.
    pub until: Option<String>,
    /// What failures lead to.
    pub policy: Policy,
    /// Which way to go.
    pub direction: Direction,
    /// How long to wait.
    pub limits: Limits,
}

/// Why there was no run, or why it broke off.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The rows of the plan are no graph.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// There is no way back.
    #[error(transparent)]
    Rollback(#[from] RollbackError),
    /// The journal of earlier runs cannot be used.
    #[error(transparent)]
    Earlier(#[from] JournalError),
    /// The journal cannot be written. What ran has ended; the hosts know how.
    #[error("the journal cannot be written: {0}; make room for it, then run `mkectl apply --resume`")]
    Journal(#[from] io::Error),
    /// Everything was done, or undone.
    #[error("this plan is used up; make a new one")]
    UsedUp,
    /// `--until` names no stage.
    #[error("{0} is no stage of this plan; `mkectl show` lists them")]
    Stage(String),
    /// The plan says that it must not be applied.
    #[error("this plan cannot be applied: {0}")]
    NotApplyable(String),
}

/// Runs a plan, or goes on with it, or undoes it. Dropping the future is a crash: nothing is cleaned up, and a later run
/// goes on from the journal.
///
/// # Errors
///
/// [`RunError`]: nothing was begun, or the journal broke off. Failures of actions are no errors.
pub async fn run(setup: Setup) -> Result<RunResult, RunError> {
    let book = Book::read(&setup.digest, &setup.earlier)?;
    if book.used_up {
        return Err(RunError::UsedUp);
    }
    if !setup.spec.intent.applyable {
        return Err(RunError::NotApplyable(setup.spec.intent.not_applyable.join("; ")));
    }
    let spec = Arc::clone(&setup.spec);
    let frame = Frame::forward(&spec);
    let until = match &setup.until {
        Some(stage) => Some(frame.stage(stage).ok_or_else(|| RunError::Stage(stage.clone()))?),
        None => None,
    };
    let back = setup.direction == Direction::Back || book.rolling_back;
    let resumed = book.begun;
    let token = setup.token;
    let mut run = Run::new(setup, book);
    run.record(Record::Start {
        format: JOURNAL_FORMAT.to_owned(),
        plan: run.digest.clone(),
        run: run.events.run().to_owned(),
        token,
        at: run.events.clock().timestamp(),
    })?;
    run.events.emit(Event::RunStart {
        plan: run.digest.clone(),
        width: run.width,
        actions: count(spec.actions.len()),
        done: count(run.book.done.len()),
        resumed,
    });
    let outcome = if back {
        run.back(&spec).await?
    } else {
        run.forward(&spec, &frame, until).await?
    };
    run.end(outcome).await
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn place_of(at: At, host: usize, lead: Option<u32>) -> Option<usize> {
    match at {
        At::Subject => Some(host),
        At::Lead => lead.map(|lead| lead as usize),
        At::Operator => None,
    }
}

struct Run {
    spec: Arc<Spec>,
    digest: String,
    executor: Arc<dyn Executor>,
    journal: Journal,
    events: Events,
    control: Control,
    signals: Signals,
    /// The cluster is not this run's any more.
    superseded: bool,
    secrets: BTreeMap<String, Secret>,
    made: BTreeMap<(String, String), Secret>,
    width: u32,
    policy: Policy,
    limits: Limits,
    places: Places,
    book: Book,
    failures: Vec<Failure>,
    running: Vec<String>,
    remaining: Vec<String>,
    timings: Vec<Timing>,
    began: Duration,
    achieved_ms: u64,
    bound_ms: u64,
}

impl Values for Run {
    fn output(&self, action: &str, name: &str) -> Option<OutputValue> {
        match self.book.done.get(action)?.get(name)? {
            Recorded::Value(text) => Some(OutputValue::Value(text.clone())),
            Recorded::File(file) => Some(OutputValue::File(file.clone())),
            Recorded::Secret => {
                let secret = self.made.get(&(action.to_owned(), name.to_owned()))?;
                Some(OutputValue::Secret(secret.clone()))
            }
        }
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        self.secrets.get(name).cloned()
    }

    fn has(&self, action: &str) -> bool {
        self.places.actions.contains_key(action)
    }

    fn only(&self, step: &str) -> Option<&str> {
        self.places.only.get(step).map(String::as_str)
    }
}

/// One way through a graph.
struct Drive<'w> {
    verb: Verb,
    lead: Option<u32>,
    load: &'w Workload<'w>,
    scheduler: Scheduler<'w>,
    tasks: JoinSet<(u32, Arc<ActionCall>, ActionEnd)>,
    halt: watch::Sender<Halt>,
    next: Vec<(u32, Arc<ActionCall>, Duration)>,
    running: BTreeMap<u32, Running>,
    times: Vec<u64>,
    span: Option<(u64, u64)>,
    worst: Option<(Cause, OnFailure)>,
    detached: bool,
    stage_left: Vec<usize>,
    stage_begun: Vec<bool>,
}

struct Running {
    start_ms: u64,
    tries: u32,
}

impl Run {
    fn new(setup: Setup, book: Book) -> Run {
        Run {
            places: Places::new(&setup.spec),
            began: setup.events.clock().elapsed(),
            spec: setup.spec,
            digest: setup.digest,
            executor: setup.executor,
            journal: setup.journal,
            events: setup.events,
            control: setup.control,
            signals: Signals::default(),
            superseded: false,
            secrets: setup.secrets,
            made: BTreeMap::new(),
            width: setup.width.max(1),
            policy: setup.policy,
            limits: setup.limits,
            book,
            failures: Vec::new(),
            running: Vec::new(),
            remaining: Vec::new(),
            timings: Vec::new(),
            achieved_ms: 0,
            bound_ms: 0,
        }
    }

    fn record(&mut self, record: Record) -> io::Result<()> {
        self.journal.add(&record)?;
        self.book.apply(&record);
        Ok(())
    }

    /// Writes the records. [`Kept::Here`] when nothing may follow them: then that is known from here on.
    async fn commit(&mut self) -> io::Result<Kept> {
        let kept = self.journal.commit().await?;
        if kept == Kept::Here && !self.superseded {
            self.superseded = true;
            self.events.emit(Event::Interrupted {
                interrupt: Interrupt::Superseded,
                reaction: Reaction::Finish,
            });
        }
        Ok(kept)
    }

    fn at(&self) -> String {
        self.events.clock().timestamp()
    }

    fn now_ms(&self) -> u64 {
        millis(self.events.clock().elapsed().saturating_sub(self.began))
    }

    async fn forward(
        &mut self,
        spec: &Spec,
        frame: &Frame<'_>,
        until: Option<u32>,
    ) -> Result<Outcome, RunError> {
        let taken = self.take_up(spec, Verb::Run).await?;
        let done = self.book.still_done(spec);
        let left_out = self.book.left_out.clone();
        let end = match taken {
            TakenUp::Ended => self.drive(frame, Verb::Run, &done, &left_out, until).await?,
            taken => DriveEnd::without(taken),
        };
        if end.detached {
            return Ok(Outcome::Detached);
        }
        if end.finished {
            return Ok(Outcome::Done);
        }
        let Some((cause, stage)) = end.worst else {
            // Without a failure something can only wait for a stage that is not open.
            let next = until.and_then(|until| spec.stages.get(until as usize + 1));
            return Ok(next.map_or(Outcome::Undecided, |stage| Outcome::Gate(stage.id.clone())));
        };
        // Decided again when all has ended: what ran meanwhile may have crossed a line.
        let decision = match decide(&self.moment(cause, stage, false)) {
            Decision::Quarantine => Decision::Pause,
            decision => decision,
        };
        self.record(Record::Decision {
            at: self.at(),
            cause,
            decision,
        })?;
        self.events.emit(Event::Decided {
            cause,
            action: self.failures.last().map(|failure| failure.action.clone()),
            decision,
        });
        match decision {
            Decision::Nothing => Ok(Outcome::NothingChanged),
            Decision::Pause | Decision::Quarantine => Ok(Outcome::Paused),
            Decision::Undecided => Ok(Outcome::Undecided),
            Decision::Rollback => self.back(spec).await,
        }
    }

    /// Undoes everything that was begun.
    async fn back(&mut self, spec: &Spec) -> Result<Outcome, RunError> {
        let frame = Frame::backward(spec, &self.book.intents)?;
        if !self.book.rolling_back {
            self.record(Record::Decision {
                at: self.at(),
                cause: Cause::Interrupted,
                decision: Decision::Rollback,
            })?;
        }
        self.events.emit(Event::RollbackStart {
            undos: count(frame.rows().actions.len().saturating_sub(self.book.undone.len())),
            loses: self.loses(spec),
        });
        // The start of this run is in the journal before it does anything.
        if self.commit().await? == Kept::Here {
            return Ok(Outcome::Paused);
        }
        if !self.let_go(spec).await? {
            return Ok(Outcome::Undecided);
        }
        // A new request to stop is needed to stop the way back.
        self.signals = match self.signals.first() {
            Some(first) => Signals::again(first),
            None => Signals::default(),
        };
        let end = match self.take_up(spec, Verb::Undo).await? {
            TakenUp::Ended => {
                let undone = self.book.undone.clone();
                let nobody = BTreeSet::new();
                self.drive(&frame, Verb::Undo, &undone, &nobody, None).await?
            }
            taken => DriveEnd::without(taken),
        };
        let rows = frame.rows().actions.iter();
        self.remaining = rows
            .filter(|action| !self.book.undone.contains(&action.id))
            .map(|action| action.id.clone())
            .collect();
        Ok(match end {
            end if end.detached => Outcome::Detached,
            _ if self.remaining.is_empty() => Outcome::RolledBack,
            end if end
                .worst
                .is_some_and(|(cause, _)| matches!(cause, Cause::Interrupted | Cause::Superseded)) =>
            {
                Outcome::Paused
            }
            _ => Outcome::Undecided,
        })
    }

    fn started(&self, call: &ActionCall) {
        self.events.emit(Event::ActionStart {
            action: call.id().to_owned(),
            step: call.step().id.clone(),
            host: call.host().id.clone(),
            stage: call.step().stage.clone(),
            verb: call.verb,
            attempt: call.attempt,
            doubtful: call.doubtful(),
        });
    }

    /// What undoing loses: the stages in which something was changed, each adding to those before it. While no user can have
    /// written, nothing that only users' writes would cost counts.
    fn loses(&self, spec: &Spec) -> String {
        let changed: BTreeSet<&str> = self
            .book
            .touched
            .iter()
            .filter_map(|id| spec.actions.get(*self.places.actions.get(id)?))
            .filter_map(|action| spec.steps.get(*self.places.steps.get(&action.step)?))
            .filter(|step| step.effect != Effect::Reads)
            .map(|step| step.stage.as_str())
            .collect();
        let line = spec.lines.last_automatic_rollback.rsplit('/').next();
        let line = spec.steps.iter().find(|step| Some(step.id.as_str()) == line);
        let last = line.filter(|_| !self.book.crossed(spec).users_wrote);
        let mut loses: Vec<&str> = Vec::new();
        for stage in &spec.stages {
            let text = stage.undo_loses.as_str();
            if changed.contains(stage.id.as_str()) && text != "nothing" && !loses.contains(&text) {
                loses.push(text);
            }
            if last.is_some_and(|step| step.stage == stage.id) {
                break;
            }
        }
        match loses.is_empty() {
            true => "nothing".to_owned(),
            false => loses.join("; "),
        }
    }

    fn moment(&self, cause: Cause, stage: OnFailure, may_leave_out: bool) -> Moment {
        let Crossed {
            changed,
            users_wrote,
            no_return,
        } = self.book.crossed(&self.spec);
        Moment {
            policy: self.policy.on_failure,
            stage,
            cause,
            changed,
            users_wrote,
            no_return,
            may_leave_out,
        }
    }

    async fn end(mut self, outcome: Outcome) -> Result<RunResult, RunError> {
        let used_up = match outcome {
            Outcome::Done => self.book.left_out.is_empty(),
            Outcome::RolledBack => true,
            _ => false,
        };
        self.record(Record::End {
            at: self.at(),
            outcome: outcome.name().to_owned(),
            used_up,
        })?;
        self.commit().await?;
        let result = RunResult {
            outcome,
            interrupted: self.signals.first(),
            superseded: self.superseded,
            failures: self.failures,
            left_out: self.book.left_out.clone(),
            running: self.running,
            remaining: self.remaining,
            timings: self.timings,
            achieved_ms: self.achieved_ms,
            bound_ms: self.bound_ms,
            book: self.book,
        };
        self.events.emit(Event::RunEnd {
            outcome: result.outcome.name().to_owned(),
            exit: result.exit(),
            done: count(result.book.done.len()),
            failed: result.failures.iter().map(|it| it.action.clone()).collect(),
            left_out: result.left_out.iter().cloned().collect(),
            running: result.running.clone(),
            achieved_ms: result.achieved_ms,
            bound_ms: result.bound_ms,
        });
        Ok(result)
    }

    async fn drive(
        &mut self,
        frame: &Frame<'_>,
        verb: Verb,
        done: &BTreeSet<String>,
        left_out: &BTreeSet<String>,
        until: Option<u32>,
    ) -> Result<DriveEnd, RunError> {
        let indexed = frame.indexed()?;
        let mut load = frame.workload(&indexed);
        let rows = frame.rows();
        let done: BTreeSet<u32> = (0..)
            .zip(rows.actions)
            .filter(|(_, action)| done.contains(&action.id))
            .map(|(at, _)| at)
            .collect();
        let mut drive = Drive {
            verb,
            lead: frame.lead(),
            load: &load,
            scheduler: Scheduler::resume(&load, self.width, &done),
            tasks: JoinSet::new(),
            halt: watch::Sender::new(Halt::No),
            next: Vec::new(),
            running: BTreeMap::new(),
            times: vec![0; load.seconds.len()],
            span: None,
            worst: None,
            detached: false,
            stage_left: Vec::new(),
            stage_begun: vec![false; rows.stages.len()],
        };
        if let Some(until) = until {
            drive.scheduler.open_until(until);
        }
        for host in left_out {
            if let Some(host) = self.places.hosts.get(host) {
                drive.scheduler.leave_out(count(*host));
            }
        }
        drive.count_stages();
        let written = self.turns(&mut drive).await;
        let Drive {
            scheduler,
            times,
            span,
            worst,
            detached,
            ..
        } = drive;
        let finished = scheduler.finished();
        drop(scheduler);
        written?;
        if verb == Verb::Run {
            load.set_times(times);
            self.bound_ms = bound(&load, self.width);
            self.achieved_ms = span.map_or(0, |(start, end)| end - start);
        }
        Ok(DriveEnd {
            worst,
            finished,
            detached,
        })
    }

    /// Turns the loop until nothing runs and nothing may start.
    async fn turns(&mut self, drive: &mut Drive<'_>) -> io::Result<()> {
        loop {
            let written = self.begin(drive).await;
            if let Err(error) = written {
                // Without a journal nothing may begin. What runs is let end: its host keeps the result.
                drive.halt.send_replace(Halt::Finish);
                while drive.tasks.join_next().await.is_some() {}
                return Err(error);
            }
            if drive.tasks.is_empty() {
                return Ok(());
            }
            tokio::select! {
                biased;
                interrupt = self.control.next() => {
                    let reaction = self.signals.press(interrupt);
                    self.events.emit(Event::Interrupted { interrupt, reaction });
                    if reaction == Reaction::Finish {
                        self.superseded = true;
                        drive.stop(Cause::Superseded, OnFailure::Pause, Halt::Finish);
                    } else if reaction == Reaction::Stop {
                        drive.stop(Cause::Interrupted, OnFailure::Pause, Halt::Cancel);
                    } else {
                        // Letting go is all that dropping an attempt does; results that are there already are kept.
                        drive.detached = true;
                        while let Some(joined) = drive.tasks.try_join_next() {
                            self.joined(drive, joined)?;
                        }
                        drive.tasks.abort_all();
                        let rows = drive.load.indexed;
                        self.running = drive.running.keys().map(|it| rows.id(*it).to_owned()).collect();
                        return self.commit().await.map(drop);
                    }
                }
                Some(joined) = drive.tasks.join_next() => {
                    self.joined(drive, joined)?;
                    while let Some(joined) = drive.tasks.try_join_next() {
                        self.joined(drive, joined)?;
                    }
                }
            }
        }
    }

    /// Chooses what may start, writes the journal, and starts it.
    async fn begin(&mut self, drive: &mut Drive<'_>) -> io::Result<()> {
        while let Some(action) = drive.scheduler.next() {
            let row = &drive.load.indexed.rows.actions[action as usize];
            let start_ms = self.now_ms();
            drive.running.insert(action, Running { start_ms, tries: 1 });
            match self.call(drive, action) {
                Ok(call) => {
                    self.intent(&call)?;
                    drive.next.push((action, call, Duration::ZERO));
                }
                Err(error) => {
                    let reason = Reason {
                        untouched: true,
                        ..Reason::new(error.to_string())
                    };
                    let attempt = self.book.attempts.get(&(drive.verb, row.id.clone()));
                    let attempt = attempt.copied().unwrap_or_default();
                    self.settle(drive, action, attempt, ActionEnd::Failed(reason))?;
                }
            }
        }
        if self.commit().await? == Kept::Here {
            drive.stop(Cause::Superseded, OnFailure::Pause, Halt::Finish);
            for (action, call, _) in std::mem::take(&mut drive.next) {
                let reason = Reason {
                    untouched: true,
                    ..Reason::new("it was not begun, because this run does not hold the cluster any more")
                };
                self.settle(drive, action, call.attempt, ActionEnd::Cancelled(reason))?;
            }
            return Ok(());
        }
        for (action, call, delay) in drive.next.drain(..) {
            let stage = drive.load.indexed.stage[drive.load.indexed.step[action as usize] as usize] as usize;
            if !std::mem::replace(&mut drive.stage_begun[stage], true) {
                let stage = self.spec.stages[stage].id.clone();
                self.events.emit(Event::StageStart { stage });
            }
            self.started(&call);
            let executor = Arc::clone(&self.executor);
            let (limits, halt) = (self.limits, drive.halt.subscribe());
            drive.tasks.spawn(async move {
                let end = attempt(executor, Arc::clone(&call), limits, delay, halt).await;
                (action, call, end)
            });
        }
        Ok(())
    }

    fn intent(&mut self, call: &ActionCall) -> io::Result<()> {
        self.record(Record::Intent {
            at: self.at(),
            action: call.id().to_owned(),
            verb: call.verb,
            attempt: call.attempt,
        })
    }

    /// The call of an action: the attempt whose end is not known, or the next.
    fn call(&self, drive: &Drive<'_>, action: u32) -> Result<Arc<ActionCall>, OutputError> {
        let rows = &drive.load.indexed.rows;
        let row = &rows.actions[action as usize];
        let step = drive.load.indexed.step[action as usize] as usize;
        let place = self.places.actions[&row.id];
        let host = drive.load.host[action as usize] as usize;
        let step_row = &self.spec.steps[step];
        let inputs: Inputs = outputs::resolve(
            &self.spec,
            &self.spec.hosts[host],
            &self.spec.actions[place],
            step_row,
            drive.verb,
            false,
            self,
        )?;
        let key = (drive.verb, row.id.clone());
        let open = self.book.open.get(&key).copied();
        let attempt = open.unwrap_or_else(|| self.book.attempts.get(&key).map_or(1, |last| last + 1));
        Ok(Arc::new(ActionCall {
            spec: Arc::clone(&self.spec),
            action: place,
            step,
            host,
            at: place_of(step_row.at, host, drive.lead),
            events: self.events.clone(),
            doubtful: AtomicBool::new(open.is_some()),
            heard: AtomicBool::new(false),
            seen: Mutex::default(),
            verb: drive.verb,
            attempt,
            deadline: Duration::from_secs(u64::from(step_row.timeout_s.max(1))).min(self.limits.action),
            inputs,
        }))
    }

    fn joined(
        &mut self,
        drive: &mut Drive<'_>,
        joined: Result<(u32, Arc<ActionCall>, ActionEnd), tokio::task::JoinError>,
    ) -> io::Result<()> {
        let (action, call, end) = match joined {
            Ok(joined) => joined,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Ok(()),
        };
        let end = checked(&call, end);
        let tries = drive.running.get(&action).map_or(1, |running| running.tries);
        if let Some(reason) = worth_another(&call, &end, tries)
            && *drive.halt.borrow() == Halt::No
        {
            return self.again(drive, action, &call, tries, reason);
        }
        self.settle(drive, action, call.attempt, end)
    }
}

impl Drive<'_> {
    /// Starts nothing new.
    fn stop(&mut self, cause: Cause, stage: OnFailure, halt: Halt) {
        self.scheduler.stop();
        let worse = self.worst.is_none_or(|(known, _)| cause > known);
        if worse {
            self.worst = Some((cause, stage));
        }
        self.halt.send_modify(|known| *known = (*known).max(halt));
    }

    /// Counts the actions of each stage that are not settled.
    fn count_stages(&mut self) {
        let indexed = self.load.indexed;
        self.stage_left = vec![0; indexed.rows.stages.len()];
        for (action, step) in (0u32..).zip(&indexed.step) {
            if !matches!(self.scheduler.state(action), State::Done | State::LeftOut) {
                self.stage_left[indexed.stage[*step as usize] as usize] += 1;
            }
        }
    }
}

/// Why the action is tried again, if it is. A way back that is given up too early is worse than one that takes long, and what
/// an undo found half done it finds again: one that failed is asked twice more before a person is.
fn worth_another<'a>(call: &ActionCall, end: &'a ActionEnd, tries: u32) -> Option<&'a Reason> {
    const UNDO: u32 = 6;
    const FAILED_UNDO: u32 = 2;
    let (reason, most) = match (end, call.verb) {
        (ActionEnd::Temporary(reason), Verb::Run) => (reason, call.step().retry),
        (ActionEnd::Temporary(reason), Verb::Undo) => (reason, call.step().retry.max(UNDO)),
        (ActionEnd::Failed(reason), Verb::Undo) => (reason, FAILED_UNDO),
        _ => return None,
    };
    (tries <= most).then_some(reason)
}

/// Holds what was handed on against the plan.
fn checked(call: &ActionCall, end: ActionEnd) -> ActionEnd {
    match end {
        ActionEnd::Done(values) if call.verb == Verb::Run => match outputs::check(call.step(), &values) {
            Ok(()) => ActionEnd::Done(values),
            Err(error) => ActionEnd::Failed(Reason::new(error.to_string())),
        },
        end => end,
    }
}

struct DriveEnd {
    worst: Option<(Cause, OnFailure)>,
    finished: bool,
    detached: bool,
}

impl DriveEnd {
    /// Nothing was started, because the run was to stop before.
    fn without(taken: TakenUp) -> DriveEnd {
        let cause = match taken {
            TakenUp::Superseded => Cause::Superseded,
            _ => Cause::Interrupted,
        };
        DriveEnd {
            worst: Some((cause, OnFailure::Pause)),
            finished: false,
            detached: taken == TakenUp::Detached,
        }
    }
}
