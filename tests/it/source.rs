//! Inputs: what is read, what is refused, and how errors say it.

use mkectl::source::InputError;
use mkectl::source::accounts::{self, Accounts};
use mkectl::source::facts::{self, Facts};
use mkectl::source::hosts::Hosts;
use mkectl::source::mke3::{Config, Leaf, Segment, Value};
use proptest::prelude::*;
use std::path::PathBuf;

const CLUSTERS: [&str; 4] = ["minimal", "three-managers", "everything", "blocked"];

fn read(cluster: &str, file: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/clusters");
    std::fs::read_to_string(root.join(cluster).join(file)).expect("a file of testdata")
}

/// The error as a person sees it.
fn shown<T: std::fmt::Debug>(result: Result<T, InputError>) -> String {
    result.expect_err("an input that is refused").to_string()
}

#[track_caller]
fn check<T: std::fmt::Debug>(result: Result<T, InputError>, message: &str, help: &str) {
    assert_eq!(shown(result), format!("{message}\n  help: {help}"));
}

// ---- the clusters

#[test]
fn the_clusters_can_be_read() {
    for cluster in CLUSTERS {
        let config = Config::parse("dir/mke3.toml", &read(cluster, "mke3.toml")).unwrap();
        assert_eq!(config.file, "mke3.toml");
        let hosts = Hosts::parse("dir/hosts.yaml", &read(cluster, "hosts.yaml")).unwrap();
        let facts = Facts::parse("facts.json", read(cluster, "facts.json").as_bytes()).unwrap();
        Accounts::parse("accounts.json", read(cluster, "accounts.json").as_bytes()).unwrap();
        let listed: Vec<&str> = hosts.entries.iter().map(|entry| entry.address.as_str()).collect();
        let recorded: Vec<&str> = facts.hosts.iter().map(|host| host.address.as_str()).collect();
        assert_eq!(listed, recorded, "{cluster}");
        for (entry, host) in hosts.entries.iter().zip(&facts.hosts) {
            if let Some(address) = &entry.private_address {
                assert_eq!(Some(address), host.private_address.as_ref(), "{cluster}");
            }
            if let Some(interface) = &entry.private_interface {
                assert_eq!(Some(interface), host.private_interface.as_ref(), "{cluster}");
            }
        }
    }
}

#[test]
fn recordings_come_back_as_they_were_written() {
    for cluster in CLUSTERS {
        let facts = Facts::parse("f", read(cluster, "facts.json").as_bytes()).unwrap();
        let again = Facts::parse("f", &serde_json::to_vec(&facts).unwrap()).unwrap();
        assert_eq!(facts, again);
        let accounts = Accounts::parse("a", read(cluster, "accounts.json").as_bytes()).unwrap();
        let again = Accounts::parse("a", &serde_json::to_vec(&accounts).unwrap()).unwrap();
        assert_eq!(accounts, again);
    }
}

#[test]
fn the_schemas_describe_the_recordings_and_refuse_others() {
    let facts = jsonschema::validator_for(&facts::schema()).unwrap();
    let accounts = jsonschema::validator_for(&accounts::schema()).unwrap();
    for cluster in CLUSTERS {
        let value = serde_json::from_str(&read(cluster, "facts.json")).unwrap();
        facts.validate(&value).unwrap();
        assert!(!accounts.is_valid(&value));
        let value = serde_json::from_str(&read(cluster, "accounts.json")).unwrap();
        accounts.validate(&value).unwrap();
        assert!(!facts.is_valid(&value));
    }
}

#[test]
fn every_secret_of_the_clusters_is_a_canary() {
    for cluster in CLUSTERS {
        let config = Config::parse("mke3.toml", &read(cluster, "mke3.toml")).unwrap();
        let mut secrets = 0;
        for leaf in &config.leaves {
            let path = leaf.table_path();
            let secret = ["token", "secret", "password", "passphrase"]
                .iter()
                .any(|word| path.ends_with(word));
            if let (true, Value::String(text)) = (secret && !path.ends_with("no_passphrase"), &leaf.value)
                && !text.is_empty()
            {
                assert!(text.contains("canary"), "{path}");
                secrets += 1;
            }
        }
        assert_eq!(secrets > 0, cluster != "minimal", "{cluster}");
    }
}

// ---- MKE 3 configuration

fn config(text: &str) -> Config {
    Config::parse("mke3.toml", text).expect("a valid configuration")
}

fn toml_error(text: &str) -> Result<Config, InputError> {
    Config::parse("mke3.toml", text)
}

/// Leaves counted without our code: scalars, lists without tables, empty tables.
fn count(value: &toml::Value) -> usize {
    match value {
        toml::Value::Table(table) if !table.is_empty() => table.values().map(count).sum(),
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => items.iter().map(count).sum(),
        _ => 1,
    }
}

#[test]
fn every_leaf_is_found_on_its_line() {
    for cluster in CLUSTERS {
        let text = read(cluster, "mke3.toml");
        let config = config(&text);
        let table: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(
            config.leaves.len(),
            table.values().map(count).sum::<usize>(),
            "{cluster}"
        );
        let lines: Vec<&str> = text.lines().collect();
        for leaf in &config.leaves {
            let Some(Segment::Key(key)) = leaf.path.last() else {
                panic!("{leaf:?}")
            };
            let rest: String = lines[leaf.line as usize - 1]
                .chars()
                .skip(leaf.column as usize - 1)
                .collect();
            assert!(rest.starts_with(key.as_str()), "{}: {rest}", leaf.display_path());
        }
        let places: Vec<(u32, u32)> = config
            .leaves
            .iter()
            .map(|leaf| (leaf.line, leaf.column))
            .collect();
        assert!(places.is_sorted(), "{cluster}: not in the order of the file");
    }
    assert!(config(&read("everything", "mke3.toml")).leaves.len() > 240);
}

