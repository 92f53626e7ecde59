//! Ports.

use super::*;
use mkectl::catalogue::Release;
use mkectl::convert::ports::{PortTables, convert_ports, retired_numbers};
use mkectl::model::{PortFate, PortRow, Role, Severity};
use mkectl::options::Options;
use mkectl::source::facts::{ClusterFacts, Facts, HostFacts, ObjectFacts};
use std::collections::BTreeMap;

/// The list in the documented upgrade summary, in its order.
const SUMMARY: [u32; 23] = [
    2377, 6444, 7946, 9055, 12376, 12378, 12379, 12380, 12381, 12382, 12383, 12384, 12385, 12386, 12387,
    12388, 12389, 12391, 12392, 179, 12390, 2376, 443,
];

fn release(mke: &str) -> Release {
    Release {
        mke: mke.to_owned(),
        ..Release::default()
    }
}

fn gateway(http: u32, https: u32) -> Options {
    Options {
        external_address: "mke.example.com".to_owned(),
        gateway_http_node_port: Some(http),
        gateway_https_node_port: Some(https),
        ..Options::default()
    }
}

fn run(
    leaves: &[(&str, Value)],
    options: &Options,
    mke: &str,
    facts: Option<&Facts>,
) -> (Vec<PortRow>, Vec<Finding>) {
    let tables = PortTables::load(&Bundle::embedded()).unwrap();
    convert_ports(&tables, &config(leaves), options, &release(mke), facts)
}

fn facts(node_ports: &[u32], bgp_peers: u32) -> Facts {
    Facts {
        cluster: ClusterFacts {
            node_ports: Some(node_ports.to_vec()),
            objects: Some(ObjectFacts {
                bgp_peers: Some(bgp_peers),
                ..ObjectFacts::default()
            }),
            ..ClusterFacts::default()
        },
        ..Facts::default()
    }
}

fn at<'r>(rows: &'r [PortRow], port: &str) -> &'r PortRow {
    let rows: Vec<_> = rows.iter().filter(|row| row.port == port).collect();
    assert_eq!(rows.len(), 1, "rows of {port}: {rows:?}");
    rows[0]
}

fn all_codes(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.code.as_str()).collect()
}

#[test]
fn the_summary_lists_the_documented_ports_in_their_order() {
    let (rows, findings) = run(&[], &gateway(33000, 33001), "4.1.5", Some(&facts(&[], 0)));
    assert_eq!(retired_numbers(&rows), SUMMARY);
    assert_eq!(all_codes(&findings), ["PORTS-LOAD-BALANCER"]);
    assert!(
        findings[0].message.contains("443 to NodePort 33001"),
        "{}",
        findings[0].message
    );
    for (port, fate) in [
        ("9443", PortFate::New),
        ("8132", PortFate::New),
        ("2380", PortFate::New),
        ("33000", PortFate::New),
        ("33001", PortFate::New),
        ("6443", PortFate::Kept),
        ("10250", PortFate::Kept),
        ("4789", PortFate::Kept),
        ("32768-35535", PortFate::Kept),
        ("50", PortFate::Retired),
    ] {
        assert_eq!(at(&rows, port).fate, fate, "{port}");
    }
    let fates: Vec<_> = rows.iter().map(|row| row.fate).collect();
    assert!(fates.is_sorted(), "retired, then kept, then new");
}

#[test]
fn chosen_ports_stand_in_place_of_the_defaults() {
    let leaves = [
        ("cluster_config.controller_port", Value::Integer(8443)),
        ("cluster_config.swarm_port", Value::Integer(3376)),
        ("cluster_config.kube_apiserver_port", Value::Integer(7443)),
        ("cluster_config.node_exporter_port", Value::Integer(9200)),
        ("cluster_config.nodeport_range", text("30000-32767")),
    ];
    let (rows, findings) = run(&leaves, &gateway(30000, 30001), "4.1.5", Some(&facts(&[], 0)));
    let mut wanted = SUMMARY.to_vec();
    wanted.splice(21.., [3376, 8443, 7443, 9200]);
    assert_eq!(retired_numbers(&rows), wanted);
    assert_eq!(
        at(&rows, "8443").setting.as_deref(),
        Some("cluster_config.controller_port")
    );
    assert_eq!(at(&rows, "6443").fate, PortFate::New);
    assert_eq!(at(&rows, "9100").fate, PortFate::New);
    assert_eq!(
        at(&rows, "30000-32767").setting.as_deref(),
        Some("cluster_config.nodeport_range")
    );
    let moved = found(&findings, "PORTS-MOVED");
    assert_eq!(
        moved
            .iter()
            .map(|finding| finding.subject.line)
            .collect::<Vec<_>>(),
        [Some(3), Some(4)]
    );
}

