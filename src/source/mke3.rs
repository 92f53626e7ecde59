//! The MKE 3 configuration: every leaf of the TOML with its place.
//!
//! Nothing is interpreted here. Keys that nobody knows are kept, numbers in strings stay strings, and what the exporter
//! writes for "nothing" (an empty table, `""`, `[]`) stays visible, because a later step must give each leaf an outcome.

use super::InputError;
use super::input::{self, Lines, MAX_DEPTH, MAX_TEXT};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// How to get a configuration: the remedy when there is none in the file.
const EXPORT: &str = "save the answer of GET /api/ucp/config-toml of your MKE 3 to this file";

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
    /// A list of scalars; each with the line it stands on. A list that holds tables is flattened into leaves instead.
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
    /// The path as it reads in the plan: `registries[0].host_address`; keys that would not read as one key are quoted.
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
                if key.is_empty()
                    || key.contains(['.', '[', ']', '"', '\\'])
                    || key.contains(char::is_control)
                {
                    out.push('"');
                    out.push_str(&key.replace('\\', "\\\\").replace('"', "\\\""));
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
    /// Parses the bytes of a configuration: UTF-8 with or without a byte order mark, either line ending.
    /// `file` is how errors call it.
    pub fn parse_bytes(file: &str, bytes: &[u8]) -> Result<Config, InputError> {
        Self::parse(file, &input::decode(file, bytes, MAX_TEXT, EXPORT)?)
    }

    /// Parses the text of a configuration. `file` is how errors call it; findings get its last component.
    ///
    /// No error text holds a value of the file, because values may be secrets.
    pub fn parse(file: &str, text: &str) -> Result<Config, InputError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        input::check_text(file, text, MAX_TEXT, EXPORT)?;
        // The line ending is not part of a value: a certificate is the same whichever machine saved the file.
        let text = text.replace("\r\n", "\n");
        let reader = Reader {
            file,
            lines: Lines::new(&text),
        };
        let root = DeTable::parse(&text).map_err(|error| reader.syntax(&error))?;
        let mut found = Vec::new();
        reader.table(root.get_ref(), &mut Vec::new(), &mut found)?;
        if found.is_empty() {
            return Err(InputError::new(file, None, "the file holds no setting", EXPORT));
        }
        // The parser sorts tables by key; the order of the file is the order of the keys' offsets. Empty elements of one
        // inline list may share an offset, which a stable sort leaves in order.
        found.sort_by_key(|(offset, _)| *offset);
        let leaves = found.into_iter().map(|(_, leaf)| leaf).collect();
        Ok(Config {
            file: input::base_name(file),
            leaves,
        })
    }

    /// The first leaf at a path of the settings table (`cluster_config.calico_kdd`), case ignored.
    pub fn get(&self, table_path: &str) -> Option<&Leaf> {
        let wanted = table_path.to_lowercase();
        self.leaves.iter().find(|leaf| leaf.table_path() == wanted)
    }

    /// Reads a plain table as an array with one element wherever an array of tables belongs, as MKE's decoder does.
    ///
    /// `is_array` is asked with table paths without index (`registries`, `cluster_config.metallb_config.metallb_ip_addr_pool`)
    /// and knows which settings are arrays of tables. [`Value::Empty`] stays as it is: an empty array is written so.
    pub fn with_arrays(mut self, is_array: &dyn Fn(&str) -> bool) -> Config {
        for leaf in &mut self.leaves {
            let mut at = 1;
            while at < leaf.path.len() {
                let is_plain =
                    matches!(leaf.path[at], Segment::Key(_)) && matches!(leaf.path[at - 1], Segment::Key(_));
                if is_plain && is_array(&display(&leaf.path[..at], false).to_lowercase()) {
                    leaf.path.insert(at, Segment::Index(0));
                }
                at += 1;
            }
        }
        self
    }
}

/// Leaves with the offset of their key.
type Found = Vec<(usize, Leaf)>;

/// Walks the parsed tree. Recursion is bounded: the parser refuses more than 80 levels, and we more than [`MAX_DEPTH`].
struct Reader<'a> {
    file: &'a str,
    lines: Lines<'a>,
}

