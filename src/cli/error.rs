//! What a command can fail with: a kind that picks the exit code, a text, hints.

use super::exit::{self, Exit};
use crate::plan::PlanError;
use crate::source::InputError;
use std::io;

/// A failed command.
#[derive(Debug)]
pub struct CliError {
    /// Exit code.
    pub exit: Exit,
    /// What went wrong; may have several lines.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

impl CliError {
    /// Bad usage or input.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        CliError {
            exit: exit::USAGE,
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// A bug.
    pub fn bug(message: impl Into<String>) -> Self {
        CliError {
            exit: exit::BUG,
            message: message.into(),
            hint: "this is a bug in mkectl: please report it with the command you ran".to_owned(),
        }
    }

    /// A file that cannot be read or written.
    pub fn file(what: &str, path: &str, error: &io::Error) -> Self {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "check the path; it is relative to the current directory",
            io::ErrorKind::PermissionDenied => "check owner and mode of the file and its directories",
            io::ErrorKind::StorageFull => "free some space and run the command again; nothing was written",
            _ => "check the path",
        };
        CliError::usage(format!("cannot {what} {path}: {}", plain(error)), hint)
    }
}

/// The text of an I/O error without Rust's `(os error N)`.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

impl From<InputError> for CliError {
    fn from(error: InputError) -> Self {
        let place = error
            .at
            .map_or(String::new(), |(line, column)| format!(":{line}:{column}"));
        CliError::usage(format!("{}{place}: {}", error.file, error.message), error.remedy)
    }
}

impl CliError {
    /// A plan file that is refused.
    pub fn plan(path: &str, error: &PlanError) -> Self {
        CliError {
            exit: exit::PLAN_INVALID,
            message: format!("{path}: {error}"),
            hint: error.remedy().to_owned(),
        }
    }
}
