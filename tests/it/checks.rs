//! Pre-upgrade checks: vectors as data (`testdata/check-vectors/`), laws over random facts, the findings registry.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests, but clippy only sees the functions marked so"
)]

use crate::support::rows_without_vector;
use mkectl::catalogue::{Bundle, FindingRegistry, Release, Releases};
use mkectl::convert::checks::{
    CheckContext, CheckResult, CheckRules, Unchecked, aggregate, check_codes, run_checks,
};
use mkectl::model::{Finding, Role, Severity, Subject, SubjectKind};
use mkectl::options::{Amount, Options};
use mkectl::source::facts::Facts;
use mkectl::source::hosts::{HostEntry, Hosts};
use mkectl::source::images::Images;
use mkectl::source::mke3::{Config, Leaf, Segment, Value};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

const HEALTHY: &str = include_str!("../../testdata/check-vectors/healthy.json");
const VECTORS: &str = include_str!("../../testdata/check-vectors/vectors.json");

/// One code: patches of the healthy cluster under which it is found, not told, or passes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    code: String,
    finds: Vec<Find>,
    absent: Option<Absent>,
    passes: Vec<Pass>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Find {
    with: Patch,
    severity: Severity,
    hosts: Vec<String>,
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Absent {
    with: Patch,
    why: String,
    hosts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pass {
    with: Patch,
}

/// What differs from the healthy cluster. Patches of facts are JSON merge patches (RFC 7386): `null` removes.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Patch {
    cluster: Option<Json>,
    hosts: BTreeMap<String, Json>,
    entries: BTreeMap<String, Json>,
    config: BTreeMap<String, Json>,
    options: BTreeMap<String, Json>,
    #[serde(deserialize_with = "present")]
    target: Option<Option<String>>,
    facts: Option<bool>,
    images: Option<Images>,
}

/// Tells `"target": null` from no target at all.
fn present<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(reader).map(Some)
}

fn merge(into: &mut Json, patch: &Json) {
    let Json::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = Json::Object(serde_json::Map::new());
    }
    let into = into.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            into.remove(key);
        } else {
            merge(into.entry(key.clone()).or_insert(Json::Null), value);
        }
    }
}

fn releases() -> &'static Releases {
    data().2
}

fn amount(text: &str) -> Amount {
    match text.strip_suffix('%') {
        Some(digits) => Amount::Percent(digits.parse().unwrap()),
        None => Amount::Count(text.parse().unwrap()),
    }
}

/// Everything that a run of the checks looks at.
struct World {
    config: Config,
    hosts: Hosts,
    facts: Option<Facts>,
    target: Option<Release>,
    options: Options,
    images: Option<Images>,
}

fn entry(address: &str, line: u32) -> HostEntry {
    HostEntry {
        address: address.to_owned(),
        port: 22,
        user: "root".to_owned(),
        key_path: "~/.ssh/id".to_owned(),
        role: None,
        private_address: None,
        private_interface: None,
        hostname: None,
        labels: BTreeMap::new(),
        bastion: None,
        install_flags: Vec::new(),
        no_taints: false,
        line,
    }
}

