//! The whole way from files to a plan: nothing is lost, nothing secret gets out, and what is generated can be used.

mod random;
mod secrets;

use crate::rbac::schema_errors;
use crate::settings::flat;
use crate::support::repo;
use mkectl::catalogue::Bundle;
use mkectl::convert::document::{default_mke4, k0s_problems};
use mkectl::convert::flags::raw_flags;
use mkectl::convert::kubelet::check_profile;
use mkectl::model::{FlagRow, Meta, PLAN_FORMAT, PLAN_KIND, ParamSource, Plan, Spec};
use mkectl::options::Options;
use mkectl::plan::make::{Inputs, Made, Source, make};
use mkectl::plan::tables::Tables;
use mkectl::source::accounts::Accounts;
use mkectl::source::facts::Facts;
use mkectl::source::hosts::Hosts;
use mkectl::source::mke3::{Config, Leaf, Segment, Value};
use mkectl::yaml::{self, Node};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::LazyLock;

const CLUSTERS: [&str; 4] = ["minimal", "three-managers", "everything", "blocked"];

/// Loaded once: that takes longer than any plan.
fn tables() -> &'static Tables {
    static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::load(&Bundle::embedded()).unwrap());
    &TABLES
}

/// The inputs of one cluster.
#[derive(Clone, Debug)]
struct Cluster {
    config: Config,
    hosts: Hosts,
    facts: Option<Facts>,
    accounts: Option<Accounts>,
    options: Options,
}

impl Cluster {
    fn read(name: &str) -> Cluster {
        let bytes = |file: &str| fs::read(repo(&format!("testdata/clusters/{name}/{file}"))).unwrap();
        Cluster {
            config: Config::parse_bytes("mke3.toml", &bytes("mke3.toml")).unwrap(),
            hosts: Hosts::parse_bytes("hosts.yaml", &bytes("hosts.yaml")).unwrap(),
            facts: Some(Facts::parse("facts.json", &bytes("facts.json")).unwrap()),
            accounts: Some(Accounts::parse("accounts.json", &bytes("accounts.json")).unwrap()),
            options: Options {
                external_address: "mke.example.com".to_owned(),
                ..Options::default()
            },
        }
    }

    fn make(&self) -> Made {
        fn source<T>(value: &T) -> Source<'_, T> {
            Source {
                file: "input",
                bytes: b"input",
                value,
            }
        }
        make(&Inputs {
            tables: tables(),
            config: &self.config,
            hosts: source(&self.hosts),
            facts: self.facts.as_ref().map(source),
            accounts: self.accounts.as_ref().map(source),
            images: None,
            registry_cas: "",
            options: &self.options,
            assets: &std::collections::BTreeMap::new(),
        })
        .unwrap()
    }

    /// The configuration as it is converted.
    fn leaves(&self) -> Config {
        self.config
            .clone()
            .with_arrays(&|path| tables().settings.is_array(path))
    }
}

fn plan(made: Made) -> Plan {
    Plan {
        kind: PLAN_KIND.to_owned(),
        format_version: PLAN_FORMAT.to_owned(),
        digest: mkectl::plan::digest::digest(&made.spec).unwrap(),
        spec: made.spec,
        meta: Meta {
            created_at: "2026-01-01T00:00:00Z".to_owned(),
            created_by: "nobody@nowhere".to_owned(),
            tool: "mkectl test".to_owned(),
            paths: BTreeMap::new(),
            readings: made.readings,
        },
    }
}

fn document<'s>(spec: &'s Spec, name: &str) -> &'s str {
    let document = spec.documents.iter().find(|document| document.name == name);
    &spec.files[&document.unwrap_or_else(|| panic!("no {name}")).digest]
}

fn tree(spec: &Spec, name: &str) -> Node {
    yaml::embedded(document(spec, name)).unwrap()
}

/// Every leaf of the configuration is one row, in the order of the file; every flag is one row.
fn accounted(cluster: &Cluster, spec: &Spec) {
    let config = cluster.leaves();
    let leaves: Vec<(String, u32)> = config
        .leaves
        .iter()
        .map(|leaf| (leaf.display_path(), leaf.line))
        .collect();
    let rows = spec.conversion.settings.iter();
    let rows: Vec<(String, u32)> = rows
        .filter_map(|row| Some((row.path.clone(), row.line?)))
        .collect();
    assert_eq!(rows, leaves);
    assert!(spec.conversion.settings.iter().all(|row| !row.reason.is_empty()));

    let sorted = |mut keys: Vec<(&'static str, Option<String>, u32)>| {
        keys.sort();
        keys
    };
    let of_row = |row: &FlagRow| (row.component.name(), row.profile.clone(), row.line);
    let flags = raw_flags(&tables().flags, &config);
    assert_eq!(
        sorted(spec.conversion.flags.iter().map(of_row).collect()),
        sorted(
            flags
                .iter()
                .map(|flag| (flag.component.name(), flag.profile.clone(), flag.line))
                .collect()
        )
    );
    assert!(spec.conversion.flags.iter().all(|row| !row.reason.is_empty()));
    if let (Some(accounts), Some(rbac)) = (&cluster.accounts, &spec.rbac) {
        crate::rbac::random::accounted(accounts, rbac);
    }
    assert_eq!(cluster.accounts.is_some(), spec.rbac.is_some());
}

