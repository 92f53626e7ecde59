//! The operator's side of an executor: what a plan does on this machine, and the files that it takes from here.

use super::{Fault, Remote};
use crate::apply::Fut;
use crate::apply::call::{ActionCall, ActionEnd};
use crate::apply::outputs::FileOutput;
use crate::model::Asset;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// A file that is to go to a host.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// In memory.
    Bytes(Vec<u8>),
    /// On this machine. What was made for the purpose is removed with the last copy of this.
    File(Arc<Held>),
}

/// A file of this machine.
#[derive(Debug)]
pub enum Held {
    /// It stays.
    Path(std::path::PathBuf),
    /// It is removed.
    Temporary(tempfile::TempPath),
}

impl std::ops::Deref for Held {
    type Target = Path;

    fn deref(&self) -> &Path {
        match self {
            Held::Path(path) => path,
            Held::Temporary(path) => path,
        }
    }
}

/// What could not be done on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OperatorError {
    /// One sentence with a remedy.
    pub message: String,
    /// It may work later.
    pub temporary: bool,
}

/// The operator's machine. The library does not touch it by itself.
pub trait Operator: Send + Sync {
    /// Does a builtin step. `remote` brings files from hosts.
    fn perform<'a>(&'a self, call: &'a ActionCall, remote: &'a Remote) -> Fut<'a, ActionEnd>;
    /// The file of an asset, held against its digest.
    fn asset<'a>(&'a self, asset: &'a Asset) -> Fut<'a, Result<Fetched, OperatorError>>;
    /// A file that a builtin step kept.
    fn open<'a>(&'a self, file: &'a FileOutput) -> Fut<'a, Result<Fetched, OperatorError>>;
    /// A temporary file, closed to others, in a place with room for snapshots.
    ///
    /// # Errors
    ///
    /// When none can be made.
    fn temporary(&self) -> io::Result<tempfile::NamedTempFile>;
}

/// A file on its way from one host to another.
pub(super) struct Spool(tempfile::NamedTempFile);

impl dyn Operator + '_ {
    pub(super) fn spool(&self) -> Result<Spool, OperatorError> {
        self.temporary().map(Spool).map_err(|error| on_disk(&error))
    }
}

impl Spool {
    pub(super) fn rewind(mut self) -> Result<Fetched, Fault> {
        self.0.flush().map_err(|error| on_disk(&error))?;
        Ok(Fetched::File(Arc::new(Held::Temporary(self.0.into_temp_path()))))
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn on_disk(error: &io::Error) -> OperatorError {
    OperatorError {
        message: format!(
            "a file between two hosts cannot be kept on this machine: {error}; make room in the state directory"
        ),
        temporary: true,
    }
}
