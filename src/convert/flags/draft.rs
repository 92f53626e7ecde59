//! The row of a flag while it is being decided.

use crate::model::{Outcome, Target};

/// Something to say about a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub code: String,
    pub message: String,
    pub remedy: String,
}

/// What is decided so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    pub outcome: Outcome,
    pub to: Vec<Target>,
    pub reason: String,
    pub remedy: String,
    pub notes: Vec<Note>,
}

impl Draft {
    /// Not carried over.
    pub(crate) fn lost(code: &str, why: impl Into<String>, remedy: impl Into<String>) -> Draft {
        let (reason, remedy) = (why.into(), remedy.into());
        Draft {
            outcome: Outcome::Unsupported,
            to: Vec::new(),
            reason: reason.clone(),
            remedy: remedy.clone(),
            notes: vec![Note {
                code: code.to_owned(),
                message: format!("not carried over: {reason}"),
                remedy,
            }],
        }
    }

    /// Carried over.
    pub(crate) fn kept(to: Vec<Target>, reason: impl Into<String>) -> Draft {
        Draft {
            outcome: Outcome::Converted,
            to,
            reason: reason.into(),
            remedy: String::new(),
            notes: Vec::new(),
        }
    }

    /// Nothing to carry over.
    pub(crate) fn ignored(reason: impl Into<String>) -> Draft {
        Draft {
            outcome: Outcome::Ignored,
            to: Vec::new(),
            reason: reason.into(),
            remedy: String::new(),
            notes: Vec::new(),
        }
    }

    /// Adds something to say. The first remedy becomes that of the row.
    pub(crate) fn note(&mut self, code: &str, message: impl Into<String>, remedy: impl Into<String>) {
        let remedy = remedy.into();
        if self.remedy.is_empty() {
            self.remedy.clone_from(&remedy);
        }
        self.notes.push(Note {
            code: code.to_owned(),
            message: message.into(),
            remedy,
        });
    }
}
