//! The text of one flag: its name and value, and what of it may be shown.

/// What the text of one list entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// Nothing but white space.
    Empty,
    /// Not of the form `--name` or `--name=value`; why not.
    Bad(&'static str),
    /// A flag. The name has no dashes in front and `-` for `_`, as Kubernetes itself reads it.
    Flag { name: String, value: Option<String> },
}

/// Reads the text of one list entry.
pub(crate) fn read(text: &str) -> Text {
    let text = text.trim();
    if text.is_empty() {
        return Text::Empty;
    }
    if text.chars().any(char::is_control) {
        return Text::Bad("it holds a control character");
    }
    let Some(body) = text.strip_prefix("--") else {
        return Text::Bad("it does not begin with two dashes");
    };
    let (name, value) = match body.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (body, None),
    };
    if name.contains(char::is_whitespace) {
        return Text::Bad("it holds white space before an equals sign");
    }
    let plain = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !plain {
        return Text::Bad("no flag can have such a name");
    }
    Text::Flag {
        name: name.replace('_', "-"),
        value,
    }
}

/// Splits the string of a kubelet profile at white space. Single quotes keep everything, double quotes everything but a
/// backslash before `"` or `\`; a backslash outside quotes keeps the next character. Quotes that do not close count as
/// ordinary characters, so that nothing of the string is lost (the flags that hold them are then reported).
pub(crate) fn split(text: &str) -> Vec<String> {
    shell_words(text).unwrap_or_else(|| text.split_whitespace().map(str::to_owned).collect())
}

fn shell_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        other => word.push(other),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            escaped @ ('"' | '\\') => word.push(escaped),
                            other => word.extend(['\\', other]),
                        },
                        other => word.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

/// Which names say that a value is a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretNames {
    /// Parts of a name.
    pub words: Vec<String>,
    /// Whole names.
    pub exact: Vec<String>,
}

/// What stands in rows and findings for a secret.
pub(crate) const HIDDEN: &str = "(secret)";

impl SecretNames {
    /// True when a flag of this name holds a secret.
    pub(crate) fn named(&self, name: &str) -> bool {
        let name = name.to_lowercase().replace('_', "-");
        self.exact.contains(&name) || self.words.iter().any(|word| name.contains(word.as_str()))
    }

    /// True when a text has the name of a secret anywhere in it.
    fn mentions(&self, text: &str) -> bool {
        let text = text.to_lowercase().replace('_', "-");
        let mut names = self.words.iter().chain(&self.exact);
        names.any(|name| text.contains(name.as_str()))
    }

    /// True when a value itself looks like a secret: `token=…` inside it, or a URL with a password.
    pub(crate) fn inside(&self, value: &str) -> bool {
        let credentials = value
            .split_once("://")
            .is_some_and(|(_, rest)| rest.split('/').next().is_some_and(|host| host.contains('@')));
        credentials || (value.contains(['=', ':', ' ']) && self.mentions(value))
    }

    /// A text that could not be read as a flag, with everything behind a secret's name hidden.
    pub(crate) fn hide(&self, text: &str) -> String {
        let text = text.trim();
        if !self.mentions(text) && !self.inside(text) {
            return text.to_owned();
        }
        match text.find(|c: char| c.is_whitespace() || matches!(c, '=' | ':' | '"' | '\'' | ',')) {
            Some(at) if text.starts_with('-') || self.mentions(&text[..at]) => {
                let separator: String = text[at..].chars().take(1).filter(|c| !c.is_control()).collect();
                format!("{}{separator}{HIDDEN}", &text[..at])
            }
            None if text.starts_with('-') => text.to_owned(),
            _ => HIDDEN.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> SecretNames {
        SecretNames {
            words: vec!["token".to_owned(), "password".to_owned()],
            exact: vec!["manifest-url-header".to_owned()],
        }
    }

    #[test]
    fn a_value_starts_at_the_first_equals_sign() {
        let flag = |name: &str, value: Option<&str>| Text::Flag {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        };
        assert_eq!(read(" --a_b=c=d,e "), flag("a-b", Some("c=d,e")));
        assert_eq!(read("--a="), flag("a", Some("")));
        assert_eq!(read("--a"), flag("a", None));
        assert_eq!(read("  "), Text::Empty);
        for bad in [
            "-a",
            "a=b",
            "---a",
            "--",
            "--=x",
            "--a b",
            "--a b=c",
            "--a\u{7}=b",
            "—a",
        ] {
            assert!(matches!(read(bad), Text::Bad(_)), "{bad}");
        }
    }

    #[test]
    fn profiles_are_split_like_a_shell_does() {
        assert_eq!(split("--a=b  --c=d"), ["--a=b", "--c=d"]);
        assert_eq!(
            split(r#"--a="b c" --d='e "f"' \--g"#),
            ["--a=b c", "--d=e \"f\"", "--g"]
        );
        assert_eq!(split(r#"--a="" --b"#), ["--a=", "--b"]);
        assert_eq!(split(r#"--a="b --c=d"#), ["--a=\"b", "--c=d"]);
        assert!(split("  ").is_empty());
    }

    #[test]
    fn secrets_are_hidden_in_every_form() {
        for text in [
            "-token=CANARY",
            "--X_Token CANARY",
            "token=CANARY",
            "--a --token=CANARY",
            "password: CANARY",
            "x=https://user:CANARY@host/",
            "CANARY-token",
            "manifest-url-header=A:CANARY",
            "\"--token=CANARY",
        ] {
            assert!(
                !names().hide(text).contains("CANARY"),
                "{text} -> {}",
                names().hide(text)
            );
        }
        assert_eq!(names().hide("-event-ttl=30m"), "-event-ttl=30m");
    }
}
