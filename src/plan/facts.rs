//! Facts by name, and the look at them that keeps a note of what was seen.
//!
//! A plan must pin every fact that decided something in it. So conditions, values and fields never read a fact directly:
//! they ask a [`Look`] by name, and the look writes down name and text. Names are the paths of the facts file.

use super::selection::Selection;
use super::situation::{HostView, Situation};
use crate::model::Bytes;
use crate::source::facts::{ClusterFacts, HostFacts};
use std::collections::BTreeMap;

/// A fact that would be needed and was not recorded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing(pub String);

/// Where a named fact comes from.
#[derive(Clone, Copy)]
pub enum Getter {
    /// From the facts about one host.
    Host(fn(&HostFacts) -> Option<String>),
    /// From the facts about the cluster.
    Cluster(fn(&ClusterFacts) -> Option<String>),
}

/// Every fact that may be relied on by name, sorted by name. What changes from hour to hour is here as the verdict that
/// matters (user pods run, yes or no), because apply refuses when the text differs.
pub static FACTS: &[(&str, Getter)] = &[
    ("cgroup", Getter::Host(|f| f.cgroup.clone())),
    (
        "cluster.etcd.alarms",
        Getter::Cluster(|f| list(f.etcd.as_ref()?.alarms.as_ref())),
    ),
    (
        "cluster.etcd.healthy-members",
        Getter::Cluster(|f| text(f.etcd.as_ref()?.healthy_members)),
    ),
    (
        "cluster.etcd.members-agree",
        Getter::Cluster(|f| text(f.etcd.as_ref()?.members_agree)),
    ),
    (
        "cluster.etcd.size-bytes",
        Getter::Cluster(|f| f.etcd.as_ref()?.size_bytes.map(order_of_size)),
    ),
    ("cluster.id", Getter::Cluster(|f| f.id.clone())),
    (
        "cluster.kubernetes-nodes",
        Getter::Cluster(|f| states(f.kubernetes_nodes.as_ref())),
    ),
    ("cluster.mke-version", Getter::Cluster(|f| f.mke_version.clone())),
    (
        "cluster.swarm-nodes",
        Getter::Cluster(|f| states(f.swarm_nodes.as_ref())),
    ),
    (
        "cluster.user-services",
        Getter::Cluster(|f| list(f.user_services.as_ref())),
    ),
    ("docker.root", Getter::Host(|f| f.docker.as_ref()?.root.clone())),
    ("fapolicyd", Getter::Host(|f| text(f.fapolicyd))),
    ("firewall", Getter::Host(|f| f.firewall.clone())),
    ("hostname", Getter::Host(|f| f.hostname.clone())),
    ("init", Getter::Host(|f| f.init.clone())),
    ("iptables", Getter::Host(|f| f.iptables.clone())),
    ("node.kubelet-profile", Getter::Host(kubelet_profile)),
    ("node.name", Getter::Host(|f| f.node.as_ref()?.name.clone())),
    ("node.takes-user-pods", Getter::Host(takes_user_pods)),
    (
        "node.user-pods",
        Getter::Host(|f| text(f.node.as_ref()?.user_pods.map(|pods| pods > 0))),
    ),
    ("noexec", Getter::Host(|f| text(f.noexec))),
    ("os.arch", Getter::Host(|f| f.os.as_ref()?.arch.clone())),
    ("private-address", Getter::Host(|f| f.private_address.clone())),
    ("private-interface", Getter::Host(|f| f.private_interface.clone())),
    ("selinux", Getter::Host(|f| f.selinux.clone())),
    (
        "swarm.node-id",
        Getter::Host(|f| f.swarm.as_ref()?.node_id.clone()),
    ),
];

/// Node label that names a custom kubelet profile of MKE 3.
const PROFILE_LABEL: &str = "custom-kubelet-profile";

/// The custom kubelet profile of the node: the empty text when it has none.
fn kubelet_profile(facts: &HostFacts) -> Option<String> {
    let labels = &facts.node.as_ref()?.labels;
    Some(labels.get(PROFILE_LABEL).cloned().unwrap_or_default())
}

/// `true` when no taint keeps pods without tolerations off the node.
fn takes_user_pods(facts: &HostFacts) -> Option<String> {
    let taints = facts.node.as_ref()?.taints.as_ref()?;
    let bars = |taint: &String| taint.ends_with(":NoSchedule") || taint.ends_with(":NoExecute");
    text(Some(!taints.iter().any(bars)))
}

/// A size that grows all the time, as the power of two that holds it.
fn order_of_size(size: Bytes) -> String {
    match size.0.checked_next_power_of_two() {
        Some(limit) => format!("at most {limit}"),
        None => format!("more than {}", 1u64 << 63),
    }
}

fn text<T: ToString>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// A list as one text; names of containers, services and traces hold no comma.
fn list(value: Option<&Vec<String>>) -> Option<String> {
    value.map(|items| items.join(","))
}

/// Names with their states as one text.
fn states(value: Option<&BTreeMap<String, String>>) -> Option<String> {
    let pair = |(name, state): (&String, &String)| format!("{name}={state}");
    value.map(|states| states.iter().map(pair).collect::<Vec<_>>().join(","))
}

