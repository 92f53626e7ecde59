//! Where secrets come from, and which files will hold them.

use crate::model::SecretRef;
use crate::report::doc::{Block, Line, Section, Table, Weight};
use crate::report::view::View;
use crate::text::{count, number};

pub(super) fn section(view: &View) -> Option<Section> {
    let spec = view.spec;
    if spec.secrets.is_empty() && spec.secret_files.is_empty() {
        return None;
    }
    let mut blocks = Vec::new();
    if !spec.secret_files.is_empty() {
        blocks.push(Block::Heading(Line::new().info("files that will hold secrets")));
        let mut table = Table {
            show_head: true,
            stack: Some(4),
            ..Table::new(&["path", "mode", "hosts", "until", "holds"])
        };
        for file in &spec.secret_files {
            table.row([
                Line::new().strong(&file.path),
                Line::from(file.mode.as_str()),
                Line::from(file.hosts.as_str()),
                Line::from(file.until.as_str()),
                Line::from(file.holds.as_str()),
            ]);
        }
        blocks.push(Block::Table(table));
    }
    if !spec.secrets.is_empty() {
        blocks.push(Block::Heading(
            Line::new().info("secrets, by reference: no value is in this plan"),
        ));
        let mut table = Table {
            show_head: true,
            stack: Some(2),
            ..Table::new(&["name", "read at apply from", "for"])
        };
        for group in groups(&spec.secrets) {
            if let [first, _, _, ..] = group.as_slice() {
                let of = |text: fn(&SecretRef) -> &String| {
                    let stem = group
                        .iter()
                        .fold(text(first).as_str(), |known, secret| stem(known, text(secret)));
                    match stem == text(first) {
                        true => stem.to_owned(),
                        false => format!("{stem}…"),
                    }
                };
                table.row([
                    Line::new()
                        .strong(of(|secret| &secret.name))
                        .dim(format!("  ({} of them)", number(group.len()))),
                    Line::from(of(|secret| &secret.from)),
                    Line::from(of(|secret| &secret.used_for)),
                ]);
                continue;
            }
            for secret in group {
                table.row([
                    Line::new().strong(&secret.name),
                    Line::from(secret.from.as_str()),
                    Line::from(secret.used_for.as_str()),
                ]);
            }
        }
        blocks.push(Block::Table(table));
    }
    Some(Section {
        id: "secrets",
        title: format!("Secrets ({})", number(spec.secrets.len())),
        gist: format!("{} will hold some", count(spec.secret_files.len(), "file")),
        weight: Weight::Normal,
        blocks,
    })
}

/// Secrets with neighbours that come from the same directory for the same kind of thing: one per user makes thousands.
fn groups(secrets: &[SecretRef]) -> Vec<Vec<&SecretRef>> {
    let mut groups: Vec<Vec<&SecretRef>> = Vec::new();
    for secret in secrets {
        match groups.last_mut() {
            Some(group) if alike(group[0], secret) => group.push(secret),
            _ => groups.push(vec![secret]),
        }
    }
    groups
}

fn alike(one: &SecretRef, two: &SecretRef) -> bool {
    fn directory(from: &str) -> Option<&str> {
        from.rsplit_once('/').map(|(directory, _)| directory)
    }
    directory(&one.from).is_some()
        && directory(&one.from) == directory(&two.from)
        && !stem(&one.name, &two.name).is_empty()
}

/// What two texts begin with, up to the end of a word.
fn stem<'a>(one: &'a str, two: &str) -> &'a str {
    if one == two {
        return one;
    }
    let same = one
        .char_indices()
        .zip(two.chars())
        .take_while(|((_, a), b)| a == b)
        .last();
    let end = same.map_or(0, |((at, c), _)| at + c.len_utf8());
    let cut = one[..end]
        .rfind(|c: char| !c.is_alphanumeric())
        .map_or(0, |at| at + one[at..].chars().next().map_or(0, char::len_utf8));
    &one[..cut]
}
