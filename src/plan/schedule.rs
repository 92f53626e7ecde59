//! The scheduler, simulated: when each action would start and end if everything took as long as the catalogue estimates.
//!
//! The rules are those of apply: the longest remaining path goes first, then the order of hosts.yaml, then the step's id;
//! budgets are taken all or none and held until the step that the catalogue names has ended; one changing action per host
//! that it is about; so many connections at once, so many sessions on one host. Integers only, so that a plan says the
//! same wherever it is made.

use super::indexed::Indexed;
use super::selection::Selection;
use crate::model::{At, Budget, Effect};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

/// Sessions at once on one host: sshd allows ten unless told otherwise.
pub const SESSIONS_PER_HOST: u32 = 6;

/// What a run has to do, in numbers.
pub struct Workload<'a> {
    /// The graph.
    pub indexed: &'a Indexed<'a>,
    /// Seconds that each node takes; joints take none.
    pub seconds: Vec<u64>,
    /// Position in hosts.yaml of the host that each action is about.
    pub host: Vec<u32>,
    /// Longest way from each node's start to the end of everything.
    pub remaining: Vec<u64>,
    /// Longest way from the start of everything to each node's start.
    pub earliest: Vec<u64>,
    /// Budgets that each action takes, with the action at whose end each is given back.
    pub takes: Vec<Vec<(u32, u32)>>,
    /// Capacity of each budget.
    pub capacity: Vec<u32>,
    /// What follows each node.
    pub followers: Vec<Vec<u32>>,
    hosts: usize,
    lead: Option<u32>,
    classes: Vec<Class>,
    class: Vec<u32>,
    rank: Vec<u32>,
}

/// Actions that wait for the same things, but for their own host.
struct Class {
    budgets: Vec<u32>,
    at: At,
}

/// When everything starts and ends, in seconds from the start.
pub struct Schedule {
    /// Start of each node.
    pub start: Vec<u64>,
    /// End of each node.
    pub end: Vec<u64>,
    /// Actions in the order in which they start.
    pub order: Vec<u32>,
}

