//! Blockers, warnings and notes. Findings of one code stand together; many alike ones are folded.

use crate::model::{Finding, Severity};
use crate::report::doc::{Block, Line, Section, Span, Table, Tone, Weight};
use crate::report::view::{View, some};
use crate::text::{count, number};

/// Subjects of one code that are written out, by severity: nobody can act on what is not named, so blockers get more.
fn most(severity: Severity) -> usize {
    match severity {
        Severity::Blocking => 20,
        Severity::Warning => 5,
        Severity::Info => 4,
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

/// Notes decide nothing: one line a code, the remedies are what `explain` says.
pub(super) fn notes(view: &View) -> Option<Section> {
    let codes = by_code(view, Severity::Info);
    let first = codes.first()?.0;
    let total: usize = codes.iter().map(|(_, list)| list.len()).sum();
    let mut table = Table {
        stack: Some(2),
        ..Table::new(&["", "code", "what"])
    };
    for (code, list) in &codes {
        let (tone, sign) = mark(Severity::Info);
        let many = match list.len() {
            1 => String::new(),
            n => format!(" ×{}", number(n)),
        };
        let what = if same(list) || list.len() == 1 {
            Line::from(list[0].message.as_str())
        } else {
            let names: Vec<&str> = list.iter().map(|finding| finding.subject.name.as_str()).collect();
            Line::from(list[0].message.as_str()).dim("; others: ").plain(some(
                &names[1..],
                most(Severity::Info),
                "finding",
            ))
        };
        table.row([
            Line::new().tone(tone, sign),
            Line::new().strong(code).dim(many),
            what,
        ]);
    }
    Some(Section {
        id: "notes",
        title: format!("Notes ({})", number(total)),
        gist: String::new(),
        weight: Weight::Detail,
        blocks: vec![Block::Table(table), Block::Gap, more(first)],
    })
}

fn by_code<'a>(view: &View<'a>, severity: Severity) -> Vec<(&'a str, Vec<&'a Finding>)> {
    let mut codes: Vec<(&str, Vec<&Finding>)> = Vec::new();
    for finding in view.findings(severity) {
        match codes.iter_mut().find(|(code, _)| *code == finding.code) {
            Some((_, list)) => list.push(finding),
            None => codes.push((&finding.code, vec![finding])),
        }
    }
    codes
}

/// True when all say the same, of different things.
fn same(list: &[&Finding]) -> bool {
    list.windows(2).all(|pair| pair[0].message == pair[1].message)
}

/// Where to read on, once for a whole section.
fn more(code: &str) -> Block {
    Block::text(
        Line::new()
            .dim("more about each: ")
            .info("mkectl explain CODE")
            .dim(format!(", such as mkectl explain {code}")),
    )
}

fn section(
    view: &View,
    severity: Severity,
    id: &'static str,
    title: &str,
    gist: &str,
    weight: Weight,
) -> Option<Section> {
    let codes = by_code(view, severity);
    let first = codes.first()?.0;
    let total: usize = codes.iter().map(|(_, list)| list.len()).sum();
    let mut blocks = Vec::new();
    for (at, (code, list)) in codes.iter().enumerate() {
        // Blockers stand apart; warnings may be many.
        if at > 0 && severity == Severity::Blocking {
            blocks.push(Block::Gap);
        }
        group(view, severity, code, list, &mut blocks);
    }
    if severity != Severity::Blocking {
        blocks.push(Block::Gap);
        blocks.push(more(first));
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
    if let [one] = list {
        blocks.push(Block::item(tone, sign, subject(head.plain("  "), one)));
        blocks.push(Block::deeper(one.message.as_str()));
        hosts(view, one, 6, blocks);
        blocks.push(Block::deeper(remedy(&one.remedy)));
    } else {
        let head = head.dim(format!("  {}", count(list.len(), "finding")));
        blocks.push(Block::item(tone, sign, head));
        many(view, severity, list, blocks);
    }
    // Blockers must be understood one by one.
    if severity == Severity::Blocking {
        blocks.push(Block::deeper(Line::new().info(format!("mkectl explain {code}"))));
    }
}

fn many(view: &View, severity: Severity, list: &[&Finding], blocks: &mut Vec<Block>) {
    let most = most(severity);
    let one_remedy = list.windows(2).all(|pair| pair[0].remedy == pair[1].remedy);
    if same(list) {
        blocks.push(Block::deeper(list[0].message.as_str()));
    }
    if same(list) && one_remedy && list.iter().all(|finding| finding.hosts.len() < 2) {
        let names: Vec<String> = list
            .iter()
            .map(|finding| subject(Line::new(), finding).text())
            .collect();
        blocks.push(bullet(Line::from(some(&names, 2 * most, "finding"))));
    } else {
        for finding in list.iter().take(most) {
            let line = match same(list) {
                true => subject(Line::new(), finding),
                false => named(finding).plain(&finding.message),
            };
            blocks.push(bullet(line));
            hosts(view, finding, 8, blocks);
            if !one_remedy {
                blocks.push(Block::Text {
                    indent: 8,
                    mark: None,
                    line: remedy(&finding.remedy),
                });
            }
        }
        let rest = &list[most.min(list.len())..];
        if !rest.is_empty() {
            let names: Vec<&str> = rest.iter().map(|finding| finding.subject.name.as_str()).collect();
            let text = format!(
                "… and {} more: {}",
                number(rest.len()),
                some(&names, most, "finding")
            );
            blocks.push(bullet(Line::new().dim(text)));
        }
    }
    if one_remedy {
        blocks.push(Block::deeper(remedy(&list[0].remedy)));
    }
}

fn bullet(line: Line) -> Block {
    Block::Text {
        indent: 6,
        mark: Some(Span::new(Tone::Dim, "•")),
        line,
    }
}

/// What a message is about, in front of it, unless the message names it itself.
fn named(finding: &Finding) -> Line {
    let name = finding.subject.name.as_str();
    let place = super::place(finding.subject.file.as_deref(), finding.subject.line);
    // "it" is the subject, which then must stand in front.
    let says = says(&finding.message, name) && !finding.message.starts_with("it ");
    let line = match says {
        true => Line::new(),
        false => Line::new().strong(name),
    };
    let line = match (line.is_empty(), place.is_empty()) {
        (_, true) => line,
        (true, false) => line.info(place),
        (false, false) => line.plain("  ").info(place),
    };
    if line.is_empty() { line } else { line.plain(": ") }
}

/// True when the name stands in the text as a word of its own.
fn says(text: &str, name: &str) -> bool {
    let within = |c: char| c.is_alphanumeric() || "-_.@/$".contains(c);
    !name.is_empty()
        && text
            .match_indices(name)
            .any(|(at, _)| !text[..at].ends_with(within) && !text[at + name.len()..].starts_with(within))
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

fn hosts(view: &View, finding: &Finding, indent: usize, blocks: &mut Vec<Block>) {
    if finding.hosts.is_empty() || finding.hosts == [finding.subject.name.clone()] {
        return;
    }
    let hosts: Vec<&str> = finding.hosts.iter().map(String::as_str).collect();
    blocks.push(Block::Text {
        indent,
        mark: None,
        line: Line::new().dim("on ").plain(view.names.describe(&hosts)),
    });
}
