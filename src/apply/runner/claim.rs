//! The claim on a cluster, as the runner of a manager keeps it, and that manager's copy of the journal.

use super::names::Token;
use super::{ANSWER_LIMIT, Content, HostRunner, RunnerError, answer, odd, sha256, state};
use crate::ssh::{Exec, Input, KEEP, OutputLog, Stream};
use std::sync::{Mutex, PoisonError};
use tokio::io::AsyncRead;
use tokio::sync::mpsc::UnboundedSender;

/// A copy of a journal is at most so many bytes: some hundred thousand records.
const JOURNAL_LIMIT: u64 = 256 * 1024 * 1024;

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It was given up, and nothing is kept.
    Free,
    /// Its run holds the cluster.
    Held,
    /// It was not renewed in its time; the cluster is kept for its plan.
    Expired,
    /// Its run has paused; the cluster is kept for its plan.
    Reserved,
}

/// Who claims a cluster, as one manager tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its token.
    pub token: Token,
    /// What became of it.
    pub phase: Phase,
    /// Seconds that it is still valid; 0 unless it is held.
    pub left_s: u64,
    /// Since when, in seconds since 1970 by the host's clock.
    pub since: u64,
    /// Id of the holder.
    pub holder: String,
    /// Its plan, as [`Ask::plan`]; `-` when it has none.
    pub plan: String,
    /// `user@host`.
    pub who: String,
}

/// What a manager tells about the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The highest token that it has heard of.
    pub token: Token,
    /// The claim that counts.
    pub claim: Option<Claim>,
    /// The newest copy of the journal of this plan: token of the run that writes it, and bytes.
    pub journal: Option<(Token, u64)>,
}

/// Who wants the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Random, so that nobody else has it.
    pub holder: String,
    /// The plan: its digest.
    pub plan: String,
    /// Valid for so many seconds after each renewal.
    pub seconds: u32,
    /// `user@host`, for people.
    pub who: String,
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// It was granted.
    pub granted: bool,
    /// What is true now.
    pub now: Claimed,
}

/// How a claim ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderEnd {
    /// Nothing is kept.
    Free,
    /// The cluster is kept for the plan.
    Reserved,
    /// It never counted.
    Withdrawn,
}

impl HolderEnd {
    fn word(self) -> &'static str {
        match self {
            HolderEnd::Free => "free",
            HolderEnd::Reserved => "reserved",
            HolderEnd::Withdrawn => "withdrawn",
        }
    }
}

/// What [`HostRunner::hold`] hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The claim is held, and the copy has so many bytes.
    Holding(u64),
    /// It was renewed.
    Beat,
    /// Everything before this `commit` survives a crash of the manager.
    Kept(u64),
    /// Somebody else has taken over.
    Lost,
    /// The manager cannot write.
    Full,
}

impl Heard {
    fn parse(line: &str) -> Option<Heard> {
        Some(match line.split_once(' ') {
            None => match line {
                "beat" => Heard::Beat,
                "lost" => Heard::Lost,
                "full" => Heard::Full,
                _ => return None,
            },
            Some(("holding", bytes)) => Heard::Holding(bytes.parse().ok()?),
            Some(("kept", number)) => Heard::Kept(number.parse().ok()?),
            Some(_) => return None,
        })
    }
}

/// Lines of the answer to `hold`, as they come.
struct Ear {
    part: Mutex<Vec<u8>>,
    to: UnboundedSender<Heard>,
}

impl OutputLog for Ear {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        if stream != Stream::Stdout {
            return;
        }
        let mut part = self.part.lock().unwrap_or_else(PoisonError::into_inner);
        part.extend_from_slice(bytes);
        while let Some(end) = part.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = part.drain(..=end).collect();
            // What a login shell writes first is none of these.
            if let Some(heard) = std::str::from_utf8(&line[..end]).ok().and_then(Heard::parse) {
                // Nobody listens any more when the run has ended.
                let _ = self.to.send(heard);
            }
        }
        if part.len() > KEEP {
            part.clear();
        }
    }
}

impl HostRunner {
    /// Who holds the cluster, and how much of the journal of this plan is here.
    pub async fn claims(&self) -> Result<Claimed, RunnerError> {
        let body = self.call("claims", &[], None, KEEP, Some(ANSWER_LIMIT)).await?;
        let text = answer::lines("claims", &body)?;
        parse(&text).ok_or_else(|| odd("claims", &text))
    }

