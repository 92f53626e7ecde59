//! Who may do what afterwards: gains and losses, accounts, roles.

use super::{sign, word};
use crate::model::{AccessChange, BindingRow, Outcome, Rbac, RoleRow, UserRow};
use crate::report::doc::{Block, Line, Section, Table, Tone, Weight};
use crate::report::view::{View, lost, some};
use crate::text::{count, number, plural};
use std::collections::BTreeMap;

/// Gains and losses that are written out one by one.
const CHANGES: usize = 25;
/// Names in a folded group.
const NAMES: usize = 6;
/// Groups of users with their own line.
const GROUPS: usize = 15;

/// Who gains and who loses. Losses first: they are what people call about.
pub(super) fn changes(view: &View) -> Option<Section> {
    let rbac = view.spec.rbac.as_ref()?;
    if rbac.changes.is_empty() {
        return None;
    }
    let mut blocks = Vec::new();
    let mut gist = Vec::new();
    for gains in [false, true] {
        let list: Vec<&AccessChange> = rbac
            .changes
            .iter()
            .filter(|change| change.gains == gains)
            .collect();
        if list.is_empty() {
            continue;
        }
        gist.push(count(list.len(), if gains { "gain" } else { "reduction" }));
        let title = if gains { "gained" } else { "lost" };
        blocks.push(Block::Heading(Line::new().info(title)));
        blocks.push(Block::Table(table(&list, gains)));
    }
    Some(Section {
        id: "access",
        title: format!("Access changes ({})", number(rbac.changes.len())),
        gist: gist.join(", "),
        weight: Weight::Risk,
        blocks,
    })
}

/// One row for each thing that is lost or gained, with all whom it concerns.
fn table(list: &[&AccessChange], gains: bool) -> Table {
    let mark = || {
        if gains {
            Line::new().tone(Tone::Good, "+")
        } else {
            Line::new().tone(Tone::Bad, "-")
        }
    };
    let mut rows: Vec<(&str, Vec<&AccessChange>)> = Vec::new();
    let mut at = BTreeMap::new();
    for change in list {
        let index = *at.entry(change.what.as_str()).or_insert_with(|| {
            rows.push((&change.what, Vec::new()));
            rows.len() - 1
        });
        rows[index].1.push(change);
    }
    let mut table = Table::new(&["", "what", "who", "users"]);
    for (what, changes) in rows.iter().take(CHANGES) {
        let who: Vec<&str> = changes.iter().map(|change| change.who.as_str()).collect();
        let users: usize = changes.iter().map(|change| change.users as usize).sum();
        // A user may belong to several of them.
        let most = if changes.len() > 1 { "at most " } else { "" };
        table.row([
            mark(),
            Line::new().strong(what),
            Line::from(some(&who, NAMES, "name")),
            Line::new().dim(format!("{most}{}", count(users, "user"))),
        ]);
    }
    if rows.len() > CHANGES {
        let rest: Vec<&AccessChange> = rows[CHANGES..]
            .iter()
            .flat_map(|(_, changes)| changes.iter().copied())
            .collect();
        let users: usize = rest.iter().map(|change| change.users as usize).sum();
        let text = format!(
            "… and {} more, at most {}",
            number(rest.len()),
            count(users, "user")
        );
        table.wide(mark(), Line::new().dim(text));
    }
    table
}

/// Accounts and roles, by what becomes of them.
pub(super) fn section(view: &View) -> Option<Section> {
    let rbac = view.spec.rbac.as_ref()?;
    let mut blocks = users(rbac);
    roles(rbac, &mut blocks);
    bindings(rbac, &mut blocks);
    loose(rbac, &mut blocks);
    if blocks.is_empty() {
        return None;
    }
    let counts = &rbac.counts;
    Some(Section {
        id: "accounts",
        title: format!("Accounts ({})", number(counts.users as usize)),
        gist: format!(
            "{}, {} inactive, {}",
            count(counts.admins as usize, "administrator"),
            number(counts.inactive as usize),
            count(counts.grants as usize, "grant")
        ),
        weight: Weight::Normal,
        blocks,
    })
}

fn roles(rbac: &Rbac, blocks: &mut Vec<Block>) {
    if rbac.roles.is_empty() {
        return;
    }
    blocks.push(Block::Heading(Line::new().info("roles")));
    let mut groups: Vec<((Outcome, &str), Vec<&RoleRow>)> = Vec::new();
    for role in &rbac.roles {
        let key = (role.outcome, role.reason.as_str());
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, list)) => list.push(role),
            None => groups.push((key, vec![role])),
        }
    }
    let mut table = pairs("role");
    for ((outcome, reason), list) in groups.iter().take(GROUPS) {
        for role in list.iter().take(GROUPS) {
            let line = match role.to.is_empty() {
                true => Line::new().tone(Tone::Warn, word(role.outcome)),
                false => Line::new().tone(Tone::Good, "→ ").plain(&role.to),
            };
            let line = match list.len() {
                1 => line.dim(format!(": {reason}")),
                _ => line,
            };
            table.row([sign(*outcome), Line::new().strong(&role.name), line]);
        }
        if list.len() > GROUPS {
            let rest = count(list.len() - GROUPS, "role").replacen(' ', " more ", 1);
            table.wide(sign(*outcome), Line::new().dim(format!("… and {rest}")));
        }
        if list.len() > 1 {
            table.note(Line::new().dim(format!("these {}: {reason}", number(list.len()))));
        }
    }
    blocks.push(Block::Table(table));
    cut(groups.len(), "role group", blocks);
}

