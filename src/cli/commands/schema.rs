//! `mkectl schema [NAME]`.

use crate::cli::args::{SchemaArgs, SchemaName};
use crate::cli::{CommandResult, Env, exit};
use crate::{apply, plan, report, source};

pub fn run(env: &Env, args: &SchemaArgs) -> CommandResult {
    let schema = match args.name {
        SchemaName::Plan => plan::schema(),
        SchemaName::Facts => source::facts::schema(),
        SchemaName::Accounts => source::accounts::schema(),
        SchemaName::Images => source::images::schema(),
        SchemaName::Events => apply::events::schema(),
        SchemaName::RunReport => report::run_report::schema(),
    };
    env.ui.out(format!("{schema:#}\n").as_bytes())?;
    Ok(exit::DONE)
}
