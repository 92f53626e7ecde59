//! `--all-faults`: each case is one fault at one action, begun in a copy of the simulated cluster as it is before that
//! action, and followed until the cluster is either where an undisturbed run would have it or as it was at first.

use super::fault::{self, Wanted};
use super::{TICK, compare, interrupted, lab_error, time_passes};
use crate::apply::control::{Control, Policy};
use crate::apply::engine::{Direction, Limits};
use crate::apply::events::Events;
use crate::apply::journal::{Journal, MemoryStore, Record, decode};
use crate::apply::remote::{Parts, Remote};
use crate::apply::runner::{Token, Verb as HostVerb};
use crate::apply::{ActionCall, ActionEnd, Executor, Fut, Outcome, Reason, RunResult, Secret, Setup, Verb};
use crate::cli::Env;
use crate::cli::args::FaultOptions;
use crate::cli::error::CliError;
use crate::cli::log::Level;
use crate::cli::run::{LocalOperator, State, WallClock, seconds_since_1970};
use crate::lab::fault::FaultKind;
use crate::lab::{Lab, Picture};
use crate::model::{Plan, Role, Step, UndoKind};
use crate::options::FailurePolicy;
use crate::ssh::pool::{Limits as PoolLimits, Pool};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Everything that cases have in common.
pub struct Matrix<'a> {
    /// Where progress is told.
    pub env: &'a Env,
    /// The plan.
    pub plan: &'a Plan,
    /// Files of its assets.
    pub assets: BTreeMap<String, PathBuf>,
    /// Its secrets.
    pub secrets: BTreeMap<String, Secret>,
    /// Prefixes of keys that are not compared.
    pub passing: Vec<String>,
    /// Where runs keep what they keep.
    pub work: &'a Path,
    /// Runs so far: each has a number of its own, and hosts refuse lower ones.
    pub numbers: AtomicU64,
}

/// What became of one case.
pub struct Row {
    /// Stage of the action.
    pub stage: String,
    /// Action.
    pub action: String,
    /// Fault.
    pub kind: FaultKind,
    /// How it went, in words.
    pub how: String,
    /// What is against the promises; empty when nothing is.
    pub wrong: Vec<String>,
    /// How long it took.
    pub seconds: u64,
    /// The cluster at the end of the stage, when the run went on.
    picture: Option<Picture>,
}

/// Cases of a plan, and of how many they are a sample: every step, or those that are asked for, on one of its hosts, in every
/// way that it can go wrong. Which host, the seed decides.
pub fn cases(plan: &Plan, options: &FaultOptions) -> (Vec<Wanted>, usize) {
    let mut random = options.seed;
    let mut all = Vec::new();
    let verb = match options.way_back {
        true => HostVerb::Undo,
        false => HostVerb::Run,
    };
    let taken = |step: &&Step| {
        (options.only.is_empty() || options.only.contains(&step.id))
            && (!options.way_back || step.undo.kind == UndoKind::Script)
    };
    for step in plan.spec.steps.iter().filter(taken) {
        let actions: Vec<_> = plan
            .spec
            .actions
            .iter()
            .filter(|action| action.step == step.id)
            .collect();
        for kind in FaultKind::ALL {
            let at = below(&mut random, actions.len());
            let wanted = actions
                .get(at)
                .and_then(|action| fault::of(plan, action, kind, verb))
                .filter(|wanted| applies(plan, step, wanted));
            all.extend(wanted);
        }
    }
    let whole = all.len();
    if let Some(most) = options.sample {
        sample(&mut all, most, random);
    }
    (all, whole)
}

/// Leaves so many of them, as the seed decides.
pub fn sample<T>(all: &mut Vec<T>, most: usize, seed: u64) {
    let mut random = seed;
    for at in 0..most.min(all.len()) {
        let other = at + below(&mut random, all.len() - at);
        all.swap(at, other);
    }
    all.truncate(most);
}

fn applies(plan: &Plan, step: &Step, wanted: &Wanted) -> bool {
    match wanted.fault.kind {
        FaultKind::WrongOutput => !step.outputs.is_empty() && wanted.fault.verb == HostVerb::Run.name(),
        FaultKind::EtcdLost => plan
            .spec
            .hosts
            .iter()
            .any(|host| host.id == wanted.fault.host && host.role == Some(Role::Manager)),
        _ => true,
    }
}

