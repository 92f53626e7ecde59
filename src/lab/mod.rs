//! The simulated cluster behind `mkectl rehearse` and the tests of what runs on hosts.
//!
//! Each host is a root of its own (`sandbox`) with an SSH server in front of it (`server`) and stand-ins in it (`tools`)
//! for the programs that cannot run there. The stand-ins ask one model of the cluster (`model`, through `programs`), which
//! keeps real state and knows nothing of upgrades, so that a wrong script fails as it would on a real host.

pub mod api;
pub mod assets;
mod changes;
mod copy;
mod error;
pub mod fault;
pub mod model;
mod picture;
mod programs;
pub mod sandbox;
pub mod server;
pub mod tools;
mod transport;

pub use changes::{Change, ChangeKind};
pub use error::LabError;
pub use picture::{Class, Difference, Picture, Thing};
pub use programs::UNMODELLED;
pub use sandbox::Isolation;
pub use transport::Places;

use crate::model::Role;
use crate::source::facts::Facts;
use error::file;
use fault::{Fault, Faults, Place};
use model::{Cluster, SeedFile, State};
use russh::keys::PrivateKey;
use sandbox::{Sandbox, Setup};
use server::Server;
use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};
use tools::service::Service;

/// The best place for a lab: memory, where syncing a file costs nothing, else the directory for temporary files.
///
/// An ordinary user's overlays need extended attributes there, which memory has since Linux 6.6.
pub fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(['.', '-'])
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let recent = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 6);
    // Containers get 64 MiB unless somebody asked for more.
    let roomy = fs::read_to_string("/proc/self/mounts").is_ok_and(|mounts| {
        mounts.lines().any(|line| {
            let mut words = line.split(' ');
            let (_, at, kind, options) = (words.next(), words.next(), words.next(), words.next());
            let size = options
                .unwrap_or_default()
                .split(',')
                .find_map(|option| option.strip_prefix("size="));
            let size = size.map_or(u64::MAX, |size| {
                size.strip_suffix('k')
                    .and_then(|size| size.parse().ok())
                    .unwrap_or(0)
            });
            at == Some("/dev/shm") && kind == Some("tmpfs") && size >= 1 << 20
        })
    });
    if recent && roomy && tempfile::tempfile_in(memory).is_ok() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// The loopback address of a host, by its number: what is known of hosts is told apart by their addresses, so that each has
/// one of its own.
fn loopback(number: u32) -> Ipv4Addr {
    const FIRST: u32 = 0x7f4d_0001;
    Ipv4Addr::from_bits(FIRST + number % (1 << 16))
}

/// How a lab is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory under which the lab makes its own; it must not be on an overlay.
    pub directory: PathBuf,
    /// The mkectl binary, which stands in for the hosts' programs.
    pub binary: PathBuf,
    /// How hosts are kept apart.
    pub isolation: Isolation,
    /// Time between ticks; without one, only [`Lab::tick`] lets time pass.
    pub tick: Option<Duration>,
    /// Roles by address, for hosts whose facts have none.
    pub roles: BTreeMap<String, Role>,
}

/// A simulated cluster. It ends with the process that made it, however that ends.
#[derive(Debug)]
pub struct Lab {
    // Fields are dropped in this order: who asks before who answers, the files last.
    ticker: Option<JoinHandle<()>>,
    hosts: BTreeMap<String, LabHost>,
    cluster: Arc<Cluster>,
    faults: Faults,
    client: PrivateKey,
    /// Hosts by the address that the facts have.
    names: BTreeMap<String, String>,
    directory: Directory,
}

#[derive(Debug)]
struct LabHost {
    server: Server,
    place: Place,
    setup: Setup,
    sandbox: Sandbox,
    _service: Service,
}

/// The lab's files, removed at its end.
#[derive(Debug)]
struct Directory(Option<tempfile::TempDir>);

