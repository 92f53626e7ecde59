//! The run report: how long everything took, held against how long it had to take, and which copies were kept.

pub mod text;

pub use text::render;

use crate::apply::outputs::Recorded;
use crate::apply::scheduler::Frame;
use crate::apply::{RunResult, Verb};
use crate::model::{Bytes, Effect, Keep, OutputKind, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Version of the report: `MAJOR.MINOR`. A minor adds, a major is refused.
pub const REPORT_FORMAT: &str = "1.0";
/// `kind` of a report.
pub const REPORT_KIND: &str = "mkectl.run-report";

/// What a run took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunReport {
    /// Always `mkectl.run-report`.
    pub kind: String,
    /// Version of the format.
    pub format_version: String,
    /// Digest of the plan.
    pub plan: String,
    /// Name of the run.
    pub run: String,
    /// How it ended: `done`, `gate`, `nothing-changed`, `rolled-back`, `paused`, `undecided`, `detached`.
    pub outcome: String,
    /// Exit status of the process.
    pub exit: u8,
    /// Actions of the plan.
    pub actions: u32,
    /// Of them, those that are done, over all runs.
    pub done: u32,
    /// Of them, those that did not end well in this run.
    pub failed: u32,
    /// Hosts that were left out, sorted.
    pub left_out: Vec<String>,
    /// From the first start to the last end of the way forward, in this run.
    pub achieved_ms: u64,
    /// No run with these times of actions could have been shorter.
    pub bound_ms: u64,
    /// Achieved time in per cent of the bound, rounded up; absent when nothing ran forward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_of_bound: Option<u64>,
    /// What the plan expected the whole to take.
    pub estimate_ms: u64,
    /// Stages in which something ran, in plan order.
    pub stages: Vec<StageTimes>,
    /// The longest chain of actions with the times of this run.
    pub critical_path: Vec<ActionTime>,
    /// Steps of which something ran, in plan order.
    pub steps: Vec<StepTimes>,
    /// Hosts by how much longer they took than others, the slowest first.
    pub hosts: Vec<HostTimes>,
    /// Copies that are still there.
    pub copies: Vec<Copy>,
    /// Every action of this run, by start.
    pub times: Vec<ActionTime>,
}

/// A stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageTimes {
    /// Stage.
    pub stage: String,
    /// What was done.
    pub verb: Verb,
    /// First start, from the start of the run.
    pub start_ms: u64,
    /// Last end.
    pub end_ms: u64,
}

/// An action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActionTime {
    /// Action.
    pub action: String,
    /// What was done.
    pub verb: Verb,
    /// Start of its first attempt, from the start of the run.
    pub start_ms: u64,
    /// End of its last attempt.
    pub end_ms: u64,
}

/// A step over its hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepTimes {
    /// Step.
    pub step: String,
    /// What was done.
    pub verb: Verb,
    /// How many actions.
    pub actions: u32,
    /// What the plan expected one to take.
    pub estimate_ms: u64,
    /// The quickest.
    pub shortest_ms: u64,
    /// The one in the middle.
    pub median_ms: u64,
    /// The slowest.
    pub longest_ms: u64,
    /// Its host.
    pub longest_host: String,
    /// All together.
    pub total_ms: u64,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostTimes {
    /// Host.
    pub host: String,
    /// How long its actions took, all together.
    pub busy_ms: u64,
    /// By how much its actions took longer than the median of their steps, all together.
    pub behind_ms: u64,
}

/// A file that was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Copy {
    /// The action that made it.
    pub action: String,
    /// Name of the output.
    pub output: String,
    /// Host; empty for the operator's machine.
    pub host: String,
    /// Path there.
    pub path: String,
    /// Size.
    pub size: Bytes,
    /// `sha256:…` of its content.
    pub sha256: String,
    /// It holds secrets.
    pub secret: bool,
    /// Until when.
    pub keep: Keep,
}

