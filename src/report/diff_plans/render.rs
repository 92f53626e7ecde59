//! What changed between two plans, on a terminal.

use super::{Change, Kind, PlanDiff, RiskChange, TextChange};
use crate::model::Plan;
use crate::report::doc::{Block, Line, Span, Table, Tone};
use crate::report::page::{Page, Style};
use crate::report::sections;
use crate::report::view::{View, some};
use crate::text::{count, number};
use std::collections::BTreeMap;

/// Changes of one part that are written out.
const MOST: usize = 30;
/// Lines of a text's difference that are written out.
const LINES: usize = 60;
/// Of a text that only one of the plans has: the other has nothing to compare with.
const NEW: usize = 12;
/// How the text of a finding that blocks begins.
const BLOCKING: &str = "blocking: ";
/// Names of things that changed alike.
const NAMES: usize = 12;

/// What changed between two plans, for a person.
pub fn render_diff(a: &Plan, b: &Plan, style: &Style) -> String {
    let diff = PlanDiff::of(a, b);
    let [old, new] = diff.digests.clone().map(|digest| sections::short(&digest));
    let mut page = Page::new(style);
    page.heading("Plan against plan", &format!("{old} → {new}"));
    page.gap();
    if diff.is_empty() {
        page.blocks(&[Block::text(
            "the two plans decide the same: an approval of one holds for the other",
        )]);
        return page.finish();
    }
    page.blocks(&risk_blocks(&diff.risk));
    for (title, changes) in diff.parts() {
        if !changes.is_empty() {
            page.gap();
            page.heading(&format!("{title} ({})", number(changes.len())), "");
            page.gap();
            page.blocks(&change_blocks(title, changes, &View::new(b)));
        }
    }
    for (title, changes) in [("Scripts", &diff.scripts), ("Documents", &diff.documents)] {
        if !changes.is_empty() {
            page.gap();
            page.heading(&format!("{title} ({})", number(changes.len())), "");
            page.blocks(&text_blocks(changes));
        }
    }
    page.finish()
}

fn risk_blocks(risk: &[RiskChange]) -> Vec<Block> {
    if risk.is_empty() {
        return vec![Block::text(
            Line::new().tone(Tone::Good, "no figure of risk differs"),
        )];
    }
    let mut table = Table::new(&["", "risk", "before", "", "after"]);
    for change in risk {
        let (sign, tone) = match change.worse {
            Some(true) => ("▲", Tone::Danger),
            Some(false) => ("-", Tone::Good),
            None => ("~", Tone::Change),
        };
        table.row([
            Line::new().tone(tone, sign),
            Line::new().strong(&change.what),
            Line::from(change.before.as_str()),
            Line::new().dim("→"),
            Line::new().tone(tone, &change.after),
        ]);
    }
    vec![Block::Table(table)]
}

fn sign(kind: Kind) -> (&'static str, Tone) {
    match kind {
        Kind::Added => ("+", Tone::Good),
        Kind::Removed => ("-", Tone::Bad),
        Kind::Changed => ("~", Tone::Change),
    }
}

