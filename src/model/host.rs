//! Hosts as the plan pins them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a host is in the swarm, and so what it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Swarm manager, becomes a k0s controller that also runs workloads.
    Manager,
    /// Swarm worker, becomes a k0s worker.
    Worker,
}

/// A size in bytes. Stored as a string of digits, because sizes may exceed what JSON numbers hold exactly.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Bytes(pub u64);

impl TryFrom<String> for Bytes {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.parse::<u64>() {
            Ok(n) if n.to_string() == text => Ok(Bytes(n)),
            _ => Err(format!("{text:?} is not a size in bytes, written as digits")),
        }
    }
}

impl From<Bytes> for String {
    fn from(size: Bytes) -> String {
        size.0.to_string()
    }
}

/// A host to connect through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bastion {
    /// Address or name.
    pub address: String,
    /// TCP port of sshd.
    pub port: u32,
    /// User to log in as.
    pub user: String,
    /// Private key file on the operator's machine, as written in hosts.yaml.
    pub key_path: String,
    /// Host to connect through to reach this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bastion: Option<Box<Bastion>>,
}

/// One host of the cluster. The plan pins who it is; apply refuses when that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// Id in this plan: the host name where facts tell it, else the address.
    pub id: String,
    /// Role; absent when nothing tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Address that the operator's machine reaches.
    pub address: String,
    /// TCP port of sshd.
    pub port: u32,
    /// User to log in as.
    pub user: String,
    /// Private key file on the operator's machine, as written in hosts.yaml.
    pub key_path: String,
    /// Host to connect through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bastion: Option<Bastion>,
    /// Host key fingerprints, `SHA256:…`, sorted; empty when not recorded.
    pub host_keys: Vec<String>,
    /// `/etc/machine-id`; empty when not recorded.
    pub machine_id: String,
    /// Values that steps may take as parameters (`{host: FIELD}`).
    pub fields: BTreeMap<String, String>,
    /// Facts that conditions, values and steps relied on; apply reads them again.
    pub facts: BTreeMap<String, String>,
}
