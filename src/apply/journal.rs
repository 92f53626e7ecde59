//! The journal: what was decided, in an order that a crash cannot change.
//!
//! Append-only JSON lines, `{"hash":"…","entry":{…}}`, where the hash is SHA-256 over the hash of the line before and the
//! bytes of the entry: so every line stands for all before it. A last line without its line break is what a crash leaves
//! and counts as not written; anything else that does not fit is refused. An intent is synced before its effect and a
//! result before anything that depends on it starts, so what a torn tail can lose has had no consequences.

use super::Fut;
use super::call::{Reason, Verb};
use super::control::{Cause, Decision};
use super::events::EndKind;
use super::outputs::Recorded;
use crate::plan::digest::digest_bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::AsyncWriteExt;

/// Version of the journal: `MAJOR.MINOR`. A minor adds, a major is refused.
pub const JOURNAL_FORMAT: &str = "1.0";

/// What the first line builds upon.
const ORIGIN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// A run begins, or takes an earlier one up.
    Start {
        /// Version of the format.
        format: String,
        /// Digest of the plan.
        plan: String,
        /// Name of the run.
        run: String,
        /// Fencing token of the run.
        #[serde(default)]
        token: u64,
        /// When.
        at: String,
    },
    /// An attempt is about to begin.
    Intent {
        /// When.
        at: String,
        /// Action.
        action: String,
        /// What is about to be done.
        verb: Verb,
        /// Number of the attempt.
        attempt: u32,
    },
    /// An attempt has ended.
    Result {
        /// When.
        at: String,
        /// Action.
        action: String,
        /// What was done.
        verb: Verb,
        /// Number of the attempt.
        attempt: u32,
        /// How it ended.
        end: EndKind,
        /// What it hands on; of secrets only that there are such.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        outputs: BTreeMap<String, Recorded>,
        /// Why, unless it is done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// An attempt is followed by another.
    Retry {
        /// When.
        at: String,
        /// Action.
        action: String,
        /// What is done.
        verb: Verb,
        /// Number of the next attempt.
        attempt: u32,
    },
    /// A host is left out.
    Quarantine {
        /// When.
        at: String,
        /// Host.
        host: String,
        /// The action that failed.
        action: String,
    },
    /// What is done about a failure or an interruption. A rollback that was decided goes on after a crash.
    Decision {
        /// When.
        at: String,
        /// What happened.
        cause: Cause,
        /// What is done.
        decision: Decision,
    },
    /// The run ends.
    End {
        /// When.
        at: String,
        /// How.
        outcome: String,
        /// Nothing of the plan is left to do: it is used up.
        used_up: bool,
    },
}

/// A journal that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// A line was changed, or is missing.
    #[error("line {line} of the journal is damaged: {why}; use a copy from one of the managers")]
    Corrupt {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// A format that this build cannot read.
    #[error(
        "the journal has format {0}, and this mkectl reads {JOURNAL_FORMAT}; use the mkectl that wrote it"
    )]
    Version(String),
    /// It belongs to another plan.
    #[error("the journal belongs to the plan {found}, not to {wanted}; use the plan that the run began with")]
    Plan {
        /// Its plan.
        found: String,
        /// The plan that is to be run.
        wanted: String,
    },
    /// Two copies went on differently.
    #[error(
        "two copies of the journal differ from record {record} on: {} and {}; a person must say which one is true", copies[0], copies[1]
    )]
    Fork {
        /// The first record that differs, from 1.
        record: usize,
        /// Where the copies are.
        copies: [String; 2],
    },
}

/// What a journal holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The records.
    pub records: Vec<Record>,
    /// The hash of each, which stands for all records up to it.
    pub hashes: Vec<String>,
    /// How many bytes they take; what comes after is a torn line to be cut off before anything is appended.
    pub bytes: usize,
    /// There is a torn line.
    pub torn: bool,
}

impl Decoded {
    /// The hash that the next line builds upon.
    pub fn head(&self) -> &str {
        self.hashes.last().map_or(ORIGIN, String::as_str)
    }
}

/// One line, with its line break, and the hash that the next one builds upon.
///
/// # Errors
///
/// When the record cannot be written as JSON; no record can cause that.
pub fn encode(head: &str, record: &Record) -> serde_json::Result<(String, String)> {
    let entry = serde_json::to_string(record)?;
    let hash = chained(head, &entry);
    Ok((format!("{{\"hash\":\"{hash}\",\"entry\":{entry}}}\n"), hash))
}

fn chained(head: &str, entry: &str) -> String {
    let digest = digest_bytes(format!("{head}{entry}"));
    digest.trim_start_matches("sha256:").to_owned()
}

