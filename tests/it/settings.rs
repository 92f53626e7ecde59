//! Settings conversion: the table, one vector per row and more, whole documents, random input, and the YAML that is written.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod random;
mod yaml_text;

use crate::support::rows_without_vector;
use mkectl::catalogue::{Bundle, Release};
use mkectl::convert::document::*;
use mkectl::convert::report::{Form, compatibility_report};
use mkectl::convert::settings::*;
use mkectl::model::{Component, Outcome, Role, SettingRow, Severity};
use mkectl::options::Options;
use mkectl::source::hosts::Hosts;
use mkectl::source::mke3::{Config, Leaf, Segment};
use mkectl::yaml::{self, Node};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::LazyLock;

/// Loaded once: reading the table takes longer than any conversion.
fn table() -> &'static SettingsTable {
    static TABLE: LazyLock<SettingsTable> =
        LazyLock::new(|| SettingsTable::load(&Bundle::embedded()).unwrap());
    &TABLE
}

fn defaults() -> &'static DocumentDefaults {
    static DEFAULTS: LazyLock<DocumentDefaults> =
        LazyLock::new(|| DocumentDefaults::load(&Bundle::embedded()).unwrap());
    &DEFAULTS
}

fn release(schema: &str) -> Release {
    let (mke, kubernetes) = match schema {
        "4.1.0" => ("4.1.1", "1.32"),
        "4.1.3" => ("4.1.5", "1.32"),
        _ => ("4.2.1", "1.34"),
    };
    Release {
        mke: mke.to_owned(),
        kubernetes: kubernetes.to_owned(),
        schema: schema.to_owned(),
        ..Release::default()
    }
}

