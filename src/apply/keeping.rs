//! What a run does with its claim while it lasts: renews it, and writes its journal to the managers.
//!
//! One command on each manager lasts as long as the run. It takes lines of the journal, syncs them, and says whether the claim
//! is still ours; so what a majority has kept is found by whoever takes over. A manager that was away is brought up to date
//! with the whole journal. While no majority answers, nothing new begins; the run has lost the cluster when a majority says
//! that somebody else has it, or when none comes back for long.

use super::Fut;
use super::control::Interrupt;
use super::journal::{Kept, Store};
use super::lease::Managers;
use super::remote::HostFault;
use super::runner::{Ask, Heard, HolderEnd, Refusal, RunnerError, Token};
use super::{Clock, call::Reason};
use crate::model::Host;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

/// How long a majority may be away before the run gives the cluster up.
const PATIENCE: Duration = Duration::from_secs(600);

/// Pause before a manager that was lost is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long a manager may owe an answer before its connection counts as lost.
const ANSWER: Duration = Duration::from_secs(60);

/// How long the end of a run waits for managers that are behind.
const FAREWELL: Duration = Duration::from_secs(5);

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far a manager is.
#[derive(Clone, Debug, Default)]
struct Member {
    /// The last commit that it has kept.
    kept: u64,
    /// When the claim was last known to be renewed there.
    beat: Duration,
    /// It says that somebody else has the cluster.
    superseded: bool,
    /// Why it is not there; empty while it is.
    fault: String,
}

#[derive(Default)]
struct Log {
    bytes: Vec<u8>,
    commits: u64,
}

struct Shared {
    clock: Arc<dyn Clock>,
    majority: usize,
    log: Mutex<Log>,
    members: Mutex<Vec<Member>>,
    /// Told when the log grows.
    grown: watch::Sender<u64>,
    /// Told when something about a member changes.
    changed: watch::Sender<u64>,
    lost: watch::Sender<bool>,
    stop: mpsc::UnboundedSender<Interrupt>,
}

impl Shared {
    fn change(&self, at: usize, how: impl FnOnce(&mut Member)) {
        let lost = {
            let mut members = held(&self.members);
            how(&mut members[at]);
            let superseded = members.iter().filter(|member| member.superseded).count();
            superseded > members.len() - self.majority
        };
        if lost {
            self.lose();
        }
        self.changed.send_modify(|number| *number += 1);
    }

    fn lose(&self) {
        if !self.lost.send_replace(true) {
            // Nobody listens when the run has ended.
            let _ = self.stop.send(Interrupt::Superseded);
        }
    }

    fn kept(&self, commit: u64) -> bool {
        let members = held(&self.members);
        members.iter().filter(|member| member.kept >= commit).count() >= self.majority
    }

    /// Who is not there, and why.
    fn away(&self, names: &[String]) -> Vec<(String, String)> {
        let members = held(&self.members);
        let named = names.iter().zip(&*members);
        named
            .filter(|(_, member)| !member.fault.is_empty())
            .map(|(name, member)| (name.clone(), member.fault.clone()))
            .collect()
    }

    /// Since when no majority has answered.
    fn silent(&self) -> Duration {
        let mut beats: Vec<Duration> = held(&self.members).iter().map(|member| member.beat).collect();
        beats.sort_by_key(|beat| std::cmp::Reverse(*beat));
        let last = beats.get(self.majority - 1).copied().unwrap_or_default();
        self.clock.elapsed().saturating_sub(last)
    }
}