fn rows(text: &str) -> Vec<String> {
    config(text)
        .leaves
        .iter()
        .map(|leaf| {
            format!(
                "{}:{} {} = {:?}",
                leaf.line,
                leaf.column,
                leaf.display_path(),
                leaf.value
            )
        })
        .collect()
}

#[test]
fn all_shapes_of_an_export() {
    let text = r#"# comment
[registries]
[[custom_api_server_headers]]
  name = "X"
  value = "1"
[[custom_api_server_headers]]
[cluster_config]
  calico_mtu = "1480"
  vxlan_vni = 0x2710
  ratio = 0.5
  on = true
  since = 2024-05-01
  none = []
  custom_kubelet_flags = [
    "--a=b", # why
    "--c",
  ]
  pools = [{ name = "a" }, {}]
  [cluster_config.swarm."tasktemplate.restartpolicy.delay"]
    value = "5s"
  dotted.key = 1
"#;
    assert_eq!(
        rows(text),
        [
            r#"2:2 registries = Empty"#,
            r#"4:3 custom_api_server_headers[0].name = String("X")"#,
            r#"5:3 custom_api_server_headers[0].value = String("1")"#,
            r#"6:1 custom_api_server_headers[1] = Empty"#,
            r#"8:3 cluster_config.calico_mtu = String("1480")"#,
            r#"9:3 cluster_config.vxlan_vni = Integer(10000)"#,
            r#"10:3 cluster_config.ratio = Float(0.5)"#,
            r#"11:3 cluster_config.on = Bool(true)"#,
            r#"12:3 cluster_config.since = Datetime("2024-05-01")"#,
            r#"13:3 cluster_config.none = List([])"#,
            r#"14:3 cluster_config.custom_kubelet_flags = List([(String("--a=b"), 15), (String("--c"), 16)])"#,
            r#"18:14 cluster_config.pools[0].name = String("a")"#,
            r#"18:28 cluster_config.pools[1] = Empty"#,
            r#"20:5 cluster_config.swarm."tasktemplate.restartpolicy.delay".value = String("5s")"#,
            r#"21:10 cluster_config.swarm."tasktemplate.restartpolicy.delay".dotted.key = Integer(1)"#,
        ]
    );
    assert_eq!(
        config(text).leaves[1].table_path(),
        "custom_api_server_headers[].name"
    );
}

#[test]
fn case_byte_order_mark_and_line_ending_make_no_difference() {
    let unix = "[Auth]\n  clientID = \"\"\"a\nb\"\"\"\n";
    let config_unix = config(unix);
    assert_eq!(config_unix.get("auth.clientid").unwrap().line, 2);
    assert_eq!(config_unix.leaves[0].display_path(), "Auth.clientID");
    let windows = format!("\u{feff}{}", unix.replace('\n', "\r\n"));
    assert_eq!(config(&windows), config_unix);
    assert_eq!(
        Config::parse_bytes("mke3.toml", windows.as_bytes()).unwrap(),
        config_unix
    );
    let utf16: Vec<u8> = windows.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(Config::parse_bytes("mke3.toml", &utf16).unwrap(), config_unix);
}

#[test]
fn a_plain_table_may_stand_for_an_array_of_one() {
    let text =
        "[registries]\nhost_address = \"msr\"\n[cluster_config.metallb_config.pool]\nname = \"a\"\n[auth]\n";
    let is_array = |path: &str| ["registries", "cluster_config.metallb_config.pool", "auth"].contains(&path);
    let paths: Vec<String> = config(text)
        .with_arrays(&is_array)
        .leaves
        .iter()
        .map(Leaf::display_path)
        .collect();
    assert_eq!(
        paths,
        [
            "registries[0].host_address",
            "cluster_config.metallb_config.pool[0].name",
            "auth"
        ]
    );
    let real = config("[[registries]]\nhost_address = \"msr\"\n");
    assert_eq!(real.clone().with_arrays(&is_array), real);
}

#[test]
fn a_header_that_is_given_a_value_is_explained() {
    check(
        toml_error("[cluster_config]\n  [cluster_config.custom_kube_api_server_flags] = [\"--canary=x\"]\n"),
        "mke3.toml:2:49: a table header in brackets cannot be given a value",
        "write it as a key below [cluster_config], before any [cluster_config.…]: \
         custom_kube_api_server_flags = [\"--flag=value\"]",
    );
}

