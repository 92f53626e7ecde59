//! The engine over 1,000 hosts in memory, on a paused clock: how close it comes to the bound, what it costs an action, and
//! what a barrier after each stage would cost.
//!
//! `cargo bench --bench engine` prints one line each. The times of actions differ from host to host, as real ones do.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use mkectl::apply::control::{Control, Policy};
use mkectl::apply::engine::{Direction, Limits};
use mkectl::apply::events::Events;
use mkectl::apply::journal::{Journal, MemoryStore};
use mkectl::apply::{ActionCall, ActionEnd, Executor};
use mkectl::apply::{Clock, Fut, Outcome, RunResult, Setup, run};
use mkectl::model::{
    Action, At, Budget, Cancel, Cluster, Conversion, Effect, Estimate, Host, Intent, Joint, Lines, OnFailure,
    Role, Selector, Spec, Stage, Step, Take, Undo, UndoKind,
};
use mkectl::options::FailurePolicy;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const HOSTS: usize = 1_000;
const STEPS: usize = 12;
const STAGES: usize = 4;
/// The default of `--parallelism`.
const WIDTH: u32 = 30;
/// The default of `--worker-disruption`, 10 %.
const DOWN: u32 = 100;

struct Paused(Instant);

impl Clock for Paused {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn timestamp(&self) -> String {
        String::new()
    }
}

/// Takes the step's estimate, up to half of it less or more, always the same for the same action.
struct Sleeper;

