//! One SSH server per simulated host, on loopback, with faults on request.
//!
//! Between the network and the SSH protocol lies a relay: it is where a connection is cut, stands still or is slow, so
//! that the client meets what it would meet on a real network and not an error of the protocol.

use super::error::LabError;
use super::fault::Place;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelMsg, Sig};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the network does to a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weather {
    /// Connections made before this count changed are cut.
    cut: u64,
    /// Nothing passes, nothing is cut.
    frozen: bool,
    /// Nothing listens.
    gone: bool,
    /// Delay of every piece of data, each way.
    latency: Duration,
}

/// The SSH server of one host.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    host_key: PublicKey,
    storm: Storm,
    accept: JoinHandle<()>,
}

/// What makes the weather of a host.
#[derive(Clone, Debug)]
pub(crate) struct Storm(watch::Sender<Weather>);

impl Storm {
    /// Cuts every connection there is.
    pub(crate) fn cut(&self) {
        self.0.send_modify(|weather| weather.cut += 1);
    }

    /// Cuts every connection and stops listening (`true`), or listens again on the same port.
    pub(crate) fn gone(&self, gone: bool) {
        self.0.send_modify(|weather| {
            weather.gone = gone;
            weather.cut += 1;
        });
    }
}

/// A new ed25519 key.
pub(crate) fn new_key() -> std::io::Result<PrivateKey> {
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed));
    PrivateKey::new(pair, "mkectl lab").map_err(std::io::Error::other)
}

