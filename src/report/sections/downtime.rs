//! What stands still, and for how long.

use crate::model::{Budget, Selector, StageTime};
use crate::report::doc::{Bar, Block, Line, Section, Span, Tone, Weight};
use crate::report::view::{View, about};
use crate::text::{count, number};
use std::collections::{BTreeMap, BTreeSet};

/// Names along the longest chain.
const CHAIN: usize = 16;

pub(super) fn section(view: &View) -> Option<Section> {
    let spec = view.spec;
    if spec.actions.is_empty() {
        return None;
    }
    let times = &spec.estimate;
    let figure = |seconds: u32| Line::new().strong(about(seconds));
    let mut facts = vec![
        (
            "Kubernetes API",
            figure(times.api_outage_s).dim(" without an answer"),
        ),
        (
            "logins",
            figure(times.login_outage_s).dim(" without the dashboard and new sessions"),
        ),
    ];
    if times.worker_outage_s > 0 {
        let line = figure(times.worker_outage_s).dim(" at most, then they run again");
        let line = match workers_at_once(view) {
            Some(budget) => {
                let workers = count(budget.capacity as usize, "worker");
                let because = match budget.because.as_str() {
                    "" => String::new(),
                    because => format!(" ({because})"),
                };
                line.dim("; ").plain(format!("{workers} at once")).dim(because)
            }
            None => line,
        };
        facts.push(("one worker's pods", line));
    }
    let total = figure(times.total_s).dim(format!(
        " without waits at gates; no run at {} is shorter than {}",
        count(times.width as usize, "connection"),
        about(times.bound_s)
    ));
    facts.push(("whole run", total));
    facts.push((
        "longest chain",
        figure(times.critical_path_s).dim(": ").plain(chain(view)),
    ));
    let mut blocks = Vec::new();
    if let Some(line) = ticket(view) {
        blocks.push(Block::text(line));
        blocks.push(Block::Gap);
    }
    blocks.push(Block::Facts(facts));
    blocks.push(Block::Gap);
    let bars: Vec<Bar> = times
        .stages
        .iter()
        .filter_map(|time| {
            spec.stages
                .iter()
                .find(|stage| stage.id == time.stage)
                .map(|stage| (time, stage))
        })
        .map(|(time, stage)| Bar {
            label: Span::new(Tone::Plain, &stage.id),
            start: time.start_s.into(),
            end: time.end_s.into(),
            tone: match (stage.point_of_no_return, stage.downtime) {
                (true, _) => Tone::Danger,
                (false, true) => Tone::Change,
                (false, false) => Tone::Good,
            },
        })
        .collect();
    if !bars.is_empty() {
        blocks.push(Block::Bars(bars));
        blocks.push(Block::Gap);
    }
    blocks.push(Block::text(
        Line::new().dim("estimates from the catalogue's figures per step, not measurements"),
    ));
    Some(Section {
        id: "downtime",
        title: "Downtime".to_owned(),
        gist: format!("API {}, estimated", about(times.api_outage_s)),
        weight: Weight::Risk,
        blocks,
    })
}

/// From when to when users notice that something happens, in seconds from the start: from the first stage that counts as
/// downtime until the last of them has ended and everybody can log in again. Absent when no stage counts as downtime.
pub(super) fn window(view: &View) -> Option<(u32, u32)> {
    let times = &view.spec.estimate;
    let down: Vec<&StageTime> = times
        .stages
        .iter()
        .filter(|time| {
            view.spec
                .stages
                .iter()
                .any(|stage| stage.id == time.stage && stage.downtime)
        })
        .collect();
    let start = down.iter().map(|time| time.start_s).min()?;
    let end = down.iter().map(|time| time.end_s).max()?;
    let back = start.saturating_add(times.api_outage_s.max(times.login_outage_s));
    Some((start, end.max(back)))
}

fn workers_at_once<'a>(view: &View<'a>) -> Option<&'a Budget> {
    view.spec
        .budgets
        .iter()
        .find(|budget| budget.counts == Selector::Workers)
}

/// What users feel, in one sentence that can be copied into a change ticket.
fn ticket(view: &View) -> Option<Line> {
    let times = &view.spec.estimate;
    let (start, end) = window(view)?;
    let workers = match (times.worker_outage_s, workers_at_once(view)) {
        (0, _) => String::new(),
        (outage, budget) => {
            let at_once = budget.map_or(String::new(), |budget| {
                format!(", {} at a time", count(budget.capacity as usize, "worker"))
            });
            format!(
                "; the pods of each worker stop once, for {} at most{at_once}",
                about(outage)
            )
        }
    };
    Some(
        Line::new()
            .dim("for the ticket: ")
            .strong(format!("users notice the upgrade for {}", about(end - start)))
            .plain(format!(
                " of its {}: the Kubernetes API does not answer for the first {}, nobody can log in for {}{workers}",
                about(times.total_s),
                about(times.api_outage_s),
                about(times.login_outage_s),
            )),
    )
}

/// The longest chain by step: neighbours of one step become one name with a count.
fn chain(view: &View) -> String {
    let chain: BTreeSet<&str> = view
        .spec
        .estimate
        .critical_path
        .iter()
        .map(String::as_str)
        .collect();
    let step: BTreeMap<&str, &str> = view
        .spec
        .actions
        .iter()
        .filter(|action| chain.contains(action.id.as_str()))
        .map(|action| (action.id.as_str(), action.step.as_str()))
        .collect();
    let mut steps: Vec<(&str, usize)> = Vec::new();
    for id in &view.spec.estimate.critical_path {
        // Joints are waits, not work.
        let Some(step) = step.get(id.as_str()) else {
            continue;
        };
        match steps.iter_mut().find(|(known, _)| known == step) {
            Some((_, n)) => *n += 1,
            None => steps.push((step, 1)),
        }
    }
    let names: Vec<String> = steps
        .iter()
        .map(|(step, n)| {
            if *n > 1 {
                format!("{step} ×{}", number(*n))
            } else {
                (*step).to_owned()
            }
        })
        .collect();
    if names.len() <= CHAIN {
        return names.join(" → ");
    }
    let head = names[..CHAIN / 2].join(" → ");
    let tail = names[names.len() - CHAIN / 2..].join(" → ");
    format!("{head} → … {} more … → {tail}", number(names.len() - CHAIN))
}
