//! `mkectl man [COMMAND]`.

use crate::cli::args::{Cli, ManArgs};
use crate::cli::error::CliError;
use crate::cli::{CommandResult, Env, exit};
use clap::CommandFactory;

pub fn run(env: &Env, args: &ManArgs) -> CommandResult {
    let mut root = Cli::command();
    root.build();
    let page = match &args.command {
        None => root,
        Some(name) => root
            .get_subcommands()
            .find(|command| command.get_name() == name && !command.is_hide_set())
            .cloned()
            .ok_or_else(|| {
                CliError::usage(
                    format!("there is no command {name:?}"),
                    "`mkectl --help` lists the commands",
                )
            })?,
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page)
        .render(&mut text)
        .map_err(|error| CliError::bug(format!("the manual page cannot be rendered: {error}")))?;
    env.ui.out(&text)?;
    Ok(exit::DONE)
}
