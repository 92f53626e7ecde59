//! YAML that readers of 1.1 and 1.2 understand alike.

use super::{cluster, document, options};
use mkectl::yaml::{self, Node};
use proptest::prelude::*;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Strings that a reader of YAML 1.1 or 1.2 takes for something else, or that break a careless writer.
const TORTURE: [&str; 98] = [
    "",
    " ",
    "no",
    "No",
    "NO",
    "yes",
    "Yes",
    "on",
    "Off",
    "y",
    "Y",
    "n",
    "N",
    "true",
    "True",
    "FALSE",
    "null",
    "Null",
    "~",
    "nil",
    ".inf",
    "-.INF",
    ".nan",
    "0",
    "-0",
    "+1",
    "1_000",
    "0x1F",
    "0o7",
    "0123",
    "0b101",
    "1e3",
    "1.5e+3",
    "1.0",
    ".5",
    "5.",
    "1:20",
    "12:30:45",
    "-190:20:30",
    "1.2.3",
    "2001-01-01",
    "2001-12-14t21:59:43.10-05:00",
    "2001-12-14 21:59:43",
    "=",
    "<<",
    "!tag",
    "&anchor",
    "*alias",
    "|",
    ">",
    "%TAG",
    "@at",
    "`tick",
    "'",
    "\"",
    "'quoted'",
    "\"quoted\"",
    "a: b",
    "a:",
    ":a",
    "a #b",
    "#a",
    "- a",
    "-",
    "--- a",
    "---",
    "...",
    "? a",
    "?",
    "[a]",
    "{a}",
    "a, b",
    "a\tb",
    "\ta",
    " lead",
    "trail ",
    "a\nb",
    "a\nb\n",
    "a\n\nb\n\n",
    "\na",
    " a\nb",
    "a\n b\n",
    "a\r\nb",
    "a\r",
    "\u{85}x",
    "x\u{2028}y",
    "\u{feff}",
    "\u{0}",
    "\u{7f}",
    "\u{1b}[31m",
    "grüße",
    "日本語",
    "🚀",
    "\u{202e}evil",
    "10.0.0.0/16",
    "30000-32767",
    "8GB",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
];

fn torture() -> Node {
    let mut strings: Vec<String> = TORTURE.iter().map(|text| (*text).to_owned()).collect();
    strings.push("long ".repeat(3000));
    strings.push("k".repeat(2000));
    let mut keys = Node::map();
    for (i, text) in strings.iter().enumerate() {
        keys.insert(text, Node::Int(i64::try_from(i).unwrap()));
    }
    let values: Vec<Node> = strings.iter().map(|text| Node::Str(text.clone())).collect();
    let mut nested = Node::map();
    for (i, text) in strings.iter().enumerate() {
        let mut inner = Node::map();
        inner.insert("value", Node::Str(text.clone()));
        inner.insert("after", Node::Bool(true));
        let list = Node::List(vec![
            Node::List(vec![inner.clone(), Node::Null]),
            inner,
            Node::map(),
            Node::List(vec![]),
        ]);
        nested.insert(&format!("key-{i}"), list);
    }
    let mut root = Node::map();
    root.insert("keys", keys);
    root.insert("values", Node::List(values));
    root.insert("nested", nested);
    root
}

/// What PyYAML, the most used reader of YAML 1.1, makes of a text, as JSON.
fn read_by_yaml_1_1(text: &str) -> serde_json::Value {
    let script =
        "import sys, json, yaml\njson.dump(yaml.safe_load(sys.stdin.buffer.read().decode()), sys.stdout)";
    let mut child = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 with python3-yaml is needed for this test");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "python3-yaml is missing, or refuses:\n{text}"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn yaml_reads_the_same_in_1_1_and_1_2() {
    let node = torture();
    let text = yaml::write(&node);
    assert_eq!(yaml::embedded::<Node>(&text).unwrap(), node);
    assert_eq!(read_by_yaml_1_1(&text), serde_json::to_value(&node).unwrap());
    // Each alone, so that one cannot hide another.
    for text in TORTURE {
        let node = Node::Str(text.to_owned());
        assert_eq!(
            yaml::embedded::<Node>(&yaml::write(&node)).unwrap(),
            node,
            "{text:?}"
        );
    }
}

