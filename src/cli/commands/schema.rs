//! `mkectl schema [NAME]`.

use crate::cli::args::{SchemaArgs, SchemaName};
use crate::cli::{CommandResult, Env, exit};
use crate::{plan, source};

pub fn run(env: &Env, args: &SchemaArgs) -> CommandResult {
    let schema = match args.name {
        SchemaName::Plan => plan::schema(),
        SchemaName::Facts => source::facts::schema(),
        SchemaName::Accounts => source::accounts::schema(),
    };
    env.ui.out(format!("{schema:#}\n").as_bytes())?;
    Ok(exit::DONE)
}
