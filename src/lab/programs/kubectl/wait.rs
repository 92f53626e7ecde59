//! What waits: `wait` and `rollout status`.

use super::output::reference;
use super::{Kube, jsonpath};
use crate::lab::model::kube::{field, name};
use crate::lab::programs::Failure;
use serde_json::Value;
use std::time::{Duration, Instant};

impl Kube<'_> {
    /// A flag's duration; none for 0 and where it was not given.
    pub(super) fn limit(&self, flag: &str) -> Option<Duration> {
        let text = self.parsed.value(flag)?;
        let mut seconds = 0.0;
        let mut number = String::new();
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '0'..='9' | '.' => number.push(letter),
                'h' | 'm' | 's' => {
                    let milli = letter == 'm' && letters.peek() == Some(&'s');
                    let unit = match letter {
                        'h' => 3600.0,
                        'm' if milli => 0.001,
                        'm' => 60.0,
                        _ => 1.0,
                    };
                    if milli {
                        letters.next();
                    }
                    seconds += number.parse::<f64>().unwrap_or(0.0) * unit;
                    number.clear();
                }
                _ => return None,
            }
        }
        seconds += number.parse::<f64>().unwrap_or(0.0);
        (seconds > 0.0).then(|| Duration::from_secs_f64(seconds))
    }

    pub(super) fn wait(&mut self, words: &[&str]) -> Result<u8, Failure> {
        let wanted = self.parsed.value("for").unwrap_or_default().to_owned();
        let limit = self.limit("timeout").unwrap_or(Duration::from_secs(30));
        let begun = Instant::now();
        let meant = self.meant(words)?;
        let mut told: Vec<String> = Vec::new();
        loop {
            let (found, missing) = self.find(&meant)?;
            if wanted == "delete" {
                if found.is_empty() {
                    return Ok(0);
                }
            } else {
                if !missing.is_empty() {
                    return self.tell(missing);
                }
                if found.is_empty() {
                    return Err(Failure::Real("error: no matching resources found".to_owned(), 1));
                }
                let mut all = true;
                for (resource, object) in &found {
                    let shown = reference(resource, name(object));
                    if fulfils(object, &wanted)? {
                        if !told.contains(&shown) {
                            self.line(&format!("{shown} condition met"))?;
                            told.push(shown);
                        }
                    } else {
                        all = false;
                    }
                }
                if all {
                    return Ok(0);
                }
            }
            if begun.elapsed() >= limit {
                let mut failures = Vec::new();
                for (resource, object) in &found {
                    if wanted == "delete" || !fulfils(object, &wanted)? {
                        let text = format!(
                            "error: timed out waiting for the condition on {}/{}",
                            resource.plural,
                            name(object)
                        );
                        failures.push(Failure::Real(text, 1));
                    }
                }
                return self.tell(failures);
            }
            self.pause()?;
        }
    }

    pub(super) fn rollout(&mut self, words: &[&str]) -> Result<u8, Failure> {
        let limit = self.limit("timeout");
        let begun = Instant::now();
        let meant = self.meant(words)?;
        let mut told = String::new();
        loop {
            let (found, missing) = self.find(&meant)?;
            if !missing.is_empty() {
                return self.tell(missing);
            }
            let mut waiting = None;
            for (resource, object) in &found {
                let number = |path: &[&str]| field(object, path).and_then(Value::as_u64).unwrap_or(0);
                let (wanted, ready) = if resource.kind == "DaemonSet" {
                    (
                        number(&["status", "desiredNumberScheduled"]),
                        number(&["status", "numberReady"]),
                    )
                } else {
                    (
                        number(&["spec", "replicas"]),
                        number(&["status", "availableReplicas"]),
                    )
                };
                let observed = object["status"]["observedGeneration"] == object["metadata"]["generation"];
                if !observed || ready < wanted {
                    let kind = resource.kind.to_ascii_lowercase();
                    waiting = Some(format!(
                        "Waiting for {kind} \"{}\" rollout to finish: {ready} of {wanted} updated pods are available...",
                        name(object)
                    ));
                }
            }
            let Some(line) = waiting else {
                for (resource, object) in &found {
                    let kind = resource.kind.to_ascii_lowercase();
                    self.line(&format!("{kind} \"{}\" successfully rolled out", name(object)))?;
                }
                return Ok(0);
            };
            if line != told {
                self.line(&line)?;
                told = line;
            }
            if limit.is_some_and(|limit| begun.elapsed() >= limit) {
                return Err(Failure::Real(
                    "error: timed out waiting for the condition".to_owned(),
                    1,
                ));
            }
            self.pause()?;
        }
    }
}

fn fulfils(object: &Value, wanted: &str) -> Result<bool, Failure> {
    if let Some(condition) = wanted.strip_prefix("condition=") {
        let (kind, status) = condition.split_once('=').unwrap_or((condition, "True"));
        return Ok(object["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|one| {
                one["type"]
                    .as_str()
                    .is_some_and(|has| has.eq_ignore_ascii_case(kind))
                    && one["status"]
                        .as_str()
                        .is_some_and(|has| has.eq_ignore_ascii_case(status))
            }));
    }
    if let Some(path) = wanted.strip_prefix("jsonpath=") {
        let path = path.trim_matches('\'');
        let (path, value) = match path.split_once("}=") {
            Some((path, value)) => (format!("{path}}}"), Some(value)),
            None => (path.to_owned(), None),
        };
        let has = jsonpath::render(&path, object).map_err(Failure::Unmodelled)?;
        return Ok(value.map_or(!has.is_empty(), |value| has == value));
    }
    Err(Failure::Unmodelled(format!("kubectl wait --for={wanted}")))
}
