//! Reads arguments as the programs of Go and systemd do: `--flag=value`, `--flag value`, `-f value`, `-aq`.

use super::Failure;
use std::collections::BTreeMap;

/// A flag: long name, short name or `\0`, whether it takes a value.
pub(crate) type Flag = (&'static str, char, bool);

/// What was given.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// Values by long name; `true` for flags without one.
    flags: BTreeMap<&'static str, Vec<String>>,
    /// The rest.
    pub words: Vec<String>,
}

impl Parsed {
    /// Whether a flag was given (and not as `--flag=false`).
    pub fn has(&self, flag: &str) -> bool {
        self.flags
            .get(flag)
            .is_some_and(|values| values.last().is_some_and(|value| value != "false"))
    }

    /// The last value of a flag.
    pub fn value(&self, flag: &str) -> Option<&str> {
        self.flags.get(flag)?.last().map(String::as_str)
    }

    /// All values of a flag.
    pub fn all(&self, flag: &str) -> &[String] {
        self.flags.get(flag).map_or(&[], Vec::as_slice)
    }
}

/// Reads `arguments`. A flag that is not listed is not simulated; after `--`, and with `first` after the first word,
/// everything is a word.
pub(crate) fn parse(arguments: &[String], flags: &[Flag], first: bool) -> Result<Parsed, Failure> {
    let mut parsed = Parsed::default();
    let mut rest = arguments.iter();
    let unknown = |word: &str| Failure::Unmodelled(format!("the flag {word}"));
    while let Some(word) = rest.next() {
        if word == "--" {
            parsed.words.extend(rest.cloned());
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            let (name, given) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let (name, _, takes) = flags
                .iter()
                .find(|flag| flag.0 == name)
                .ok_or_else(|| unknown(word))?;
            let value = match (given, takes) {
                (Some(value), _) => value,
                (None, false) => "true".to_owned(),
                (None, true) => rest.next().cloned().ok_or_else(|| needs(word))?,
            };
            parsed.flags.entry(name).or_default().push(value);
        } else if word.len() > 1 && word.starts_with('-') {
            for (at, letter) in word[1..].char_indices() {
                let (name, _, takes) = flags
                    .iter()
                    .find(|flag| flag.1 == letter)
                    .ok_or_else(|| unknown(word))?;
                if *takes {
                    let attached = &word[1 + at + letter.len_utf8()..];
                    let attached = attached.strip_prefix('=').unwrap_or(attached);
                    let value = if attached.is_empty() {
                        rest.next().cloned().ok_or_else(|| needs(word))?
                    } else {
                        attached.to_owned()
                    };
                    parsed.flags.entry(name).or_default().push(value);
                    break;
                }
                parsed.flags.entry(name).or_default().push("true".to_owned());
            }
        } else {
            parsed.words.push(word.clone());
            if first {
                parsed.words.extend(rest.cloned());
                break;
            }
        }
    }
    Ok(parsed)
}

fn needs(flag: &str) -> Failure {
    Failure::Real(format!("flag needs an argument: {flag}"), 125)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn flags_are_read_in_all_their_forms() {
        let flags: &[Flag] = &[("all", 'a', false), ("quiet", 'q', false), ("filter", 'f', true)];
        let parsed = parse(
            &words("-aq --filter name=x -f=y -fz one --filter=w two"),
            flags,
            false,
        )
        .unwrap();
        assert!(parsed.has("all") && parsed.has("quiet"));
        assert_eq!(parsed.all("filter"), ["name=x", "y", "z", "w"]);
        assert_eq!(parsed.words, ["one", "two"]);
        let parsed = parse(&words("-a one -q two"), flags, true).unwrap();
        assert_eq!(parsed.words, ["one", "-q", "two"]);
        assert!(!parsed.has("quiet"));
        assert!(matches!(
            parse(&words("--nope"), flags, false),
            Err(Failure::Unmodelled(_))
        ));
        assert!(matches!(
            parse(&words("-f"), flags, false),
            Err(Failure::Real(_, 125))
        ));
        assert!(!parse(&words("--all=false"), flags, false).unwrap().has("all"));
    }
}
