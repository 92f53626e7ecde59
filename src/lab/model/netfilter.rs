//! Rules of iptables on one host: two backends that do not see each other, each for IPv4 and IPv6.

use std::collections::BTreeMap;

/// Where `iptables` puts its rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// `nf_tables`.
    Nft,
    /// `x_tables`.
    Legacy,
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Name.
    pub name: String,
    /// What happens at its end; none where users made it.
    pub policy: Option<String>,
    /// Rules, without `-A NAME`.
    pub rules: Vec<String>,
}

/// One table: chains in the order in which they are saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Chains.
    pub chains: Vec<Chain>,
}

/// All rules of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netfilter {
    /// What `iptables` without an ending means.
    pub backend: Backend,
    /// Tables by backend, whether of IPv6, and name.
    pub tables: BTreeMap<(Backend, bool, String), Table>,
}

/// Built-in chains of the tables.
const BUILT_IN: [(&str, &[&str]); 4] = [
    ("filter", &["INPUT", "FORWARD", "OUTPUT"]),
    (
        "mangle",
        &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
    ),
    ("nat", &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"]),
    ("raw", &["PREROUTING", "OUTPUT"]),
];

impl Table {
    /// A table as the kernel makes it; none by names it does not know.
    pub fn new(name: &str) -> Option<Table> {
        let (_, chains) = BUILT_IN.iter().find(|(table, _)| *table == name)?;
        let chain = |name: &&str| Chain {
            name: (*name).to_owned(),
            policy: Some("ACCEPT".to_owned()),
            rules: Vec::new(),
        };
        Some(Table {
            chains: chains.iter().map(chain).collect(),
        })
    }

    /// A chain.
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }

    /// A chain to be changed.
    pub fn chain_mut(&mut self, name: &str) -> Option<&mut Chain> {
        self.chains.iter_mut().find(|chain| chain.name == name)
    }

    /// Makes a chain of users, if there is none of this name.
    pub fn add_chain(&mut self, name: &str) {
        if self.chain(name).is_none() {
            self.chains.push(Chain {
                name: name.to_owned(),
                policy: None,
                rules: Vec::new(),
            });
        }
    }

    /// Whether a rule leads to this chain.
    pub fn leads_to(&self, name: &str) -> bool {
        let leads = |rule: &String| {
            let mut words = rule.split(' ');
            words.by_ref().any(|word| matches!(word, "-j" | "-g")) && words.next() == Some(name)
        };
        self.chains.iter().flat_map(|chain| &chain.rules).any(leads)
    }

    /// As `iptables-save` writes it.
    pub fn save(&self, name: &str) -> String {
        let mut text = format!("*{name}\n");
        for chain in &self.chains {
            let policy = chain.policy.as_deref().unwrap_or("-");
            text.push_str(&format!(":{} {policy} [0:0]\n", chain.name));
        }
        for chain in &self.chains {
            for rule in &chain.rules {
                text.push_str(&format!("-A {} {rule}\n", chain.name));
            }
        }
        text.push_str("COMMIT\n");
        text
    }
}

/// Reads what `iptables-save` wrote: tables by name.
///
/// # Errors
/// The number of the line that cannot be read.
pub fn read(text: &str) -> Result<BTreeMap<String, Table>, usize> {
    let mut tables = BTreeMap::new();
    let mut open: Option<(String, Table)> = None;
    for (at, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('*') {
            if open.is_some() || Table::new(name).is_none() {
                return Err(at);
            }
            open = Some((name.to_owned(), Table::default()));
            continue;
        }
        let (name, table) = open.as_mut().ok_or(at)?;
        if line == "COMMIT" {
            tables.insert(std::mem::take(name), std::mem::take(table));
            open = None;
        } else if let Some(declared) = line.strip_prefix(':') {
            let mut words = declared.split(' ');
            let (Some(chain), Some(policy)) = (words.next(), words.next()) else {
                return Err(at);
            };
            table.chains.push(Chain {
                name: chain.to_owned(),
                policy: (policy != "-").then(|| policy.to_owned()),
                rules: Vec::new(),
            });
        } else if let Some(rule) = line.strip_prefix("-A ") {
            let (chain, rule) = rule.split_once(' ').ok_or(at)?;
            table.chain_mut(chain).ok_or(at)?.rules.push(rule.to_owned());
        } else {
            return Err(at);
        }
    }
    // A jump to a chain that is not there is refused, and so is a table without its end.
    let whole = open.is_none()
        && tables.values().all(|table| {
            let targets = table
                .chains
                .iter()
                .flat_map(|chain| &chain.rules)
                .filter_map(|rule| {
                    let mut words = rule.split(' ');
                    words.by_ref().find(|word| matches!(*word, "-j" | "-g"))?;
                    words.next()
                });
            targets
                .filter(|target| target.starts_with("KUBE-") || target.starts_with("cali-"))
                .all(|target| table.chain(target).is_some())
        });
    if whole {
        Ok(tables)
    } else {
        Err(text.lines().count())
    }
}

