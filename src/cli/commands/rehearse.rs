//! `mkectl rehearse`: plan and apply, on a simulated twin of the cluster.

use super::plan::make_plan;
use crate::apply::engine::Direction;
use crate::apply::runner::Settings;
use crate::cli::args::{PlanArgs, RehearseArgs, UpgradeOptions};
use crate::cli::error::CliError;
use crate::cli::log::Level;
use crate::cli::run::{self, LocalOperator, Run, State, seconds_since_1970};
use crate::cli::ui::Stream;
use crate::cli::{CommandResult, Env, exit, files};
use crate::lab::{Isolation, Lab, LabError, Options, assets};
use crate::model::Plan;
use crate::plan::make::GivenAsset;
use crate::source::accounts::Accounts;
use crate::source::facts::Facts;
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
    let (mke3_config, hosts_path) = match (&args.mke3_config, &args.hosts_path) {
        (Some(config), Some(hosts)) => (config.clone(), hosts.clone()),
        _ => {
            env.log(
                Level::Info,
                "no cluster is given: rehearsing an example of three managers and five workers",
            );
            for (name, bytes) in EXAMPLE {
                files::write(&work.path().join(name).to_string_lossy(), bytes)?;
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
    let facts = beside(&args.facts, "facts.json").ok_or_else(|| {
        CliError::usage(
            "there are no facts about the hosts, so there is nothing to make a twin of",
            "add --facts FILE, or put facts.json beside hosts.yaml",
        )
    })?;
    let plan_args = PlanArgs {
        mke3_config,
        accounts: beside(&args.accounts, "accounts.json"),
        facts: Some(facts.clone()),
        hosts_path,
        out: None,
        format: None,
        detailed_exitcode: false,
        assets: Vec::new(),
        upgrade: upgrade(env, &args.upgrade),
    };
    let (plan, files_of_assets) = twin(env, &plan_args, work.path())?;
    env.ui
        .err(&report::diff::summary(&plan, &env.ui.style(Stream::Err)));
    run::applyable(&plan)?;

    let kept = match &args.run.output {
        Some(given) => PathBuf::from(given),
        None => work.path().join("mke"),
    };
    let state_base = args
        .run
        .state_dir
        .as_ref()
        .map_or_else(|| work.path().join("state"), PathBuf::from);
    let state = State::open(&state_base, &plan.digest, run::Earlier::None)?;
    files::write(
        &Path::new(state.directory()).join("plan.json").to_string_lossy(),
        &plan::write(&plan).map_err(|error| CliError::bug(error.to_string()))?,
    )?;
    let operator = LocalOperator {
        assets: files_of_assets,
        ..LocalOperator::new(&state, kept, args.run.config_out.as_ref().map(PathBuf::from))
    };
    // Nothing of a rehearsal is secret, and nobody should have to think of a passphrase for it.
    let secrets = plan
        .spec
        .secrets
        .iter()
        .filter(|secret| !secret.from.starts_with("host:"))
        .map(|secret| {
            (
                secret.name.clone(),
                crate::apply::Secret::new(b"rehearsal".to_vec()),
            )
        })
        .collect();
    let facts = Facts::parse(&facts, &files::read(&facts)?)?;
    let accounts = match &plan_args.accounts {
        Some(path) => Some(Accounts::parse(path, &files::read(path)?)?),
        None => None,
    };
    let binary = std::env::current_exe().map_err(|error| CliError::file("find", "mkectl", &error))?;
    let runtime = run::runtime()?;
    let done = runtime.block_on(async {
        env.log(
            Level::Info,
            &format!(
                "==> Running phase: Start {} simulated hosts",
                plan.spec.hosts.len()
            ),
        );
        let lab = Lab::from_facts(
            &facts,
            &Options {
                directory: crate::lab::place(),
                binary,
                isolation: Isolation::best(),
                tick: Some(TICK),
                roles: roles(&plan),
            },
        )
        .await
        .map_err(|error| lab_error(&error))?;
        if let Some(accounts) = &accounts {
            let known = lab.state().know_accounts(accounts);
            if let Err(why) = known {
                env.log(Level::Warn, &format!("the simulation does not know: {why}"));
            }
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
                settings: Settings {
                    poll: "0.05".to_owned(),
                    grace_s: 2,
                    ..Settings::default()
                },
                events: args.run.events.clone(),
            },
        )
        .await?;
        let unmodelled = lab.state().unmodelled.clone();
        for call in &unmodelled {
            env.log(Level::Warn, &format!("the simulation does not know: {call}"));
        }
        Ok::<_, CliError>(done)
    })?;
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
    if args.run.state_dir.is_some() {
        return end;
    }
    if !run::complete(&done.result) {
        // What went wrong is worth a look.
        let _path = work.keep();
    }
    end
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

/// The plan, with what a lab has in place of k0s, the etcd tools and the charts, and those files.
fn twin(env: &Env, args: &PlanArgs, work: &Path) -> Result<(Plan, BTreeMap<String, PathBuf>), CliError> {
    // The versions of the assets are those of the target, which the plan chooses.
    let to = make_plan(env, args, BTreeMap::new())?.spec.cluster.to;
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
    Ok((make_plan(env, args, given)?, paths))
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
