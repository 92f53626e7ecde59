//! Asks all hosts, then one manager.

use super::cluster::{View, own_image};
use super::host;
use super::lines::Answer;
use super::scripts::Questions;
use crate::model;
use crate::source::facts::{FACTS_KIND, Facts, HostFacts};
use crate::source::hosts::{HostEntry, Hosts};
use crate::ssh::pool::Pool;
use crate::ssh::{Exec, Input, OutputLog, Session, Stream};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Bytes of an answer that are kept: twelve thousand nodes tell less.
const KEEP: usize = 64 << 20;

/// Milliseconds since 1970.
pub type NowMs = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How facts are read.
#[derive(Clone)]
pub struct Options {
    /// Hosts asked at once.
    pub width: usize,
    /// What a host may take, from the first packet to the end of its answer.
    pub host_limit: Duration,
    /// What a manager may take to tell of the cluster.
    pub cluster_limit: Duration,
    /// Tells the time.
    pub now: NowMs,
    /// A word of 8 or more letters and digits that no host knows before: it frames the answers.
    pub word: String,
}

/// Something worth telling that is no fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Address of the host.
    pub address: String,
    /// One line.
    pub text: String,
}

/// Progress.
#[derive(Clone, Debug)]
pub enum Seen<'a> {
    /// A host answered, or did not.
    Host(&'a HostEntry, &'a HostFacts),
    /// All hosts answered, or did not.
    Hosts(&'a [HostFacts]),
    /// A manager told of the cluster, or why it could not.
    Cluster(&'a HostEntry, Result<(), String>),
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// Facts, hosts in the order of hosts.yaml.
    pub facts: Facts,
    /// What could not be told and what hosts printed besides, in that order.
    pub remarks: Vec<Remark>,
}

impl Gathered {
    /// Hosts that could not be asked.
    pub fn unreachable(&self) -> impl Iterator<Item = &HostFacts> {
        self.facts.hosts.iter().filter(|host| host.unreachable.is_some())
    }
}

/// The host of an entry, to connect to: nothing about it is pinned yet. Its id is its address.
pub fn reachable(_: usize, entry: &HostEntry) -> model::Host {
    entry.host(&entry.address)
}

/// Reads facts about all hosts of hosts.yaml, and through a manager about the cluster. `place` says how a host is
/// connected to ([`reachable`], unless a plan knows more). Changes nothing anywhere.
pub async fn gather(
    hosts: &Hosts,
    place: &(dyn Fn(usize, &HostEntry) -> model::Host + Sync),
    pool: &Pool,
    questions: &Questions,
    options: &Options,
    seen: &(dyn Fn(Seen<'_>) + Sync),
) -> Gathered {
    let mut gathered = Gathered {
        facts: Facts {
            kind: FACTS_KIND.to_owned(),
            format_version: "1.0".to_owned(),
            ..Facts::default()
        },
        remarks: Vec::new(),
    };
    let width = Arc::new(Semaphore::new(options.width.max(1)));
    let mut asking = JoinSet::new();
    for (at, entry) in hosts.entries.iter().enumerate() {
        let host = place(at, entry);
        let (pool, width, now) = (pool.clone(), width.clone(), options.now.clone());
        let (words, script) = questions.host(&options.word);
        let (script, word, limit) = (script.to_vec(), options.word.clone(), options.host_limit);
        asking.spawn(async move {
            // Never closed; a host's time begins when it is its turn.
            let _turn = width.acquire().await;
            (at, ask(&pool, &host, words, &script, &word, &now, limit).await)
        });
    }
    let mut facts: Vec<Option<HostFacts>> = vec![None; hosts.entries.len()];
    let mut answers: Vec<Option<Answer>> = vec![None; hosts.entries.len()];
    while let Some(ended) = asking.join_next().await {
        // A task that panicked is a bug here, and its host counts as not asked.
        let Ok((at, told)) = ended else { continue };
        let entry = &hosts.entries[at];
        let made = match told {
            Ok(told) => {
                let mut made = host::facts(entry, &told.answer, &questions.table, told.began);
                // What the host says of its keys proves nothing; whom we really talked to does.
                made.host_keys = told.host_key.into_iter().collect();
                answers[at] = Some(told.answer);
                made
            }
            Err(why) => unreachable(entry, why),
        };
        seen(Seen::Host(entry, &made));
        facts[at] = Some(made);
    }
    gathered.facts.hosts = facts
        .into_iter()
        .zip(&hosts.entries)
        .map(|(facts, entry)| facts.unwrap_or_else(|| unreachable(entry, "it was not asked".to_owned())))
        .collect();
    for (entry, answer) in hosts.entries.iter().zip(&answers) {
        remark(&mut gathered.remarks, entry, answer.as_ref());
    }
    seen(Seen::Hosts(&gathered.facts.hosts));
    let view = cluster(hosts, place, pool, questions, options, seen, &mut gathered).await;
    for host in &mut gathered.facts.hosts {
        view.tell(host);
    }
    gathered.facts.cluster = view.cluster;
    of_hosts(&mut gathered.facts, &answers, questions);
    gathered
}

fn unreachable(entry: &HostEntry, why: String) -> HostFacts {
    HostFacts {
        address: entry.address.clone(),
        unreachable: Some(why),
        ..HostFacts::default()
    }
}

fn remark(remarks: &mut Vec<Remark>, entry: &HostEntry, answer: Option<&Answer>) {
    let Some(answer) = answer else { return };
    let untold = answer.untold.iter().map(|(fact, why)| format!("{fact}: {why}"));
    for text in untold.chain(answer.remarks.iter().cloned()) {
        remarks.push(Remark {
            address: entry.address.clone(),
            text,
        });
    }
}

/// What is of the cluster and every host tells a part of.
fn of_hosts(facts: &mut Facts, answers: &[Option<Answer>], questions: &Questions) {
    let versions: Vec<&str> = answers
        .iter()
        .flatten()
        .filter_map(|answer| answer.value("mke-version"))
        .collect();
    // Managers first: a worker may have been left behind.
    let of_manager = facts
        .hosts
        .iter()
        .zip(answers)
        .filter(|(host, _)| host.role == Some(model::Role::Manager))
        .find_map(|(_, answer)| answer.as_ref()?.value("mke-version"));
    facts.cluster.mke_version = of_manager.or(versions.first().copied()).map(str::to_owned);
    if facts.cluster.id.is_none() {
        facts.cluster.id = answers
            .iter()
            .flatten()
            .find_map(|answer| answer.value("swarm.cluster"))
            .map(str::to_owned);
    }
    if let Some(objects) = &mut facts.cluster.objects {
        let mut local = BTreeSet::new();
        let mut told = false;
        for names in answers
            .iter()
            .flatten()
            .filter_map(|answer| answer.names("local-image"))
        {
            told = true;
            local.extend(
                names
                    .into_iter()
                    .filter(|name| !own_image(name, &questions.table)),
            );
        }
        objects.local_images = told.then(|| local.into_iter().collect());
    }
}

/// Asks managers, one after the other, until one could tell everything.
async fn cluster(
    hosts: &Hosts,
    place: &(dyn Fn(usize, &HostEntry) -> model::Host + Sync),
    pool: &Pool,
    questions: &Questions,
    options: &Options,
    seen: &(dyn Fn(Seen<'_>) + Sync),
    gathered: &mut Gathered,
) -> View {
    let mut view = View::default();
    let managers: Vec<(usize, &HostEntry)> = hosts
        .entries
        .iter()
        .enumerate()
        .zip(&gathered.facts.hosts)
        .filter(|(_, facts)| facts.role == Some(model::Role::Manager))
        .map(|(entry, _)| entry)
        .collect();
    for (at, entry) in managers {
        let (words, script) = questions.cluster(&options.word);
        let host = place(at, entry);
        let told = ask(
            pool,
            &host,
            words,
            script,
            &options.word,
            &options.now,
            options.cluster_limit,
        )
        .await;
        match told {
            Ok(Told { answer, .. }) => {
                let now = View::read(&answer, &questions.table);
                let whole = now.is_whole();
                view.complete(now);
                remark(&mut gathered.remarks, entry, Some(&answer));
                let lacks = answer.untold.values().next().cloned().unwrap_or_default();
                seen(Seen::Cluster(entry, if whole { Ok(()) } else { Err(lacks) }));
                if view.is_whole() {
                    break;
                }
            }
            Err(why) => seen(Seen::Cluster(entry, Err(why))),
        }
    }
    view
}

/// Notes when an answer began to arrive.
struct Arrival {
    now: NowMs,
    first: Mutex<Option<u64>>,
}

impl OutputLog for Arrival {
    fn write(&self, stream: Stream, _: &[u8]) {
        if stream == Stream::Stdout {
            let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| (self.now)());
        }
    }
}

/// What a host told.
pub(super) struct Told {
    /// Its answer.
    pub answer: Answer,
    /// When that began to arrive.
    pub began: u64,
    /// Fingerprint of the key that it showed.
    pub host_key: Option<String>,
}

/// Sends a script to a host. The error is one line for a person.
pub(super) async fn ask(
    pool: &Pool,
    host: &model::Host,
    words: Vec<String>,
    script: &[u8],
    word: &str,
    now: &NowMs,
    limit: Duration,
) -> Result<Told, String> {
    let arrival = Arrival {
        now: now.clone(),
        first: Mutex::default(),
    };
    let talk = async {
        let session = pool.session(host).await.map_err(|error| error.to_string())?;
        let exec = Exec::new(words)
            .stdin(Input::Bytes(script))
            .keep(KEEP)
            .log(&arrival);
        let ran = Session::exec(&session, exec)
            .await
            .map_err(|error| error.to_string())?;
        Ok::<_, String>((ran, session.host_key()))
    };
    let (ran, host_key) = match timeout(limit, talk).await {
        Ok(ran) => ran?,
        Err(_) => {
            return Err(format!(
                "it did not answer within {} seconds: look for a hanging file system or Docker there",
                limit.as_secs()
            ));
        }
    };
    let first = *arrival.first.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = Answer::parse(word, &ran.stdout).map_err(|error| match ran.complaint().lines().last() {
        Some(last) if !last.is_empty() => format!("{error} ({})", crate::text::sanitize(last)),
        _ => error.to_string(),
    })?;
    Ok(Told {
        answer,
        began: first.unwrap_or_else(|| (now)()),
        host_key,
    })
}
