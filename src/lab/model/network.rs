//! Who answers on which port of which host, and the load balancer in front of the managers.

use super::{Container, Host, State};
use crate::model::Role;
use std::collections::{BTreeMap, BTreeSet};

/// The load balancer behind the external address. It forwards TCP and looks into nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balancer {
    /// Its name or address. Without one, every name that is no host's is its.
    pub address: Option<String>,
    /// Ports on which it does not listen.
    pub closed: BTreeSet<u16>,
    /// Where ports go to, by hosts and port there; others go to the same port of all managers.
    pub to: BTreeMap<u16, (Vec<String>, u16)>,
    /// Counts connections: they go round.
    pub connections: usize,
}

/// What answers behind a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These bytes, to whoever connects.
    Plain(Vec<u8>),
    /// HTTP over TLS.
    Tls {
        /// The authority that signed its certificate, as PEM; empty where nobody can verify it.
        authority: String,
        /// Who it is.
        server: Server,
    },
}

/// A server of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// MKE 3's interface on port 443; healthy or not.
    Controller(bool),
    /// An API server of MKE 3; whether it has etcd behind it.
    Mke3Api(bool),
    /// Something of MKE 3 that refuses whoever has no certificate.
    Closed,
    /// An API server of k0s.
    K0sApi,
    /// k0s' join API.
    K0sJoin,
    /// Konnectivity, which speaks gRPC only.
    Konnectivity,
}

/// Why nobody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// There is no such name.
    Unknown,
    /// Nothing comes back.
    Dropped,
    /// Connection refused.
    Refused,
}

impl State {
    /// The host that has a name or address.
    fn host_at(&self, from: &str, name: &str) -> Option<&Host> {
        if matches!(name, "localhost" | "127.0.0.1" | "[::1]") {
            return self.hosts.get(from);
        }
        self.hosts
            .values()
            .find(|host| host.address == name || host.name == name)
    }

    /// What answers on a port of a host, seen from itself.
    pub fn answers(&self, host: &Host, port: u16) -> Option<Answer> {
        if let Some(listener) = host.system.listeners.get(&port)
            && host.units.get(&listener.unit).is_some_and(super::Unit::is_active)
        {
            return Some(Answer::Plain(listener.answer.clone()));
        }
        if let (Ok(process), 6443 | 9443 | 8132) = (self.k0s_api(&host.name), port) {
            let cluster = self.k0s.clusters.get(&process.cluster)?;
            return Some(Answer::Tls {
                authority: cluster.keys.ca_crt.clone(),
                server: match port {
                    6443 => Server::K0sApi,
                    9443 => Server::K0sJoin,
                    _ => Server::Konnectivity,
                },
            });
        }
        if let Some(answer) = self.k0s_answers(host, port) {
            return Some(answer);
        }
        let container = publisher(host, port)?;
        let api = self.etcd_has_quorum() && self.runs(&host.name, super::etcd::API);
        let server = match (container.name.as_str(), port) {
            ("ucp-controller", 6443) | (super::etcd::API, _) => Server::Mke3Api(api),
            ("ucp-controller", _) => {
                Server::Controller(self.etcd_has_quorum() && self.runs(&host.name, "ucp-auth-store"))
            }
            _ => Server::Closed,
        };
        Some(Answer::Tls {
            authority: String::new(),
            server,
        })
    }

    /// What a controller of k0s answers, once its API server is up.
    fn k0s_answers(&self, host: &Host, port: u16) -> Option<Answer> {
        let process = self.k0s_api(&host.name).ok()?;
        let [api, join, _, _, tunnels] = process.config.controller_ports()[..] else {
            return None;
        };
        let server = match port {
            _ if port == api => Server::K0sApi,
            _ if port == join => Server::K0sJoin,
            _ if port == tunnels => Server::Konnectivity,
            _ => return None,
        };
        let cluster = self.k0s.clusters.get(&process.cluster)?;
        let authority = cluster.keys.ca_crt.clone();
        Some(Answer::Tls { authority, server })
    }

