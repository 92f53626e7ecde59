//! k0s: its processes on hosts, the etcd that controllers form, and the API over it.
//!
//! A process lives while its unit does. What it does besides follows from the state at each look: an API server is up
//! while etcd has a quorum and nothing else holds its port, a kubelet serves its node while it reaches an API server.

mod config;
mod etcd;
mod stacks;
mod token;

pub use config::Config;
pub(crate) use etcd::About;
pub use etcd::{Cluster, Keys, Member};
pub(crate) use token::user;
pub use token::{Token, TokenFile};

use super::State;
use super::etcd::Store;
use super::kube::{self, Api, Context};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Ticks that an API server takes to start.
const STARTING: u64 = 2;

/// Ticks between looks of controllers that found nothing to do.
const QUIET: u64 = 5;

/// Ticks after which the node lifecycle controller takes a silent node for lost.
const SILENCE: u64 = 40;

/// All that k0s is in a cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct K0s {
    /// Processes by host.
    pub processes: BTreeMap<String, Process>,
    /// etcd clusters of which a member runs, by id.
    pub clusters: BTreeMap<String, Cluster>,
    /// What units wrote, by host.
    pub journal: BTreeMap<String, Vec<String>>,
}

/// A running k0s.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// `v1.32.11+k0s.0`.
    pub version: String,
    /// What it was started with, `controller` or `worker` first.
    pub args: Vec<String>,
    /// The configuration; that of workers is empty.
    pub config: Config,
    /// Data directory.
    pub data_dir: String,
    /// Root of the kubelet.
    pub kubelet_root: String,
    /// Id of the etcd cluster; of a worker, that of the controllers that it joined.
    pub cluster: String,
    /// Name of the etcd member; none for workers.
    pub member: Option<String>,
    /// Name of the node; none for controllers without workloads.
    pub node: Option<String>,
    /// Address of the node.
    pub address: String,
    /// Worker profile.
    pub profile: String,
    /// Tick of the start.
    pub since: u64,
    /// Why the API server does not come up though the process lives.
    pub api_fault: Option<String>,
    /// Why the kubelet does not come up though the process lives.
    pub kubelet_fault: Option<String>,
}

impl Process {
    /// Whether it is a controller.
    pub fn controls(&self) -> bool {
        self.member.is_some()
    }

    /// Version of Kubernetes as nodes report it: without the last number of k0s'.
    pub fn kubelet_version(&self) -> &str {
        self.version
            .rsplit_once('.')
            .filter(|(front, _)| front.contains("+k0s"))
            .map_or(&self.version, |(front, _)| front)
    }
}

/// Whether a published port of a container, `0.0.0.0:12379-12380->12379-12380/tcp`, takes this one of the host.
fn publishes(published: &str, port: u16) -> bool {
    let Some((host, _)) = published.split_once("->") else {
        return false;
    };
    let range = host.rsplit(':').next().unwrap_or_default();
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    matches!((first.parse::<u16>(), last.parse::<u16>()), (Ok(first), Ok(last)) if (first..=last).contains(&port))
}

/// Ports that containers of MKE 3 take in the network of the host.
fn takes(container: &str) -> &'static [u16] {
    match container {
        "ucp-kubelet" => &[10248, 10250],
        "ucp-kube-proxy" => &[10249, 10256],
        "ucp-kube-controller-manager" => &[10257],
        "ucp-kube-scheduler" => &[10259],
        _ => &[],
    }
}

impl State {
    /// The container or transient unit that holds a port of a host.
    pub fn port_holder(&self, host: &str, port: u16) -> Option<&str> {
        let host = self.hosts.get(host)?;
        if let Some(listener) = host.system.listeners.get(&port)
            && host.units.get(&listener.unit).is_some_and(super::Unit::is_active)
        {
            return Some(&listener.unit);
        }
        if !host.docker_up() {
            return None;
        }
        host.containers
            .values()
            .find(|container| {
                container.is_running()
                    && (takes(&container.name).contains(&port)
                        || container.ports.iter().any(|published| publishes(published, port)))
            })
            .map(|container| container.name.as_str())
    }

    /// The process on a host.
    pub fn k0s_on(&self, host: &str) -> Option<&Process> {
        self.k0s.processes.get(host)
    }

    /// Names of the members of an etcd cluster that run.
    pub fn members_up(&self, cluster: &str) -> BTreeSet<&str> {
        let Some(of) = self.k0s.clusters.get(cluster) else {
            return BTreeSet::new();
        };
        self.k0s
            .processes
            .values()
            .filter(|process| process.cluster == cluster)
            .filter_map(|process| process.member.as_deref())
            .filter(|member| of.members.contains_key(*member))
            .collect()
    }

