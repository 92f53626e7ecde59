//! Words to one command line: the only place where quoting happens.
//!
//! sshd hands a command line to the user's login shell. The line made here means the same words to sh, dash, bash, ksh and
//! zsh, and to fish, where a backslash is special even between single quotes: so backslashes and single quotes stand between
//! double quotes, and everything else that is not plain between single quotes.

use std::fmt::Write;

/// Why words cannot be a command line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// There is no word.
    #[error("there is no command to run")]
    Empty,
    /// No program can be given a word with a NUL in it.
    #[error("word {0} of the command has a NUL character in it")]
    Nul(usize),
}

/// Words that mean something to a shell when they stand first, although no character of theirs is special.
const RESERVED: &[&str] = &[
    "and",
    "begin",
    "break",
    "builtin",
    "case",
    "command",
    "continue",
    "coproc",
    "do",
    "done",
    "elif",
    "else",
    "end",
    "esac",
    "eval",
    "exec",
    "exit",
    "fi",
    "for",
    "foreach",
    "function",
    "if",
    "in",
    "nocorrect",
    "noglob",
    "not",
    "or",
    "repeat",
    "return",
    "select",
    "set",
    "switch",
    "then",
    "time",
    "until",
    "while",
];

/// The command line that runs these words.
pub fn line<W: AsRef<str>>(words: &[W]) -> Result<String, QuoteError> {
    let mut line = String::new();
    for (index, word) in words.iter().enumerate() {
        let word = word.as_ref();
        if word.contains('\0') {
            return Err(QuoteError::Nul(index + 1));
        }
        if index > 0 {
            line.push(' ');
        }
        if index == 0 && RESERVED.contains(&word) {
            // Writing to a String cannot fail.
            let _ = write!(line, "'{word}'");
        } else {
            push(&mut line, word);
        }
    }
    if line.is_empty() {
        Err(QuoteError::Empty)
    } else {
        Ok(line)
    }
}

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '@' | '+' | ':' | ',' | '.' | '/' | '-')
}

fn push(line: &mut String, word: &str) {
    if !word.is_empty() && word.chars().all(plain) {
        line.push_str(word);
        return;
    }
    if word.is_empty() {
        line.push_str("''");
        return;
    }
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let special = |c: char| c == '\'' || c == '\\';
        let end = rest.find(|c| special(c) != special(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        if special(first) {
            line.push('"');
            for c in run.chars() {
                if c == '\\' {
                    line.push('\\');
                }
                line.push(c);
            }
            line.push('"');
        } else {
            let _ = write!(line, "'{run}'");
        }
        rest = after;
    }
}
