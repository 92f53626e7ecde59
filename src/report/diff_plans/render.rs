//! What changed between two plans, on a terminal.

use super::{Change, Kind, PlanDiff, RiskChange, TextChange};
use crate::model::Plan;
use crate::report::doc::{Block, Line, Span, Table, Tone};
use crate::report::page::{Page, Style};
use crate::report::sections;
use crate::report::view::View;
use crate::text::{count, number};
use std::collections::BTreeMap;

/// Changes of one part that are written out.
const MOST: usize = 30;
/// Lines of a text's difference that are written out.
const LINES: usize = 80;

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
    let mut table = Table::new(&["", "what"]);
    for change in changes.iter().take(MOST) {
        let (text, tone) = sign(change.kind);
        table.row([Line::new().tone(tone, text), Line::new().strong(&change.name)]);
        if !change.before.is_empty() {
            table.note(Line::new().tone(Tone::Bad, "- ").plain(&change.before));
        }
        if !change.after.is_empty() {
            table.note(Line::new().tone(Tone::Good, "+ ").plain(&change.after));
        }
    }
    let mut blocks = vec![Block::Table(table)];
    if changes.len() > MOST {
        blocks.push(Block::text(
            Line::new().dim(format!("… and {} more", number(changes.len() - MOST))),
        ));
    }
    blocks
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
        for line in change.lines.iter().take(LINES) {
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
        if change.lines.len() > LINES {
            let text = format!("… and {} more", count(change.lines.len() - LINES, "line"));
            blocks.push(Block::deeper(Line::new().dim(text)));
        }
    }
    blocks
}
