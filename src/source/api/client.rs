//! Login, calls with retries, logout.

use super::Address;
use super::connection::{Answer, Connection};
use super::error::{ApiError, Fault};
use super::tls;
use super::wire::{self, Errors, Token};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A password. It has no `Display` and is overwritten when it goes.
#[derive(Clone)]
pub struct Password(Vec<u8>);

impl Password {
    /// Takes a password over.
    pub fn new(text: String) -> Password {
        Password(text.into_bytes())
    }

    pub(crate) fn text(&self) -> &str {
        // It was made of a string.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.fill(0);
        // Without this the compiler may leave out writes to memory that nobody reads again.
        std::hint::black_box(&mut self.0);
    }
}

/// How long to wait, how often to try, how much to read.
#[derive(Clone, Debug)]
pub struct Patience {
    /// For a connection with its handshakes.
    pub connect: Duration,
    /// For one call.
    pub call: Duration,
    /// For everything together.
    pub total: Duration,
    /// Attempts at a call that may succeed in a moment.
    pub attempts: u32,
    /// Pause after the first attempt; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// The largest answer, in bytes.
    pub largest: usize,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: Duration::from_secs(15),
            call: Duration::from_secs(60),
            total: Duration::from_secs(20 * 60),
            attempts: 5,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(8),
            largest: 64 << 20,
        }
    }
}

/// Where the API is, whom to trust there, and who we are.
#[derive(Clone, Debug)]
pub struct Access {
    /// Host and port, as certificates name the host.
    pub address: Address,
    /// Connect here instead of asking what the host's address is.
    pub connect_to: Option<SocketAddr>,
    /// CAs that are trusted, PEM.
    pub ca: Vec<u8>,
    /// An administrator of MKE.
    pub user: String,
    /// His password.
    pub password: Password,
}

/// Sessions that are begun anew at most, over all calls.
const RENEWALS: u32 = 5;
/// How long a logout may take: it is a courtesy.
const LOGOUT: Duration = Duration::from_secs(5);

/// A client with a session.
pub(super) struct Client {
    access: Access,
    tls: Arc<ClientConfig>,
    pub(super) patience: Patience,
    connection: Option<Connection>,
    token: Option<String>,
    renewals: u32,
    /// The call that is under way, for the error when everything takes too long.
    doing: String,
}

impl Client {
    /// A client that has done nothing yet.
    pub(super) fn new(access: Access, patience: Patience) -> Result<Client, ApiError> {
        let tls = tls::config(&access.ca).map_err(|why| ApiError {
            place: access.address.clone(),
            call: "the CA that is trusted".to_owned(),
            fault: Fault::Ca(why),
            attempts: 1,
        })?;
        Ok(Client {
            access,
            tls,
            patience,
            connection: None,
            token: None,
            renewals: 0,
            doing: String::new(),
        })
    }

    /// An error about the call that is under way.
    pub(super) fn error(&self, fault: Fault) -> ApiError {
        ApiError {
            place: self.access.address.clone(),
            call: self.doing.clone(),
            fault,
            attempts: 1,
        }
    }

    /// The user.
    pub(super) fn user(&self) -> &str {
        &self.access.user
    }

    /// Begins a session. A wrong password is tried once: MKE locks accounts.
    pub(super) async fn login(&mut self) -> Result<(), ApiError> {
        let body = wire::login(&self.access.user, self.access.password.text());
        let answer = self
            .patient(Method::POST, "/auth/login", "application/json", body)
            .await?;
        let fault = match answer.status {
            200 => match serde_json::from_slice::<Token>(&answer.body) {
                Ok(token) if !token.auth_token.is_empty() => {
                    self.token = Some(token.auth_token);
                    return Ok(());
                }
                _ => not_json(&answer, "there is no auth_token in it"),
            },
            400 | 401 | 403 => {
                let errors = Errors::of(&answer.body);
                let text = self.harmless(&errors.text());
                let locked = errors.has("INACTIVE_ACCOUNT") || text.to_lowercase().contains("lock");
                if !errors.any() && is_html(&answer) {
                    not_mke(&answer)
                } else if locked || answer.status == 403 {
                    Fault::Locked(text)
                } else {
                    Fault::WrongPassword(text)
                }
            }
            404 | 405 => Fault::NotMke(format!("it knows no login (status {})", answer.status)),
            _ => self.refused(&answer),
        };
        Err(self.error(fault))
    }

    /// Ends the session. What fails here hurts nobody: the session ends by itself within an hour.
    pub(super) async fn logout(&mut self) {
        if self.token.is_none() {
            return;
        }
        // An answer may still be under way on the old one.
        self.connection = None;
        let patience = Patience {
            attempts: 1,
            ..self.patience.clone()
        };
        let before = std::mem::replace(&mut self.patience, patience);
        let call = self.patient(Method::POST, "/id/logout", "application/json", Vec::new());
        let _ = tokio::time::timeout(LOGOUT, call).await;
        self.patience = before;
        self.token = None;
        self.connection = None;
    }