impl World {
    fn new(patch: &Patch) -> World {
        let mut facts: Json = serde_json::from_str(HEALTHY).unwrap();
        let mut entries = Vec::new();
        for (position, host) in facts["hosts"].as_array().unwrap().iter().enumerate() {
            let name = host["hostname"].as_str().unwrap();
            let mut entry = entry(
                host["address"].as_str().unwrap(),
                u32::try_from(position).unwrap() * 4 + 2,
            );
            match patch.entries.get(name) {
                Some(Json::Null) => continue,
                Some(Json::Object(fields)) => {
                    for (key, value) in fields {
                        let text = value.as_str().unwrap();
                        match key.as_str() {
                            "address" => entry.address = text.to_owned(),
                            "hostname" => entry.hostname = Some(text.to_owned()),
                            "private_address" => entry.private_address = Some(text.to_owned()),
                            "role" if text == "manager" => entry.role = Some(Role::Manager),
                            "role" if text == "worker" => entry.role = Some(Role::Worker),
                            other => panic!("no field {other}"),
                        }
                    }
                }
                Some(other) => panic!("not a patch: {other}"),
                None => {}
            }
            entries.push(entry);
        }
        if let Some(cluster) = &patch.cluster {
            merge(&mut facts["cluster"], cluster);
        }
        let list = facts["hosts"].as_array_mut().unwrap();
        for (name, change) in &patch.hosts {
            let position = list.iter().position(|host| host["hostname"] == name.as_str());
            let position = position.unwrap_or_else(|| panic!("no host {name}"));
            if change.is_null() {
                list.remove(position);
            } else {
                merge(&mut list[position], change);
            }
        }
        let leaves = patch.config.iter().zip(1..).map(|((path, value), line)| Leaf {
            path: path.split('.').map(|key| Segment::Key(key.to_owned())).collect(),
            value: match value {
                Json::Bool(on) => Value::Bool(*on),
                Json::String(text) => Value::String(text.clone()),
                other => panic!("no setting {other}"),
            },
            line,
            column: 1,
        });
        let mut options = Options {
            external_address: "mke.example.com".to_owned(),
            ..Options::default()
        };
        for (name, value) in &patch.options {
            let text = || value.as_str().unwrap().to_owned();
            let number = || u32::try_from(value.as_u64().unwrap()).unwrap();
            match name.as_str() {
                "external_address" => options.external_address = text(),
                "target_version" => options.target_version = Some(text()),
                "data_dir" => options.data_dir = text(),
                "airgapped" => options.airgapped = value.as_bool().unwrap(),
                "image_registry" => options.image_registry = Some(text()),
                "chart_registry" => options.chart_registry = Some(text()),
                "image_registry_username" => options.image_registry_username = Some(text()),
                "image_registry_ca_file" => options.image_registry_ca_file = Some(text()),
                "chart_registry_ca_file" => options.chart_registry_ca_file = Some(text()),
                "remove_ingress_nginx" => options.remove_ingress_nginx = value.as_bool().unwrap(),
                "worker_disruption" => options.worker_disruption = amount(&text()),
                "max_failed_workers" => options.max_failed_workers = amount(&text()),
                "concurrent_uploads" => options.concurrent_uploads = number(),
                "parallelism" => options.parallelism = number(),
                "commit_after" => options.commit_after = Some(text()),
                other => panic!("no option {other}"),
            }
        }
        let target = match &patch.target {
            None => Some("4.1.5"),
            Some(target) => target.as_deref(),
        };
        World {
            config: Config {
                file: "mke3.toml".to_owned(),
                leaves: leaves.collect(),
            },
            hosts: Hosts {
                file: "hosts.yaml".to_owned(),
                entries,
            },
            facts: (patch.facts != Some(false)).then(|| serde_json::from_value(facts).unwrap()),
            target: target.map(|mke| releases().get(mke).unwrap().clone()),
            options,
            images: patch.images.clone(),
        }
    }

    fn run(&self) -> CheckResult {
        let (rules, registry, releases) = data();
        run_checks(&CheckContext {
            config: &self.config,
            hosts: &self.hosts,
            facts: self.facts.as_ref(),
            images: self.images.as_ref(),
            target: self.target.as_ref(),
            releases,
            options: &self.options,
            rules,
            registry,
        })
    }
}

/// The embedded data, read once.
fn data() -> (&'static CheckRules, &'static FindingRegistry, &'static Releases) {
    static DATA: OnceLock<(CheckRules, FindingRegistry, Releases)> = OnceLock::new();
    let (rules, registry, releases) = DATA.get_or_init(|| {
        let bundle = Bundle::embedded();
        (
            CheckRules::load(&bundle).unwrap(),
            FindingRegistry::load(&bundle).unwrap(),
            Releases::load(&bundle).unwrap(),
        )
    });
    (rules, registry, releases)
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(VECTORS).unwrap()
}

fn codes() -> BTreeSet<String> {
    check_codes(data().0)
}

/// Codes that need facts or a target: those that are unchecked when neither is there.
fn dependent() -> BTreeSet<String> {
    let world = World::new(&Patch {
        facts: Some(false),
        target: Some(None),
        ..Patch::default()
    });
    world.run().unchecked.into_iter().map(|row| row.code).collect()
}

fn offline() -> BTreeSet<String> {
    let all = World::new(&Patch::default()).run();
    all.unchecked.into_iter().map(|row| row.code).collect()
}

