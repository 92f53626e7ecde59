//! `mkectl rehearse`: plan and apply, on a simulated twin of the cluster.

mod assumed;
mod compare;
mod crash;
mod fault;
mod matrix;

use super::plan::make_plan;
use crate::apply::engine::{Direction, Limits};
use crate::apply::runner::Settings;
use crate::apply::{Outcome, Secret};
use crate::catalogue::{Bundle, Mke3Objects};
use crate::cli::args::{ImagesArgs, LiveArgs, PlanArgs, RehearseArgs, UpgradeOptions};
use crate::cli::error::CliError;
use crate::cli::live::{self, Given};
use crate::cli::log::Level;
use crate::cli::run::{self, LocalOperator, Run, State, seconds_since_1970};
use crate::cli::ui::Stream;
use crate::cli::{CommandResult, Env, exit, files};
use crate::lab::api::Setup;
use crate::lab::fault::FaultKind;
use crate::lab::{Isolation, Lab, LabError, Options, Picture, assets};
use crate::model::Plan;
use crate::plan::make::GivenAsset;
use crate::source::accounts::Accounts;
use crate::source::api::{Password, Want};
use crate::source::facts::Facts;
use crate::source::hosts::Hosts;
use crate::{plan, report};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Time between two ticks of the simulated cluster.
const TICK: Duration = Duration::from_millis(20);

/// Where the external address of a rehearsal leads, when none is given.
const EXTERNAL: &str = "mke.rehearsal.test";

/// The NodePorts of the gateway, when none are given.
const GATEWAY: (u32, u32) = (33000, 33001);

/// The cluster that is rehearsed when none is given.
const EXAMPLE: [(&str, &[u8]); 4] = [
    (
        "mke3.toml",
        include_bytes!("../../../testdata/clusters/three-managers/mke3.toml"),
    ),
    (
        "hosts.yaml",
        include_bytes!("../../../testdata/clusters/three-managers/hosts.yaml"),
    ),
    (
        "facts.json",
        include_bytes!("../../../testdata/clusters/three-managers/facts.json"),
    ),
    (
        "accounts.json",
        include_bytes!("../../../testdata/clusters/three-managers/accounts.json"),
    ),
];

