//! What a cluster is like, as far as an upgrade that was undone must have left it: by class, and without what differs by
//! nature, such as ids, times and what pods are called after a restart.

use super::error::LabError;
use super::model::{Container, etcd, kube};
use super::{Change, Lab};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Containers by host, name, image, whether they run and when they start again.
    Containers,
    /// Services of the swarm by name, image, number and placement.
    Services,
    /// Nodes of the swarm, and whether those of Kubernetes are Ready.
    Nodes,
    /// Content of Docker volumes.
    Volumes,
    /// Content, owner and mode of all other files, and accounts.
    Files,
    /// Units by whether they run and start at boot.
    Units,
    /// Keys of MKE 3's etcd: key, value, and revision of the last change.
    Keys,
}

impl Class {
    /// All, in the order in which they are told.
    pub const ALL: [Class; 7] = [
        Class::Containers,
        Class::Services,
        Class::Nodes,
        Class::Volumes,
        Class::Files,
        Class::Units,
        Class::Keys,
    ];
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Containers => "containers",
            Class::Services => "services",
            Class::Nodes => "nodes",
            Class::Volumes => "volumes",
            Class::Files => "files",
            Class::Units => "units",
            Class::Keys => "etcd keys",
        })
    }
}

/// A cluster at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Whether MKE 3 has an API server, which tells kubelets what pods they have.
    tended: bool,
    things: Things,
}

type Things = BTreeMap<(Class, String), Thing>;

/// What something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A container.
    Container {
        /// Its image.
        image: String,
        /// Whether it runs.
        running: bool,
        /// When Docker starts it again.
        restart: String,
    },
    /// Anything else, in words.
    Other(String),
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Thing::Container {
                image,
                running,
                restart,
            } => {
                let runs = if *running { "running" } else { "stopped" };
                write!(f, "{image} {runs}, restart {restart}")
            }
            Thing::Other(text) => f.write_str(text),
        }
    }
}

/// Something that is other than it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What kind of thing.
    pub class: Class,
    /// Its name, with its host where it has one.
    pub name: String,
    /// What it was; none when it was not there.
    pub before: Option<Thing>,
    /// What it is; none when it is not there.
    pub after: Option<Thing>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |thing: &Option<Thing>| {
            thing
                .as_ref()
                .map_or_else(|| "not there".to_owned(), Thing::to_string)
        };
        let (before, after) = (side(&self.before), side(&self.after));
        write!(f, "{} {}: {before} → {after}", self.class, self.name)
    }
}

/// Where files of a host may differ after a rollback, by what they begin with: mkectl's own directory, what lives in
/// memory, what the container engine writes by itself, and logs.
const FREE: &[&str] = &[
    "/var/lib/mkectl",
    "/run",
    "/var/log",
    "/var/lib/docker/overlay2",
    "/var/lib/docker/containers",
    "/usr/local/sbin",
];

/// The policy of a container that Docker does not start again.
const PINNED: &str = "no";

/// What is added to names that were moved aside.
const ASIDE: &str = ".mkectl-";

/// Accounts that k0s makes. They stay: what was moved aside belongs to them.
const OF_K0S: [&str; 5] = [
    "etcd",
    "kube-apiserver",
    "kube-scheduler",
    "konnectivity-server",
    "keepalived",
];

/// Files in which those stand.
const ACCOUNTS: [&str; 4] = ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"];

impl Picture {
    /// The cluster of a lab as it is now. Keys of etcd that begin with one of `passing` come and go by themselves.
    ///
    /// # Errors
    /// When a host has ended or its files cannot be read.
    pub fn of(lab: &Lab, passing: &[String]) -> Result<Picture, LabError> {
        let mut things = Things::new();
        for host in lab.hosts.keys() {
            files(lab, host, &mut things)?;
        }
        let state = lab.state();
        let tended = state
            .hosts
            .values()
            .filter_map(|host| host.containers.get(etcd::API))
            .any(Container::is_running);
        for known in state.hosts.values() {
            let host = &known.name;
            for one in known.containers.values() {
                // Containers of pods are made anew, and what has ended may have been removed. A task that starts again is
                // another one of the same service.
                let name = match one.is_pod() {
                    true if !one.is_running() => continue,
                    true => one.name.rsplit_once('_').map_or("", |(name, _)| name),
                    false if one.labels.contains_key("com.docker.swarm.task.id") => {
                        one.name.rsplit_once('.').map_or("", |(name, _)| name)
                    }
                    false => one.name.as_str(),
                };
                things.insert(
                    (Class::Containers, format!("{host} {name}")),
                    Thing::Container {
                        image: one.image.clone(),
                        running: one.is_running(),
                        restart: one.restart.name.clone(),
                    },
                );
            }
            for unit in known.units.values() {
                things.insert(
                    (Class::Units, format!("{host} {}", unit.name)),
                    Thing::Other(format!("{} {}", unit.active.word(), unit.enablement.word())),
                );
            }
        }
        for service in state.swarm.services.values() {
            things.insert(
                (Class::Services, service.name.clone()),
                Thing::Other(format!(
                    "{} {:?} {:?}",
                    service.image, service.mode, service.constraints
                )),
            );
        }
        for node in state.swarm.nodes.values() {
            things.insert(
                (Class::Nodes, format!("swarm {}", node.hostname)),
                Thing::Other(format!("{:?} {} {:?}", node.role, node.availability, node.labels)),
            );
        }
        for (key, entry) in state.etcd.store.range("/") {
            if let Some(name) = key.strip_prefix("/registry/minions/")
                && let Some(node) = entry.value()
            {
                let ready = if kube::condition(node, "Ready") {
                    "Ready"
                } else {
                    "NotReady"
                };
                things.insert(
                    (Class::Nodes, format!("Kubernetes {name}")),
                    Thing::Other(ready.to_owned()),
                );
            }
            if passing.iter().any(|prefix| key.starts_with(prefix.as_str())) {
                continue;
            }
            let value = super::model::id(&String::from_utf8_lossy(&entry.bytes));
            things.insert(
                (Class::Keys, key.to_owned()),
                Thing::Other(format!("{} at revision {}", &value[..12], entry.modified)),
            );
        }
        Ok(Picture { tended, things })
    }

