//! What a manager says of the cluster, as facts about it and about its nodes.

use super::lines::Answer;
use super::scripts::Table;
use super::values::boolean;
use crate::model::Bytes;
use crate::source::facts::{ClusterFacts, EtcdFacts, HostFacts, NodeFacts, ObjectFacts, SwarmFacts};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Labels of swarm nodes by which MKE tells who may use a node.
const KUBERNETES: &str = "com.docker.ucp.orchestrator.kubernetes";
const SWARM: &str = "com.docker.ucp.orchestrator.swarm";

/// A node of Kubernetes.
#[derive(Clone, Debug, Default)]
struct Node {
    address: String,
    facts: NodeFacts,
}

/// The cluster, as one manager sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub cluster: ClusterFacts,
    /// Nodes of the swarm by id.
    swarm: Option<BTreeMap<String, SwarmFacts>>,
    /// Nodes of Kubernetes by name.
    nodes: Option<BTreeMap<String, Node>>,
}

impl View {
    /// Reads an answer.
    pub fn read(answer: &Answer, table: &Table) -> View {
        let mut view = View {
            cluster: ClusterFacts {
                id: answer.value("cluster.id").map(str::to_owned),
                kubernetes_version: answer.value("kubernetes-version").map(str::to_owned),
                user_services: answer.names("service").map(|names| {
                    let own = |name: &String| name.starts_with(&table.own_prefix);
                    names.into_iter().filter(|name| !own(name)).collect()
                }),
                node_ports: ports(answer),
                etcd: etcd(answer),
                objects: objects(answer, table),
                ..ClusterFacts::default()
            },
            swarm: None,
            nodes: None,
        };
        view.swarm_nodes(answer);
        view.kubernetes_nodes(answer);
        view
    }

    fn swarm_nodes(&mut self, answer: &Answer) {
        let Some(list) = answer.list("swarm-node") else {
            return;
        };
        let (mut by_id, mut states) = (BTreeMap::new(), BTreeMap::new());
        for fields in list {
            let [id, name, state, _, _, leader, labels] = fields[..] else {
                continue;
            };
            states.insert(name.to_owned(), state.to_owned());
            by_id.insert(
                id.to_owned(),
                SwarmFacts {
                    node_id: Some(id.to_owned()),
                    leader: Some(leader == "true"),
                    state: Some(state.to_owned()),
                    orchestrator: orchestrator(&pairs(labels)),
                },
            );
        }
        self.cluster.swarm_nodes = Some(states);
        self.swarm = Some(by_id);
    }

    fn kubernetes_nodes(&mut self, answer: &Answer) {
        let Some(list) = answer.list("node") else { return };
        let counts: Option<BTreeMap<String, u32>> = answer.list("user-pods").map(|list| {
            list.filter_map(|fields| Some(((*fields.first()?).to_owned(), fields.get(1)?.parse().ok()?)))
                .collect()
        });
        let (mut nodes, mut states) = (BTreeMap::new(), BTreeMap::new());
        for fields in list {
            let [name, ready, address, labels, taints] = fields[..] else {
                continue;
            };
            let state = if ready == "True" { "Ready" } else { "NotReady" };
            states.insert(name.to_owned(), state.to_owned());
            let facts = NodeFacts {
                name: Some(name.to_owned()),
                ready: Some(ready == "True"),
                labels: pairs(labels),
                taints: taints_of(taints),
                user_pods: counts
                    .as_ref()
                    .map(|counts| counts.get(name).copied().unwrap_or_default()),
            };
            // With two families it prints both, with a space between.
            let address = address.split(' ').next().unwrap_or_default().to_owned();
            nodes.insert(name.to_owned(), Node { address, facts });
        }
        self.cluster.kubernetes_nodes = Some(states);
        self.nodes = Some(nodes);
    }

    /// Whether nothing is left to ask another manager.
    pub fn is_whole(&self) -> bool {
        self.swarm.is_some()
            && self.nodes.is_some()
            && self
                .cluster
                .etcd
                .as_ref()
                .is_some_and(|etcd| etcd.healthy_members.is_some())
    }

