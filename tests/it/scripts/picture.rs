//! What a cluster is like, as far as an upgrade that was undone must have left it: what differs by nature (ids, times,
//! what pods are called after a restart) is not in it.

use mkectl::lab::Lab;
use std::collections::{BTreeMap, BTreeSet};

/// A cluster at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    lines: BTreeMap<String, String>,
    keys: BTreeMap<String, Vec<u8>>,
}

/// Where host files may differ after a rollback, by what they begin with: our own directory and copies that were set
/// aside, what lives in memory, what the container engine writes by itself, and logs.
const FREE: &[&str] = &[
    "/var/lib/mkectl",
    "/run",
    "/var/log",
    "/var/lib/docker/overlay2",
    "/var/lib/docker/containers",
];

impl Picture {
    pub fn of(lab: &Lab) -> Picture {
        let hosts: Vec<String> = lab.hosts().map(str::to_owned).collect();
        let mut lines = BTreeMap::new();
        for host in &hosts {
            lines.insert(format!("{host} accounts"), accounts(lab, host));
            let changes = lab.changes(host).unwrap();
            // A directory that was made and holds only what lies aside.
            let only_aside = |path: &str| {
                let below = format!("{path}/");
                let mut held = changes
                    .iter()
                    .filter(|other| other.path.starts_with(&below))
                    .peekable();
                held.peek().is_some() && held.all(|other| other.path.contains(".mkectl-"))
            };
            for change in &changes {
                let path = &change.path;
                let free = FREE
                    .iter()
                    .any(|free| path.starts_with(free) || free.starts_with(path.as_str()));
                if path != "/etc/passwd" && !free && !path.contains(".mkectl-") && !only_aside(path) {
                    lines.insert(format!("{host} file {path}"), format!("{:?}", change.kind));
                }
            }
        }
        let state = lab.state();
        for host in &hosts {
            let known = &state.hosts[host];
            for one in known.containers.values() {
                // Containers of pods are made anew, and what has ended may have been removed.
                let (name, state) = match one.is_pod() {
                    true if !one.is_running() => continue,
                    true => (one.name.rsplit_once('_').unwrap().0, "running".to_owned()),
                    // A task that starts again is another one of the same service in the same slot.
                    false if one.labels.contains_key("com.docker.swarm.task.id") => {
                        (one.name.rsplit_once('.').unwrap().0, one.is_running().to_string())
                    }
                    false => (one.name.as_str(), one.is_running().to_string()),
                };
                lines.insert(
                    format!("{host} container {name}"),
                    format!("{} {state} {:?}", one.image, one.restart),
                );
            }
            for unit in known.units.values() {
                lines.insert(
                    format!("{host} unit {}", unit.name),
                    format!("{:?} {:?}", unit.active, unit.enablement),
                );
            }
        }
        for service in state.swarm.services.values() {
            lines.insert(
                format!("service {}", service.name),
                format!("{} {:?} {:?}", service.image, service.mode, service.constraints),
            );
        }
        let keys = state
            .etcd
            .store
            .range("/")
            .filter(|(key, _)| !passing(key))
            .map(|(key, entry)| (key.to_owned(), entry.bytes.clone()))
            .collect();
        Picture { lines, keys }
    }

    /// What is other later; keys that were added are none of it.
    pub fn differences(&self, later: &Picture) -> Vec<String> {
        let names: BTreeSet<&String> = self.lines.keys().chain(later.lines.keys()).collect();
        let mut found: Vec<String> = names
            .into_iter()
            .filter(|name| self.lines.get(*name) != later.lines.get(*name))
            .map(|name| format!("{name}: {:?} → {:?}", self.lines.get(name), later.lines.get(name)))
            .collect();
        for key in self.keys.keys() {
            if !later.keys.contains_key(key) {
                found.push(format!("etcd key {key} is gone"));
            }
        }
        found
    }
}

/// Accounts of a host. Those of k0s stay: what was moved aside belongs to them.
fn accounts(lab: &Lab, host: &str) -> String {
    let of_k0s = [
        "etcd",
        "kube-apiserver",
        "kube-scheduler",
        "konnectivity-server",
        "keepalived",
    ];
    let text = crate::simulated::sh(lab, host, "cat /etc/passwd", b"").out;
    text.lines()
        .filter(|line| !of_k0s.contains(&line.split(':').next().unwrap_or_default()))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Keys that come and go by themselves.
fn passing(key: &str) -> bool {
    [
        "/registry/events/",
        "/registry/leases/",
        "/registry/masterleases/",
    ]
    .iter()
    .any(|prefix| key.starts_with(prefix))
}