/// Findings are about different things: no two have the same code and subject and differ in nothing but words.
fn said_once(spec: &Spec) {
    let mut seen = BTreeSet::new();
    for finding in &spec.findings {
        let key = (&finding.code, &finding.subject, &finding.message, &finding.hosts);
        assert!(seen.insert(key), "{finding:?} stands twice");
    }
    let codes: BTreeSet<&str> = spec
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect();
    for (code, better) in &tables().settings.said_by {
        for better in better {
            assert!(
                tables().findings.get(better).is_some(),
                "{better}, which speaks for {code}, is no finding"
            );
            assert!(
                !(codes.contains(code.as_str()) && codes.contains(better.as_str())),
                "{code} and {better} say the same"
            );
        }
    }
}

/// What is generated can be read by those it is for.
fn usable(spec: &Spec) {
    // Documents begin with a line of dashes, and a name may end in dashes.
    let manifests = format!("\n{}", document(spec, "rbac.yaml"));
    for text in manifests.split("\n---\n").skip(1) {
        let object: serde_json::Value = yaml::embedded(text).unwrap();
        assert_eq!(schema_errors(&object), Vec::<String>::new(), "{text}");
    }
    let release = tables().releases.get(&spec.cluster.to.mke).unwrap();
    for name in ["k0s.yaml", "k0s-released.yaml"] {
        let problems = k0s_problems(&tables().k0s, &tables().settings, &tree(spec, name), release);
        assert_eq!(problems, [], "{name}");
    }
    for (name, path) in [
        ("mke4.yaml", ["spec", "kubelet", "customProfiles"].as_slice()),
        ("k0s.yaml", &["spec", "workerProfiles"]),
    ] {
        let tree = tree(spec, name);
        for profile in tree.at(path).map(Node::items).unwrap_or_default() {
            let problems = check_profile(
                &tables().flags,
                profile.get("values").unwrap(),
                &release.kubernetes,
            );
            assert_eq!(problems, Vec::<String>::new(), "{name}: {}", yaml::flow(profile));
        }
    }
}

#[test]
fn every_cluster_is_accounted_for_said_once_and_usable() {
    for name in CLUSTERS {
        let cluster = Cluster::read(name);
        for release in &tables().releases.releases {
            let mut cluster = cluster.clone();
            cluster.options.target_version = Some(release.mke.clone());
            let spec = cluster.make().spec;
            accounted(&cluster, &spec);
            said_once(&spec);
            usable(&spec);
        }
    }
}

#[test]
fn everything_holds_every_key_flags_of_all_components_and_both_profiles() {
    let cluster = Cluster::read("everything");
    let keys: BTreeSet<String> = cluster
        .leaves()
        .leaves
        .iter()
        .filter_map(|leaf| Some(tables().settings.find(&leaf.table_path())?.path.clone()))
        .collect();
    let missing: Vec<&str> = tables()
        .settings
        .settings
        .iter()
        .map(|row| row.path.as_str())
        .filter(|path| !keys.contains(*path))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
    let spec = cluster.make().spec;
    let flags = &spec.conversion.flags;
    let components: BTreeSet<&str> = flags.iter().map(|row| row.component.name()).collect();
    assert_eq!(components.len(), 5);
    let profiles: BTreeSet<&str> = flags.iter().filter_map(|row| row.profile.as_deref()).collect();
    assert_eq!(profiles, BTreeSet::from(["high", "low"]));
}

