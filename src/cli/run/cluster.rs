//! The managers of a plan, as a command meets them: what they know of earlier runs, and who holds the cluster.

use crate::apply::copies::{Copy, choose};
use crate::apply::journal::JournalError;
use crate::apply::lease::{Holder, LeaseError, Managers, Told};
use crate::apply::runner::{Ask, Claim, Phase, Settings, Token};
use crate::cli::Env;
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::log::Level;
use crate::model::{Plan, Role};
use crate::ssh::Transport;
use crate::ssh::pool::{Limits, Pool};
use std::sync::Arc;

/// Seconds that a claim is valid after each renewal, unless a rehearsal or a test says otherwise.
pub const LEASE_S: u32 = 30;

/// The managers of a plan, with connections of their own.
pub struct Cluster {
    /// Whom to ask.
    pub managers: Arc<Managers>,
    pool: Pool,
    digest: String,
}

/// How long managers that do not answer are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as for any host: a run is to go on over a bad line.
    Long,
    /// Somebody waits for an answer.
    Short,
}

/// What the managers told.
pub struct Looked {
    /// Copies of the journal.
    pub copies: Vec<Copy>,
    /// The claim that counts.
    pub claim: Option<Claim>,
    /// Managers that cannot be asked, or have a copy that cannot be used, and why.
    pub without: Vec<(String, String)>,
    /// Managers that answered.
    pub there: usize,
}

impl Looked {
    /// Nobody was asked.
    pub fn nobody() -> Looked {
        Looked {
            copies: Vec::new(),
            claim: None,
            without: Vec::new(),
            there: 0,
        }
    }
}

impl Cluster {
    /// Nothing is connected yet.
    pub fn new(
        plan: &Plan,
        transport: Arc<dyn Transport>,
        settings: Settings,
        patience: Patience,
    ) -> Cluster {
        let count = plan
            .spec
            .hosts
            .iter()
            .filter(|host| host.role == Some(Role::Manager));
        let pool = Pool::new(
            transport,
            Limits {
                connections: count.count().max(1),
                attempts: match patience {
                    Patience::Long => Limits::default().attempts,
                    Patience::Short => 2,
                },
                ..Limits::default()
            },
        );
        Cluster {
            managers: Arc::new(Managers::new(&plan.spec, &plan.digest, pool.clone(), settings)),
            pool,
            digest: plan.digest.clone(),
        }
    }

    /// Lets the connections go.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Asks all managers; changes nothing.
    pub async fn look(&self) -> Looked {
        let mut looked = Looked::nobody();
        for Told { host, found } in self.managers.look().await {
            let known = match found {
                Ok(known) => known,
                Err(fault) => {
                    looked.without.push((host, fault.to_string()));
                    continue;
                }
            };
            let (bytes, claim) =
                known.map_or((Vec::new(), None), |known| (known.journal, known.claimed.claim));
            match Copy::read(host.clone(), bytes) {
                Ok(copy) => {
                    looked.there += 1;
                    looked.copies.push(copy);
                }
                Err(error) => looked.without.push((host, error.to_string())),
            }
            looked.claim = looked
                .claim
                .into_iter()
                .chain(claim)
                .max_by_key(|claim| claim.token);
        }
        looked
    }

    /// Refuses when too few managers answered to know what earlier runs did.
    ///
    /// # Errors
    ///
    /// Exit 15.
    pub fn enough(&self, looked: &Looked) -> Result<(), CliError> {
        let needed = self.managers.majority();
        if looked.there >= needed {
            return Ok(());
        }
        Err(unreachable(&LeaseError::Minority {
            there: looked.there,
            of: looked.there + looked.without.len(),
            needed,
            why: looked
                .without
                .iter()
                .map(|(host, why)| format!("{host}: {why}"))
                .collect(),
        }))
    }

    /// Claims the cluster. A run of this plan that is not renewed any more is waited for.
    ///
    /// # Errors
    ///
    /// Exit 9 when somebody else has it, 15 when too few managers answer.
    pub async fn take(&self, env: &Env, ask: &Ask) -> Result<Token, CliError> {
        let waits = |holder: &Holder| {
            env.log(
                Level::Info,
                &format!(
                    "{holder}; if it is gone, its time is over in {} s",
                    holder.claim.left_s
                ),
            );
        };
        self.managers
            .take_over(ask, &waits)
            .await
            .map_err(|error| self.refused(&error))
    }