    /// Takes from another manager's view what this one lacks.
    pub fn complete(&mut self, other: View) {
        fn fill<T>(mine: &mut Option<T>, other: Option<T>) {
            if mine.is_none() {
                *mine = other;
            }
        }
        let (mine, theirs) = (&mut self.cluster, other.cluster);
        fill(&mut mine.id, theirs.id);
        fill(&mut mine.kubernetes_version, theirs.kubernetes_version);
        fill(&mut mine.swarm_nodes, theirs.swarm_nodes);
        fill(&mut mine.kubernetes_nodes, theirs.kubernetes_nodes);
        fill(&mut mine.user_services, theirs.user_services);
        fill(&mut mine.node_ports, theirs.node_ports);
        fill(&mut mine.etcd, theirs.etcd);
        fill(&mut mine.objects, theirs.objects);
        fill(&mut self.swarm, other.swarm);
        fill(&mut self.nodes, other.nodes);
    }

    /// Tells a host what the cluster says of it.
    pub fn tell(&self, host: &mut HostFacts) {
        let id = host.swarm.as_ref().and_then(|swarm| swarm.node_id.clone());
        let of_swarm = self.swarm.as_ref().zip(id).and_then(|(nodes, id)| nodes.get(&id));
        if let Some(known) = of_swarm {
            host.swarm = Some(known.clone());
        }
        let Some(nodes) = &self.nodes else { return };
        let by_name = host
            .hostname
            .as_ref()
            .and_then(|name| nodes.get(name).or_else(|| nodes.get(&name.to_lowercase())));
        let node = by_name.or_else(|| {
            let address = host.private_address.as_deref()?;
            nodes.values().find(|node| node.address == address)
        });
        if let Some(node) = node {
            host.node = Some(node.facts.clone());
            if let Some(swarm) = &mut host.swarm
                && swarm.orchestrator.is_none()
            {
                swarm.orchestrator = orchestrator(&node.facts.labels);
            }
        }
    }
}

/// Names of states, when a JSON object; nothing else is in such places.
fn pairs(json: &str) -> BTreeMap<String, String> {
    serde_json::from_str(json).unwrap_or_default()
}

fn orchestrator(labels: &BTreeMap<String, String>) -> Option<String> {
    let on = |label: &str| labels.get(label).is_some_and(|value| value == "true");
    let word = match (on(KUBERNETES), on(SWARM)) {
        (true, true) => "mixed",
        (true, false) => "kubernetes",
        (false, true) => "swarm",
        (false, false) => return None,
    };
    Some(word.to_owned())
}

/// `KEY=VALUE:EFFECT` of each taint; a node without any prints nothing.
fn taints_of(json: &str) -> Option<Vec<String>> {
    if json.is_empty() {
        return Some(Vec::new());
    }
    let list: Vec<Value> = serde_json::from_str(json).ok()?;
    let text = |taint: &Value, key: &str| taint[key].as_str().unwrap_or_default().to_owned();
    Some(
        list.iter()
            // Kubernetes sets these by itself when a node is cordoned or not well.
            .filter(|taint| !text(taint, "key").starts_with("node.kubernetes.io/"))
            .map(|taint| {
                format!(
                    "{}={}:{}",
                    text(taint, "key"),
                    text(taint, "value"),
                    text(taint, "effect")
                )
            })
            .collect(),
    )
}

fn ports(answer: &Answer) -> Option<Vec<u32>> {
    let mut ports: BTreeSet<u32> = BTreeSet::new();
    for list in ["node-port", "health-port"] {
        for name in answer.names(list)? {
            // One object prints all of its ports on a line.
            ports.extend(name.split(' ').filter_map(|port| port.parse::<u32>().ok()));
        }
    }
    Some(ports.into_iter().collect())
}

