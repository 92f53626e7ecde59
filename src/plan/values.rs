//! Named values: what `{value: NAME}` of the catalogue may say.

use super::facts::{Look, Missing};
use super::fields;
use crate::model::Selector;
use crate::source::mke3;
use ipnet::IpNet;
use std::net::IpAddr;

/// A value of the catalogue's vocabulary.
#[derive(Clone, Copy)]
pub struct Value {
    /// Name in catalogue.yaml.
    pub name: &'static str,
    /// It looks at the subject; otherwise one text serves all hosts.
    pub per_host: bool,
    /// The value itself: pure.
    pub eval: fn(&mut Look<'_>) -> Result<String, Missing>,
}

/// All values.
pub static VALUES: &[Value] = &[
    common("balancer-new-ports", |look| {
        Ok(look.situation().balancer.unserved.clone())
    }),
    common("balancer-ports", |look| {
        Ok(look.situation().balancer.passed.clone())
    }),
    common("cluster-dns-address", cluster_dns_address),
    common("cluster-id", |look| look.fact("cluster.id")),
    common("external-host", external_host),
    common("k0s-version", |look| Ok(look.situation().release.k0s.clone())),
    common("kubelet-root", kubelet_root),
    common("lead-address", lead_address),
    common("manager-addresses", |look| {
        managers(look, fields::private_address)
    }),
    common("manager-names", |look| managers(look, fields::node_name)),
    common("mke3-version", |look| look.fact("cluster.mke-version")),
];

const fn common(name: &'static str, eval: fn(&mut Look<'_>) -> Result<String, Missing>) -> Value {
    Value {
        name,
        per_host: false,
        eval,
    }
}

/// MKE 3's setting for the service addresses, and what it is unless set.
const SERVICE_CIDR: (&str, &str) = ("cluster_config.service_cluster_ip_range", "10.96.0.0/16");
/// MKE 3's setting for the kubelet's root directory, and what it is unless set.
const KUBELET_ROOT: (&str, &str) = ("cluster_config.kubelet_data_root", "/var/lib/kubelet");

/// A text of the MKE 3 configuration, or its default.
fn setting(look: &Look<'_>, named: (&str, &str)) -> Result<String, Missing> {
    text_of(look.situation().config, named)
}

fn text_of(config: &mke3::Config, (path, default): (&str, &str)) -> Result<String, Missing> {
    match config.get(path).map(|leaf| &leaf.value) {
        None => Ok(default.to_owned()),
        Some(mke3::Value::String(text)) if text.is_empty() => Ok(default.to_owned()),
        Some(mke3::Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Missing(path.to_owned())),
    }
}

/// Address of the cluster DNS service as k0s derives it from the service CIDR: the tenth address, or the second where the
/// range is too small for ten (k0s, `Network.DNSAddress`).
fn cluster_dns_address(look: &mut Look<'_>) -> Result<String, Missing> {
    let missing = || Missing(SERVICE_CIDR.0.to_owned());
    let net: IpNet = setting(look, SERVICE_CIDR)?.parse().map_err(|_| missing())?;
    let address = match net.network() {
        IpAddr::V4(first) => {
            let step = if net.prefix_len() < 29 { 10 } else { 2 };
            u32::from(first)
                .checked_add(step)
                .map(|bits| IpAddr::V4(bits.into()))
        }
        IpAddr::V6(first) => {
            let step = if net.prefix_len() < 125 { 10 } else { 2 };
            u128::from(first)
                .checked_add(step)
                .map(|bits| IpAddr::V6(bits.into()))
        }
    };
    let inside = address.filter(|address| net.contains(address));
    inside.map(|address| address.to_string()).ok_or_else(missing)
}

/// Host part of the external address, without port and brackets.
fn external_host(look: &mut Look<'_>) -> Result<String, Missing> {
    let address = look.situation().options.external_address.as_str();
    let host = match (address.strip_prefix('['), address.matches(':').count()) {
        (Some(rest), _) => rest.split(']').next().unwrap_or_default(),
        (None, 1) => address.split(':').next().unwrap_or_default(),
        (None, _) => address,
    };
    Ok(host.to_owned())
}

/// Root directory of the kubelet as documents say it; that the setting is no text is a finding of its own.
pub(super) fn kubelet_root_of(config: &mke3::Config) -> String {
    text_of(config, KUBELET_ROOT).unwrap_or_else(|_| KUBELET_ROOT.1.to_owned())
}

/// Root directory of the kubelet: the one that MKE 3 used, because drivers and volumes are found there by path.
fn kubelet_root(look: &mut Look<'_>) -> Result<String, Missing> {
    setting(look, KUBELET_ROOT)
}

/// Private address of the lead.
fn lead_address(look: &mut Look<'_>) -> Result<String, Missing> {
    let lead = look
        .selection()
        .lead()
        .ok_or_else(|| Missing("role".to_owned()))?;
    look.about(lead, fields::private_address)
}

