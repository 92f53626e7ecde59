//! Dependencies between modules point one way, and only `cli` and `lab` touch the outside world.

#![allow(clippy::unwrap_used)]

use crate::support::repo;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may use, besides itself.
fn allowed() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let leaves = ["json", "text", "yaml", "model", "options"];
    let with = |more: &[&'static str]| leaves.iter().chain(more).copied().collect::<BTreeSet<_>>();
    BTreeMap::from([
        ("json", BTreeSet::new()),
        ("text", BTreeSet::new()),
        ("yaml", BTreeSet::from(["text"])),
        ("model", BTreeSet::new()),
        ("options", BTreeSet::new()),
        ("catalogue", with(&[])),
        ("source", with(&["ssh"])),
        ("convert", with(&["catalogue", "source"])),
        ("plan", with(&["catalogue", "source", "convert"])),
        ("ssh", BTreeSet::from(["model", "text"])),
        // What runs is in the plan: apply needs nothing of what made it.
        (
            "apply",
            BTreeSet::from(["json", "text", "model", "options", "plan", "ssh"]),
        ),
        ("gather", with(&["catalogue", "source", "ssh"])),
        ("report", with(&["catalogue", "plan", "apply"])),
        ("lab", with(&["source", "ssh"])),
        (
            "cli",
            with(&[
                "catalogue",
                "source",
                "convert",
                "gather",
                "plan",
                "ssh",
                "apply",
                "report",
                "lab",
            ]),
        ),
    ])
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

fn sources() -> Vec<(String, String, String)> {
    let root = repo("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            let module = name.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
            (name, module, fs::read_to_string(&path).unwrap())
        })
        .filter(|(_, module, _)| module != "lib" && module != "main")
        .collect()
}

/// The text before its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

/// Modules named after `crate::` in a text; comments count too, which only makes the test stricter.
fn used(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let list = &list[..list.find(';').unwrap_or(list.len())];
            let mut depth = 0;
            for part in list.split_inclusive(|c| "{},".contains(c)) {
                if depth == 0 {
                    let name: String = part
                        .trim()
                        .chars()
                        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                        .collect();
                    names.insert(name);
                }
                depth += i32::from(part.ends_with('{')) - i32::from(part.ends_with('}'));
            }
        } else {
            names.insert(
                rest.chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect(),
            );
        }
    }
    names.remove("");
    names
}

#[test]
fn dependencies_point_one_way() {
    let allowed = allowed();
    let mut wrong = Vec::new();
    for (name, module, text) in sources() {
        let may = allowed
            .get(module.as_str())
            .unwrap_or_else(|| panic!("{name}: no rule for the module {module}"));
        for used in used(without_tests(&text)) {
            if used != module && allowed.contains_key(used.as_str()) && !may.contains(used.as_str()) {
                wrong.push(format!("{name} uses crate::{used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_cli_and_lab_touch_the_outside_world() {
    let forbidden = [
        "println!",
        "eprintln!",
        "print!(",
        "process::exit",
        "std::env::",
        "env::var",
        "SystemTime::now",
        "Instant::now",
        "Timestamp::now",
        "std::fs",
        "fs::read",
        "io::stdout",
        "io::stderr",
        "thread_rng",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
    ];
    // Connecting is what ssh is for; it reads key files that it is told of, and its clock is tokio's, which tests can stop.
    let excepted = BTreeSet::from([
        ("ssh/client.rs", "TcpStream"),
        ("ssh/client.rs", "Instant::now"),
        // So is the client of MKE 3's API.
        ("source/api/connection.rs", "TcpStream"),
        ("ssh/keyfile.rs", "std::fs"),
        ("ssh/keyfile.rs", "fs::read"),
    ]);
    let mut wrong = Vec::new();
    for (name, module, text) in sources() {
        // The lab is an outside world: processes, sockets and files of simulated hosts.
        if module == "cli" || module == "lab" {
            continue;
        }
        let code = without_tests(&text);
        for word in forbidden {
            if code.contains(word) && !excepted.contains(&(name.as_str(), word)) {
                wrong.push(format!("{name} contains {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_test_file_is_run() {
    let listed = fs::read_to_string(repo("tests/it/main.rs")).unwrap();
    for entry in fs::read_dir(repo("tests/it")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "rs") && name != "main" {
            assert!(
                listed.contains(&format!("mod {name};")),
                "tests/it/{name}.rs is not in tests/it/main.rs"
            );
        }
    }
}

#[test]
fn the_scanner_sees_grouped_imports() {
    let names = used("use crate::{plan::{a, b}, report};\nuse crate::model::X; fn f() { crate::text::g() }");
    assert_eq!(
        names,
        ["plan", "report", "model", "text"].map(String::from).into()
    );
}
