//! `mkectl explain [CODE]`.

use super::super::ui::Stream;
use crate::catalogue::{Bundle, FindingRegistry};
use crate::cli::args::ExplainArgs;
use crate::cli::error::CliError;
use crate::cli::{CommandResult, Env, exit};
use crate::report;

pub fn run(env: &Env, args: &ExplainArgs) -> CommandResult {
    let registry =
        FindingRegistry::load(&Bundle::embedded()).map_err(|error| CliError::bug(error.to_string()))?;
    let style = env.ui.style(Stream::Out);
    let text = match &args.code {
        None => registry
            .iter()
            .map(|entry| format!("{:26} {}\n", entry.code, entry.title))
            .collect(),
        Some(code) => {
            let entry = registry.get(code).ok_or_else(|| {
                let hint = match registry.nearest(code) {
                    Some(near) => format!("did you mean {near}? `mkectl explain` lists all codes"),
                    None => "`mkectl explain` lists all codes".to_owned(),
                };
                CliError::usage(format!("there is no finding with the code {code:?}"), hint)
            })?;
            report::findings::explain(
                &entry.code,
                &entry.title,
                entry.severity,
                &entry.explain,
                &entry.remedy,
                &style,
            )
        }
    };
    env.ui.out(text.as_bytes())?;
    Ok(exit::DONE)
}
