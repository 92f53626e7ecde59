//! A plan, a lab, and a way to run the one on the other.

use super::walker::Walker;
use crate::simulated::{self, bundle};
use crate::support::{Cluster, options};
use mkectl::apply::control::{Control, Policy};
use mkectl::apply::engine::{Direction, Limits};
use mkectl::apply::events::{Events, Stream};
use mkectl::apply::journal::{Journal, MemoryStore, Record, decode};
use mkectl::apply::outputs::FileOutput;
use mkectl::apply::remote::{Fetched, HostLog, Operator, OperatorError, Parts, Remote};
use mkectl::apply::runner::{Settings, Token};
use mkectl::apply::{ActionCall, ActionEnd, Clock, Fut, RunResult, Secret, Setup, run};
use mkectl::lab::{Lab, assets};
use mkectl::model::{Asset, Spec};
use mkectl::plan::digest::{digest, digest_bytes};
use mkectl::plan::make::GivenAsset;
use mkectl::plan::tables::Tables;
use mkectl::ssh::pool::{Limits as PoolLimits, Pool};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub struct Stage {
    pub spec: Arc<Spec>,
    pub digest: String,
    pub lab: Arc<Lab>,
    pub runtime: tokio::runtime::Runtime,
    operator: Arc<Kept>,
}

/// The operator's machine, in memory.
struct Kept {
    assets: BTreeMap<String, Vec<u8>>,
    directory: tempfile::TempDir,
}

impl Operator for Kept {
    fn perform<'a>(&'a self, call: &'a ActionCall, remote: &'a Remote) -> Fut<'a, ActionEnd> {
        Box::pin(async move {
            let mut kept = BTreeMap::new();
            for (name, delivery) in &call.inputs.files {
                let mkectl::apply::outputs::Delivery::Output(file) = delivery else {
                    continue;
                };
                let bytes = remote.fetch(file, 1 << 30).await.unwrap();
                let path = self.directory.path().join(name);
                std::fs::write(&path, bytes).unwrap();
                if call.step().outputs.contains_key(&name.to_lowercase()) {
                    let file = FileOutput {
                        host: String::new(),
                        path: path.to_string_lossy().into_owned(),
                        ..file.clone()
                    };
                    kept.insert(
                        name.to_lowercase(),
                        mkectl::apply::outputs::OutputValue::File(file),
                    );
                }
            }
            ActionEnd::Done(kept)
        })
    }

    fn asset<'a>(&'a self, asset: &'a Asset) -> Fut<'a, Result<Fetched, OperatorError>> {
        Box::pin(async move { Ok(Fetched::Bytes(self.assets[&asset.name].clone())) })
    }

    fn open<'a>(&'a self, file: &'a FileOutput) -> Fut<'a, Result<Fetched, OperatorError>> {
        Box::pin(async move { Ok(Fetched::Bytes(std::fs::read(&file.path).unwrap())) })
    }

    fn temporary(&self) -> std::io::Result<tempfile::NamedTempFile> {
        tempfile::NamedTempFile::new_in(self.directory.path())
    }
}

/// Everything that hosts printed: shown when a test fails.
#[derive(Default)]
pub struct Log(pub Mutex<Vec<u8>>);

impl HostLog for Log {
    fn write(&self, host: &str, attempt: &str, _: Stream, bytes: &[u8]) {
        let mut log = self.0.lock().unwrap();
        log.extend_from_slice(format!("[{host} {attempt}] ").as_bytes());
        log.extend_from_slice(bytes);
    }
}

struct Watch(Instant);

impl Clock for Watch {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn timestamp(&self) -> String {
        String::new()
    }
}

