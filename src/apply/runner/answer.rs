//! How the runner answers, and how it refuses.

use super::task::TaskError;
use crate::ssh::sudo::{Privilege, SudoFault, classify};
use crate::ssh::transfer::TransferError;
use crate::ssh::{Ran, SessionError};
use std::fmt;

const BEGIN: &[u8] = b"mkectl-runner-answer\n";
const END: &[u8] = b"mkectl-runner-end\n";

/// Why the runner on a host did not do what it was asked. Nothing half-done is left that it would believe later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not understand the words: client and runner are of different builds.
    Words,
    /// What arrived is not what was sent.
    Hash,
    /// There is no such attempt, file, script or secret.
    Missing,
    /// There is no place in memory for secrets.
    NoTmpfs,
    /// Its directory cannot be written.
    Unwritable,
    /// The disk is full.
    DiskFull,
    /// Another attempt of this action runs.
    Busy,
    /// The action must not be interrupted.
    Never,
    /// Somebody with a higher token has taken over.
    Token,
}

impl Refusal {
    fn from_status(status: u32) -> Option<Refusal> {
        Some(match status {
            64 => Refusal::Words,
            65 => Refusal::Hash,
            66 => Refusal::Missing,
            69 => Refusal::NoTmpfs,
            73 => Refusal::Unwritable,
            74 => Refusal::DiskFull,
            75 => Refusal::Busy,
            76 => Refusal::Never,
            77 => Refusal::Token,
            _ => return None,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Words => "it does not understand the request",
            Refusal::Hash => "what arrived is not what was sent",
            Refusal::Missing => "something was not delivered",
            Refusal::NoTmpfs => "the host has no place in memory for secrets",
            Refusal::Unwritable => "its directory cannot be written",
            Refusal::DiskFull => "the disk is full",
            Refusal::Busy => "another attempt of the action runs",
            Refusal::Never => "the action must not be interrupted",
            Refusal::Token => "another run of mkectl has taken over this cluster",
        })
    }
}

/// Why the runner of a host could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// The connection was lost and could not be had again, or refuses commands.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The runner itself could not be put on the host.
    #[error("the runner cannot be put on the host: {0}")]
    Install(#[from] TransferError),
    /// sudo failed.
    #[error("sudo does not run the runner: {0:?}")]
    Sudo(SudoFault),
    /// The runner refused.
    #[error("the runner on the host refuses {call}: {why}; it says: {complaint}")]
    Refused {
        /// The request.
        call: &'static str,
        /// Why.
        why: Refusal,
        /// In its own words.
        complaint: String,
    },
    /// What came back is no answer: no runner there, or it was killed.
    #[error("no answer from the runner on the host to {call}: {why}")]
    NoAnswer {
        /// The request.
        call: &'static str,
        /// What came instead.
        why: String,
    },
    /// The task cannot be given to a script.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// An output is not what the runner said of it.
    #[error(
        "output {name} of {attempt} is not what the runner recorded: expected SHA-256 {expected}, found {found}"
    )]
    Output {
        /// Attempt.
        attempt: String,
        /// Name.
        name: String,
        /// Recorded.
        expected: String,
        /// Read.
        found: String,
    },
    /// An output is missing or larger than the caller takes.
    #[error("output {name} of {attempt}: {why}")]
    NoOutput {
        /// Attempt.
        attempt: String,
        /// Name.
        name: String,
        /// Why.
        why: String,
    },
    /// A file of this machine that was to be sent cannot be read.
    #[error("cannot read what is to be sent to the host: {0}")]
    Read(#[from] std::io::Error),
    /// A copy of a host's file cannot be kept on this machine.
    #[error("a copy of a host's file cannot be kept on this machine: {0}; make room in the state directory")]
    Keep(std::io::Error),
    /// It neither ended nor was ended in its time.
    #[error("{0} still runs after its time is up: the host does not end it")]
    Overdue(String),
}

/// The bytes between the two lines of an answer. A login shell may have written before them.
pub(super) fn unwrap(call: &'static str, ran: &Ran, privilege: Privilege) -> Result<Vec<u8>, RunnerError> {
    if privilege == Privilege::Sudo
        && let Some(fault) = classify(ran)
    {
        return Err(RunnerError::Sudo(fault));
    }
    if let Some(why) = ran.status.and_then(Refusal::from_status) {
        let complaint = ran.complaint();
        let complaint = complaint.trim_start_matches("mkectl-runner: ").to_owned();
        return Err(RunnerError::Refused { call, why, complaint });
    }
    let no_answer = |why: String| RunnerError::NoAnswer { call, why };
    if !ran.success() {
        return Err(no_answer(format!("{}: {}", ran.ending(), ran.complaint())));
    }
    let body = position(&ran.stdout, BEGIN)
        .map(|at| &ran.stdout[at + BEGIN.len()..])
        .ok_or_else(|| no_answer("it wrote something else".to_owned()))?;
    if ran.truncated {
        return Err(no_answer("it is longer than was asked for".to_owned()));
    }
    Ok(body.to_vec())
}

fn position(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// Lines, up to the last line of the answer.
pub(super) fn lines(call: &'static str, body: &[u8]) -> Result<String, RunnerError> {
    let text = String::from_utf8_lossy(body);
    let end = String::from_utf8_lossy(END);
    let found = match text.find(&*end) {
        Some(at) if at == 0 || text.as_bytes()[at - 1] == b'\n' => &text[..at],
        _ => {
            return Err(RunnerError::NoAnswer {
                call,
                why: "it ends in the middle".to_owned(),
            });
        }
    };
    Ok(found.to_owned())
}

/// A piece of a file and the size of the whole file.
pub(super) fn data(call: &'static str, body: &[u8]) -> Result<(Vec<u8>, u64), RunnerError> {
    let parsed = || {
        let line_end = body.iter().position(|byte| *byte == b'\n')?;
        let header = std::str::from_utf8(&body[..line_end]).ok()?;
        let (length, total) = header.strip_prefix("data ")?.split_once(' ')?;
        let length: usize = length.parse().ok()?;
        let rest = &body[line_end + 1..];
        let after = rest.get(length..)?;
        after.strip_prefix(b"\n")?.starts_with(END).then_some(())?;
        Some((rest[..length].to_vec(), total.parse().ok()?))
    };
    parsed().ok_or_else(|| RunnerError::NoAnswer {
        call,
        why: "it is not a whole piece of a file".to_owned(),
    })
}
