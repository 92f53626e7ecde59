//! The saved plan: canonical form, digest, strict reader, writer.

#![allow(clippy::unwrap_used)]

use crate::support::plan_of;
use mkectl::model::{PLAN_FORMAT, Plan};
use mkectl::plan::{PlanError, digest, read, write};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::OnceLock;

fn json_of(plan: &Plan) -> Value {
    serde_json::to_value(plan).unwrap()
}

fn refused(text: &str) -> PlanError {
    match read(text.as_bytes()) {
        Ok(_) => panic!("accepted"),
        Err(error) => error,
    }
}

/// A plan changed by hand, with a digest that fits.
fn resealed(change: impl FnOnce(&mut Value)) -> String {
    let mut plan = json_of(&plan_of("minimal"));
    change(&mut plan);
    plan["digest"] = json!(digest::digest(&plan["spec"]).unwrap());
    plan.to_string()
}

#[test]
fn what_is_written_is_read_back() {
    for cluster in ["minimal", "three-managers", "everything", "blocked"] {
        let plan = plan_of(cluster);
        let text = write(&plan).unwrap();
        assert_eq!(read(&text).unwrap(), plan, "{cluster}");
        let compact = serde_json::to_string(&plan).unwrap();
        assert_eq!(
            read(compact.as_bytes()).unwrap().digest,
            plan.digest,
            "form does not matter"
        );
    }
}

#[test]
fn one_row_a_line() {
    let text = String::from_utf8(write(&plan_of("three-managers")).unwrap()).unwrap();
    let row = text
        .lines()
        .find(|line| line.contains("\"id\":\"worker-01/join-worker\""))
        .unwrap();
    let row: Value = serde_json::from_str(row.trim().trim_end_matches(',')).unwrap();
    assert_eq!(row["step"], "join-worker");
    assert!(text.ends_with("}\n"));
}

