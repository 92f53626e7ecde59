//! What a script is given: its parameters, its secrets by name, and how the runner is to treat it.

use crate::model::Cancel;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// Names that mean something to a shell, a linker or the runner, and so cannot be parameters.
const RESERVED: &[&str] = &[
    "BASH_ENV",
    "CDPATH",
    "ENV",
    "GLOBIGNORE",
    "HOME",
    "IFS",
    "LANG",
    "OLDPWD",
    "OPTARG",
    "OPTIND",
    "PATH",
    "PPID",
    "PS1",
    "PS2",
    "PS4",
    "PWD",
    "SHELL",
    "SHELLOPTS",
    "SHLVL",
    "TMPDIR",
    "UID",
    "EUID",
    "BASHOPTS",
    "POSIXLY_CORRECT",
    "LINENO",
    "RANDOM",
    "SECONDS",
    "HISTFILE",
    "FUNCNAME",
    "GROUPS",
    "DIRSTACK",
    "HOSTNAME",
    "HOSTTYPE",
    "MACHTYPE",
    "OSTYPE",
    "TERM",
];

const RESERVED_BEFORE: &[&str] = &["MKECTL_", "LC_", "LD_", "BASH"];

/// How scripts are detached from the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detach {
    /// The first of the following that the host has.
    #[default]
    Auto,
    /// A transient unit of systemd: outlives a logind that kills what users leave behind.
    Systemd,
    /// A session of its own.
    Setsid,
    /// An orphan in the session of the connection.
    Fork,
}

/// How the runner treats scripts on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How they are detached.
    pub detach: Detach,
    /// `MKECTL_POLL`: seconds between the looks of a script that waits, as a word (`2`, `0.05`).
    pub poll: String,
    /// Bytes of stdout, and of stderr, that are kept on the host.
    pub cap: u64,
    /// Seconds between TERM and KILL.
    pub grace_s: u32,
    /// `PATH` of the scripts.
    pub path: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            detach: Detach::Auto,
            poll: "2".to_owned(),
            cap: 16 * 1024 * 1024,
            grace_s: 10,
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        }
    }
}

/// What an action runs on its host. The same for all its verbs and attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// SHA-256 of the script, which was delivered before.
    pub script: String,
    /// Parameters that are no secrets, resolved. A delivered file is given by its path.
    pub params: BTreeMap<String, String>,
    /// Names of parameters that are secrets; their values come with each attempt.
    pub secrets: Vec<String>,
    /// Time until the runner ends it, unless it must not be interrupted.
    pub timeout: Duration,
    /// Whether it may be interrupted.
    pub cancel: Cancel,
}

/// Why a task cannot be given to a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// A name that the environment cannot have, or that would change what the shell does.
    #[error(
        "{0:?} cannot be the name of a parameter: use capital letters, digits and _, and no name that shells use"
    )]
    Name(String),
    /// A value with a NUL.
    #[error("the value of {0} has a NUL character in it, and no program can be given that")]
    Nul(String),
    /// A script that is not named by its hash.
    #[error("{0:?} is not a SHA-256 in lower-case hexadecimal digits")]
    Hash(String),
    /// A setting that the runner cannot read back.
    #[error("{0:?} is no value for the setting {1}")]
    Setting(String, &'static str),
}

pub(super) fn check_hash(hash: &str) -> Result<(), TaskError> {
    let digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    if hash.len() == 64 && hash.chars().all(digit) {
        Ok(())
    } else {
        Err(TaskError::Hash(hash.to_owned()))
    }
}

pub(super) fn check_param(name: &str) -> Result<(), TaskError> {
    let good = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.len() <= 100
        && name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let reserved = RESERVED.contains(&name) || RESERVED_BEFORE.iter().any(|before| name.starts_with(before));
    if good && !reserved {
        Ok(())
    } else {
        Err(TaskError::Name(name.to_owned()))
    }
}

impl Task {
    /// The file of parameters: `NAME='value'` lines for a POSIX shell.
    pub(super) fn env(&self) -> Result<String, TaskError> {
        let mut text = String::new();
        for (name, value) in &self.params {
            check_param(name)?;
            if value.contains('\0') {
                return Err(TaskError::Nul(name.clone()));
            }
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}='{}'", value.replace('\'', "'\\''"));
        }
        Ok(text)
    }

    /// The file that tells the runner how to treat the script.
    pub(super) fn conf(&self, settings: &Settings) -> Result<String, TaskError> {
        check_hash(&self.script)?;
        let number = |c: char| c.is_ascii_digit() || c == '.';
        if settings.poll.is_empty() || settings.poll.starts_with('.') || !settings.poll.chars().all(number) {
            return Err(TaskError::Setting(settings.poll.clone(), "poll"));
        }
        if settings.path.is_empty()
            || settings
                .path
                .chars()
                .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
        {
            return Err(TaskError::Setting(settings.path.clone(), "path"));
        }
        let cancel = match self.cancel {
            Cancel::Now => "now",
            Cancel::Finish => "finish",
            Cancel::Never => "never",
        };
        let detach = match settings.detach {
            Detach::Auto => "auto",
            Detach::Systemd => "systemd",
            Detach::Setsid => "setsid",
            Detach::Fork => "fork",
        };
        // Rounded up: a script must not get less than it was promised.
        let timeout = self.timeout.as_secs() + u64::from(self.timeout.subsec_nanos() > 0);
        let mut text = format!(
            "script {}\ntimeout {}\ncancel {cancel}\npoll {}\ncap {}\ngrace {}\ndetach {detach}\npath {}\n",
            self.script,
            timeout.clamp(1, 999_999_999),
            settings.poll,
            settings.cap.min(999_999_999_999_999),
            settings.grace_s.min(99_999),
            settings.path,
        );
        for name in &self.secrets {
            check_param(name)?;
            let _ = writeln!(text, "secret {name}");
        }
        text.push_str("end\n");
        Ok(text)
    }
}
