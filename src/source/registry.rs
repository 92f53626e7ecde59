//! What a registry holds: manifests of images and charts by the protocol of the OCI (distribution 1.1), read only.
//!
//! TLS is always verified. A registry that wants to know who asks says how in its first answer: a token of its token service,
//! or a password with each request. The password goes there alone, and to no place that is not TLS.

mod reference;

pub use reference::{Place, Reference, Registry};

use super::api::connection::{Answer, Connection};
use super::api::{Address, Fault, Password, Patience, tls};
use data_encoding::BASE64;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue, USER_AGENT};
use rustls::ClientConfig;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Kinds of manifests that are taken.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.docker.distribution.manifest.v2+json";

/// How patient a look is. Manifests are small; a registry that needs longer will not serve images in a maintenance window.
pub fn patience() -> Patience {
    Patience {
        call: Duration::from_secs(30),
        attempts: 3,
        largest: 8 << 20,
        ..Patience::default()
    }
}

/// Where a registry is, whom to trust there, and who we are.
#[derive(Clone, Debug)]
pub struct Access {
    /// Host and port.
    pub address: Address,
    /// Connect here instead of asking what the host's address is.
    pub connect_to: Option<SocketAddr>,
    /// CAs that are trusted, PEM.
    pub ca: Vec<u8>,
    /// User and password.
    pub login: Option<(String, Password)>,
}

/// What a registry says of a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It holds it, and this is the digest of its manifest.
    Digest(String),
    /// It does not hold it, or shows it to nobody like us; what it said.
    Missing(String),
}

/// A look that failed. Displays as `registry PLACE: CALL: what happened`; no secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryError {
    /// Where the registry, or its token service, is.
    pub place: Address,
    /// What was asked.
    pub call: String,
    /// What happened.
    pub fault: RegistryFault,
    /// How often it was tried.
    pub attempts: u32,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryFault {
    /// The connection, TLS or HTTP.
    Transport(Fault),
    /// User and password are refused, or are wanted and not given.
    Login(String),
    /// It is no registry.
    NotRegistry(String),
    /// A status that is an error.
    Status(u16, String),
    /// The manifest is not the one of its digest.
    Forged(String),
}

impl std::error::Error for RegistryError {}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "registry {}: {}: {}", self.place, self.call, self.fault)?;
        if self.attempts > 1 {
            write!(f, " (tried {} times)", self.attempts)?;
        }
        Ok(())
    }
}

impl fmt::Display for RegistryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegistryFault::Transport(Fault::Stranger) => f.write_str(
                "none of the CAs that are trusted signed the certificate there, so nothing was sent",
            ),
            RegistryFault::Transport(fault) => write!(f, "{fault}"),
            RegistryFault::Login(why) | RegistryFault::NotRegistry(why) | RegistryFault::Forged(why) => {
                f.write_str(why)
            }
            RegistryFault::Status(status, said) if said.is_empty() => {
                write!(f, "it answered with status {status}")
            }
            RegistryFault::Status(status, said) => write!(f, "it answered with status {status} ({said})"),
        }
    }
}

impl RegistryError {
    /// Whether what was given is wrong, and not the registry or the way to it.
    pub fn is_input(&self) -> bool {
        match &self.fault {
            RegistryFault::Login(_) | RegistryFault::NotRegistry(_) => true,
            RegistryFault::Transport(fault) => matches!(
                fault,
                Fault::Unresolved(_) | Fault::NotTls | Fault::NotHttp | Fault::Ca(_) | Fault::OtherName(_)
            ),
            RegistryFault::Status(..) | RegistryFault::Forged(_) => false,
        }
    }

    /// What to do about it: one sentence.
    pub fn remedy(&self) -> &'static str {
        match &self.fault {
            RegistryFault::Login(_) => "check --image-registry-username and the password",
            RegistryFault::NotRegistry(_) | RegistryFault::Transport(Fault::NotTls | Fault::NotHttp) => {
                "check host and port: something else than a registry answers there"
            }
            RegistryFault::Transport(Fault::Stranger | Fault::Ca(_)) => {
                "give the CA of the registry's certificate with --image-registry-ca-file, as a PEM file"
            }
            RegistryFault::Transport(Fault::OtherName(_)) => {
                "call the registry by a name that is in its certificate"
            }
            RegistryFault::Transport(_) | RegistryFault::Status(..) => {
                "check the address, firewalls and the registry's own log, and try again"
            }
            RegistryFault::Forged(_) => {
                "find out what stands between this machine and the registry, and changes what it sends"
            }
        }
    }
}

