//! What actions hand on, and the parameters of an action with their values.

use super::call::Verb;
use super::secret::Secret;
use crate::model::{Action, Host, OutputKind, ParamSource, Spec, Step, ValueType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A value is at most so many bytes.
pub const VALUE_LIMIT: usize = 4096;

/// A file on the host that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileOutput {
    /// Id of the host; empty for the operator's machine.
    pub host: String,
    /// Path there.
    pub path: String,
    /// Size in bytes.
    pub size: crate::model::Bytes,
    /// `sha256:…` of its content.
    pub sha256: String,
}

/// What an action hands on.
#[derive(Clone, Debug)]
pub enum OutputValue {
    /// A short text.
    Value(String),
    /// A file.
    File(FileOutput),
    /// A secret.
    Secret(Secret),
}

/// What the journal keeps of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Recorded {
    /// A short text.
    Value(String),
    /// A file.
    File(FileOutput),
    /// There was a secret, which the journal does not keep.
    Secret,
}

impl OutputValue {
    /// What the journal keeps.
    pub fn recorded(&self) -> Recorded {
        match self {
            OutputValue::Value(text) => Recorded::Value(text.clone()),
            OutputValue::File(file) => Recorded::File(file.clone()),
            OutputValue::Secret(_) => Recorded::Secret,
        }
    }
}

/// Why outputs or parameters are refused. Never says a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// The step declares it, and it is not there.
    #[error("{step} did not hand on {name}")]
    Missing {
        /// Step.
        step: String,
        /// Output.
        name: String,
    },
    /// It is there, and the step does not declare it so.
    #[error("{step} handed on {name}, which is {why}")]
    Wrong {
        /// Step.
        step: String,
        /// Output.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A parameter has no value.
    #[error("{name} of {action} has no value: {source_name} is not there")]
    Unresolved {
        /// Action.
        action: String,
        /// Parameter.
        name: String,
        /// Where it should come from.
        source_name: String,
    },
}

/// Holds a value against its type. The error says what it is not.
pub fn check_value(value: &str, kind: Option<ValueType>) -> Result<(), &'static str> {
    let word = |text: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._:/@+-".contains(c);
        !text.is_empty() && text.chars().all(allowed)
    };
    if value.len() > VALUE_LIMIT {
        return Err("longer than 4 KiB");
    }
    let (fits, otherwise) = match kind {
        Some(ValueType::Integer) => (
            !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()),
            "no row of digits",
        ),
        Some(ValueType::Sha256) => (
            value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "no SHA-256 in 64 hexadecimal digits",
        ),
        Some(ValueType::Word) | None => (word(value), "no single word"),
        Some(ValueType::Version) => (word(value) && version(value), "no version such as 1.2.3"),
        Some(ValueType::Address) => (address(value), "no IP address or DNS name"),
    };
    if fits { Ok(()) } else { Err(otherwise) }
}

fn version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts = text.splitn(3, '.');
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let whole = parts.next().is_some_and(digits) && parts.next().is_some_and(digits);
    let last = parts.next().unwrap_or_default();
    let end = last.find(|c: char| !c.is_ascii_digit()).unwrap_or(last.len());
    whole && end > 0 && (end == last.len() || "-+.".contains(&last[end..=end]))
}

fn address(text: &str) -> bool {
    let port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        let v6 = host.parse::<std::net::Ipv6Addr>().is_ok();
        return v6 && (rest.is_empty() || rest.strip_prefix(':').is_some_and(port));
    }
    let (host, fits) = match text.split_once(':') {
        Some((host, number)) => (host, port(number)),
        None => (text, true),
    };
    let label = |label: &str| {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len())
            && label.chars().all(inside)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    fits && host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

