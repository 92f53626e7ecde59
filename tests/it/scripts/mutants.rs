//! Lines of scripts whose loss must be noticed: `testdata/mutants.yaml`.

use crate::simulated::bundle;
use crate::support::repo;
use mkectl::catalogue::Catalogue;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of one script.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutants {
    /// Without one of these lines its `run` fails, or is not done afterwards.
    #[serde(default)]
    pub run: Vec<String>,
    /// Without one of these lines its `undo` fails, or is not done afterwards.
    #[serde(default)]
    pub undo: Vec<String>,
    /// Why there is no line whose loss a cluster in order would show, and which test shows it.
    #[serde(default)]
    pub reason: Option<String>,
}

/// By script.
pub fn read() -> BTreeMap<String, Mutants> {
    let text = std::fs::read_to_string(repo("testdata/mutants.yaml")).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

/// A script with the first such line dropped; none when it has no such line.
pub fn without(script: &str, line: &str) -> Option<String> {
    let mut dropped = false;
    let rest: String = script
        .lines()
        .filter(|known| {
            let this = !dropped && known.trim() == line.trim();
            dropped |= this;
            !this
        })
        .flat_map(|known| [known, "\n"])
        .collect();
    dropped.then_some(rest)
}

#[test]
fn every_script_has_a_mutant_or_says_why_not() {
    let catalogue = Catalogue::load(&bundle()).unwrap().0;
    let mutants = read();
    let mut wrong = Vec::new();
    for (name, script) in &catalogue.scripts {
        let known = mutants.get(name).cloned().unwrap_or_default();
        let lines: Vec<&String> = known.run.iter().chain(&known.undo).collect();
        match (lines.is_empty(), &known.reason) {
            (true, None) => wrong.push(format!("{name}: no mutant, and no reason")),
            (false, Some(_)) => wrong.push(format!("{name}: a reason for no mutant, and mutants")),
            (true, Some(reason)) => {
                // A reason names the test that looks instead.
                let test = reason.rsplit("::").next().unwrap_or_default();
                let file = reason
                    .rsplit_once("::")
                    .and_then(|(file, _)| file.split(' ').next_back());
                let path = repo(&format!("tests/it/{}.rs", file.unwrap_or_default()));
                let text = std::fs::read_to_string(path).unwrap_or_default();
                if !text.contains(&format!("fn {test}(")) {
                    wrong.push(format!("{name}: there is no test {reason:?}"));
                }
            }
            (false, None) => {}
        }
        for line in lines {
            if without(script, line).is_none() {
                wrong.push(format!("{name}: it has no line {line:?}"));
            }
        }
    }
    let unknown: BTreeSet<&String> = mutants
        .keys()
        .filter(|name| !catalogue.scripts.contains_key(*name))
        .collect();
    assert!(
        wrong.is_empty() && unknown.is_empty(),
        "{}\n{unknown:?}",
        wrong.join("\n")
    );
}
