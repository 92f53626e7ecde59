//! Whether a host key is to be trusted: our own policy over OpenSSH's `known_hosts`.
//!
//! The helper that russh brings accepts revoked keys and knows neither wildcards nor certificate authorities. The rules here
//! are those of sshd(8), section "SSH_KNOWN_HOSTS FILE FORMAT": markers, comma-separated patterns with `*`, `?` and `!`,
//! hashed names, `[host]:port`. Nothing is ever learned: a key that no line vouches for is refused.

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::{Algorithm, Certificate, HashAlg, PublicKey};
use sha1::Sha1;
use std::fmt;

/// What a line says about the keys that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    Key,
    Revoked,
    CertAuthority,
}

#[derive(Clone, Debug)]
enum Names {
    /// `(negated, pattern)`.
    Patterns(Vec<(bool, String)>),
    /// HMAC-SHA1 of one name.
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

#[derive(Clone, Debug)]
struct Line {
    place: Place,
    marker: Marker,
    names: Names,
    key: PublicKey,
}

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// File.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Lines of one or more known_hosts files.
#[derive(Clone, Debug, Default)]
pub struct KnownHosts {
    lines: Vec<Line>,
    unreadable: Vec<Place>,
}

/// What the lines say about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A line vouches for it.
    Trusted(Place),
    /// A line revokes it; nothing outweighs that.
    Revoked(Place),
    /// The host is recorded with another key of the same algorithm: somebody may be in the middle.
    Changed(Place),
    /// The host is recorded, only with keys of other algorithms.
    OtherAlgorithms(Vec<String>),
    /// A certificate is signed by a known authority, and cannot be used for this reason.
    BadCertificate(Place, String),
    /// No line is about this host.
    Unknown,
}

impl KnownHosts {
    /// Adds the lines of a file. Lines that cannot be read are left out and listed by [`KnownHosts::unreadable`]: an
    /// unreadable line never vouches for a key.
    pub fn add(&mut self, file: &str, text: &str) {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = Place {
                file: file.to_owned(),
                line: number,
            };
            match parse(line, place.clone()) {
                Some(line) => self.lines.push(line),
                None => self.unreadable.push(place),
            }
        }
    }

    /// Lines that could not be read.
    pub fn unreadable(&self) -> &[Place] {
        &self.unreadable
    }

    /// What is said about a key that a host shows.
    pub fn check_key(&self, host: &str, port: u16, key: &PublicKey) -> Verdict {
        let name = wire_name(host, port);
        if let Some(place) = self.revoked(&name, key) {
            return Verdict::Revoked(place);
        }
        let about: Vec<&Line> = self
            .lines
            .iter()
            .filter(|line| line.marker == Marker::Key && line.names.match_name(&name))
            .collect();
        if let Some(line) = about.iter().find(|line| line.key.key_data() == key.key_data()) {
            return Verdict::Trusted(line.place.clone());
        }
        let family = family(&key.algorithm());
        if let Some(line) = about
            .iter()
            .find(|line| self::family(&line.key.algorithm()) == family)
        {
            return Verdict::Changed(line.place.clone());
        }
        if about.is_empty() {
            return Verdict::Unknown;
        }
        let mut algorithms: Vec<String> = about
            .iter()
            .map(|line| line.key.algorithm().to_string())
            .collect();
        algorithms.sort();
        algorithms.dedup();
        Verdict::OtherAlgorithms(algorithms)
    }

    /// What is said about a certificate that a host shows, at a time in seconds since 1970. Without a line for its authority
    /// the answer is that for the bare key, as OpenSSH does.
    pub fn check_certificate(&self, host: &str, port: u16, certificate: &Certificate, now: u64) -> Verdict {
        let name = wire_name(host, port);
        let key = PublicKey::from(certificate.public_key().clone());
        let authority = PublicKey::from(certificate.signature_key().clone());
        for revoked in [&key, &authority] {
            if let Some(place) = self.revoked(&name, revoked) {
                return Verdict::Revoked(place);
            }
        }
        let line = self.lines.iter().find(|line| {
            line.marker == Marker::CertAuthority
                && line.key.key_data() == authority.key_data()
                && line.names.match_name(&name)
        });
        let Some(line) = line else {
            return self.check_key(host, port, &key);
        };
        match usable(certificate, host, now, &authority) {
            Ok(()) => Verdict::Trusted(line.place.clone()),
            Err(why) => Verdict::BadCertificate(line.place.clone(), why),
        }
    }

    /// Algorithms of the keys recorded for a host, to be offered first, so that the host shows a key we know.
    pub fn algorithms(&self, host: &str, port: u16) -> Vec<Algorithm> {
        let name = wire_name(host, port);
        let mut algorithms = Vec::new();
        for line in self
            .lines
            .iter()
            .filter(|line| line.marker == Marker::Key && line.names.match_name(&name))
        {
            let algorithm = line.key.algorithm();
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        algorithms
    }

    /// Whether a line makes somebody an authority for a host's certificates.
    pub fn has_authority(&self, host: &str, port: u16) -> bool {
        let name = wire_name(host, port);
        self.lines
            .iter()
            .any(|line| line.marker == Marker::CertAuthority && line.names.match_name(&name))
    }

    fn revoked(&self, name: &str, key: &PublicKey) -> Option<Place> {
        self.lines
            .iter()
            .find(|line| {
                line.marker == Marker::Revoked
                    && line.key.key_data() == key.key_data()
                    && line.names.match_name(name)
            })
            .map(|line| line.place.clone())
    }
}