pub fn run(env: &Env, args: &RehearseArgs) -> CommandResult {
    let work = tempfile::Builder::new()
        .prefix("mkectl-rehearsal-")
        .tempdir()
        .map_err(|error| {
            CliError::file(
                "make a directory in",
                &std::env::temp_dir().to_string_lossy(),
                &error,
            )
        })?;
    let small = args.faults.all_faults || args.faults.all_crashes;
    let (mke3_config, hosts_path) = match (&args.mke3_config, &args.hosts_path) {
        (Some(config), Some(hosts)) => (config.clone(), hosts.clone()),
        _ => {
            env.log(
                Level::Info,
                match small {
                    true => "no cluster is given: rehearsing an example of three managers and two workers",
                    false => "no cluster is given: rehearsing an example of three managers and five workers",
                },
            );
            for (name, bytes) in EXAMPLE {
                files::write(&work.path().join(name).to_string_lossy(), bytes)?;
            }
            if small {
                smaller(work.path())?;
            }
            let at = |name: &str| work.path().join(name).to_string_lossy().into_owned();
            (at("mke3.toml"), at("hosts.yaml"))
        }
    };
    let beside = |given: &Option<String>, name: &str| {
        given.clone().or_else(|| {
            let path = Path::new(&hosts_path).with_file_name(name);
            path.is_file().then(|| path.to_string_lossy().into_owned())
        })
    };
    let facts = match beside(&args.facts, "facts.json") {
        Some(path) => path,
        None => assume(env, &hosts_path, work.path())?,
    };
    let accounts = beside(&args.accounts, "accounts.json");
    let upgrade = upgrade(env, &args.upgrade);
    let plan_args = PlanArgs {
        mke3_config: (!args.live).then(|| mke3_config.clone()),
        accounts: accounts.clone().filter(|_| !args.live),
        facts: Some(facts.clone()).filter(|_| !args.live),
        hosts_path,
        live: LiveArgs::default(),
        out: None,
        format: None,
        detailed_exitcode: false,
        assets: Vec::new(),
        images: ImagesArgs::default(),
        upgrade,
    };
    let parsed = Facts::parse(&facts, &files::read(&facts)?)?;
    let runtime = run::runtime()?;
    // What is read live is read from the twin, which then has to be there before there is a plan.
    let (started, given) = if args.live {
        let recorded = Recorded {
            config: files::read(&mke3_config)?,
            accounts: accounts.as_deref(),
        };
        let (lab, given) = runtime.block_on(read_live(env, &plan_args, &parsed, recorded))?;
        (Some(lab), given)
    } else {
        (None, Given::default())
    };
    let (plan, files_of_assets) = twin(env, &plan_args, work.path(), &given)?;
    env.ui
        .err(&report::diff::summary(&plan, &env.ui.style(Stream::Err)));
    run::applyable(&plan)?;
    let faults = fault::wanted(&plan, &args.faults)?;
    let passing = Mke3Objects::load(&Bundle::embedded())
        .map_err(|error| CliError::bug(error.to_string()))?
        .passing;

    let known = match &accounts {
        Some(path) => Some(Accounts::parse(path, &files::read(path)?)?),
        None => None,
    };
    if args.faults.all_faults {
        let twin = Twin {
            plan: &plan,
            assets: files_of_assets,
            facts: &parsed,
            accounts: known.as_ref(),
        };
        return all_faults(env, args, twin, work.path(), passing);
    }
    if args.faults.crash_at.is_some() || args.faults.all_crashes {
        let crash = crash::Crash {
            env,
            args,
            twin: Twin {
                plan: &plan,
                assets: files_of_assets,
                facts: &parsed,
                accounts: known.as_ref(),
            },
            config: &mke3_config,
            passing,
            work: work.path(),
        };
        let end = crash.run();
        if !matches!(end, Ok(exit::DONE | exit::GATE | exit::ROLLED_BACK)) {
            // What went wrong is worth a look.
            let _path = work.keep();
        }
        return end;
    }
    let kept = match &args.run.output {
        Some(given) => PathBuf::from(given),
        None => work.path().join("mke"),
    };
    let state_base = args
        .run
        .state_dir
        .as_ref()
        .map_or_else(|| work.path().join("state"), PathBuf::from);
    let state = State::open(&state_base, &plan.digest)?;
    files::write(
        &Path::new(state.directory()).join("plan.json").to_string_lossy(),
        &plan::write(&plan).map_err(|error| CliError::bug(error.to_string()))?,
    )?;
    let operator = LocalOperator {
        assets: files_of_assets,
        ..LocalOperator::new(&state, kept, args.run.config_out.as_ref().map(PathBuf::from))
    };
    let secrets = secrets(&plan);
    let done = runtime.block_on(async {
        let lab = match started {
            Some(lab) => lab,
            None => start(env, &parsed, known.as_ref(), roles(&plan), Some(TICK)).await?,
        };
        let before = Picture::of(&lab, &passing).map_err(|error| lab_error(&error))?;
        for wanted in &faults {
            let kind = wanted.fault.kind;
            env.log(
                Level::Warn,
                &format!("A fault is to come: {}: {kind}: {}", wanted.action, kind.about()),
            );
            lab.arm(wanted.fault.clone()).map_err(|error| lab_error(&error))?;
        }
        let transport = lab
            .transport(Arc::new(seconds_since_1970))
            .map_err(|error| lab_error(&error))?;
        let done = run::run(
            env,
            Run {
                plan: &plan,
                transport,
                state,
                operator,
                secrets,
                width: plan.spec.estimate.width.max(1),
                until: args.until.clone(),
                direction: Direction::Forward,
                earlier: run::Earlier::None,
                lease_s: args.run.lease_seconds,
                crash_at: None,
                settings: settings(),
                limits: limits(&faults),
                events: args.run.events.clone(),
            },
        )
        .await?;
        if !faults.is_empty() && lab.struck() == 0 {
            env.log(Level::Warn, "the fault did not come: its action was not run");
        }
        let back = done.result.outcome == Outcome::RolledBack;
        let mut as_before = true;
        if back {
            lab.calm().await;
            let found = compare::differences(&lab, &before, &passing)
                .await
                .map_err(|error| lab_error(&error))?;
            compare::tell(env, &before, &found, "before");
            as_before = found.is_empty();
        }
        let unmodelled = lab.state().unmodelled.clone();
        for call in &unmodelled {
            env.log(Level::Warn, &format!("the simulation does not know: {call}"));
        }
        Ok::<_, CliError>((done, as_before))
    })?;
    let (done, as_before) = done;
    let end = run::close(
        env,
        &plan,
        &done,
        &run::Results {
            plan: "plan.json",
            config_out: args.run.config_out.as_deref(),
            output: args.run.output.as_deref(),
            kept: args.run.state_dir.as_ref().map(|_| done.directory.as_str()),
        },
    );
    let end = match as_before {
        true => end,
        // A rollback that leaves something behind is none.
        false => end.map(|_| exit::UNDECIDED),
    };
    if args.run.state_dir.is_some() {
        return end;
    }
    if !run::complete(&done.result) {
        // What went wrong is worth a look.
        let _path = work.keep();
    }
    end
}

