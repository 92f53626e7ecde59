//! What no single key shows: ranges that overlap, and NodePorts.

use super::engine::at_least;
use super::path::DocPath;
use super::table::SettingsTable;
use super::value;
use super::{SettingsResult, Write};
use crate::catalogue::Release;
use crate::model::{Finding, Outcome, Subject, SubjectKind};
use crate::options::Options;
use crate::source::mke3::{Config, Value};
use crate::yaml::{self, Node};
use ipnet::IpNet;

const POD_CIDR: &str = "cluster_config.pod_cidr";
const SERVICE_CIDR: &str = "cluster_config.service_cluster_ip_range";
const NODE_PORTS: &str = "cluster_config.nodeport_range";
const INGRESS: &str = "cluster_config.ingress_controller.enabled";
const EXPOSED: &str = "cluster_config.ingress_controller.ingress_exposed_ports";

pub(crate) fn check(
    table: &SettingsTable,
    config: &Config,
    release: &Release,
    options: &Options,
    result: &mut SettingsResult,
) {
    let mut checks = Checks {
        table,
        config,
        result,
    };
    checks.ranges();
    checks.node_ports(release, options);
}

struct Checks<'a> {
    table: &'a SettingsTable,
    config: &'a Config,
    result: &'a mut SettingsResult,
}

