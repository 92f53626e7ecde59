//! The command line: parse, call the library, print, map errors to exit codes. One file per command.

pub mod args;
mod args_images;
mod args_live;
mod commands;
mod confirm;
mod error;
pub mod exit;
mod files;
mod images;
mod live;
mod log;
mod reach;
mod run;
mod ui;

use args::{Cli, Command};
use clap::Parser;
use clap::error::ErrorKind;
use error::CliError;
use exit::Exit;
use log::{Level, Log};
use std::process::ExitCode;
use ui::{Stream, Ui};

/// What every command gets.
#[derive(Clone)]
pub struct Env {
    ui: Ui,
    log: Log,
}

impl Env {
    fn log(&self, level: Level, message: &str) {
        self.log.line(&self.ui, level, message);
    }
}

/// Runs `mkectl` with the arguments of the process and returns its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let env = Env {
        ui: Ui::new(cli.global.no_color),
        log: Log::new(cli.global.log_level, cli.global.log_format),
    };
    let result = match &cli.command {
        Command::Plan(args) => commands::plan::run(&env, args),
        Command::Apply(args) => commands::apply::run(&env, args),
        Command::Upgrade(args) => commands::upgrade::run(&env, args),
        Command::Rollback(args) => commands::rollback::run(&env, args),
        Command::Status(args) => commands::status::run(&env, args),
        Command::Unlock(args) => commands::unlock::run(&env, args),
        Command::Rehearse(args) => commands::rehearse::run(&env, args),
        Command::Show(args) => commands::show::run(&env, args),
        Command::Diff(args) => commands::diff::run(&env, args),
        Command::Graph(args) => commands::graph::run(&env, args),
        Command::Explain(args) => commands::explain::run(&env, args),
        Command::Schema(args) => commands::schema::run(&env, args),
        Command::Init(args) => commands::init::run(&env, args),
        Command::Check(args) => commands::check::run(&env, args),
        Command::Facts(args) => commands::facts::run(&env, args),
        Command::Version(args) => commands::version::run(&env, args),
        Command::Completion(args) => commands::completion::run(&env, args),
        Command::Man(args) => commands::man::run(&env, args),
        Command::Docs(args) => commands::docs::run(&env, args),
    };
    match result {
        Ok(exit) => ExitCode::from(exit.code),
        Err(error) => {
            report(&env.ui, &error);
            ExitCode::from(error.exit.code)
        }
    }
}

/// clap's own messages, with our exit code for bad usage.
fn refuse(error: &clap::Error) -> ExitCode {
    let exit = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => exit::DONE,
        _ => exit::USAGE,
    };
    // Nothing is left to say when even this cannot be written.
    let _ = error.print();
    ExitCode::from(exit.code)
}

fn report(ui: &Ui, error: &CliError) {
    let style = ui.style(Stream::Err);
    let paint = |text: &str, color: fn(console::Style) -> console::Style| {
        color(console::Style::new().force_styling(style.color))
            .apply_to(text)
            .to_string()
    };
    let head = paint("error:", |s| s.red().bold());
    let help = paint("help:", |s| s.cyan().bold());
    let mut text = format!("{head} {}\n", lines(&error.message));
    if !error.hint.is_empty() {
        text.push_str(&format!(" {help} {}\n", lines(&error.hint)));
    }
    ui.err(&text);
}

/// Strips control characters from every line: names in messages come from files and hosts.
fn lines(text: &str) -> String {
    text.lines()
        .map(crate::text::sanitize)
        .collect::<Vec<_>>()
        .join("\n  ")
}

type CommandResult = Result<Exit, CliError>;
