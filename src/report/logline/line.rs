//! One line of a log.

use crate::text::sanitize;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The run ends with it.
    Fatal,
    /// Something failed.
    Error,
    /// A person should know.
    Warn,
    /// What is being done.
    Info,
    /// Details.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// The four letters in front of a line.
    pub fn short(self) -> &'static str {
        match self {
            Level::Fatal => "FATA",
            Level::Error => "ERRO",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Debug => "DEBU",
            Level::Trace => "TRAC",
        }
    }

    /// Its name in JSON.
    pub fn long(self) -> &'static str {
        match self {
            Level::Fatal => "fatal",
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

/// Form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `INFO[0106] message`; the number is seconds since the start.
    Text,
    /// One JSON object a line.
    Json,
}

/// One line with its line break. Control characters of the message are replaced; seconds beyond 9999 take more digits.
pub fn format(form: Form, level: Level, seconds: u64, message: &str) -> String {
    let message = sanitize(message);
    match form {
        Form::Text => format!("{}[{seconds:04}] {message}\n", level.short()),
        Form::Json => {
            let line = serde_json::json!({"level": level.long(), "msg": message, "seconds": seconds});
            format!("{line}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_is_in_it() {
        let line = format(Form::Text, Level::Warn, 106, "one\nFATA[0000] two\u{1b}[2J");
        assert_eq!(line, "WARN[0106] one FATA[0000] two\u{FFFD}[2J\n");
        assert_eq!(format(Form::Text, Level::Trace, 12345, "x"), "TRAC[12345] x\n");
        let line = format(Form::Json, Level::Fatal, 7, "a \"b\"\n");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({"level": "fatal", "msg": "a \"b\" ", "seconds": 7});
        assert_eq!(value, expected);
    }
}
