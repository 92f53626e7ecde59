//! `mkectl init`: the default mke4.yaml, or one converted from an MKE 3 configuration.

use super::super::log::Level;
use crate::catalogue::{Bundle, Release};
use crate::cli::args::InitArgs;
use crate::cli::error::CliError;
use crate::cli::{CommandResult, Env, exit, files};
use crate::convert::document::default_mke4;
use crate::model::{Finding, Severity, SubjectKind};
use crate::options::Options;
use crate::plan::converted::convert;
use crate::plan::make::{Inputs, Source};
use crate::plan::tables::Tables;
use crate::source::hosts::Hosts;
use crate::source::{join, mke3};
use crate::yaml;

pub fn run(env: &Env, args: &InitArgs) -> CommandResult {
    let tables = Tables::load(&Bundle::embedded()).map_err(|error| CliError::bug(error.to_string()))?;
    let release = release(&tables, args.target_version.as_deref())?;
    let Some(path) = &args.mke3_config else {
        env.ui
            .out(yaml::write(&default_mke4(&tables.mke4, release)).as_bytes())?;
        return Ok(exit::DONE);
    };
    let config = mke3::Config::parse_bytes(path, &files::read(path)?)?;
    let config = config.with_arrays(&|path| tables.settings.is_array(path));
    let (file, bytes, hosts) = match &args.hosts_path {
        Some(path) => {
            let bytes = files::read(path)?;
            let hosts = Hosts::parse_bytes(path, &bytes)?;
            (files::base_name(path), bytes, hosts)
        }
        None => (
            String::new(),
            Vec::new(),
            Hosts {
                file: String::new(),
                entries: Vec::new(),
            },
        ),
    };
    let options = Options {
        external_address: args.external_address.clone().unwrap_or_default(),
        data_dir: args.data_dir.clone(),
        ..Options::default()
    };
    let inputs = Inputs {
        tables: &tables,
        config: &config,
        hosts: Source {
            file: &file,
            bytes: &bytes,
            value: &hosts,
        },
        facts: None,
        accounts: None,
        images: None,
        registry_cas: "",
        options: &options,
        assets: &std::collections::BTreeMap::new(),
    };
    let converted = convert(&inputs, &config, &join(&hosts, None), release);
    for finding in settings_findings(&converted.findings) {
        let level = match finding.severity {
            Severity::Blocking => Level::Error,
            Severity::Warning => Level::Warn,
            Severity::Info => Level::Debug,
        };
        let place = finding
            .subject
            .line
            .map_or(String::new(), |line| format!("line {line}: "));
        env.log(level, &format!("{}: {place}{}", finding.code, finding.message));
    }
    let document = converted
        .documents
        .get("mke4.yaml")
        .ok_or_else(|| CliError::bug("the conversion gave no mke4.yaml"))?;
    env.ui.out(document.as_bytes())?;
    // Only what the configuration itself says: choices that `plan` asks for are not made here.
    let blocked =
        settings_findings(&converted.findings).any(|finding| finding.severity == Severity::Blocking);
    Ok(if blocked { exit::BLOCKED } else { exit::DONE })
}

/// Findings about the configuration, which is all that is converted here.
fn settings_findings(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    let kinds = [SubjectKind::Setting, SubjectKind::Flag, SubjectKind::Profile];
    findings
        .iter()
        .filter(move |finding| kinds.contains(&finding.subject.kind))
}

/// The release asked for, else the newest.
pub fn release<'a>(tables: &'a Tables, wanted: Option<&str>) -> Result<&'a Release, CliError> {
    let found = match wanted {
        Some(wanted) => tables.releases.get(wanted),
        None => tables.releases.releases.last(),
    };
    found.ok_or_else(|| {
        let known: Vec<&str> = tables
            .releases
            .releases
            .iter()
            .map(|release| release.mke.as_str())
            .collect();
        CliError::usage(
            format!(
                "MKE 4k {} is not a release that this mkectl knows",
                wanted.unwrap_or_default()
            ),
            format!("choose one of {}", known.join(", ")),
        )
    })
}
