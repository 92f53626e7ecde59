//! The CAs of a cluster, from one of its hosts. SSH is trusted already, so TLS is from the first byte on.
//!
//! Read are files of two volumes that every MKE 3 has, and nothing is changed. (`dump-certs --ca` of MKE's own image tells the
//! same and starts a container for it.) That each volume holds a `ca.pem` is inferred from what MKE's components mount.

use crate::ssh::sudo::{self, PrivilegeError};
use crate::ssh::{Exec, Session, SessionError};

/// What is on managers alone: the certificate that MKE shows, its own or one that an administrator installed.
const SERVER: &str = "ucp-controller-server-certs";
/// What every node has: its certificate, and the CA that signed it and, unless somebody changed that, the one MKE shows.
const NODE: &str = "ucp-node-certs";

/// CAs that a host gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Certificates, PEM.
    pub pem: Vec<u8>,
    /// Whether the host is a manager, and so told whom MKE's own port belongs to.
    pub manager: bool,
}

/// Why a host gave no CA.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// We cannot become root there.
    #[error(transparent)]
    Privilege(#[from] PrivilegeError),
    /// The connection failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// It has no such files.
    #[error("there is no ca.pem in the volumes of MKE 3: {0}")]
    None(String),
}

/// Reads the CAs.
///
/// # Errors
///
/// When we cannot become root, or the host has none.
pub async fn fetch(session: &dyn Session, user: &str) -> Result<Found, CaError> {
    let privilege = sudo::find(session, user).await?;
    let mut found = Found {
        pem: Vec::new(),
        manager: false,
    };
    let mut complaint = String::new();
    for volume in [SERVER, NODE] {
        let words = [
            "docker",
            "volume",
            "inspect",
            "--format",
            "{{.Mountpoint}}",
            volume,
        ];
        let ran = session.exec(Exec::new(privilege.words(words))).await?;
        if !ran.success() {
            complaint = ran.complaint();
            continue;
        }
        found.manager |= volume == SERVER;
        let place = String::from_utf8_lossy(&ran.stdout).trim().to_owned();
        let path = format!("{place}/ca.pem");
        let ran = session
            .exec(Exec::new(privilege.words(["cat", path.as_str()])))
            .await?;
        if ran.success() {
            found.pem.extend(certificates(&ran.stdout));
        } else {
            complaint = ran.complaint();
        }
    }
    if found.pem.is_empty() {
        return Err(CaError::None(complaint));
    }
    Ok(found)
}

/// The certificates of a text, and nothing else of it.
fn certificates(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let (mut out, mut inside) = (String::new(), false);
    for line in text.lines().map(str::trim_end) {
        inside |= line == "-----BEGIN CERTIFICATE-----";
        if inside {
            out.push_str(line);
            out.push('\n');
        }
        if line == "-----END CERTIFICATE-----" {
            inside = false;
        }
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::certificates;

    #[test]
    fn only_certificates_are_taken() {
        let key = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n";
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let text = format!("level=info\n{key}{certificate}more\n{certificate}");
        assert_eq!(certificates(text.as_bytes()), certificate.repeat(2).as_bytes());
    }
}
