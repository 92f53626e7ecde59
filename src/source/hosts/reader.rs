//! Entries of hosts.yaml out of the YAML tree, with the place of every error.

use super::{EXAMPLE, HostEntry};
use crate::model::{Bastion, Role};
use crate::source::InputError;
use crate::source::input;
use crate::yaml::{Located, Tree};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Keys of an entry in the documented form.
const FLAT: &[&str] = &[
    "address",
    "port",
    "user",
    "keyPath",
    "privateAddress",
    "privateInterface",
    "hostname",
    "labels",
    "bastion",
    "role",
    "installFlags",
    "noTaints",
];
/// Keys of an entry in mke4.yaml's form.
const NESTED: &[&str] = &[
    "role",
    "ssh",
    "privateAddress",
    "privateInterface",
    "hostname",
    "labels",
    "installFlags",
    "noTaints",
];
const SSH: &[&str] = &["address", "port", "user", "keyPath", "bastion"];
const BASTION: &[&str] = &["address", "port", "user", "keyPath"];
/// Names of roles, k0s' and ours.
const ROLES: &[&str] = &["manager", "controller+worker", "controller", "single", "worker"];

/// The key that OpenSSH and k0s' tools try by default.
const DEFAULT_KEY: &str = "~/.ssh/id_rsa";

/// A mapping of the file and how errors call it.
struct Table<'a> {
    what: &'static str,
    at: (u32, u32),
    entries: &'a [(Located<String>, Located<Tree>)],
}

impl<'a> Table<'a> {
    /// A key with its place, and its value.
    fn get(&self, key: &str) -> Option<&'a (Located<String>, Located<Tree>)> {
        self.entries.iter().find(|(name, _)| name.value == key)
    }
}

/// Turns the tree of a file into entries.
pub(super) struct Reader<'a> {
    pub file: &'a str,
}

