//! The way into a lab for whoever connects to the hosts of a plan.

use super::Lab;
use super::error::{LabError, file};
use crate::model::Host;
use crate::ssh::auth::Keys;
use crate::ssh::client::{Client, Settings};
use crate::ssh::hostkey::{Now, Policy};
use crate::ssh::knownhosts::KnownHosts;
use crate::ssh::{ConnectError, Fut, Session, Transport};
use russh::keys::ssh_key::LineEnding;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

/// Connects to simulated hosts in the place of those that a plan names. What is replaced is where a host is and which keys
/// both sides have; everything else is the client that connects to real hosts.
struct Loopback {
    client: Client,
    places: Places,
}

/// Where the hosts of a lab are, and which keys both sides have: enough for another process to connect to them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// The file of the key that every host lets in.
    key: String,
    hosts: BTreeMap<String, Place>,
    /// Hosts by the address that the facts have.
    names: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    address: String,
    port: u32,
    host_key: String,
}

impl Places {
    /// Connects to these hosts by their ids, or by the addresses that their facts have.
    pub fn transport(self, now: Now) -> Arc<dyn Transport> {
        Arc::new(Loopback {
            client: Client::new(
                Settings::default(),
                Policy::new(KnownHosts::default(), now),
                Keys::new(None, None, None),
            ),
            places: self,
        })
    }
}

impl Transport for Loopback {
    fn connect<'a>(&'a self, host: &'a Host) -> Fut<'a, Result<Arc<dyn Session>, ConnectError>> {
        Box::pin(async move {
            let Places { key, hosts, names } = &self.places;
            let place = hosts
                .get(&host.id)
                .or_else(|| hosts.get(names.get(&host.address)?));
            let Some(place) = place else {
                return Err(ConnectError::Address {
                    endpoint: host.id.clone(),
                    why: "the simulated cluster has no such host".to_owned(),
                });
            };
            let there = Host {
                address: place.address.clone(),
                port: place.port,
                key_path: key.clone(),
                bastion: None,
                host_keys: vec![place.host_key.clone()],
                ..host.clone()
            };
            self.client.connect(&there).await
        })
    }
}

impl Lab {
    /// Connects to the hosts of this lab by their ids, or by the addresses that their facts have.
    ///
    /// # Errors
    /// When the key that opens them cannot be written into the lab's directory.
    pub fn transport(&self, now: Now) -> Result<Arc<dyn Transport>, LabError> {
        Ok(self.places()?.transport(now))
    }

    /// Where the hosts of this lab are, as long as it is there.
    ///
    /// # Errors
    /// When the key that opens them cannot be written into the lab's directory.
    pub fn places(&self) -> Result<Places, LabError> {
        let path = self.directory().join("client-key");
        let failed = |error: std::io::Error| file("write", &path)(error);
        let text = self
            .client_key()
            .to_openssh(LineEnding::LF)
            .map_err(|error| failed(std::io::Error::other(error)))?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut key = options.open(&path).map_err(failed)?;
        std::io::Write::write_all(&mut key, text.as_bytes()).map_err(failed)?;
        let mut hosts = BTreeMap::new();
        for host in self.hosts() {
            let server = self.server(host)?;
            let at = server.address();
            let place = Place {
                address: at.ip().to_string(),
                port: u32::from(at.port()),
                host_key: server.fingerprint(),
            };
            hosts.insert(host.to_owned(), place);
        }
        Ok(Places {
            key: path.to_string_lossy().into_owned(),
            hosts,
            names: self.names.clone(),
        })
    }
}