fn options() -> Options {
    Options {
        external_address: "mke.example.com".to_owned(),
        ..Options::default()
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn cluster(name: &str) -> Config {
    let path = format!("testdata/clusters/{name}/mke3.toml");
    Config::parse("mke3.toml", &read(&path)).unwrap()
}

fn convert(config: &Config, schema: &str) -> SettingsResult {
    convert_settings(table(), config, &release(schema), &options())
}

/// `registries[0].host_address` back to segments.
pub fn segments(path: &str) -> Vec<Segment> {
    let mut out = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if let Some(quoted) = rest.strip_prefix('"') {
            let (key, after) = quoted.split_once('"').unwrap();
            out.push(Segment::Key(key.to_owned()));
            rest = after;
        } else if let Some(index) = rest.strip_prefix('[') {
            let (index, after) = index.split_once(']').unwrap();
            out.push(Segment::Index(index.parse().unwrap()));
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            out.push(Segment::Key(rest[..end].to_owned()));
            rest = &rest[end..];
        }
    }
    out
}

fn leaf(path: &str, toml: &str, line: u32) -> Leaf {
    let parsed = Config::parse("v.toml", &format!("v = {toml}")).unwrap();
    Leaf {
        path: segments(path),
        value: parsed.leaves[0].value.clone(),
        line,
        column: 1,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    key: String,
    value: String,
    #[serde(default)]
    with: BTreeMap<String, String>,
    #[serde(default)]
    schema: Option<String>,
    outcome: Outcome,
    #[serde(default)]
    to: BTreeMap<String, Node>,
    #[serde(default)]
    code: Option<String>,
}

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

fn vectors() -> Vec<Vector> {
    yaml::embedded::<Vectors>(&read("testdata/settings-vectors.yaml"))
        .unwrap()
        .vectors
}

#[test]
fn every_row_of_the_table_has_a_vector() {
    let table = table();
    let covered: BTreeSet<String> = vectors()
        .iter()
        .filter_map(|vector| table.find(&leaf(&vector.key, "0", 1).table_path()))
        .map(|row| row.path.clone())
        .collect();
    let without: Vec<&str> = table
        .settings
        .iter()
        .map(|row| row.path.as_str())
        .filter(|path| !covered.contains(*path))
        .collect();
    rows_without_vector("settings", without.len());
    assert_eq!(without, Vec::<&str>::new());
    assert_eq!(table.settings.len(), 244);
}

#[test]
fn vectors_give_what_they_say() {
    let mut wrong = Vec::new();
    for vector in vectors() {
        let mut leaves = vec![leaf(&vector.key, &vector.value, 7)];
        leaves.extend(vector.with.iter().map(|(key, value)| leaf(key, value, 8)));
        let config = Config {
            file: "mke3.toml".to_owned(),
            leaves,
        };
        let result = convert(&config, vector.schema.as_deref().unwrap_or("4.2"));
        let row = &result.rows[0];
        let to: BTreeMap<String, String> = row
            .to
            .iter()
            .map(|target| (target.path.clone(), target.value.clone()))
            .collect();
        // A secret is shown as what stands in its place, not as a quoted string.
        let shown = |node: &Node| match node.as_str() {
            Some("(secret)") => "(secret)".to_owned(),
            _ => yaml::flow(node),
        };
        let expected: BTreeMap<String, String> = vector
            .to
            .iter()
            .map(|(path, node)| (path.clone(), shown(node)))
            .collect();
        let codes: Vec<&str> = result.findings.iter().map(|f| f.code.as_str()).collect();
        let said = match &vector.code {
            Some(code) => codes.contains(&code.as_str()),
            None => !result.findings.iter().any(|f| f.subject.name == row.path),
        };
        if row.outcome != vector.outcome || to != expected || !said {
            wrong.push(format!(
                "{} = {}\n  {:?} {to:?} {codes:?}\n  instead of {:?} {expected:?} {:?}",
                vector.key, vector.value, row.outcome, vector.outcome, vector.code
            ));
        }
        assert_eq!(row.line, Some(7), "{}", vector.key);
    }
    assert!(wrong.is_empty(), "{} vectors:\n{}", wrong.len(), wrong.join("\n"));
}

/// All leaves of a tree; lists count as one, because their order matters and their items have no names.
fn leaves_of(node: &Node, path: &str, out: &mut BTreeMap<String, Node>) {
    match node {
        Node::Map(map) if !map.is_empty() => {
            for (key, value) in map {
                leaves_of(value, &format!("{path}/{key}"), out);
            }
        }
        // The values of the Calico chart are YAML in a string; their layout does not matter, their content does.
        Node::Str(text) if path.ends_with("/values.yaml") => {
            leaves_of(&yaml::embedded(text).unwrap(), path, out);
        }
        Node::List(items) if path.ends_with("/providers") => {
            for item in items {
                let name = item.get("provider").and_then(Node::as_str).unwrap();
                leaves_of(item, &format!("{path}/{name}"), out);
            }
        }
        other => {
            out.insert(path.to_owned(), other.clone());
        }
    }
}

/// All leaves of a tree by path.
pub fn flat(node: &Node) -> BTreeMap<String, Node> {
    let mut out = BTreeMap::new();
    leaves_of(node, "", &mut out);
    out
}

/// What the flags and profiles of the everything cluster become; the flags' own tests check that.
fn args() -> ComponentArgs {
    let of = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<String, String>>()
    };
    BTreeMap::from([
        (
            Component::KubeApiserver,
            of(&[
                ("enable-garbage-collector", "false"),
                ("event-ttl", "30m"),
                ("goaway-chance", "0.001"),
            ]),
        ),
        (Component::KubeScheduler, of(&[("kube-api-burst", "200")])),
        (
            Component::Kubelet,
            of(&[
                ("http-check-frequency", "20s"),
                ("kube-api-burst", "200"),
                ("kube-api-qps", "200"),
            ]),
        ),
        (Component::KubeProxy, of(&[("conntrack-min", "262144")])),
    ])
}

fn profiles() -> Node {
    yaml::embedded(
        "[{name: high, values: {kubeReserved: {cpu: 200m, memory: 512Mi}, kubeReservedCgroup: /high}},
          {name: low, values: {kubeReserved: {cpu: 100m, memory: 256Mi}, kubeReservedCgroup: /low}}]",
    )
    .unwrap()
}

/// Where the kubelets of these clusters have their root; not what documents say of a new cluster.
const KUBELET_ROOT: &str = "/var/lib/kubelet";

fn document(config: &Config, schema: &str, hosts: &[DocumentHost], options: &Options) -> Node {
    let result = convert_settings(table(), config, &release(schema), options);
    mke4_document(
        defaults(),
        &release(schema),
        options,
        &DocumentInput {
            writes: &result.writes,
            args: &args(),
            profiles: &profiles(),
            hosts,
            kubelet_root: KUBELET_ROOT,
            license: None,
        },
    )
}

