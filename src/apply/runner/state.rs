//! What became of an attempt, as its host tells it.

use super::names::{ActionName, Attempt, Token, Verb};
use std::collections::BTreeMap;

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptState {
    /// It was never asked for.
    Unknown,
    /// It is being started or runs, or what it left behind runs.
    Running,
    /// It has ended, and how is recorded.
    Ended(Ended),
    /// It will not go on, and nobody recorded how it ended: only its probe can tell.
    Lost(Lost),
}

/// Why nobody knows how an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// What should have started it died. The script did not run, and will not.
    NeverStarted,
    /// The host was rebooted.
    Reboot,
    /// Runner and script were killed.
    Killed,
    /// Its marker cannot be read.
    Unreadable,
    /// What should have started it died, and the disk takes no note of that.
    Unsealed,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By itself.
    Exited,
    /// The runner ended it: its time was up.
    Deadline,
    /// The runner ended it: it was asked to.
    Cancelled,
    /// It was not run: another attempt ran, or the token was too low.
    Refused,
    /// It was not run: the runner could not set it up.
    Broken,
}

/// How much of an output the host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All.
    Whole,
    /// What is beyond the limit is left out, and the last line says so.
    Cut,
    /// The disk did not take all of it.
    Lost,
    /// Something that the script left behind could still write.
    Open,
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub how: How,
    /// Exit status of the script; 128 and the signal's number when a signal ended it.
    pub status: u32,
    /// When it began, in seconds since 1970 by the host's clock.
    pub began: u64,
    /// When it ended, likewise.
    pub ended: u64,
    /// How much of stdout is there.
    pub stdout_kept: Kept,
    /// How much of stderr is there.
    pub stderr_kept: Kept,
}

/// What a probe answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The action is done.
    Done,
    /// Nothing of it is done.
    NotDone,
    /// Part of it is done.
    Partly,
    /// The probe did not come to an answer. Status 0 and 1 mean this too: a shell that fails exits like that.
    CannotTell,
}

/// What a `run`, `verify` or `undo` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// It may work later: status 75, or its time was up.
    Temporary,
    /// The host is not as the plan assumed: status 78.
    NotAsAssumed,
    /// It was cancelled.
    Cancelled,
    /// It was not run.
    NotRun,
    /// Anything else: final.
    Failed(u32),
}

impl Ended {
    /// As the answer of a probe.
    pub fn verdict(&self) -> Verdict {
        match (self.how, self.status) {
            (How::Exited, 10) => Verdict::Done,
            (How::Exited, 11) => Verdict::NotDone,
            (How::Exited, 12) => Verdict::Partly,
            _ => Verdict::CannotTell,
        }
    }

    /// As the answer of another verb.
    pub fn outcome(&self) -> Outcome {
        match (self.how, self.status) {
            (How::Exited, 0) => Outcome::Done,
            (How::Exited, 75) | (How::Deadline, _) => Outcome::Temporary,
            (How::Exited, 78) => Outcome::NotAsAssumed,
            (How::Exited, status) => Outcome::Failed(status),
            (How::Cancelled, _) => Outcome::Cancelled,
            (How::Refused | How::Broken, _) => Outcome::NotRun,
        }
    }
}

/// A file that a script wrote into `MKECTL_OUT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFile {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// An attempt, and what there is to read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What became of it.
    pub state: AttemptState,
    /// Bytes of stdout on the host.
    pub stdout: u64,
    /// Bytes of stderr on the host.
    pub stderr: u64,
    /// Outputs by name.
    pub outputs: BTreeMap<String, OutputFile>,
}

/// All that a host knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostState {
    /// The highest token it has seen; 0 before the first.
    pub token: Token,
    /// Every attempt it has heard of.
    pub attempts: BTreeMap<Attempt, AttemptState>,
}

fn parse_state(words: &[&str]) -> Option<AttemptState> {
    let kept = |word: &str| {
        Some(match word {
            "whole" => Kept::Whole,
            "cut" => Kept::Cut,
            "lost" => Kept::Lost,
            "open" => Kept::Open,
            _ => return None,
        })
    };
    Some(match words {
        ["none"] => AttemptState::Unknown,
        ["running"] | ["running", _] => AttemptState::Running,
        ["lost", why] => AttemptState::Lost(match *why {
            "never-started" => Lost::NeverStarted,
            "reboot" => Lost::Reboot,
            "killed" => Lost::Killed,
            "unreadable" => Lost::Unreadable,
            "unsealed" => Lost::Unsealed,
            _ => return None,
        }),
        [how, status, began, ended, out, err] => AttemptState::Ended(Ended {
            how: match *how {
                "exited" => How::Exited,
                "deadline" => How::Deadline,
                "cancelled" => How::Cancelled,
                "refused" => How::Refused,
                "broken" => How::Broken,
                _ => return None,
            },
            status: status.parse().ok()?,
            began: began.parse().ok()?,
            ended: ended.parse().ok()?,
            stdout_kept: kept(out)?,
            stderr_kept: kept(err)?,
        }),
        _ => return None,
    })
}

pub(super) fn parse_report(text: &str) -> Option<Report> {
    let mut lines = text.lines();
    let first: Vec<&str> = lines.next()?.split(' ').collect();
    let ["attempt", words @ ..] = first.as_slice() else {
        return None;
    };
    let mut report = Report {
        state: parse_state(words)?,
        stdout: 0,
        stderr: 0,
        outputs: BTreeMap::new(),
    };
    for line in lines {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["stdout", size] => report.stdout = size.parse().ok()?,
            ["stderr", size] => report.stderr = size.parse().ok()?,
            ["out", size, sha256, name] => {
                let file = OutputFile {
                    size: size.parse().ok()?,
                    sha256: (*sha256).to_owned(),
                };
                report.outputs.insert((*name).to_owned(), file);
            }
            _ => return None,
        }
    }
    Some(report)
}

pub(super) fn parse_token(line: &str) -> Option<Token> {
    line.strip_prefix("token ")?.parse().ok().and_then(Token::new)
}

pub(super) fn parse_host(text: &str) -> Option<HostState> {
    let mut lines = text.lines();
    let mut host = HostState {
        token: parse_token(lines.next()?)?,
        attempts: BTreeMap::new(),
    };
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let ["action", action, verb, number, state @ ..] = words.as_slice() else {
            return None;
        };
        let attempt = Attempt {
            action: ActionName::told(action)?,
            verb: Verb::told(verb)?,
            number: number.parse().ok()?,
        };
        host.attempts.insert(attempt, parse_state(state)?);
    }
    Some(host)
}
