//! Facts of a cluster that nobody recorded: hosts like those of the example, with the addresses and roles of hosts.yaml.

use crate::cli::error::CliError;
use crate::model::Role;
use crate::source::facts::{Facts, HostFacts};
use crate::source::hosts::{HostEntry, Hosts};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Managers that are assumed where hosts.yaml names none: as many, as long as there are hosts for them, else one.
const MANAGERS: usize = 3;

/// The label by which MKE 3 chooses a kubelet profile. The example's profiles are not those of another cluster.
const PROFILE: &str = "custom-kubelet-profile";

/// The roles, and whether they had to be assumed.
pub(super) fn roles(hosts: &Hosts) -> (Vec<Role>, bool) {
    let told = hosts
        .entries
        .iter()
        .any(|entry| entry.role == Some(Role::Manager));
    let managers = match hosts.entries.len() {
        few if few < MANAGERS => 1,
        _ => MANAGERS,
    };
    // Where managers are named, whoever is not named so is none. Else the first hosts are, but for those that are workers.
    let mut left = if told { 0 } else { managers };
    let roles = hosts
        .entries
        .iter()
        .map(|entry| match entry.role {
            Some(role) => role,
            None if left > 0 => {
                left -= 1;
                Role::Manager
            }
            None => Role::Worker,
        })
        .collect();
    (roles, hosts.entries.iter().any(|entry| entry.role.is_none()))
}

/// What to tell about it: which hosts are what, and that the rest is the example's.
pub(super) fn sentence(hosts: &Hosts, roles: &[Role], assumed: bool) -> String {
    let managers: Vec<&str> = hosts
        .entries
        .iter()
        .zip(roles)
        .filter(|(_, role)| **role == Role::Manager)
        .map(|(entry, _)| entry.address.as_str())
        .collect();
    let whence = match assumed {
        true => "it is assumed that",
        false => "hosts.yaml says that",
    };
    format!(
        "there are no facts about the hosts: {whence} the managers are {}, and {} of {} hosts workers; versions, sizes and \
         everything else are those of an example. `mkectl facts` records what is true",
        managers.join(", "),
        roles.len() - managers.len(),
        roles.len()
    )
}

/// The facts. `example` has at least one manager and one worker.
///
/// # Errors
///
/// When the example lacks one.
pub(super) fn facts(hosts: &Hosts, roles: &[Role], example: &Facts) -> Result<Facts, CliError> {
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut made = Vec::new();
    for (at, (entry, role)) in hosts.entries.iter().zip(roles).enumerate() {
        let model = example
            .hosts
            .iter()
            .find(|host| host.role == Some(*role))
            .ok_or_else(|| CliError::bug("the example has not both a manager and a worker"))?;
        let word = match role {
            Role::Manager => "manager",
            Role::Worker => "worker",
        };
        let number = numbers.entry(word).or_default();
        *number += 1;
        let name = match &entry.hostname {
            Some(name) => name.clone(),
            None => format!("{word}-{number:02}"),
        };
        made.push(host(
            model,
            entry,
            &name,
            at,
            *role == Role::Manager && *number == 1,
        ));
    }
    let mut cluster = example.cluster.clone();
    let names = |state: &str| {
        let name = |host: &HostFacts| Some((host.hostname.clone()?, state.to_owned()));
        Some(made.iter().filter_map(name).collect())
    };
    cluster.swarm_nodes = names("ready");
    cluster.kubernetes_nodes = names("Ready");
    cluster.user_services = Some(Vec::new());
    cluster.node_ports = Some(Vec::new());
    if let Some(etcd) = &mut cluster.etcd {
        let managers = roles.iter().filter(|role| **role == Role::Manager).count();
        etcd.healthy_members = u32::try_from(managers).ok();
    }
    if let Some(objects) = &mut cluster.objects {
        objects.csi_drivers = Some(Vec::new());
        objects.local_images = Some(Vec::new());
        // It is the configuration that says which.
        objects.ip_pools = None;
    }
    Ok(Facts {
        cluster,
        hosts: made,
        ..example.clone()
    })
}

fn host(model: &HostFacts, entry: &HostEntry, name: &str, at: usize, leader: bool) -> HostFacts {
    let digits = data_encoding::HEXLOWER.encode(&Sha256::digest(format!("{} {}", entry.address, entry.port)));
    let mut host = HostFacts {
        address: entry.address.clone(),
        hostname: Some(name.to_owned()),
        machine_id: Some(digits[..32].to_owned()),
        // Those of the simulated hosts are what is trusted.
        host_keys: Vec::new(),
        private_address: entry.private_address.clone().or_else(|| private(entry, at)),
        ..model.clone()
    };
    if let Some(interface) = &entry.private_interface {
        host.private_interface = Some(interface.clone());
    }
    if let Some(swarm) = &mut host.swarm {
        swarm.node_id = Some(digits[32..57].to_owned());
        swarm.leader = Some(leader);
    }
    if let Some(node) = &mut host.node {
        node.name = Some(name.to_owned());
        node.labels.remove(PROFILE);
        node.labels
            .insert("kubernetes.io/hostname".to_owned(), name.to_owned());
    }
    host
}

/// An address for traffic between nodes: the host's own, where that is one.
fn private(entry: &HostEntry, at: usize) -> Option<String> {
    if entry.address.parse::<std::net::IpAddr>().is_ok() {
        return Some(entry.address.clone());
    }
    const FIRST: u32 = 0x0a4d_0001;
    Some(Ipv4Addr::from_bits(FIRST + u32::try_from(at).ok()?).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Hosts {
        Hosts::parse("hosts.yaml", text).unwrap()
    }

    #[test]
    fn roles_are_those_of_the_file_else_the_first_hosts_are_managers() {
        let (m, w) = (Role::Manager, Role::Worker);
        let of = |lines: &[&str]| {
            let list: String = lines
                .iter()
                .enumerate()
                .map(|(at, role)| format!("- {{address: host-{at}{role}}}\n"))
                .collect();
            roles(&parsed(&format!("hosts:\n{list}")))
        };
        assert_eq!(of(&["", ""]), (vec![m, w], true));
        assert_eq!(of(&["", "", "", "", ""]), (vec![m, m, m, w, w], true));
        assert_eq!(
            of(&["", ", role: manager", ", role: worker"]),
            (vec![w, m, w], true)
        );
        assert_eq!(of(&[", role: worker", "", ""]), (vec![w, m, m], true));
        assert_eq!(of(&[", role: manager", ", role: worker"]), (vec![m, w], false));
    }

    #[test]
    fn what_is_told_names_the_managers() {
        let hosts = parsed("hosts:\n- {address: a}\n- {address: b}\n- {address: c}\n- {address: d}\n");
        let (roles, assumed) = roles(&hosts);
        let told = sentence(&hosts, &roles, assumed);
        assert!(
            told.contains("assumed that the managers are a, b, c, and 1 of 4 hosts workers;"),
            "{told}"
        );
    }
}
