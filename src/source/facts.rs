//! Recorded host facts: what `mkectl facts` writes and `plan --facts` reads.
//!
//! A fact that is absent could not be told, which is never the same as "no". Unknown keys are refused.

use super::InputError;
use super::input;
use super::json::{self, Document, Format};
use crate::model::{Bytes, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `kind` of a facts file.
pub const FACTS_KIND: &str = "mkectl.facts";

/// A facts file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Always `mkectl.facts`.
    pub kind: String,
    /// `1.0`.
    pub format_version: String,
    /// Facts about the cluster as a whole.
    #[serde(default)]
    pub cluster: ClusterFacts,
    /// Facts about hosts; `address` joins them to hosts.yaml.
    pub hosts: Vec<HostFacts>,
}

/// Facts about the cluster as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterFacts {
    /// Swarm cluster id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// MKE version, label `com.docker.ucp.version` of ucp-proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mke_version: Option<String>,
    /// Kubernetes version, `v1.31.7-mirantis-1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes_version: Option<String>,
    /// Every node the swarm knows, by host name, with its state (`ready`, `down`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swarm_nodes: Option<BTreeMap<String, String>>,
    /// Every node Kubernetes knows, by name, with its state (`Ready`, `NotReady`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes_nodes: Option<BTreeMap<String, String>>,
    /// Names of swarm services that are not MKE's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_services: Option<Vec<String>>,
    /// NodePorts that services hold today.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_ports: Option<Vec<u32>>,
    /// etcd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etcd: Option<EtcdFacts>,
    /// What the cluster holds that matters to an upgrade.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectFacts>,
    /// Newest backup that was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupFacts>,
}

/// State of MKE 3's etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EtcdFacts {
    /// Database size, the largest of the members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<Bytes>,
    /// Alarms, such as `NOSPACE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarms: Option<Vec<String>>,
    /// All members have the same hash at the same revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members_agree: Option<bool>,
    /// Authentication is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_enabled: Option<bool>,
    /// Healthy members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_members: Option<u32>,
    /// Stored `apiVersion/Kind` and how many values are stored so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_versions: Option<BTreeMap<String, u32>>,
}

/// Objects in the cluster that matter to an upgrade.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectFacts {
    /// In-tree volume plugins in use (`rbd`, `cephfs`, …) and how many volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_tree_volumes: Option<BTreeMap<String, u32>>,
    /// CSI drivers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csi_drivers: Option<Vec<String>>,
    /// Webhooks with `failurePolicy: Fail` served from inside the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_webhooks: Option<Vec<String>>,
    /// APIServices that are not available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_apiservices: Option<Vec<String>>,
    /// CustomResourceDefinitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crds: Option<Vec<String>>,
    /// Names of ClusterRoles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_roles: Option<Vec<String>>,
    /// Calico IP pools: CIDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_pools: Option<Vec<String>>,
    /// Calico BGP peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bgp_peers: Option<u32>,
    /// Images that no registry serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_images: Option<Vec<String>>,
    /// Namespaces stuck in Terminating.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck_namespaces: Option<Vec<String>>,
    /// Deprecated APIs that clients asked for, `group/version/resource`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated_requests: Option<Vec<String>>,
    /// Namespace/name of ingress controllers that are not MKE's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreign_ingress: Option<Vec<String>>,
}

/// A backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackupFacts {
    /// Hours since it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_hours: Option<u32>,
    /// A copy is outside the cluster's hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub off_host: Option<bool>,
}

/// Facts about one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HostFacts {
    /// Address as in hosts.yaml.
    pub address: String,
    /// Why nothing could be read, when that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
    /// `hostname` of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// `/etc/machine-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    /// Host key fingerprints, `SHA256:…`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host_keys: Vec<String>,
    /// Role in the swarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Swarm node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swarm: Option<SwarmFacts>,
    /// Kubernetes node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeFacts>,
    /// Operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<OsFacts>,
    /// Docker Engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerFacts>,
    /// Address for traffic between nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_address: Option<String>,
    /// Interface that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_interface: Option<String>,
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<Bytes>,
    /// File systems by the path that was asked for (`/var/lib/docker`, `/var/lib/k0s`, `/var/lib/kubelet`, `/var/lib/mkectl`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub filesystems: BTreeMap<String, FilesystemFacts>,
    /// TCP ports that something listens on, with the process name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listening: Option<BTreeMap<String, String>>,
    /// How the login user becomes root: `root`, `sudo`, `sudo-password`, `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privilege: Option<String>,
    /// How a process is detached: `systemd-run`, `setsid`, `double-fork`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detach: Option<String>,
    /// `systemd` or what else is process 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// `v1` or `v2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// `enforcing`, `permissive`, `disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selinux: Option<String>,
    /// firewalld or ufw is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firewall: Option<String>,
    /// fapolicyd is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fapolicyd: Option<bool>,
    /// Swap is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<bool>,
    /// `nft` or `legacy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iptables: Option<String>,
    /// `/usr/local/bin` or the data directory is mounted `noexec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noexec: Option<bool>,
    /// Kernel modules that are needed and cannot be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_modules: Option<Vec<String>>,
    /// Clock, milliseconds ahead (+) or behind (−) of the operator's machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i32>,
    /// Days until the first of the host's swarm, MKE and etcd certificates expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates_days: Option<u32>,
    /// Running containers that are neither MKE's, nor Kubernetes pods, nor swarm tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreign_containers: Option<Vec<String>>,
    /// MKE containers (`ucp-*`) and their state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mke_containers: Option<BTreeMap<String, String>>,
    /// Traces of k0s: `binary`, `service`, `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k0s: Option<Vec<String>>,
}

