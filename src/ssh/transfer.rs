//! Files to and from a host, with plain commands: no sftp subsystem is needed, and sudo applies.
//!
//! A file appears under its name only whole, checked and synced: it is written beside its target, hashed by the host, and
//! renamed. Until then it is readable by its owner alone.

use super::errors::SessionError;
use super::output::Stream;
use super::session::held;
use super::sudo::{Privilege, SudoFault, classify};
use super::{Exec, Input, OutputLog, Ran, Session};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::AsyncRead;

/// A file to put on a host.
pub struct Upload<'a> {
    /// Absolute path.
    pub path: String,
    /// Permissions, such as `0o600`.
    pub mode: u32,
    /// `user:group`, when it is not to be whoever writes.
    pub owner: Option<String>,
    /// SHA-256 of the content, in lower-case hexadecimal digits.
    pub sha256: String,
    /// The content.
    pub content: Content<'a>,
}

/// Where content comes from.
pub enum Content<'a> {
    /// Memory.
    Bytes(&'a [u8]),
    /// A reader, such as a file.
    Reader(Box<dyn AsyncRead + Send + Unpin + 'a>),
}

impl<'a> Upload<'a> {
    /// A file with these bytes.
    pub fn bytes(path: impl Into<String>, mode: u32, bytes: &'a [u8]) -> Upload<'a> {
        Upload {
            path: path.into(),
            mode,
            owner: None,
            sha256: HEXLOWER.encode(&Sha256::digest(bytes)),
            content: Content::Bytes(bytes),
        }
    }
}

/// What an upload did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uploaded {
    /// The file was written.
    Written,
    /// A file with this content was there; owner and mode were set.
    Present,
}

/// What a download brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// Why a file did not get through.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The connection or the session failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The path is not absolute, or has no file name.
    #[error("{0:?} is not the absolute path of a file")]
    Path(String),
    /// The host has no such file.
    #[error("{0} does not exist on the host")]
    Missing(String),
    /// A command on the host failed.
    #[error("{doing} {path} failed on the host: {why}")]
    Host {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: String,
        /// What the host said.
        why: String,
    },
    /// sudo failed.
    #[error("{doing} {path} failed on the host: sudo: {why:?}")]
    Sudo {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: String,
        /// What sudo said.
        why: SudoFault,
    },
    /// The content that arrived is not the content that was meant.
    #[error(
        "{path} arrived with SHA-256 {found}, not {expected}: the source changed or the transfer is broken"
    )]
    Hash {
        /// The file.
        path: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The writer on this machine failed.
    #[error("cannot write what was read from {path}: {why}")]
    Write {
        /// The file on the host.
        path: String,
        /// Why.
        why: std::io::Error,
    },
}

/// Tells temporary names of this process apart. Other processes are kept away by the lock of the run.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// What start-up files may write before a download.
const NOISE_LIMIT: usize = 256 * 1024;

/// Puts a file on a host. Directories on the way are made if need be; one that is there keeps its mode, which `install -d`
/// would change. If this fails, what was under the name before is still there.
pub async fn upload(
    session: &dyn Session,
    privilege: Privilege,
    upload: Upload<'_>,
) -> Result<Uploaded, TransferError> {
    let path = upload.path.clone();
    let (directory, name) = split(&path)?;
    let host = Host {
        session,
        privilege,
        path: &path,
    };
    let mode = format!("{:04o}", upload.mode & 0o7777);
    if host.hash(&path).await?.as_deref() == Some(&upload.sha256) {
        host.settle(&path, upload.owner.as_deref(), &mode).await?;
        return Ok(Uploaded::Present);
    }
    host.run("making the directory of", ["mkdir", "-p", directory])
        .await?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let hash: String = upload.sha256.chars().take(16).collect();
    let temporary = format!("{}/.{name}.{hash}.{number}.part", directory.trim_end_matches('/'));
    let result = host.write(&temporary, &mode, directory, upload).await;
    if result.is_err() {
        // The error is the news. A part that stays behind has its own name and does no harm.
        let _ = host.run("removing a part of", ["rm", "-f", &temporary]).await;
    }
    result.map(|()| Uploaded::Written)
}

/// Copies a file of a host into a writer. The hash is that of what was written, and the host's own.
pub async fn download(
    session: &dyn Session,
    privilege: Privilege,
    path: &str,
    writer: &mut (dyn Write + Send),
) -> Result<Downloaded, TransferError> {
    split(path)?;
    let host = Host {
        session,
        privilege,
        path,
    };
    let Some(expected) = host.hash(path).await? else {
        return Err(TransferError::Missing(path.to_owned()));
    };
    let sink = Sink(Mutex::new(Sunk {
        header: format!("==> {path} <==\n").into_bytes(),
        before: Some(Vec::new()),
        writer,
        hash: Sha256::new(),
        bytes: 0,
        error: None,
    }));
    // A login shell's start-up files may write first. With -v tail writes a line of its own before the content.
    let words = privilege.words(["tail", "-v", "-c", "+1", path]);
    let ran = session.exec(Exec::new(words).keep(4096).log(&sink)).await?;
    host.check("reading", &ran)?;
    let sunk = sink
        .0
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(why) = sunk.error {
        return Err(TransferError::Write {
            path: path.to_owned(),
            why,
        });
    }
    let found = HEXLOWER.encode(&sunk.hash.finalize());
    if found != expected {
        return Err(TransferError::Hash {
            path: path.to_owned(),
            expected,
            found,
        });
    }
    Ok(Downloaded {
        bytes: sunk.bytes,
        sha256: found,
    })
}

