//! Which machines: what the plan pins them by, and what is missing for that.

use crate::model::{Host, Role};
use crate::report::doc::{Block, Line, Section, Table, Tone, Weight};
use crate::report::view::View;
use crate::text::number;

/// Hosts that get a line of their own; more are folded by what they have in common.
const ROWS: usize = 24;

pub(super) fn section(view: &View) -> Option<Section> {
    let hosts = &view.spec.hosts;
    if hosts.is_empty() {
        return None;
    }
    let unpinned: Vec<&str> = hosts
        .iter()
        .filter(|host| host.host_keys.is_empty() || host.machine_id.is_empty())
        .map(|host| host.id.as_str())
        .collect();
    let mut table = Table {
        show_head: true,
        ..Table::new(&["host", "becomes", "address", "host key"])
    };
    for host in hosts.iter().take(ROWS) {
        let key = match host.host_keys.first() {
            Some(key) => Line::new().dim(key.chars().take(22).collect::<String>()).dim("…"),
            None => Line::new().tone(Tone::Warn, "not recorded"),
        };
        table.row([
            Line::new().strong(&host.id),
            Line::from(becomes(host)),
            address(host),
            key,
        ]);
    }
    let mut blocks = vec![Block::Table(table)];
    if hosts.len() > ROWS {
        let rest: Vec<&str> = hosts[ROWS..].iter().map(|host| host.id.as_str()).collect();
        let text = format!(
            "… and {} more: {}",
            number(rest.len()),
            view.names.describe(&rest)
        );
        blocks.push(Block::text(Line::new().dim(text)));
    }
    if !unpinned.is_empty() {
        let line = Line::new()
            .plain("no host key or machine id is recorded for ")
            .plain(view.names.describe(&unpinned))
            .plain(": apply cannot tell whether it meets the same machine");
        blocks.push(Block::item(Tone::Warn, "!", line));
    }
    Some(Section {
        id: "hosts",
        title: format!("Hosts ({})", number(hosts.len())),
        gist: if unpinned.is_empty() {
            "pinned by host key and machine id".to_owned()
        } else {
            String::new()
        },
        weight: Weight::Detail,
        blocks,
    })
}

fn becomes(host: &Host) -> &'static str {
    match host.role {
        Some(Role::Manager) => "controller",
        Some(Role::Worker) => "worker",
        None => "role unknown",
    }
}

fn address(host: &Host) -> Line {
    let line = Line::from(host.address.as_str());
    let line = if host.port == 22 {
        line
    } else {
        line.plain(format!(":{}", host.port))
    };
    match &host.bastion {
        Some(bastion) => line.dim(format!(" via {}", bastion.address)),
        None => line,
    }
}