fn etcd(answer: &Answer) -> Option<EtcdFacts> {
    let json = |name: &str| -> Option<Vec<Value>> { serde_json::from_str(answer.value(name)?).ok() };
    let status = json("etcd.status");
    let members = status.as_ref().map(Vec::len);
    let agree = json("etcd.hashes").filter(|list| !list.is_empty()).map(|list| {
        let hashes: BTreeSet<Option<u64>> = list.iter().map(|one| one["HashKV"]["hash"].as_u64()).collect();
        hashes.len() == 1 && !hashes.contains(&None)
    });
    let facts = EtcdFacts {
        size_bytes: status
            .as_ref()
            .and_then(|list| {
                list.iter()
                    .filter_map(|one| one["Status"]["dbSize"].as_u64())
                    .max()
            })
            .map(Bytes),
        alarms: answer.names("etcd.alarm"),
        // Of one member there is nobody to disagree with.
        members_agree: agree.filter(|_| members.is_some()),
        auth_enabled: answer.value("etcd.auth").and_then(boolean),
        healthy_members: json("etcd.health").and_then(|list| {
            let healthy = list.iter().filter(|one| one["health"].as_bool() == Some(true));
            u32::try_from(healthy.count()).ok()
        }),
        stored_versions: None,
    };
    (facts != EtcdFacts::default()).then_some(facts)
}

fn objects(answer: &Answer, table: &Table) -> Option<ObjectFacts> {
    let facts = ObjectFacts {
        in_tree_volumes: answer.list("volume").map(|list| {
            list.filter_map(|fields| Some(((*fields.first()?).to_owned(), fields.get(1)?.parse().ok()?)))
                .collect()
        }),
        csi_drivers: answer.names("csi-driver"),
        failing_webhooks: named(answer, "webhook", |fields| {
            // `Fail/` is served from outside the cluster.
            fields.iter().any(|one| {
                one.strip_prefix("Fail/")
                    .is_some_and(|service| !service.is_empty())
            })
        }),
        dead_apiservices: named(answer, "apiservice", |fields| fields.first() != Some(&"True")),
        crds: answer.names("crd"),
        cluster_roles: answer.names("cluster-role"),
        ip_pools: answer.names("ip-pool"),
        bgp_peers: answer
            .names("bgp-peer")
            .and_then(|names| u32::try_from(names.len()).ok()),
        local_images: None,
        stuck_namespaces: named(answer, "namespace", |fields| {
            fields.first() == Some(&"Terminating")
        }),
        deprecated_requests: deprecated(answer),
        foreign_ingress: named(answer, "workload", |fields| {
            let images = fields.first().copied().unwrap_or_default();
            images.split(' ').any(|image| ingress(image, table))
        }),
    };
    (facts != ObjectFacts::default()).then_some(facts)
}

/// Names of those members whose other fields fit, sorted, each once.
fn named(answer: &Answer, list: &str, fits: impl Fn(&[&str]) -> bool) -> Option<Vec<String>> {
    let mut names = BTreeSet::new();
    for fields in answer.list(list)? {
        if let [name, rest @ ..] = fields.as_slice()
            && fits(rest)
        {
            names.insert((*name).to_owned());
        }
    }
    Some(names.into_iter().collect())
}

/// The last part of an image's name, without tag and digest.
pub(super) fn short(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split(':').next().unwrap_or(last)
}

/// Whether an image is one of MKE 3's own, which do not stay.
pub(super) fn own_image(image: &str, table: &Table) -> bool {
    table
        .own_images
        .iter()
        .any(|prefix| short(image).starts_with(prefix))
}

fn ingress(image: &str, table: &Table) -> bool {
    !own_image(image, table)
        && table
            .ingress_images
            .iter()
            .any(|part| image.contains(part.as_str()))
}

