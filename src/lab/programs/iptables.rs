//! `iptables` and its kin, of both backends: rules of one host.

use super::{Caller, Failure, Invocation, Tool};
use crate::lab::model::{Backend, Chain, Netfilter, State, Table, read_rules};
use std::collections::BTreeMap;

/// One of the programs, by the name it is called by.
pub(super) struct Iptables(pub &'static str);

/// What a name means.
struct Meaning {
    v6: bool,
    backend: Option<Backend>,
    verb: Verb,
}

#[derive(PartialEq)]
enum Verb {
    Save,
    Restore,
    Change,
}

fn meaning(name: &str) -> Meaning {
    Meaning {
        v6: name.starts_with("ip6"),
        backend: match name {
            _ if name.contains("-legacy") => Some(Backend::Legacy),
            _ if name.contains("-nft") => Some(Backend::Nft),
            _ => None,
        },
        verb: match name {
            _ if name.ends_with("-save") => Verb::Save,
            _ if name.ends_with("-restore") => Verb::Restore,
            _ => Verb::Change,
        },
    }
}

fn rules<'a>(state: &'a mut State, call: &Invocation<'_>) -> Result<&'a mut Netfilter, Failure> {
    match state.hosts.get_mut(call.host) {
        Some(host) => Ok(&mut host.netfilter),
        None => Err(Failure::Unmodelled(format!("the host {}", call.host))),
    }
}

impl Tool for Iptables {
    fn name(&self) -> &'static str {
        self.0
    }

    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let meaning = meaning(self.0);
        let backend = match meaning.backend {
            Some(backend) => backend,
            None => rules(&mut call.cluster.state(), call)?.backend,
        };
        let mut table = None;
        let mut words: Vec<&str> = Vec::new();
        let mut flush = true;
        let mut rest = call.argv[1..].iter().map(String::as_str);
        while let Some(word) = rest.next() {
            match word {
                "-t" | "--table" => table = rest.next().map(str::to_owned),
                "-n" | "--noflush" if meaning.verb == Verb::Restore => flush = false,
                "-w" | "--wait" | "-c" | "--counters" => {}
                // The number of seconds that follows `-w`.
                number if words.is_empty() && number.parse::<u32>().is_ok() => {}
                word => words.push(word),
            }
        }
        if let Some(name) = &table
            && Table::new(name).is_none()
        {
            let text = format!(
                "{}: can't initialize table `{name}': Table does not exist",
                self.0
            );
            return Err(Failure::Real(text, 3));
        }
        match meaning.verb {
            Verb::Save if words.is_empty() => {
                let text = save(
                    rules(&mut call.cluster.state(), call)?,
                    backend,
                    meaning.v6,
                    table.as_deref(),
                );
                caller.out(text.as_bytes())?;
                Ok(0)
            }
            Verb::Restore if words.is_empty() && table.is_none() => {
                let mut bytes = Vec::new();
                loop {
                    let piece = caller.input()?;
                    if piece.is_empty() {
                        break;
                    }
                    bytes.extend(piece);
                }
                let read = read_rules(&String::from_utf8_lossy(&bytes))
                    .map_err(|line| Failure::Real(format!("{}: line {line} failed", self.0), 1))?;
                restore(
                    rules(&mut call.cluster.state(), call)?,
                    backend,
                    meaning.v6,
                    read,
                    flush,
                );
                Ok(0)
            }
            Verb::Change if matches!(words.as_slice(), ["-V" | "--version"]) => {
                let of = match backend {
                    Backend::Nft => "nf_tables",
                    Backend::Legacy => "legacy",
                };
                caller.out(format!("{} v1.8.7 ({of})\n", self.0).as_bytes())?;
                Ok(0)
            }
            Verb::Change => {
                let name = table.unwrap_or_else(|| "filter".to_owned());
                let said = {
                    let mut state = call.cluster.state();
                    let all = rules(&mut state, call)?;
                    let mut table = match all.tables.get(&(backend, meaning.v6, name.clone())) {
                        Some(table) => table.clone(),
                        None => Table::new(&name).unwrap_or_default(),
                    };
                    let said = change(self.0, &mut table, &words)?;
                    all.tables.insert((backend, meaning.v6, name), table);
                    said
                };
                caller.out(said.as_bytes())?;
                Ok(0)
            }
            _ => Err(Failure::Unmodelled(format!("the words {}", words.join(" ")))),
        }
    }
}

