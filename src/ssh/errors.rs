//! What can go wrong between this machine and a host.
//!
//! Two types: what keeps a connection from being opened, and what ends a command without its own exit status. Both say
//! whether trying again can help, so that nobody parses texts.

use super::hostkey::HostKeyError;
use super::keyfile::KeyFileError;
use super::quote::QuoteError;
use std::sync::Arc;
use std::time::Duration;

/// Why a connection could not be opened. Nothing ran on the host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The host's key is not one that we trust.
    #[error(transparent)]
    HostKey(Box<HostKeyError>),
    /// Nothing listens there.
    #[error("{endpoint} refuses connections: is sshd running, and is this its port?")]
    Refused {
        /// `address:port`.
        endpoint: String,
    },
    /// The network does not reach it, or its name is not known.
    #[error("{endpoint} cannot be reached: {why}")]
    Unreachable {
        /// `address:port`.
        endpoint: String,
        /// In the system's words.
        why: String,
    },
    /// It did not get that far in time.
    #[error("{endpoint}: {doing} took longer than {} s", limit.as_secs_f32())]
    Timeout {
        /// `address:port`.
        endpoint: String,
        /// What was being done.
        doing: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// It accepts connections and says nothing, or not what an SSH server says.
    #[error("{endpoint} accepts connections but does not answer as an SSH server: {why}")]
    Banner {
        /// `address:port`.
        endpoint: String,
        /// What it did instead.
        why: String,
    },
    /// It closed the connection before anyone was logged in, as sshd does beyond `MaxStartups`.
    #[error(
        "{endpoint} closed the connection during {during}: it may be overloaded (sshd's MaxStartups), or refuse this address"
    )]
    Closed {
        /// `address:port`.
        endpoint: String,
        /// How far it had come.
        during: &'static str,
    },
    /// No common algorithm, or a message that SSH does not allow here.
    #[error("{endpoint}: no secure connection: {why}")]
    Protocol {
        /// `address:port`.
        endpoint: String,
        /// What was wrong.
        why: String,
    },
    /// None of our keys is let in.
    #[error(
        "{user}@{endpoint} does not let us in: {why}; tried {}{}",
        list(tried),
        remark(banner)
    )]
    AuthFailed {
        /// User to log in as.
        user: String,
        /// `address:port`.
        endpoint: String,
        /// What the server said, or what we made of it.
        why: String,
        /// Keys that were offered, in order: where each is from, its algorithm and fingerprint.
        tried: Vec<String>,
        /// The server's banner, cleaned, if it sent one.
        banner: String,
    },
    /// A key file of ours cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The address, port or user given for the host is none.
    #[error("{endpoint}: {why}")]
    Address {
        /// As given.
        endpoint: String,
        /// What is wrong.
        why: String,
    },
    /// A bastion let us in and does not connect us further.
    #[error("bastion {bastion} does not connect to {endpoint}: {why}")]
    Tunnel {
        /// `user@address:port` of the bastion.
        bastion: String,
        /// `address:port` behind it.
        endpoint: String,
        /// What it said.
        why: String,
        /// Whether it may work later.
        transient: bool,
    },
    /// The connection to a bastion could not be opened.
    #[error("bastion: {0}")]
    Bastion(Arc<ConnectError>),
    /// It was tried again and again.
    #[error("{last}; gave up after {attempts} attempts")]
    GaveUp {
        /// How often.
        attempts: u32,
        /// Why the last one failed.
        last: Box<ConnectError>,
    },
}

fn list(tried: &[String]) -> String {
    if tried.is_empty() {
        "no key, because there is none to offer".to_owned()
    } else {
        tried.join(", ")
    }
}

fn remark(banner: &str) -> String {
    let banner = banner.split_whitespace().collect::<Vec<_>>().join(" ");
    if banner.is_empty() {
        String::new()
    } else {
        format!("; the server says: {banner}")
    }
}

impl ConnectError {
    /// Whether the same may work in a moment: a reboot, a full backlog, a cable. Trust and keys do not mend themselves.
    pub fn is_transient(&self) -> bool {
        match self {
            ConnectError::Refused { .. }
            | ConnectError::Unreachable { .. }
            | ConnectError::Timeout { .. }
            | ConnectError::Banner { .. }
            | ConnectError::Closed { .. } => true,
            ConnectError::Tunnel { transient, .. } => *transient,
            ConnectError::Bastion(inner) => inner.is_transient(),
            ConnectError::HostKey(_)
            | ConnectError::Protocol { .. }
            | ConnectError::AuthFailed { .. }
            | ConnectError::KeyFile(_)
            | ConnectError::Address { .. }
            | ConnectError::GaveUp { .. } => false,
        }
    }

    /// Whether what the user gave us is at fault (a key file, an address), and not the host or the network.
    pub fn is_input(&self) -> bool {
        match self {
            ConnectError::KeyFile(_) | ConnectError::Address { .. } => true,
            ConnectError::Bastion(inner) => inner.is_input(),
            _ => false,
        }
    }
}

/// Why a command has no exit status.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The connection ended.
    #[error("the connection to {host} was lost{}: {why}", if *started { " while a command ran" } else { "" })]
    Lost {
        /// `address:port`.
        host: String,
        /// Whether the command may have run. When not, it can be sent again without harm.
        started: bool,
        /// Why, as far as known.
        why: String,
    },
    /// The host took too long to accept the command.
    #[error("{host}: {doing} took longer than {} s", limit.as_secs_f32())]
    Timeout {
        /// `address:port`.
        host: String,
        /// What was being done.
        doing: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The host has as many sessions on this connection as it allows. The command did not run.
    #[error("{host} allows no more sessions on this connection (sshd's MaxSessions): {why}")]
    TooManySessions {
        /// `address:port`.
        host: String,
        /// What it said.
        why: String,
    },
    /// The host does not run commands for us. The command did not run.
    #[error("{host} refuses to run a command: {why}")]
    Refused {
        /// `address:port`.
        host: String,
        /// What it said.
        why: String,
    },
    /// What should have been the command's input could not be read on this machine.
    #[error("cannot read what to send to {host}: {why}")]
    Input {
        /// `address:port`.
        host: String,
        /// Why.
        why: std::io::Error,
    },
    /// The words are no command line.
    #[error(transparent)]
    Words(#[from] QuoteError),
    /// The connection was lost before the command was sent, and could not be opened again.
    #[error(transparent)]
    Connect(Box<ConnectError>),
}

impl SessionError {
    /// Whether the connection is at fault, so that a new one is worth trying.
    pub fn is_transport(&self) -> bool {
        match self {
            SessionError::Lost { .. } | SessionError::Timeout { .. } => true,
            SessionError::Connect(error) => error.is_transient(),
            _ => false,
        }
    }

    /// Whether the command may have run, wholly or in part.
    pub fn may_have_run(&self) -> bool {
        match self {
            SessionError::Lost { started, .. } => *started,
            SessionError::Input { .. } => true,
            _ => false,
        }
    }
}
