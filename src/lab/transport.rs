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
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

/// Connects to simulated hosts in the place of those that a plan names. What is replaced is where a host is and which keys
/// both sides have; everything else is the client that connects to real hosts.
struct Loopback {
    client: Client,
    places: BTreeMap<String, (String, u32, String)>,
    /// Hosts by the address that the facts have.
    names: BTreeMap<String, String>,
    key: String,
}

impl Transport for Loopback {
    fn connect<'a>(&'a self, host: &'a Host) -> Fut<'a, Result<Arc<dyn Session>, ConnectError>> {
        Box::pin(async move {
            let place = self.places.get(&host.id).or_else(|| {
                let name = self.names.get(&host.address)?;
                self.places.get(name)
            });
            let Some((address, port, fingerprint)) = place else {
                return Err(ConnectError::Address {
                    endpoint: host.id.clone(),
                    why: "the simulated cluster has no such host".to_owned(),
                });
            };
            let there = Host {
                address: address.clone(),
                port: *port,
                key_path: self.key.clone(),
                bastion: None,
                host_keys: vec![fingerprint.clone()],
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
        let mut places = BTreeMap::new();
        for host in self.hosts() {
            let server = self.server(host)?;
            let at = server.address();
            places.insert(
                host.to_owned(),
                (at.ip().to_string(), u32::from(at.port()), server.fingerprint()),
            );
        }
        Ok(Arc::new(Loopback {
            client: Client::new(
                Settings::default(),
                Policy::new(KnownHosts::default(), now),
                Keys::new(None, None, None),
            ),
            places,
            names: self.names.clone(),
            key: path.to_string_lossy().into_owned(),
        }))
    }
}
