//! A cluster made by hand, for unit tests.

use super::situation::{HostView, Situation};
use crate::catalogue::{Bundle, Release, vocabulary};
use crate::convert::ports::{BalancerPorts, PortTables};
use crate::model::Role;
use crate::options::Options;
use crate::source::accounts::Accounts;
use crate::source::facts::{ClusterFacts, HostFacts, OsFacts};
use crate::source::hosts::HostEntry;
use crate::source::mke3::Config;
use std::collections::{BTreeMap, BTreeSet};

/// Owns what a [`Situation`] borrows.
pub struct Fixture {
    pub ids: Vec<String>,
    pub roles: Vec<Option<Role>>,
    pub entries: Vec<HostEntry>,
    pub facts: Vec<HostFacts>,
    pub cluster: ClusterFacts,
    pub options: Options,
    pub release: Release,
    pub config: Config,
    pub accounts: Option<Accounts>,
    pub balancer: BalancerPorts,
}

impl Fixture {
    /// Managers `m1`, `m2`, …, then workers `w1`, `w2`, ….
    pub fn cluster(managers: usize, workers: usize) -> Fixture {
        let ids: Vec<String> = (1..=managers)
            .map(|i| format!("m{i}"))
            .chain((1..=workers).map(|i| format!("w{i}")))
            .collect();
        let address = |i: usize| format!("10.0.{}.{}", i / 250, i % 250 + 1);
        Fixture {
            roles: (0..ids.len())
                .map(|i| Some(if i < managers { Role::Manager } else { Role::Worker }))
                .collect(),
            entries: (0..ids.len())
                .map(|i| HostEntry {
                    address: address(i),
                    port: 22,
                    user: "root".to_owned(),
                    key_path: "~/.ssh/id_ed25519".to_owned(),
                    role: None,
                    private_address: None,
                    private_interface: None,
                    hostname: None,
                    labels: BTreeMap::new(),
                    bastion: None,
                    install_flags: Vec::new(),
                    no_taints: false,
                    line: i as u32 + 1,
                })
                .collect(),
            facts: (0..ids.len())
                .map(|i| HostFacts {
                    address: address(i),
                    hostname: Some(ids[i].clone()),
                    private_address: Some(address(i)),
                    os: Some(OsFacts {
                        family: Some("linux".to_owned()),
                        arch: Some("x86_64".to_owned()),
                        ..OsFacts::default()
                    }),
                    ..HostFacts::default()
                })
                .collect(),
            cluster: ClusterFacts {
                mke_version: Some("3.8.5".to_owned()),
                ..ClusterFacts::default()
            },
            options: Options::default(),
            release: Release::default(),
            config: Config {
                file: "mke3.toml".to_owned(),
                leaves: Vec::new(),
            },
            accounts: None,
            balancer: PortTables::load(&Bundle::embedded())
                .expect("the shipped ports can be read")
                .balancer,
            ids,
        }
    }

    /// The situation, with every document and secret of the vocabulary made.
    pub fn situation(&self) -> Situation<'_> {
        Situation {
            hosts: (0..self.ids.len())
                .map(|i| HostView {
                    id: self.ids[i].clone(),
                    role: self.roles[i],
                    entry: &self.entries[i],
                    facts: Some(&self.facts[i]),
                })
                .collect(),
            cluster: Some(&self.cluster),
            options: &self.options,
            release: &self.release,
            config: &self.config,
            accounts: self.accounts.as_ref(),
            balancer: &self.balancer,
            documents: names(vocabulary::DOCUMENTS),
            assets: self.release.assets.keys().cloned().collect(),
            secrets: names(vocabulary::SECRETS),
        }
    }
}

fn names(names: vocabulary::Names) -> BTreeSet<String> {
    names.iter().map(|(name, _)| (*name).to_owned()).collect()
}
