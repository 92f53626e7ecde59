//! `mkectl plan`: read everything, change nothing, print the diff, save the plan.

use super::super::log::Level;
use super::super::ui::Stream;
use crate::catalogue::Bundle;
use crate::cli::args::{Format, PlanArgs, UpgradeOptions};
use crate::cli::error::CliError;
use crate::cli::images::{self, IMAGES};
use crate::cli::live::{self, Given};
use crate::cli::{CommandResult, Env, exit, files, reach};
use crate::model::{Meta, PLAN_FORMAT, PLAN_KIND, Plan, Severity};
use crate::options::Options;
use crate::plan::make::{GivenAsset, Inputs, MakeError, Source, make};
use crate::plan::tables::Tables;
use crate::source::accounts::Accounts;
use crate::source::api::Want;
use crate::source::facts::Facts;
use crate::source::hosts::Hosts;
use crate::source::images::Images;
use crate::source::mke3;
use crate::{plan, report};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub fn run(env: &Env, args: &PlanArgs) -> CommandResult {
    let given = read_live(env, args)?;
    let plan = make_plan(env, args, assets(&args.assets)?, &given)?;
    print(env, args, &plan)
}

/// Reads what no file gives: from the live cluster when that was asked for, and from registries when there is a list.
pub fn read_live(env: &Env, args: &PlanArgs) -> Result<Given, CliError> {
    // What can be refused without asking anybody is refused first.
    let cas = registry_cas(&args.upgrade)?;
    let question = images::question(env, &args.images, &args.upgrade, &cas)?;
    let mut given = read_cluster(env, args)?;
    if let Some(question) = question {
        given.passwords.clone_from(&question.passwords);
        let record = args.live.record.as_deref();
        given.images = Some(crate::cli::run::runtime()?.block_on(question.ask(env, record))?);
    }
    Ok(given)
}

fn read_cluster(env: &Env, args: &PlanArgs) -> Result<Given, CliError> {
    let want = Want {
        config: args.mke3_config.is_none(),
        accounts: args.accounts.is_none(),
    };
    if !live::is_wanted(&args.live) {
        return Ok(Given::default());
    }
    if want == Want::default() && args.facts.is_some() {
        env.log(
            Level::Info,
            "files give configuration, accounts and facts, so nothing is read live",
        );
        return Ok(Given::default());
    }
    let options = options(&args.upgrade)?;
    let hosts = Hosts::parse_bytes(&args.hosts_path, &files::read(&args.hosts_path)?)?;
    let facts = match &args.facts {
        Some(path) => Some(Facts::parse(path, &files::read(path)?)?),
        None => None,
    };
    let password = match want == Want::default() {
        true => None,
        false => Some(live::password(env, &args.live)?),
    };
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let ask = live::Ask {
        args: &args.live,
        hosts: &hosts,
        facts: facts.as_ref(),
        external: &options.external_address,
        transport: Arc::new(reach::client(env, home)),
        connect_to: None,
        want,
        password,
    };
    crate::cli::run::runtime()?.block_on(live::read(env, ask))
}

/// Prints a plan and saves it, as the arguments say.
pub fn print(env: &Env, args: &PlanArgs, plan: &Plan) -> CommandResult {
    let json =
        plan::write(plan).map_err(|error| CliError::bug(format!("the plan cannot be written: {error}")))?;
    // What is written is read back: a plan that our own reader refuses must not leave this process.
    plan::read(&json).map_err(|error| CliError::bug(format!("the plan is not readable again: {error}")))?;
    if let Some(path) = &args.out {
        files::write(path, &json)?;
    }
    let terminal = env.ui.is_terminal(Stream::Out);
    match args.format {
        Some(Format::Json) => env.ui.out(&json)?,
        Some(format) => env.ui.out(&super::show::render(env, plan, format, None)?)?,
        None if terminal || args.out.is_some() => {
            env.ui
                .out(report::diff::render(plan, &env.ui.style(Stream::Out)).as_bytes())?;
        }
        None => {
            env.ui
                .err(&report::diff::render(plan, &env.ui.style(Stream::Err)));
            env.ui.out(&json)?;
        }
    }
    match &args.out {
        Some(path) => env.log(
            Level::Info,
            &format!("the plan is saved in {path}, digest {}", plan.digest),
        ),
        // Stdout was the plan itself: whoever redirected it has it.
        None if args.format == Some(Format::Json) || (args.format.is_none() && !terminal) => {}
        None => env.log(
            Level::Info,
            "the plan is not saved, so it cannot be applied: add `-o plan.json`",
        ),
    }
    Ok(
        if plan
            .spec
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Blocking)
        {
            exit::BLOCKED
        } else if args.detailed_exitcode {
            exit::CHANGES
        } else {
            exit::DONE
        },
    )
}

