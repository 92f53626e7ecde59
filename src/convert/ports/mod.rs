//! Ports that MKE 4k gives up, keeps and needs; NodePorts of the gateway; ports that strangers hold.
//!
//! The order of the retired ports is that of the list in the documented upgrade summary, which is not numeric.

mod gateway;
mod tables;

pub use tables::{BalancerPorts, NodePorts, PortTables};

use crate::catalogue::Release;
use crate::model::{Finding, PortFate, PortRow, Role, Subject, SubjectKind};
use crate::options::Options;
use crate::source::facts::{ClusterFacts, Facts};
use crate::source::mke3::{Config, Leaf, Value};
use std::collections::{BTreeMap, BTreeSet};
use tables::{PortDef, codes, parse_range};

/// Converts ports: rows (retired in the order of the summary, then kept, then new by number) and findings, sorted.
///
/// The NodePorts are those that the gateway gets or, where a person must choose first, those that are proposed; absent
/// where the release chooses them by itself, and where none is free.
///
/// Without facts the ports that services and processes hold are unknown: nothing is reported about them.
pub fn convert_ports(
    tables: &PortTables,
    config: &Config,
    options: &Options,
    release: &Release,
    facts: Option<&Facts>,
) -> (Vec<PortRow>, Vec<Finding>, Option<NodePorts>) {
    let mut work = Work {
        tables,
        config,
        findings: Vec::new(),
        held_by_mke: BTreeSet::new(),
    };
    let data = &tables.data;
    let cluster = facts.map(|facts| &facts.cluster);
    let mut rows = Vec::new();
    let mut late = Vec::new();
    let mut kept = Vec::new();
    let mut new: Vec<PortRow> = data.new.iter().map(|def| row(def, PortFate::New)).collect();

    for def in &data.retired {
        let (port, setting) = work.port(def);
        work.held_by_mke.insert(port);
        let mut row = row(def, PortFate::Retired);
        row.port = port.to_string();
        row.setting = setting;
        if let (Some(after), true) = (&def.bgp, work.has_bgp_peers(cluster)) {
            row.fate = PortFate::Kept;
            row.after.clone_from(after);
            kept.push(row);
        } else {
            row.after.clear();
            rows.push(row);
        }
    }
    for def in &data.kept {
        let (port, setting) = work.port(def);
        if port == def.port {
            kept.push(row(def, PortFate::Kept));
        } else {
            work.held_by_mke.insert(port);
            late.push(PortRow {
                port: port.to_string(),
                after: String::new(),
                setting: setting.clone(),
                ..row(def, PortFate::Retired)
            });
            new.push(PortRow {
                before: String::new(),
                ..row(def, PortFate::New)
            });
            let key = setting.unwrap_or_default();
            let message = format!("{} moves from port {port} back to {}", def.before, def.port);
            work.say(codes::MOVED, Some(&key), message);
        }
    }
    for def in &data.protocols {
        let row = PortRow {
            port: def.number.to_string(),
            protocol: "ip".to_owned(),
            hosts: "all".to_owned(),
            fate: def.fate,
            before: def.before.clone(),
            after: def.after.clone(),
            setting: None,
        };
        if def.fate == PortFate::Retired {
            &mut late
        } else {
            &mut kept
        }
        .push(row);
    }
    let range = work.node_port_range(&mut kept);
    let gateway = gateway::convert(
        &mut work, options, release, cluster, range, &mut kept, &mut new, &mut late,
    );
    rows.append(&mut late);
    work.merge_reused(&mut rows, &mut kept, &mut new);
    kept.sort_by_key(numeric);
    new.sort_by_key(numeric);
    if let Some(facts) = facts {
        work.strangers(facts);
    }
    rows.append(&mut kept);
    rows.append(&mut new);
    work.findings.sort();
    work.findings.dedup();
    (rows, work.findings, gateway)
}

