//! Custom flags, feature gates and kubelet profiles.

use mkectl::catalogue::Bundle;
use mkectl::convert::flags::{
    FlagInput, FlagTables, FlagsResult, HostLabels, RawFlag, convert_flags, raw_flags,
};
use mkectl::convert::kubelet::check_profile;
use mkectl::model::{Component, Outcome, Severity};
use mkectl::source::mke3::{Config, Leaf, Segment, Value};
use mkectl::yaml::Node;
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

static TABLES: LazyLock<FlagTables> =
    LazyLock::new(|| FlagTables::load(&Bundle::embedded()).expect("the tables load"));

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    component: Component,
    profile: Option<String>,
    minor: String,
    flags: Vec<String>,
    #[serde(default)]
    row: usize,
    outcome: Outcome,
    to: Option<String>,
    value: Option<String>,
    reason: Option<String>,
    code: Option<String>,
}

fn vectors() -> Vec<Vector> {
    mkectl::yaml::typed(include_str!("../../testdata/flag-vectors.yaml")).expect("the vectors are YAML")
}

fn raw(component: Component, profile: Option<&str>, texts: &[&str]) -> Vec<RawFlag> {
    let flag = |(line, text): (u32, &&str)| RawFlag {
        component,
        profile: profile.map(str::to_owned),
        text: (*text).to_owned(),
        line,
    };
    (1..).zip(texts).map(flag).collect()
}

fn convert(flags: &[RawFlag], labels: Option<&HostLabels>, minor: &str) -> FlagsResult {
    let input = FlagInput {
        file: "mke3.toml",
        flags,
        labels,
        source_minor: Some("v1.31.7-mirantis-1"),
        target_minor: minor,
    };
    convert_flags(&TABLES, &input)
}

fn labels(hosts: &[(&str, &str)]) -> HostLabels {
    let host = |(host, profile): &(&str, &str)| {
        let labels = match *profile {
            "" => BTreeMap::new(),
            profile => BTreeMap::from([("custom-kubelet-profile".to_owned(), profile.to_owned())]),
        };
        ((*host).to_owned(), labels)
    };
    hosts.iter().map(host).collect()
}