#[test]
fn everything_becomes_what_the_documents_say() {
    /// Intended differences; docs/decisions/0003-mke4-full-differences.md says why.
    const DIFFERENT: [(&str, &str); 3] = [
        (
            "/spec/network/providers/calico/extraConfig/values.yaml/kubeletVolumePluginPath",
            KUBELET_ROOT,
        ),
        ("/spec/gatewayMKEIngress/nodePorts/http", "30000"),
        ("/spec/gatewayMKEIngress/nodePorts/https", "30001"),
    ];
    let actual = flat(&document(&cluster("everything"), "4.2", &[], &options()));
    let expected = flat(&yaml::embedded(&read("testdata/settings-everything.yaml")).unwrap());
    let untouched = flat(&default_mke4(defaults(), &release("4.2")));
    let mut wrong = Vec::new();
    let paths: BTreeSet<&String> = actual.keys().chain(expected.keys()).collect();
    for path in paths {
        if path == "/spec/hosts" {
            continue;
        }
        let is = actual.get(path).map(yaml::flow);
        let intended = DIFFERENT
            .iter()
            .find(|(different, _)| different == path)
            .map(|(_, value)| (*value).to_owned());
        let should = intended
            .or_else(|| expected.get(path).map(yaml::flow))
            .or_else(|| untouched.get(path).map(yaml::flow));
        if is != should {
            wrong.push(format!("{path}: {is:?} instead of {should:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_leaf_of_every_cluster_has_one_row_and_a_place_for_what_it_says() {
    for name in ["everything", "minimal", "three-managers", "blocked"] {
        let config = cluster(name);
        for schema in ["4.1.0", "4.1.3", "4.2"] {
            let result = convert(&config, schema);
            let with_line: Vec<&SettingRow> = result.rows.iter().filter(|row| row.line.is_some()).collect();
            assert_eq!(with_line.len(), config.leaves.len(), "{name} {schema}");
            for row in &result.rows {
                assert!(!row.reason.is_empty(), "{}", row.path);
                assert!(
                    row.to.is_empty() || row.outcome == Outcome::Converted,
                    "{}",
                    row.path
                );
            }
            let text = yaml::write(&document(&config, schema, &[], &options()));
            assert!(!text.contains("canary"), "{name} {schema}");
        }
    }
}

#[test]
fn clusters_block_or_pass() {
    let codes = |name: &str| -> BTreeSet<String> {
        convert(&cluster(name), "4.2")
            .findings
            .into_iter()
            .filter(|finding| finding.severity == Severity::Blocking)
            .map(|finding| finding.code)
            .collect()
    };
    assert_eq!(codes("everything"), BTreeSet::new());
    assert_eq!(codes("minimal"), BTreeSet::new());
    assert!(
        codes("blocked").contains("MKE3-CALICO-ETCD"),
        "{:?}",
        codes("blocked")
    );
}

#[test]
fn a_missing_kdd_key_blocks_with_the_text_of_the_real_tool() {
    let config = Config::parse("mke3.toml", "[cluster_config]\npod_cidr = \"10.244.0.0/16\"\n").unwrap();
    let result = convert(&config, "4.2");
    let finding = &result.findings[0];
    assert_eq!(finding.code, "MKE3-CALICO-ETCD");
    assert_eq!(
        finding.message,
        "unsupported configuration for mke4 upgrade: mke3 cluster is using etcdv3 and not kdd backend for calico"
    );
    assert_eq!((finding.subject.line, result.rows[1].line), (None, None));
    assert_eq!(result.rows[1].outcome, Outcome::Blocking);
}

#[test]
fn the_minimal_cluster_raises_nothing_that_nobody_chose() {
    let result = convert(&cluster("minimal"), "4.2");
    let warnings: Vec<&str> = result
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Warning)
        .map(|finding| finding.code.as_str())
        .collect();
    assert_eq!(warnings, Vec::<&str>::new());
}

#[test]
fn node_ports_of_the_gateway() {
    let config = |range: &str, ports: &str| {
        let text = format!(
            "[cluster_config]\ncalico_kdd = true\nnodeport_range = \"{range}\"\n[cluster_config.ingress_controller]\nenabled = true\n{ports}"
        );
        Config::parse("mke3.toml", &text).unwrap()
    };
    let ports = |document: &Node| {
        let of = |part: &str, name: &str| {
            document
                .at(&["spec", part, "nodePorts", name])
                .and_then(Node::as_int)
        };
        [
            of("ingressController", "http"),
            of("ingressController", "https"),
            of("gatewayMKEIngress", "http"),
            of("gatewayMKEIngress", "https"),
        ]
    };
    let exposed = "[[cluster_config.ingress_controller.ingress_exposed_ports]]\nname = \"http2\"\nnode_port = 30080\n\
                   [[cluster_config.ingress_controller.ingress_exposed_ports]]\nname = \"https\"\nnode_port = 30443\n";
    let kept = document(&config("30000-32767", exposed), "4.2", &[], &options());
    assert_eq!(ports(&kept), [Some(30080), Some(30443), Some(30000), Some(30001)]);
    let dropping = Options {
        remove_ingress_nginx: true,
        ..options()
    };
    let dropped = document(&config("30000-32767", exposed), "4.2", &[], &dropping);
    assert_eq!(
        ports(&dropped),
        [Some(30080), Some(30443), Some(30080), Some(30443)]
    );
    assert_eq!(
        dropped
            .at(&["spec", "ingressController", "enabled"])
            .and_then(Node::as_bool),
        Some(false)
    );
    // MKE 4k's own defaults are outside the range, and nothing was exposed: the first ports of the range.
    let custom = document(&config("30000-32767", ""), "4.1.0", &[], &options());
    assert_eq!(ports(&custom), [Some(30000), Some(30001), None, None]);
    // A port that cannot be had is written as asked: the conversion of ports reports it.
    let asked = Options {
        gateway_http_node_port: Some(80),
        gateway_https_node_port: Some(30443),
        ..options()
    };
    let written = document(&config("30000-32767", exposed), "4.2", &[], &asked);
    assert_eq!(ports(&written)[2..], [Some(80), Some(30443)]);
}

#[test]
fn telemetry_is_off_when_either_switch_was() {
    for (tracking, usage, expected) in [
        (false, false, true),
        (true, false, false),
        (false, true, false),
        (true, true, false),
    ] {
        let text =
            format!("[tracking_configuration]\ndisable_tracking = {tracking}\ndisable_usageinfo = {usage}\n");
        let config = Config::parse("mke3.toml", &text).unwrap();
        let document = document(&config, "4.2", &[], &options());
        let enabled = document
            .at(&["spec", "tracking", "enabled"])
            .and_then(Node::as_bool);
        assert_eq!(enabled, Some(expected), "{tracking} {usage}");
    }
}

#[test]
fn hosts_stand_in_the_document_with_role_connection_and_profile() {
    let hosts = Hosts::parse("hosts.yaml", &read("testdata/clusters/everything/hosts.yaml")).unwrap();
    let rows: Vec<DocumentHost> = hosts
        .entries
        .iter()
        .enumerate()
        .map(|(i, entry)| DocumentHost {
            entry,
            role: Some(if i < 3 { Role::Manager } else { Role::Worker }),
            profile: (i == 3).then_some("high"),
        })
        .collect();
    let document = document(&cluster("everything"), "4.2", &rows, &options());
    let listed = document.at(&["spec", "hosts"]).unwrap().items();
    assert_eq!(listed.len(), hosts.entries.len());
    assert_eq!(
        yaml::flow(&listed[0]),
        "{privateAddress: \"172.31.10.11\", role: controller+worker, ssh: {address: \"198.51.100.11\", keyPath: \"~/.ssh/mke_ed25519\", \
         port: 2222, user: mke}}"
    );
    assert_eq!(
        listed[3].get("installFlags").map(yaml::flow).as_deref(),
        Some("[\"--profile=high\"]")
    );
    assert_eq!(
        listed[3].at(&["ssh", "bastion", "user"]).and_then(Node::as_str),
        Some("jump")
    );
}

#[test]
fn k0s_takes_the_ranges_names_and_limits_and_knows_every_field() {
    let k0s = K0sTable::load(&Bundle::embedded()).unwrap();
    for schema in ["4.1.0", "4.1.3", "4.2"] {
        let mke4 = document(&cluster("everything"), schema, &[], &options());
        let files = K0sFiles {
            encryption: true,
            audit: true,
        };
        let controllers = ["10.0.0.11".to_owned(), "10.0.0.12".to_owned()];
        let held = k0s_document(&k0s, &mke4, &controllers, files, true);
        assert_eq!(k0s_problems(&k0s, table(), &held, &release(schema)), []);
        let text = |keys: &[&str]| held.at(keys).and_then(Node::as_str).map(str::to_owned);
        let network = |key: &str| text(&["spec", "network", key]);
        assert_eq!(network("podCIDR").as_deref(), Some("10.244.0.0/16"));
        assert_eq!(network("serviceCIDR").as_deref(), Some("10.96.0.0/16"));
        assert_eq!(network("provider").as_deref(), Some("custom"));
        let api = |key: &str| text(&["spec", "api", "extraArgs", key]);
        assert_eq!(api("service-node-port-range").as_deref(), Some("30000-32767"));
        assert_eq!(api("goaway-chance").as_deref(), Some("0.001"));
        assert_eq!(
            api("enable-admission-plugins").as_deref(),
            Some("NodeRestriction,AlwaysPullImages")
        );
        assert_eq!(
            held.at(&["spec", "api", "sans"]).map(yaml::flow).as_deref(),
            Some("[mke.example.com, \"10.0.0.5\", \"10.0.0.11\", \"10.0.0.12\"]")
        );
        let quota = text(&["spec", "storage", "etcd", "extraArgs", "quota-backend-bytes"]);
        assert_eq!(quota.as_deref(), Some("8589934592"));
        let peer = text(&["spec", "storage", "etcd", "peerAddress"]);
        assert_eq!(peer.as_deref(), Some("mkectl-host:private-address"));
        let manager = |key: &str| text(&["spec", "controllerManager", "extraArgs", key]);
        assert!(
            manager("controllers")
                .unwrap()
                .contains("-taint-eviction-controller")
        );
        assert_eq!(manager("allocate-node-cidrs").as_deref(), Some("false"));
        let profiles = held.at(&["spec", "workerProfiles"]).unwrap().items();
        let names: Vec<&str> = profiles
            .iter()
            .filter_map(|profile| profile.get("name").and_then(Node::as_str))
            .collect();
        assert_eq!(
            names,
            [k0s.manager_profile(), k0s.worker_profile(), "high", "low"]
        );
        assert_eq!(
            profiles[2]
                .at(&["values", "kubeReserved"])
                .map(yaml::flow)
                .as_deref(),
            Some("{cpu: 200m, ephemeral-storage: 500Mi, memory: 512Mi}")
        );

        let released = k0s_document(&k0s, &mke4, &controllers, K0sFiles::default(), false);
        let arguments = released.at(&["spec", "controllerManager", "extraArgs"]).unwrap();
        assert_eq!(arguments.get("controllers"), None);
        assert_eq!(released.at(&["spec", "api", "extraArgs", "audit-log-path"]), None);
    }
}

#[test]
fn an_unknown_or_wrong_field_of_k0s_is_found() {
    let k0s = K0sTable::load(&Bundle::embedded()).unwrap();
    let document: Node = yaml::embedded(
        "{apiVersion: k0s.k0sproject.io/v1beta1, spec: {api: {sans: yes-please, rawArgs: [a], prot: 6443}, network: {provider: flannel},
          workerProfiles: [{nam: x}]}}",
    )
    .unwrap();
    let problems: Vec<String> = k0s_problems(&k0s, table(), &document, &release("4.1.3"))
        .into_iter()
        .map(|finding| finding.message)
        .collect();
    assert_eq!(
        problems,
        [
            "spec.api.prot is not a field of k0s.yaml",
            "spec.api.rawArgs is not a field of this k0s yet",
            "spec.api.sans has a value that k0s does not take",
            "spec.network.provider has a value that k0s does not take",
            "spec.workerProfiles[].nam is not a field of k0s.yaml",
        ]
    );
}

#[test]
fn the_default_document_of_every_release_has_version_and_hosts() {
    assert_eq!(
        defaults().schemas().collect::<Vec<_>>(),
        ["4.1.0", "4.1.3", "4.2"]
    );
    for (schema, version, gateway) in [
        ("4.1.0", "v4.1.1", false),
        ("4.1.3", "v4.1.5", true),
        ("4.2", "v4.2.1", true),
    ] {
        let document = default_mke4(defaults(), &release(schema));
        assert_eq!(
            document.at(&["spec", "version"]).and_then(Node::as_str),
            Some(version)
        );
        assert_eq!(document.at(&["spec", "gatewayMKEIngress"]).is_some(), gateway);
        assert_eq!(document.at(&["spec", "hosts"]).unwrap().items().len(), 2);
        assert_eq!(yaml::embedded::<Node>(&yaml::write(&document)).unwrap(), document);
    }
}

#[test]
fn every_code_is_explained_and_every_topic_reads_as_one_sentence() {
    let table = table();
    for (code, def) in &table.findings {
        assert!(!def.title.is_empty() && def.explain.len() > 60, "{code}");
    }
    let texts = table
        .topics
        .values()
        .flat_map(|topic| [&topic.message, &topic.remedy])
        .chain(table.findings.values().flat_map(|def| [&def.title, &def.remedy]))
        .chain(table.settings.iter().map(|row| &row.reason));
    for text in texts {
        assert!(!text.ends_with('.') && !text.contains('\n'), "{text}");
    }
}

#[test]
fn a_broken_table_is_refused() {
    let findings = Bundle::embedded()
        .text("findings/settings.yaml")
        .unwrap()
        .to_owned();
    let row = |rest: &str| {
        format!(
            "topics: {{}}\nsettings:\n  - {{path: a.b, class: converted, type: string, confidence: inferred, reason: r, {rest}}}\n"
        )
    };
    for (text, expected) in [
        (
            row("topic: nowhere"),
            "settings.yaml: a.b: its topic is not defined",
        ),
        (
            row("to: [{path: spec.x, transform: const}]"),
            "settings.yaml: a.b: a transform lacks its parameter",
        ),
        (
            row("to: [{path: 'spec.[', transform: copy}]"),
            "settings.yaml: a.b: a target path does not parse",
        ),
        (
            row("when: [{key: a.c, is: 1}]"),
            "settings.yaml: a.b: when names an unknown key",
        ),
        (row("aliases: [A.B]"), "settings.yaml: a.b stands twice"),
    ] {
        let bundle = Bundle::from_files([
            ("settings.yaml", text),
            ("findings/settings.yaml", findings.clone()),
        ]);
        assert_eq!(SettingsTable::load(&bundle).unwrap_err().to_string(), expected);
    }
    let error = SettingsTable::load(&Bundle::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "settings.yaml: missing from the bundle, or not UTF-8"
    );
}

#[test]
fn the_reference_lists_every_key() {
    let table = table();
    let text = settings_markdown(table);
    let rows = text.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, table.settings.len());
    assert!(text.contains("| `calico_kdd` | `false` | blocking | "), "{text}");
}

