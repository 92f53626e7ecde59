//! The scheduler: what may start now. Pure and synchronous; `apply` drives it with what really happens, planning with a
//! time of its own.
//!
//! The longest remaining path goes first, then the order of hosts.yaml, then the step's id. Budgets are taken all or none
//! and held until the step that the catalogue names has ended; one changing action at a time about each host; so many
//! connections at once, so many sessions on one host.
//!
//! Waiting actions stand in one heap per combination of budgets and place, or at their own busy host: nothing is looked
//! through again when something ends, so the work is about the number of edges.

use super::schedule::{Class, Workload};
use crate::model::{At, Effect};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

/// Sessions at once on one host: sshd allows ten unless told otherwise.
pub const SESSIONS_PER_HOST: u32 = 6;

/// How an action ended, as far as those that wait for it are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// What needs it may start.
    Done,
    /// What needs it never starts, unless the host is left out; what it holds for a later step stays held.
    Failed,
}

/// Where an action stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for others, for budgets or for its turn.
    Waiting,
    /// It belongs to a stage that is not open yet, and everything that it needs has ended.
    Parked,
    /// It runs.
    Running,
    /// It is done.
    Done,
    /// It failed for good.
    Failed,
    /// Its host is left out: it will not run, and who needs all hosts does not wait for it.
    LeftOut,
}

/// Longest remaining path, then host, then step: the greatest goes first.
type Turn = (u64, Reverse<u32>, Reverse<u32>, Reverse<u32>);

/// Decides what may start.
pub struct Scheduler<'w> {
    load: &'w Workload<'w>,
    open: Vec<u32>,
    state: Vec<State>,
    queues: Vec<BinaryHeap<Turn>>,
    /// Negative while more is held than there is room for, after a plan was taken up again.
    free: Vec<i64>,
    connections: u32,
    sessions: Vec<u32>,
    changing: Vec<bool>,
    left_out: Vec<bool>,
    waiting_at: Vec<Vec<u32>>,
    /// By the action at whose end they are given back: budget, and the action that took it.
    held: HashMap<u32, Vec<(u32, u32)>>,
    last_stage: u32,
    parked: Vec<u32>,
    stopped: bool,
    running: usize,
    settled: usize,
}