#[test]
fn configurations_that_are_refused() {
    let export = "save the answer of GET /api/ucp/config-toml of your MKE 3 to this file";
    let wrong = "check that the right file was given and that it is not compressed or encrypted";
    let too_deep = "check that this is a configuration of MKE 3";
    let correct = "correct the TOML at this place, or export the configuration again";
    check(
        toml_error("[auth]\n  backend = \"ldap\"\n  Backend = \"managed\"\n"),
        "mke3.toml:3:3: \"Backend\" and \"backend\" on line 2 are the same key to MKE",
        "remove one of them: MKE 3 reads keys whatever their case",
    );
    check(
        toml_error("[auth]\nbackend = 1\n[pki]\n[AUTH]\n"),
        "mke3.toml:4:2: \"AUTH\" and \"auth\" on line 1 are the same key to MKE",
        "remove one of them: MKE 3 reads keys whatever their case",
    );
    check(
        toml_error("[auth]\nbackend = 1\nbackend = 2\n"),
        "mke3.toml:3:1: duplicate key",
        "remove one of the two, or join the two tables",
    );
    check(toml_error(""), "mke3.toml: the file is empty", export);
    check(
        toml_error("\u{feff} \n\n"),
        "mke3.toml: the file is empty",
        export,
    );
    check(
        toml_error("# nothing\n"),
        "mke3.toml: the file holds no setting",
        export,
    );
    check(
        toml_error("a = 1\nb\0 = 2"),
        "mke3.toml:2:2: binary data (a NUL byte), not text",
        wrong,
    );
    check(
        Config::parse_bytes("x/mke3.toml", b"[auth]\n  \xc3\xa4 = 1\n  b = \"\xe4\"\n"),
        "x/mke3.toml:3:8: byte 0xe4 is not UTF-8 text",
        "save the file as UTF-8, or fetch it again without a conversion in between",
    );
    check(
        Config::parse_bytes("mke3.toml", b"\x1f\x8b\x08\x00\x00"),
        "mke3.toml: binary data, not text",
        wrong,
    );
    check(
        Config::parse_bytes("mke3.toml", b"\xff\xfea"),
        "mke3.toml: the file starts as UTF-16 text and is not valid UTF-16",
        "save the file as UTF-8, or fetch it again without a conversion in between",
    );
    check(
        toml_error(&"# 56789\n".repeat(524_289)),
        "mke3.toml: 4194312 bytes are more than the 4 MiB that are read",
        "check that the right file was given",
    );
    let deep = |n: usize| format!("[{}]\nx = 1\n", vec!["a"; n].join("."));
    assert_eq!(config(&deep(31)).leaves.len(), 1);
    check(
        toml_error(&deep(32)),
        "mke3.toml:2:1: more than 32 tables inside each other",
        too_deep,
    );
    check(
        toml_error(&format!("\na = {}{}\n", "[".repeat(40), "]".repeat(40))),
        "mke3.toml:2:36: more than 32 lists inside each other",
        too_deep,
    );
    check(
        toml_error("[auth]\nn = 9223372036854775808\n"),
        "mke3.toml:2:5: the number does not fit into 64 bits",
        "write the value that MKE 3 shows for this key",
    );
    assert!(shown(toml_error("[auth]\nscimToken = canary\n")).starts_with("mke3.toml:2:13: "));
    assert!(shown(toml_error("[auth]\nscimToken = canary\n")).ends_with(correct));
    assert!(shown(toml_error("{\"auth\": 1}")).starts_with("mke3.toml:1:1: "));
    for depth in [1_000, 200_000] {
        for text in [
            deep(depth),
            format!("a = {}", "[".repeat(depth)),
            format!("a = {}", "{b=".repeat(depth)),
        ] {
            let error = shown(toml_error(&text));
            assert!(error.starts_with("mke3.toml:"), "{error}");
            assert!(
                error.contains(": more than 32 tables or lists inside each other\n"),
                "{error}"
            );
        }
    }
}

#[test]
fn errors_quote_no_value() {
    for text in [
        "scimToken = canary",
        "scimToken = \"canary\nx\"",
        "scimToken = \"canary\" \"canary\"",
        "scimToken = \"canary\\q\"",
        "scimToken = canary-1\n[a]\na=1\na=2",
        "password = 'canary",
        "[a] = \"canary\"",
    ] {
        assert!(
            !shown(toml_error(text)).contains("canary"),
            "{}",
            shown(toml_error(text))
        );
    }
}

#[test]
fn the_digest_changes_with_settings_and_not_with_secrets() {
    let is_secret = |leaf: &Leaf| leaf.table_path().ends_with("token");
    let digest = |text: &str| config(text).redacted_digest(&is_secret);
    let base = digest("[auth]\nbackend = \"ldap\"\nscimToken = \"canary-1\"\nl = [\"a\", \"b\"]\n");
    assert!(base.starts_with("sha256:") && base.len() == 71, "{base}");
    let same = [
        "[auth]\nbackend = \"ldap\"\nscimToken = \"canary-2\"\nl = [\"a\", \"b\"]\n",
        "# x\n[Auth]\nl = [\n\"a\",\n\"b\"]\nscimtoken = \"canary-1\"\nBackend = 'ldap'\n",
    ];
    for text in same {
        assert_eq!(digest(text), base, "{text}");
    }
    let other = [
        "[auth]\nbackend = \"managed\"\nscimToken = \"canary-1\"\nl = [\"a\", \"b\"]\n",
        "[auth]\nbackend = \"ldap\"\nscimToken = \"\"\nl = [\"a\", \"b\"]\n",
        "[auth]\nbackend = \"ldap\"\nl = [\"a\", \"b\"]\n",
        "[auth]\nbackend = \"ldap\"\nscimToken = \"canary-1\"\nl = [\"ab\"]\n",
        "[auth]\nbackend = \"ldap\"\nscimToken = \"canary-1\"\nl = [\"b\", \"a\"]\n",
        "[auth]\nbackend = \"ldap\"\nscimToken = \"canary-1\"\nl = [\"a\", \"b\"]\nx = 1\n",
    ];
    for text in other {
        assert_ne!(digest(text), base, "{text}");
    }
    assert_ne!(digest("a = 1"), digest("a = \"1\""));
    assert_ne!(digest("a = 1.0"), digest("a = 1"));
}

// ---- hosts.yaml

fn hosts(text: &str) -> Result<Hosts, InputError> {
    Hosts::parse("hosts.yaml", text)
}