#[test]
fn the_compatibility_report_groups_and_masks() {
    let table = table();
    let config = cluster("everything");
    let result = convert(&config, "4.2");
    let toml = compatibility_report(table, &config, &result, Form::Toml);
    let human = compatibility_report(table, &config, &result, Form::Human);
    for text in [&toml, &human] {
        assert!(!text.contains("canary"), "{text}");
        assert!(text.starts_with(
            "###################################\n# MKE3->MKE4 Compatibility Checks #\n###################################\n"
        ));
    }
    let group = |text: &str, title: &str| {
        let start = text.find(&format!("\n# {title} #\n")).unwrap();
        let rest = &text[start + title.len() + 6..];
        let end = rest.match_indices("\n##").nth(1).map_or(rest.len(), |(at, _)| at);
        rest[..end].to_owned()
    };
    assert!(group(&toml, "Not supported").contains("\n  passphrase = \"(secret)\"\n"));
    assert!(group(&toml, "Supported").contains("  pod_cidr = \"10.244.0.0/16\"\n"));
    assert!(group(&toml, "Disabled (skipped)").contains("  secure_overlay = false\n"));
    assert!(group(&human, "Disabled in MKE3 (Skipped)").contains("Secure overlay"));
    // A table stands below the tables around it, whether those have settings in this group or not.
    assert!(group(&human, "Not supported").contains(
        "\n  Saml proxy\n    Enabled\n    Proxy url\n    Credentials\n      Basic\n        User\n"
    ));
    assert!(
        group(&human, "Not supported")
            .contains("\nUser workload defaults\n  Swarm defaults\n    Tasktemplate")
    );
    assert!(group(&human, "Supported").contains("\nAuth\n"));
    // What the real tool prints without the secrets is still TOML.
    for title in ["Not supported", "Supported", "Disabled (skipped)"] {
        let text = group(&toml, title);
        let body: String = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect();
        Config::parse("report.toml", &body).unwrap_or_else(|error| panic!("{title}: {error}\n{body}"));
    }
}