impl Drop for Directory {
    fn drop(&mut self) {
        if let Some(directory) = self.0.take() {
            // What cannot be removed lies in the directory for temporary files, where it is somebody's duty to clean.
            let _ = sandbox::remove(&directory.keep());
        }
    }
}

impl Lab {
    /// Starts a twin of the cluster that the facts describe, as it is before an upgrade.
    ///
    /// # Errors
    /// When the facts do not tell enough, when the system refuses isolation, or when a file, port or program cannot be had.
    pub async fn from_facts(facts: &Facts, options: &Options) -> Result<Lab, LabError> {
        let seed = model::seed(facts, &options.roles)?;
        let directory = tempfile::Builder::new()
            .prefix("mkectl-lab-")
            .tempdir_in(&options.directory)
            .map_err(file("create a directory in", &options.directory))?;
        let root = directory.path().to_owned();
        let directory = Directory(Some(directory));
        let base = root.join("base");
        sandbox::make_base(&base)?;
        let addresses: BTreeMap<String, String> = seed
            .state
            .hosts
            .values()
            .map(|host| (host.name.clone(), host.address.clone()))
            .collect();
        let cluster = Arc::new(Cluster::new(seed.state));
        let mut setups = Vec::new();
        for (at, (name, files)) in seed.files.into_iter().enumerate() {
            let home = root.join(format!("h{at}"));
            fill(&home.join("seed"), &files)?;
            for mount in seed.mounts.get(&name).into_iter().flatten() {
                let path = home.join("seed").join(mount.trim_start_matches('/'));
                fs::create_dir_all(&path).map_err(file("create", &path))?;
            }
            setups.push(Setup {
                directory: home,
                base: base.clone(),
                binary: options.binary.clone(),
                socket: root.join(format!("s{at}")),
                mounts: seed.mounts.get(&name).cloned().unwrap_or_default(),
                address: interface(addresses.get(&name).map_or("", String::as_str)),
                name,
                isolation: options.isolation,
            });
        }
        let named = |about: &crate::source::facts::HostFacts| {
            let name = about.hostname.clone().unwrap_or_else(|| about.address.clone());
            (about.address.clone(), name)
        };
        let names = facts.hosts.iter().map(named).collect();
        Lab::open(setups, cluster, names, directory, options.tick).await
    }