/// A claim that is kept.
pub struct Keeping {
    managers: Arc<Managers>,
    shared: Arc<Shared>,
    ask: Ask,
    token: Token,
    end: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// A journal on this machine and on the managers.
struct Copied {
    here: Box<dyn Store>,
    shared: Arc<Shared>,
}

impl Keeping {
    /// Begins to keep a claim that was taken. `journal` is what the run goes on from, `stop` hears when the claim is lost, and
    /// people are told when no majority answers.
    pub fn begin(
        managers: Arc<Managers>,
        ask: Ask,
        token: Token,
        journal: Vec<u8>,
        clock: Arc<dyn Clock>,
        stop: mpsc::UnboundedSender<Interrupt>,
        tell: impl Fn(&str) + Send + 'static,
    ) -> Keeping {
        let now = clock.elapsed();
        let member = Member {
            beat: now,
            ..Member::default()
        };
        let shared = Arc::new(Shared {
            clock,
            majority: managers.majority(),
            log: Mutex::new(Log {
                bytes: journal,
                // The first commit is what is there already.
                commits: 1,
            }),
            members: Mutex::new(vec![member; managers.members.len()]),
            grown: watch::Sender::new(0),
            changed: watch::Sender::new(0),
            lost: watch::Sender::new(false),
            stop,
        });
        let end = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        for (at, host) in managers.members.iter().enumerate() {
            let keeper = Keeper {
                managers: Arc::clone(&managers),
                shared: Arc::clone(&shared),
                host: host.clone(),
                at,
                token,
                ask: ask.clone(),
                beat: Duration::from_secs(u64::from(ask.seconds)) / 3,
                end: end.subscribe(),
            };
            tasks.spawn(keeper.keep());
        }
        let (watched, mut over) = (Arc::clone(&shared), end.subscribe());
        let names: Vec<String> = managers.members.iter().map(|host| host.id.clone()).collect();
        tasks.spawn(async move {
            let mut told = false;
            while !*over.borrow() {
                let _ = timeout(AGAIN, over.changed()).await;
                if watched.silent() > PATIENCE {
                    watched.lose();
                }
                let away = watched.away(&names);
                let few = names.len() - away.len() < watched.majority && !*watched.lost.borrow();
                if few && !told {
                    let why: Vec<String> = away.iter().map(|(host, why)| format!("{host}: {why}")).collect();
                    tell(&format!(
                        "no majority of managers keeps the journal, so nothing new begins until one does: {}",
                        why.join("; ")
                    ));
                } else if told && !few {
                    tell("a majority of managers keeps the journal again");
                }
                told = few;
            }
        });
        Keeping {
            managers,
            shared,
            ask,
            token,
            end,
            tasks,
        }
    }

    /// Waits until a majority holds the claim and has the journal.
    ///
    /// # Errors
    ///
    /// One sentence, when that does not come.
    pub async fn ready(&self) -> Result<(), Reason> {
        let wait = self.shared.settled(1);
        match timeout(ANSWER * 2, wait).await {
            Ok(Kept::Safe) => Ok(()),
            Ok(Kept::Here) => Err(Reason::new("another run has taken this cluster over")),
            Err(_) => {
                let away = self.away();
                let why: Vec<String> = away.iter().map(|(host, why)| format!("{host}: {why}")).collect();
                Err(Reason::new(format!(
                    "a majority of managers does not keep the journal: {}",
                    why.join("; ")
                )))
            }
        }
    }

    /// A store that writes to `here` and to the managers.
    pub fn store(&self, here: Box<dyn Store>) -> Box<dyn Store> {
        Box::new(Copied {
            here,
            shared: Arc::clone(&self.shared),
        })
    }

    /// Managers that are not there now, and why.
    pub fn away(&self) -> Vec<(String, String)> {
        let names: Vec<String> = self.managers.members.iter().map(|host| host.id.clone()).collect();
        self.shared.away(&names)
    }