/// Algorithms that mean the same kind of key: RSA keys sign in several ways.
fn family(algorithm: &Algorithm) -> String {
    match algorithm {
        Algorithm::Rsa { .. } => "rsa".to_owned(),
        other => other.to_string(),
    }
}

fn usable(certificate: &Certificate, host: &str, now: u64, authority: &PublicKey) -> Result<(), String> {
    if certificate.cert_type() != CertType::Host {
        return Err("it is a user certificate".to_owned());
    }
    let host = host.to_ascii_lowercase();
    let principals = certificate.valid_principals();
    if !principals
        .iter()
        .any(|principal| matches(&principal.to_ascii_lowercase(), &host))
    {
        return Err(format!("it is for {}, not for this host", principals.join(", ")));
    }
    if !certificate.critical_options().is_empty() {
        return Err("it has critical options that mkectl does not know".to_owned());
    }
    certificate
        .validate_at(now, [&authority.fingerprint(HashAlg::Sha256)])
        .map_err(|_| "it is expired, not yet valid, or its signature is wrong".to_owned())
}

/// How a host is called in known_hosts: the name alone on port 22, else `[name]:port`.
fn wire_name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 {
        host
    } else {
        format!("[{host}]:{port}")
    }
}

fn parse(line: &str, place: Place) -> Option<Line> {
    let mut words = line.split_ascii_whitespace().peekable();
    let marker = match *words.peek()? {
        "@revoked" => Marker::Revoked,
        "@cert-authority" => Marker::CertAuthority,
        word if word.starts_with('@') => return None,
        _ => Marker::Key,
    };
    if marker != Marker::Key {
        words.next();
    }
    let names = Names::parse(words.next()?)?;
    let (algorithm, data) = (words.next()?, words.next()?);
    let key = PublicKey::from_openssh(&format!("{algorithm} {data}")).ok()?;
    Some(Line {
        place,
        marker,
        names,
        key,
    })
}

impl Names {
    fn parse(text: &str) -> Option<Names> {
        if let Some(hashed) = text.strip_prefix("|1|") {
            let (salt, hash) = hashed.split_once('|')?;
            let decode = |text: &str| data_encoding::BASE64.decode(text.as_bytes()).ok();
            return Some(Names::Hashed {
                salt: decode(salt)?,
                hash: decode(hash)?,
            });
        }
        let patterns = text
            .split(',')
            .filter(|pattern| !pattern.is_empty())
            .map(|pattern| match pattern.strip_prefix('!') {
                Some(pattern) => (true, pattern.to_ascii_lowercase()),
                None => (false, pattern.to_ascii_lowercase()),
            })
            .collect();
        Some(Names::Patterns(patterns))
    }

    fn match_name(&self, name: &str) -> bool {
        match self {
            // A pattern that is negated and matches outweighs all others of its line.
            Names::Patterns(patterns) => {
                let mut found = false;
                for (negated, pattern) in patterns {
                    if matches(pattern, name) {
                        if *negated {
                            return false;
                        }
                        found = true;
                    }
                }
                found
            }
            Names::Hashed { salt, hash } => match Hmac::<Sha1>::new_from_slice(salt) {
                Ok(mac) => mac.chain_update(name.as_bytes()).verify_slice(hash).is_ok(),
                Err(_) => false,
            },
        }
    }
}

/// `*` stands for any run of characters, `?` for one. Linear in the length of the name for each `*`.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    n = from + 1;
                    star = Some((at, n));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}
