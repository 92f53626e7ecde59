//! Reading YAML with the place of every key and value.
//!
//! `serde_yaml` tells places only in errors. So the visitor below *fails* on every scalar, takes the place out of the error
//! that `serde_yaml` completes on its way up, and goes on: a scalar's event is used up by then. It goes up to the mark of the
//! scalar itself, which the tests of this file hold on to. Lists and mappings have the place of what comes first in them.

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor};
use std::cell::{Cell, RefCell};
use std::fmt;

/// Lists and mappings inside each other that are read.
const MAX_DEPTH: usize = 32;
/// Brackets inside each other before the library is asked at all: its scanner is quadratic in them.
const MAX_BRACKETS: usize = 64;
/// Nodes beyond one for each byte of the text. Only aliases make more nodes than there is text.
const SPARE_NODES: usize = 10_000;
/// Longest key, in bytes.
const MAX_KEY: usize = 1024;
/// Text of the errors that only carry a place.
const SCALAR: &str = "\u{1}";

/// A value and where it stands: line and column, from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Located<T> {
    /// Line and column, from 1.
    pub at: (u32, u32),
    /// The value.
    pub value: T,
}

/// A YAML value that was read. Merge keys (`<<`) and aliases are resolved; tags are refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// Nothing, or `null`.
    Null,
    /// `true` or `false`; `yes` and `no` are strings.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float, or an integer too large for [`Tree::Int`].
    Float(f64),
    /// A string.
    Str(String),
    /// A list.
    List(Vec<Located<Tree>>),
    /// A mapping in the order of the text; keys are strings and appear once.
    Map(Vec<(Located<String>, Located<Tree>)>),
}

impl Tree {
    /// What it is, with its article, for error messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Tree::Null => "nothing",
            Tree::Bool(_) => "a boolean",
            Tree::Int(_) => "a number",
            Tree::Float(_) => "a number",
            Tree::Str(_) => "text",
            Tree::List(_) => "a list",
            Tree::Map(_) => "a mapping",
        }
    }
}

/// YAML that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ReadError {
    /// Line and column, from 1.
    pub at: Option<(u32, u32)>,
    /// What is wrong: a lower-case fragment.
    pub message: String,
    /// What to do: one sentence.
    pub remedy: String,
}

impl ReadError {
    fn new(at: Option<(u32, u32)>, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

/// Reads a text that holds exactly one document.
///
/// Duplicate keys, keys that are no strings, tags, a second document, nesting beyond 32 levels and aliases that multiply
/// the text are errors.
pub fn read(text: &str) -> Result<Located<Tree>, ReadError> {
    check_characters(text)?;
    check_brackets(text)?;
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let Some(document) = documents.next() else {
        return Ok(Located {
            at: (1, 1),
            value: Tree::Null,
        });
    };
    let cx = Context {
        left: Cell::new(text.len() + SPARE_NODES),
        failure: RefCell::new(None),
    };
    let tree = match (Node {
        cx: &cx,
        depth: 0,
        fallback: first_line(text),
    })
    .deserialize(document)
    {
        Ok(tree) => tree,
        Err(error) => return Err(cx.failure.take().unwrap_or_else(|| syntax(text, &error))),
    };
    if documents.next().is_some() {
        return Err(ReadError::new(
            second_document(text),
            "a second document starts here",
            "keep one document in the file: remove the `---` line and what does not belong to it",
        ));
    }
    Ok(tree)
}

struct Context {
    left: Cell<usize>,
    failure: RefCell<Option<ReadError>>,
}

impl Context {
    /// Ends reading with an error of our own.
    fn fail<E: serde::de::Error>(
        &self,
        at: (u32, u32),
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> E {
        self.failure
            .borrow_mut()
            .get_or_insert_with(|| ReadError::new(Some(at), message, remedy));
        E::custom("")
    }
}

/// Reads one value. `fallback` is the place to name when the value itself tells none.
#[derive(Clone, Copy)]
struct Node<'a> {
    cx: &'a Context,
    depth: usize,
    fallback: (u32, u32),
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Located<Tree>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let Some(left) = self.cx.left.get().checked_sub(1) else {
            return Err(self.cx.fail(
                self.fallback,
                "aliases multiply the text too often",
                "write the repeated parts out instead of using anchors",
            ));
        };
        self.cx.left.set(left);
        let mut scalar = None;
        match deserializer.deserialize_any(NodeVisitor {
            node: self,
            scalar: &mut scalar,
        }) {
            Err(error) => match scalar.take() {
                Some(value) => Ok(Located {
                    at: place_in(&error.to_string()),
                    value,
                }),
                None => Err(error),
            },
            collection => collection,
        }
    }
}

struct NodeVisitor<'a, 'b> {
    node: Node<'a>,
    scalar: &'b mut Option<Tree>,
}

impl NodeVisitor<'_, '_> {
    fn scalar<E: serde::de::Error>(self, value: Tree) -> Result<Located<Tree>, E> {
        *self.scalar = Some(value);
        Err(E::custom(SCALAR))
    }