impl Stage {
    pub fn new(hosts: &[&str]) -> Stage {
        let tables = Tables::load(&bundle()).unwrap();
        let mut cluster = Cluster::load("three-managers");
        let keep = |name: &str| hosts.contains(&name);
        let facts = &mut cluster.facts.1;
        facts.hosts.retain(|host| keep(host.hostname.as_deref().unwrap()));
        let addresses: BTreeSet<String> = facts.hosts.iter().map(|host| host.address.clone()).collect();
        facts
            .cluster
            .swarm_nodes
            .as_mut()
            .unwrap()
            .retain(|name, _| keep(name));
        facts
            .cluster
            .kubernetes_nodes
            .as_mut()
            .unwrap()
            .retain(|name, _| keep(name));
        cluster
            .hosts
            .1
            .entries
            .retain(|host| addresses.contains(&host.address));
        let wanted = options("three-managers");
        let plan = |given: &BTreeMap<String, GivenAsset>| cluster.make_with(&tables, &wanted, given).spec;
        let to = plan(&BTreeMap::new()).cluster.to;
        let assets: BTreeMap<String, Vec<u8>> = assets::assets(&assets::Versions {
            k0s: &to.k0s,
            etcd: &to.etcd,
            calico: "v3.30.200",
            mke: &to.mke,
        })
        .into_iter()
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .collect();
        let given = assets
            .iter()
            .map(|(name, bytes)| {
                let asset = GivenAsset {
                    url: format!("rehearsal:{name}"),
                    digest: digest_bytes(bytes),
                };
                (name.clone(), asset)
            })
            .collect();
        let spec = plan(&given);
        assert_eq!(spec.intent.not_applyable, Vec::<String>::new());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let lab = runtime
            .block_on(Lab::from_facts(&cluster.facts.1, &simulated::options(20)))
            .unwrap();
        lab.state().know_accounts(&cluster.accounts.1).unwrap();
        Stage {
            digest: digest(&spec).unwrap(),
            spec: Arc::new(spec),
            lab: Arc::new(lab),
            runtime,
            operator: Arc::new(Kept {
                assets,
                directory: tempfile::tempdir().unwrap(),
            }),
        }
    }

    /// The bytes of an asset.
    pub fn asset(&self, name: &str) -> &[u8] {
        &self.operator.assets[name]
    }

    pub fn remote(&self, token: u64, log: Arc<Log>) -> Arc<Remote> {
        let transport = self.lab.transport(Arc::new(|| 1_800_000_000)).unwrap();
        Arc::new(Remote::new(Parts {
            spec: self.spec.clone(),
            digest: self.digest.clone(),
            pool: Pool::new(transport, PoolLimits::default()),
            settings: Settings {
                poll: "0.05".to_owned(),
                grace_s: 2,
                ..Settings::default()
            },
            token: Token::new(token).unwrap(),
            operator: self.operator.clone(),
            log,
            secrets: self.secrets(),
        }))
    }

    fn secrets(&self) -> BTreeMap<String, Secret> {
        self.spec
            .secrets
            .iter()
            .filter(|secret| !secret.from.starts_with("host:"))
            .map(|secret| (secret.name.clone(), Secret::new(b"rehearsal".to_vec())))
            .collect()
    }

    /// Runs the plan with a walker that executes. What earlier runs recorded is given, and returned with what this one adds.
    pub fn walk(
        &self,
        walker: Walker,
        earlier: Vec<Record>,
        direction: Direction,
        until: Option<&str>,
    ) -> (RunResult, Arc<Walker>) {
        let walker = Arc::new(walker);
        let store = MemoryStore::default();
        let result = self.runtime.block_on(run(Setup {
            spec: self.spec.clone(),
            digest: self.digest.clone(),
            executor: walker.clone(),
            journal: Journal::new(Box::new(store.clone())),
            earlier,
            token: 1,
            events: Events::new("test", Arc::new(Watch(Instant::now())), Vec::new()),
            control: Control::none(),
            secrets: self.secrets(),
            width: walker.width(),
            until: until.map(str::to_owned),
            policy: Policy {
                on_failure: mkectl::options::FailurePolicy::Pause,
                ..Policy::of(&self.spec)
            },
            direction,
            limits: Limits {
                retry_first: Duration::from_millis(50),
                ..Limits::default()
            },
        }));
        walker.keep(decode(&store.bytes()).unwrap().records);
        (result.unwrap(), walker)
    }
}
