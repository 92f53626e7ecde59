//! What people see of a run while it goes on: a view on a terminal, log lines elsewhere.

use crate::apply::Clock;
use crate::apply::book::Book;
use crate::apply::events::Subscriber;
use crate::cli::Env;
use crate::cli::ui::Stream;
use crate::model::Spec;
use crate::report::live::{self, Live};
use crate::report::logline::{self, LogLines};
use std::sync::Arc;

/// What is drawn, to be finished before anything else is written to the terminal.
pub struct Shown {
    live: Option<Arc<Live>>,
    /// Takes the events.
    pub subscriber: Arc<dyn Subscriber>,
}

impl Shown {
    /// What fits stderr.
    pub fn new(
        env: &Env,
        spec: Arc<Spec>,
        earlier: &Book,
        until: Option<&str>,
        width: u32,
        clock: Arc<dyn Clock>,
    ) -> Shown {
        if env.ui.is_terminal(Stream::Err) && env.log.is_text() {
            let live = Live::start(live::Setup {
                spec,
                earlier,
                until,
                width,
                clock,
                term: console::Term::stderr(),
                style: env.ui.style(Stream::Err),
            });
            return Shown {
                live: Some(live.clone()),
                subscriber: live,
            };
        }
        let lines = LogLines::new(logline::Setup {
            spec,
            earlier,
            until,
            level: env.log.level(),
            form: env.log.form(),
            out: Box::new(std::io::stderr()),
        });
        Shown {
            live: None,
            subscriber: Arc::new(lines),
        }
    }

    /// Nothing more is drawn.
    pub fn finish(&self) {
        if let Some(live) = &self.live {
            live.finish();
        }
    }
}
