//! `mkectl check`: pre-upgrade checks alone. `check mke3` is the real tool's compatibility report, with secrets masked.

use super::init::release;
use crate::catalogue::Bundle;
use crate::cli::args::{CheckArgs, CheckCommand, CheckMke3Args, ReportFormat};
use crate::cli::error::CliError;
use crate::cli::{CommandResult, Env, exit, files};
use crate::convert::report::{Form, compatibility_report};
use crate::convert::settings::convert_settings;
use crate::model::Severity;
use crate::options::Options;
use crate::plan::tables::Tables;
use crate::source::mke3;

pub fn run(env: &Env, args: &CheckArgs) -> CommandResult {
    match &args.what {
        CheckCommand::Mke3(args) => mke3(env, args),
        CheckCommand::Hosts(args) => super::check_hosts::run(env, args),
        CheckCommand::Ports(args) => super::check_ports::run(env, args),
        CheckCommand::Images(args) => super::check_images::run(env, args),
    }
}

fn mke3(env: &Env, args: &CheckMke3Args) -> CommandResult {
    let tables = Tables::load(&Bundle::embedded()).map_err(|error| CliError::bug(error.to_string()))?;
    let release = release(&tables, args.target_version.as_deref())?;
    let config = mke3::Config::parse_bytes(&args.mke3_config, &files::read(&args.mke3_config)?)?;
    let config = config.with_arrays(&|path| tables.settings.is_array(path));
    let result = convert_settings(&tables.settings, &config, release, &Options::default());
    let form = match args.format {
        ReportFormat::Human => Form::Human,
        ReportFormat::Toml => Form::Toml,
    };
    env.ui
        .out(compatibility_report(&tables.settings, &config, &result, form).as_bytes())?;
    let blocked = result
        .findings
        .iter()
        .any(|finding| finding.severity == Severity::Blocking);
    Ok(if blocked { exit::BLOCKED } else { exit::DONE })
}