/// A number below `end`, 0 when there is none: splitmix64, so that a seed means the same everywhere.
fn below(state: &mut u64, end: usize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    match u64::try_from(end) {
        Ok(end) if end > 0 => usize::try_from(z % end).unwrap_or(0),
        _ => 0,
    }
}

/// Executes, but for some actions, which wait for what is tried with them first.
struct Held {
    inner: Arc<Remote>,
    holds: BTreeSet<String>,
    held: Mutex<Vec<String>>,
}

impl Executor for Held {
    fn execute<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ActionEnd> {
        if call.verb == Verb::Run && self.holds.contains(call.id()) {
            self.held
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(call.id().to_owned());
            let reason = Reason {
                untouched: true,
                ..Reason::new("it waits for its cases")
            };
            return Box::pin(std::future::ready(ActionEnd::Failed(reason)));
        }
        self.inner.execute(call)
    }

    fn cancel<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ()> {
        self.inner.cancel(call)
    }
}

/// One run in a lab.
struct Way<'a> {
    direction: Direction,
    until: Option<&'a str>,
    holds: BTreeSet<String>,
    limits: Limits,
    policy: Policy,
    home: &'a Path,
}

/// Where cases begin.
struct Beginning<'a> {
    /// A copy of the cluster that nothing changes and in which no time passes.
    lab: Lab,
    /// How the cluster came there.
    records: Vec<Record>,
    stage: &'a str,
    /// The cluster before the run.
    before: &'a Picture,
}

/// A case that waits for its turn.
struct Case<'a> {
    from: Arc<Beginning<'a>>,
    wanted: Wanted,
}

/// Cases that wait at most: each action has a copy of the cluster as long as one of its cases does.
const WAITING: usize = 24;

