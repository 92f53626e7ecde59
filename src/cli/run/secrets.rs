//! The secrets that a plan names: from the environment, the MKE 3 configuration, or a person.

use crate::apply::Secret;
use crate::cli::error::CliError;
use crate::model::Plan;
use crate::source::mke3::{Config, Value};
use std::collections::BTreeMap;

/// Finds the values that are not found yet. Those that lie on a host stay there.
///
/// # Errors
///
/// When one cannot be had; its name and where it should come from are told, never a value.
pub fn resolve(
    plan: &Plan,
    config: Option<&Config>,
    ask: &dyn Fn(&str) -> Option<String>,
    mut found: BTreeMap<String, Secret>,
) -> Result<BTreeMap<String, Secret>, CliError> {
    for secret in &plan.spec.secrets {
        if found.contains_key(&secret.name) {
            continue;
        }
        let (kind, place) = secret.from.split_once(':').unwrap_or((&secret.from, ""));
        let value = match kind {
            "host" => continue,
            "env" => std::env::var(place).ok().or_else(|| ask(&secret.used_for)),
            "mke3-config" => config
                .ok_or_else(|| {
                    CliError::usage(
                        format!(
                            "the secret {} is read from the MKE 3 configuration again",
                            secret.name
                        ),
                        "add --mke3-config FILE with the file that the plan was made from",
                    )
                })?
                .get(place.split('#').next().unwrap_or(place))
                .and_then(|leaf| text(&leaf.value, place.split_once('#').map(|(_, flag)| flag))),
            _ => ask(&secret.used_for),
        };
        let value = value.ok_or_else(|| {
            CliError::usage(
                format!(
                    "the secret {} ({}) is not there: {}",
                    secret.name, secret.used_for, secret.from
                ),
                match kind {
                    "env" => format!("set {place}, or run this on a terminal to be asked"),
                    _ => "give the configuration that the plan was made from".to_owned(),
                },
            )
        })?;
        found.insert(secret.name.clone(), Secret::new(value.into_bytes()));
    }
    Ok(found)
}

/// The text of a value, or of one flag in a list of flags.
fn text(value: &Value, flag: Option<&str>) -> Option<String> {
    match (value, flag) {
        (Value::String(text), None) => Some(text.clone()),
        (Value::String(text), Some(flag)) => {
            let rest = text.trim_start_matches('-').strip_prefix(flag)?;
            rest.strip_prefix('=').map(str::to_owned)
        }
        (Value::List(items), Some(_)) => items.iter().find_map(|(item, _)| text(item, flag)),
        _ => None,
    }
}
