//! Connections on demand, within a budget.
//!
//! A host gets its connection when somebody first asks for it and keeps it while the budget allows. When the budget is
//! used up, the connection that has been idle longest makes room; when none is idle, the caller waits. A connection that was
//! lost is opened again, with growing pauses. Few connections are opened through the same bastion, or to the same sshd, at
//! a time (`MaxStartups`), and few commands run on a connection at a time (`MaxSessions`); when a host allows fewer than
//! we thought, that is learned from its first refusal.

use super::errors::{ConnectError, SessionError};
use super::session::held;
use super::{Exec, Input, Ran, Session, Transport};
use crate::model::Host;
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

/// What a pool may use, and how patient it is.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections, over all hosts. Connections to bastions do not count.
    pub connections: usize,
    /// Commands at a time on one host. sshd's default for `MaxSessions` is 10.
    pub sessions: usize,
    /// Connections being opened at a time through one bastion, or to one address and port. sshd's default for
    /// `MaxStartups` refuses at random from 10 on.
    pub ramp: usize,
    /// Attempts to open a connection, when it may work later. At least one is made.
    pub attempts: u32,
    /// Pause after the first attempt; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 256,
            sessions: 8,
            ramp: 8,
            attempts: 8,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(10),
        }
    }
}

/// How often a command is offered to a host that has no session free. The pauses grow as those between connections, up to
/// half a second, so this is some ten seconds.
const SESSION_ATTEMPTS: u32 = 30;

/// Pause after the first refusal of a session. sshd needs a moment to see that the last one has ended.
const SESSION_PAUSE: Duration = Duration::from_millis(5);

/// A host's place in the pool.
struct Entry {
    /// Held while a connection is opened, so that only one is.
    open: tokio::sync::Mutex<Option<Open>>,
    use_: Mutex<Use>,
    /// Told when a session becomes free.
    freed: Notify,
}

struct Open {
    session: Arc<dyn Session>,
    _budget: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, Debug)]
struct Use {
    leases: usize,
    running: usize,
    /// Commands at a time, as far as known.
    limit: usize,
    /// When the last lease ended, counted in leases of the pool.
    idle_since: u64,
}

struct Shared {
    transport: Arc<dyn Transport>,
    limits: Limits,
    budget: Arc<Semaphore>,
    entries: Mutex<BTreeMap<String, Arc<Entry>>>,
    ramps: Mutex<BTreeMap<(String, u32), Arc<Semaphore>>>,
    ended: Mutex<u64>,
    /// Told when a connection becomes idle.
    idle: Notify,
}

/// Connections to many hosts. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

/// The use of a host's connection. While there is one, the pool does not take the connection away.
pub struct Lease {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    host: Host,
    session: Mutex<Arc<dyn Session>>,
}

impl Pool {
    /// A pool without connections.
    pub fn new(transport: Arc<dyn Transport>, limits: Limits) -> Pool {
        Pool {
            shared: Arc::new(Shared {
                budget: Arc::new(Semaphore::new(limits.connections.max(1))),
                transport,
                limits,
                entries: Mutex::default(),
                ramps: Mutex::default(),
                ended: Mutex::default(),
                idle: Notify::new(),
            }),
        }
    }

    /// A lease on the host's connection, which is opened if there is none. Hosts are told apart by their `id`.
    pub async fn session(&self, host: &Host) -> Result<Lease, ConnectError> {
        let shared = &self.shared;
        let entry = held(&shared.entries)
            .entry(host.id.clone())
            .or_insert_with(|| {
                Arc::new(Entry {
                    open: tokio::sync::Mutex::default(),
                    use_: Mutex::new(Use {
                        leases: 0,
                        running: 0,
                        limit: shared.limits.sessions.max(1),
                        idle_since: 0,
                    }),
                    freed: Notify::new(),
                })
            })
            .clone();
        let claim = Claim::new(shared, &entry);
        let session = shared.connected(&entry, host).await?;
        claim.keep();
        Ok(Lease {
            shared: shared.clone(),
            entry,
            host: host.clone(),
            session: Mutex::new(session),
        })
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.shared.limits.connections.max(1) - self.shared.budget.available_permits()
    }

    /// Ends all connections, also those in use.
    pub async fn close(&self) {
        let entries: Vec<Arc<Entry>> = held(&self.shared.entries).values().cloned().collect();
        let mut closing = tokio::task::JoinSet::new();
        for entry in entries {
            closing.spawn(async move {
                if let Some(open) = entry.open.lock().await.take() {
                    open.session.close().await;
                }
            });
        }
        while closing.join_next().await.is_some() {}
    }
}