fn save(all: &Netfilter, backend: Backend, v6: bool, only: Option<&str>) -> String {
    let mut text = String::new();
    for ((_, _, name), table) in all
        .tables
        .iter()
        .filter(|((of, six, name), _)| *of == backend && *six == v6 && only.is_none_or(|only| only == name))
    {
        text.push_str("# Generated by iptables-save v1.8.7 on Thu Jan  1 00:00:00 2026\n");
        text.push_str(&table.save(name));
        text.push_str("# Completed on Thu Jan  1 00:00:00 2026\n");
    }
    text
}

fn restore(all: &mut Netfilter, backend: Backend, v6: bool, read: BTreeMap<String, Table>, flush: bool) {
    for (name, new) in read {
        let key = (backend, v6, name.clone());
        if flush {
            all.tables.insert(key, new);
            continue;
        }
        let fresh = Table::new(&name).unwrap_or_default();
        let table = all.tables.entry(key).or_insert(fresh);
        for chain in new.chains {
            match table.chain_mut(&chain.name) {
                // A chain that is declared is emptied first; a built-in one is not.
                Some(has) if chain.policy.is_none() => has.rules = chain.rules,
                Some(has) => has.rules.extend(chain.rules),
                None => table.chains.push(chain),
            }
        }
    }
}

/// One change, or a listing with `-S`.
fn change(program: &str, table: &mut Table, words: &[&str]) -> Result<String, Failure> {
    let gone = || Failure::Real(format!("{program}: No chain/target/match by that name."), 1);
    let unmatched = || {
        Failure::Real(
            format!("{program}: Bad rule (does a matching rule exist in that chain?)."),
            1,
        )
    };
    let chain = |table: &mut Table, name: &str| -> Result<usize, Failure> {
        table
            .chains
            .iter()
            .position(|chain| chain.name == name)
            .ok_or_else(gone)
    };
    match words {
        ["-S" | "--list-rules"] => Ok(table
            .chains
            .iter()
            .map(head)
            .chain(table.chains.iter().map(body))
            .collect()),
        ["-S" | "--list-rules", name] => {
            let at = chain(table, name)?;
            let one = &table.chains[at];
            Ok(head(one) + &body(one))
        }
        ["-P" | "--policy", name, policy] => {
            let at = chain(table, name)?;
            if table.chains[at].policy.is_none() {
                return Err(Failure::Real(format!("{program}: Bad built-in chain name."), 1));
            }
            table.chains[at].policy = Some((*policy).to_owned());
            Ok(String::new())
        }
        ["-N" | "--new-chain", name] => {
            if table.chain(name).is_some() {
                return Err(Failure::Real(format!("{program}: Chain already exists."), 1));
            }
            table.add_chain(name);
            Ok(String::new())
        }
        ["-F" | "--flush"] => {
            for chain in &mut table.chains {
                chain.rules.clear();
            }
            Ok(String::new())
        }
        ["-F" | "--flush", name] => {
            let at = chain(table, name)?;
            table.chains[at].rules.clear();
            Ok(String::new())
        }
        ["-X" | "--delete-chain", name] => {
            let at = chain(table, name)?;
            if table.leads_to(name) {
                return Err(Failure::Real(format!("{program}: Too many links."), 1));
            }
            if !table.chains[at].rules.is_empty() {
                return Err(Failure::Real(format!("{program}: Directory not empty."), 1));
            }
            table.chains.remove(at);
            Ok(String::new())
        }
        [
            verb @ ("-A" | "--append" | "-I" | "--insert" | "-D" | "--delete" | "-C" | "--check"),
            name,
            rule @ ..,
        ] => {
            let at = chain(table, name)?;
            let rule = rule.join(" ");
            if let Some((_, target)) = rule.rsplit_once("-j ")
                && (target.starts_with("KUBE-")
                    || target.starts_with("cali-")
                    || target.starts_with("DOCKER"))
                && table.chain(target).is_none()
            {
                return Err(gone());
            }
            let rules = &mut table.chains[at].rules;
            let found = rules.iter().position(|has| *has == rule);
            match (*verb, found) {
                ("-A" | "--append", _) => rules.push(rule),
                ("-I" | "--insert", _) => rules.insert(0, rule),
                ("-D" | "--delete", Some(found)) => {
                    rules.remove(found);
                }
                ("-C" | "--check", Some(_)) => {}
                _ => return Err(unmatched()),
            }
            Ok(String::new())
        }
        other => Err(Failure::Unmodelled(format!("the words {}", other.join(" ")))),
    }
}

fn head(chain: &Chain) -> String {
    match &chain.policy {
        Some(policy) => format!("-P {} {policy}\n", chain.name),
        None => format!("-N {}\n", chain.name),
    }
}

fn body(chain: &Chain) -> String {
    chain
        .rules
        .iter()
        .map(|rule| format!("-A {} {rule}\n", chain.name))
        .collect()
}
