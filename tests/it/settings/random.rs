//! Random configurations: one row per leaf, no panic, no secret shown.

use super::{convert, document, options, segments, table};
use mkectl::convert::report::{Form, compatibility_report};
use mkectl::source::mke3::{Config, Leaf, Value};
use mkectl::yaml::{self, Node};
use proptest::prelude::*;

const CANARY: &str = "cAnArY";

fn any_value() -> impl Strategy<Value = Value> {
    let words = proptest::sample::select(vec![
        "",
        "iptables",
        "10.0.0.0/8",
        "10.0.0.0/99",
        "30000-32767",
        "9-1",
        "cpu=1",
        "cpu",
        "1m",
        "0",
        "interface=",
        "::",
        "a: [",
        "-",
        "--token=x",
        "https://u:p@h",
        "com.docker.ucp.manager",
        "\u{0}",
        "8GB",
        "TRUE",
    ]);
    let scalar = prop_oneof![
        words.prop_map(|text| Value::String(text.to_owned())),
        any::<String>().prop_map(Value::String),
        any::<i64>().prop_map(Value::Integer),
        (-3_i64..70000).prop_map(Value::Integer),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_map(Value::Float),
        Just(Value::Datetime("2024-01-01".to_owned())),
        Just(Value::Empty),
    ];
    scalar.prop_recursive(2, 8, 4, |inner| {
        proptest::collection::vec((inner, 1_u32..99), 0..4).prop_map(Value::List)
    })
}

/// Paths of the table with positions and names filled in, and paths that nothing knows.
fn any_path() -> impl Strategy<Value = String> {
    let known: Vec<String> = table().settings.iter().map(|row| row.path.clone()).collect();
    let known = (proptest::sample::select(known), 0_usize..3, "[a-z]{1,5}")
        .prop_map(|(path, index, name)| path.replace("[]", &format!("[{index}]")).replace("<name>", &name));
    prop_oneof![
        4 => known.clone(),
        1 => known.prop_map(|path| path.to_uppercase()),
        1 => "[a-z_]{1,12}(\\.[a-z_]{1,12}){0,3}",
        1 => Just("cluster_config.ingress_controller".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_configuration_has_one_row_per_leaf(
        entries in proptest::collection::vec((any_path(), any_value()), 0..30),
        schema in proptest::sample::select(vec!["4.1.0", "4.1.3", "4.2"]),
    ) {
        let leaves: Vec<Leaf> = entries
            .into_iter()
            .zip(1_u32..)
            .map(|((path, value), line)| Leaf { path: segments(&path), value, line, column: 1 })
            .collect();
        let config = Config { file: "mke3.toml".to_owned(), leaves };
        let result = convert(&config, schema);
        let lines: Vec<u32> = result.rows.iter().filter_map(|row| row.line).collect();
        prop_assert_eq!(lines, (1..=u32::try_from(config.leaves.len()).unwrap()).collect::<Vec<_>>());
        prop_assert!(result.rows.iter().all(|row| !row.reason.is_empty()));
        let document = document(&config, schema, &[], &options());
        let text = yaml::write(&document);
        prop_assert_eq!(yaml::embedded::<Node>(&text).unwrap(), document);
        compatibility_report(table(), &config, &result, Form::Human);
        prop_assert_eq!(convert(&config, schema), result);
    }

    #[test]
    fn a_secret_is_never_shown(row in proptest::sample::select(
        table().settings.iter().filter(|row| row.secret).map(|row| row.path.clone()).collect::<Vec<_>>()
    ), how in 0..6_u8) {
        let canary = match how {
            0 => Value::List(vec![(Value::String(CANARY.to_owned()), 1)]),
            _ => Value::String(CANARY.to_owned()),
        };
        let path = row.replace("[]", "[0]");
        let path = match how {
            1 => path.to_uppercase(),
            2 => path + "s",
            3 => "cluster_config.some_new_thing".to_owned(),
            _ => path,
        };
        let text = |text: &str| Value::String(text.replace("CANARY", CANARY));
        let on = |path: &str, value: Value| Leaf { path: segments(path), value, line: 2, column: 1 };
        let flags = vec![
            (text("--oidc-client-secret=CANARY"), 3),
            (text("--token"), 3),
            (text("CANARY"), 3),
            (text("--webhook=https://me:CANARY@example.com/x"), 3),
        ];
        let config = Config { file: "mke3.toml".to_owned(), leaves: vec![
            on(&path, canary),
            on("auth.scimEnabled", Value::Bool(true)),
            on("auth.samlProxy.enabled", Value::Bool(true)),
            on("backup_schedule_config.enabled", Value::Bool(true)),
            on("cluster_config.custom_kube_api_server_flags", Value::List(flags)),
            on("cluster_config.custom_kubelet_flags_profiles.high", text("--a=b --some-password=CANARY --bootstrap-token CANARY")),
            on("auth.saml.idpMetadataURL", text("https://me:CANARY@idp.example.com/metadata")),
            on("cluster_config.shared_sans", Value::List(vec![(text("https://me:CANARY@x"), 4)])),
            on("auth.saml.rootCerts", text("-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n")),
        ]};
        let result = convert(&config, "4.2");
        let everything = format!("{:?}{}", result, yaml::write(&document(&config, "4.2", &[], &options())));
        prop_assert!(!everything.contains(CANARY), "{}", everything);
        for form in [Form::Toml, Form::Human] {
            let report = compatibility_report(table(), &config, &result, form);
            prop_assert!(!report.contains(CANARY), "{}", report);
        }
    }
}