/// Directory and name of an absolute path.
fn split(path: &str) -> Result<(&str, &str), TransferError> {
    match path.rsplit_once('/') {
        Some((directory, name))
            if path.starts_with('/') && !matches!(name, "" | "." | "..") && !path.contains('\0') =>
        {
            Ok((if directory.is_empty() { "/" } else { directory }, name))
        }
        _ => Err(TransferError::Path(path.to_owned())),
    }
}

struct Host<'a> {
    session: &'a dyn Session,
    privilege: Privilege,
    path: &'a str,
}

impl Host<'_> {
    async fn write(
        &self,
        temporary: &str,
        mode: &str,
        directory: &str,
        upload: Upload<'_>,
    ) -> Result<(), TransferError> {
        // Closed from its first moment: the content may be secret.
        self.run("creating", ["install", "-m", "0600", "/dev/null", temporary])
            .await?;
        let words = self.privilege.words([
            "dd",
            &format!("of={temporary}"),
            "bs=65536",
            "iflag=fullblock",
            "conv=notrunc,fsync",
            "status=none",
        ]);
        let input = match upload.content {
            Content::Bytes(bytes) => Input::Bytes(bytes),
            Content::Reader(reader) => Input::Reader(reader),
        };
        let ran = self.session.exec(Exec::new(words).stdin(input)).await?;
        self.check("writing", &ran)?;
        let found = self.hash(temporary).await?.unwrap_or_default();
        if found != upload.sha256 {
            return Err(TransferError::Hash {
                path: self.path.to_owned(),
                expected: upload.sha256,
                found,
            });
        }
        self.settle(temporary, upload.owner.as_deref(), mode).await?;
        self.run("renaming", ["mv", "-f", "-T", temporary, self.path])
            .await?;
        // The name is in the directory, and that is synced too.
        self.run("syncing the directory of", ["sync", directory]).await
    }

    /// Owner first: chown takes set-user-id bits away.
    async fn settle(&self, path: &str, owner: Option<&str>, mode: &str) -> Result<(), TransferError> {
        if let Some(owner) = owner {
            self.run("setting the owner of", ["chown", owner, path]).await?;
        }
        self.run("setting the mode of", ["chmod", mode, path]).await
    }

    /// The host's SHA-256 of a file, or nothing when there is no such file.
    async fn hash(&self, path: &str) -> Result<Option<String>, TransferError> {
        let words = self.privilege.words(["sha256sum", path]);
        let ran = self.session.exec(Exec::new(words)).await?;
        if !ran.success() && ran.status == Some(1) && classify(&ran).is_none() {
            // Asked in a language that has one word for it only: does it exist?
            let words = self.privilege.words(["test", "-e", path]);
            let there = self.session.exec(Exec::new(words)).await?;
            if there.status == Some(1) && classify(&there).is_none() {
                return Ok(None);
            }
        }
        self.check("hashing", &ran)?;
        // Start-up files may write first. A backslash comes before the hash when the name has odd characters.
        let text = String::from_utf8_lossy(&ran.stdout);
        let found = text.lines().rev().find_map(|line| {
            let word = line.trim_start_matches('\\').split(' ').next()?;
            let hexadecimal = |c: char| matches!(c, '0'..='9' | 'a'..='f');
            (word.len() == 64 && word.chars().all(hexadecimal)).then(|| word.to_owned())
        });
        match found {
            Some(found) => Ok(Some(found)),
            None => Err(TransferError::Host {
                doing: "hashing",
                path: self.path.to_owned(),
                why: "sha256sum printed no hash".to_owned(),
            }),
        }
    }

    async fn run<const N: usize>(&self, doing: &'static str, words: [&str; N]) -> Result<(), TransferError> {
        let ran = self.session.exec(Exec::new(self.privilege.words(words))).await?;
        self.check(doing, &ran)
    }

    fn check(&self, doing: &'static str, ran: &Ran) -> Result<(), TransferError> {
        if ran.success() {
            return Ok(());
        }
        let path = self.path.to_owned();
        if self.privilege == Privilege::Sudo
            && let Some(why) = classify(ran)
        {
            return Err(TransferError::Sudo { doing, path, why });
        }
        let complaint = ran.complaint();
        let why = if complaint.is_empty() {
            ran.ending()
        } else {
            complaint
        };
        Err(TransferError::Host { doing, path, why })
    }
}

struct Sink<'a>(Mutex<Sunk<'a>>);

struct Sunk<'a> {
    /// The line before the content.
    header: Vec<u8>,
    /// What came so far while that line has not come.
    before: Option<Vec<u8>>,
    writer: &'a mut (dyn Write + Send),
    hash: Sha256,
    bytes: u64,
    error: Option<std::io::Error>,
}

impl OutputLog for Sink<'_> {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        let mut sunk = held(&self.0);
        if stream != Stream::Stdout || sunk.error.is_some() {
            return;
        }
        let Some(mut before) = sunk.before.take() else {
            sunk.put(bytes);
            return;
        };
        before.extend_from_slice(bytes);
        let header = sunk.header.len();
        match before.windows(header).position(|window| window == sunk.header) {
            Some(at) => sunk.put(&before[at + header..]),
            None if before.len() > NOISE_LIMIT => {
                sunk.error = Some(std::io::Error::other(
                    "the login shell writes too much before the command does",
                ));
            }
            None => sunk.before = Some(before),
        }
    }
}

impl Sunk<'_> {
    fn put(&mut self, bytes: &[u8]) {
        match self.writer.write_all(bytes) {
            Ok(()) => {
                self.hash.update(bytes);
                self.bytes += bytes.len() as u64;
            }
            Err(error) => self.error = Some(error),
        }
    }
}