/// Reads a journal.
///
/// # Errors
///
/// [`JournalError::Corrupt`] names the first line that does not fit; [`JournalError::Version`].
pub fn decode(bytes: &[u8]) -> Result<Decoded, JournalError> {
    let mut decoded = Decoded::default();
    for (line, text) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        let Some(text) = text.strip_suffix(b"\n") else {
            decoded.torn = true;
            break;
        };
        let corrupt = |why: &str| JournalError::Corrupt {
            line,
            why: why.to_owned(),
        };
        let found = std::str::from_utf8(text).map_err(|_| corrupt("it is not text"))?;
        let found = found.strip_prefix("{\"hash\":\"").and_then(|rest| {
            let (hash, rest) = rest.split_at_checked(ORIGIN.len())?;
            let entry = rest.strip_prefix("\",\"entry\":")?.strip_suffix('}')?;
            Some((hash, entry))
        });
        let (hash, entry) = found.ok_or_else(|| corrupt("it has not the form of a record"))?;
        if hash != chained(decoded.head(), entry) {
            return Err(corrupt("its hash does not fit it and the lines before"));
        }
        let record: Record = serde_json::from_str(entry).map_err(|error| corrupt(&error.to_string()))?;
        match &record {
            Record::Start { format, .. } => {
                let major = |format: &str| format.split('.').next().map(str::to_owned);
                if major(format) != major(JOURNAL_FORMAT) {
                    return Err(JournalError::Version(format.clone()));
                }
            }
            _ if line == 1 => return Err(corrupt("a journal begins with the start of a run")),
            _ => {}
        }
        decoded.records.push(record);
        decoded.hashes.push(hash.to_owned());
        decoded.bytes += text.len() + 1;
    }
    Ok(decoded)
}

/// Who would find what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Whoever takes the run up, wherever he does: effects may follow.
    Safe,
    /// Only who looks into this very store, because somebody else has taken the cluster over. Nothing may be begun.
    Here,
}

/// Where lines go. What was appended may be lost in a crash until it is synced.
pub trait Store: Send {
    /// Appends lines.
    fn append<'a>(&'a mut self, lines: &'a [u8]) -> Fut<'a, io::Result<()>>;
    /// Makes sure that everything appended survives a crash.
    fn sync(&mut self) -> Fut<'_, io::Result<Kept>>;
}

/// Writes records. Those that come between two commits go to the store together, with one sync.
pub struct Journal {
    store: Box<dyn Store>,
    head: String,
    lines: String,
}

impl Journal {
    /// A new journal.
    pub fn new(store: Box<dyn Store>) -> Journal {
        Journal::after(store, &Decoded::default())
    }

    /// Goes on with a journal, whose torn tail must have been cut off.
    pub fn after(store: Box<dyn Store>, decoded: &Decoded) -> Journal {
        Journal {
            store,
            head: decoded.head().to_owned(),
            lines: String::new(),
        }
    }

    /// Takes a record in; it is written with the next commit.
    ///
    /// # Errors
    ///
    /// As [`encode`].
    pub fn add(&mut self, record: &Record) -> io::Result<()> {
        let (line, head) = encode(&self.head, record)?;
        self.lines.push_str(&line);
        self.head = head;
        Ok(())
    }

    /// Writes what was taken in, and comes back when it would survive a crash.
    ///
    /// # Errors
    ///
    /// When the store fails. Nothing may be begun then: no later commit can repair the chain.
    pub async fn commit(&mut self) -> io::Result<Kept> {
        if self.lines.is_empty() {
            return Ok(Kept::Safe);
        }
        self.store.append(self.lines.as_bytes()).await?;
        let kept = self.store.sync().await?;
        self.lines.clear();
        Ok(kept)
    }
}

/// A store in memory, for rehearsals and tests. Copies share their content.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Vec<u8>>>);

impl MemoryStore {
    /// Everything that was appended.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Store for MemoryStore {
    fn append<'a>(&'a mut self, lines: &'a [u8]) -> Fut<'a, io::Result<()>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(lines);
        Box::pin(std::future::ready(Ok(())))
    }

    fn sync(&mut self) -> Fut<'_, io::Result<Kept>> {
        Box::pin(std::future::ready(Ok(Kept::Safe)))
    }
}

/// A store in a file that was opened for appending.
#[derive(Debug)]
pub struct FileStore(tokio::fs::File);

impl FileStore {
    /// Takes the file over.
    pub fn new(file: tokio::fs::File) -> FileStore {
        FileStore(file)
    }
}

impl Store for FileStore {
    fn append<'a>(&'a mut self, lines: &'a [u8]) -> Fut<'a, io::Result<()>> {
        Box::pin(async move {
            self.0.write_all(lines).await?;
            self.0.flush().await
        })
    }

    fn sync(&mut self) -> Fut<'_, io::Result<Kept>> {
        Box::pin(async move { self.0.sync_data().await.map(|()| Kept::Safe) })
    }
}
