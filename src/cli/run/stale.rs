//! Reads facts again before anything is changed and at gates, and refuses what is not as the plan relied on.

use super::facts::{Reading, read};
use crate::apply::book::Book;
use crate::cli::Env;
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::log::Level;
use crate::model::{Host, Plan, Spec};
use crate::plan::staleness::{Drift, Progress, compare};
use crate::source::hosts::{HostEntry, Hosts};
use crate::ssh::pool::Pool;
use std::collections::BTreeMap;

/// Differences that are shown; the rest is counted.
const SHOWN: usize = 12;

/// What the records of earlier runs say.
pub struct Told<'a>(pub &'a Book);

impl Progress for Told<'_> {
    fn is_over(&self, action: &str) -> bool {
        let host = action.rsplit_once('/').map_or(action, |(host, _)| host);
        self.0.done.contains_key(action) || self.0.left_out.contains(host)
    }

    fn is_begun(&self, action: &str) -> bool {
        self.0.done.contains_key(action) || self.0.intents.contains(action) || self.0.touched.contains(action)
    }
}

/// Refuses a plan whose facts have changed.
///
/// # Errors
///
/// Exit 8, with host, fact, old and new value, and the actions concerned.
pub async fn check(env: &Env, plan: &Plan, book: &Book, pool: &Pool, width: u32) -> Result<(), CliError> {
    // Nothing is left to run that could rely on a fact.
    if book.rolling_back || book.used_up {
        return Ok(());
    }
    env.log(Level::Info, "==> Running phase: Compare facts with the plan");
    let Found { fatal, .. } = found(env, &plan.spec, &Told(book), pool, width).await?;
    if fatal.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<String> = fatal.iter().take(SHOWN).map(Drift::to_string).collect();
    if let Some(more) = fatal.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        lines.push(format!("and {}", crate::text::count(more, "more difference")));
    }
    let begun = if book.begun {
        "so nothing more was begun"
    } else {
        "so nothing was begun"
    };
    Err(CliError {
        exit: exit::STALE,
        message: format!(
            "the cluster is not as this plan relied on, {begun}\n{}",
            lines.join("\n")
        ),
        hint: if book.begun {
            "find out who changed it and put it back, then go on with --resume; or undo with `mkectl rollback`"
        } else {
            "find out who changed it; put it back, or record the facts again and make a new plan"
        }
        .to_owned(),
    })
}

/// What a look at the facts found.
pub struct Found {
    /// Differences that something which is still to run relies on.
    pub fatal: Vec<Drift>,
    /// Hosts with something still to run that could not be asked, and why.
    pub unreachable: Vec<String>,
}

/// Reads facts again and compares them. What nothing relies on any more is only told.
///
/// # Errors
///
/// When there is nothing to ask with.
pub async fn found(
    env: &Env,
    spec: &Spec,
    progress: &(dyn Progress + Sync),
    pool: &Pool,
    width: u32,
) -> Result<Found, CliError> {
    let hosts = Hosts {
        file: "the plan".to_owned(),
        entries: spec.hosts.iter().map(entry).collect(),
    };
    // By position: hosts behind one address differ by their ports.
    let place = |at: usize, _: &HostEntry| spec.hosts[at].clone();
    let reading = Reading {
        hosts: &hosts,
        place: &place,
        pool,
        width: usize::try_from(width).unwrap_or(usize::MAX).max(1) * 2,
        told: false,
    };
    let gathered = read(env, &reading).await?;
    let drifts = compare(spec, &gathered.facts, progress);
    let (fatal, harmless): (Vec<Drift>, Vec<Drift>) = drifts.into_iter().partition(Drift::is_fatal);
    for drift in &harmless {
        env.log(Level::Warn, &format!("{drift}"));
    }
    let waits = |host: &Host| {
        let mut actions = spec.actions.iter().filter(|action| action.host == host.id);
        actions.any(|action| !progress.is_over(&action.id))
    };
    let asked = spec.hosts.iter().zip(&gathered.facts.hosts);
    let unreachable = asked
        .filter(|(host, _)| waits(host))
        .filter_map(|(host, facts)| Some(format!("{}: {}", host.id, facts.unreachable.as_ref()?)))
        .collect();
    Ok(Found { fatal, unreachable })
}

/// A host of the plan as hosts.yaml had it, as far as facts depend on that.
fn entry(host: &Host) -> HostEntry {
    let interface = host.facts.get("private-interface").cloned();
    let address = host
        .facts
        .get("private-address")
        .or_else(|| host.fields.get("private-address"))
        .cloned()
        .filter(|_| interface.is_none());
    HostEntry {
        address: host.address.clone(),
        port: host.port,
        user: host.user.clone(),
        key_path: host.key_path.clone(),
        role: host.role,
        private_address: address,
        private_interface: interface,
        hostname: None,
        labels: BTreeMap::new(),
        bastion: host.bastion.clone(),
        install_flags: Vec::new(),
        no_taints: false,
        line: 0,
    }
}
