//! How long it still takes: the scheduler over what is left, so the longest chain of actions decides, with connections and
//! budgets in it.
//!
//! A step whose actions have ended is expected to take as long as they did on average; the others take what the plan
//! estimates, scaled by how right its estimates were so far.

use crate::apply::scheduler::{Frame, bound};
use crate::plan::{Indexed, Workload};
use crate::report::progress::{Progress, State};

/// Milliseconds that the plan's estimates are trusted with: so little of measured time changes little.
const TRUST_MS: u64 = 10_000;

/// The way that is left.
pub(super) struct Way<'a> {
    load: Workload<'a>,
    /// The action of the plan behind each action of the way.
    places: Vec<Option<usize>>,
    width: u32,
}

impl<'a> Way<'a> {
    pub(super) fn new(
        frame: &Frame<'_>,
        indexed: &'a Indexed<'a>,
        progress: &Progress,
        width: u32,
    ) -> Way<'a> {
        let rows = frame.rows().actions.iter();
        Way {
            load: frame.workload(indexed),
            places: rows.map(|row| progress.place(&row.id)).collect(),
            width,
        }
    }

    /// Milliseconds until everything has ended when each action of the plan still takes so long.
    pub(super) fn left_ms(&mut self, times: &[u64]) -> u64 {
        let mut nodes = vec![0; self.load.seconds.len()];
        for (node, place) in self.places.iter().enumerate() {
            nodes[node] = place.map_or(0, |place| times[place]);
        }
        self.load.set_times(nodes);
        match self.load.simulate(self.width) {
            Ok(schedule) => schedule.end.into_iter().max().unwrap_or(0),
            // A graph in which something never gets its budgets; the engine would not have begun it.
            Err(_) => bound(&self.load, self.width),
        }
    }
}

/// Milliseconds that each action of the plan is still expected to take.
pub(super) fn times(progress: &Progress, now_ms: u64) -> Vec<u64> {
    let expected = expected(progress);
    let actions = progress.states.iter().enumerate();
    let times = actions.map(|(action, state)| {
        let all = expected[progress.step[action]];
        match state {
            State::Absent | State::Done | State::LeftOut => 0,
            State::Waiting | State::Failed => all,
            State::Running => {
                let start_ms = progress.running.get(&action).map_or(now_ms, |it| it.start_ms);
                // What is over its time is expected to end soon, not to have ended.
                all.saturating_sub(now_ms.saturating_sub(start_ms)).max(all / 10)
            }
        }
    });
    times.collect()
}

/// Milliseconds that an action of each step is expected to take.
fn expected(progress: &Progress) -> Vec<u64> {
    let estimate = |step: usize| u64::from(progress.spec.steps[step].estimate_s) * 1000;
    let (mut measured, mut planned) = (TRUST_MS, TRUST_MS);
    // Each step counts once, so that many hosts with a short step do not outweigh one with a long one.
    for (step, state) in progress.steps.iter().enumerate() {
        if let Some(took) = state.took_ms.checked_div(state.took) {
            measured += took;
            planned += estimate(step);
        }
    }
    let scaled = |ms: u64| {
        let scaled = u128::from(ms) * u128::from(measured) / u128::from(planned);
        let scaled = u64::try_from(scaled).unwrap_or(u64::MAX);
        scaled.clamp(ms / 100, ms.saturating_mul(4))
    };
    let steps = progress.steps.iter().enumerate();
    steps
        .map(|(step, state)| match state.took {
            0 => scaled(estimate(step)),
            took => state.took_ms / took,
        })
        .collect()
}
