//! What remote commands write: bounded in memory, whole in the log, clean on a terminal.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Which stream a piece of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Gets the output of commands: every byte, raw, in the order of arrival. Called from the task that reads the channel, so
/// it must not take long.
pub trait OutputLog: Send + Sync {
    /// Takes a piece.
    fn write(&self, stream: Stream, bytes: &[u8]);
}

/// Writes both streams to one writer, as a terminal would show them: a host's file in the log of a run. The first error of
/// the writer is kept for [`WriterLog::finish`], and nothing is written after it.
pub struct WriterLog<W> {
    inner: Mutex<(W, Option<std::io::Error>)>,
}

impl<W: Write + Send> WriterLog<W> {
    /// A log that writes to `writer`.
    pub fn new(writer: W) -> Self {
        WriterLog {
            inner: Mutex::new((writer, None)),
        }
    }

    /// Flushes and returns the writer, or the first error that happened.
    pub fn finish(self) -> std::io::Result<W> {
        let (mut writer, error) = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        match error {
            Some(error) => Err(error),
            None => writer.flush().map(|()| writer),
        }
    }
}

impl<W: Write + Send> OutputLog for WriterLog<W> {
    fn write(&self, _stream: Stream, bytes: &[u8]) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (writer, error) = &mut *inner;
        if error.is_none()
            && let Err(found) = writer.write_all(bytes)
        {
            *error = Some(found);
        }
    }
}

/// The beginning and the end of a stream. Up to its limit it keeps everything. Of a longer stream it keeps the first and the
/// last half of the limit, and between them a line that says how many bytes are missing.
#[derive(Debug)]
pub struct Kept {
    limit: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Kept {
    /// Keeps up to `limit` bytes.
    pub fn new(limit: usize) -> Kept {
        Kept {
            limit,
            head: Vec::new(),
            tail: VecDeque::new(),
            total: 0,
        }
    }

    /// Takes a piece of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = (self.limit - self.limit / 2).saturating_sub(self.head.len());
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        let most = self.limit / 2;
        let rest = &rest[rest.len().saturating_sub(most)..];
        let over = (self.tail.len() + rest.len()).saturating_sub(most);
        self.tail.drain(..over);
        self.tail.extend(rest);
    }

    /// Whether bytes are missing.
    pub fn truncated(&self) -> bool {
        self.missing() > 0
    }

    fn missing(&self) -> u64 {
        self.total - (self.head.len() + self.tail.len()) as u64
    }

    /// What is kept.
    pub fn into_bytes(self) -> Vec<u8> {
        let missing = self.missing();
        let mut bytes = self.head;
        if missing > 0 {
            bytes.extend_from_slice(format!("\n[… {missing} bytes left out …]\n").as_bytes());
        }
        bytes.extend(self.tail);
        bytes
    }
}

/// Remote output as text that may be shown on a terminal or in a report: escape sequences are removed whole, control
/// characters but newline and tab too, and so are characters that change the direction of text; what is not UTF-8 becomes
/// U+FFFD. A carriage return starts the line again on a terminal; here it ends the line, so that nothing hides.
pub fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' => {
                if chars.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            '\u{1b}' => match chars.peek() {
                Some('[') => {
                    chars.next();
                    skip_control_sequence(&mut chars);
                }
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    chars.next();
                    skip_string(&mut chars);
                }
                Some(next) if (' '..='~').contains(next) => {
                    chars.next();
                }
                _ => {}
            },
            '\u{9b}' => skip_control_sequence(&mut chars),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_string(&mut chars),
            c if c.is_control() || is_direction(c) => {}
            c => out.push(c),
        }
    }
    out
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Parameters, then one final character. Anything else ends a malformed sequence and stays.
fn skip_control_sequence(chars: &mut Chars<'_>) {
    while chars.next_if(|c| (' '..='?').contains(c)).is_some() {}
    chars.next_if(|c| ('@'..='~').contains(c));
}

/// Up to BEL or the string terminator. One that never ends stops at its line, so that it cannot swallow what follows.
fn skip_string(chars: &mut Chars<'_>) {
    while let Some(c) = chars.next_if(|c| *c != '\n') {
        match c {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                chars.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