/// The ports that may be closed: retired TCP and UDP ports in the order of the rows. A port within a range that stays in
/// use is left out.
pub fn retired_numbers(rows: &[PortRow]) -> Vec<u32> {
    let in_use: Vec<(u32, u32)> = rows
        .iter()
        .filter(|row| row.fate != PortFate::Retired && row.protocol != "ip")
        .filter_map(|row| parse_range(&row.port))
        .collect();
    let mut seen = BTreeSet::new();
    rows.iter()
        .filter(|row| row.fate == PortFate::Retired && row.protocol != "ip")
        .filter_map(|row| row.port.parse().ok())
        .filter(|port| seen.insert(*port))
        .filter(|port| !in_use.iter().any(|(low, high)| (low..=high).contains(&port)))
        .collect()
}

fn numeric(row: &PortRow) -> (u32, PortRow) {
    let first = row.port.split('-').next().unwrap_or_default();
    (first.parse().unwrap_or(u32::MAX), row.clone())
}

fn row(def: &PortDef, fate: PortFate) -> PortRow {
    PortRow {
        port: def.port.to_string(),
        protocol: def.protocol.clone(),
        hosts: def.hosts.clone(),
        fate,
        before: def.before.clone(),
        after: def.after.clone(),
        setting: None,
    }
}

