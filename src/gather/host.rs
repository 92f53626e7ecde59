//! What a host says of itself, as facts.

use super::lines::Answer;
use super::scripts::Table;
use super::values::{boolean, days_until, human_size, kibibytes};
use crate::model::{Bytes, Role};
use crate::source::facts::{DockerFacts, FilesystemFacts, HostFacts, OsFacts, SwarmFacts};
use crate::source::hosts::HostEntry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Ports that a host has.
const PORTS: usize = 65_535;

/// The facts of a host. `now` is in milliseconds since 1970, at the moment when the answer began to arrive.
pub(super) fn facts(entry: &HostEntry, answer: &Answer, table: &Table, now: u64) -> HostFacts {
    let owned = |name: &str| answer.value(name).map(str::to_owned);
    let addresses = addresses(answer);
    let (private_address, private_interface) = private(entry, answer, &addresses);
    let containers = containers(answer, table);
    HostFacts {
        address: entry.address.clone(),
        unreachable: None,
        hostname: owned("hostname"),
        machine_id: owned("machine-id"),
        // Known to who connected, not to the host.
        host_keys: Vec::new(),
        role: role(answer),
        swarm: swarm(answer),
        node: None,
        os: Some(os(answer)),
        docker: docker(answer),
        private_address,
        private_interface,
        cpus: positive(answer, "docker.cpus").or_else(|| positive(answer, "cpus")),
        memory_bytes: answer
            .parsed::<u64>("docker.memory")
            .filter(|bytes| *bytes > 0)
            .map(Bytes)
            .or_else(|| kibibytes(answer.value("memory-kib")?)),
        filesystems: filesystems(answer),
        listening: listening(answer),
        privilege: owned("privilege"),
        detach: owned("detach"),
        init: owned("init"),
        cgroup: match answer.value("docker.cgroup-version") {
            Some(version @ ("1" | "2")) => Some(format!("v{version}")),
            _ => owned("cgroup"),
        },
        selinux: owned("selinux"),
        firewall: owned("firewall"),
        fapolicyd: answer.value("fapolicyd").and_then(boolean),
        swap: answer.value("swap").and_then(boolean),
        iptables: owned("iptables"),
        noexec: answer.value("noexec").and_then(boolean),
        missing_modules: answer.names("missing-module"),
        clock_offset_ms: answer.clock.and_then(|clock| offset(clock, now)),
        certificates_days: certificates(answer, now / 1000),
        foreign_containers: containers.as_ref().map(|(_, foreign)| foreign.clone()),
        mke_containers: containers.map(|(own, _)| own),
        k0s: answer.names("k0s"),
    }
}

fn positive(answer: &Answer, name: &str) -> Option<u32> {
    answer.parsed(name).filter(|count| *count > 0)
}

fn offset(clock: i128, now: u64) -> Option<i32> {
    i32::try_from(clock / 1_000_000 - i128::from(now)).ok()
}

/// A manager is who controls the swarm; a worker who is in it and does not. Out of the swarm nobody has a role.
fn role(answer: &Answer) -> Option<Role> {
    match (answer.value("swarm.manager"), answer.value("swarm.state")) {
        (Some("true"), _) => Some(Role::Manager),
        (Some("false"), Some("active")) => Some(Role::Worker),
        _ => None,
    }
}

fn swarm(answer: &Answer) -> Option<SwarmFacts> {
    Some(SwarmFacts {
        node_id: Some(answer.value("swarm.node-id")?.to_owned()),
        ..SwarmFacts::default()
    })
}

fn os(answer: &Answer) -> OsFacts {
    let first = |names: [&str; 2]| {
        names
            .iter()
            .find_map(|name| answer.value(name))
            .map(str::to_owned)
    };
    OsFacts {
        id: answer.value("os.ID").map(str::to_owned),
        version: answer.value("os.VERSION_ID").map(str::to_owned),
        name: answer.value("os.PRETTY_NAME").map(str::to_owned),
        arch: first(["docker.machine", "uname.machine"]),
        kernel: first(["docker.release", "uname.release"]),
        family: first(["docker.system", "uname.system"]).map(|name| name.to_lowercase()),
    }
}

