//! The only place that touches YAML libraries. Reading: `serde_yaml`. Writing: [`write()`], our own, because `serde_yaml` leaves
//! strings such as `no`, `1_000` and `1:20` unquoted, readers of YAML 1.1 change them, and the bytes of a generated document
//! are under a plan's digest: they must not move with a library.
//!
//! [`Node`] is the ordered tree that documents are built from before they are written.

mod node;
mod read;
mod write;

pub use node::embedded;
pub use read::{Located, ReadError, Tree, read};
pub use write::{flow, write};

use std::collections::BTreeMap;

/// A YAML value to be written. Maps are sorted by key, so the text is the same for the same content.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A string; quoted whenever a reader of YAML 1.1 or 1.2 would take it for something else.
    Str(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping.
    Map(BTreeMap<String, Node>),
}

/// Reads one YAML document into a type; the error says line and column. For files of `plans/upgrade/`, which are trusted.
pub fn typed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, serde_yaml::Error> {
    serde_yaml::from_str(text)
}
