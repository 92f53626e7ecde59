//! What an action changed on its host, held against what the plan says it changes.

use mkectl::apply::ActionCall;
use mkectl::lab::Lab;
use std::collections::{BTreeMap, BTreeSet};

/// A host at some moment.
pub struct Seen {
    files: BTreeSet<String>,
    units: BTreeMap<String, String>,
    containers: BTreeMap<String, String>,
    services: BTreeMap<String, String>,
}

impl Seen {
    pub fn now(lab: &Lab, host: &str) -> Seen {
        let files = lab
            .changes(host)
            .unwrap()
            .into_iter()
            .map(|change| change.path)
            .collect();
        let state = lab.state();
        let known = &state.hosts[host];
        Seen {
            files,
            units: known
                .units
                .iter()
                .map(|(name, unit)| (name.clone(), format!("{:?} {:?}", unit.active, unit.enablement)))
                .collect(),
            containers: known
                .containers
                .iter()
                .map(|(name, one)| (name.clone(), format!("{:?} {:?}", one.phase, one.restart)))
                .collect(),
            services: state
                .swarm
                .services
                .iter()
                .map(|(name, one)| (name.clone(), format!("{:?} {:?}", one.mode, one.constraints)))
                .collect(),
        }
    }

    /// What is other later, and not among the changes of the step.
    pub fn undeclared(&self, later: &Seen, call: &ActionCall) -> Vec<String> {
        let step = call.step();
        let own = "/var/lib/mkectl/";
        let mut found = Vec::new();
        for path in later.files.symmetric_difference(&self.files) {
            let free = path.starts_with(own) && path[own.len()..].len() >= 16
                || own.starts_with(path.as_str())
                || path == "/var/lib/mkectl"
                || path.starts_with("/run/")
                || path == "/run"
                // What the container engine keeps follows from what is done to containers.
                || path.starts_with("/var/lib/docker") && !step.changes.containers.is_empty();
            let declared = step.changes.files.iter().any(|pattern| {
                let pattern = filled(pattern, call);
                within(&pattern, path)
            });
            if !free && !declared {
                found.push(format!("the file {path}"));
            }
        }
        let maps = [
            ("unit", &self.units, &later.units, &step.changes.units),
            (
                "container",
                &self.containers,
                &later.containers,
                &step.changes.containers,
            ),
            ("service", &self.services, &later.services, &step.changes.services),
        ];
        for (kind, before, after, declared) in maps {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                if before.get(name) != after.get(name) && !declared.iter().any(|glob| matches(glob, name)) {
                    found.push(format!(
                        "the {kind} {name} ({:?} → {:?})",
                        before.get(name),
                        after.get(name)
                    ));
                }
            }
        }
        found
    }
}

/// `$NAME` in a pattern is the parameter.
fn filled(pattern: &str, call: &ActionCall) -> String {
    let mut text = pattern.to_owned();
    for (name, value) in &call.inputs.env {
        text = text.replace(&format!("${name}"), value);
    }
    text
}

/// Whether a path is what a pattern names, lies in the directory that it names, or leads there.
fn within(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('/') {
        Some(directory) => {
            matches(directory, path)
                || matches(&format!("{directory}/*"), path)
                || matches(&format!("{directory}.mkectl-*"), path)
                || directory.starts_with(&format!("{path}/"))
        }
        None => {
            matches(pattern, path)
                || matches(&format!("{pattern}.mkectl-*"), path)
                || pattern.starts_with(&format!("{path}/"))
        }
    }
}

/// `*` stands for anything.
fn matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
