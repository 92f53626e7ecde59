//! Custom flags and kubelet profiles. What cannot be converted comes first and is written out.

use super::{sign, word};
use crate::model::{FlagRow, Outcome};
use crate::report::doc::{Block, Line, Section, Table, Tone, Weight};
use crate::report::view::{View, lost};
use crate::text::{count, number};
use std::collections::BTreeMap;

/// The field of a host row that names its kubelet profile.
const PROFILE: &str = "kubelet-profile";

pub(super) fn section(view: &View) -> Option<Section> {
    let rows: Vec<&FlagRow> = view.spec.conversion.flags.iter().collect();
    if rows.is_empty() {
        return None;
    }
    let gone = rows.iter().filter(|row| lost(row.outcome)).count();
    let mut blocks = Vec::new();
    let mut open = table();
    for row in rows.iter().filter(|row| lost(row.outcome)) {
        written_out(&mut open, row);
    }
    if !open.rows.is_empty() {
        blocks.push(Block::Heading(
            Line::new().tone(Tone::Warn, "cannot be converted"),
        ));
        blocks.push(Block::Table(open));
    }
    let mut rest = table();
    for row in rows.iter().filter(|row| !lost(row.outcome)) {
        compact(&mut rest, row);
    }
    if !rest.rows.is_empty() {
        if gone > 0 {
            blocks.push(Block::Heading(
                Line::new().info("converted or not needed any more"),
            ));
        }
        blocks.push(Block::Table(rest));
    }
    let gist = match gone {
        0 => "all have a place in MKE 4k or are not needed".to_owned(),
        n => format!("{} cannot be converted", number(n)),
    };
    Some(Section {
        id: "flags",
        title: format!("Custom flags ({})", number(rows.len())),
        gist,
        weight: if gone > 0 { Weight::Risk } else { Weight::Normal },
        blocks,
    })
}

fn table() -> Table {
    Table {
        stack: Some(4),
        ..Table::new(&["", "line", "component", "flag", "MKE 4k"])
    }
}

fn component(row: &FlagRow) -> Line {
    let line = Line::new().plain(row.component.name());
    match &row.profile {
        Some(profile) => line.dim(" · ").info(profile),
        None => line,
    }
}

fn place(row: &FlagRow) -> Line {
    Line::new().info(format!(":{}", row.line))
}

fn written_out(table: &mut Table, row: &FlagRow) {
    let why = Line::new()
        .tone(Tone::Warn, format!("{}: ", word(row.outcome)))
        .plain(&row.reason);
    table.row([
        sign(row.outcome),
        place(row),
        component(row),
        Line::new().strong(&row.flag),
        why,
    ]);
    if !row.remedy.is_empty() {
        table.note(Line::new().tone(Tone::Good, "→ ").plain(&row.remedy));
    }
}

fn compact(table: &mut Table, row: &FlagRow) {
    let after = match row.to.first() {
        Some(target) => Line::new()
            .tone(Tone::Good, "→ ")
            .plain(&target.path)
            .dim(": ")
            .tone(Tone::Good, &target.value),
        None => Line::new().dim(format!("{}: {}", word(row.outcome), row.reason)),
    };
    table.row([
        sign(row.outcome),
        place(row),
        component(row),
        Line::new().strong(&row.flag),
        after,
    ]);
    for target in row.to.iter().skip(1) {
        table.note(
            Line::new()
                .tone(Tone::Good, "→ ")
                .plain(&target.path)
                .dim(": ")
                .tone(Tone::Good, &target.value),
        );
    }
    if row.outcome == Outcome::Converted && !row.remedy.is_empty() {
        table.note(Line::new().tone(Tone::Good, "→ ").plain(&row.remedy));
    }
}

/// Which hosts a kubelet profile is for, and how much of it comes over.
pub(super) fn profiles(view: &View) -> Option<Section> {
    let mut profiles: BTreeMap<&str, (usize, usize, Vec<&str>)> = BTreeMap::new();
    for row in &view.spec.conversion.flags {
        if let Some(profile) = &row.profile {
            let entry = profiles.entry(profile).or_default();
            entry.0 += 1;
            entry.1 += usize::from(lost(row.outcome));
        }
    }
    for host in &view.spec.hosts {
        if let Some(profile) = host.fields.get(PROFILE).filter(|profile| !profile.is_empty()) {
            profiles.entry(profile).or_default().2.push(&host.id);
        }
    }
    if profiles.is_empty() {
        return None;
    }
    let mut table = Table {
        show_head: true,
        ..Table::new(&["profile", "flags", "hosts"])
    };
    for (name, (flags, gone, hosts)) in &profiles {
        let flags = match gone {
            0 => Line::from(count(*flags, "flag")),
            gone => Line::from(count(*flags, "flag")).tone(Tone::Warn, format!(", {} lost", number(*gone))),
        };
        let hosts = match hosts.is_empty() {
            true => Line::new().tone(Tone::Warn, "no host carries its label: it has no effect"),
            false => {
                Line::from(view.names.describe(hosts)).dim(format!("  ({})", count(hosts.len(), "host")))
            }
        };
        table.row([Line::new().strong(name), flags, hosts]);
    }
    Some(Section {
        id: "profiles",
        title: format!("Kubelet profiles ({})", number(profiles.len())),
        gist: "flag profiles become kubelet custom profiles".to_owned(),
        weight: Weight::Normal,
        blocks: vec![Block::Table(table)],
    })
}