#[test]
fn every_flipped_byte_of_spec_is_noticed() {
    let text = String::from_utf8(write(&plan_of("minimal")).unwrap()).unwrap();
    let start = text.find("\"spec\"").unwrap() + "\"spec\": {".len();
    let end = text.rfind("\"meta\"").unwrap();
    let bytes = text.as_bytes();
    let mut tried = 0;
    for at in (start..end).step_by(97) {
        if !bytes[at].is_ascii_alphanumeric() {
            continue;
        }
        let mut flipped = bytes.to_vec();
        flipped[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
        assert!(
            read(&flipped).is_err(),
            "byte {at}: {:?}",
            &text[at.saturating_sub(20)..at + 20]
        );
        tried += 1;
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn each_fault_has_its_own_sentence() {
    let text = String::from_utf8(write(&plan_of("minimal")).unwrap()).unwrap();
    let digest_line = text.lines().find(|line| line.contains("\"digest\"")).unwrap();
    let changed = text.replace(digest_line, " \"digest\": \"sha256:00\",");
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "empty or cut off"),
        (" \n".into(), "empty or cut off"),
        (text[..text.len() / 2].into(), "empty or cut off"),
        ("[]".into(), "does not fit"),
        (
            "{\"kind\":\"other\"}".into(),
            "this is not a plan: its kind is \"other\"",
        ),
        (
            text.replacen("\"format_version\": \"1.0\"", "\"format_version\": \"2.0\"", 1),
            "the plan has format 2.0",
        ),
        (
            text.replacen("\"format_version\": \"1.0\"", "\"format_version\": \"x\"", 1),
            "the plan has format x",
        ),
        (
            text.replacen("\"kind\":", "\"kind\": \"mkectl.plan\",\n \"kind\":", 1),
            "the key \"kind\" stands twice",
        ),
        (
            text.replacen("\"applyable\": ", "\"applyable\": false,\"applyable\": ", 1),
            "the key \"applyable\" stands twice",
        ),
        (
            text.replacen("\"total_s\": ", "\"total_s\": 0.5,\"x\": ", 1),
            "0.5 is not an integer",
        ),
        (
            text.replacen("\"total_s\": ", "\"total_s\": 9007199254740993,\"x\": ", 1),
            "not an integer within",
        ),
        (changed, "the plan was changed after it was made"),
        (
            resealed(|plan| plan["spec"]["intent"]["extra"] = json!(1)),
            "does not know: spec.intent.extra",
        ),
        (
            resealed(|plan| plan["spec"]["actions"][0]["run"] = json!("rm")),
            "does not know: spec.actions.0.run",
        ),
        (
            resealed(|plan| plan["spec"]["hosts"] = json!("x")),
            "does not fit format 1.0",
        ),
        (
            format!("{}1{}", "[".repeat(70), "]".repeat(70)),
            "nested too deeply",
        ),
        ("\u{0}\u{1}".into(), "the plan is not valid"),
    ];
    for (text, expected) in cases {
        let error = refused(&text);
        assert!(
            error.to_string().contains(expected),
            "wanted {expected:?}, got {error}"
        );
        assert!(!error.remedy().is_empty());
    }
    assert!(
        matches!(read(b"\xff\xfe\x00\xd8\x00\x00"), Err(PlanError::Json(_))),
        "broken UTF-16"
    );
}

#[test]
fn a_newer_minor_may_add_fields_and_its_digest_covers_them() {
    let newer = resealed(|plan| {
        plan["format_version"] = json!("1.7");
        plan["spec"]["added"] = json!({"later": true});
    });
    assert_eq!(read(newer.as_bytes()).unwrap().format_version, "1.7");
    let forged = newer.replace("\"later\":true", "\"later\":false");
    assert!(matches!(refused(&forged), PlanError::Digest { .. }));
    assert_eq!(PLAN_FORMAT, "1.0");
}

#[test]
fn byte_order_marks_and_utf16_are_read() {
    let plan = plan_of("minimal");
    let text = String::from_utf8(write(&plan).unwrap()).unwrap();
    let utf16: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    assert_eq!(read(&utf16).unwrap().digest, plan.digest);
    assert_eq!(
        read(&[b"\xEF\xBB\xBF", text.as_bytes()].concat()).unwrap().digest,
        plan.digest
    );
}

#[test]
fn the_digest_is_that_of_other_implementations() {
    // The digest over the example of RFC 8785, section 3.2.4, less its floats, by hand.
    let value = json!({"\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew", "1": "One",
        "\u{1f600}": "Emoji", "\u{80}": "Control", "\u{f6}": "o umlaut"});
    let canonical = String::from_utf8(digest::canonical(&value.to_string()).unwrap()).unwrap();
    let order: Vec<usize> = [
        "Carriage", "One", "Control", "o umlaut", "Euro", "Emoji", "Hebrew",
    ]
    .iter()
    .map(|word| canonical.find(word).unwrap())
    .collect();
    assert!(order.is_sorted(), "keys in order of UTF-16 units: {canonical}");
    assert_eq!(digest::digest(&value).unwrap(), digest::digest_bytes(&canonical));
    assert_eq!(
        digest::digest_bytes("abc"),
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

/// The smallest plan and its text, made once.
fn minimal() -> &'static (Plan, String) {
    static PLAN: OnceLock<(Plan, String)> = OnceLock::new();
    PLAN.get_or_init(|| {
        let plan = plan_of("minimal");
        let text = String::from_utf8(write(&plan).unwrap()).unwrap();
        (plan, text)
    })
}

/// JSON as plans may hold it.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn canonical_form_is_stable_and_loses_nothing(value in document()) {
        let once = digest::canonical(&value.to_string()).unwrap();
        let text = std::str::from_utf8(&once).unwrap();
        prop_assert_eq!(&digest::canonical(text).unwrap(), &once);
        prop_assert_eq!(&digest::canonical(&serde_json::to_string_pretty(&value).unwrap()).unwrap(), &once);
        prop_assert_eq!(serde_json::from_slice::<Value>(&once).unwrap(), value.clone());
        prop_assert_eq!(digest::digest(&value).unwrap(), digest::digest_bytes(&once));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn a_plan_with_a_changed_part_never_panics(at in 0_usize..20_000, with in "[\\x00-\\x7f]{0,3}", cut in 0_usize..9) {
        let (plan, text) = minimal();
        let mut at = at % text.len();
        while !text.is_char_boundary(at) { at -= 1; }
        let mut end = (at + cut).min(text.len());
        while !text.is_char_boundary(end) { end += 1; }
        let changed = format!("{}{with}{}", &text[..at], &text[end..]);
        if let Ok(read) = read(changed.as_bytes()) {
            prop_assert_eq!(&read.spec, &plan.spec);
        }
    }
}