fn docker(answer: &Answer) -> Option<DockerFacts> {
    let owned = |name: &str| answer.value(name).map(str::to_owned);
    Some(DockerFacts {
        version: Some(owned("docker.version")?),
        root: owned("docker.root"),
        storage_driver: owned("docker.driver"),
        live_restore: answer.value("docker.live-restore").and_then(boolean),
        cgroup_driver: owned("docker.cgroup-driver"),
        images_bytes: answer.value("docker.images").and_then(human_size),
    })
}

fn filesystems(answer: &Answer) -> BTreeMap<String, FilesystemFacts> {
    let mut all = BTreeMap::new();
    for fields in answer.list("filesystem").into_iter().flatten() {
        let [path, mount, size, free, inodes] = fields[..] else {
            continue;
        };
        let facts = FilesystemFacts {
            mount: Some(mount.to_owned()).filter(|mount| mount.starts_with('/')),
            size_bytes: kibibytes(size),
            free_bytes: kibibytes(free),
            free_inodes: inodes.parse().ok().map(Bytes),
        };
        all.insert(path.to_owned(), facts);
    }
    all
}

fn listening(answer: &Answer) -> Option<BTreeMap<String, String>> {
    let mut ports: BTreeMap<String, String> = BTreeMap::new();
    for fields in answer.list("listening")?.take(PORTS * 4) {
        let Some(port) = fields.first().and_then(|port| port.parse::<u16>().ok()) else {
            continue;
        };
        if port == 0 {
            continue;
        }
        // Of several on one port, on other addresses, one that has a name.
        let process = fields.get(1).copied().unwrap_or_default();
        let known = ports.entry(port.to_string()).or_default();
        if known.is_empty() {
            process.clone_into(known);
        }
    }
    Some(ports)
}

/// Days until the first certificate ends; absent when there is none to read.
fn certificates(answer: &Answer, now: u64) -> Option<u32> {
    answer
        .list("certificate")?
        .filter_map(|fields| days_until(fields.get(1)?, now))
        .min()
}

/// MKE's own containers with their states, and the running ones that are nobody's.
fn containers(answer: &Answer, table: &Table) -> Option<(BTreeMap<String, String>, Vec<String>)> {
    let (mut own, mut foreign) = (BTreeMap::new(), BTreeSet::new());
    for fields in answer.list("container")? {
        let [name, state, ..] = fields[..] else { continue };
        if name.starts_with(&table.own_prefix) && !name.contains('.') {
            own.insert(name.to_owned(), state.to_owned());
        } else if state == "running" && !name.starts_with(&table.own_prefix) {
            foreign.insert(name.to_owned());
        }
    }
    Some((own, foreign.into_iter().collect()))
}

/// Addresses with their interfaces, as `ip` lists them.
fn addresses(answer: &Answer) -> Vec<(String, IpAddr)> {
    answer
        .list("address")
        .into_iter()
        .flatten()
        .filter_map(|fields| {
            let [interface, address] = fields[..] else {
                return None;
            };
            // `eth0@if5` in a namespace.
            let interface = interface.split('@').next().unwrap_or(interface);
            Some((interface.to_owned(), address.parse().ok()?))
        })
        .collect()
}

/// The address for traffic between nodes, and its interface: what hosts.yaml says, else the address that the host has in
/// the swarm, else the first of the interface with the default route.
fn private(
    entry: &HostEntry,
    answer: &Answer,
    addresses: &[(String, IpAddr)],
) -> (Option<String>, Option<String>) {
    let of_address = |wanted: IpAddr| {
        addresses
            .iter()
            .find(|(_, address)| *address == wanted)
            .map(|(interface, _)| interface.clone())
    };
    let of_interface = |wanted: &str| {
        let own = addresses
            .iter()
            .filter(|(interface, _)| interface == wanted)
            .map(|(_, address)| *address);
        let mut own: Vec<IpAddr> = own.filter(|address| !local(address)).collect();
        own.sort_by_key(IpAddr::is_ipv6);
        own.first().copied()
    };
    let given = entry
        .private_address
        .as_deref()
        .and_then(|text| text.parse().ok());
    // One that the host does not have is a mistake, or was true once.
    let given = given.filter(|address| addresses.is_empty() || of_address(*address).is_some());
    if let Some(address) = given {
        return (
            Some(IpAddr::to_string(&address)),
            of_address(address).or_else(|| entry.private_interface.clone()),
        );
    }
    if let Some(interface) = &entry.private_interface {
        let address = of_interface(interface).map(|address| address.to_string());
        return (address, Some(interface.clone()));
    }
    let swarm: Option<IpAddr> = answer.parsed("swarm.address");
    if let Some(address) = swarm.filter(|address| !address.is_unspecified()) {
        return (Some(address.to_string()), of_address(address));
    }
    match answer.value("route-interface") {
        Some(interface) => (
            of_interface(interface).map(|address| address.to_string()),
            Some(interface.to_owned()),
        ),
        None => (None, None),
    }
}

