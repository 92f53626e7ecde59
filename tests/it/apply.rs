//! The engine, over hosts in memory and a clock that stands still until everybody waits.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod copies;
mod journal;
pub mod world;

use crate::support::repo;
use mkectl::apply::control::{Control, Interrupt, Policy};
use mkectl::apply::engine::{Direction, Limits};
use mkectl::apply::events::{self, EndKind, Event, Events, Line, Subscriber};
use mkectl::apply::journal::{Decoded, Journal, JournalError, Kept, MemoryStore, Record, Store, decode};
use mkectl::apply::{Fut, Outcome, RunError, RunResult, Secret, Setup, Verb, run};
use mkectl::catalogue::Bundle;
use mkectl::model::{Cancel, OnFailure, Role, Spec};
use mkectl::options::{FailurePolicy, Options};
use mkectl::plan::make::{Inputs, Source, make};
use mkectl::plan::tables::Tables;
use mkectl::source::facts::Facts;
use mkectl::source::hosts::Hosts;
use mkectl::source::mke3::Config;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use std::{fs, io};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use world::{Fault, POISON, Paused, World};

const PLAN: &str = "sha256:plan";

/// The plan of the cluster `three-managers`, as `mkectl plan` makes it.
pub fn spec() -> Arc<Spec> {
    static SPEC: OnceLock<Arc<Spec>> = OnceLock::new();
    Arc::clone(SPEC.get_or_init(|| {
        let read = |name: &str| fs::read(repo(&format!("testdata/clusters/three-managers/{name}"))).unwrap();
        let (config, hosts, facts) = (read("mke3.toml"), read("hosts.yaml"), read("facts.json"));
        let tables = Tables::load(&Bundle::embedded()).unwrap();
        let options = Options {
            external_address: "mke.example.com".to_owned(),
            ..Options::default()
        };
        let made = make(&Inputs {
            tables: &tables,
            config: &Config::parse_bytes("mke3.toml", &config).unwrap(),
            hosts: Source {
                file: "hosts.yaml",
                bytes: &hosts,
                value: &Hosts::parse_bytes("hosts.yaml", &hosts).unwrap(),
            },
            facts: Some(Source {
                file: "facts.json",
                bytes: &facts,
                value: &Facts::parse("facts.json", &facts).unwrap(),
            }),
            accounts: None,
            images: None,
            registry_cas: "",
            options: &options,
            assets: &std::collections::BTreeMap::new(),
        });
        let mut spec = made.unwrap().spec;
        // Without accounts, and before every script is there, a plan is only for reading; its graph is whole.
        spec.intent.applyable = true;
        for action in &mut spec.actions {
            action.undecided = None;
        }
        Arc::new(spec)
    }))
}

/// Keeps the lines, tells the hosts who is left out, and stops the run when it is told to.
#[derive(Default)]
struct Watch {
    lines: Mutex<Vec<Line>>,
    world: Option<Arc<World>>,
    stop_at: Option<usize>,
    presses: usize,
    stop: Mutex<Option<mpsc::UnboundedSender<Interrupt>>>,
}

impl Subscriber for Watch {
    fn line(&self, line: &Line) {
        if let (Event::HostQuarantined { host, .. }, Some(world)) = (&line.event, &self.world) {
            world.leave_out(host);
        }
        let mut lines = self.lines.lock().unwrap();
        lines.push(line.clone());
        let started = |line: &&Line| matches!(line.event, Event::ActionStart { verb: Verb::Run, .. });
        if started(&line) && self.stop_at == Some(lines.iter().filter(started).count()) {
            for _ in 0..self.presses {
                self.stop
                    .lock()
                    .unwrap()
                    .as_ref()
                    .unwrap()
                    .send(Interrupt::Int)
                    .unwrap();
            }
        }
    }
}

/// One run, to be changed before it starts.
struct Case {
    setup: Setup,
    watch: Arc<Watch>,
    store: MemoryStore,
}

fn case(world: &Arc<World>) -> Case {
    stopped_case(world, None, 0)
}

