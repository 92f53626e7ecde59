//! Strict JSON for recordings: one meaning for one text, and errors that say where.
//!
//! `serde_json` takes the last of two equal keys and knows no paths. So a pass in front finds duplicate keys and reads what
//! kind of file it is, and a small scanner tells which path stands at a place and the other way round.

mod scan;

use self::scan::{Scanner, Token};
use super::InputError;
use super::input::{self, MAX_DEPTH, MAX_RECORDING, place};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// What a recording must be.
pub(super) struct Format {
    /// Value of `kind`.
    pub kind: &'static str,
    /// Number before the dot of `format_version`.
    pub major: u32,
    /// How to make such a file, as a sentence.
    pub make: &'static str,
}

/// A recording and its text, which places are looked up in.
pub(super) struct Document<'a, T> {
    pub value: T,
    file: &'a str,
    text: Cow<'a, str>,
}

impl<T> Document<'_, T> {
    /// An error about the value at a path such as `$.hosts[2].address`.
    pub(super) fn error(
        &self,
        path: &str,
        message: impl fmt::Display,
        remedy: impl Into<String>,
    ) -> InputError {
        let at = Scanner::new(&self.text)
            .find(|token| token.path == path)
            .map(|t| place(&self.text, t.start));
        InputError::new(self.file, at, format!("{path}: {message}"), remedy)
    }
}

/// Reads a recording: UTF-8 or UTF-16 with a byte order mark, no duplicate and no unknown key, the right kind and version.
pub(super) fn parse<'a, T: DeserializeOwned + Serialize>(
    file: &'a str,
    bytes: &'a [u8],
    format: &Format,
) -> Result<Document<'a, T>, InputError> {
    let text = input::decode(file, bytes, MAX_RECORDING, format.make)?;
    check(file, &text, format)?;
    let value: T = serde_json::from_str(&text).map_err(|error| shape(file, &text, &error, format))?;
    let document = Document { value, file, text };
    if let Some(path) = list_for_object(&document) {
        return Err(document.error(
            &path,
            "a list where an object is needed",
            "correct the value, or record again",
        ));
    }
    Ok(document)
}

/// Path of a list that was taken for an object: `serde` reads `["a"]` as an object whose first key has the value `a`.
fn list_for_object<T: Serialize>(document: &Document<'_, T>) -> Option<String> {
    fn walk(given: &Value, taken: &Value, path: &mut String) -> bool {
        let end = path.len();
        match (given, taken) {
            (Value::Array(_), Value::Object(_)) => return true,
            (Value::Array(given), Value::Array(taken)) => {
                for (index, (given, taken)) in given.iter().zip(taken).enumerate() {
                    path.push_str(&format!("[{index}]"));
                    if walk(given, taken, path) {
                        return true;
                    }
                    path.truncate(end);
                }
            }
            (Value::Object(given), Value::Object(taken)) => {
                for (key, given) in given {
                    path.push_str(&format!(".{key}"));
                    if taken.get(key).is_some_and(|taken| walk(given, taken, path)) {
                        return true;
                    }
                    path.truncate(end);
                }
            }
            _ => {}
        }
        false
    }
    let given = serde_json::from_str(&document.text).ok()?;
    let taken = serde_json::to_value(&document.value).ok()?;
    let mut path = "$".to_string();
    walk(&given, &taken, &mut path).then_some(path)
}

/// JSON Schema of a recording; `kind` and `format_version` are narrowed to what [`parse`] takes.
pub(super) fn schema<T: schemars::JsonSchema>(kind: &str, major: u32) -> serde_json::Value {
    let mut schema = schemars::schema_for!(T).to_value();
    if let Some(properties) = schema.pointer_mut("/properties") {
        properties["kind"]["const"] = kind.into();
        properties["format_version"]["pattern"] = format!("^{major}\\.[0-9]+$").into();
    }
    schema
}

