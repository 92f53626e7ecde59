//! A russh connection as a [`Session`].

use super::client::Link;
use super::errors::SessionError;
use super::output::{Kept, Stream, clean};
use super::{Exec, Fut, Input, Ran, Session, quote};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelOpenFailure, ChannelWriteHalf, Disconnect, Sig};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A lock whose holder panicked still guards plain data.
pub(super) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a good-bye may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// How often it is looked whether it was said.
const CLOSE_POLL: Duration = Duration::from_millis(2);

/// What is read from a caller and sent at once: one SSH packet.
const PIECE: usize = 32 * 1024;

pub(super) struct RusshSession {
    link: Arc<Link>,
    limit: Duration,
}

/// The writing half of a channel. Unless the other side has closed the channel, dropping this closes it: a future that is
/// dropped must not leave a session open on the host.
struct Writer(Option<ChannelWriteHalf<Msg>>);

impl Drop for Writer {
    fn drop(&mut self) {
        if let (Some(half), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                // The connection may be gone, and then so is the channel.
                let _ = half.close().await;
            });
        }
    }
}

impl RusshSession {
    pub(super) fn new(link: Arc<Link>, limit: Duration) -> RusshSession {
        RusshSession { link, limit }
    }

    fn host(&self) -> String {
        self.link.endpoint.clone()
    }

    fn lost(&self, started: bool) -> SessionError {
        SessionError::Lost {
            host: self.host(),
            started,
            why: self.link.state.why_lost(),
        }
    }

    fn late(&self, doing: &'static str) -> SessionError {
        SessionError::Timeout {
            host: self.host(),
            doing,
            limit: self.limit,
        }
    }

    /// Opens a channel. On a task of its own: an answer that comes after the caller has gone closes the channel again.
    async fn channel(&self) -> Result<Channel<Msg>, SessionError> {
        let (answer, answered) = oneshot::channel();
        let link = self.link.clone();
        tokio::spawn(async move {
            let result = link.handle.channel_open_session().await;
            if let Err(Ok(unwanted)) = answer.send(result) {
                let _ = unwanted.close().await;
            }
        });
        match timeout(self.limit, answered).await {
            Ok(Ok(Ok(channel))) => Ok(channel),
            Ok(Ok(Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited)))) => {
                Err(SessionError::Refused {
                    host: self.host(),
                    why: "it forbids sessions (sshd's MaxSessions 0?)".to_owned(),
                })
            }
            // sshd answers "connect failed" beyond MaxSessions.
            Ok(Ok(Err(russh::Error::ChannelOpenFailure(failure)))) => Err(SessionError::TooManySessions {
                host: self.host(),
                why: match failure {
                    ChannelOpenFailure::Other { reason, .. } => clean(reason.as_bytes()),
                    ChannelOpenFailure::ResourceShortage => "it is short of resources".to_owned(),
                    _ => "it does not open another one".to_owned(),
                },
            }),
            Ok(_) => Err(self.lost(false)),
            Err(_) => Err(self.late("starting a session")),
        }
    }

    async fn run(&self, request: Exec<'_>) -> Result<Ran, SessionError> {
        let line = quote::line(&request.words)?;
        let (mut read, half) = self.channel().await?.split();
        let mut writer = Writer(Some(half));
        let Some(half) = &writer.0 else {
            return Err(self.lost(false));
        };
        let accepted = async {
            half.exec(true, line).await.map_err(|_| self.lost(false))?;
            loop {
                match read.wait().await {
                    Some(ChannelMsg::Success) => return Ok(()),
                    Some(ChannelMsg::Failure | ChannelMsg::Close) => {
                        return Err(SessionError::Refused {
                            host: self.host(),
                            why: "it does not run commands for this user".to_owned(),
                        });
                    }
                    // The request was sent: nobody knows whether it arrived.
                    None => return Err(self.lost(true)),
                    Some(_) => {}
                }
            }
        };
        match timeout(self.limit, accepted).await {
            Ok(result) => result?,
            // It may be accepted yet, so this is not a time-out of something that can be sent again.
            Err(_) => {
                return Err(SessionError::Lost {
                    host: self.host(),
                    started: true,
                    why: format!("the host does not answer within {} s", self.limit.as_secs_f32()),
                });
            }
        }
        let ran = self
            .attend(&mut read, half, request.stdin, request.keep, request.log)
            .await?;
        // The host has closed the channel.
        writer.0 = None;
        Ok(ran)
    }

    /// Feeds a command and reads what it writes until it ends. Both at once: a command that writes while it reads would
    /// otherwise block, and an unread channel would block the whole connection.
    async fn attend(
        &self,
        read: &mut russh::ChannelReadHalf,
        half: &ChannelWriteHalf<Msg>,
        stdin: Input<'_>,
        keep: usize,
        log: Option<&dyn super::OutputLog>,
    ) -> Result<Ran, SessionError> {
        let feeding = feed(half, stdin);
        tokio::pin!(feeding);
        let mut fed = false;
        let (mut stdout, mut stderr) = (Kept::new(keep), Kept::new(keep));
        let mut ran = Ran::default();
        loop {
            let message = tokio::select! {
                message = read.wait() => message,
                result = &mut feeding, if !fed => {
                    fed = true;
                    if let Err(why) = result {
                        return Err(SessionError::Input { host: self.host(), why });
                    }
                    continue;
                }
            };
            match message {
                Some(ChannelMsg::Data { data }) => {
                    stdout.push(&data);
                    if let Some(log) = log {
                        log.write(Stream::Stdout, &data);
                    }
                }
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => {
                    stderr.push(&data);
                    if let Some(log) = log {
                        log.write(Stream::Stderr, &data);
                    }
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => ran.status = Some(exit_status),
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => ran.signal = Some(name(&signal_name)),
                Some(ChannelMsg::Close) => break,
                Some(_) => {}
                // Without a good-bye the channel went down with its connection. An exit status that came before is true.
                None if ran.status.is_some() || ran.signal.is_some() => break,
                None => return Err(self.lost(true)),
            }
        }
        ran.truncated = stdout.truncated() || stderr.truncated();
        ran.stdout = stdout.into_bytes();
        ran.stderr = stderr.into_bytes();
        Ok(ran)
    }
}