impl RunReport {
    /// The report of a run.
    pub fn new(spec: &Spec, plan: &str, run: &str, result: &RunResult) -> RunReport {
        let rows = Rows::new(spec, result);
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let estimate = |step: &Step| u64::from(step.estimate_s) * 1000;
        let percent =
            (result.bound_ms > 0).then(|| result.achieved_ms.saturating_mul(100).div_ceil(result.bound_ms));
        let steps = rows.steps();
        RunReport {
            kind: REPORT_KIND.to_owned(),
            format_version: REPORT_FORMAT.to_owned(),
            plan: plan.to_owned(),
            run: run.to_owned(),
            outcome: result.outcome.name().to_owned(),
            exit: result.exit(),
            actions: small(spec.actions.len()),
            done: small(result.book.done.len()),
            failed: small(result.failures.len()),
            left_out: result.left_out.iter().cloned().collect(),
            achieved_ms: result.achieved_ms,
            bound_ms: result.bound_ms,
            percent_of_bound: percent,
            estimate_ms: u64::from(spec.estimate.total_s) * 1000,
            stages: rows.stages(),
            critical_path: rows.critical_path(),
            hosts: rows.hosts(&steps),
            steps: steps
                .into_iter()
                .map(|(step, verb, times)| StepTimes {
                    step: step.id.clone(),
                    verb,
                    actions: small(times.len()),
                    estimate_ms: estimate(step),
                    shortest_ms: times.first().map_or(0, |it| it.0),
                    median_ms: median(&times),
                    longest_ms: times.last().map_or(0, |it| it.0),
                    longest_host: times.last().map_or(String::new(), |it| it.1.to_owned()),
                    total_ms: times.iter().map(|it| it.0).sum(),
                })
                .collect(),
            copies: copies(spec, result),
            times: rows.times(),
        }
    }

    /// The report as JSON, with a line break at its end.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// The JSON Schema of a report (draft 2020-12).
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(RunReport).to_value()
}

fn median(sorted: &[(u64, &str)]) -> u64 {
    // The lower one of two, so that with two hosts the slower one is the one that is behind.
    sorted
        .get(sorted.len().saturating_sub(1) / 2)
        .map_or(0, |it| it.0)
}

/// Times of a step by host, shortest first.
type Times<'a> = (&'a Step, Verb, Vec<(u64, &'a str)>);

struct Rows<'a> {
    spec: &'a Spec,
    result: &'a RunResult,
    /// Step and host of each action.
    places: BTreeMap<&'a str, (usize, &'a str)>,
}

