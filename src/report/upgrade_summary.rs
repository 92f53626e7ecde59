//! The Upgrade Summary that the real tool prints when an upgrade is over: the same sections, the same words.
//!
//! Sources for the form: the example of an Upgrade Summary in the MKE 4k documentation. What to say when something did not
//! come over is not shown there; those sentences keep its style.

mod cleanup;

use super::view::{lost, quiet};
use crate::apply::Book;
use crate::model::{Component, FlagRow, ParamSource, PortFate, Rbac, SettingRow, Spec, UserRow};
use crate::text::{fold_hosts, number, plural, sanitize};
use std::collections::BTreeMap;

/// The document that makes users, groups and grants.
const RBAC_DOCUMENT: &str = "rbac.yaml";
/// Names that are listed of those who share a reason; the plan has them all.
const NAMES: usize = 50;

/// The Upgrade Summary of a plan and of what was done of it, over all runs. Plain text, each line free of control
/// characters, to be printed as it is.
///
/// Only what `book` holds as done counts: a summary that is printed before the end says so of what is missing.
pub fn render(spec: &Spec, book: &Book) -> String {
    let sections = [
        ("Upgrade Summary", Vec::new()),
        ("Configuration file", configuration(spec, book)),
        ("Authentication", authentication(spec, book)),
        ("Authorization", authorization(spec, book)),
        ("Ports", ports(spec)),
        ("MCR", cleanup::mcr(spec, book)),
        ("MKE3 Cleanup", cleanup::mke3(spec, book)),
    ];
    let sections = sections.map(|(title, lines)| {
        let mut text = format!("{title}\n{}\n", "-".repeat(15));
        for line in lines {
            text.push_str(&sanitize(&line));
            text.push('\n');
        }
        text
    });
    sections.join("\n")
}

/// Whether all actions of the steps that `which` picks are done; false when there are none.
fn done(spec: &Spec, book: &Book, which: impl Fn(&crate::model::Step) -> bool) -> Option<bool> {
    let steps: Vec<&str> = spec
        .steps
        .iter()
        .filter(|it| which(it))
        .map(|it| it.id.as_str())
        .collect();
    let mut mine = spec
        .actions
        .iter()
        .filter(|it| steps.contains(&it.step.as_str()))
        .peekable();
    mine.peek()?;
    Some(mine.all(|it| book.done.contains_key(&it.id)))
}

fn configuration(spec: &Spec, book: &Book) -> Vec<String> {
    let file = spec.inputs.iter().find(|input| input.name == "mke3-config");
    let file = file.map_or("", |input| input.file.as_str());
    let place = |line: Option<u32>| match line {
        Some(line) if !file.is_empty() => format!(" ({file}:{line})"),
        Some(line) => format!(" (line {line})"),
        None => String::new(),
    };
    let settings: Vec<&SettingRow> = spec
        .conversion
        .settings
        .iter()
        .filter(|row| lost(row.outcome) && !quiet(row.default, row.outcome))
        .collect();
    let flags = spec.conversion.flags.iter().filter(|row| lost(row.outcome));
    let (in_profiles, flags): (Vec<&FlagRow>, Vec<&FlagRow>) = flags.partition(|row| row.profile.is_some());
    let mut lines = Vec::new();
    let whole = settings.is_empty() && flags.is_empty() && in_profiles.is_empty();
    if whole {
        lines
            .push("All MKE 3 TOML settings were successfully converted into MKE 4 YAML settings.".to_owned());
    }
    if !settings.is_empty() {
        lines.push(
            "The following MKE 3 TOML settings could not be converted into MKE 4 YAML settings:".to_owned(),
        );
        let rows = settings.iter();
        lines.extend(rows.map(|row| format!("- {}{}: {}", row.path, place(row.line), row.reason)));
    }
    if !flags.is_empty() {
        gap(&mut lines);
        lines.push("The following custom flags could not be converted into extraArgs:".to_owned());
        let rows = flags.iter();
        lines.extend(rows.map(|row| flag(row, "", &place(Some(row.line)))));
    }
    if !in_profiles.is_empty() {
        gap(&mut lines);
        lines.push(
            "The following flags of kubelet flag profiles could not be converted into kubelet custom profiles:"
                .to_owned(),
        );
        for row in in_profiles {
            let profile = format!("{}: ", row.profile.as_deref().unwrap_or_default());
            lines.push(flag(row, &profile, &place(Some(row.line))));
        }
    }
    if !whole {
        gap(&mut lines);
        lines.push(
            "All other MKE 3 TOML settings were successfully converted into MKE 4 YAML settings.".to_owned(),
        );
    }
    let writes = |step: &crate::model::Step| step.builtin.as_deref() == Some("write-config");
    if done(spec, book, writes) == Some(false) {
        gap(&mut lines);
        lines.push("The MKE 4 YAML configuration file was not written yet.".to_owned());
    }
    lines
}

