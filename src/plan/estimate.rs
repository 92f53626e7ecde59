//! How long it takes: figures from the simulated run, and the bound that no run can beat.

use super::schedule::{Schedule, Workload};
use crate::catalogue::Catalogue;
use crate::model::{At, Budget, Effect, Estimate, Selector, StageTime, Step};

/// The builtin that writes the administrator's kubeconfig: what it needs is what makes the new API usable from outside.
const KUBECONFIG_BUILTIN: &str = "write-kubeconfig";

/// Works out all figures.
///
/// * **API outage**: from the first changing action of a stage that is marked `downtime` until everything has ended that
///   the action with the builtin `write-kubeconfig` needs, because from then on the new API answers through the external
///   address. Without such an action: until the last stage marked `downtime` has ended.
/// * **Login outage**: from the same moment until the last changing action on a host before the point of no return, because
///   users and grants are among the last things that are set up.
/// * **Worker outage**: the longest time that one worker holds a budget that counts workers, in stages marked `downtime`.
pub fn estimate(
    catalogue: &Catalogue,
    load: &Workload<'_>,
    budgets: &[Budget],
    schedule: &Schedule,
    width: u32,
) -> Estimate {
    let rows = load.indexed.rows;
    let steps = |action: u32| load.indexed.step(action).map(|step| (action as usize, step));
    let actions = || (0..rows.actions.len() as u32).filter_map(steps);
    let total = actions().map(|(at, _)| schedule.end[at]).max().unwrap_or(0);
    let critical = actions().map(|(at, _)| load.remaining[at]).max().unwrap_or(0);
    let downtime = |step: &Step| {
        rows.stages
            .iter()
            .any(|stage| stage.id == step.stage && stage.downtime)
    };
    let reversible = |step: &Step| {
        let past = rows.stages.iter().take_while(|stage| !stage.point_of_no_return);
        past.into_iter().any(|stage| stage.id == step.stage)
    };
    let flags: Vec<(bool, bool)> = rows
        .steps
        .iter()
        .map(|step| (downtime(step), reversible(step)))
        .collect();
    let flag = |at: usize| flags[load.indexed.step[at] as usize];

    let stopped = actions()
        .filter(|(at, step)| flag(*at).0 && step.effect != Effect::Reads)
        .map(|(at, _)| schedule.start[at])
        .min();
    let answers = match api_checks(catalogue) {
        Some(checks) => {
            let check = |step: &Step| checks.contains(&step.id.as_str());
            let ends = actions()
                .filter(|(_, step)| check(step))
                .map(|(at, _)| schedule.end[at]);
            ends.max()
        }
        None => actions()
            .filter(|(at, _)| flag(*at).0)
            .map(|(at, _)| schedule.end[at])
            .max(),
    };
    let logins = actions()
        .filter(|(at, step)| flag(*at).1 && step.effect != Effect::Reads && step.at != At::Operator)
        .map(|(at, _)| schedule.end[at])
        .max();
    let held = actions().filter(|(at, _)| flag(*at).0).flat_map(|(at, _)| {
        let workers = |budget: &u32| budgets[*budget as usize].counts == Selector::Workers;
        let takes = load.takes[at].iter().filter(move |(budget, _)| workers(budget));
        takes.map(move |(_, end)| schedule.end[*end as usize].saturating_sub(schedule.start[at]))
    });
    let since = |end: Option<u64>| match (stopped, end) {
        (Some(start), Some(end)) => seconds(end.saturating_sub(start)),
        _ => 0,
    };
    Estimate {
        total_s: seconds(total),
        critical_path_s: seconds(critical),
        bound_s: seconds(bound(load, width).max(critical)),
        width,
        api_outage_s: since(answers),
        login_outage_s: since(logins),
        worker_outage_s: seconds(held.max().unwrap_or(0)),
        critical_path: load
            .critical_path()
            .into_iter()
            .map(|action| load.indexed.id(action).to_owned())
            .collect(),
        stages: windows(load, schedule),
    }
}

fn seconds(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// What must have ended before the administrator's kubeconfig is written.
fn api_checks(catalogue: &Catalogue) -> Option<Vec<&str>> {
    let writes = |builtin: &Option<String>| builtin.as_deref() == Some(KUBECONFIG_BUILTIN);
    let action = catalogue.actions.iter().find(|action| writes(&action.builtin))?;
    let needs: Vec<&str> = action.needs.iter().map(|need| need.action()).collect();
    (!needs.is_empty()).then_some(needs)
}

/// No run can be shorter: neither than all work over all connections, nor, for any budget, than the shortest way to the
/// first that holds it, everything that must be held divided by its capacity, and the shortest way after one that held it.
fn bound(load: &Workload<'_>, width: u32) -> u64 {
    let remote = |action: &u32| {
        load.indexed
            .step(*action)
            .is_some_and(|step| step.at != At::Operator)
    };
    let actions = 0..load.host.len() as u32;
    let work: u64 = actions
        .clone()
        .filter(remote)
        .map(|action| load.seconds[action as usize])
        .sum();
    let mut bound = work.div_ceil(u64::from(width.max(1)));
    let mut budgets: Vec<Option<(u64, u64, u64)>> = vec![None; load.capacity.len()];
    for action in actions {
        for &(budget, end) in &load.takes[action as usize] {
            let before = load.earliest[action as usize];
            let after = load.remaining[end as usize] - load.seconds[end as usize];
            let held = held(load, action, end);
            let sum = budgets[budget as usize].get_or_insert((before, 0, after));
            *sum = (sum.0.min(before), sum.1 + held, sum.2.min(after));
        }
    }
    for (sum, capacity) in budgets.iter().zip(&load.capacity) {
        if let Some((before, held, after)) = sum {
            bound = bound.max(before + held.div_ceil(u64::from(*capacity)) + after);
        }
    }
    bound
}

/// The least time from the start of an action to the end of another about the same host: the longest way between them that
/// stays with the host, as a hold must.
fn held(load: &Workload<'_>, from: u32, to: u32) -> u64 {
    let host = load.host[from as usize];
    let mut longest = load.seconds[from as usize];
    let mut open = vec![(to, load.seconds[to as usize])];
    let mut seen = std::collections::BTreeMap::new();
    while let Some((node, seconds)) = open.pop() {
        if node == from {
            longest = longest.max(seconds);
            continue;
        }
        if seen.get(&node).is_some_and(|known| *known >= seconds) {
            continue;
        }
        seen.insert(node, seconds);
        for &need in &load.indexed.needs[node as usize] {
            if load.host.get(need as usize) == Some(&host) {
                open.push((need, seconds + load.seconds[need as usize]));
            }
        }
    }
    longest
}

/// When each stage runs. A stage without actions takes no time where the stages before it end.
fn windows(load: &Workload<'_>, schedule: &Schedule) -> Vec<StageTime> {
    let mut spans: Vec<Option<(u64, u64)>> = vec![None; load.indexed.rows.stages.len()];
    for (action, step) in load.indexed.step.iter().enumerate() {
        let (start, end) = (schedule.start[action], schedule.end[action]);
        let span = spans[load.indexed.stage[*step as usize] as usize].get_or_insert((start, end));
        *span = (span.0.min(start), span.1.max(end));
    }
    let mut reached = 0;
    let stages = load.indexed.rows.stages.iter().zip(spans);
    stages
        .map(|(stage, span)| {
            let (start, end) = span.unwrap_or((reached, reached));
            reached = reached.max(end);
            StageTime {
                stage: stage.id.clone(),
                start_s: seconds(start),
                end_s: seconds(end),
            }
        })
        .collect()
}