#[test]
fn both_forms_of_a_host() {
    let flat = hosts(
        "hosts:\n  - address: 203.0.113.10\n    port: 2222\n    user: ubuntu\n    keyPath: ~/my keys/id\n    \
         privateAddress: fd00::1\n    hostname: m1\n    role: manager\n    labels: {zone: a}\n    bastion:\n      \
         address: jump.example.com\n      port: 2200\n      user: jump\n      keyPath: ~/.ssh/j\n\n  -\n    \
         address: worker.example.com\n    privateInterface: ens5\n",
    )
    .unwrap();
    let bastion = flat.entries[0].bastion.clone().unwrap();
    assert_eq!(
        (
            bastion.address.as_str(),
            bastion.port,
            bastion.user.as_str(),
            bastion.key_path.as_str()
        ),
        ("jump.example.com", 2200, "jump", "~/.ssh/j")
    );
    let first = &flat.entries[0];
    assert_eq!(
        (first.port, first.user.as_str(), first.key_path.as_str()),
        (2222, "ubuntu", "~/my keys/id")
    );
    assert_eq!(first.role, Some(mkectl::model::Role::Manager));
    assert_eq!(first.private_address.as_deref(), Some("fd00::1"));
    assert_eq!(
        (first.hostname.as_deref(), first.labels["zone"].as_str()),
        (Some("m1"), "a")
    );
    let second = &flat.entries[1];
    assert_eq!(
        (second.port, second.user.as_str(), second.key_path.as_str()),
        (22, "root", "~/.ssh/id_rsa")
    );
    assert_eq!(
        (second.role, second.private_interface.as_deref()),
        (None, Some("ens5"))
    );
    assert_eq!((first.line, second.line), (2, 17));

    let list = "hosts:\n- role: controller+worker\n  ssh: &ssh\n    address: 203.0.113.1\n    port: 2222\n    user: \
                ops\n    keyPath: k\n    bastion: {address: 203.0.113.9, port: 23}\n  installFlags:\n  - --profile=high\n  \
                noTaints: true\n- role: worker\n  ssh:\n    <<: *ssh\n    address: 203.0.113.2\n- {role: single, ssh: \
                {address: 203.0.113.3}}\n";
    let plain = hosts(list).unwrap();
    let indented: String = list.lines().map(|line| format!("  {line}\n")).collect();
    let whole = format!(
        "apiVersion: mke.mirantis.com/v1alpha1\nkind: MkeConfig\nmetadata: {{name: mke}}\nspec:\n{indented}  etcd: {{}}\n"
    );
    let mut whole = hosts(&whole).unwrap();
    for entry in &mut whole.entries {
        entry.line -= 4;
    }
    assert_eq!(plain, whole);
    let [a, b, c] = &plain.entries[..] else {
        panic!("{plain:?}")
    };
    assert_eq!((a.line, b.line, c.line), (2, 12, 16));
    assert_eq!(
        (a.install_flags.join(" "), a.no_taints),
        ("--profile=high".to_string(), true)
    );
    assert_eq!(
        (b.port, b.user.as_str(), b.bastion.as_ref().unwrap().port),
        (2222, "ops", 23)
    );
    use mkectl::model::Role::{Manager, Worker};
    assert_eq!(
        [a.role, b.role, c.role],
        [Some(Manager), Some(Worker), Some(Manager)]
    );
}

#[test]
fn line_endings_and_encodings_of_hosts_make_no_difference() {
    let text = read("everything", "hosts.yaml");
    let plain = hosts(&text).unwrap();
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(hosts(&windows).unwrap(), plain);
    let utf16: Vec<u8> = windows.encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(Hosts::parse_bytes("hosts.yaml", &utf16).unwrap(), plain);
}