fn flag(row: &FlagRow, profile: &str, place: &str) -> String {
    let component: Component = row.component;
    format!(
        "- {profile}{} {}{place}: {}",
        component.name(),
        row.flag,
        row.reason
    )
}

fn gap(lines: &mut Vec<String>) {
    if !lines.is_empty() {
        lines.push(String::new());
    }
}

fn makes_rbac(step: &crate::model::Step) -> bool {
    let document = ParamSource::File(RBAC_DOCUMENT.to_owned());
    step.params.values().any(|source| *source == document)
}

fn authentication(spec: &Spec, book: &Book) -> Vec<String> {
    let Some(rbac) = &spec.rbac else {
        return vec!["The users of the MKE3 cluster were not read, so no user was upgraded.".to_owned()];
    };
    let mut lines = vec![
        format!("Users found in the MKE3 cluster: {}", rbac.counts.users),
        String::new(),
    ];
    if done(spec, book, makes_rbac) == Some(false) {
        lines.push("No users were upgraded to the MKE 4k cluster yet.".to_owned());
        return lines;
    }
    let not: Vec<&UserRow> = rbac
        .users
        .iter()
        .filter(|row| lost(row.outcome) || row.to.is_empty())
        .collect();
    if not.is_empty() {
        lines.push("All users were upgraded to the MKE 4k cluster successfully.".to_owned());
        return lines;
    }
    let others = rbac.users.len() - not.len();
    lines.push("The following users were not upgraded to the MKE 4k cluster:".to_owned());
    let rows = not.iter().map(|row| (row.reason.as_str(), row.name.clone()));
    lines.extend(listed(rows, "user"));
    gap(&mut lines);
    lines.push(match others {
        0 => "No users were upgraded to the MKE 4k cluster.".to_owned(),
        _ => "All other users were upgraded to the MKE 4k cluster successfully.".to_owned(),
    });
    lines
}

/// `- NAME: REASON`, or one line for many that share a reason.
fn listed<'a>(rows: impl Iterator<Item = (&'a str, String)>, noun: &str) -> Vec<String> {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (reason, name) in rows {
        reasons.entry(reason).or_default().push(name);
    }
    let lines = reasons.into_iter().map(|(reason, names)| {
        let more = names.len().saturating_sub(NAMES);
        let mut who = names[..names.len() - more].join(", ");
        if more > 0 {
            who.push_str(&format!(" and {} more {}", number(more), plural(more, noun)));
        }
        format!("- {who}: {reason}")
    });
    lines.collect()
}

