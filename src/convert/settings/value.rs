//! Values of the MKE 3 configuration: how they read, what is valid, what must not be shown.

use super::table::{Kind, SettingDef};
use crate::convert::flags::value::duration;
use crate::source::mke3::Value;
use crate::yaml::{self, Node};
use ipnet::IpNet;
use serde::de::IgnoredAny;

/// What stands where a secret was.
pub(crate) const SECRET: &str = "(secret)";

/// The same value as a node. Floats and dates become strings: nothing that is converted takes one.
pub(crate) fn node(value: &Value) -> Node {
    match value {
        Value::String(text) | Value::Datetime(text) => Node::Str(text.clone()),
        Value::Integer(number) => Node::Int(*number),
        Value::Float(number) => Node::Str(number.to_string()),
        Value::Bool(flag) => Node::Bool(*flag),
        Value::List(items) => Node::List(items.iter().map(|(item, _)| node(item)).collect()),
        Value::Empty => Node::List(Vec::new()),
    }
}

/// The text of a string, or of a number where a string of digits is as good.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

/// True when a value of the table means this value; `"1480"` and `1480` are the same, letter case is not ignored.
pub(crate) fn same(expected: &Node, value: &Value) -> bool {
    match (expected, value) {
        (Node::List(items), Value::Empty) => items.is_empty(),
        (Node::Str(a), Value::Integer(b)) => *a == b.to_string(),
        (Node::Int(a), Value::String(b)) => a.to_string() == *b,
        _ => *expected == node(value),
    }
}

/// The spelling of the table for a value that is allowed in any letter case.
pub(crate) fn allowed<'a>(row: &'a SettingDef, value: &Value) -> Option<&'a Node> {
    row.allowed.iter().flatten().find(|one| match (one, value) {
        (Node::Str(a), Value::String(b)) => a.eq_ignore_ascii_case(b),
        _ => same(one, value),
    })
}

/// True for values that mean "not set".
pub(crate) fn is_off(row: &SettingDef, value: &Value, keeps_zero: bool) -> bool {
    if let Some(off) = &row.off {
        return off.iter().any(|one| same(one, value));
    }
    match value {
        Value::String(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Empty => true,
        Value::Integer(number) => *number == 0 && !keeps_zero,
        Value::Bool(flag) => !flag && !keeps_zero,
        Value::Float(_) | Value::Datetime(_) => false,
    }
}

/// The value as it reads in TOML, on one line, with everything replaced that looks like a secret.
pub(crate) fn display(value: &Value) -> String {
    match value {
        Value::String(text) => quote(&mask(text)),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Bool(flag) => flag.to_string(),
        Value::Datetime(text) => text.clone(),
        Value::Empty => "{}".to_owned(),
        Value::List(items) => {
            let mut shown = Vec::with_capacity(items.len());
            let mut hide_next = false;
            for (item, _) in items {
                shown.push(match item {
                    Value::String(text) if hide_next && !text.starts_with('-') => quote(SECRET),
                    other => display(other),
                });
                hide_next = matches!(item, Value::String(text) if names_secret(text) && !text.contains('='));
            }
            format!("[{}]", shown.join(", "))
        }
    }
}

/// A basic string of TOML.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

const SECRET_WORDS: [&str; 5] = ["token", "password", "passwd", "passphrase", "secret"];

/// True for a flag whose name says that its value is a secret.
fn names_secret(flag: &str) -> bool {
    let name = flag.split(['=', ' ']).next().unwrap_or_default().to_lowercase();
    name.starts_with('-') && SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// True for text that must not be shown whatever the key: a URL with credentials, or a private key.
pub(crate) fn holds_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => mask_url(text) != *text || text.contains("PRIVATE KEY-----"),
        Value::List(items) => items.iter().any(|(item, _)| holds_secret(item)),
        _ => false,
    }
}

fn mask(text: &str) -> String {
    if text.contains("PRIVATE KEY-----") {
        return SECRET.to_owned();
    }
    if !text.trim_start().starts_with('-') || text.starts_with("-----BEGIN") {
        return mask_url(text);
    }
    // One flag, or several in one string.
    let mut out = String::new();
    let mut hide_next = false;
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        let space = &piece[word.len()..];
        if hide_next && !word.is_empty() && !word.starts_with('-') {
            out.push_str(SECRET);
            hide_next = false;
        } else if names_secret(word) {
            match word.split_once('=') {
                Some((name, _)) => {
                    out.push_str(&format!("{name}={SECRET}"));
                    hide_next = false;
                }
                None => {
                    out.push_str(word);
                    hide_next = true;
                }
            }
        } else {
            hide_next = hide_next && word.is_empty();
            out.push_str(&mask_url(word));
        }
        out.push_str(space);
    }
    out
}

/// Replaces `user:password@` of every URL in the text.
fn mask_url(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        out.push_str(before);
        let end = after
            .find(|c: char| c == '/' || c == '?' || c == '#' || c.is_whitespace())
            .unwrap_or(after.len());
        match after[..end].rfind('@') {
            Some(at) => {
                out.push_str(SECRET);
                rest = &after[at..];
            }
            None => rest = after,
        }
    }
    out.push_str(rest);
    out
}