/// A field of all managers in plan order, separated by spaces.
fn managers(
    look: &mut Look<'_>,
    field: fn(&mut Look<'_>) -> Result<String, Missing>,
) -> Result<String, Missing> {
    let managers = look.selection().hosts(Selector::Managers);
    let texts: Result<Vec<String>, Missing> = managers
        .iter()
        .map(|&manager| look.about(manager, field))
        .collect();
    Ok(texts?.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::facts::Relied;
    use crate::plan::fixture::Fixture;
    use crate::plan::selection::Selection;
    use crate::source::mke3::{Leaf, Segment};

    fn ask(fixture: &Fixture, name: &str) -> (Result<String, Missing>, Relied) {
        let situation = fixture.situation();
        let selection = Selection::choose(&situation);
        let value = VALUES.iter().find(|value| value.name == name).unwrap();
        let mut look = Look::new(&situation, &selection, None);
        let answer = (value.eval)(&mut look);
        (answer, look.into_relied())
    }

    fn text(fixture: &Fixture, name: &str) -> String {
        ask(fixture, name).0.unwrap()
    }

    fn set(fixture: &mut Fixture, path: &str, value: mke3::Value) {
        let path: Vec<Segment> = path.split('.').map(|key| Segment::Key(key.to_owned())).collect();
        fixture.config.leaves = vec![Leaf {
            path,
            value,
            line: 1,
            column: 1,
        }];
    }

    #[test]
    fn dns_address_follows_the_service_range() {
        let mut fixture = Fixture::cluster(1, 0);
        assert_eq!(text(&fixture, "cluster-dns-address"), "10.96.0.10");
        for (range, address) in [
            ("172.20.0.0/16", Some("172.20.0.10")),
            ("10.0.0.7/24", Some("10.0.0.10")),
            ("10.0.0.8/29", Some("10.0.0.10")),
            ("10.0.0.8/32", None),
            ("fd00::/108", Some("fd00::a")),
            ("nonsense", None),
        ] {
            set(
                &mut fixture,
                SERVICE_CIDR.0,
                mke3::Value::String(range.to_owned()),
            );
            let (answer, _) = ask(&fixture, "cluster-dns-address");
            assert_eq!(answer.ok().as_deref(), address, "{range}");
        }
    }

    #[test]
    fn kubelet_root_is_the_one_of_mke_3() {
        let mut fixture = Fixture::cluster(1, 0);
        assert_eq!(text(&fixture, "kubelet-root"), "/var/lib/kubelet");
        set(
            &mut fixture,
            KUBELET_ROOT.0,
            mke3::Value::String("/data/kubelet".to_owned()),
        );
        assert_eq!(text(&fixture, "kubelet-root"), "/data/kubelet");
        set(&mut fixture, KUBELET_ROOT.0, mke3::Value::Integer(7));
        assert_eq!(
            ask(&fixture, "kubelet-root").0,
            Err(Missing(KUBELET_ROOT.0.to_owned()))
        );
    }

    #[test]
    fn external_host_has_no_port() {
        let mut fixture = Fixture::cluster(1, 0);
        for (address, host) in [
            ("mke.example.com", "mke.example.com"),
            ("mke.example.com:8443", "mke.example.com"),
            ("[fd00::1]:443", "fd00::1"),
            ("fd00::1", "fd00::1"),
        ] {
            fixture.options.external_address = address.to_owned();
            assert_eq!(text(&fixture, "external-host"), host);
        }
    }

    #[test]
    fn what_managers_are_called_is_pinned_where_it_was_seen() {
        let mut fixture = Fixture::cluster(2, 1);
        fixture.facts[0].node.get_or_insert_default().name = Some("node-a".to_owned());
        fixture.facts[1].node.get_or_insert_default().name = Some("node-b".to_owned());
        let (names, relied) = ask(&fixture, "manager-names");
        assert_eq!(names, Ok("node-a node-b".to_owned()));
        assert_eq!(relied.hosts[&1]["node.name"], "node-b");
        assert_eq!(text(&fixture, "manager-addresses"), "10.0.0.1 10.0.0.2");
        fixture.facts[0].unreachable = Some("timeout".to_owned());
        assert_eq!(text(&fixture, "lead-address"), "10.0.0.2");
    }

    #[test]
    fn ports_of_the_load_balancer_are_those_of_the_list() {
        let fixture = Fixture::cluster(1, 0);
        assert_eq!(text(&fixture, "balancer-ports"), "6443 9443 8132");
        assert_eq!(text(&fixture, "balancer-new-ports"), "9443 8132");
    }

    #[test]
    fn versions_and_ids() {
        let mut fixture = Fixture::cluster(1, 0);
        fixture.release.k0s = "v1.32.11+k0s.0".to_owned();
        assert_eq!(text(&fixture, "k0s-version"), "v1.32.11+k0s.0");
        let (version, relied) = ask(&fixture, "mke3-version");
        assert_eq!(version, Ok("3.8.5".to_owned()));
        assert_eq!(relied.cluster["cluster.mke-version"], "3.8.5");
        assert_eq!(
            ask(&fixture, "cluster-id").0,
            Err(Missing("cluster.id".to_owned()))
        );
    }
}