#[test]
fn yaml_of_whole_documents_reads_the_same() {
    for schema in ["4.1.0", "4.1.3", "4.2"] {
        let node = document(&cluster("everything"), schema, &[], &options());
        let text = yaml::write(&node);
        assert_eq!(yaml::embedded::<Node>(&text).unwrap(), node);
        assert_eq!(read_by_yaml_1_1(&text), serde_json::to_value(&node).unwrap());
    }
}

#[test]
fn yaml_looks_as_people_write_it() {
    let node: Node = yaml::embedded(
        "{a: [1, {b: x, c: [z]}, []], m: {}, t: \"one\\ntwo\\n\", u: \"one\\ntwo\", n: \"no\", cidr: 10.0.0.0/16, v: v4.2.1, s: a b}",
    )
    .unwrap();
    let expected = "a:\n- 1\n- b: x\n  c:\n  - z\n- []\ncidr: 10.0.0.0/16\nm: {}\n\"n\": \"no\"\ns: a b\nt: |\n  one\n  two\nu: |-\n  one\n  two\nv: v4.2.1\n";
    assert_eq!(yaml::write(&node), expected);
}

fn any_node() -> impl Strategy<Value = Node> {
    let text = prop_oneof![
        any::<String>(),
        "[0-9a-fxob_.:+\\-eE ]{0,12}",
        "[a-zA-Z0-9:#&*!|>'\"%@`, \\n\\t-]{0,20}",
        proptest::sample::select(TORTURE.to_vec()).prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Node::Null),
        any::<bool>().prop_map(Node::Bool),
        any::<i64>().prop_map(Node::Int),
        text.clone().prop_map(Node::Str),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Node::List),
            proptest::collection::btree_map(text.clone(), inner, 0..6).prop_map(Node::Map),
        ]
    })
}

/// Strings that only a reader of 1.1 takes for something else: the resolvers of the specification of 1.1, by hand.
fn resolves_in_1_1(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let words = [
        "", "~", "null", "y", "n", "yes", "no", "on", "off", "true", "false", "=", "<<", ".inf", "+.inf",
        "-.inf", ".nan",
    ];
    let number = text.trim_start_matches(['+', '-']);
    let digits = |text: &str, allowed: &str| {
        text.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && text.chars().all(|c| c.is_ascii_digit() || allowed.contains(c))
            && text.contains(|c: char| c.is_ascii_digit())
    };
    words.contains(&lower.as_str())
        || digits(number, "_.:,")
        || digits(number, "_.eE+-")
        || (number.starts_with("0x") && number[2..].chars().all(|c| c.is_ascii_hexdigit() || c == '_'))
        || (number.starts_with("0b") && number[2..].chars().all(|c| "01_".contains(c)))
        || (text.len() >= 8
            && text.as_bytes()[..4].iter().all(u8::is_ascii_digit)
            && text.as_bytes()[4] == b'-')
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_survives_writing(node in any_node()) {
        let text = yaml::write(&node);
        prop_assert_eq!(&yaml::embedded::<Node>(&text).unwrap(), &node, "{}", text);
        prop_assert_eq!(yaml::write(&node), text);
    }

    #[test]
    fn what_1_1_would_resolve_is_quoted(text in "[0-9a-fxonyesNOYESulltr_.:+=<~\\-]{0,10}") {
        let written = yaml::write(&Node::Str(text.clone()));
        if resolves_in_1_1(&text) {
            prop_assert!(written.starts_with('"'), "{}", written);
        }
    }

    #[test]
    fn any_flow_value_is_one_line(node in any_node()) {
        let text = yaml::flow(&node);
        prop_assert!(!text.contains('\n'));
        prop_assert_eq!(&yaml::embedded::<Node>(&text).unwrap(), &node, "{}", text);
    }
}
