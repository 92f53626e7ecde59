//! Simulated hosts and the scripts of the plan, for tests that call them one by one.

use crate::support::repo;
use mkectl::catalogue::{Bundle, Catalogue};
use mkectl::lab::{Isolation, Lab, Options};
use mkectl::source::facts::Facts;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

/// `plans/upgrade/` as it is now: a change of a script needs no build.
pub fn bundle() -> Bundle {
    fn walk(at: &Path, name: &str, files: &mut Vec<(String, Vec<u8>)>) {
        for entry in fs::read_dir(at).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{name}{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &format!("{name}/"), files);
            } else {
                files.push((name, fs::read(entry.path()).unwrap()));
            }
        }
    }
    let mut files = Vec::new();
    walk(&repo("plans/upgrade"), "", &mut files);
    Bundle::from_files(files)
}

/// A script, `lock.sh`, as a plan holds it.
pub fn script(name: &str) -> &'static str {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    let catalogue = CATALOGUE.get_or_init(|| Catalogue::load(&bundle()).unwrap().0);
    &catalogue.scripts[name]
}

/// Facts of a cluster of `testdata/`, with only these hosts.
pub fn facts(cluster: &str, hosts: &[&str]) -> Facts {
    let bytes = fs::read(repo(&format!("testdata/clusters/{cluster}/facts.json"))).unwrap();
    let mut facts = Facts::parse("facts.json", &bytes).unwrap();
    facts
        .hosts
        .retain(|host| hosts.contains(&host.hostname.as_deref().unwrap()));
    facts
}

/// A lab in which time passes by itself.
pub fn options(tick_ms: u64) -> Options {
    Options {
        directory: mkectl::lab::place(),
        binary: PathBuf::from(env!("CARGO_BIN_EXE_mkectl")),
        isolation: Isolation::best(),
        tick: Some(Duration::from_millis(tick_ms)),
        roles: BTreeMap::new(),
    }
}

/// What a command did.
#[derive(Debug, Clone)]
pub struct Ran {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// All that it printed.
    pub fn text(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// Runs a line in a host, past SSH.
pub fn sh(lab: &Lab, host: &str, line: &str, input: &[u8]) -> Ran {
    let mut child = lab
        .entry(host)
        .unwrap()
        .command(["sh", "-c", line])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Ran {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