    fn refused(&self, error: &LeaseError) -> CliError {
        match error {
            LeaseError::Minority { .. } => unreachable(error),
            LeaseError::Taken(holder) => CliError {
                exit: exit::LOCKED,
                message: format!("{holder}, since {}; nothing was begun", when(holder.claim.since)),
                hint: match holder.claim.phase {
                    Phase::Held => "wait until it has ended; `mkectl unlock PLAN` takes the cluster away from it",
                    _ => {
                        "end it with its own plan, `mkectl apply --resume` or `mkectl rollback`; `mkectl unlock PLAN` \
                         takes the cluster away from it"
                    }
                }
                .to_owned(),
            },
            LeaseError::Contended => CliError {
                exit: exit::LOCKED,
                message: format!("{error}; nothing was begun"),
                hint: "run it again".to_owned(),
            },
        }
    }

    /// Who holds the cluster.
    ///
    /// # Errors
    ///
    /// Exit 15 when too few managers answer.
    pub async fn holder(&self) -> Result<Option<Holder>, CliError> {
        let claim = self.managers.claim().await.map_err(|error| unreachable(&error))?;
        Ok(claim.map(|claim| Holder {
            same_plan: claim.plan == self.digest,
            claim,
        }))
    }

    /// Takes the cluster away from whoever has it. The number that hosts ask for from now on.
    ///
    /// # Errors
    ///
    /// Exit 15 when too few managers answer.
    pub async fn unlock(&self) -> Result<u64, CliError> {
        let token = self
            .managers
            .unlock(&super::random_id()?, &who())
            .await
            .map_err(|error| unreachable(&error))?;
        Ok(token.number())
    }
}

fn unreachable(error: &LeaseError) -> CliError {
    CliError {
        exit: exit::UNREACHABLE,
        message: error.to_string(),
        hint: "a majority of managers is needed; correct what is said above and run the command again"
            .to_owned(),
    }
}

/// The journal of the plan: the longest chain of all copies.
///
/// # Errors
///
/// Exit 12 when a person must say which one is true.
pub fn merged(
    env: &Env,
    here: Option<&Result<Copy, JournalError>>,
    looked: &Looked,
) -> Result<Copy, CliError> {
    let mut copies = looked.copies.clone();
    match here {
        Some(Ok(copy)) => copies.push(copy.clone()),
        Some(Err(error)) => {
            let whole = looked.copies.iter().any(|copy| !copy.bytes.is_empty());
            if !whole {
                return Err(undecided(error));
            }
            env.log(
                Level::Warn,
                &format!(
                    "the journal on this machine cannot be used, and those of the managers are: {error}"
                ),
            );
        }
        None => {}
    }
    let chosen = choose(&copies).map_err(|error| undecided(&error))?;
    let Some((best, superseded)) = chosen else {
        return Copy::read("nowhere", Vec::new()).map_err(|error| undecided(&error));
    };
    for copy in superseded {
        env.log(
            Level::Info,
            &format!(
                "{}: the journal ends with what a run that was superseded meant to do and did not; {} counts",
                copy.from, best.from
            ),
        );
    }
    Ok(best.clone())
}

/// Exit 12, with what is wrong with the journal.
pub fn undecided(error: &JournalError) -> CliError {
    CliError {
        exit: exit::UNDECIDED,
        message: error.to_string(),
        hint: "keep all copies; the hosts know what they did, and `mkectl show PLAN --runbook` how to go on by hand"
            .to_owned(),
    }
}

/// `user@host`, for people.
pub fn who() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let user = variable("USER").or_else(|| variable("LOGNAME"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.or_else(|| variable("HOSTNAME"));
    format!(
        "{}@{}",
        user.as_deref().unwrap_or("somebody"),
        host.as_deref().map_or("unknown", str::trim)
    )
}

/// A time that a host told.
pub fn when(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| "an unknown time".to_owned(), |time| time.to_string())
}