/// Settings, flags, profiles, LDAP and hosts together.
#[test]
fn everything_becomes_the_expected_document() {
    /// Intended differences; docs/decisions/0003-mke4-full-differences.md says why.
    const DIFFERENT: [(&str, &str); 13] = [
        (
            "/spec/network/providers/calico/extraConfig/values.yaml/kubeletVolumePluginPath",
            "/var/lib/kubelet",
        ),
        ("/spec/gatewayMKEIngress/nodePorts/http", "30000"),
        ("/spec/gatewayMKEIngress/nodePorts/https", "30001"),
        ("/spec/authentication/ldap/enabled", "true"),
        ("/spec/authentication/ldap/host", "ldap.example.com:636"),
        (
            "/spec/authentication/ldap/bindDN",
            "\"cn=reader,ou=services,dc=example,dc=com\"",
        ),
        (
            "/spec/authentication/ldap/bindPW",
            "mkectl-secret:ldap-bind-password",
        ),
        (
            "/spec/authentication/ldap/userSearch/baseDN",
            "\"ou=people,dc=example,dc=com\"",
        ),
        (
            "/spec/authentication/ldap/userSearch/filter",
            "\"(objectClass=person)\"",
        ),
        ("/spec/authentication/ldap/userSearch/username", "uid"),
        ("/spec/authentication/ldap/userSearch/idAttr", "uid"),
        ("/spec/authentication/ldap/userSearch/emailAttr", "uid"),
        ("/spec/authentication/ldap/userSearch/nameAttr", "uid"),
    ];
    let spec = Cluster::read("everything").make().spec;
    let actual = flat(&tree(&spec, "mke4.yaml"));
    let text = fs::read_to_string(repo("testdata/settings-everything.yaml")).unwrap();
    let expected = flat(&yaml::embedded(&text).unwrap());
    let release = tables().releases.get(&spec.cluster.to.mke).unwrap();
    let untouched = flat(&default_mke4(&tables().mke4, release));
    let mut wrong = Vec::new();
    for path in actual.keys().chain(expected.keys()).collect::<BTreeSet<_>>() {
        let is = actual.get(path).map(yaml::flow);
        let intended = DIFFERENT
            .iter()
            .find(|(different, _)| different == path)
            .map(|(_, value)| (*value).to_owned());
        let should = intended
            .or_else(|| expected.get(path).map(yaml::flow))
            .or_else(|| untouched.get(path).map(yaml::flow));
        if is != should && path != "/spec/hosts" {
            wrong.push(format!("{path}: {is:?} instead of {should:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let hosts = tree(&spec, "mke4.yaml");
    let hosts = hosts.at(&["spec", "hosts"]).unwrap().items();
    assert_eq!(hosts.len(), spec.hosts.len());
    for (entry, host) in hosts.iter().zip(&spec.hosts) {
        let address = entry.at(&["ssh", "address"]).and_then(Node::as_str);
        assert_eq!(address, Some(host.address.as_str()));
        let flags = entry.get("installFlags").map(Node::items).unwrap_or_default();
        let profile = flags
            .iter()
            .filter_map(Node::as_str)
            .find_map(|flag| flag.strip_prefix("--profile="));
        let custom = ["high", "low"]
            .into_iter()
            .find(|name| host.fields["kubelet-profile"] == *name);
        assert_eq!(profile, custom, "{}", host.id);
    }
    assert!(
        spec.hosts
            .iter()
            .any(|host| host.fields["kubelet-profile"] == "high")
    );
}

/// What is proposed is what stands in the document, and it is free.
#[test]
fn proposed_node_ports_are_free_and_stand_in_the_document() {
    let mut cluster = Cluster::read("minimal");
    let facts = cluster.facts.as_mut().unwrap();
    facts.cluster.node_ports = Some(vec![33000, 32768]);
    let spec = cluster.make().spec;
    let finding = spec
        .findings
        .iter()
        .find(|finding| finding.code == "GATEWAY-PORTS")
        .unwrap();
    let tree = tree(&spec, "mke4.yaml");
    let port = |name| {
        tree.at(&["spec", "gatewayMKEIngress", "nodePorts", name])
            .and_then(Node::as_int)
    };
    let (http, https) = (port("http").unwrap(), port("https").unwrap());
    assert!(![33000, 32768].contains(&http) && ![33000, 32768].contains(&https) && http != https);
    assert!(
        finding.remedy.contains(&format!(
            "--gateway-http-node-port {http} --gateway-https-node-port {https}"
        )),
        "{}",
        finding.remedy
    );
}

/// The kubelet looks for Calico's driver below its own root, wherever MKE 3 had that, and whatever the target knows of it.
#[test]
fn calico_plugs_in_where_the_kubelet_has_its_root() {
    for (root, target) in [
        (None, None),
        (Some("/data/kubelet"), None),
        (Some("/data/kubelet"), Some("4.1.0")),
    ] {
        let mut cluster = Cluster::read("three-managers");
        cluster.options.target_version = target.map(str::to_owned);
        let leaves = &mut cluster.config.leaves;
        let is = |leaf: &Leaf| leaf.path.last() == Some(&Segment::Key("kubelet_data_root".to_owned()));
        match root {
            None => leaves.retain(|leaf| !is(leaf)),
            Some(root) => {
                leaves.iter_mut().find(|leaf| is(leaf)).unwrap().value = Value::String(root.to_owned())
            }
        }
        let spec = cluster.make().spec;
        let root = root.unwrap_or("/var/lib/kubelet");
        let values = tree(&spec, "calico-values.yaml");
        assert_eq!(
            values.get("kubeletVolumePluginPath").and_then(Node::as_str),
            Some(root)
        );
        for step in ["start-lead", "join-controller", "join-worker", "stop-node-worker"] {
            let step = spec.steps.iter().find(|known| known.id == step).unwrap();
            let Some(ParamSource::Literal(literal)) = step.params.get("KUBELET_ROOT") else {
                panic!("{}: {:?}", step.id, step.params);
            };
            assert_eq!(literal, root, "{} {target:?}", step.id);
        }
    }
}