    /// Why the API server of k0s on a host does not answer.
    ///
    /// # Errors
    /// The reason, as its log would say.
    pub fn k0s_api(&self, host: &str) -> Result<&Process, String> {
        let refused = || "connect: connection refused".to_owned();
        let process = self
            .k0s_on(host)
            .filter(|process| process.controls())
            .ok_or_else(refused)?;
        if let Some(fault) = &process.api_fault {
            return Err(format!("{} ({fault})", refused()));
        }
        for port in process.config.controller_ports() {
            if let Some(holder) = self.port_holder(host, port) {
                return Err(format!(
                    "listen tcp :{port}: bind: address already in use (held by {holder})"
                ));
            }
        }
        if self.now < process.since + STARTING {
            return Err(refused());
        }
        let cluster = self.k0s.clusters.get(&process.cluster).ok_or_else(refused)?;
        let up = self.members_up(&process.cluster);
        if !process
            .member
            .as_ref()
            .is_some_and(|member| cluster.members.contains_key(member))
        {
            return Err(format!(
                "{} (the member has been permanently removed from the cluster)",
                refused()
            ));
        }
        if up.len() * 2 <= cluster.members.len() {
            return Err("etcdserver: no leader".to_owned());
        }
        Ok(process)
    }

    /// Hosts whose API server answers, in the order of names.
    pub fn k0s_apis(&self, cluster: &str) -> Vec<String> {
        self.k0s
            .processes
            .iter()
            .filter(|(host, process)| process.cluster == cluster && self.k0s_api(host).is_ok())
            .map(|(host, _)| host.clone())
            .collect()
    }

    /// The host that answers behind `https://ADDRESS:PORT`. What is no host's address is the load balancer, which leads to
    /// the first controller that is there.
    ///
    /// # Errors
    /// As a client says it.
    pub fn k0s_behind(&self, url: &str) -> Result<String, String> {
        let rest = url.strip_prefix("https://").unwrap_or(url);
        let rest = rest.split('/').next().unwrap_or_default();
        let address = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => rest.rsplit_once(':').map_or(rest, |(address, _)| address),
        };
        let refused = |why: String| format!("dial tcp {rest}: {why}");
        if let Some(host) = self.hosts.values().find(|host| host.address == address) {
            return match self.k0s_api(&host.name) {
                Ok(_) => Ok(host.name.clone()),
                Err(why) => Err(refused(why)),
            };
        }
        let first = self.k0s.processes.keys().find(|host| self.k0s_api(host).is_ok());
        first
            .cloned()
            .ok_or_else(|| refused("connect: connection refused".to_owned()))
    }

    /// Nodes whose kubelet serves them at an API server of this cluster, with the hosts.
    pub fn k0s_nodes(&self, cluster: &str) -> BTreeMap<String, String> {
        let apis = self.k0s_apis(cluster);
        self.k0s
            .processes
            .iter()
            .filter(|(host, process)| {
                let reaches = match process.controls() {
                    true => apis.contains(host),
                    false => !apis.is_empty(),
                };
                process.cluster == cluster
                    && reaches
                    && process.kubelet_fault.is_none()
                    && [10248, 10250]
                        .iter()
                        .all(|port| self.port_holder(host, *port).is_none())
            })
            .filter_map(|(host, process)| Some((process.node.clone()?, host.clone())))
            .collect()
    }

    /// What an API server of a cluster knows.
    pub fn k0s_context(&self, cluster: &str) -> Context {
        let controllers = || {
            self.k0s
                .processes
                .values()
                .filter(|process| process.cluster == cluster && process.controls())
        };
        let keys = self.k0s.clusters.get(cluster).map(|cluster| &cluster.keys);
        Context {
            now: self.now,
            version: controllers()
                .next()
                .map_or(String::new(), |process| process.kubelet_version().to_owned()),
            live: self.k0s_nodes(cluster).into_keys().collect(),
            token_keys: keys.map(|keys| keys.sa_pub.clone()).into_iter().collect(),
            client_cas: BTreeSet::from(["kubernetes-ca".to_owned()]),
            administrators: BTreeSet::new(),
        }
    }

    /// Answers with the API of a cluster; none when no member of it runs.
    pub fn with_k0s<T>(&mut self, cluster: &str, what: impl FnOnce(&mut Api<'_>) -> T) -> Option<T> {
        let context = self.k0s_context(cluster);
        let store = &mut self.k0s.clusters.get_mut(cluster)?.store;
        Some(what(&mut Api::new(store, &context)))
    }

    /// Notes a line of a unit.
    pub fn k0s_log(&mut self, host: &str, line: &str) {
        let lines = self.k0s.journal.entry(host.to_owned()).or_default();
        if lines.last().is_none_or(|last| last != line) {
            lines.push(line.to_owned());
        }
    }

    /// One round of every control plane whose API answers.
    pub(super) fn tick_k0s(&mut self) {
        for cluster in self.k0s.clusters.keys().cloned().collect::<Vec<_>>() {
            let apis = self.k0s_apis(&cluster);
            let Some(leader) = apis.first() else { continue };
            let context = self.k0s_context(&cluster);
            let nodes = self.k0s_nodes(&cluster);
            let Some(config) = self.k0s_on(leader).map(|process| process.config.clone()) else {
                continue;
            };
            let about: Vec<(String, Process)> = nodes
                .iter()
                .filter_map(|(node, host)| Some((node.clone(), self.k0s_on(host)?.clone())))
                .collect();
            let Some(of) = self.k0s.clusters.get_mut(&cluster) else {
                continue;
            };
            // Where nothing changed since they found nothing to do, they look only now and then: time may have passed.
            let seen = (of.store.revision(), context.live.clone());
            if of.quiet.as_ref() == Some(&seen) && !self.now.is_multiple_of(QUIET) {
                continue;
            }
            let mut failed = Vec::new();
            {
                let mut api = Api::new(&mut of.store, &context);
                stacks::namespaces(&mut api);
                for (node, process) in &about {
                    register(&mut api, node, process);
                }
                for object in stacks::objects(&config) {
                    let name = format!("{} {}", kube::text(&object, &["kind"]), kube::name(&object));
                    if let Err(refusal) = api.apply(object, "k0s", true) {
                        failed.push(format!("failed to apply stack: {name}: {}", refusal.message));
                    }
                }
            }
            let running = kube::controllers::Running {
                workloads: true,
                charts: true,
            };
            kube::controllers::reconcile(&mut of.store, &context, running);
            kube::controllers::kubelets(&mut of.store, &context);
            of.quiet = (of.store.revision() == seen.0).then_some(seen);
            if !config.is_held() {
                evict(&mut of.store, &context, &mut of.silent);
            }
            for line in failed {
                self.k0s_log(leader, &line);
            }
        }
    }
}

