//! The swarm: nodes, services, and tasks as containers on hosts.

use super::container::{Container, Restart};
use super::host::Host;
use super::{State, swarm_id};
use crate::model::Role;
use std::collections::{BTreeMap, BTreeSet};

/// Ticks after which the swarm lists a silent node as down.
const SILENCE: u64 = 3;

/// A node of the swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Id.
    pub id: String,
    /// Host name, which is the id of the host.
    pub hostname: String,
    /// Role.
    pub role: Role,
    /// `active`, `pause` or `drain`.
    pub availability: String,
    /// Labels of the node in the swarm.
    pub labels: BTreeMap<String, String>,
    /// Address.
    pub address: String,
    /// Tick at which the managers last heard of it.
    pub heard: u64,
}

/// How many tasks a service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One on each node that its constraints allow.
    Global,
    /// This many.
    Replicated(u32),
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Image.
    pub image: String,
    /// Tasks.
    pub mode: Mode,
    /// Placement, `node.role == manager`.
    pub constraints: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Grows with every update.
    pub version: u64,
    /// Tick of the last update.
    pub updated: u64,
}

/// The swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swarm {
    /// Cluster id.
    pub id: String,
    /// Nodes by id.
    pub nodes: BTreeMap<String, Node>,
    /// Services by name.
    pub services: BTreeMap<String, Service>,
    /// Node id of the leader when there was one last.
    pub leader: String,
}

/// Why a manager cannot serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSwarm {
    /// The engine is in no swarm.
    Inactive,
    /// It is a worker.
    Worker,
    /// Fewer than half of the managers are there.
    NoLeader,
}

impl Node {
    /// Whether one constraint allows a task here. Constraints that cannot be read allow none.
    fn allows(&self, constraint: &str) -> bool {
        let (key, wanted, equal) = match (constraint.split_once("!="), constraint.split_once("==")) {
            (Some((key, wanted)), _) => (key, wanted, false),
            (None, Some((key, wanted))) => (key, wanted, true),
            (None, None) => return false,
        };
        let role = if self.role == Role::Manager {
            "manager"
        } else {
            "worker"
        };
        let has = match key.trim() {
            "node.role" => role,
            "node.id" => &self.id,
            "node.hostname" => &self.hostname,
            "node.platform.os" => "linux",
            key => match key.strip_prefix("node.labels.") {
                Some(label) => self.labels.get(label).map_or("", String::as_str),
                None => return false,
            },
        };
        (has == wanted.trim()) == equal
    }
}

impl State {
    /// Whether a node's engine is up and in the swarm.
    fn there(&self, node: &Node) -> bool {
        self.hosts
            .get(&node.hostname)
            .is_some_and(|host| host.docker_up() && host.in_swarm)
    }

    /// Node id of the leader; none when the managers have no majority.
    pub fn swarm_leader(&self) -> Option<&str> {
        let managers: Vec<&Node> = self
            .swarm
            .nodes
            .values()
            .filter(|node| node.role == Role::Manager)
            .collect();
        let there: Vec<&Node> = managers.iter().copied().filter(|node| self.there(node)).collect();
        if there.len() * 2 <= managers.len() {
            return None;
        }
        let leader = there
            .iter()
            .find(|node| node.id == self.swarm.leader)
            .or(there.first());
        leader.map(|node| node.id.as_str())
    }

