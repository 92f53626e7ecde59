//! A run in numbers, and the scheduler simulated over it: when each action would start and end if everything took as long
//! as the catalogue estimates.
//!
//! The [`Scheduler`] is the one of apply. Integers only, so that a plan says the same wherever it is made.

use super::indexed::Indexed;
use super::scheduler::{Ended, Scheduler};
use super::selection::Selection;
use crate::model::{At, Budget};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

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
    pub(super) hosts: usize,
    pub(super) lead: Option<u32>,
    pub(super) classes: Vec<Class>,
    pub(super) class: Vec<u32>,
    rank: Vec<u32>,
}

/// Actions that wait for the same things, but for their own host.
pub(super) struct Class {
    pub(super) budgets: Vec<u32>,
    pub(super) at: At,
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
            seconds: Vec::new(),
            host,
            remaining: Vec::new(),
            earliest: Vec::new(),
            takes: Vec::new(),
            capacity: budgets.iter().map(|budget| budget.capacity).collect(),
            followers,
            hosts: hosts.len(),
            lead: selection.lead(),
            classes: Vec::new(),
            class: Vec::new(),
            rank,
        };
        workload.set_times(seconds);
        workload.add_takes(selection, budgets);
        workload.add_classes();
        workload
    }

    /// Says how long each node takes, in any unit: the catalogue's estimates in seconds at first. What was measured gives
    /// the [`bound`](super::bound) that a run is held against.
    pub fn set_times(&mut self, times: Vec<u64>) {
        let mut earliest = vec![0u64; times.len()];
        for &node in &self.indexed.order {
            let ends = self.indexed.needs[node as usize]
                .iter()
                .map(|need| earliest[*need as usize] + times[*need as usize]);
            earliest[node as usize] = ends.max().unwrap_or(0);
        }
        let mut remaining = vec![0u64; times.len()];
        for &node in self.indexed.order.iter().rev() {
            let after = self.followers[node as usize]
                .iter()
                .map(|next| remaining[*next as usize]);
            remaining[node as usize] = times[node as usize] + after.max().unwrap_or(0);
        }
        self.seconds = times;
        self.remaining = remaining;
        self.earliest = earliest;
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

    /// What decides between two nodes with equally long ways to go: host, then step.
    pub(super) fn tie(&self, node: u32) -> (u32, u32) {
        match self.rank.get(node as usize) {
            Some(rank) => (self.host[node as usize], *rank),
            None => (u32::MAX, node),
        }
    }

    /// Runs everything with so many connections, in a time of its own. Fails with the first action that never gets its
    /// budgets.
    pub fn simulate(&self, width: u32) -> Result<Schedule, u32> {
        let nodes = self.seconds.len();
        let mut schedule = Schedule {
            start: vec![u64::MAX; nodes],
            end: vec![u64::MAX; nodes],
            order: Vec::with_capacity(self.host.len()),
        };
        let mut scheduler = Scheduler::new(self, width);
        let mut ends: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
        let mut now = 0;
        loop {
            while let Some(action) = scheduler.next() {
                schedule.start[action as usize] = now;
                schedule.order.push(action);
                ends.push(Reverse((now + self.seconds[action as usize], action)));
            }
            let Some(Reverse((time, _))) = ends.peek().copied() else {
                break;
            };
            now = time;
            while let Some(Reverse((at, action))) = ends.peek().copied()
                && at == time
            {
                ends.pop();
                schedule.end[action as usize] = now;
                scheduler.ended(action, Ended::Done);
            }
        }
        if let Some(stuck) = (0..self.host.len()).find(|action| schedule.end[*action] == u64::MAX) {
            return Err(stuck as u32);
        }
        let joints = self.indexed.order.iter().map(|node| *node as usize);
        for joint in joints.filter(|node| *node >= self.host.len()) {
            let needs = self.indexed.needs[joint].iter();
            let time = needs.map(|need| schedule.end[*need as usize]).max();
            schedule.start[joint] = time.unwrap_or(0);
            schedule.end[joint] = schedule.start[joint];
        }
        Ok(schedule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Bundle, Catalogue, Releases};
    use crate::model::Effect;
    use crate::plan::SESSIONS_PER_HOST;
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
