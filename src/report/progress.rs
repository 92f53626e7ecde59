//! How far a run is, from its events alone: what the live view and the log lines have in common.

use crate::apply::Verb;
use crate::apply::book::Book;
use crate::apply::call::Reason;
use crate::apply::events::{EndKind, Event, Line};
use crate::model::{At, Host, Spec, Stage, Step, UndoKind};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What became of an action, on the way that the run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is not on this way: behind `--until`, or not to be undone.
    Absent,
    /// It has not begun.
    Waiting,
    /// It runs, or is tried again after a while.
    Running,
    /// It is done.
    Done,
    /// It did not end well.
    Failed,
    /// Its host was left out.
    LeftOut,
}

/// How many actions of a step or stage are in which state; those that are absent do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) all: usize,
    pub(super) running: usize,
    pub(super) done: usize,
    pub(super) failed: usize,
    pub(super) left_out: usize,
}

impl Tally {
    /// Nothing of it is left to do.
    pub(super) fn over(&self) -> bool {
        self.done + self.left_out == self.all
    }

    fn add(&mut self, other: Tally) {
        self.all += other.all;
        self.running += other.running;
        self.done += other.done;
        self.failed += other.failed;
        self.left_out += other.left_out;
    }

    fn of(&mut self, state: State) -> Option<&mut usize> {
        match state {
            State::Absent | State::Waiting => None,
            State::Running => Some(&mut self.running),
            State::Done => Some(&mut self.done),
            State::Failed => Some(&mut self.failed),
            State::LeftOut => Some(&mut self.left_out),
        }
    }
}

/// An action that runs.
#[derive(Clone, Debug)]
pub(super) struct Running {
    /// When its first attempt of this run began.
    pub(super) start_ms: u64,
    /// What it last saw; raw.
    pub(super) seen: String,
    /// It is tried again at that moment, as so manieth attempt, because of that; raw.
    pub(super) again: Option<(u64, u32, String)>,
}

/// A step in this run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StepState {
    pub(super) tally: Tally,
    /// When its first action began in this run.
    pub(super) begun_ms: Option<u64>,
    /// Milliseconds that its actions took that were done in this run, all together.
    pub(super) took_ms: u64,
    /// How many these are.
    pub(super) took: u64,
}

/// What an event newly amounts to.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    /// Steps of which the first action began.
    pub(super) begun: Vec<usize>,
    /// Steps that are over, with the milliseconds since they began.
    pub(super) ended: Vec<(usize, u64)>,
    /// Stages that are over, likewise.
    pub(super) stages: Vec<(usize, u64)>,
}

/// How far a run is.
pub(super) struct Progress {
    pub(super) spec: Arc<Spec>,
    places: HashMap<String, usize>,
    /// Step of each action.
    pub(super) step: Vec<usize>,
    /// Host of each action.
    pub(super) host: Vec<usize>,
    /// Stage of each step.
    pub(super) stage: Vec<usize>,
    pub(super) lead: Option<usize>,
    pub(super) states: Vec<State>,
    pub(super) steps: Vec<StepState>,
    pub(super) running: BTreeMap<usize, Running>,
    pub(super) verb: Verb,
    stage_begun_ms: Vec<Option<u64>>,
    intents: BTreeSet<usize>,
    undone: BTreeSet<usize>,
    /// When this run began.
    pub(super) began_ms: Option<u64>,
    /// The time of the last event.
    pub(super) now_ms: u64,
    pub(super) ended: bool,
}

