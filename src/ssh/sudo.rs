//! Becoming root: words before a command, and clear words when that fails.
//!
//! There is never a terminal, so sudo is called with `-n` and must not want a password. What it says when it does is
//! recognised by its English texts, those of sudo 1.8 and 1.9; in another language the complaint is passed on as it is.

use super::errors::SessionError;
use super::{Exec, Ran, Session};
use std::fmt;

/// How commands become root on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// We are root.
    Root,
    /// sudo makes us root without a password.
    Sudo,
}

/// Why commands cannot become root on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SudoFault {
    /// It wants a password.
    Password,
    /// It wants a terminal (`requiretty`).
    Terminal,
    /// sudoers does not let this user, or not this command.
    NotAllowed,
    /// The account or its password is expired or locked.
    Account,
    /// There is no sudo.
    NotInstalled,
    /// There is sudo, and it does not find the command.
    NoCommand(String),
    /// `no_new_privileges`, a file system mounted nosuid, a broken sudoers.
    Broken(String),
}

/// sudo's refusal, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SudoError {
    /// User that we are on the host.
    pub user: String,
    /// Why.
    pub why: SudoFault,
}

impl std::error::Error for SudoError {}

impl fmt::Display for SudoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = &self.user;
        match &self.why {
            SudoFault::Password => write!(
                f,
                "sudo wants a password for {user}, and mkectl has no terminal to give one: add \"{user} ALL=(ALL) NOPASSWD: \
                 ALL\" to sudoers (visudo), or log in as root"
            ),
            SudoFault::Terminal => write!(
                f,
                "sudo wants a terminal: add \"Defaults:{user} !requiretty\" to sudoers (visudo), or log in as root"
            ),
            SudoFault::NotAllowed => write!(
                f,
                "sudoers does not let {user} run commands as root: add \"{user} ALL=(ALL) NOPASSWD: ALL\" (visudo), or log \
                 in as another user"
            ),
            SudoFault::Account => write!(
                f,
                "sudo refuses {user}, whose account or password is expired or locked: renew it (chage, passwd), or log in \
                 as another user"
            ),
            SudoFault::NotInstalled => write!(
                f,
                "{user} is not root and the host has no sudo: install it, or log in as root"
            ),
            SudoFault::NoCommand(command) => write!(
                f,
                "sudo does not find the command {command}: install it, or correct secure_path in sudoers"
            ),
            SudoFault::Broken(what) => write!(f, "sudo does not work on the host: {what}"),
        }
    }
}

impl Privilege {
    /// The words that run these words as root.
    pub fn words<W: Into<String>>(self, words: impl IntoIterator<Item = W>) -> Vec<String> {
        let before: &[&str] = match self {
            Privilege::Root => &[],
            Privilege::Sudo => &["sudo", "-n"],
        };
        before
            .iter()
            .map(|word| (*word).to_owned())
            .chain(words.into_iter().map(Into::into))
            .collect()
    }
}

/// Whether a command that was run with sudo failed because of sudo. `None` when the command itself ran, however it ended.
pub fn classify(ran: &Ran) -> Option<SudoFault> {
    if !matches!(ran.status, Some(1 | 126 | 127)) {
        return None;
    }
    let complaint = ran.complaint();
    let missing_sudo = |line: &str| {
        line.contains("sudo")
            && (line.contains("not found") || line.contains("Unknown command"))
            && !line.starts_with("sudo:")
    };
    if ran.status == Some(127) {
        // `sh: 1: sudo: not found`, `bash: line 1: sudo: command not found`, `fish: Unknown command: sudo`.
        return complaint
            .lines()
            .any(missing_sudo)
            .then_some(SudoFault::NotInstalled);
    }
    // Warnings come before the reason, so the last line that fits counts.
    complaint.lines().rev().find_map(line_fault)
}

fn line_fault(line: &str) -> Option<SudoFault> {
    let says = |text: &str| line.contains(text);
    // These two lines do not begin with "sudo:".
    if says("is not in the sudoers file")
        || (line.starts_with("Sorry, user ")
            && (says("is not allowed to execute") || says("may not run sudo")))
    {
        return Some(SudoFault::NotAllowed);
    }
    let what = line.strip_prefix("sudo: ")?;
    if says("unable to resolve host") {
        return None;
    }
    if says("must have a tty") || says("no tty present") {
        // sudo 1.8 says this too when it wants a password and `-n` was not given.
        return Some(SudoFault::Terminal);
    }
    if says("a password is required") || says("a terminal is required to read the password") {
        return Some(SudoFault::Password);
    }
    if says("account or password is expired")
        || says("account validation failure")
        || says("password is expired")
    {
        return Some(SudoFault::Account);
    }
    if let Some(command) = what.strip_suffix(": command not found") {
        return Some(SudoFault::NoCommand(command.to_owned()));
    }
    let broken = [
        "no new privileges",
        "must be setuid root",
        "effective uid is not 0",
        "nosuid",
        "parse error",
        "syntax error",
        "no valid sudoers sources",
        "unable to initialize policy plugin",
        "error initializing audit plugin",
        "unable to open /etc/sudoers",
        "unable to stat /etc/sudoers",
    ];
    broken
        .iter()
        .any(|text| says(text))
        .then(|| SudoFault::Broken(what.to_owned()))
}

/// Why it is not known how to become root.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// We cannot.
    #[error(transparent)]
    Sudo(#[from] SudoError),
    /// The host could not be asked.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Its answer makes no sense.
    #[error("{0}")]
    Answer(String),
}

/// Finds out how commands become root on a host, or why they do not. `user` is who we logged in as.
pub async fn find(session: &dyn Session, user: &str) -> Result<Privilege, PrivilegeError> {
    let ran = session.exec(Exec::new(["id", "-u"])).await?;
    // The last line: a login shell's start-up files may write first.
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let uid = text.lines().next_back().unwrap_or_default().trim();
    if !ran.success() || uid.parse::<u32>().is_err() {
        return Err(PrivilegeError::Answer(format!(
            "the login shell of {user} does not run commands: id -u ended with {}; {}",
            ran.ending(),
            ran.complaint()
        )));
    }
    if uid == "0" {
        return Ok(Privilege::Root);
    }
    let ran = session.exec(Exec::new(Privilege::Sudo.words(["true"]))).await?;
    if ran.success() {
        return Ok(Privilege::Sudo);
    }
    let why = classify(&ran).unwrap_or_else(|| {
        let complaint = ran.complaint();
        SudoFault::Broken(if complaint.is_empty() {
            ran.ending()
        } else {
            complaint
        })
    });
    Err(SudoError {
        user: user.to_owned(),
        why,
    }
    .into())
}
