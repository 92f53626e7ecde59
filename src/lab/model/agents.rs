//! What MKE 3 repairs by itself: containers on each host, and the agents that repair them.

use super::State;
use super::container::Container;
use super::host::Host;
use super::swarm::{Mode, task_of};

/// Ticks between something missing and its repair.
const REPAIR: u64 = 3;

/// Services whose tasks keep the MKE containers of a host as they should be.
const AGENTS: [&str; 2] = ["ucp-manager-agent", "ucp-worker-agent-x"];

/// The service that keeps the agents as they should be.
const CLUSTER_AGENT: &str = "ucp-cluster-agent";

/// Placement that the cluster agent gives the agents.
pub(super) fn agent_constraints(service: &str) -> Vec<String> {
    let role = if service == "ucp-manager-agent" {
        "manager"
    } else {
        "worker"
    };
    vec![
        format!("node.role == {role}"),
        "node.platform.os == linux".to_owned(),
    ]
}

fn runs(host: &Host, service: &str) -> bool {
    host.containers
        .values()
        .any(|container| container.is_running() && task_of(container) == Some(service))
}

impl State {
    /// Whether a task of this service runs anywhere.
    fn runs_anywhere(&self, service: &str) -> bool {
        self.hosts
            .values()
            .any(|host| host.docker_up() && runs(host, service))
    }

    /// One round of repairs.
    pub(super) fn heal(&mut self) {
        if self.swarm_leader().is_some() && self.runs_anywhere(CLUSTER_AGENT) {
            for name in AGENTS {
                if let Some(service) = self.swarm.services.get_mut(name)
                    && service.mode == Mode::Global
                    && service.constraints != agent_constraints(name)
                    && service.updated + REPAIR <= self.now
                {
                    service.constraints = agent_constraints(name);
                    service.version += 1;
                    service.updated = self.now;
                }
            }
        }
        let now = self.now;
        for host in self.hosts.values_mut().filter(|host| host.docker_up()) {
            let mut missing = Vec::new();
            if AGENTS.iter().any(|agent| runs(host, agent)) {
                missing.extend(
                    host.wanted
                        .keys()
                        .filter(|name| !host.containers.get(*name).is_some_and(Container::is_running))
                        .cloned(),
                );
            }
            let up = |host: &Host, name: &str| host.containers.get(name).is_some_and(Container::is_running);
            if up(host, "ucp-kubelet") {
                host.netfilter.kubelet_runs();
            }
            if up(host, "ucp-kube-proxy") {
                host.netfilter.proxy_runs();
            }
            if host.containers.values().any(|one| {
                one.is_running() && one.labels.get("name").is_some_and(|name| name == "Calico node")
            }) {
                host.netfilter.calico_runs();
            }
            // The kubelet reaches Docker through a shim, whose socket starts it.
            if up(host, "ucp-kubelet") && host.reach_cri() {
                missing.extend(
                    host.containers
                        .values()
                        .filter(|container| container.is_pod() && !container.is_running())
                        .map(|container| container.name.clone()),
                );
            }
            host.due.retain(|name, _| missing.contains(name));
            for name in missing {
                let due = *host.due.entry(name.clone()).or_insert(now + REPAIR);
                if due > now {
                    continue;
                }
                host.due.remove(&name);
                match (host.containers.get_mut(&name), host.wanted.get(&name)) {
                    (Some(container), _) => container.start(now),
                    (None, Some(wanted)) => {
                        let mut made = wanted.clone();
                        made.started = now;
                        host.containers.insert(name, made);
                    }
                    (None, None) => {}
                }
            }
        }
    }
}