    /// Reads something. Whatever is not status 200 is an error.
    pub(super) async fn get(&mut self, path: &str, accept: &str) -> Result<Answer, ApiError> {
        let mut renewed = false;
        loop {
            if self.token.is_none() {
                self.login().await?;
            }
            let answer = self.patient(Method::GET, path, accept, Vec::new()).await?;
            let fault = match answer.status {
                200 => return Ok(answer),
                401 if renewed || self.renewals >= RENEWALS => Fault::Session,
                401 => {
                    renewed = true;
                    self.renewals += 1;
                    self.token = None;
                    continue;
                }
                403 => Fault::NotAdmin(self.harmless(&Errors::of(&answer.body).text())),
                _ => self.refused(&answer),
            };
            return Err(self.error(fault));
        }
    }

    /// Reads JSON.
    pub(super) async fn json<T: DeserializeOwned>(&mut self, path: &str) -> Result<(T, Answer), ApiError> {
        let mut tried = 1;
        loop {
            let answer = self.get(path, "application/json").await?;
            match serde_json::from_slice(&answer.body) {
                Ok(value) => return Ok((value, answer)),
                // Cut off, by something that says nothing of it.
                Err(error) if error.is_eof() && !answer.body.is_empty() && tried < self.patience.attempts => {
                    self.pause(tried).await;
                    tried += 1;
                }
                Err(error) => {
                    let fault = if error.is_eof() && !answer.body.is_empty() {
                        Fault::BrokenOff
                    } else {
                        not_json(&answer, &json_error(&error))
                    };
                    return Err(ApiError {
                        attempts: tried,
                        ..self.error(fault)
                    });
                }
            }
        }
    }

    /// One call, tried again while that may help.
    async fn patient(
        &mut self,
        method: Method,
        path: &str,
        accept: &str,
        body: Vec<u8>,
    ) -> Result<Answer, ApiError> {
        let shown = path.split('?').next().unwrap_or(path);
        self.doing = format!("{method} {}", crate::text::sanitize(shown));
        let mut tried = 0;
        loop {
            tried += 1;
            let fault = match self.once(&method, path, accept, &body).await {
                Ok(answer) => {
                    let fault = self.refused(&answer);
                    if answer.status < 400 || !fault.is_transient() {
                        return Ok(answer);
                    }
                    fault
                }
                Err(fault) => {
                    // Whatever comes next on it would be the end of this answer.
                    self.connection = None;
                    fault
                }
            };
            if !fault.is_transient() || tried >= self.patience.attempts {
                return Err(ApiError {
                    attempts: tried,
                    ..self.error(fault)
                });
            }
            self.pause(tried).await;
        }
    }

    async fn pause(&self, tried: u32) {
        let pause = self
            .patience
            .first_pause
            .saturating_mul(1 << tried.saturating_sub(1).min(20))
            .min(self.patience.longest_pause);
        tokio::time::sleep(pause).await;
    }

    async fn once(
        &mut self,
        method: &Method,
        path: &str,
        accept: &str,
        body: &[u8],
    ) -> Result<Answer, Fault> {
        let mut connection = match self.connection.take() {
            Some(connection) if connection.is_open() => connection,
            _ => {
                let Access {
                    address, connect_to, ..
                } = &self.access;
                Connection::open(address, *connect_to, self.tls.clone(), &self.patience).await?
            }
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.access.address.to_string())
            .header(USER_AGENT, concat!("mkectl/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, accept);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| Fault::Json("the token of the session cannot be sent".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let request = request
            .body(Full::new(Bytes::copy_from_slice(body)))
            .map_err(|_| Fault::Json("it leads to a path that cannot be asked for".to_owned()))?;
        let answer = connection.call(request, &self.patience).await?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// What an answer with a status that is an error means.
    fn refused(&self, answer: &Answer) -> Fault {
        match answer.status {
            300..=399 => Fault::NotMke(format!(
                "it sends us on to {}",
                if answer.location.is_empty() {
                    "nowhere".to_owned()
                } else {
                    self.harmless(&answer.location)
                }
            )),
            status => Fault::Status(status, self.harmless(&Errors::of(&answer.body).text())),
        }
    }

    /// Text from there that may be shown: short, on one line, and without our password or session.
    fn harmless(&self, text: &str) -> String {
        let password = self.access.password.text();
        let secret = |secret: &str| !secret.is_empty() && text.contains(secret);
        if secret(password) || self.token.as_deref().is_some_and(secret) {
            return String::new();
        }
        let mut short: String = crate::text::sanitize(text).chars().take(200).collect();
        if short.len() < text.len() {
            short.push('…');
        }
        short
    }
}

fn is_html(answer: &Answer) -> bool {
    answer.content_type.starts_with("text/html") || answer.body.trim_ascii_start().starts_with(b"<")
}

fn not_mke(answer: &Answer) -> Fault {
    Fault::NotMke(format!("it sends a web page (status {})", answer.status))
}

/// Why an answer is not what was asked for.
pub(super) fn not_json(answer: &Answer, why: &str) -> Fault {
    if is_html(answer) {
        not_mke(answer)
    } else {
        Fault::Json(why.to_owned())
    }
}

/// What serde says, without values: they may be anything.
fn json_error(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a field is missing or of another type",
        _ => "it is no JSON",
    };
    format!("{what}, at line {} column {}", error.line(), error.column())
}
