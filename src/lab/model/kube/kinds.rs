//! Which resources an API server has: built in, and what CustomResourceDefinitions add.

use super::field;
use crate::lab::model::etcd::Store;
use serde_json::Value;
use std::sync::LazyLock;

const KINDS: &str = include_str!("kinds.txt");

/// A resource of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// `pods`.
    pub plural: String,
    /// Names that clients may use as well.
    pub short: Vec<String>,
    /// `Pod`.
    pub kind: String,
    /// Group; empty for the core.
    pub group: String,
    /// Version.
    pub version: String,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// Where its objects are in etcd, below `/registry/`.
    pub path: String,
    /// Whether a CustomResourceDefinition makes it.
    pub custom: bool,
}

impl Resource {
    /// `apps/v1`, `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `deployments.apps`, `pods`: how errors call it.
    pub fn full(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Key of an object, or with an empty name what all keys of the namespace begin with.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        if self.namespaced {
            format!("/registry/{}/{namespace}/{name}", self.path)
        } else {
            format!("/registry/{}/{name}", self.path)
        }
    }

    /// What all keys of it begin with.
    pub fn prefix(&self) -> String {
        format!("/registry/{}/", self.path)
    }

    fn is(&self, word: &str) -> bool {
        let name = word.split_once('.').map_or(word, |(name, _)| name);
        let group = word.split_once('.').map(|(_, group)| group);
        let named = self.plural == name
            || self.kind.eq_ignore_ascii_case(name)
            || self.short.iter().any(|short| short == name);
        // `deployments.v1.apps` is a way to write it as well.
        named
            && group.is_none_or(|group| {
                group == self.group || group == format!("{}.{}", self.version, self.group)
            })
    }
}

/// What is built in.
static BUILT_IN: LazyLock<Vec<Resource>> = LazyLock::new(|| {
    KINDS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [plural, short, kind, version, scope, path] = words.as_slice() else {
                return None;
            };
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            Some(Resource {
                plural: (*plural).to_owned(),
                short: short
                    .split(',')
                    .filter(|short| *short != "-")
                    .map(str::to_owned)
                    .collect(),
                kind: (*kind).to_owned(),
                group: group.to_owned(),
                version: version.to_owned(),
                namespaced: *scope == "namespaced",
                path: (*path).to_owned(),
                custom: false,
            })
        })
        .collect()
});

/// Where definitions are.
const DEFINITIONS: &str = "/registry/apiextensions.k8s.io/customresourcedefinitions/";

fn custom(store: &Store) -> impl Iterator<Item = Resource> {
    store
        .range(DEFINITIONS)
        .filter_map(|(_, entry)| of_definition(entry.value()?))
}

/// All resources, in the order that discovery lists them.
pub fn resources(store: &Store) -> Vec<Resource> {
    BUILT_IN.iter().cloned().chain(custom(store)).collect()
}

fn of_definition(crd: &Value) -> Option<Resource> {
    let text = |path: &[&str]| field(crd, path).and_then(Value::as_str).map(str::to_owned);
    let (plural, group) = (text(&["spec", "names", "plural"])?, text(&["spec", "group"])?);
    let versions = field(crd, &["spec", "versions"])?.as_array()?;
    let served = |version: &&Value| version["served"] == Value::Bool(true);
    let version = versions
        .iter()
        .filter(served)
        .find(|version| version["storage"] == Value::Bool(true))
        .or_else(|| versions.iter().find(served))?;
    Some(Resource {
        path: format!("{group}/{plural}"),
        short: field(crd, &["spec", "names", "shortNames"])
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        kind: text(&["spec", "names", "kind"])?,
        version: version["name"].as_str()?.to_owned(),
        namespaced: text(&["spec", "scope"])? == "Namespaced",
        custom: true,
        plural,
        group,
    })
}

/// The resource that a word of a command line means: plural, singular, kind or short name, with or without its group.
pub fn named(store: &Store, word: &str) -> Option<Resource> {
    let lower = word.to_ascii_lowercase();
    if let Some(found) = BUILT_IN.iter().find(|resource| resource.is(&lower)) {
        return Some(found.clone());
    }
    let by_name = store
        .get(&format!("{DEFINITIONS}{lower}"))
        .and_then(|entry| of_definition(entry.value()?));
    by_name.or_else(|| custom(store).find(|resource| resource.is(&lower)))
}

/// The resource of an object with this `apiVersion` and `kind`.
pub fn of_kind(store: &Store, api_version: &str, kind: &str) -> Option<Resource> {
    let is = |resource: &Resource| resource.kind == kind && resource.api_version() == api_version;
    BUILT_IN
        .iter()
        .find(|resource| is(resource))
        .cloned()
        .or_else(|| custom(store).find(is))
}
