//! What `apply` and `rehearse` have in common: a plan, hosts to run it on, and everything that is kept and shown of the run.

mod clock;
mod cluster;
mod crashing;
mod facts;
mod gate;
mod hook;
mod operator;
mod secrets;
mod show;
mod stale;
mod state;

pub use clock::{WallClock, milliseconds_since_1970, seconds_since_1970};
pub use cluster::{Cluster, LEASE_S, Looked, Patience, merged, undecided, when, who};
pub use facts::{FACTS_WIDTH, Reading, prepared, read as facts};
pub use hook::Hook;
pub use operator::{LocalOperator, digest_file};
pub use secrets::resolve as secrets;
pub use state::{Earlier, State, place, random_id};

use super::error::CliError;
use super::exit;
use super::log::Level;
use super::ui::Stream;
use super::{CommandResult, Env, files, images};
use crate::apply::book::Book;
use crate::apply::call::Executor;
use crate::apply::control::{Control, Interrupt, Policy};
use crate::apply::copies::Copy;
use crate::apply::engine::{Direction, Limits};
use crate::apply::events::{Events, Subscriber};
use crate::apply::journal::Journal;
use crate::apply::keeping::Keeping;
use crate::apply::remote::{HostFault, Parts, Remote, reach};
use crate::apply::runner::{Ask, HolderEnd, Settings, Token};
use crate::apply::scheduler::Frame;
use crate::apply::{Clock, Outcome, RunError, RunResult, Secret, Setup};
use crate::model::Plan;
use crate::plan::RollbackError;
use crate::report::{self, Style, failure, run_report::RunReport};
use crate::ssh::Transport;
use crate::ssh::pool::{Limits as PoolLimits, Pool};
use crashing::Crashing;
use show::Shown;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// How a plan is to be run.
pub struct Run<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// How its hosts are reached.
    pub transport: Arc<dyn Transport>,
    /// What is kept of the run.
    pub state: State,
    /// What is done on this machine.
    pub operator: LocalOperator,
    /// Secrets by name.
    pub secrets: BTreeMap<String, Secret>,
    /// Connections at once.
    pub width: u32,
    /// Stop after this stage.
    pub until: Option<String>,
    /// Which way.
    pub direction: Direction,
    /// What there must be of earlier runs.
    pub earlier: Earlier,
    /// Seconds that the claim on the cluster is valid after each renewal.
    pub lease_s: u32,
    /// End this process, without a word, when so many records are written.
    pub crash_at: Option<u64>,
    /// How scripts run.
    pub settings: Settings,
    /// How long the engine waits.
    pub limits: Limits,
    /// `--events`.
    pub events: Option<String>,
}

/// A run that was begun.
pub struct Done {
    /// What it came to.
    pub result: RunResult,
    /// Where its records are.
    pub directory: String,
    /// Its name.
    pub run: String,
}

/// A run whose hosts are reached and whose earlier runs are known.
struct Ready<'a> {
    run: Run<'a>,
    pool: Pool,
    cluster: Cluster,
    /// The journal that the run goes on from.
    journal: Copy,
}

/// Reaches all hosts, takes the cluster, runs the plan, and shows what happens.
///
/// # Errors
///
/// When a host is not there, not trusted or another one, when nothing may be run, when somebody else has the cluster, or when
/// the journal breaks off.
pub async fn run(env: &Env, mut run: Run<'_>) -> Result<Done, CliError> {
    let plan = run.plan;
    // What is here is enough to say no, and all hosts may be far away.
    if let Ok(copy) = run.state.copy() {
        refuse_earlier(run.earlier, copy, true)?;
    }
    let pool = Pool::new(
        run.transport.clone(),
        PoolLimits {
            // Each host keeps its connection while something runs there; the rest are opened when they are needed.
            connections: usize::try_from(run.width).unwrap_or(usize::MAX).max(1) * 2,
            ..PoolLimits::default()
        },
    );
    env.log(Level::Info, "==> Running phase: Connect to hosts");
    reached(env, plan, reach(&pool, &plan.spec).await)?;
    let cluster = Cluster::new(plan, run.transport.clone(), run.settings.clone(), Patience::Long);
    let journal = known(env, &run.state, &cluster).await?;
    refuse_earlier(run.earlier, &journal, false)?;
    let book = Book::read(&plan.digest, &journal.decoded.records).map_err(|error| refused(&error.into()))?;
    if book.used_up {
        return Err(refused(&RunError::UsedUp));
    }
    if run.direction == Direction::Back {
        Frame::backward(&plan.spec, &book.intents).map_err(|error| refused(&error.into()))?;
    }
    if run.direction == Direction::Forward {
        stale::check(env, plan, &book, &pool, run.width).await?;
        if !book.rolling_back {
            images::unchanged(env, plan, &run.secrets, book.begun).await?;
        }
    }

    let ask = Ask {
        holder: run.state.holder().to_owned(),
        plan: plan.digest.clone(),
        seconds: run.lease_s,
        who: who(),
    };
    env.log(Level::Info, "==> Running phase: Take the cluster");
    let token = cluster.take(env, &ask).await?;
    // Nobody else writes now. Somebody may have, before.
    let held = known(env, &run.state, &cluster).await;
    let as_looked_at = held.as_ref().is_ok_and(|held| held.bytes == journal.bytes);
    if !as_looked_at {
        cluster.managers.give_back(token, &ask.holder).await;
        held?;
        return Err(CliError {
            exit: exit::LOCKED,
            message: "another run of this plan came in between; nothing was begun".to_owned(),
            hint: "look at `mkectl status`, and run the command again".to_owned(),
        });
    }
    run.state.adopt(&journal)?;
    let ready = Ready {
        run,
        pool,
        cluster,
        journal,
    };
    held_run(env, ready, ask, token, book).await
}