    /// Ends the claim, after managers that are behind had a moment to come up.
    pub async fn finish(mut self, how: HolderEnd) {
        let last = held(&self.shared.log).commits;
        let lost = *self.shared.lost.borrow();
        if !lost {
            let mut changed = self.shared.changed.subscribe();
            let all = async {
                loop {
                    let behind = held(&self.shared.members)
                        .iter()
                        .any(|member| member.fault.is_empty() && member.kept < last);
                    if !behind || changed.changed().await.is_err() {
                        return;
                    }
                }
            };
            let _ = timeout(FAREWELL, all).await;
        }
        self.end.send_replace(true);
        let ended = timeout(FAREWELL, async {
            while self.tasks.join_next().await.is_some() {}
        })
        .await;
        if ended.is_err() {
            self.tasks.shutdown().await;
        }
        if !lost {
            self.managers.release(self.token, &self.ask.holder, how).await;
        }
    }
}

impl Shared {
    /// Waits until a majority has kept this commit, or the claim is lost.
    async fn settled(&self, commit: u64) -> Kept {
        let (mut changed, mut lost) = (self.changed.subscribe(), self.lost.subscribe());
        loop {
            if *lost.borrow_and_update() {
                return Kept::Here;
            }
            if self.kept(commit) {
                return Kept::Safe;
            }
            // The senders live as long as this does.
            tokio::select! {
                _ = changed.changed() => {}
                _ = lost.changed() => {}
            }
        }
    }
}

impl Store for Copied {
    fn append<'a>(&'a mut self, lines: &'a [u8]) -> Fut<'a, io::Result<()>> {
        Box::pin(async move {
            self.here.append(lines).await?;
            held(&self.shared.log).bytes.extend_from_slice(lines);
            Ok(())
        })
    }

    fn sync(&mut self) -> Fut<'_, io::Result<Kept>> {
        Box::pin(async move {
            let commit = {
                let mut log = held(&self.shared.log);
                log.commits += 1;
                log.commits
            };
            self.shared.grown.send_replace(commit);
            match self.here.sync().await? {
                Kept::Safe => Ok(self.shared.settled(commit).await),
                Kept::Here => Ok(Kept::Here),
            }
        })
    }
}

/// Keeps the claim on one manager.
struct Keeper {
    managers: Arc<Managers>,
    shared: Arc<Shared>,
    host: Host,
    at: usize,
    token: Token,
    ask: Ask,
    beat: Duration,
    end: watch::Receiver<bool>,
}

impl Keeper {
    async fn keep(self) {
        while !*self.end.borrow() {
            let mut end = self.end.clone();
            let (superseded, fault) = match self.session().await {
                Ok(()) => return,
                Err(Broken::Lost) => (true, "another run has taken over".to_owned()),
                Err(Broken::Fault(fault)) => (false, fault),
            };
            self.shared.change(self.at, |member| {
                member.superseded = superseded;
                member.fault = fault;
            });
            tokio::select! {
                () = sleep(AGAIN) => {}
                () = over(&mut end) => {}
            }
        }
    }