/// `group/version/resource` of the metric's labels; the core group has no name.
fn deprecated(answer: &Answer) -> Option<Vec<String>> {
    let mut found = BTreeSet::new();
    for line in answer.names("deprecated")? {
        let label = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\""))?;
            rest.split('"').next()
        };
        if let (Some(group), Some(version), Some(resource)) =
            (label("group"), label("version"), label("resource"))
        {
            let api = match group {
                "" => version.to_owned(),
                group => format!("{group}/{version}"),
            };
            found.insert(format!("{api}/{resource}"));
        }
    }
    Some(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(lines: &str) -> View {
        let text = format!("mkectl-facts 1 w 1\n{lines}. w 0\n");
        let answer = Answer::parse("w", text.as_bytes()).unwrap();
        let bundle = crate::catalogue::Bundle::embedded();
        View::read(&answer, &super::super::Questions::load(&bundle).unwrap().table)
    }

    #[test]
    fn etcd_is_read_from_its_own_json() {
        let view = view(
            "= etcd.status [{\"Endpoint\":\"a\",\"Status\":{\"dbSize\":4096}},{\"Endpoint\":\"b\",\"Status\":{\"dbSize\":8192}}]\n\
             = etcd.hashes [{\"HashKV\":{\"hash\":7}},{\"HashKV\":{\"hash\":8}}]\n\
             = etcd.health [{\"endpoint\":\"a\",\"health\":true},{\"endpoint\":\"b\",\"health\":false}]\n\
             * etcd.alarm\n+ etcd.alarm NOSPACE\n- etcd.auth no\n",
        );
        let etcd = view.cluster.etcd.unwrap();
        assert_eq!(etcd.size_bytes, Some(Bytes(8192)));
        assert_eq!(etcd.members_agree, Some(false));
        assert_eq!(etcd.healthy_members, Some(1));
        assert_eq!(etcd.alarms.unwrap(), ["NOSPACE"]);
        assert_eq!(etcd.auth_enabled, None);
    }

    #[test]
    fn objects_that_matter_are_picked_out() {
        let view = view(
            "* webhook\n+ webhook guard\tIgnore/x\tFail/guard\n+ webhook outside\tFail/\n* apiservice\n\
             + apiservice v1.dead\tFalse\n+ apiservice v1.fine\tTrue\n* namespace\n+ namespace a\tActive\n\
             + namespace b\tTerminating\n* workload\n+ workload web/edge\ttraefik:v3 other:1\n\
             + workload ingress-nginx/c\tmirantis/ucp-ingress-nginx-controller:3.8\n* deprecated\n\
             + deprecated apiserver_requested_deprecated_apis{group=\"\",removed_release=\"\",resource=\"componentstatuses\",version=\"v1\"} 1\n\
             + deprecated apiserver_requested_deprecated_apis{group=\"batch\",removed_release=\"1.25\",resource=\"cronjobs\",version=\"v1beta1\"} 1\n",
        );
        let objects = view.cluster.objects.unwrap();
        assert_eq!(objects.failing_webhooks.unwrap(), ["guard"]);
        assert_eq!(objects.dead_apiservices.unwrap(), ["v1.dead"]);
        assert_eq!(objects.stuck_namespaces.unwrap(), ["b"]);
        assert_eq!(objects.foreign_ingress.unwrap(), ["web/edge"]);
        assert_eq!(
            objects.deprecated_requests.unwrap(),
            ["batch/v1beta1/cronjobs", "v1/componentstatuses"]
        );
        assert_eq!(objects.crds, None);
    }

    #[test]
    fn a_host_learns_its_node_by_name_or_address() {
        let view = view(
            "* node\n+ node n1\tTrue\t10.0.0.1\t{\"a\":\"b\"}\t[{\"key\":\"k\",\"effect\":\"NoSchedule\"},{\"key\":\"node.kubernetes.io/unschedulable\",\"effect\":\"NoSchedule\"}]\n\
             + node other\tUnknown\t10.0.0.2\t{}\t\n* user-pods\n+ user-pods n1\t3\n\
             * swarm-node\n+ swarm-node id1\tn1\tready\tmanager\tactive\ttrue\t{\"com.docker.ucp.orchestrator.kubernetes\":\"true\"}\n",
        );
        let mut host = HostFacts {
            hostname: Some("N1".to_owned()),
            swarm: Some(SwarmFacts {
                node_id: Some("id1".to_owned()),
                ..SwarmFacts::default()
            }),
            ..HostFacts::default()
        };
        view.tell(&mut host);
        let node = host.node.unwrap();
        assert_eq!(node.taints.unwrap(), ["k=:NoSchedule"]);
        assert_eq!(node.user_pods, Some(3));
        let swarm = host.swarm.unwrap();
        assert_eq!(swarm.leader, Some(true));
        assert_eq!(swarm.orchestrator.as_deref(), Some("kubernetes"));
        let mut host = HostFacts {
            hostname: Some("elsewhere".to_owned()),
            private_address: Some("10.0.0.2".to_owned()),
            ..HostFacts::default()
        };
        view.tell(&mut host);
        let node = host.node.unwrap();
        assert_eq!((node.ready, node.user_pods), (Some(false), Some(0)));
        assert_eq!(node.taints.unwrap(), Vec::<String>::new());
        assert_eq!(view.cluster.kubernetes_nodes.unwrap()["other"], "NotReady");
    }
}