/// The digests of files that the user has.
pub fn assets(given: &[(String, String)]) -> Result<BTreeMap<String, GivenAsset>, CliError> {
    let mut assets = BTreeMap::new();
    for (name, path) in given {
        let (digest, _) = crate::cli::run::digest_file(std::path::Path::new(path))
            .map_err(|error| CliError::file("read", path, &error))?;
        let url = format!("file:{}", files::base_name(path));
        assets.insert(name.clone(), GivenAsset { url, digest });
    }
    Ok(assets)
}

/// Reads the inputs and makes the plan. A file that is named wins over what was read live.
pub fn make_plan(
    env: &Env,
    args: &PlanArgs,
    assets: BTreeMap<String, GivenAsset>,
    given: &Given,
) -> Result<Plan, CliError> {
    let mut paths = BTreeMap::new();
    let mut load = |name: &str, path: &str| -> Result<(String, Vec<u8>), CliError> {
        env.log(Level::Debug, &format!("reading {name} from {path}"));
        paths.insert(name.to_owned(), path.to_owned());
        Ok((files::base_name(path), files::read(path)?))
    };
    let config = match (&args.mke3_config, &given.config) {
        (Some(path), _) => mke3::Config::parse_bytes(path, &load("mke3-config", path)?.1)?,
        (None, Some(bytes)) => mke3::Config::parse_bytes(live::CONFIG, bytes)?,
        (None, None) => {
            return Err(CliError::usage(
                "the MKE 3 configuration is not given",
                "add --mke3-config FILE, or --mke3-admin-username NAME to read it from the live cluster",
            ));
        }
    };
    let (hosts_file, hosts_bytes) = load("hosts", &args.hosts_path)?;
    let hosts = Hosts::parse_bytes(&args.hosts_path, &hosts_bytes)?;
    let facts = match (&args.facts, &given.facts) {
        (Some(path), _) => {
            let (file, bytes) = load("facts", path)?;
            Some((file, Facts::parse(path, &bytes)?, bytes))
        }
        (None, Some(bytes)) => Some((
            live::FACTS.to_owned(),
            Facts::parse(live::FACTS, bytes)?,
            bytes.clone(),
        )),
        (None, None) => None,
    };
    let accounts = match (&args.accounts, &given.accounts) {
        (Some(path), _) => {
            let (file, bytes) = load("accounts", path)?;
            Some((file, Accounts::parse(path, &bytes)?, bytes))
        }
        (None, Some(bytes)) => Some((
            live::ACCOUNTS.to_owned(),
            Accounts::parse(live::ACCOUNTS, bytes)?,
            bytes.clone(),
        )),
        (None, None) => None,
    };
    let images = match (&args.images.images, &given.images) {
        (Some(path), _) => {
            let (file, bytes) = load("images", path)?;
            Some((file, Images::parse(path, &bytes)?, bytes))
        }
        (None, Some(bytes)) => Some((IMAGES.to_owned(), Images::parse(IMAGES, bytes)?, bytes.clone())),
        (None, None) => None,
    };
    let options = options(&args.upgrade)?;
    let registry_cas = registry_cas(&args.upgrade)?;
    for (name, path) in ca_files(&args.upgrade) {
        paths.insert(name.to_owned(), path.to_owned());
    }
    for (name, read, from) in [
        ("mke3-config", &given.config, given.from.as_str()),
        ("accounts", &given.accounts, given.from.as_str()),
        ("facts", &given.facts, live::OVER_SSH),
        ("images", &given.images, "the registries"),
    ] {
        if read.is_some() {
            paths.entry(name.to_owned()).or_insert_with(|| from.to_owned());
        }
    }
    let tables = Tables::load(&Bundle::embedded()).map_err(|error| CliError::bug(error.to_string()))?;
    let made = make(&Inputs {
        tables: &tables,
        config: &config,
        hosts: Source {
            file: &hosts_file,
            bytes: &hosts_bytes,
            value: &hosts,
        },
        facts: facts
            .as_ref()
            .map(|(file, value, bytes)| Source { file, bytes, value }),
        accounts: accounts
            .as_ref()
            .map(|(file, value, bytes)| Source { file, bytes, value }),
        images: images
            .as_ref()
            .map(|(file, value, bytes)| Source { file, bytes, value }),
        registry_cas: &registry_cas,
        options: &options,
        assets: &assets,
    })
    .map_err(refused)?;
    let known = || made.spec.assets.iter().map(|asset| asset.name.as_str());
    if let Some(unknown) = assets.keys().find(|name| !known().any(|known| known == *name)) {
        return Err(CliError::usage(
            format!("--asset {unknown}: no step of this plan takes an asset of that name"),
            format!("the names are {}", known().collect::<Vec<_>>().join(", ")),
        ));
    }
    // The largest of the inputs; the digest needs as much memory again.
    drop(facts);
    let digest = plan::digest::digest(&made.spec)
        .map_err(|error| CliError::bug(format!("the plan cannot be written: {error}")))?;
    let meta = Meta {
        created_at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        created_by: who(),
        tool: format!("mkectl {}", env!("CARGO_PKG_VERSION")),
        paths,
        readings: made.readings,
    };
    Ok(Plan {
        kind: PLAN_KIND.to_owned(),
        format_version: PLAN_FORMAT.to_owned(),
        digest,
        spec: made.spec,
        meta,
    })
}

