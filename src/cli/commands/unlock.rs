//! `mkectl unlock`: take a cluster away from a run that is gone, or from a plan that nobody goes on with.

use crate::apply::runner::{Phase, Settings};
use crate::cli::args::UnlockArgs;
use crate::cli::confirm::Question;
use crate::cli::error::CliError;
use crate::cli::log::Level;
use crate::cli::run::{self, Cluster, Patience};
use crate::cli::{CommandResult, Env, exit, reach};
use std::path::PathBuf;
use std::sync::Arc;

pub fn run(env: &Env, args: &UnlockArgs) -> CommandResult {
    let plan = super::load_plan(&args.plan)?;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let client = Arc::new(reach::client(env, home));
    run::runtime()?.block_on(async {
        let cluster = Cluster::new(&plan, client, Settings::default(), Patience::Short);
        let holder = cluster.holder().await?;
        let Some(holder) = holder.filter(|holder| holder.claim.phase != Phase::Free) else {
            env.log(Level::Info, "nobody holds this cluster: there is nothing to unlock");
            cluster.close().await;
            return Ok(exit::DONE);
        };
        let mut text = format!("{holder}, since {}.\n", run::when(holder.claim.since));
        text.push_str(match holder.claim.phase {
            Phase::Held => {
                "Its run is still there: it will start nothing new, what runs on the hosts comes to its end, and it pauses.\n"
            }
            _ => "Its run is not there any more.\n",
        });
        text.push_str(match holder.same_plan {
            true => "Afterwards any plan may be applied; this one can still be resumed or rolled back until then.\n",
            false => {
                "The cluster is where that plan left it, perhaps in the middle: going on with it, or its rollback, is the \
                 safe way. Afterwards any plan may be applied.\n"
            }
        });
        env.ui.err(&text);
        confirm(env, args.yes)?;
        let token = cluster.unlock().await?;
        cluster.close().await;
        env.log(
            Level::Info,
            &format!("the cluster is free; hosts refuse runs before number {token}"),
        );
        Ok(exit::DONE)
    })
}

fn confirm(env: &Env, yes: bool) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    let question = Question {
        text: "Take the cluster away? Type \"yes\": ".to_owned(),
        yes: "yes",
        what: "it",
        otherwise: "nothing was taken away",
        hint: "run it on a terminal, or with --yes",
    };
    question.ask(env)
}
