//! Generated files of the repository: example plans, schemas, reference pages. `MKECTL_UPDATE=1 .ci/test examples` writes them.

#![allow(clippy::unwrap_used)]

use crate::support::{Cluster, expect_file, options, plan_of, tables};
use assert_cmd::Command;
use mkectl::model::{Meta, Severity};
use mkectl::plan::{schema, write};
use mkectl::report::{self, Style};
use serde_json::Value;

const CLUSTERS: [&str; 4] = ["minimal", "three-managers", "everything", "blocked"];

fn printed(args: &[&str]) -> String {
    let out = Command::cargo_bin("mkectl").unwrap().args(args).output().unwrap();
    assert!(
        out.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn example_plans_are_up_to_date() {
    let style = Style {
        width: 100,
        color: false,
        unicode: true,
    };
    for cluster in CLUSTERS {
        let plan = plan_of(cluster);
        expect_file(
            &format!("plans/examples/{cluster}.json"),
            &String::from_utf8(write(&plan).unwrap()).unwrap(),
        );
        expect_file(
            &format!("plans/examples/{cluster}.txt"),
            &report::diff::render(&plan, &style),
        );
    }
}

#[test]
fn generated_pages_are_up_to_date() {
    expect_file("docs/cli.md", &printed(&["docs", "cli"]));
    expect_file("docs/exit-codes.md", &printed(&["docs", "exit-codes"]));
    expect_file("docs/findings.md", &printed(&["docs", "findings"]));
    expect_file("docs/settings.md", &printed(&["docs", "settings"]));
    expect_file("docs/plan.schema.json", &printed(&["schema", "plan"]));
    expect_file("docs/facts.schema.json", &printed(&["schema", "facts"]));
    expect_file("docs/accounts.schema.json", &printed(&["schema", "accounts"]));
    expect_file("docs/images.schema.json", &printed(&["schema", "images"]));
    expect_file("docs/events.schema.json", &printed(&["schema", "events"]));
    expect_file("docs/run-report.schema.json", &printed(&["schema", "run-report"]));
}

#[test]
fn plans_and_inputs_are_valid_against_their_schemas() {
    let validator = |schema: &Value| jsonschema::validator_for(schema).unwrap();
    let plans = validator(&schema());
    for cluster in CLUSTERS {
        let plan = serde_json::to_value(plan_of(cluster)).unwrap();
        let wrong: Vec<String> = plans
            .iter_errors(&plan)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .take(5)
            .collect();
        assert!(wrong.is_empty(), "{cluster}: {wrong:?}");
        for (name, schema) in [
            ("facts", mkectl::source::facts::schema()),
            ("accounts", mkectl::source::accounts::schema()),
        ] {
            let file = crate::support::repo(&format!("testdata/clusters/{cluster}/{name}.json"));
            let value: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
            let validator = validator(&schema);
            let wrong: Vec<String> = validator
                .iter_errors(&value)
                .map(|error| error.to_string())
                .take(5)
                .collect();
            assert!(wrong.is_empty(), "{cluster}/{name}: {wrong:?}");
        }
    }
    let mut wrong = serde_json::to_value(plan_of("minimal")).unwrap();
    wrong["spec"]["hosts"][0]["port"] = "22".into();
    assert!(
        !plans.is_valid(&wrong),
        "a schema that accepts anything checks nothing"
    );
}

#[test]
fn the_spec_is_the_same_wherever_and_whenever_it_is_made() {
    for cluster in CLUSTERS {
        let once = plan_of(cluster);
        let again = plan_of(cluster);
        assert_eq!(once.digest, again.digest);
        assert_eq!(write(&once).unwrap(), write(&again).unwrap(), "{cluster}");
        assert_eq!(once.meta, Meta::default());
    }
}

#[test]
fn every_finding_can_be_explained_and_names_a_remedy() {
    for cluster in CLUSTERS {
        let findings = plan_of(cluster).spec.findings;
        assert!(!findings.is_empty());
        for finding in findings {
            assert!(
                tables().findings.get(&finding.code).is_some(),
                "{cluster}: {} is not explained",
                finding.code
            );
            assert!(
                !finding.message.is_empty() && !finding.remedy.is_empty(),
                "{cluster}: {finding:?}"
            );
        }
    }
}

#[test]
fn volatile_readings_stay_out_of_the_spec() {
    let made = Cluster::load("three-managers").make(tables(), &options("three-managers"));
    assert!(!made.readings.is_empty());
    let spec = serde_json::to_string(&made.spec).unwrap();
    for (name, reading) in &made.readings {
        if reading.len() > 6 {
            assert!(
                !spec.contains(reading.as_str()),
                "{name} = {reading} is in the spec"
            );
        }
    }
}

#[test]
fn clusters_are_what_their_names_say() {
    let blockers = |name: &str| -> Vec<String> {
        let findings = plan_of(name).spec.findings;
        findings
            .into_iter()
            .filter(|f| f.severity == Severity::Blocking)
            .map(|f| f.code)
            .collect()
    };
    for name in ["minimal", "three-managers", "everything"] {
        assert_eq!(blockers(name), Vec::<String>::new(), "{name}");
    }
    let blocked = blockers("blocked");
    for code in [
        "MKE3-CALICO-ETCD",
        "MKE3-EBPF",
        "MKE3-KUBE-PROXY-MODE",
        "MKE3-CNI-UNMANAGED",
        "MKE3-SWARM-ONLY",
        "MKE-VERSION-PATH",
    ] {
        assert!(
            blocked.iter().any(|found| found == code),
            "{code} is not among {blocked:?}"
        );
    }
}