impl Matrix<'_> {
    /// Runs cases, some at once: each where its action is about to run, or, on the way back, where its stage has ended. They
    /// are in the order of the plan's steps. Whoever interrupts it gets those of which it is known how they ended.
    ///
    /// # Errors
    ///
    /// When the lab cannot be had, or the undisturbed run does not come to its end: then nothing can be said.
    pub async fn run(&self, lab: &Lab, cases: Vec<Wanted>, back: bool) -> Result<Vec<Row>, CliError> {
        let before = Picture::of(lab, &self.passing).map_err(|error| lab_error(&error))?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let (receiver, rows) = (tokio::sync::Mutex::new(receiver), Mutex::new(Vec::new()));
        let ends = Mutex::new(BTreeMap::new());
        let count = cases.len();
        let lane = || self.lane(&receiver, &rows, count);
        // Cases mostly wait, for deadlines and for hosts that come back, so there are more of them than cores.
        let all = async {
            tokio::try_join!(
                self.undisturbed(lab, &before, cases, back, sender, &ends),
                lane(),
                lane(),
                lane(),
                lane(),
                lane(),
                lane(),
                lane(),
                lane(),
            )
        };
        let interrupted = tokio::select! {
            ended = all => { ended?; false }
            () = interrupted() => true,
        };
        let ends = ends.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
        if interrupted {
            // Of the others it is not known yet what they should be like.
            rows.retain(|row: &Row| row.picture.is_none() || ends.contains_key(&row.stage));
        }
        for row in &mut rows {
            if let (Some(picture), Some(end)) = (row.picture.take(), ends.get(&row.stage)) {
                let mut found = end.differences(&picture);
                let all = found.len();
                found.retain(|one| row.kind != FaultKind::Reboot || !end.explains(one));
                if found.len() < all {
                    row.how.push_str(", with what the restart ended");
                }
                row.wrong.extend(found.iter().map(ToString::to_string));
            }
        }
        let steps = &self.plan.spec.steps;
        let place = |row: &Row| {
            steps
                .iter()
                .position(|step| row.action.rsplit('/').next() == Some(&step.id))
        };
        rows.sort_by(|a, b| (place(a), &a.action, a.kind).cmp(&(place(b), &b.action, b.kind)));
        Ok(rows)
    }

    /// The run that all cases leave from: hands each on with a copy of the cluster where it begins. `ends` becomes the cluster
    /// at the end of each stage.
    async fn undisturbed<'a>(
        &'a self,
        lab: &Lab,
        before: &'a Picture,
        cases: Vec<Wanted>,
        back: bool,
        sender: mpsc::Sender<Case<'a>>,
        ends: &Mutex<BTreeMap<String, Picture>>,
    ) -> Result<(), CliError> {
        let home = self.work.join("undisturbed");
        let mut records = Vec::new();
        let mut remaining = cases;
        for stage in &self.plan.spec.stages {
            if remaining.is_empty() {
                break;
            }
            loop {
                let way = Way {
                    direction: Direction::Forward,
                    until: Some(&stage.id),
                    holds: match back {
                        true => BTreeSet::new(),
                        false => remaining.iter().map(|wanted| wanted.action.clone()).collect(),
                    },
                    limits: Limits::default(),
                    policy: Policy {
                        on_failure: FailurePolicy::Pause,
                        ..Policy::of(&self.plan.spec)
                    },
                    home: &home,
                };
                // Time stands still while the cluster is copied: cases begin where the run stopped.
                let (result, held) = tokio::select! {
                    ended = self.go(lab, way, &mut records) => ended?,
                    () = time_passes(lab) => continue,
                };
                let ended = held.is_empty();
                if ended && !matches!(result.outcome, Outcome::Gate(_) | Outcome::Done) {
                    return Err(CliError::bug(format!(
                        "the undisturbed run ended as {} in the stage {}: {:?}",
                        result.outcome.name(),
                        stage.id,
                        result.failures
                    )));
                }
                let here = |wanted: &Wanted| match back {
                    true => self.stage_of(&wanted.action) == Some(&stage.id),
                    false => held.contains(&wanted.action),
                };
                let (now, later): (Vec<Wanted>, Vec<Wanted>) = remaining.into_iter().partition(here);
                remaining = later;
                if !now.is_empty() {
                    let from = Arc::new(Beginning {
                        lab: lab.copy(None).await.map_err(|error| lab_error(&error))?,
                        records: records.clone(),
                        stage: &stage.id,
                        before,
                    });
                    for wanted in now {
                        let from = from.clone();
                        // Only when a lane failed, whose error is the one to tell.
                        if sender.send(Case { from, wanted }).await.is_err() {
                            return Ok(());
                        }
                    }
                }
                if ended {
                    break;
                }
            }
            let end = Picture::of(lab, &self.passing).map_err(|error| lab_error(&error))?;
            ends.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(stage.id.clone(), end);
        }
        Ok(())
    }

    /// Takes cases as they come, one after another.
    async fn lane<'a>(
        &'a self,
        receiver: &tokio::sync::Mutex<mpsc::Receiver<Case<'a>>>,
        rows: &Mutex<Vec<Row>>,
        count: usize,
    ) -> Result<(), CliError> {
        loop {
            let case = receiver.lock().await.recv().await;
            let Some(Case { from, wanted }) = case else {
                return Ok(());
            };
            let row = match wanted.fault.verb == HostVerb::Undo.name() {
                true => self.case_back(&from, &wanted).await?,
                false => self.case(&from, &wanted).await?,
            };
            let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
            rows.push(row);
            self.tell(&rows[rows.len() - 1], rows.len(), count);
        }
    }

    /// One run: what it came to, and what was held. Its records are added.
    async fn go(
        &self,
        lab: &Lab,
        way: Way<'_>,
        records: &mut Vec<Record>,
    ) -> Result<(RunResult, Vec<String>), CliError> {
        let spec = Arc::new(self.plan.spec.clone());
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        // Each run has a directory of its own: its journal is in memory.
        let state = State::open(&way.home.join(format!("run-{number}")), &self.plan.digest)?;
        let operator = LocalOperator {
            assets: self.assets.clone(),
            ..LocalOperator::new(&state, way.home.join("mke"), None)
        };
        let transport = lab
            .transport(Arc::new(seconds_since_1970))
            .map_err(|error| lab_error(&error))?;
        let pool = Pool::new(transport, PoolLimits::default());
        let remote = Arc::new(Remote::new(Parts {
            spec: spec.clone(),
            digest: self.plan.digest.clone(),
            pool: pool.clone(),
            settings: super::settings(),
            token: Token::new(number).ok_or_else(|| CliError::bug("too many runs"))?,
            operator: Arc::new(operator),
            log: Arc::new(state.host_log()),
            secrets: self.secrets.clone(),
        }));
        let executor = Arc::new(Held {
            inner: remote,
            holds: way.holds,
            held: Mutex::default(),
        });
        let store = MemoryStore::default();
        let result = crate::apply::run(Setup {
            spec,
            digest: self.plan.digest.clone(),
            executor: executor.clone(),
            journal: Journal::new(Box::new(store.clone())),
            earlier: records.clone(),
            token: number,
            events: Events::new(
                format!("run-{number}"),
                Arc::new(WallClock::since(Instant::now())),
                Vec::new(),
            ),
            control: Control::none(),
            secrets: self.secrets.clone(),
            width: self.plan.spec.estimate.width.max(1),
            until: way.until.map(str::to_owned),
            policy: way.policy,
            direction: way.direction,
            limits: way.limits,
        })
        .await
        .map_err(|error| CliError::bug(error.to_string()))?;
        pool.close().await;
        let decoded = decode(&store.bytes()).map_err(|error| CliError::bug(error.to_string()))?;
        records.extend(decoded.records);
        let held = executor
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Ok((result, held))
    }

    fn stage_of(&self, action: &str) -> Option<&String> {
        let spec = &self.plan.spec;
        let action = spec.actions.iter().find(|known| known.id == action)?;
        let step = spec.steps.iter().find(|step| step.id == action.step)?;
        Some(&step.stage)
    }

    fn tell(&self, row: &Row, number: usize, count: usize) {
        let level = if row.wrong.is_empty() {
            Level::Info
        } else {
            Level::Error
        };
        let text = format!("{}:{}: {} in {} s", row.action, row.kind, row.how, row.seconds);
        self.env.log(level, &format!("[{number}/{count}] {text}"));
        for wrong in &row.wrong {
            self.env.log(level, &format!("| {wrong}"));
        }
    }

    /// A copy of the cluster in which this is to go wrong, a row for what becomes of it, and where its runs keep things.
    async fn armed(&self, from: &Beginning<'_>, wanted: &Wanted) -> Result<(Lab, Row, PathBuf), CliError> {
        let lab = from
            .lab
            .copy(Some(TICK))
            .await
            .map_err(|error| lab_error(&error))?;
        lab.arm(wanted.fault.clone()).map_err(|error| lab_error(&error))?;
        let kind = wanted.fault.kind;
        let home = self
            .work
            .join(format!("{}-{kind}", wanted.action.replace('/', "-")));
        let row = Row {
            stage: from.stage.to_owned(),
            action: wanted.action.clone(),
            kind,
            how: String::new(),
            wrong: Vec::new(),
            seconds: 0,
            picture: None,
        };
        Ok((lab, row, home))
    }

    /// A fault while an action is undone: the rollback comes to its end, at once or when it is asked for again.
    async fn case_back(&self, from: &Beginning<'_>, wanted: &Wanted) -> Result<Row, CliError> {
        let kind = wanted.fault.kind;
        let (lab, mut row, home) = self.armed(from, wanted).await?;
        let mut records = from.records.clone();
        let began = Instant::now();
        let way = || Way {
            direction: Direction::Back,
            until: None,
            holds: BTreeSet::new(),
            limits: Limits {
                retry_first: Duration::from_secs(1),
                ..super::limits(std::slice::from_ref(wanted))
            },
            policy: Policy::of(&self.plan.spec),
            home: &home,
        };
        let (result, _) = self.go(&lab, way(), &mut records).await?;
        row.seconds = began.elapsed().as_secs();
        if lab.struck() == 0 {
            row.wrong
                .push("the fault did not come: its action was not undone".to_owned());
        }
        lab.calm().await;
        if result.outcome == Outcome::RolledBack {
            row.how = "rolled back".to_owned();
            self.compared(&lab, from.before, &mut row).await?;
        } else {
            row.how = "left to a person".to_owned();
            if matches!(kind, FaultKind::Drop | FaultKind::Gone) {
                // What is lost for seconds is waited for.
                row.wrong.push(failed("rollback", &result.outcome, &result));
            }
            if wanted.uninterruptible && kind == FaultKind::Hang {
                lab.end_scripts(&wanted.fault.host).await;
            }
            let (again, _) = self.go(&lab, way(), &mut records).await?;
            if again.outcome == Outcome::RolledBack {
                row.how.push_str(", rolled back when asked again");
                self.compared(&lab, from.before, &mut row).await?;
            } else {
                row.wrong.push(failed("rollback, again", &again.outcome, &again));
            }
        }
        unmodelled(&lab, &mut row);
        Ok(row)
    }

    async fn case(&self, from: &Beginning<'_>, wanted: &Wanted) -> Result<Row, CliError> {
        let kind = wanted.fault.kind;
        let (lab, mut row, home) = self.armed(from, wanted).await?;
        let (stage, before) = (from.stage, from.before);
        let mut records = from.records.clone();
        let began = Instant::now();
        let limits = Limits {
            retry_first: Duration::from_secs(1),
            ..super::limits(std::slice::from_ref(wanted))
        };
        let way = |direction| Way {
            direction,
            until: Some(stage),
            holds: BTreeSet::new(),
            limits,
            policy: Policy::of(&self.plan.spec),
            home: &home,
        };
        let (result, _) = self.go(&lab, way(Direction::Forward), &mut records).await?;
        row.seconds = began.elapsed().as_secs();
        if lab.struck() == 0 {
            row.wrong
                .push("the fault did not come: its action was not run".to_owned());
        }
        let went_on = matches!(result.outcome, Outcome::Gate(_) | Outcome::Done);
        if matches!(kind, FaultKind::Drop | FaultKind::Gone) && !went_on {
            // What is lost for seconds is waited for.
            row.wrong.push(failed("run", &result.outcome, &result));
        }
        lab.calm().await;
        let crossed = result.book.crossed(&self.plan.spec);
        match &result.outcome {
            Outcome::RolledBack => {
                row.how = "rolled back".to_owned();
                self.compared(&lab, before, &mut row).await?;
            }
            Outcome::NothingChanged => {
                row.how = "ended before any change".to_owned();
                self.compared(&lab, before, &mut row).await?;
            }
            Outcome::Gate(_) | Outcome::Done if result.left_out.is_empty() => {
                row.how = "went on".to_owned();
                row.picture = Some(Picture::of(&lab, &self.passing).map_err(|error| lab_error(&error))?);
            }
            Outcome::Gate(_) | Outcome::Done => {
                let hosts: Vec<&str> = result.left_out.iter().map(String::as_str).collect();
                row.how = format!("went on without {}", hosts.join(", "));
            }
            Outcome::Paused => {
                row.how = "paused".to_owned();
                if !crossed.users_wrote && !matches!(stage, "platform" | "verify" | "commit") {
                    row.wrong
                        .push("it paused where it should have gone back".to_owned());
                }
                let (again, _) = self.go(&lab, way(Direction::Forward), &mut records).await?;
                match &again.outcome {
                    Outcome::Gate(_) | Outcome::Done => row.how.push_str(", went on when resumed"),
                    other => row.wrong.push(failed("resumed", other, &again)),
                }
            }
            Outcome::Undecided | Outcome::Detached => {
                row.how = "left to a person".to_owned();
                // What is not reachable, runs on or cannot write is not to be decided by a program.
                let may = matches!(kind, FaultKind::Lost | FaultKind::DiskFull)
                    || kind == FaultKind::Hang && wanted.uninterruptible;
                if !may {
                    row.wrong.push(failed("run", &result.outcome, &result));
                }
                if wanted.uninterruptible && kind == FaultKind::Hang {
                    lab.end_scripts(&wanted.fault.host).await;
                }
                let direction = match crossed.no_return {
                    true => Direction::Forward,
                    false => Direction::Back,
                };
                let (again, _) = self.go(&lab, way(direction), &mut records).await?;
                match &again.outcome {
                    Outcome::RolledBack => {
                        row.how.push_str(", rolled back on request");
                        self.compared(&lab, before, &mut row).await?;
                    }
                    Outcome::Gate(_) | Outcome::Done => row.how.push_str(", went on when resumed"),
                    other => row.wrong.push(failed("taken up", other, &again)),
                }
            }
        }
        unmodelled(&lab, &mut row);
        Ok(row)
    }

    async fn compared(&self, lab: &Lab, before: &Picture, row: &mut Row) -> Result<(), CliError> {
        let found = compare::differences(lab, before, &self.passing)
            .await
            .map_err(|error| lab_error(&error))?;
        if found.is_empty() {
            row.how.push_str(", as before");
        }
        row.wrong.extend(found.iter().map(ToString::to_string));
        Ok(())
    }
}

