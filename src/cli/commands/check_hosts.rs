//! `mkectl check hosts`: the checks of a plan that are about hosts and cluster, alone.

use super::facts;
use crate::catalogue::{Bundle, FindingRegistry};
use crate::cli::args::{CheckFormat, CheckHostsArgs};
use crate::cli::error::CliError;
use crate::cli::{CommandResult, Env, exit, files, live, run};
use crate::convert::checks::{CheckContext, aggregate, run_checks};
use crate::model::{Finding, Severity, SubjectKind, Unchecked};
use crate::options::Options;
use crate::plan::tables::Tables;
use crate::source::facts::Facts;
use crate::source::hosts::Hosts;
use crate::source::mke3::Config;
use serde::Serialize;
use std::fmt::Write;

/// What is printed with `--format json`.
#[derive(Serialize)]
struct Report<'a> {
    findings: &'a [Finding],
    unchecked: &'a [Unchecked],
}

pub fn run(env: &Env, args: &CheckHostsArgs) -> CommandResult {
    let hosts = Hosts::parse_bytes(&args.hosts_path, &files::read(&args.hosts_path)?)?;
    let facts = match &args.facts {
        Some(path) => Facts::parse(path, &files::read(path)?)?,
        None => {
            run::runtime()?
                .block_on(async {
                    let pool = facts::pool(env, args.parallelism);
                    let gathered = live::gathered(env, &hosts, &pool, args.parallelism).await;
                    pool.close().await;
                    gathered
                })?
                .facts
        }
    };
    let tables = Tables::load(&Bundle::embedded()).map_err(|error| CliError::bug(error.to_string()))?;
    // Of settings and options nothing is known here, so what is said of them is left out below. One setting has its default.
    let config = Config::parse("mke3.toml", "[cluster_config]\ncontroller_port = 443\n")
        .map_err(|error| CliError::bug(error.message))?;
    let options = Options {
        data_dir: args.data_dir.clone(),
        target_version: args.target_version.clone(),
        ..Options::default()
    };
    let target = match &args.target_version {
        Some(_) => Some(super::init::release(&tables, args.target_version.as_deref())?),
        None => facts
            .cluster
            .mke_version
            .as_deref()
            .and_then(|from| tables.releases.newest_for(from)),
    };
    let result = run_checks(&CheckContext {
        config: &config,
        hosts: &hosts,
        facts: Some(&facts),
        images: None,
        target,
        releases: &tables.releases,
        options: &options,
        rules: &tables.checks,
        registry: &tables.findings,
    });
    let about_hosts = |kind: SubjectKind| !matches!(kind, SubjectKind::Setting | SubjectKind::Input);
    let findings: Vec<Finding> = aggregate(result.findings)
        .into_iter()
        .filter(|finding| about_hosts(finding.subject.kind))
        .collect();
    let unchecked: Vec<Unchecked> = result
        .unchecked
        .into_iter()
        .filter(|one| !one.hosts.is_empty())
        .collect();
    show(env, args.format, &tables.findings, &findings, &unchecked)?;
    let unreachable = facts.hosts.iter().any(|host| host.unreachable.is_some());
    let blocked = findings
        .iter()
        .any(|finding| finding.severity == Severity::Blocking);
    Ok(match (unreachable, blocked) {
        (true, _) => exit::UNREACHABLE,
        (false, true) => exit::BLOCKED,
        (false, false) => exit::DONE,
    })
}

/// Prints findings: the worst first, each with what to do.
///
/// # Errors
///
/// When stdout is closed.
pub fn show(
    env: &Env,
    format: CheckFormat,
    registry: &FindingRegistry,
    findings: &[Finding],
    unchecked: &[Unchecked],
) -> Result<(), CliError> {
    if format == CheckFormat::Json {
        let mut json = serde_json::to_vec_pretty(&Report { findings, unchecked })
            .map_err(|error| CliError::bug(error.to_string()))?;
        json.push(b'\n');
        return env.ui.out(&json);
    }
    let mut text = String::new();
    for (severity, word) in [
        (Severity::Blocking, "blocking"),
        (Severity::Warning, "warning"),
        (Severity::Info, "note"),
    ] {
        for finding in findings.iter().filter(|finding| finding.severity == severity) {
            let title = registry
                .get(&finding.code)
                .map_or("", |definition| definition.title.as_str());
            let hosts = match finding.hosts.as_slice() {
                [] => String::new(),
                hosts => format!(" ({})", crate::text::fold_hosts(hosts)),
            };
            // A string takes everything.
            let _ = writeln!(
                text,
                "{word}: {} {title}\n  {}{hosts}\n  → {}",
                finding.code,
                crate::text::sanitize(&finding.message),
                crate::text::sanitize(&finding.remedy)
            );
        }
    }
    for one in unchecked {
        let _ = writeln!(
            text,
            "not checked: {}: {} ({})",
            one.code,
            crate::text::sanitize(&one.why),
            crate::text::fold_hosts(&one.hosts)
        );
    }
    let count = |severity: Severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let _ = writeln!(
        text,
        "{} blocking, {} warnings, {} notes, {} not checked",
        count(Severity::Blocking),
        count(Severity::Warning),
        count(Severity::Info),
        unchecked.len()
    );
    env.ui.out(text.as_bytes())
}
