//! Private keys in files: read once, unlocked once, for however many hosts.

use super::hostkey::fingerprint;
use russh::keys::{Certificate, PrivateKey, PublicKey, decode_secret_key};
use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Asks for the passphrase of a key file. Gets the file and the number of the attempt, from 1; `None` means that there is
/// none to be had. Runs on a thread where it may block.
pub type AskPassphrase = Arc<dyn Fn(&Path, u32) -> Option<String> + Send + Sync>;

/// How often a passphrase is asked for.
const ATTEMPTS: u32 = 3;

/// A key file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: KeyFileFault,
}

/// What is wrong with a key file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFileFault {
    /// There is no such file.
    Missing,
    /// It cannot be read; the system says why.
    Unreadable(String),
    /// Others may read or write it: its mode.
    TooOpen(u32),
    /// It is no private key, or of a kind that is not known.
    NotAKey(String),
    /// The certificate beside it cannot be used.
    BadCertificate(String),
    /// It is encrypted, and there is no passphrase.
    NoPassphrase,
    /// It is encrypted, and the passphrases given do not open it.
    WrongPassphrase,
    /// It is a public key, and the agent does not have the private one, or there is no agent.
    NotInAgent(String),
}

impl std::error::Error for KeyFileError {}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.why {
            KeyFileFault::Missing => {
                write!(f, "key file {path} does not exist: correct keyPath in hosts.yaml")
            }
            KeyFileFault::Unreadable(why) => write!(f, "key file {path} cannot be read: {why}"),
            KeyFileFault::TooOpen(mode) => write!(
                f,
                "key file {path} is open to others (mode {mode:04o}): chmod 600 it"
            ),
            KeyFileFault::NotAKey(why) => {
                write!(f, "key file {path} is not a private key that can be used: {why}")
            }
            KeyFileFault::BadCertificate(why) => write!(f, "the certificate {path} cannot be used: {why}"),
            KeyFileFault::NoPassphrase => write!(
                f,
                "key file {path} is encrypted and no passphrase was given: add the key to the agent (ssh-add), or run \
                 where the passphrase can be asked for"
            ),
            KeyFileFault::WrongPassphrase => write!(f, "the passphrase does not open key file {path}"),
            KeyFileFault::NotInAgent(fingerprint) => write!(
                f,
                "{path} is a public key ({fingerprint}), and its private key is not in the agent: ssh-add it, or name the \
                 private key's file"
            ),
        }
    }
}

/// What a key file holds.
#[derive(Clone)]
pub enum KeyFile {
    /// A private key, ready to sign, and the certificate beside it.
    Private(Arc<PrivateKey>, Option<Certificate>),
    /// A private key that needs a passphrase; its public half where the format shows it, and the certificate beside it.
    Locked(Option<PublicKey>, Option<Certificate>),
    /// A public key, whose private key is the agent's business.
    Public(PublicKey, Option<Certificate>),
}

type Results = BTreeMap<PathBuf, Result<KeyFile, KeyFileError>>;

/// Reads and remembers key files. A file that failed is not tried again: nobody wants to be asked the same passphrase for
/// two hundred hosts.
pub struct KeyFiles {
    home: Option<PathBuf>,
    ask: Option<AskPassphrase>,
    read: Mutex<Results>,
    unlocked: Mutex<Results>,
}

impl KeyFiles {
    /// `home` stands for a leading `~`; `ask` gives passphrases.
    pub fn new(home: Option<PathBuf>, ask: Option<AskPassphrase>) -> KeyFiles {
        KeyFiles {
            home,
            ask,
            read: Mutex::default(),
            unlocked: Mutex::default(),
        }
    }

    /// The file that hosts.yaml means.
    pub fn path(&self, written: &str) -> PathBuf {
        match (written.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(written),
        }
    }

    /// Reads a file, without asking for a passphrase.
    pub async fn read(&self, path: &Path) -> Result<KeyFile, KeyFileError> {
        let mut done = self.read.lock().await;
        if let Some(result) = done.get(path) {
            return result.clone();
        }
        let owned = path.to_owned();
        let result = blocking(path, move || read(&owned)).await;
        done.insert(path.to_owned(), result.clone());
        result
    }

    /// Opens an encrypted file, asking for its passphrase. Only one is asked for at a time.
    pub async fn unlock(&self, path: &Path) -> Result<KeyFile, KeyFileError> {
        let mut done = self.unlocked.lock().await;
        if let Some(result) = done.get(path) {
            return result.clone();
        }
        let owned = path.to_owned();
        let ask = self.ask.clone();
        let result = blocking(path, move || unlock(&owned, ask.as_ref())).await;
        done.insert(path.to_owned(), result.clone());
        result
    }
}

