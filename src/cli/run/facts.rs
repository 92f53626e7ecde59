//! Reads facts about all hosts, with the log lines of the real tool.

use super::milliseconds_since_1970;
use crate::catalogue::Bundle;
use crate::cli::Env;
use crate::cli::error::CliError;
use crate::cli::log::Level;
use crate::gather::{self, Gathered, Options, Questions, Seen};
use crate::model::Host;
use crate::source::facts::HostFacts;
use crate::source::hosts::{HostEntry, Hosts};
use crate::ssh::pool::Pool;
use std::sync::Arc;
use std::time::Duration;

/// What a host may take. Docker adds up the sizes of its layers within half a minute, or not at all.
const HOST_LIMIT: Duration = Duration::from_secs(90);

/// What a manager may take to list what a large cluster holds.
const CLUSTER_LIMIT: Duration = Duration::from_secs(300);

/// Hosts asked at once, where nobody chose.
pub const FACTS_WIDTH: usize = 64;

/// What is read, and how.
pub struct Reading<'a> {
    /// Hosts.
    pub hosts: &'a Hosts,
    /// How each is connected to.
    pub place: &'a (dyn Fn(usize, &HostEntry) -> Host + Sync),
    /// Connections.
    pub pool: &'a Pool,
    /// Hosts asked at once.
    pub width: usize,
    /// Details are told, and not only what goes wrong.
    pub told: bool,
}

/// What is asked, and how.
///
/// # Errors
///
/// When this build has no scripts to ask with, or this machine no random numbers.
pub fn prepared(width: usize) -> Result<(Questions, Options), CliError> {
    let questions = Questions::load(&Bundle::embedded()).map_err(|error| CliError::bug(error.to_string()))?;
    let options = Options {
        width,
        host_limit: HOST_LIMIT,
        cluster_limit: CLUSTER_LIMIT,
        now: Arc::new(milliseconds_since_1970),
        word: word()?,
    };
    Ok((questions, options))
}

/// Reads facts. Hosts that cannot be asked are among the facts, with the reason.
///
/// # Errors
///
/// When this build has no scripts to ask with, or this machine no random numbers.
pub async fn read(env: &Env, reading: &Reading<'_>) -> Result<Gathered, CliError> {
    let (questions, options) = prepared(reading.width)?;
    let level = if reading.told { Level::Info } else { Level::Debug };
    let at = |entry: &HostEntry| format!("[ssh] {}:{}", entry.address, entry.port);
    if reading.told {
        env.log(Level::Info, "==> Running phase: Connect to hosts");
    }
    let seen = |seen: Seen<'_>| match seen {
        Seen::Host(entry, facts) => match &facts.unreachable {
            None => env.log(level, &format!("{}: connected", at(entry))),
            Some(why) => env.log(Level::Warn, &format!("{}: cannot be read: {why}", at(entry))),
        },
        Seen::Hosts(facts) if reading.told => {
            let all: Vec<_> = reading.hosts.entries.iter().zip(facts).collect();
            env.log(Level::Info, "==> Running phase: Detect host operating systems");
            for (entry, facts) in &all {
                let name = facts.os.as_ref().and_then(|os| os.name.as_ref());
                if let Some(name) = name {
                    env.log(Level::Info, &format!("{}: is running {name}", at(entry)));
                }
            }
            env.log(Level::Info, "==> Running phase: Gather host facts");
            for (what, get) in DISCOVERED {
                for (entry, facts) in &all {
                    if let Some(text) = get(facts) {
                        let line = what.replace("{}", &text);
                        env.log(Level::Info, &format!("{}: {line}", at(entry)));
                    }
                }
            }
            env.log(Level::Info, "==> Running phase: Gather cluster facts");
        }
        Seen::Hosts(_) => {}
        Seen::Cluster(entry, Ok(())) => env.log(
            level,
            &format!("{}: read the swarm, etcd and Kubernetes", at(entry)),
        ),
        Seen::Cluster(entry, Err(why)) => env.log(
            Level::Warn,
            &format!("{}: could not tell all of the cluster: {why}", at(entry)),
        ),
    };
    let gathered = gather::gather(
        reading.hosts,
        reading.place,
        reading.pool,
        &questions,
        &options,
        &seen,
    )
    .await;
    for remark in &gathered.remarks {
        env.log(
            Level::Debug,
            &format!("[ssh] {}: {}", remark.address, remark.text),
        );
    }
    Ok(gathered)
}

/// A line, and what fills it in.
type Discovered = (&'static str, fn(&HostFacts) -> Option<String>);

/// What is told of each host, in this order.
const DISCOVERED: [Discovered; 4] = [
    ("using {} as hostname", |facts| facts.hostname.clone()),
    ("discovered {} as private interface", |facts| {
        facts.private_interface.clone()
    }),
    ("discovered {} as private address", |facts| {
        facts.private_address.clone()
    }),
    ("is a swarm {}", |facts| {
        let role = match facts.role? {
            crate::model::Role::Manager => "manager",
            crate::model::Role::Worker => "worker",
        };
        Some(role.to_owned())
    }),
];

/// A word that nobody can guess.
///
/// # Errors
///
/// When the system gives no random bytes.
fn word() -> Result<String, CliError> {
    use ring::rand::SecureRandom;
    let mut bytes = [0; 16];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| CliError::bug("this machine gives no random bytes"))?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}
