//! russh behind [`Transport`].
//!
//! Hosts behind bastions are reached through `direct-tcpip` channels, nested as deep as the plan says. All hosts behind a
//! bastion share one connection to it: it is opened once, by the first that needs it, while the others wait, so sshd's
//! `MaxStartups` on the bastion never sees more than one of us.

use super::auth::{Keys, Offer};
use super::errors::ConnectError;
use super::hostkey::{Expected, HostKeyError, Policy, endpoint, fingerprint};
use super::output::clean;
use super::session::{RusshSession, held};
use super::{Fut, Session, Transport};
use crate::model::{Bastion, Host};
use russh::client::{Config, DisconnectReason, Handle, Handler};
use russh::keys::{Algorithm, PublicKeyOrCertificate};
use russh::{ChannelOpenFailure, Limits};
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

/// How patient a connection is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For TCP to connect, or a bastion to connect us further.
    pub connect_limit: Duration,
    /// From there until both sides have keys. A host that hangs accepts connections and then says nothing.
    pub handshake_limit: Duration,
    /// From there until we are logged in. Some agents ask a person to touch something.
    pub login_limit: Duration,
    /// For a host to start a session or accept a command.
    pub session_limit: Duration,
    /// Silence after which the host is asked whether it is still there.
    pub keepalive_interval: Duration,
    /// Questions without an answer after which the connection counts as lost.
    pub keepalive_max: usize,
    /// Bytes in one direction after which new keys are made; at most 1 GiB.
    pub rekey_bytes: usize,
    /// Time after which new keys are made.
    pub rekey_time: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            connect_limit: Duration::from_secs(10),
            handshake_limit: Duration::from_secs(20),
            login_limit: Duration::from_secs(60),
            session_limit: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(15),
            keepalive_max: 4,
            rekey_bytes: 1 << 30,
            rekey_time: Duration::from_secs(3600),
        }
    }
}

/// One SSH server on the way to a host, or the host itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hop {
    address: String,
    port: u16,
    user: String,
    key_path: String,
    pins: Vec<String>,
}

impl Hop {
    fn new(
        address: &str,
        port: u32,
        user: &str,
        key_path: &str,
        pins: &[String],
    ) -> Result<Hop, ConnectError> {
        let wrong = |why: &str| ConnectError::Address {
            endpoint: format!("{address}:{port}"),
            why: why.to_owned(),
        };
        if address.is_empty() {
            return Err(wrong("the address is empty"));
        }
        if user.is_empty() {
            return Err(wrong("the user to log in as is empty"));
        }
        match u16::try_from(port) {
            Ok(port) if port > 0 => Ok(Hop {
                address: address.to_owned(),
                port,
                user: user.to_owned(),
                key_path: key_path.to_owned(),
                pins: pins.to_vec(),
            }),
            _ => Err(wrong("there is no such port")),
        }
    }

    /// The way to a host: outermost bastion first, the host last.
    fn way(host: &Host) -> Result<Vec<Hop>, ConnectError> {
        let mut way = vec![Hop::new(
            &host.address,
            host.port,
            &host.user,
            &host.key_path,
            &host.host_keys,
        )?];
        let mut next: Option<&Bastion> = host.bastion.as_ref();
        while let Some(bastion) = next {
            way.push(Hop::new(
                &bastion.address,
                bastion.port,
                &bastion.user,
                &bastion.key_path,
                &[],
            )?);
            next = bastion.bastion.as_deref();
        }
        way.reverse();
        Ok(way)
    }

    fn endpoint(&self) -> String {
        endpoint(&self.address, self.port)
    }

    fn expected(&self) -> Expected<'_> {
        Expected {
            address: &self.address,
            port: self.port,
            pins: &self.pins,
        }
    }
}

/// An authenticated connection, and the one it goes through.
pub(super) struct Link {
    pub(super) handle: Handle<Watch>,
    pub(super) state: Arc<State>,
    pub(super) endpoint: String,
    /// `user@address:port`.
    login: String,
    /// Held so that the bastion's connection lives as long as this one.
    _via: Option<Arc<Link>>,
    /// Dropped with this, it ends russh's task, whatever that waits for.
    _cut: oneshot::Sender<()>,
}