/// The journal of the plan, from this machine and the managers.
async fn known(env: &Env, state: &State, cluster: &Cluster) -> Result<Copy, CliError> {
    let looked = cluster.look().await;
    cluster.enough(&looked)?;
    for (host, why) in &looked.without {
        env.log(Level::Warn, &format!("{host}: no copy of the journal: {why}"));
    }
    merged(env, Some(state.copy()), &looked)
}

/// Refuses a plan that was begun, or was not, against what was said. `here`: only this machine was asked so far.
fn refuse_earlier(earlier: Earlier, journal: &Copy, here: bool) -> Result<(), CliError> {
    let begun = !journal.decoded.records.is_empty();
    match earlier {
        Earlier::None if begun => Err(CliError {
            exit: exit::USAGE,
            message: format!(
                "this plan was begun before; the journal of {} tells how far it came",
                journal.from
            ),
            hint: "go on with `mkectl apply --resume`, or make a new plan".to_owned(),
        }),
        Earlier::Resume if !begun && !here => Err(CliError::usage(
            "there is nothing to resume: this plan was never begun",
            "run it without --resume",
        )),
        _ => Ok(()),
    }
}

/// Runs the plan with a claim, which ends with the run.
async fn held_run(env: &Env, ready: Ready<'_>, ask: Ask, token: Token, book: Book) -> Result<Done, CliError> {
    let Ready {
        run,
        pool,
        cluster,
        journal,
    } = ready;
    let plan = run.plan;
    let spec = Arc::new(plan.spec.clone());
    let clock: Arc<dyn Clock> = Arc::new(WallClock::since(env.log.start()));
    let (stop, control) = Control::new();
    let keeping = Keeping::begin(
        cluster.managers.clone(),
        ask,
        token,
        journal.bytes.clone(),
        clock.clone(),
        stop.clone(),
        {
            let env = env.clone();
            move |text: &str| env.log(Level::Warn, text)
        },
    );
    // What a run that does not come to its end leaves: the cluster is kept for the plan once something was begun.
    let mut how = match book.begun {
        true => HolderEnd::Reserved,
        false => HolderEnd::Free,
    };
    let done = async {
        keeping.ready().await.map_err(|why| CliError {
            exit: exit::UNREACHABLE,
            message: why.message,
            hint: "correct what is said above and run the command again".to_owned(),
        })?;
        let operator = Arc::new(run.operator);
        let remote = Arc::new(Remote::new(Parts {
            spec: spec.clone(),
            digest: plan.digest.clone(),
            pool: pool.clone(),
            settings: run.settings,
            token,
            operator: operator.clone(),
            log: Arc::new(run.state.host_log()),
            secrets: run.secrets.clone(),
        }));
        fenced(plan, remote.fence().await)?;

        let directory = run.state.directory().to_owned();
        let records = journal.decoded.records.clone();
        let name = state::run_name(&records);
        let mut store = keeping.store(run.state.store()?);
        if let Some(at) = run.crash_at {
            store = Box::new(Crashing::new(store, at));
        }
        let written = Journal::after(store, &journal.decoded);
        let kept = run.state.events()?;
        let mut subscribers: Vec<Arc<dyn Subscriber>> = vec![kept.clone()];
        let wanted = run.events.as_deref().map(state::events_to).transpose()?;
        if let Some(wanted) = &wanted {
            subscribers.push(wanted.clone());
        }
        let shown = Shown::new(
            env,
            spec.clone(),
            &book,
            run.until.as_deref(),
            run.width,
            clock.clone(),
        );
        subscribers.push(shown.subscriber.clone());
        let seen = Arc::new(gate::Seen::new(&book));
        subscribers.push(seen.clone());
        let events = Events::new(name.clone(), clock.clone(), subscribers);
        let executor: Arc<dyn Executor> = match operator.hook.clone() {
            Some(hook) => Arc::new(hook::Hooked::new(remote, hook, env.clone())),
            None => remote,
        };
        let executor: Arc<dyn Executor> = Arc::new(gate::Gated::new(
            executor,
            env.clone(),
            spec.clone(),
            pool.clone(),
            run.width,
            seen,
        ));
        let signals = tokio::spawn(listen(stop));
        let result = crate::apply::run(Setup {
            spec,
            digest: plan.digest.clone(),
            executor,
            journal: written,
            earlier: records,
            token: token.number(),
            events,
            control,
            secrets: run.secrets,
            width: run.width,
            until: run.until,
            policy: Policy::of(&plan.spec),
            direction: run.direction,
            limits: run.limits,
        })
        .await;
        signals.abort();
        shown.finish();
        for error in [Some(kept), wanted]
            .into_iter()
            .flatten()
            .filter_map(|lines| lines.error())
        {
            env.log(
                Level::Warn,
                &format!("events could not be written to the end: {error}"),
            );
        }
        how = HolderEnd::Reserved;
        let result = result.map_err(|error| refused(&error))?;
        if result.book.used_up || !result.book.crossed(&plan.spec).changed {
            how = HolderEnd::Free;
        }
        for (host, why) in keeping.away() {
            env.log(Level::Warn, &format!("{host} has not the whole journal: {why}"));
        }
        Ok(Done {
            result,
            directory,
            run: name,
        })
    }
    .await;
    keeping.finish(how).await;
    pool.close().await;
    cluster.close().await;
    done
}

