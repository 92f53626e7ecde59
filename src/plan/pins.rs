//! What the graph relied on: facts that the plan must pin.

use super::facts::Relied;
use std::collections::BTreeMap;

/// Facts that decided something, with the text that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// By host, in the order of hosts.yaml.
    pub hosts: Vec<BTreeMap<String, String>>,
    /// About the cluster.
    pub cluster: BTreeMap<String, String>,
}

impl Pins {
    /// No facts about so many hosts.
    pub fn new(hosts: usize) -> Pins {
        Pins {
            hosts: vec![BTreeMap::new(); hosts],
            cluster: BTreeMap::new(),
        }
    }

    /// Adds what a look saw.
    pub fn add(&mut self, relied: Relied) {
        for (name, text) in relied.cluster {
            self.cluster.insert(name.to_owned(), text);
        }
        for (host, facts) in relied.hosts {
            let pins = &mut self.hosts[host as usize];
            pins.extend(facts.into_iter().map(|(name, text)| (name.to_owned(), text)));
        }
    }
}
