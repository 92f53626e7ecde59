//! The scripts of `plans/upgrade/facts/`, put together.

use crate::catalogue::Bundle;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The line of a script that stands for what both share.
const INCLUDE: &str = ". facts/base.sh\n";

/// The end of the script in what is sent; no script has such a line.
const END: &str = "MKECTL-END-OF-FACTS";

/// `facts.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub paths: Vec<String>,
    pub modules: Vec<String>,
    pub system_namespaces: Vec<String>,
    pub ingress_images: Vec<String>,
    pub own_images: Vec<String>,
    pub own_prefix: String,
}

/// Ports that `check ports` looks at, from the one list of ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ports {
    /// Of managers: all hosts reach them.
    pub managers: Vec<u16>,
    /// Of all hosts: managers reach them.
    pub everywhere: Vec<u16>,
    /// Through the load balancer.
    pub balanced: Vec<u16>,
    /// Those that are there before the upgrade.
    pub served: Served,
}

/// Ports that are there before the upgrade.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Served {
    pub managers: Vec<u16>,
    pub balanced: Vec<u16>,
}

/// What is needed here of `ports.yaml`; `convert` reads it strictly.
#[derive(Deserialize)]
struct PortList {
    kept: Vec<PortRow>,
    new: Vec<PortRow>,
    load_balancer: Balancer,
}

#[derive(Deserialize)]
struct PortRow {
    port: u16,
    hosts: String,
    #[serde(default)]
    probe: Option<Probe>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Probe {
    Listen,
    Served,
}

#[derive(Deserialize)]
struct Balancer {
    pass: Vec<u16>,
}

impl Ports {
    fn read(text: &str) -> Result<Ports, String> {
        let list: PortList = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        let mut ports = Ports::default();
        let mut probes = BTreeMap::new();
        for row in list.kept.iter().chain(&list.new) {
            let Some(probe) = row.probe else {
                continue;
            };
            let of_managers = row.hosts == "managers";
            probes.insert(row.port, (probe, of_managers));
            match (probe, of_managers) {
                (Probe::Listen, true) => ports.managers.push(row.port),
                (Probe::Listen, false) => ports.everywhere.push(row.port),
                (Probe::Served, true) => ports.served.managers.push(row.port),
                (Probe::Served, false) => {
                    return Err(format!("the port {} is served, and not by managers", row.port));
                }
            }
        }
        for port in list.load_balancer.pass {
            match probes.get(&port) {
                Some((Probe::Listen, true)) => ports.balanced.push(port),
                Some((Probe::Served, true)) => ports.served.balanced.push(port),
                _ => {
                    return Err(format!(
                        "the load balancer passes {port}, which no probe of managers is for"
                    ));
                }
            }
        }
        Ok(ports)
    }
}

/// What is asked of hosts.
#[derive(Clone, Debug)]
pub struct Questions {
    pub(super) table: Table,
    pub(super) ports: Ports,
    host: String,
    cluster: String,
    listen: String,
    probe: String,
    close: String,
}

/// A file of `plans/upgrade/facts/` is missing or cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plans/upgrade/facts/{file}: {why}")]
pub struct QuestionsError {
    file: String,
    why: String,
}

impl Questions {
    /// The questions of `plans/upgrade/`.
    ///
    /// # Errors
    ///
    /// When a file is missing or is not as it must be.
    pub fn load(bundle: &Bundle) -> Result<Questions, QuestionsError> {
        let wrong = |file: &str, why: String| QuestionsError {
            file: file.to_owned(),
            why,
        };
        let text = |file: &str| {
            bundle
                .text(&format!("facts/{file}"))
                .ok_or_else(|| wrong(file, "it is not there, or not UTF-8".to_owned()))
        };
        let table: Table = serde_yaml::from_str(text("facts.yaml")?)
            .map_err(|error| wrong("facts.yaml", error.to_string()))?;
        let list = bundle
            .text("ports.yaml")
            .ok_or_else(|| wrong("../ports.yaml", "it is not there, or not UTF-8".to_owned()))?;
        let ports = Ports::read(list).map_err(|why| wrong("../ports.yaml", why))?;
        // They become arguments of the scripts, where words are split.
        let words = table
            .paths
            .iter()
            .chain(&table.modules)
            .chain(&table.system_namespaces);
        for word in words {
            let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            if word.is_empty() || word.starts_with('-') || !word.chars().all(plain) {
                return Err(wrong("facts.yaml", format!("{word:?} is not a plain word")));
            }
        }
        let start = text("start.sh")?;
        let base = text("base.sh")?;
        let whole = |file: &str| {
            let script = text(file)?;
            if !script.contains(INCLUDE) {
                return Err(wrong(file, format!("there is no line {INCLUDE:?}")));
            }
            let script = script.replace(INCLUDE, base);
            if script.contains(END) || !script.ends_with('\n') {
                return Err(wrong(file, format!("it has {END}, or no end of line at its end")));
            }
            Ok(format!("facts() {{ cat <<'{END}'\n{script}{END}\n}}\n{start}"))
        };
        Ok(Questions {
            host: whole("host.sh")?,
            cluster: whole("cluster.sh")?,
            listen: whole("ports-listen.sh")?,
            probe: whole("ports-probe.sh")?,
            close: whole("ports-close.sh")?,
            table,
            ports,
        })
    }

