//! What reading from the API can fail with: which call, what happened, what to do.

use super::Address;
use std::fmt;
use std::time::Duration;

/// A call that failed. Displays as `MKE 3 API at PLACE: CALL: what happened`; no secret is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ApiError {
    /// Where the API is.
    pub place: Address,
    /// Method and path.
    pub call: String,
    /// What happened.
    pub fault: Fault,
    /// How often it was tried.
    pub attempts: u32,
}

/// Who has to do something about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What was given is wrong: address, user, password.
    Input,
    /// Nothing answers, or who answers is not trusted.
    Unreachable,
    /// MKE answers, and not as it should.
    Broken,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The name resolves to nothing.
    Unresolved(String),
    /// Nothing listens, or no route leads there.
    NoConnection(String),
    /// No answer in time.
    Slow(Duration),
    /// All calls together took too long.
    TooLong(Duration),
    /// The connection ended before the answer did.
    BrokenOff,
    /// The certificate is signed by somebody else than the CAs that are trusted.
    Stranger,
    /// The certificate is of the cluster and does not name this host.
    OtherName(String),
    /// The certificate is not valid now.
    Expired,
    /// The CA that was given cannot be used.
    Ca(String),
    /// Another failure of TLS.
    Tls(String),
    /// What listens does not speak TLS.
    NotTls,
    /// What listens does not speak HTTP.
    NotHttp,
    /// What answers is not MKE.
    NotMke(String),
    /// User and password do not fit together.
    WrongPassword(String),
    /// The account may not log in.
    Locked(String),
    /// The session was refused, twice.
    Session,
    /// The account is no administrator, or may not read this.
    NotAdmin(String),
    /// A status that is an error.
    Status(u16, String),
    /// An answer of more bytes than are read.
    TooLarge(usize),
    /// An answer that is not the JSON it should be.
    Json(String),
    /// Pages that lead back to pages, or too many of them.
    EndlessPages(String),
    /// Fewer entries than MKE itself counts.
    Missing(String),
    /// The API of MKE does not hand out what Kubernetes holds.
    NoKubernetes(String),
    /// Answers that do not fit together.
    Contradiction(String),
}

