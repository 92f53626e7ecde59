//! The claim on a cluster: a lease with a fencing token on a majority of its managers.
//!
//! Who wants the cluster reads the highest token that the managers have heard of and claims the next one on a majority; what
//! he got of a minority he gives back. The token fences: every host refuses lower ones, so a run that lost the cluster
//! without noticing gets nothing started. The seconds of a lease are only courtesy: when they are over, whoever goes on with
//! the same plan need not ask a person. Other plans wait until the run has ended, or for `mkectl unlock`.

use super::remote::HostFault;
use super::remote::host::Hosts;
use super::runner::{Ask, Claim, Claimed, HolderEnd, Phase, RunnerError, Settings, Token};
use crate::model::{Host, Role, Spec};
use crate::ssh::pool::Pool;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How often somebody who came at the same time as others tries.
const TRIES: u32 = 8;

/// The longest pause between two tries; each takes a part of it that nobody else takes.
const PAUSE: Duration = Duration::from_millis(1500);

/// How long one manager may take to answer before it counts as not there.
const ANSWER: Duration = Duration::from_secs(60);

/// The managers of a plan.
pub struct Managers {
    pub(super) hosts: Arc<Hosts>,
    pub(super) members: Vec<Host>,
}

/// What one manager told.
pub struct Told {
    /// Its id.
    pub host: String,
    /// What it knows; `None` when no run of this plan has been there. Why it cannot be asked.
    pub found: Result<Option<Known>, HostFault>,
}

/// What a manager knows of a plan that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Who has the cluster.
    pub claimed: Claimed,
    /// The bytes of its copy of the journal.
    pub journal: Vec<u8>,
}

/// Why the cluster cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Too few managers answer.
    #[error("{there} of {of} managers can be asked, and {needed} are needed:\n{}", why.join("\n"))]
    Minority {
        /// Managers that answered.
        there: usize,
        /// All of them.
        of: usize,
        /// A majority.
        needed: usize,
        /// Why the others did not.
        why: Vec<String>,
    },
    /// Somebody has it.
    #[error("{0}")]
    Taken(Holder),
    /// Others came at the same time, again and again.
    #[error("others try to take this cluster at the same time")]
    Contended,
}

/// Who has the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// His claim, as a manager tells it.
    pub claim: Claim,
    /// It is a claim for the plan that was asked for.
    pub same_plan: bool,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Claim { phase, who, plan, .. } = &self.claim;
        let plan = match self.same_plan {
            true => "this plan".to_owned(),
            false => format!("the plan {plan}"),
        };
        match phase {
            Phase::Held => write!(f, "{who} holds this cluster with {plan}"),
            Phase::Expired => write!(f, "this cluster is kept for {plan}, whose run by {who} was lost"),
            Phase::Reserved => write!(
                f,
                "this cluster is kept for {plan}, whose run by {who} has paused"
            ),
            Phase::Free => write!(f, "nobody holds this cluster"),
        }
    }
}

impl Managers {
    /// The managers of a plan. The pool should be theirs alone: one command on each lasts as long as the run.
    pub fn new(spec: &Spec, digest: &str, pool: Pool, settings: Settings) -> Managers {
        Managers {
            hosts: Arc::new(Hosts::new(spec, digest, pool, settings, None)),
            members: spec
                .hosts
                .iter()
                .filter(|host| host.role == Some(Role::Manager))
                .cloned()
                .collect(),
        }
    }

    /// How many are more than half.
    pub fn majority(&self) -> usize {
        self.members.len() / 2 + 1
    }

    /// Asks every manager what it knows; changes nothing.
    pub async fn look(&self) -> Vec<Told> {
        let asked = self
            .each(|hosts, host| async move {
                let Some(runner) = hosts.left(&host).await? else {
                    return Ok(None);
                };
                let claimed = runner.claims().await?;
                let journal = match claimed.journal {
                    Some((token, size)) => runner.journal(token, size).await?,
                    None => Vec::new(),
                };
                Ok(Some(Known { claimed, journal }))
            })
            .await;
        self.members
            .iter()
            .zip(asked)
            .map(|(host, found)| Told {
                host: host.id.clone(),
                found,
            })
            .collect()
    }

    /// The claim that counts, of those that a majority tells.
    ///
    /// # Errors
    ///
    /// [`LeaseError::Minority`].
    pub async fn claim(&self) -> Result<Option<Claim>, LeaseError> {
        let claims = self.claims().await;
        self.enough(&claims)?;
        let told = claims.into_iter().flatten().filter_map(|claimed| claimed.claim);
        Ok(told.max_by_key(|claim| claim.token))
    }

    async fn claims(&self) -> Vec<Result<Claimed, HostFault>> {
        self.each(|hosts, host| async move { Ok(hosts.runner(&host).await?.claims().await?) })
            .await
    }