/// Ctrl-C and SIGTERM become requests to stop.
async fn listen(stop: tokio::sync::mpsc::UnboundedSender<Interrupt>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Then a signal ends the process, and the journal tells the next run where it was.
        return;
    };
    loop {
        let interrupt = tokio::select! {
            Some(()) = int.recv() => Interrupt::Int,
            Some(()) = term.recv() => Interrupt::Term,
            else => return,
        };
        if stop.send(interrupt).is_err() {
            return;
        }
    }
}

/// Refuses to begin where a host could not be fenced.
fn fenced(plan: &Plan, results: Vec<(String, Result<(), HostFault>)>) -> Result<(), CliError> {
    let count = plan.spec.hosts.len();
    let mut bad: Vec<String> = results
        .into_iter()
        .filter_map(|(host, result)| Some(format!("{host}: {}", result.err()?)))
        .collect();
    if bad.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} of {count} hosts cannot be used, so nothing was begun",
        bad.len()
    );
    bad.truncate(10);
    Err(CliError {
        exit: exit::UNREACHABLE,
        message: format!("{message}\n{}", bad.join("\n")),
        hint: "correct what is said above and run the command again".to_owned(),
    })
}

fn reached(
    env: &Env,
    plan: &Plan,
    results: Vec<(String, Result<crate::apply::remote::Reached, HostFault>)>,
) -> Result<(), CliError> {
    let mut bad = Vec::new();
    let mut code = exit::UNREACHABLE;
    for (host, result) in results {
        let place = plan
            .spec
            .hosts
            .iter()
            .find(|known| known.id == host)
            .map_or_else(String::new, |known| format!("{}:{}", known.address, known.port));
        match result {
            Ok(_) => env.log(Level::Info, &format!("[ssh] {place}: connected")),
            Err(fault) => {
                if fault.is_input() {
                    code = exit::USAGE;
                } else if matches!(fault, HostFault::Other { .. }) && code.code != exit::USAGE.code {
                    code = exit::STALE;
                }
                bad.push(format!("{host}: {fault}"));
            }
        }
    }
    if bad.is_empty() {
        return Ok(());
    }
    let count = bad.len();
    bad.truncate(10);
    if count > bad.len() {
        bad.push(format!("and {} more hosts", count - bad.len()));
    }
    Err(CliError {
        exit: code,
        message: format!(
            "{count} of {} hosts cannot be used, so nothing was begun\n{}",
            plan.spec.hosts.len(),
            bad.join("\n")
        ),
        hint: match code.code {
            8 => "a host was replaced or restored: make a new plan",
            4 => "correct what is said above; `mkectl plan` takes keys and addresses from hosts.yaml",
            _ => "correct what is said above and run the command again",
        }
        .to_owned(),
    })
}

fn refused(error: &RunError) -> CliError {
    let exit = match error {
        RunError::NotApplyable(_) => exit::BLOCKED,
        RunError::Journal(_) => exit::FAILED_RESUMABLE,
        RunError::Earlier(_) => exit::UNDECIDED,
        RunError::UsedUp | RunError::Stage(_) => exit::USAGE,
        RunError::Rollback(RollbackError::Impossible { .. }) => exit::UNDECIDED,
        RunError::Rows(_) | RunError::Rollback(_) => exit::BUG,
    };
    let hint = match error {
        RunError::Rollback(RollbackError::Impossible { .. }) => {
            "the point of no return is behind: go on with `mkectl apply PLAN --resume`, or restore MKE 3 from its backup"
        }
        _ => "",
    };
    CliError {
        exit,
        message: error.to_string(),
        hint: hint.to_owned(),
    }
}

