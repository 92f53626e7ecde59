//! The hosts of a plan, as they are met: connected, root, with the runner in place.

use crate::apply::runner::{Delivered, HostRunner, RunnerError, Settings, Token};
use crate::model::{Host, Spec};
use crate::ssh::pool::{Lease, Pool};
use crate::ssh::sudo::{Privilege, PrivilegeError, find};
use crate::ssh::{ConnectError, Exec, Session};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// Why a host cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HostFault {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Not root.
    #[error(transparent)]
    Privilege(#[from] PrivilegeError),
    /// No runner.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// It is another host than the plan was made for.
    #[error("{host} is not the host of the plan: its {what} is {found}, and the plan says {planned}")]
    Other {
        /// Host.
        host: String,
        /// What differs.
        what: &'static str,
        /// As found.
        found: String,
        /// As planned.
        planned: String,
    },
}

impl HostFault {
    /// Whether it may work in a moment.
    pub fn is_transient(&self) -> bool {
        match self {
            HostFault::Connect(ConnectError::GaveUp { last, .. }) => last.is_transient(),
            HostFault::Connect(error) => error.is_transient(),
            HostFault::Privilege(PrivilegeError::Session(error)) => error.is_transport(),
            HostFault::Runner(RunnerError::Session(error)) => error.is_transport(),
            _ => false,
        }
    }

    /// Whether what the user gave us is at fault, and not the host.
    pub fn is_input(&self) -> bool {
        matches!(self, HostFault::Connect(error) if error.is_input())
    }
}

/// A host that was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Its `/etc/machine-id`; empty when it has none.
    pub machine_id: String,
    /// Its host name.
    pub hostname: String,
}

/// What is known of a host once it was met.
#[derive(Clone)]
struct Met {
    privilege: Privilege,
    delivered: Arc<Delivered>,
}

/// All hosts of a plan.
pub(in crate::apply) struct Hosts {
    pool: Pool,
    root: String,
    program: Arc<str>,
    settings: Settings,
    /// Every host that is used refuses lower tokens from then on; none where nothing is begun.
    token: Option<Token>,
    met: BTreeMap<String, Mutex<Option<Met>>>,
}

impl Hosts {
    pub(in crate::apply) fn new(
        spec: &Spec,
        digest: &str,
        pool: Pool,
        settings: Settings,
        token: Option<Token>,
    ) -> Hosts {
        let digits = digest.strip_prefix("sha256:").unwrap_or(digest);
        Hosts {
            pool,
            root: format!("/var/lib/mkectl/{}", digits.get(..16).unwrap_or(digits)),
            program: spec.scripts.get(&spec.runner).map_or("", String::as_str).into(),
            settings,
            token,
            met: spec
                .hosts
                .iter()
                .map(|host| (host.id.clone(), Mutex::default()))
                .collect(),
        }
    }

    /// The runner of a host. While it is held, so is the connection.
    pub(in crate::apply) async fn runner(&self, host: &Host) -> Result<HostRunner, HostFault> {
        let session: Arc<dyn Session> = Arc::new(self.pool.session(host).await?);
        // One at a time: the runner is put there once.
        let mut met = self.slot(host)?.lock().await;
        if let Some(met) = &*met {
            return Ok(self.make(session, met));
        }
        let now = Met {
            privilege: find(&*session, &host.user).await?,
            delivered: Arc::default(),
        };
        let runner = self.make(session, &now);
        runner.bootstrap().await?;
        if let Some(token) = self.token {
            runner.fence(token).await?;
        }
        *met = Some(now);
        Ok(runner)
    }

