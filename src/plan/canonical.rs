//! Canonical JSON (RFC 8785) of documents without floats, straight from text to text.
//!
//! A plan has some ten megabytes on ten thousand hosts and is made canonical twice while it is made: when its digest is
//! taken, and when what was written is read back. So this builds no tree. Members are written in the order of the text, and
//! an object is put in order when it is complete.

use crate::json::MAX_INTEGER;
use serde::de::Error as _;

/// Lists and objects inside each other; no document of ours comes near.
const MAX_DEPTH: usize = 128;

/// The canonical bytes of a JSON text.
///
/// The text must be one that [`crate::json::check`] accepts: duplicate keys are not looked for again. Numbers that are no
/// integers within ±(2^53 − 1) are refused here too, because their canonical form is another number's as well.
///
/// # Errors
///
/// When the text is not JSON, or holds such a number.
pub fn canonical(text: &str) -> serde_json::Result<Vec<u8>> {
    let mut writer = Writer {
        text: text.as_bytes(),
        at: 0,
        out: Vec::with_capacity(text.len()),
        members: Vec::new(),
        spare: Vec::new(),
    };
    writer.value(0)?;
    match writer.next() {
        None => Ok(writer.out),
        Some(_) => Err(writer.unexpected()),
    }
}

/// A member of an object, as offsets of what was written: `start` of its key, end of its key, end of its value.
#[derive(Clone, Copy)]
struct Member {
    start: usize,
    key_end: usize,
    end: usize,
}

struct Writer<'a> {
    text: &'a [u8],
    at: usize,
    out: Vec<u8>,
    /// Members of all objects that are open.
    members: Vec<Member>,
    /// Holds one object while it is put in order.
    spare: Vec<u8>,
}

impl Writer<'_> {
    fn unexpected(&self) -> serde_json::Error {
        match self.text.get(self.at) {
            Some(_) => serde_json::Error::custom(format_args!("not JSON at byte {}", self.at)),
            None => serde_json::Error::custom("the text ends in the middle"),
        }
    }

    /// The next byte that is not white space.
    fn next(&mut self) -> Option<u8> {
        let rest = self.text.get(self.at..)?;
        self.at += rest.iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
        self.text.get(self.at).copied()
    }

    fn expect(&mut self, wanted: u8) -> serde_json::Result<()> {
        if self.next() != Some(wanted) {
            return Err(self.unexpected());
        }
        self.at += 1;
        self.out.push(wanted);
        Ok(())
    }

    fn value(&mut self, depth: usize) -> serde_json::Result<()> {
        if depth > MAX_DEPTH {
            return Err(serde_json::Error::custom(
                "arrays and objects are nested too deeply",
            ));
        }
        match self.next() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.literal(),
        }
    }

    fn literal(&mut self) -> serde_json::Result<()> {
        let rest = &self.text[self.at..];
        for word in ["true", "false", "null"] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                self.out.extend_from_slice(word.as_bytes());
                return Ok(());
            }
        }
        Err(self.unexpected())
    }

    fn number(&mut self) -> serde_json::Result<()> {
        let rest = &self.text[self.at..];
        let end = rest
            .iter()
            .take_while(|byte| !b" \t\r\n,:]}".contains(byte))
            .count();
        let text = str::from_utf8(&rest[..end]).map_err(serde_json::Error::custom)?;
        // What comes out as it went in is an integer, without sign or zeros in front that it need not have.
        let within = text
            .parse::<i64>()
            .is_ok_and(|n| n.unsigned_abs() <= MAX_INTEGER && n.to_string() == text);
        if !within {
            return Err(serde_json::Error::custom(format_args!(
                "the number {text} is not an integer within ±(2^53 − 1)"
            )));
        }
        self.out.extend_from_slice(text.as_bytes());
        self.at += end;
        Ok(())
    }

    fn string(&mut self) -> serde_json::Result<()> {
        let start = self.at;
        let mut end = start + 1;
        let mut escaped = false;
        loop {
            match self.text.get(end) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    end += 2;
                }
                Some(_) => end += 1,
                None => {
                    self.at = self.text.len();
                    return Err(self.unexpected());
                }
            }
        }
        self.at = end + 1;
        let token = &self.text[start..self.at];
        if escaped {
            // serde_json escapes what RFC 8785 wants escaped, and in the same way.
            let text: String = serde_json::from_slice(token)?;
            return serde_json::to_writer(&mut self.out, &text);
        }
        self.out.extend_from_slice(token);
        Ok(())
    }

    fn list(&mut self, depth: usize) -> serde_json::Result<()> {
        self.expect(b'[')?;
        if self.next() == Some(b']') {
            return self.expect(b']');
        }
        loop {
            self.value(depth + 1)?;
            match self.next() {
                Some(b',') => self.expect(b',')?,
                _ => return self.expect(b']'),
            }
        }
    }

    fn object(&mut self, depth: usize) -> serde_json::Result<()> {
        self.expect(b'{')?;
        if self.next() == Some(b'}') {
            return self.expect(b'}');
        }
        let first = self.members.len();
        loop {
            let start = self.out.len();
            if self.next() != Some(b'"') {
                return Err(self.unexpected());
            }
            self.string()?;
            let key_end = self.out.len();
            self.expect(b':')?;
            self.value(depth + 1)?;
            let end = self.out.len();
            self.members.push(Member { start, key_end, end });
            match self.next() {
                Some(b',') => self.expect(b',')?,
                _ => break,
            }
        }
        self.sort(first);
        self.members.truncate(first);
        self.expect(b'}')
    }

    /// Puts the members of the innermost object in order.
    fn sort(&mut self, first: usize) {
        let out = &self.out;
        let members = &mut self.members[first..];
        let key = |member: &Member| &out[member.start + 1..member.key_end - 1];
        let plain = |key: &[u8]| key.iter().all(|byte| byte.is_ascii() && *byte != b'\\');
        let begin = members[0].start;
        if members.iter().all(|member| plain(key(member))) {
            if members.is_sorted_by(|a, b| key(a) <= key(b)) {
                return;
            }
            members.sort_by(|a, b| key(a).cmp(key(b)));
        } else {
            members.sort_by_cached_key(|member| utf16(&out[member.start..member.key_end]));
        }
        self.spare.clear();
        for member in members.iter() {
            if !self.spare.is_empty() {
                self.spare.push(b',');
            }
            self.spare.extend_from_slice(&out[member.start..member.end]);
        }
        self.out.truncate(begin);
        self.out.extend_from_slice(&self.spare);
    }
}