fn stopped_case(world: &Arc<World>, stop_at: Option<usize>, presses: usize) -> Case {
    let spec = spec();
    let (stop, control) = Control::new();
    let watch = Arc::new(Watch {
        world: Some(Arc::clone(world)),
        stop_at,
        presses,
        stop: Mutex::new(Some(stop)),
        ..Watch::default()
    });
    let store = MemoryStore::default();
    let subscriber: Arc<dyn Subscriber> = Arc::clone(&watch) as Arc<dyn Subscriber>;
    let events = Events::new("run-1", Arc::new(Paused(Instant::now())), vec![subscriber]);
    let secret = |name: &str| (name.to_owned(), Secret::new(POISON.as_bytes().to_vec()));
    Case {
        setup: Setup {
            digest: PLAN.to_owned(),
            executor: Arc::clone(world) as _,
            journal: Journal::new(Box::new(store.clone())),
            earlier: Vec::new(),
            token: 1,
            events,
            control,
            secrets: spec
                .secrets
                .iter()
                .map(|it| secret(&it.name))
                .chain([secret("backup-passphrase")])
                .collect(),
            width: spec.estimate.width,
            until: None,
            policy: Policy::of(&spec),
            direction: Direction::Forward,
            limits: Limits::default(),
            spec,
        },
        watch,
        store,
    }
}

impl Case {
    fn after(mut self, bytes: &[u8]) -> Case {
        let earlier = decode(bytes).unwrap();
        self.setup.journal = Journal::after(Box::new(self.store.clone()), &earlier);
        self.setup.earlier = earlier.records;
        self
    }

    async fn run(self) -> RunResult {
        run(self.setup).await.unwrap()
    }
}

fn ids() -> BTreeSet<String> {
    spec().actions.iter().map(|action| action.id.clone()).collect()
}

#[track_caller]
fn kept(world: &World) {
    let violations = world.violations();
    assert!(violations.is_empty(), "{violations:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_takes_exactly_as_long_as_the_plan_says_and_keeps_every_order_and_budget() {
    let world = World::new(&spec(), &[]);
    let case = case(&world);
    let (watch, store) = (Arc::clone(&case.watch), case.store.clone());
    let result = case.run().await;
    kept(&world);
    assert_eq!((result.outcome.clone(), result.exit()), (Outcome::Done, 0));
    assert_eq!(world.applied(), ids());
    assert_eq!(result.achieved_ms, u64::from(spec().estimate.total_s) * 1000);
    assert_eq!(result.bound_ms, u64::from(spec().estimate.bound_s) * 1000);
    assert_eq!(world.log().len(), spec().actions.len(), "each action runs once");

    let lines = watch.lines.lock().unwrap();
    let text: Vec<String> = lines.iter().map(Line::json).collect();
    let schema = jsonschema::validator_for(&events::schema()).unwrap();
    for (number, text) in (1..).zip(&text) {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert!(schema.is_valid(&value), "{text}");
        assert_eq!((&value["v"], &value["seq"]), (&"1.0".into(), &number.into()));
        assert_eq!(serde_json::from_str::<Line>(text).unwrap(), lines[number - 1]);
    }
    assert!(matches!(lines[0].event, Event::RunStart { resumed: false, .. }));
    assert!(matches!(
        lines[lines.len() - 1].event,
        Event::RunEnd { exit: 0, .. }
    ));
    let ended = |line: &&Line| matches!(line.event, Event::StageEnd { .. });
    assert_eq!(lines.iter().filter(ended).count(), spec().stages.len());
    let journal = String::from_utf8(store.bytes()).unwrap();
    assert!(!journal.contains(POISON) && !text.concat().contains(POISON));
    assert!(
        journal.contains("\"revision\":{\"value\":\"42\"}"),
        "outputs are kept"
    );
}

#[tokio::test(start_paused = true)]
async fn a_narrow_run_keeps_the_same_rules() {
    for width in [1, 3] {
        let world = World::new(&spec(), &[]);
        let mut case = case(&world);
        case.setup.width = width;
        let result = case.run().await;
        kept(&world);
        assert_eq!(result.outcome, Outcome::Done);
        assert!(result.achieved_ms >= result.bound_ms);
    }
}

#[tokio::test(start_paused = true)]
async fn until_stops_at_the_gate_and_a_later_run_does_the_rest() {
    let world = World::new(&spec(), &[]);
    let mut bytes = Vec::new();
    let mut seen = BTreeSet::new();
    for (number, stage) in spec().stages.iter().enumerate() {
        let mut case = case(&world).after(&bytes);
        case.setup.until = Some(stage.id.clone());
        let store = case.store.clone();
        let result = case.run().await;
        bytes.extend(store.bytes());
        kept(&world);
        let steps: BTreeSet<&str> = spec_steps(|it| it.stage == stage.id);
        let of_stage = ids().into_iter().filter(|id| steps.contains(step(id)));
        seen.extend(of_stage);
        assert_eq!(world.applied(), seen, "exactly the stages up to {}", stage.id);
        match spec().stages.get(number + 1) {
            Some(next) => {
                assert_eq!(
                    (result.outcome.clone(), result.exit()),
                    (Outcome::Gate(next.id.clone()), 14)
                );
            }
            None => assert_eq!(result.outcome, Outcome::Done),
        }
    }
    // Only tokens that somebody still needed were made twice, and here nobody did.
    assert_eq!(world.log().len(), spec().actions.len());
    assert!(matches!(
        run(case(&world).after(&bytes).setup).await,
        Err(RunError::UsedUp)
    ));
}

fn spec_steps(which: impl Fn(&mkectl::model::Step) -> bool) -> BTreeSet<&'static str> {
    static SPEC: OnceLock<Arc<Spec>> = OnceLock::new();
    let spec = SPEC.get_or_init(spec);
    spec.steps
        .iter()
        .filter(|it| which(it))
        .map(|it| it.id.as_str())
        .collect()
}