#[test]
fn hosts_that_are_refused() {
    let example =
        "list the hosts: `hosts:`, and below it `- address: 203.0.113.10` with port, user and keyPath";
    let host = |lines: &str| format!("# hosts\nhosts:\n  - address: 203.0.113.10\n{lines}");
    let cases: &[(&str, &str, &str)] = &[
        (
            "    keypath: x\n",
            "4:5: unknown key \"keypath\" in a host",
            "did you mean \"keyPath\"?",
        ),
        (
            "    adress: x\n",
            "4:5: unknown key \"adress\" in a host",
            "did you mean \"address\"?",
        ),
        (
            "    frobnicate: x\n",
            "4:5: unknown key \"frobnicate\" in a host",
            "use one of address, port, user, keyPath, privateAddress, privateInterface, hostname, labels, bastion, \
             role, installFlags, noTaints",
        ),
        (
            "    bastion:\n      address: b\n      usr: x\n",
            "6:7: unknown key \"usr\" in a bastion",
            "did you mean \"user\"?",
        ),
        (
            "    address: b\n",
            "4:5: the key \"address\" is given twice, first on line 3",
            "remove one of the two",
        ),
        (
            "  - address: 203.0.113.11\n  - port: 22\n    address: 203.0.113.10\n",
            "6:14: address \"203.0.113.10\" is also that of the host on line 3",
            "remove one of the two entries, or correct one",
        ),
        (
            "  - {address: h.example.com}\n  - {port: 1, address: H.Example.com.}\n",
            "5:24: address \"H.Example.com.\" is also that of the host on line 4",
            "remove one of the two entries, or correct one",
        ),
        (
            "    hostname: x\n  - address: b\n    hostname: x\n",
            "6:15: hostname \"x\" is also that of the host on line 3",
            "remove one of the two entries, or correct one",
        ),
        (
            "    privateAddress: 172.31.0.1\n  - address: b\n    privateAddress: 172.31.0.1\n",
            "6:21: privateAddress \"172.31.0.1\" is also that of the host on line 3",
            "remove one of the two entries, or correct one",
        ),
        (
            "  - user: x\n",
            "4:5: the host has no address",
            "add `address:` with an IP address or a host name",
        ),
        (
            "  - address:\n",
            "4:5: address has no value",
            "give one, or remove the key",
        ),
        (
            "    port: 0\n",
            "4:11: port 0 does not exist",
            "give a port from 1 to 65535",
        ),
        (
            "    port: 65536\n",
            "4:11: port 65536 does not exist",
            "give a port from 1 to 65535",
        ),
        (
            "    port: -1\n",
            "4:11: port -1 does not exist",
            "give a port from 1 to 65535",
        ),
        (
            "    port: \"22\"\n",
            "4:11: port is text",
            "give a number without quotes",
        ),
        (
            "    port: 22.0\n",
            "4:11: port is a number",
            "give a number without quotes",
        ),
        (
            "    port:\n",
            "4:10: port is nothing",
            "give a number without quotes",
        ),
        (
            "    user: 1000\n",
            "4:11: user is a number",
            "give text; put it in quotes",
        ),
        (
            "    user: \"-oProxyCommand=x\"\n",
            "4:11: user \"-oProxyCommand=x\" is not one name",
            "correct it",
        ),
        (
            "    hostname: a b\n",
            "4:15: hostname \"a b\" is not one name",
            "correct it",
        ),
        (
            "    hostname: \"a\\eb\"\n",
            "4:15: hostname holds a control character",
            "remove it",
        ),
        (
            "    labels: x\n",
            "4:13: labels is text",
            "give a mapping of keys to values",
        ),
        (
            "    labels: {a: 1}\n",
            "4:17: label \"a\" is a number, not text",
            "put the value in quotes",
        ),
        (
            "    labels: {1: a}\n",
            "4:14: a key must be text, this is a number",
            "put the key in quotes",
        ),
        (
            "    bastion: x\n",
            "4:14: text where a bastion is needed",
            example,
        ),
        (
            "    bastion: {user: x}\n",
            "4:15: the bastion has no address",
            "add `address:` with an IP address or a host name",
        ),
        (
            "    role: workre\n",
            "4:11: unknown role \"workre\"",
            "did you mean \"worker\"?",
        ),
        (
            "    noTaints: yes\n",
            "4:15: noTaints is text",
            "give `true` or `false`",
        ),
        (
            "    installFlags: x\n",
            "4:19: installFlags is text",
            "give a list of flags",
        ),
        (
            "    installFlags: [x]\n",
            "4:20: this is not a flag",
            "write each flag as `- \"--name=value\"`",
        ),
        (
            "    ssh: {address: 203.0.113.10}\n",
            "3:5: `address` stands beside `ssh`",
            "move it below `ssh:`, or give all keys without `ssh:`",
        ),
        (
            "    privateInterface: ens5\n    privateAddress: 172.31.0.1\n",
            "4:5: privateInterface and privateAddress exclude each other",
            "keep one of them: the interface is how the address is found",
        ),
        (
            "    privateAddress: ens5\n",
            "4:21: privateAddress \"ens5\" is not an IP address",
            "give the address that the host has in the cluster's network",
        ),
        ("  - 203.0.113.11\n", "4:5: text where a host is needed", example),
        (
            "  - address: root@h\n",
            "4:14: address \"root@h\" holds a user name",
            "put the user into `user:`",
        ),
        (
            "  - address: h:22\n",
            "4:14: address \"h:22\" holds a port",
            "put the port into `port:`",
        ),
        (
            "  - address: ssh://h\n",
            "4:14: address \"ssh://h\" is a URL",
            "write the host name alone",
        ),
        (
            "  - address: \"[::1]:22\"\n",
            "4:14: address \"[::1]:22\" is in brackets",
            "write the IPv6 address without brackets, and the port into `port:`",
        ),
        (
            "  - address: 203.0.113.300\n",
            "4:14: address \"203.0.113.300\" is neither an IP address nor a host name",
            "correct the address",
        ),
        (
            "  - address: -oProxyCommand=x\n",
            "4:14: address \"-oProxyCommand=x\" is neither an IP address nor a host name",
            "correct the address",
        ),
        (
            "\tport: 22\n",
            "4:1: a tab in the indentation",
            "indent with spaces: YAML allows no tabs there",
        ),
        (
            "    user: !x y\n",
            "4:5: a value with a tag (`!…`)",
            "write plain values without a tag",
        ),
        (
            "---\nhosts: []\n",
            "4:1: a second document starts here",
            "keep one document in the file: remove the `---` line and what does not belong to it",
        ),
    ];
    for (lines, message, help) in cases {
        check(hosts(&host(lines)), &format!("hosts.yaml:{message}"), help);
    }

    check(hosts(""), "hosts.yaml: the file is empty", example);
    check(hosts("# nothing\n"), "hosts.yaml: the file is empty", example);
    check(
        hosts("hosts: []\n"),
        "hosts.yaml:1:1: the list of hosts is empty",
        example,
    );
    check(
        hosts("---\nhosts:\n"),
        "hosts.yaml:2:1: the list of hosts is empty",
        example,
    );
    check(
        hosts("hosts: x\n"),
        "hosts.yaml:1:8: text where the list of hosts is needed",
        example,
    );
    check(
        hosts("spec: {}\n"),
        "hosts.yaml:1:1: there is no `hosts:`",
        example,
    );
    check(
        hosts("- address: a\n"),
        "hosts.yaml:1:3: the list of hosts stands alone",
        "put `hosts:` above it",
    );
    check(
        hosts("host:\n- address: a\n"),
        "hosts.yaml:1:1: unknown key \"host\" in a file with `hosts:`",
        "did you mean \"hosts\"?",
    );
    check(
        hosts("hosts:\n  - address: \"a\n"),
        "hosts.yaml:3:1: found unexpected end of stream",
        "correct the YAML at this place: check indentation, quotes and colons",
    );
    check(
        hosts("hosts:\n- address: \u{7}\n"),
        "hosts.yaml:2:12: a control character",
        "remove it, or write it as an escape in quotes",
    );
    check(
        hosts("hosts: &a\n- address: *b\n"),
        "hosts.yaml:2:12: unknown anchor",
        "correct the YAML at this place: check indentation, quotes and colons",
    );
    check(
        Hosts::parse_bytes("hosts.yaml", b"hosts:\n- address: \xff\n"),
        "hosts.yaml:2:12: byte 0xff is not UTF-8 text",
        "save the file as UTF-8, or fetch it again without a conversion in between",
    );
    check(
        hosts(&"#234567\n".repeat(600_000)),
        "hosts.yaml: 4800000 bytes are more than the 4 MiB that are read",
        "check that the right file was given",
    );
}

