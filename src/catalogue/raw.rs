//! `catalogue.yaml` as it is written: types without defaults worked out and without any value that could be anything.

use crate::model::{At, Bytes, Cancel, Effect, Keep, OnFailure, OutputKind, Selector, ValueType};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub schema: u32,
    pub stages: Vec<Stage>,
    pub budgets: Vec<Budget>,
    pub actions: Vec<Action>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Stage {
    pub id: String,
    pub title: String,
    pub downtime: bool,
    pub failure: OnFailure,
    pub gate: Option<Gate>,
    #[serde(default, rename = "point_of_no_return")]
    pub point_of_no_return: bool,
    pub undo_loses: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Gate {
    Before,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    pub id: String,
    pub counts: Selector,
    pub capacity: Capacity,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Capacity {
    Fixed(u32),
    Option(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Action {
    pub id: String,
    pub stage: String,
    pub title: String,
    #[serde(rename = "for")]
    pub subjects: Selector,
    #[serde(default = "at_self")]
    pub at: At,
    #[serde(default)]
    pub when: Vec<String>,
    #[serde(default)]
    pub unless: Vec<String>,
    #[serde(default)]
    pub needs: Vec<Need>,
    #[serde(default)]
    pub budgets: Vec<Take>,
    pub script: Option<String>,
    pub builtin: Option<String>,
    #[serde(default)]
    pub params: Unique<Param>,
    #[serde(default)]
    pub outputs: Unique<Output>,
    pub effect: Effect,
    pub undo: Option<Undo>,
    #[serde(default)]
    pub changes: Changes,
    #[serde(default = "finish")]
    pub cancel: Cancel,
    pub users_write: Option<String>,
    #[serde(default)]
    pub relies: Vec<String>,
    #[serde(default)]
    pub repeatable: bool,
    #[serde(default = "five_minutes")]
    pub timeout: Seconds,
    #[serde(default)]
    pub retry: u32,
    pub estimate: Seconds,
}

fn at_self() -> At {
    At::Subject
}

fn finish() -> Cancel {
    Cancel::Finish
}

fn five_minutes() -> Seconds {
    Seconds(300)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Need {
    Same(String),
    All(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Take {
    pub take: String,
    pub until: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Param {
    Literal(String),
    Option(String),
    Value(String),
    Host(String),
    File(String),
    Asset(String),
    Secret(String),
    Output(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Output {
    pub kind: OutputKind,
    #[serde(rename = "type")]
    pub value_type: Option<ValueType>,
    pub max: Option<Size>,
    #[serde(default)]
    pub secret: bool,
    pub keep: Option<Keep>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Undo {
    Script,
    None,
    By(String),
    Impossible(String),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Changes {
    pub files: Vec<String>,
    pub units: Vec<String>,
    pub containers: Vec<String>,
    pub services: Vec<String>,
    pub volumes: Vec<String>,
    pub objects: Vec<String>,
}

/// A mapping whose keys are unique: for a plain map the last of two equal keys would win without a word.
pub(crate) struct Unique<V>(pub BTreeMap<String, V>);

impl<V> Default for Unique<V> {
    fn default() -> Self {
        Unique(BTreeMap::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Map<V> {
            type Value = Unique<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Unique<V>, A::Error> {
                let mut map = BTreeMap::new();
                while let Some((key, value)) = access.next_entry::<String, V>()? {
                    if map.contains_key(&key) {
                        return Err(de::Error::custom(format!("{key} stands twice")));
                    }
                    map.insert(key, value);
                }
                Ok(Unique(map))
            }
        }
        deserializer.deserialize_map(Map(PhantomData))
    }
}

/// A number followed by one of the given units.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (_, factor) = units.iter().find(|(unit, _)| *unit == &text[digits..])?;
    text[..digits].parse::<u64>().ok()?.checked_mul(*factor)
}

struct Text<T>(PhantomData<T>);

trait FromText: Sized {
    const WHAT: &'static str;
    fn from_text(text: &str) -> Option<Self>;
}

impl<T: FromText> Visitor<'_> for Text<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WHAT)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).ok_or_else(|| E::custom(format!("{text:?} is not {}", T::WHAT)))
    }
}

/// A duration such as `30s`, `5m` or `2h`.
pub(crate) struct Seconds(pub u32);

impl FromText for Seconds {
    const WHAT: &'static str = "a duration such as 30s, 5m or 2h";
    fn from_text(text: &str) -> Option<Self> {
        let seconds = quantity(text, &[("s", 1), ("m", 60), ("h", 3600)])?;
        u32::try_from(seconds).ok().map(Seconds)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(PhantomData))
    }
}

/// A size such as `64MiB`.
pub(crate) struct Size(pub Bytes);

impl FromText for Size {
    const WHAT: &'static str = "a size such as 4KiB, 64MiB or 8GiB";
    fn from_text(text: &str) -> Option<Self> {
        let units = [
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("TiB", 1 << 40),
        ];
        quantity(text, &units).map(|n| Size(Bytes(n)))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_need_a_number_and_a_known_unit() {
        assert_eq!(Seconds::from_text("5m").map(|s| s.0), Some(300));
        assert_eq!(Seconds::from_text("2h").map(|s| s.0), Some(7200));
        assert_eq!(Size::from_text("64MiB").map(|s| s.0), Some(Bytes(67_108_864)));
        for wrong in ["5", "m", "", "-5m", "5 m", "1.5h", "5d", "99999999999h"] {
            assert!(Seconds::from_text(wrong).is_none(), "{wrong}");
        }
        for wrong in [
            "64",
            "64MB",
            "64mib",
            "99999999999999999999MiB",
            "18446744073709551615KiB",
        ] {
            assert!(Size::from_text(wrong).is_none(), "{wrong}");
        }
    }
}