    /// `ready` or `down`, as the managers have heard.
    pub fn node_state(&self, node: &Node) -> &'static str {
        if self.there(node) || node.heard + SILENCE > self.now {
            "ready"
        } else {
            "down"
        }
    }

    /// Whether this host can answer for the swarm.
    pub fn serves_swarm(&self, host: &Host) -> Result<(), NoSwarm> {
        if !host.in_swarm {
            Err(NoSwarm::Inactive)
        } else if host.role != Role::Manager {
            Err(NoSwarm::Worker)
        } else if self.swarm_leader().is_none() {
            Err(NoSwarm::NoLeader)
        } else {
            Ok(())
        }
    }

    /// Nodes on which a service wants a task.
    pub fn placed(&self, service: &Service) -> BTreeSet<String> {
        let mut fit = self.swarm.nodes.values().filter(|node| {
            node.availability == "active"
                && self.node_state(node) == "ready"
                && service
                    .constraints
                    .iter()
                    .all(|constraint| node.allows(constraint))
        });
        match service.mode {
            Mode::Global => fit.map(|node| node.id.clone()).collect(),
            Mode::Replicated(count) => fit
                .by_ref()
                .take(count as usize)
                .map(|node| node.id.clone())
                .collect(),
        }
    }

    /// Containers of a service that run, with their hosts.
    pub fn running_tasks(&self, service: &str) -> usize {
        self.hosts
            .values()
            .filter(|host| host.docker_up())
            .flat_map(|host| host.containers.values())
            .filter(|container| container.is_running() && task_of(container) == Some(service))
            .count()
    }

    /// Starts and ends tasks as services want them. Without a leader nothing changes: old tasks run on.
    pub(super) fn reconcile_swarm(&mut self) {
        let there: Vec<String> = self
            .swarm
            .nodes
            .values()
            .filter(|node| self.there(node))
            .map(|node| node.id.clone())
            .collect();
        let Some(leader) = self.swarm_leader().map(str::to_owned) else {
            return;
        };
        self.swarm.leader = leader;
        for id in &there {
            if let Some(node) = self.swarm.nodes.get_mut(id) {
                node.heard = self.now;
            }
        }
        let services: Vec<Service> = self.swarm.services.values().cloned().collect();
        for service in &services {
            let wanted = self.placed(service);
            for id in &there {
                self.reconcile_node(service, id, wanted.contains(id));
            }
        }
        // Tasks of services that were removed end as well.
        let names: BTreeSet<String> = self.swarm.services.keys().cloned().collect();
        for host in self
            .hosts
            .values_mut()
            .filter(|host| host.docker_up() && host.in_swarm)
        {
            host.containers
                .retain(|_, container| task_of(container).is_none_or(|service| names.contains(service)));
        }
    }

    fn reconcile_node(&mut self, service: &Service, node: &str, wanted: bool) {
        let Some(hostname) = self.swarm.nodes.get(node).map(|node| node.hostname.clone()) else {
            return;
        };
        let task = self.ids + 1;
        let Some(host) = self.hosts.get_mut(&hostname) else {
            return;
        };
        let mine = |container: &Container| task_of(container) == Some(service.name.as_str());
        if !wanted {
            host.containers.retain(|_, container| !mine(container));
            return;
        }
        // A task that ended is replaced by another and never started again.
        host.containers
            .retain(|_, container| !mine(container) || container.is_running());
        if host.containers.values().any(mine) {
            return;
        }
        let made = task_container(service, &hostname, node, &format!("{task}"), self.now);
        host.containers.insert(made.name.clone(), made);
        self.ids = task;
    }
}

/// Name of the service that a container is a task of.
pub(crate) fn task_of(container: &Container) -> Option<&str> {
    container
        .labels
        .get("com.docker.swarm.service.name")
        .map(String::as_str)
}

/// The container of a new task.
pub(crate) fn task_container(service: &Service, host: &str, node: &str, task: &str, now: u64) -> Container {
    let task = swarm_id(&format!("task {} {host} {task}", service.name));
    let slot = match service.mode {
        Mode::Global => node.to_owned(),
        Mode::Replicated(_) => "1".to_owned(),
    };
    let name = format!("{}.{slot}.{task}", service.name);
    let mut made = Container::running(host, &name, &service.image);
    made.restart = Restart::new("no");
    made.started = now;
    made.labels = BTreeMap::from(
        [
            ("com.docker.swarm.node.id", node),
            ("com.docker.swarm.service.id", &service.id),
            ("com.docker.swarm.service.name", &service.name),
            ("com.docker.swarm.task", ""),
            ("com.docker.swarm.task.id", &task),
            ("com.docker.swarm.task.name", &name),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    made
}