impl Checks<'_> {
    /// The value of a key, or MKE 3's default for it.
    fn effective(&self, key: &str) -> Option<String> {
        match self.config.get(key).map(|leaf| &leaf.value) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::String(_)) | None => {
                let default = self.table.find(key)?.default.as_ref()?;
                default.as_str().map(str::to_owned)
            }
            Some(_) => None,
        }
    }

    fn find(&mut self, code: &str, key: &str, message: String) {
        let subject = Subject::new(SubjectKind::Setting, key);
        let subject = match self.config.get(key) {
            Some(leaf) => subject.at(self.config.file.clone(), leaf.line),
            None => subject,
        };
        let remedy = self.table.findings.get(code).map_or("", |def| &def.remedy);
        self.result.findings.push(Finding {
            severity: self.table.severity(code),
            code: code.to_owned(),
            subject,
            message,
            remedy: remedy.to_owned(),
            hosts: Vec::new(),
        });
    }

    fn ranges(&mut self) {
        let range = |key| self.effective(key).and_then(|text| text.parse::<IpNet>().ok());
        let (Some(pods), Some(services)) = (range(POD_CIDR), range(SERVICE_CIDR)) else {
            return;
        };
        if pods.contains(&services.network()) || services.contains(&pods.network()) {
            self.find(
                "CIDR-OVERLAP",
                POD_CIDR,
                format!("the pod range {pods} and the service range {services} overlap"),
            );
        }
        if matches!(pods, IpNet::V4(net) if net.prefix_len() > 24) {
            self.find(
                "POD-CIDR-SMALL",
                POD_CIDR,
                format!("the pod range {pods} is smaller than the /24 block of one node"),
            );
        }
    }

    fn written(&self, path: &str) -> Option<&Node> {
        let path = DocPath::parse(path).ok()?;
        self.result
            .writes
            .iter()
            .rev()
            .find(|write| write.path == path)
            .map(|write| &write.value)
    }

    fn write(&mut self, path: &str, value: Node) {
        if let Ok(path) = DocPath::parse(path) {
            self.result.writes.push(Write {
                path,
                value,
                merge: None,
            });
        }
    }

    /// Settles the NodePorts of ingress and gateway. The usual ones are kept wherever the range has them.
    fn node_ports(&mut self, release: &Release, options: &Options) {
        let Some((low, high)) = self
            .effective(NODE_PORTS)
            .and_then(|text| value::port_range(&text))
        else {
            return;
        };
        let in_range = |port: u32| (low..=high).contains(&port);
        let free = |taken: &[u32]| (low..=high).find(|port| !taken.contains(port));
        let usual = [("http", 33000_u32), ("https", 33001)];
        let has_gateway = at_least(&release.schema, "4.1.3");
        let had_ingress = matches!(
            self.config.get(INGRESS).map(|leaf| &leaf.value),
            Some(Value::Bool(true))
        );

        let mut used: Vec<u32> = Vec::new();
        let mut ingress = Vec::new();
        if had_ingress || !has_gateway {
            for (name, port) in usual {
                let path = format!("spec.ingressController.nodePorts.{name}");
                let set = self
                    .written(&path)
                    .and_then(Node::as_int)
                    .and_then(|n| u32::try_from(n).ok());
                let port = match set {
                    Some(port) => port,
                    None if in_range(port) => port,
                    None => free(&used).unwrap_or(port),
                };
                if set.is_none() && port != 33000 && port != 33001 {
                    self.write(&path, port.into());
                }
                ingress.push((name, port));
                used.push(port);
            }
        }
        self.check_ports("ingress", &ingress, &[], in_range);
        if !has_gateway {
            return;
        }
        let takes_over = options.remove_ingress_nginx && had_ingress;
        if options.remove_ingress_nginx {
            self.drop_ingress();
            used.clear();
        }
        let asked = [options.gateway_http_node_port, options.gateway_https_node_port];
        let mut gateway = Vec::new();
        let mut chosen = false;
        for (i, (name, port)) in usual.into_iter().enumerate() {
            let port = match asked[i] {
                Some(port) => port,
                None if takes_over => ingress[i].1,
                None if in_range(port) && !used.contains(&port) => port,
                None => {
                    chosen = true;
                    let mut taken = used.clone();
                    taken.extend(asked.iter().flatten());
                    free(&taken).unwrap_or(port)
                }
            };
            self.write(&format!("spec.gatewayMKEIngress.nodePorts.{name}"), port.into());
            gateway.push((name, port));
            used.push(port);
        }
        let others: Vec<u32> = match options.remove_ingress_nginx {
            true => Vec::new(),
            false => ingress.iter().map(|(_, port)| *port).collect(),
        };
        self.check_ports("gateway", &gateway, &others, in_range);
        if chosen {
            self.find(
                "GATEWAY-NODE-PORTS",
                NODE_PORTS,
                format!(
                    "the gateway gets the NodePorts {} for HTTP and {} for HTTPS",
                    gateway[0].1, gateway[1].1
                ),
            );
        }
    }

    fn check_ports(
        &mut self,
        whose: &str,
        ports: &[(&str, u32)],
        others: &[u32],
        in_range: impl Fn(u32) -> bool,
    ) {
        for (i, (name, port)) in ports.iter().enumerate() {
            let key = if self.config.get(NODE_PORTS).is_some() {
                NODE_PORTS
            } else {
                EXPOSED
            };
            let range = self.effective(NODE_PORTS).unwrap_or_default();
            if !in_range(*port) {
                self.find(
                    "INGRESS-NODE-PORT",
                    key,
                    format!("the {name} NodePort {port} of the {whose} is outside the range {range}"),
                );
            } else if others.contains(port) || ports[..i].iter().any(|(_, other)| other == port) {
                self.find(
                    "INGRESS-NODE-PORT",
                    key,
                    format!("the {name} NodePort {port} of the {whose} is taken already"),
                );
            }
        }
    }

    /// `--remove-ingress-nginx`: the controller is off, whatever the setting says.
    fn drop_ingress(&mut self) {
        const PATH: &str = "spec.ingressController.enabled";
        self.write(PATH, Node::Bool(false));
        let rows = self.result.rows.iter_mut();
        for row in rows.filter(|row| row.path.eq_ignore_ascii_case(INGRESS)) {
            if row.outcome == Outcome::Converted {
                for target in &mut row.to {
                    target.value = yaml::flow(&Node::Bool(false));
                }
                row.reason =
                    "--remove-ingress-nginx drops the controller; the gateway takes over its NodePorts"
                        .to_owned();
            }
        }
    }
}
