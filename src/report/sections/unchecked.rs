//! What could not be checked: by why, because that is what somebody can do something about.

use crate::model::Unchecked;
use crate::report::doc::{Block, Line, Section, Tone, Weight};
use crate::report::view::View;
use crate::text::{count, number};
use std::collections::BTreeMap;

pub(super) fn section(view: &View) -> Option<Section> {
    let open = &view.spec.unchecked;
    if open.is_empty() {
        return None;
    }
    let mut groups: BTreeMap<(&str, &[String]), Vec<&str>> = BTreeMap::new();
    for Unchecked { code, why, hosts } in open {
        groups.entry((why, hosts)).or_default().push(code);
    }
    let mut groups: Vec<((&str, &[String]), Vec<&str>)> = groups.into_iter().collect();
    // The reason that hides the most comes first.
    groups.sort_by_key(|(_, codes)| std::cmp::Reverse(codes.len()));
    let mut blocks = Vec::new();
    for ((why, hosts), mut codes) in groups {
        codes.sort_unstable();
        codes.dedup();
        let mut line = Line::from(why);
        if !hosts.is_empty() {
            let names: Vec<&str> = hosts.iter().map(String::as_str).collect();
            line = line.dim(" on ").plain(view.names.describe(&names));
        }
        let list = match codes.len() {
            1 => codes.join(""),
            n => format!("{} checks: {}", number(n), codes.join(", ")),
        };
        blocks.push(Block::item(Tone::Warn, "?", line));
        blocks.push(Block::deeper(Line::new().dim(list)));
    }
    let codes: std::collections::BTreeSet<&str> = open.iter().map(|open| open.code.as_str()).collect();
    Some(Section {
        id: "unchecked",
        title: format!("Not checked ({})", number(codes.len())),
        gist: format!("{} may hide something", count(codes.len(), "check")),
        weight: Weight::Risk,
        blocks,
    })
}
