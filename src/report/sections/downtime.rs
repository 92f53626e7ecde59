//! What stands still, and for how long.

use crate::model::{Budget, Selector};
use crate::report::doc::{Bar, Block, Line, Section, Span, Tone, Weight};
use crate::report::view::View;
use crate::text::{count, duration, number};
use std::collections::BTreeMap;

/// Names along the longest chain.
const CHAIN: usize = 16;

pub(super) fn section(view: &View) -> Option<Section> {
    let spec = view.spec;
    if spec.actions.is_empty() {
        return None;
    }
    let times = &spec.estimate;
    let about = |seconds: u32| Line::new().strong(format!("≈\u{a0}{}", duration(seconds.into())));
    let mut worker = about(times.worker_outage_s).dim(" at most, then it runs again");
    if let Some(Budget {
        capacity, because, ..
    }) = spec
        .budgets
        .iter()
        .find(|budget| budget.counts == Selector::Workers)
    {
        worker = worker
            .dim("; ")
            .plain(format!("{} at once", count(*capacity as usize, "worker")));
        worker = if because.is_empty() {
            worker
        } else {
            worker.dim(format!(" ({because})"))
        };
    }
    let total = about(times.total_s).dim(format!(
        " without waits at gates; no run at {} is shorter than ≈\u{a0}{}",
        count(times.width as usize, "connection"),
        duration(times.bound_s.into())
    ));
    let mut blocks = vec![
        Block::Facts(vec![
            (
                "Kubernetes API",
                about(times.api_outage_s).dim(" without an answer"),
            ),
            (
                "logins",
                about(times.login_outage_s).dim(" without the dashboard and new sessions"),
            ),
            ("one worker's pods", worker),
            ("whole run", total),
            (
                "longest chain",
                about(times.critical_path_s).dim(": ").plain(chain(view)),
            ),
        ]),
        Block::Gap,
    ];
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
    blocks.push(Block::text(Line::new().dim(
        "estimates from the catalogue's figures per step, not measurements; rehearse or a first run gives better ones",
    )));
    Some(Section {
        id: "downtime",
        title: "Downtime".to_owned(),
        gist: format!("API ≈\u{a0}{}, estimated", duration(times.api_outage_s.into())),
        weight: Weight::Risk,
        blocks,
    })
}

/// The longest chain by step: neighbours of one step become one name with a count.
fn chain(view: &View) -> String {
    let step: BTreeMap<&str, &str> = view
        .spec
        .actions
        .iter()
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