#[test]
fn a_port_that_gets_a_new_owner_is_not_to_be_closed() {
    let leaves = [("cluster_config.controller_port", Value::Integer(9443))];
    let (rows, findings) = run(&leaves, &gateway(33000, 33001), "4.1.5", Some(&facts(&[], 0)));
    assert!(!retired_numbers(&rows).contains(&9443));
    let row = at(&rows, "9443");
    assert_eq!(
        (row.fate, row.before.as_str(), row.after.as_str()),
        (PortFate::Kept, "MKE interface and API", "k0s join API")
    );
    assert_eq!(found(&findings, "PORTS-REUSED")[0].subject.line, Some(1));
    // Nor one within the range of NodePorts.
    let leaves = [("cluster_config.nodeport_range", text("12000-13000"))];
    let (rows, _) = run(&leaves, &gateway(12500, 12501), "4.1.5", None);
    assert_eq!(retired_numbers(&rows), [2377, 6444, 7946, 9055, 179, 2376, 443]);
}

#[test]
fn bgp_peers_keep_their_port() {
    let (rows, findings) = run(&[], &gateway(33000, 33001), "4.1.5", Some(&facts(&[], 2)));
    assert!(!retired_numbers(&rows).contains(&179));
    assert_eq!(at(&rows, "179").fate, PortFate::Kept);
    assert_eq!(found(&findings, "PORTS-BGP").len(), 1);
    let (rows, findings) = run(&[], &gateway(33000, 33001), "4.1.5", None);
    assert!(retired_numbers(&rows).contains(&179));
    assert_eq!(found(&findings, "PORTS-BGP-UNKNOWN").len(), 1);
}

#[test]
fn gateway_ports_must_be_chosen_and_free_ones_are_proposed() {
    let none = Options::default();
    let remedy = |leaves: &[(&str, Value)], options: &Options, used: &[u32]| {
        let (rows, findings) = run(leaves, options, "4.1.5", Some(&facts(used, 0)));
        assert!(
            !rows.iter().any(|row| row.after.starts_with("gateway")),
            "no row before the choice"
        );
        let finding = found(&findings, "GATEWAY-PORTS")[0].clone();
        assert_eq!(finding.severity, Severity::Blocking);
        finding.remedy
    };
    let pair = |http: u32, https: u32| {
        format!(
            "add --gateway-http-node-port {http} --gateway-https-node-port {https}, which are free as far as the inputs tell"
        )
    };
    assert_eq!(remedy(&[], &none, &[]), pair(33000, 33001));
    assert_eq!(remedy(&[], &none, &[33001, 32768]), pair(33000, 32769));
    let range = [("cluster_config.nodeport_range", text("30000-30003"))];
    assert_eq!(remedy(&range, &none, &[30000, 30002]), pair(30001, 30003));
    assert!(remedy(&range, &none, &[30000, 30001, 30002]).starts_with("free a NodePort of 30000-30003"));
    // The ingress controller stays and holds 33000 to 33002.
    let ingress = [("cluster_config.ingress_controller.enabled", Value::Bool(true))];
    assert_eq!(remedy(&ingress, &none, &[]), pair(32768, 32769));
    let one = Options {
        gateway_https_node_port: Some(33000),
        ..Options::default()
    };
    assert_eq!(remedy(&[], &one, &[]), pair(33001, 33000));
    // Removing an ingress controller that is off gives no NodePorts.
    let remove = Options {
        remove_ingress_nginx: true,
        ..Options::default()
    };
    assert_eq!(remedy(&[], &remove, &[]), pair(33000, 33001));
    assert_eq!(
        found(&run(&[], &remove, "4.1.5", None).1, "GATEWAY-INGRESS").len(),
        1
    );
}

#[test]
fn the_gateway_takes_over_the_ports_of_a_removed_ingress_controller() {
    let at_port = |index: usize, key: &str| {
        format!("cluster_config.ingress_controller.ingress_exposed_ports[{index}].{key}")
    };
    let keys: Vec<(String, Value)> = vec![
        (
            "cluster_config.ingress_controller.enabled".to_owned(),
            Value::Bool(true),
        ),
        (at_port(0, "port"), Value::Integer(80)),
        (at_port(0, "node_port"), Value::Integer(33080)),
        (at_port(1, "port"), Value::Integer(443)),
        (at_port(1, "node_port"), Value::Integer(33443)),
        (at_port(2, "port"), Value::Integer(9000)),
        (at_port(2, "node_port"), Value::Integer(33900)),
    ];
    let leaves: Vec<(&str, Value)> = keys
        .iter()
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    let remove = Options {
        remove_ingress_nginx: true,
        external_address: "mke:8443".into(),
        ..Options::default()
    };
    let used = facts(&[33080, 33443, 33900], 0);
    let (rows, findings) = run(&leaves, &remove, "4.1.5", Some(&used));
    assert_eq!(all_codes(&findings), ["PORTS-LOAD-BALANCER"]);
    assert!(
        findings[0].message.contains("8443 to NodePort 33443"),
        "{}",
        findings[0].message
    );
    assert_eq!(
        (at(&rows, "33443").fate, at(&rows, "33900").fate),
        (PortFate::Kept, PortFate::Retired)
    );
    assert!(at(&rows, "33443").after.starts_with("gateway"));
    assert_eq!(
        retired_numbers(&rows),
        SUMMARY,
        "33900 may become another service's NodePort"
    );
    // Chosen ports win over inherited ones.
    let (rows, _) = run(
        &leaves,
        &Options {
            remove_ingress_nginx: true,
            ..gateway(33000, 33001)
        },
        "4.1.5",
        Some(&used),
    );
    assert_eq!(
        (at(&rows, "33001").fate, at(&rows, "33443").fate),
        (PortFate::New, PortFate::Retired)
    );
}

