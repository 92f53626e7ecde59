//! Input files of made-up clusters of any size: the three-managers cluster of `testdata/`, its hosts repeated.
#![allow(
    dead_code,
    reason = "the benchmark, the example and the tests each use a part"
)]

use mkectl::model::{Meta, PLAN_FORMAT, PLAN_KIND, Plan};
use mkectl::options::Options;
use mkectl::plan::digest::digest;
use mkectl::plan::make::{Inputs, Made, Source, make};
use mkectl::plan::tables::Tables;
use mkectl::source::accounts::Accounts;
use mkectl::source::facts::Facts;
use mkectl::source::hosts::Hosts;
use mkectl::source::mke3::Config;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Names of the files, as the command line of `mkectl plan` in the documentation has them.
pub const NAMES: [&str; 4] = ["mke3.toml", "hosts.yaml", "facts.json", "accounts.json"];

const MKE3_TOML: &str = include_str!("../../testdata/clusters/three-managers/mke3.toml");
const FACTS_JSON: &str = include_str!("../../testdata/clusters/three-managers/facts.json");
const ACCOUNTS_JSON: &str = include_str!("../../testdata/clusters/three-managers/accounts.json");

/// Managers of the cluster that the facts of the hosts are copied from.
const TEMPLATE_MANAGERS: usize = 3;

/// What `mkectl plan` reads of one cluster.
pub struct Files {
    pub mke3_toml: String,
    pub hosts_yaml: String,
    pub facts_json: String,
    pub accounts_json: String,
}

impl Files {
    /// Files of a cluster with so many hosts: three managers, five from 1,000 hosts on, the rest workers. Every host has its
    /// own addresses, names, ids and host keys, and all facts that a host of the template has.
    pub fn cluster(hosts: usize) -> Files {
        let managers = if hosts < 1_000 { 3 } else { 5 };
        let mut facts: Value = serde_json::from_str(FACTS_JSON).expect("the template is JSON");
        let templates = facts["hosts"].as_array().expect("the template has hosts").clone();
        let (of_managers, of_workers) = templates.split_at(TEMPLATE_MANAGERS);
        let mut hosts_yaml = String::from("hosts:\n");
        let mut rows = Vec::with_capacity(hosts);
        let mut swarm_nodes = serde_json::Map::new();
        let mut kubernetes_nodes = serde_json::Map::new();
        for index in 0..hosts {
            let (name, template) = if index < managers {
                (
                    format!("manager-{:02}", index + 1),
                    &of_managers[index % of_managers.len()],
                )
            } else {
                let worker = index - managers;
                (
                    format!("worker-{:05}", worker + 1),
                    &of_workers[worker % of_workers.len()],
                )
            };
            let row = host(template, index, &name);
            // A second leader would come of repeating the template's managers.
            let row = match index < managers && index >= TEMPLATE_MANAGERS {
                true => without_leader(row),
                false => row,
            };
            let address = row["address"].as_str().unwrap_or_default();
            write!(
                hosts_yaml,
                "  - address: {address}\n    port: 22\n    user: ubuntu\n    keyPath: ~/.ssh/id_rsa\n    privateInterface: ens5\n"
            )
            .expect("a string takes all");
            rows.push(row);
            swarm_nodes.insert(name.clone(), "ready".into());
            kubernetes_nodes.insert(name, "Ready".into());
        }
        facts["hosts"] = rows.into();
        facts["cluster"]["swarm_nodes"] = swarm_nodes.into();
        facts["cluster"]["kubernetes_nodes"] = kubernetes_nodes.into();
        facts["cluster"]["etcd"]["healthy_members"] = managers.into();
        Files {
            mke3_toml: MKE3_TOML.to_owned(),
            hosts_yaml,
            // With white space, because that is the larger form.
            facts_json: serde_json::to_string_pretty(&facts).expect("a value is JSON"),
            accounts_json: ACCOUNTS_JSON.to_owned(),
        }
    }

    /// What the files hold.
    pub fn parse(&self) -> Parsed<'_> {
        let [mke3_toml, hosts_yaml, facts_json, accounts_json] = NAMES;
        Parsed {
            files: self,
            config: Config::parse(mke3_toml, &self.mke3_toml).expect("the configuration is read"),
            hosts: Hosts::parse(hosts_yaml, &self.hosts_yaml).expect("the hosts are read"),
            facts: Facts::parse(facts_json, self.facts_json.as_bytes()).expect("the facts are read"),
            accounts: Accounts::parse(accounts_json, self.accounts_json.as_bytes())
                .expect("the accounts are read"),
        }
    }

    /// The files in the order of [`NAMES`].
    pub fn texts(&self) -> [&str; 4] {
        [
            &self.mke3_toml,
            &self.hosts_yaml,
            &self.facts_json,
            &self.accounts_json,
        ]
    }
}

/// Files and their content.
pub struct Parsed<'a> {
    files: &'a Files,
    config: Config,
    hosts: Hosts,
    facts: Facts,
    accounts: Accounts,
}

impl Parsed<'_> {
    /// The content of a plan.
    pub fn make(&self, tables: &Tables) -> Made {
        let [_, hosts_yaml, facts_json, accounts_json] = NAMES;
        let options = Options {
            external_address: "mke.example.com".to_owned(),
            ..Options::default()
        };
        make(&Inputs {
            tables,
            config: &self.config,
            hosts: Source {
                file: hosts_yaml,
                bytes: self.files.hosts_yaml.as_bytes(),
                value: &self.hosts,
            },
            facts: Some(Source {
                file: facts_json,
                bytes: self.files.facts_json.as_bytes(),
                value: &self.facts,
            }),
            accounts: Some(Source {
                file: accounts_json,
                bytes: self.files.accounts_json.as_bytes(),
                value: &self.accounts,
            }),
            images: None,
            registry_cas: "",
            options: &options,
            assets: &std::collections::BTreeMap::new(),
        })
        .expect("a plan is made")
    }

    /// A plan as `mkectl plan` writes it, but for time, names and paths.
    pub fn plan(&self, tables: &Tables) -> Plan {
        let made = self.make(tables);
        Plan {
            kind: PLAN_KIND.to_owned(),
            format_version: PLAN_FORMAT.to_owned(),
            digest: digest(&made.spec).expect("a plan is JSON"),
            spec: made.spec,
            meta: Meta {
                readings: made.readings,
                ..Meta::default()
            },
        }
    }
}

/// The facts of a template as those of another host.
fn host(template: &Value, index: usize, name: &str) -> Value {
    let (high, low) = (index / 250, index % 250 + 1);
    let mut host = template.clone();
    host["address"] = format!("10.32.{high}.{low}").into();
    host["private_address"] = format!("10.64.{high}.{low}").into();
    host["hostname"] = name.into();
    host["machine_id"] = format!("{index:032x}").into();
    let keys = (0..3).map(|key| Value::from(format!("SHA256:{:043}", index * 3 + key)));
    host["host_keys"] = keys.collect();
    host["swarm"]["node_id"] = format!("n{index:024}").into();
    host["node"]["name"] = name.into();
    host["node"]["labels"]["kubernetes.io/hostname"] = json!(name);
    host
}

fn without_leader(mut host: Value) -> Value {
    host["swarm"]["leader"] = false.into();
    host
}
