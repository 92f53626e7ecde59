//! One field of KubeletConfiguration: how the text of its flag is read, which values the kubelet accepts.

use crate::convert::flags::policy::Scalar;
use crate::convert::flags::tables::Minor;
use crate::convert::flags::value::{self, Sign};
use crate::yaml::Node;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FieldType {
    Bool,
    Int32,
    Int64,
    String,
    Duration,
    Quantity,
    List,
    Map,
    NosplitMap,
    Gates,
    Taints,
    ReservedMemory,
    Vmodule,
    HeaderMap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Format {
    Ip,
    Cpuset,
    Quantity,
    Sysctl,
    PreviousMinor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum MapValue {
    Quantity,
    Threshold,
    Duration,
    Reclaim,
    Percentage,
}

/// One field.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FieldDef {
    pub flag: String,
    #[serde(rename = "type")]
    pub kind: FieldType,
    min: Option<Scalar>,
    max: Option<Scalar>,
    #[serde(default, rename = "enum")]
    choices: Vec<String>,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    keys: Vec<String>,
    values: Option<MapValue>,
    separator: Option<char>,
    format: Option<Format>,
    pub gate: Option<String>,
    pub gate_free: Option<String>,
    #[serde(default)]
    pub note: String,
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn string(text: &str) -> Node {
    Node::Str(text.to_owned())
}

impl FieldDef {
    /// Reads the texts of a flag, which was given once or, where the flag may be repeated, several times.
    pub(crate) fn read(&self, texts: &[&str], minor: Minor) -> Result<Node, String> {
        let node = self.parse(texts).ok_or_else(|| self.expected())?;
        self.check(&node, minor)?;
        Ok(node)
    }

    fn parse(&self, texts: &[&str]) -> Option<Node> {
        let single = || match texts {
            [text] => Some(*text),
            _ => None,
        };
        let items = || texts.iter().flat_map(|text| list(text));
        Some(match self.kind {
            FieldType::Bool => Node::Bool(value::boolean(single()?)?),
            FieldType::Int32 | FieldType::Int64 => Node::Int(value::integer(single()?)?),
            FieldType::String | FieldType::Duration | FieldType::Quantity => string(single()?),
            FieldType::List => Node::List(items().map(string).collect()),
            FieldType::Map => {
                let separator = self.separator.unwrap_or('=');
                let mut map = BTreeMap::new();
                for item in items() {
                    let (key, value) = item.split_once(separator)?;
                    map.insert(key.trim().to_owned(), string(value.trim()));
                }
                Node::Map(map)
            }
            FieldType::NosplitMap => {
                let mut map = BTreeMap::new();
                for text in texts {
                    let (key, value) = text.split_once('=')?;
                    map.insert(key.trim().to_owned(), string(value.trim()));
                }
                Node::Map(map)
            }
            FieldType::Gates => {
                let mut map = BTreeMap::new();
                for item in items() {
                    let (gate, on) = item.split_once('=')?;
                    map.insert(gate.trim().to_owned(), Node::Bool(value::boolean(on.trim())?));
                }
                Node::Map(map)
            }
            FieldType::Taints => Node::List(items().map(taint).collect::<Option<_>>()?),
            FieldType::ReservedMemory => {
                let nodes = texts.iter().flat_map(|text| text.split(';')).map(str::trim);
                Node::List(nodes.map(reserved_memory).collect::<Option<_>>()?)
            }
            FieldType::Vmodule => Node::List(items().map(vmodule).collect::<Option<_>>()?),
            FieldType::HeaderMap => {
                let mut map: BTreeMap<String, Node> = BTreeMap::new();
                for item in items() {
                    let (key, value) = item.split_once(':')?;
                    let values = map.entry(key.trim().to_owned()).or_insert(Node::List(Vec::new()));
                    if let Node::List(values) = values {
                        values.push(string(value.trim()));
                    }
                }
                Node::Map(map)
            }
        })
    }

    fn expected(&self) -> String {
        let what = match self.kind {
            FieldType::Bool => "true or false",
            FieldType::Int32 | FieldType::Int64 => "a whole number",
            FieldType::String | FieldType::List => "a value",
            FieldType::Duration => "a duration such as 1m30s",
            FieldType::Quantity => "a quantity such as 10Mi",
            FieldType::Map if self.separator.is_some() => "KEY<VALUE pairs with commas between them",
            FieldType::Map => "KEY=VALUE pairs with commas between them",
            FieldType::NosplitMap => "one KEY=VALUE pair",
            FieldType::Gates => "GATE=true or GATE=false, with commas between them",
            FieldType::Taints => "taints such as key=value:NoSchedule",
            FieldType::ReservedMemory => "memory such as 0:memory=1Gi",
            FieldType::Vmodule => "PATTERN=LEVEL pairs with commas between them",
            FieldType::HeaderMap => "NAME:VALUE pairs with commas between them",
        };
        format!("Kubernetes takes {what} here")
    }

    pub(super) fn check(&self, node: &Node, minor: Minor) -> Result<(), String> {
        match (self.kind, node) {
            (FieldType::Bool, Node::Bool(on)) => self.choice(if *on { "true" } else { "false" }),
            (FieldType::Int32, Node::Int(number)) if i32::try_from(*number).is_ok() => self.range(*number),
            (FieldType::Int64, Node::Int(number)) => self.range(*number),
            (FieldType::String, Node::Str(text)) => {
                self.choice(text)?;
                self.format(text, minor)
            }
            (FieldType::Duration, Node::Str(text)) => self.duration(text),
            (FieldType::Quantity, Node::Str(text)) => match value::quantity(text) {
                Some(Sign::Zero | Sign::Positive) => Ok(()),
                _ => Err(self.expected()),
            },
            (FieldType::List, Node::List(items)) => {
                let mut seen = BTreeSet::new();
                for item in items {
                    let Node::Str(text) = item else {
                        return Err(self.expected());
                    };
                    self.choice(text)?;
                    self.format(text, minor)?;
                    if !seen.insert(text) && self.unique {
                        return Err("Kubernetes takes no item twice here".to_owned());
                    }
                }
                Ok(())
            }
            (FieldType::Map | FieldType::NosplitMap, Node::Map(map)) => {
                map.iter().try_for_each(|(key, value)| self.entry(key, value))
            }
            (FieldType::Gates, Node::Map(map)) if map.values().all(|on| matches!(on, Node::Bool(_))) => {
                Ok(())
            }
            (FieldType::Taints, Node::List(items)) if items.iter().all(is_taint) => Ok(()),
            (FieldType::ReservedMemory, Node::List(items)) if is_reserved_memory(items) => Ok(()),
            (FieldType::Vmodule | FieldType::HeaderMap, Node::List(_) | Node::Map(_)) => Ok(()),
            _ => Err(self.expected()),
        }
    }

    fn choice(&self, text: &str) -> Result<(), String> {
        if self.choices.is_empty() || self.choices.iter().any(|choice| choice == text) {
            return Ok(());
        }
        // Long lists (cipher suites) would bury the sentence.
        if self.choices.len() > 8 {
            return Err("Kubernetes does not know one of the names".to_owned());
        }
        let named: Vec<&str> = self
            .choices
            .iter()
            .filter(|c| !c.is_empty())
            .map(String::as_str)
            .collect();
        Err(format!("Kubernetes takes {} here", named.join(", ")))
    }

    fn range(&self, number: i64) -> Result<(), String> {
        let low = matches!(self.min, Some(Scalar::Int(min)) if number < min);
        let high = matches!(self.max, Some(Scalar::Int(max)) if number > max);
        if low || high {
            return Err(self.limits());
        }
        Ok(())
    }

    fn limits(&self) -> String {
        let text = |limit: &Option<Scalar>| match limit {
            Some(Scalar::Int(number)) => number.to_string(),
            Some(Scalar::Str(text)) => text.clone(),
            _ => String::new(),
        };
        match (&self.min, &self.max) {
            (Some(_), Some(_)) => format!("Kubernetes takes {} to {} here", text(&self.min), text(&self.max)),
            (Some(_), None) => format!("Kubernetes takes {} or more here", text(&self.min)),
            _ => format!("Kubernetes takes {} or less here", text(&self.max)),
        }
    }

    fn duration(&self, text: &str) -> Result<(), String> {
        let length = value::duration(text).ok_or_else(|| self.expected())?;
        let limit = |limit: &Option<Scalar>| match limit {
            Some(Scalar::Str(text)) => value::duration(text),
            _ => None,
        };
        let low = limit(&self.min).is_some_and(|min| length < min);
        let high = limit(&self.max).is_some_and(|max| length > max);
        if low || high { Err(self.limits()) } else { Ok(()) }
    }

    fn format(&self, text: &str, minor: Minor) -> Result<(), String> {
        let (fits, what) = match self.format {
            None => (true, ""),
            Some(Format::Ip) => (value::ip(text), "an IP address"),
            Some(Format::Cpuset) => (text.is_empty() || value::cpuset(text), "processors such as 0-3,8"),
            Some(Format::Quantity) => (
                matches!(value::quantity(text), Some(Sign::Zero | Sign::Positive)),
                "a quantity such as 10Mi",
            ),
            Some(Format::Sysctl) => (
                value::sysctl(text),
                "namespaced sysctls (kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*, net.*)",
            ),
            Some(Format::PreviousMinor) => {
                let previous = Minor(minor.0.saturating_sub(1)).to_string();
                if text.is_empty() || text == previous {
                    return Ok(());
                }
                return Err(format!(
                    "a component of Kubernetes {minor} takes {previous} here and nothing else"
                ));
            }
        };
        if fits {
            Ok(())
        } else {
            Err(format!("Kubernetes takes {what} here"))
        }
    }

    fn entry(&self, key: &str, node: &Node) -> Result<(), String> {
        if !self.keys.is_empty() && !self.keys.iter().any(|known| known == key) {
            return Err(format!("Kubernetes takes {} as keys here", self.keys.join(", ")));
        }
        let Node::Str(text) = node else {
            return Err(self.expected());
        };
        let sign = value::quantity(text);
        let percent = value::percentage(text);
        let (fits, what) = match self.values {
            None => (true, ""),
            Some(MapValue::Quantity) => (
                matches!(sign, Some(Sign::Zero | Sign::Positive)),
                "quantities such as 512Mi",
            ),
            Some(MapValue::Threshold) => (
                sign == Some(Sign::Positive) || percent.is_some_and(|p| (0.0..=100.0).contains(&p)),
                "quantities above zero or percentages",
            ),
            Some(MapValue::Duration) => (
                value::duration(text).is_some_and(|length| length >= 0),
                "durations such as 1m30s",
            ),
            Some(MapValue::Reclaim) => (
                matches!(sign, Some(Sign::Zero | Sign::Positive)) || percent.is_some_and(|p| p > 0.0),
                "quantities or percentages above zero",
            ),
            Some(MapValue::Percentage) => {
                (percent.is_some_and(|p| (0.0..=100.0).contains(&p)), "percentages")
            }
        };
        if fits {
            Ok(())
        } else {
            Err(format!("Kubernetes takes {what} here"))
        }
    }
}

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

fn taint(text: &str) -> Option<Node> {
    let (head, effect) = text.rsplit_once(':')?;
    let (key, value) = match head.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (head, None),
    };
    let mut map = BTreeMap::from([
        ("key".to_owned(), string(key)),
        ("effect".to_owned(), string(effect)),
    ]);
    map.extend(value.map(|value| ("value".to_owned(), string(value))));
    Some(Node::Map(map))
}

fn is_taint(node: &Node) -> bool {
    let Node::Map(map) = node else {
        return false;
    };
    // Kubernetes' rules for label names and values, less the length of a prefix.
    let name = |text: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        text.len() <= 63
            && text.bytes().all(plain)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let text = |key: &str| match map.get(key) {
        Some(Node::Str(text)) => Some(text.as_str()),
        _ => None,
    };
    let key = text("key").is_some_and(|key| match key.split_once('/') {
        Some((prefix, rest)) => {
            let domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
            !prefix.is_empty() && prefix.len() <= 253 && prefix.bytes().all(domain) && name(rest)
        }
        None => name(key),
    });
    let value = text("value").is_none_or(|value| value.is_empty() || name(value));
    key && value && text("effect").is_some_and(|effect| EFFECTS.contains(&effect))
}

fn reserved_memory(text: &str) -> Option<Node> {
    let (numa, limits) = text.split_once(':')?;
    let mut map = BTreeMap::new();
    for pair in limits.split(',') {
        let (kind, amount) = pair.trim().split_once('=')?;
        if map.insert(kind.to_owned(), string(amount)).is_some() {
            return None;
        }
    }
    Some(Node::Map(BTreeMap::from([
        ("numaNode".to_owned(), Node::Int(value::integer(numa)?)),
        ("limits".to_owned(), Node::Map(map)),
    ])))
}

fn is_reserved_memory(items: &[Node]) -> bool {
    let mut seen = BTreeSet::new();
    items.iter().all(|item| {
        let Node::Map(map) = item else {
            return false;
        };
        let (Some(Node::Int(numa)), Some(Node::Map(limits))) = (map.get("numaNode"), map.get("limits"))
        else {
            return false;
        };
        (0..=i64::from(i32::MAX)).contains(numa)
            && !limits.is_empty()
            && limits.iter().all(|(kind, amount)| {
                let known = kind == "memory" || kind.starts_with("hugepages-");
                let positive =
                    matches!(amount, Node::Str(text) if value::quantity(text) == Some(Sign::Positive));
                known && positive && seen.insert((*numa, kind))
            })
    })
}

fn vmodule(text: &str) -> Option<Node> {
    let (pattern, level) = text.split_once('=')?;
    let level = value::integer(level).filter(|level| (0..=i64::from(i32::MAX)).contains(level))?;
    if pattern.is_empty() {
        return None;
    }
    Some(Node::Map(BTreeMap::from([
        ("filePattern".to_owned(), string(pattern)),
        ("verbosity".to_owned(), Node::Int(level)),
    ])))
}