/// Sends input, then its end. That the channel is gone is not told here: reading tells why.
async fn feed(half: &ChannelWriteHalf<Msg>, stdin: Input<'_>) -> std::io::Result<()> {
    match stdin {
        Input::None => {}
        Input::Bytes(bytes) => {
            for piece in bytes.chunks(PIECE) {
                if half.data_bytes(piece.to_vec()).await.is_err() {
                    return Ok(());
                }
            }
        }
        Input::Reader(mut reader) => loop {
            let mut piece = Vec::with_capacity(PIECE);
            if reader.read_buf(&mut piece).await? == 0 {
                break;
            }
            if half.data_bytes(piece).await.is_err() {
                return Ok(());
            }
        },
    }
    let _ = half.eof().await;
    Ok(())
}

fn name(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => name.clone(),
        known => format!("{known:?}"),
    }
}

impl Session for RusshSession {
    fn exec<'a>(&'a self, request: Exec<'a>) -> Fut<'a, Result<Ran, SessionError>> {
        Box::pin(self.run(request))
    }

    fn close<'a>(&'a self) -> Fut<'a, ()> {
        Box::pin(async move {
            let bye = async {
                let handle = &self.link.handle;
                if handle
                    .disconnect(Disconnect::ByApplication, "done", "en")
                    .await
                    .is_ok()
                {
                    // russh does not tell when it has been sent.
                    while !handle.is_closed() {
                        tokio::time::sleep(CLOSE_POLL).await;
                    }
                }
            };
            let _ = timeout(CLOSE_LIMIT, bye).await;
        })
    }

    fn is_closed(&self) -> bool {
        self.link.handle.is_closed()
    }

    fn host_key(&self) -> Option<String> {
        self.link.state.host_key()
    }
}
