//! The compatibility report of the real tool, in both of its forms, with secrets masked.
//!
//! Its rules: what is not enabled is skipped, what has a counterpart is supported, the rest is not. Two things differ from it on
//! purpose: a value that lets the upgrade go on (`calico_kdd = true`) is supported, and no secret is printed.

use super::settings::{Class, SettingsResult, SettingsTable};
use crate::model::{Outcome, SettingRow};
use crate::source::mke3::{Config, Leaf, Segment, Value};
use std::fmt::Write;

/// How the report reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The settings themselves, under their tables.
    Toml,
    /// One label per setting.
    Human,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    NotSupported,
    Supported,
    Skipped,
}

/// The report over a configuration and what [`super::settings::convert_settings`] made of it.
pub fn compatibility_report(
    table: &SettingsTable,
    config: &Config,
    result: &SettingsResult,
    form: Form,
) -> String {
    let mut out = heading("MKE3->MKE4 Compatibility Checks");
    let skipped = match form {
        Form::Toml => "Disabled (skipped)",
        Form::Human => "Disabled in MKE3 (Skipped)",
    };
    for (group, title) in [
        (Group::NotSupported, "Not supported"),
        (Group::Supported, "Supported"),
        (Group::Skipped, skipped),
    ] {
        out.push('\n');
        out.push_str(&heading(title));
        // Rows of leaves come first, in the order of the file; rows of missing keys have no value to print.
        let members: Vec<(&Leaf, &SettingRow)> = config
            .leaves
            .iter()
            .zip(&result.rows)
            .filter(|(leaf, row)| group_of(table, leaf, row) == group)
            .collect();
        for (table_path, leaves) in by_table(&members) {
            write_table(&mut out, &table_path, &leaves, form);
        }
    }
    out
}

fn heading(title: &str) -> String {
    let line = "#".repeat(title.chars().count() + 4);
    format!("{line}\n# {title} #\n{line}\n")
}

fn is_off(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Integer(number) => *number == 0,
        Value::Bool(flag) => !flag,
        Value::List(items) => items.is_empty(),
        Value::Empty => true,
        Value::Float(_) | Value::Datetime(_) => false,
    }
}

fn group_of(table: &SettingsTable, leaf: &Leaf, row: &SettingRow) -> Group {
    let class = table.find(&leaf.table_path()).map(|def| def.class);
    match row.outcome {
        Outcome::Blocking => Group::NotSupported,
        _ if is_off(&leaf.value) => Group::Skipped,
        Outcome::Converted => Group::Supported,
        Outcome::Ignored if class == Some(Class::Blocking) => Group::Supported,
        Outcome::Ignored => Group::Skipped,
        Outcome::Retired | Outcome::Unsupported | Outcome::Unknown => Group::NotSupported,
    }
}

/// A table with what is in it, tables in the order of their first setting; what is in no table comes first.
type Tables<'a> = Vec<(Vec<Segment>, Vec<(&'a Leaf, &'a SettingRow)>)>;

fn by_table<'a>(members: &[(&'a Leaf, &'a SettingRow)]) -> Tables<'a> {
    let mut tables: Tables = Vec::new();
    for (leaf, row) in members {
        let place = &leaf.path[..leaf.path.len().saturating_sub(1)];
        match tables.iter_mut().find(|(path, _)| path == place) {
            Some((_, leaves)) => leaves.push((leaf, row)),
            None => tables.push((place.to_vec(), vec![(leaf, row)])),
        }
    }
    tables.sort_by_key(|(path, _)| !path.is_empty());
    tables
}

fn write_table(out: &mut String, path: &[Segment], leaves: &[(&Leaf, &SettingRow)], form: Form) {
    let names: Vec<&str> = path.iter().filter_map(key).collect();
    let depth = names.len().saturating_sub(1);
    let indent = "  ".repeat(depth);
    let inner = if path.is_empty() {
        String::new()
    } else {
        format!("{indent}  ")
    };
    if !path.is_empty() {
        let header = match form {
            Form::Toml => {
                let name = names.iter().map(|name| bare(name)).collect::<Vec<_>>().join(".");
                match path.last() {
                    Some(Segment::Index(_)) => format!("[[{name}]]"),
                    _ => format!("[{name}]"),
                }
            }
            Form::Human => match (names.last(), path.last()) {
                (Some(name), Some(Segment::Index(index))) => format!("{} {}", label(name), index + 1),
                (Some(name), _) => label(name),
                (None, _) => String::new(),
            },
        };
        let _ = writeln!(out, "{indent}{header}");
    }
    for (leaf, row) in leaves {
        let name = leaf.path.last().and_then(key).unwrap_or_default();
        let _ = match form {
            // `(secret)` and `(not shown)` stand without quotes in a row.
            Form::Toml if row.before.starts_with('(') => {
                writeln!(out, "{inner}{} = {:?}", bare(name), row.before)
            }
            Form::Toml => writeln!(out, "{inner}{} = {}", bare(name), row.before),
            Form::Human => writeln!(out, "{inner}{}", label(name)),
        };
    }
}

fn key(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Key(key) => Some(key),
        Segment::Index(_) => None,
    }
}

/// A key as TOML takes it.
fn bare(key: &str) -> String {
    let is_bare = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if is_bare {
        key.to_owned()
    } else {
        super::settings::value::quote(key)
    }
}

/// `kube_proxy_mode` and `clientId` as words: `Kube proxy mode`, `Client id`.
fn label(key: &str) -> String {
    let mut out = String::new();
    let mut before = ' ';
    for c in key.chars() {
        if c == '_' || c == '-' || c == '.' {
            out.push(' ');
        } else if out.is_empty() {
            out.extend(c.to_uppercase());
        } else if c.is_uppercase() && before.is_lowercase() {
            out.push(' ');
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
        before = c;
    }
    out
}