/// Writes facts for hosts of which nobody recorded any, says so, and returns where.
fn assume(env: &Env, hosts_path: &str, work: &Path) -> Result<String, CliError> {
    let hosts = Hosts::parse_bytes(hosts_path, &files::read(hosts_path)?)?;
    let (roles, are_assumed) = assumed::roles(&hosts);
    env.log(Level::Warn, &assumed::sentence(&hosts, &roles, are_assumed));
    let [_, _, (name, example), _] = EXAMPLE;
    let facts = assumed::facts(&hosts, &roles, &Facts::parse(name, example)?)?;
    let path = work.join(live::FACTS).to_string_lossy().into_owned();
    files::write(&path, &facts.to_bytes().map_err(CliError::bug)?)?;
    Ok(path)
}

/// Nothing of a rehearsal is secret, and nobody should have to think of a passphrase for it.
fn secrets(plan: &Plan) -> BTreeMap<String, Secret> {
    plan.spec
        .secrets
        .iter()
        .filter(|secret| !secret.from.starts_with("host:"))
        .map(|secret| (secret.name.clone(), Secret::new(b"rehearsal".to_vec())))
        .collect()
}

/// Leaves two workers of the example: enough for an order among them, and less to start again for each case.
fn smaller(work: &Path) -> Result<(), CliError> {
    let gone = ["worker-03", "worker-04", "worker-05"];
    let path = work.join("facts.json").to_string_lossy().into_owned();
    let mut facts: serde_json::Value =
        serde_json::from_slice(&files::read(&path)?).map_err(|error| CliError::bug(error.to_string()))?;
    for list in ["swarm_nodes", "kubernetes_nodes"] {
        if let Some(nodes) = facts["cluster"][list].as_object_mut() {
            nodes.retain(|name, _| !gone.contains(&name.as_str()));
        }
    }
    let mut addresses = Vec::new();
    if let Some(hosts) = facts["hosts"].as_array_mut() {
        hosts.retain(|host| {
            let stays = !host["hostname"].as_str().is_some_and(|name| gone.contains(&name));
            if !stays {
                addresses.push(host["address"].as_str().unwrap_or_default().to_owned());
            }
            stays
        });
    }
    files::write(&path, facts.to_string().as_bytes())?;
    let path = work.join("hosts.yaml").to_string_lossy().into_owned();
    let text = String::from_utf8_lossy(&files::read(&path)?).into_owned();
    let mut kept = String::new();
    for (at, block) in text.split("  - address: ").enumerate() {
        let address = block.lines().next().unwrap_or_default();
        if at == 0 {
            kept.push_str(block);
        } else if !addresses.iter().any(|gone| gone == address) {
            kept.push_str("  - address: ");
            kept.push_str(block);
        }
    }
    files::write(&path, kept.as_bytes())
}

/// Scripts do not wait for slow hardware in a rehearsal.
pub(super) fn settings() -> Settings {
    Settings {
        poll: "0.05".to_owned(),
        grace_s: 2,
        ..Settings::default()
    }
}

