//! Writes YAML that readers of 1.1 and of 1.2 understand alike, and that is the same bytes for the same tree.
//!
//! The rule is to quote unless a string cannot be anything else: a plain scalar starts with a letter, `/` or `_`, or is a
//! number followed by a unit. Everything that a resolver of either version might take for a boolean, null, number, base-60
//! number, date, merge key or value key is quoted. Text of several lines becomes a literal block where that keeps every byte.

use super::Node;
use std::fmt::Write;

/// Longest key that is written as `key: value`; readers limit such keys to 1024 characters.
const LONGEST_SIMPLE_KEY: usize = 1000;

/// The document as text, ending in a newline. Mappings are in key order; lists stand at the indentation of their key.
pub fn write(node: &Node) -> String {
    let mut out = String::new();
    match node {
        Node::Map(map) if !map.is_empty() => block_map(&mut out, node, 0),
        Node::List(items) if !items.is_empty() => block_list(&mut out, items, 0),
        other => {
            out.push_str(&flow(other));
            out.push('\n');
        }
    }
    out
}

/// The value on one line, in flow style: what a row of a plan shows.
pub fn flow(node: &Node) -> String {
    match node {
        Node::Null => "null".to_owned(),
        Node::Bool(value) => value.to_string(),
        Node::Int(value) => value.to_string(),
        Node::Str(text) if is_plain(text) && !text.contains(',') => text.clone(),
        Node::Str(text) => quoted(text),
        Node::List(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Node::Map(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", flow(&Node::Str(key.clone())), flow(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn block_map(out: &mut String, node: &Node, depth: usize) {
    let Node::Map(map) = node else { return };
    for (i, (key, value)) in map.iter().enumerate() {
        // The first entry of a mapping in a list stands behind the dash.
        if i > 0 || out.is_empty() || out.ends_with('\n') {
            indent(out, depth);
        }
        let key = scalar(key);
        if key.chars().count() > LONGEST_SIMPLE_KEY {
            let _ = writeln!(out, "? {key}");
            indent(out, depth);
            out.push(':');
        } else {
            let _ = write!(out, "{key}:");
        }
        value_after_key(out, value, depth);
    }
}

fn value_after_key(out: &mut String, value: &Node, depth: usize) {
    match value {
        Node::Map(map) if !map.is_empty() => {
            out.push('\n');
            block_map(out, value, depth + 1);
        }
        Node::List(items) if !items.is_empty() => {
            out.push('\n');
            block_list(out, items, depth);
        }
        Node::Str(text) if is_literal(text) => literal(out, text, depth + 1),
        other => {
            out.push(' ');
            leaf(out, other);
        }
    }
}

fn block_list(out: &mut String, items: &[Node], depth: usize) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 || out.is_empty() || out.ends_with('\n') {
            indent(out, depth);
        }
        out.push('-');
        match item {
            Node::Map(map) if !map.is_empty() => {
                out.push(' ');
                block_map(out, item, depth + 1);
            }
            Node::List(inner) if !inner.is_empty() => {
                out.push(' ');
                block_list(out, inner, depth + 1);
            }
            Node::Str(text) if is_literal(text) => literal(out, text, depth + 1),
            other => {
                out.push(' ');
                leaf(out, other);
            }
        }
    }
}

fn leaf(out: &mut String, node: &Node) {
    match node {
        Node::Str(text) => out.push_str(&scalar(text)),
        Node::List(_) => out.push_str("[]"),
        Node::Map(_) => out.push_str("{}"),
        other => out.push_str(&flow(other)),
    }
    out.push('\n');
}

fn scalar(text: &str) -> String {
    if is_plain(text) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// Characters that both versions print as they are, whatever stands around them.
fn is_printable(c: char) -> bool {
    !(c.is_control()
        || matches!(c,
            // Line and paragraph separators are line breaks in 1.1 and not in 1.2; direction marks deceive a reader.
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{fffe}' | '\u{ffff}' | '\u{fdd0}'..='\u{fdef}')
        || (c as u32) & 0xfffe == 0xfffe)
}

/// A literal block keeps this text: several lines, the first neither empty nor indented, at most one line break at the end.
fn is_literal(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n') | (text.len() > body.len() && !body.is_empty())
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\t', '\n'])
        && text.chars().all(|c| c == '\n' || is_printable(c))
}

fn literal(out: &mut String, text: &str, depth: usize) {
    let body = text.strip_suffix('\n');
    out.push_str(if body.is_some() { " |\n" } else { " |-\n" });
    for line in body.unwrap_or(text).split('\n') {
        if !line.is_empty() {
            indent(out, depth);
            out.push_str(line);
        }
        out.push('\n');
    }
}

/// Words that some resolver takes for a boolean or null, in lower case.
const WORDS: [&str; 12] = [
    "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nil", "none", "nan",
];

fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else {
        return false;
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_./@+-=,:() ".contains(c);
    if !text.chars().all(allowed) || text.ends_with([' ', ':']) || text.contains(": ") || text.contains("  ")
    {
        return false;
    }
    if first.is_ascii_digit() {
        // Digits are followed by something that no number, base-60 number or date has: `8GB`, `2m0s`, `10.0.0.0/16`.
        let date_like = text.chars().take(4).all(|c| c.is_ascii_digit()) && text[1..].contains('-');
        let unit = text
            .chars()
            .any(|c| c == '/' || (c.is_ascii_alphabetic() && !"abcdefABCDEFxXoO".contains(c)));
        return unit && !date_like;
    }
    (first.is_ascii_alphabetic() || first == '/' || first == '_')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_printable(c) => out.push(c),
            c => {
                let code = c as u32;
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02X}"),
                    0x100..=0xffff => write!(out, "\\u{code:04X}"),
                    _ => write!(out, "\\U{code:08X}"),
                };
            }
        }
    }
    out.push('"');
    out
}