impl Progress {
    /// Before a run. `earlier` is what earlier runs of the plan came to; `until` is the stage after which it stops.
    pub(super) fn new(spec: Arc<Spec>, earlier: &Book, until: Option<&str>) -> Progress {
        let at = |ids: Vec<&str>| -> HashMap<String, usize> {
            ids.into_iter().map(str::to_owned).zip(0..).collect()
        };
        let places = at(spec.actions.iter().map(|it| it.id.as_str()).collect());
        let steps = at(spec.steps.iter().map(|it| it.id.as_str()).collect());
        let hosts = at(spec.hosts.iter().map(|it| it.id.as_str()).collect());
        let stages = at(spec.stages.iter().map(|it| it.id.as_str()).collect());
        let find = |names: &HashMap<String, usize>, name: &str| names.get(name).copied().unwrap_or(0);
        let step: Vec<usize> = spec.actions.iter().map(|it| find(&steps, &it.step)).collect();
        let host: Vec<usize> = spec.actions.iter().map(|it| find(&hosts, &it.host)).collect();
        let stage: Vec<usize> = spec.steps.iter().map(|it| find(&stages, &it.stage)).collect();
        let lead = crate::apply::scheduler::Frame::forward(&spec).lead();
        let last = until.and_then(|until| stages.get(until).copied());
        let known = |ids: &mut dyn Iterator<Item = &String>| -> BTreeSet<usize> {
            ids.filter_map(|id| places.get(id).copied()).collect()
        };
        let done = known(&mut earlier.still_done(&spec).iter());
        let mut progress = Progress {
            intents: known(&mut earlier.intents.iter()),
            undone: known(&mut earlier.undone.iter()),
            lead: lead.map(|lead| lead as usize),
            states: vec![State::Absent; spec.actions.len()],
            steps: vec![StepState::default(); spec.steps.len()],
            stage_begun_ms: vec![None; spec.stages.len()],
            running: BTreeMap::new(),
            verb: Verb::Run,
            began_ms: None,
            now_ms: 0,
            ended: false,
            places,
            step,
            host,
            stage,
            spec,
        };
        for action in 0..progress.states.len() {
            let beyond = last.is_some_and(|last| progress.stage[progress.step[action]] > last);
            let host = &progress.spec.hosts.get(progress.host[action]);
            let left_out = host.is_some_and(|host| earlier.left_out.contains(&host.id));
            let state = match (done.contains(&action), left_out, beyond) {
                (true, _, _) => State::Done,
                (_, true, _) => State::LeftOut,
                (_, _, true) => State::Absent,
                _ => State::Waiting,
            };
            progress.set(action, state);
        }
        progress
    }

    pub(super) fn place(&self, action: &str) -> Option<usize> {
        self.places.get(action).copied()
    }

    /// The step of an action.
    pub(super) fn step_of(&self, action: usize) -> &Step {
        &self.spec.steps[self.step[action]]
    }

    /// The host that an action is about.
    pub(super) fn host_of(&self, action: usize) -> &Host {
        &self.spec.hosts[self.host[action]]
    }

    /// The host that an action executes on; `None` for the operator's machine.
    pub(super) fn place_of(&self, action: usize) -> Option<&Host> {
        match self.step_of(action).at {
            At::Subject => Some(self.host_of(action)),
            At::Lead => self.lead.map(|lead| &self.spec.hosts[lead]),
            At::Operator => None,
        }
    }

    pub(super) fn stage_of(&self, action: usize) -> &Stage {
        &self.spec.stages[self.stage[self.step[action]]]
    }

    /// Hosts of the actions of a step that are on the way, in plan order.
    pub(super) fn hosts_of_step(&self, step: usize, which: impl Fn(State) -> bool) -> Vec<&str> {
        let mine = (0..self.states.len()).filter(|action| self.step[*action] == step);
        mine.filter(|action| which(self.states[*action]))
            .map(|action| self.host_of(action).id.as_str())
            .collect()
    }

    /// Of a stage.
    pub(super) fn stage_tally(&self, stage: usize) -> Tally {
        let mut sum = Tally::default();
        for (step, state) in self.steps.iter().enumerate() {
            if self.stage[step] == stage {
                sum.add(state.tally);
            }
        }
        sum
    }