/// A lease that is being made: counted while a connection is opened, and given back when that fails or is given up.
struct Claim<'a> {
    shared: &'a Shared,
    entry: &'a Entry,
    kept: bool,
}

impl<'a> Claim<'a> {
    fn new(shared: &'a Shared, entry: &'a Entry) -> Claim<'a> {
        held(&entry.use_).leases += 1;
        Claim {
            shared,
            entry,
            kept: false,
        }
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.shared.release(self.entry);
        }
    }
}

impl Shared {
    /// The entry's connection, opened again if it was lost.
    async fn connected(&self, entry: &Entry, host: &Host) -> Result<Arc<dyn Session>, ConnectError> {
        let mut open = entry.open.lock().await;
        if let Some(open) = open.as_ref().filter(|open| !open.session.is_closed()) {
            return Ok(open.session.clone());
        }
        *open = None;
        let budget = self.room().await;
        let session = self.connect(host).await?;
        *open = Some(Open {
            session: session.clone(),
            _budget: budget,
        });
        Ok(session)
    }

    /// A place in the budget, taken from an idle connection if need be.
    async fn room(&self) -> OwnedSemaphorePermit {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            // Before looking, or a connection that becomes idle in between would not be heard of.
            idle.as_mut().enable();
            if let Ok(permit) = self.budget.clone().try_acquire_owned() {
                return permit;
            }
            if self.evict().await {
                continue;
            }
            tokio::select! {
                permit = self.budget.clone().acquire_owned() => {
                    // The semaphore is never closed.
                    if let Ok(permit) = permit {
                        return permit;
                    }
                }
                () = &mut idle => {}
            }
        }
    }

    /// Closes the connection that has been idle longest.
    async fn evict(&self) -> bool {
        let mut idle: Vec<(u64, Arc<Entry>)> = held(&self.entries)
            .values()
            .filter_map(|entry| {
                let now = *held(&entry.use_);
                (now.leases == 0).then(|| (now.idle_since, entry.clone()))
            })
            .collect();
        idle.sort_by_key(|(since, _)| *since);
        for (_, entry) in idle {
            let Ok(mut open) = entry.open.try_lock() else {
                continue;
            };
            // Somebody may have taken it just now; he waits for this lock, and then opens a new one.
            if held(&entry.use_).leases > 0 {
                continue;
            }
            if let Some(open) = open.take() {
                open.session.close().await;
                return true;
            }
        }
        false
    }

    fn ramp(&self, host: &Host) -> Arc<Semaphore> {
        // The outermost bastion is the one that sees all of us.
        let mut key = (host.address.clone(), host.port);
        let mut next = host.bastion.as_ref();
        while let Some(bastion) = next {
            key = (bastion.address.clone(), bastion.port);
            next = bastion.bastion.as_deref();
        }
        held(&self.ramps)
            .entry(key)
            .or_insert_with(|| Arc::new(Semaphore::new(self.limits.ramp.max(1))))
            .clone()
    }

    async fn connect(&self, host: &Host) -> Result<Arc<dyn Session>, ConnectError> {
        let ramp = self.ramp(host);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let result = {
                // Never closed, and only held for one attempt.
                let _step = ramp.acquire().await;
                self.transport.connect(host).await
            };
            match result {
                Ok(session) => return Ok(session),
                Err(error) if !error.is_transient() => return Err(error),
                Err(error) if attempt >= self.limits.attempts => {
                    return Err(if attempt == 1 {
                        error
                    } else {
                        ConnectError::GaveUp {
                            attempts: attempt,
                            last: Box::new(error),
                        }
                    });
                }
                Err(_) => {
                    let pause = pause(attempt, self.limits.first_pause, self.limits.longest_pause);
                    sleep(spread(pause, &host.id, attempt)).await;
                }
            }
        }
    }

    fn release(&self, entry: &Entry) {
        let idle = {
            let mut now = held(&entry.use_);
            now.leases -= 1;
            if now.leases == 0 {
                let mut ended = held(&self.ended);
                *ended += 1;
                now.idle_since = *ended;
            }
            now.leases == 0
        };
        if idle {
            self.idle.notify_waiters();
        }
    }
}

/// Twice as long each time.
fn pause(attempt: u32, first: Duration, longest: Duration) -> Duration {
    first
        .saturating_mul(1 << attempt.saturating_sub(1).min(20))
        .min(longest)
}