fn step(id: &str) -> &str {
    id.rsplit('/').next().unwrap()
}

/// What the operators' tables say about a failure, from the plan and what was begun by then.
fn expected(policy: FailurePolicy, id: &str, begun: &BTreeSet<String>) -> (Outcome, u8) {
    let spec = spec();
    let row = spec.steps.iter().find(|it| it.id == step(id)).unwrap();
    let stage = spec.stages.iter().find(|it| it.id == row.stage).unwrap();
    let host = spec
        .hosts
        .iter()
        .find(|it| id.starts_with(&format!("{}/", it.id)))
        .unwrap();
    let wrote = spec_steps(|it| it.users_write);
    let destroys = spec_steps(|it| it.effect == mkectl::model::Effect::Destroys);
    let wrote = begun.iter().any(|id| wrote.contains(step(id)));
    let destroyed = begun.iter().any(|id| destroys.contains(step(id)));
    let (back, pause) = ((Outcome::RolledBack, 13), (Outcome::Paused, 11));
    match (policy, stage.failure) {
        _ if destroyed => pause,
        (FailurePolicy::Pause, _) => pause,
        (FailurePolicy::Rollback, _) => back,
        (FailurePolicy::Auto, OnFailure::Pause) => pause,
        (FailurePolicy::Auto, _) if !wrote => back,
        // One worker may be left out; then the rest is done, and the exit status tells of the one.
        (FailurePolicy::Auto, OnFailure::Quarantine) if host.role == Some(Role::Worker) => {
            (Outcome::Done, 11)
        }
        (FailurePolicy::Auto, _) => pause,
    }
}