impl Reader<'_> {
    fn error(&self, at: (u32, u32), message: impl Into<String>, remedy: impl Into<String>) -> InputError {
        InputError::new(self.file, Some(at), message, remedy)
    }

    fn table<'t>(&self, tree: &'t Located<Tree>, what: &'static str) -> Result<Table<'t>, InputError> {
        match &tree.value {
            Tree::Map(entries) => Ok(Table {
                what,
                at: tree.at,
                entries,
            }),
            other => Err(self.error(
                tree.at,
                format!("{} where a {what} is needed", other.kind()),
                EXAMPLE,
            )),
        }
    }

    fn check_keys(&self, table: &Table<'_>, known: &[&str]) -> Result<(), InputError> {
        match table
            .entries
            .iter()
            .find(|(key, _)| !known.contains(&key.value.as_str()))
        {
            None => Ok(()),
            Some((key, _)) => {
                let message = format!("unknown key {} in a {}", input::quoted(&key.value), table.what);
                Err(self.error(key.at, message, input::did_you_mean(&key.value, known)))
            }
        }
    }

    /// `hosts`, or `spec.hosts` of a whole mke4.yaml.
    pub(super) fn list_of_hosts<'t>(
        &self,
        tree: &'t Located<Tree>,
    ) -> Result<&'t [Located<Tree>], InputError> {
        if tree.value == Tree::Null {
            return Err(InputError::new(self.file, None, "the file is empty", EXAMPLE));
        }
        if let Tree::List(_) = tree.value {
            return Err(self.error(tree.at, "the list of hosts stands alone", "put `hosts:` above it"));
        }
        let mut top = self.table(tree, "file with `hosts:`")?;
        if let Some((_, spec)) = top.get("spec") {
            if let Some((key, _)) = top.get("hosts") {
                let remedy = "keep one of the two lists";
                return Err(self.error(key.at, "`hosts` stands beside `spec`", remedy));
            }
            top = self.table(spec, "`spec`")?;
        } else {
            self.check_keys(&top, &["hosts"])?;
        }
        let Some((key, hosts)) = top.get("hosts") else {
            return Err(self.error(top.at, "there is no `hosts:`", EXAMPLE));
        };
        match &hosts.value {
            Tree::List(list) if !list.is_empty() => Ok(list),
            Tree::List(_) | Tree::Null => Err(self.error(key.at, "the list of hosts is empty", EXAMPLE)),
            other => Err(self.error(
                hosts.at,
                format!("{} where the list of hosts is needed", other.kind()),
                EXAMPLE,
            )),
        }
    }

    pub(super) fn entry(&self, tree: &Located<Tree>) -> Result<HostEntry, InputError> {
        let host = self.table(tree, "host")?;
        let nested = host.get("ssh").is_some();
        if nested {
            if let Some((key, _)) = host
                .entries
                .iter()
                .find(|(key, _)| SSH.contains(&key.value.as_str()) && !NESTED.contains(&key.value.as_str()))
            {
                let message = format!("`{}` stands beside `ssh`", key.value);
                return Err(self.error(
                    key.at,
                    message,
                    "move it below `ssh:`, or give all keys without `ssh:`",
                ));
            }
            self.check_keys(&host, NESTED)?;
        } else {
            self.check_keys(&host, FLAT)?;
        }
        let ssh = match host.get("ssh") {
            Some((_, ssh)) => {
                let ssh = self.table(ssh, "`ssh`")?;
                self.check_keys(&ssh, SSH)?;
                ssh
            }
            None => Table {
                what: host.what,
                at: host.at,
                entries: host.entries,
            },
        };
        let login = self.login(&ssh)?;
        let private_address = match self.text(&host, "privateAddress")? {
            Some(Located { at, value: text }) if text.parse::<IpAddr>().is_err() => {
                let message = format!("privateAddress {} is not an IP address", input::quoted(&text));
                return Err(self.error(
                    at,
                    message,
                    "give the address that the host has in the cluster's network",
                ));
            }
            other => other.map(|text| text.value),
        };
        let private_interface = self.word(&host, "privateInterface")?;
        if let (Some(_), Some((key, _))) = (&private_address, host.get("privateInterface")) {
            return Err(self.error(
                key.at,
                "privateInterface and privateAddress exclude each other",
                "keep one of them: the interface is how the address is found",
            ));
        }
        Ok(HostEntry {
            address: login.address,
            port: login.port,
            user: login.user,
            key_path: login.key_path,
            role: self.role(&host)?,
            private_address,
            private_interface,
            hostname: self.word(&host, "hostname")?,
            labels: self.labels(&host)?,
            bastion: self.bastion(&ssh)?,
            install_flags: self.install_flags(&host)?,
            no_taints: match host.get("noTaints") {
                None => false,
                Some((
                    _,
                    Located {
                        value: Tree::Bool(value),
                        ..
                    },
                )) => *value,
                Some((_, other)) => return Err(self.wrong_type("noTaints", other, "`true` or `false`")),
            },
            line: tree.at.0,
        })
    }

    /// The keys that a host and a bastion share.
    fn login(&self, table: &Table<'_>) -> Result<Bastion, InputError> {
        let Some(Located { at, value: address }) = self.text(table, "address")? else {
            let message = format!("the {} has no address", table.what);
            return Err(self.error(
                table.at,
                message,
                "add `address:` with an IP address or a host name",
            ));
        };
        self.check_address(at, &address)?;
        let port = match table.get("port") {
            None => 22,
            Some((
                _,
                Located {
                    value: Tree::Int(port),
                    ..
                },
            )) if (1..=65535).contains(port) => *port as u32,
            Some((
                _,
                Located {
                    at,
                    value: Tree::Int(port),
                },
            )) => {
                return Err(self.error(
                    *at,
                    format!("port {port} does not exist"),
                    "give a port from 1 to 65535",
                ));
            }
            Some((_, other)) => return Err(self.wrong_type("port", other, "a number without quotes")),
        };
        let user = self.word(table, "user")?.unwrap_or_else(|| "root".to_string());
        let key_path = self
            .text(table, "keyPath")?
            .map_or_else(|| DEFAULT_KEY.to_string(), |path| path.value);
        Ok(Bastion {
            address,
            port,
            user,
            key_path,
            bastion: None,
        })
    }

    fn bastion(&self, ssh: &Table<'_>) -> Result<Option<Bastion>, InputError> {
        let Some((_, bastion)) = ssh.get("bastion") else {
            return Ok(None);
        };
        let bastion = self.table(bastion, "bastion")?;
        self.check_keys(&bastion, BASTION)?;
        self.login(&bastion).map(Some)
    }

    /// An address goes into commands and names of files, so it is an IP address or a host name and nothing else.
    fn check_address(&self, at: (u32, u32), address: &str) -> Result<(), InputError> {
        if address.parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        let (message, remedy) = if address.contains('@') {
            ("holds a user name", "put the user into `user:`")
        } else if address.starts_with('[') {
            (
                "is in brackets",
                "write the IPv6 address without brackets, and the port into `port:`",
            )
        } else if address.contains("://") {
            ("is a URL", "write the host name alone")
        } else if address.contains(':') {
            ("holds a port", "put the port into `port:`")
        } else {
            let is_name = address.len() <= 253
                && address
                    .strip_suffix('.')
                    .unwrap_or(address)
                    .split('.')
                    .all(|label| {
                        (1..=63).contains(&label.len())
                            && !label.starts_with('-')
                            && !label.ends_with('-')
                            && label
                                .bytes()
                                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
                    });
            let is_number = address.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            if is_name && !is_number {
                return Ok(());
            }
            ("is neither an IP address nor a host name", "correct the address")
        };
        Err(self.error(
            at,
            format!("address {} {message}", input::quoted(address)),
            remedy,
        ))
    }

    fn role(&self, host: &Table<'_>) -> Result<Option<Role>, InputError> {
        match self.text(host, "role")? {
            None => Ok(None),
            Some(Located { at, value: text }) => match text.as_str() {
                "worker" => Ok(Some(Role::Worker)),
                other if ROLES.contains(&other) => Ok(Some(Role::Manager)),
                other => {
                    let message = format!("unknown role {}", input::quoted(other));
                    Err(self.error(at, message, input::did_you_mean(other, ROLES)))
                }
            },
        }
    }

    fn labels(&self, host: &Table<'_>) -> Result<BTreeMap<String, String>, InputError> {
        let Some((_, labels)) = host.get("labels") else {
            return Ok(BTreeMap::new());
        };
        let Tree::Map(entries) = &labels.value else {
            return Err(self.wrong_type("labels", labels, "a mapping of keys to values"));
        };
        entries
            .iter()
            .map(|(key, value)| match &value.value {
                Tree::Str(text) => Ok((key.value.clone(), text.clone())),
                other => {
                    let message = format!(
                        "label {} is {}, not text",
                        input::quoted(&key.value),
                        other.kind()
                    );
                    Err(self.error(value.at, message, "put the value in quotes"))
                }
            })
            .collect()
    }

    fn install_flags(&self, host: &Table<'_>) -> Result<Vec<String>, InputError> {
        let Some((_, flags)) = host.get("installFlags") else {
            return Ok(Vec::new());
        };
        let Tree::List(items) = &flags.value else {
            return Err(self.wrong_type("installFlags", flags, "a list of flags"));
        };
        items
            .iter()
            .map(|item| match &item.value {
                Tree::Str(flag) if flag.starts_with('-') => Ok(flag.clone()),
                _ => Err(self.error(
                    item.at,
                    "this is not a flag",
                    "write each flag as `- \"--name=value\"`",
                )),
            })
            .collect()
    }

    /// Text with its place; absent when the key is.
    fn text(&self, table: &Table<'_>, key: &str) -> Result<Option<Located<String>>, InputError> {
        match table.get(key) {
            None => Ok(None),
            Some((
                _,
                Located {
                    at,
                    value: Tree::Str(text),
                },
            )) if !text.trim().is_empty() => {
                if text.contains(char::is_control) {
                    return Err(self.error(*at, format!("{key} holds a control character"), "remove it"));
                }
                Ok(Some(Located {
                    at: *at,
                    value: text.trim().to_string(),
                }))
            }
            Some((
                name,
                Located {
                    value: Tree::Null | Tree::Str(_),
                    ..
                },
            )) => Err(self.error(
                name.at,
                format!("{key} has no value"),
                "give one, or remove the key",
            )),
            Some((_, other)) => Err(self.wrong_type(key, other, "text; put it in quotes")),
        }
    }

    /// Text without blanks that does not look like an option: it becomes part of commands.
    fn word(&self, table: &Table<'_>, key: &str) -> Result<Option<String>, InputError> {
        match self.text(table, key)? {
            None => Ok(None),
            Some(Located { at, value: text })
                if text.contains(char::is_whitespace) || text.starts_with('-') =>
            {
                Err(self.error(
                    at,
                    format!("{key} {} is not one name", input::quoted(&text)),
                    "correct it",
                ))
            }
            Some(text) => Ok(Some(text.value)),
        }
    }

    fn wrong_type(&self, key: &str, found: &Located<Tree>, wanted: &str) -> InputError {
        self.error(
            found.at,
            format!("{key} is {}", found.value.kind()),
            format!("give {wanted}"),
        )
    }

    /// Facts, findings and the plan tell hosts apart by these.
    pub(super) fn check_unique(
        &self,
        list: &[Located<Tree>],
        entries: &[HostEntry],
    ) -> Result<(), InputError> {
        let mut seen: BTreeMap<(&str, String), u32> = BTreeMap::new();
        for (item, entry) in list.iter().zip(entries) {
            let names = [
                ("address", Some(&entry.address)),
                ("privateAddress", entry.private_address.as_ref()),
                ("hostname", entry.hostname.as_ref()),
            ];
            for (key, value) in names {
                let Some(value) = value else { continue };
                if let Some(line) = seen.insert((key, input::address_key(value)), entry.line) {
                    let message = format!(
                        "{key} {} is also that of the host on line {line}",
                        input::quoted(value)
                    );
                    let at = place_of(item, key);
                    return Err(self.error(at, message, "remove one of the two entries, or correct one"));
                }
            }
        }
        Ok(())
    }
}

/// Place of a key of an entry, be it below `ssh` or not.
fn place_of(item: &Located<Tree>, key: &str) -> (u32, u32) {
    let Tree::Map(entries) = &item.value else {
        return item.at;
    };
    for (name, value) in entries {
        if name.value == key {
            return value.at;
        }
        if name.value == "ssh" && key == "address" {
            return place_of(value, key);
        }
    }
    item.at
}