impl<'w> Scheduler<'w> {
    /// Nothing has run yet.
    pub fn new(load: &'w Workload<'w>, width: u32) -> Scheduler<'w> {
        Scheduler::resume(load, width, &BTreeSet::new())
    }

    /// Some actions are done already. They are so whatever they need: an action that has to be repeated (because it makes
    /// a secret that is gone) does not make what followed it undone. Budgets that they hold for later steps are held.
    pub fn resume(load: &'w Workload<'w>, width: u32, done: &BTreeSet<u32>) -> Scheduler<'w> {
        let actions = load.host.len();
        let mut scheduler = Scheduler {
            load,
            open: load
                .indexed
                .needs
                .iter()
                .map(|needs| needs.len() as u32)
                .collect(),
            state: vec![State::Waiting; actions],
            queues: load.classes.iter().map(|_| BinaryHeap::new()).collect(),
            free: load
                .capacity
                .iter()
                .map(|capacity| i64::from(*capacity))
                .collect(),
            connections: width.max(1),
            sessions: vec![SESSIONS_PER_HOST; load.hosts],
            changing: vec![false; load.hosts],
            left_out: vec![false; load.hosts],
            waiting_at: vec![Vec::new(); load.hosts],
            held: HashMap::new(),
            last_stage: u32::MAX,
            parked: Vec::new(),
            stopped: false,
            running: 0,
            settled: 0,
        };
        for &action in done {
            scheduler.state[action as usize] = State::Done;
            scheduler.settled += 1;
            for &(budget, end) in &load.takes[action as usize] {
                if !done.contains(&end) {
                    scheduler.free[budget as usize] -= 1;
                    scheduler.held.entry(end).or_default().push((budget, action));
                }
            }
            for &next in &load.followers[action as usize] {
                scheduler.open[next as usize] -= 1;
            }
        }
        let first: Vec<u32> = (0u32..)
            .zip(&scheduler.open)
            .filter(|(_, open)| **open == 0)
            .map(|(node, _)| node)
            .collect();
        scheduler.arrive(first);
        scheduler
    }

    /// Only actions of stages up to this one (a position) start from now on; later ones are parked until it is raised.
    pub fn open_until(&mut self, stage: u32) {
        self.last_stage = stage;
        for action in std::mem::take(&mut self.parked) {
            if self.state[action as usize] == State::Parked {
                self.state[action as usize] = State::Waiting;
                self.queue(action);
            }
        }
    }

    /// Nothing starts any more.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// The next action that may start, which then counts as running. Ask until there is none.
    #[allow(
        clippy::should_implement_trait,
        reason = "more may come after none, so it is no iterator"
    )]
    pub fn next(&mut self) -> Option<u32> {
        let load = self.load;
        while !self.stopped {
            let tops = self.queues.iter().zip(&load.classes).enumerate();
            let best = tops
                .filter(|(_, (_, class))| self.admits(class))
                .filter_map(|(index, (queue, _))| queue.peek().map(|turn| (*turn, index)))
                .max();
            let ((_, _, _, Reverse(action)), queue) = best?;
            self.queues[queue].pop();
            if self.state[action as usize] != State::Waiting {
                continue;
            }
            if load.indexed.stage[load.indexed.step[action as usize] as usize] > self.last_stage {
                self.state[action as usize] = State::Parked;
                self.parked.push(action);
            } else if self.host_is_busy(action) {
                self.waiting_at[load.host[action as usize] as usize].push(action);
            } else {
                self.start(action);
                return Some(action);
            }
        }
        None
    }

    /// An action that was running has ended.
    pub fn ended(&mut self, action: u32, how: Ended) {
        let load = self.load;
        let at = action as usize;
        let host = load.host[at];
        self.running -= 1;
        if self.changes(action) {
            self.changing[host as usize] = false;
        }
        let mut woken = vec![host];
        if let Some(place) = self.place(action) {
            self.sessions[place as usize] += 1;
            self.connections += 1;
            woken.push(place);
        }
        let left_out = self.left_out[host as usize];
        // A host that failed on its way is still down, so what was taken until it is up again is not free.
        self.give_back(action, |holder| {
            how == Ended::Done || left_out || holder == action
        });
        for host in woken {
            for waiting in std::mem::take(&mut self.waiting_at[host as usize]) {
                self.queue(waiting);
            }
        }
        self.state[at] = match how {
            Ended::Done => State::Done,
            Ended::Failed if left_out => State::LeftOut,
            Ended::Failed => State::Failed,
        };
        if self.state[at] != State::Failed {
            self.settle(action);
        }
    }

    /// Leaves a host (a position) out: what has not started about it never does, nobody waits for it, and what it holds is
    /// free. What runs about it may end.
    pub fn leave_out(&mut self, host: u32) {
        let load = self.load;
        self.left_out[host as usize] = true;
        let about: Vec<u32> = (0..self.state.len() as u32)
            .filter(|action| load.host[*action as usize] == host)
            .collect();
        let idle = |action: &u32| self.state[*action as usize] != State::Running;
        let idle: Vec<u32> = about.iter().copied().filter(idle).collect();
        for &action in &about {
            self.give_back(action, |holder| idle.binary_search(&holder).is_ok());
        }
        for action in about {
            let state = &mut self.state[action as usize];
            if matches!(state, State::Waiting | State::Parked | State::Failed) {
                *state = State::LeftOut;
                self.settle(action);
            }
        }
    }

    /// Where an action stands.
    pub fn state(&self, action: u32) -> State {
        self.state[action as usize]
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Everything has ended well, or is left out.
    pub fn finished(&self) -> bool {
        self.settled == self.state.len()
    }

    /// How much of a budget is free.
    pub fn free(&self, budget: u32) -> i64 {
        self.free[budget as usize]
    }

    /// All needs of these nodes have ended. A joint ends at once.
    fn arrive(&mut self, mut arrived: Vec<u32>) {
        while let Some(node) = arrived.pop() {
            if (node as usize) < self.state.len() {
                if self.state[node as usize] == State::Waiting {
                    self.queue(node);
                }
            } else {
                self.release(node, &mut arrived);
            }
        }
    }

    fn settle(&mut self, action: u32) {
        self.settled += 1;
        let mut arrived = Vec::new();
        self.release(action, &mut arrived);
        self.arrive(arrived);
    }

    fn release(&mut self, node: u32, arrived: &mut Vec<u32>) {
        for &next in &self.load.followers[node as usize] {
            self.open[next as usize] -= 1;
            if self.open[next as usize] == 0 {
                arrived.push(next);
            }
        }
    }

    fn queue(&mut self, action: u32) {
        let load = self.load;
        let (host, rank) = load.tie(action);
        let turn = (
            load.remaining[action as usize],
            Reverse(host),
            Reverse(rank),
            Reverse(action),
        );
        self.queues[load.class[action as usize] as usize].push(turn);
    }

    fn admits(&self, class: &Class) -> bool {
        let connected = class.at == At::Operator || self.connections > 0;
        let session = match (class.at, self.load.lead) {
            (At::Lead, Some(lead)) => self.sessions[lead as usize] > 0,
            _ => true,
        };
        connected && session && class.budgets.iter().all(|budget| self.free[*budget as usize] > 0)
    }

    fn changes(&self, action: u32) -> bool {
        let step = self.load.indexed.step(action);
        step.is_some_and(|step| step.effect != Effect::Reads)
    }

    /// The host that it executes on.
    fn place(&self, action: u32) -> Option<u32> {
        match self.load.classes[self.load.class[action as usize] as usize].at {
            At::Subject => Some(self.load.host[action as usize]),
            At::Lead => self.load.lead,
            At::Operator => None,
        }
    }

    fn host_is_busy(&self, action: u32) -> bool {
        let host = self.load.host[action as usize];
        let changing = self.changes(action) && self.changing[host as usize];
        changing
            || self
                .place(action)
                .is_some_and(|place| self.sessions[place as usize] == 0)
    }

    fn start(&mut self, action: u32) {
        let at = action as usize;
        self.state[at] = State::Running;
        self.running += 1;
        if self.changes(action) {
            self.changing[self.load.host[at] as usize] = true;
        }
        if let Some(host) = self.place(action) {
            self.sessions[host as usize] -= 1;
            self.connections -= 1;
        }
        for &(budget, end) in &self.load.takes[at] {
            self.free[budget as usize] -= 1;
            self.held.entry(end).or_default().push((budget, action));
        }
    }

    /// Gives back what is held until the end of an action, as far as its holder says.
    fn give_back(&mut self, end: u32, freed: impl Fn(u32) -> bool) {
        let Some(mut held) = self.held.remove(&end) else {
            return;
        };
        held.retain(|(budget, holder)| {
            let give = freed(*holder);
            self.free[*budget as usize] += i64::from(give);
            !give
        });
        if !held.is_empty() {
            self.held.insert(end, held);
        }
    }
}
