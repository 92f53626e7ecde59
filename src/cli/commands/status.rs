//! `mkectl status`: how far a plan came, as its journal has it, here and on the managers, and who holds the cluster.

use super::apply::state_dir;
use crate::apply::book::Book;
use crate::apply::copies::Copy;
use crate::apply::journal::{JournalError, Record};
use crate::apply::lease::Holder;
use crate::apply::runner::{Phase, Settings};
use crate::cli::args::StatusArgs;
use crate::cli::error::CliError;
use crate::cli::log::Level;
use crate::cli::run::{self, Cluster, Looked, Patience};
use crate::cli::{CommandResult, Env, exit, files, reach};
use crate::model::{Plan, Role};
use std::path::PathBuf;
use std::sync::Arc;

pub fn run(env: &Env, args: &StatusArgs) -> CommandResult {
    let plan = super::load_plan(&args.plan)?;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let path = run::place(
        &state_dir(args.state_dir.as_deref(), home.as_deref())?,
        &plan.digest,
    )
    .join("journal.jsonl");
    let name = path.to_string_lossy().into_owned();
    let here = match path.exists() {
        true => Some(Copy::read(name.clone(), files::read(&name)?)),
        false => None,
    };
    let looked = match args.offline {
        true => Looked::nobody(),
        false => {
            let client = Arc::new(reach::client(env, home));
            run::runtime()?.block_on(async {
                let cluster = Cluster::new(&plan, client, Settings::default(), Patience::Short);
                let looked = cluster.look().await;
                cluster.close().await;
                looked
            })
        }
    };
    for (host, why) in &looked.without {
        env.log(Level::Warn, &format!("{host} cannot be asked: {why}"));
    }
    if looked.there == 0 && here.is_none() && !args.offline {
        return Err(CliError {
            exit: exit::UNREACHABLE,
            message: "no manager can be asked, and this machine has no journal of this plan".to_owned(),
            hint: "correct what is said above and run the command again".to_owned(),
        });
    }
    env.ui.out(text(env, &plan, here, &looked)?.as_bytes())?;
    Ok(exit::DONE)
}

/// Who has the cluster.
fn held(plan: &Plan, looked: &Looked) -> String {
    let Some(claim) = looked.claim.clone() else {
        return String::new();
    };
    let same_plan = claim.plan == plan.digest;
    let (left, since) = (claim.left_s, run::when(claim.since));
    let holder = Holder { claim, same_plan };
    let more = match holder.claim.phase {
        Phase::Free => return format!("cluster    {holder}\n"),
        Phase::Held => format!(", heard of less than {} s ago", left.max(1)),
        Phase::Expired | Phase::Reserved => String::new(),
    };
    format!("cluster    {holder}, since {since}{more}\n")
}

fn text(
    env: &Env,
    plan: &Plan,
    here: Option<Result<Copy, JournalError>>,
    looked: &Looked,
) -> Result<String, CliError> {
    let journal = run::merged(env, here.as_ref(), looked)?;
    let decoded = &journal.decoded;
    let managers = plan
        .spec
        .hosts
        .iter()
        .filter(|host| host.role == Some(Role::Manager))
        .count();
    let told = match looked.there {
        0 => "only this machine was asked: the managers may know more".to_owned(),
        there if there * 2 > managers => format!("{there} of {managers} managers were asked"),
        there => format!("{there} of {managers} managers were asked: the others may know more"),
    };
    let spec = &plan.spec;
    let cluster = held(plan, looked);
    if decoded.records.is_empty() {
        let nothing = match looked.there {
            0 => "This machine knows of no run of this plan",
            _ => "This plan was never begun",
        };
        return Ok(format!("Plan {}\n{nothing}; {told}.\n\n{cluster}", plan.digest));
    }
    let book = Book::read(&plan.digest, &decoded.records).map_err(|error| run::undecided(&error))?;
    let mut text = format!("Plan {}\njournal of {}; {told}\n\n", plan.digest, journal.from);
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
    text.push_str(&format!("state      {state}\n{cluster}\n"));
    for stage in &spec.stages {
        let of = |step: &str| {
            spec.steps
                .iter()
                .any(|known| known.id == step && known.stage == stage.id)
        };
        let all = spec.actions.iter().filter(|action| of(&action.step));
        let (mut count, mut done, mut undone) = (0, 0, 0);
        for action in all {
            count += 1;
            done += usize::from(book.done.contains_key(&action.id) && !book.undone.contains(&action.id));
            undone += usize::from(book.undone.contains(&action.id));
        }
        let back = if undone > 0 {
            format!(", {undone} undone")
        } else {
            String::new()
        };
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
    Ok(text)
}
