//! Settings before and after, by table of the MKE 3 file.

use super::{legend, sign, word};
use crate::model::{Confidence, Outcome, SettingRow};
use crate::report::doc::{Block, Line, Section, Table, Tone, Weight};
use crate::report::view::{Summary, View, lost, quiet, some};
use crate::text::{number, truncate, width};

/// Longest list of retired keys of one table.
const RETIRED: usize = 6;
/// Longest value that is shown whole, in columns.
const VALUE: usize = 80;
/// Stands behind a conversion that no document states.
const INFERRED: &str = "(i)";

pub(super) fn section(view: &View) -> Option<Section> {
    let rows = &view.spec.conversion.settings;
    if rows.is_empty() {
        return None;
    }
    let summary = &view.summary;
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
    if news.iter().any(|row| inferred(row)) {
        used.push((
            INFERRED,
            Tone::Info,
            "inferred, no document states it: check the result",
        ));
    }
    if news.iter().any(|row| row.line.is_none()) {
        used.push(("–", Tone::Dim, "not in the file"));
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
    let shown: Vec<&SettingRow> = rows
        .iter()
        .copied()
        .filter(|row| !matches!(row.outcome, Outcome::Retired | Outcome::Ignored) && !elsewhere(row))
        .collect();
    for group in shown.chunk_by(|one, two| alike(one, two)) {
        written_out(&mut table, group);
    }
    fold(&mut table, rows, Outcome::Converted, elsewhere);
    for outcome in [Outcome::Retired, Outcome::Ignored] {
        fold(&mut table, rows, outcome, |row| row.outcome == outcome);
    }
    table
}

/// Converted, but into something that another section shows: custom flags.
fn elsewhere(row: &SettingRow) -> bool {
    row.outcome == Outcome::Converted && row.to.is_empty()
}

/// True for neighbours that are lost for one reason, which is then said once.
fn alike(one: &SettingRow, two: &SettingRow) -> bool {
    one.to.is_empty() && two.to.is_empty() && (one.outcome, &one.reason) == (two.outcome, &two.reason)
}

fn written_out(table: &mut Table, group: &[&SettingRow]) {
    for (at, row) in group.iter().enumerate() {
        let (_, key) = split(&row.path);
        let before = Line::new()
            .strong(key)
            .plain(" = ")
            .tone(before_tone(row), shortened(&row.before));
        let after = match group.len() {
            1 => after(row),
            n if at + 1 == n => {
                let all = if n == 2 {
                    "both".to_owned()
                } else {
                    format!("all {}", number(n))
                };
                Line::new()
                    .tone(Tone::Warn, format!("{all} {}: ", word(row.outcome)))
                    .plain(&row.reason)
            }
            _ => Line::new(),
        };
        table.row([sign(row.outcome), line(row), before, after]);
        for target in row.to.iter().skip(1) {
            table.note(to(&target.path, &target.value));
        }
        if inferred(row)
            && let Some(surprise) = surprise(&row.reason)
        {
            table.note(Line::new().dim(surprise));
        }
    }
}

/// Many keys in one line: names and places, the long form is in the JSON.
fn fold(table: &mut Table, rows: &[&SettingRow], outcome: Outcome, of: impl Fn(&SettingRow) -> bool) {
    let rows: Vec<&SettingRow> = rows.iter().copied().filter(|row| of(row)).collect();
    let names: Vec<String> = rows
        .iter()
        .map(|row| match row.line {
            Some(line) => format!("{} :{line}", split(&row.path).1),
            None => split(&row.path).1.to_owned(),
        })
        .collect();
    let Some(first) = rows.first() else {
        return;
    };
    // What became of keys that are shown elsewhere says where: "see flags".
    let what = match outcome {
        Outcome::Converted => first.reason.as_str(),
        outcome => word(outcome),
    };
    let line = Line::new()
        .dim(format!("{} {what}: ", number(names.len())))
        .dim(some(&names, RETIRED, "key"));
    table.wide(sign(outcome), line);
}

fn inferred(row: &SettingRow) -> bool {
    row.confidence == Confidence::Inferred && row.outcome == Outcome::Converted && !row.to.is_empty()
}

/// A reason names the mapping, which the arrow shows as well; what one would not expect stands behind a semicolon or colon.
fn surprise(reason: &str) -> Option<&str> {
    let at = [reason.find("; "), reason.find(": ")]
        .into_iter()
        .flatten()
        .min()?;
    Some(reason[at + 1..].trim_start())
}

/// A value that fits into a table. Of a text of several lines, such as a certificate, the first is shown.
fn shortened(value: &str) -> String {
    let lines = value
        .trim_end_matches(['"', '\''])
        .trim_end_matches("\\n")
        .split("\\n");
    let count = lines.clone().count();
    if count > 1 {
        let first = lines.into_iter().next().unwrap_or_default();
        return format!("{}… ({} lines)", truncate(first, VALUE, ""), number(count));
    }
    if width(value) <= VALUE {
        return value.to_owned();
    }
    format!(
        "{} ({} characters)",
        truncate(value, VALUE, "…"),
        number(value.chars().count())
    )
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
        None => Line::new().dim("–"),
    }
}

fn to(path: &str, value: &str) -> Line {
    Line::new().tone(Tone::Good, "→ ").plain(path).dim(": ").tone(
        if value == "(secret)" {
            Tone::Dim
        } else {
            Tone::Good
        },
        shortened(value),
    )
}

fn after(row: &SettingRow) -> Line {
    match row.to.first() {
        Some(target) => {
            let line = to(&target.path, &target.value);
            if inferred(row) {
                line.plain(" ").info(INFERRED)
            } else {
                line
            }
        }
        None => Line::new()
            .tone(Tone::Warn, format!("{}: ", word(row.outcome)))
            .plain(&row.reason),
    }
}
