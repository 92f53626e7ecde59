//! What remains of MKE 3 and of its container engine.

use super::hosts;
use crate::apply::Book;
use crate::model::{Effect, Host, Spec, SubjectKind};
use std::collections::BTreeMap;

/// Containers that are not MKE's, and that stop for good when their engine goes.
const FOREIGN: [&str; 2] = ["FOREIGN-CONTAINERS", "MSR-ON-NODE"];
/// The data directory of k0s lies in that of the engine.
const DATA_DIR: &str = "DATA-DIR-DOCKER";

/// Removals of each host that are not done, in plan order; hosts where all is done are not in it.
fn open<'a>(spec: &'a Spec, book: &Book) -> BTreeMap<&'a str, Vec<&'a str>> {
    let removes: Vec<&str> = spec
        .steps
        .iter()
        .filter(|step| step.effect == Effect::Destroys)
        .map(|step| step.id.as_str())
        .collect();
    let mut open: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for action in &spec.actions {
        if removes.contains(&action.step.as_str()) && !book.done.contains_key(&action.id) {
            open.entry(&action.host).or_default().push(&action.step);
        }
    }
    open
}

/// Hosts that a finding is about, in plan order.
fn found<'a>(spec: &'a Spec, codes: &[&str]) -> Vec<&'a str> {
    let findings = || {
        spec.findings
            .iter()
            .filter(|it| codes.contains(&it.code.as_str()))
    };
    let is = |host: &&Host| {
        findings().any(|finding| {
            let subject = finding.subject.kind == SubjectKind::Host && finding.subject.name == host.id;
            subject || finding.hosts.contains(&host.id)
        })
    };
    spec.hosts
        .iter()
        .filter(is)
        .map(|host| host.id.as_str())
        .collect()
}

/// Whether the container engine may go.
pub(super) fn mcr(spec: &Spec, book: &Book) -> Vec<String> {
    let open = open(spec, book);
    let mut reasons: Vec<(Vec<&str>, &str)> = Vec::new();
    let foreign = found(spec, &FOREIGN);
    if !foreign.is_empty() {
        reasons.push((foreign, "containers that are not part of MKE 3 run there"));
    }
    let remains: Vec<&str> = spec.hosts.iter().map(|host| host.id.as_str()).collect();
    let remains: Vec<&str> = remains
        .into_iter()
        .filter(|host| open.contains_key(host))
        .collect();
    if !remains.is_empty() {
        reasons.push((remains, "MKE 3 was not uninstalled there"));
    }
    let mut lines = Vec::new();
    if reasons.is_empty() {
        lines.push("MCR may safely be uninstalled".to_owned());
    } else if open.len() == spec.hosts.len() {
        lines.push("MCR may not be uninstalled until MKE 3 was uninstalled".to_owned());
    } else {
        let kept = |host: &&Host| reasons.iter().any(|(names, _)| names.contains(&host.id.as_str()));
        let others = spec.hosts.iter().filter(|host| !kept(host)).count();
        lines.push("MCR may not be uninstalled from the following nodes:".to_owned());
        for (names, why) in &reasons {
            lines.push(format!("- {}: {why}", hosts(names)));
        }
        if others > 0 {
            lines.push(String::new());
            lines.push("MCR may safely be uninstalled from all other nodes".to_owned());
        }
    }
    let inside = found(spec, &[DATA_DIR]);
    if !inside.is_empty() {
        let data_dir = spec.intent.options.get("data-dir").map_or("", String::as_str);
        lines.push(String::new());
        lines.push(format!(
            "The data directory of MKE 4k, {data_dir}, lies in that of MCR and must be kept on the following nodes: {}",
            hosts(&inside)
        ));
    }
    lines
}

/// Whether MKE 3 is gone.
pub(super) fn mke3(spec: &Spec, book: &Book) -> Vec<String> {
    let version = match spec.cluster.from.mke.as_str() {
        "" => "MKE 3".to_owned(),
        version => format!("MKE {version}"),
    };
    let open = open(spec, book);
    if open.is_empty() {
        return vec![format!(
            "{version} was uninstalled from the cluster successfully."
        )];
    }
    // Nobody has given up the way back.
    let committed = spec.actions.iter().any(|action| {
        let step = spec.steps.iter().find(|step| step.id == action.step);
        step.is_some_and(|step| step.effect == Effect::Destroys) && book.done.contains_key(&action.id)
    });
    if !committed {
        return vec![
            format!("{version} was not uninstalled from the cluster yet."),
            "It stays on all nodes, stopped, until the upgrade is committed.".to_owned(),
        ];
    }
    let mut lines = vec![format!(
        "{version} was not uninstalled from the following nodes of the cluster:"
    )];
    // Hosts with the same removals to do share a line.
    let mut alike: Vec<(bool, Vec<&str>, Vec<&str>)> = Vec::new();
    for host in &spec.hosts {
        let Some(steps) = open.get(host.id.as_str()) else {
            continue;
        };
        let out = book.left_out.contains(&host.id);
        match alike
            .iter_mut()
            .find(|(known, missing, _)| *known == out && missing == steps)
        {
            Some((.., names)) => names.push(&host.id),
            None => alike.push((out, steps.clone(), vec![&host.id])),
        }
    }
    for (out, steps, names) in alike {
        let why = match out {
            true => "left out of the upgrade".to_owned(),
            false => format!("{} not done", steps.join(", ")),
        };
        lines.push(format!("- {}: {why}", hosts(&names)));
    }
    if open.len() < spec.hosts.len() {
        lines.push(String::new());
        lines.push(format!(
            "{version} was uninstalled from all other nodes successfully."
        ));
    }
    lines
}