impl Reader<'_> {
    fn error(&self, offset: usize, message: impl Into<String>, remedy: impl Into<String>) -> InputError {
        InputError::new(self.file, Some(self.lines.place(offset)), message, remedy)
    }

    fn table(
        &self,
        table: &DeTable<'_>,
        path: &mut Vec<Segment>,
        found: &mut Found,
    ) -> Result<(), InputError> {
        self.check_case(table)?;
        for (key, value) in table {
            path.push(Segment::Key(key.get_ref().to_string()));
            self.value(key.span().start, value, path, found)?;
            path.pop();
        }
        Ok(())
    }

    /// MKE matches keys whatever their case, so two keys that differ by case are one key with two values.
    fn check_case(&self, table: &DeTable<'_>) -> Result<(), InputError> {
        let mut seen: BTreeMap<String, (usize, &str)> = BTreeMap::new();
        let mut keys: Vec<_> = table
            .keys()
            .map(|key| (key.span().start, key.get_ref().as_ref()))
            .collect();
        keys.sort_unstable();
        for (offset, key) in keys {
            if let Some((first, other)) = seen.insert(key.to_lowercase(), (offset, key)) {
                let line = self.lines.place(first).0;
                return Err(self.error(
                    offset,
                    format!(
                        "{} and {} on line {line} are the same key to MKE",
                        input::quoted(key),
                        input::quoted(other)
                    ),
                    "remove one of them: MKE 3 reads keys whatever their case",
                ));
            }
        }
        Ok(())
    }

    fn value(
        &self,
        offset: usize,
        value: &Spanned<DeValue<'_>>,
        path: &mut Vec<Segment>,
        found: &mut Found,
    ) -> Result<(), InputError> {
        if path.len() > MAX_DEPTH {
            return Err(self.error(
                offset,
                format!("more than {MAX_DEPTH} tables inside each other"),
                "check that this is a configuration of MKE 3",
            ));
        }
        match value.get_ref() {
            DeValue::Table(table) if !table.is_empty() => self.table(table, path, found),
            DeValue::Array(array) if holds_tables(array) => {
                for (index, element) in array.iter().enumerate() {
                    path.push(Segment::Index(index));
                    self.value(element.span().start, element, path, found)?;
                    path.pop();
                }
                Ok(())
            }
            _ => {
                let (line, column) = self.lines.place(offset);
                let value = self.scalar(value, path.len())?;
                found.push((
                    offset,
                    Leaf {
                        path: path.clone(),
                        value,
                        line,
                        column,
                    },
                ));
                Ok(())
            }
        }
    }

    fn scalar(&self, value: &Spanned<DeValue<'_>>, depth: usize) -> Result<Value, InputError> {
        let offset = value.span().start;
        Ok(match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(value) => Value::Bool(*value),
            DeValue::Datetime(value) => Value::Datetime(value.to_string()),
            DeValue::Integer(number) => {
                Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| {
                    self.error(
                        offset,
                        "the number does not fit into 64 bits",
                        "write the value that MKE 3 shows for this key",
                    )
                })?)
            }
            DeValue::Float(number) => Value::Float(number.as_str().parse().map_err(|_| {
                self.error(
                    offset,
                    "this is not a number",
                    "write the value that MKE 3 shows for this key",
                )
            })?),
            DeValue::Array(array) if depth < MAX_DEPTH => {
                let element = |e| Ok((self.scalar(e, depth + 1)?, self.lines.place(e.span().start).0));
                Value::List(array.iter().map(element).collect::<Result<_, InputError>>()?)
            }
            DeValue::Array(_) => {
                return Err(self.error(
                    offset,
                    format!("more than {MAX_DEPTH} lists inside each other"),
                    "check that this is a configuration of MKE 3",
                ));
            }
            // Tables with something in them were taken apart by `value`.
            DeValue::Table(_) => Value::Empty,
        })
    }

    /// The parser's error at its place, without the line it quotes: that line may hold a secret.
    fn syntax(&self, error: &toml::de::Error) -> InputError {
        // The parser gives up long before its stack does. It has two texts for it, one without a place.
        if ["recursion limit", "cannot recurse"]
            .iter()
            .any(|text| error.message().contains(text))
        {
            let at = error.span().map(|span| self.lines.place(span.start));
            let message = format!("more than {MAX_DEPTH} tables or lists inside each other");
            return InputError::new(
                self.file,
                at,
                message,
                "check that this is a configuration of MKE 3",
            );
        }
        let Some(span) = error.span() else {
            return InputError::new(self.file, None, error.message(), EXPORT);
        };
        if let Some((table, key)) = assigned_header(self.lines.line(span.start)) {
            return self.error(
                span.start,
                "a table header in brackets cannot be given a value",
                match table {
                    "" => format!("write it as a key before the first header: {key} = [\"--flag=value\"]"),
                    _ => format!(
                        "write it as a key below [{table}], before any [{table}.…]: {key} = [\"--flag=value\"]"
                    ),
                },
            );
        }
        let remedy = if error.message().contains("duplicate key") {
            "remove one of the two, or join the two tables"
        } else {
            "correct the TOML at this place, or export the configuration again"
        };
        self.error(span.start, error.message().replace('\n', ", "), remedy)
    }
}

/// Tables may stand deeper, as in `[[{a = 1}]]`.
fn holds_tables(array: &DeArray<'_>) -> bool {
    array.iter().any(|element| match element.get_ref() {
        DeValue::Table(_) => true,
        DeValue::Array(inner) => holds_tables(inner),
        _ => false,
    })
}

/// Finds `[table.key] = …`, the form in which MKE's options page prints lists of flags, and which is not TOML.
fn assigned_header(line: &str) -> Option<(&str, &str)> {
    let inside = line.trim_start().strip_prefix('[')?;
    let (header, rest) = inside.split_once(']')?;
    rest.trim_start_matches(']').trim_start().strip_prefix('=')?;
    let header = header.trim_start_matches('[').trim();
    let is_path = !header.is_empty()
        && header
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-. ".contains(c));
    let (table, key) = header.rsplit_once('.').unwrap_or(("", header));
    is_path.then(|| (table.trim(), key.trim()))
}
