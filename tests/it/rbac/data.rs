//! The data files: complete, strict, and in the form that `mkectl explain` needs.

use super::*;
use mkectl::convert::ports::PortTables;
use std::collections::BTreeSet;

const FILES: [&str; 4] = [
    "rbac.yaml",
    "findings/rbac.yaml",
    "ports.yaml",
    "findings/ports.yaml",
];

/// The embedded files, one of them changed.
fn bundle(file: &str, change: impl Fn(&str) -> String) -> Bundle {
    let embedded = Bundle::embedded();
    Bundle::from_files(FILES.map(|name| {
        let text = embedded.text(name).unwrap();
        (
            name,
            if name == file {
                change(text)
            } else {
                text.to_owned()
            },
        )
    }))
}

#[test]
fn findings_say_what_they_mean_and_what_to_do() {
    let embedded = Bundle::embedded();
    let mut codes = BTreeSet::new();
    for file in ["findings/rbac.yaml", "findings/ports.yaml"] {
        let rows: Vec<serde_json::Value> = mkectl::yaml::typed(embedded.text(file).unwrap()).unwrap();
        for row in rows {
            let keys: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(keys.len(), 5, "{row}");
            for key in ["code", "severity", "title", "explain", "remedy"] {
                assert!(!row[key].as_str().unwrap().trim().is_empty(), "{key} of {row}");
            }
            for key in ["title", "remedy"] {
                assert!(
                    !row[key].as_str().unwrap().ends_with('.') && !row[key].as_str().unwrap().contains('\n'),
                    "{key} of {row}"
                );
            }
            assert!(
                codes.insert(row["code"].as_str().unwrap().to_owned()),
                "{row} stands twice"
            );
        }
    }
    assert!(codes.len() > 40, "{codes:?}");
}

#[test]
fn a_findings_file_without_a_code_that_is_used_is_refused() {
    let less = |text: &str| {
        text.replace("RBAC-NO-ADMIN", "RBAC-OTHER")
            .replace("PORTS-STRANGER", "PORTS-OTHER")
    };
    let error = RbacTables::load(&bundle("findings/rbac.yaml", less)).unwrap_err();
    assert_eq!(
        (error.file.as_str(), error.message.as_str()),
        ("findings/rbac.yaml", "RBAC-NO-ADMIN is not defined")
    );
    let error = PortTables::load(&bundle("findings/ports.yaml", less)).unwrap_err();
    assert_eq!(error.message, "PORTS-STRANGER is not defined");
}

#[test]
fn unknown_keys_and_impossible_limits_are_refused() {
    let error = RbacTables::load(&bundle("rbac.yaml", |text| format!("{text}\ncolour: red\n"))).unwrap_err();
    assert!(error.message.contains("colour") && error.at.is_some(), "{error}");
    let error = RbacTables::load(&bundle("rbac.yaml", |text| {
        text.replace("  name: 63 ", "  name: 12 ")
    }))
    .unwrap_err();
    assert!(error.message.contains("no room"), "{error}");
    let error = PortTables::load(&bundle("ports.yaml", |text| {
        text.replace("32768-35535", "35535-32768")
    }))
    .unwrap_err();
    assert!(error.message.contains("not a range"), "{error}");
    assert!(RbacTables::load(&Bundle::from_files([("rbac.yaml", "")])).is_err());
}
