//! Log lines on stderr, in the form of the real tool: `INFO[0106] message`, or JSON.

use super::ui::Ui;
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

    /// Writes a line when its level is wanted.
    pub fn line(&self, ui: &Ui, level: Level, message: &str) {
        if level > self.level {
            return;
        }
        let seconds = self.start.elapsed().as_secs();
        let message = crate::text::sanitize(message);
        ui.err(&match self.format {
            LogFormat::Text => format!("{}[{seconds:04}] {message}\n", short(level)),
            LogFormat::Json => {
                let line = serde_json::json!({"level": long(level), "msg": message, "seconds": seconds});
                format!("{line}\n")
            }
        });
    }
}

fn short(level: Level) -> &'static str {
    match level {
        Level::Error => "ERRO",
        Level::Warn => "WARN",
        Level::Info => "INFO",
        Level::Debug => "DEBU",
        Level::Trace => "TRAC",
    }
}

fn long(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}
