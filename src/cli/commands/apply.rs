//! `mkectl apply`: run a saved plan on its hosts.

use crate::apply::engine::{Direction, Limits};
use crate::apply::runner::Settings;
use crate::cli::args::{ApplyArgs, RehearsedArgs, RunArgs};
use crate::cli::confirm::Question;
use crate::cli::error::CliError;
use crate::cli::images::{self, Passwords};
use crate::cli::reach;
use crate::cli::run::{self, LocalOperator, Run, State};
use crate::cli::ui::Stream;
use crate::cli::{CommandResult, Env, exit, files};
use crate::lab::Places;
use crate::model::Plan;
use crate::source::mke3::Config;
use crate::ssh::Transport;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A run to be made.
pub struct Going<'a> {
    /// The plan file, as it was given.
    pub name: &'a str,
    /// The plan.
    pub plan: &'a Plan,
    /// Nobody is asked.
    pub yes: bool,
    /// What there must be of earlier runs.
    pub earlier: run::Earlier,
    /// Which way.
    pub direction: Direction,
    /// `--parallelism`.
    pub parallelism: Option<u32>,
    /// `--until`.
    pub until: Option<&'a str>,
    /// The MKE 3 configuration, for the secrets that the plan takes from it.
    pub mke3_config: Option<&'a Config>,
    /// `--asset`; a way back needs none.
    pub assets: Option<&'a [(String, String)]>,
    /// `--lb-hook`.
    pub lb_hook: Option<&'a str>,
    /// Passwords of registries, by the names that the plan has for them; a way back needs none.
    pub passwords: Passwords,
    /// What `rehearse` says.
    pub rehearsed: &'a RehearsedArgs,
    /// What is kept.
    pub run: &'a RunArgs,
}

pub fn run(env: &Env, args: &ApplyArgs) -> CommandResult {
    let plan = super::load_plan(&args.plan)?;
    run::applyable(&plan)?;
    let config = configuration(args.mke3_config.as_deref())?;
    go(
        env,
        &Going {
            name: &args.plan,
            plan: &plan,
            yes: args.yes,
            earlier: if args.resume {
                run::Earlier::Resume
            } else {
                run::Earlier::None
            },
            direction: Direction::Forward,
            parallelism: args.parallelism,
            until: args.until.as_deref(),
            mke3_config: config.as_ref(),
            assets: Some(&args.assets),
            lb_hook: args.lb_hook.as_deref(),
            passwords: images::passwords(env, &plan, &args.passwords, Passwords::new())?,
            rehearsed: &args.rehearsed,
            run: &args.run,
        },
    )
}

/// Reads `--mke3-config`.
pub fn configuration(path: Option<&str>) -> Result<Option<Config>, CliError> {
    path.map(|path| Ok(Config::parse_bytes(path, &files::read(path)?)?))
        .transpose()
}

/// Asks, reaches the hosts, and runs.
pub fn go(env: &Env, going: &Going<'_>) -> CommandResult {
    let plan = going.plan;
    let assets = match going.assets {
        Some(given) => asset_files(plan, given)?,
        None => BTreeMap::new(),
    };
    let secrets = match going.direction {
        Direction::Forward => run::secrets(
            plan,
            going.mke3_config,
            &|what| env.ui.ask_secret(what),
            going.passwords.clone(),
        )?,
        // An undo gets no secrets but those of documents, which it does not need.
        Direction::Back => BTreeMap::new(),
    };
    confirm(env, going)?;

    let home = std::env::var_os("HOME").map(PathBuf::from);
    let state = State::open(
        &state_dir(going.run.state_dir.as_deref(), home.as_deref())?,
        &plan.digest,
    )?;
    let operator = LocalOperator {
        assets,
        hook: going.lb_hook.map(|command| run::Hook::new(command.to_owned())),
        ..LocalOperator::new(
            &state,
            home.as_ref().map(|home| home.join(".mke")).ok_or_else(no_home)?,
            going.run.config_out.as_ref().map(PathBuf::from),
        )
    };
    let (transport, settings): (Arc<dyn Transport>, _) = match &going.rehearsed.rehearsed_at {
        None => (Arc::new(reach::client(env, home)), Settings::default()),
        Some(file) => {
            let places: Places = serde_json::from_slice(&files::read(file)?).map_err(|error| {
                CliError::usage(format!("{file}: {error}"), "only `rehearse` writes such a file")
            })?;
            let transport = places.transport(Arc::new(run::seconds_since_1970));
            (transport, super::rehearse::settings())
        }
    };
    let width = width(plan, going.parallelism);
    let runtime = run::runtime()?;
    let done = runtime.block_on(run::run(
        env,
        Run {
            plan,
            transport,
            state,
            operator,
            secrets,
            width,
            until: going.until.map(str::to_owned),
            direction: going.direction,
            earlier: going.earlier,
            lease_s: going.run.lease_seconds,
            crash_at: going.rehearsed.crash_at,
            settings,
            limits: Limits::default(),
            events: going.run.events.clone(),
        },
    ))?;
    run::close(
        env,
        plan,
        &done,
        &run::Results {
            plan: going.name,
            config_out: going.run.config_out.as_deref(),
            output: going.run.output.as_deref(),
            kept: Some(&done.directory),
        },
    )
}