/// Says what is wrong with a value, as a fragment that reads well after the key: `is not a port range LOW-HIGH`.
pub(crate) fn check(row: &SettingDef, value: &Value) -> Result<(), String> {
    let string = match value {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    };
    let number = match value {
        Value::Integer(number) => Some(*number),
        Value::String(text) if row.kind == Kind::Number => text.trim().parse().ok(),
        _ => None,
    };
    let need = |ok: bool, what: &str| if ok { Ok(()) } else { Err(format!("is not {what}")) };
    // An empty string is how MKE 3 writes "not set".
    if string == Some("") && !matches!(row.kind, Kind::Bool | Kind::Int | Kind::Port) {
        return Ok(());
    }
    match row.kind {
        Kind::Any => Ok(()),
        Kind::Scalar => need(
            !matches!(value, Value::List(_) | Value::Empty),
            "a string, number or boolean",
        ),
        Kind::String => need(string.is_some(), "a string"),
        Kind::Bool => need(matches!(value, Value::Bool(_)), "true or false"),
        // No setting is meant to be larger, and Kubernetes takes no more in most fields.
        Kind::Int => need(
            number.is_some_and(|n| i32::try_from(n).is_ok()),
            "an integer of 32 bits",
        ),
        Kind::Number => need(
            number.is_some_and(|n| i32::try_from(n).is_ok()),
            "an integer of 32 bits, also written as a string",
        ),
        Kind::Port => need(
            number.is_some_and(|n| (1..=65535).contains(&n)),
            "a port from 1 to 65535",
        ),
        Kind::PortRange => need(
            string.and_then(port_range).is_some(),
            "a port range LOW-HIGH within 1 to 65535",
        ),
        Kind::Cidr => need(
            string.is_some_and(|text| text.parse::<IpNet>().is_ok()),
            "an address range such as 10.0.0.0/16",
        ),
        Kind::Duration => need(string.and_then(nanoseconds).is_some(), "a duration such as 1m30s"),
        Kind::Quantity => need(string.is_some_and(is_quantity), "a quantity such as 500Mi"),
        Kind::Size => need(string.is_some_and(is_size), "a size such as 8GB"),
        Kind::Pairs => need(
            string.is_some_and(|text| pairs(text).is_some()),
            "a list of pairs such as cpu=1,memory=2Gi",
        ),
        Kind::Path => need(
            string.is_some_and(|text| text.starts_with('/') && !text.contains(['\n', '\0'])),
            "an absolute path",
        ),
        Kind::Yaml => need(
            string.is_some_and(|text| yaml::embedded::<IgnoredAny>(text).is_ok()),
            "YAML text",
        ),
        Kind::Autodetect => need(
            string.is_some_and(|text| super::transform::autodetect(text).is_some()),
            "an address detection method such as first-found or interface=eth0",
        ),
        Kind::Strings => need(is_strings(value), "a list of strings"),
        Kind::StringsOrCommas => need(
            string.is_some() || is_strings(value),
            "a list of strings, or one comma-separated string",
        ),
    }?;
    match number {
        Some(n) if row.min.is_some_and(|min| n < min) => {
            Err(format!("is below {}", row.min.unwrap_or_default()))
        }
        Some(n) if row.max.is_some_and(|max| n > max) => {
            Err(format!("is above {}", row.max.unwrap_or_default()))
        }
        _ => Ok(()),
    }
}

fn is_strings(value: &Value) -> bool {
    match value {
        Value::Empty => true,
        Value::List(items) => items.iter().all(|(item, _)| matches!(item, Value::String(_))),
        _ => false,
    }
}

/// Both ends of `low-high`.
pub(crate) fn port_range(text: &str) -> Option<(u32, u32)> {
    let (low, high) = text.split_once('-')?;
    let digits = |part: &str| (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())).then_some(());
    digits(low).and(digits(high))?;
    let (low, high) = (low.parse::<u32>().ok()?, high.parse::<u32>().ok()?);
    (low >= 1 && low <= high && high <= 65535).then_some((low, high))
}

fn is_quantity(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffixes = [
        "", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    is_decimal(digits) && suffixes.contains(&&text[digits.len()..])
}

fn is_size(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffixes = [
        "", "b", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "tib", "k", "m", "g", "t", "ki", "mi", "gi",
        "ti",
    ];
    is_decimal(digits.trim_end()) && suffixes.contains(&text[digits.len()..].to_ascii_lowercase().as_str())
}

fn is_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && digits(fraction)
}

/// `key=value` pairs whose values are quantities, each key once.
pub(crate) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let mut out: Vec<(String, String)> = Vec::new();
    for pair in text.split(',') {
        let (key, value) = pair.split_once('=')?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || !is_quantity(value) || out.iter().any(|(seen, _)| seen == key) {
            return None;
        }
        out.push((key.to_owned(), value.to_owned()));
    }
    Some(out)
}

/// A Go duration in nanoseconds, without a sign.
pub(crate) fn nanoseconds(text: &str) -> Option<i64> {
    if text.starts_with(['+', '-']) {
        return None;
    }
    duration(text)?.try_into().ok()
}