impl Server {
    /// Listens on a free port of a loopback address and lets in whoever has `client`, as any user.
    ///
    /// # Errors
    /// When no port can be had.
    pub(crate) async fn start(
        host: &str,
        loopback: Ipv4Addr,
        place: Place,
        client: PublicKey,
    ) -> Result<Server, LabError> {
        let failed = |reason: String| LabError::Serve {
            host: host.to_owned(),
            reason,
        };
        let key = new_key().map_err(|error| failed(error.to_string()))?;
        let host_key = key.public_key().clone();
        let listener = TcpListener::bind((loopback, 0))
            .await
            .map_err(|error| failed(error.to_string()))?;
        let address = listener.local_addr().map_err(|error| failed(error.to_string()))?;
        let config = Arc::new(Config {
            keys: vec![key],
            auth_rejection_time: Duration::from_millis(10),
            auth_rejection_time_initial: Some(Duration::ZERO),
            inactivity_timeout: None,
            nodelay: true,
            ..Config::default()
        });
        let (weather, _) = watch::channel(Weather::default());
        let storm = Storm(weather);
        let accept = tokio::spawn(accept(listener, address, config, place, client, storm.clone()));
        Ok(Server {
            address,
            host_key,
            storm,
            accept,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its host key.
    pub fn host_key(&self) -> &PublicKey {
        &self.host_key
    }

    /// Its host key's fingerprint, `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        self.host_key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Cuts every connection there is. Commands run on, as they do on a real host; new connections are let in.
    pub fn drop_connections(&self) {
        self.storm.cut();
    }

    /// Lets nothing pass (`true`), or everything again.
    pub fn freeze(&self, frozen: bool) {
        self.storm.0.send_modify(|weather| weather.frozen = frozen);
    }

    /// Cuts every connection and stops listening (`true`), or listens again on the same port.
    pub fn gone(&self, gone: bool) {
        self.storm.gone(gone);
    }

    /// Delays every piece of data by this much, each way.
    pub fn latency(&self, latency: Duration) {
        self.storm.0.send_modify(|weather| weather.latency = latency);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accept.abort();
        self.drop_connections();
    }
}

async fn accept(
    listener: TcpListener,
    address: SocketAddr,
    config: Arc<Config>,
    place: Place,
    client: PublicKey,
    storm: Storm,
) {
    let mut listener = Some(listener);
    let mut changes = storm.0.subscribe();
    loop {
        if changes.borrow_and_update().gone {
            listener = None;
            if changes.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(open) = &listener else {
            // Connections that were cut can hold the port for a moment.
            match TcpListener::bind(address).await {
                Ok(bound) => listener = Some(bound),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
            continue;
        };
        tokio::select! {
            _ = changes.changed() => {}
            connection = open.accept() => {
                let Ok((socket, _)) = connection else { continue };
                let handler = Connection {
                    place: place.clone(),
                    storm: storm.clone(),
                    client: client.clone(),
                    channels: BTreeMap::new(),
                };
                tokio::spawn(connection_task(socket, config.clone(), handler, storm.0.subscribe()));
            }
        }
    }
}

async fn connection_task(
    socket: TcpStream,
    config: Arc<Config>,
    handler: Connection,
    mut weather: watch::Receiver<Weather>,
) {
    let (near, far) = tokio::io::duplex(1 << 18);
    let born = weather.borrow().cut;
    // Small packets of an interactive protocol must not wait for each other; without it the relay is only slower.
    let _ = socket.set_nodelay(true);
    let (from_client, to_client) = socket.into_split();
    let (from_server, to_server) = tokio::io::split(near);
    let cut = weather.clone();
    let session = async {
        if let Ok(running) = russh::server::run_stream(config, far, handler).await {
            // How a connection ended is the client's to see.
            let _ = running.await;
        }
    };
    tokio::select! {
        () = async {
            tokio::join!(
                relay(from_client, to_server, cut.clone()),
                relay(from_server, to_client, cut),
                session,
            );
        } => {}
        _ = weather.wait_for(|weather| weather.cut != born) => {}
    }
}

/// Copies one way until either side ends, as the weather allows.
async fn relay(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 || weather.wait_for(|weather| !weather.frozen).await.is_err() {
            break;
        }
        let latency = weather.borrow().latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    // The other side may have closed first.
    let _ = to.shutdown().await;
}

/// One authenticated connection.
struct Connection {
    place: Place,
    storm: Storm,
    client: PublicKey,
    channels: BTreeMap<ChannelId, Channel<Msg>>,
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        if key.public_key.key_data() == self.client.key_data() {
            Ok(Auth::Accept)
        } else {
            Ok(Auth::reject())
        }
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.channels.remove(&channel);
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        use std::os::unix::ffi::OsStrExt;
        let Some(channel) = self.channels.remove(&id) else {
            return session.channel_failure(id);
        };
        let line = std::ffi::OsStr::from_bytes(data);
        let command = self.place.entry.command(["sh".as_ref(), "-c".as_ref(), line]);
        session.channel_success(id)?;
        let (place, storm, handle) = (self.place.clone(), self.storm.clone(), session.handle());
        let line = String::from_utf8_lossy(data).into_owned();
        tokio::spawn(async move {
            place.before(line, storm).await;
            run(channel, command.into(), handle).await;
        });
        Ok(())
    }

    // What a host for automation does not offer is refused aloud: silence would let a client wait for ever.
    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        session.channel_failure(id)
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        _: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(id)
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(id)
    }
}

/// Runs one command: input until the client ends it, output until the command and all that hold it end, then the status.
async fn run(channel: Channel<Msg>, mut command: Command, handle: russh::server::Handle) {
    let id = channel.id();
    let (mut input, output) = channel.split();
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let text = format!("mkectl lab: cannot enter the host: {error}\n");
            // When the client has gone there is nobody to tell.
            let _ = output.extended_data_bytes(1, text.into_bytes()).await;
            let _ = output.exit_status(126).await;
            let _ = output.close().await;
            return;
        }
    };
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    // russh has one loop for a connection, which waits when a channel is not read: a command that does not read its input
    // would hold up the output of all. So input is taken as it comes and kept until the command wants it.
    let (queue, mut queued) = tokio::sync::mpsc::unbounded_channel();
    let take = tokio::spawn(async move {
        while let Some(message) = input.wait().await {
            match message {
                // Once the command reads no more, what still comes is thrown away, as sshd does.
                ChannelMsg::Data { data } => drop(queue.send(data)),
                ChannelMsg::Eof | ChannelMsg::Close => break,
                _ => {}
            }
        }
    });
    let feed = tokio::spawn(async move {
        let Some(mut pipe) = stdin else { return };
        while let Some(data) = queued.recv().await {
            if pipe.write_all(&data).await.is_err() {
                break;
            }
        }
    });
    let (mut out, mut err) = (output.make_writer(), output.make_writer_ext(Some(1)));
    let copies = async {
        let out = async {
            if let Some(mut pipe) = stdout {
                // A client that went away leaves the command to run on without a reader.
                let _ = tokio::io::copy(&mut pipe, &mut out).await;
            }
        };
        let err = async {
            if let Some(mut pipe) = stderr {
                let _ = tokio::io::copy(&mut pipe, &mut err).await;
            }
        };
        tokio::join!(out, err);
    };
    let ((), status) = tokio::join!(copies, child.wait());
    feed.abort();
    take.abort();
    // From here on errors mean that the client has gone.
    if let Ok(status) = status {
        if let Some(code) = status.code() {
            let _ = output.exit_status(code.unsigned_abs()).await;
        } else if let Some(number) = status.signal() {
            let _ = handle
                .exit_signal_request(id, signal(number), false, String::new(), String::new())
                .await;
        }
    }
    let _ = output.eof().await;
    let _ = output.close().await;
}

fn signal(number: i32) -> Sig {
    match number {
        1 => Sig::HUP,
        2 => Sig::INT,
        3 => Sig::QUIT,
        4 => Sig::ILL,
        6 => Sig::ABRT,
        8 => Sig::FPE,
        9 => Sig::KILL,
        10 => Sig::USR1,
        11 => Sig::SEGV,
        13 => Sig::PIPE,
        14 => Sig::ALRM,
        15 => Sig::TERM,
        other => Sig::Custom(other.to_string()),
    }
}