/// What RFC 8785 sorts by: the UTF-16 code units of a key, without escapes. `key` was written here, so it is JSON.
fn utf16(key: &[u8]) -> Vec<u16> {
    let text: String = serde_json::from_slice(key).unwrap_or_default();
    text.encode_utf16().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    fn text(json: &str) -> String {
        String::from_utf8(canonical(json).unwrap()).unwrap()
    }

    #[test]
    fn members_are_sorted_at_every_depth_and_white_space_goes() {
        assert_eq!(
            text(" { \"b\" : [ 1 , { \"z\" : null , \"a\" : [ ] } ] ,\n\t\"a\" : { } } "),
            r#"{"a":{},"b":[1,{"a":[],"z":null}]}"#
        );
    }

    #[test]
    fn keys_sort_by_utf_16_and_strings_have_one_spelling() {
        // The example of RFC 8785, section 3.2.3: U+1F600 sorts before U+FB33, because its first half is a surrogate.
        let sorted = text(
            "{\"\\u20ac\":1,\"\\r\":2,\"\\ufb33\":3,\"1\":4,\"\\ud83d\\ude00\":5,\"\\u0080\":6,\"\\u00f6\":7}",
        );
        assert_eq!(
            sorted,
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}"
        );
        assert_eq!(text(r#""\u0041\/\u001F\b\n\"\\""#), r#""A/\u001f\b\n\"\\""#);
    }

    #[test]
    fn what_is_not_a_document_of_ours_is_refused() {
        for wrong in [
            "",
            "{",
            "[1,",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "tru",
            "1 2",
            "\"",
            "\"\\",
            "\"\\ud800\"",
            "1.5",
            "1e3",
            "-0",
            "01",
            "+1",
            "9007199254740992",
            "-9007199254740992",
            "]",
        ] {
            assert!(canonical(wrong).is_err(), "{wrong}");
        }
        assert!(canonical(&"[".repeat(100_000)).is_err());
        assert_eq!(
            text("[9007199254740991,-9007199254740991,0]"),
            "[9007199254740991,-9007199254740991,0]"
        );
    }

    fn values() -> impl Strategy<Value = Value> {
        let key = prop_oneof![
            "[a-c]{0,2}",
            "[\\x00-\\x7f]{0,3}",
            "\\PC{0,3}",
            "[\u{e000}-\u{ffff}😀]{1,2}"
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-9_007_199_254_740_991i64..=9_007_199_254_740_991).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..6)
                    .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_another_implementation(value in values(), pretty in any::<bool>()) {
            let json = match pretty {
                true => serde_json::to_string_pretty(&value).unwrap(),
                false => serde_json::to_string(&value).unwrap(),
            };
            let expected = serde_json_canonicalizer::to_string(&value).unwrap();
            prop_assert_eq!(text(&json), expected.clone());
            prop_assert_eq!(text(&expected), expected);
        }
    }
}