/// The plan's width, or less.
fn width(plan: &Plan, wanted: Option<u32>) -> u32 {
    let planned = plan.spec.estimate.width.max(1);
    wanted.map_or(planned, |wanted| wanted.min(planned))
}

fn confirm(env: &Env, going: &Going<'_>) -> Result<(), CliError> {
    if going.yes {
        return Ok(());
    }
    let plan = going.plan;
    let text = format!(
        "{}\n{} the plan {} on {} hosts? The cluster is down while that goes on. Type \"yes\": ",
        crate::report::diff::summary(plan, &env.ui.style(Stream::Err)),
        match going.direction {
            Direction::Forward => "Apply",
            Direction::Back => "Undo",
        },
        plan.digest,
        plan.spec.hosts.len()
    );
    let question = Question {
        text,
        yes: "yes",
        what: "this plan",
        otherwise: "nothing was begun",
        hint: "run it on a terminal, or with --yes where the review was done before",
    };
    question.ask(env)
}

/// The files of the plan's assets, held against its digests.
fn asset_files(plan: &Plan, given: &[(String, String)]) -> Result<BTreeMap<String, PathBuf>, CliError> {
    let mut found = BTreeMap::new();
    for (name, path) in given {
        let asset = plan
            .spec
            .assets
            .iter()
            .find(|asset| asset.name == *name)
            .ok_or_else(|| {
                CliError::usage(
                    format!("--asset {name}: the plan has no asset of that name"),
                    "`mkectl show` lists what the plan brings",
                )
            })?;
        let (digest, _) =
            run::digest_file(Path::new(path)).map_err(|error| CliError::file("read", path, &error))?;
        if digest != asset.digest {
            return Err(CliError {
                exit: exit::STALE,
                message: format!(
                    "--asset {name}: {path} is not the file of the plan: its digest is {digest}, and the plan says {}",
                    asset.digest
                ),
                hint: "give the file that the plan was made with, or make a new plan".to_owned(),
            });
        }
        found.insert(name.clone(), PathBuf::from(path));
    }
    let missing: Vec<&str> = plan
        .spec
        .assets
        .iter()
        .map(|asset| asset.name.as_str())
        .filter(|name| !found.contains_key(*name))
        .collect();
    if missing.is_empty() {
        return Ok(found);
    }
    Err(CliError::usage(
        format!("these files of the plan are not here: {}", missing.join(", ")),
        "add --asset NAME=FILE for each; their digests are held against the plan's",
    ))
}

/// Where runs are kept.
pub fn state_dir(given: Option<&str>, home: Option<&Path>) -> Result<PathBuf, CliError> {
    if let Some(given) = given {
        return Ok(PathBuf::from(given));
    }
    if let Some(state) = std::env::var_os("XDG_STATE_HOME").filter(|state| !state.is_empty()) {
        return Ok(PathBuf::from(state).join("mkectl"));
    }
    home.map(|home| home.join(".local/state/mkectl"))
        .ok_or_else(no_home)
}

fn no_home() -> CliError {
    CliError::usage(
        "HOME is not set, so there is no place for state and kubeconfig",
        "set HOME, or give --state-dir and --output",
    )
}
