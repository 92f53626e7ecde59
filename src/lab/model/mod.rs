//! The simulated cluster: what is true, whoever asks. It knows Docker, swarm, systemd and MKE 3, and nothing of upgrades.
//!
//! Time is a tick. What happens by itself (swarm placing tasks, agents healing, the kubelet restarting pods) happens in
//! [`State::tick`], in the order of names, so that a run can be repeated.

mod accounts;
mod agents;
mod container;
pub mod etcd;
mod grants;
mod host;
pub mod k0s;
pub mod kube;
pub(crate) mod links;
mod netfilter;
mod network;
pub(crate) mod objects;
mod seed;
mod swarm;
mod system;
mod units;

pub use accounts::Account;
pub use container::{Container, Mount, Phase, Restart};
pub use host::{Engine, Host, Trouble};
pub use links::Link;
pub(crate) use netfilter::read as read_rules;
pub use netfilter::{Backend, Chain, Netfilter, Table};
pub use network::{Answer, Balancer, Server, Silence};
pub use swarm::{Mode, NoSwarm, Node, Service, Swarm};
pub use system::{Disk, Firewall, Listener, System};
pub use units::{Active, Enablement, Unit};

pub(crate) use seed::{SeedFile, seed};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The state of the cluster, shared by all who ask.
#[derive(Debug)]
pub struct Cluster {
    state: Mutex<State>,
    ticked: Condvar,
}

/// What is true now.
#[derive(Clone, Debug)]
pub struct State {
    /// Ticks since the start.
    pub now: u64,
    /// Hosts by id.
    pub hosts: BTreeMap<String, Host>,
    /// The swarm they form.
    pub swarm: Swarm,
    /// Version of MKE 3's Kubernetes, `v1.31.7-mirantis-1`.
    pub kubernetes: String,
    /// etcd of MKE 3, with the objects of its Kubernetes.
    pub etcd: etcd::Mke3Etcd,
    /// The load balancer in front of the managers.
    pub balancer: Balancer,
    /// Images that no registry serves.
    pub unserved: BTreeSet<String>,
    /// Accounts of the auth store by name.
    pub accounts: BTreeMap<String, Account>,
    /// k0s on hosts, with the etcd and the API of its controllers.
    pub k0s: k0s::K0s,
    /// Calls that the simulation could not answer, in order: `HOST: PROGRAM ARGUMENTS: why`.
    pub unmodelled: Vec<String>,
    /// A crash that is to come.
    pub crash: Option<Crash>,
    /// Number of ids handed out.
    pub(crate) ids: u64,
}

/// A crash on a host: what calls a program there dies with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// Host.
    pub host: String,
    /// At the call after so many more.
    pub calls: u32,
    /// Only once the program has done its work.
    pub after: bool,
}

impl Cluster {
    /// Shares a state.
    pub fn new(state: State) -> Cluster {
        Cluster {
            state: Mutex::new(state),
            ticked: Condvar::new(),
        }
    }

    /// The state, for reading and changing. Nothing else happens while it is held.
    pub fn state(&self) -> MutexGuard<'_, State> {
        // A panic of another thread left whole values: every change is made by one assignment after it was computed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one tick pass.
    pub fn tick(&self) {
        self.state().tick();
        self.ticked.notify_all();
    }

    /// Waits until a tick passed or `at_most` did.
    pub fn wait(&self, at_most: Duration) {
        let guard = self.state();
        let before = guard.now;
        // Which of the two it was, the caller sees in the state.
        let _ = self
            .ticked
            .wait_timeout_while(guard, at_most, |state| state.now == before);
    }
}

impl State {
    /// Lets one tick pass: swarm, then agents, then kubelets.
    pub fn tick(&mut self) {
        self.now += 1;
        self.reconcile_swarm();
        self.heal();
        self.tick_etcd();
        self.tick_k0s();
    }
}

/// 64 hexadecimal digits that depend on the text alone.
pub(crate) fn id(text: &str) -> String {
    use sha2::{Digest, Sha256};
    data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

pub(crate) use id as mke3_id;

/// 25 letters and digits, as swarm ids look.
pub(crate) fn swarm_id(text: &str) -> String {
    id(text)
        .bytes()
        .zip(id(&format!("{text}.")).bytes())
        .take(25)
        .map(|(a, b)| {
            char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[usize::from(a ^ b.rotate_left(3)) % 36])
        })
        .collect()
}