    /// Brings the manager up to date and keeps it so, until the run ends or the manager is lost.
    async fn session(&self) -> Result<(), Broken> {
        let runner = timeout(ANSWER, self.managers.hosts.runner(&self.host)).await;
        let runner = runner.map_err(|_| Broken::Fault("it does not answer".to_owned()))??;
        // One that was away when the cluster was taken has not heard of it.
        let taken = runner.take(self.token, &self.ask).await?;
        if !taken.granted {
            return Err(match taken.now.claim {
                Some(claim) if claim.token < self.token => {
                    Broken::Fault(format!("it keeps the cluster for {}", claim.plan))
                }
                _ => Broken::Lost,
            });
        }
        // Before the log is looked at, or what comes in between would not be heard of.
        let mut grown = self.shared.grown.subscribe();
        let (bytes, mut commit) = {
            let log = held(&self.shared.log);
            (log.bytes.clone(), log.commits)
        };
        runner.put_journal(self.token, &bytes).await?;
        let mut sent = bytes.len();
        drop(bytes);
        let (feed, fed) = mpsc::unbounded_channel();
        let (tell, mut hear) = mpsc::unbounded_channel();
        let input = Box::new(Fed {
            from: fed,
            pieces: VecDeque::new(),
        });
        let ending = runner.hold(self.token, &self.ask.holder, input, tell);
        tokio::pin!(ending);
        let mut clock = interval(self.beat.max(Duration::from_millis(100)));
        // Requests without an answer, in order, with the time when they were sent.
        let mut owed = VecDeque::from([self.shared.clock.elapsed()]);
        let mut holding = false;
        let mut end = self.end.clone();
        loop {
            let late = owed
                .front()
                .is_some_and(|since| self.shared.clock.elapsed().saturating_sub(*since) > ANSWER);
            if late {
                return Err(Broken::Fault("it does not answer".to_owned()));
            }
            tokio::select! {
                biased;
                Some(heard) = hear.recv() => {
                    let since = owed.pop_front();
                    match heard {
                        Heard::Holding(size) if !holding => {
                            if size != sent as u64 {
                                return Err(Broken::Fault(format!("its copy has {size} bytes, and {sent} were sent")));
                            }
                            holding = true;
                            let now = self.shared.clock.elapsed();
                            self.shared.change(self.at, |member| {
                                *member = Member { kept: commit, beat: now, superseded: false, fault: String::new() };
                            });
                        }
                        Heard::Kept(number) => self.shared.change(self.at, |member| {
                            member.kept = member.kept.max(number);
                            member.beat = since.unwrap_or(member.beat);
                        }),
                        Heard::Beat => self.shared.change(self.at, |member| {
                            member.beat = since.unwrap_or(member.beat);
                        }),
                        Heard::Lost => return Err(Broken::Lost),
                        Heard::Full => return Err(Broken::Fault("its disk is full".to_owned())),
                        Heard::Holding(_) => {}
                    }
                }
                ended = &mut ending => {
                    return match ended {
                        Ok(()) if *self.end.borrow() => Ok(()),
                        Ok(()) => Err(Broken::Fault("its runner has ended".to_owned())),
                        Err(error) => Err(error.into()),
                    };
                }
                () = over(&mut end) => {
                    // Its input ends, and so does it.
                    drop(feed);
                    let _ = timeout(FAREWELL, ending).await;
                    return Ok(());
                }
                _ = grown.changed(), if holding => {
                    let piece = {
                        let log = held(&self.shared.log);
                        let mut piece = log.bytes[sent..].to_vec();
                        (sent, commit) = (log.bytes.len(), log.commits);
                        piece.extend_from_slice(format!("commit {commit}\n").as_bytes());
                        piece
                    };
                    owed.push_back(self.shared.clock.elapsed());
                    let _ = feed.send(piece);
                }
                _ = clock.tick() => {
                    if !holding {
                        continue;
                    }
                    owed.push_back(self.shared.clock.elapsed());
                    let _ = feed.send(b"beat\n".to_vec());
                }
            }
        }
    }
}

/// Comes back when the run ends.
async fn over(end: &mut watch::Receiver<bool>) {
    // The sender lives as long as the keepers do.
    let _ = end.wait_for(|end| *end).await;
}

/// Why a manager is not kept any more.
enum Broken {
    Lost,
    Fault(String),
}

impl From<RunnerError> for Broken {
    fn from(error: RunnerError) -> Broken {
        match error {
            RunnerError::Refused {
                why: Refusal::Token, ..
            } => Broken::Lost,
            error => Broken::Fault(error.to_string()),
        }
    }
}

impl From<HostFault> for Broken {
    fn from(fault: HostFault) -> Broken {
        match fault {
            HostFault::Runner(error) => error.into(),
            fault => Broken::Fault(fault.to_string()),
        }
    }
}

/// Input of a command, as it is sent piece by piece.
struct Fed {
    from: mpsc::UnboundedReceiver<Vec<u8>>,
    pieces: VecDeque<u8>,
}

impl AsyncRead for Fed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.pieces.is_empty() {
            match self.from.poll_recv(cx) {
                Poll::Ready(Some(piece)) => self.pieces.extend(piece),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        let (first, _) = self.pieces.as_slices();
        let length = first.len().min(buf.remaining());
        buf.put_slice(&first[..length]);
        self.pieces.drain(..length);
        Poll::Ready(Ok(()))
    }
}
