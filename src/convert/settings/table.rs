//! `settings.yaml` and `findings/settings.yaml`, loaded and checked. The head of `settings.yaml` explains every field.

use crate::catalogue::Bundle;
use crate::model::{Confidence, Severity};
use crate::yaml::{self, Node};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a row of the table says about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// It has a counterpart.
    Converted,
    /// It has none.
    Unsupported,
    /// What it configured is gone.
    Retired,
    /// It has no effect of its own.
    Ignored,
    /// Some values stop the upgrade.
    Blocking,
}

/// What a valid value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Anything.
    Any,
    /// A string, number or boolean.
    Scalar,
    /// A string.
    String,
    /// A boolean.
    Bool,
    /// An integer.
    Int,
    /// An integer, also written as a string.
    Number,
    /// A TCP or UDP port.
    Port,
    /// `low-high`.
    PortRange,
    /// An address range.
    Cidr,
    /// A Go duration.
    Duration,
    /// A Kubernetes quantity.
    Quantity,
    /// A size with a unit, as etcd's quota is written.
    Size,
    /// `key=value` pairs, comma-separated, whose values are quantities.
    Pairs,
    /// An absolute path.
    Path,
    /// YAML text.
    Yaml,
    /// How Calico finds the address of a node.
    Autodetect,
    /// A list of strings.
    Strings,
    /// A list of strings, or one comma-separated string.
    StringsOrCommas,
}

/// How a value becomes the value of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// The same value.
    Copy,
    /// The same value, as a string.
    Text,
    /// `value` of the target, when the key counts and is neither off nor false.
    Const,
    /// The opposite boolean.
    Not,
    /// A number from a string.
    Number,
    /// Minutes to a Go duration.
    Minutes,
    /// A Go duration in Go's own spelling.
    Duration,
    /// A comma-separated string to a list.
    CommaList,
    /// A list without repetitions.
    Unique,
    /// A list without repetitions and without `drop`.
    Without,
    /// `key=value` pairs to a mapping of strings.
    Pairs,
    /// By `map`, case ignored; `else` for what is not in it.
    Enum,
    /// Calico's address autodetection.
    Autodetect,
    /// The issuer whose discovery document this is.
    IssuerOfDiscovery,
    /// The same value; the sibling `name`, by `map`, completes the path.
    ByName,
    /// One expression of a required node affinity, from `key` and its sibling `value`.
    Affinity,
    /// Nothing by itself: the sibling `key` wrote it.
    WithKey,
}

/// How several writes to one path combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Merge {
    /// True only when all are.
    And,
}

/// Where a value goes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetDef {
    /// Path in `mke4.yaml`.
    pub path: String,
    /// How.
    pub transform: Transform,
    /// Of `const`.
    #[serde(default)]
    pub value: Option<Node>,
    /// Of `enum` and `by-name`, keys in lower case.
    #[serde(default)]
    pub map: BTreeMap<String, String>,
    /// Of `enum`.
    #[serde(default, rename = "else")]
    pub otherwise: Option<String>,
    /// Of `without`.
    #[serde(default)]
    pub drop: BTreeSet<String>,
    /// First schema generation with the field.
    #[serde(default)]
    pub since: Option<String>,
    /// First schema generation without it again.
    #[serde(default)]
    pub until: Option<String>,
    /// Another key; when that is set, this target is left to it.
    #[serde(default)]
    pub unless: Option<String>,
    /// How writes to one path combine; the last wins without it.
    #[serde(default)]
    pub merge: Option<Merge>,
}

/// A condition on another key.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The other key; for `skip_entry` a sibling in the same entry.
    pub key: String,
    /// It must have this value.
    #[serde(default)]
    pub is: Option<Node>,
    /// It must not have this value.
    #[serde(default)]
    pub not: Option<Node>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingDef {
    /// Path: `[]` for any entry, `<name>` for any key.
    pub path: String,
    /// Other spellings.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What becomes of it.
    pub class: Class,
    /// What a valid value is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Smallest valid number.
    #[serde(default)]
    pub min: Option<i64>,
    /// Largest valid number.
    #[serde(default)]
    pub max: Option<i64>,
    /// All valid values, strings in any case.
    #[serde(default)]
    pub allowed: Option<Vec<Node>>,
    /// What MKE 3 writes when nobody chose.
    #[serde(default)]
    pub default: Option<Node>,
    /// Values that mean "not set".
    #[serde(default)]
    pub off: Option<Vec<Node>>,
    /// Losing the default is news too.
    #[serde(default)]
    pub loud: bool,
    /// What a missing key stands for, where that matters.
    #[serde(default)]
    pub absent: Option<Node>,
    /// Conditions for it to count.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// Entries of its list that are left to MKE 4k.
    #[serde(default)]
    pub skip_entry: Option<Condition>,
    /// Never shown.
    #[serde(default)]
    pub secret: bool,
    /// Name of the secret in documents.
    #[serde(default)]
    pub secret_name: Option<String>,
    /// What the secret is for.
    #[serde(default)]
    pub secret_use: Option<String>,
    /// Stated or inferred.
    pub confidence: Confidence,
    /// Where it goes.
    #[serde(default)]
    pub to: Vec<TargetDef>,
    /// Why.
    pub reason: String,
    /// Why it does not count, when a condition says so.
    #[serde(default)]
    pub else_reason: Option<String>,
    /// The finding for its loss.
    #[serde(default)]
    pub topic: Option<String>,
    /// Values for which a converted key does not raise its topic.
    #[serde(default)]
    pub topic_unless: Vec<Node>,
    /// What to do about its loss, when it has no topic.
    #[serde(default)]
    pub remedy: Option<String>,
}

