//! systemd units of one host.

use std::collections::BTreeMap;

/// Whether a unit is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Active {
    /// `active`.
    Active,
    /// `inactive`.
    Inactive,
    /// `failed`.
    Failed,
    /// `activating`, until systemd starts again what ended by itself.
    Restarting,
}

impl Active {
    /// As `systemctl is-active` prints it.
    pub fn word(self) -> &'static str {
        match self {
            Active::Active => "active",
            Active::Inactive => "inactive",
            Active::Failed => "failed",
            Active::Restarting => "activating",
        }
    }
}

/// Whether a unit starts at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enablement {
    /// `enabled`.
    Enabled,
    /// `disabled`.
    Disabled,
    /// `masked`: cannot be started.
    Masked,
}

impl Enablement {
    /// As `systemctl is-enabled` prints it.
    pub fn word(self) -> &'static str {
        match self {
            Enablement::Enabled => "enabled",
            Enablement::Disabled => "disabled",
            Enablement::Masked => "masked",
        }
    }
}

/// A unit as systemd has loaded it: files that changed since the last `daemon-reload` do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// `docker.service`.
    pub name: String,
    /// One line about it.
    pub description: String,
    /// Its file.
    pub fragment: String,
    /// Drop-in files that were loaded.
    pub drop_ins: Vec<String>,
    /// `ConditionPathExists=` of them, with `!` where negated.
    pub conditions: Vec<String>,
    /// Whether the conditions held at the last start.
    pub condition_held: bool,
    /// Whether it is up.
    pub active: Active,
    /// Whether it starts at boot.
    pub enablement: Enablement,
    /// Where `enable` links it: `multi-user.target` or `sockets.target`.
    pub wanted_by: String,
    /// Units that this one starts before itself.
    pub requires: Vec<String>,
    /// The service that a socket starts when somebody connects.
    pub triggers: Option<String>,
    /// Tick at which it starts again while it is restarting.
    pub restart_at: u64,
    /// Process id while up; 0 for sockets.
    pub pid: u32,
    /// Whether the simulation knows what the unit does. A unit that only a file describes can be enabled, not started.
    pub known: bool,
    /// Made by `systemd-run`: gone when it ends.
    pub transient: bool,
}

impl Unit {
    /// Whether it is up.
    pub fn is_active(&self) -> bool {
        self.active == Active::Active
    }

    /// A unit of the distribution, up and enabled.
    pub fn running(name: &str, description: &str, pid: u32) -> Unit {
        let socket = name.ends_with(".socket");
        Unit {
            name: name.to_owned(),
            description: description.to_owned(),
            fragment: format!("/lib/systemd/system/{name}"),
            drop_ins: Vec::new(),
            conditions: Vec::new(),
            condition_held: true,
            active: Active::Active,
            enablement: Enablement::Enabled,
            wanted_by: if socket {
                "sockets.target"
            } else {
                "multi-user.target"
            }
            .to_owned(),
            requires: Vec::new(),
            triggers: None,
            restart_at: 0,
            pid: if socket { 0 } else { pid },
            known: true,
            transient: false,
        }
    }
}

/// Units of an MKE 3 node.
pub(crate) fn of_mke_node() -> BTreeMap<String, Unit> {
    let mut docker = Unit::running("docker.service", "Docker Application Container Engine", 811);
    docker.requires = vec!["docker.socket".to_owned()];
    let mut socket = Unit::running("docker.socket", "Docker Socket for the API", 0);
    socket.triggers = Some("docker.service".to_owned());
    let mut cri = Unit::running("cri-dockerd-mke.service", "CRI Interface for Docker, of MKE", 930);
    cri.requires = vec!["cri-dockerd-mke.socket".to_owned()];
    let mut cri_socket = Unit::running("cri-dockerd-mke.socket", "CRI Socket of MKE", 0);
    cri_socket.triggers = Some("cri-dockerd-mke.service".to_owned());
    [
        docker,
        socket,
        cri,
        cri_socket,
        Unit::running("containerd.service", "containerd container runtime", 702),
        Unit::running("ssh.service", "OpenBSD Secure Shell server", 640),
    ]
    .into_iter()
    .map(|unit| (unit.name.clone(), unit))
    .collect()
}
