//! A value as it reads in YAML flow style, for rows.

use crate::yaml::Node;

/// The node in YAML flow style. Strings stand plain only where no reader of YAML could take them for anything else.
pub(crate) fn flow(node: &Node) -> String {
    match node {
        Node::Null => "null".to_owned(),
        Node::Bool(value) => value.to_string(),
        Node::Int(value) => value.to_string(),
        Node::Str(text) => string(text),
        Node::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Node::Map(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", string(key), flow(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn string(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
        && !WORDS.contains(&text.to_lowercase().as_str());
    // A unit after digits, as in 30m or 512Mi, is a string to every reader; 1e3, 0x1F and 1_000 are not.
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let measure = digits > 0
        && matches!(
            &text[digits..],
            "m" | "s" | "h" | "ms" | "Ki" | "Mi" | "Gi" | "Ti"
        );
    if plain || measure {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_yaml_would_retype_is_quoted() {
        for (text, expected) in [
            ("30m", "30m"),
            ("/high", "/high"),
            ("true", "\"true\""),
            ("No", "\"No\""),
            ("10", "\"10\""),
            ("1e3", "\"1e3\""),
            ("", "\"\""),
            ("a: b", "\"a: b\""),
        ] {
            assert_eq!(flow(&Node::Str(text.to_owned())), expected);
        }
        let map = Node::Map([("cpu".to_owned(), Node::Str("200m".to_owned()))].into());
        assert_eq!(flow(&map), "{cpu: 200m}");
    }
}
