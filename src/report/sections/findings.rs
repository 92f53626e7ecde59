//! Blockers, warnings and notes. Findings of one code stand together; many alike ones are folded.

use crate::model::{Finding, Severity};
use crate::report::doc::{Block, Line, Section, Tone, Weight};
use crate::report::view::View;
use crate::text::{count, number};
use std::collections::{BTreeMap, BTreeSet};

/// Subjects of one code that are written out, by severity: nobody can act on what is not named, so blockers get more.
fn most(severity: Severity) -> usize {
    match severity {
        Severity::Blocking => 20,
        Severity::Warning => 5,
        Severity::Info => 3,
    }
}

pub(super) fn blockers(view: &View) -> Option<Section> {
    section(
        view,
        Severity::Blocking,
        "blockers",
        "Blockers",
        "nothing can be applied until they are gone",
        Weight::Always,
    )
}

pub(super) fn warnings(view: &View) -> Option<Section> {
    section(
        view,
        Severity::Warning,
        "warnings",
        "Warnings",
        "a person should decide",
        Weight::Risk,
    )
}

pub(super) fn notes(view: &View) -> Option<Section> {
    section(view, Severity::Info, "notes", "Notes", "", Weight::Detail)
}

fn section(
    view: &View,
    severity: Severity,
    id: &'static str,
    title: &str,
    gist: &str,
    weight: Weight,
) -> Option<Section> {
    let mut codes: Vec<(&str, Vec<&Finding>)> = Vec::new();
    for finding in view.findings(severity) {
        match codes.iter_mut().find(|(code, _)| *code == finding.code) {
            Some((_, list)) => list.push(finding),
            None => codes.push((&finding.code, vec![finding])),
        }
    }
    if codes.is_empty() {
        return None;
    }
    let total: usize = codes.iter().map(|(_, list)| list.len()).sum();
    let mut blocks = Vec::new();
    for (at, (code, list)) in codes.iter().enumerate() {
        if at > 0 {
            blocks.push(Block::Gap);
        }
        group(view, severity, code, list, &mut blocks);
    }
    Some(Section {
        id,
        title: format!("{title} ({})", number(total)),
        gist: gist.to_owned(),
        weight,
        blocks,
    })
}

fn mark(severity: Severity) -> (Tone, &'static str) {
    match severity {
        Severity::Blocking => (Tone::Danger, "✗"),
        Severity::Warning => (Tone::Warn, "!"),
        Severity::Info => (Tone::Dim, "·"),
    }
}

fn group(view: &View, severity: Severity, code: &str, list: &[&Finding], blocks: &mut Vec<Block>) {
    let (tone, sign) = mark(severity);
    let head = Line::new().tone(tone, code);
    let explain = Line::new().info(format!("mkectl explain {code}"));
    if let [one] = list {
        let head = subject(head.plain("  "), one);
        blocks.push(Block::item(tone, sign, head));
        blocks.push(Block::deeper(one.message.as_str()));
        hosts(view, one, blocks);
        blocks.push(Block::deeper(remedy(&one.remedy)));
        if severity != Severity::Info {
            blocks.push(Block::deeper(explain));
        }
        return;
    }
    let head = head.dim(format!("  {}", count(list.len(), "finding")));
    blocks.push(Block::item(tone, sign, head));
    let most = most(severity);
    let same: BTreeSet<&str> = list.iter().map(|finding| finding.message.as_str()).collect();
    if same.len() == 1 {
        blocks.push(Block::deeper(list[0].message.as_str()));
    }
    for finding in list.iter().take(most) {
        let mut line = subject(Line::new(), finding);
        if same.len() > 1 {
            line = line.plain(": ").plain(&finding.message);
        }
        blocks.push(Block::Text {
            indent: 6,
            mark: Some(crate::report::doc::Span::new(Tone::Dim, "•")),
            line,
        });
        hosts(view, finding, blocks);
    }
    if list.len() > most {
        let rest = &list[most..];
        let mut by: BTreeMap<&str, usize> = BTreeMap::new();
        for finding in rest {
            *by.entry(&finding.message).or_default() += 1;
        }
        let line = Line::new().dim(format!("… and {} more", number(rest.len())));
        let line = if by.len() < rest.len() && by.len() > 1 {
            line.dim(format!(", of {}", count(by.len(), "kind")))
        } else {
            line
        };
        blocks.push(Block::deeper(line));
    }
    let remedies: BTreeSet<&str> = list.iter().map(|finding| finding.remedy.as_str()).collect();
    for text in remedies.iter().take(3) {
        blocks.push(Block::deeper(remedy(text)));
    }
    if remedies.len() > 3 {
        let rest = count(remedies.len() - 3, "remedy").replacen(' ', " other ", 1);
        blocks.push(Block::deeper(Line::new().dim(format!("… and {rest}"))));
    }
    if severity != Severity::Info {
        blocks.push(Block::deeper(explain));
    }
}

fn subject(line: Line, finding: &Finding) -> Line {
    let subject = &finding.subject;
    let place = super::place(subject.file.as_deref(), subject.line);
    // A finding about many hosts names one as its subject; the line with all of them says more.
    let one_of_many = finding.hosts.len() > 1 && finding.hosts.contains(&subject.name);
    let line = if one_of_many {
        line
    } else {
        line.strong(&subject.name)
    };
    if place.is_empty() {
        line
    } else {
        line.plain("  ").info(place)
    }
}

fn remedy(text: &str) -> Line {
    if text.is_empty() {
        Line::new()
    } else {
        Line::new().tone(Tone::Good, "→ ").plain(text)
    }
}

fn hosts(view: &View, finding: &Finding, blocks: &mut Vec<Block>) {
    if finding.hosts.is_empty() || finding.hosts == [finding.subject.name.clone()] {
        return;
    }
    let hosts: Vec<&str> = finding.hosts.iter().map(String::as_str).collect();
    blocks.push(Block::deeper(
        Line::new().dim("on ").plain(view.names.describe(&hosts)),
    ));
}
