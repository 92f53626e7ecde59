//! The SSH client of this machine's user.

use super::seconds_since_1970;
use crate::cli::Env;
use crate::ssh::auth::Keys;
use crate::ssh::client::{Client, Settings};
use crate::ssh::hostkey::Policy;
use crate::ssh::knownhosts::KnownHosts;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A client with the user's known hosts, agent and keys; passphrases are asked for on the terminal.
pub fn client(env: &Env, home: Option<PathBuf>) -> Client {
    let ui = env.ui.clone();
    let ask = Arc::new(move |path: &Path, attempt: u32| {
        let again = if attempt > 1 { " (again)" } else { "" };
        ui.ask_secret(&format!("passphrase of {}{again}", path.display()))
    });
    Client::new(
        Settings::default(),
        Policy::new(known_hosts(home.as_deref()), Arc::new(seconds_since_1970)),
        Keys::new(
            home,
            std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from),
            Some(ask),
        ),
    )
}

/// The lines of the files that OpenSSH reads. One that is not there vouches for nobody.
fn known_hosts(home: Option<&Path>) -> KnownHosts {
    let mut known = KnownHosts::default();
    let mut paths = vec![
        PathBuf::from("/etc/ssh/ssh_known_hosts"),
        PathBuf::from("/etc/ssh/ssh_known_hosts2"),
    ];
    if let Some(home) = home {
        paths.push(home.join(".ssh/known_hosts"));
        paths.push(home.join(".ssh/known_hosts2"));
    }
    for path in paths {
        if let Ok(bytes) = std::fs::read(&path) {
            known.add(&path.to_string_lossy(), &String::from_utf8_lossy(&bytes));
        }
    }
    known
}
