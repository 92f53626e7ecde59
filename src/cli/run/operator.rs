//! What a plan does on the operator's machine.

use super::state::State;
use crate::apply::call::{ActionCall, ActionEnd, Reason, Verb};
use crate::apply::outputs::{Delivery, FileOutput, OutputValue};
use crate::apply::remote::{Fetched, Held, Operator, OperatorError, Remote};
use crate::model::{Asset, Bytes};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A kubeconfig is at most so many bytes.
const KUBECONFIG_LIMIT: u64 = 64 * 1024;

/// This machine.
pub struct LocalOperator {
    /// `~/.mke`.
    pub mke_home: PathBuf,
    /// Where copies of snapshots and keys are kept.
    pub copies: PathBuf,
    /// Where `mke4.yaml` goes; `None`: it is printed at the end.
    pub config_out: Option<PathBuf>,
    /// Files of assets by name.
    pub assets: BTreeMap<String, PathBuf>,
    /// `--lb-hook`.
    pub hook: Option<super::Hook>,
}

impl LocalOperator {
    /// For a plan whose state is kept here.
    pub fn new(state: &State, mke_home: PathBuf, config_out: Option<PathBuf>) -> LocalOperator {
        LocalOperator {
            mke_home,
            copies: Path::new(state.directory()).join("copies"),
            config_out,
            assets: BTreeMap::new(),
            hook: None,
        }
    }

    async fn builtin(
        &self,
        call: &ActionCall,
        remote: &Remote,
    ) -> Result<BTreeMap<String, OutputValue>, OperatorError> {
        match (call.step().builtin.as_deref(), call.verb) {
            (Some("keep-copies"), Verb::Run) => self.keep_copies(call, remote).await,
            // Copies are kept on the way back too: they lose nobody anything.
            (Some("keep-copies" | "print-summary"), _) => Ok(BTreeMap::new()),
            (Some("write-kubeconfig"), Verb::Run) => self.kubeconfig(call, remote).await,
            (Some("write-kubeconfig"), Verb::Undo) => self.kubeconfig_back(),
            (Some("write-config"), Verb::Run) => self.config(call),
            (Some("write-config"), Verb::Undo) => Ok(BTreeMap::new()),
            (other, _) => Err(failed(format!(
                "this build of mkectl does not know the builtin {}: use the one that made the plan",
                other.unwrap_or("(none)")
            ))),
        }
    }

    async fn keep_copies(
        &self,
        call: &ActionCall,
        remote: &Remote,
    ) -> Result<BTreeMap<String, OutputValue>, OperatorError> {
        let mut kept = BTreeMap::new();
        for (name, delivery) in &call.inputs.files {
            let Delivery::Output(file) = delivery else {
                continue;
            };
            let output = name.to_lowercase();
            let path = self
                .copies
                .join(format!("{}.{output}", call.host().id.replace('/', "_")));
            let beside = path.with_extension(format!("{output}.new"));
            let mut to = private(&beside).map_err(|error| disk("write", &beside, &error))?;
            remote
                .copy(file, &mut to)
                .await
                .map_err(|message| OperatorError {
                    message,
                    temporary: true,
                })?;
            to.sync_all()
                .and_then(|()| fs::rename(&beside, &path))
                .map_err(|error| disk("write", &path, &error))?;
            kept.insert(
                output,
                OutputValue::File(FileOutput {
                    host: String::new(),
                    path: path.to_string_lossy().into_owned(),
                    size: file.size,
                    sha256: file.sha256.clone(),
                }),
            );
        }
        Ok(kept)
    }

    async fn kubeconfig(
        &self,
        call: &ActionCall,
        remote: &Remote,
    ) -> Result<BTreeMap<String, OutputValue>, OperatorError> {
        let Some(Delivery::Output(file)) = call.inputs.files.get("KUBECONFIG") else {
            return Err(failed("the plan hands on no kubeconfig".to_owned()));
        };
        let bytes = remote
            .fetch(file, KUBECONFIG_LIMIT)
            .await
            .map_err(|message| OperatorError {
                message,
                temporary: true,
            })?;
        let external = call.inputs.env.get("EXTERNAL_ADDRESS").map_or("", String::as_str);
        let text = with_server(&String::from_utf8_lossy(&bytes), external)
            .ok_or_else(|| failed("the kubeconfig of the first controller names no server".to_owned()))?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.mke_home)
            .map_err(|error| disk("make", &self.mke_home, &error))?;
        let target = self.target();
        // An old one, or half of one, is set aside and never in the way.
        match fs::read(&target) {
            Ok(old) if old == text.as_bytes() => return Ok(BTreeMap::new()),
            Ok(_) => {
                let aside = self.aside();
                fs::rename(&target, &aside).map_err(|error| disk("move aside", &target, &error))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(disk("read", &target, &error)),
        }
        let beside = target.with_extension("new");
        private(&beside)
            .and_then(|mut to| to.write_all(text.as_bytes()).and_then(|()| to.sync_all()))
            .and_then(|()| fs::rename(&beside, &target))
            .map_err(|error| disk("write", &target, &error))?;
        Ok(BTreeMap::new())
    }

