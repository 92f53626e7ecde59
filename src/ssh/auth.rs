//! Which keys are offered to a host, and in which order.
//!
//! The file that hosts.yaml names comes first, with the certificate beside it before the bare key; then the agent's keys.
//! An encrypted file whose key the agent has is left closed. A `.pub` file means the agent's key and no other. All of this is
//! settled before a connection is opened, because asking a person for a passphrase takes longer than sshd waits for a login.

use super::errors::ConnectError;
use super::hostkey::fingerprint;
use super::keyfile::{AskPassphrase, KeyFile, KeyFileError, KeyFileFault, KeyFiles};
use super::output::clean;
use russh::client::{AuthResult, Handle, Handler};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode;
use russh::keys::{Algorithm, Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{AgentAuthError, MethodKind, Signer};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;

/// How long the agent may take to list its keys. Signing is not limited here: some agents ask a person.
const AGENT_LIMIT: Duration = Duration::from_secs(5);

/// The keys of the person who runs us.
pub struct Keys {
    files: KeyFiles,
    agent: Option<PathBuf>,
}

/// A key to offer.
#[derive(Clone)]
struct Candidate {
    /// Where it is from, its algorithm and fingerprint.
    label: String,
    how: How,
}

#[derive(Clone)]
enum How {
    Key(Arc<PrivateKey>),
    Certificate(Arc<PrivateKey>, Certificate),
    Agent(AgentIdentity),
}

/// What there is to offer, and what there is not.
pub struct Offer {
    candidates: Vec<Candidate>,
    /// Why keys that were asked for are not among them.
    missing: Vec<String>,
}

impl Keys {
    /// `home` stands for a leading `~` in key paths, `agent` is the socket of an SSH agent, `ask` gives passphrases.
    pub fn new(home: Option<PathBuf>, agent: Option<PathBuf>, ask: Option<AskPassphrase>) -> Keys {
        Keys {
            files: KeyFiles::new(home, ask),
            agent,
        }
    }

    /// What to offer to a host with this key path; an empty path means the agent's keys.
    pub async fn offer(&self, key_path: &str) -> Result<Offer, ConnectError> {
        let mut offer = Offer {
            candidates: Vec::new(),
            missing: Vec::new(),
        };
        let agent = self.agent_identities(&mut offer.missing).await;
        if key_path.is_empty() {
            offer.add_agent(&agent, |_| true);
            return Ok(offer);
        }
        let path = self.files.path(key_path);
        let name = path.display().to_string();
        let mut failed: Option<KeyFileError> = None;
        match self.files.read(&path).await {
            Ok(KeyFile::Private(key, certificate)) => offer.add_file(&name, &key, certificate),
            Ok(KeyFile::Public(key, certificate)) => {
                offer.add_certificate_of_agent(&name, &agent, &key, certificate);
                offer.add_agent(&agent, |identity| {
                    identity.public_key().key_data() == key.key_data()
                });
                if offer.candidates.is_empty() {
                    return Err(KeyFileError {
                        path,
                        why: KeyFileFault::NotInAgent(fingerprint(&key)),
                    }
                    .into());
                }
                // A named public key means this key only.
                return Ok(offer);
            }
            Ok(KeyFile::Locked(public, certificate)) => {
                if let Some(public) = &public {
                    offer.add_certificate_of_agent(&name, &agent, public, certificate);
                    offer.add_agent(&agent, |identity| {
                        identity.public_key().key_data() == public.key_data()
                    });
                }
                if offer.candidates.is_empty() {
                    match self.files.unlock(&path).await {
                        Ok(KeyFile::Private(key, certificate)) => offer.add_file(&name, &key, certificate),
                        Ok(_) => {}
                        Err(error) => failed = Some(error),
                    }
                }
            }
            Err(error) => failed = Some(error),
        }
        offer.add_agent(&agent, |_| true);
        if let Some(error) = failed {
            // The path may be hosts.yaml's default. With an agent that is no reason to stop; a file that is there and
            // cannot be trusted or opened is.
            if error.why != KeyFileFault::Missing || offer.candidates.is_empty() {
                return Err(error.into());
            }
            offer.missing.push(format!("{name} (does not exist)"));
        }
        Ok(offer)
    }

    async fn agent_identities(&self, missing: &mut Vec<String>) -> Vec<AgentIdentity> {
        let Some(socket) = &self.agent else {
            return Vec::new();
        };
        let list = async {
            let mut agent = AgentClient::connect_uds(socket).await?;
            agent.request_identities().await
        };
        let why = match tokio::time::timeout(AGENT_LIMIT, list).await {
            Ok(Ok(identities)) => return identities,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer".to_owned(),
        };
        missing.push(format!("agent {} ({})", socket.display(), clean(why.as_bytes())));
        Vec::new()
    }
}

impl Offer {
    fn add_file(&mut self, name: &str, key: &Arc<PrivateKey>, certificate: Option<Certificate>) {
        if let Some(certificate) = certificate {
            self.candidates.push(Candidate {
                label: label(name, key.public_key(), true),
                how: How::Certificate(key.clone(), certificate),
            });
        }
        self.candidates.push(Candidate {
            label: label(name, key.public_key(), false),
            how: How::Key(key.clone()),
        });
    }

    /// A certificate in a file, whose key is in the agent.
    fn add_certificate_of_agent(
        &mut self,
        name: &str,
        agent: &[AgentIdentity],
        key: &PublicKey,
        certificate: Option<Certificate>,
    ) {
        let held = agent.iter().any(|identity| {
            matches!(identity, AgentIdentity::PublicKey { key: held, .. } if held.key_data() == key.key_data())
        });
        if let (true, Some(certificate)) = (held, certificate) {
            self.candidates.push(Candidate {
                label: label(name, key, true),
                how: How::Agent(certificate.into()),
            });
        }
    }

    /// The agent's identities that pass, certificates first, without those already in the list.
    fn add_agent(&mut self, agent: &[AgentIdentity], pass: impl Fn(&AgentIdentity) -> bool) {
        for certificates in [true, false] {
            for identity in agent.iter().filter(|identity| pass(identity)) {
                let is_certificate = matches!(identity, AgentIdentity::Certificate { .. });
                let key = identity.public_key();
                if is_certificate != certificates
                    || self
                        .candidates
                        .iter()
                        .any(|known| known.offers(&key, is_certificate))
                {
                    continue;
                }
                let comment = clean(identity.comment().as_bytes()).replace(['\n', '\t'], " ");
                self.candidates.push(Candidate {
                    label: label(format!("agent {comment}").trim(), &key, is_certificate),
                    how: How::Agent(identity.clone()),
                });
            }
        }
    }

    /// Logs in, or says which keys were tried. `banner` is asked at the end only.
    pub async fn log_in<H: Handler>(
        &self,
        handle: &mut Handle<H>,
        user: &str,
        keys: &Keys,
        endpoint: &str,
        banner: impl Fn() -> String,
    ) -> Result<(), ConnectError> {
        let mut tried = self.missing.clone();
        let failed = |why: &str, tried: Vec<String>| ConnectError::AuthFailed {
            user: user.to_owned(),
            endpoint: endpoint.to_owned(),
            why: why.to_owned(),
            tried,
            banner: banner(),
        };
        if self.candidates.is_empty() {
            return Err(failed(
                "there is no key to offer: give keyPath, or start an agent and ssh-add",
                tried,
            ));
        }
        let mut why = "it accepts none of our keys for this user";
        // sshd closes the connection when too many keys were wrong. Before it has turned one down, the connection was lost.
        let mut turned_down = 0u32;
        let closed = |turned_down: u32, tried: Vec<String>| match turned_down {
            0 => ConnectError::Closed {
                endpoint: endpoint.to_owned(),
                during: "authentication",
            },
            _ => failed("it closed the connection, as sshd does after MaxAuthTries", tried),
        };
        for candidate in &self.candidates {
            let result = candidate.offer(handle, user, keys).await;
            match result {
                Ok(AuthResult::Success) => return Ok(()),
                Ok(AuthResult::Failure {
                    remaining_methods,
                    partial_success,
                }) => {
                    tried.push(candidate.label.clone());
                    if handle.is_closed() {
                        return Err(closed(turned_down, tried));
                    }
                    turned_down += 1;
                    let publickey = remaining_methods.contains(&MethodKind::PublicKey);
                    if partial_success {
                        why = "it accepts a key and wants another proof, which mkectl cannot give";
                    }
                    if !publickey {
                        if !partial_success {
                            why = "it does not accept keys for this user";
                        }
                        return Err(failed(why, tried));
                    }
                }
                Err(error) => {
                    tried.push(format!("{} ({})", candidate.label, clean(error.as_bytes())));
                    if handle.is_closed() {
                        return Err(closed(turned_down, tried));
                    }
                }
            }
        }
        Err(failed(why, tried))
    }
}

fn label(name: &str, key: &PublicKey, certificate: bool) -> String {
    let kind = if certificate { " certificate" } else { "" };
    format!("{name} ({}{kind} {})", key.algorithm(), fingerprint(key))
}

impl Candidate {
    fn offers(&self, key: &PublicKey, certificate: bool) -> bool {
        match &self.how {
            How::Key(held) => !certificate && held.public_key().key_data() == key.key_data(),
            How::Certificate(held, _) => certificate && held.public_key().key_data() == key.key_data(),
            How::Agent(identity) => {
                matches!(identity, AgentIdentity::Certificate { .. }) == certificate
                    && identity.public_key().key_data() == key.key_data()
            }
        }
    }

    async fn offer<H: Handler>(
        &self,
        handle: &mut Handle<H>,
        user: &str,
        keys: &Keys,
    ) -> Result<AuthResult, String> {
        match &self.how {
            How::Key(key) => {
                let hash = rsa_hash(handle, key.algorithm()).await?;
                handle
                    .authenticate_publickey(user, PrivateKeyWithHashAlg::new(key.clone(), hash))
                    .await
                    .map_err(|error| error.to_string())
            }
            How::Certificate(key, certificate) => {
                // russh's own method signs RSA certificates under the name of SHA-1, which sshd refuses.
                let hash = key.algorithm().is_rsa().then_some(HashAlg::Sha512);
                handle
                    .authenticate_certificate_with(user, certificate.clone(), hash, &mut Local(key.clone()))
                    .await
                    .map_err(|error| error.to_string())
            }
            How::Agent(identity) => {
                let Some(socket) = &keys.agent else {
                    return Err("the agent is gone".to_owned());
                };
                let stream = UnixStream::connect(socket)
                    .await
                    .map_err(|error| format!("the agent does not answer: {error}"))?;
                let mut agent = AgentClient::connect(stream);
                // Agents that do not know this extension say so, and need not care.
                if let Some(binding) = handle.agent_session_binding() {
                    let _ = agent.bind_session(binding, false).await;
                }
                let result = match identity {
                    AgentIdentity::PublicKey { key, .. } => {
                        let hash = rsa_hash(handle, key.algorithm()).await?;
                        handle
                            .authenticate_publickey_with(user, key.clone(), hash, &mut agent)
                            .await
                    }
                    AgentIdentity::Certificate { certificate, .. } => {
                        let hash = certificate.algorithm().is_rsa().then_some(HashAlg::Sha512);
                        handle
                            .authenticate_certificate_with(user, certificate.clone(), hash, &mut agent)
                            .await
                    }
                };
                result.map_err(|error| error.to_string())
            }
        }
    }
}

/// SHA-2 for RSA keys, as the server likes it; never SHA-1.
async fn rsa_hash<H: Handler>(handle: &Handle<H>, algorithm: Algorithm) -> Result<Option<HashAlg>, String> {
    if !algorithm.is_rsa() {
        return Ok(None);
    }
    match handle.best_supported_rsa_hash().await {
        Ok(Some(Some(hash))) => Ok(Some(hash)),
        Ok(Some(None)) => Err("the server takes RSA keys only with SHA-1 signatures".to_owned()),
        Ok(None) => Ok(Some(HashAlg::Sha512)),
        Err(error) => Err(error.to_string()),
    }
}

/// Signs with a key in memory. RSA keys sign with SHA-512 here.
struct Local(Arc<PrivateKey>);

impl Signer for Local {
    type Error = AgentAuthError;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        _hash: Option<HashAlg>,
        mut to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, AgentAuthError> {
        let key_error = |error| AgentAuthError::Key(russh::keys::Error::SshKey(error));
        let signature = self
            .0
            .try_sign(&to_sign)
            .map_err(|error| key_error(error.into()))?;
        let encoded = signature.encode_vec().map_err(|error| key_error(error.into()))?;
        encoded
            .encode(&mut to_sign)
            .map_err(|error| key_error(error.into()))?;
        Ok(to_sign)
    }
}
