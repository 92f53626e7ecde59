//! The data behind the conversion of flags: `plans/upgrade/kubernetes/` and the texts of its findings, read and checked.

use super::gates::GateTable;
use super::policy::Policy;
use crate::catalogue::Bundle;
use crate::convert::kubelet::FieldTable;
use crate::model::{Component, Severity};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::collections::BTreeMap;
use std::fmt;

const FLAGS: &str = "kubernetes/flags.yaml";
const GATES: &str = "kubernetes/feature-gates.yaml";
const FIELDS: &str = "kubernetes/kubelet-fields.yaml";
const POLICY: &str = "kubernetes/flag-policy.yaml";
const FINDINGS: &str = "findings/flags.yaml";

/// A data file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plans/upgrade/{file}: {message}")]
pub struct TableError {
    /// Path below `plans/upgrade/`.
    pub file: String,
    /// What is wrong: a lower-case fragment.
    pub message: String,
}

impl TableError {
    fn new(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            message: message.into(),
        }
    }
}

/// A minor release of Kubernetes 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Minor(pub u32);

impl Minor {
    /// Reads `1.32`, `v1.32` and full versions such as `v1.31.7-mirantis-1`.
    pub(crate) fn parse(text: &str) -> Option<Minor> {
        let rest = text.strip_prefix('v').unwrap_or(text).strip_prefix("1.")?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        match rest.as_bytes().get(digits) {
            None | Some(b'.' | b'-' | b'+') => rest[..digits].parse().ok().map(Minor),
            Some(_) => None,
        }
    }
}

impl TryFrom<String> for Minor {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Minor::parse(&text).ok_or_else(|| format!("`{text}` is no Kubernetes minor such as 1.32"))
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

/// The type of a flag's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FlagType {
    Bool,
    Int,
    Float,
    Duration,
    String,
    File,
    List,
    Map,
    Repeat,
    Gates,
    PreviousMinor,
}

/// One flag of one component.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlagDef {
    #[serde(rename = "type")]
    pub kind: FlagType,
    pub from: Option<Minor>,
    pub to: Option<Minor>,
    pub deprecated: Option<Minor>,
    #[serde(default)]
    pub gone: String,
}