/// Asks a registry for manifests.
pub struct Client {
    access: Access,
    tls: Arc<ClientConfig>,
    patience: Patience,
    connections: BTreeMap<String, Connection>,
    /// `Authorization` by repository; the empty name is for a password, which is the same everywhere.
    authorizations: BTreeMap<String, HeaderValue>,
}

impl Client {
    /// A client that has done nothing yet.
    ///
    /// # Errors
    ///
    /// When the CA cannot be used.
    pub fn new(access: Access, patience: Patience) -> Result<Client, RegistryError> {
        let tls = tls::config(&access.ca).map_err(|why| RegistryError {
            place: access.address.clone(),
            call: "the CA that is trusted".to_owned(),
            fault: RegistryFault::Transport(Fault::Ca(why)),
            attempts: 1,
        })?;
        Ok(Client {
            access,
            tls,
            patience,
            connections: BTreeMap::new(),
            authorizations: BTreeMap::new(),
        })
    }

    /// Looks for a manifest and takes its digest, from its bytes.
    ///
    /// # Errors
    ///
    /// When the registry cannot be asked, does not let us in, or is none.
    pub async fn look(&mut self, reference: &Reference) -> Result<Found, RegistryError> {
        let path = format!("/v2/{}/manifests/{}", reference.repository, reference.what);
        let place = self.access.address.clone();
        let mut answer = self.ask(&place, &path, MANIFESTS, self.known(reference)).await?;
        if answer.status == 401 {
            let authorization = self.authorize(reference, &path, &answer).await?;
            answer = self.ask(&place, &path, MANIFESTS, Some(authorization)).await?;
        }
        let wrong = |fault| Err(error(&place, &path, fault));
        match answer.status {
            200 => {}
            401 if self.access.login.is_none() => {
                return wrong(RegistryFault::Login(format!(
                    "it wants to know who asks, and no user is given{}",
                    said(&answer)
                )));
            }
            401 => {
                return wrong(RegistryFault::Login(format!(
                    "user and password are refused{}",
                    said(&answer)
                )));
            }
            // Registries hide what one may not see either way.
            403 | 404 if is_registry(&answer) => return Ok(Found::Missing(told(&answer))),
            404 => {
                return wrong(RegistryFault::NotRegistry(
                    "what answers there is no registry".to_owned(),
                ));
            }
            status => return wrong(RegistryFault::Status(status, told(&answer))),
        }
        let kind = answer.content_type.split(';').next().unwrap_or_default().trim();
        if !MANIFESTS.split(", ").any(|known| known == kind) {
            return wrong(RegistryFault::NotRegistry(format!(
                "what answers there is no registry: it sends {:?} for a manifest",
                crate::text::sanitize(kind)
            )));
        }
        let digest = format!(
            "sha256:{}",
            data_encoding::HEXLOWER.encode(&Sha256::digest(&answer.body))
        );
        for stated in [answer.content_digest.as_str(), reference.what.as_str()] {
            if stated.starts_with("sha256:") && stated != digest {
                return wrong(RegistryFault::Forged(format!(
                    "the manifest has the digest {digest}, and is said to be {}",
                    crate::text::sanitize(stated)
                )));
            }
        }
        Ok(Found::Digest(digest))
    }

    fn known(&self, reference: &Reference) -> Option<HeaderValue> {
        let known = &self.authorizations;
        known
            .get(&reference.repository)
            .or_else(|| known.get(""))
            .cloned()
    }

