//! The state that a simulated cluster starts with, from recorded facts.

use super::accounts::{self, Account};
use super::container::{Container, Mount, Phase};
use super::etcd::{Mke3Etcd, Store};
use super::host::{Engine, Host};
use super::netfilter::{Backend, Netfilter};
use super::network::Balancer;
use super::swarm::{Mode, Node, Service, Swarm, task_container};
use super::system::{Disk, System};
use super::{State, agents, id, links, objects, swarm_id, units};
use crate::lab::error::LabError;
use crate::model::Role;
use crate::source::facts::{Facts, HostFacts};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

const MKE3: &str = include_str!("mke3.yaml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mke3 {
    managers: Part,
    everywhere: Part,
    services: BTreeMap<String, ServiceOf>,
    pods: BTreeMap<String, PodOf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    containers: BTreeMap<String, ContainerOf>,
    volumes: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContainerOf {
    image: String,
    #[serde(default)]
    ports: Vec<String>,
    /// Program and arguments.
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    volumes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceOf {
    image: String,
    role: String,
    replicas: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PodOf {
    image: String,
    label: String,
}

/// A file that a host holds at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeedFile {
    /// Path in the host, without the leading slash.
    pub path: String,
    /// Content.
    pub bytes: Vec<u8>,
    /// Mode.
    pub mode: u32,
}

/// A cluster at its start: the state, and per host its files.
#[derive(Debug)]
pub(crate) struct Seed {
    pub state: State,
    pub files: BTreeMap<String, Vec<SeedFile>>,
    /// Directories that are mounts of their own.
    pub mounts: BTreeMap<String, Vec<String>>,
}

/// Makes the start from facts. `roles` by address stands in where facts have none.
pub(crate) fn seed(facts: &Facts, roles: &BTreeMap<String, Role>) -> Result<Seed, LabError> {
    let mke3: Mke3 = serde_yaml::from_str(MKE3).map_err(|error| LabError::Facts(error.to_string()))?;
    let version = facts
        .cluster
        .mke_version
        .clone()
        .unwrap_or_else(|| "3.8.5".to_owned());
    let fill = |text: &str| text.replace("{version}", &version);
    let mut state = State {
        now: 0,
        hosts: BTreeMap::new(),
        swarm: Swarm {
            id: facts.cluster.id.clone().unwrap_or_else(|| swarm_id("cluster")),
            nodes: BTreeMap::new(),
            services: BTreeMap::new(),
            leader: String::new(),
        },
        kubernetes: facts
            .cluster
            .kubernetes_version
            .clone()
            .unwrap_or_else(|| "v1.31.7-mirantis-1".to_owned()),
        etcd: Mke3Etcd {
            store: Store::new(),
            members: BTreeMap::new(),
            leader: String::new(),
            term: 7,
            alarms: BTreeSet::new(),
            size: 0,
        },
        balancer: Balancer::default(),
        unserved: facts
            .cluster
            .objects
            .iter()
            .flat_map(|objects| objects.local_images.iter().flatten().cloned())
            .collect(),
        accounts: accounts(),
        unmodelled: Vec::new(),
        crash: None,
        k0s: super::k0s::K0s::default(),
        ids: 0,
    };
    for (name, of) in &mke3.services {
        let agents = ["ucp-manager-agent", "ucp-worker-agent-x"].contains(&name.as_str());
        let service = Service {
            id: swarm_id(&format!("service {name}")),
            name: name.clone(),
            image: fill(&of.image),
            mode: of.replicas.map_or(Mode::Global, Mode::Replicated),
            constraints: if agents {
                agents::agent_constraints(name)
            } else {
                vec![format!("node.role == {}", of.role)]
            },
            labels: BTreeMap::from([("com.docker.ucp.version".to_owned(), version.clone())]),
            version: 11,
            updated: 0,
        };
        state.swarm.services.insert(name.clone(), service);
    }
    for name in facts.cluster.user_services.iter().flatten() {
        let service = Service {
            id: swarm_id(&format!("service {name}")),
            name: name.clone(),
            image: "nginx:1.27".to_owned(),
            mode: Mode::Replicated(1),
            constraints: vec!["node.role == worker".to_owned()],
            labels: BTreeMap::new(),
            version: 11,
            updated: 0,
        };
        state.swarm.services.insert(name.clone(), service);
    }
    for about in &facts.hosts {
        let host = host(&mke3, about, roles, &fill, &version)?;
        let node = Node {
            id: host.node_id.clone(),
            hostname: host.name.clone(),
            role: host.role,
            availability: "active".to_owned(),
            labels: BTreeMap::new(),
            address: host.address.clone(),
            heard: 0,
        };
        if about.swarm.as_ref().and_then(|swarm| swarm.leader) == Some(true) {
            state.swarm.leader.clone_from(&host.node_id);
        }
        state.swarm.nodes.insert(node.id.clone(), node);
        let name = host.name.clone();
        if state.hosts.insert(name.clone(), host).is_some() {
            return Err(LabError::Facts(format!("two hosts are called {name}")));
        }
    }
    if !state.hosts.values().any(|host| host.role == Role::Manager) {
        return Err(LabError::Facts("no host is a manager".to_owned()));
    }
    state.swarm.leader = state.swarm_leader().unwrap_or_default().to_owned();
    for service in state.swarm.services.values().cloned().collect::<Vec<_>>() {
        for node in state.placed(&service) {
            let hostname = state.swarm.nodes[&node].hostname.clone();
            if let Some(host) = state.hosts.get_mut(&hostname) {
                let task = task_container(&service, &hostname, &node, "0", 0);
                host.containers.insert(task.name.clone(), task);
            }
        }
    }
    objects::seed(&mut state, facts)?;
    let files = state
        .hosts
        .values()
        .map(|host| (host.name.clone(), files(&mke3, host, facts)))
        .collect();
    let mounts = state
        .hosts
        .values()
        .map(|host| (host.name.clone(), mounts(host)))
        .collect();
    Ok(Seed { state, files, mounts })
}

/// Kernel, firewall and disks as the facts have them.
fn system(about: &HostFacts) -> System {
    let mut system = System::of_docker_host(about.firewall.as_deref().unwrap_or_default());
    for disk in about.filesystems.values() {
        if let (Some(mount), Some(size), Some(free)) = (&disk.mount, disk.size_bytes, disk.free_bytes) {
            let (size, free) = (size.0, free.0);
            system.disks.insert(mount.clone(), Disk { size, free });
        }
    }
    system
}

/// An administrator, two users, one of a directory, and the organisation that is always there.
fn accounts() -> BTreeMap<String, Account> {
    let user = |name: &str| (name.to_owned(), Account::user(&accounts::bcrypt(name)));
    let none = |name: &str, organisation| {
        let hash = String::new();
        let account = Account {
            organisation,
            admin: false,
            hash,
        };
        (name.to_owned(), account)
    };
    let mut admin = user("admin");
    admin.1.admin = true;
    BTreeMap::from([
        admin,
        user("alice"),
        user("bob"),
        none("carol", false),
        none("docker-datacenter", true),
    ])
}

fn host(
    mke3: &Mke3,
    about: &HostFacts,
    roles: &BTreeMap<String, Role>,
    fill: &dyn Fn(&str) -> String,
    version: &str,
) -> Result<Host, LabError> {
    let name = about.hostname.clone().unwrap_or_else(|| about.address.clone());
    if !name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
        || name.is_empty()
    {
        return Err(LabError::Facts(format!("{name:?} cannot be a host name")));
    }
    let role = about
        .role
        .or_else(|| roles.get(&about.address).copied())
        .ok_or_else(|| LabError::Facts(format!("nothing tells the role of {name}")))?;
    let docker = about.docker.clone().unwrap_or_default();
    let os = about.os.clone().unwrap_or_default();
    let mut host = Host {
        address: about
            .private_address
            .clone()
            .unwrap_or_else(|| about.address.clone()),
        role,
        node_id: about
            .swarm
            .as_ref()
            .and_then(|swarm| swarm.node_id.clone())
            .unwrap_or_else(|| swarm_id(&name)),
        in_swarm: true,
        cpus: about.cpus.unwrap_or(4),
        memory: about.memory_bytes.map_or(16 << 30, |bytes| bytes.0),
        os: os.name.unwrap_or_else(|| "Linux".to_owned()),
        kernel: os.kernel.unwrap_or_else(|| "5.15.0".to_owned()),
        arch: os.arch.unwrap_or_else(|| "x86_64".to_owned()),
        engine: Engine {
            version: docker.version.unwrap_or_else(|| "25.0.12".to_owned()),
            root: docker.root.unwrap_or_else(|| "/var/lib/docker".to_owned()),
            driver: docker.storage_driver.unwrap_or_else(|| "overlay2".to_owned()),
            cgroup_driver: docker.cgroup_driver.unwrap_or_else(|| "systemd".to_owned()),
            live_restore: docker.live_restore.unwrap_or(false),
        },
        containers: BTreeMap::new(),
        images: BTreeMap::new(),
        system: system(about),
        netfilter: Netfilter::of_mke_node(match about.iptables.as_deref() {
            Some("legacy") => Backend::Legacy,
            _ => Backend::Nft,
        }),
        links: BTreeMap::new(),
        units: units::of_mke_node(),
        wanted: BTreeMap::new(),
        due: BTreeMap::new(),
        name,
    };
    let parts: &[&Part] = match role {
        Role::Manager => &[&mke3.managers, &mke3.everywhere],
        Role::Worker => &[&mke3.everywhere],
    };
    for (name, of) in parts.iter().flat_map(|part| &part.containers) {
        let mut made = Container::running(&host.name, name, &fill(&of.image));
        made.ports.clone_from(&of.ports);
        made.command.clone_from(&of.command);
        made.labels
            .insert("com.docker.ucp.version".to_owned(), version.to_owned());
        made.labels
            .insert("com.docker.ucp.InstanceID".to_owned(), swarm_id("instance"));
        made.mounts = of
            .volumes
            .iter()
            .map(|(volume, target)| Mount {
                source: volume.clone(),
                target: target.clone(),
                volume: true,
            })
            .collect();
        host.wanted.insert(name.clone(), made);
    }
    host.containers = host.wanted.clone();
    for (name, phase) in about.mke_containers.iter().flatten() {
        if let Some(container) = host.containers.get_mut(name)
            && phase != "running"
        {
            container.phase = Phase::Exited(1);
            container.pid = 0;
        }
    }
    for (pod, of) in &mke3.pods {
        let uid = id(&format!("pod {} {pod}", host.name));
        let uid = [&uid[..8], &uid[8..12], &uid[12..16], &uid[16..20], &uid[20..32]].join("-");
        let suffix = &id(&format!("suffix {} {pod}", host.name))[..5];
        for (container, image) in [
            ("POD", "mirantis/ucp-pause:{version}"),
            (pod.as_str(), of.image.as_str()),
        ] {
            let full = format!("k8s_{container}_{pod}-{suffix}_kube-system_{uid}_0");
            let mut made = Container::running(&host.name, &full, &fill(image));
            made.restart = super::Restart::new("no");
            let labels = [
                ("io.kubernetes.container.name", container),
                ("io.kubernetes.pod.name", &format!("{pod}-{suffix}")),
                ("io.kubernetes.pod.namespace", "kube-system"),
                ("io.kubernetes.pod.uid", &uid),
                ("annotation.io.kubernetes.pod.terminationGracePeriod", "30"),
                (
                    "io.kubernetes.docker.type",
                    if container == "POD" {
                        "podsandbox"
                    } else {
                        "container"
                    },
                ),
            ];
            made.labels = labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
            if container != "POD" && !of.label.is_empty() {
                made.labels.insert("name".to_owned(), of.label.clone());
            }
            host.containers.insert(full, made);
        }
    }
    for name in about.foreign_containers.iter().flatten() {
        host.containers
            .insert(name.clone(), Container::running(&host.name, name, "nginx:1.27"));
    }
    let pods: Vec<String> = host
        .containers
        .values()
        .filter(|one| one.is_pod())
        .map(|one| one.id.clone())
        .collect();
    let interface = about.private_interface.as_deref().unwrap_or("eth0");
    host.links = links::of_mke_node(&host.address, interface, &pods);
    host.images = host
        .containers
        .values()
        .map(|container| {
            (
                container.image.clone(),
                format!("sha256:{}", id(&container.image)),
            )
        })
        .collect();
    Ok(host)
}

/// Where the kubelet of MKE 3 keeps pods, unless a cluster says otherwise.
const KUBELET_ROOT: &str = "/var/lib/kubelet";

/// What is mounted below the kubelet's root: a token for each pod.
fn mounts(host: &Host) -> Vec<String> {
    let pods: BTreeSet<&String> = host
        .containers
        .values()
        .filter_map(|one| one.labels.get("io.kubernetes.pod.uid"))
        .collect();
    let mount = |uid: &&String| {
        let name = &id(&format!("token {uid}"))[..5];
        format!("{KUBELET_ROOT}/pods/{uid}/volumes/kubernetes.io~projected/kube-api-access-{name}")
    };
    pods.iter().map(mount).collect()
}

/// Files of an MKE 3 node that somebody could miss.
fn files(mke3: &Mke3, host: &Host, facts: &Facts) -> Vec<SeedFile> {
    let mut files = Vec::new();
    let mut add = |path: String, text: String, mode: u32| {
        files.push(SeedFile {
            path,
            bytes: text.into_bytes(),
            mode,
        });
    };
    let about = facts
        .hosts
        .iter()
        .find(|about| about.hostname.as_deref().unwrap_or(&about.address) == host.name);
    let os = about.and_then(|about| about.os.clone()).unwrap_or_default();
    let machine = about.and_then(|about| about.machine_id.clone());
    add("etc/hostname".to_owned(), format!("{}\n", host.name), 0o644);
    add(
        "etc/hosts".to_owned(),
        format!("127.0.0.1 localhost\n{} {}\n", host.address, host.name),
        0o644,
    );
    add(
        "etc/resolv.conf".to_owned(),
        "nameserver 127.0.0.1\n".to_owned(),
        0o644,
    );
    add(
        "etc/machine-id".to_owned(),
        format!("{}\n", machine.unwrap_or_else(|| id(&host.name)[..32].to_owned())),
        0o444,
    );
    add(
        "etc/os-release".to_owned(),
        format!(
            "ID={}\nVERSION_ID=\"{}\"\nPRETTY_NAME=\"{}\"\n",
            os.id.unwrap_or_else(|| "linux".to_owned()),
            os.version.unwrap_or_default(),
            host.os
        ),
        0o644,
    );
    add(
        "etc/docker/daemon.json".to_owned(),
        format!("{{\n  \"storage-driver\": \"{}\"\n}}\n", host.engine.driver),
        0o644,
    );
    add(
        "etc/cni/net.d/10-calico.conflist".to_owned(),
        "{\"name\": \"k8s-pod-network\", \"cniVersion\": \"0.3.1\", \"plugins\": [{\"type\": \"calico\"}]}\n"
            .to_owned(),
        0o600,
    );
    add(
        "etc/cni/net.d/calico-kubeconfig".to_owned(),
        format!(
            "# of Calico's node on {}\napiVersion: v1\nkind: Config\n",
            host.name
        ),
        0o600,
    );
    let kubelet = KUBELET_ROOT.trim_start_matches('/');
    add(
        format!("{kubelet}/cpu_manager_state"),
        "{\"policyName\":\"none\",\"defaultCpuSet\":\"\",\"checksum\":1353318690}".to_owned(),
        0o600,
    );
    add(
        format!("{kubelet}/memory_manager_state"),
        "{\"policyName\":\"None\",\"machineState\":{},\"entries\":{},\"checksum\":4236770233}".to_owned(),
        0o600,
    );
    for mount in mounts(host) {
        if let Some((pod, _)) = mount.split_once("/volumes/") {
            add(
                format!("{}/etc-hosts", pod.trim_start_matches('/')),
                "# Kubernetes-managed hosts file.\n127.0.0.1 localhost\n".to_owned(),
                0o644,
            );
        }
    }
    let root = host.engine.root.trim_start_matches('/').to_owned();
    if host.role == Role::Manager {
        for name in ["ca.pem", "cert.pem", "key.pem"] {
            for (volume, of) in [
                ("ucp-kv-certs", "etcd"),
                ("ucp-auth-store-certs", "the auth store"),
            ] {
                let path = format!("{root}/volumes/{volume}/_data/{name}");
                add(path, format!("{name} of {of} on {}\n", host.name), 0o600);
            }
        }
    }
    let services = facts.cluster.user_services.iter().flatten();
    let beside = about
        .iter()
        .flat_map(|about| about.foreign_containers.iter().flatten());
    for user in services.chain(beside) {
        add(
            format!("{root}/volumes/{user}-data/_data/orders.db"),
            format!("orders of {user} on {}\n", host.name),
            0o644,
        );
    }
    // Of a container that is long gone: nobody mounts it, and somebody would miss it.
    add(
        format!(
            "{root}/volumes/{}/_data/upload.bin",
            id(&format!("volume {}", host.name))
        ),
        format!("uploads on {}\n", host.name),
        0o644,
    );
    add(
        format!("{root}/swarm/docker-state.json"),
        format!(
            "{{\"LocalAddr\":\"{}\",\"ListenAddr\":\"0.0.0.0:2377\"}}\n",
            host.address
        ),
        0o600,
    );
    let volumes = match host.role {
        Role::Manager => mke3
            .managers
            .volumes
            .union(&mke3.everywhere.volumes)
            .cloned()
            .collect(),
        Role::Worker => mke3.everywhere.volumes.clone(),
    };
    for volume in volumes {
        add(
            format!("{root}/volumes/{volume}/_data/.held"),
            format!("{volume} of {}\n", host.name),
            0o600,
        );
    }
    files.extend(objects::files(host, &root));
    files
}