    fn inner<E: serde::de::Error>(&self) -> Result<Node<'_>, E> {
        let node = self.node;
        if node.depth >= MAX_DEPTH {
            return Err(node.cx.fail(node.fallback, too_deep(), TOO_DEEP_REMEDY));
        }
        Ok(Node {
            depth: node.depth + 1,
            ..node
        })
    }
}

impl<'de> Visitor<'de> for NodeVisitor<'_, '_> {
    type Value = Located<Tree>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        self.scalar(Tree::Null)
    }
    fn visit_none<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        self.scalar(Tree::Null)
    }
    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
        self.scalar(Tree::Bool(value))
    }
    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.scalar(Tree::Int(value))
    }
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.scalar(i64::try_from(value).map_or(Tree::Float(value as f64), Tree::Int))
    }
    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Self::Value, E> {
        self.scalar(Tree::Float(value as f64))
    }
    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Self::Value, E> {
        self.scalar(Tree::Float(value as f64))
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        self.scalar(Tree::Float(value))
    }
    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Self::Value, E> {
        self.scalar(Tree::Str(value.to_string()))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        let remedy = "write plain values without a tag";
        Err(self
            .node
            .cx
            .fail(self.node.fallback, "a value with a tag (`!…`)", remedy))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut node = self.inner()?;
        let mut items: Vec<Located<Tree>> = Vec::new();
        while let Some(item) = list.next_element_seed(node)? {
            node.fallback = item.at;
            items.push(item);
        }
        let at = items.first().map_or(self.node.fallback, |item| item.at);
        Ok(Located {
            at,
            value: Tree::List(items),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut node = self.inner()?;
        let cx = node.cx;
        let mut entries: Vec<(Located<String>, Located<Tree>)> = Vec::new();
        let mut seen = std::collections::BTreeMap::new();
        let mut merged = Vec::new();
        while let Some(key) = map.next_key_seed(node)? {
            let Located { at, value } = key;
            let text = match value {
                Tree::Str(text) if text.len() <= MAX_KEY => text,
                Tree::Str(_) => {
                    let message = format!("a key of more than {MAX_KEY} bytes");
                    return Err(cx.fail(at, message, "check that the right file was given"));
                }
                other => {
                    let message = format!("a key must be text, this is {}", other.kind());
                    return Err(cx.fail(at, message, "put the key in quotes"));
                }
            };
            node.fallback = at;
            let value = map.next_value_seed(node)?;
            if text == "<<" {
                merged.push((at, value));
                continue;
            }
            if let Some(line) = seen.insert(text.clone(), at.0) {
                let message = format!("the key {text:?} is given twice, first on line {line}");
                return Err(cx.fail(at, message, "remove one of the two"));
            }
            entries.push((Located { at, value: text }, value));
        }
        let at = entries.first().map_or(self.node.fallback, |(key, _)| key.at);
        for (at, value) in merged {
            merge(cx, at, value, &mut entries, &mut seen)?;
        }
        Ok(Located {
            at,
            value: Tree::Map(entries),
        })
    }
}

/// What a merge key brings comes after what the mapping itself says, and never replaces it.
fn merge<E: serde::de::Error>(
    cx: &Context,
    at: (u32, u32),
    value: Located<Tree>,
    entries: &mut Vec<(Located<String>, Located<Tree>)>,
    seen: &mut std::collections::BTreeMap<String, u32>,
) -> Result<(), E> {
    let sources = match value.value {
        Tree::List(list) => list,
        _ => vec![value],
    };
    for source in sources {
        let Tree::Map(inherited) = source.value else {
            let message = format!("`<<` takes a mapping, this is {}", source.value.kind());
            return Err(cx.fail(at, message, "write `<<: *name` with the anchor of a mapping"));
        };
        for (key, value) in inherited {
            if !seen.contains_key(&key.value) {
                seen.insert(key.value.clone(), key.at.0);
                entries.push((key, value));
            }
        }
    }
    Ok(())
}

fn too_deep() -> String {
    format!("more than {MAX_DEPTH} lists or mappings inside each other")
}

const TOO_DEEP_REMEDY: &str = "check that the right file was given";

/// Takes the place out of `serde_yaml`'s error text; the very first character of a text has none there.
fn place_in(error: &str) -> (u32, u32) {
    let parse = || {
        let (_, tail) = error.rsplit_once(SCALAR)?;
        let (line, column) = tail.strip_prefix(" at line ")?.split_once(" column ")?;
        Some((line.parse().ok()?, column.parse().ok()?))
    };
    parse().unwrap_or((1, 1))
}

/// `serde_yaml`'s own errors.
fn syntax(text: &str, error: &serde_yaml::Error) -> ReadError {
    let at = error
        .location()
        .map(|place| (count(place.line()), count(place.column())));
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let message = message.split(" at position ").next().unwrap_or_default();
    let line = at
        .and_then(|(line, _)| text.lines().nth(line as usize - 1))
        .unwrap_or_default();
    let indent = &line[..line.len() - line.trim_start().len()];
    if indent.contains('\t') {
        return ReadError::new(
            at,
            "a tab in the indentation",
            "indent with spaces: YAML allows no tabs there",
        );
    }
    if message.contains("repetition limit") {
        return ReadError::new(
            at,
            "aliases multiply the text too often",
            "write the repeated parts out instead of using anchors",
        );
    }
    ReadError::new(
        at,
        message,
        "correct the YAML at this place: check indentation, quotes and colons",
    )
}

fn count(n: usize) -> u32 {
    u32::try_from(n.max(1)).unwrap_or(u32::MAX)
}

/// What the library refuses too, but without the line.
fn check_characters(text: &str) -> Result<(), ReadError> {
    let refused =
        |c: char| (c.is_control() && !"\t\n\r\u{85}".contains(c)) || c == '\u{fffe}' || c == '\u{ffff}';
    for (index, line) in text.lines().enumerate() {
        if let Some(column) = line.chars().position(refused) {
            let at = Some((count(index + 1), count(column + 1)));
            return Err(ReadError::new(
                at,
                "a control character",
                "remove it, or write it as an escape in quotes",
            ));
        }
    }
    Ok(())
}

/// Text inside quotes is counted too: nobody writes that many brackets there either.
fn check_brackets(text: &str) -> Result<(), ReadError> {
    let mut depth = 0_usize;
    for (index, line) in text.lines().enumerate() {
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_BRACKETS {
                return Err(ReadError::new(
                    Some((count(index + 1), 1)),
                    too_deep(),
                    TOO_DEEP_REMEDY,
                ));
            }
        }
    }
    Ok(())
}

fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with(['#', '%']) && !line.starts_with("---")
}

fn first_line(text: &str) -> (u32, u32) {
    (
        count(text.lines().position(is_content).map_or(1, |index| index + 1)),
        1,
    )
}

/// The `---` that ends the first document.
fn second_document(text: &str) -> Option<(u32, u32)> {
    let mut begun = false;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("---") {
            if begun {
                return Some((count(index + 1), 1));
            }
            begun = true;
        } else if is_content(line) {
            begun = true;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `line:column kind` of everything, in the order of the text.
    fn places(text: &str) -> Vec<String> {
        fn walk(tree: &Located<Tree>, out: &mut Vec<String>) {
            out.push(format!("{}:{} {}", tree.at.0, tree.at.1, tree.value.kind()));
            match &tree.value {
                Tree::List(items) => items.iter().for_each(|item| walk(item, out)),
                Tree::Map(entries) => {
                    for (key, value) in entries {
                        out.push(format!("{}:{} {}", key.at.0, key.at.1, key.value));
                        walk(value, out);
                    }
                }
                _ => {}
            }
        }
        let mut out = Vec::new();
        walk(&read(text).unwrap(), &mut out);
        out
    }

    #[test]
    fn every_scalar_has_its_own_place() {
        let text = "# note\na: 1\nlist:\n  - x\n  - k: true\n    l:\n    é: 'y'\n  - {m: 2.5, \"n\": [p]}\n";
        assert_eq!(
            places(text),
            [
                "2:1 a mapping",
                "2:1 a",
                "2:4 a number",
                "3:1 list",
                "4:5 a list",
                "4:5 text",
                "5:5 a mapping",
                "5:5 k",
                "5:8 a boolean",
                "6:5 l",
                "6:7 nothing",
                "7:5 é",
                "7:8 text",
                "8:6 a mapping",
                "8:6 m",
                "8:9 a number",
                "8:14 n",
                "8:20 a list",
                "8:20 text"
            ]
        );
        assert_eq!(places("x"), ["1:1 text"]);
        assert_eq!(places("- x"), ["1:3 a list", "1:3 text"]);
    }

    #[test]
    fn an_alias_has_the_place_of_its_anchor_and_reading_goes_on() {
        let text = "a: &x {k: 1}\nb: *x\nc:\n  <<: *x\n  l: 2\nd: &y z\ne: [*y, *x]\nf: 3\n";
        let tree = read(text).unwrap();
        let Tree::Map(entries) = &tree.value else {
            panic!("{tree:?}")
        };
        assert_eq!(
            entries.iter().map(|(key, _)| key.at.0).collect::<Vec<_>>(),
            [1, 2, 3, 6, 7, 8]
        );
        assert_eq!(entries[0].1, entries[1].1);
        let Tree::Map(merged) = &entries[2].1.value else {
            panic!("{tree:?}")
        };
        assert_eq!(
            merged
                .iter()
                .map(|(key, _)| key.value.as_str())
                .collect::<Vec<_>>(),
            ["l", "k"]
        );
        assert_eq!(
            entries[5].1,
            Located {
                at: (8, 4),
                value: Tree::Int(3)
            }
        );
    }

    #[test]
    fn a_key_that_looks_like_a_place_confuses_nothing() {
        let tree = read("\"a at line 9 column 9\":\n  b: c\n").unwrap();
        let Tree::Map(entries) = tree.value else { panic!() };
        let Tree::Map(inner) = &entries[0].1.value else {
            panic!()
        };
        assert_eq!((inner[0].0.at, inner[0].1.at), ((2, 3), (2, 6)));
    }
}
