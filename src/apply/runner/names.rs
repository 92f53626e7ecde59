//! Names that the runner takes as words: they are components of paths on the host, so they are checked here and there.

use std::fmt;

/// Directory name of an action on its host, `<subject>.<step>`: actions about other hosts run on the lead, so the step alone
/// would not do. What the runner does not take in a name is written `_` and two hexadecimal digits a byte, `_` itself too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionName(String);

impl ActionName {
    /// The name of a step about a host. Different pairs have different names: a step has no dot, so the last one divides.
    pub fn new(subject: &str, step: &str) -> ActionName {
        let mut name = String::new();
        for part in [subject, step] {
            if !name.is_empty() {
                name.push('.');
            }
            for (at, byte) in part.bytes().enumerate() {
                let plain = byte.is_ascii_alphanumeric()
                    || (byte == b'-' && at > 0)
                    || (byte == b'.' && at > 0 && part.as_ptr() == subject.as_ptr());
                if plain {
                    name.push(char::from(byte));
                } else {
                    name.push_str(&format!("_{byte:02x}"));
                }
            }
            if part.is_empty() {
                name.push_str("_00");
            }
        }
        ActionName(name)
    }

    /// A name that a host told. `None` when it is none.
    pub(super) fn told(text: &str) -> Option<ActionName> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        (!text.is_empty() && !text.starts_with(['.', '-']) && text.chars().all(plain))
            .then(|| ActionName(text.to_owned()))
    }

    /// As the runner is told it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A function of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Looks whether it is done; changes nothing.
    Probe,
    /// Does it.
    Run,
    /// Looks whether it was done well.
    Verify,
    /// Takes it back.
    Undo,
}

impl Verb {
    /// Its name in scripts.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Probe => "probe",
            Verb::Run => "run",
            Verb::Verify => "verify",
            Verb::Undo => "undo",
        }
    }

    pub(super) fn told(text: &str) -> Option<Verb> {
        [Verb::Probe, Verb::Run, Verb::Verify, Verb::Undo]
            .into_iter()
            .find(|verb| verb.name() == text)
    }
}

/// One run of one verb of an action. An attempt happens at most once, however often it is started.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    /// Action.
    pub action: ActionName,
    /// Verb.
    pub verb: Verb,
    /// Counts from 1 by action and verb; up to 999999999.
    pub number: u32,
}

impl Attempt {
    /// The attempt, and the name, of an output at this path on a host; `None` when none can lie there.
    pub(super) fn of_output(root: &str, path: &str) -> Option<(Attempt, String)> {
        let inside = path.strip_prefix(root)?.strip_prefix("/actions/")?;
        let words: Vec<&str> = inside.split('/').collect();
        let [action, attempt, "out", name] = words.as_slice() else {
            return None;
        };
        let (verb, number) = attempt.split_once('.')?;
        let attempt = Attempt {
            action: ActionName::told(action)?,
            verb: Verb::told(verb)?,
            number: number.parse().ok()?,
        };
        Some((attempt, (*name).to_owned()))
    }

    pub(super) fn words(&self) -> [String; 3] {
        [
            self.action.to_string(),
            self.verb.name().to_owned(),
            self.number.to_string(),
        ]
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}", self.action, self.verb.name(), self.number)
    }
}

/// The fencing token of a lease: who has a higher one has taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(u64);

impl Token {
    /// Eighteen digits at most, so that every shell can compare it.
    pub fn new(number: u64) -> Option<Token> {
        (number < 1_000_000_000_000_000_000).then_some(Token(number))
    }

    /// Its number.
    pub fn number(self) -> u64 {
        self.0
    }
}
