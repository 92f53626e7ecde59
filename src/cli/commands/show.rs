//! `mkectl show PLAN`: offline, from the file alone.

use super::super::ui::Stream;
use crate::cli::args::{Format, ShowArgs};
use crate::cli::error::CliError;
use crate::cli::{CommandResult, Env, exit};
use crate::model::Plan;
use crate::report::scripts::Direction;
use crate::{plan, report};

pub fn run(env: &Env, args: &ShowArgs) -> CommandResult {
    let plan = super::load_plan(&args.plan)?;
    let style = env.ui.style(Stream::Out);
    let refused = |error: report::scripts::NotFound| CliError::usage(error.to_string(), "");
    let bytes = match (&args.scripts, &args.runbook) {
        (Some(action), _) => {
            let page = report::scripts::render(&plan, action, &style).map_err(refused)?;
            if env.ui.is_terminal(Stream::Out) {
                page.into_bytes()
            } else {
                // Redirected, stdout is exactly the bytes that run; what stands around them is for people.
                env.ui.err(&page);
                let found = report::scripts::action(&plan, action).map_err(refused)?;
                found.script.unwrap_or_default().as_bytes().to_vec()
            }
        }
        (None, Some(stage)) => {
            let direction = if args.undo {
                Direction::Undo
            } else {
                Direction::Finish
            };
            report::scripts::runbook(&plan, stage, direction, &style)
                .map_err(refused)?
                .into_bytes()
        }
        (None, None) => render(env, &plan, args.format, args.max_bytes)?,
    };
    env.ui.out(&bytes)?;
    Ok(exit::DONE)
}

/// A plan in one of the forms.
pub fn render(env: &Env, plan: &Plan, format: Format, max_bytes: Option<u32>) -> Result<Vec<u8>, CliError> {
    Ok(match format {
        Format::Text => report::diff::render(plan, &env.ui.style(Stream::Out)).into_bytes(),
        Format::Json => plan::write(plan)
            .map_err(|error| CliError::bug(format!("the plan cannot be written: {error}")))?,
        Format::Markdown => {
            report::markdown::render(plan, max_bytes.map(|n| usize::try_from(n).unwrap_or(usize::MAX)))
                .into_bytes()
        }
        Format::Html => report::html::render(plan).into_bytes(),
        Format::Dot => report::graph::dot(plan, false).into_bytes(),
        Format::Mermaid => report::graph::mermaid(plan, false).into_bytes(),
    })
}
