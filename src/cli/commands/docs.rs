//! `mkectl docs PAGE`: the generated pages of `docs/`; hidden, for the tests that compare them.

use crate::catalogue::{Bundle, FindingRegistry};
use crate::cli::args::{Cli, DocsArgs, DocsPage};
use crate::cli::error::CliError;
use crate::cli::{CommandResult, Env, exit};
use crate::convert::settings;
use clap::CommandFactory;

pub fn run(env: &Env, args: &DocsArgs) -> CommandResult {
    let bundle = Bundle::embedded();
    let bug = |error: &dyn std::fmt::Display| CliError::bug(error.to_string());
    let page = match args.page {
        DocsPage::Cli => cli_page(),
        DocsPage::ExitCodes => exit_codes_page(),
        DocsPage::Findings => FindingRegistry::load(&bundle)
            .map_err(|error| bug(&error))?
            .markdown(),
        DocsPage::Settings => {
            settings::settings_markdown(&settings::SettingsTable::load(&bundle).map_err(|error| bug(&error))?)
        }
    };
    env.ui.out(page.as_bytes())?;
    Ok(exit::DONE)
}

fn cli_page() -> String {
    let mut page = String::from(
        "# Command line\n\nGenerated from the program (`mkectl docs cli`); the tests compare it.\n\
         Exit codes: [exit-codes.md](exit-codes.md).\n",
    );
    let mut root = Cli::command().term_width(100);
    root.build();
    section(&mut page, &root, 2);
    page
}

fn section(page: &mut String, command: &clap::Command, level: usize) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let help = command.clone().render_long_help().to_string();
    page.push_str(&format!("\n{} {name}\n\n```text\n", "#".repeat(level)));
    for line in help.lines() {
        page.push_str(line.trim_end());
        page.push('\n');
    }
    page.push_str("```\n");
    for child in command.get_subcommands().filter(|child| !child.is_hide_set()) {
        section(page, child, (level + 1).min(4));
    }
}

fn exit_codes_page() -> String {
    let mut page = String::from(
        "# Exit codes\n\nGenerated from the program (`mkectl docs exit-codes`); the tests compare it.\n\
         They are a contract: a code keeps its meaning.\n\n| code | meaning |\n| --- | --- |\n",
    );
    for exit in exit::ALL {
        page.push_str(&format!("| {} | {} |\n", exit.code, exit.meaning));
    }
    page
}
