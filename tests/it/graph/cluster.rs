//! Clusters and catalogues made by hand; the benchmark uses them too.
#![allow(dead_code, reason = "the benchmark and the tests each use a part")]

use mkectl::catalogue::{
    ActionDef, BudgetDef, Bundle, Capacity, Catalogue, Need, Release, StageDef, vocabulary,
};
use mkectl::convert::ports::{BalancerPorts, PortTables};
use mkectl::model::{At, Bytes, Cancel, Changes, Effect, OnFailure, Role, Selector, Take, Undo, UndoKind};
use mkectl::options::Options;
use mkectl::plan::{HostView, Situation};
use mkectl::source::facts::{
    ClusterFacts, DockerFacts, EtcdFacts, HostFacts, NodeFacts, OsFacts, SwarmFacts,
};
use mkectl::source::hosts::HostEntry;
use mkectl::source::mke3::Config;
use std::collections::BTreeMap;

/// Owns what a situation borrows.
pub struct Cluster {
    pub ids: Vec<String>,
    pub roles: Vec<Option<Role>>,
    pub entries: Vec<HostEntry>,
    pub facts: Vec<HostFacts>,
    pub cluster: ClusterFacts,
    pub options: Options,
    pub release: Release,
    pub config: Config,
    pub balancer: BalancerPorts,
}

impl Cluster {
    /// Managers `m1`, `m2`, …, then workers `w1`, `w2`, …, with every fact recorded that the shipped catalogue asks for.
    pub fn new(managers: usize, workers: usize) -> Cluster {
        let role = |i: usize| if i < managers { Role::Manager } else { Role::Worker };
        let ids: Vec<String> = (0..managers + workers)
            .map(|i| match role(i) {
                Role::Manager => format!("m{}", i + 1),
                Role::Worker => format!("w{}", i + 1 - managers),
            })
            .collect();
        let address = |i: usize| format!("10.{}.{}.{}", i / 62_500, i / 250 % 250, i % 250 + 1);
        let states = |state: &str| Some(ids.iter().map(|id| (id.clone(), state.to_owned())).collect());
        let cluster = ClusterFacts {
            id: Some("k9xq2v".to_owned()),
            mke_version: Some("3.8.5".to_owned()),
            user_services: Some(Vec::new()),
            swarm_nodes: states("ready"),
            kubernetes_nodes: states("Ready"),
            etcd: Some(EtcdFacts {
                size_bytes: Some(Bytes(50 << 20)),
                alarms: Some(Vec::new()),
                members_agree: Some(true),
                healthy_members: Some(managers as u32),
                ..EtcdFacts::default()
            }),
            ..ClusterFacts::default()
        };
        Cluster {
            roles: (0..ids.len()).map(|i| Some(role(i))).collect(),
            entries: (0..ids.len()).map(|i| entry(address(i), i as u32 + 1)).collect(),
            facts: (0..ids.len())
                .map(|i| facts(&ids[i], address(i), role(i), i))
                .collect(),
            cluster,
            options: Options {
                external_address: "mke.example.com".to_owned(),
                ..Options::default()
            },
            release: Release {
                k0s: "v1.32.11+k0s.0".to_owned(),
                ..Release::default()
            },
            config: Config {
                file: "mke3.toml".to_owned(),
                leaves: Vec::new(),
            },
            balancer: PortTables::load(&Bundle::embedded())
                .expect("the shipped ports can be read")
                .balancer,
            ids,
        }
    }

    pub fn situation(&self) -> Situation<'_> {
        let names = |names: vocabulary::Names| names.iter().map(|(name, _)| (*name).to_owned()).collect();
        let assets = [
            "k0s",
            "etcd-tools",
            "calico-chart",
            "mke-operator-chart",
            "k0s-bundle",
        ];
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
            accounts: None,
            balancer: &self.balancer,
            documents: names(vocabulary::DOCUMENTS),
            assets: assets.map(str::to_owned).into(),
            secrets: names(vocabulary::SECRETS),
        }
    }
}

fn entry(address: String, line: u32) -> HostEntry {
    HostEntry {
        address,
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
        line,
    }
}

fn facts(id: &str, address: String, role: Role, index: usize) -> HostFacts {
    let text = |text: &str| Some(text.to_owned());
    let taint = "com.docker.ucp.manager:NoSchedule".to_owned();
    HostFacts {
        hostname: text(id),
        role: Some(role),
        private_address: Some(address.clone()),
        address,
        swarm: Some(SwarmFacts {
            node_id: Some(format!("node{index}")),
            leader: Some(index == 1),
            state: text("ready"),
            orchestrator: text("kubernetes"),
        }),
        node: Some(NodeFacts {
            name: text(id),
            ready: Some(true),
            taints: Some(if role == Role::Manager {
                vec![taint]
            } else {
                Vec::new()
            }),
            user_pods: Some(if role == Role::Manager { 0 } else { 12 }),
            ..NodeFacts::default()
        }),
        os: Some(OsFacts {
            arch: text("x86_64"),
            family: text("linux"),
            ..OsFacts::default()
        }),
        docker: Some(DockerFacts {
            root: text("/var/lib/docker"),
            ..DockerFacts::default()
        }),
        init: text("systemd"),
        cgroup: text("v2"),
        selinux: text("disabled"),
        firewall: text("none"),
        fapolicyd: Some(false),
        iptables: text("nft"),
        noexec: Some(false),
        ..HostFacts::default()
    }
}

/// The catalogue that is shipped.
pub fn shipped() -> Catalogue {
    Catalogue::load(&Bundle::embedded())
        .expect("the shipped catalogue loads")
        .0
}

pub fn stage(id: &str, downtime: bool) -> StageDef {
    StageDef {
        id: id.to_owned(),
        title: format!("Stage {id}"),
        downtime,
        failure: OnFailure::Rollback,
        gate: false,
        point_of_no_return: false,
        undo_loses: "nothing".to_owned(),
    }
}

pub fn budget(id: &str, counts: Selector, capacity: Capacity) -> BudgetDef {
    BudgetDef {
        id: id.to_owned(),
        counts,
        capacity,
    }
}

/// An action that changes something and can undo it.
pub fn action(id: &str, stage: &str, subjects: Selector, needs: &[Need], estimate_s: u32) -> ActionDef {
    ActionDef {
        id: id.to_owned(),
        stage: stage.to_owned(),
        title: format!("Do {id}"),
        subjects,
        at: At::Subject,
        when: Vec::new(),
        unless: Vec::new(),
        needs: needs.to_vec(),
        budgets: Vec::new(),
        script: Some(format!("{id}.sh")),
        builtin: None,
        params: BTreeMap::new(),
        outputs: BTreeMap::new(),
        effect: Effect::Changes,
        undo: Undo {
            kind: UndoKind::Script,
            why: String::new(),
        },
        changes: Changes::default(),
        cancel: Cancel::Finish,
        users_write: None,
        relies: Vec::new(),
        repeatable: false,
        timeout_s: 300,
        retry: 0,
        estimate_s,
        line: 0,
    }
}

pub fn same(id: &str) -> Need {
    Need::Same(id.to_owned())
}

pub fn all(id: &str) -> Need {
    Need::All(id.to_owned())
}

pub fn take(budget: &str, until: Option<&str>) -> Take {
    Take {
        take: budget.to_owned(),
        until: until.map(str::to_owned),
    }
}
