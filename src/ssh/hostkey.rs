//! One verdict about the key that a host shows.
//!
//! The plan's fingerprints come first: they were reviewed, so a host that has them is the host of the plan, and one that
//! shows another key is not, whatever known_hosts says. Where the plan has none, known_hosts must vouch for the key. A key
//! that known_hosts revokes is refused in both cases. Nothing is learned, and nothing can be switched off.

use super::knownhosts::{KnownHosts, Place, Verdict};
use russh::Preferred;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey, PublicKeyOrCertificate};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Tells the time, in seconds since 1970. Certificates expire.
pub type Now = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Who is expected to answer.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Address or name, as in hosts.yaml: what known_hosts is asked about.
    pub address: &'a str,
    /// TCP port.
    pub port: u16,
    /// Fingerprints that the plan pins, `SHA256:…`; empty when it pins none.
    pub pins: &'a [String],
}

/// Judges host keys.
#[derive(Clone)]
pub struct Policy {
    known: Arc<KnownHosts>,
    now: Now,
}

/// A key that is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKeyError {
    /// `address:port`.
    pub endpoint: String,
    /// How known_hosts calls it.
    pub name: String,
    /// Algorithm of the key.
    pub algorithm: String,
    /// Fingerprint of the key.
    pub fingerprint: String,
    /// What is wrong with it.
    pub why: Distrust,
}

/// What is wrong with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// The plan pins these.
    NotPinned(Vec<String>),
    /// A line revokes it.
    Revoked(Place),
    /// A line has another key of this algorithm.
    Changed(Place),
    /// Lines have keys of these algorithms only.
    OtherAlgorithms(Vec<String>),
    /// A line trusts the authority of its certificate; the certificate is not good, for this reason.
    BadCertificate(Place, String),
    /// No line is about the host.
    Unknown,
}

impl std::error::Error for HostKeyError {}

impl fmt::Display for HostKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HostKeyError {
            endpoint,
            name,
            algorithm,
            fingerprint,
            why,
        } = self;
        write!(
            f,
            "the host key of {endpoint} is not trusted ({algorithm} {fingerprint}): "
        )?;
        match why {
            Distrust::NotPinned(pins) => write!(
                f,
                "the plan was made for a host with {}; find out whether the host was replaced or somebody is in between, \
                 and if it was replaced make a new plan",
                pins.join(" or ")
            ),
            Distrust::Revoked(place) => write!(
                f,
                "{place} revokes it; give the host a new key, or take the line away if it is wrong"
            ),
            Distrust::Changed(place) => write!(
                f,
                "{place} records another key; find out whether the host was installed again or somebody is in between, and \
                 only then replace the line (ssh-keygen -R '{name}')"
            ),
            Distrust::OtherAlgorithms(algorithms) => write!(
                f,
                "known_hosts records only {} for this host; compare the fingerprint with the host's own (ssh-keygen -lf) \
                 and add the key to known_hosts",
                algorithms.join(", ")
            ),
            Distrust::BadCertificate(place, reason) => write!(
                f,
                "its certificate is signed by the authority of {place}, but {reason}; give the host a new certificate"
            ),
            Distrust::Unknown => write!(
                f,
                "known_hosts has no line for {name}; compare the fingerprint with the host's own (ssh-keygen -lf) and add \
                 the key (ssh-keyscan shows it)"
            ),
        }
    }
}

/// Algorithms of host keys that we accept, best first. RSA with SHA-1 is not among them.
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];

/// Whether two algorithms use the same kind of key.
pub(crate) fn same_kind(a: &Algorithm, b: &Algorithm) -> bool {
    matches!((a, b), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. })) || a == b
}

impl Policy {
    /// A policy over these lines, with this clock.
    pub fn new(known: KnownHosts, now: Now) -> Policy {
        Policy {
            known: Arc::new(known),
            now,
        }
    }

    /// Whether the host that shows this key is the expected one.
    pub fn judge(&self, expected: &Expected<'_>, shown: &PublicKeyOrCertificate) -> Result<(), HostKeyError> {
        let key = shown.public_key();
        let verdict = match shown.certificate() {
            Some(certificate) => {
                self.known
                    .check_certificate(expected.address, expected.port, certificate, (self.now)())
            }
            None => self.known.check_key(expected.address, expected.port, &key),
        };
        let why = match verdict {
            Verdict::Revoked(place) => Distrust::Revoked(place),
            _ if !expected.pins.is_empty() => {
                if expected.pins.contains(&fingerprint(&key)) {
                    return Ok(());
                }
                Distrust::NotPinned(expected.pins.to_vec())
            }
            Verdict::Trusted(_) => return Ok(()),
            Verdict::Changed(place) => Distrust::Changed(place),
            Verdict::OtherAlgorithms(algorithms) => Distrust::OtherAlgorithms(algorithms),
            Verdict::BadCertificate(place, reason) => Distrust::BadCertificate(place, reason),
            Verdict::Unknown => Distrust::Unknown,
        };
        Err(HostKeyError {
            endpoint: endpoint(expected.address, expected.port),
            name: known_name(expected.address, expected.port),
            algorithm: key.algorithm().to_string(),
            fingerprint: fingerprint(&key),
            why,
        })
    }

    /// Which algorithms to offer, so that the host shows a key that we can judge: kinds that known_hosts records for it
    /// first, and certificates where it has an authority. Kinds in `without` are left out; `None` when nothing remains.
    pub fn preferred(&self, expected: &Expected<'_>, without: &[Algorithm]) -> Option<Preferred> {
        let recorded = self.known.algorithms(expected.address, expected.port);
        let mut key: Vec<Algorithm> = ALGORITHMS
            .into_iter()
            .filter(|algorithm| !without.iter().any(|tried| same_kind(tried, algorithm)))
            .collect();
        // Stable: within both groups our own order stays.
        key.sort_by_key(|algorithm| !recorded.iter().any(|known| same_kind(known, algorithm)));
        if key.is_empty() {
            return None;
        }
        let certificates = if self.known.has_authority(expected.address, expected.port) {
            key.clone()
        } else {
            Vec::new()
        };
        Some(Preferred {
            key: Cow::Owned(key),
            host_key_certificates: Cow::Owned(certificates),
            ..Preferred::default()
        })
    }
}

/// `SHA256:…`, as `ssh-keygen -l` prints it.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// `address:port`, with brackets around an IPv6 address.
pub fn endpoint(address: &str, port: u16) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

fn known_name(address: &str, port: u16) -> String {
    if port == 22 {
        address.to_owned()
    } else {
        format!("[{address}]:{port}")
    }
}