/// What a connection learns on its own task.
#[derive(Default)]
pub(super) struct State {
    distrust: Mutex<Option<Box<HostKeyError>>>,
    lost: Mutex<Option<String>>,
    banner: Mutex<String>,
    /// Fingerprint of the host's key, once that was accepted.
    accepted: Mutex<Option<String>>,
}

impl State {
    /// Fingerprint of the key that the host showed and that was accepted.
    pub(super) fn host_key(&self) -> Option<String> {
        held(&self.accepted).clone()
    }

    /// Why the connection ended.
    pub(super) fn why_lost(&self) -> String {
        held(&self.lost)
            .clone()
            .unwrap_or_else(|| "it ended without a word".to_owned())
    }
}

/// russh's callbacks.
pub(super) struct Watch {
    policy: Policy,
    hop: Hop,
    state: Arc<State>,
}

/// A banner is shown in an error; nobody reads more of it there.
const BANNER_KEPT: usize = 2000;

impl Handler for Watch {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let print = fingerprint(&shown.public_key());
        // New keys for an old connection come from the same host. Its certificate may have expired meanwhile.
        if let Some(accepted) = self.state.host_key() {
            return Ok(accepted == print);
        }
        match self.policy.judge(&self.hop.expected(), shown) {
            Ok(()) => {
                *held(&self.state.accepted) = Some(print);
                Ok(true)
            }
            Err(error) => {
                *held(&self.state.distrust) = Some(error);
                Ok(false)
            }
        }
    }

    async fn auth_banner(
        &mut self,
        banner: &str,
        _session: &mut russh::client::Session,
    ) -> Result<(), russh::Error> {
        let mut kept = held(&self.state.banner);
        if kept.len() < BANNER_KEPT {
            let banner: String = clean(banner.as_bytes()).chars().take(BANNER_KEPT).collect();
            kept.push_str(&banner);
        }
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<russh::Error>) -> Result<(), russh::Error> {
        let why = match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                format!("the host says: {}", clean(info.message.as_bytes()))
            }
            DisconnectReason::Error(russh::Error::KeepaliveTimeout) => {
                "the host stopped answering".to_owned()
            }
            DisconnectReason::Error(russh::Error::Disconnect | russh::Error::HUP) => {
                "the host closed it".to_owned()
            }
            DisconnectReason::Error(russh::Error::IO(error))
                if error.kind() == io::ErrorKind::UnexpectedEof =>
            {
                "the host closed it".to_owned()
            }
            DisconnectReason::Error(error) => clean(error.to_string().as_bytes()),
        };
        held(&self.state.lost).get_or_insert(why);
        Ok(())
    }
}

/// Notes whether anything came from the other side, and ends when told to: russh's task waits for a key exchange without
/// limit, and so would outlive an attempt that timed out.
struct Watched<S> {
    inner: S,
    heard: Arc<AtomicBool>,
    cut: oneshot::Receiver<()>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Sent or dropped: the other end of this is gone.
        if Pin::new(&mut self.cut).poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.heard.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// A bastion's place: its connection, or how the last attempt ended and when.
#[derive(Default)]
struct Slot {
    link: Option<Arc<Link>>,
    failed: Option<(Instant, Arc<ConnectError>)>,
}

type Slots = BTreeMap<Vec<Hop>, Arc<tokio::sync::Mutex<Slot>>>;

/// Opens connections with russh.
pub struct Client {
    settings: Settings,
    policy: Policy,
    keys: Keys,
    bastions: Mutex<Slots>,
}

impl Client {
    /// A client with these settings, trust and keys.
    pub fn new(settings: Settings, policy: Policy, keys: Keys) -> Client {
        Client {
            settings,
            policy,
            keys,
            bastions: Mutex::default(),
        }
    }

    async fn open(&self, host: &Host) -> Result<Arc<dyn Session>, ConnectError> {
        let way = Hop::way(host)?;
        let Some((target, bastions)) = way.split_last() else {
            return Err(ConnectError::Address {
                endpoint: host.id.clone(),
                why: "there is no way to it".to_owned(),
            });
        };
        // First, because a passphrase may be asked for.
        let offer = self.keys.offer(&target.key_path).await?;
        let via = self.bastion(bastions).await?;
        let link = self.hop(target, &offer, via).await?;
        Ok(Arc::new(RusshSession::new(
            Arc::new(link),
            self.settings.session_limit,
        )))
    }

