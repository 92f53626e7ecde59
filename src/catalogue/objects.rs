//! `mke3-objects.yaml`: what belongs to MKE 3 and is removed by exact name.

use super::{Bundle, CatalogueError};
use serde::Deserialize;

const FILE: &str = "mke3-objects.yaml";

/// Kinds whose objects hold users' data or addresses: no list may name one.
const NEVER: [&str; 4] = [
    "customresourcedefinitions",
    "ippools",
    "ipamblocks",
    "networkpolicies",
];

/// What belongs to MKE 3, each list in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mke3Objects {
    /// Objects in the cluster, `resource/namespace/name`.
    pub objects: Vec<String>,
    /// Docker volumes.
    pub volumes: Vec<String>,
    /// Prefixes of etcd keys that change by themselves while MKE 3 runs.
    pub passing: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    schema: u32,
    objects: Vec<String>,
    volumes: Vec<String>,
    passing: Vec<String>,
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_'))
}

impl Mke3Objects {
    /// Reads the lists of a bundle; refuses globs, forms other than names, and kinds that hold users' data.
    pub fn load(bundle: &Bundle) -> Result<Mke3Objects, CatalogueError> {
        let Some(text) = bundle.text(FILE) else {
            return Err(CatalogueError::new(
                FILE,
                0,
                "is missing or not UTF-8",
                "put it there",
            ));
        };
        let raw: Raw = serde_yaml::from_str(text).map_err(|error| CatalogueError::yaml(FILE, &error))?;
        let fault = |name: &str, problem: &str, remedy: &str| {
            let line = (1u32..)
                .zip(text.lines())
                .find(|(_, line)| line.contains(name))
                .map_or(0, |(number, _)| number);
            Err(CatalogueError::new(
                FILE,
                line,
                format!("{name:?} {problem}"),
                remedy,
            ))
        };
        if raw.schema != 1 {
            return Err(CatalogueError::new(
                FILE,
                1,
                "its schema is not known to this build",
                "use schema 1",
            ));
        }
        for name in &raw.objects {
            let parts: Vec<&str> = name.split('/').collect();
            if parts.len() != 3 || !parts.iter().all(|part| is_name(part)) {
                return fault(
                    name,
                    "is not resource/namespace/name",
                    "write exact names, no globs",
                );
            }
            let kind = parts
                .first()
                .and_then(|part| part.split('.').next())
                .unwrap_or_default();
            if NEVER.contains(&kind) {
                return fault(
                    name,
                    "is of a kind that is never removed",
                    "remove it from the list",
                );
            }
        }
        for name in &raw.volumes {
            if !is_name(name) {
                return fault(name, "is not the name of a volume", "write exact names, no globs");
            }
        }
        for prefix in &raw.passing {
            if !prefix.starts_with("/registry/") || !prefix.ends_with('/') || prefix == "/registry/" {
                return fault(
                    prefix,
                    "is not a prefix of keys of one kind",
                    "write /registry/KIND/, with both slashes",
                );
            }
        }
        for list in [&raw.objects, &raw.volumes, &raw.passing] {
            if let Some((_, name)) = list
                .iter()
                .enumerate()
                .find(|(at, name)| list[..*at].contains(name))
            {
                return fault(name, "stands twice", "remove one of them");
            }
        }
        Ok(Mke3Objects {
            objects: raw.objects,
            volumes: raw.volumes,
            passing: raw.passing,
        })
    }

    /// The document `mke3-objects.txt`: one object a line.
    pub fn objects_text(&self) -> String {
        self.objects.iter().map(|name| format!("{name}\n")).collect()
    }

    /// The document `mke3-volumes.txt`: one volume a line.
    pub fn volumes_text(&self) -> String {
        self.volumes.iter().map(|name| format!("{name}\n")).collect()
    }
}
