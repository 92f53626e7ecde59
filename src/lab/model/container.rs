//! Containers of one engine.

use super::id;
use std::collections::BTreeMap;

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Made, never started.
    Created,
    /// Running.
    Running,
    /// Ended with this status.
    Exited(i32),
}

/// When the engine starts a container by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// `no`, `always`, `unless-stopped` or `on-failure`.
    pub name: String,
    /// Attempts of `on-failure`; 0 for no limit.
    pub maximum: u32,
}

impl Restart {
    /// A policy without a limit.
    pub fn new(name: &str) -> Restart {
        Restart {
            name: name.to_owned(),
            maximum: 0,
        }
    }
}

/// Something mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Name of a volume, or a path of the host.
    pub source: String,
    /// Where in the container.
    pub target: String,
    /// Whether `source` names a volume.
    pub volume: bool,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// Image as it was asked for.
    pub image: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Environment, `NAME=value`.
    pub env: Vec<String>,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// Ports published, `0.0.0.0:443->8080/tcp`.
    pub ports: Vec<String>,
    /// Restart policy.
    pub restart: Restart,
    /// State.
    pub phase: Phase,
    /// A person or program stopped it: `unless-stopped` leaves it so.
    pub stopped: bool,
    /// Starts after the first.
    pub restarts: u32,
    /// Tick of the last start.
    pub started: u64,
    /// Tick of the last end.
    pub finished: u64,
    /// Process id while running, as the host numbers it.
    pub pid: u32,
}

impl Container {
    /// A running container; its id follows from its host and name.
    pub fn running(host: &str, name: &str, image: &str) -> Container {
        let id = id(&format!("container {host} {name}"));
        Container {
            pid: pid(&id),
            id,
            name: name.to_owned(),
            image: image.to_owned(),
            command: Vec::new(),
            labels: BTreeMap::new(),
            env: Vec::new(),
            mounts: Vec::new(),
            ports: Vec::new(),
            restart: Restart::new("unless-stopped"),
            phase: Phase::Running,
            stopped: false,
            restarts: 0,
            started: 0,
            finished: 0,
        }
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Starts it, if it does not run.
    pub fn start(&mut self, now: u64) {
        if !self.is_running() {
            self.restarts += 1;
            self.phase = Phase::Running;
            self.started = now;
            self.pid = pid(&format!("{}{}", self.id, self.restarts));
        }
        self.stopped = false;
    }

    /// Ends it with a status, if it runs. `asked` when somebody stopped it.
    pub fn end(&mut self, status: i32, asked: bool, now: u64) {
        if self.is_running() {
            self.phase = Phase::Exited(status);
            self.finished = now;
            self.pid = 0;
        }
        self.stopped |= asked;
    }

    /// Whether the engine starts it when the engine itself starts.
    pub fn comes_back(&self) -> bool {
        match self.restart.name.as_str() {
            "always" => true,
            "unless-stopped" => !self.stopped,
            "on-failure" => !self.stopped && matches!(self.phase, Phase::Exited(status) if status != 0),
            _ => false,
        }
    }

    /// Label that Kubernetes' containers carry.
    pub fn is_pod(&self) -> bool {
        self.labels.contains_key("io.kubernetes.pod.uid")
    }
}

fn pid(text: &str) -> u32 {
    let digest = id(text);
    1000 + u32::from_str_radix(&digest[..4], 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_container_comes_back_as_its_policy_says() {
        let back = |policy: &str, asked: bool, status: i32| {
            let mut one = Container::running("h", "c", "i");
            one.restart = Restart::new(policy);
            one.end(status, asked, 3);
            one.comes_back()
        };
        assert!(back("always", true, 0));
        assert!(back("unless-stopped", false, 0));
        assert!(!back("unless-stopped", true, 0));
        assert!(back("on-failure", false, 1));
        assert!(!back("on-failure", false, 0));
        assert!(!back("no", false, 1));
    }
}