    /// What a host is sent to tell of itself: the words of the command, and its standard input.
    pub fn host(&self, word: &str) -> (Vec<String>, &[u8]) {
        let mut arguments = self.table.paths.clone();
        arguments.push("--".to_owned());
        arguments.extend(self.table.modules.iter().cloned());
        (command(word, arguments), self.host.as_bytes())
    }

    /// What a manager is sent to tell of the cluster.
    pub fn cluster(&self, word: &str) -> (Vec<String>, &[u8]) {
        (
            command(word, self.table.system_namespaces.clone()),
            self.cluster.as_bytes(),
        )
    }

    /// What is sent to a host that is to listen, with these arguments.
    pub fn ports_listen(&self, word: &str, arguments: Vec<String>) -> (Vec<String>, &[u8]) {
        (command(word, arguments), self.listen.as_bytes())
    }

    /// What is sent to a host that is to ask the listeners.
    pub fn ports_probe(&self, word: &str, arguments: Vec<String>) -> (Vec<String>, &[u8]) {
        (command(word, arguments), self.probe.as_bytes())
    }

    /// What is sent to a host that is to end its listeners.
    pub fn ports_close(&self, word: &str, arguments: Vec<String>) -> (Vec<String>, &[u8]) {
        (command(word, arguments), self.close.as_bytes())
    }
}

fn command(word: &str, arguments: Vec<String>) -> Vec<String> {
    let start = ["sh", "-s", "--", word].map(str::to_owned);
    start.into_iter().chain(arguments).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_ports_says_which_are_looked_at_and_through_what() {
        let bundle = Bundle::embedded();
        let text = bundle.text("ports.yaml").unwrap();
        let ports = Ports::read(text).unwrap();
        assert_eq!(
            ports,
            Ports {
                managers: vec![2380, 8132, 9443],
                everywhere: vec![5473],
                balanced: vec![9443, 8132],
                served: Served {
                    managers: vec![6443],
                    balanced: vec![6443],
                },
            }
        );
        assert!(Questions::load(&bundle).is_ok());
        for (from, to, says) in [
            ("pass: [6443,", "pass: [22, 6443,", "passes 22"),
            (
                "hosts: all, after: Typha of Calico, probe: listen",
                "hosts: all, after: Typha, probe: served",
                "5473 is served",
            ),
            ("probe: listen", "probe: maybe", "maybe"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            let why = Ports::read(&changed).unwrap_err();
            assert!(why.contains(says), "{says:?} is not in {why}");
        }
    }
}