fn check(file: &str, text: &str, format: &Format) -> Result<(), InputError> {
    let mut head = Head::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let result = Strict {
        depth: 0,
        head: &mut head,
    }
    .deserialize(&mut json)
    .and_then(|()| json.end());
    if let Err(error) = result {
        let (at, path) = whereabouts(text, &error);
        let (message, remedy) = match (error.classify(), bare(&error)) {
            (serde_json::error::Category::Data, message) if message == TOO_DEEP => {
                (message, "check that the right file was given".to_string())
            }
            (serde_json::error::Category::Data, message) => {
                (format!("{path}: {message}"), "remove one of the two".to_string())
            }
            (serde_json::error::Category::Eof, _) => {
                ("the file ends in the middle".to_string(), format.make.to_string())
            }
            (_, message) => (format!("not JSON: {message}"), format.make.to_string()),
        };
        return Err(InputError::new(file, Some(at), message, remedy));
    }
    let at = |path: &str| {
        Scanner::new(text)
            .find(|token| token.path == path)
            .map(|t| place(text, t.start))
    };
    let kind = match head.kind.as_deref() {
        _ if !head.is_object => return Err(wrong_kind(file, None, "another file", format)),
        Some(kind) => kind,
        None => return Err(wrong_kind(file, None, "a file without \"kind\"", format)),
    };
    if kind != format.kind {
        let message = format!("a file of kind {}", input::quoted(kind));
        return Err(wrong_kind(file, at("$.kind"), &message, format));
    }
    let version = head.format_version.unwrap_or_default();
    match version
        .split_once('.')
        .map(|(major, minor)| (major.parse::<u32>(), minor.parse::<u32>()))
    {
        Some((Ok(major), Ok(_))) if major == format.major => Ok(()),
        Some((Ok(major), Ok(_))) => Err(InputError::new(
            file,
            at("$.format_version"),
            format!("format version {major}.x, where {}.x is read", format.major),
            if major > format.major {
                "use the mkectl that wrote the file, or a newer one".to_string()
            } else {
                format.make.to_string()
            },
        )),
        _ => Err(InputError::new(
            file,
            at("$.format_version"),
            "\"format_version\" is missing or not of the form \"1.0\"",
            format.make,
        )),
    }
}

fn wrong_kind(file: &str, at: Option<(u32, u32)>, found: &str, format: &Format) -> InputError {
    InputError::new(
        file,
        at,
        format!("{found}, where kind {:?} is needed", format.kind),
        format.make,
    )
}

/// Turns an error about keys or types into our words; values of the file are left out.
fn shape(file: &str, text: &str, error: &serde_json::Error, format: &Format) -> InputError {
    let (at, path) = whereabouts(text, error);
    let message = bare(error);
    if let Some(names) = message.strip_prefix("unknown field `") {
        let key = names.split("`, ").next().unwrap_or_default();
        let known: Vec<&str> = names.split('`').skip(2).step_by(2).collect();
        let message = format!("{path}: unknown key {}", input::quoted(key));
        return InputError::new(file, Some(at), message, input::did_you_mean(key, &known));
    }
    if let Some(names) = message.strip_prefix("unknown variant `") {
        let value = names.split("`, ").next().unwrap_or_default();
        let known: Vec<&str> = names.split('`').skip(2).step_by(2).collect();
        let message = format!("{path}: {} is not known here", input::quoted(value));
        return InputError::new(file, Some(at), message, input::did_you_mean(value, &known));
    }
    if let Some(name) = message.strip_prefix("missing field `") {
        let (at, path) = enclosing(text, error).unwrap_or((at, path));
        let message = format!("{path}: the key \"{}\" is missing", name.trim_end_matches('`'));
        return InputError::new(file, Some(at), message, format.make);
    }
    let message = match message.rsplit_once(", expected ") {
        Some((found, wanted)) => {
            let found = found
                .trim_start_matches("invalid type: ")
                .trim_start_matches("invalid value: ");
            format!("{path}: {} where {} is needed", plain(found), plain(wanted))
        }
        None => format!("{path}: {message}"),
    };
    InputError::new(file, Some(at), message, "correct the value, or record again")
}

