//! What several test files share.

#![allow(clippy::unwrap_used)]

use mkectl::catalogue::Bundle;
use mkectl::model::{Meta, PLAN_FORMAT, PLAN_KIND, Plan};
use mkectl::options::Options;
use mkectl::plan::digest::digest;
use mkectl::plan::make::{GivenAsset, Inputs, Made, Source, make};
use mkectl::plan::tables::Tables;
use mkectl::source::accounts::Accounts;
use mkectl::source::facts::Facts;
use mkectl::source::hosts::Hosts;
use mkectl::source::mke3;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs};

/// Says how many rows of a table no test vector covers, past the capture of test output: a log of CI is to show it.
#[allow(clippy::explicit_write, reason = "eprintln! would be captured")]
pub fn rows_without_vector(table: &str, count: usize) {
    use std::io::Write;
    writeln!(std::io::stderr(), "{table}: rows without a test vector: {count}").unwrap();
}

/// A file of the repository.
pub fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares a generated file of the repository with what it should be; `MKECTL_UPDATE=1` writes it instead.
pub fn expect_file(path: &str, expected: &str) {
    let file = repo(path);
    if env::var_os("MKECTL_UPDATE").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, expected).unwrap();
        return;
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    if found != expected {
        let diff = similar::TextDiff::from_lines(&found, expected);
        let shown: String = diff
            .unified_diff()
            .header(path, "as generated")
            .to_string()
            .chars()
            .take(6000)
            .collect();
        panic!("{path} is out of date; `MKECTL_UPDATE=1 .ci/test` writes it\n{shown}");
    }
}

/// A cluster of `testdata/clusters/`.
pub struct Cluster {
    pub config: mke3::Config,
    pub hosts: (Vec<u8>, Hosts),
    pub facts: (Vec<u8>, Facts),
    pub accounts: (Vec<u8>, Accounts),
}

impl Cluster {
    /// Reads it.
    pub fn load(name: &str) -> Cluster {
        let bytes = |file: &str| fs::read(repo(&format!("testdata/clusters/{name}/{file}"))).unwrap();
        let (hosts, facts, accounts) = (bytes("hosts.yaml"), bytes("facts.json"), bytes("accounts.json"));
        Cluster {
            config: mke3::Config::parse_bytes("mke3.toml", &bytes("mke3.toml")).unwrap(),
            hosts: (hosts.clone(), Hosts::parse_bytes("hosts.yaml", &hosts).unwrap()),
            facts: (facts.clone(), Facts::parse("facts.json", &facts).unwrap()),
            accounts: (
                accounts.clone(),
                Accounts::parse("accounts.json", &accounts).unwrap(),
            ),
        }
    }

    /// Plans it.
    pub fn make(&self, tables: &Tables, options: &Options) -> Made {
        self.make_with(tables, options, &BTreeMap::new())
    }

    /// Plans it with files that the user has.
    pub fn make_with(
        &self,
        tables: &Tables,
        options: &Options,
        assets: &BTreeMap<String, GivenAsset>,
    ) -> Made {
        make(&Inputs {
            tables,
            config: &self.config,
            hosts: Source {
                file: "hosts.yaml",
                bytes: &self.hosts.0,
                value: &self.hosts.1,
            },
            facts: Some(Source {
                file: "facts.json",
                bytes: &self.facts.0,
                value: &self.facts.1,
            }),
            accounts: Some(Source {
                file: "accounts.json",
                bytes: &self.accounts.0,
                value: &self.accounts.1,
            }),
            images: None,
            registry_cas: "",
            options,
            assets,
        })
        .unwrap()
    }
}

/// Options that a cluster of `testdata/` is planned with: free NodePorts within its range.
pub fn options(cluster: &str) -> Options {
    let (http, https) = if cluster == "everything" {
        (32080, 32443)
    } else {
        (33000, 33001)
    };
    Options {
        external_address: "mke.example.com".to_owned(),
        gateway_http_node_port: Some(http),
        gateway_https_node_port: Some(https),
        ..Options::default()
    }
}

/// The tables of the shipped `plans/upgrade/`, loaded once.
pub fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| Tables::load(&Bundle::embedded()).unwrap())
}

/// The plan of a cluster of `testdata/`, as `mkectl plan` makes it less what differs from run to run.
pub fn plan_of(name: &str) -> Plan {
    let spec = Cluster::load(name).make(tables(), &options(name)).spec;
    Plan {
        kind: PLAN_KIND.to_owned(),
        format_version: PLAN_FORMAT.to_owned(),
        digest: digest(&spec).unwrap(),
        spec,
        meta: Meta::default(),
    }
}