    fn kubeconfig_back(&self) -> Result<BTreeMap<String, OutputValue>, OperatorError> {
        let (target, aside) = (self.target(), self.aside());
        if aside.exists() {
            fs::rename(&aside, &target).map_err(|error| disk("move back", &aside, &error))?;
        } else if target.exists() {
            let away = target.with_extension("kubeconf.undone");
            fs::rename(&target, &away).map_err(|error| disk("move aside", &target, &error))?;
        }
        Ok(BTreeMap::new())
    }

    /// As the real tool calls it.
    fn target(&self) -> PathBuf {
        self.mke_home.join("mke.kubeconf")
    }

    fn aside(&self) -> PathBuf {
        self.mke_home.join("mke.kubeconf.before-upgrade")
    }

    fn config(&self, call: &ActionCall) -> Result<BTreeMap<String, OutputValue>, OperatorError> {
        let Some(path) = &self.config_out else {
            return Ok(BTreeMap::new());
        };
        let document = call
            .spec()
            .documents
            .iter()
            .find(|document| document.name == "mke4.yaml");
        let text = document
            .and_then(|document| call.spec().files.get(&document.digest))
            .ok_or_else(|| failed("the plan has no mke4.yaml".to_owned()))?;
        let beside = path.with_extension("new");
        private(&beside)
            .and_then(|mut to| to.write_all(text.as_bytes()).and_then(|()| to.sync_all()))
            .and_then(|()| fs::rename(&beside, path))
            .map_err(|error| disk("write", path, &error))?;
        Ok(BTreeMap::new())
    }
}

/// A kubeconfig whose servers are at another address.
fn with_server(text: &str, external: &str) -> Option<String> {
    let host = match external.rsplit_once(':') {
        Some((host, port)) if port.chars().all(|c| c.is_ascii_digit()) && !host.contains(':') => host,
        _ => external,
    };
    let mut found = false;
    let mut whole = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match line.split_once("server:") {
            Some((indent, _)) if indent.trim().is_empty() => {
                found = true;
                whole.push_str(&format!("{indent}server: https://{host}:6443\n"));
            }
            _ => whole.push_str(line),
        }
    }
    found.then_some(whole)
}

/// A new file, closed to others.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

fn failed(message: String) -> OperatorError {
    OperatorError {
        message,
        temporary: false,
    }
}

fn disk(doing: &str, path: &Path, error: &io::Error) -> OperatorError {
    OperatorError {
        message: format!(
            "cannot {doing} {}: {error}; correct that and run `mkectl apply --resume`",
            path.display()
        ),
        temporary: false,
    }
}

impl Operator for LocalOperator {
    fn perform<'a>(&'a self, call: &'a ActionCall, remote: &'a Remote) -> crate::apply::Fut<'a, ActionEnd> {
        Box::pin(async move {
            match self.builtin(call, remote).await {
                Ok(outputs) => ActionEnd::Done(outputs),
                Err(error) if error.temporary => ActionEnd::Temporary(Reason::new(error.message)),
                Err(error) => ActionEnd::Failed(Reason::new(error.message)),
            }
        })
    }

    fn asset<'a>(&'a self, asset: &'a Asset) -> crate::apply::Fut<'a, Result<Fetched, OperatorError>> {
        Box::pin(async move {
            let path = self.assets.get(&asset.name).ok_or_else(|| {
                failed(format!(
                    "the file of {} is not here: give it with --asset {}=FILE",
                    asset.name, asset.name
                ))
            })?;
            Ok(Fetched::File(Arc::new(Held::Path(path.clone()))))
        })
    }

    fn open<'a>(&'a self, file: &'a FileOutput) -> crate::apply::Fut<'a, Result<Fetched, OperatorError>> {
        Box::pin(async move { Ok(Fetched::File(Arc::new(Held::Path(PathBuf::from(&file.path))))) })
    }

    fn temporary(&self) -> io::Result<tempfile::NamedTempFile> {
        tempfile::NamedTempFile::new_in(&self.copies)
    }
}

/// The digest and size of a file, read piece by piece.
///
/// # Errors
///
/// When it cannot be read.
pub fn digest_file(path: &Path) -> io::Result<(String, Bytes)> {
    use sha2::{Digest, Sha256};
    let mut file = File::open(path)?;
    let (mut hash, mut size, mut piece) = (Sha256::new(), 0u64, vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
        size += read as u64;
    }
    Ok((
        format!("sha256:{}", data_encoding::HEXLOWER.encode(&hash.finalize())),
        Bytes(size),
    ))
}
