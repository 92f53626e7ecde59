//! What is kept of a run on the operator's machine: a directory per plan, closed to others.
//!
//! `journal.jsonl` (append-only, hash chain), `events.jsonl`, `hosts/HOST.log` (everything that a host printed), `copies/`.

use crate::apply::events::Stream;
use crate::apply::journal::{Decoded, FileStore, Journal, Record, decode};
use crate::apply::remote::HostLog;
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::report::event_lines::EventLines;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The directory of a plan, held by this process.
pub struct State {
    directory: String,
    number: u64,
    /// Locked as long as it is open.
    journal: File,
    decoded: Decoded,
}

/// What a person said about earlier runs of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// There must be none.
    None,
    /// `--resume`: there must be one.
    Resume,
}

impl State {
    /// Opens the directory of a plan below `base`, makes it where it is not there, and takes it for this process.
    ///
    /// # Errors
    ///
    /// When another process has it, when it does not fit what was said about earlier runs, or cannot be used.
    pub fn open(base: &Path, digest: &str, earlier: Earlier) -> Result<State, CliError> {
        let digits = digest.strip_prefix("sha256:").unwrap_or(digest);
        let path = base.join(digits.get(..16).unwrap_or(digits));
        let shown = path.to_string_lossy().into_owned();
        for directory in [path.clone(), path.join("hosts"), path.join("copies")] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)
                .map_err(|error| CliError::file("make", &directory.to_string_lossy(), &error))?;
        }
        let file = path.join("journal.jsonl");
        let name = file.to_string_lossy().into_owned();
        let journal = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&file)
            .map_err(|error| CliError::file("open", &name, &error))?;
        match journal.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(CliError {
                    exit: exit::LOCKED,
                    message: format!("another mkectl on this machine is running this plan: it holds {name}"),
                    hint: "wait until it has ended".to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(CliError::file("lock", &name, &error)),
        }
        let bytes = fs::read(&file).map_err(|error| CliError::file("read", &name, &error))?;
        let decoded = decode(&bytes).map_err(|error| CliError {
            exit: exit::UNDECIDED,
            message: format!("{name}: {error}"),
            hint: "keep the file; copies of it on the managers may be whole".to_owned(),
        })?;
        let begun = !decoded.records.is_empty();
        match earlier {
            Earlier::None if begun => {
                return Err(CliError {
                    exit: exit::USAGE,
                    message: format!("this plan was begun before; {name} tells how far it came"),
                    hint: "go on with `mkectl apply --resume`, or make a new plan".to_owned(),
                });
            }
            Earlier::Resume if !begun => {
                return Err(CliError::usage(
                    "there is nothing to resume: this plan was never begun from this machine",
                    "run it without --resume",
                ));
            }
            _ => {}
        }
        if decoded.torn {
            journal
                .set_len(decoded.bytes as u64)
                .map_err(|error| CliError::file("mend", &name, &error))?;
        }
        let number = 1 + decoded
            .records
            .iter()
            .filter(|record| matches!(record, Record::Start { .. }))
            .count() as u64;
        Ok(State {
            directory: shown,
            number,
            journal,
            decoded,
        })
    }

    /// Where it is.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// Number of this run of the plan: hosts refuse what comes from an earlier one.
    pub fn token(&self) -> u64 {
        self.number
    }

    /// Name of this run.
    pub fn run(&self) -> String {
        format!("run-{}", self.number)
    }

    /// The journal to go on with, and what it holds. The lock goes with it.
    ///
    /// # Errors
    ///
    /// When the journal cannot be opened once more.
    pub fn journal(&self) -> Result<(Journal, Vec<Record>), CliError> {
        let name = format!("{}/journal.jsonl", self.directory);
        let file = self
            .journal
            .try_clone()
            .map_err(|error| CliError::file("open", &name, &error))?;
        let store = FileStore::new(tokio::fs::File::from_std(file));
        Ok((
            Journal::after(Box::new(store), &self.decoded),
            self.decoded.records.clone(),
        ))
    }

    /// Where the hosts' output goes.
    pub fn host_log(&self) -> HostLogs {
        HostLogs {
            directory: Path::new(&self.directory).join("hosts"),
            files: Mutex::default(),
        }
    }

    /// Where events are kept.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened.
    pub fn events(&self) -> Result<Arc<EventLines>, CliError> {
        events_to(&format!("{}/events.jsonl", self.directory))
    }
}

/// Writes events to a file, after what is in it, or to stdout for `-`.
///
/// # Errors
///
/// When the file cannot be opened.
pub fn events_to(path: &str) -> Result<Arc<EventLines>, CliError> {
    let to: Box<dyn Write + Send> = if path == "-" {
        Box::new(io::stdout())
    } else {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path);
        Box::new(file.map_err(|error| CliError::file("write", path, &error))?)
    };
    Ok(Arc::new(EventLines::new(to)))
}

/// One log file per host.
pub struct HostLogs {
    directory: PathBuf,
    files: Mutex<BTreeMap<String, Option<File>>>,
}

impl HostLog for HostLogs {
    fn write(&self, host: &str, attempt: &str, stream: Stream, bytes: &[u8]) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        // Host names come from files that others wrote.
        let plain: String = host
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        let file = files.entry(host.to_owned()).or_insert_with(|| {
            let path = self.directory.join(format!("{plain}.log"));
            OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(path)
                .ok()
        });
        if let Some(file) = file {
            let head = match stream {
                Stream::Stdout => "stdout",
                Stream::Stderr => "stderr",
            };
            let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
            // A log that cannot be written must not stop an upgrade.
            let _ = writeln!(file, "--- {now} {attempt} {head}")
                .and_then(|()| file.write_all(bytes))
                .and_then(|()| {
                    if bytes.ends_with(b"\n") {
                        Ok(())
                    } else {
                        file.write_all(b"\n")
                    }
                });
        }
    }
}
