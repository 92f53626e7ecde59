//! Whether hosts reach each other, and through the load balancer, on the ports that MKE 4k needs.
//!
//! Where nobody listens yet, a listener is started that tells a word of this check, so that no other program on the port is
//! taken for it. Listeners are ended by [`check`] however it goes, and by themselves after five minutes.

use super::lines::Answer;
use super::run::{Options, ask};
use super::scripts::Questions;
use crate::model::{Host, Role};
use crate::source::facts::{Facts, HostFacts};
use crate::source::hosts::{HostEntry, Hosts};
use crate::ssh::pool::Pool;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What became of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is reached.
    Open,
    /// It is not.
    Closed,
    /// Something else answers there.
    Other,
    /// Another program has the port on its host.
    Taken,
    /// It could not be looked at.
    Unknown,
}

/// One look at a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Look {
    /// How it went.
    pub verdict: Verdict,
    /// Name of the host that looked; empty when the port's own host told.
    pub from: String,
    /// Name of the host that has the port, or the load balancer.
    pub to: String,
    /// Address that was asked.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// More of it: an error of curl, a program.
    pub detail: String,
}

/// A host that takes part.
struct Member {
    host: Host,
    name: String,
    address: String,
    manager: bool,
    ports: Vec<u16>,
}

/// Looks at all ports. `facts` are those of the same hosts, read before; hosts that could not be read take no part.
pub async fn check(
    hosts: &Hosts,
    facts: &Facts,
    place: &(dyn Fn(usize, &HostEntry) -> Host + Sync),
    external: Option<&str>,
    pool: &Pool,
    questions: &Questions,
    options: &Options,
) -> Vec<Look> {
    let members: Vec<Member> = hosts
        .entries
        .iter()
        .zip(&facts.hosts)
        .enumerate()
        .filter_map(|(at, (entry, facts))| member(place(at, entry), facts, questions))
        .collect();
    let members = Arc::new(members);
    let mut looks = BTreeSet::new();
    let listen = |member: &Member| {
        let mut words = vec![options.word.clone(), member.name.clone()];
        words.extend(member.ports.iter().map(u16::to_string));
        questions.ports_listen(&options.word, words)
    };
    let heard = everywhere(&members, pool, options, &listen).await;
    let mut listening: BTreeSet<(usize, u16)> = BTreeSet::new();
    for (at, answer) in heard.into_iter().enumerate() {
        let member = &members[at];
        let told = |verdict, port, detail: String| Look {
            verdict,
            from: String::new(),
            to: member.name.clone(),
            address: member.address.clone(),
            port,
            detail,
        };
        let list = match &answer {
            Ok(answer) => answer
                .list("port")
                .ok_or_else(|| answer.untold.get("port").cloned().unwrap_or_default()),
            Err(why) => Err(why.clone()),
        };
        match list {
            Ok(list) => {
                for fields in list {
                    let Some(port) = fields.first().and_then(|port| port.parse::<u16>().ok()) else {
                        continue;
                    };
                    match fields.get(1).copied() {
                        Some("listening") => {
                            listening.insert((at, port));
                        }
                        Some("taken") => {
                            looks.insert(told(Verdict::Taken, port, program(facts, member, port)));
                        }
                        _ => {
                            let why = fields.get(2).copied().unwrap_or_default().to_owned();
                            looks.insert(told(Verdict::Unknown, port, why));
                        }
                    }
                }
            }
            Err(why) => {
                for port in &member.ports {
                    looks.insert(told(Verdict::Unknown, *port, why.clone()));
                }
            }
        }
    }
    let targets = |member: &Member| targets(member, &members, &listening, external, questions);
    let probe = |member: &Member| {
        let mut words = vec![options.word.clone()];
        words.extend(targets(member).into_keys());
        questions.ports_probe(&options.word, words)
    };
    let probed = everywhere(&members, pool, options, &probe).await;
    let close = |member: &Member| {
        let mut words = vec![options.word.clone()];
        words.extend(member.ports.iter().map(u16::to_string));
        questions.ports_close(&options.word, words)
    };
    // What cannot be reached to be closed closes itself.
    let _ = everywhere(&members, pool, options, &close).await;
    for (member, answer) in members.iter().zip(probed) {
        looks.extend(seen(member, &targets(member), &answer));
    }
    looks.into_iter().collect()
}

fn member(host: Host, facts: &HostFacts, questions: &Questions) -> Option<Member> {
    let manager = facts.role == Some(Role::Manager);
    if facts.unreachable.is_some() {
        return None;
    }
    let table = &questions.ports;
    let mut ports = table.everywhere.clone();
    if manager {
        ports.extend(&table.managers);
    }
    let name = facts.hostname.clone().unwrap_or_else(|| host.address.clone());
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    Some(Member {
        // It becomes a word of a script.
        name: if name.chars().all(plain) && !name.is_empty() {
            name
        } else {
            host.address.clone()
        },
        address: facts
            .private_address
            .clone()
            .unwrap_or_else(|| host.address.clone()),
        manager,
        ports,
        host,
    })
}