/// What a kubelet reports of its node, which it makes where there is none of that name.
fn register(api: &mut Api<'_>, node: &str, process: &Process) {
    let mut object = match api.find("nodes", "", node) {
        Some(object) => object,
        None => {
            let made = json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": node, "labels": {
                    "kubernetes.io/hostname": node, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                }},
                "spec": {},
            });
            match api.create(made, "kubelet") {
                Ok(object) => object,
                Err(_) => return,
            }
        }
    };
    object["status"]["nodeInfo"]["kubeletVersion"] = json!(process.kubelet_version());
    object["status"]["nodeInfo"]["containerRuntimeVersion"] = json!("containerd://1.7.29");
    object["status"]["addresses"] = json!([
        {"type": "InternalIP", "address": process.address},
        {"type": "Hostname", "address": node},
    ]);
    object["status"]["daemonEndpoints"] = json!({"kubeletEndpoint": {"Port": 10250}});
    api.write_status(&object);
}

/// The node lifecycle controller: nodes that stay silent are marked, and their pods leave them.
fn evict(store: &mut Store, context: &Context, silent: &mut BTreeMap<String, u64>) {
    let mut api = Api::new(store, context);
    let nodes = api.all("nodes");
    silent.retain(|name, _| {
        !context.live.contains(name) && nodes.iter().any(|node| kube::name(node) == name.as_str())
    });
    for mut node in nodes {
        let name = kube::name(&node).to_owned();
        if context.live.contains(&name) {
            continue;
        }
        let since = *silent.entry(name.clone()).or_insert(context.now);
        if context.now < since + SILENCE {
            continue;
        }
        let why = "Kubelet stopped posting node status.";
        kube::set_condition(
            &mut node,
            "Ready",
            "Unknown",
            "NodeStatusUnknown",
            why,
            &context.time(),
        );
        node["spec"]["taints"] = json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]);
        api.write_status(&node);
        let Some(pods) = api.resource("pods") else { return };
        for pod in api.list(&pods, None) {
            let daemon = kube::field(&pod, &["metadata", "ownerReferences"])
                .and_then(Value::as_array)
                .is_some_and(|owners| owners.iter().any(|owner| owner["kind"] == "DaemonSet"));
            if kube::text(&pod, &["spec", "nodeName"]) == name && !daemon {
                // A pod that a webhook keeps stays for the next round.
                let _ = api.delete(
                    &pods,
                    kube::namespace(&pod),
                    kube::name(&pod),
                    kube::Cascade::Background,
                    false,
                );
            }
        }
        if let Some(attachments) = api.resource("volumeattachments") {
            for one in api.list(&attachments, None) {
                if kube::text(&one, &["spec", "nodeName"]) == name {
                    let _ = api.delete(
                        &attachments,
                        "",
                        kube::name(&one),
                        kube::Cascade::Background,
                        true,
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::publishes;

    #[test]
    fn published_ports_are_those_of_the_host() {
        assert!(publishes("0.0.0.0:6443->8081/tcp", 6443));
        assert!(!publishes("0.0.0.0:6443->8081/tcp", 8081));
        assert!(publishes("0.0.0.0:12379-12380->12379-12380/tcp", 12380));
        assert!(!publishes("80/tcp", 80));
    }
}