    /// Does what a refusal asks for, and returns what to send from now on.
    async fn authorize(
        &mut self,
        reference: &Reference,
        path: &str,
        refusal: &Answer,
    ) -> Result<HeaderValue, RegistryError> {
        let place = self.access.address.clone();
        let wrong = |why: String| error(&place, path, RegistryFault::Login(why));
        let challenges: Vec<Challenge> = refusal
            .challenges
            .iter()
            .filter_map(|text| Challenge::parse(text))
            .collect();
        let of = |scheme: &str| {
            challenges
                .iter()
                .find(|one| one.scheme.eq_ignore_ascii_case(scheme))
        };
        if let Some(bearer) = of("bearer") {
            let token = self.token(reference, bearer).await?;
            let value = sensitive(&format!("Bearer {token}"))
                .ok_or_else(|| wrong("the token of its token service cannot be sent".to_owned()))?;
            self.authorizations
                .insert(reference.repository.clone(), value.clone());
            return Ok(value);
        }
        if of("basic").is_some() {
            let value = self
                .basic()
                .ok_or_else(|| wrong("it wants to know who asks, and no user is given".to_owned()))?;
            self.authorizations.insert(String::new(), value.clone());
            return Ok(value);
        }
        Err(wrong(format!(
            "it wants to know who asks, and does not say in a way that is understood how{}",
            said(refusal)
        )))
    }

    fn basic(&self) -> Option<HeaderValue> {
        let (user, password) = self.access.login.as_ref()?;
        sensitive(&format!(
            "Basic {}",
            BASE64.encode(format!("{user}:{}", password.text()).as_bytes())
        ))
    }

    /// A token to read a repository with.
    async fn token(&mut self, reference: &Reference, challenge: &Challenge) -> Result<String, RegistryError> {
        let place = self.access.address.clone();
        let realm = challenge.value("realm");
        let Some((host, path)) = realm
            .strip_prefix("https://")
            .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
        else {
            return Err(error(
                &place,
                "the token service",
                RegistryFault::Login(format!(
                    "it names {:?}, which is not a place with TLS, so nothing was sent there",
                    crate::text::sanitize(realm)
                )),
            ));
        };
        let service = Address::parse(host)
            .map_err(|why| error(&place, "the token service", RegistryFault::Login(why)))?;
        let mut query = format!(
            "scope={}",
            escaped(&format!("repository:{}:pull", reference.repository))
        );
        if !challenge.value("service").is_empty() {
            query = format!("service={}&{query}", escaped(challenge.value("service")));
        }
        let sign = if path.contains('?') { '&' } else { '?' };
        let path = format!("/{path}{sign}{query}");
        let answer = self
            .ask(&service, &path, "application/json", self.basic())
            .await?;
        let wrong = |fault| error(&service, path.split('?').next().unwrap_or_default(), fault);
        match answer.status {
            200 => {}
            401 | 403 => {
                let why = match self.access.login {
                    Some(_) => "user and password are refused",
                    None => "it wants to know who asks, and no user is given",
                };
                return Err(wrong(RegistryFault::Login(format!("{why}{}", said(&answer)))));
            }
            status => return Err(wrong(RegistryFault::Status(status, told(&answer)))),
        }
        #[derive(serde::Deserialize)]
        struct Token {
            #[serde(default)]
            token: String,
            #[serde(default)]
            access_token: String,
        }
        let token: Option<Token> = serde_json::from_slice(&answer.body).ok();
        token
            .map(|all| {
                if all.token.is_empty() {
                    all.access_token
                } else {
                    all.token
                }
            })
            .filter(|token| !token.is_empty())
            .ok_or_else(|| wrong(RegistryFault::Login("there is no token in its answer".to_owned())))
    }