/// Facts that something relied on, by name, with the text that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relied {
    /// About hosts, by position in hosts.yaml.
    pub hosts: BTreeMap<u32, BTreeMap<&'static str, String>>,
    /// About the cluster.
    pub cluster: BTreeMap<&'static str, String>,
}

/// A look at the situation, from one host or from none.
pub struct Look<'a> {
    situation: &'a Situation<'a>,
    selection: &'a Selection,
    host: Option<u32>,
    relied: Relied,
}

impl<'a> Look<'a> {
    /// A look with a host as the subject, or with none: then every fact about the subject is missing.
    pub fn new(situation: &'a Situation<'a>, selection: &'a Selection, host: Option<u32>) -> Look<'a> {
        Look {
            situation,
            selection,
            host,
            relied: Relied::default(),
        }
    }

    /// What is no fact and needs no pin: options, release, configuration, names.
    pub fn situation(&self) -> &'a Situation<'a> {
        self.situation
    }

    /// The hosts of every selector.
    pub fn selection(&self) -> &'a Selection {
        self.selection
    }

    /// The host that is looked at. Its id, role, address and entry in hosts.yaml are in the plan anyway.
    pub fn subject(&self) -> Option<&'a HostView<'a>> {
        self.situation.hosts.get(self.host? as usize)
    }

    /// The same question about another host; what it sees is noted for that host.
    pub fn about<T>(&mut self, host: u32, ask: impl FnOnce(&mut Look<'_>) -> T) -> T {
        let asked = self.host.replace(host);
        let answer = ask(self);
        self.host = asked;
        answer
    }

    /// The text of a fact; what was seen is noted. A name outside [`FACTS`] is missing like an unrecorded fact.
    pub fn fact(&mut self, name: &str) -> Result<String, Missing> {
        let missing = || Missing(name.to_owned());
        let (name, getter) = find(name).ok_or_else(missing)?;
        match getter {
            Getter::Host(get) => {
                let facts = self.subject().and_then(|host| host.facts);
                let (text, host) = facts.and_then(get).zip(self.host).ok_or_else(missing)?;
                self.relied
                    .hosts
                    .entry(host)
                    .or_default()
                    .insert(name, text.clone());
                Ok(text)
            }
            Getter::Cluster(get) => {
                let text = self.situation.cluster.and_then(get).ok_or_else(missing)?;
                self.relied.cluster.insert(name, text.clone());
                Ok(text)
            }
        }
    }

    /// What was relied on.
    pub fn into_relied(self) -> Relied {
        self.relied
    }
}

/// Name and getter of a fact.
pub fn find(name: &str) -> Option<(&'static str, Getter)> {
    let index = FACTS.binary_search_by_key(&name, |(name, _)| name).ok()?;
    Some(FACTS[index])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::Fixture;

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(FACTS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn what_was_seen_is_noted_and_what_is_missing_is_named() {
        let mut fixture = Fixture::cluster(1, 1);
        fixture.facts[1].selinux = Some("enforcing".to_owned());
        fixture.cluster.id = Some("q1".to_owned());
        let situation = fixture.situation();
        let selection = Selection::choose(&situation);
        let mut look = Look::new(&situation, &selection, Some(1));
        assert_eq!(look.fact("selinux"), Ok("enforcing".to_owned()));
        assert_eq!(look.fact("cluster.id"), Ok("q1".to_owned()));
        assert_eq!(look.fact("init"), Err(Missing("init".to_owned())));
        assert_eq!(look.fact("no-such-fact"), Err(Missing("no-such-fact".to_owned())));
        assert_eq!(look.about(0, |look| look.fact("hostname")), Ok("m1".to_owned()));
        assert_eq!(look.subject().unwrap().id, "w1");
        let relied = look.into_relied();
        let selinux = BTreeMap::from([("selinux", "enforcing".to_owned())]);
        let hostname = BTreeMap::from([("hostname", "m1".to_owned())]);
        assert_eq!(relied.hosts, BTreeMap::from([(0, hostname), (1, selinux)]));
        assert_eq!(relied.cluster, BTreeMap::from([("cluster.id", "q1".to_owned())]));
        let mut look = Look::new(&situation, &selection, None);
        assert_eq!(look.fact("selinux"), Err(Missing("selinux".to_owned())));
    }

    #[test]
    fn volatile_readings_enter_as_verdicts() {
        let mut fixture = Fixture::cluster(1, 0);
        let node = fixture.facts[0].node.get_or_insert_default();
        node.user_pods = Some(17);
        node.taints = Some(vec!["com.docker.ucp.manager:NoSchedule".to_owned()]);
        fixture.cluster.etcd.get_or_insert_default().size_bytes = Some(Bytes(1000));
        let situation = fixture.situation();
        let selection = Selection::choose(&situation);
        let mut look = Look::new(&situation, &selection, Some(0));
        assert_eq!(
            look.fact("cluster.etcd.size-bytes"),
            Ok("at most 1024".to_owned())
        );
        assert_eq!(look.fact("node.user-pods"), Ok("true".to_owned()));
        assert_eq!(look.fact("node.takes-user-pods"), Ok("false".to_owned()));
        assert_eq!(look.fact("node.kubelet-profile"), Ok(String::new()));
    }
}
