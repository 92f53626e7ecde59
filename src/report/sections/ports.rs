//! Ports: what a firewall must open, what may be closed, what changes hands.

use crate::model::{PortFate, PortRow};
use crate::report::doc::{Block, Line, Section, Table, Tone, Weight};
use crate::report::view::View;
use crate::text::number;

pub(super) fn section(view: &View) -> Option<Section> {
    let rows = &view.spec.conversion.ports;
    if rows.is_empty() {
        return None;
    }
    let mut blocks = Vec::new();
    let mut gist = Vec::new();
    for (fate, heading, short) in [
        (PortFate::New, "open before the upgrade", "to open"),
        (PortFate::Kept, "stay open", "kept"),
        (
            PortFate::Retired,
            "not used any more: close them after the commit",
            "retired",
        ),
    ] {
        let list: Vec<&PortRow> = rows.iter().filter(|row| row.fate == fate).collect();
        if list.is_empty() {
            continue;
        }
        gist.push(format!("{} {short}", number(list.len())));
        blocks.push(Block::Heading(Line::new().info(heading)));
        let mut table = Table::new(&["", "port", "hosts", "who"]);
        let same: Vec<&str> = list
            .iter()
            .filter(|row| unremarkable(row))
            .map(|row| row.port.as_str())
            .collect();
        for row in list.iter().filter(|row| !unremarkable(row)) {
            table.row(cells(row));
        }
        blocks.push(Block::Table(table));
        if !same.is_empty() {
            let text = format!("unchanged: {}", same.join(", "));
            blocks.push(Block::Text {
                indent: 5,
                mark: None,
                line: Line::new().dim(text),
            });
        }
    }
    Some(Section {
        id: "ports",
        title: format!("Ports ({})", number(rows.len())),
        gist: gist.join(", "),
        weight: Weight::Normal,
        blocks,
    })
}

/// A port that the same program keeps, chosen by nobody.
fn unremarkable(row: &PortRow) -> bool {
    row.fate == PortFate::Kept && row.setting.is_none() && row.before == row.after
}

fn cells(row: &PortRow) -> [Line; 4] {
    let (sign, tone) = match row.fate {
        PortFate::New => ("+", Tone::Good),
        PortFate::Kept => ("~", Tone::Change),
        PortFate::Retired => ("-", Tone::Bad),
    };
    let who = match (row.before.as_str(), row.after.as_str()) {
        ("", who) | (who, "") => Line::from(who),
        (before, after) if before == after => Line::from(before),
        (before, after) => Line::from(before).tone(Tone::Good, " → ").plain(after),
    };
    let who = match &row.setting {
        Some(setting) => who.dim(format!("  (from {setting})")),
        None => who,
    };
    [
        Line::new().tone(tone, sign),
        Line::new().strong(&row.port).dim(format!("/{}", row.protocol)),
        Line::from(row.hosts.as_str()),
        who,
    ]
}