fn authorization(spec: &Spec, book: &Book) -> Vec<String> {
    let Some(rbac) = &spec.rbac else {
        return vec![
            "The organizations and teams of the MKE3 cluster were not read, so none were translated."
                .to_owned(),
        ];
    };
    let counts = &rbac.counts;
    let mut lines = vec![
        format!(
            "Organizations found in the MKE3 cluster: {}",
            counts.organizations
        ),
        format!("Teams found in the MKE3 cluster: {}", counts.teams),
        String::new(),
    ];
    if counts.organizations == 0 && counts.teams == 0 {
        lines.push("There were no organizations and teams to translate to aggregated roles.".to_owned());
    } else if done(spec, book, makes_rbac) == Some(false) {
        lines.push(
            "No organizations and teams were translated to aggregated roles in the MKE 4k cluster yet."
                .to_owned(),
        );
        return lines;
    } else {
        let not = untranslated(rbac);
        if not.is_empty() {
            lines.push("All organizations and teams were translated to aggregated roles in the MKE 4k cluster successfully.".to_owned());
        } else {
            lines.push("The following organizations and teams were not translated to aggregated roles in the MKE 4k cluster:".to_owned());
            lines.extend(not.into_iter().map(|name| format!("- {name}")));
            gap(&mut lines);
            lines.push("All other organizations and teams were translated to aggregated roles in the MKE 4k cluster successfully.".to_owned());
        }
    }
    let dropped = dropped(rbac);
    if !dropped.is_empty() {
        gap(&mut lines);
        lines.push("The following grants could not be translated:".to_owned());
        let rows = dropped.iter().map(|(reason, grant)| (*reason, grant.clone()));
        lines.extend(listed(rows, "grant"));
    }
    lines
}

/// Organizations and teams that no aggregated role stands for.
fn untranslated(rbac: &Rbac) -> Vec<String> {
    let mut names = Vec::new();
    for organization in &rbac.organizations {
        if organization.to.is_empty() {
            names.push(organization.name.clone());
        }
        let teams = organization.teams.iter().filter(|team| team.to.is_empty());
        names.extend(teams.map(|team| format!("{}/{}", organization.name, team.name)));
    }
    names
}

/// Grants that have no counterpart, each with its reason.
fn dropped(rbac: &Rbac) -> Vec<(&str, String)> {
    let mut out: Vec<(&str, String)> = Vec::new();
    for organization in &rbac.organizations {
        let org = organization.name.as_str();
        let teams = organization.teams.iter();
        let teams = teams.map(|team| (format!("{org}/{}", team.name), &team.roles));
        for (who, roles) in std::iter::once((org.to_owned(), &organization.roles)).chain(teams) {
            let roles = roles.iter().filter(|role| lost(role.outcome));
            out.extend(roles.map(|role| (role.reason.as_str(), grant(&who, &role.role, &role.on))));
        }
    }
    for user in &rbac.users {
        let roles = user.roles.iter().filter(|role| lost(role.outcome));
        out.extend(roles.map(|role| (role.reason.as_str(), grant(&user.name, &role.role, &role.on))));
    }
    for loose in rbac.loose.iter().filter(|loose| lost(loose.role.outcome)) {
        let role = &loose.role;
        out.push((role.reason.as_str(), grant(&loose.subject, &role.role, &role.on)));
    }
    out
}

fn grant(who: &str, role: &str, on: &str) -> String {
    format!("{role} of {who} on {on}")
}

fn ports(spec: &Spec) -> Vec<String> {
    let mut ports: Vec<&str> = Vec::new();
    for row in &spec.conversion.ports {
        // Rows of other protocols, such as ESP, are no ports.
        let port = row.protocol.split(',').any(|it| it == "tcp" || it == "udp");
        if port && row.fate == PortFate::Retired && !ports.contains(&row.port.as_str()) {
            ports.push(&row.port);
        }
    }
    vec![match ports.is_empty() {
        true => "All MKE 3 ports are still used by MKE 4k.".to_owned(),
        false => format!(
            "The following MKE 3 ports are no longer used by MKE 4k and (unless otherwise needed) may be made unavailable on all nodes: [{}]",
            ports.join(",")
        ),
    }]
}

/// Host names, folded.
fn hosts<S: AsRef<str>>(names: &[S]) -> String {
    fold_hosts(names)
}