/// Holds what an action handed on against what its step declares: everything is there, of its type, and nothing else.
///
/// # Errors
///
/// The first output that does not fit.
pub fn check(step: &Step, outputs: &BTreeMap<String, OutputValue>) -> Result<(), OutputError> {
    let wrong = |name: &str, why: &str| OutputError::Wrong {
        step: step.id.clone(),
        name: name.to_owned(),
        why: why.to_owned(),
    };
    for (name, declared) in &step.outputs {
        let value = outputs.get(name).ok_or_else(|| OutputError::Missing {
            step: step.id.clone(),
            name: name.clone(),
        })?;
        match (declared.kind, value) {
            (OutputKind::Value, OutputValue::Value(text)) => {
                check_value(text, declared.value_type).map_err(|why| wrong(name, why))?;
            }
            (OutputKind::File, OutputValue::File(file)) => {
                let hash = file.sha256.strip_prefix("sha256:").unwrap_or_default();
                check_value(hash, Some(ValueType::Sha256)).map_err(|why| wrong(name, why))?;
                if declared.max.is_some_and(|max| file.size > max) {
                    return Err(wrong(name, "larger than the plan allows"));
                }
            }
            (OutputKind::Secret, OutputValue::Secret(_)) => {}
            _ => return Err(wrong(name, "of another kind than the plan says")),
        }
    }
    match outputs.keys().find(|name| !step.outputs.contains_key(*name)) {
        Some(unknown) => Err(wrong(unknown, "not in the plan")),
        None => Ok(()),
    }
}

/// A file that has to be on the host before the script starts; the parameter is its path there.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A generated document of the plan.
    Document {
        /// Its name.
        name: String,
        /// Key of the plan's `files`.
        digest: String,
        /// It has placeholders for secrets, which are to be filled in, and then is one itself.
        secrets: bool,
    },
    /// A binary, image or chart.
    Asset {
        /// Its name, a row of the plan's `assets`.
        name: String,
    },
    /// A file that another action made: in place, or to be carried over from its host.
    Output(FileOutput),
}

/// The parameters of an action with their values.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Environment of the script.
    pub env: BTreeMap<String, String>,
    /// Secrets: the script gets the path of a file with the value in `NAME_FILE`.
    pub secrets: BTreeMap<String, Secret>,
    /// Files: the script gets the path in `NAME`.
    pub files: BTreeMap<String, Delivery>,
    /// Parameters whose values went with the memory of an earlier run. With any of these nothing may begin: an attempt that
    /// has begun is attended to, and when the host knows of none, the answer is that it was cancelled, untouched.
    pub missing: BTreeSet<String>,
    /// For an undo: what the action handed on when it ran, without secrets.
    pub own: BTreeMap<String, Recorded>,
}

/// Where values come from that exist only while a plan runs.
pub trait Values {
    /// What an action (by id) handed on.
    fn output(&self, action: &str, name: &str) -> Option<OutputValue>;
    /// A secret of the plan's `secrets`.
    fn secret(&self, name: &str) -> Option<Secret>;
    /// Whether the plan has an action.
    fn has(&self, action: &str) -> bool;
    /// The action of a step that has only one.
    fn only(&self, step: &str) -> Option<&str>;
}