    /// Claims the cluster on this manager. Asking again for the same is answered the same.
    pub async fn take(&self, token: Token, ask: &Ask) -> Result<Taken, RunnerError> {
        let words = [
            token.number().to_string(),
            ask.holder.clone(),
            word(&ask.plan),
            ask.seconds.min(99_999).to_string(),
            word(&ask.who),
        ];
        let body = self.call("take", &words, None, KEEP, Some(ANSWER_LIMIT)).await?;
        let text = answer::lines("take", &body)?;
        let parsed = text.split_once('\n').and_then(|(first, rest)| {
            let granted = match first {
                "taken yes" => true,
                "taken no" => false,
                _ => return None,
            };
            Some(Taken {
                granted,
                now: parse(rest)?,
            })
        });
        parsed.ok_or_else(|| odd("take", &text))
    }

    /// Ends a claim of this holder.
    pub async fn release(&self, token: Token, holder: &str, how: HolderEnd) -> Result<(), RunnerError> {
        let words = [
            token.number().to_string(),
            holder.to_owned(),
            how.word().to_owned(),
        ];
        let body = self
            .call("release", &words, None, KEEP, Some(ANSWER_LIMIT))
            .await?;
        answer::lines("release", &body).map(drop)
    }

    /// Frees the cluster on this manager, whoever has it, and fences off lower tokens.
    pub async fn unlock(&self, token: Token, holder: &str, who: &str) -> Result<(), RunnerError> {
        let words = [token.number().to_string(), holder.to_owned(), word(who)];
        let body = self
            .call("unlock", &words, None, KEEP, Some(ANSWER_LIMIT))
            .await?;
        answer::lines("unlock", &body).map(drop)
    }

    /// This manager's copy of the journal, as the run with this token writes it.
    pub async fn journal(&self, token: Token, size: u64) -> Result<Vec<u8>, RunnerError> {
        let words = [format!("journal/{}", token.number())];
        // It may grow while it is read.
        let keep = usize::try_from(size.min(JOURNAL_LIMIT)).unwrap_or(usize::MAX / 4) * 2 + 4 * KEEP;
        let body = self.call("get", &words, None, keep, Some(ANSWER_LIMIT)).await?;
        answer::data("get", &body).map(|(bytes, _)| bytes)
    }

    /// Replaces this manager's copy of the journal for this token, whole or not at all.
    pub async fn put_journal(&self, token: Token, bytes: &[u8]) -> Result<(), RunnerError> {
        let path = format!("journal/{}", token.number());
        self.put(&path, "0600", &sha256(bytes), &Content::Bytes(bytes))
            .await
    }

    /// Holds the claim for as long as the input lasts, and says what it hears. Never repeated: whoever calls begins anew.
    pub async fn hold(
        &self,
        token: Token,
        holder: &str,
        input: Box<dyn AsyncRead + Send + Unpin>,
        to: UnboundedSender<Heard>,
    ) -> Result<(), RunnerError> {
        let program = format!("{}/runner", self.root);
        let number = token.number().to_string();
        let words = self.privilege.words(["sh", &program, "hold", &number, holder]);
        let ear = Ear {
            part: Mutex::default(),
            to,
        };
        let request = Exec::new(words).stdin(Input::Reader(input)).log(&ear);
        let mut ran = self.session.exec(request).await?;
        // All that it said was heard.
        ran.truncated = false;
        answer::unwrap("hold", &ran, self.privilege).map(drop)
    }
}

/// The word that the runner takes for a text: what it does not take becomes `_`.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._@:-".contains(c);
    let mut word: String = text
        .chars()
        .take(100)
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    if word.is_empty() || word.starts_with('-') {
        word.insert(0, '_');
        word.truncate(100);
    }
    word
}

fn parse(text: &str) -> Option<Claimed> {
    let mut lines = text.lines();
    let mut found = Claimed {
        token: state::parse_token(lines.next()?)?,
        claim: None,
        journal: None,
    };
    let token = |text: &str| text.parse().ok().and_then(Token::new);
    for line in lines {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["lease", number, phase, left, since, holder, plan, who] => {
                found.claim = Some(Claim {
                    token: token(number)?,
                    phase: match *phase {
                        "free" => Phase::Free,
                        "held" => Phase::Held,
                        "expired" => Phase::Expired,
                        "reserved" => Phase::Reserved,
                        _ => return None,
                    },
                    left_s: left.parse().ok()?,
                    since: since.parse().ok()?,
                    holder: (*holder).to_owned(),
                    plan: (*plan).to_owned(),
                    who: (*who).to_owned(),
                });
            }
            ["journal", number, size] => found.journal = Some((token(number)?, size.parse().ok()?)),
            _ => return None,
        }
    }
    Some(found)
}