#[test]
fn bombs_end_quickly() {
    let started = std::time::Instant::now();
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_string();
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![below; 10].join(", "));
    }
    let error = shown(hosts(&(bomb + "hosts: *a11\n")));
    assert!(error.starts_with("hosts.yaml:1:"), "{error}");
    assert!(
        error.contains("aliases multiply the text too often\n  help: write the repeated parts out"),
        "{error}"
    );
    for (text, place) in [
        ("[".repeat(1 << 20), "1:1"),
        ("{a: ".repeat(1 << 18), "1:1"),
        (format!("hosts:\n{}", "- ".repeat(1 << 19)), "1:1"),
    ] {
        let error = shown(hosts(&text));
        assert!(error.starts_with(&format!("hosts.yaml:{place}")), "{error}");
        assert!(
            error.contains("more than 32 lists or mappings inside each other"),
            "{error}"
        );
    }
    assert!(shown(hosts("a: &a [*a]\n")).contains("hosts.yaml:1:"));
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn many_hosts_keep_their_lines() {
    let mut text = "hosts:\n".to_string();
    for n in 0..3000 {
        text += &format!(
            "  # host {n}\n  - user: x\n    address: 10.{}.{}.1\n",
            n / 256,
            n % 256
        );
    }
    let hosts = hosts(&text).unwrap();
    assert_eq!(hosts.entries.len(), 3000);
    for (n, entry) in hosts.entries.iter().enumerate() {
        assert_eq!(entry.line as usize, 3 * n + 3);
    }
}

// ---- recordings

const HEAD: &str = "{\n  \"kind\": \"mkectl.facts\",\n  \"format_version\": \"1.0\",\n";
const ACCOUNTS_HEAD: &str = "{\n  \"kind\": \"mkectl.accounts\",\n  \"format_version\": \"1.0\",\n";

fn facts(text: &str) -> Result<Facts, InputError> {
    Facts::parse("facts.json", text.as_bytes())
}

