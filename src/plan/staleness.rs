//! Whether what was reviewed is what is there: facts that a plan relied on, held against facts that were read again.
//!
//! What finished actions declared to change is no drift: they were to do that. A difference concerns the actions that are
//! still to run and rely on the fact; where there are none, it is only told.

use super::facts::{self, Getter};
use crate::model::{Action, At, Changes, Host, ParamSource, Role, Selector, Spec, Step};
use crate::source::facts::Facts;
use std::collections::BTreeMap;
use std::fmt;

/// How far a plan came.
pub trait Progress {
    /// The action is done, or will not be run any more.
    fn is_over(&self, action: &str) -> bool;
    /// The action may have done something, now or in an earlier run.
    fn is_begun(&self, action: &str) -> bool;
}

/// Nothing was begun.
pub struct Fresh;

impl Progress for Fresh {
    fn is_over(&self, _: &str) -> bool {
        false
    }

    fn is_begun(&self, _: &str) -> bool {
        false
    }
}

/// A fact that is not what the plan relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Id of the host; empty for a fact about the cluster.
    pub host: String,
    /// Name of the fact.
    pub fact: String,
    /// As the plan has it.
    pub planned: String,
    /// As it is now; `None` when it could not be told.
    pub found: Option<String>,
    /// Ids of actions that are still to run and rely on it, in plan order.
    pub concerns: Vec<String>,
}

impl Drift {
    /// Whether the plan must not be run.
    pub fn is_fatal(&self) -> bool {
        !self.concerns.is_empty()
    }
}

/// Ids of actions that a sentence names; the rest is counted.
const NAMED: usize = 4;

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = if self.host.is_empty() {
            "the cluster"
        } else {
            &self.host
        };
        let quoted = |text: &str| match text {
            "" => "empty".to_owned(),
            text => format!("\"{}\"", crate::text::sanitize(text)),
        };
        write!(f, "{whose}: {} was {}", self.fact, quoted(&self.planned))?;
        match &self.found {
            Some(found) => write!(f, " and is {} now", quoted(found))?,
            None => f.write_str(" and cannot be told now")?,
        }
        if self.concerns.is_empty() {
            return f.write_str("; nothing that is still to run relies on it");
        }
        let named: Vec<&str> = self.concerns.iter().take(NAMED).map(String::as_str).collect();
        write!(f, "; it concerns {}", named.join(", "))?;
        match self.concerns.len().checked_sub(NAMED) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, " and {}", crate::text::count(more, "more action")),
        }
    }
}

/// Which facts a host field is made of.
const FIELDS: &[(&str, &[&str])] = &[
    ("docker-root", &["docker.root"]),
    ("hostname", &["hostname"]),
    ("kubelet-profile", &["node.kubelet-profile"]),
    ("node-name", &["node.name"]),
    ("private-address", &["private-address", "private-interface"]),
];

/// Compares the facts that the plan relied on with facts that were read now, of the same hosts in the same order. Cluster
/// first, then hosts.
pub fn compare(spec: &Spec, now: &Facts, progress: &dyn Progress) -> Vec<Drift> {
    let steps: BTreeMap<&str, &Step> = spec.steps.iter().map(|step| (step.id.as_str(), step)).collect();
    let row = |action: &'_ Action| steps.get(action.step.as_str()).copied();
    let lead = lead(spec, &steps);
    let mut drifts = Vec::new();
    let mut note = |host: Option<&Host>, fact: &str, planned: &str, found: Option<String>| {
        if found.as_deref() == Some(planned) {
            return;
        }
        let own = spec.actions.iter().any(|action| {
            progress.is_begun(&action.id)
                && row(action).is_some_and(|step| {
                    let here = seen_from_managers(fact)
                        || host.is_some_and(|host| executes_on(step, action, lead) == Some(&host.id));
                    here && touches(&step.changes, fact)
                })
        });
        if own {
            return;
        }
        let rely = |action: &Action, step: &Step| match host {
            None => step.relies.iter().any(|name| name == fact),
            Some(host) => {
                let relies = step.relies.iter().any(|name| name == fact)
                    && executes_on(step, action, lead) == Some(&host.id);
                relies || (action.host == host.id && takes(step, fact))
            }
        };
        let named = |action: &&Action| row(action).is_some_and(|step| rely(action, step));
        // What no step names decided which actions there are.
        let decides = !spec.actions.iter().any(|action| named(&action));
        let concerns = spec
            .actions
            .iter()
            .filter(|action| !progress.is_over(&action.id))
            .filter(|action| match decides {
                true => host.is_none_or(|host| action.host == host.id),
                false => named(action),
            })
            .map(|action| action.id.clone())
            .collect();
        drifts.push(Drift {
            host: host.map_or_else(String::new, |host| host.id.clone()),
            fact: fact.to_owned(),
            planned: planned.to_owned(),
            found,
            concerns,
        });
    };
    for (fact, planned) in &spec.cluster.facts {
        let found = match facts::find(fact) {
            Some((_, Getter::Cluster(get))) => get(&now.cluster),
            _ => None,
        };
        note(None, fact, planned, found);
    }
    for (at, host) in spec.hosts.iter().enumerate() {
        let about = now.hosts.get(at);
        for (fact, planned) in &host.facts {
            let found = match facts::find(fact) {
                Some((_, Getter::Host(get))) => about.and_then(get),
                _ => None,
            };
            note(Some(host), fact, planned, found);
        }
        if let (Some(planned), Some(found)) = (host.role, about.and_then(|about| about.role))
            && planned != found
        {
            note(Some(host), "role", word(planned), Some(word(found).to_owned()));
        }
        let id = about.and_then(|about| about.machine_id.clone());
        if let Some(found) = id.filter(|_| !host.machine_id.is_empty()) {
            note(Some(host), "machine-id", &host.machine_id, Some(found));
        }
    }
    drifts
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Manager => "manager",
        Role::Worker => "worker",
    }
}