/// A whole number, also when it stands in a string.
fn number(leaf: &Leaf) -> Option<u32> {
    match &leaf.value {
        Value::Integer(number) => u32::try_from(*number).ok(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// What the functions here share.
pub(crate) struct Work<'a> {
    tables: &'a PortTables,
    config: &'a Config,
    findings: Vec<Finding>,
    /// Ports on which MKE 3 itself listens.
    held_by_mke: BTreeSet<u32>,
}

impl Work<'_> {
    fn subject(&self, key: &str) -> Subject {
        match self.config.get(key) {
            Some(leaf) => {
                Subject::new(SubjectKind::Setting, leaf.display_path()).at(&self.config.file, leaf.line)
            }
            None => Subject::new(SubjectKind::Setting, key),
        }
    }

    /// Adds a finding about a setting, or about the cluster.
    fn say(&mut self, code: &str, key: Option<&str>, message: String) {
        let subject = match key {
            Some(key) => self.subject(key),
            None => Subject::new(SubjectKind::Cluster, "ports"),
        };
        self.findings
            .push(self.tables.findings.finding(code, subject, message));
    }

    /// The port that a definition means here, and the setting if it chose another than the default.
    fn port(&mut self, def: &PortDef) -> (u32, Option<String>) {
        let Some(key) = &def.setting else {
            return (def.port, None);
        };
        let Some(leaf) = self.config.get(key) else {
            return (def.port, None);
        };
        match number(leaf).filter(|port| (1..=65535).contains(port)) {
            Some(port) if port == def.port => (port, None),
            Some(port) => (port, Some(key.clone())),
            None => {
                self.say(
                    codes::VALUE,
                    Some(key),
                    format!("it is no port, so {} is assumed", def.port),
                );
                (def.port, None)
            }
        }
    }

    fn has_bgp_peers(&mut self, cluster: Option<&ClusterFacts>) -> bool {
        let peers = cluster
            .and_then(|facts| facts.objects.as_ref())
            .and_then(|objects| objects.bgp_peers);
        match peers {
            Some(0) => false,
            Some(peers) => {
                self.say(
                    codes::BGP,
                    None,
                    format!("Calico has {peers} BGP peers, so port 179 stays in use"),
                );
                true
            }
            None => {
                let message = "facts about BGP peers are missing, so port 179 stands among the retired ones";
                self.say(codes::BGP_UNKNOWN, None, message.to_owned());
                false
            }
        }
    }

    fn node_port_range(&mut self, kept: &mut Vec<PortRow>) -> (u32, u32) {
        let def = &self.tables.data.node_ports;
        let default = parse_range(&def.default).unwrap_or((1, 65535));
        let given = self.config.get(&def.setting).map(|leaf| match &leaf.value {
            Value::String(text) => parse_range(text).ok_or_else(|| text.clone()),
            other => Err(format!("{other:?}")),
        });
        let range = match given {
            Some(Ok(range)) => range,
            Some(Err(text)) if text.is_empty() => default,
            Some(Err(text)) => {
                let message = format!("{text:?} is no range of ports, so {} is assumed", def.default);
                self.say(codes::NODEPORT_RANGE, Some(&def.setting), message);
                default
            }
            None => default,
        };
        kept.push(PortRow {
            port: format!("{}-{}", range.0, range.1),
            protocol: "tcp,udp".to_owned(),
            hosts: "all".to_owned(),
            fate: PortFate::Kept,
            before: def.before.clone(),
            after: def.after.clone(),
            setting: (range != default).then(|| def.setting.clone()),
        });
        range
    }

    /// A retired port that MKE 4k needs for something else is one kept port, not one to close and one to open.
    fn merge_reused(&mut self, retired: &mut Vec<PortRow>, kept: &mut Vec<PortRow>, new: &mut Vec<PortRow>) {
        let alike = |a: &PortRow, b: &PortRow| {
            a.port == b.port
                && a.protocol != "ip"
                && a.protocol
                    .split(',')
                    .any(|one| b.protocol.split(',').any(|two| one == two))
        };
        let mut reused = Vec::new();
        retired.retain(|old| {
            if let Some(place) = new.iter().position(|row| alike(old, row)) {
                let after = new.remove(place);
                reused.push(PortRow {
                    fate: PortFate::Kept,
                    before: old.before.clone(),
                    setting: old.setting.clone(),
                    hosts: if old.hosts == after.hosts {
                        after.hosts.clone()
                    } else {
                        "all".to_owned()
                    },
                    ..after
                });
                false
            } else if let Some(row) = kept.iter_mut().find(|row| alike(old, row)) {
                row.before = format!("{}, {}", row.before, old.before);
                reused.push(PortRow {
                    setting: old.setting.clone(),
                    ..row.clone()
                });
                false
            } else {
                true
            }
        });
        for row in reused {
            let message = format!(
                "port {} was that of {} and becomes that of {}",
                row.port, row.before, row.after
            );
            self.say(codes::REUSED, row.setting.as_deref(), message);
            if !kept
                .iter()
                .any(|other| other.port == row.port && other.protocol == row.protocol)
            {
                kept.push(row);
            }
        }
    }

    /// Ports that MKE 4k needs and that something else holds, one finding per port.
    fn strangers(&mut self, facts: &Facts) {
        let data = &self.tables.data;
        let mut found: BTreeMap<u32, (String, BTreeSet<&str>, BTreeSet<String>)> = BTreeMap::new();
        let needed = data.kept.iter().chain(&data.new);
        for (def, listener) in needed.filter_map(|def| def.listener.as_ref().map(|listener| (def, listener)))
        {
            if self.held_by_mke.contains(&def.port) {
                continue;
            }
            for host in &facts.hosts {
                let concerned = match host.role {
                    Some(Role::Worker) => def.hosts != "managers",
                    Some(Role::Manager) => def.hosts != "workers",
                    None => true,
                };
                let process = host
                    .listening
                    .as_ref()
                    .and_then(|ports| ports.get(&def.port.to_string()));
                let Some(process) = process.filter(|_| concerned) else {
                    continue;
                };
                if !listener.iter().any(|ours| ours == process) {
                    let entry = found
                        .entry(def.port)
                        .or_insert_with(|| (def.after.clone(), BTreeSet::new(), BTreeSet::new()));
                    entry.1.insert(if process.is_empty() {
                        "an unknown process"
                    } else {
                        process
                    });
                    entry
                        .2
                        .insert(host.hostname.clone().unwrap_or_else(|| host.address.clone()));
                }
            }
        }
        for (port, (after, processes, hosts)) in found {
            let processes = processes.into_iter().collect::<Vec<_>>().join(", ");
            let subject = Subject::new(SubjectKind::Port, port.to_string());
            let message = format!("{processes} listens on the port of {after}");
            let mut finding = self.tables.findings.finding(codes::STRANGER, subject, message);
            finding.hosts = hosts.into_iter().collect();
            self.findings.push(finding);
        }
    }
}