fn codes(result: &FlagsResult) -> Vec<&str> {
    result
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

#[test]
fn every_vector_holds() {
    let mut wrong = Vec::new();
    for vector in vectors() {
        let texts: Vec<&str> = vector.flags.iter().map(String::as_str).collect();
        let result = convert(
            &raw(vector.component, vector.profile.as_deref(), &texts),
            None,
            &vector.minor,
        );
        let row = &result.rows[vector.row];
        let to: Vec<&str> = row.to.iter().map(|target| target.path.as_str()).collect();
        let values: Vec<&str> = row.to.iter().map(|target| target.value.as_str()).collect();
        let finding = |code: &String| {
            let line = u32::try_from(vector.row).unwrap() + 1;
            result
                .findings
                .iter()
                .any(|f| f.code == *code && f.subject.line == Some(line))
        };
        let good = row.outcome == vector.outcome
            && to == vector.to.as_deref().into_iter().collect::<Vec<_>>()
            && vector.value.as_deref().is_none_or(|value| values == [value])
            && vector
                .reason
                .as_deref()
                .is_none_or(|reason| row.reason.contains(reason))
            && vector.code.as_ref().is_none_or(finding)
            && (row.outcome != Outcome::Unsupported || !row.remedy.is_empty());
        if !good {
            wrong.push(format!("{texts:?}: {row:#?} {:?}", codes(&result)));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} vectors fail:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_field_row_has_a_vector() {
    let tested: BTreeSet<String> = vectors()
        .into_iter()
        .filter(|vector| vector.profile.is_some())
        .filter_map(|vector| {
            Some(
                vector.flags[vector.row]
                    .strip_prefix("--")?
                    .split('=')
                    .next()?
                    .to_owned(),
            )
        })
        .collect();
    let untested: Vec<(&str, &str)> = TABLES
        .kubelet_fields()
        .filter(|(flag, _)| !tested.contains(*flag))
        .collect();
    assert!(untested.is_empty(), "rows without a vector: {untested:?}");
    assert_eq!(TABLES.kubelet_fields().count(), 109);
}

#[test]
fn every_finding_code_has_a_vector_or_a_test_of_profiles() {
    let tested: BTreeSet<String> = vectors().into_iter().filter_map(|vector| vector.code).collect();
    for code in mkectl::convert::flags::CODES {
        let of_profiles = ["EMPTY", "LABEL", "MISSING", "OVERRIDDEN", "RENAMED", "UNUSED"];
        let elsewhere = code
            .strip_prefix("PROFILE-")
            .is_some_and(|name| of_profiles.contains(&name));
        assert!(tested.contains(code) || elsewhere, "{code}");
    }
}

#[test]
fn a_reserved_quantity_goes_to_managers_and_workers() {
    let result = convert(
        &raw(
            Component::Kubelet,
            None,
            &["--kube-reserved=cpu=200m,memory=512Mi"],
        ),
        None,
        "1.32",
    );
    let fields: Vec<&str> = result.fields.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(
        fields,
        [
            "spec.kubelet.managerKubeReserved.cpu",
            "spec.kubelet.managerKubeReserved.memory",
            "spec.kubelet.workerKubeReserved.cpu",
            "spec.kubelet.workerKubeReserved.memory",
        ]
    );
    assert!(result.extra_args.is_empty());
}

#[test]
fn a_secret_becomes_a_reference() {
    let result = convert(
        &raw(
            Component::KubeApiserver,
            None,
            &["--Token_auth_file=x", "--token_auth_file=CANARY"],
        ),
        None,
        "1.32",
    );
    assert_eq!(
        result.extra_args[&Component::KubeApiserver]["token-auth-file"],
        "mkectl-secret:flag-kube-apiserver-token-auth-file"
    );
    assert_eq!(result.secrets.len(), 1);
    assert_eq!(
        result.secrets[0].from,
        "mke3-config:cluster_config.custom_kube_api_server_flags#token-auth-file"
    );
    assert_eq!(result.rows[1].flag, "--token_auth_file=(secret)");
    assert!(!format!("{result:?}").contains("CANARY"));
}

#[test]
fn profiles_become_values_and_hosts_get_them() {
    let flags = raw(
        Component::Kubelet,
        Some("High"),
        &[
            "--kube-reserved=cpu=200m,memory=512Mi",
            "--kube-reserved-cgroup=/high",
        ],
    );
    let result = convert(
        &flags,
        Some(&labels(&[("w1", "High"), ("w2", ""), ("w3", "gone")])),
        "1.32",
    );
    let text = |text: &str| Node::Str(text.to_owned());
    let reserved = Node::Map(
        [
            ("cpu".to_owned(), text("200m")),
            ("memory".to_owned(), text("512Mi")),
        ]
        .into(),
    );
    let values = Node::Map(
        [
            ("kubeReserved".to_owned(), reserved),
            ("kubeReservedCgroup".to_owned(), text("/high")),
        ]
        .into(),
    );
    assert_eq!(result.profiles, [("high".to_owned(), values)].into());
    assert_eq!(
        result.host_profiles,
        [("w1".to_owned(), "high".to_owned())].into()
    );
    assert_eq!(
        codes(&result),
        ["PROFILE-MISSING", "PROFILE-LABEL", "PROFILE-RENAMED"]
    );
    assert_eq!(result.findings[0].hosts, ["w3"]);
    assert_eq!(result.findings[1].hosts, ["w1"]);
    assert!(result.findings[1].message.contains("inferred"));
}

#[test]
fn a_profile_of_reserved_processors_empties_the_cgroup_of_k0s() {
    let result = convert(
        &raw(Component::Kubelet, Some("p"), &["--reserved-cpus=0-1"]),
        None,
        "1.34",
    );
    let Node::Map(values) = &result.profiles["p"] else {
        panic!("{:?}", result.profiles);
    };
    assert_eq!(values["kubeReservedCgroup"], Node::Str(String::new()));
    assert_eq!(
        check_profile(&TABLES, &result.profiles["p"], "1.34"),
        Vec::<String>::new()
    );
}

#[test]
fn unused_and_empty_profiles_are_said() {
    let mut flags = raw(Component::Kubelet, Some("a"), &["--max-pods=5"]);
    flags.extend(raw(Component::Kubelet, Some("b"), &["--cluster-dns=10.0.0.10"]));
    let result = convert(&flags, Some(&labels(&[("w1", "b")])), "1.32");
    assert_eq!(result.profiles.keys().collect::<Vec<_>>(), ["a"]);
    assert!(result.host_profiles.is_empty());
    assert_eq!(
        codes(&result),
        ["FLAG-MANAGED", "PROFILE-EMPTY", "PROFILE-UNUSED"]
    );
    assert_eq!(result.findings[1].hosts, ["w1"]);
}

#[test]
fn a_flag_of_all_nodes_moves_into_profiles_when_every_host_has_one() {
    let mut flags = raw(
        Component::Kubelet,
        None,
        &[
            "--sync-frequency=20s",
            "--feature-gates=MemoryQoS=true,NodeSwap=true",
        ],
    );
    flags.extend(raw(
        Component::Kubelet,
        Some("a"),
        &["--sync-frequency=30s", "--feature-gates=MemoryQoS=false"],
    ));
    flags.extend(raw(Component::Kubelet, Some("b"), &["--max-pods=5"]));
    let all = convert(&flags, Some(&labels(&[("w1", "a"), ("w2", "b")])), "1.32");
    assert!(all.extra_args.is_empty(), "{:?}", all.extra_args);
    let at = |profile: &str, field: &str| match &all.profiles[profile] {
        Node::Map(map) => map[field].clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(at("a", "syncFrequency"), Node::Str("30s".to_owned()));
    assert_eq!(at("b", "syncFrequency"), Node::Str("20s".to_owned()));
    let gates = |memory: bool| {
        let gates = [
            ("MemoryQoS".to_owned(), Node::Bool(memory)),
            ("NodeSwap".to_owned(), Node::Bool(true)),
        ];
        Node::Map(gates.into())
    };
    assert_eq!(
        (at("a", "featureGates"), at("b", "featureGates")),
        (gates(false), gates(true))
    );
    assert_eq!(
        all.rows[0].to[0].path,
        "spec.kubelet.customProfiles[b].values.syncFrequency"
    );
    assert!(!codes(&all).contains(&"PROFILE-OVERRIDDEN"));

    for some in [Some(labels(&[("w1", "a"), ("w2", "b"), ("w3", "")])), None] {
        let kept = convert(&flags, some.as_ref(), "1.32");
        assert_eq!(kept.extra_args[&Component::Kubelet]["sync-frequency"], "20s");
        let lost: Vec<_> = kept
            .findings
            .iter()
            .filter(|f| f.code == "PROFILE-OVERRIDDEN")
            .collect();
        assert_eq!(lost.len(), 2, "{lost:?}");
        assert!(
            lost.iter()
                .all(|f| f.subject.name == "a" && f.severity == Severity::Warning)
        );
    }
}

#[test]
fn a_flag_of_all_nodes_that_agrees_with_every_profile_stays() {
    let mut flags = raw(
        Component::Kubelet,
        None,
        &["--sync-frequency=20s", "--max-pods=100"],
    );
    flags.extend(raw(
        Component::Kubelet,
        Some("a"),
        &["--sync-frequency=20s", "--max-pods=50"],
    ));
    let result = convert(&flags, Some(&labels(&[("w1", "a"), ("w2", "")])), "1.32");
    assert_eq!(
        result.extra_args[&Component::Kubelet].keys().collect::<Vec<_>>(),
        ["sync-frequency"]
    );
    // The field of mke4.yaml ranks below a profile, so it is no conflict.
    assert_eq!(
        result.fields,
        [("spec.kubelet.maxPods".to_owned(), Node::Int(100))]
    );
    assert_eq!(codes(&result), ["PROFILE-LABEL"]);
}

#[test]
fn flags_are_taken_out_of_the_configuration() {
    let leaf = |path: &[&str], value: Value, line: u32| Leaf {
        path: path.iter().map(|key| Segment::Key((*key).to_owned())).collect(),
        value,
        line,
        column: 1,
    };
    let list = |items: &[(&str, u32)]| {
        Value::List(
            items
                .iter()
                .map(|(text, line)| (Value::String((*text).to_owned()), *line))
                .collect(),
        )
    };
    let config = Config {
        file: "mke3.toml".to_owned(),
        leaves: vec![
            leaf(
                &["cluster_config", "custom_kubelet_flags"],
                list(&[("--v=2", 3)]),
                3,
            ),
            leaf(
                &["cluster_config", "custom_kube_api_server_flags"],
                list(&[("--a=1", 5), ("--b=2", 6)]),
                4,
            ),
            leaf(
                &["cluster_config", "custom_kube_proxy_flags"],
                Value::List(vec![(Value::Integer(5), 7)]),
                7,
            ),
            leaf(
                &["cluster_config", "custom_kubelet_flags_profiles", "High"],
                Value::String("--c=\"d e\"  --f".to_owned()),
                9,
            ),
            leaf(
                &["cluster_config", "custom_kubelet_flags_profiles", "none"],
                Value::String(" ".to_owned()),
                10,
            ),
            leaf(
                &["cluster_config", "custom_kubelet_flags_profiles"],
                Value::Empty,
                8,
            ),
        ],
    };
    let got: Vec<(Component, Option<String>, String, u32)> = raw_flags(&TABLES, &config)
        .into_iter()
        .map(|flag| (flag.component, flag.profile, flag.text, flag.line))
        .collect();
    let row = |component, profile: Option<&str>, text: &str, line| {
        (component, profile.map(str::to_owned), text.to_owned(), line)
    };
    assert_eq!(
        got,
        [
            row(Component::KubeApiserver, None, "--a=1", 5),
            row(Component::KubeApiserver, None, "--b=2", 6),
            row(Component::Kubelet, None, "--v=2", 3),
            row(Component::KubeProxy, None, "5", 7),
            row(Component::Kubelet, Some("High"), "--c=d e", 9),
            row(Component::Kubelet, Some("High"), "--f", 9),
            row(Component::Kubelet, Some("none"), "", 10),
        ]
    );
}

const CANARY: &str = "CANARYhunter2";

fn component() -> impl Strategy<Value = Component> {
    prop::sample::select(Component::ALL.to_vec())
}

/// Names that exist, names that do not, and names that say secret.
fn name() -> impl Strategy<Value = String> {
    let fields: Vec<String> = TABLES.kubelet_fields().map(|(flag, _)| flag.to_owned()).collect();
    let others = [
        "event-ttl",
        "profiling",
        "feature-gates",
        "max_pods",
        "token-auth-file",
        "oidc-client-id",
        "service-sync-period",
    ];
    prop_oneof![
        6 => prop::sample::select(fields),
        3 => prop::sample::select(others.map(str::to_owned).to_vec()),
        1 => "[a-z-]{1,20}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{1,3}(ms|s|m|h|Mi|%|)",
        prop::sample::select(vec![
            "true".to_owned(),
            "false".to_owned(),
            "none".to_owned(),
            "static".to_owned(),
            "cpu=1,memory=1Gi".to_owned(),
            "memory.available<1Gi".to_owned(),
            "memory.available=1m".to_owned(),
            "MemoryQoS=true,SeccompDefault=false".to_owned(),
            "pods,system-reserved".to_owned(),
            "0:memory=1Gi".to_owned(),
            "k=v:NoSchedule".to_owned(),
            "/x".to_owned(),
            "0-3".to_owned(),
        ]),
        ".{0,12}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (name(), value()).prop_map(|(name, value)| format!("--{name}={value}")),
        1 => name().prop_map(|name| format!("--{name}")),
        1 => ".{0,24}",
        1 => prop::sample::select(vec![
            format!("--x-token={CANARY}"),
            format!("--X_PassWord {CANARY}"),
            format!("-client-secret={CANARY}"),
            format!("db-password: {CANARY}"),
            format!("--a --key-data={CANARY}"),
            format!("--token-auth-file={CANARY}"),
            format!("--authentication-token-webhook-cache-ttl={CANARY}"),
            format!("--authentication-token-webhook={CANARY}"),
            format!("--node-labels=token={CANARY}"),
            format!("--manifest-url=https://user:{CANARY}@host/x"),
            format!("manifest-url-header=Authorization:{CANARY}"),
            format!("--manifest-url-header=Authorization:{CANARY}"),
        ]),
    ]
}

fn flags() -> impl Strategy<Value = Vec<RawFlag>> {
    let entry = (component(), prop::option::of("[aB_]"), text(), any::<bool>());
    prop::collection::vec(entry, 0..24).prop_map(|entries| {
        let mut flags = Vec::new();
        for (line, (component, profile, text, two)) in (1..).zip(entries) {
            let component = if profile.is_some() {
                Component::Kubelet
            } else {
                component
            };
            let flag = |text: String| RawFlag {
                component,
                profile: profile.clone(),
                text,
                line,
            };
            flags.push(flag(text));
            if two {
                flags.push(flag("--bind-password".to_owned()));
                flags.push(flag(CANARY.to_owned()));
            }
        }
        flags
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_flags_get_one_row_each_and_sound_documents(
        flags in flags(),
        minor in prop::sample::select(vec!["1.32", "1.33", "1.34", "1.35", "1.31", "2.0"]),
        hosts in prop::collection::btree_map("w[0-9]", "[aB_]?", 0..4),
    ) {
        let hosts: Vec<(&str, &str)> = hosts.iter().map(|(host, profile)| (host.as_str(), profile.as_str())).collect();
        let labels = labels(&hosts);
        let result = convert(&flags, Some(&labels), minor);

        prop_assert_eq!(result.rows.len(), flags.len());
        for (row, flag) in result.rows.iter().zip(&flags) {
            prop_assert_eq!((row.component, &row.profile, row.line), (flag.component, &flag.profile, flag.line));
            prop_assert_eq!(row.outcome == Outcome::Converted, !row.to.is_empty(), "{:?}", row);
            prop_assert!(!row.reason.is_empty() && row.reason != "no rule covers it");
            let said = result.findings.iter().any(|f| f.subject.line == Some(row.line));
            prop_assert!(row.outcome != Outcome::Unsupported || said, "{:?}", row);
        }
        prop_assert!(!format!("{result:?}").contains(CANARY), "{:#?}", result);
        for (component, args) in &result.extra_args {
            for (flag, value) in args {
                prop_assert!(TABLES.registered(*component, flag, minor), "{}", flag);
                prop_assert!(*component != Component::Kubelet || !value.contains(char::is_whitespace));
            }
        }
        for (name, values) in &result.profiles {
            prop_assert_eq!(check_profile(&TABLES, values, minor), Vec::<String>::new(), "{}", name);
        }
        prop_assert!(result.host_profiles.values().all(|profile| result.profiles.contains_key(profile)));
        prop_assert!(result.findings.iter().all(|f| !f.message.ends_with('.') && !f.remedy.ends_with('.')));
        let mut sorted = result.findings.clone();
        sorted.sort();
        prop_assert_eq!(&sorted, &result.findings);
        prop_assert_eq!(&convert(&flags, Some(&labels), minor), &result);
    }
}