    /// The connection to the last of these bastions.
    fn bastion<'a>(&'a self, way: &'a [Hop]) -> Fut<'a, Result<Option<Arc<Link>>, ConnectError>> {
        Box::pin(async move {
            let Some((hop, outer)) = way.split_last() else {
                return Ok(None);
            };
            let slot = held(&self.bastions).entry(way.to_vec()).or_default().clone();
            let asked = Instant::now();
            let mut slot = slot.lock().await;
            if let Some(link) = slot.link.as_ref().filter(|link| !link.handle.is_closed()) {
                return Ok(Some(link.clone()));
            }
            slot.link = None;
            // Somebody tried while we waited: his answer is ours, or many hosts would wait for each other's time-outs.
            if let Some((_, error)) = slot.failed.as_ref().filter(|(at, _)| *at >= asked) {
                return Err(ConnectError::Bastion(error.clone()));
            }
            let result = async {
                let offer = self.keys.offer(&hop.key_path).await?;
                let via = self.bastion(outer).await?;
                self.hop(hop, &offer, via).await
            };
            match result.await {
                Ok(link) => {
                    let link = Arc::new(link);
                    slot.link = Some(link.clone());
                    Ok(Some(link))
                }
                // A bastion of this bastion has said so already.
                Err(ConnectError::Bastion(error)) => {
                    slot.failed = Some((Instant::now(), error.clone()));
                    Err(ConnectError::Bastion(error))
                }
                Err(error) => {
                    let error = Arc::new(error);
                    slot.failed = Some((Instant::now(), error.clone()));
                    Err(ConnectError::Bastion(error))
                }
            }
        })
    }

    async fn hop(&self, hop: &Hop, offer: &Offer, via: Option<Arc<Link>>) -> Result<Link, ConnectError> {
        let mut without: Vec<Algorithm> = Vec::new();
        let mut first: Option<ConnectError> = None;
        loop {
            let error = match self.try_hop(hop, offer, via.clone(), &without).await {
                Ok(link) => return Ok(link),
                Err(error) => error,
            };
            // Fingerprints do not tell their algorithm: the host may have the pinned key too, and show another one first.
            // Nobody else can show the pinned key, so asking for the host's other keys is safe.
            if let ConnectError::HostKey(distrust) = &error
                && !hop.pins.is_empty()
                && let Ok(algorithm) = Algorithm::new(&distrust.algorithm)
            {
                without.push(algorithm);
                first.get_or_insert(error);
                if self.policy.preferred(&hop.expected(), &without).is_some() {
                    continue;
                }
            } else if first.is_none() {
                return Err(error);
            }
            // Here the host had no key of another kind: the first answer is the one to show.
            return Err(first.unwrap_or(ConnectError::Closed {
                endpoint: hop.endpoint(),
                during: "key exchange",
            }));
        }
    }

    async fn try_hop(
        &self,
        hop: &Hop,
        offer: &Offer,
        via: Option<Arc<Link>>,
        without: &[Algorithm],
    ) -> Result<Link, ConnectError> {
        let endpoint = hop.endpoint();
        let state = Arc::new(State::default());
        let watch = Watch {
            policy: self.policy.clone(),
            hop: hop.clone(),
            state: state.clone(),
        };
        let config = Arc::new(self.config(hop, without));
        let (cut, end) = oneshot::channel();
        let mut handle = match &via {
            None => {
                let stream = self.tcp(hop).await?;
                self.handshake(config, stream, end, watch, &endpoint).await?
            }
            Some(via) => {
                let stream = self.tunnel(via, hop).await?;
                self.handshake(config, stream, end, watch, &endpoint).await?
            }
        };
        let banner = || held(&state.banner).clone();
        let login = offer.log_in(&mut handle, &hop.user, &self.keys, &endpoint, banner);
        match timeout(self.settings.login_limit, login).await {
            Ok(result) => result?,
            Err(_) => {
                return Err(ConnectError::Timeout {
                    endpoint,
                    doing: "logging in",
                    limit: self.settings.login_limit,
                });
            }
        }
        Ok(Link {
            handle,
            state,
            login: format!("{}@{endpoint}", hop.user),
            endpoint,
            _via: via,
            _cut: cut,
        })
    }