impl<'a> Workload<'a> {
    /// Measures a graph. `hosts` are positions in hosts.yaml by host id.
    pub fn new(
        indexed: &'a Indexed<'a>,
        hosts: &BTreeMap<&str, u32>,
        selection: &Selection,
        budgets: &[Budget],
    ) -> Workload<'a> {
        let steps = indexed.rows.steps;
        let seconds: Vec<u64> = (0..indexed.needs.len() as u32)
            .map(|node| indexed.step(node).map_or(0, |step| u64::from(step.estimate_s)))
            .collect();
        let host: Vec<u32> = indexed
            .rows
            .actions
            .iter()
            .map(|action| hosts.get(action.host.as_str()).copied().unwrap_or(0))
            .collect();
        let followers = indexed.followers();
        let mut earliest = vec![0u64; seconds.len()];
        for &node in &indexed.order {
            let ends = indexed.needs[node as usize]
                .iter()
                .map(|need| earliest[*need as usize] + seconds[*need as usize]);
            earliest[node as usize] = ends.max().unwrap_or(0);
        }
        let mut remaining = vec![0u64; seconds.len()];
        for &node in indexed.order.iter().rev() {
            let after = followers[node as usize]
                .iter()
                .map(|next| remaining[*next as usize]);
            remaining[node as usize] = seconds[node as usize] + after.max().unwrap_or(0);
        }
        let mut by_id: Vec<usize> = (0..steps.len()).collect();
        by_id.sort_by_key(|step| &steps[*step].id);
        let mut step_rank = vec![0u32; steps.len()];
        for (rank, step) in by_id.into_iter().enumerate() {
            step_rank[step] = rank as u32;
        }
        let rank = indexed
            .step
            .iter()
            .map(|step| step_rank[*step as usize])
            .collect();
        let mut workload = Workload {
            indexed,
            seconds,
            host,
            remaining,
            earliest,
            takes: Vec::new(),
            capacity: budgets.iter().map(|budget| budget.capacity).collect(),
            followers,
            hosts: hosts.len(),
            lead: selection.lead(),
            classes: Vec::new(),
            class: Vec::new(),
            rank,
        };
        workload.add_takes(selection, budgets);
        workload.add_classes();
        workload
    }

    fn add_takes(&mut self, selection: &Selection, budgets: &[Budget]) {
        let names: BTreeMap<&str, u32> = budgets.iter().map(|it| it.id.as_str()).zip(0..).collect();
        let steps: HashMap<&str, u32> = self
            .indexed
            .rows
            .steps
            .iter()
            .map(|it| it.id.as_str())
            .zip(0..)
            .collect();
        let held_until: std::collections::HashSet<u32> = self
            .indexed
            .rows
            .steps
            .iter()
            .flat_map(|step| &step.budgets)
            .filter_map(|take| steps.get(take.until.as_deref()?).copied())
            .collect();
        let ends: HashMap<(u32, u32), u32> = (0u32..)
            .zip(self.indexed.step.iter().zip(&self.host))
            .filter(|(_, (step, _))| held_until.contains(step))
            .map(|(action, (step, host))| ((*step, *host), action))
            .collect();
        self.takes = (0u32..)
            .zip(self.indexed.step.iter().zip(&self.host))
            .map(|(action, (step, &host))| {
                let step = &self.indexed.rows.steps[*step as usize];
                let counted = step.budgets.iter().filter_map(|take| {
                    let budget = *names.get(take.take.as_str())?;
                    selection.place(budgets[budget as usize].counts, host)?;
                    let until = take.until.as_deref().and_then(|until| steps.get(until));
                    let end = until.and_then(|until| ends.get(&(*until, host)));
                    Some((budget, end.copied().unwrap_or(action)))
                });
                counted.collect()
            })
            .collect();
    }

    fn add_classes(&mut self) {
        let mut known: BTreeMap<(Vec<u32>, At), u32> = BTreeMap::new();
        for (action, takes) in self.takes.iter().enumerate() {
            let at = self.indexed.rows.steps[self.indexed.step[action] as usize].at;
            let mut budgets: Vec<u32> = takes.iter().map(|(budget, _)| *budget).collect();
            budgets.sort_unstable();
            let class = *known.entry((budgets, at)).or_insert_with_key(|(budgets, at)| {
                self.classes.push(Class {
                    budgets: budgets.clone(),
                    at: *at,
                });
                self.classes.len() as u32 - 1
            });
            self.class.push(class);
        }
    }

    /// The longest chain of actions, without joints.
    pub fn critical_path(&self) -> Vec<u32> {
        let better = |a: &u32, b: &u32| {
            let key = |node: u32| (Reverse(self.remaining[node as usize]), self.tie(node), node);
            key(*a).cmp(&key(*b))
        };
        let mut path = Vec::new();
        let starts =
            (0..self.seconds.len() as u32).filter(|node| self.indexed.needs[*node as usize].is_empty());
        let mut at = starts.min_by(better);
        while let Some(node) = at {
            if self.indexed.action(node).is_some() {
                path.push(node);
            }
            at = self.followers[node as usize].iter().copied().min_by(better);
        }
        path
    }

    fn tie(&self, node: u32) -> (u32, u32) {
        match self.rank.get(node as usize) {
            Some(rank) => (self.host[node as usize], *rank),
            None => (u32::MAX, node),
        }
    }

    /// Runs everything with so many connections. Fails with the first action that never gets its budgets.
    pub fn simulate(&self, width: u32) -> Result<Schedule, u32> {
        let mut run = Run::new(self, width.max(1));
        run.ready();
        loop {
            run.start_what_can();
            let Some(Reverse((time, _))) = run.events.peek().copied() else {
                break;
            };
            run.now = time;
            while let Some(Reverse((at, node))) = run.events.peek().copied()
                && at == time
            {
                run.events.pop();
                run.end(node);
            }
        }
        match (0..self.host.len()).find(|action| run.schedule.end[*action] == u64::MAX) {
            Some(stuck) => Err(stuck as u32),
            None => Ok(run.schedule),
        }
    }
}

/// Longest remaining path, then host, then step: the greatest goes first.
type Turn = (u64, Reverse<u32>, Reverse<u32>, Reverse<u32>);

