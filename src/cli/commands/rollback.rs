//! `mkectl rollback`: undo what a plan did, as its journal has it.

use super::apply;
use crate::apply::engine::Direction;
use crate::cli::args::RollbackArgs;
use crate::cli::images::Passwords;
use crate::cli::run::{self, Earlier};
use crate::cli::{CommandResult, Env};

pub fn run(env: &Env, args: &RollbackArgs) -> CommandResult {
    let plan = super::load_plan(&args.plan)?;
    run::applyable(&plan)?;
    let config = apply::configuration(args.mke3_config.as_deref())?;
    apply::go(
        env,
        &apply::Going {
            name: &args.plan,
            plan: &plan,
            yes: args.yes,
            earlier: Earlier::Resume,
            direction: Direction::Back,
            parallelism: args.parallelism,
            until: None,
            mke3_config: config.as_ref(),
            assets: None,
            lb_hook: None,
            passwords: Passwords::new(),
            rehearsed: &args.rehearsed,
            run: &args.run,
        },
    )
}
