//! `ports.yaml`, as data.

use crate::catalogue::Bundle;
use crate::convert::rbac::tables::{FindingBook, read};
use crate::model::PortFate;
use crate::source::InputError;
use serde::Deserialize;

macro_rules! codes {
    ($($name:ident = $code:literal;)*) => {
        $(pub(crate) const $name: &str = $code;)*
        /// All of them.
        pub(crate) const ALL: &[&str] = &[$($code),*];
    };
}

/// Codes of the findings about ports; `findings/ports.yaml` defines each.
pub(crate) mod codes {
    codes! {
        GATEWAY = "GATEWAY-PORTS";
        GATEWAY_CLASH = "GATEWAY-PORT-CLASH";
        GATEWAY_RANGE = "GATEWAY-PORT-RANGE";
        GATEWAY_INGRESS = "GATEWAY-INGRESS";
        VALUE = "PORTS-VALUE";
        NODEPORT_RANGE = "PORTS-NODEPORT-RANGE";
        STRANGER = "PORTS-STRANGER";
        REUSED = "PORTS-REUSED";
        MOVED = "PORTS-MOVED";
        BGP = "PORTS-BGP";
        BGP_UNKNOWN = "PORTS-BGP-UNKNOWN";
        LOAD_BALANCER = "PORTS-LOAD-BALANCER";
    }
}

/// `ports.yaml`, with the findings about ports.
#[derive(Clone, Debug)]
pub struct PortTables {
    pub(crate) data: PortData,
    /// Ports of the load balancer.
    pub balancer: BalancerPorts,
    pub(crate) findings: FindingBook,
}

impl PortTables {
    /// Reads the tables of a bundle. Refuses unknown keys, and a findings file that lacks a code of this module.
    pub fn load(bundle: &Bundle) -> Result<PortTables, InputError> {
        let data: PortData = read(bundle, "ports.yaml")?;
        if parse_range(&data.node_ports.default).is_none() {
            return Err(InputError {
                file: "ports.yaml".to_owned(),
                at: None,
                message: format!("node_ports.default {:?} is not a range", data.node_ports.default),
                remedy: "write it as LOW-HIGH".to_owned(),
            });
        }
        if let Some(retired) = data.retired.iter().find(|port| port.probe.is_some()) {
            return Err(InputError {
                file: "ports.yaml".to_owned(),
                at: None,
                message: format!("the port {} is retired and has a probe", retired.port),
                remedy: "probe only ports that MKE 4k uses".to_owned(),
            });
        }
        Ok(PortTables {
            balancer: BalancerPorts::of(&data),
            data,
            findings: FindingBook::load(bundle, "findings/ports.yaml", codes::ALL)?,
        })
    }
}

/// Ports that the load balancer passes to the managers, each list with spaces between, as scripts take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalancerPorts {
    /// All of them.
    pub passed: String,
    /// Those that nothing listens on before the upgrade.
    pub unserved: String,
}

impl BalancerPorts {
    fn of(data: &PortData) -> BalancerPorts {
        let served = |port: u32| {
            let known = data.kept.iter().chain(&data.new);
            known
                .filter(|def| def.port == port)
                .any(|def| def.probe == Some(ProbeDef::Served))
        };
        let list = |wanted: &dyn Fn(u32) -> bool| {
            let ports = data.load_balancer.pass.iter().copied();
            let texts: Vec<String> = ports
                .filter(|&port| wanted(port))
                .map(|port| port.to_string())
                .collect();
            texts.join(" ")
        };
        BalancerPorts {
            passed: list(&|_| true),
            unserved: list(&|port| !served(port)),
        }
    }
}

/// `LOW-HIGH`, both ports.
pub(crate) fn parse_range(text: &str) -> Option<(u32, u32)> {
    let (low, high) = text.trim().split_once('-')?;
    let port = |text: &str| {
        text.trim()
            .parse::<u32>()
            .ok()
            .filter(|port| (1..=65535).contains(port))
    };
    let (low, high) = (port(low)?, port(high)?);
    (low <= high).then_some((low, high))
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PortData {
    pub retired: Vec<PortDef>,
    pub kept: Vec<PortDef>,
    pub protocols: Vec<ProtocolDef>,
    pub new: Vec<PortDef>,
    pub node_ports: NodePortsDef,
    pub ingress: IngressDef,
    pub gateway: GatewayDef,
    pub load_balancer: LoadBalancerDef,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PortDef {
    pub port: u32,
    pub protocol: String,
    pub hosts: String,
    #[serde(default)]
    pub before: String,
    #[serde(default)]
    pub after: String,
    #[serde(default)]
    pub setting: Option<String>,
    /// Who goes on using it where Calico has BGP peers.
    #[serde(default)]
    pub bgp: Option<String>,
    /// How `check ports` looks at it; `gather` reads this.
    #[serde(default)]
    pub probe: Option<ProbeDef>,
    /// Processes that may hold it under MKE 3; absent: nobody looks.
    #[serde(default)]
    pub listener: Option<Vec<String>>,
}

/// How a port is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProbeDef {
    /// A listener is started.
    Listen,
    /// Something listens already.
    Served,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProtocolDef {
    pub number: u32,
    pub fate: PortFate,
    #[serde(default)]
    pub before: String,
    #[serde(default)]
    pub after: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodePortsDef {
    pub setting: String,
    pub default: String,
    pub before: String,
    pub after: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IngressDef {
    pub enabled: String,
    pub ports: String,
    pub default: Vec<Exposed>,
    pub http: u32,
    pub https: u32,
    pub before: String,
    pub after: String,
}

/// A port that the ingress controller exposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exposed {
    pub port: u32,
    pub node_port: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayDef {
    pub chosen_since: String,
    pub default: NodePorts,
    pub http: String,
    pub https: String,
    pub http_option: String,
    pub https_option: String,
}

/// NodePorts of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodePorts {
    /// Of HTTP.
    pub http: u32,
    /// Of HTTPS.
    pub https: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoadBalancerDef {
    pub listener: u32,
    pub pass: Vec<u32>,
}