    /// Of everything.
    pub(super) fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        self.steps.iter().for_each(|step| sum.add(step.tally));
        sum
    }

    /// When a stage began in this run.
    pub(super) fn stage_began(&self, stage: usize) -> Option<u64> {
        self.stage_begun_ms[stage]
    }

    /// Actions that were begun, in this run or earlier.
    pub(super) fn begun(&self) -> BTreeSet<String> {
        let ids = self.intents.iter().map(|it| self.spec.actions[*it].id.clone());
        ids.collect()
    }

    fn set(&mut self, action: usize, state: State) {
        let before = std::mem::replace(&mut self.states[action], state);
        let tally = &mut self.steps[self.step[action]].tally;
        if let Some(count) = tally.of(before) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = tally.of(state) {
            *count += 1;
        }
        let counts = |state| usize::from(state != State::Absent);
        tally.all = tally.all + counts(state) - counts(before);
    }

    /// Takes an event in.
    pub(super) fn take(&mut self, line: &Line) -> News {
        self.now_ms = line.ms;
        let mut news = News::default();
        match &line.event {
            Event::RunStart { .. } => self.began_ms = Some(line.ms),
            Event::ActionStart { action, verb, .. } => {
                let Some(at) = self.place(action) else { return news };
                if *verb == Verb::Run {
                    self.intents.insert(at);
                }
                if *verb != self.verb {
                    return news;
                }
                self.set(at, State::Running);
                let running = self.running.entry(at).or_insert(Running {
                    start_ms: line.ms,
                    seen: String::new(),
                    again: None,
                });
                // An attempt that waits for its time is announced at once.
                if running.again.as_ref().is_none_or(|(when, ..)| *when <= line.ms) {
                    running.again = None;
                }
                let step = self.step[at];
                if self.steps[step].begun_ms.is_none() {
                    self.steps[step].begun_ms = Some(line.ms);
                    news.begun.push(step);
                }
                self.stage_begun_ms[self.stage[step]].get_or_insert(line.ms);
            }
            Event::ActionSeen { action, text, .. } => {
                if let Some(running) = self.place(action).and_then(|at| self.running.get_mut(&at)) {
                    text.clone_into(&mut running.seen);
                    running.again = None;
                }
            }
            Event::ActionRetry {
                action,
                attempt,
                after_ms,
                reason,
                ..
            } => {
                if let Some(running) = self.place(action).and_then(|at| self.running.get_mut(&at)) {
                    let when = line.ms.saturating_add(*after_ms);
                    running.again = Some((when, *attempt, reason.message.clone()));
                }
            }
            Event::ActionEnd {
                action,
                verb,
                end,
                elapsed_ms,
                ..
            } => self.end(action, *verb, *end, *elapsed_ms, &mut news),
            Event::HostQuarantined { host, .. } => {
                let of_host = |at: &usize| {
                    let open = matches!(self.states[*at], State::Waiting | State::Failed);
                    open && self.host_of(*at).id == *host
                };
                let out: Vec<usize> = (0..self.states.len()).filter(of_host).collect();
                for at in out {
                    self.set(at, State::LeftOut);
                    self.over(self.step[at], &mut news);
                }
            }
            Event::RollbackStart { .. } => self.turn(),
            Event::RunEnd { .. } => self.ended = true,
            _ => {}
        }
        news
    }

    fn end(&mut self, action: &str, verb: Verb, end: EndKind, elapsed_ms: u64, news: &mut News) {
        let Some(at) = self.place(action) else { return };
        if verb != self.verb {
            return;
        }
        self.running.remove(&at);
        let step = self.step[at];
        match end {
            EndKind::Done => {
                self.set(at, State::Done);
                let state = &mut self.steps[step];
                state.took_ms = state.took_ms.saturating_add(elapsed_ms);
                state.took += 1;
                self.over(step, news);
            }
            EndKind::Cancelled => self.set(at, State::Waiting),
            _ => self.set(at, State::Failed),
        }
    }

    /// Says so when a step is over, and its stage with it.
    fn over(&self, step: usize, news: &mut News) {
        let state = &self.steps[step];
        let Some(begun_ms) = state.begun_ms.filter(|_| state.tally.over()) else {
            return;
        };
        news.ended.push((step, self.now_ms.saturating_sub(begun_ms)));
        let stage = self.stage[step];
        if let Some(begun_ms) = self.stage_begun_ms[stage]
            && self.stage_tally(stage).over()
        {
            news.stages.push((stage, self.now_ms.saturating_sub(begun_ms)));
        }
    }

    /// The way back begins.
    fn turn(&mut self) {
        self.verb = Verb::Undo;
        self.running.clear();
        self.stage_begun_ms = vec![None; self.spec.stages.len()];
        for step in &mut self.steps {
            *step = StepState {
                tally: step.tally,
                ..StepState::default()
            };
        }
        for at in 0..self.states.len() {
            let has_undo = self.step_of(at).undo.kind == UndoKind::Script;
            let state = match (has_undo && self.intents.contains(&at), self.undone.contains(&at)) {
                (false, _) => State::Absent,
                (_, true) => State::Done,
                _ => State::Waiting,
            };
            self.set(at, state);
        }
    }
}

/// How an action ended, in words that follow its name: `failed`, `could not be reached`.
pub(super) fn ended(end: EndKind) -> &'static str {
    match end {
        EndKind::Done => "is done",
        EndKind::Temporary | EndKind::Failed => "failed",
        EndKind::NotAsPlanned => "found the host not as planned",
        EndKind::Unreachable => "could not reach the host",
        EndKind::CannotTell => "cannot tell what it did",
        EndKind::StillRunning => "is out of time and still runs",
        EndKind::Cancelled => "was cancelled",
    }
}

/// The sentence of a reason, with the exit status of the script.
pub(super) fn because(reason: &Reason) -> String {
    let message = remote(&reason.message);
    match reason.status {
        Some(status) => format!("{message} (exit status {status})"),
        None => message,
    }
}

/// What a host said, without colours and cursor movements; what else could do harm is replaced when it is written.
pub(super) fn remote(text: &str) -> String {
    console::strip_ansi_codes(text).trim_end().to_owned()
}
