//! Log lines on stderr, in the form of the real tool: `INFO[0106] message`, or JSON.

use super::ui::Ui;
use crate::report::logline;
use clap::ValueEnum;
use std::time::Instant;

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Level {
    /// Errors only.
    Error,
    /// And warnings.
    Warn,
    /// And what is being done.
    Info,
    /// And details.
    Debug,
    /// And everything.
    Trace,
}

/// Form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `INFO[0106] message`; the number is seconds since the start.
    Text,
    /// One JSON object a line.
    Json,
}

/// Writes log lines.
#[derive(Clone)]
pub struct Log {
    level: Level,
    format: LogFormat,
    start: Instant,
}

impl Log {
    /// A log that starts now.
    pub fn new(level: Level, format: LogFormat) -> Self {
        Log {
            level,
            format,
            start: Instant::now(),
        }
    }

    /// How much is written.
    pub fn level(&self) -> logline::Level {
        self.level.into()
    }

    /// Form of the lines.
    pub fn form(&self) -> logline::Form {
        self.format.into()
    }

    /// Whether lines are for people.
    pub fn is_text(&self) -> bool {
        self.format == LogFormat::Text
    }

    /// When it started.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Writes a line when its level is wanted.
    pub fn line(&self, ui: &Ui, level: Level, message: &str) {
        if level > self.level {
            return;
        }
        let seconds = self.start.elapsed().as_secs();
        ui.err(&logline::format(
            self.format.into(),
            level.into(),
            seconds,
            message,
        ));
    }
}

impl From<Level> for logline::Level {
    fn from(level: Level) -> logline::Level {
        match level {
            Level::Error => logline::Level::Error,
            Level::Warn => logline::Level::Warn,
            Level::Info => logline::Level::Info,
            Level::Debug => logline::Level::Debug,
            Level::Trace => logline::Level::Trace,
        }
    }
}

impl From<LogFormat> for logline::Form {
    fn from(format: LogFormat) -> logline::Form {
        match format {
            LogFormat::Text => logline::Form::Text,
            LogFormat::Json => logline::Form::Json,
        }
    }
}