/// A type in `serde`'s words, with or without a value, in ours and without.
fn plain(words: &str) -> &'static str {
    let mut words = words.split([' ', '`']);
    match words.next().filter(|word| *word != "a").or_else(|| words.next()) {
        Some("string") => "text",
        Some("integer" | "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64") => "a whole number",
        Some("floating" | "f64") => "a number",
        Some("boolean" | "bool") => "a boolean",
        Some("null" | "unit") => "nothing",
        Some("sequence") => "a list",
        Some("map" | "struct") => "an object",
        _ => "another value",
    }
}

/// `serde_json`'s message without its place.
fn bare(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).unwrap_or(&message).to_string()
}

/// Byte offset of an error: `serde_json` counts bytes read in the line.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let line = match error.line() {
        0 | 1 => 0,
        n => text
            .match_indices('\n')
            .nth(n - 2)
            .map_or(text.len(), |(i, _)| i + 1),
    };
    (line + error.column().saturating_sub(1)).min(text.len())
}

/// Start of the token at an error, and its path. Syntax errors may lie behind the last token: they keep their own place.
fn whereabouts(text: &str, error: &serde_json::Error) -> ((u32, u32), String) {
    let end = offset(text, error);
    let mut last = Token {
        path: "$".to_string(),
        start: end,
        open: None,
    };
    let mut tokens = Scanner::new(text)
        .take_while(|token| token.start <= end)
        .peekable();
    while let Some(token) = tokens.next() {
        // A value that a type's own check refuses is reported behind it, which may be at the bracket that follows.
        if token.open.is_none() || tokens.peek().is_some() {
            last = token;
        }
    }
    match error.classify() {
        serde_json::error::Category::Data => (place(text, last.start), last.path),
        _ => (place(text, end), last.path),
    }
}

/// Start and path of the object that ends at an error.
fn enclosing(text: &str, error: &serde_json::Error) -> Option<((u32, u32), String)> {
    let end = offset(text, error);
    let closing = Scanner::new(text).take_while(|token| token.start <= end).last()?;
    Some((place(text, closing.open?), closing.path))
}

const TOO_DEEP: &str = "more than 32 lists or objects inside each other";

#[derive(Default)]
struct Head {
    is_object: bool,
    kind: Option<String>,
    format_version: Option<String>,
}

/// Walks over a value and refuses duplicate keys and deep nesting; takes `kind` and `format_version` along.
struct Strict<'a> {
    depth: usize,
    head: &'a mut Head,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth > MAX_DEPTH {
            return Err(D::Error::custom(TOO_DEEP));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list
            .next_element_seed(Strict {
                depth: self.depth + 1,
                head: &mut *self.head,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let top = self.depth == 0;
        self.head.is_object |= top;
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                _ if seen.contains(&key) => {
                    return Err(A::Error::custom("the key is given twice"));
                }
                "kind" | "format_version" if top => {
                    // Another type than text is left for the typed pass, which says so with the path.
                    let Text(text) = map.next_value()?;
                    *(if key == "kind" {
                        &mut self.head.kind
                    } else {
                        &mut self.head.format_version
                    }) = text;
                }
                _ => map.next_value_seed(Strict {
                    depth: self.depth + 1,
                    head: &mut *self.head,
                })?,
            }
            seen.insert(key);
        }
        Ok(())
    }
}

/// A string, or nothing for any scalar else.
#[derive(Deserialize)]
#[serde(from = "Scalar")]
struct Text(Option<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Other(serde::de::IgnoredAny),
}

impl From<Scalar> for Text {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => Text(Some(text)),
            Scalar::Other(_) => Text(None),
        }
    }
}