impl Netfilter {
    /// Rules of an MKE 3 node: Docker's, those of kube-proxy and Calico, and some of an earlier time in the other backend,
    /// beside one of an administrator.
    pub fn of_mke_node(backend: Backend) -> Netfilter {
        let mut all = Netfilter {
            backend,
            tables: BTreeMap::new(),
        };
        all.docker_starts();
        all.kubelet_runs();
        all.proxy_runs();
        all.calico_runs();
        let other = match backend {
            Backend::Nft => Backend::Legacy,
            Backend::Legacy => Backend::Nft,
        };
        all.rule(other, "filter", "INPUT", "-s 192.0.2.66/32 -j DROP");
        all.rule(
            other,
            "nat",
            "PREROUTING",
            "-m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
        );
        all.rule(
            other,
            "nat",
            "KUBE-SERVICES",
            "-d 10.96.0.10/32 -p udp -m udp --dport 53 -j KUBE-SVC-OLD",
        );
        all.rule(
            other,
            "nat",
            "KUBE-SVC-OLD",
            "-p udp -j DNAT --to-destination 192.168.7.7:53",
        );
        all.rule(
            other,
            "filter",
            "FORWARD",
            "-m comment --comment \"cali:wUHhoiAYhphO9Mso\" -j cali-FORWARD",
        );
        all.rule(other, "filter", "cali-FORWARD", "-i cali+ -j DROP");
        all
    }

    /// Adds a rule where it is not there yet.
    fn rule(&mut self, backend: Backend, table: &str, chain: &str, rule: &str) {
        let Some(new) = Table::new(table) else { return };
        let table = self
            .tables
            .entry((backend, false, table.to_owned()))
            .or_insert(new);
        if let Some(target) = rule.rsplit_once("-j ").map(|(_, target)| target)
            && (target.starts_with("KUBE-") || target.starts_with("cali-") || target.starts_with("DOCKER"))
        {
            table.add_chain(target);
        }
        table.add_chain(chain);
        if let Some(chain) = table.chain_mut(chain)
            && !chain.rules.iter().any(|has| has == rule)
        {
            chain.rules.push(rule.to_owned());
        }
    }

    /// What Docker does when it starts: its chains, and no forwarding but what it allows.
    pub fn docker_starts(&mut self) {
        let backend = self.backend;
        self.rule(backend, "filter", "FORWARD", "-j DOCKER-USER");
        self.rule(backend, "filter", "DOCKER-USER", "-j RETURN");
        self.rule(backend, "filter", "FORWARD", "-o docker0 -j DOCKER");
        self.rule(
            backend,
            "nat",
            "POSTROUTING",
            "-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        );
        if let Some(forward) = self
            .tables
            .get_mut(&(backend, false, "filter".to_owned()))
            .and_then(|table| table.chain_mut("FORWARD"))
        {
            forward.policy = Some("DROP".to_owned());
        }
    }

    /// The mark by which others see which backend a kubelet uses.
    pub fn kubelet_runs(&mut self) {
        let backend = self.backend;
        if let Some(new) = Table::new("mangle") {
            let table = self
                .tables
                .entry((backend, false, "mangle".to_owned()))
                .or_insert(new);
            table.add_chain("KUBE-IPTABLES-HINT");
            table.add_chain("KUBE-KUBELET-CANARY");
        }
    }

    /// What a kube-proxy keeps there.
    pub fn proxy_runs(&mut self) {
        let backend = self.backend;
        self.rule(
            backend,
            "nat",
            "PREROUTING",
            "-m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
        );
        self.rule(
            backend,
            "filter",
            "FORWARD",
            "-m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD",
        );
        self.rule(
            backend,
            "filter",
            "KUBE-FORWARD",
            "-m mark --mark 0x4000/0x4000 -j ACCEPT",
        );
    }

    /// What Calico's node keeps there.
    pub fn calico_runs(&mut self) {
        let backend = self.backend;
        self.rule(
            backend,
            "filter",
            "FORWARD",
            "-m comment --comment \"cali:wUHhoiAYhphO9Mso\" -j cali-FORWARD",
        );
        self.rule(backend, "filter", "cali-FORWARD", "-i cali+ -j ACCEPT");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_read_again() {
        let all = Netfilter::of_mke_node(Backend::Nft);
        let text: String = all
            .tables
            .iter()
            .filter(|((backend, v6, _), _)| *backend == Backend::Nft && !v6)
            .map(|((_, _, name), table)| table.save(name))
            .collect();
        let read = read(&text).unwrap();
        assert_eq!(
            read["filter"],
            all.tables[&(Backend::Nft, false, "filter".to_owned())]
        );
        assert_eq!(read.len(), 3);
    }

    #[test]
    fn half_a_table_or_a_jump_to_nothing_is_refused() {
        assert_eq!(read("*nat\n:PREROUTING ACCEPT [0:0]\n"), Err(2));
        assert_eq!(
            read("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j KUBE-SERVICES\nCOMMIT\n"),
            Err(4)
        );
        assert_eq!(read("-A X -j DROP\n"), Err(1));
    }
}
