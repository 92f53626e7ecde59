//! Strict JSON: what every reader of our own formats checks before it believes a byte.
//!
//! `serde_json` keeps the last of two equal keys and reads integers beyond 2^53 that other tools round. A document that two
//! readers understand differently must not be approved, so both are refused here.

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// The largest integer that every JSON reader holds exactly: 2^53 − 1.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// What a document may be at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes.
    pub bytes: usize,
    /// Nested arrays and objects.
    pub depth: usize,
}

/// Limits for plans, facts and accounts.
pub const LIMITS: Limits = Limits {
    bytes: 64 << 20,
    depth: 64,
};

/// Why a document is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JsonError {
    /// What is wrong: a lower-case fragment.
    pub message: String,
    /// Line and column, from 1; absent when the whole document is meant.
    pub at: Option<(u32, u32)>,
    /// True when the document ends too early: an interrupted write.
    pub truncated: bool,
}

impl JsonError {
    fn whole(message: impl Into<String>) -> Self {
        JsonError {
            message: message.into(),
            at: None,
            truncated: false,
        }
    }

    /// An error of serde_json, its place kept apart from its text.
    pub fn from_serde(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let message = match text.rfind(" at line ") {
            Some(end) => text[..end].to_owned(),
            None => text,
        };
        let at = (error.line() > 0).then(|| (clamp(error.line()), clamp(error.column().max(1))));
        JsonError {
            message,
            at,
            truncated: error.is_eof(),
        }
    }
}

fn clamp(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The text of a document: UTF-8 with or without a byte order mark, or UTF-16 with one (PowerShell's `>` writes that).
pub fn decode(bytes: &[u8], limits: Limits) -> Result<Cow<'_, str>, JsonError> {
    if bytes.len() > limits.bytes {
        let mib = limits.bytes >> 20;
        return Err(JsonError::whole(format!("the file is larger than {mib} MiB")));
    }
    let utf16 = |unit: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .map(Cow::Owned)
            .map_err(|_| JsonError::whole("the file is not valid UTF-16"))
    };
    match bytes {
        [0xFF, 0xFE, ..] => utf16(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => utf16(u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, JsonError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.trim().is_empty() => {
            let mut error = JsonError::whole("the file is empty");
            error.truncated = true;
            Err(error)
        }
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(_) => Err(JsonError::whole("the file is not UTF-8 text")),
    }
}

/// Checks a whole document: well-formed, no duplicate keys, no floats, integers within ±(2^53 − 1), not too deep.
pub fn check(text: &str, limits: Limits) -> Result<(), JsonError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    // Our own depth is far below serde_json's, and its message would not name ours.
    let walk = Walk { depth: limits.depth };
    walk.deserialize(&mut reader)
        .and_then(|()| reader.end())
        .map_err(|error| JsonError::from_serde(&error))
}

#[derive(Clone, Copy)]
struct Walk {
    depth: usize,
}

impl Walk {
    fn deeper<E: de::Error>(self) -> Result<Walk, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Walk { depth }),
            None => Err(E::custom("arrays and objects are nested too deeply")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = ();
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, n: i64) -> Result<(), E> {
        in_range(n.unsigned_abs(), n)
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<(), E> {
        in_range(n, n)
    }

    fn visit_f64<E: de::Error>(self, n: f64) -> Result<(), E> {
        Err(E::custom(format_args!(
            "the number {n} is not an integer within ±(2^53 − 1)"
        )))
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = Keys::default();
        while let Some(key) = entries.next_key::<Cow<'de, str>>()? {
            if !seen.insert(key.clone()) {
                return Err(de::Error::custom(format_args!(
                    "the key {key:?} stands twice in one object"
                )));
            }
            entries.next_value_seed(inner)?;
        }
        Ok(())
    }
}

fn in_range<E: de::Error>(size: u64, shown: impl fmt::Display) -> Result<(), E> {
    if size <= MAX_INTEGER {
        Ok(())
    } else {
        Err(E::custom(format_args!(
            "the number {shown} is not an integer within ±(2^53 − 1)"
        )))
    }
}

/// Rows have few keys and there are many rows: a list is faster than a set until there are many keys.
#[derive(Default)]
struct Keys<'a> {
    few: Vec<Cow<'a, str>>,
    many: BTreeSet<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    fn insert(&mut self, key: Cow<'a, str>) -> bool {
        if !self.many.is_empty() {
            return self.many.insert(key);
        }
        if self.few.contains(&key) {
            return false;
        }
        self.few.push(key);
        if self.few.len() > 24 {
            self.many = self.few.drain(..).collect();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        check(text, LIMITS).unwrap_err().message
    }

    #[test]
    fn accepts_plain_documents() {
        check(r#"{"a":[1,-9007199254740991,"x",null,true,{"b":{}}]}"#, LIMITS).unwrap();
    }

    #[test]
    fn refuses_duplicate_keys_also_when_escaped_and_in_large_objects() {
        assert_eq!(
            message(r#"{"a":1,"b":{"x":1,"x":2}}"#),
            "the key \"x\" stands twice in one object"
        );
        assert_eq!(
            message(r#"{"a":1,"\u0061":2}"#),
            "the key \"a\" stands twice in one object"
        );
        let many: String = (0..40).map(|n| format!("\"k{n}\":{n},")).collect();
        assert_eq!(
            message(&format!("{{{many}\"k3\":0}}")),
            "the key \"k3\" stands twice in one object"
        );
        assert_eq!(
            message(&format!("{{{many}\"k39\":0}}")),
            "the key \"k39\" stands twice in one object"
        );
    }

    #[test]
    fn refuses_numbers_that_readers_round() {
        for number in [
            "1.5",
            "1e3",
            "9007199254740992",
            "-9007199254740992",
            "18446744073709551616",
        ] {
            assert!(
                message(&format!("[{number}]")).contains("is not an integer within"),
                "{number}"
            );
        }
    }

    #[test]
    fn refuses_depth_and_trailing_text_and_reports_truncation() {
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        assert_eq!(message(&deep), "arrays and objects are nested too deeply");
        assert!(check("{} {}", LIMITS).is_err());
        assert!(check("{\"a\": [1,", LIMITS).unwrap_err().truncated);
        assert!(decode(b" \n", LIMITS).unwrap_err().truncated);
    }

    #[test]
    fn decodes_what_powershell_writes() {
        let utf16: Vec<u8> = [0xFF, 0xFE]
            .into_iter()
            .chain("{\"ä\":1}".encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        assert_eq!(decode(&utf16, LIMITS).unwrap(), "{\"ä\":1}");
        assert_eq!(decode(b"\xEF\xBB\xBF{}", LIMITS).unwrap(), "{}");
        assert!(decode(b"\xff\x00", LIMITS).is_err());
    }
}
