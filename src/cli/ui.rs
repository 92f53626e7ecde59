//! The terminal: streams, colour, width. Everything that is printed goes through here.

use super::error::CliError;
use crate::report::Style;
use console::Term;
use std::env;
use std::io::{self, IsTerminal, Write};

/// What is known about the terminal and its user's wishes.
#[derive(Clone)]
pub struct Ui {
    no_color: bool,
}

/// Which stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Data.
    Out,
    /// For people.
    Err,
}

impl Ui {
    /// Takes the global options; the environment is read when a style is asked for.
    pub fn new(no_color: bool) -> Self {
        Ui { no_color }
    }

    /// Whether a stream is a terminal.
    pub fn is_terminal(&self, stream: Stream) -> bool {
        match stream {
            Stream::Out => io::stdout().is_terminal(),
            Stream::Err => io::stderr().is_terminal(),
        }
    }

    /// How to draw on a stream.
    pub fn style(&self, stream: Stream) -> Style {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        let terminal = self.is_terminal(stream);
        let dumb = env::var("TERM").is_ok_and(|term| term == "dumb");
        let color = !self.no_color && !set("NO_COLOR") && (set("CLICOLOR_FORCE") || (terminal && !dumb));
        let columns = env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse::<usize>().ok());
        let term = if stream == Stream::Out {
            Term::stdout()
        } else {
            Term::stderr()
        };
        let width = match term.size_checked() {
            Some((_, width)) if terminal => usize::from(width),
            _ => columns.unwrap_or(100),
        };
        Style {
            width: width.clamp(80, 200),
            color,
            unicode: unicode(),
        }
    }

    /// Writes data to stdout. A reader that went away (`| head`) is not an error.
    pub fn out(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CliError::file("write to", "stdout", &error))
            }
            _ => Ok(()),
        }
    }

    /// Asks on the terminal; `None` when there is none.
    pub fn ask(&self, question: &str) -> Option<String> {
        if !self.is_terminal(Stream::Err) || !io::stdin().is_terminal() {
            return None;
        }
        self.err(question);
        Term::stderr().read_line().ok()
    }

    /// Asks for something that must not be seen; `None` when there is no terminal.
    pub fn ask_secret(&self, what: &str) -> Option<String> {
        if !self.is_terminal(Stream::Err) || !io::stdin().is_terminal() {
            return None;
        }
        self.err(&format!("{}: ", crate::text::sanitize(what)));
        Term::stderr().read_secure_line().ok()
    }

    /// Writes text for people to stderr. There is nowhere to report a failure of that to.
    pub fn err(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}

/// Line drawing is used unless the locale says that only ASCII is understood.
fn unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_default();
    !matches!(locale.as_str(), "C" | "POSIX") && env::var("TERM").as_deref() != Ok("linux")
}
