//! `mkectl diff A B`: what changed between two plans, and in risk.

use super::super::ui::Stream;
use crate::cli::args::DiffArgs;
use crate::cli::{CommandResult, Env, exit};
use crate::report;

pub fn run(env: &Env, args: &DiffArgs) -> CommandResult {
    let a = super::load_plan(&args.a)?;
    let b = super::load_plan(&args.b)?;
    env.ui
        .out(report::diff_plans::render_diff(&a, &b, &env.ui.style(Stream::Out)).as_bytes())?;
    Ok(if args.detailed_exitcode && a.digest != b.digest {
        exit::CHANGES
    } else {
        exit::DONE
    })
}
