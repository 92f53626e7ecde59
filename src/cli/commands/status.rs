//! `mkectl status`: how far a plan came, as its journal has it.

use super::apply::state_dir;
use crate::apply::book::Book;
use crate::apply::journal::{Record, decode};
use crate::cli::args::StatusArgs;
use crate::cli::error::CliError;
use crate::cli::{CommandResult, Env, exit, files};
use std::path::PathBuf;

pub fn run(env: &Env, args: &StatusArgs) -> CommandResult {
    let plan = super::load_plan(&args.plan)?;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let digits = plan.digest.strip_prefix("sha256:").unwrap_or(&plan.digest);
    let path = state_dir(args.state_dir.as_deref(), home.as_deref())?
        .join(digits.get(..16).unwrap_or(digits))
        .join("journal.jsonl");
    if !path.exists() {
        env.ui
            .out(b"This plan was never begun from this machine.\n")?;
        return Ok(exit::DONE);
    }
    let name = path.to_string_lossy();
    let undecided = |error: &dyn std::fmt::Display| CliError {
        exit: exit::UNDECIDED,
        message: format!("{name}: {error}"),
        hint: "keep the file; the hosts know what they did".to_owned(),
    };
    let decoded = decode(&files::read(&name)?).map_err(|error| undecided(&error))?;
    let book = Book::read(&plan.digest, &decoded.records).map_err(|error| undecided(&error))?;
    let spec = &plan.spec;
    let mut text = format!("Plan {}\njournal {name}\n\n", plan.digest);
    let last = decoded.records.iter().rev().find_map(|record| match record {
        Record::Start { at, run, .. } => Some(format!("{run}, begun {at}")),
        _ => None,
    });
    text.push_str(&format!("last run   {}\n", last.unwrap_or_default()));
    let state = if book.used_up {
        "ended: nothing is left to do"
    } else if book.rolling_back {
        "in a rollback: `mkectl rollback` goes on with it"
    } else {
        "begun and not ended: `mkectl apply --resume` goes on, `mkectl rollback` goes back"
    };
    text.push_str(&format!("state      {state}\n\n"));
    for stage in &spec.stages {
        let of = |step: &str| spec.steps.iter().any(|known| known.id == step && known.stage == stage.id);
        let all = spec.actions.iter().filter(|action| of(&action.step));
        let (mut count, mut done, mut undone) = (0, 0, 0);
        for action in all {
            count += 1;
            done += usize::from(book.done.contains_key(&action.id) && !book.undone.contains(&action.id));
            undone += usize::from(book.undone.contains(&action.id));
        }
        let back = if undone > 0 { format!(", {undone} undone") } else { String::new() };
        text.push_str(&format!("  {:<18} {done} of {count} done{back}\n", stage.id));
    }
    for (what, names) in [
        ("failed", book.failed.keys().cloned().collect::<Vec<_>>()),
        (
            "not known",
            book.open.keys().map(|(_, action)| action.clone()).collect(),
        ),
        ("left out", book.left_out.iter().cloned().collect()),
    ] {
        if !names.is_empty() {
            text.push_str(&format!("\n{what}: {}\n", names.join(", ")));
        }
    }
    env.ui.out(text.as_bytes())?;
    Ok(exit::DONE)
}