impl Executor for Sleeper {
    fn execute<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ActionEnd> {
        let mark = call.id().bytes().fold(17u64, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        let estimate = u64::from(call.step().estimate_s) * 1000;
        let time = Duration::from_millis(estimate / 2 + mark % (estimate + 1));
        Box::pin(async move {
            tokio::time::sleep(time).await;
            ActionEnd::Done(BTreeMap::new())
        })
    }

    fn cancel<'a>(&'a self, _: &'a ActionCall) -> Fut<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn step(number: usize) -> Step {
    let id = format!("s{number:02}");
    let last = number + 1 == STEPS;
    Step {
        id,
        stage: format!("stage{}", number * STAGES / STEPS),
        title: "Work".to_owned(),
        subjects: Selector::Hosts,
        at: At::Subject,
        script: None,
        script_digest: None,
        builtin: None,
        effect: Effect::Changes,
        undo: Undo {
            kind: UndoKind::Script,
            why: String::new(),
        },
        params: BTreeMap::new(),
        outputs: BTreeMap::new(),
        // The last three steps take the host down.
        budgets: match number + 3 == STEPS {
            true => vec![Take {
                take: "down".to_owned(),
                until: Some(format!("s{:02}", STEPS - 1)),
            }],
            false => Vec::new(),
        },
        changes: mkectl::model::Changes::default(),
        relies: Vec::new(),
        cancel: Cancel::Finish,
        users_write: false,
        repeatable: false,
        timeout_s: 3_600,
        retry: 0,
        estimate_s: if last { 60 } else { 10 + 5 * (number as u32 % 4) },
    }
}

/// Every host goes its own way, or all wait for all at the end of each stage.
fn spec(empty: &Spec, barriers: bool, down: u32) -> Spec {
    let mut spec = empty.clone();
    spec.hosts = (0..HOSTS)
        .map(|number| Host {
            id: format!("h{number:04}"),
            role: Some(if number == 0 { Role::Manager } else { Role::Worker }),
            address: String::new(),
            port: 22,
            user: String::new(),
            key_path: String::new(),
            bastion: None,
            host_keys: Vec::new(),
            machine_id: String::new(),
            fields: BTreeMap::new(),
            facts: BTreeMap::new(),
        })
        .collect();
    spec.stages = (0..STAGES)
        .map(|number| Stage {
            id: format!("stage{number}"),
            title: String::new(),
            downtime: false,
            failure: OnFailure::Rollback,
            gate: false,
            point_of_no_return: false,
            undo_loses: String::new(),
        })
        .collect();
    spec.budgets = vec![Budget {
        id: "down".to_owned(),
        counts: Selector::Hosts,
        capacity: down,
        because: String::new(),
    }];
    spec.steps = (0..STEPS).map(step).collect();
    let first = |number: usize| number.is_multiple_of(STEPS / STAGES);
    for number in 0..STEPS {
        for host in &spec.hosts {
            let before = number
                .checked_sub(1)
                .map(|before| match barriers && first(number) {
                    true => format!("all/s{before:02}"),
                    false => format!("{}/s{before:02}", host.id),
                });
            spec.actions.push(Action {
                id: format!("{}/s{number:02}", host.id),
                step: format!("s{number:02}"),
                host: host.id.clone(),
                needs: before.into_iter().collect(),
                undecided: None,
            });
        }
        if barriers && first(number + 1) && number + 1 < STEPS {
            spec.joints.push(Joint {
                id: format!("all/s{number:02}"),
                needs: spec
                    .hosts
                    .iter()
                    .map(|host| format!("{}/s{number:02}", host.id))
                    .collect(),
            });
        }
    }
    spec
}

async fn once(spec: Spec, width: u32) -> RunResult {
    let result = run(Setup {
        spec: Arc::new(spec),
        digest: "sha256:bench".to_owned(),
        executor: Arc::new(Sleeper),
        journal: Journal::new(Box::new(MemoryStore::default())),
        earlier: Vec::new(),
        token: 1,
        events: Events::new("bench", Arc::new(Paused(Instant::now())), Vec::new()),
        control: Control::none(),
        secrets: BTreeMap::new(),
        width,
        until: None,
        policy: Policy {
            on_failure: FailurePolicy::Auto,
            max_failed_workers: 0,
        },
        direction: Direction::Forward,
        limits: Limits::default(),
    })
    .await
    .expect("the run is possible");
    assert_eq!(result.outcome, Outcome::Done);
    assert_eq!(result.timings.len(), HOSTS * STEPS);
    result
}

fn empty() -> Spec {
    Spec {
        intent: Intent {
            applyable: true,
            not_applyable: Vec::new(),
            catalogue: String::new(),
            options: BTreeMap::new(),
        },
        cluster: Cluster::default(),
        inputs: Vec::new(),
        findings: Vec::new(),
        unchecked: Vec::new(),
        conversion: Conversion::default(),
        rbac: None,
        hosts: Vec::new(),
        secrets: Vec::new(),
        secret_files: Vec::new(),
        assets: Vec::new(),
        images: Vec::new(),
        documents: Vec::new(),
        files: BTreeMap::new(),
        runner: String::new(),
        scripts: BTreeMap::new(),
        stages: Vec::new(),
        budgets: Vec::new(),
        steps: Vec::new(),
        actions: Vec::new(),
        joints: Vec::new(),
        skipped: Vec::new(),
        lines: Lines::default(),
        estimate: Estimate::default(),
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let empty = empty();
    // The longest way goes first, whatever budgets lie on it: where one budget is narrower than the connections and comes
    // last, hosts reach it late. The third line shows what that costs.
    let cases = [
        ("engine", false, WIDTH, DOWN),
        ("with a barrier after each stage", true, WIDTH, DOWN),
        ("with a narrow budget at the end", false, 100, 50),
    ];
    for (number, (name, barriers, width, down)) in cases.into_iter().enumerate() {
        let spec = spec(&empty, barriers, down);
        let began = std::time::Instant::now();
        let result = runtime.block_on(once(spec, width));
        let cost = began.elapsed().as_micros() / (HOSTS * STEPS) as u128;
        let ratio = result.achieved_ms as f64 / result.bound_ms as f64;
        println!(
            "{name}: {HOSTS} hosts × {STEPS} steps, {width} connections, {down} hosts down: {} s, bound {} s, achieved ÷ bound {ratio:.3}, {cost} µs an action",
            result.achieved_ms / 1000,
            result.bound_ms / 1000,
        );
        assert!(number > 0 || ratio <= 1.05, "the engine loses time: {ratio:.3}");
    }
}
