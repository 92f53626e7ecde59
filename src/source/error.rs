//! The one error of reading input: it names file, line, column and a remedy.

use std::fmt;

/// Input that cannot be used. Displays as `FILE:LINE:COLUMN: what is wrong` and a `help:` line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InputError {
    /// File as the caller named it.
    pub file: String,
    /// Line and column, from 1; absent when the whole file is meant.
    pub at: Option<(u32, u32)>,
    /// What is wrong: a lower-case fragment.
    pub message: String,
    /// What to do next: one sentence.
    pub remedy: String,
}

impl InputError {
    /// An error at a place of a file, or about all of it.
    pub fn new(
        file: impl Into<String>,
        at: Option<(u32, u32)>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            file: file.into(),
            at,
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}\n  help: {}", self.message, self.remedy)
    }
}
