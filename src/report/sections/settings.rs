//! Settings before and after, by table of the MKE 3 file.

use super::{legend, sign, word};
use crate::model::{Confidence, Outcome, SettingRow};
use crate::report::doc::{Block, Line, Section, Table, Tone, Weight};
use crate::report::view::{Summary, View, lost, quiet, some};
use crate::text::number;

/// Longest list of retired keys of one table.
const RETIRED: usize = 6;

pub(super) fn section(view: &View) -> Option<Section> {
    let rows = &view.spec.conversion.settings;
    if rows.is_empty() {
        return None;
    }
    let summary = Summary::of(view.plan);
    let news: Vec<&SettingRow> = rows
        .iter()
        .filter(|row| !quiet(row.default, row.outcome))
        .collect();
    let mut blocks = Vec::new();
    let mut used = Vec::new();
    for (outcome, text, tone, meaning) in [
        (Outcome::Converted, "~", Tone::Change, "converted"),
        (
            Outcome::Retired,
            "-",
            Tone::Bad,
            "retired: what it configured is gone",
        ),
        (Outcome::Ignored, ".", Tone::Dim, "without effect"),
        (Outcome::Unsupported, "!", Tone::Warn, "lost: no counterpart"),
        (Outcome::Unknown, "?", Tone::Warn, "unknown to mkectl"),
        (Outcome::Blocking, "✗", Tone::Danger, "blocks the upgrade"),
    ] {
        if news.iter().any(|row| row.outcome == outcome) {
            used.push((text, tone, meaning));
        }
    }
    if !used.is_empty() {
        blocks.push(Block::text(legend(&used)));
    }
    let mut tables: Vec<(&str, Vec<&SettingRow>)> = Vec::new();
    for row in news {
        let (table, _) = split(&row.path);
        match tables.iter_mut().find(|(name, _)| *name == table) {
            Some((_, list)) => list.push(row),
            None => tables.push((table, vec![row])),
        }
    }
    for (name, rows) in &tables {
        blocks.push(Block::Heading(Line::new().info(format!("[{name}]"))));
        blocks.push(Block::Table(table(rows)));
    }
    if summary.defaults > 0 {
        blocks.push(Block::Gap);
        let text = format!(
            "{} more at MKE 3's default or off: nobody chose them",
            number(summary.defaults)
        );
        blocks.push(Block::text(Line::new().dim(text)));
    }
    let mut gist = Vec::new();
    for outcome in [Outcome::Converted, Outcome::Retired, Outcome::Ignored] {
        if let Some(n) = summary.settings.get(&outcome) {
            gist.push(format!("{} {}", number(*n), word(outcome)));
        }
    }
    let gone = Summary::lost(&summary.settings);
    if gone > 0 {
        gist.insert(0, format!("{} lost or in doubt", number(gone)));
    }
    Some(Section {
        id: "settings",
        title: format!("Settings ({})", number(rows.len())),
        gist: gist.join(", "),
        weight: if gone > 0 { Weight::Risk } else { Weight::Normal },
        blocks,
    })
}

/// A key path as its table and its last key; a dot inside quotes or brackets does not divide.
pub(super) fn split(path: &str) -> (&str, &str) {
    let mut quote = None;
    let mut cut = None;
    for (at, c) in path.char_indices() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '.') => cut = Some(at),
            _ => {}
        }
    }
    match cut {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => ("", path),
    }
}

fn table(rows: &[&SettingRow]) -> Table {
    let mut table = Table {
        stack: Some(3),
        ..Table::new(&["", "line", "MKE 3", "MKE 4k"])
    };
    let shown = rows
        .iter()
        .filter(|row| !matches!(row.outcome, Outcome::Retired | Outcome::Ignored));
    for row in shown {
        let (_, key) = split(&row.path);
        let before = Line::new()
            .strong(key)
            .plain(" = ")
            .tone(before_tone(row), &row.before);
        table.row([sign(row.outcome), line(row), before, after(row)]);
        for target in row.to.iter().skip(1) {
            table.note(to(&target.path, &target.value));
        }
        if row.confidence == Confidence::Inferred && row.outcome == Outcome::Converted {
            table.note(Line::new().dim(format!("inferred, check it: {}", row.reason)));
        }
    }
    for outcome in [Outcome::Retired, Outcome::Ignored] {
        let folded: Vec<String> = rows
            .iter()
            .filter(|row| row.outcome == outcome)
            .map(|row| match row.line {
                Some(line) => format!("{} :{line}", split(&row.path).1),
                None => split(&row.path).1.to_owned(),
            })
            .collect();
        if !folded.is_empty() {
            let text = some(&folded, RETIRED, "key");
            let line = Line::new()
                .dim(format!("{} {}: ", number(folded.len()), word(outcome)))
                .dim(text);
            // One line a table: it names, the long form is in the JSON.
            table.wide(sign(outcome), line);
        }
    }
    table
}

fn before_tone(row: &SettingRow) -> Tone {
    if row.before == "(secret)" {
        Tone::Dim
    } else if lost(row.outcome) {
        Tone::Warn
    } else {
        Tone::Plain
    }
}

fn line(row: &SettingRow) -> Line {
    match row.line {
        Some(line) => Line::new().info(format!(":{line}")),
        None => Line::new().dim("absent"),
    }
}

fn to(path: &str, value: &str) -> Line {
    Line::new().tone(Tone::Good, "→ ").plain(path).dim(": ").tone(
        if value == "(secret)" {
            Tone::Dim
        } else {
            Tone::Good
        },
        value,
    )
}

fn after(row: &SettingRow) -> Line {
    match row.to.first() {
        Some(target) => to(&target.path, &target.value),
        None => Line::new()
            .tone(Tone::Warn, format!("{}: ", word(row.outcome)))
            .plain(&row.reason),
    }
}
