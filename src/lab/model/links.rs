//! Network interfaces of one host, as far as an upgrade leaves or removes them.

use std::collections::BTreeMap;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// `bridge`, `vxlan`, `veth`; empty for a device.
    pub kind: &'static str,
    /// Address with prefix length, where it has one.
    pub address: Option<String>,
    /// Largest packet.
    pub mtu: u32,
}

impl Link {
    fn new(kind: &'static str, address: Option<&str>, mtu: u32) -> Link {
        Link {
            kind,
            address: address.map(str::to_owned),
            mtu,
        }
    }
}

/// Interfaces of an MKE 3 node, by name, with as many of pods as it has.
pub fn of_mke_node(address: &str, interface: &str, pods: &[String]) -> BTreeMap<String, Link> {
    let mut links = BTreeMap::from([
        ("lo".to_owned(), Link::new("", Some("127.0.0.1/8"), 65536)),
        (
            interface.to_owned(),
            Link::new("", Some(&format!("{address}/24")), 1500),
        ),
        (
            "vxlan.calico".to_owned(),
            Link::new("vxlan", Some("192.168.7.0/32"), 1450),
        ),
    ]);
    links.extend(of_docker());
    for pod in pods {
        links.insert(
            format!("cali{}", &super::id(pod)[..11]),
            Link::new("veth", None, 1450),
        );
    }
    links
}

/// What Calico makes on a node, with the interface of one pod.
pub fn of_calico(node: &str) -> BTreeMap<String, Link> {
    let pod = format!("cali{}", &super::id(&format!("pod of {node}"))[..11]);
    BTreeMap::from([
        (
            "vxlan.calico".to_owned(),
            Link::new("vxlan", Some("192.168.7.0/32"), 1450),
        ),
        (pod, Link::new("veth", None, 1450)),
    ])
}

/// What Docker makes when it starts.
pub fn of_docker() -> BTreeMap<String, Link> {
    BTreeMap::from([
        (
            "docker0".to_owned(),
            Link::new("bridge", Some("172.17.0.1/16"), 1500),
        ),
        (
            "docker_gwbridge".to_owned(),
            Link::new("bridge", Some("172.18.0.1/16"), 1500),
        ),
    ])
}
