//! The situation: everything that conditions, values and host fields may look at, and nothing else.

use crate::catalogue::Release;
use crate::convert::ports::BalancerPorts;
use crate::model::Role;
use crate::options::Options;
use crate::source::accounts::Accounts;
use crate::source::facts::{ClusterFacts, HostFacts};
use crate::source::hosts::HostEntry;
use crate::source::mke3::Config;
use std::collections::BTreeSet;

/// One host as the builder sees it.
#[derive(Clone, Debug)]
pub struct HostView<'a> {
    /// Id in the plan: unique, and the first half of every action id about this host.
    pub id: String,
    /// Role; a host without one takes no part in the graph and is reported as undecided.
    pub role: Option<Role>,
    /// Its entry in hosts.yaml.
    pub entry: &'a HostEntry,
    /// Its recorded facts, when there are any.
    pub facts: Option<&'a HostFacts>,
}

/// Everything that decides how the catalogue unfolds. The same situation gives the same graph.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// Hosts in the order of hosts.yaml.
    pub hosts: Vec<HostView<'a>>,
    /// Facts about the cluster, when there are any.
    pub cluster: Option<&'a ClusterFacts>,
    /// Options of the plan.
    pub options: &'a Options,
    /// The MKE 4k release that is the target.
    pub release: &'a Release,
    /// The MKE 3 configuration.
    pub config: &'a Config,
    /// Accounts, when there are any.
    pub accounts: Option<&'a Accounts>,
    /// Ports of the load balancer.
    pub balancer: &'a BalancerPorts,
    /// Names of the generated documents that parameters may take.
    pub documents: BTreeSet<String>,
    /// Names of the assets that parameters may take.
    pub assets: BTreeSet<String>,
    /// Names of the secret references that parameters may take.
    pub secrets: BTreeSet<String>,
}