/// The exit code of a run, in the table of the command line.
pub fn exit_of(result: &RunResult) -> CommandResult {
    let code = result.exit();
    exit::ALL
        .iter()
        .find(|exit| exit.code == code)
        .copied()
        .ok_or_else(|| CliError::bug(format!("a run ended with {code}")))
}

/// Whether everything of the plan is done.
pub fn complete(result: &RunResult) -> bool {
    result.outcome == Outcome::Done
}

/// Blockers and other reasons why a plan must not be run.
///
/// # Errors
///
/// Exit 3, with all reasons.
pub fn applyable(plan: &Plan) -> Result<(), CliError> {
    if plan.spec.intent.applyable {
        return Ok(());
    }
    Err(CliError {
        exit: exit::BLOCKED,
        message: format!(
            "this plan cannot be applied:\n{}",
            plan.spec.intent.not_applyable.join("\n")
        ),
        hint: "`mkectl show` explains the blockers; make a new plan when they are gone".to_owned(),
    })
}

/// The runtime of a run.
///
/// # Errors
///
/// When the system gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .map_err(|error| CliError::bug(format!("no threads can be had: {error}")))
}

/// What a run leaves, and where.
pub struct Results<'a> {
    /// The plan file, as a person would type it.
    pub plan: &'a str,
    /// `--config-out`.
    pub config_out: Option<&'a str>,
    /// `--output`.
    pub output: Option<&'a str>,
    /// Where the records of a run that came to its end are to be found afterwards; none when they go with it.
    pub kept: Option<&'a str>,
}

/// What is told when a run has ended, and its exit code: what failed and how to go on, or the Upgrade Summary and the MKE 4k
/// configuration.
///
/// # Errors
///
/// When a result cannot be written.
pub fn close(env: &Env, plan: &Plan, done: &Done, results: &Results<'_>) -> CommandResult {
    let exit = exit_of(&done.result)?;
    let style = env.ui.style(Stream::Err);
    let logs = format!("{}/hosts", done.directory);
    env.ui.err(&failure::render(
        &plan.spec,
        &done.result,
        &failure::Names {
            plan: results.plan,
            digest: &plan.digest,
            logs: &logs,
        },
        &style,
    ));
    let report = RunReport::new(&plan.spec, &plan.digest, &done.run, &done.result);
    let mut to = vec![Path::new(&done.directory)];
    let text = report::run_report::text::render(
        &report,
        &Style {
            color: false,
            ..style
        },
    );
    let ended = complete(&done.result);
    let summary = report::upgrade_summary::render(&plan.spec, &done.result.book);
    let document = plan
        .spec
        .documents
        .iter()
        .find(|document| document.name == "mke4.yaml");
    let mke4 = document.and_then(|document| plan.spec.files.get(&document.digest));
    if let Some(output) = results.output {
        std::fs::create_dir_all(output).map_err(|error| CliError::file("make", output, &error))?;
        to.push(Path::new(output));
    }
    for directory in to {
        let write =
            |name: &str, text: &str| files::write(&directory.join(name).to_string_lossy(), text.as_bytes());
        write("run-report.json", &report.json())?;
        write("run-report.txt", &text)?;
        if ended {
            write("upgrade-summary.txt", &summary)?;
            if let Some(text) = mke4 {
                write("mke4.yaml", text)?;
            }
        }
    }
    if ended {
        env.ui.err(&format!("\n{summary}\n"));
        match (results.config_out, mke4) {
            (None, Some(text)) if results.output.is_none() => env.ui.out(text.as_bytes())?,
            (Some(path), _) => env.log(Level::Info, &format!("the MKE 4k configuration is in {path}")),
            (None, _) => {}
        }
    }
    let (took, bound) = (done.result.achieved_ms, done.result.bound_ms);
    let share = match (took.checked_div(bound), (took * 100).checked_div(bound)) {
        (Some(times), Some(hundredths)) => format!(
            " in {}.{} s, {times}.{:02} times the shortest possible",
            took / 1000,
            took % 1000 / 100,
            hundredths % 100
        ),
        _ => String::new(),
    };
    env.log(
        Level::Info,
        &format!(
            "{}{share}; {}",
            exit.meaning,
            match results.kept {
                Some(directory) => format!("journal, events, logs and report are in {directory}"),
                None if ended => "--state-dir keeps journal, events, logs and report".to_owned(),
                None => format!("journal, events, logs and report are in {}", done.directory),
            }
        ),
    );
    Ok(exit)
}
