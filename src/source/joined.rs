//! hosts.yaml and recorded facts, brought together.

use super::facts::{Facts, HostFacts};
use super::hosts::{HostEntry, Hosts};
use crate::model::Role;
use std::collections::BTreeMap;

/// A host of hosts.yaml with what is known about it.
#[derive(Clone, Debug)]
pub struct JoinedHost<'a> {
    /// Id in the plan: the host name where facts tell one that is unique and plain, else the address.
    pub id: String,
    /// Its entry.
    pub entry: &'a HostEntry,
    /// Its facts, joined by address.
    pub facts: Option<&'a HostFacts>,
    /// From facts, else from the entry.
    pub role: Option<Role>,
}

/// All hosts of hosts.yaml, in its order. Linear in the number of hosts.
pub fn join<'a>(hosts: &'a Hosts, facts: Option<&'a Facts>) -> Vec<JoinedHost<'a>> {
    let by_address: BTreeMap<&str, &HostFacts> = facts
        .map(|facts| {
            facts
                .hosts
                .iter()
                .map(|host| (host.address.as_str(), host))
                .collect()
        })
        .unwrap_or_default();
    let mut named: BTreeMap<&str, usize> = BTreeMap::new();
    for host in by_address.values() {
        *named
            .entry(host.hostname.as_deref().unwrap_or_default())
            .or_default() += 1;
    }
    hosts
        .entries
        .iter()
        .map(|entry| {
            let facts = by_address.get(entry.address.as_str()).copied();
            let name = facts.and_then(|facts| facts.hostname.as_deref());
            let id = name
                .filter(|name| plain(name) && named.get(name) == Some(&1))
                .unwrap_or(&entry.address)
                .to_owned();
            JoinedHost {
                id,
                entry,
                facts,
                role: facts.and_then(|facts| facts.role).or(entry.role),
            }
        })
        .collect()
}

/// A name that may stand in an action id and in a path on the host.
fn plain(name: &str) -> bool {
    !matches!(name, "" | "all" | "gate" | "skip")
        && !name.starts_with(['.', '-'])
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_unique_host_names_or_addresses() {
        let hosts = Hosts::parse("h", "hosts:\n- address: 203.0.113.1\n- address: 203.0.113.2\n- address: 203.0.113.3\n- address: 203.0.113.4\n- address: 203.0.113.5\n").unwrap();
        let host = |address: &str, name: &str| HostFacts {
            address: address.to_owned(),
            hostname: Some(name.to_owned()),
            role: Some(Role::Manager),
            ..HostFacts::default()
        };
        let facts = Facts {
            hosts: vec![
                host("203.0.113.4", "all"),
                host("203.0.113.1", "m1"),
                host("203.0.113.2", "same"),
                host("203.0.113.3", "same"),
            ],
            ..Facts::default()
        };
        let ids: Vec<String> = join(&hosts, Some(&facts))
            .into_iter()
            .map(|host| host.id)
            .collect();
        assert_eq!(
            ids,
            ["m1", "203.0.113.2", "203.0.113.3", "203.0.113.4", "203.0.113.5"]
        );
        assert!(
            join(&hosts, None)
                .iter()
                .all(|host| host.id == host.entry.address && host.role.is_none())
        );
    }
}