/// Resolves the parameters of an action. An undo gets no secrets, which nobody should have to look for then, and does without
/// outputs of what never ended: it has to work from any half-done state.
///
/// # Errors
///
/// [`OutputError::Unresolved`] names the parameter and its source, never a value.
pub fn resolve(
    spec: &Spec,
    host: &Host,
    action: &Action,
    step: &Step,
    verb: Verb,
    take_up: bool,
    values: &impl Values,
) -> Result<Inputs, OutputError> {
    let mut inputs = Inputs::default();
    for (name, source) in &step.params {
        let unresolved = |source_name: String| OutputError::Unresolved {
            action: action.id.clone(),
            name: name.clone(),
            source_name,
        };
        match source {
            ParamSource::Literal(text) => {
                inputs.env.insert(name.clone(), text.clone());
            }
            ParamSource::Host(field) => {
                let text = host.fields.get(field);
                let text = text.ok_or_else(|| unresolved(format!("field {field} of {}", host.id)))?;
                inputs.env.insert(name.clone(), text.clone());
            }
            ParamSource::File(file) => {
                let document = spec.documents.iter().find(|document| document.name == *file);
                let document = document.ok_or_else(|| unresolved(format!("document {file}")))?;
                inputs.files.insert(
                    name.clone(),
                    Delivery::Document {
                        name: document.name.clone(),
                        digest: document.digest.clone(),
                        secrets: document.secrets,
                    },
                );
            }
            ParamSource::Asset(asset) => {
                if !spec.assets.iter().any(|row| row.name == *asset) {
                    return Err(unresolved(format!("asset {asset}")));
                }
                let delivery = Delivery::Asset { name: asset.clone() };
                inputs.files.insert(name.clone(), delivery);
            }
            // Nobody should have to look for secrets on the way back, least of all on another machine.
            ParamSource::Secret(_) if verb == Verb::Undo => {}
            ParamSource::Secret(secret) => {
                let value = values.secret(secret);
                let value = value.ok_or_else(|| unresolved(format!("secret {secret}")))?;
                inputs.secrets.insert(name.clone(), value);
            }
            ParamSource::Output(output) => {
                let value = produced(&action.host, output, values);
                match value {
                    Some(OutputValue::Value(text)) => {
                        inputs.env.insert(name.clone(), text);
                    }
                    Some(OutputValue::File(file)) => {
                        inputs.files.insert(name.clone(), Delivery::Output(file));
                    }
                    Some(OutputValue::Secret(_)) if verb == Verb::Undo => {}
                    Some(OutputValue::Secret(secret)) => {
                        inputs.secrets.insert(name.clone(), secret);
                    }
                    None if verb == Verb::Undo => {}
                    None if take_up => {
                        inputs.missing.insert(name.clone());
                    }
                    None => return Err(unresolved(format!("output {output}"))),
                }
            }
        }
    }
    if verb == Verb::Undo {
        for name in step.outputs.keys() {
            match values.output(&action.id, name) {
                Some(OutputValue::Secret(_)) | None => {}
                Some(value) => {
                    inputs.own.insert(name.clone(), value.recorded());
                }
            }
        }
    }
    Ok(inputs)
}

/// `STEP.OUTPUT` of the action about the same host, or of the step's only one.
fn produced(host: &str, output: &str, values: &impl Values) -> Option<OutputValue> {
    let (step, name) = output.split_once('.')?;
    let same = format!("{host}/{step}");
    if values.has(&same) {
        return values.output(&same, name);
    }
    values.output(values.only(step)?, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_held_against_their_types() {
        let hash = "0a".repeat(32);
        let name = "n".repeat(64);
        let cases: &[(ValueType, &[&str], &[&str])] = &[
            (
                ValueType::Integer,
                &["0", "18446744073709551616"],
                &["", "-1", "1\n", "0x1", "१"],
            ),
            (ValueType::Sha256, &[&hash], &["", "sha256:0a", &hash[1..]]),
            (
                ValueType::Word,
                &["a:b/c@d+e-f_g.", "x"],
                &["", "a b", "a;b", "$x", "a\n"],
            ),
            (
                ValueType::Version,
                &["1.2.3", "v1.32.11+k0s.0", "1.2.3-rc1", "3.8.5.1"],
                &["1.2", "1.2.", "1.x.3", "v", "1.2.3rc", "1.2.3 "],
            ),
            (
                ValueType::Address,
                &[
                    "10.0.0.1",
                    "::1",
                    "[fd00::1]:6443",
                    "mke.example.com:443",
                    "host_1",
                ],
                &[
                    "",
                    "a b",
                    "10.0.0.1:0",
                    "a..b",
                    "-a",
                    "[10.0.0.1]:1",
                    "a:b:c",
                    &name,
                ],
            ),
        ];
        for (kind, right, wrong) in cases {
            for text in *right {
                assert_eq!(check_value(text, Some(*kind)), Ok(()), "{kind:?} {text:?}");
            }
            for text in *wrong {
                assert!(check_value(text, Some(*kind)).is_err(), "{kind:?} {text:?}");
            }
        }
        let long = "1".repeat(VALUE_LIMIT + 1);
        assert_eq!(
            check_value(&long, Some(ValueType::Integer)),
            Err("longer than 4 KiB")
        );
        assert_eq!(check_value(&long[1..], Some(ValueType::Integer)), Ok(()));
    }
}