#[test]
fn recordings_that_are_refused() {
    let record = "record the facts again with `mkectl facts`";
    let correct = "correct the value, or record again";
    let cases: &[(&str, &str, &str)] = &[
        (
            "  \"hosts\": [{\"address\": \"a\", \"docker\": {\n    \"versoin\": \"1\"}}]\n}",
            "5:5: $.hosts[0].docker.versoin: unknown key \"versoin\"",
            "did you mean \"version\"?",
        ),
        (
            "  \"hosts\": [],\n  \"hosts\": []\n}",
            "5:3: $.hosts: the key is given twice",
            "remove one of the two",
        ),
        (
            "  \"hosts\": [{}, {\"os\": {\"id\": \"a\",\n \"id\": \"b\"}}]\n}",
            "5:2: $.hosts[1].os.id: the key is given twice",
            "remove one of the two",
        ),
        (
            "  \"cluster\": {}\n}",
            "1:1: $: the key \"hosts\" is missing",
            record,
        ),
        (
            "  \"hosts\": [{\"address\": \"a\",\n\"cpus\": \"8\"}]\n}",
            "5:9: $.hosts[0].cpus: text where a whole number is needed",
            correct,
        ),
        (
            "  \"hosts\": {}\n}",
            "4:3: $.hosts: an object where a list is needed",
            correct,
        ),
        (
            "  \"hosts\": [{\"address\": null}]\n}",
            "4:25: $.hosts[0].address: nothing where text is needed",
            correct,
        ),
        (
            "  \"hosts\": [{\"address\": \"a\", \"role\": \"mangaer\"}]\n}",
            "4:38: $.hosts[0].role: \"mangaer\" is not known here",
            "did you mean \"manager\"?",
        ),
        (
            "  \"hosts\": [{\"address\": \"a\", \"memory_bytes\": \"8G\"}]\n}",
            "4:46: $.hosts[0].memory_bytes: \"8G\" is not a size in bytes, written as digits",
            correct,
        ),
        (
            "  \"hosts\": [{\"address\": \"a\"},\n{\"address\": \"A\"}]\n}",
            "5:2: $.hosts[1].address: $.hosts[0] has the same address",
            "keep the newer entry of the two",
        ),
        (
            "  \"hosts\": [{\"cpus\": 1}]\n}",
            "4:13: $.hosts[0]: the host has no address",
            "give every host the address that hosts.yaml has",
        ),
        (
            "  \"hosts\": [{\"address\": \"a\", \"host_keys\": [\"SHA256:x\"]}]\n}",
            "4:44: $.hosts[0].host_keys[0]: not a fingerprint of the form SHA256:…",
            record,
        ),
        (
            "  \"hosts\": [{\"address\": \"a\", \"listening\": {\"ssh\": \"sshd\"}}]\n}",
            "4:30: $.hosts[0].listening: \"ssh\" is not a port",
            record,
        ),
        (
            "  \"hosts\": [{\"address\": \"a\", \"private_address\": \"eth0\"}]\n}",
            "4:30: $.hosts[0].private_address: \"eth0\" is not an IP address",
            record,
        ),
        (
            "  \"hosts\": [{\"address\": \"a\", \"os\": [\"ubuntu\"]}]\n}",
            "4:30: $.hosts[0].os: a list where an object is needed",
            correct,
        ),
        (
            "  \"hosts\": [[\"a\"]]\n}",
            "4:13: $.hosts[0]: a list where an object is needed",
            correct,
        ),
        ("  \"hosts\": [", "4:12: the file ends in the middle", record),
        ("  \"hosts\": [,]}", "4:13: not JSON: expected value", record),
        (
            "  \"hosts\": []\n} x",
            "5:3: not JSON: trailing characters",
            record,
        ),
    ];
    for (rest, message, help) in cases {
        check(
            facts(&format!("{HEAD}{rest}")),
            &format!("facts.json:{message}"),
            help,
        );
    }
    check(facts(""), "facts.json: the file is empty", record);
    check(
        facts("[]"),
        "facts.json: another file, where kind \"mkectl.facts\" is needed",
        record,
    );
    check(
        facts("{\"hosts\": []}"),
        "facts.json: a file without \"kind\", where kind \"mkectl.facts\" is needed",
        record,
    );
    check(
        facts("{\"format_version\": \"1.0\",\n \"kind\": \"mkectl.accounts\"}"),
        "facts.json:2:2: a file of kind \"mkectl.accounts\", where kind \"mkectl.facts\" is needed",
        record,
    );
    for (version, message, help) in [
        (
            "\"2.0\"",
            "format version 2.x, where 1.x is read",
            "use the mkectl that wrote the file, or a newer one",
        ),
        ("\"0.9\"", "format version 0.x, where 1.x is read", record),
        (
            "\"1\"",
            "\"format_version\" is missing or not of the form \"1.0\"",
            record,
        ),
        (
            "1.0",
            "\"format_version\" is missing or not of the form \"1.0\"",
            record,
        ),
    ] {
        let text = format!("{{\"kind\": \"mkectl.facts\",\n \"format_version\": {version}}}");
        check(facts(&text), &format!("facts.json:2:2: {message}"), help);
    }
    let error = shown(facts(&format!("{HEAD}\"hosts\": {}", "[".repeat(100_000))));
    assert!(
        error.contains("more than 32 lists or objects inside each other"),
        "{error}"
    );
}

#[test]
fn recordings_may_be_utf_16_or_have_a_byte_order_mark() {
    let text = read("minimal", "facts.json");
    let plain = facts(&text).unwrap();
    let marked = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let little: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = marked.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for bytes in [marked.as_bytes(), &little, &big] {
        assert_eq!(Facts::parse("facts.json", bytes).unwrap(), plain);
    }
}

#[test]
fn accounts_that_are_refused() {
    let record = "record the accounts again";
    let cases: &[(&str, &str, &str)] = &[
        (
            "\"users\": [{\"name\": \"bob\"},\n {\"name\": \"bob\"}]}",
            "5:3: $.users[1].name: \"bob\" is also $.users[0]",
            record,
        ),
        (
            "\"users\": [{\"name\": \"bob\"}],\n\"organizations\": [{\"name\": \"bob\"}]}",
            "5:20: $.organizations[0].name: \"bob\" is also $.users[0]",
            record,
        ),
        (
            "\"users\": [{\"name\": \"\"}]}",
            "4:12: $.users[0].name: the name is empty",
            record,
        ),
        (
            "\"users\": [{\"name\": \"bob\", \"password\": \"$2a$10$canary\"}]}",
            "4:27: $.users[0].password: this says how the password is hashed: bcrypt, pbkdf2 or none",
            "remove the value, and never put a password or a hash into this file",
        ),
        (
            "\"users\": [],\n\"organizations\": [{\"name\": \"o\", \"teams\": [{\"name\": \"t\"}, {\"name\": \"t\"}]}]}",
            "5:59: $.organizations[0].teams[1].name: \"t\" is also $.organizations[0].teams[0]",
            record,
        ),
        (
            "\"users\": [],\n\"organizations\": [{\"name\": \"o\", \"teams\": [{\"name\": \"t\", \"members\": [{\"user\": \"bill\"}]}]}]}",
            "5:70: $.organizations[0].teams[0].members[0].user: there is no user \"bill\"",
            "record the accounts again: the list of users looks incomplete",
        ),
        (
            "\"users\": [{\"name\": \"bob\"}],\n\"organizations\": [{\"name\": \"o\", \"members\": [{\"user\": \"bob\"}, {\"user\": \"bob\"}]}]}",
            "5:63: $.organizations[0].members[1].user: \"bob\" is also $.organizations[0].members[0]",
            record,
        ),
        (
            "\"users\": [],\n\"roles\": [{\"id\": \"a\", \"name\": \"A\"}, {\"id\": \"a\", \"name\": \"B\"}]}",
            "5:38: $.roles[1].id: \"a\" is also $.roles[0]",
            record,
        ),
        (
            "\"users\": [],\n\"grants\": [{\"subject\": {\"team\": \"dev\"}, \"role\": \"none\", \"collection\": \"/\"}]}",
            "5:13: $.grants[0].subject: \"dev\" is not of the form organization:team",
            record,
        ),
        (
            "\"users\": [],\n\"bindings\": [{\"name\": \"b\", \"role_kind\": \"Role\", \"role\": \"r\", \"subjects\": []}]}",
            "5:28: $.bindings[0].role_kind: a ClusterRoleBinding cannot name a Role",
            "give the binding its namespace",
        ),
        (
            "\"users\": [],\n\"ldap\": {\"readerPassword\": \"canary\"}}",
            "5:10: $.ldap.readerPassword: a secret has no place in this file",
            "remove the key: the reader's password is asked for when it is needed",
        ),
        (
            "\"users\": [],\n\"bindings\": [{\"name\": \"b\", \"role_kind\": \"ClusterRole\", \"role\": \"r\", \"subjects\": [{\"usr\": \"x\"}]}]}",
            "5:83: $.bindings[0].subjects[0].usr: \"usr\" is not known here",
            "did you mean \"user\"?",
        ),
    ];
    for (rest, message, help) in cases {
        let text = format!("{ACCOUNTS_HEAD}{rest}");
        check(
            Accounts::parse("accounts.json", text.as_bytes()),
            &format!("accounts.json:{message}"),
            help,
        );
    }
}

