//! Random configurations and accounts, through the whole of planning.

use super::*;
use crate::rbac::random::accounts;
use crate::settings::segments;
use mkectl::report::{Style, diff, html, markdown};
use mkectl::source::mke3::Segment;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A TOML tree that is written as one inline table per top-level key.
#[derive(Clone, Debug)]
enum Toml {
    Table(BTreeMap<String, Toml>),
    Array(Vec<Toml>),
    Scalar(String),
}

impl Toml {
    /// Puts a scalar at a path. A path through what is no table already stays out, and so does a second spelling of a key:
    /// such a file is refused.
    fn put(&mut self, path: &[Segment], value: String) {
        match (self, path) {
            (Toml::Table(table), [Segment::Key(key), ..])
                if table
                    .keys()
                    .any(|old| old != key && old.to_lowercase() == key.to_lowercase()) => {}
            (Toml::Table(table), [Segment::Key(key)]) => {
                table.entry(key.clone()).or_insert(Toml::Scalar(value));
            }
            (Toml::Table(table), [Segment::Key(key), rest @ ..]) => {
                let next = match rest.first() {
                    Some(Segment::Index(_)) => Toml::Array(Vec::new()),
                    _ => Toml::Table(BTreeMap::new()),
                };
                table.entry(key.clone()).or_insert(next).put(rest, value);
            }
            (Toml::Array(array), [Segment::Index(index), rest @ ..]) => {
                while array.len() <= *index {
                    array.push(Toml::Table(BTreeMap::new()));
                }
                array[*index].put(rest, value);
            }
            _ => {}
        }
    }

    fn text(&self) -> String {
        match self {
            Toml::Table(table) => {
                let entries: Vec<String> = table
                    .iter()
                    .map(|(key, value)| format!("{} = {}", quoted(key), value.text()))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
            Toml::Array(array) => {
                let items: Vec<String> = array.iter().map(Toml::text).collect();
                format!("[{}]", items.join(", "))
            }
            Toml::Scalar(text) => text.clone(),
        }
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}

fn string() -> impl Strategy<Value = String> {
    let words = vec![
        "",
        "iptables",
        "10.0.0.0/8",
        "10.0.0.0/99",
        "30000-32767",
        "9-1",
        "cpu=1",
        "1m",
        "0",
        "::",
        "a: [",
        "-",
        "8GB",
        "TRUE",
        "no",
        "1:20",
        "<<",
        "2024-01-01",
        "https://u:p@h",
        "com.docker.ucp.manager",
        "a\nb",
    ];
    prop_oneof![3 => select(words).prop_map(str::to_owned), 1 => any::<String>()]
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => string().prop_map(|text| quoted(&text)),
        1 => (-3_i64..70000).prop_map(|number| number.to_string()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        2 => any::<bool>().prop_map(|on| on.to_string()),
        1 => (-1e9_f64..1e9).prop_map(|number| format!("{number:.3}")),
        1 => Just("2024-01-01".to_owned()),
        1 => Just("{}".to_owned()),
        2 => vec(string(), 0..4).prop_map(|items| {
            let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
            format!("[{}]", items.join(", "))
        }),
    ]
}

fn flag() -> impl Strategy<Value = String> {
    let names = vec![
        "feature-gates",
        "max-pods",
        "v",
        "kube-reserved",
        "eviction-hard",
        "oidc-issuer-url",
        "audit-log-path",
        "event-ttl",
        "terminated-pod-gc-threshold",
        "conntrack-min",
        "cluster-dns",
        "tls-cipher-suites",
        "node-labels",
        "container-runtime",
        "profiling",
        "root-dir",
        "service-node-port-range",
        "token-auth-file",
    ];
    let values = vec![
        "",
        "true",
        "5",
        "-1",
        "cpu=100m,memory=1Gi",
        "A=true,B=false",
        "memory.available<5%",
        "1h",
        "a b",
        "99999999999",
    ];
    prop_oneof![
        4 => (select(names), select(values)).prop_map(|(name, value)| format!("--{name}={value}")),
        1 => "-{0,3}[a-z-]{0,12}(=[a-z0-9,]{0,6})?",
        1 => any::<String>(),
    ]
}

fn path() -> impl Strategy<Value = String> {
    let known: Vec<String> = tables()
        .settings
        .settings
        .iter()
        .map(|row| row.path.clone())
        .collect();
    let known = (select(known), 0_usize..3, "[a-z]{1,5}")
        .prop_map(|(path, index, name)| path.replace("[]", &format!("[{index}]")).replace("<name>", &name));
    prop_oneof![
        6 => known.clone(),
        1 => known.prop_map(|path| path.to_uppercase()),
        1 => "[a-z_]{1,12}(\\.[a-z_]{1,12}){0,3}",
    ]
}

fn toml() -> impl Strategy<Value = String> {
    let lists = vec![
        "cluster_config.custom_kube_api_server_flags",
        "cluster_config.custom_kube_controller_manager_flags",
        "cluster_config.custom_kube_scheduler_flags",
        "cluster_config.custom_kubelet_flags",
        "cluster_config.custom_kube_proxy_flags",
    ];
    let lists = vec((select(lists), vec(flag(), 0..5)), 0..4);
    let profiles = vec(("[a-z]{1,6}", vec(flag(), 0..4)), 0..3);
    (vec((path(), scalar()), 0..40), lists, profiles).prop_map(|(entries, lists, profiles)| {
        let mut tree = Toml::Table(BTreeMap::new());
        for (path, flags) in lists {
            let flags: Vec<String> = flags.iter().map(|flag| quoted(flag)).collect();
            tree.put(&segments(path), format!("[{}]", flags.join(", ")));
        }
        for (name, flags) in profiles {
            let path = format!("cluster_config.custom_kubelet_flags_profiles.{name}");
            tree.put(&segments(&path), quoted(&flags.join(" ")));
        }
        for (path, value) in entries {
            tree.put(&segments(&path), value);
        }
        match tree {
            Toml::Table(table) => table
                .iter()
                .map(|(key, value)| format!("{} = {}\n", quoted(key), value.text()))
                .collect(),
            _ => String::new(),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_inputs_are_accounted_for(
        // An export without any setting is refused: source::configurations_that_are_refused.
        toml in toml().prop_filter("empty", |toml| !toml.trim().is_empty()),
        accounts in proptest::option::of(accounts()),
        place in 0..CLUSTERS.len(),
        release in 0..tables().releases.releases.len(),
        facts in any::<bool>(),
    ) {
        let mut cluster = Cluster::read(CLUSTERS[place]);
        cluster.config = Config::parse("mke3.toml", &toml).map_err(|e| TestCaseError::fail(e.to_string()))?;
        cluster.accounts = accounts;
        cluster.facts = cluster.facts.filter(|_| facts);
        cluster.options.target_version = Some(tables().releases.releases[release].mke.clone());
        let made = cluster.make();
        accounted(&cluster, &made.spec);
        said_once(&made.spec);
        usable(&made.spec);
        prop_assert_eq!(&cluster.make().spec, &made.spec);

        let plan = plan(made);
        let json = mkectl::plan::write(&plan).unwrap();
        prop_assert_eq!(&mkectl::plan::read(&json).unwrap(), &plan);
        let style = Style { width: 100, color: false, unicode: true };
        prop_assert!(!diff::render(&plan, &style).is_empty());
        prop_assert!(!html::render(&plan).is_empty());
        prop_assert!(markdown::render(&plan, Some(8_000)).len() <= 8_000);
    }
}