/// A swarm node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SwarmFacts {
    /// Node id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// Leader of the managers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<bool>,
    /// `ready`, `down`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// `kubernetes`, `swarm` or `mixed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orchestrator: Option<String>,
}

/// A Kubernetes node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NodeFacts {
    /// Name of the Node object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Taints, `key=value:effect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taints: Option<Vec<String>>,
    /// User pods that run there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_pods: Option<u32>,
}

/// An operating system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OsFacts {
    /// `ID` of os-release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `VERSION_ID` of os-release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `PRETTY_NAME` of os-release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `uname -m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// `uname -r`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// `windows` or `linux`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
}

/// Docker Engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DockerFacts {
    /// Server version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Root directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Storage driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_driver: Option<String>,
    /// Live restore is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_restore: Option<bool>,
    /// `systemd` or `cgroupfs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_driver: Option<String>,
    /// Space its images use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_bytes: Option<Bytes>,
}

/// One file system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FilesystemFacts {
    /// Mount point that holds the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// Size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<Bytes>,
    /// Free for root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<Bytes>,
    /// Free inodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_inodes: Option<Bytes>,
}

/// How to make a facts file.
const RECORD: &str = "record the facts again with `mkectl facts`";

impl Facts {
    /// Parses a facts file. `file` is how errors call it.
    ///
    /// Refused is what no recording can hold: duplicate or unknown keys, another kind or major version, a host without
    /// address or with the address of another, a port that is none, a host key fingerprint or private address that is none.
    /// What a live cluster may really be like is kept for findings: equal host names or machine ids, hosts that hosts.yaml
    /// does not have, facts that contradict each other.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Facts, InputError> {
        let format = Format {
            kind: FACTS_KIND,
            major: 1,
            make: RECORD,
        };
        let document: Document<'_, Facts> = json::parse(file, bytes, &format)?;
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for (index, host) in document.value.hosts.iter().enumerate() {
            let at = |key: &str| format!("$.hosts[{index}].{key}");
            if host.address.trim().is_empty() {
                let remedy = "give every host the address that hosts.yaml has";
                let path = if host.address.is_empty() {
                    format!("$.hosts[{index}]")
                } else {
                    at("address")
                };
                return Err(document.error(&path, "the host has no address", remedy));
            }
            if let Some(first) = seen.insert(input::address_key(&host.address), index) {
                let message = format!("$.hosts[{first}] has the same address");
                return Err(document.error(&at("address"), message, "keep the newer entry of the two"));
            }
            for (number, key) in host.host_keys.iter().enumerate() {
                if !is_fingerprint(key) {
                    let path = format!("$.hosts[{index}].host_keys[{number}]");
                    return Err(document.error(&path, "not a fingerprint of the form SHA256:…", RECORD));
                }
            }
            for port in host.listening.iter().flat_map(BTreeMap::keys) {
                if !port.parse().is_ok_and(|port: u16| port > 0) {
                    let message = format!("{} is not a port", input::quoted(port));
                    return Err(document.error(&at("listening"), message, RECORD));
                }
            }
            if let Some(address) = &host.private_address
                && address.parse::<std::net::IpAddr>().is_err()
            {
                let message = format!("{} is not an IP address", input::quoted(address));
                return Err(document.error(&at("private_address"), message, RECORD));
            }
        }
        Ok(document.value)
    }

    /// The bytes of a facts file: the same for the same facts.
    ///
    /// # Errors
    ///
    /// Why it cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| error.to_string())?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// JSON Schema of a facts file.
pub fn schema() -> serde_json::Value {
    json::schema::<Facts>(FACTS_KIND, 1)
}

/// `SHA256:` and the 43 characters that 32 bytes have in base 64 without padding, as OpenSSH prints it.
fn is_fingerprint(text: &str) -> bool {
    text.strip_prefix("SHA256:").is_some_and(|digest| {
        digest.len() == 43
            && digest
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
    })
}
