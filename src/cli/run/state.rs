//! What is kept of a run on the operator's machine: a directory per plan, closed to others.
//!
//! `journal.jsonl` (append-only, hash chain), `events.jsonl`, `hosts/HOST.log` (everything that a host printed), `copies/`.

use crate::apply::copies::Copy;
use crate::apply::events::Stream;
use crate::apply::journal::{FileStore, JournalError, Record, Store};
use crate::apply::remote::HostLog;
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::report::event_lines::EventLines;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The directory of a plan, held by this process.
pub struct State {
    directory: String,
    holder: String,
    /// Locked as long as it is open.
    journal: File,
    /// What it holds, or why that cannot be used.
    copy: Result<Copy, JournalError>,
}

/// What a person said about earlier runs of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// There must be none.
    None,
    /// `--resume`: there must be one.
    Resume,
}

/// The directory of a plan below `base`.
pub fn place(base: &Path, digest: &str) -> PathBuf {
    let digits = digest.strip_prefix("sha256:").unwrap_or(digest);
    base.join(digits.get(..16).unwrap_or(digits))
}

impl State {
    /// Opens the directory of a plan below `base`, makes it where it is not there, and takes it for this process.
    ///
    /// # Errors
    ///
    /// When another process has it, or it cannot be used.
    pub fn open(base: &Path, digest: &str) -> Result<State, CliError> {
        let path = place(base, digest);
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
        Ok(State {
            holder: holder(&path)?,
            directory: shown,
            journal,
            copy: Copy::read(name, bytes),
        })
    }

    /// Where it is.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// Who holds a cluster from here. As only one process has this directory, whoever held it before is gone.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// The journal that is here.
    ///
    /// # Errors
    ///
    /// When it is damaged.
    pub fn copy(&self) -> &Result<Copy, JournalError> {
        &self.copy
    }

    /// Makes the journal here the same as this one. What it had besides is moved aside.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn adopt(&mut self, copy: &Copy) -> Result<(), CliError> {
        let name = format!("{}/journal.jsonl", self.directory);
        let failed = |error: io::Error| CliError::file("mend", &name, &error);
        let here = fs::read(&name).map_err(failed)?;
        let keep = match here.starts_with(&copy.bytes) || copy.bytes.starts_with(&here) {
            true => here.len().min(copy.bytes.len()),
            false => {
                let aside = format!("{}/journal.jsonl.superseded", self.directory);
                crate::cli::files::write(&aside, &here)?;
                0
            }
        };
        self.journal.set_len(keep as u64).map_err(failed)?;
        self.journal.write_all(&copy.bytes[keep..]).map_err(failed)?;
        self.journal.sync_all().map_err(failed)?;
        self.copy = Ok(Copy {
            from: name,
            ..copy.clone()
        });
        Ok(())
    }

    /// Where records of the run go, on this machine. The lock goes with it.
    ///
    /// # Errors
    ///
    /// When the journal cannot be opened once more.
    pub fn store(&self) -> Result<Box<dyn Store>, CliError> {
        let name = format!("{}/journal.jsonl", self.directory);
        let file = self
            .journal
            .try_clone()
            .map_err(|error| CliError::file("open", &name, &error))?;
        Ok(Box::new(FileStore::new(tokio::fs::File::from_std(file))))
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

/// Name of the run that goes on after these records.
pub fn run_name(records: &[Record]) -> String {
    let starts = records
        .iter()
        .filter(|record| matches!(record, Record::Start { .. }));
    format!("run-{}", 1 + starts.count())
}

/// The id of this directory: random, so that nobody else has it.
fn holder(directory: &Path) -> Result<String, CliError> {
    let path = directory.join("holder");
    let name = path.to_string_lossy().into_owned();
    if let Ok(text) = fs::read_to_string(&path) {
        let id = text.trim_end();
        if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(id.to_owned());
        }
    }
    let id = random_id()?;
    crate::cli::files::write(&name, format!("{id}\n").as_bytes())?;
    Ok(id)
}

/// 128 random bits in hexadecimal digits.
///
/// # Errors
///
/// When the system gives none.
pub fn random_id() -> Result<String, CliError> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| CliError::file("read", "/dev/urandom", &error))?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
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
