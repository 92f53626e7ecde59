//! What a report says, one file per section.

mod access;
mod downtime;
mod findings;
mod flags;
mod glance;
mod hosts;
mod next;
mod ports;
mod secrets;
mod settings;
mod stages;
mod trees;
mod undo;

use super::doc::{Line, Section, Tone};
use super::view::View;
use crate::model::Outcome;

pub(super) use glance::{glance, short, title, verdict};

/// Every section that has something to say, in the order in which a reviewer needs them.
pub(super) fn all(view: &View) -> Vec<Section> {
    [
        findings::blockers(view),
        next::obstacles(view),
        findings::warnings(view),
        stages::section(view),
        downtime::section(view),
        undo::section(view),
        settings::section(view),
        flags::section(view),
        flags::profiles(view),
        ports::section(view),
        access::changes(view),
        trees::section(view),
        access::section(view),
        hosts::section(view),
        secrets::section(view),
        findings::notes(view),
        next::unchecked(view),
        next::section(view),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The sign of an outcome in front of a row.
fn sign(outcome: Outcome) -> Line {
    match outcome {
        Outcome::Converted => Line::new().tone(Tone::Change, "~"),
        Outcome::Retired => Line::new().tone(Tone::Bad, "-"),
        Outcome::Ignored => Line::new().dim("."),
        Outcome::Unsupported => Line::new().tone(Tone::Warn, "!"),
        Outcome::Unknown => Line::new().tone(Tone::Warn, "?"),
        Outcome::Blocking => Line::new().tone(Tone::Danger, "✗"),
    }
}

/// An outcome in a word.
fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Converted => "converted",
        Outcome::Retired => "retired",
        Outcome::Ignored => "without effect",
        Outcome::Unsupported => "lost",
        Outcome::Unknown => "not known to mkectl",
        Outcome::Blocking => "blocks the upgrade",
    }
}

/// `mke3.toml:41`, or what of it is known.
fn place(file: Option<&str>, line: Option<u32>) -> String {
    match (file, line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (Some(file), None) => file.to_owned(),
        (None, Some(line)) => format!("line {line}"),
        (None, None) => String::new(),
    }
}

/// An explanation of the signs that a section really uses.
fn legend(used: &[(&str, Tone, &str)]) -> Line {
    let mut line = Line::new();
    for (at, (sign, tone, meaning)) in used.iter().enumerate() {
        line = line
            .plain(if at > 0 { "   " } else { "" })
            .tone(*tone, sign)
            .dim(format!(" {meaning}"));
    }
    line
}