fn unmodelled(lab: &Lab, row: &mut Row) {
    for call in &lab.state().unmodelled {
        row.wrong.push(format!("not simulated: {call}"));
    }
}

fn failed(what: &str, outcome: &Outcome, result: &RunResult) -> String {
    let failures: Vec<String> = result
        .failures
        .iter()
        .take(3)
        .map(|failure| format!("{} {}", failure.action, failure.reason))
        .collect();
    format!("{what}, it ended as {}: {}", outcome.name(), failures.join("; "))
}

/// The table, as a document; `whole` is the number of cases of which a sample was taken.
pub fn document(plan: &Plan, rows: &[Row], options: &FaultOptions, whole: usize) -> String {
    let mut text = String::from(HEADER);
    let good = rows.iter().filter(|row| row.wrong.is_empty()).count();
    text.push_str(&format!(
        "## {}{}\n\n",
        cluster(plan),
        match options.way_back {
            true => ", on the way back",
            false => "",
        }
    ));
    let share = share(rows.len(), options.sample, whole, "cases");
    let steps = match options.only.as_slice() {
        [] => String::new(),
        only => format!(" of the steps {}", only.join(", ")),
    };
    text.push_str(&format!(
        "{share}{steps}, seed {}; {good} ended as they should, {} did not.\n\n",
        options.seed,
        rows.len() - good
    ));
    text.push_str("| stage | action | fault | how it ended | seconds |\n| --- | --- | --- | --- | --- |\n");
    for row in rows {
        let how = match row.wrong.as_slice() {
            [] => row.how.clone(),
            wrong => format!("**{}**: {}", row.how, wrong.join("; ").replace('|', "/")),
        };
        text.push_str(&format!(
            "| {} | {} | {} | {how} | {} |\n",
            row.stage, row.action, row.kind, row.seconds
        ));
    }
    text.push_str("\n## The faults\n\n| fault | what happens |\n| --- | --- |\n");
    for kind in FaultKind::ALL {
        text.push_str(&format!("| {kind} | {} |\n", kind.about()));
    }
    text
}

