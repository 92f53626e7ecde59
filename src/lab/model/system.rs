//! What lies below the engine on one host: kernel settings, firewall, and programs that listen by themselves.

use std::collections::{BTreeMap, BTreeSet};

/// Kernel, firewall and listeners of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// Settings by key, as `sysctl` names them.
    pub sysctls: BTreeMap<String, String>,
    /// Kernel modules that are loaded.
    pub modules: BTreeSet<String>,
    /// Kernel modules that the host does not have.
    pub lacks: BTreeSet<String>,
    /// Firewall.
    pub firewall: Firewall,
    /// What transient units answer, by port.
    pub listeners: BTreeMap<u16, Listener>,
    /// Disks by mount point.
    pub disks: BTreeMap<String, Disk>,
    /// `enforcing`, `permissive` or `disabled`.
    pub selinux: String,
    /// `1` or `2`.
    pub cgroup: String,
}

/// A disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Size.
    pub size: u64,
    /// Free for root.
    pub free: u64,
    /// Free inodes.
    pub inodes: u64,
}

/// What a host has where its facts do not tell.
const ROOT: Disk = Disk {
    size: 200 << 30,
    free: 120 << 30,
    inodes: 8 << 20,
};

/// A firewall of the distribution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firewall {
    /// `firewalld`, `ufw` or nothing.
    pub kind: String,
    /// Whether it is active.
    pub active: bool,
    /// Ports and protocols that are open now: `9443/tcp`, `30000-32767/udp`, `4` for an IP protocol.
    pub open: BTreeSet<String>,
    /// Those that are open after a restart.
    pub permanent: BTreeSet<String>,
}

/// A program behind a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its unit; it listens while that is active.
    pub unit: String,
    /// What it sends to whoever connects.
    pub answer: Vec<u8>,
}

/// Settings that a module brings.
const BRIDGE: [&str; 2] = [
    "net.bridge.bridge-nf-call-ip6tables",
    "net.bridge.bridge-nf-call-iptables",
];

impl System {
    /// A host with Docker as a distribution sets it up, with this firewall.
    pub(crate) fn of_docker_host(firewall: &str) -> System {
        let text = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let open: BTreeSet<String> = ["22/tcp", "4789/udp", "6443/tcp", "10250/tcp"]
            .map(str::to_owned)
            .into();
        let active = matches!(firewall, "firewalld" | "ufw");
        System {
            sysctls: text(&[
                ("kernel.keys.root_maxbytes", "25000000"),
                ("kernel.keys.root_maxkeys", "1000000"),
                ("kernel.panic", "0"),
                ("kernel.panic_on_oops", "0"),
                ("net.ipv4.ip_forward", "1"),
                ("net.ipv6.conf.all.forwarding", "0"),
                ("vm.overcommit_memory", "0"),
                ("vm.panic_on_oom", "0"),
            ]),
            modules: ["nf_conntrack", "overlay"].map(str::to_owned).into(),
            lacks: BTreeSet::new(),
            firewall: Firewall {
                kind: if active { firewall } else { "" }.to_owned(),
                active,
                permanent: if active { open.clone() } else { BTreeSet::new() },
                open: if active { open } else { BTreeSet::new() },
            },
            listeners: BTreeMap::new(),
            disks: BTreeMap::from([("/".to_owned(), ROOT)]),
            selinux: "disabled".to_owned(),
            cgroup: "2".to_owned(),
        }
    }

    /// The disk that holds a path, with its mount point.
    pub fn disk_of(&self, path: &str) -> (&str, Disk) {
        let holds = |mount: &str| {
            let mount = mount.trim_end_matches('/');
            path.strip_prefix(mount)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.disks
            .iter()
            .filter(|(mount, _)| holds(mount))
            .max_by_key(|(mount, _)| mount.len())
            .map_or(("/", ROOT), |(mount, disk)| (mount.as_str(), *disk))
    }

    /// Loads a module; whether the host has it.
    pub fn load(&mut self, module: &str) -> bool {
        if self.lacks.contains(module) {
            return false;
        }
        self.modules.insert(module.to_owned());
        if module == "br_netfilter" {
            for key in BRIDGE {
                self.sysctls
                    .entry(key.to_owned())
                    .or_insert_with(|| "1".to_owned());
            }
        }
        true
    }
}

impl Firewall {
    /// Whether something from outside reaches a TCP port.
    pub fn lets_in(&self, port: u16) -> bool {
        !self.active
            || self.open.iter().any(|rule| {
                let Some(range) = rule.strip_suffix("/tcp") else {
                    return false;
                };
                let (low, high) = range.split_once('-').unwrap_or((range, range));
                matches!((low.parse::<u16>(), high.parse::<u16>()), (Ok(low), Ok(high)) if low <= port && port <= high)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firewall_lets_in_what_is_open() {
        let none = System::of_docker_host("none").firewall;
        assert!(none.lets_in(9443));
        let mut ufw = System::of_docker_host("ufw").firewall;
        assert!(ufw.lets_in(22) && !ufw.lets_in(9443));
        ufw.open.insert("9000-9500/tcp".to_owned());
        assert!(ufw.lets_in(9443) && !ufw.lets_in(9501));
    }
}
