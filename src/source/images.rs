//! The images and charts that an upgrade needs, as a person lists them, and what registries were seen to hold of them.

use super::InputError;
use super::input;
use super::json::{self, Document, Format};
use super::registry::{Place, Reference};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// `kind` of recorded answers of registries.
pub const IMAGES_KIND: &str = "mkectl.images";
/// The format this build writes.
const FORMAT: &str = "1.0";

const WRITE: &str =
    "write one image on a line, as `k0s airgap list-images` does: quay.io/k0sproject/coredns:1.12.0";
const RECORD: &str =
    "record it again: `mkectl plan --image-list FILE --image-registry HOST/PATH --record DIR`";

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An image: it comes from the image registry.
    Image,
    /// A chart: it begins with `oci://` and comes from the chart registry.
    Chart,
}

impl Kind {
    /// Of the name of an image or chart, as a list has it.
    pub fn of(name: &str) -> Kind {
        match name.starts_with("oci://") {
            true => Kind::Chart,
            false => Kind::Image,
        }
    }

    /// `image` or `chart`.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Image => "image",
            Kind::Chart => "chart",
        }
    }
}

/// A line of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The image or chart, with the registry that it comes from.
    pub name: String,
    /// Its line, from 1.
    pub line: u32,
}

/// Reads a list: one image or chart on a line; empty lines and lines that begin with `#` are passed over. Sorted by name, each
/// name once. `file` is how errors call it.
///
/// # Errors
///
/// With file and line: what names no image, and a list without any.
pub fn list(file: &str, bytes: &[u8]) -> Result<Vec<Wanted>, InputError> {
    let text = input::decode(file, bytes, input::MAX_TEXT, WRITE)?;
    let mut wanted = BTreeMap::new();
    for (name, at) in text.lines().map(str::trim).zip(1..) {
        if name.is_empty() || name.starts_with('#') {
            continue;
        }
        Reference::within("", name).map_err(|why| {
            let message = format!("{} names no image: {why}", input::quoted(name));
            InputError::new(file, Some((at, 1)), message, WRITE)
        })?;
        wanted.entry(name.to_owned()).or_insert(at);
    }
    if wanted.is_empty() {
        return Err(InputError::new(file, None, "there is no image in it", WRITE));
    }
    Ok(wanted
        .into_iter()
        .map(|(name, line)| Wanted { name, line })
        .collect())
}

/// What registries were seen to hold of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Images {
    /// Always `mkectl.images`.
    pub kind: String,
    /// `1.0`.
    pub format_version: String,
    /// File name of the list, without directories.
    pub list: String,
    /// Images and charts by name.
    pub images: Vec<Seen>,
}

/// An image or chart, and what its registry said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// As the list has it.
    pub name: String,
    /// Its line in the list, from 1.
    pub line: u32,
    /// Where it was looked for: `HOST:PORT/REPOSITORY:TAG`.
    pub place: String,
    /// What came of it.
    pub answer: Answer,
}

/// What came of looking for an image or chart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// It is there, and its manifest has this digest: `sha256:…`.
    Digest(String),
    /// It is not there; what the registry said, or nothing.
    Missing(String),
    /// It could not be told.
    Untold(Untold),
}

/// Why it could not be told whether an image is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Untold {
    /// What happened: a fragment.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
}

impl Images {
    /// Answers about a list of this name; they are kept sorted.
    pub fn new(list: &str, mut images: Vec<Seen>) -> Images {
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Images {
            kind: IMAGES_KIND.to_owned(),
            format_version: FORMAT.to_owned(),
            list: list.to_owned(),
            images,
        }
    }