    /// Starts hosts in front of a model.
    async fn open(
        setups: Vec<Setup>,
        cluster: Arc<Cluster>,
        names: BTreeMap<String, String>,
        directory: Directory,
        tick: Option<Duration>,
    ) -> Result<Lab, LabError> {
        let client = server::new_key().map_err(file("read", "/dev/urandom"))?;
        let mut services = BTreeMap::new();
        let mut starting = JoinSet::new();
        for setup in setups {
            let service = Service::start(&setup.socket, &setup.name, cluster.clone())
                .map_err(file("listen on", &setup.socket))?;
            services.insert(setup.name.clone(), (service, setup.clone()));
            starting.spawn_blocking(move || (setup.name.clone(), Sandbox::start(&setup)));
        }
        // All are waited for, also after one failed: none may start in a directory that is being removed.
        let started: BTreeMap<String, Result<Sandbox, LabError>> =
            starting.join_all().await.into_iter().collect();
        let mut hosts = BTreeMap::new();
        let faults = Faults::default();
        let at = |number: usize| loopback(u32::try_from(number).unwrap_or(u32::MAX));
        for (number, ((name, sandbox), (service, setup))) in
            started.into_iter().zip(services.into_values()).enumerate()
        {
            let sandbox = sandbox?;
            let place = Place {
                host: name.clone(),
                entry: sandbox.entry(),
                cluster: cluster.clone(),
                faults: faults.clone(),
            };
            let server = Server::start(&name, at(number), place.clone(), client.public_key().clone()).await?;
            let host = LabHost {
                server,
                place,
                setup,
                sandbox,
                _service: service,
            };
            hosts.insert(name, host);
        }
        let ticker = tick.map(|every| {
            let cluster = cluster.clone();
            tokio::spawn(async move {
                let mut clock = tokio::time::interval(every);
                // A tick that took long is not made up for: time passes slower then.
                clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    clock.tick().await;
                    cluster.tick();
                }
            })
        });
        Ok(Lab {
            ticker,
            hosts,
            cluster,
            faults,
            client,
            names,
            directory,
        })
    }

    fn host(&self, host: &str) -> Result<&LabHost, LabError> {
        self.hosts
            .get(host)
            .ok_or_else(|| LabError::NoHost(host.to_owned()))
    }

    /// Where its files lie.
    fn directory(&self) -> &Path {
        // Only dropping takes it away.
        self.directory
            .0
            .as_ref()
            .map_or(Path::new("/nonexistent"), tempfile::TempDir::path)
    }

    /// Ids of the hosts, sorted.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.keys().map(String::as_str)
    }

    /// The SSH server of a host: address, host key, faults.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn server(&self, host: &str) -> Result<&Server, LabError> {
        Ok(&self.host(host)?.server)
    }

    /// The key that every host lets in.
    pub fn client_key(&self) -> &PrivateKey {
        &self.client
    }

    /// A way into a host that does not need SSH, for looking from outside.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn entry(&self, host: &str) -> Result<sandbox::Entry, LabError> {
        Ok(self.host(host)?.sandbox.entry())
    }

    /// Files that really changed on a host since the start; see [`Sandbox::changes`].
    ///
    /// # Errors
    /// When there is no such host or it has ended.
    pub fn changes(&self, host: &str) -> Result<Vec<Change>, LabError> {
        self.host(host)?.sandbox.changes()
    }

    /// Lets something go wrong later.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn arm(&self, fault: Fault) -> Result<(), LabError> {
        self.host(&fault.host)?;
        self.faults.arm(fault);
        Ok(())
    }

    /// How often a fault struck.
    pub fn struck(&self) -> usize {
        self.faults.struck()
    }

    /// Takes away what faults left: programs in the way, a full disk, a host that is away, what did not come.
    pub async fn calm(&self) {
        self.cluster.state().crash = None;
        self.faults.disarm();
        for host in self.hosts.values() {
            host.place.calm().await;
            host.server.gone(false);
        }
    }

    /// Ends, as a person would with `kill`, every script that a runner has started on a host.
    pub async fn end_scripts(&self, host: &str) {
        if let Some(host) = self.hosts.get(host) {
            host.place.end_scripts().await;
        }
    }

    /// What is true in the cluster. Nothing else happens while it is held.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.cluster.state()
    }

    /// Lets one tick pass.
    pub fn tick(&self) {
        self.cluster.tick();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(ticker) = &self.ticker {
            ticker.abort();
        }
    }
}

/// An address of one host, with its prefix length, where it is one.
fn interface(address: &str) -> String {
    match address.parse() {
        Ok(std::net::IpAddr::V4(address)) => format!("{address}/32"),
        Ok(std::net::IpAddr::V6(address)) => format!("{address}/128"),
        Err(_) => String::new(),
    }
}

/// Writes what a host holds at first: its files, and links to the stand-ins.
fn fill(seed: &Path, files: &[SeedFile]) -> Result<(), LabError> {
    for one in files {
        let path = seed.join(&one.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(file("create", parent))?;
        }
        fs::write(&path, &one.bytes).map_err(file("write", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(one.mode))
            .map_err(file("change the mode of", &path))?;
    }
    let bin = seed.join("usr/local/sbin");
    fs::create_dir_all(&bin).map_err(file("create", &bin))?;
    for name in tools::STAND_INS {
        let link = bin.join(name);
        std::os::unix::fs::symlink("/.lab/mkectl", &link).map_err(file("create", &link))?;
    }
    Ok(())
}