impl Fault {
    /// Whether the same call may succeed in a moment.
    pub(in crate::source) fn is_transient(&self) -> bool {
        match self {
            Fault::NoConnection(_) | Fault::Slow(_) | Fault::BrokenOff => true,
            Fault::Status(status, _) => matches!(status, 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}

impl ApiError {
    /// Who has to do something about it.
    pub fn kind(&self) -> Kind {
        match &self.fault {
            Fault::Unresolved(_)
            | Fault::NotTls
            | Fault::NotHttp
            | Fault::NotMke(_)
            | Fault::WrongPassword(_)
            | Fault::Locked(_)
            | Fault::NotAdmin(_)
            | Fault::Ca(_)
            | Fault::OtherName(_) => Kind::Input,
            Fault::NoConnection(_)
            | Fault::Slow(_)
            | Fault::TooLong(_)
            | Fault::BrokenOff
            | Fault::Stranger
            | Fault::Expired
            | Fault::Tls(_) => Kind::Unreachable,
            Fault::Session
            | Fault::Status(..)
            | Fault::TooLarge(_)
            | Fault::Json(_)
            | Fault::EndlessPages(_)
            | Fault::Missing(_)
            | Fault::NoKubernetes(_)
            | Fault::Contradiction(_) => Kind::Broken,
        }
    }

    /// The status, when that is what is wrong.
    pub(super) fn status(&self) -> Option<u16> {
        match self.fault {
            Fault::Status(status, _) => Some(status),
            _ => None,
        }
    }

    /// What to do about it: one sentence.
    pub fn remedy(&self) -> String {
        let text = match &self.fault {
            Fault::Unresolved(_) => {
                "check the name, or give another address of the API with --mke3-external-address"
            }
            Fault::NoConnection(_) => {
                "check the load balancer, firewalls, and `docker ps` for ucp-controller on the managers; a manager's own address \
                 can be given with --mke3-external-address"
            }
            Fault::Slow(_) | Fault::TooLong(_) => {
                "look at the load of the managers and try again; a manager's own address can be given with \
                 --mke3-external-address"
            }
            Fault::BrokenOff => {
                "look at the logs of the load balancer and of ucp-controller, then try again; a manager's own address can be \
                 given with --mke3-external-address"
            }
            Fault::Stranger => {
                "make sure that the address leads to this cluster; where a certificate of another CA is installed, or the load \
                 balancer ends TLS, give the CA of that certificate with --mke3-ca-file"
            }
            Fault::OtherName(_) => "give one of the names in the certificate with --mke3-external-address",
            Fault::Expired => {
                "compare the clock of this machine with the managers', or renew the certificate of MKE"
            }
            Fault::Ca(_) => "give a PEM file with the CA of the API's certificate with --mke3-ca-file",
            Fault::Tls(_) => "look at the logs of the load balancer and of ucp-controller",
            Fault::NotTls | Fault::NotHttp | Fault::NotMke(_) => {
                "check address and port: something else than MKE answers there; MKE's own port is \
                 cluster_config.controller_port"
            }
            Fault::WrongPassword(_) => {
                "check --mke3-admin-username and the password; too many wrong ones lock the account, so it was tried only once"
            }
            Fault::Locked(_) => "let an administrator activate or unlock the account, or use another one",
            Fault::Session => {
                "try again; if it goes on, look for something else that logs in as this user: MKE ends the oldest session \
                 when there are more than auth.sessions.per_user_limit"
            }
            Fault::NotAdmin(_) => {
                "use an account that is an administrator of MKE: others do not see all users and settings"
            }
            Fault::Status(429 | 500..=599, _) => {
                "check the health of the managers (`docker ps`, `/_ping`) and try again"
            }
            Fault::Status(..) | Fault::TooLarge(_) | Fault::Json(_) | Fault::EndlessPages(_) => {
                "this is not how MKE 3 answers: check for a proxy in between, or read from a recording with --mke3-config \
                 and --accounts"
            }
            Fault::NoKubernetes(_) => {
                "without the bindings nobody's rights would be in the plan: give recorded accounts with --accounts"
            }
            Fault::Missing(_) | Fault::Contradiction(_) => {
                "users or teams may have been changed meanwhile: try again, and stop what changes them"
            }
        };
        text.to_owned()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MKE 3 API at {}: {}: {}", self.place, self.call, self.fault)?;
        if self.attempts > 1 {
            write!(f, " (tried {} times)", self.attempts)?;
        }
        Ok(())
    }
}

/// What MKE said, in parentheses.
fn said(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(" ({text})")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = |time: &Duration| {
            if time.as_secs() > 0 {
                format!("{} s", time.as_secs())
            } else {
                format!("{} ms", time.as_millis())
            }
        };
        match self {
            Fault::Unresolved(why) => write!(f, "the name leads nowhere: {why}"),
            Fault::NoConnection(why) => write!(f, "no connection: {why}"),
            Fault::Slow(time) => write!(f, "no answer within {}", after(time)),
            Fault::TooLong(time) => write!(f, "everything together was not read within {}", after(time)),
            Fault::BrokenOff => write!(f, "the connection ended before the answer did"),
            Fault::Stranger => write!(
                f,
                "the certificate there is not of this cluster: none of its CAs signed it, so nothing was sent"
            ),
            Fault::OtherName(names) => write!(
                f,
                "the certificate there does not name this host{}, so nothing was sent",
                said(names)
            ),
            Fault::Expired => write!(f, "the certificate there is not valid now, so nothing was sent"),
            Fault::Ca(why) => write!(f, "it cannot be used: {why}"),
            Fault::Tls(why) => write!(f, "TLS failed: {why}"),
            Fault::NotTls => write!(f, "what listens there does not speak TLS"),
            Fault::NotHttp => write!(f, "what listens there does not speak HTTP"),
            Fault::NotMke(what) => write!(f, "what answers there is not MKE: {what}"),
            Fault::WrongPassword(text) => write!(f, "user name or password is wrong{}", said(text)),
            Fault::Locked(text) => write!(
                f,
                "the account may not log in: it is inactive or locked{}",
                said(text)
            ),
            Fault::Session => write!(f, "the session was refused, and so was the one after it"),
            Fault::NotAdmin(text) => write!(f, "the account is no administrator of MKE{}", said(text)),
            Fault::Status(status, text) => write!(f, "MKE answered with status {status}{}", said(text)),
            Fault::TooLarge(limit) => write!(f, "the answer is larger than {} MiB", limit >> 20),
            Fault::Json(why) => write!(f, "the answer is not the JSON that was asked for: {why}"),
            Fault::EndlessPages(why) => write!(f, "the pages do not end: {why}"),
            Fault::NoKubernetes(why) => {
                write!(f, "the bindings of Kubernetes cannot be read here: {why}")
            }
            Fault::Missing(why) | Fault::Contradiction(why) => write!(f, "{why}"),
        }
    }
}
