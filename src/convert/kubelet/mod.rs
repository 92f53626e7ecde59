//! Kubelet profiles: from MKE 3's strings of flags to typed KubeletConfiguration values in k0s worker profiles.
//!
//! A profile that k0s or the kubelet refuses keeps nodes from joining, and from v1.34.1+k0s.0 on makes k0s refuse the whole
//! configuration. So a value goes into a profile only when its type, its range and the kubelet's checks across fields allow it.

mod field;
mod fields;
mod precedence;
mod profiles;
pub(crate) mod rules;

pub(crate) use fields::{FieldTable, Values};
pub(crate) use precedence::{conflicts, move_into_profiles};
pub(crate) use profiles::{Assignment, assign, names};

use crate::convert::flags::FlagTables;
use crate::yaml::Node;
use std::collections::BTreeMap;

/// Checks the values of a worker profile against the fields of KubeletConfiguration: every leaf must be a known field with a
/// value in its range, and the kubelet's checks across fields must hold. Each fault reads `FIELD: what is wrong`; a minor that
/// the tables do not know is one fault.
pub fn check_profile(tables: &FlagTables, values: &Node, minor: &str) -> Vec<String> {
    match tables.known(minor).filter(|minor| tables.fields.covers(*minor)) {
        Some(minor) => tables.fields.check_tree(values, &tables.gates, minor),
        None => vec![format!(
            "the tables of kubelet fields do not cover Kubernetes {minor}"
        )],
    }
}

/// The tree of a flat set of values.
pub(crate) fn tree(values: &Values) -> Node {
    let mut root = Node::Map(BTreeMap::new());
    for (path, node) in values {
        let mut at = &mut root;
        for key in path.split('.') {
            if let Node::Map(map) = at {
                at = map
                    .entry(key.to_owned())
                    .or_insert_with(|| Node::Map(BTreeMap::new()));
            }
        }
        *at = node.clone();
    }
    root
}