/// An address that leads nowhere else.
fn local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::hosts::Hosts;

    fn told(lines: &str, yaml: &str) -> HostFacts {
        let hosts = Hosts::parse("hosts.yaml", yaml).unwrap();
        let text = format!("mkectl-facts 1 w 1000000000000\n{lines}. w 0\n");
        let answer = Answer::parse("w", text.as_bytes()).unwrap();
        let bundle = crate::catalogue::Bundle::embedded();
        let table = super::super::Questions::load(&bundle).unwrap().table;
        facts(&hosts.entries[0], &answer, &table, 999_000)
    }

    const ONE: &str = "hosts:\n- address: 203.0.113.1\n";

    #[test]
    fn what_nobody_told_is_absent_and_not_no() {
        let facts = told("", ONE);
        assert_eq!(facts.role, None);
        assert_eq!(facts.docker, None);
        assert_eq!(facts.listening, None);
        assert_eq!(facts.foreign_containers, None);
        assert_eq!(facts.k0s, None);
        assert_eq!(facts.swap, None);
        assert_eq!(facts.clock_offset_ms, Some(1000));
    }

    #[test]
    fn a_role_is_what_the_swarm_says() {
        let role = |lines: &str| told(lines, ONE).role;
        assert_eq!(
            role("= swarm.manager true\n= swarm.state active\n"),
            Some(Role::Manager)
        );
        assert_eq!(
            role("= swarm.manager false\n= swarm.state active\n"),
            Some(Role::Worker)
        );
        assert_eq!(role("= swarm.manager false\n= swarm.state inactive\n"), None);
        assert_eq!(role("- docker it does not answer\n"), None);
    }

    #[test]
    fn containers_are_sorted_by_whose_they_are() {
        let facts = told(
            "* container\n+ container ucp-kv\trunning\n+ container ucp-reconcile\texited\n+ container web\trunning\n\
             + container old\texited\n+ container ucp-auth-api.x.y\trunning\n",
            ONE,
        );
        let own = facts.mke_containers.unwrap();
        assert_eq!(own.len(), 2);
        assert_eq!(own["ucp-reconcile"], "exited");
        assert_eq!(facts.foreign_containers.unwrap(), ["web"]);
    }

    #[test]
    fn the_private_address_is_that_of_hosts_yaml_then_of_the_swarm_then_of_the_route() {
        let lines = "* address\n+ address lo\t127.0.0.1\n+ address ens5\tfe80::1\n+ address ens5\t10.0.0.5\n\
                     + address ens6@if3\t10.1.0.5\n= route-interface ens5\n";
        let private = |lines: &str, yaml: &str| {
            let facts = told(lines, yaml);
            (
                facts.private_address.unwrap_or_default(),
                facts.private_interface.unwrap_or_default(),
            )
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(private(lines, ONE), pair("10.0.0.5", "ens5"));
        let swarm = format!("{lines}= swarm.address 10.1.0.5\n");
        assert_eq!(private(&swarm, ONE), pair("10.1.0.5", "ens6"));
        assert_eq!(
            private(&swarm, &format!("{ONE}  privateInterface: ens5\n")),
            pair("10.0.0.5", "ens5")
        );
        assert_eq!(
            private(&swarm, &format!("{ONE}  privateAddress: 10.0.0.5\n")),
            pair("10.0.0.5", "ens5")
        );
    }
}