/// The first k0s controller: the host that steps for the lead alone are about.
fn lead<'a>(spec: &'a Spec, steps: &BTreeMap<&str, &Step>) -> Option<&'a String> {
    let of_lead = |action: &&Action| {
        steps
            .get(action.step.as_str())
            .is_some_and(|step| step.subjects == Selector::Lead)
    };
    spec.actions.iter().find(of_lead).map(|action| &action.host)
}

fn executes_on<'a>(step: &Step, action: &'a Action, lead: Option<&'a String>) -> Option<&'a String> {
    match step.at {
        At::Subject => Some(&action.host),
        At::Lead => lead,
        At::Operator => None,
    }
}

/// Whether a step takes a parameter that is made of the fact.
fn takes(step: &Step, fact: &str) -> bool {
    step.params.values().any(|source| {
        let ParamSource::Host(field) = source else {
            return false;
        };
        FIELDS
            .iter()
            .any(|(name, facts)| name == field && facts.contains(&fact))
    })
}

/// Facts that managers tell, about the cluster and its nodes: what is done on any host may change them.
fn seen_from_managers(fact: &str) -> bool {
    fact.starts_with("cluster.") || fact.starts_with("node.")
}

/// Containers of MKE 3 without which a fact is not what it was, or cannot be told.
fn containers(fact: &str) -> &'static [&'static str] {
    match fact {
        "cluster.mke-version" => &["ucp-proxy"],
        "cluster.kubernetes-nodes" => &["ucp-kubelet", "ucp-kube-apiserver", "ucp-kv"],
        _ if fact.starts_with("cluster.etcd.") => &["ucp-kv"],
        _ if fact.starts_with("node.") => &["ucp-kubelet", "ucp-kube-apiserver", "ucp-kv"],
        _ => &[],
    }
}

/// Whether what a step declares to change may change a fact.
fn touches(changes: &Changes, fact: &str) -> bool {
    let engine = matches!(
        fact,
        "cluster.id"
            | "cluster.swarm-nodes"
            | "cluster.user-services"
            | "docker.root"
            | "swarm.node-id"
            | "role"
    );
    let needs = containers(fact);
    // A hold over docker.service keeps the engine down, and everything in it.
    let stops = changes
        .files
        .iter()
        .any(|file| file.contains("/docker.service.d/"))
        || changes.units.iter().any(|unit| unit.starts_with("docker."));
    let held = changes
        .files
        .iter()
        .any(|file| file.starts_with("/var/lib/mkectl/hold"));
    if (engine || !needs.is_empty()) && (stops || held) {
        return true;
    }
    let nodes = changes.objects.iter().any(|object| object.starts_with("nodes/"));
    if nodes && (fact.starts_with("node.") || fact == "cluster.kubernetes-nodes") {
        return true;
    }
    if fact == "cluster.user-services"
        && changes
            .services
            .iter()
            .any(|service| !service.starts_with("ucp-"))
    {
        return true;
    }
    needs.iter().any(|name| {
        changes
            .containers
            .iter()
            .any(|pattern| matches_name(pattern, name))
    })
}

/// A glob with stars.
fn matches_name(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len())
                .filter(|at| tail.is_char_boundary(*at))
                .any(|at| matches_name(rest, &tail[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_in_a_shell() {
        for (pattern, name, fits) in [
            ("ucp-*", "ucp-kv", true),
            ("ucp-kv", "ucp-kv", true),
            ("ucp-kv", "ucp-kv2", false),
            ("*-agent.*", "ucp-agent.x", true),
            ("*-agent.*", "ucp-agent", false),
        ] {
            assert_eq!(matches_name(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn every_field_is_made_of_facts_that_there_are() {
        for (field, made_of) in FIELDS {
            assert!(
                crate::plan::fields::FIELDS
                    .iter()
                    .any(|known| known.name == *field)
            );
            assert!(made_of.iter().all(|fact| facts::find(fact).is_some()), "{field}");
        }
        assert_eq!(FIELDS.len(), crate::plan::fields::FIELDS.len());
    }
}
