//! `mkectl completion SHELL`.

use crate::cli::args::{Cli, CompletionArgs};
use crate::cli::{CommandResult, Env, exit};
use clap::CommandFactory;

pub fn run(env: &Env, args: &CompletionArgs) -> CommandResult {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mkectl", &mut script);
    env.ui.out(&script)?;
    Ok(exit::DONE)
}
