//! The etcd that controllers form.

use crate::lab::model::State;
use crate::lab::model::etcd::Store;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Keys that controllers share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Certificate of the cluster CA.
    pub ca_crt: String,
    /// Key of the cluster CA.
    pub ca_key: String,
    /// Service account key.
    pub sa_key: String,
    /// Its public half.
    pub sa_pub: String,
    /// Certificate of etcd's CA.
    pub etcd_crt: String,
    /// Key of etcd's CA.
    pub etcd_key: String,
}

/// A member, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// `https://172.31.0.11:2380`.
    pub peer: String,
    /// It has run. One that was added and never ran counts all the same.
    pub started: bool,
}

/// An etcd cluster, and what its API servers have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// What all members hold.
    pub store: Store,
    /// Members by name.
    pub members: BTreeMap<String, Member>,
    /// Keys.
    pub keys: Keys,
    /// Revision and nodes when the controllers found nothing to do.
    pub quiet: Option<(u64, BTreeSet<String>)>,
    /// Nodes that the node lifecycle controller misses, and since when.
    pub silent: BTreeMap<String, u64>,
}

/// What lies beside the store of a member: who it is, and who the others are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    pub name: String,
    /// Peer URLs by name.
    pub members: BTreeMap<String, String>,
    /// The cluster it was part of when it ran last; none after a restore.
    pub cluster: Option<String>,
}

impl About {
    /// Reads `lab.json`, which a restore or a controller wrote.
    pub fn read(bytes: &[u8]) -> Option<About> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let members = value["initialCluster"]
            .as_str()?
            .split(',')
            .filter_map(|member| member.split_once('='))
            .map(|(name, url)| (name.to_owned(), url.to_owned()))
            .collect();
        Some(About {
            name: value["name"].as_str()?.to_owned(),
            members,
            cluster: value["cluster"].as_str().map(str::to_owned),
        })
    }

    /// As it is written.
    pub fn bytes(&self) -> Vec<u8> {
        let members: Vec<String> = self
            .members
            .iter()
            .map(|(name, url)| format!("{name}={url}"))
            .collect();
        let value = json!({"name": self.name, "initialCluster": members.join(","), "cluster": self.cluster});
        value.to_string().into_bytes()
    }
}

impl State {
    fn has_quorum(&self, cluster: &str) -> bool {
        let members = self.k0s.clusters.get(cluster).map_or(0, |of| of.members.len());
        self.members_up(cluster).len() * 2 > members
    }

    /// Adds a voting member, as the join API of a controller does.
    ///
    /// # Errors
    /// As etcd refuses.
    pub fn add_member(&mut self, cluster: &str, name: &str, peer: &str) -> Result<(), String> {
        if !self.has_quorum(cluster) {
            return Err("etcdserver: request timed out, possibly due to connection lost".to_owned());
        }
        let up = self.members_up(cluster).len();
        let of = self
            .k0s
            .clusters
            .get_mut(cluster)
            .ok_or("etcdserver: no leader")?;
        if of.members.values().any(|member| member.peer == peer) {
            return Err("etcdserver: Peer URLs already exists".to_owned());
        }
        // One member alone may always get a second; else most of the members to be must run already.
        let after = of.members.len() + 1;
        if of.members.len() > 1 && up < after / 2 + 1 {
            return Err("etcdserver: re-configuration failed due to not enough started members".to_owned());
        }
        let member = Member {
            peer: peer.to_owned(),
            started: false,
        };
        of.members.insert(name.to_owned(), member);
        Ok(())
    }

    /// Removes the member with this peer URL.
    ///
    /// # Errors
    /// As etcd refuses.
    pub fn remove_member(&mut self, cluster: &str, peer: &str) -> Result<(), String> {
        if !self.has_quorum(cluster) {
            return Err("etcdserver: request timed out, possibly due to connection lost".to_owned());
        }
        let up: Vec<String> = self.members_up(cluster).into_iter().map(str::to_owned).collect();
        let of = self
            .k0s
            .clusters
            .get_mut(cluster)
            .ok_or("etcdserver: no leader")?;
        let Some(name) = of
            .members
            .iter()
            .find(|(_, member)| member.peer == peer)
            .map(|(name, _)| name.clone())
        else {
            return Err(format!("peer not found: {peer}"));
        };
        let left = of.members.len() - 1;
        let left_up = up.iter().filter(|member| **member != name).count();
        if left == 0 || left_up * 2 <= left {
            return Err("etcdserver: re-configuration failed due to not enough started members".to_owned());
        }
        of.members.remove(&name);
        Ok(())
    }

    /// Ends the process of a host. A controller's answer is what its directory is to hold: the store, and who it is.
    pub(crate) fn end_k0s(&mut self, host: &str) -> Option<(Vec<u8>, About, String)> {
        let process = self.k0s.processes.remove(host)?;
        let member = process.member?;
        let last = self.members_up(&process.cluster).is_empty();
        let of = self.k0s.clusters.get(&process.cluster)?;
        let about = About {
            name: member,
            members: of
                .members
                .iter()
                .map(|(name, member)| (name.clone(), member.peer.clone()))
                .collect(),
            cluster: Some(process.cluster.clone()),
        };
        let kept = (of.store.snapshot(), about, process.data_dir);
        if last {
            self.k0s.clusters.remove(&process.cluster);
        }
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::About;
    use std::collections::BTreeMap;

    #[test]
    fn what_a_member_knows_of_itself_is_read_back() {
        let about = About {
            name: "m1".to_owned(),
            members: BTreeMap::from([("m1".to_owned(), "https://10.0.0.1:2380".to_owned())]),
            cluster: None,
        };
        assert_eq!(About::read(&about.bytes()), Some(about));
        assert_eq!(About::read(b"{}"), None);
    }
}
