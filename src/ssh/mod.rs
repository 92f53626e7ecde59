//! SSH: the transport of the engine, and russh behind it.
//!
//! The engine sees three things: a [`Transport`] opens connections, a [`Session`] runs commands on one, a [`pool::Pool`]
//! keeps as many as a budget allows and opens lost ones again. Commands are words; [`quote`] alone makes a command line of
//! them. Nothing here reads the environment or the clock: the caller hands in paths, the agent's socket and the time.
//!
//! ```text
//! pool → Transport ← client → hostkey → knownhosts
//!   ↓                  ↓ ↘ auth
//! Session ← session ← via (bastions)        transfer, sudo: functions over a Session
//! ```

pub mod auth;
pub mod client;
pub mod errors;
pub mod hostkey;
pub mod keyfile;
pub mod knownhosts;
pub mod output;
pub mod pool;
pub mod quote;
mod session;
pub mod sudo;
pub mod transfer;

pub use errors::{ConnectError, SessionError};
pub use output::{OutputLog, Stream};

use crate::model;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::AsyncRead;

/// A boxed future, so that the traits here can be made into objects.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One connection to one host. Cheap to share; opening it again is the business of [`pool::Pool`].
pub trait Session: Send + Sync {
    /// Runs a command and waits for its end. The future reads what the command writes: poll it until it is ready, or drop
    /// it, which closes the channel (the remote command may then go on, or get SIGHUP or SIGPIPE).
    fn exec<'a>(&'a self, request: Exec<'a>) -> Fut<'a, Result<Ran, SessionError>>;
    /// Says good-bye and ends the connection.
    fn close<'a>(&'a self) -> Fut<'a, ()>;
    /// Whether the connection has ended.
    fn is_closed(&self) -> bool;
    /// Fingerprint (`SHA256:…`) of the key by which the host was recognized; `None` where there is no such thing.
    fn host_key(&self) -> Option<String> {
        None
    }
}

/// Opens connections.
pub trait Transport: Send + Sync {
    /// Connects to a host and authenticates, through its bastions if it has any. Tries once.
    fn connect<'a>(&'a self, host: &'a model::Host) -> Fut<'a, Result<Arc<dyn Session>, ConnectError>>;
}

/// What a command reads on its standard input.
#[derive(Default)]
pub enum Input<'a> {
    /// Nothing: end of file at once.
    #[default]
    None,
    /// These bytes.
    Bytes(&'a [u8]),
    /// All that the reader gives. An error of the reader ends the command with [`SessionError::Input`].
    Reader(Box<dyn AsyncRead + Send + Unpin + 'a>),
}

/// How much of each output stream is kept in memory unless a caller says otherwise.
pub const KEEP: usize = 64 * 1024;

/// A command to run.
pub struct Exec<'a> {
    /// The program and its arguments. They are quoted by [`quote::line`] and reach the program as they are here.
    pub words: Vec<String>,
    /// Standard input.
    pub stdin: Input<'a>,
    /// Bytes of stdout, and of stderr, to keep in memory: see [`output::Kept`] for what is left out of longer ones.
    pub keep: usize,
    /// Gets every byte of output, raw, as it arrives.
    pub log: Option<&'a dyn OutputLog>,
}

impl<'a> Exec<'a> {
    /// A command without input, with [`KEEP`] bytes of each output kept and no log.
    pub fn new<W: Into<String>>(words: impl IntoIterator<Item = W>) -> Exec<'a> {
        Exec {
            words: words.into_iter().map(Into::into).collect(),
            stdin: Input::None,
            keep: KEEP,
            log: None,
        }
    }

    /// The same command with this input.
    #[must_use]
    pub fn stdin(mut self, input: Input<'a>) -> Exec<'a> {
        self.stdin = input;
        self
    }

    /// The same command with this much output kept.
    #[must_use]
    pub fn keep(mut self, bytes: usize) -> Exec<'a> {
        self.keep = bytes;
        self
    }

    /// The same command with a log.
    #[must_use]
    pub fn log(mut self, log: &'a dyn OutputLog) -> Exec<'a> {
        self.log = Some(log);
        self
    }
}

/// How a command ended. Neither status nor signal: the server closed the channel without a word, so nobody knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Exit status.
    pub status: Option<u32>,
    /// Name of the signal that ended it, without `SIG`.
    pub signal: Option<String>,
    /// Standard output, as far as kept. A login shell's start-up files may have written to it first.
    pub stdout: Vec<u8>,
    /// Standard error, as far as kept.
    pub stderr: Vec<u8>,
    /// Whether something was left out of either.
    pub truncated: bool,
}

impl Ran {
    /// Whether it exited with status 0.
    pub fn success(&self) -> bool {
        self.status == Some(0)
    }

    /// How it ended, for a person: `exit status 3`, `signal TERM`.
    pub fn ending(&self) -> String {
        match (self.status, &self.signal) {
            (Some(status), _) => format!("exit status {status}"),
            (None, Some(signal)) => format!("signal {}", output::clean(signal.as_bytes())),
            (None, None) => "no exit status".to_owned(),
        }
    }

    /// Standard error for a person: without control characters, and no longer than its last 2000 characters.
    pub fn complaint(&self) -> String {
        let text = output::clean(&self.stderr);
        let text = text.trim();
        match text.char_indices().rev().nth(1999) {
            Some((at, _)) if at > 0 => format!("…{}", &text[at..]),
            _ => text.to_owned(),
        }
    }
}
