//! hosts.yaml: how to reach the hosts.

mod reader;

use self::reader::Reader;
use super::InputError;
use super::input::{self, MAX_TEXT};
use crate::model::{Bastion, Host, Role};
use crate::yaml;
use std::collections::BTreeMap;

/// One entry of hosts.yaml, in the documented form or in mke4.yaml's `ssh:`/`role:` form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEntry {
    /// Address that the operator's machine reaches.
    pub address: String,
    /// TCP port of sshd, 22 unless given.
    pub port: u32,
    /// User to log in as, `root` unless given.
    pub user: String,
    /// Private key file as written, `~/.ssh/id_rsa` unless given; `~` is not expanded here.
    pub key_path: String,
    /// Role, when the file says so.
    pub role: Option<Role>,
    /// Address for traffic between nodes (`--node-ip`).
    pub private_address: Option<String>,
    /// Interface whose address that is; excludes `private_address`.
    pub private_interface: Option<String>,
    /// Node name to use.
    pub hostname: Option<String>,
    /// Labels, as far as the file gives them.
    pub labels: BTreeMap<String, String>,
    /// Host to connect through.
    pub bastion: Option<Bastion>,
    /// Flags for `k0s install`, as mke4.yaml has them.
    pub install_flags: Vec<String>,
    /// Controllers without taints, as mke4.yaml has it.
    pub no_taints: bool,
    /// Line of the entry in the file, from 1.
    pub line: u32,
}

impl HostEntry {
    /// The host to connect to, under this id. Nothing about it is pinned yet.
    pub fn host(&self, id: &str) -> Host {
        Host {
            id: id.to_owned(),
            role: self.role,
            address: self.address.clone(),
            port: self.port,
            user: self.user.clone(),
            key_path: self.key_path.clone(),
            bastion: self.bastion.clone(),
            host_keys: Vec::new(),
            machine_id: String::new(),
            fields: BTreeMap::new(),
            facts: BTreeMap::new(),
        }
    }
}

/// hosts.yaml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// File name without directories, for findings.
    pub file: String,
    /// Entries in the order of the file.
    pub entries: Vec<HostEntry>,
}

/// How to write the file: the remedy when there is nothing to read.
const EXAMPLE: &str =
    "list the hosts: `hosts:`, and below it `- address: 203.0.113.10` with port, user and keyPath";

impl Hosts {
    /// Parses the bytes of hosts.yaml. `file` is how errors call it.
    pub fn parse_bytes(file: &str, bytes: &[u8]) -> Result<Hosts, InputError> {
        Self::parse(file, &input::decode(file, bytes, MAX_TEXT, EXAMPLE)?)
    }

    /// Parses hosts.yaml, or the `spec.hosts` of a whole mke4.yaml. `file` is how errors call it; findings get its last
    /// component.
    ///
    /// Both forms of an entry are taken, not mixed within one. Unknown keys are refused: a misspelt `bastion` must not end in
    /// a connection past it.
    pub fn parse(file: &str, text: &str) -> Result<Hosts, InputError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        input::check_text(file, text, MAX_TEXT, EXAMPLE)?;
        let tree =
            yaml::read(text).map_err(|error| InputError::new(file, error.at, error.message, error.remedy))?;
        let reader = Reader { file };
        let list = reader.list_of_hosts(&tree)?;
        let mut entries = Vec::new();
        for item in list {
            entries.push(reader.entry(item)?);
        }
        reader.check_unique(list, &entries)?;
        Ok(Hosts {
            file: input::base_name(file),
            entries,
        })
    }
}
