//! What people see of a run while it goes on.

use crate::apply::call::Verb;
use crate::apply::events::{EndKind, Event, Line, Subscriber};
use crate::cli::Env;
use crate::model::Plan;
use std::sync::Arc;

/// Log lines.
pub struct Shown {
    log: crate::cli::log::Log,
    ui: crate::cli::ui::Ui,
}

/// The subscriber that fits stderr.
pub fn subscriber(env: &Env, _plan: &Plan) -> Arc<Shown> {
    Arc::new(Shown {
        log: env.log.clone(),
        ui: env.ui.clone(),
    })
}

impl Shown {
    /// Nothing more is shown.
    pub fn finish(&self) {}
}

impl Subscriber for Shown {
    fn line(&self, line: &Line) {
        use crate::cli::log::Level;
        match &line.event {
            Event::StageStart { stage } => {
                self.log
                    .line(&self.ui, Level::Info, &format!("==> Running phase: {stage}"));
            }
            Event::ActionEnd {
                action,
                verb,
                end,
                elapsed_ms,
                reason,
            } => {
                let level = if *end == EndKind::Done {
                    Level::Info
                } else {
                    Level::Error
                };
                let what = if *verb == Verb::Undo { "undo " } else { "" };
                let why = reason.as_ref().map_or(String::new(), |reason| {
                    format!(": {} [{}]", reason.message, reason.stderr.join(" | "))
                });
                self.log.line(
                    &self.ui,
                    level,
                    &format!("{what}{action} {end:?} {elapsed_ms} ms{why}"),
                );
            }
            _ => {}
        }
    }
}