    /// One call, tried again while that may help.
    async fn ask(
        &mut self,
        place: &Address,
        path: &str,
        accept: &str,
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, RegistryError> {
        let mut tried = 0;
        loop {
            tried += 1;
            let fault = match self.once(place, path, accept, authorization.clone()).await {
                Ok(answer) if !matches!(answer.status, 429 | 500 | 502 | 503 | 504) => return Ok(answer),
                Ok(answer) if tried >= self.patience.attempts => {
                    RegistryFault::Status(answer.status, told(&answer))
                }
                Ok(_) => {
                    self.pause(tried).await;
                    continue;
                }
                Err(fault) => {
                    if fault.is_transient() && tried < self.patience.attempts {
                        self.pause(tried).await;
                        continue;
                    }
                    RegistryFault::Transport(fault)
                }
            };
            let shown = path.split('?').next().unwrap_or_default();
            return Err(RegistryError {
                attempts: tried,
                ..error(place, shown, fault)
            });
        }
    }

    async fn pause(&self, tried: u32) {
        let pause = self.patience.first_pause.saturating_mul(1 << tried.min(10));
        tokio::time::sleep(pause.min(self.patience.longest_pause)).await;
    }

    async fn once(
        &mut self,
        place: &Address,
        path: &str,
        accept: &str,
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, Fault> {
        // Taken out: one that failed is not used again.
        let mut connection = match self.connections.remove(&place.to_string()) {
            Some(connection) if connection.is_open() => connection,
            _ => {
                let there = self.access.connect_to.filter(|_| *place == self.access.address);
                Connection::open(place, there, self.tls.clone(), &self.patience).await?
            }
        };
        let mut request = Request::builder()
            .uri(path)
            .header(HOST, place.to_string())
            .header(USER_AGENT, concat!("mkectl/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, accept);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let request = request
            .body(Full::new(Bytes::new()))
            .map_err(|_| Fault::Json("it leads to a path that cannot be asked for".to_owned()))?;
        let answer = connection.call(request, &self.patience).await?;
        self.connections.insert(place.to_string(), connection);
        Ok(answer)
    }
}

fn error(place: &Address, path: &str, fault: RegistryFault) -> RegistryError {
    RegistryError {
        place: place.clone(),
        call: crate::text::sanitize(path),
        fault,
        attempts: 1,
    }
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether a refusal has the form that registries give theirs.
fn is_registry(answer: &Answer) -> bool {
    serde_json::from_slice::<serde_json::Value>(&answer.body)
        .is_ok_and(|body| body.get("errors").is_some_and(serde_json::Value::is_array))
}

/// Code and message of a refusal, as far as it has the form that registries give theirs.
fn told(answer: &Answer) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(serde::Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let first = serde_json::from_slice::<Errors>(&answer.body)
        .ok()
        .and_then(|all| all.errors.into_iter().next());
    first.map_or_else(String::new, |one| {
        let text = format!("{}: {}", one.code, one.message);
        crate::text::sanitize(&text).chars().take(300).collect()
    })
}

fn said(answer: &Answer) -> String {
    match told(answer) {
        text if text.is_empty() => text,
        text => format!(" ({text})"),
    }
}

/// A text as a value in a query.
fn escaped(text: &str) -> String {
    use fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            // A string takes everything.
            _ => drop(write!(out, "%{byte:02X}")),
        }
        out
    })
}

/// How a registry wants to be told who asks.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    scheme: String,
    values: BTreeMap<String, String>,
}

impl Challenge {
    /// Reads `SCHEME name="value",name="value"`.
    fn parse(text: &str) -> Option<Challenge> {
        let (scheme, mut rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let mut values = BTreeMap::new();
        while let Some((name, after)) = rest.split_once('=') {
            let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
            let (value, left) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').unwrap_or((after, "")),
            };
            values.insert(name, value.trim().to_owned());
            rest = left;
        }
        Some(Challenge {
            scheme: scheme.to_owned(),
            values,
        })
        .filter(|one| !one.scheme.is_empty())
    }

    fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let one = Challenge::parse(
            r#"Bearer realm="https://auth.example.com/token",service="reg, one",scope="repository:a:pull,push""#,
        )
        .unwrap();
        assert_eq!(one.scheme, "Bearer");
        assert_eq!(one.value("realm"), "https://auth.example.com/token");
        assert_eq!(one.value("service"), "reg, one");
        assert_eq!(one.value("error"), "");
        assert_eq!(Challenge::parse("Basic realm=x").unwrap().value("realm"), "x");
        assert_eq!(Challenge::parse("Negotiate").unwrap().values, BTreeMap::new());
        assert_eq!(Challenge::parse(r#"Bearer realm="https"#), None);
        assert_eq!(Challenge::parse(""), None);
    }
}
