//! The settings reference, `docs/settings.md`.

use super::table::{Class, SettingDef, SettingsTable};
use crate::model::Confidence;
use crate::yaml;
use std::fmt::Write;

/// The text of `docs/settings.md`: every key of the table with its outcome, place and reason.
pub fn settings_markdown(table: &SettingsTable) -> String {
    let mut out = String::from(
        "# MKE 3 settings and what becomes of them\n\n\
         Generated from `plans/upgrade/settings.yaml`; change that file. *inferred* marks a mapping that no public\n\
         document of Mirantis states: check the result. A secret is never shown; documents hold a reference to it.\n\n",
    );
    let count = |class| table.settings.iter().filter(|row| row.class == class).count();
    let _ = writeln!(
        out,
        "{} keys: {} converted, {} without a counterpart, {} retired, {} without an effect, {} that can stop the upgrade.",
        table.settings.len(),
        count(Class::Converted),
        count(Class::Unsupported),
        count(Class::Retired),
        count(Class::Ignored),
        count(Class::Blocking)
    );
    let mut section = "";
    for row in &table.settings {
        let (here, key) = split(&row.path);
        if here != section {
            section = here;
            let _ = write!(
                out,
                "\n## {}\n\n| Key | Default | Outcome | In mke4.yaml | Why |\n| --- | --- | --- | --- | --- |\n",
                if here.is_empty() { "Top level" } else { here }
            );
        }
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            code(key),
            row.default
                .as_ref()
                .map_or(String::new(), |node| code(&yaml::flow(node))),
            outcome(row),
            places(row),
            cell(&why(row, table))
        );
    }
    out
}

fn split(path: &str) -> (&str, &str) {
    // A quoted key holds dots of its own; `.value` behind it stays with it.
    let end = path.find(".\"").or_else(|| path.rfind('.'));
    end.map_or(("", path), |end| (&path[..end], &path[end + 1..]))
}

fn outcome(row: &SettingDef) -> String {
    let class = match row.class {
        Class::Converted => "converted",
        Class::Unsupported => "unsupported",
        Class::Retired => "retired",
        Class::Ignored => "ignored",
        Class::Blocking => "blocking",
    };
    match row.confidence {
        Confidence::Documented => class.to_owned(),
        Confidence::Inferred => format!("{class}, *inferred*"),
    }
}

fn places(row: &SettingDef) -> String {
    let places = row.to.iter().map(|target| {
        let bounds = match (&target.since, &target.until) {
            (Some(since), _) => format!(" (from {since})"),
            (None, Some(until)) => format!(" (before {until})"),
            (None, None) => String::new(),
        };
        code(&target.path) + &bounds
    });
    places.collect::<Vec<_>>().join("<br>")
}

fn why(row: &SettingDef, table: &SettingsTable) -> String {
    let topic = row.topic.as_ref().and_then(|id| table.topics.get(id));
    match topic {
        Some(topic) => format!("{} ({})", row.reason, code(&topic.code)),
        None => row.reason.clone(),
    }
}

fn code(text: &str) -> String {
    format!("`{}`", cell(text))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
