//! `k0s.yaml`, driven by `plans/upgrade/k0s-config.yaml`.

use super::mke4::overlay;
use crate::catalogue::{Bundle, Release};
use crate::convert::settings::path::DocPath;
use crate::convert::settings::{SettingsTable, TableError, data};
use crate::model::{Finding, Subject, SubjectKind};
use crate::yaml::{self, Node};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Files on the hosts that flags of the API server may name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct K0sFiles {
    /// The encryption configuration that MKE 3 used was carried over.
    pub encryption: bool,
    /// An audit policy was placed.
    pub audit: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum As {
    Text,
    Copy,
    Bytes,
    Join,
    Host,
    WhenTrue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Needs {
    Encryption,
    Audit,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    from: String,
    to: String,
    #[serde(rename = "as")]
    how: As,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    needs: Option<Needs>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    name: String,
    reserved: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profiles {
    manager: Profile,
    worker: Profile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum FieldKind {
    String,
    Duration,
    Bool,
    Int32,
    Int64,
    StringList,
    StringMap,
    Object,
    ObjectList,
    Free,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    #[serde(rename = "type")]
    kind: FieldKind,
    #[serde(default, rename = "enum")]
    one_of: Vec<String>,
    #[serde(default)]
    since: Option<String>,
}

/// How `k0s.yaml` is made, and which fields k0s knows.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct K0sTable {
    base: Node,
    hold: Node,
    moves: Vec<Move>,
    kubelet: Vec<String>,
    profiles: Profiles,
    fields: BTreeMap<String, Field>,
}

impl K0sTable {
    /// Loads and checks `k0s-config.yaml`.
    pub fn load(bundle: &Bundle) -> Result<K0sTable, TableError> {
        const FILE: &str = "k0s-config.yaml";
        let table: K0sTable = data(bundle, FILE)?;
        for entry in &table.moves {
            for path in [&entry.from, &entry.to] {
                DocPath::parse(path).map_err(|message| TableError::new(FILE, message))?;
            }
        }
        Ok(table)
    }

    /// The worker profile of a manager that no label gave another one.
    pub fn manager_profile(&self) -> &str {
        &self.profiles.manager.name
    }

    /// The worker profile of a worker that no label gave another one.
    pub fn worker_profile(&self) -> &str {
        &self.profiles.worker.name
    }
}

/// The `k0s.yaml` of the controllers, from a complete `mke4.yaml`.
///
/// `hold` adds what keeps the controller manager from evicting pods of hosts that still run MKE 3. `controllers` are the
/// addresses of all controllers, for the certificate. The peer address of etcd is the placeholder `mkectl-host:private-address`.
pub fn k0s_document(
    table: &K0sTable,
    mke4: &Node,
    controllers: &[String],
    files: K0sFiles,
    hold: bool,
) -> Node {
    let mut document = table.base.clone();
    for entry in &table.moves {
        let on_host = match entry.needs {
            Some(Needs::Encryption) => files.encryption,
            Some(Needs::Audit) => files.audit && flag(mke4, &["spec", "apiServer", "audit", "enabled"]),
            None => true,
        };
        let (Ok(from), Ok(to)) = (DocPath::parse(&entry.from), DocPath::parse(&entry.to)) else {
            continue;
        };
        if let (true, Some(value)) = (on_host, from.get(mke4).and_then(|node| moved(entry, node))) {
            let mut tree = Node::map();
            to.set(&mut tree, value);
            overlay(&mut document, &tree);
        }
    }
    let api = document.entry("spec").entry("api");
    let mut sans: Vec<Node> = api.get("sans").map_or(&[][..], Node::items).to_vec();
    let external = api
        .get("externalAddress")
        .and_then(Node::as_str)
        .unwrap_or_default();
    for name in std::iter::once(external.to_owned()).chain(controllers.iter().cloned()) {
        if !name.is_empty() && !sans.contains(&Node::Str(name.clone())) {
            sans.push(Node::Str(name));
        }
    }
    if !sans.is_empty() {
        api.insert("sans", Node::List(sans));
    }
    document
        .entry("spec")
        .insert("workerProfiles", worker_profiles(table, mke4));
    if let Some(url) = mke4
        .at(&["spec", "registries", "imageRegistry", "url"])
        .and_then(Node::as_str)
        && flag(mke4, &["spec", "airgap", "enabled"])
    {
        document
            .entry("spec")
            .entry("images")
            .insert("repository", url.into());
    }
    if hold {
        overlay(&mut document, &table.hold);
    }
    document
}

fn flag(node: &Node, keys: &[&str]) -> bool {
    node.at(keys).and_then(Node::as_bool).unwrap_or(false)
}

fn moved(entry: &Move, node: &Node) -> Option<Node> {
    match entry.how {
        As::Copy => match node {
            Node::Map(map) if map.is_empty() => None,
            Node::List(items) if items.is_empty() => None,
            other => Some(other.clone()),
        },
        As::Text => match node {
            Node::Str(text) if text.is_empty() => None,
            Node::Str(text) => Some(Node::Str(text.clone())),
            Node::Bool(_) | Node::Int(_) => Some(Node::Str(yaml::flow(node))),
            _ => None,
        },
        As::Host => {
            let text = node.as_str().filter(|text| !text.is_empty())?;
            Some(Node::Str(without_port(text).to_owned()))
        }
        As::Join => {
            let items: Vec<&str> = node.items().iter().filter_map(Node::as_str).collect();
            (!items.is_empty()).then(|| Node::Str(items.join(",")))
        }
        As::WhenTrue => {
            (node.as_bool() == Some(true)).then(|| Node::from(entry.value.clone().unwrap_or_default()))
        }
        As::Bytes => bytes(node.as_str()?).map(|size| Node::Str(size.to_string())),
    }
}

/// `host`, `host:port`, `[v6]:port` or a bare IPv6 address, without the port.
fn without_port(text: &str) -> &str {
    if let Some((inner, _)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return inner;
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => text,
    }
}

/// A size with a unit in bytes. Units are powers of 1024 in both spellings, as Docker's tools read them: rounding a quota up is
/// harmless, rounding it down is not.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_lowercase();
    let power = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return None,
    };
    let unit = 1024_u64.pow(power);
    let (whole, fraction) = digits.trim().split_once('.').unwrap_or((digits.trim(), ""));
    let number: u128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    u64::try_from(number.checked_mul(u128::from(unit))? / scale).ok()
}

fn worker_profiles(table: &K0sTable, mke4: &Node) -> Node {
    let empty = Node::map();
    let kubelet = mke4.at(&["spec", "kubelet"]).unwrap_or(&empty);
    let values = |reserved: &str| {
        let mut values = Node::map();
        for field in &table.kubelet {
            if let Some(value) = kubelet.get(field) {
                values.insert(field, value.clone());
            }
        }
        if let Some(value) = kubelet.get(reserved) {
            values.insert("kubeReserved", value.clone());
        }
        values
    };
    let profile = |name: &str, values: Node| {
        let mut node = Node::map();
        node.insert("name", name.into());
        node.insert("values", values);
        node
    };
    let Profiles { manager, worker } = &table.profiles;
    let mut profiles = vec![
        profile(&manager.name, values(&manager.reserved)),
        profile(&worker.name, values(&worker.reserved)),
    ];
    for custom in kubelet.get("customProfiles").map_or(&[][..], Node::items) {
        let mut merged = values(&worker.reserved);
        overlay(&mut merged, custom.get("values").unwrap_or(&empty));
        let name = custom.get("name").and_then(Node::as_str).unwrap_or_default();
        profiles.push(profile(name, merged));
    }
    Node::List(profiles)
}

/// Fields of a `k0s.yaml` that the k0s of a release does not know, or that have the wrong type. Empty for every document that
/// [`k0s_document`] makes; k0s itself ignores unknown fields in some places without a word.
pub fn k0s_problems(
    table: &K0sTable,
    settings: &SettingsTable,
    document: &Node,
    release: &Release,
) -> Vec<Finding> {
    let mut problems = Vec::new();
    walk(table, document, "", &release.kubernetes, &mut problems);
    let remedy = settings
        .findings
        .get("K0S-FIELD")
        .map_or(String::new(), |def| def.remedy.clone());
    problems
        .into_iter()
        .map(|(path, message)| Finding {
            severity: settings.severity("K0S-FIELD"),
            code: "K0S-FIELD".to_owned(),
            subject: Subject::new(SubjectKind::Setting, path),
            message,
            remedy: remedy.clone(),
            hosts: Vec::new(),
        })
        .collect()
}

fn walk(table: &K0sTable, node: &Node, path: &str, kubernetes: &str, out: &mut Vec<(String, String)>) {
    let Node::Map(map) = node else {
        out.push((path.to_owned(), "is not a mapping".to_owned()));
        return;
    };
    let minor = |text: &str| -> u32 { text.split('.').nth(1).and_then(|m| m.parse().ok()).unwrap_or(0) };
    for (key, value) in map {
        let here = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        let Some(field) = table.fields.get(&here) else {
            out.push((here.clone(), format!("{here} is not a field of k0s.yaml")));
            continue;
        };
        if field
            .since
            .as_ref()
            .is_some_and(|since| minor(kubernetes) < minor(since))
        {
            out.push((here.clone(), format!("{here} is not a field of this k0s yet")));
        }
        let is_string = |node: &Node| node.as_str().is_some();
        let fits = match (field.kind, value) {
            (FieldKind::Free, _) => true,
            (FieldKind::Object, Node::Map(_)) => {
                walk(table, value, &here, kubernetes, out);
                true
            }
            (FieldKind::ObjectList, Node::List(items)) => {
                for item in items {
                    walk(table, item, &format!("{here}[]"), kubernetes, out);
                }
                true
            }
            (FieldKind::String | FieldKind::Duration, Node::Str(text)) => {
                field.one_of.is_empty() || field.one_of.contains(text)
            }
            (FieldKind::Bool, Node::Bool(_)) => true,
            (FieldKind::Int32 | FieldKind::Int64, Node::Int(_)) => true,
            (FieldKind::StringList, Node::List(items)) => items.iter().all(is_string),
            (FieldKind::StringMap, Node::Map(map)) => map.values().all(is_string),
            _ => false,
        };
        if !fits {
            out.push((here.clone(), format!("{here} has a value that k0s does not take")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_addresses() {
        for (text, expected) in [
            ("8GB", Some(8 << 30)),
            ("2gib", Some(2 << 30)),
            ("512MB", Some(512 << 20)),
            ("1024", Some(1024)),
            ("1.5k", Some(1536)),
            ("many", None),
            ("", None),
            ("99999999999999999999GB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
        for (text, expected) in [
            ("mke.example.com", "mke.example.com"),
            ("mke.example.com:8443", "mke.example.com"),
            ("[fd00::1]:443", "fd00::1"),
            ("fd00::1", "fd00::1"),
        ] {
            assert_eq!(without_port(text), expected);
        }
    }
}
