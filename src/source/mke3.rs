//! The MKE 3 configuration: every leaf of the TOML with its place.

use super::InputError;

/// A scalar or list of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string.
    String(String),
    /// An integer.
    Integer(i64),
    /// A float.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A date or time, as written.
    Datetime(String),
    /// A list of scalars; each with the line it stands on.
    List(Vec<(Value, u32)>),
    /// A table or array of tables with nothing in it.
    Empty,
}

/// One step of a key path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A key, as written.
    Key(String),
    /// The position in an array of tables.
    Index(usize),
}

/// One leaf: a key that is not a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Path to it.
    pub path: Vec<Segment>,
    /// Its value.
    pub value: Value,
    /// Line of the key, from 1.
    pub line: u32,
    /// Column of the key, from 1.
    pub column: u32,
}

/// The whole configuration, flattened, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// File name without directories, for findings.
    pub file: String,
    /// All leaves, in the order of the file.
    pub leaves: Vec<Leaf>,
}

impl Leaf {
    /// The path as it reads in the plan: `registries[0].host_address`; keys with dots are quoted.
    pub fn display_path(&self) -> String {
        display(&self.path, true)
    }

    /// The path as the settings table names it: lower case, `registries[].host_address`.
    pub fn table_path(&self) -> String {
        display(&self.path, false).to_lowercase()
    }
}

fn display(path: &[Segment], indices: bool) -> String {
    let mut out = String::new();
    for segment in path {
        match segment {
            Segment::Key(key) => {
                if !out.is_empty() {
                    out.push('.');
                }
                if key.contains('.') || key.is_empty() {
                    out.push('"');
                    out.push_str(key);
                    out.push('"');
                } else {
                    out.push_str(key);
                }
            }
            Segment::Index(i) if indices => out.push_str(&format!("[{i}]")),
            Segment::Index(_) => out.push_str("[]"),
        }
    }
    out
}

impl Config {
    /// Parses the text of a configuration. `file` is how errors and findings call it.
    pub fn parse(_file: &str, _text: &str) -> Result<Config, InputError> {
        unreachable!("written by the source work")
    }

    /// The first leaf at a path of the settings table (`cluster_config.calico_kdd`), case ignored.
    pub fn get(&self, table_path: &str) -> Option<&Leaf> {
        let wanted = table_path.to_lowercase();
        self.leaves.iter().find(|leaf| leaf.table_path() == wanted)
    }
}
