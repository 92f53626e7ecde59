//! What could not be checked: by why, because that is what somebody can do something about.

use crate::model::Unchecked;
use crate::report::doc::{Block, Line, Section, Table, Tone, Weight};
use crate::report::view::View;
use crate::text::{count, number};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn section(view: &View) -> Option<Section> {
    let open = &view.spec.unchecked;
    if open.is_empty() {
        return None;
    }
    let mut groups: BTreeMap<(&str, &[String]), Vec<&str>> = BTreeMap::new();
    for Unchecked { code, why, hosts } in open {
        groups.entry((why, hosts)).or_default().push(code);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    // The reason that hides the most comes first.
    groups.sort_by_key(|(_, codes)| std::cmp::Reverse(codes.len()));
    let mut table = Table {
        stack: Some(2),
        ..Table::new(&["", "check", "why not"])
    };
    for ((why, hosts), mut codes) in groups {
        codes.sort_unstable();
        codes.dedup();
        let mut line = Line::from(why);
        if !hosts.is_empty() {
            let names: Vec<&str> = hosts.iter().map(String::as_str).collect();
            line = line.dim(" on ").plain(view.names.describe(&names));
        }
        let mark = Line::new().tone(Tone::Warn, "?");
        if let [code] = codes.as_slice() {
            table.row([mark, Line::new().strong(code), line]);
        } else {
            table.row([mark, Line::new().strong(count(codes.len(), "check")), line]);
            table.note(Line::new().dim(codes.join(", ")));
        }
    }
    let codes: BTreeSet<&str> = open.iter().map(|open| open.code.as_str()).collect();
    Some(Section {
        id: "unchecked",
        title: format!("Not checked ({})", number(codes.len())),
        gist: "what these checks look for may be there".to_owned(),
        weight: Weight::Risk,
        blocks: vec![Block::Table(table)],
    })
}
