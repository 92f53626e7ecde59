//! Where secrets come from, and which files will hold them.

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
            ..Table::new(&["path", "mode", "hosts", "holds", "until"])
        };
        for file in &spec.secret_files {
            table.row([
                Line::new().strong(&file.path),
                Line::from(file.mode.as_str()),
                Line::from(file.hosts.as_str()),
                Line::from(file.holds.as_str()),
                Line::from(file.until.as_str()),
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
            ..Table::new(&["name", "read at apply from", "for"])
        };
        for secret in &spec.secrets {
            table.row([
                Line::new().strong(&secret.name),
                Line::from(secret.from.as_str()),
                Line::from(secret.used_for.as_str()),
            ]);
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
