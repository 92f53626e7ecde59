//! One host: its engine and its units.

use super::container::Container;
use super::links::{self, Link};
use super::netfilter::Netfilter;
use super::swarm::task_of;
use super::system::System;
use super::units::{Active, Enablement, Unit};
use crate::model::Role;
use std::collections::BTreeMap;

/// A host's Docker Engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Server version.
    pub version: String,
    /// Root directory.
    pub root: String,
    /// Storage driver.
    pub driver: String,
    /// `systemd` or `cgroupfs`.
    pub cgroup_driver: String,
    /// Containers run on while the engine is down.
    pub live_restore: bool,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Host name, which is its id in the lab.
    pub name: String,
    /// Address between nodes.
    pub address: String,
    /// Role in the swarm.
    pub role: Role,
    /// Id in the swarm.
    pub node_id: String,
    /// Whether the engine found a swarm in its root when it started.
    pub in_swarm: bool,
    /// Processors.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// `Ubuntu 22.04.5 LTS`.
    pub os: String,
    /// `5.15.0-126-generic`.
    pub kernel: String,
    /// `x86_64`.
    pub arch: String,
    /// Engine.
    pub engine: Engine,
    /// Containers by name.
    pub containers: BTreeMap<String, Container>,
    /// Images by reference: id.
    pub images: BTreeMap<String, String>,
    /// Kernel settings, firewall and what listens by itself.
    pub system: System,
    /// Rules of iptables.
    pub netfilter: Netfilter,
    /// Network interfaces by name.
    pub links: BTreeMap<String, Link>,
    /// Units by name.
    pub units: BTreeMap<String, Unit>,
    /// MKE's own containers as its agents want them, by name.
    pub wanted: BTreeMap<String, Container>,
    /// Tick at which the agent or the kubelet starts a container again, by name.
    pub due: BTreeMap<String, u64>,
}

/// Why a unit did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No such unit.
    NotFound(String),
    /// It is masked.
    Masked(String),
    /// The simulation does not know what it does.
    Unknown(String),
}

impl Host {
    /// Whether the engine answers.
    pub fn docker_up(&self) -> bool {
        self.units.get("docker.service").is_some_and(Unit::is_active)
    }

    /// A container by name, id or a beginning of the id that only one has.
    pub fn find(&self, word: &str) -> Option<&str> {
        let word = word.strip_prefix('/').unwrap_or(word);
        if let Some((name, _)) = self.containers.get_key_value(word) {
            return Some(name);
        }
        let mut with = self
            .containers
            .values()
            .filter(|one| !word.is_empty() && one.id.starts_with(word));
        match (with.next(), with.next()) {
            (Some(one), None) => Some(&one.name),
            _ => None,
        }
    }

    /// Starts a unit and what it requires. `holds` tells whether a path exists; `swarm` whether the engine's root has a
    /// swarm. A condition that does not hold is no error: the unit just stays down, as systemd has it.
    ///
    /// # Errors
    /// When there is no such unit, or it cannot be started.
    pub fn start_unit(
        &mut self,
        name: &str,
        holds: &dyn Fn(&str) -> bool,
        swarm: bool,
        now: u64,
    ) -> Result<(), Trouble> {
        let unit = self
            .units
            .get(name)
            .ok_or_else(|| Trouble::NotFound(name.to_owned()))?;
        if unit.enablement == Enablement::Masked {
            return Err(Trouble::Masked(name.to_owned()));
        }
        if !unit.known {
            return Err(Trouble::Unknown(name.to_owned()));
        }
        if unit.is_active() {
            return Ok(());
        }
        for required in unit.requires.clone() {
            match self.start_unit(&required, holds, swarm, now) {
                Ok(()) | Err(Trouble::NotFound(_)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        let held = |unit: &Unit| {
            unit.conditions
                .iter()
                .all(|condition| match condition.strip_prefix('!') {
                    Some(path) => !holds(path),
                    None => holds(condition),
                })
        };
        let Some(unit) = self.units.get_mut(name) else {
            return Ok(());
        };
        unit.condition_held = held(unit);
        if !unit.condition_held {
            return Ok(());
        }
        unit.active = Active::Active;
        if name == "docker.service" {
            self.in_swarm = swarm;
            self.netfilter.docker_starts();
            self.links.extend(links::of_docker());
            for container in self.containers.values_mut() {
                // A node of the swarm starts its tasks again by itself, whether it hears of a manager or not.
                let task = swarm && task_of(container).is_some() && !container.stopped;
                if task || container.comes_back() {
                    container.start(now);
                }
            }
        }
        Ok(())
    }

    /// Stops a unit. A socket that triggers it stays, and starts it again when somebody connects.
    ///
    /// # Errors
    /// When there is no such unit.
    pub fn stop_unit(&mut self, name: &str, now: u64) -> Result<(), Trouble> {
        let unit = self
            .units
            .get_mut(name)
            .ok_or_else(|| Trouble::NotFound(name.to_owned()))?;
        if !unit.is_active() {
            return Ok(());
        }
        unit.active = Active::Inactive;
        let transient = unit.transient;
        if name == "docker.service" && !self.engine.live_restore {
            for container in self.containers.values_mut() {
                // The engine ends them with SIGTERM, and nobody asked for it.
                container.end(143, false, now);
            }
        }
        // A service goes down when a socket that it requires is stopped.
        let dependants: Vec<String> = self
            .units
            .values()
            .filter(|other| other.is_active() && other.requires.iter().any(|required| required == name))
            .map(|other| other.name.clone())
            .collect();
        for dependant in dependants {
            self.stop_unit(&dependant, now)?;
        }
        if transient {
            self.units.remove(name);
        }
        Ok(())
    }

    /// What a restart takes with it: interfaces that programs made, rules, what transient units answered.
    pub(crate) fn restarted(&mut self) {
        self.links.retain(|_, link| link.kind.is_empty());
        self.netfilter.tables.clear();
        self.system.listeners.clear();
    }

    /// Connects to MKE's shim between kubelet and Docker, which its socket starts. Whether it is there.
    pub(super) fn reach_cri(&mut self) -> bool {
        const SHIM: &str = "cri-dockerd-mke.service";
        let socket = self.trigger_of(SHIM).is_some();
        match self.units.get_mut(SHIM) {
            Some(shim) if socket && shim.active == Active::Inactive => {
                shim.active = Active::Active;
                true
            }
            Some(shim) => shim.is_active(),
            None => false,
        }
    }

    /// The socket that would start this service if somebody connected.
    pub fn trigger_of(&self, service: &str) -> Option<&str> {
        self.units
            .values()
            .find(|unit| unit.is_active() && unit.triggers.as_deref() == Some(service))
            .map(|unit| unit.name.as_str())
    }
}
