//! Addresses: what must be carried over unchanged must not collide.

use super::run::{Draft, Run};
use crate::model::{Severity, Subject, SubjectKind};
use ipnet::IpNet;
use std::net::IpAddr;
use std::rc::Rc;

const POD: &str = "cluster_config.pod_cidr";
const SERVICE: &str = "cluster_config.service_cluster_ip_range";

/// Address ranges of a setting, MKE 3's default where it is not set; `None` when it is not ranges. Dual-stack clusters
/// separate two by a comma.
fn ranges(run: &Run<'_>, path: &str) -> Option<Vec<IpNet>> {
    let key = path.rsplit('.').next()?;
    let text = run
        .text(path)
        .or_else(|| run.ctx.rules.cluster.defaults.get(key).map(String::as_str))?;
    text.split(',').map(|part| part.trim().parse().ok()).collect()
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

/// `CIDR-MATCH`: no host has an address out of the pods' or services' range. That the two ranges do not overlap each other
/// follows from the configuration alone, and the settings table sees to it.
pub(super) fn cidrs(run: &mut Run<'_>) {
    const CODE: &str = "CIDR-MATCH";
    let (Some(pods), Some(services)) = (ranges(run, POD), ranges(run, SERVICE)) else {
        return run.unchecked(CODE, format!("{POD} or {SERVICE} is not an address range"));
    };
    run.ok(CODE);
    let hosts = Rc::clone(&run.hosts);
    for host in hosts.iter().filter(|host| !host.is_windows()) {
        let text = host
            .facts
            .and_then(|facts| facts.private_address.as_deref())
            .or(host.entry.private_address.as_deref());
        let Some(address) = text.and_then(|text| text.parse::<IpAddr>().ok()) else {
            let why = match run.ctx.facts {
                None => "no facts were recorded",
                Some(_) => "the address between nodes was not recorded",
            };
            run.unchecked_host(CODE, why, &host.id);
            continue;
        };
        for (range, whose) in pods
            .iter()
            .map(|range| (range, "pods"))
            .chain(services.iter().map(|range| (range, "services")))
            .filter(|(range, _)| range.contains(&address))
        {
            let draft = Draft::new(format!(
                "the host's own address lies in the {whose}' range {range}"
            ));
            run.find_host(CODE, host, draft);
        }
    }
}

/// `CALICO-POOL`: one pool, and it is the one that the configuration names.
pub(super) fn pools(run: &mut Run<'_>) {
    const CODE: &str = "CALICO-POOL";
    let Some(pools) = run.objects(&[CODE], "the list of Calico's IP pools", |objects| {
        objects.ip_pools.as_ref()
    }) else {
        return;
    };
    let parsed: Option<Vec<IpNet>> = pools.iter().map(|text| text.trim().parse().ok()).collect();
    let (Some(mut parsed), Some(pods), Some(services)) = (parsed, ranges(run, POD), ranges(run, SERVICE))
    else {
        return run.unchecked(
            CODE,
            "an IP pool, or the range it is compared with, is not an address range",
        );
    };
    parsed.sort_unstable();
    parsed.dedup();
    let list = parsed.iter().map(IpNet::to_string).collect::<Vec<_>>().join(", ");
    let mut drafts = Vec::new();
    let subject = || Subject::new(SubjectKind::Object, "IPPool");
    for family in [true, false] {
        if parsed
            .iter()
            .filter(|pool| pool.addr().is_ipv4() == family)
            .count()
            > 1
        {
            drafts.push((
                subject(),
                Draft::new(format!("Calico has several IP pools: {list}")),
            ));
            break;
        }
    }
    for pool in &parsed {
        let inside = pods.iter().any(|range| range.trunc() == pool.trunc());
        if !inside {
            drafts.push((
                subject(),
                Draft::new(format!("the IP pool {pool} is not the range that {POD} names")),
            ));
        }
        if services.iter().any(|service| overlap(pool, service)) {
            drafts.push((
                subject(),
                Draft::new(format!("the IP pool {pool} overlaps the services' range"))
                    .severity(Severity::Blocking),
            ));
        }
    }
    run.verdict(CODE, drafts);
}

/// `CALICO-BGP`: routes come from Calico alone.
pub(super) fn bgp(run: &mut Run<'_>) {
    const CODE: &str = "CALICO-BGP";
    if let Some(peers) = run.objects(&[CODE], "the number of BGP peers", |objects| objects.bgp_peers) {
        let subject = Subject::new(SubjectKind::Object, "BGPPeer");
        run.verdict(
            CODE,
            (peers > 0).then(|| (subject, Draft::new("Calico exchanges routes with BGP peers"))),
        );
    }
}