/// Decryption takes a good part of a second by design, and asking takes as long as a person does.
async fn blocking(
    path: &Path,
    work: impl FnOnce() -> Result<KeyFile, KeyFileError> + Send + 'static,
) -> Result<KeyFile, KeyFileError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(fault(path, KeyFileFault::Unreadable(error.to_string()))),
    }
}

fn fault(path: &Path, why: KeyFileFault) -> KeyFileError {
    KeyFileError {
        path: path.to_owned(),
        why,
    }
}

fn is_public(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "pub")
}

fn text(path: &Path) -> Result<String, KeyFileError> {
    std::fs::read_to_string(path).map_err(|error| {
        fault(
            path,
            match error.kind() {
                ErrorKind::NotFound => KeyFileFault::Missing,
                ErrorKind::InvalidData => KeyFileFault::NotAKey("it is not text".to_owned()),
                _ => KeyFileFault::Unreadable(error.to_string()),
            },
        )
    })
}

fn read(path: &Path) -> Result<KeyFile, KeyFileError> {
    let content = text(path)?;
    if is_public(path) {
        let key = PublicKey::from_openssh(content.trim())
            .map_err(|error| fault(path, KeyFileFault::NotAKey(error.to_string())))?;
        let certificate = certificate(&path.with_extension(""), Some(&key))?;
        return Ok(KeyFile::Public(key, certificate));
    }
    closed(path)?;
    match decode_secret_key(&content, None) {
        Ok(key) => {
            let certificate = certificate(path, Some(key.public_key()))?;
            Ok(KeyFile::Private(Arc::new(key), certificate))
        }
        Err(error) => {
            let locked = PrivateKey::from_openssh(&content)
                .ok()
                .filter(PrivateKey::is_encrypted);
            let pem = content.contains("BEGIN ENCRYPTED PRIVATE KEY") || content.contains("DEK-Info:");
            if locked.is_none() && !pem {
                return Err(fault(path, KeyFileFault::NotAKey(error.to_string())));
            }
            let public = locked.map(|key| key.public_key().clone());
            let certificate = certificate(path, public.as_ref())?;
            Ok(KeyFile::Locked(public, certificate))
        }
    }
}

fn unlock(path: &Path, ask: Option<&AskPassphrase>) -> Result<KeyFile, KeyFileError> {
    let content = text(path)?;
    let ask = ask.ok_or_else(|| fault(path, KeyFileFault::NoPassphrase))?;
    for attempt in 1..=ATTEMPTS {
        let Some(passphrase) = ask(path, attempt) else {
            let why = if attempt == 1 {
                KeyFileFault::NoPassphrase
            } else {
                KeyFileFault::WrongPassphrase
            };
            return Err(fault(path, why));
        };
        if let Ok(key) = decode_secret_key(&content, Some(&passphrase)) {
            let certificate = certificate(path, Some(key.public_key()))?;
            return Ok(KeyFile::Private(Arc::new(key), certificate));
        }
    }
    Err(fault(path, KeyFileFault::WrongPassphrase))
}

/// OpenSSH's rule: a private key that others can read is no secret any more.
#[cfg(unix)]
fn closed(path: &Path) -> Result<(), KeyFileError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata =
        std::fs::metadata(path).map_err(|error| fault(path, KeyFileFault::Unreadable(error.to_string())))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(fault(path, KeyFileFault::TooOpen(mode)))
    }
}

#[cfg(not(unix))]
fn closed(_path: &Path) -> Result<(), KeyFileError> {
    Ok(())
}

/// `KEY-cert.pub` beside `KEY`, as ssh finds it.
fn certificate(key_path: &Path, key: Option<&PublicKey>) -> Result<Option<Certificate>, KeyFileError> {
    let mut name = key_path.as_os_str().to_owned();
    name.push("-cert.pub");
    let path = PathBuf::from(name);
    let content = match text(&path) {
        Ok(content) => content,
        Err(KeyFileError {
            why: KeyFileFault::Missing,
            ..
        }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let certificate = Certificate::from_openssh(content.trim())
        .map_err(|error| fault(&path, KeyFileFault::BadCertificate(error.to_string())))?;
    match key {
        Some(key) if certificate.public_key() != key.key_data() => Err(fault(
            &path,
            KeyFileFault::BadCertificate(format!("it is not for the key beside it, {}", fingerprint(key))),
        )),
        _ => Ok(Some(certificate)),
    }
}