    /// What a connection from one host to a name and port reaches.
    ///
    /// # Errors
    /// When nothing does.
    pub fn reach(&mut self, from: &str, name: &str, port: u16) -> Result<Answer, Silence> {
        if let Some(host) = self.host_at(from, name) {
            let inside = host.name == from || publisher(host, port).is_some();
            if !inside && !host.system.firewall.lets_in(port) {
                return Err(Silence::Dropped);
            }
            return self.answers(host, port).ok_or(Silence::Refused);
        }
        let balanced = match &self.balancer.address {
            Some(address) => address == name,
            None => name.parse::<std::net::IpAddr>().is_err(),
        };
        if !balanced {
            return Err(if name.parse::<std::net::IpAddr>().is_ok() {
                Silence::Dropped
            } else {
                Silence::Unknown
            });
        }
        if self.balancer.closed.contains(&port) {
            return Err(Silence::Dropped);
        }
        let (hosts, port) = self.balancer.to.get(&port).cloned().unwrap_or_else(|| {
            let managers = self.hosts.values().filter(|host| host.role == Role::Manager);
            (managers.map(|host| host.name.clone()).collect(), port)
        });
        // It sends connections only to backends whose port is open.
        let answers: Vec<Answer> = hosts
            .iter()
            .filter_map(|name| self.hosts.get(name))
            .filter(|host| publisher(host, port).is_some() || host.system.firewall.lets_in(port))
            .filter_map(|host| self.answers(host, port))
            .collect();
        let turn = self.balancer.connections;
        self.balancer.connections = turn.wrapping_add(1);
        match answers.len() {
            0 => Err(Silence::Refused),
            count => answers.into_iter().nth(turn % count).ok_or(Silence::Refused),
        }
    }
}

impl State {
    /// TCP ports that something listens on, with the name of the process.
    pub fn listeners(&self, host: &Host) -> BTreeMap<u16, &'static str> {
        let mut ports = BTreeMap::from([(22, "sshd")]);
        if host.docker_up() {
            if host.in_swarm {
                ports.insert(7946, "dockerd");
                if host.role == Role::Manager {
                    ports.insert(2377, "dockerd");
                }
            }
            for container in host.containers.values().filter(|one| one.is_running()) {
                for (low, high) in container.ports.iter().filter_map(|text| outside(text)) {
                    ports.extend((low..=high).map(|port| (port, "docker-proxy")));
                }
                let own: &[u16] = match container.name.as_str() {
                    "ucp-kubelet" => &[10_248, 10_250],
                    "ucp-kube-proxy" => &[10_256],
                    _ => &[],
                };
                let name = if own == [10_256] { "kube-proxy" } else { "kubelet" };
                ports.extend(own.iter().map(|port| (*port, name)));
            }
            ports.insert(9100, "node_exporter");
        }
        for (port, listener) in &host.system.listeners {
            if host.units.get(&listener.unit).is_some_and(super::Unit::is_active) {
                ports.insert(*port, "systemd-socket-");
            }
        }
        if let Ok(process) = self.k0s_api(&host.name) {
            ports.extend(
                process
                    .config
                    .controller_ports()
                    .iter()
                    .map(|port| (*port, "k0s")),
            );
        }
        ports
    }
}

/// Ports of the host in `0.0.0.0:12379-12380->12379-12380/tcp`.
fn outside(published: &str) -> Option<(u16, u16)> {
    let ports = published.split("->").next()?.rsplit(':').next()?;
    let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
    Some((low.parse().ok()?, high.parse().ok()?))
}

/// The running container that publishes a port. Docker opens what it publishes past every firewall.
fn publisher(host: &Host, port: u16) -> Option<&Container> {
    if !host.docker_up() {
        return None;
    }
    host.containers
        .values()
        .filter(|one| one.is_running())
        .find(|one| {
            one.ports
                .iter()
                .filter_map(|published| outside(published))
                .any(|(low, high)| low <= port && port <= high)
        })
}