/// What a twin is made from, and what runs on it.
struct Twin<'a> {
    plan: &'a Plan,
    assets: BTreeMap<String, PathBuf>,
    facts: &'a Facts,
    accounts: Option<&'a Accounts>,
}

/// `--all-faults`: the document goes to stdout.
fn all_faults(
    env: &Env,
    args: &RehearseArgs,
    twin: Twin<'_>,
    work: &Path,
    passing: Vec<String>,
) -> CommandResult {
    let plan = twin.plan;
    let options = &args.faults;
    fault::known_steps(plan, &options.only)?;
    let (cases, whole) = matrix::cases(plan, options);
    let count = cases.len();
    env.log(
        Level::Info,
        &format!(
            "==> Running phase: Try {count} of {whole} faults, seed {}",
            options.seed
        ),
    );
    let began = std::time::Instant::now();
    let rows = run::runtime()?.block_on(async {
        // Time passes in the copies alone.
        let lab = start(env, twin.facts, twin.accounts, roles(plan), None).await?;
        let matrix = matrix::Matrix {
            env,
            plan,
            assets: twin.assets,
            secrets: secrets(plan),
            passing,
            work,
            numbers: Default::default(),
        };
        matrix.run(&lab, cases, options.way_back).await
    })?;
    env.ui
        .out(matrix::document(plan, &rows, &args.faults, whole).as_bytes())?;
    let bad = rows.iter().filter(|row| !row.wrong.is_empty()).count();
    env.log(
        Level::Info,
        &format!(
            "{} cases in {} s, {bad} of them not as they should be",
            rows.len(),
            began.elapsed().as_secs()
        ),
    );
    Ok(match bad {
        0 if rows.len() < count => exit::INTERRUPTED,
        0 => exit::DONE,
        _ => exit::UNDECIDED,
    })
}

/// Waits of a rehearsal. Where one of minutes is what is rehearsed, it is one of seconds.
fn limits(faults: &[fault::Wanted]) -> Limits {
    let any = |what: &dyn Fn(&fault::Wanted) -> bool| faults.iter().any(what);
    let mut limits = Limits::default();
    if any(&|wanted| wanted.fault.kind == FaultKind::Lost) {
        limits.unreachable = Duration::from_secs(15);
    }
    // Nothing takes so long here; what hangs would be waited for as long as on real hosts, once for every attempt.
    if any(&|wanted| wanted.fault.kind == FaultKind::Hang) {
        limits.action = Duration::from_secs(30);
        limits.cancel = Duration::from_secs(10);
    }
    limits
}

/// The options of a rehearsal: what nobody chose yet is chosen here, and said.
fn upgrade(env: &Env, given: &UpgradeOptions) -> UpgradeOptions {
    let mut options = given.clone();
    if options.external_address.is_none() {
        env.log(
            Level::Info,
            &format!("no --external-address is given: the simulated load balancer is called {EXTERNAL}"),
        );
        options.external_address = Some(EXTERNAL.to_owned());
    }
    if !options.remove_ingress_nginx
        && options.gateway_http_node_port.is_none()
        && options.gateway_https_node_port.is_none()
    {
        let (http, https) = GATEWAY;
        env.log(
            Level::Info,
            &format!("no gateway NodePorts are given: {http} and {https} are taken"),
        );
        options.gateway_http_node_port = Some(http);
        options.gateway_https_node_port = Some(https);
    }
    options
}

/// Time passes in a twin in which it would stand still.
async fn time_passes(lab: &Lab) {
    loop {
        tokio::time::sleep(TICK).await;
        lab.tick();
    }
}

/// Somebody has seen enough.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Then a signal ends the process.
        std::future::pending::<()>().await;
    }
}

/// Starts the twin. `accounts` are those of its auth store, unless its API is to know them first.
async fn start(
    env: &Env,
    facts: &Facts,
    accounts: Option<&Accounts>,
    roles: BTreeMap<String, crate::model::Role>,
    tick: Option<Duration>,
) -> Result<Lab, CliError> {
    env.log(
        Level::Info,
        &format!("==> Running phase: Start {} simulated hosts", facts.hosts.len()),
    );
    let binary = std::env::current_exe().map_err(|error| CliError::file("find", "mkectl", &error))?;
    let options = Options {
        directory: crate::lab::place(),
        binary,
        isolation: Isolation::best(),
        tick,
        roles,
    };
    let lab = Lab::from_facts(facts, &options)
        .await
        .map_err(|error| lab_error(&error))?;
    let known = accounts.map_or(Ok(()), |accounts| lab.state().know_accounts(accounts));
    if let Err(why) = known {
        env.log(Level::Warn, &format!("the simulation does not know: {why}"));
    }
    Ok(lab)
}