/// One thing that can be lost, shared by the keys that configured it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Code of the finding.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// One sentence.
    pub remedy: String,
    /// Every entry of a list is a thing of its own.
    #[serde(default)]
    pub per_entry: bool,
}

/// The long text behind a code.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingDef {
    /// Code.
    pub code: String,
    /// Severity.
    pub severity: Severity,
    /// Title.
    pub title: String,
    /// What it means.
    pub explain: String,
    /// What to do.
    pub remedy: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    topics: BTreeMap<String, Topic>,
    settings: Vec<SettingDef>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FindingsFile {
    findings: Vec<FindingDef>,
}

/// A defect of the data files. Displays as `FILE: what is wrong`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {message}")]
pub struct TableError {
    file: String,
    message: String,
}

impl TableError {
    pub(crate) fn new(file: &str, message: impl Into<String>) -> TableError {
        TableError {
            file: file.to_owned(),
            message: message.into(),
        }
    }
}

/// Reads a data file of the bundle.
pub(crate) fn data<T: serde::de::DeserializeOwned>(bundle: &Bundle, file: &str) -> Result<T, TableError> {
    let text = bundle
        .text(file)
        .ok_or_else(|| TableError::new(file, "missing from the bundle, or not UTF-8"))?;
    yaml::embedded(text).map_err(|message| TableError::new(file, message))
}

/// The settings table.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingsTable {
    /// Rows in the order of the file.
    pub settings: Vec<SettingDef>,
    /// Topics by id.
    pub topics: BTreeMap<String, Topic>,
    /// Findings by code.
    pub findings: BTreeMap<String, FindingDef>,
    exact: BTreeMap<String, usize>,
    wildcard: BTreeMap<String, usize>,
    prefixes: BTreeSet<String>,
    arrays: BTreeSet<String>,
}

/// Codes that the conversion raises by itself.
pub const OWN_CODES: [&str; 10] = [
    "SETTING-INVALID",
    "SETTING-DUPLICATE",
    "SETTING-UNKNOWN",
    "SETTING-UNSUPPORTED",
    "SETTING-NEEDS-RELEASE",
    "CIDR-OVERLAP",
    "POD-CIDR-SMALL",
    "INGRESS-NODE-PORT",
    "GATEWAY-NODE-PORTS",
    "K0S-FIELD",
];

impl SettingsTable {
    /// Loads and checks the table: every path once, every topic and code defined, every transform complete.
    pub fn load(bundle: &Bundle) -> Result<SettingsTable, TableError> {
        const FILE: &str = "settings.yaml";
        let file: SettingsFile = data(bundle, FILE)?;
        let findings: FindingsFile = data(bundle, "findings/settings.yaml")?;
        let mut table = SettingsTable {
            settings: file.settings,
            topics: file.topics,
            findings: BTreeMap::new(),
            exact: BTreeMap::new(),
            wildcard: BTreeMap::new(),
            prefixes: BTreeSet::new(),
            arrays: BTreeSet::new(),
        };
        for finding in findings.findings {
            let code = finding.code.clone();
            if table.findings.insert(code.clone(), finding).is_some() {
                return Err(TableError::new(
                    "findings/settings.yaml",
                    format!("{code} stands twice"),
                ));
            }
        }
        for (index, row) in table.settings.iter().enumerate() {
            for path in std::iter::once(&row.path).chain(&row.aliases) {
                let path = path.to_lowercase();
                for (end, _) in path.match_indices('.') {
                    if let Some(array) = path[..end].strip_suffix("[]") {
                        table.arrays.insert(array.to_owned());
                    }
                    let prefix = path[..end].trim_end_matches("[]");
                    // A dot inside a quoted key ends no table.
                    if prefix.matches('"').count() % 2 == 0 {
                        table.prefixes.insert(prefix.to_owned());
                    }
                }
                let twice = match path.strip_suffix(".<name>") {
                    Some(parent) => table.wildcard.insert(parent.to_owned(), index),
                    None => table.exact.insert(path.clone(), index),
                };
                if twice.is_some() {
                    return Err(TableError::new(FILE, format!("{path} stands twice")));
                }
            }
        }
        table.check().map_err(|message| TableError::new(FILE, message))?;
        Ok(table)
    }