fn pairs(what: &'static str) -> Table {
    Table {
        stack: Some(2),
        ..Table::new(&["", what, "what becomes of it"])
    }
}

/// Says how much of a list is not shown.
fn cut(all: usize, noun: &str, blocks: &mut Vec<Block>) {
    if all > GROUPS {
        let rest = number(all - GROUPS);
        blocks.push(Block::Text {
            indent: 5,
            mark: None,
            line: Line::new().dim(format!("… and {rest} more {}", plural(all - GROUPS, noun))),
        });
    }
}

/// Bindings of the cluster: those that get company one by one, the others folded by what becomes of them.
fn bindings(rbac: &Rbac, blocks: &mut Vec<Block>) {
    if rbac.bindings.is_empty() {
        return;
    }
    blocks.push(Block::Heading(
        Line::new().info("bindings that Kubernetes has already"),
    ));
    let name = |row: &BindingRow| match &row.namespace {
        Some(namespace) => format!("RoleBinding {namespace}/{}", row.name),
        None => format!("ClusterRoleBinding {}", row.name),
    };
    let mut table = pairs("binding");
    let joined: Vec<&BindingRow> = rbac.bindings.iter().filter(|row| !row.to.is_empty()).collect();
    for row in joined.iter().take(GROUPS) {
        table.row([
            sign(row.outcome),
            Line::new().strong(name(row)).dim(format!("  {}", row.role)),
            Line::new()
                .dim("stays; beside it ")
                .tone(Tone::Good, "+ ")
                .plain(some(&row.to, 3, "binding")),
        ]);
    }
    if joined.len() > GROUPS {
        let text = format!(
            "… and {} more that get bindings beside them",
            number(joined.len() - GROUPS)
        );
        table.wide(Line::new().tone(Tone::Change, "~"), Line::new().dim(text));
    }
    let mut groups: BTreeMap<(Outcome, &str), Vec<String>> = BTreeMap::new();
    for row in rbac.bindings.iter().filter(|row| row.to.is_empty()) {
        groups
            .entry((row.outcome, &row.reason))
            .or_default()
            .push(name(row));
    }
    for ((outcome, reason), names) in groups.iter().take(GROUPS) {
        let line = Line::from(count(names.len(), "binding"))
            .dim(": ")
            .plain(some(names, NAMES, "binding"))
            .dim(format!("  {reason}"));
        table.wide(sign(*outcome), line);
    }
    blocks.push(Block::Table(table));
    cut(groups.len(), "binding group", blocks);
}

/// Grants of subjects that are no account and in no team: service accounts, groups, users who left.
fn loose(rbac: &Rbac, blocks: &mut Vec<Block>) {
    if rbac.loose.is_empty() {
        return;
    }
    blocks.push(Block::Heading(
        Line::new().info("grants of subjects that are no account here"),
    ));
    let mut table = pairs("subject");
    for grant in rbac.loose.iter().take(GROUPS) {
        let role = &grant.role;
        let held = format!("  {} on {}", role.role, role.on);
        let after = match role.to.is_empty() {
            true => Line::new()
                .tone(Tone::Warn, format!("{}: ", word(role.outcome)))
                .plain(&role.reason),
            false => Line::from(role.reason.as_str()),
        };
        table.row([
            sign(role.outcome),
            Line::new().strong(&grant.subject).dim(held),
            after,
        ]);
    }
    blocks.push(Block::Table(table));
    cut(rbac.loose.len(), "grant", blocks);
}

/// What becomes of a user: outcome, whether an administrator, why.
type Fate<'a> = (Outcome, bool, &'a str);

fn users(rbac: &Rbac) -> Vec<Block> {
    let mut groups: Vec<(Fate, Vec<&UserRow>)> = Vec::new();
    let mut at = BTreeMap::new();
    for user in &rbac.users {
        let key = (user.outcome, user.admin, user.reason.as_str());
        let index = *at.entry(key).or_insert_with(|| {
            groups.push((key, Vec::new()));
            groups.len() - 1
        });
        groups[index].1.push(user);
    }
    if groups.is_empty() {
        return Vec::new();
    }
    // What is lost first, then administrators, then the many.
    groups.sort_by_key(|((outcome, admin, reason), _)| (!lost(*outcome), !*admin, *outcome, *reason));
    let mut table = Table::new(&["", "users", "what becomes of them"]);
    for ((outcome, admin, reason), users) in groups.iter().take(GROUPS) {
        let noun = if *admin { "administrator" } else { "user" };
        table.row([
            sign(*outcome),
            Line::new().strong(count(users.len(), noun)),
            Line::from(*reason),
        ]);
        let names: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
        table.note(Line::new().dim(some(&names, NAMES, "user")));
    }
    let mut blocks = vec![Block::Table(table)];
    if groups.len() > GROUPS {
        let users: usize = groups[GROUPS..].iter().map(|(_, users)| users.len()).sum();
        let text = format!(
            "… and {} in {} more groups",
            count(users, "user"),
            number(groups.len() - GROUPS)
        );
        blocks.push(Block::Text {
            indent: 5,
            mark: None,
            line: Line::new().dim(text),
        });
    }
    blocks
}