/// One simulated run. Waiting actions stand in one heap per class, or at their own busy host; there is no rescan of them.
struct Run<'w, 'a> {
    load: &'w Workload<'a>,
    now: u64,
    open: Vec<u32>,
    queues: Vec<BinaryHeap<Turn>>,
    events: BinaryHeap<Reverse<(u64, u32)>>,
    free: Vec<u32>,
    connections: u32,
    sessions: Vec<u32>,
    changing: Vec<bool>,
    waiting_at: Vec<Vec<u32>>,
    given_back: HashMap<u32, Vec<u32>>,
    schedule: Schedule,
}

impl<'w, 'a> Run<'w, 'a> {
    fn new(load: &'w Workload<'a>, width: u32) -> Self {
        let nodes = load.seconds.len();
        Run {
            load,
            now: 0,
            open: load
                .indexed
                .needs
                .iter()
                .map(|needs| needs.len() as u32)
                .collect(),
            queues: load.classes.iter().map(|_| BinaryHeap::new()).collect(),
            events: BinaryHeap::new(),
            free: load.capacity.clone(),
            connections: width,
            sessions: vec![SESSIONS_PER_HOST; load.hosts],
            changing: vec![false; load.hosts],
            waiting_at: vec![Vec::new(); load.hosts],
            given_back: HashMap::new(),
            schedule: Schedule {
                start: vec![u64::MAX; nodes],
                end: vec![u64::MAX; nodes],
                order: Vec::with_capacity(load.host.len()),
            },
        }
    }

    fn ready(&mut self) {
        for node in 0..self.open.len() as u32 {
            if self.load.indexed.needs[node as usize].is_empty() {
                self.arrive(node);
            }
        }
    }