/// The program that the facts know on a port.
fn program(facts: &Facts, member: &Member, port: u16) -> String {
    facts
        .hosts
        .iter()
        .find(|host| host.address == member.host.address)
        .and_then(|host| host.listening.as_ref()?.get(&port.to_string()).cloned())
        .unwrap_or_default()
}

/// What a host has to ask: the word for the script, and whose port it is.
fn targets(
    from: &Member,
    members: &[Member],
    listening: &BTreeSet<(usize, u16)>,
    external: Option<&str>,
    questions: &Questions,
) -> BTreeMap<String, (String, String, u16)> {
    let table = &questions.ports;
    let mut all = BTreeMap::new();
    let mut add = |kind: &str, name: &str, address: &str, port: u16| {
        all.insert(
            format!("{kind},{address},{port}"),
            (name.to_owned(), address.to_owned(), port),
        );
    };
    for (at, to) in members.iter().enumerate() {
        if to.name == from.name {
            continue;
        }
        for port in &to.ports {
            let wanted = if table.managers.contains(port) {
                to.manager
            } else {
                from.manager
            };
            if wanted && listening.contains(&(at, *port)) {
                add("l", &to.name, &to.address, *port);
            }
        }
        if to.manager {
            for port in &table.served.managers {
                add("t", &to.name, &to.address, *port);
            }
        }
    }
    if let Some(balancer) = external {
        for port in &table.balanced {
            // Where another program has the port on a manager, nobody can tell who answers.
            let mut managers = members.iter().enumerate().filter(|(_, member)| member.manager);
            if managers.all(|(at, _)| listening.contains(&(at, *port))) {
                add("l", "the load balancer", balancer, *port);
            }
        }
        for port in &table.served.balanced {
            add("t", "the load balancer", balancer, *port);
        }
    }
    all
}

/// What a host saw of its targets.
fn seen(
    from: &Member,
    targets: &BTreeMap<String, (String, String, u16)>,
    answer: &Result<Answer, String>,
) -> Vec<Look> {
    let mut told: BTreeMap<(String, u16), (Verdict, String)> = BTreeMap::new();
    let mut missing = "it did not tell".to_owned();
    match answer {
        Ok(answer) => {
            if let Some(why) = answer.untold.get("reach") {
                missing.clone_from(why);
            }
            for fields in answer.list("reach").into_iter().flatten() {
                let [address, port, verdict, detail] = fields[..] else {
                    continue;
                };
                let verdict = match verdict {
                    "open" => Verdict::Open,
                    "closed" => Verdict::Closed,
                    _ => Verdict::Other,
                };
                if let Ok(port) = port.parse() {
                    told.insert((address.to_owned(), port), (verdict, detail.to_owned()));
                }
            }
        }
        Err(why) => missing.clone_from(why),
    }
    targets
        .values()
        .map(|(to, address, port)| {
            let (verdict, detail) = told
                .remove(&(address.clone(), *port))
                .unwrap_or_else(|| (Verdict::Unknown, missing.clone()));
            Look {
                verdict,
                from: from.name.clone(),
                to: to.clone(),
                address: address.clone(),
                port: *port,
                detail: if verdict == Verdict::Open {
                    String::new()
                } else {
                    detail
                },
            }
        })
        .collect()
}

/// The words of a command, and its standard input.
type Question<'a> = (Vec<String>, &'a [u8]);

/// Runs a script on all members, at most as many at once as the options say; answers in the order of members.
async fn everywhere<'a>(
    members: &Arc<Vec<Member>>,
    pool: &Pool,
    options: &Options,
    question: &(dyn Fn(&Member) -> Question<'a> + Sync),
) -> Vec<Result<Answer, String>> {
    let width = Arc::new(Semaphore::new(options.width.max(1)));
    let mut asking = JoinSet::new();
    for (at, member) in members.iter().enumerate() {
        let (words, script) = question(member);
        let (pool, width, host) = (pool.clone(), width.clone(), member.host.clone());
        let (script, options) = (script.to_vec(), options.clone());
        asking.spawn(async move {
            // Never closed.
            let _turn = width.acquire().await;
            let told = ask(
                &pool,
                &host,
                words,
                &script,
                &options.word,
                &options.now,
                options.host_limit,
            )
            .await;
            (at, told.map(|told| told.answer))
        });
    }
    let mut answers: Vec<Result<Answer, String>> = members
        .iter()
        .map(|_| Err("it was not asked".to_owned()))
        .collect();
    while let Some(ended) = asking.join_next().await {
        if let Ok((at, told)) = ended {
            answers[at] = told;
        }
    }
    answers
}
