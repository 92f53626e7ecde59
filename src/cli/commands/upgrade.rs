//! `mkectl upgrade`: plan, show, ask, apply.

use super::apply::{Going, go, state_dir};
use super::plan::{assets, make_plan, print, read_live};
use crate::apply::engine::Direction;
use crate::cli::args::{LiveArgs, OtherUpgradeArgs, PlanArgs, RehearsedArgs, RunArgs, UpgradeArgs};
use crate::cli::confirm::Question;
use crate::cli::error::CliError;
use crate::cli::images;
use crate::cli::log::Level;
use crate::cli::run;
use crate::cli::ui::Stream;
use crate::cli::{CommandResult, Env, files};
use crate::model::Plan;
use crate::source::mke3::Config;
use crate::{plan, report};
use std::path::{Path, PathBuf};

/// Where results go when `--output` names no directory, below the state directory of the user: as Mirantis' tool has it.
const OUTPUT: &str = "mke/mke-upgrade";

pub fn run(env: &Env, args: &UpgradeArgs) -> CommandResult {
    refuse(&args.others)?;
    let plan_args = PlanArgs {
        hosts_path: args.hosts_path.clone(),
        mke3_config: args.mke3_config.clone(),
        facts: args.facts.clone(),
        accounts: args.accounts.clone(),
        live: LiveArgs {
            // Nobody has to say that an upgrade is about a live cluster.
            live: true,
            ..args.live.clone()
        },
        out: None,
        format: None,
        detailed_exitcode: false,
        assets: args.assets.clone(),
        images: args.images.clone(),
        upgrade: args.upgrade.clone(),
    };
    let given = read_live(env, &plan_args)?;
    let plan = make_plan(env, &plan_args, assets(&args.assets)?, &given)?;
    let output = args.run.output.as_deref().map(output).transpose()?;
    if args.dry_run {
        let out = output.map(|directory| keep(&directory, &plan)).transpose()?;
        return print(env, &PlanArgs { out, ..plan_args }, &plan);
    }
    env.ui
        .err(&report::diff::render(&plan, &env.ui.style(Stream::Err)));
    run::applyable(&plan)?;
    confirm(env, args, &plan)?;

    let home = std::env::var_os("HOME").map(PathBuf::from);
    let state = state_dir(args.run.state_dir.as_deref(), home.as_deref())?;
    let digits = plan.digest.strip_prefix("sha256:").unwrap_or(&plan.digest);
    // Beside its journal, under the name that `apply --resume` and `rollback` are told.
    let name = keep(&state.join(digits.get(..16).unwrap_or(digits)), &plan)?;
    env.log(Level::Info, &format!("the plan is kept in {name}"));
    let config = match (&args.mke3_config, &given.config) {
        (Some(path), _) => Some(Config::parse_bytes(path, &files::read(path)?)?),
        (None, Some(bytes)) => Some(Config::parse_bytes(crate::cli::live::CONFIG, bytes)?),
        (None, None) => None,
    };
    let passwords = images::passwords(env, &plan, &args.images.passwords, given.passwords)?;
    let run = RunArgs {
        output: output.map(|directory| directory.to_string_lossy().into_owned()),
        config_out: args.run.config_out.clone(),
        events: args.run.events.clone(),
        state_dir: args.run.state_dir.clone(),
        lease_seconds: args.run.lease_seconds,
    };
    go(
        env,
        &Going {
            name: &name,
            plan: &plan,
            // Asked above, for more than a yes.
            yes: true,
            earlier: run::Earlier::None,
            direction: Direction::Forward,
            parallelism: None,
            until: args.until.as_deref(),
            mke3_config: config.as_ref(),
            assets: Some(&args.assets),
            lb_hook: args.lb_hook.as_deref(),
            passwords,
            rehearsed: &RehearsedArgs::default(),
            run: &run,
        },
    )
}

/// Flags of Mirantis' tool that cannot be done as they say are not passed over: each says why.
fn refuse(given: &OtherUpgradeArgs) -> Result<(), CliError> {
    let four = "it is for upgrades from one MKE 4k to the next, and this tool goes from MKE 3 to MKE 4k";
    let lock = "a run holds its hosts by a lock of its own, whose times are not chosen";
    let checks = "findings are never skipped: a host that is too small is in the plan, with what to do";
    let set = [
        ("--backup-path", given.backup_path.is_some(), four),
        ("--etcd-snapshot-path", given.etcd_snapshot_path.is_some(), four),
        (
            "--upgrade-version",
            given.upgrade_version.is_some(),
            "say --target-version",
        ),
        (
            "--release-matrix",
            given.release_matrix.is_some(),
            "the releases are in this build; it prints its own with `mkectl version --json`",
        ),
        (
            "--bpf-dns-patch",
            given.bpf_dns_patch,
            "clusters whose Calico runs in eBPF mode are refused by the plan",
        ),
        (
            "--cni-check-port",
            given.cni_check_port.is_some(),
            "no port is opened to try the network: nodes and Calico tell whether it works. Leave it out",
        ),
        ("--skip-cpu-cores-check", given.skip_cpu_cores_check, checks),
        ("--skip-total-memory-check", given.skip_total_memory_check, checks),
        ("--lease-ttl", given.lease_ttl.is_some(), lock),
        (
            "--lease-renew-interval",
            given.lease_renew_interval.is_some(),
            lock,
        ),
        ("--lease-adopt-stale", given.lease_adopt_stale, lock),
    ];
    match set.iter().find(|(_, is_set, _)| *is_set) {
        None => Ok(()),
        Some((flag, _, why)) => Err(CliError::usage(format!("{flag} is not taken"), *why)),
    }
}

/// The directory of `--output`.
fn output(given: &str) -> Result<PathBuf, CliError> {
    if !given.is_empty() {
        return Ok(PathBuf::from(given));
    }
    let state = std::env::var_os("XDG_STATE_HOME")
        .filter(|state| !state.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    state.map(|state| state.join(OUTPUT)).ok_or_else(|| {
        CliError::usage(
            "HOME is not set, so there is no place for results",
            "set HOME, or give --output DIR",
        )
    })
}

/// Writes the plan into a directory, which is made where it is not there. Returns its path.
fn keep(directory: &Path, plan: &Plan) -> Result<String, CliError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| CliError::file("make", &directory.to_string_lossy(), &error))?;
    let path = directory.join("plan.json").to_string_lossy().into_owned();
    let bytes =
        plan::write(plan).map_err(|error| CliError::bug(format!("the plan cannot be written: {error}")))?;
    files::write(&path, &bytes)?;
    Ok(path)
}

/// The name of the cluster is typed, because a yes is typed too easily.
fn confirm(env: &Env, args: &UpgradeArgs, plan: &Plan) -> Result<(), CliError> {
    if args.force {
        return Ok(());
    }
    let cluster = &plan.spec.cluster;
    let name = &cluster.name;
    let text = format!(
        "\nThis takes {} hosts from MKE {} to MKE 4k {}. The cluster is down for its users while that goes on. Type its name, \"{name}\": ",
        plan.spec.hosts.len(),
        cluster.from.mke,
        cluster.to.mke
    );
    let question = Question {
        text,
        yes: name,
        what: "this upgrade",
        otherwise: "nothing was begun",
        hint: "run it on a terminal and type the name that is asked for, or use --force where the plan was reviewed before",
    };
    question.ask(env)
}
