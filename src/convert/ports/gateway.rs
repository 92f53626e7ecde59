//! NodePorts of the ingress controller and of the gateway, and what the load balancer must pass.

use super::tables::{Exposed, Pair, codes};
use super::{Work, number};
use crate::catalogue::Release;
use crate::convert::rbac::tables::at_least;
use crate::model::{PortFate, PortRow, Subject, SubjectKind};
use crate::options::Options;
use crate::source::facts::ClusterFacts;
use crate::source::mke3::{Segment, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Adds rows of the ingress controller and of the gateway, and their findings.
#[allow(clippy::too_many_arguments)]
pub(crate) fn convert(
    work: &mut Work,
    options: &Options,
    release: &Release,
    cluster: Option<&ClusterFacts>,
    range: (u32, u32),
    kept: &mut Vec<PortRow>,
    new: &mut Vec<PortRow>,
    retired: &mut Vec<PortRow>,
) {
    let exposed = ingress(work);
    let removed = options.remove_ingress_nginx && exposed.is_some();
    if options.remove_ingress_nginx && exposed.is_none() {
        let message = "--remove-ingress-nginx has no effect, because the ingress controller of MKE 3 is off";
        work.say(codes::GATEWAY_INGRESS, None, message.to_owned());
    }
    let exposed = exposed.unwrap_or_default();
    let mut in_use: BTreeSet<u32> = cluster
        .and_then(|facts| facts.node_ports.as_ref())
        .map(|ports| ports.iter().copied().collect())
        .unwrap_or_default();
    for port in &exposed {
        if removed {
            in_use.remove(&port.node_port);
        } else {
            in_use.insert(port.node_port);
        }
    }

    let gateway = choose(work, options, release, range, &exposed, removed, &in_use);
    let data = &work.tables.data;
    let row = |port: u32, fate, before: &str, after: &str| PortRow {
        port: port.to_string(),
        protocol: "tcp".to_owned(),
        hosts: "all".to_owned(),
        fate,
        before: before.to_owned(),
        after: after.to_owned(),
        setting: None,
    };
    let chosen: BTreeMap<u32, &str> = gateway
        .map(|pair| {
            [
                (pair.http, data.gateway.http.as_str()),
                (pair.https, data.gateway.https.as_str()),
            ]
        })
        .into_iter()
        .flatten()
        .collect();
    for port in &exposed {
        let before = &data.ingress.before;
        match chosen.get(&port.node_port) {
            _ if !removed => kept.push(row(port.node_port, PortFate::Kept, before, &data.ingress.after)),
            Some(after) => kept.push(row(port.node_port, PortFate::Kept, before, after)),
            None => retired.push(row(port.node_port, PortFate::Retired, before, "")),
        }
    }
    for (port, after) in &chosen {
        if !exposed.iter().any(|old| old.node_port == *port) {
            new.push(row(*port, PortFate::New, "", after));
        }
    }
    if let Some(pair) = gateway {
        load_balancer(work, options, pair);
    }
}

/// The NodePorts of MKE 3's ingress controller, by NodePort; `None` when it is off.
fn ingress(work: &Work) -> Option<Vec<Exposed>> {
    let def = &work.tables.data.ingress;
    if !matches!(work.config.get(&def.enabled)?.value, Value::Bool(true)) {
        return None;
    }
    let mut by_index: BTreeMap<usize, (Option<u32>, Option<u32>)> = BTreeMap::new();
    for leaf in &work.config.leaves {
        let path = leaf.table_path();
        let Some(key) = path
            .strip_prefix(&def.ports)
            .and_then(|rest| rest.strip_prefix('.'))
        else {
            continue;
        };
        let index = leaf.path.iter().rev().find_map(|segment| match segment {
            Segment::Index(index) => Some(*index),
            Segment::Key(_) => None,
        });
        let entry = by_index.entry(index.unwrap_or_default()).or_default();
        match key {
            "port" => entry.0 = number(leaf),
            "node_port" => entry.1 = number(leaf).filter(|port| *port > 0),
            _ => {}
        }
    }
    if by_index.is_empty() {
        return Some(def.default.clone());
    }
    let mut ports: Vec<Exposed> = by_index
        .into_values()
        .filter_map(|(port, node_port)| {
            Some(Exposed {
                port: port.unwrap_or_default(),
                node_port: node_port?,
            })
        })
        .collect();
    ports.sort_by_key(|exposed| (exposed.node_port, exposed.port));
    ports.dedup_by_key(|exposed| exposed.node_port);
    Some(ports)
}

/// The gateway's NodePorts; `None` when a person must choose first, or the choice cannot be.
fn choose(
    work: &mut Work,
    options: &Options,
    release: &Release,
    range: (u32, u32),
    exposed: &[Exposed],
    removed: bool,
    in_use: &BTreeSet<u32>,
) -> Option<Pair> {
    let def = work.tables.data.gateway.clone();
    let ingress = &work.tables.data.ingress;
    let of = |port: u32| {
        exposed
            .iter()
            .find(|one| one.port == port)
            .map(|one| one.node_port)
    };
    let inherited = if removed {
        (of(ingress.http), of(ingress.https))
    } else {
        (None, None)
    };
    let in_range = |port: u32| (range.0..=range.1).contains(&port);
    // Before NodePorts had to be chosen, a retained ingress controller was the way in, and otherwise the defaults were.
    let assumed = if at_least(&release.mke, &def.chosen_since) {
        (None, None)
    } else if !exposed.is_empty() {
        (of(ingress.http), of(ingress.https))
    } else if in_range(def.default.http) && in_range(def.default.https) && range == default_range(work) {
        (Some(def.default.http), Some(def.default.https))
    } else {
        (Some(range.0), Some(range.0 + 1).filter(|port| in_range(*port)))
    };
    let http = options.gateway_http_node_port.or(inherited.0).or(assumed.0);
    let https = options.gateway_https_node_port.or(inherited.1).or(assumed.1);

    let (Some(http), Some(https)) = (http, https) else {
        propose(work, (http, https), range, in_use);
        return None;
    };
    let subject = |port: u32| Subject::new(SubjectKind::Port, port.to_string());
    let before = work.findings.len();
    let own =
        |port: u32| assumed == (Some(http), Some(https)) && exposed.iter().any(|one| one.node_port == port);
    for (port, option) in [(http, &def.http_option), (https, &def.https_option)] {
        let book = &work.tables.findings;
        if !in_range(port) {
            let message = format!(
                "{option} {port} lies outside the NodePorts {}-{}",
                range.0, range.1
            );
            work.findings
                .push(book.finding(codes::GATEWAY_RANGE, subject(port), message));
        } else if in_use.contains(&port) && !own(port) {
            let message = format!("{option} {port} is the NodePort of another service");
            work.findings
                .push(book.finding(codes::GATEWAY_CLASH, subject(port), message));
        }
    }
    if http == https {
        let message = format!("{} and {} are both {http}", def.http_option, def.https_option);
        work.findings.push(
            work.tables
                .findings
                .finding(codes::GATEWAY_CLASH, subject(http), message),
        );
    }
    (work.findings.len() == before).then_some(Pair { http, https })
}

fn default_range(work: &Work) -> (u32, u32) {
    super::parse_range(&work.tables.data.node_ports.default).unwrap_or((1, 65535))
}

/// Says that NodePorts must be chosen, and which are free.
fn propose(work: &mut Work, given: (Option<u32>, Option<u32>), range: (u32, u32), in_use: &BTreeSet<u32>) {
    let def = &work.tables.data.gateway;
    let free = |port: &u32| {
        (range.0..=range.1).contains(port)
            && !in_use.contains(port)
            && given.0 != Some(*port)
            && given.1 != Some(*port)
    };
    let mut candidates = [def.default.http, def.default.https]
        .into_iter()
        .chain(range.0..=range.1)
        .filter(free);
    let http = given.0.or_else(|| candidates.next());
    let https = given.1.or_else(|| candidates.find(|port| Some(*port) != http));
    let missing = match given {
        (None, None) => "the NodePorts of the gateway are not chosen",
        (None, Some(_)) => "the HTTP NodePort of the gateway is not chosen",
        _ => "the HTTPS NodePort of the gateway is not chosen",
    };
    let subject = Subject::new(SubjectKind::Input, "gateway NodePorts");
    let mut finding = work.tables.findings.finding(codes::GATEWAY, subject, missing);
    finding.remedy = match (http, https) {
        (Some(http), Some(https)) => format!(
            "add {} {http} {} {https}, which are free as far as the inputs tell",
            def.http_option, def.https_option
        ),
        _ => format!(
            "free a NodePort of {}-{} first, because none is left to propose",
            range.0, range.1
        ),
    };
    work.findings.push(finding);
}

fn load_balancer(work: &mut Work, options: &Options, gateway: Pair) {
    let def = &work.tables.data.load_balancer;
    // `host:port`, but not the last group of a bare IPv6 address.
    let address = options.external_address.as_str();
    let listener = match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => port.parse().ok(),
        _ => None,
    }
    .unwrap_or(def.listener);
    let pass = def.pass.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let message = format!(
        "the load balancer must send {listener} to NodePort {} and pass {pass} to the managers",
        gateway.https
    );
    let subject = Subject::new(SubjectKind::Cluster, "load balancer");
    let finding = work
        .tables
        .findings
        .finding(codes::LOAD_BALANCER, subject, message);
    work.findings.push(finding);
}
