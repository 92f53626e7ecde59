//! Custom flags as the MKE 3 configuration holds them.

use super::{FlagTables, RawFlag, text};
use crate::model::Component;
use crate::source::mke3::{Config, Leaf, Segment, Value};

/// Takes the custom flags out of a configuration: lists component by component, then the words of kubelet profiles in the
/// order of the file. A list entry that is no string is kept as it reads, so that it gets its row like any other.
///
/// The string of a profile is split like a shell does: white space separates, single and double quotes and backslashes
/// protect it. An empty profile gives one empty entry, so that the profile itself is not lost.
pub fn raw_flags(tables: &FlagTables, config: &Config) -> Vec<RawFlag> {
    let mut flags = Vec::new();
    for component in Component::ALL {
        let Some(place) = tables.policy.components.get(&component) else {
            continue;
        };
        for leaf in config
            .leaves
            .iter()
            .filter(|leaf| leaf.table_path() == place.from)
        {
            let mut push = |text: String, line: u32| {
                flags.push(RawFlag {
                    component,
                    profile: None,
                    text,
                    line,
                });
            };
            match &leaf.value {
                Value::Empty => {}
                Value::List(items) => items.iter().for_each(|(item, line)| push(written(item), *line)),
                single => push(written(single), leaf.line),
            }
        }
    }
    for leaf in &config.leaves {
        let Some(profile) = profile_name(leaf, &tables.policy.profiles.from) else {
            continue;
        };
        let mut words = match &leaf.value {
            Value::String(string) => text::split(string),
            other => vec![written(other)],
        };
        if words.is_empty() {
            words.push(String::new());
        }
        flags.extend(words.into_iter().map(|text| RawFlag {
            component: Component::Kubelet,
            profile: Some(profile.to_owned()),
            text,
            line: leaf.line,
        }));
    }
    flags
}

/// The name of the profile, when the leaf is one; as written, because node labels spell it so.
fn profile_name<'a>(leaf: &'a Leaf, table: &str) -> Option<&'a str> {
    let (last, parents) = leaf.path.split_last()?;
    let mut wanted = table.split('.');
    let below = parents.iter().all(|segment| {
        matches!((segment, wanted.next()), (Segment::Key(key), Some(part)) if key.to_lowercase() == part)
    });
    match last {
        Segment::Key(name) if below && wanted.next().is_none() => Some(name),
        _ => None,
    }
}

fn written(value: &Value) -> String {
    match value {
        Value::String(text) | Value::Datetime(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(on) => on.to_string(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|(item, _)| written(item)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Empty => String::new(),
    }
}