fn change_blocks(title: &str, changes: &[Change], view: &View) -> Vec<Block> {
    if title == "Actions" {
        return action_blocks(changes, view);
    }
    // What changes in the same way is one row with all its names.
    let mut groups: Vec<(&Change, Vec<&str>)> = Vec::new();
    let mut sorted: Vec<&Change> = changes.iter().collect();
    // What blocks must not be among what is not shown.
    let blocks = |change: &Change| {
        [&change.before, &change.after]
            .iter()
            .any(|text| text.contains(BLOCKING))
    };
    sorted.sort_by_key(|change| title == "Findings" && !blocks(change));
    let mut known: BTreeMap<(Kind, &str, &str), usize> = BTreeMap::new();
    for change in sorted {
        let bare = change.before.is_empty() && change.after.is_empty();
        let fresh = groups.len();
        let at = match bare {
            true => fresh,
            false => *known
                .entry((change.kind, &change.before, &change.after))
                .or_insert(fresh),
        };
        if at == fresh {
            groups.push((change, Vec::new()));
        }
        groups[at].1.push(&change.name);
    }
    // A part that one of the plans does not have at all is not read row by row.
    let whole = groups.len() > MOST && groups.windows(2).all(|pair| pair[0].0.kind == pair[1].0.kind);
    if whole {
        let names: Vec<&str> = changes.iter().map(|change| change.name.as_str()).collect();
        let (text, tone) = sign(changes[0].kind);
        let line = Line::new()
            .strong(match changes[0].kind {
                Kind::Added => format!("all {} are new", number(names.len())),
                Kind::Removed => format!("all {} are gone", number(names.len())),
                Kind::Changed => format!("all {} differ", number(names.len())),
            })
            .dim(": ")
            .plain(names_of(title, &names, view));
        return vec![Block::item(tone, text, line)];
    }
    let mut table = Table::new(&["", "what"]);
    for (change, names) in groups.iter().take(MOST) {
        let (text, tone) = sign(change.kind);
        let line = Line::new().strong(names_of(title, names, view));
        let both = change.kind == Kind::Changed;
        // Only one text: it goes behind the name.
        let line = match change.kind {
            Kind::Added if !change.after.is_empty() => line.dim("  ").plain(&change.after),
            Kind::Removed if !change.before.is_empty() => line.dim("  ").dim(&change.before),
            _ => line,
        };
        table.row([Line::new().tone(tone, text), line]);
        if both {
            for (mark, tone, text) in [
                ("- ", Tone::Bad, &change.before),
                ("+ ", Tone::Good, &change.after),
            ] {
                let line = Line::new().tone(tone, mark);
                table.note(match text.is_empty() {
                    true => line.dim("(nothing)"),
                    false => line.plain(text),
                });
            }
        }
    }
    let mut blocks = vec![Block::Table(table)];
    if groups.len() > MOST {
        let rest: usize = groups[MOST..].iter().map(|(_, names)| names.len()).sum();
        blocks.push(Block::text(
            Line::new().dim(format!("… and {} more", number(rest))),
        ));
    }
    blocks
}

/// Names of what changed alike; hosts are folded as everywhere.
fn names_of(title: &str, names: &[&str], view: &View) -> String {
    match title {
        "Hosts" => view.names.describe(names),
        _ => some(names, NAMES, "name"),
    }
}

/// Actions by step and kind, hosts folded: fifty new hosts are one line.
fn action_blocks(changes: &[Change], view: &View) -> Vec<Block> {
    let mut groups: BTreeMap<(&str, Kind), Vec<&str>> = BTreeMap::new();
    for change in changes {
        let (host, step) = change.name.rsplit_once('/').unwrap_or((&change.name, ""));
        groups.entry((step, change.kind)).or_default().push(host);
    }
    let mut table = Table::new(&["", "step", "hosts"]);
    for ((step, kind), hosts) in &groups {
        let (text, tone) = sign(*kind);
        let note = if *kind == Kind::Changed {
            "  (other needs)"
        } else {
            ""
        };
        table.row([
            Line::new().tone(tone, text),
            Line::new().strong(step),
            Line::from(view.names.describe(hosts)).dim(note),
        ]);
    }
    vec![Block::Table(table)]
}

fn text_blocks(changes: &[TextChange]) -> Vec<Block> {
    let mut blocks = Vec::new();
    for change in changes {
        let (text, tone) = sign(change.kind);
        blocks.push(Block::Heading(
            Line::new().tone(tone, text).plain(" ").strong(&change.name),
        ));
        let most = match change.kind {
            Kind::Changed => LINES,
            Kind::Added | Kind::Removed => NEW,
        };
        for line in change.lines.iter().take(most) {
            let tone = match line.as_bytes().first() {
                Some(b'+') => Tone::Good,
                Some(b'-') => Tone::Bad,
                Some(b'@') => Tone::Info,
                _ => Tone::Dim,
            };
            let (mark, rest) = line.split_at(line.chars().next().map_or(0, char::len_utf8));
            blocks.push(Block::Text {
                indent: 4,
                mark: Some(Span::new(tone, mark)),
                line: Line::new().tone(tone, crate::text::visible(rest)),
            });
        }
        if change.lines.len() > most {
            let text = format!("… and {} more", count(change.lines.len() - most, "line"));
            blocks.push(Block::deeper(Line::new().dim(text)));
        }
    }
    blocks
}
