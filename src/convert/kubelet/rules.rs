//! What the kubelet checks across fields. A breach would stop it, so the field at fault is taken out of the profile.

use super::fields::{FieldTable, Rule, Values};
use crate::convert::flags::gates::GateTable;
use crate::convert::flags::tables::Minor;
use crate::yaml::Node;

/// A field that may not stand in the profile as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub field: String,
    pub why: String,
}

/// Every breach within one profile, in the order of the rules, then of the fields.
pub(crate) fn breaches(table: &FieldTable, gates: &GateTable, values: &Values, minor: Minor) -> Vec<Breach> {
    let mut found = Vec::new();
    for rule in &table.rules {
        for (field, why) in breach(table, rule, values) {
            found.push(Breach { field, why });
        }
    }
    for (path, node) in values {
        for gate in table.needed_gates(path, node, minor) {
            let set = match values.get("featureGates") {
                Some(Node::Map(map)) => map.get(gate),
                _ => None,
            };
            let on = match set {
                Some(on) => *on == Node::Bool(true),
                None => gates.default(gate, minor),
            };
            if !on {
                found.push(Breach {
                    field: path.clone(),
                    why: format!("the kubelet takes it only with the feature gate {gate}, which is off in Kubernetes {minor}"),
                });
            }
        }
    }
    found
}

fn filled(node: Option<&Node>) -> bool {
    match node {
        None | Some(Node::Null) => false,
        Some(Node::Str(text)) => !text.is_empty(),
        Some(_) => true,
    }
}

fn breach(table: &FieldTable, rule: &Rule, values: &Values) -> Vec<(String, String)> {
    if let Some(other) = &rule.below {
        return not_below(table, &rule.field, other, values);
    }
    let Some(node) = values.get(&rule.field) else {
        return Vec::new();
    };
    let items = match node {
        Node::List(items) => items.as_slice(),
        _ => &[],
    };
    let has = |name: &String| items.contains(&Node::Str(name.clone()));
    let applies = match (&rule.item, &rule.equals) {
        (Some(item), _) => has(item),
        (None, Some(value)) => *node == value.node(),
        (None, None) => filled(Some(node)),
    };
    if !applies {
        return Vec::new();
    }
    let mut why = Vec::new();
    if let Some(other) = rule.needs.as_ref().filter(|other| !filled(values.get(*other))) {
        why.push(format!("the kubelet takes it only together with {other}"));
    }
    for (other, value) in &rule.requires {
        if values.get(other) != Some(&value.node()) {
            let value = crate::convert::flags::flow::flow(&value.node());
            why.push(format!(
                "the kubelet takes it only together with {other}: {value}"
            ));
        }
    }
    for (other, value) in &rule.forbids {
        let clash = match value {
            Some(value) => values.get(other) == Some(&value.node()),
            None => filled(values.get(other)),
        };
        if clash {
            why.push(format!("the kubelet does not take it together with {other}"));
        }
    }
    if let Some(other) = rule.excludes.iter().find(|other| has(other)) {
        let item = rule.item.as_deref().unwrap_or_default();
        why.push(format!("the kubelet does not take {item} together with {other}"));
    }
    if rule.alone && items.len() > 1 {
        let item = rule.item.as_deref().unwrap_or_default();
        why.push(format!("the kubelet takes {item} only as the single item"));
    }
    if let (Some(other), Node::Map(map)) = (&rule.keys_in, node) {
        let known =
            |key: &String| matches!(values.get(other), Some(Node::Map(keys)) if keys.contains_key(key));
        if let Some(key) = map.keys().find(|key| !known(key)) {
            why.push(format!("the kubelet takes it only with {key} in {other} as well"));
        }
    }
    why.into_iter().map(|why| (rule.field.clone(), why)).collect()
}

/// Both fields are at fault when both were chosen, else the one that was.
fn not_below(table: &FieldTable, low: &str, high: &str, values: &Values) -> Vec<(String, String)> {
    let number = |path: &str| match values.get(path) {
        Some(Node::Int(number)) => Some(*number),
        _ => table.defaults.get(path).copied(),
    };
    match (number(low), number(high)) {
        (Some(below), Some(above)) if below >= above => [low, high]
            .into_iter()
            .filter(|path| values.contains_key(*path))
            .map(|path| {
                let why = format!("the kubelet takes {low} only below {high} ({below} is not below {above})");
                (path.to_owned(), why)
            })
            .collect(),
        _ => Vec::new(),
    }
}