    /// Whether a restart of a host explains that something is not as it is here: while there is no API server, containers that
    /// do not start by themselves stay as the restart left them, and pods' are gone. Nothing waits for them: they are to be
    /// stopped next, and the way back starts them.
    pub fn explains(&self, found: &Difference) -> bool {
        let Some(Thing::Container {
            image,
            running: true,
            restart,
        }) = &found.before
        else {
            return false;
        };
        let stopped = Thing::Container {
            image: image.clone(),
            running: false,
            restart: restart.clone(),
        };
        !self.tended && restart == PINNED && found.after.as_ref().is_none_or(|after| *after == stopped)
    }

    /// How many things of a class there are.
    pub fn count(&self, class: Class) -> usize {
        self.things.keys().filter(|(of, _)| *of == class).count()
    }

    /// What is other later, sorted by class and name.
    pub fn differences(&self, later: &Picture) -> Vec<Difference> {
        let names: BTreeSet<&(Class, String)> = self.things.keys().chain(later.things.keys()).collect();
        names
            .into_iter()
            .filter(|name| self.things.get(*name) != later.things.get(*name))
            .map(|name| Difference {
                class: name.0,
                name: name.1.clone(),
                before: self.things.get(name).cloned(),
                after: later.things.get(name).cloned(),
            })
            .collect()
    }
}

fn files(lab: &Lab, host: &str, things: &mut Things) -> Result<(), LabError> {
    let changes = lab.changes(host)?;
    for change in &changes {
        let path = &change.path;
        let free = FREE
            .iter()
            .any(|free| path.starts_with(free) || free.starts_with(path.as_str()));
        if free || path.contains(ASIDE) || holds_only_aside(&changes, path) {
            continue;
        }
        if ACCOUNTS.contains(&path.as_str()) {
            // A copy of the file as it was is compared line by line, without the accounts that stay.
            continue;
        }
        let class = if path.contains("/docker/volumes/") {
            Class::Volumes
        } else {
            Class::Files
        };
        let thing = Thing::Other(format!("{:?}", change.kind));
        things.insert((class, format!("{host} {path}")), thing);
    }
    let view = lab.host(host)?.sandbox.entry().view();
    for path in ACCOUNTS {
        // Not every host has all of them.
        let text = std::fs::read_to_string(view.join(path.trim_start_matches('/'))).unwrap_or_default();
        let kept: Vec<&str> = text
            .lines()
            .filter(|line| !OF_K0S.contains(&line.split(':').next().unwrap_or_default()))
            .collect();
        things.insert(
            (Class::Files, format!("{host} {path}")),
            Thing::Other(format!("accounts {}", &super::model::id(&kept.join("\n"))[..12])),
        );
    }
    Ok(())
}

/// A directory that was made, and holds nothing but what was moved aside.
fn holds_only_aside(changes: &[Change], path: &str) -> bool {
    let below = format!("{path}/");
    let mut held = changes
        .iter()
        .filter(|other| other.path.starts_with(&below))
        .peekable();
    held.peek().is_some() && held.all(|other| other.path.contains(ASIDE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(running: bool, restart: &str) -> Option<Thing> {
        Some(Thing::Container {
            image: "i:1".to_owned(),
            running,
            restart: restart.to_owned(),
        })
    }

    #[test]
    fn a_restart_explains_what_it_stopped_and_nothing_else() {
        let untended = Picture {
            tended: false,
            things: Things::new(),
        };
        let tended = Picture {
            tended: true,
            ..untended.clone()
        };
        let differs = |before: Option<Thing>, after: Option<Thing>| Difference {
            class: Class::Containers,
            name: "a".to_owned(),
            before,
            after,
        };
        let runs = || container(true, PINNED);
        for after in [container(false, PINNED), None] {
            let stopped = differs(runs(), after);
            assert!(untended.explains(&stopped), "{stopped}");
            assert!(!tended.explains(&stopped), "{stopped}");
        }
        let image = Some(Thing::Container {
            image: "i:2".to_owned(),
            running: false,
            restart: PINNED.to_owned(),
        });
        let unit = Some(Thing::Other("active enabled".to_owned()));
        for (before, after) in [
            (container(false, PINNED), runs()),
            (container(true, "always"), container(false, "always")),
            (container(true, "always"), None),
            (runs(), container(false, "always")),
            (runs(), image),
            (unit, None),
            (None, runs()),
        ] {
            let other = differs(before, after);
            assert!(!untended.explains(&other), "{other}");
        }
    }
}