    /// The runner that a run of this plan left on a host, if there is one; changes nothing there.
    pub(in crate::apply) async fn left(&self, host: &Host) -> Result<Option<HostRunner>, HostFault> {
        let session: Arc<dyn Session> = Arc::new(self.pool.session(host).await?);
        let now = Met {
            privilege: find(&*session, &host.user).await?,
            delivered: Arc::default(),
        };
        let program = format!("{}/runner", self.root);
        let asked = now.privilege.words(["test", "-f", &program]);
        let ran = session
            .exec(Exec::new(asked))
            .await
            .map_err(PrivilegeError::Session)?;
        if now.privilege == Privilege::Sudo
            && let Some(fault) = crate::ssh::sudo::classify(&ran)
        {
            return Err(HostFault::Runner(RunnerError::Sudo(fault)));
        }
        Ok(match ran.status {
            Some(0) => Some(self.make(session, &now)),
            Some(1) => None,
            _ => {
                return Err(HostFault::Runner(RunnerError::NoAnswer {
                    call: "test",
                    why: format!("{}: {}", ran.ending(), ran.complaint()),
                }));
            }
        })
    }

    fn slot(&self, host: &Host) -> Result<&Mutex<Option<Met>>, HostFault> {
        self.met.get(&host.id).ok_or_else(|| HostFault::Other {
            host: host.id.clone(),
            what: "name",
            found: host.id.clone(),
            planned: "none such".to_owned(),
        })
    }

    fn make(&self, session: Arc<dyn Session>, met: &Met) -> HostRunner {
        HostRunner::new(
            session,
            met.privilege,
            self.root.clone(),
            self.program.clone(),
            self.settings.clone(),
        )
        .knowing(met.delivered.clone())
    }

    /// Puts the runner on every host and fences it.
    pub(super) async fn fence(self: &Arc<Self>, spec: &Spec) -> Vec<(String, Result<(), HostFault>)> {
        let mut fencing = JoinSet::new();
        for (at, host) in spec.hosts.iter().enumerate() {
            let (hosts, host) = (Arc::clone(self), host.clone());
            fencing.spawn(async move { (at, hosts.runner(&host).await.map(drop)) });
        }
        let mut results: Vec<_> = fencing.join_all().await;
        results.sort_by_key(|(at, _)| *at);
        results
            .into_iter()
            .map(|(at, result)| (spec.hosts[at].id.clone(), result))
            .collect()
    }
}

/// Connects to every host of a plan, becomes root there and reads who it is; changes nothing.
pub async fn reach(pool: &Pool, spec: &Spec) -> Vec<(String, Result<Reached, HostFault>)> {
    let mut meeting = JoinSet::new();
    for (at, host) in spec.hosts.iter().enumerate() {
        let (pool, host) = (pool.clone(), host.clone());
        meeting.spawn(async move { (at, meet(&pool, &host).await) });
    }
    let mut results: Vec<_> = meeting.join_all().await;
    results.sort_by_key(|(at, _)| *at);
    results
        .into_iter()
        .map(|(at, result)| (spec.hosts[at].id.clone(), result))
        .collect()
}

async fn meet(pool: &Pool, host: &Host) -> Result<Reached, HostFault> {
    let session: Lease = pool.session(host).await?;
    find(&session, &host.user).await?;
    let mut read = [String::new(), String::new()];
    for (text, path) in read
        .iter_mut()
        .zip(["/etc/machine-id", "/proc/sys/kernel/hostname"])
    {
        let ran = Session::exec(&session, Exec::new(["cat", path]))
            .await
            .map_err(PrivilegeError::Session)?;
        // The last line: a login shell's start-up files may write first.
        let lines = String::from_utf8_lossy(&ran.stdout).into_owned();
        lines
            .lines()
            .next_back()
            .unwrap_or_default()
            .trim()
            .clone_into(text);
    }
    let [machine_id, hostname] = read;
    if !host.machine_id.is_empty() && machine_id != host.machine_id {
        return Err(HostFault::Other {
            host: host.id.clone(),
            what: "machine id",
            found: crate::text::sanitize(&machine_id),
            planned: host.machine_id.clone(),
        });
    }
    Ok(Reached { machine_id, hostname })
}