/// How many of all there are in a table, in words.
pub fn share(there: usize, sample: Option<usize>, whole: usize, what: &str) -> String {
    match sample {
        _ if there < sample.unwrap_or(whole).min(whole) => {
            format!("Interrupted: {there} of {whole} {what}")
        }
        Some(_) => format!("A sample of {there} of {whole} {what}"),
        None => format!("All {whole} {what}"),
    }
}

/// How many hosts of which role there are, in words.
pub fn cluster(plan: &Plan) -> String {
    let of = |role| {
        plan.spec
            .hosts
            .iter()
            .filter(|host| host.role == Some(role))
            .count()
    };
    format!(
        "{} and {}",
        counted(of(Role::Manager), "manager"),
        counted(of(Role::Worker), "worker")
    )
}

fn counted(number: usize, what: &str) -> String {
    match number {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

const HEADER: &str = "# Reliability\n\n\
Made by `mkectl rehearse --all-faults`: one fault at one action, each case from a copy of the simulated cluster as it is\n\
before that action.\n\n\
What is real here: the plan, the engine, the SSH client, the runner and every script of the plan, byte for byte; processes,\n\
signals, files, mounts and a full disk, on hosts with roots of their own. What is simulated: Docker, systemd, k0s, etcd,\n\
kubectl and the network between hosts, around one model of the cluster; a restart of a host is one in order; the clock is\n\
that of the programs that ask `date`; seconds are those of the machine that made the table. What was tried on real hosts\n\
is at the end.\n\n\
*Rolled back, as before*: containers, services, nodes, volumes, files, units and the keys of etcd (key, value, revision, less\n\
the prefixes in `plans/upgrade/mke3-objects.yaml`) are what they were before the run. *Went on*: the run came to the end of\n\
the stage, and the cluster is what it is there after an undisturbed run. *With what the restart ended*: but for containers\n\
of MKE 3 and of pods that nobody starts again on that host while there is no API server; they were to be stopped next, and\n\
the way back starts them. *Paused, went on when resumed*: the policy does not choose by itself to lose what users wrote;\n\
`apply --resume` came to the end of the stage. *Left to a person*: a host that is not there, or an action that must not be\n\
interrupted; then the host is back, and `rollback` does the rest. On the way back: the stage of the action has ended,\n\
everything is undone, and the fault comes while this action is.\n\n";