    fn config(&self, hop: &Hop, without: &[Algorithm]) -> Config {
        let settings = &self.settings;
        let bytes = settings.rekey_bytes.min(1 << 30);
        Config {
            limits: Limits::new(bytes, bytes, settings.rekey_time),
            keepalive_interval: Some(settings.keepalive_interval),
            keepalive_max: settings.keepalive_max,
            preferred: self
                .policy
                .preferred(&hop.expected(), without)
                .unwrap_or_default(),
            nodelay: true,
            ..Config::default()
        }
    }

    async fn tcp(&self, hop: &Hop) -> Result<TcpStream, ConnectError> {
        let endpoint = hop.endpoint();
        let limit = self.settings.connect_limit;
        match timeout(limit, TcpStream::connect((hop.address.as_str(), hop.port))).await {
            Ok(Ok(stream)) => {
                // Without it every small packet waits for the answer to the one before.
                let _ = stream.set_nodelay(true);
                Ok(stream)
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Err(ConnectError::Refused { endpoint })
            }
            Ok(Err(error)) => Err(ConnectError::Unreachable {
                endpoint,
                why: error.to_string(),
            }),
            Err(_) => Err(ConnectError::Timeout {
                endpoint,
                doing: "connecting",
                limit,
            }),
        }
    }

    async fn tunnel(
        &self,
        via: &Link,
        hop: &Hop,
    ) -> Result<russh::ChannelStream<russh::client::Msg>, ConnectError> {
        let limit = self.settings.connect_limit;
        let open = via.handle.channel_open_direct_tcpip(
            hop.address.as_str(),
            u32::from(hop.port),
            // Who asks. sshd writes it to its log and looks no further.
            "127.0.0.1",
            0,
        );
        let failed = |why: String, transient| ConnectError::Tunnel {
            bastion: via.login.clone(),
            endpoint: hop.endpoint(),
            why,
            transient,
        };
        match timeout(limit, open).await {
            Ok(Ok(channel)) => Ok(channel.into_stream()),
            Ok(Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited))) => {
                Err(failed(
                    "it forbids it (sshd's AllowTcpForwarding or PermitOpen)".to_owned(),
                    false,
                ))
            }
            Ok(Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed))) => {
                Err(failed("it cannot connect to it".to_owned(), true))
            }
            Ok(Err(error)) => Err(failed(clean(error.to_string().as_bytes()), true)),
            Err(_) => Err(failed(
                format!("it took longer than {} s", limit.as_secs_f32()),
                true,
            )),
        }
    }

    async fn handshake<S>(
        &self,
        config: Arc<Config>,
        stream: S,
        cut: oneshot::Receiver<()>,
        watch: Watch,
        endpoint: &str,
    ) -> Result<Handle<Watch>, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limit = self.settings.handshake_limit;
        let heard = Arc::new(AtomicBool::new(false));
        let stream = Watched {
            inner: stream,
            heard: heard.clone(),
            cut,
        };
        let state = watch.state.clone();
        let endpoint = endpoint.to_owned();
        match timeout(limit, russh::client::connect_stream(config, stream, watch)).await {
            Ok(Ok(handle)) => Ok(handle),
            Ok(Err(error)) => {
                if let Some(distrust) = held(&state.distrust).take() {
                    return Err(ConnectError::HostKey(distrust));
                }
                Err(match error {
                    russh::Error::Disconnect | russh::Error::HUP | russh::Error::IO(_) => {
                        ConnectError::Closed {
                            endpoint,
                            during: "key exchange",
                        }
                    }
                    russh::Error::Version => ConnectError::Banner {
                        endpoint,
                        why: "what it sends is no SSH greeting".to_owned(),
                    },
                    error => ConnectError::Protocol {
                        endpoint,
                        why: clean(error.to_string().as_bytes()),
                    },
                })
            }
            Err(_) if heard.load(Ordering::Relaxed) => Err(ConnectError::Timeout {
                endpoint,
                doing: "exchanging keys",
                limit,
            }),
            Err(_) => Err(ConnectError::Banner {
                endpoint,
                why: format!(
                    "nothing came within {} s, so the host may hang",
                    limit.as_secs_f32()
                ),
            }),
        }
    }
}

impl Transport for Client {
    fn connect<'a>(&'a self, host: &'a Host) -> Fut<'a, Result<Arc<dyn Session>, ConnectError>> {
        Box::pin(self.open(host))
    }
}