impl<'a> Rows<'a> {
    fn new(spec: &'a Spec, result: &'a RunResult) -> Rows<'a> {
        let steps: BTreeMap<&str, usize> = spec.steps.iter().map(|it| it.id.as_str()).zip(0..).collect();
        let place = |it: &'a crate::model::Action| {
            let step = *steps.get(it.step.as_str())?;
            Some((it.id.as_str(), (step, it.host.as_str())))
        };
        Rows {
            spec,
            result,
            places: spec.actions.iter().filter_map(place).collect(),
        }
    }

    /// Every action of the run with its step, host, verb, start and end.
    fn all(&self) -> impl Iterator<Item = (usize, &'a str, &'a crate::apply::engine::Timing)> {
        self.result.timings.iter().filter_map(|timing| {
            let (step, host) = self.places.get(timing.action.as_str())?;
            Some((*step, *host, timing))
        })
    }

    fn times(&self) -> Vec<ActionTime> {
        let mut times: Vec<ActionTime> = self.all().map(|(.., timing)| row(timing)).collect();
        times.sort_by(|a, b| (a.start_ms, a.end_ms, &a.action).cmp(&(b.start_ms, b.end_ms, &b.action)));
        times
    }

    fn stages(&self) -> Vec<StageTimes> {
        let mut spans: BTreeMap<(Verb, usize), (u64, u64)> = BTreeMap::new();
        for (step, _, timing) in self.all() {
            let id = &self.spec.steps[step].stage;
            let Some(stage) = self.spec.stages.iter().position(|it| it.id == *id) else {
                continue;
            };
            let span = spans
                .entry((timing.verb, stage))
                .or_insert((timing.start_ms, timing.end_ms));
            *span = (span.0.min(timing.start_ms), span.1.max(timing.end_ms));
        }
        let spans = spans.into_iter();
        spans
            .map(|((verb, stage), (start_ms, end_ms))| StageTimes {
                stage: self.spec.stages[stage].id.clone(),
                verb,
                start_ms,
                end_ms,
            })
            .collect()
    }

    fn steps(&self) -> Vec<Times<'a>> {
        let mut steps: BTreeMap<(Verb, usize), Vec<(u64, &str)>> = BTreeMap::new();
        for (step, host, timing) in self.all() {
            let took = timing.end_ms.saturating_sub(timing.start_ms);
            steps.entry((timing.verb, step)).or_default().push((took, host));
        }
        let steps = steps.into_iter();
        steps
            .map(|((verb, step), mut times)| {
                times.sort_unstable();
                (&self.spec.steps[step], verb, times)
            })
            .collect()
    }

    fn hosts(&self, steps: &[Times<'a>]) -> Vec<HostTimes> {
        let mut hosts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (_, _, times) in steps {
            let median = median(times);
            for (took, host) in times {
                let sum = hosts.entry(host).or_default();
                sum.0 += took;
                sum.1 += took.saturating_sub(median);
            }
        }
        let rows = hosts.into_iter();
        let mut rows: Vec<HostTimes> = rows
            .map(|(host, (busy_ms, behind_ms))| HostTimes {
                host: host.to_owned(),
                busy_ms,
                behind_ms,
            })
            .collect();
        rows.sort_by(|a, b| (b.behind_ms, b.busy_ms, &a.host).cmp(&(a.behind_ms, a.busy_ms, &b.host)));
        rows
    }

    /// The longest chain of actions that ran forward.
    fn critical_path(&self) -> Vec<ActionTime> {
        let forward = self.all().filter(|(.., timing)| timing.verb == Verb::Run);
        let ran: BTreeMap<&str, &crate::apply::engine::Timing> = forward
            .map(|(.., timing)| (timing.action.as_str(), timing))
            .collect();
        let frame = Frame::forward(self.spec);
        let Ok(indexed) = frame.indexed() else {
            return Vec::new();
        };
        let mut load = frame.workload(&indexed);
        let mut times = vec![0; load.seconds.len()];
        for (node, action) in self.spec.actions.iter().enumerate() {
            let took = ran.get(action.id.as_str());
            times[node] = took.map_or(0, |it| it.end_ms.saturating_sub(it.start_ms));
        }
        load.set_times(times);
        let path = load.critical_path().into_iter();
        path.filter_map(|node| ran.get(indexed.id(node)).copied().map(row))
            .collect()
    }
}

fn row(timing: &crate::apply::engine::Timing) -> ActionTime {
    ActionTime {
        action: timing.action.clone(),
        verb: timing.verb,
        start_ms: timing.start_ms,
        end_ms: timing.end_ms,
    }
}

/// Files that outlive the run: those that are kept, and those until the point of no return where it was not passed.
fn copies(spec: &Spec, result: &RunResult) -> Vec<Copy> {
    let book = &result.book;
    let removes: BTreeSet<&str> = spec
        .steps
        .iter()
        .filter(|step| step.effect == Effect::Destroys)
        .map(|step| step.id.as_str())
        .collect();
    // What removes the secrets of a host is the last of its removals.
    let cleaned = |host: &str| {
        let mut mine = spec
            .actions
            .iter()
            .filter(|it| it.host == host && removes.contains(it.step.as_str()))
            .peekable();
        mine.peek().is_some() && mine.all(|it| book.done.contains_key(&it.id))
    };
    let mut copies = Vec::new();
    for action in &spec.actions {
        let Some(outputs) = book.done.get(&action.id) else {
            continue;
        };
        let Some(step) = spec.steps.iter().find(|step| step.id == action.step) else {
            continue;
        };
        for (name, value) in outputs {
            let declared = step.outputs.get(name).filter(|it| it.kind == OutputKind::File);
            let (Some(declared), Recorded::File(file)) = (declared, value) else {
                continue;
            };
            let keep = declared.keep.unwrap_or(Keep::Run);
            if keep == Keep::Run || (keep == Keep::Commit && cleaned(&file.host)) {
                continue;
            }
            copies.push(Copy {
                action: action.id.clone(),
                output: name.clone(),
                host: file.host.clone(),
                path: file.path.clone(),
                size: file.size,
                sha256: file.sha256.clone(),
                secret: declared.secret,
                keep,
            });
        }
    }
    copies
}