/// What was begun when the first failure was written down.
fn begun_by_the_failure(bytes: &[u8]) -> BTreeSet<String> {
    let mut begun = BTreeSet::new();
    for record in decode(bytes).unwrap().records {
        match record {
            Record::Intent { action, .. } => {
                begun.insert(action);
            }
            Record::Result { end, .. } if end != EndKind::Done => break,
            _ => {}
        }
    }
    begun
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_any_action_ends_as_the_tables_say() {
    let mut seen: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for policy in [FailurePolicy::Auto, FailurePolicy::Rollback, FailurePolicy::Pause] {
        // What the stage says only matters under `auto`; the others are looked at here and there.
        let every = if policy == FailurePolicy::Auto { 1 } else { 5 };
        for id in ids().into_iter().step_by(every) {
            let world = World::new(&spec(), &[(Verb::Run, &id, Fault::Fail)]);
            let mut case = case(&world);
            case.setup.policy.on_failure = policy;
            let (watch, store) = (Arc::clone(&case.watch), case.store.clone());
            let result = case.run().await;
            kept(&world);
            let begun = begun_by_the_failure(&store.bytes());
            let expected = expected(policy, &id, &begun);
            assert_eq!((result.outcome.clone(), result.exit()), expected, "{policy} {id}");
            *seen
                .entry((policy.to_string(), result.outcome.name()))
                .or_default() += 1;
            assert_eq!(result.failures[0].action, id);
            assert_eq!(result.failures[0].reason.stderr, ["it broke"]);
            // Nothing that waits for it has started, but where its host was left out.
            let spec = spec();
            let direct = spec.actions.iter().filter(|it| it.needs.contains(&id));
            let left_out = !result.left_out.is_empty();
            for later in direct {
                let ran = world.log().contains(&(Verb::Run, later.id.clone(), 1));
                assert!(left_out || !ran, "{} ran after {id}", later.id);
            }
            match result.outcome {
                Outcome::RolledBack => {
                    assert_eq!(world.leftovers(), [""; 0], "{policy} {id}");
                    let lines = watch.lines.lock().unwrap();
                    let told = lines.iter().any(
                        |line| matches!(&line.event, Event::RollbackStart { loses, .. } if !loses.is_empty()),
                    );
                    assert!(told, "what a rollback loses is told");
                }
                Outcome::Done => {
                    let host = id.split('/').next().unwrap();
                    assert_eq!(result.left_out, BTreeSet::from([host.to_owned()]));
                    let others = ids()
                        .into_iter()
                        .filter(|it| !it.starts_with(&format!("{host}/")));
                    assert!(
                        others.collect::<BTreeSet<_>>().is_subset(&world.applied()),
                        "{id}"
                    );
                }
                _ => assert!(!world.log().iter().any(|(verb, ..)| *verb == Verb::Undo)),
            }
        }
    }
    // Every outcome of the tables was met.
    let met: BTreeSet<&str> = seen
        .keys()
        .filter(|(policy, _)| policy == "auto")
        .map(|(_, it)| *it)
        .collect();
    assert_eq!(met, BTreeSet::from(["rolled-back", "paused", "done"]), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_failed_worker_is_one_too_many() {
    let spec = spec();
    let workers: Vec<&str> = spec
        .hosts
        .iter()
        .filter(|host| host.role == Some(Role::Worker))
        .map(|host| host.id.as_str())
        .collect();
    assert!(workers.len() >= 3, "{workers:?}");
    let ids: Vec<String> = workers.iter().map(|host| format!("{host}/join-worker")).collect();
    let faults: Vec<_> = ids[..2]
        .iter()
        .map(|id| (Verb::Run, id.as_str(), Fault::Fail))
        .collect();
    for (most, outcome, left_out) in [(1, Outcome::Paused, 1), (2, Outcome::Done, 2)] {
        let world = World::new(&spec, &faults);
        let mut case = case(&world);
        case.setup.policy.max_failed_workers = most;
        let result = case.run().await;
        kept(&world);
        assert_eq!((result.outcome.clone(), result.exit()), (outcome, 11));
        assert_eq!(result.left_out.len(), left_out);
    }
}

#[tokio::test(start_paused = true)]
async fn no_worker_is_left_out_for_what_is_not_about_it_alone() {
    let spec = spec();
    let worker = spec
        .hosts
        .iter()
        .find(|host| host.role == Some(Role::Worker))
        .unwrap();
    let id = format!("{}/join-worker", worker.id);
    for (fault, outcome, left_out) in [
        (Fault::NotAsPlanned, Outcome::Done, 1),
        (Fault::Common, Outcome::Paused, 0),
    ] {
        let world = World::new(&spec, &[(Verb::Run, id.as_str(), fault)]);
        let result = case(&world).run().await;
        kept(&world);
        assert_eq!(result.outcome, outcome);
        assert_eq!(result.left_out.len(), left_out);
    }
}

#[tokio::test(start_paused = true)]
async fn other_causes_end_as_they_should() {
    let lead = &spec()
        .actions
        .iter()
        .find(|it| it.step == "start-lead")
        .unwrap()
        .id
        .clone();
    let mke4k = &spec()
        .actions
        .iter()
        .find(|it| it.step == "mke4k")
        .unwrap()
        .id
        .clone();
    let check = &spec()
        .actions
        .iter()
        .find(|it| it.step == "rbac")
        .unwrap()
        .id
        .clone();
    let join = &spec()
        .actions
        .iter()
        .find(|it| it.step == "join-controller")
        .unwrap()
        .id
        .clone();
    assert_eq!(
        spec()
            .steps
            .iter()
            .find(|it| it.id == "join-controller")
            .unwrap()
            .cancel,
        Cancel::Never
    );
    let cases = [
        (
            lead,
            Fault::NotAsPlanned,
            Outcome::RolledBack,
            EndKind::NotAsPlanned,
        ),
        (lead, Fault::CannotTell, Outcome::RolledBack, EndKind::CannotTell),
        (
            lead,
            Fault::Unreachable(1_000),
            Outcome::RolledBack,
            EndKind::Unreachable,
        ),
        (
            lead,
            Fault::Temporary(1_000),
            Outcome::RolledBack,
            EndKind::Temporary,
        ),
        (lead, Fault::Hang, Outcome::RolledBack, EndKind::Temporary),
        (lead, Fault::WrongOutput, Outcome::RolledBack, EndKind::Failed),
        (mke4k, Fault::CannotTell, Outcome::Undecided, EndKind::CannotTell),
        (
            check,
            Fault::Unreachable(1_000),
            Outcome::Paused,
            EndKind::Unreachable,
        ),
        (join, Fault::Hang, Outcome::Undecided, EndKind::StillRunning),
    ];
    for (id, fault, outcome, end) in cases {
        let world = World::new(&spec(), &[(Verb::Run, id, fault)]);
        let result = case(&world).run().await;
        kept(&world);
        assert_eq!(result.outcome, outcome, "{id} {fault:?}");
        assert_eq!(result.failures[0].end, end, "{id} {fault:?}");
        if fault == Fault::Hang {
            let message = &result.failures[0].reason.message;
            assert!(
                message.ends_with("the last thing seen was: the work is under way"),
                "{message}"
            );
            assert_eq!(result.running.is_empty(), id != join);
            assert_eq!(
                world.cancelled().contains(id),
                id != join,
                "what must not be interrupted is not"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn temporary_failures_and_lost_connections_are_tried_again() {
    let id = spec()
        .actions
        .iter()
        .find(|it| it.step == "mint-worker-token")
        .unwrap()
        .id
        .clone();
    let retry = spec()
        .steps
        .iter()
        .find(|it| it.id == "mint-worker-token")
        .unwrap()
        .retry;
    let total = u64::from(spec().estimate.total_s) * 1000;
    for (fault, attempts) in [(Fault::Temporary(retry), retry + 1), (Fault::Unreachable(5), 1)] {
        let world = World::new(&spec(), &[(Verb::Run, &id, fault)]);
        let case = case(&world);
        let watch = Arc::clone(&case.watch);
        let result = case.run().await;
        kept(&world);
        assert_eq!(result.outcome, Outcome::Done, "{fault:?}");
        let tried: Vec<u32> = world
            .log()
            .iter()
            .filter(|(_, it, _)| *it == id)
            .map(|it| it.2)
            .collect();
        assert_eq!(tried, (1..=attempts).collect::<Vec<_>>(), "{fault:?}");
        let lines = watch.lines.lock().unwrap();
        let waits = lines.iter().filter_map(|line| match &line.event {
            Event::ActionRetry { after_ms, .. } => Some(*after_ms),
            _ => None,
        });
        let waits: Vec<u64> = waits.collect();
        let doubling: Vec<u64> = (1..=waits.len() as u32).map(|n| 1000 << n).collect();
        assert_eq!(waits, doubling, "{fault:?}");
        assert!(result.achieved_ms >= total);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_host_does_not_keep_the_others_from_being_undone() {
    let spec = spec();
    let worker = &spec
        .hosts
        .iter()
        .rfind(|host| host.role == Some(Role::Worker))
        .unwrap()
        .id;
    let failing = spec
        .actions
        .iter()
        .find(|it| it.step == "mke4k")
        .unwrap()
        .id
        .clone();
    let lost = format!("{worker}/join-worker");
    let world = World::new(
        &spec,
        &[
            (Verb::Run, &failing, Fault::Fail),
            (Verb::Undo, &lost, Fault::Unreachable(1_000)),
        ],
    );
    let mut case = case(&world);
    case.setup.policy.on_failure = FailurePolicy::Rollback;
    let (watch, world_of) = (Arc::clone(&case.watch), Arc::clone(&world));
    let result = case.run().await;
    drop(watch);
    assert_eq!((result.outcome.clone(), result.exit()), (Outcome::Undecided, 12));
    assert!(result.remaining.contains(&lost));
    let prefix = format!("{worker}/");
    assert!(
        result.remaining.iter().all(|id| id.starts_with(&prefix)),
        "{:?}",
        result.remaining
    );
    assert!(world_of.leftovers().iter().all(|id| id.starts_with(&prefix)));
}

/// A host on which every look hangs is lost when its time is up, and not at the deadline of the action.
#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_answer_at_all_is_lost_in_time() {
    let spec = spec();
    let frozen = spec
        .actions
        .iter()
        .find(|it| it.step == "prepull")
        .unwrap()
        .id
        .clone();
    let world = World::new(&spec, &[(Verb::Run, &frozen, Fault::Frozen)]);
    let case = case(&world);
    let result = case.run().await;
    let failure = result.failures.iter().find(|it| it.action == frozen).unwrap();
    assert_eq!(failure.end, EndKind::Unreachable, "{failure:?}");
}

/// A way back is not given up because a host cannot do its part at once.
#[tokio::test(start_paused = true)]
async fn an_undo_is_tried_longer_than_an_action() {
    let spec = spec();
    let failing = spec
        .actions
        .iter()
        .find(|it| it.step == "mke4k")
        .unwrap()
        .id
        .clone();
    let step = spec.steps.iter().find(|it| it.id == "stop-kv").unwrap();
    assert!(step.retry < 6, "{}", step.retry);
    let slow = spec
        .actions
        .iter()
        .find(|it| it.step == "stop-kv")
        .unwrap()
        .id
        .clone();
    for (fault, ends) in [
        (Fault::Temporary(6), 13),
        (Fault::Failed(2), 13),
        // A person looks at what fails each time.
        (Fault::Failed(3), 12),
    ] {
        let world = World::new(
            &spec,
            &[(Verb::Run, &failing, Fault::Fail), (Verb::Undo, &slow, fault)],
        );
        let mut case = case(&world);
        case.setup.policy.on_failure = FailurePolicy::Rollback;
        let result = case.run().await;
        assert_eq!(result.exit(), ends, "{fault:?}: {:?}", result.outcome);
        assert_eq!(
            world.leftovers().is_empty(),
            ends == 13,
            "{:?}",
            world.leftovers()
        );
    }
}

/// A store that dies after so many records, in the middle of the next.
struct Dying {
    inner: MemoryStore,
    left: usize,
    dead: Arc<Notify>,
}

impl Store for Dying {
    fn append<'a>(&'a mut self, lines: &'a [u8]) -> Fut<'a, io::Result<()>> {
        Box::pin(async move {
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                if self.left == 0 {
                    self.inner.append(&line[..line.len() / 2]).await?;
                    self.dead.notify_one();
                    std::future::pending::<()>().await;
                }
                self.left -= 1;
                self.inner.append(line).await?;
            }
            Ok(())
        })
    }

    fn sync(&mut self) -> Fut<'_, io::Result<Kept>> {
        Box::pin(std::future::ready(Ok(Kept::Safe)))
    }
}

/// Runs until so many records are written, then drops everything. True when the run ended before that.
async fn killed(mut case: Case, earlier: &[u8], records: usize) -> (Vec<u8>, Option<RunResult>) {
    let mut inner = MemoryStore::default();
    inner.append(earlier).await.unwrap();
    let dead = Arc::new(Notify::new());
    let store = Dying {
        inner: inner.clone(),
        left: records,
        dead: Arc::clone(&dead),
    };
    let decoded: Decoded = decode(earlier).unwrap();
    case.setup.journal = Journal::after(Box::new(store), &decoded);
    case.setup.earlier = decoded.records;
    let result = tokio::select! {
        result = run(case.setup) => Some(result.unwrap()),
        () = dead.notified() => None,
    };
    (inner.bytes(), result)
}

/// The journal without its torn tail, as whoever goes on with it must cut it.
fn whole(mut bytes: Vec<u8>) -> Vec<u8> {
    let decoded = decode(&bytes).unwrap();
    assert_eq!(decoded.torn, decoded.bytes < bytes.len());
    bytes.truncate(decoded.bytes);
    bytes
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_record_and_resumed_it_ends_as_undisturbed() {
    let undisturbed = World::new(&spec(), &[]);
    case(&undisturbed).run().await;
    let mut records = 0;
    loop {
        let world = World::new(&spec(), &[]);
        let (bytes, ended) = killed(case(&world), &[], records).await;
        if ended.is_some() {
            break;
        }
        // The hosts go on meanwhile, for longer or shorter.
        tokio::time::sleep(Duration::from_secs(records as u64 * 7 % 90)).await;
        let result = case(&world).after(&whole(bytes)).run().await;
        kept(&world);
        assert_eq!(result.outcome, Outcome::Done, "killed after {records} records");
        assert_eq!(
            world.applied(),
            undisturbed.applied(),
            "killed after {records} records"
        );
        // Nothing but tokens, which went with the memory of the first run, was made twice.
        let mut ran: BTreeMap<String, u32> = BTreeMap::new();
        for (_, id, _) in world.log() {
            *ran.entry(id).or_default() += 1;
        }
        let twice: Vec<&String> = ran
            .iter()
            .filter(|(_, times)| **times > 1)
            .map(|(id, _)| id)
            .collect();
        assert!(twice.iter().all(|id| step(id).starts_with("mint-")), "{twice:?}");
        records += 1;
    }
    assert!(records > 2 * spec().actions.len(), "{records}");
}

#[tokio::test(start_paused = true)]
async fn killed_all_along_a_rollback_it_is_still_rolled_back() {
    let id = spec()
        .actions
        .iter()
        .find(|it| it.step == "join-controller")
        .unwrap()
        .id
        .clone();
    let mut records = 1;
    loop {
        let world = World::new(&spec(), &[(Verb::Run, &id, Fault::Fail)]);
        let (first, ended) = killed(case(&world), &[], records).await;
        if let Some(ended) = ended {
            assert_eq!(ended.outcome, Outcome::RolledBack);
            break;
        }
        // And killed again soon after.
        let first = whole(first);
        let (second, ended) = killed(case(&world), &first, 5).await;
        if ended.is_none() {
            let result = case(&world).after(&whole(second)).run().await;
            assert_eq!(
                result.outcome,
                Outcome::RolledBack,
                "killed after {records} records"
            );
        }
        kept(&world);
        assert_eq!(world.leftovers(), [""; 0], "killed after {records} records");
        records += 3;
    }
    assert!(records > spec().actions.len(), "{records}");
}

#[tokio::test(start_paused = true)]
async fn killed_anywhere_a_person_can_go_back_instead() {
    let mut records = 1;
    loop {
        let world = World::new(&spec(), &[]);
        let (bytes, ended) = killed(case(&world), &[], records).await;
        if ended.is_some() {
            break;
        }
        let mut back = case(&world).after(&whole(bytes));
        back.setup.direction = Direction::Back;
        let gone = back
            .setup
            .earlier
            .iter()
            .any(|record| matches!(record, Record::Intent { action, .. } if step(action) == "commit"));
        match run(back.setup).await {
            Ok(result) => {
                kept(&world);
                assert!(
                    !gone && result.outcome == Outcome::RolledBack,
                    "after {records} records"
                );
                assert_eq!(world.leftovers(), [""; 0], "after {records} records");
            }
            Err(error) => assert!(gone && matches!(error, RunError::Rollback(_)), "{error}"),
        }
        records += 7;
    }
}

#[tokio::test(start_paused = true)]
async fn interrupted_at_any_start_it_does_what_a_failure_would() {
    for at in 1..=spec().actions.len() {
        let world = World::new(&spec(), &[]);
        let case = stopped_case(&world, Some(at), 1);
        let (watch, store) = (Arc::clone(&case.watch), case.store.clone());
        let result = case.run().await;
        kept(&world);
        let lines = watch.lines.lock().unwrap().clone();
        let place = lines
            .iter()
            .position(|line| matches!(line.event, Event::Interrupted { .. }))
            .unwrap();
        let after = lines[place..].iter();
        let started = after.filter(|line| matches!(line.event, Event::ActionStart { verb: Verb::Run, .. }));
        assert_eq!(started.count(), 0, "nothing new starts");
        let begun: BTreeSet<String> = result.book.intents.clone();
        let wrote = spec_steps(|it| it.users_write);
        let changed = spec_steps(|it| it.effect != mkectl::model::Effect::Reads);
        let outcome = if result.book.done.len() == spec().actions.len() {
            (Outcome::Done, 0)
        } else if !begun.iter().any(|id| changed.contains(step(id))) {
            (Outcome::NothingChanged, 130)
        } else if begun.iter().any(|id| wrote.contains(step(id))) {
            (Outcome::Paused, 11)
        } else {
            (Outcome::RolledBack, 13)
        };
        assert_eq!(
            (result.outcome.clone(), result.exit()),
            outcome,
            "stopped at start {at}"
        );
        match outcome.0 {
            Outcome::RolledBack => assert_eq!(world.leftovers(), [""; 0]),
            Outcome::Paused => {
                let result = self::case(&world).after(&store.bytes()).run().await;
                kept(&world);
                assert_eq!((result.outcome, world.applied()), (Outcome::Done, ids()));
            }
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_second_request_lets_go_and_a_later_run_finds_what_went_on() {
    for at in (1..=spec().actions.len()).step_by(9) {
        let world = World::new(&spec(), &[]);
        let case = stopped_case(&world, Some(at), 2);
        let store = case.store.clone();
        let result = case.run().await;
        assert_eq!(
            (result.outcome.clone(), result.exit()),
            (Outcome::Detached, 11),
            "{at}"
        );
        assert!(!result.running.is_empty());
        let result = self::case(&world).after(&store.bytes()).run().await;
        kept(&world);
        assert_eq!((result.outcome, world.applied()), (Outcome::Done, ids()), "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_goes_on_with_what_failed_and_with_whom_it_left_out() {
    let spec = spec();
    let worker = spec
        .hosts
        .iter()
        .find(|host| host.role == Some(Role::Worker))
        .unwrap();
    let joins = format!("{}/join-worker", worker.id);
    let mke4k = spec
        .actions
        .iter()
        .find(|it| it.step == "mke4k")
        .unwrap()
        .id
        .clone();
    let fails = u32::from(u16::MAX);
    let world = World::new(
        &spec,
        &[
            (Verb::Run, &mke4k, Fault::Temporary(4)),
            (Verb::Run, &joins, Fault::Temporary(fails)),
        ],
    );
    let case = case(&world);
    let store = case.store.clone();
    let result = case.run().await;
    assert_eq!((result.outcome.clone(), result.exit()), (Outcome::Paused, 11));
    assert_eq!(result.left_out, BTreeSet::from([worker.id.clone()]));
    let case = self::case(&world).after(&store.bytes());
    let result = case.run().await;
    kept(&world);
    assert_eq!((result.outcome.clone(), result.exit()), (Outcome::Done, 11));
    assert_eq!(result.left_out, BTreeSet::from([worker.id.clone()]));
    let attempts: Vec<u32> = world
        .log()
        .iter()
        .filter(|(_, id, _)| *id == mke4k)
        .map(|it| it.2)
        .collect();
    assert_eq!(attempts, [1, 2, 3, 4, 5]);
}

/// A store on a full disk.
struct Full(MemoryStore, usize);

impl Store for Full {
    fn append<'a>(&'a mut self, lines: &'a [u8]) -> Fut<'a, io::Result<()>> {
        if self.1 == 0 {
            return Box::pin(std::future::ready(Err(io::ErrorKind::StorageFull.into())));
        }
        self.1 -= 1;
        self.0.append(lines)
    }

    fn sync(&mut self) -> Fut<'_, io::Result<Kept>> {
        self.0.sync()
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_journal_nothing_begins() {
    for turns in [0, 1, 5, 20] {
        let world = World::new(&spec(), &[]);
        let mut case = case(&world);
        case.setup.journal = Journal::new(Box::new(Full(case.store.clone(), turns)));
        let store = case.store.clone();
        let error = run(case.setup).await.unwrap_err();
        assert!(matches!(&error, RunError::Journal(_)), "{error}");
        let intents = decode(&store.bytes()).unwrap().records;
        let intents = intents
            .iter()
            .filter(|record| matches!(record, Record::Intent { .. }));
        assert_eq!(
            world.log().len(),
            intents.count(),
            "only what is in the journal began"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_belong_together_is_refused() {
    let world = World::new(&spec(), &[]);
    let mut first = case(&world);
    first.setup.until = Some("prepare".to_owned());
    let store = first.store.clone();
    first.run().await;
    let mut other = case(&world).after(&store.bytes());
    other.setup.digest = "sha256:other".to_owned();
    let error = run(other.setup).await.unwrap_err();
    assert!(
        matches!(error, RunError::Earlier(JournalError::Plan { .. })),
        "{error}"
    );
    let mut wrong = case(&world);
    wrong.setup.until = Some("tomorrow".to_owned());
    assert!(matches!(run(wrong.setup).await, Err(RunError::Stage(_))));
    let mut reading = case(&world);
    let mut spec = (*spec()).clone();
    spec.intent.applyable = false;
    reading.setup.spec = Arc::new(spec);
    assert!(matches!(run(reading.setup).await, Err(RunError::NotApplyable(_))));
    assert_eq!(Policy::of(&self::spec()).on_failure, FailurePolicy::Auto);
}
