//! `mkectl graph PLAN`.

use crate::cli::args::{GraphArgs, GraphFormat};
use crate::cli::{CommandResult, Env, exit};
use crate::report;

pub fn run(env: &Env, args: &GraphArgs) -> CommandResult {
    let plan = super::load_plan(&args.plan)?;
    let text = match args.format {
        GraphFormat::Dot => report::graph::dot(&plan, args.full),
        GraphFormat::Mermaid => report::graph::mermaid(&plan, args.full),
    };
    env.ui.out(text.as_bytes())?;
    Ok(exit::DONE)
}