    /// Parses recorded answers. `file` is how errors call it.
    ///
    /// # Errors
    ///
    /// With the place in the file: two answers about one name, names and places that are none, digests that are none.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Images, InputError> {
        let format = Format {
            kind: IMAGES_KIND,
            major: 1,
            make: RECORD,
        };
        let document: Document<'_, Images> = json::parse(file, bytes, &format)?;
        let mut names = BTreeSet::new();
        for (index, seen) in document.value.images.iter().enumerate() {
            let wrong = |key: &str, message: String| {
                Err(document.error(&format!("$.images[{index}].{key}"), message, RECORD))
            };
            if let Err(why) = Reference::within("", &seen.name) {
                return wrong(
                    "name",
                    format!("{} names no image: {why}", input::quoted(&seen.name)),
                );
            }
            if !names.insert(&seen.name) {
                return wrong("name", format!("{} is there twice", input::quoted(&seen.name)));
            }
            if let Err(why) = Place::parse(&seen.place) {
                return wrong(
                    "place",
                    format!("{} is no place: {why}", input::quoted(&seen.place)),
                );
            }
            if let Answer::Digest(digest) = &seen.answer
                && !is_digest(digest)
            {
                return wrong("answer", format!("{} is no digest", input::quoted(digest)));
            }
        }
        Ok(Images::new(&document.value.list, document.value.images.clone()))
    }

    /// The bytes of the recording: the same for the same answers.
    ///
    /// # Errors
    ///
    /// Why it cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| error.to_string())?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn is_digest(text: &str) -> bool {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(digit))
}

/// JSON Schema of recorded answers of registries.
pub fn schema() -> serde_json::Value {
    json::schema::<Images>(IMAGES_KIND, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, answer: Answer) -> Seen {
        Seen {
            name: name.to_owned(),
            line: 1,
            place: "registry.example.com:443/mke/a:1".to_owned(),
            answer,
        }
    }

    #[test]
    fn a_list_has_each_name_once_and_says_which_line_names_none() {
        let text = "# k0s\nquay.io/b:1\n\n  quay.io/a:2\r\nquay.io/b:1\noci://r.example.com/c:3\n";
        let names: Vec<(String, u32)> = list("list", text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|wanted| (wanted.name, wanted.line))
            .collect();
        let expected = [
            ("oci://r.example.com/c:3", 6),
            ("quay.io/a:2", 4),
            ("quay.io/b:1", 2),
        ];
        assert_eq!(names, expected.map(|(name, line)| (name.to_owned(), line)));
        assert_eq!(Kind::of(&names[0].0), Kind::Chart);
        assert_eq!(Kind::of(&names[1].0), Kind::Image);
        for (text, at) in [("quay.io/a:1\nnginx\n", Some((2, 1))), ("# none\n", None)] {
            assert_eq!(list("list", text.as_bytes()).unwrap_err().at, at, "{text}");
        }
        assert!(list("list", b"").is_err());
        assert!(list("list", b"quay.io/a:1\n\xff\xfe\n").is_err());
    }

    #[test]
    fn a_recording_is_read_as_it_was_written_or_refused() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let untold = Untold {
            why: "no".to_owned(),
            remedy: "yes".to_owned(),
        };
        let images = Images::new(
            "list",
            vec![
                seen("quay.io/c:1", Answer::Untold(untold)),
                seen("quay.io/a:1", Answer::Digest(digest.clone())),
                seen("quay.io/b:1", Answer::Missing(String::new())),
            ],
        );
        assert_eq!(images.images[0].name, "quay.io/a:1");
        let bytes = images.to_bytes().unwrap();
        assert_eq!(Images::parse("images.json", &bytes), Ok(images));
        let text = String::from_utf8(bytes).unwrap();
        for (from, to, says) in [
            (digest.as_str(), "sha256:1", "is no digest"),
            ("quay.io/b:1", "quay.io/a:1", "is there twice"),
            ("quay.io/b:1", "nginx", "names no image"),
            ("registry.example.com:443/mke/a:1", "registry", "is no place"),
            ("mkectl.images", "mkectl.facts", ""),
            ("\"list\":", "\"lists\":", ""),
        ] {
            let error = Images::parse("images.json", text.replace(from, to).as_bytes()).unwrap_err();
            assert!(error.message.contains(says), "{from} → {to}: {error}");
        }
    }
}
