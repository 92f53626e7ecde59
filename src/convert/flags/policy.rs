//! `flag-policy.yaml`: where flags go, which MKE 4k or k0s own, which have a field of their own.

use super::text::SecretNames;
use super::value;
use crate::model::Component;
use crate::yaml::Node;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// A scalar of a data file, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Scalar {
    Bool(bool),
    Int(i64),
    Str(String),
    List(Vec<Scalar>),
}

impl Scalar {
    pub(crate) fn node(&self) -> Node {
        match self {
            Scalar::Bool(value) => Node::Bool(*value),
            Scalar::Int(value) => Node::Int(*value),
            Scalar::Str(text) => Node::Str(text.clone()),
            Scalar::List(items) => Node::List(items.iter().map(Scalar::node).collect()),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    /// Key path in the MKE 3 configuration, in lower case.
    pub from: String,
    /// Path of the map in `mke4.yaml`.
    pub to: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    effective: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    Global,
    Profile,
}

/// Flags that are not carried over, and why.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refusal {
    flags: Vec<String>,
    #[serde(default = "managed")]
    pub code: String,
    #[serde(rename = "in")]
    scope: Option<Scope>,
    #[serde(default)]
    pub allow: Vec<String>,
    #[serde(default)]
    pub drop: bool,
    pub why: String,
    pub remedy: String,
}

fn managed() -> String {
    "FLAG-MANAGED".to_owned()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TwinType {
    Int,
    Bool,
    Duration,
    String,
    List,
    PortRange,
    Cidr,
    Resources,
}

/// A flag with a field of its own in `mke4.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Twin {
    pub to: Vec<String>,
    #[serde(rename = "as")]
    kind: Option<TwinType>,
    #[serde(default)]
    values: BTreeMap<String, Scalar>,
    #[serde(default, rename = "else")]
    otherwise: String,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    pub note: String,
}

/// What a twin makes of a value.
pub(crate) enum Twinned {
    /// Values for fields, by path.
    Fields(Vec<(String, Node)>),
    /// The field cannot say it, extraArgs can.
    ExtraArgs,
    /// Nothing can; why.
    Refused(String),
}

impl Twin {
    pub(crate) fn convert(&self, text: &str) -> Twinned {
        let node = match self.kind {
            None => self.values.get(text).map(Scalar::node),
            Some(TwinType::Int) => value::integer(text).map(Node::Int),
            Some(TwinType::Bool) => value::boolean(text).map(Node::Bool),
            Some(TwinType::Duration) => value::duration(text).map(|_| Node::Str(text.to_owned())),
            Some(TwinType::String) => (!text.is_empty()).then(|| Node::Str(text.to_owned())),
            Some(TwinType::List) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(Node::List(items.map(|item| Node::Str(item.to_owned())).collect()))
            }
            Some(TwinType::PortRange) => value::port_range(text).then(|| Node::Str(text.to_owned())),
            Some(TwinType::Cidr) => text
                .parse::<ipnet::IpNet>()
                .ok()
                .map(|_| Node::Str(text.to_owned())),
            Some(TwinType::Resources) => self.resources(text),
        };
        match node {
            Some(Node::Map(map)) => {
                let one = |to: &String| {
                    let entry = |(key, value): (&String, &Node)| (format!("{to}.{key}"), value.clone());
                    map.iter().map(entry).collect::<Vec<_>>()
                };
                Twinned::Fields(self.to.iter().flat_map(one).collect())
            }
            Some(node) => Twinned::Fields(self.to.iter().map(|to| (to.clone(), node.clone())).collect()),
            None if self.otherwise == "extraArgs" => Twinned::ExtraArgs,
            None if self.otherwise.is_empty() => {
                let expected = match self.kind {
                    Some(TwinType::Int) => "an integer",
                    Some(TwinType::Bool) => "true or false",
                    Some(TwinType::Duration) => "a duration such as 1m30s",
                    Some(TwinType::PortRange) => "a range of ports such as 32768-35535",
                    Some(TwinType::Cidr) => "one address range such as 10.96.0.0/16",
                    _ => "a value",
                };
                Twinned::Refused(format!("the field of MKE 4k takes {expected}"))
            }
            None => Twinned::Refused(self.otherwise.clone()),
        }
    }

    fn resources(&self, text: &str) -> Option<Node> {
        let mut map = BTreeMap::new();
        for pair in text.split(',') {
            let (key, amount) = pair.trim().split_once('=')?;
            let fits = self.keys.iter().any(|known| known == key)
                && matches!(
                    value::quantity(amount)?,
                    value::Sign::Positive | value::Sign::Zero
                );
            if !fits {
                return None;
            }
            map.insert(key.to_owned(), Node::Str(amount.to_owned()));
        }
        Some(Node::Map(map))
    }
}

/// How kubelet profiles are named, chosen and stored.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfilePolicy {
    pub from: String,
    pub label: String,
    pub to: String,
    pub reserved: Vec<String>,
    pub rename_prefix: String,
}

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    #[serde(rename = "_about")]
    _about: IgnoredAny,
    pub components: BTreeMap<Component, Place>,
    pub secrets: SecretNames,
    split_at_space: Vec<Component>,
    pub checked_as_kubelet: Vec<String>,
    config_file: BTreeMap<Component, ConfigFile>,
    refused: BTreeMap<Component, Vec<Refusal>>,
    twins: BTreeMap<Component, BTreeMap<String, Twin>>,
    pub profiles: ProfilePolicy,
}

/// True when a name fits a pattern, in which `*` at the end stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

impl Policy {
    /// Whole flag names (no patterns) that the file names for a component.
    pub(crate) fn flags(&self, component: Component) -> impl Iterator<Item = &str> {
        let refused = self.refused.get(&component).into_iter().flatten();
        let twins = self.twins.get(&component).into_iter().flatten();
        refused
            .flat_map(|refusal| refusal.flags.iter())
            .chain(twins.map(|(name, _)| name))
            .map(String::as_str)
            .filter(|name| !name.ends_with('*'))
    }

    /// Finding codes that the file names.
    pub(crate) fn codes(&self) -> impl Iterator<Item = &str> {
        self.refused
            .values()
            .flatten()
            .map(|refusal| refusal.code.as_str())
    }

    /// Why a flag is not carried over, if so.
    pub(crate) fn refusal(&self, component: Component, name: &str, in_profile: bool) -> Option<&Refusal> {
        let scope = if in_profile { Scope::Profile } else { Scope::Global };
        self.refused.get(&component)?.iter().find(|refusal| {
            refusal.scope.is_none_or(|only| only == scope)
                && refusal.flags.iter().any(|pattern| fits(pattern, name))
        })
    }

    pub(crate) fn twin(&self, component: Component, name: &str) -> Option<&Twin> {
        self.twins.get(&component)?.get(name)
    }

    /// True when k0s splits the component's extra arguments at white space.
    pub(crate) fn splits(&self, component: Component) -> bool {
        self.split_at_space.contains(&component)
    }

    /// True when the component reads a configuration file that makes the flag count for nothing.
    pub(crate) fn outdone_by_file(&self, component: Component, name: &str) -> bool {
        self.config_file
            .get(&component)
            .is_some_and(|file| !file.effective.iter().any(|effective| effective == name))
    }
}