fn refused(error: MakeError) -> CliError {
    match &error {
        MakeError::Target { known, .. } => {
            CliError::usage(error.to_string(), format!("choose one of {}", known.join(", ")))
        }
        _ => CliError::bug(error.to_string()),
    }
}

/// The files with CAs of registries, with what `meta` calls them.
fn ca_files(args: &UpgradeOptions) -> impl Iterator<Item = (&'static str, &str)> {
    [
        ("image-registry-ca", &args.image_registry_ca_file),
        ("chart-registry-ca", &args.chart_registry_ca_file),
    ]
    .into_iter()
    .filter_map(|(name, path)| Some((name, path.as_deref()?)))
}

/// The CAs of the registries, one after the other.
fn registry_cas(args: &UpgradeOptions) -> Result<String, CliError> {
    ca_files(args)
        .map(|(_, path)| certificate(path, &files::read(path)?))
        .collect()
}

/// The text of a PEM file with certificates, and nothing else: a private key must not get into a plan.
fn certificate(path: &str, bytes: &[u8]) -> Result<String, CliError> {
    let hint = "give a PEM file with the certificate of the registry's CA";
    let text = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.contains("-----BEGIN CERTIFICATE-----"));
    let text =
        text.ok_or_else(|| CliError::usage(format!("{path}: there is no PEM certificate in it"), hint))?;
    if text.contains("PRIVATE KEY") {
        return Err(CliError::usage(
            format!("{path}: there is a private key in it"),
            hint,
        ));
    }
    Ok(format!("{}\n", text.trim_end()))
}

/// `user@host`, as far as the environment tells.
fn who() -> String {
    let user = std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_default();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    crate::text::sanitize(&format!("{user}@{}", host.trim()))
}

/// The options as the library takes them.
pub fn options(args: &UpgradeOptions) -> Result<Options, CliError> {
    let external_address = args.external_address.clone().ok_or_else(|| {
        CliError::usage(
            "the external address is not given",
            "add --external-address HOST, the name or address of the load balancer in front of the managers",
        )
    })?;
    Ok(Options {
        external_address,
        target_version: args.target_version.clone(),
        data_dir: args.data_dir.clone(),
        airgapped: args.mke3_airgapped,
        image_registry: args.image_registry.clone(),
        chart_registry: args.chart_registry.clone(),
        image_registry_ca_file: args.image_registry_ca_file.clone(),
        chart_registry_ca_file: args.chart_registry_ca_file.clone(),
        image_registry_username: args.image_registry_username.clone(),
        chart_registry_username: args.chart_registry_username.clone(),
        gateway_http_node_port: args.gateway_http_node_port,
        gateway_https_node_port: args.gateway_https_node_port,
        remove_ingress_nginx: args.remove_ingress_nginx,
        worker_disruption: args.worker_disruption,
        concurrent_uploads: args.concurrent_uploads,
        parallelism: args.parallelism,
        on_failure: args.on_failure.into(),
        max_failed_workers: args.max_failed_workers,
        commit_after: args.commit_after.clone(),
    })
}