#[test]
fn a_healthy_cluster_has_nothing_but_information_and_only_offline_codes_are_unchecked() {
    let result = World::new(&Patch::default()).run();
    let found: Vec<&str> = result.findings.iter().map(|f| f.code.as_str()).collect();
    assert_eq!(
        found,
        [
            "KNOWN-EXTERNAL-ADDRESS",
            "KNOWN-K0RDENT-START",
            "KNOWN-KUBELET-RESTART",
            "KNOWN-OPERATOR-RESTARTS"
        ],
        "{:#?}",
        result.findings
    );
    assert!(result.findings.iter().all(|f| f.severity == Severity::Info));
    assert_eq!(
        offline().iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "HOSTPATH-DOCKER",
            "INFLIGHT",
            "LB-HAIRPIN",
            "LB-HEALTH",
            "LB-PORTS",
            "SA-KEY",
            "VNI-CLASH"
        ]
    );
    assert_eq!(result.passed.len() + 4 + 7, codes().len());
}

#[test]
fn every_vector_is_found_as_it_says() {
    let mut wrong = Vec::new();
    for vector in vectors() {
        for find in &vector.finds {
            let result = World::new(&find.with).run();
            let hit = result.findings.iter().any(|f| {
                f.code == vector.code
                    && f.severity == find.severity
                    && f.hosts == find.hosts
                    && f.message.contains(&find.message)
            });
            if !hit {
                let same: Vec<_> = result.findings.iter().filter(|f| f.code == vector.code).collect();
                wrong.push(format!(
                    "{} {:?} {:?}: {same:#?}",
                    vector.code, find.message, find.hosts
                ));
            }
        }
        for pass in &vector.passes {
            let result = World::new(&pass.with).run();
            // Known issues and the like pass as "no finding"; everything else must say so.
            if !result.passed.contains(&vector.code) {
                let same: Vec<_> = result.findings.iter().filter(|f| f.code == vector.code).collect();
                let missed: Vec<_> = result
                    .unchecked
                    .iter()
                    .filter(|u| u.code == vector.code)
                    .collect();
                wrong.push(format!("{} does not pass: {same:#?} {missed:#?}", vector.code));
            }
        }
        if let Some(absent) = &vector.absent {
            let result = World::new(&absent.with).run();
            let hit = result
                .unchecked
                .iter()
                .any(|u| u.code == vector.code && u.why.contains(&absent.why) && u.hosts == absent.hosts);
            if !hit || result.passed.contains(&vector.code) {
                let missed: Vec<_> = result
                    .unchecked
                    .iter()
                    .filter(|u| u.code == vector.code)
                    .collect();
                wrong.push(format!(
                    "{} is not unchecked, {:?}: {missed:#?}",
                    vector.code, absent.why
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_its_vectors() {
    let vectors = vectors();
    let found: BTreeSet<String> = vectors
        .iter()
        .filter(|v| !v.finds.is_empty())
        .map(|v| v.code.clone())
        .collect();
    let absent: BTreeSet<String> = vectors
        .iter()
        .filter(|v| v.absent.is_some())
        .map(|v| v.code.clone())
        .collect();
    let unknown: Vec<_> = found
        .union(&absent)
        .filter(|code| !codes().contains(*code))
        .cloned()
        .collect();
    let offline = offline();
    let without: Vec<String> = codes()
        .into_iter()
        .filter(|code| !found.contains(code) && !offline.contains(code))
        .chain(dependent().into_iter().filter(|code| !absent.contains(code)))
        .collect();
    rows_without_vector("checks", without.len());
    assert_eq!(without.len(), 0, "without a vector: {without:?}");
    assert!(unknown.is_empty(), "vectors for no check: {unknown:?}");
}

#[test]
fn the_registry_defines_every_code_and_its_check_findings_are_all_emitted() {
    let bundle = Bundle::embedded();
    let registry = FindingRegistry::load(&bundle).unwrap();
    let missing: Vec<_> = codes()
        .into_iter()
        .filter(|code| registry.get(code).is_none())
        .collect();
    assert!(missing.is_empty(), "not in findings/: {missing:?}");
    let own = Bundle::from_files([(
        "findings/checks.yaml",
        bundle.text("findings/checks.yaml").unwrap(),
    )]);
    let defined: BTreeSet<String> = FindingRegistry::load(&own)
        .unwrap()
        .iter()
        .map(|d| d.code.clone())
        .collect();
    assert_eq!(
        defined,
        codes(),
        "findings/checks.yaml holds what the checks emit and nothing else"
    );
}

#[test]
fn explanations_fit_a_terminal() {
    let registry = FindingRegistry::load(&Bundle::embedded()).unwrap();
    for definition in registry.iter() {
        let text = definition.text(100);
        let long = text.lines().find(|line| line.chars().count() > 100);
        assert_eq!(long, None, "{}", definition.code);
        assert!(text.contains(definition.remedy.trim().split(' ').next().unwrap()));
        let paragraphs = definition.paragraphs();
        assert!(!paragraphs.is_empty(), "{}", definition.code);
        let sentences = paragraphs.iter().all(|paragraph| paragraph.ends_with('.'));
        assert!(
            sentences || !codes().contains(&definition.code),
            "{}: no sentence",
            definition.code
        );
    }
    let markdown = registry.markdown();
    for definition in registry.iter() {
        assert!(markdown.contains(&format!("\n## {}\n", definition.code)));
        assert!(markdown.contains(&format!("| [{}](", definition.code)));
    }
}

#[test]
fn nothing_volatile_is_in_a_finding() {
    // The same verdict from other readings must give the same findings, byte for byte.
    let with = |free: &str, offset: i32, days: u32, age: u32, size: &str| {
        let disk = serde_json::json!({"free_bytes": free, "free_inodes": free});
        World::new(&Patch {
            cluster: Some(serde_json::json!({"backup": {"age_hours": age}, "etcd": {"size_bytes": size}})),
            hosts: BTreeMap::from([(
                "worker-1".to_owned(),
                serde_json::json!({
                    "filesystems": {"/var/lib/k0s": disk, "/var/lib/mkectl": disk, "/var/lib/kubelet": disk},
                    "clock_offset_ms": offset,
                    "certificates_days": days,
                }),
            )]),
            ..Patch::default()
        })
        .run()
    };
    let (a, b) = (
        with("1000", 60_000, 1, 30, "1900000000"),
        with("2000", 61_234, 2, 99, "1950000000"),
    );
    assert_eq!(a.findings, b.findings);
    assert_eq!(a.unchecked, b.unchecked);
    assert_ne!(a.readings, b.readings);
    for code in [
        "DISK-WHERE",
        "DISK-INODES",
        "CLOCK-SKEW",
        "CERT-LIFE",
        "BACKUP-AGE",
        "ETCD-SIZE",
    ] {
        assert!(a.findings.iter().any(|f| f.code == code), "{code}");
    }
    assert_eq!(a.readings["worker-1: clock"], "+60000 ms");
    assert!(
        a.readings["worker-1: disk /"].contains("needed"),
        "{:?}",
        a.readings
    );
}

fn on(host: &str, message: &str, line: u32) -> Finding {
    Finding {
        severity: Severity::Warning,
        code: "SWAP".to_owned(),
        subject: Subject::new(SubjectKind::Host, host).at("hosts.yaml", line),
        message: message.to_owned(),
        remedy: "r".to_owned(),
        hosts: vec![host.to_owned()],
    }
}

#[test]
fn alike_findings_merge_over_hosts_and_others_do_not() {
    let merged = aggregate(vec![
        on("b", "m", 9),
        on("a", "m", 5),
        on("c", "other", 1),
        on("a", "m", 5),
    ]);
    assert_eq!(merged.len(), 2);
    assert_eq!(merged[0].subject, Subject::new(SubjectKind::Host, "2 hosts"));
    assert_eq!(merged[0].hosts, ["a", "b"]);
    assert_eq!(
        merged[1].subject,
        Subject::new(SubjectKind::Host, "c").at("hosts.yaml", 1)
    );
    let setting = |name: &str| Finding {
        subject: Subject::new(SubjectKind::Setting, name),
        hosts: Vec::new(),
        ..on("a", "m", 1)
    };
    assert_eq!(aggregate(vec![setting("x"), setting("y"), setting("x")]).len(), 2);
}

/// A random subset of the healthy facts: each value is kept, removed, or replaced by a random one of its type.
fn scramble(json: &mut Json, dice: &mut impl FnMut() -> u8, depth: u32) {
    match json {
        Json::Object(map) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            for key in keys {
                let fixed = [
                    "kind",
                    "format_version",
                    "hosts",
                    "address",
                    "cluster",
                    "node_ports",
                ]
                .contains(&key.as_str());
                if !fixed && dice() < 50 {
                    map.remove(&key);
                } else if key != "node_ports"
                    && let Some(value) = map.get_mut(&key)
                    && (!fixed || value.is_object() || value.is_array())
                {
                    scramble(value, dice, depth + 1);
                }
            }
        }
        Json::Array(list) => {
            if depth > 1 && dice() < 60 {
                let odd = [
                    "",
                    "a/b/c",
                    "rbd",
                    "certificates.cert-manager.io",
                    "10.0.0.0/8",
                    "no\u{1b}[31m",
                    "dtr-x",
                ];
                if list.iter().all(Json::is_string) {
                    list.push(Json::from(odd[usize::from(dice()) % odd.len()]));
                }
            }
            for value in list {
                if value.is_object() {
                    scramble(value, dice, depth + 1);
                }
            }
        }
        Json::Bool(on) => *on ^= dice() < 80,
        Json::Number(number) => {
            if dice() < 80 {
                *number = serde_json::Number::from(i64::from(dice()) * 1000);
            }
        }
        Json::String(text) => {
            if dice() < 60 {
                let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
                let role = text == "manager" || text == "worker";
                let odd = ["v0", "windows", "down", "10.96.0.1", "1.2", "sudo-password", "é"];
                *text = match (digits, role) {
                    (true, _) => [u64::MAX, 0, 1][usize::from(dice()) % 3].to_string(),
                    (_, true) => if dice() < 128 { "manager" } else { "worker" }.to_owned(),
                    _ => odd[usize::from(dice()) % odd.len()].to_owned(),
                };
            }
        }
        Json::Null => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_facts_never_panic_and_no_check_is_silent(
        bytes in prop::collection::vec(any::<u8>(), 1..400),
        target in prop::option::of(any::<prop::sample::Index>()),
        have_facts in prop::bool::weighted(0.9),
        data_dir in "[/a-z0. -]{0,12}",
        external in "[a-z0-9.:\\[\\]-]{0,12}",
        config in prop::collection::btree_map(
            prop::sample::select(vec![
                "cluster_config.pod_cidr", "cluster_config.service_cluster_ip_range", "cluster_config.kms_enabled",
                "cluster_config.etcd_storage_quota", "cluster_config.kubelet_data_root",
            ]),
            prop_oneof!["[0-9./,]{0,14}".prop_map(Value::String), any::<bool>().prop_map(Value::Bool)],
            0..4,
        ),
    ) {
        let mut world = World::new(&Patch::default());
        let mut json: Json = serde_json::from_str(HEALTHY).unwrap();
        let mut position = 0;
        let mut dice = || { position += 1; bytes[position % bytes.len()] };
        scramble(&mut json, &mut dice, 0);
        world.facts = have_facts.then(|| serde_json::from_value(json).unwrap());
        world.target = target.map(|n| n.get(&releases().releases).clone());
        world.options.data_dir = data_dir;
        world.options.external_address = external;
        world.config.leaves = config.into_iter().zip(1..).map(|((path, value), line)| Leaf {
            path: path.split('.').map(|key| Segment::Key(key.to_owned())).collect(),
            value,
            line,
            column: 1,
        }).collect();
        let result = world.run();
        prop_assert_eq!(&result, &world.run());
        let mut said: BTreeSet<String> = result.passed.iter().cloned().collect();
        for finding in &result.findings {
            prop_assert!(!result.passed.contains(&finding.code), "{} passed and was found", finding.code);
            prop_assert!(!finding.message.ends_with('.') && !finding.message.is_empty());
            prop_assert!(!finding.remedy.ends_with('.') && !finding.remedy.is_empty());
            prop_assert!(finding.hosts.is_sorted());
            said.insert(finding.code.clone());
        }
        for row in &result.unchecked {
            prop_assert!(!result.passed.contains(&row.code), "{} passed and was not checked", row.code);
            said.insert(row.code.clone());
        }
        prop_assert!(result.findings.is_sorted());
        prop_assert!(result.unchecked.is_sorted());
        prop_assert_eq!(said, codes());
    }
}

#[test]
fn without_facts_the_plan_says_what_it_could_not_check() {
    let result = World::new(&Patch {
        facts: Some(false),
        ..Patch::default()
    })
    .run();
    assert!(
        result.findings.iter().all(|f| f.severity == Severity::Info),
        "{:#?}",
        result.findings
    );
    assert!(result.unchecked.contains(&Unchecked {
        code: "DISK-WHERE".to_owned(),
        why: "no facts were recorded".to_owned(),
        hosts: Vec::new(),
    }));
}

/// One of the recorded clusters, checked against the newest release that takes it.
fn recorded(name: &str) -> CheckResult {
    let path = format!("{}/testdata/clusters/{name}", env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| std::fs::read(format!("{path}/{file}")).unwrap();
    let facts = Facts::parse("facts.json", &read("facts.json")).unwrap();
    let (rules, registry, releases) = data();
    run_checks(&CheckContext {
        config: &Config::parse_bytes("mke3.toml", &read("mke3.toml")).unwrap(),
        hosts: &Hosts::parse_bytes("hosts.yaml", &read("hosts.yaml")).unwrap(),
        facts: Some(&facts),
        images: None,
        target: facts
            .cluster
            .mke_version
            .as_deref()
            .and_then(|mke| releases.newest_for(mke)),
        releases,
        options: &Options {
            external_address: "mke.example.com".to_owned(),
            ..Options::default()
        },
        rules,
        registry,
    })
}

fn codes_of(result: &CheckResult, severity: Severity) -> Vec<&str> {
    let all = result
        .findings
        .iter()
        .filter(|finding| finding.severity == severity);
    all.map(|finding| finding.code.as_str())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

#[test]
fn recorded_clusters_that_can_be_upgraded_have_no_blocking_finding_and_no_gap() {
    for name in ["minimal", "three-managers", "everything"] {
        let result = recorded(name);
        assert_eq!(codes_of(&result, Severity::Blocking), [""; 0], "{name}");
        let gaps: BTreeSet<String> = result.unchecked.iter().map(|row| row.code.clone()).collect();
        assert_eq!(gaps, offline(), "{name}");
    }
    assert_eq!(
        codes_of(&recorded("minimal"), Severity::Warning),
        ["MANAGER-SINGLE"]
    );
    assert_eq!(
        codes_of(&recorded("three-managers"), Severity::Warning),
        ["FOREIGN-CONTAINERS", "IMAGE-LOCAL", "SWARM-SERVICES"]
    );
    assert_eq!(
        codes_of(&recorded("everything"), Severity::Warning),
        [
            "CALICO-BGP",
            "FIREWALL",
            "FOREIGN-CONTAINERS",
            "GPU-PREREQUISITES",
            "IMAGE-LOCAL",
            "SELINUX",
            "SWARM-SERVICES",
            "WEBHOOK-FAIL"
        ]
    );
}

#[test]
fn the_blocked_cluster_is_blocked_by_everything_that_is_wrong_with_it() {
    let result = recorded("blocked");
    assert_eq!(
        codes_of(&result, Severity::Blocking),
        [
            "APISERVICE-DEAD",
            "ARCH-UNSUPPORTED",
            "BACKUP-OFFHOST",
            "CALICO-POOL",
            "CERT-LIFE",
            "CLOCK-SKEW",
            "DISK-INODES",
            "DISK-WHERE",
            "ETCD-ALARM",
            "ETCD-AUTH",
            "ETCD-DIVERGED",
            "ETCD-SIZE",
            "EXEC-MOUNT",
            "HOST-UNREACHABLE",
            "K0S-TRACES",
            "KERNEL-MODULES",
            "MKE-VERSION-PATH",
            "NAME-CLASH",
            "NODE-NOT-READY",
            "QUORUM-NOW",
            "SUDO",
            "SYSTEMD",
            "WINDOWS-NODE"
        ]
    );
    let path = result
        .findings
        .iter()
        .find(|f| f.code == "MKE-VERSION-PATH")
        .unwrap();
    assert!(
        path.message.ends_with("which takes 3.7.15 and later"),
        "{}",
        path.message
    );
    // What an unreachable host could not tell is said about that host and no other.
    let missed = result.unchecked.iter().find(|row| row.code == "SWAP").unwrap();
    assert_eq!(
        (missed.why.as_str(), missed.hosts.as_slice()),
        ("the host could not be reached", &["203.0.113.64".to_owned()][..])
    );
    assert_eq!(
        result
            .readings
            .keys()
            .find(|key| key.starts_with("203.0.113.64"))
            .unwrap(),
        "203.0.113.64: unreachable"
    );
}
