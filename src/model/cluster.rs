//! Which cluster, from where, to where.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The cluster before the upgrade.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct From {
    /// MKE 3 version such as `3.8.5`; empty when not known.
    pub mke: String,
    /// Kubernetes version such as `v1.31.7`; empty when not known.
    pub kubernetes: String,
    /// Mirantis Container Runtime version; empty when not known.
    pub mcr: String,
}

/// The cluster after the upgrade.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct To {
    /// MKE 4k version such as `4.1.5`.
    pub mke: String,
    /// Kubernetes minor such as `1.32`.
    pub kubernetes: String,
    /// k0s version such as `v1.32.11+k0s.0`.
    pub k0s: String,
    /// etcd version that k0s brings.
    pub etcd: String,
}

/// The cluster that a plan is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cluster {
    /// Swarm cluster id: what binds a plan to a cluster; empty when not known.
    pub id: String,
    /// Name that a person types to confirm: the external address.
    pub name: String,
    /// Load balancer, `host` or `host:port`.
    pub external_address: String,
    /// Before.
    pub from: From,
    /// After.
    pub to: To,
    /// Cluster-wide facts that conditions, values and steps relied on.
    pub facts: BTreeMap<String, String>,
}
