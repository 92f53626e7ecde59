//! The scripts of `plans/upgrade/facts/`, put together.

use crate::catalogue::Bundle;
use serde::Deserialize;

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

/// `ports.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ports {
    pub managers: Vec<u16>,
    pub everywhere: Vec<u16>,
    pub balanced: Vec<u16>,
    pub served: Served,
}

/// Ports that are there before the upgrade.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Served {
    pub managers: Vec<u16>,
    pub balanced: Vec<u16>,
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
        let ports: Ports = serde_yaml::from_str(text("ports.yaml")?)
            .map_err(|error| wrong("ports.yaml", error.to_string()))?;
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