impl FlagDef {
    /// True when the component of that minor registers the flag.
    pub(crate) fn registered(&self, minor: Minor) -> bool {
        self.from.is_none_or(|from| from <= minor) && self.to.is_none_or(|to| minor <= to)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FlagsFile {
    #[serde(rename = "_about")]
    _about: IgnoredAny,
    minors: Vec<Minor>,
    components: BTreeMap<Component, BTreeMap<String, FlagDef>>,
    before: BTreeMap<Component, BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FindingText {
    code: String,
    severity: Severity,
    #[serde(rename = "title")]
    _title: String,
    #[serde(rename = "explain")]
    _explain: String,
    #[serde(rename = "remedy")]
    _remedy: String,
}

/// Flags, feature gates, kubelet fields and what MKE 4k and k0s keep to themselves.
#[derive(Clone, Debug)]
pub struct FlagTables {
    minors: Vec<Minor>,
    flags: BTreeMap<Component, BTreeMap<String, FlagDef>>,
    before: BTreeMap<Component, BTreeMap<String, String>>,
    pub(crate) gates: GateTable,
    pub(crate) fields: FieldTable,
    pub(crate) policy: Policy,
    severities: BTreeMap<String, Severity>,
}

fn read<T: DeserializeOwned>(bundle: &Bundle, file: &str) -> Result<T, TableError> {
    let text = bundle
        .text(file)
        .ok_or_else(|| TableError::new(file, "it is missing, or not UTF-8"))?;
    crate::yaml::typed(text).map_err(|error| TableError::new(file, error.to_string()))
}

impl FlagTables {
    /// Reads and checks the tables of a bundle. Every flag, component and finding code that one table names must exist in
    /// the table that defines it.
    pub fn load(bundle: &Bundle) -> Result<FlagTables, TableError> {
        let flags: FlagsFile = read(bundle, FLAGS)?;
        let findings: Vec<FindingText> = read(bundle, FINDINGS)?;
        let tables = FlagTables {
            minors: flags.minors,
            flags: flags.components,
            before: flags.before,
            gates: GateTable::new(read(bundle, GATES)?).map_err(|error| TableError::new(GATES, error))?,
            fields: FieldTable::new(read(bundle, FIELDS)?).map_err(|error| TableError::new(FIELDS, error))?,
            policy: read(bundle, POLICY)?,
            severities: findings
                .into_iter()
                .map(|finding| (finding.code, finding.severity))
                .collect(),
        };
        tables.check()?;
        Ok(tables)
    }

    fn check(&self) -> Result<(), TableError> {
        for component in Component::ALL {
            let name = component.name();
            if !self.flags.contains_key(&component) {
                return Err(TableError::new(FLAGS, format!("{name} has no flags")));
            }
            if !self.policy.components.contains_key(&component) {
                return Err(TableError::new(POLICY, format!("{name} has no target")));
            }
            for flag in self.policy.flags(component) {
                if self.flag(component, flag).is_none() {
                    return Err(TableError::new(POLICY, format!("{name} has no flag {flag}")));
                }
            }
        }
        for flag in self.fields.flags() {
            if self.flag(Component::Kubelet, flag).is_none() {
                return Err(TableError::new(FIELDS, format!("kubelet has no flag {flag}")));
            }
        }
        for gate in self.fields.gates() {
            if !self.gates.knows(gate) {
                return Err(TableError::new(
                    FIELDS,
                    format!("there is no feature gate {gate}"),
                ));
            }
        }
        for code in self.policy.codes().chain(super::CODES) {
            if !self.severities.contains_key(code) {
                return Err(TableError::new(FINDINGS, format!("{code} has no text")));
            }
        }
        Ok(())
    }

    /// Kubernetes minors that the tables know, oldest first, such as `1.32`.
    pub fn minors(&self) -> impl Iterator<Item = String> {
        self.minors.iter().map(Minor::to_string)
    }

    /// True when the component of that Kubernetes minor registers the flag.
    pub fn registered(&self, component: Component, flag: &str, minor: &str) -> bool {
        Minor::parse(minor).is_some_and(|minor| {
            self.flag(component, flag)
                .is_some_and(|def| def.registered(minor))
        })
    }

    /// Kubelet flags that have a KubeletConfiguration field, each with the path of the field.
    pub fn kubelet_fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.rows()
    }

    pub(crate) fn flag(&self, component: Component, name: &str) -> Option<&FlagDef> {
        self.flags.get(&component)?.get(name)
    }

    /// Why a flag was gone before the first minor of the table.
    pub(crate) fn gone_before(&self, component: Component, name: &str) -> Option<&str> {
        self.before.get(&component)?.get(name).map(String::as_str)
    }

    /// The minor, when the tables know it.
    pub(crate) fn known(&self, minor: &str) -> Option<Minor> {
        Minor::parse(minor).filter(|minor| self.minors.contains(minor))
    }

    pub(crate) fn severity(&self, code: &str) -> Severity {
        self.severities.get(code).copied().unwrap_or(Severity::Warning)
    }

    /// The registered flag whose name is nearest, when one is near enough to be a slip of the keyboard.
    pub(crate) fn nearest(&self, component: Component, name: &str, minor: Minor) -> Option<&str> {
        let flags = self.flags.get(&component)?;
        nearest(
            name,
            flags
                .iter()
                .filter(|(_, def)| def.registered(minor))
                .map(|(flag, _)| flag.as_str()),
        )
    }

    /// Other components of that minor that register a flag of this name.
    pub(crate) fn elsewhere(&self, component: Component, name: &str, minor: Minor) -> Vec<&'static str> {
        Component::ALL
            .into_iter()
            .filter(|other| *other != component)
            .filter(|other| self.flag(*other, name).is_some_and(|def| def.registered(minor)))
            .map(Component::name)
            .collect()
    }
}

/// The nearest of several names; the first of equals. Short names must be nearer than long ones.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer texts are no slip of the keyboard, and the distance is quadratic in the length.
    if name.len() > 100 {
        return None;
    }
    let allowed = (name.len() / 4).clamp(1, 3);
    let mut best: Option<(usize, &str)> = None;
    for candidate in names {
        let distance = strsim::osa_distance(name, candidate);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minors_are_read_from_versions() {
        for (text, minor) in [
            ("1.32", Some(32)),
            ("v1.31.7-mirantis-1", Some(31)),
            ("1.32+k0s", Some(32)),
            ("2.1", None),
            ("1.", None),
            ("1.3x", None),
            ("", None),
        ] {
            assert_eq!(Minor::parse(text), minor.map(Minor), "{text}");
        }
    }

    #[test]
    fn a_missing_or_wrong_file_is_named() {
        let error = FlagTables::load(&Bundle::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "plans/upgrade/kubernetes/flags.yaml: it is missing, or not UTF-8"
        );
        let embedded = Bundle::embedded();
        let with = |file: &str, text: &str| {
            let files = embedded.names().map(|name| {
                let old = embedded.text(name).unwrap();
                (
                    name.to_owned(),
                    if name == file {
                        text.to_owned()
                    } else {
                        old.to_owned()
                    },
                )
            });
            FlagTables::load(&Bundle::from_files(files)).unwrap_err()
        };
        assert_eq!(with(FLAGS, "minors: 7").file, FLAGS);
        let policy = embedded
            .text(POLICY)
            .unwrap()
            .replace("[hostname-override]", "[hostname-overwrite]");
        assert_eq!(
            with(POLICY, &policy).message,
            "kubelet has no flag hostname-overwrite"
        );
        let gates = embedded
            .text(GATES)
            .unwrap()
            .replace("AllAlpha: [special off", "AllAlpha: [special maybe");
        assert!(with(GATES, &gates).message.contains("AllAlpha"));
        assert!(with(FINDINGS, "[]").message.ends_with("has no text"));
    }
}
