//! Fields of KubeletConfiguration that a flag sets, and the checks across them.

use super::field::FieldDef;
use crate::convert::flags::gates::GateTable;
use crate::convert::flags::policy::Scalar;
use crate::convert::flags::tables::Minor;
use crate::yaml::Node;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, BTreeSet};

/// A check across the fields of one profile.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub field: String,
    pub item: Option<String>,
    pub equals: Option<Scalar>,
    pub needs: Option<String>,
    #[serde(default)]
    pub requires: BTreeMap<String, Scalar>,
    #[serde(default)]
    pub forbids: BTreeMap<String, Option<Scalar>>,
    #[serde(default)]
    pub excludes: Vec<String>,
    #[serde(default)]
    pub alone: bool,
    pub below: Option<String>,
    pub keys_in: Option<String>,
}

/// `kubelet-fields.yaml` as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FieldsFile {
    #[serde(rename = "_about")]
    _about: IgnoredAny,
    minors: Vec<Minor>,
    #[serde(rename = "ciphers")]
    _ciphers: IgnoredAny,
    fields: BTreeMap<String, FieldDef>,
    key_gates: BTreeMap<String, BTreeMap<Minor, BTreeMap<String, Vec<String>>>>,
    rules: Vec<Rule>,
    defaults: BTreeMap<String, i64>,
    clears: BTreeMap<String, BTreeMap<String, Scalar>>,
}

/// All fields that a flag sets.
#[derive(Clone, Debug)]
pub(crate) struct FieldTable {
    minors: Vec<Minor>,
    fields: BTreeMap<String, FieldDef>,
    by_flag: BTreeMap<String, String>,
    key_gates: BTreeMap<String, BTreeMap<Minor, BTreeMap<String, Vec<String>>>>,
    pub rules: Vec<Rule>,
    pub defaults: BTreeMap<String, i64>,
    clears: BTreeMap<String, BTreeMap<String, Scalar>>,
}

/// Field values of one profile by dotted path.
pub(crate) type Values = BTreeMap<String, Node>;

impl FieldTable {
    pub(crate) fn new(file: FieldsFile) -> Result<FieldTable, String> {
        let mut by_flag = BTreeMap::new();
        for (path, field) in &file.fields {
            if by_flag.insert(field.flag.clone(), path.clone()).is_some() {
                return Err(format!("flag {} sets two fields", field.flag));
            }
        }
        let named = file
            .rules
            .iter()
            .flat_map(|rule| {
                let others = rule.requires.keys().chain(rule.forbids.keys());
                let single = [&rule.needs, &rule.below, &rule.keys_in].into_iter().flatten();
                others.chain(single).chain([&rule.field])
            })
            .chain(file.key_gates.keys())
            .chain(file.defaults.keys())
            .chain(
                file.clears
                    .iter()
                    .flat_map(|(field, cleared)| cleared.keys().chain([field])),
            );
        for path in named {
            if !file.fields.contains_key(path) {
                return Err(format!("there is no field {path}"));
            }
        }
        Ok(FieldTable {
            minors: file.minors,
            by_flag,
            fields: file.fields,
            key_gates: file.key_gates,
            rules: file.rules,
            defaults: file.defaults,
            clears: file.clears,
        })
    }

    pub(crate) fn flags(&self) -> impl Iterator<Item = &str> {
        self.by_flag.keys().map(String::as_str)
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = (&str, &str)> {
        self.by_flag
            .iter()
            .map(|(flag, path)| (flag.as_str(), path.as_str()))
    }

    /// Every gate that the file names.
    pub(crate) fn gates(&self) -> impl Iterator<Item = &str> {
        let of_fields = self.fields.values().filter_map(|field| field.gate.as_ref());
        let of_keys = self
            .key_gates
            .values()
            .flat_map(BTreeMap::values)
            .flat_map(BTreeMap::keys);
        of_fields.chain(of_keys).map(String::as_str)
    }

    /// True when the rows hold for that minor.
    pub(crate) fn covers(&self, minor: Minor) -> bool {
        self.minors.contains(&minor)
    }

    /// The field that a flag sets.
    pub(crate) fn by_flag(&self, flag: &str) -> Option<(&str, &FieldDef)> {
        let path = self.by_flag.get(flag)?;
        Some((path, self.fields.get(path)?))
    }

    /// What a profile with this field must empty.
    pub(crate) fn clears(&self, path: &str) -> impl Iterator<Item = (&str, Node)> {
        let cleared = self.clears.get(path).into_iter().flatten();
        cleared.map(|(other, value)| (other.as_str(), value.node()))
    }

    /// The gates a value needs: those of the field, and of the keys in it.
    pub(crate) fn needed_gates(&self, path: &str, node: &Node, minor: Minor) -> BTreeSet<&str> {
        let mut needed = BTreeSet::new();
        let Some(field) = self.fields.get(path) else {
            return needed;
        };
        let free = matches!((&field.gate_free, node), (Some(free), Node::Str(text)) if free == text);
        if let (Some(gate), false) = (&field.gate, free) {
            needed.insert(gate.as_str());
        }
        let rows = self
            .key_gates
            .get(path)
            .and_then(|rows| rows.range(..=minor).next_back());
        if let (Some((_, rows)), Node::Map(map)) = (rows, node) {
            for (gate, keys) in rows {
                if keys.iter().any(|key| map.contains_key(key)) {
                    needed.insert(gate.as_str());
                }
            }
        }
        needed
    }

    /// Checks one value against the field's type and limits. The error says what the field takes.
    pub(crate) fn check(&self, path: &str, node: &Node, minor: Minor) -> Result<(), String> {
        let field = self
            .fields
            .get(path)
            .ok_or_else(|| "KubeletConfiguration has no such field".to_owned())?;
        field.check(node, minor)
    }

    /// Checks a whole tree of values: every leaf is a known field with a value it takes, every gate known to the target.
    pub(crate) fn check_tree(&self, tree: &Node, gates: &GateTable, minor: Minor) -> Vec<String> {
        let mut faults = Vec::new();
        let mut values = Values::new();
        self.flatten(tree, "", &mut values);
        for (path, node) in &values {
            if let Err(fault) = self.check(path, node, minor) {
                faults.push(format!("{path}: {fault}"));
            }
        }
        faults.extend(
            super::rules::breaches(self, gates, &values, minor)
                .into_iter()
                .map(|breach| format!("{}: {}", breach.field, breach.why)),
        );
        faults
    }

    fn flatten(&self, node: &Node, path: &str, out: &mut Values) {
        match node {
            Node::Map(map) if !self.fields.contains_key(path) => {
                for (key, child) in map {
                    let below = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    self.flatten(child, &below, out);
                }
            }
            _ => {
                out.insert(path.to_owned(), node.clone());
            }
        }
    }
}
