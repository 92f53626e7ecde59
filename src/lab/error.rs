//! Why a simulated cluster cannot be had.

use std::io;
use std::path::PathBuf;

/// Why the lab, or one of its hosts, could not be started or asked.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The system does not let us make what keeps a simulated host apart from this machine.
    #[error("this system refuses to isolate a simulated host ({reason}); {remedy}")]
    Refused {
        /// What the system said.
        reason: String,
        /// What a person can do about it.
        remedy: &'static str,
    },
    /// A file or directory of the lab could not be used.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was tried, such as `create`.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program that the lab needs could not be started.
    #[error(
        "cannot run {program}: {source}; install it (util-linux has unshare, nsenter, mount and pivot_root)"
    )]
    Program {
        /// Its name.
        program: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The lab's SSH server of a host could not be started.
    #[error("cannot serve SSH for the simulated host {host}: {reason}")]
    Serve {
        /// Host id.
        host: String,
        /// Why not.
        reason: String,
    },
    /// The API of the simulated cluster could not be started.
    #[error("cannot serve the API of the simulated cluster: {0}")]
    Api(String),
    /// The facts do not describe a cluster that can be simulated.
    #[error("cannot simulate this cluster: {0}")]
    Facts(String),
    /// No host has this name.
    #[error("the simulated cluster has no host {0}")]
    NoHost(String),
}

impl LabError {
    /// Whether the system refuses isolation altogether, which is not the user's mistake but needs another machine or setting.
    pub fn is_refusal(&self) -> bool {
        matches!(self, LabError::Refused { .. })
    }
}

/// Adds what was tried and where to an I/O error.
pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> LabError {
    let path = path.into();
    move |source| LabError::File { doing, path, source }
}
