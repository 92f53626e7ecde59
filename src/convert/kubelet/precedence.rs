//! Flags of all nodes against profiles. Decision 0004: under MKE 4k `kubelet.extraArgs` wins over a profile, under MKE 3 the
//! profile is the more particular of the two.

use super::Values;
use crate::yaml::Node;
use std::collections::BTreeMap;

/// A profile that sets a field which a flag of all nodes sets to something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// The flag of all nodes.
    pub flag: String,
    /// Path of the field.
    pub path: String,
    /// Profiles that would lose, sorted.
    pub profiles: Vec<String>,
}

/// Maps of gates are merged gate by gate; every other field is replaced as a whole.
fn clash(path: &str, global: &Node, own: &Node) -> bool {
    match (path, global, own) {
        ("featureGates", Node::Map(global), Node::Map(own)) => global
            .iter()
            .any(|(gate, on)| own.get(gate).is_some_and(|other| other != on)),
        _ => global != own,
    }
}

/// Every field that a flag of all nodes (by name, with path and value) and a profile set differently.
pub(crate) fn conflicts(
    globals: &BTreeMap<String, (String, Node)>,
    profiles: &BTreeMap<String, Values>,
) -> Vec<Conflict> {
    let mut found = Vec::new();
    for (flag, (path, global)) in globals {
        let losing: Vec<String> = profiles
            .iter()
            .filter(|(_, values)| values.get(path).is_some_and(|own| clash(path, global, own)))
            .map(|(name, _)| name.clone())
            .collect();
        if !losing.is_empty() {
            found.push(Conflict {
                flag: flag.clone(),
                path: path.clone(),
                profiles: losing,
            });
        }
    }
    found
}

/// The profiles with the value of a flag of all nodes added wherever the profile does not say otherwise.
pub(crate) fn move_into_profiles(
    profiles: &BTreeMap<String, Values>,
    path: &str,
    global: &Node,
) -> BTreeMap<String, Values> {
    let mut moved = profiles.clone();
    for values in moved.values_mut() {
        match (values.get_mut(path), global) {
            (None, _) => {
                values.insert(path.to_owned(), global.clone());
            }
            (Some(Node::Map(own)), Node::Map(global)) if path == "featureGates" => {
                for (gate, on) in global {
                    own.entry(gate.clone()).or_insert_with(|| on.clone());
                }
            }
            (Some(_), _) => {}
        }
    }
    moved
}