#[test]
fn gateway_ports_that_cannot_be_block() {
    let codes_of = |options: &Options, used: &[u32]| {
        let (_, findings) = run(&[], options, "4.1.5", Some(&facts(used, 0)));
        findings
            .into_iter()
            .map(|finding| (finding.severity, finding.code, finding.subject.name))
            .collect::<Vec<_>>()
    };
    let blocking = |code: &str, port: &str| (Severity::Blocking, code.to_owned(), port.to_owned());
    assert_eq!(
        codes_of(&gateway(33000, 33001), &[33001]),
        [blocking("GATEWAY-PORT-CLASH", "33001")]
    );
    assert_eq!(
        codes_of(&gateway(80, 33001), &[]),
        [blocking("GATEWAY-PORT-RANGE", "80")]
    );
    assert_eq!(
        codes_of(&gateway(33001, 33001), &[]),
        [blocking("GATEWAY-PORT-CLASH", "33001")]
    );
}

#[test]
fn before_4_1_5_the_gateway_has_defaults() {
    let (rows, findings) = run(&[], &Options::default(), "4.1.4", Some(&facts(&[], 0)));
    assert_eq!(at(&rows, "33001").fate, PortFate::New);
    assert!(found(&findings, "GATEWAY-PORTS").is_empty());
    let range = [("cluster_config.nodeport_range", text("30000-32767"))];
    let (rows, _) = run(&range, &Options::default(), "4.1.0", Some(&facts(&[], 0)));
    assert_eq!(
        (at(&rows, "30000").fate, at(&rows, "30001").fate),
        (PortFate::New, PortFate::New)
    );
    let (_, findings) = run(&[], &Options::default(), "4.1.10", Some(&facts(&[], 0)));
    assert_eq!(
        found(&findings, "GATEWAY-PORTS").len(),
        1,
        "4.1.10 is newer than 4.1.5"
    );
}

#[test]
fn strangers_on_needed_ports_are_found_once_per_port() {
    let host = |name: &str, role: Role, ports: &[(&str, &str)]| HostFacts {
        address: "10.0.0.1".into(),
        hostname: Some(name.into()),
        role: Some(role),
        listening: Some(
            ports
                .iter()
                .map(|(port, process)| ((*port).to_owned(), (*process).to_owned()))
                .collect::<BTreeMap<_, _>>(),
        ),
        ..HostFacts::default()
    };
    let facts = Facts {
        hosts: vec![
            host(
                "m2",
                Role::Manager,
                &[("9443", "java"), ("10250", "hyperkube"), ("6443", "docker-proxy")],
            ),
            host(
                "m1",
                Role::Manager,
                &[
                    ("9443", "nginx"),
                    ("443", "docker-proxy"),
                    ("12379", "docker-proxy"),
                ],
            ),
            host(
                "w1",
                Role::Worker,
                &[("9443", "java"), ("10250", "agent"), ("8132", "java")],
            ),
        ],
        ..facts(&[], 0)
    };
    let (_, findings) = run(&[], &gateway(33000, 33001), "4.1.5", Some(&facts));
    let strangers: Vec<_> = found(&findings, "PORTS-STRANGER")
        .into_iter()
        .map(|finding| {
            (
                finding.subject.name.as_str(),
                finding.message.as_str(),
                finding.hosts.join(" "),
            )
        })
        .collect();
    assert_eq!(
        strangers,
        [
            ("10250", "agent listens on the port of kubelet", "w1".to_owned()),
            (
                "9443",
                "java, nginx listens on the port of k0s join API",
                "m1 m2".to_owned()
            ),
        ]
    );
    // MKE 3 itself holds the port that it was told to use.
    let own = [("cluster_config.controller_port", Value::Integer(9443))];
    let (_, findings) = run(&own, &gateway(33000, 33001), "4.1.5", Some(&facts));
    assert_eq!(found(&findings, "PORTS-STRANGER").len(), 1);
}

#[test]
fn settings_that_are_no_ports_are_named() {
    let leaves = [
        ("cluster_config.controller_port", Value::Integer(70000)),
        ("cluster_config.nodeport_range", text("many")),
    ];
    let (rows, findings) = run(&leaves, &gateway(33000, 33001), "4.1.5", Some(&facts(&[], 0)));
    assert_eq!(retired_numbers(&rows), SUMMARY);
    assert_eq!(found(&findings, "PORTS-VALUE")[0].subject.line, Some(1));
    assert_eq!(
        found(&findings, "PORTS-NODEPORT-RANGE")[0].severity,
        Severity::Blocking
    );
}