#[test]
fn what_a_live_cluster_may_hold_is_read() {
    let text = format!(
        "{ACCOUNTS_HEAD}\"users\": [{{\"name\": \"a\"}}], \"organizations\": [\
         {{\"name\": \"o\", \"teams\": [{{\"name\": \"dev\"}}]}}, {{\"name\": \"p\", \"teams\": [{{\"name\": \"dev\"}}, {{\"name\": \"Dev\"}}]}}],\
         \"grants\": [{{\"subject\": {{\"user\": \"gone\"}}, \"role\": \"gone\", \"collection\": \"/\"}}],\
         \"bindings\": [{{\"name\": \"b\", \"namespace\": \"x\", \"role_kind\": \"Role\", \"role\": \"r\", \"subjects\": [{{\"team\": \"o:a:b\"}}]}}]}}"
    );
    let accounts = Accounts::parse("accounts.json", text.as_bytes()).unwrap();
    assert_eq!(accounts.organizations[1].teams.len(), 2);
    let text = format!(
        "{HEAD}\"hosts\": [{{\"address\": \"a\", \"hostname\": \"x\", \"machine_id\": \"1\"}}, \
         {{\"address\": \"b\", \"hostname\": \"x\", \"machine_id\": \"1\"}}]}}"
    );
    assert_eq!(facts(&text).unwrap().hosts.len(), 2);
}

// ---- nothing panics

/// Places an edit and says what to put there.
fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, Vec<u8>)>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        prop::sample::select(vec![
            "\"",
            "'",
            "[",
            "]",
            "{",
            "}",
            "[[",
            "]]",
            "= ",
            ": ",
            "\n",
            "- ",
            "\t",
            "#",
            "*a",
            "&a ",
            "<<: *a\n",
            "!x ",
            "|\n",
            "---\n",
            "null",
            "\\",
            ",",
            "\u{feff}",
            "\r",
            "\\u0000",
            "1e999",
            "é",
            "? ",
            "...\n",
            "%YAML 1.1\n"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), 0_u8..12, piece), 1..6)
}

fn edit(text: &str, edits: Vec<(prop::sample::Index, u8, Vec<u8>)>) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (index, cut, piece) in edits {
        let at = index.index(bytes.len() + 1);
        let end = (at + cut as usize).min(bytes.len());
        bytes.splice(at..end, piece);
    }
    bytes
}

/// Runs all parsers; an error must name the file, and a place inside it.
fn survive(bytes: &[u8]) {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u32 + 2;
    let errors = [
        Config::parse_bytes("f", bytes).err(),
        Hosts::parse_bytes("f", bytes).err(),
        Facts::parse("f", bytes).err(),
        Accounts::parse("f", bytes).err(),
    ];
    for error in errors.into_iter().flatten() {
        assert_eq!(error.file, "f");
        assert!(!error.message.is_empty() && !error.remedy.is_empty(), "{error:?}");
        assert!(
            !error.message.ends_with('.') && !error.remedy.ends_with('.'),
            "{error:?}"
        );
        assert!(
            !error
                .to_string()
                .replace("\n  help: ", "")
                .contains(char::is_control),
            "{error:?}"
        );
        if let Some((line, column)) = error.at {
            assert!(
                line >= 1 && column >= 1 && line <= lines,
                "{error:?} of {lines} lines"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survive(&bytes);
    }

    #[test]
    fn random_punctuation_never_panics(text in "[\\[\\]{}:,\"'#&*!|>?\n \t=a1.\\-]{0,60}") {
        survive(text.as_bytes());
    }

    #[test]
    fn changed_inputs_never_panic(
        cluster in prop::sample::select(vec!["minimal", "blocked"]),
        file in prop::sample::select(vec!["mke3.toml", "hosts.yaml", "facts.json", "accounts.json"]),
        edits in edits(),
    ) {
        survive(&edit(&read(cluster, file), edits));
    }
}