/// What the twin's API is to tell.
struct Recorded<'a> {
    config: Vec<u8>,
    accounts: Option<&'a str>,
}

/// Starts the twin with its API, and reads from it as from a real cluster: facts and the CA over SSH, the rest over TLS.
async fn read_live(
    env: &Env,
    args: &PlanArgs,
    facts: &Facts,
    recorded: Recorded<'_>,
) -> Result<(Lab, Given), CliError> {
    let hosts = Hosts::parse_bytes(&args.hosts_path, &files::read(&args.hosts_path)?)?;
    let roles = hosts
        .entries
        .iter()
        .filter_map(|entry| Some((entry.address.clone(), entry.role?)))
        .collect();
    let accounts = match recorded.accounts {
        Some(path) => Accounts::parse(path, &files::read(path)?)?,
        None => Accounts::default(),
    };
    let administrator = accounts
        .users
        .iter()
        .find(|user| user.admin && user.active && !user.ldap);
    let administrator = administrator.ok_or_else(|| {
        CliError::usage(
            "the twin has no administrator whose session could read it: there is none among the accounts",
            "add --accounts FILE with an active administrator, or leave out --live",
        )
    })?;
    let live = LiveArgs {
        mke3_admin_username: Some(administrator.name.clone()),
        mke3_external_address: Some(EXTERNAL.to_owned()),
        ..LiveArgs::default()
    };
    let lab = start(env, facts, None, roles, Some(TICK)).await?;
    let password = "rehearsal".to_owned();
    let setup = Setup {
        name: EXTERNAL.to_owned(),
        config: recorded.config,
        accounts,
        password: password.clone(),
    };
    let api = lab.serve_api(setup).await.map_err(|error| lab_error(&error))?;
    let transport = lab
        .transport(Arc::new(seconds_since_1970))
        .map_err(|error| lab_error(&error))?;
    let ask = live::Ask {
        args: &live,
        hosts: &hosts,
        facts: None,
        external: EXTERNAL,
        transport,
        connect_to: Some(api.address()),
        want: Want {
            config: true,
            accounts: true,
        },
        password: Some(Password::new(password)),
    };
    let given = live::read(env, ask).await?;
    Ok((lab, given))
}

/// The plan, with what a lab has in place of k0s, the etcd tools and the charts, and those files.
fn twin(
    env: &Env,
    args: &PlanArgs,
    work: &Path,
    live: &Given,
) -> Result<(Plan, BTreeMap<String, PathBuf>), CliError> {
    // The versions of the assets are those of the target, which the plan chooses.
    let to = make_plan(env, args, BTreeMap::new(), live)?.spec.cluster.to;
    let bytes = assets::assets(&assets::Versions {
        k0s: &to.k0s,
        etcd: &to.etcd,
        calico: "",
        mke: &to.mke,
    });
    let (mut given, mut paths) = (BTreeMap::new(), BTreeMap::new());
    for (name, bytes) in bytes {
        let path = work.join(format!("asset-{name}"));
        files::write(&path.to_string_lossy(), &bytes)?;
        given.insert(
            name.to_owned(),
            GivenAsset {
                url: format!("rehearsal:{name}"),
                digest: plan::digest::digest_bytes(&bytes),
            },
        );
        paths.insert(name.to_owned(), path);
    }
    Ok((make_plan(env, args, given, live)?, paths))
}

fn roles(plan: &Plan) -> BTreeMap<String, crate::model::Role> {
    plan.spec
        .hosts
        .iter()
        .filter_map(|host| Some((host.address.clone(), host.role?)))
        .collect()
}

fn lab_error(error: &LabError) -> CliError {
    CliError {
        exit: exit::USAGE,
        message: error.to_string(),
        hint: String::new(),
    }
}