    /// All needs of a node have ended. A joint ends at once.
    fn arrive(&mut self, node: u32) {
        let mut arrived = vec![node];
        while let Some(node) = arrived.pop() {
            if (node as usize) < self.load.host.len() {
                self.queue(node);
                continue;
            }
            self.schedule.start[node as usize] = self.now;
            self.schedule.end[node as usize] = self.now;
            for &next in &self.load.followers[node as usize] {
                self.open[next as usize] -= 1;
                if self.open[next as usize] == 0 {
                    arrived.push(next);
                }
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

    fn start_what_can(&mut self) {
        let load = self.load;
        loop {
            let tops = self.queues.iter().zip(&load.classes).enumerate();
            let best = tops
                .filter(|(_, (_, class))| self.admits(class))
                .filter_map(|(index, (queue, _))| queue.peek().map(|turn| (*turn, index)))
                .max();
            let Some(((_, _, _, Reverse(action)), queue)) = best else {
                break;
            };
            self.queues[queue].pop();
            if self.host_is_busy(action) {
                self.waiting_at[load.host[action as usize] as usize].push(action);
            } else {
                self.start(action);
            }
        }
    }

    fn changes(&self, action: u32) -> bool {
        let step = self.load.indexed.step(action);
        step.is_some_and(|step| step.effect != Effect::Reads)
    }

    fn at(&self, action: u32) -> Option<u32> {
        match self.load.classes[self.load.class[action as usize] as usize].at {
            At::Subject => Some(self.load.host[action as usize]),
            At::Lead => self.load.lead,
            At::Operator => None,
        }
    }

    fn host_is_busy(&self, action: u32) -> bool {
        let host = self.load.host[action as usize];
        let changing = self.changes(action) && self.changing[host as usize];
        changing || self.at(action).is_some_and(|at| self.sessions[at as usize] == 0)
    }

    fn start(&mut self, action: u32) {
        let at = action as usize;
        self.schedule.start[at] = self.now;
        self.schedule.order.push(action);
        if self.changes(action) {
            self.changing[self.load.host[at] as usize] = true;
        }
        if let Some(host) = self.at(action) {
            self.sessions[host as usize] -= 1;
            self.connections -= 1;
        }
        for &(budget, end) in &self.load.takes[at] {
            self.free[budget as usize] -= 1;
            self.given_back.entry(end).or_default().push(budget);
        }
        self.events
            .push(Reverse((self.now + self.load.seconds[at], action)));
    }

    fn end(&mut self, action: u32) {
        let load = self.load;
        let at = action as usize;
        self.schedule.end[at] = self.now;
        if self.changes(action) {
            self.changing[load.host[at] as usize] = false;
        }
        let mut woken = vec![load.host[at]];
        if let Some(host) = self.at(action) {
            self.sessions[host as usize] += 1;
            self.connections += 1;
            woken.push(host);
        }
        for budget in self.given_back.remove(&action).unwrap_or_default() {
            self.free[budget as usize] += 1;
        }
        for host in woken {
            for waiting in std::mem::take(&mut self.waiting_at[host as usize]) {
                self.queue(waiting);
            }
        }
        for &next in &load.followers[at] {
            self.open[next as usize] -= 1;
            if self.open[next as usize] == 0 {
                self.arrive(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Bundle, Catalogue, Releases};
    use crate::plan::fixture::Fixture;
    use crate::plan::{Graph, build};
    use std::collections::BTreeMap;

    fn graph(fixture: &Fixture) -> Graph {
        let (catalogue, _) = Catalogue::load(&Bundle::embedded()).unwrap();
        build(&catalogue, &fixture.situation()).unwrap()
    }

    fn fixture(managers: usize, workers: usize) -> Fixture {
        let mut fixture = Fixture::cluster(managers, workers);
        fixture.release = Releases::load(&Bundle::embedded()).unwrap().releases[0].clone();
        fixture.options.worker_disruption = crate::options::Amount::Count(3);
        fixture
    }

    /// How many of the intervals are open at once, at most.
    fn most(intervals: impl Iterator<Item = (u64, u64)>) -> usize {
        let intervals: Vec<(u64, u64)> = intervals.filter(|(start, end)| start < end).collect();
        let open_at = |time: u64| {
            intervals
                .iter()
                .filter(|(start, end)| *start <= time && time < *end)
                .count()
        };
        intervals
            .iter()
            .map(|(start, _)| open_at(*start))
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn a_simulated_run_breaks_no_rule_and_uses_what_it_may() {
        let fixture = fixture(3, 12);
        let situation = fixture.situation();
        let graph = graph(&fixture);
        let indexed = Indexed::new(graph.rows()).unwrap();
        let hosts: BTreeMap<&str, u32> = situation
            .hosts
            .iter()
            .map(|host| host.id.as_str())
            .zip(0..)
            .collect();
        let selection = Selection::choose(&situation);
        let load = Workload::new(&indexed, &hosts, &selection, &graph.budgets);
        for width in [1, 4, 30] {
            let run = load.simulate(width).unwrap();
            for node in 0..indexed.needs.len() {
                let needed = indexed.needs[node].iter().map(|need| run.end[*need as usize]);
                assert!(
                    run.start[node] >= needed.max().unwrap_or(0),
                    "{}",
                    indexed.id(node as u32)
                );
                assert_eq!(run.end[node] - run.start[node], load.seconds[node]);
            }
            let actions: Vec<u32> = (0..graph.actions.len() as u32).collect();
            let span = |action: &u32| (run.start[*action as usize], run.end[*action as usize]);
            let step = |action: &u32| indexed.step(*action).unwrap();
            let remote = actions.iter().filter(|action| step(action).at != At::Operator);
            let connections = most(remote.map(span));
            assert!(
                connections <= width as usize,
                "{connections} connections at width {width}"
            );
            assert!(
                connections == width as usize || width == 30,
                "{connections} at width {width}"
            );
            for host in 0..15u32 {
                let about = |action: &&u32| load.host[**action as usize] == host;
                let changing = |action: &&u32| step(action).effect != Effect::Reads;
                assert!(most(actions.iter().filter(about).filter(changing).map(span)) <= 1);
                let on = |action: &&u32| match step(action).at {
                    At::Subject => about(action),
                    At::Lead => selection.lead() == Some(host),
                    At::Operator => false,
                };
                assert!(most(actions.iter().filter(on).map(span)) <= SESSIONS_PER_HOST as usize);
            }
            for (budget, capacity) in load.capacity.iter().enumerate() {
                let held = actions.iter().flat_map(|action| {
                    let takes = load.takes[*action as usize].iter();
                    let of = takes.filter(move |(taken, _)| *taken as usize == budget);
                    of.map(|(_, end)| (run.start[*action as usize], run.end[*end as usize]))
                });
                let held = most(held);
                assert!(held <= *capacity as usize, "{} {held}", graph.budgets[budget].id);
                let full = held == *capacity as usize || width < *capacity;
                assert!(full, "{} is never used up: {held}", graph.budgets[budget].id);
            }
        }
    }
}
