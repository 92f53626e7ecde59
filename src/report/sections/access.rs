//! Who may do what afterwards: gains and losses, accounts, roles.

use super::{sign, word};
use crate::model::{AccessChange, Outcome, Rbac, UserRow};
use crate::report::doc::{Block, Line, Section, Table, Tone, Weight};
use crate::report::view::{View, lost, some};
use crate::text::{count, number};

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
    for (gains, verb) in [(false, "loses"), (true, "gains")] {
        let list: Vec<&AccessChange> = rbac
            .changes
            .iter()
            .filter(|change| change.gains == gains)
            .collect();
        if list.is_empty() {
            continue;
        }
        gist.push(format!(
            "{} {}",
            number(list.len()),
            crate::text::plural(list.len(), if gains { "gain" } else { "reduction" })
        ));
        blocks.push(Block::Table(table(&list, gains, verb)));
    }
    Some(Section {
        id: "access",
        title: format!("Access changes ({})", number(rbac.changes.len())),
        gist: gist.join(", "),
        weight: Weight::Risk,
        blocks,
    })
}

fn table(list: &[&AccessChange], gains: bool, verb: &'static str) -> Table {
    let mark = || {
        if gains {
            Line::new().tone(Tone::Good, "+")
        } else {
            Line::new().tone(Tone::Bad, "-")
        }
    };
    let mut table = Table::new(&["", "who", "", "what", "users"]);
    for change in list.iter().take(CHANGES) {
        table.row([
            mark(),
            Line::new().strong(&change.who),
            Line::from(verb),
            Line::from(change.what.as_str()),
            Line::new().dim(count(change.users as usize, "user")),
        ]);
    }
    if list.len() > CHANGES {
        let users: usize = list[CHANGES..].iter().map(|change| change.users as usize).sum();
        let text = format!(
            "… and {} more, {}",
            number(list.len() - CHANGES),
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
    if !rbac.roles.is_empty() {
        blocks.push(Block::Heading(Line::new().info("roles")));
        let mut table = Table {
            stack: Some(2),
            ..Table::new(&["", "role", "what becomes of it"])
        };
        for role in rbac.roles.iter().take(GROUPS) {
            let line = match role.to.is_empty() {
                true => Line::new().tone(Tone::Warn, format!("{}: ", word(role.outcome))),
                false => Line::new().tone(Tone::Good, "→ ").plain(&role.to).dim(": "),
            };
            table.row([
                sign(role.outcome),
                Line::new().strong(&role.name),
                line.plain(&role.reason),
            ]);
        }
        blocks.push(Block::Table(table));
        if rbac.roles.len() > GROUPS {
            let rest = count(rbac.roles.len() - GROUPS, "role").replacen(' ', " more ", 1);
            blocks.push(Block::Text {
                indent: 5,
                mark: None,
                line: Line::new().dim(format!("… and {rest}")),
            });
        }
    }
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

/// What becomes of a user: outcome, whether an administrator, why.
type Fate<'a> = (Outcome, bool, &'a str);

fn users(rbac: &Rbac) -> Vec<Block> {
    let mut groups: Vec<(Fate, Vec<&UserRow>)> = Vec::new();
    let mut at = std::collections::BTreeMap::new();
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