/// Between half and all of a pause, so that hosts that failed together do not come back together. The same for the same host
/// and attempt: a run can be repeated.
fn spread(pause: Duration, host: &str, attempt: u32) -> Duration {
    // FNV-1a.
    let hash = host
        .bytes()
        .chain(attempt.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    pause / 2 + (pause / 2) * u32::try_from(hash % 1000).unwrap_or(0) / 1000
}

impl Lease {
    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Runs a command when a session is free. A command that certainly did not start, because the connection was found lost
    /// or the host had no session to spare, is sent again; one that may have started never is.
    pub async fn exec(&self, request: Exec<'_>) -> Result<Ran, SessionError> {
        let Exec {
            words,
            stdin,
            keep,
            log,
        } = request;
        let stdin = Again::new(stdin);
        let (mut refused, mut lost) = (0, 0);
        loop {
            let session = self.live_session().await?;
            let slot = Slot::take(&self.entry).await;
            let result = session
                .exec(Exec {
                    words: words.clone(),
                    stdin: stdin.input(),
                    keep,
                    log,
                })
                .await;
            match result {
                Err(SessionError::TooManySessions { .. }) if refused < SESSION_ATTEMPTS => {
                    refused += 1;
                    slot.learn();
                    drop(slot);
                    sleep(pause(refused, SESSION_PAUSE, Duration::from_millis(500))).await;
                }
                Err(error @ SessionError::Lost { started: false, .. })
                    if lost < self.shared.limits.attempts =>
                {
                    // A connection that is lost without knowing it yet must not be leased again.
                    if !session.is_closed() {
                        return Err(error);
                    }
                    lost += 1;
                }
                result => return result,
            }
        }
    }

    async fn live_session(&self) -> Result<Arc<dyn Session>, SessionError> {
        let session = held(&self.session).clone();
        if !session.is_closed() {
            return Ok(session);
        }
        let session = self
            .shared
            .connected(&self.entry, &self.host)
            .await
            .map_err(|error| SessionError::Connect(Box::new(error)))?;
        *held(&self.session) = session.clone();
        Ok(session)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.release(&self.entry);
    }
}

impl Session for Lease {
    fn exec<'a>(&'a self, request: Exec<'a>) -> super::Fut<'a, Result<Ran, SessionError>> {
        Box::pin(Lease::exec(self, request))
    }

    /// Does nothing: the connection belongs to the pool.
    fn close<'a>(&'a self) -> super::Fut<'a, ()> {
        Box::pin(async {})
    }

    /// Never: a lost connection is opened again by the next command.
    fn is_closed(&self) -> bool {
        false
    }

    fn host_key(&self) -> Option<String> {
        held(&self.session).host_key()
    }
}

/// One of a host's sessions.
struct Slot<'a> {
    entry: &'a Entry,
}

impl<'a> Slot<'a> {
    async fn take(entry: &'a Entry) -> Slot<'a> {
        loop {
            let freed = entry.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            {
                let mut now = held(&entry.use_);
                if now.running < now.limit {
                    now.running += 1;
                    return Slot { entry };
                }
            }
            freed.await;
        }
    }

    /// The host refused this session: so many as run beside it are what it allows.
    fn learn(&self) {
        let mut now = held(&self.entry.use_);
        now.limit = now.limit.min(now.running.saturating_sub(1)).max(1);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        held(&self.entry.use_).running -= 1;
        self.entry.freed.notify_waiters();
    }
}

/// Input that can be offered more than once. It is read only by a command that started, and that happens once.
enum Again<'a> {
    None,
    Bytes(&'a [u8]),
    Reader(Shareable<'a>),
}

type Shareable<'a> = Arc<Mutex<Box<dyn AsyncRead + Send + Unpin + 'a>>>;

impl<'a> Again<'a> {
    fn new(input: Input<'a>) -> Again<'a> {
        match input {
            Input::None => Again::None,
            Input::Bytes(bytes) => Again::Bytes(bytes),
            Input::Reader(reader) => Again::Reader(Arc::new(Mutex::new(reader))),
        }
    }

    fn input(&self) -> Input<'a> {
        match self {
            Again::None => Input::None,
            Again::Bytes(bytes) => Input::Bytes(bytes),
            Again::Reader(reader) => Input::Reader(Box::new(Lent(reader.clone()))),
        }
    }
}

struct Lent<'a>(Shareable<'a>);

impl AsyncRead for Lent<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *held(&self.0)).poll_read(cx, buf)
    }
}