    fn check(&self) -> Result<(), String> {
        for (id, topic) in &self.topics {
            if !self.findings.contains_key(&topic.code) {
                return Err(format!("topic {id}: the code {} is not explained", topic.code));
            }
            if !self.settings.iter().any(|row| row.topic.as_ref() == Some(id)) {
                return Err(format!("topic {id} is not used"));
            }
        }
        if let Some(code) = OWN_CODES.iter().find(|code| !self.findings.contains_key(**code)) {
            return Err(format!("the code {code} is not explained"));
        }
        for row in &self.settings {
            let wrong = |what: &str| Err(format!("{}: {what}", row.path));
            if row.topic.as_ref().is_some_and(|id| !self.topics.contains_key(id)) {
                return wrong("its topic is not defined");
            }
            match row.class {
                Class::Blocking if row.topic.is_none() || row.allowed.is_none() => {
                    return wrong("a blocking key needs allowed and topic");
                }
                Class::Unsupported | Class::Retired | Class::Ignored if !row.to.is_empty() => {
                    return wrong("only converted keys go somewhere");
                }
                _ => {}
            }
            for condition in &row.when {
                if self.find(&condition.key).is_none() {
                    return wrong("when names an unknown key");
                }
                if condition.is.is_some() == condition.not.is_some() {
                    return wrong("a condition has either is or not");
                }
            }
            for target in &row.to {
                let complete = match target.transform {
                    Transform::Const => target.value.is_some(),
                    Transform::Enum | Transform::ByName => !target.map.is_empty(),
                    Transform::Without => !target.drop.is_empty(),
                    _ => true,
                };
                if !complete {
                    return wrong("a transform lacks its parameter");
                }
                if target.unless.as_ref().is_some_and(|key| self.find(key).is_none()) {
                    return wrong("unless names an unknown key");
                }
                if super::path::DocPath::parse(&target.path).is_err() {
                    return wrong("a target path does not parse");
                }
            }
        }
        Ok(())
    }

    /// The row of a path as `Leaf::table_path` gives it; letter case is ignored.
    pub fn find(&self, table_path: &str) -> Option<&SettingDef> {
        self.position(table_path).map(|index| &self.settings[index])
    }

    pub(crate) fn position(&self, table_path: &str) -> Option<usize> {
        let path = table_path.to_lowercase();
        self.exact.get(&path).copied().or_else(|| {
            self.wildcard
                .iter()
                .find(|(parent, _)| one_more_key(&path, parent))
                .map(|(_, index)| *index)
        })
    }

    /// True for the path (without positions) of a list of tables: what `Config::with_arrays` asks.
    pub fn is_array(&self, table_path: &str) -> bool {
        self.arrays.contains(&table_path.to_lowercase())
    }

    /// True for the path of a table or list of tables that holds known keys.
    pub(crate) fn is_table(&self, table_path: &str) -> bool {
        let path = table_path.to_lowercase();
        self.prefixes.contains(path.trim_end_matches("[]")) || self.wildcard.contains_key(&path)
    }

    /// The known path that is spelled most like this one, when one is near enough.
    pub fn nearest(&self, table_path: &str) -> Option<&str> {
        // The distance takes time in proportion to both lengths, and no known path is nearly as long.
        const LONGEST: usize = 120;
        let path = table_path.to_lowercase();
        if path.len() > LONGEST {
            return None;
        }
        // Paths of very different length cannot be alike enough, and comparing them is slow.
        let near =
            |row: &&SettingDef| row.path.len().abs_diff(path.len()) * 5 <= path.len().max(row.path.len());
        self.settings
            .iter()
            .filter(near)
            .map(|row| {
                (
                    strsim::normalized_damerau_levenshtein(&path, &row.path.to_lowercase()),
                    row,
                )
            })
            .filter(|(likeness, _)| *likeness >= 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.path.cmp(&a.1.path)))
            .map(|(_, row)| row.path.as_str())
    }

    /// The severity of a code; unknown codes do not occur after [`SettingsTable::load`].
    pub fn severity(&self, code: &str) -> Severity {
        self.findings
            .get(code)
            .map_or(Severity::Warning, |finding| finding.severity)
    }
}

/// True when `path` is `parent` and exactly one further key, which may be quoted.
fn one_more_key(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent)
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|key| {
            !key.is_empty()
                && (!key.contains(['.', '['])
                    || (key.starts_with('"') && key.ends_with('"') && key.len() > 1))
        })
}