    /// Claims the cluster on a majority.
    ///
    /// # Errors
    ///
    /// [`LeaseError`]: then nothing is claimed.
    pub async fn take(&self, ask: &Ask) -> Result<Token, LeaseError> {
        let mut tries = 0;
        loop {
            let claims = self.claims().await;
            let highest = self.highest(&claims)?;
            let token = Token::new(highest + 1).ok_or(LeaseError::Contended)?;
            let asked = self
                .each(|hosts, host| {
                    let ask = ask.clone();
                    async move { Ok(hosts.runner(&host).await?.take(token, &ask).await?) }
                })
                .await;
            let granted = asked
                .iter()
                .filter(|taken| taken.as_ref().is_ok_and(|taken| taken.granted))
                .count();
            if granted >= self.majority() {
                return Ok(token);
            }
            self.release(token, &ask.holder, HolderEnd::Withdrawn).await;
            let mut refusing: Vec<Claim> = asked
                .iter()
                .flatten()
                .filter(|taken| !taken.granted)
                .filter_map(|taken| taken.now.claim.clone())
                .filter(|claim| match claim.phase {
                    Phase::Free => false,
                    Phase::Held => claim.holder != ask.holder,
                    Phase::Expired | Phase::Reserved => claim.plan != ask.plan,
                })
                .collect();
            refusing.sort_by_key(|claim| claim.token);
            // So many that the others are no majority: these have it, and do not only try.
            let settled = refusing
                .iter()
                .any(|claim| refusing.iter().filter(|it| it.token == claim.token).count() >= self.majority());
            let last = refusing.pop();
            tries += 1;
            match last {
                Some(claim) if settled || tries >= TRIES => {
                    let same_plan = claim.plan == ask.plan;
                    return Err(LeaseError::Taken(Holder { claim, same_plan }));
                }
                None if tries >= TRIES => return Err(LeaseError::Contended),
                _ => sleep(part(PAUSE, &ask.holder, tries)).await,
            }
        }
    }

    /// The same, but a run of this plan that does not renew its claim any more is waited for until that is over.
    ///
    /// # Errors
    ///
    /// As [`Managers::take`]; when the other run does renew it, too.
    pub async fn take_over(&self, ask: &Ask, waits: &(dyn Fn(&Holder) + Sync)) -> Result<Token, LeaseError> {
        let mut seen: Option<Claim> = None;
        loop {
            match self.take(ask).await {
                Err(LeaseError::Taken(holder)) if holder.same_plan && holder.claim.phase == Phase::Held => {
                    let renewed = seen.as_ref().is_some_and(|before| {
                        before.token != holder.claim.token || before.left_s < holder.claim.left_s
                    });
                    if renewed {
                        return Err(LeaseError::Taken(holder));
                    }
                    if seen.is_none() {
                        waits(&holder);
                    }
                    let pause = holder.claim.left_s.clamp(1, 2);
                    seen = Some(holder.claim);
                    sleep(Duration::from_secs(pause)).await;
                }
                result => return result,
            }
        }
    }

    /// Takes the cluster away from whoever has it: his token is too low from now on.
    ///
    /// # Errors
    ///
    /// [`LeaseError::Minority`].
    pub async fn unlock(&self, holder: &str, who: &str) -> Result<Token, LeaseError> {
        let claims = self.claims().await;
        let token = Token::new(self.highest(&claims)? + 1).ok_or(LeaseError::Contended)?;
        let done = self
            .each(|hosts, host| {
                let (holder, who) = (holder.to_owned(), who.to_owned());
                async move { Ok(hosts.runner(&host).await?.unlock(token, &holder, &who).await?) }
            })
            .await;
        self.enough(&done)?;
        Ok(token)
    }

    /// Gives a claim back that was not used.
    pub async fn give_back(&self, token: Token, holder: &str) {
        self.release(token, holder, HolderEnd::Withdrawn).await;
    }

    /// Ends a claim wherever it can be ended.
    pub(super) async fn release(&self, token: Token, holder: &str, how: HolderEnd) -> usize {
        let ended = self
            .each(|hosts, host| {
                let holder = holder.to_owned();
                async move { Ok(hosts.runner(&host).await?.release(token, &holder, how).await?) }
            })
            .await;
        ended.iter().filter(|ended| ended.is_ok()).count()
    }

    fn highest(&self, claims: &[Result<Claimed, HostFault>]) -> Result<u64, LeaseError> {
        self.enough(claims)?;
        let tokens = claims.iter().flatten().map(|claimed| claimed.token.number());
        Ok(tokens.max().unwrap_or(0))
    }

    /// Whether a majority answered.
    pub(super) fn enough<T>(&self, answers: &[Result<T, HostFault>]) -> Result<(), LeaseError> {
        let there = answers.iter().filter(|answer| answer.is_ok()).count();
        if there >= self.majority() {
            return Ok(());
        }
        let named = self.members.iter().zip(answers);
        Err(LeaseError::Minority {
            there,
            of: self.members.len(),
            needed: self.majority(),
            why: named
                .filter_map(|(host, answer)| Some(format!("{}: {}", host.id, answer.as_ref().err()?)))
                .collect(),
        })
    }

    /// Asks all at once; answers in the order of the members.
    async fn each<T, F, A>(&self, ask: A) -> Vec<Result<T, HostFault>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, HostFault>> + Send + 'static,
        A: Fn(Arc<Hosts>, Host) -> F,
    {
        let mut asking = JoinSet::new();
        for (at, host) in self.members.iter().enumerate() {
            let answer = ask(Arc::clone(&self.hosts), host.clone());
            asking.spawn(async move {
                let answer = timeout(ANSWER, answer).await.unwrap_or_else(|_| {
                    Err(HostFault::Runner(RunnerError::NoAnswer {
                        call: "claims",
                        why: format!("it does not come within {} s", ANSWER.as_secs()),
                    }))
                });
                (at, answer)
            });
        }
        let mut answers = asking.join_all().await;
        answers.sort_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }
}

/// A part of a pause that is this holder's own: ids of holders are random.
fn part(pause: Duration, holder: &str, tries: u32) -> Duration {
    // FNV-1a.
    let hash = holder
        .bytes()
        .chain(tries.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    pause * u32::try_from(hash % 1000).unwrap_or(0) / 1000
}
