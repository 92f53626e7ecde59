//! What is wrong with a file of `plans/upgrade/`, where, and what to do about it.

use thiserror::Error;

/// A fault in a file of `plans/upgrade/`. It names file, line, fault and remedy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {problem}; {remedy}", place(.file, *.line))]
pub struct CatalogueError {
    file: String,
    line: u32,
    problem: String,
    remedy: String,
}

fn place(file: &str, line: u32) -> String {
    match line {
        0 => file.to_owned(),
        line => format!("{file}:{line}"),
    }
}

impl CatalogueError {
    /// A fault; `line` is 0 when it belongs to no line. Problem and remedy are lower-case fragments.
    pub(crate) fn new(file: &str, line: u32, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        CatalogueError {
            file: format!("plans/upgrade/{file}"),
            line,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// What serde_yaml says, with its place.
    pub(crate) fn yaml(file: &str, error: &serde_yaml::Error) -> Self {
        let line = error
            .location()
            .map_or(0, |at| u32::try_from(at.line()).unwrap_or(0));
        let text = error.to_string();
        let problem = match text.rfind(" at line ") {
            Some(end) => text[..end].to_owned(),
            None => text,
        };
        CatalogueError::new(
            file,
            line,
            problem,
            "see docs/catalogue.md for the keys and their forms",
        )
    }

    /// The line, from 1; 0 when the fault belongs to no line.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// What is wrong.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What to do about it.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

/// The known name that is most like a wrong one, if any is near enough to be meant.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 3))
        .min()
        .map(|(_, name)| name)
}

/// The remedy for an unknown name.
pub(crate) fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    match nearest(wrong, known.iter().copied()) {
        Some(name) => format!("did you mean {name}?"),
        None if known.is_empty() => "there is none to choose from".to_owned(),
        None => format!("known are {}", known.join(", ")),
    }
}
