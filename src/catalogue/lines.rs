//! Lines of a YAML text, found in the text itself because serde_yaml hands none on with its values.

/// The entries of the lists of `catalogue.yaml`, with the lines that they begin on.
pub(crate) struct Lines<'a> {
    text: Vec<&'a str>,
    entries: Vec<Entry<'a>>,
}

struct Entry<'a> {
    section: &'a str,
    id: &'a str,
    line: u32,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Lines<'a> {
        let text: Vec<&str> = text.lines().collect();
        let mut section = "";
        let mut entries = Vec::new();
        for (number, line) in (1..).zip(&text) {
            if let Some(key) = line.strip_suffix(':')
                && !key.is_empty()
                && key.bytes().all(|b| b.is_ascii_lowercase())
            {
                section = key;
            }
            if let Some(id) = entry_id(line) {
                entries.push(Entry {
                    section,
                    id,
                    line: number,
                });
            }
        }
        Lines { text, entries }
    }

    /// Where the `occurrence`th (from 0) entry with this id begins; 0 when there is none.
    pub(crate) fn nth(&self, section: &str, id: &str, occurrence: usize) -> u32 {
        self.entries
            .iter()
            .filter(|entry| entry.section == section && entry.id == id)
            .nth(occurrence)
            .map_or(0, |entry| entry.line)
    }

    /// Where the entry begins; 0 when there is none.
    pub(crate) fn of(&self, section: &str, id: &str) -> u32 {
        self.nth(section, id, 0)
    }

    /// The first line of the entry that has `word` between characters that no name contains, else where it begins.
    pub(crate) fn within(&self, section: &str, id: &str, word: &str) -> u32 {
        let start = self.of(section, id);
        if start == 0 || word.is_empty() {
            return start;
        }
        let end = self
            .entries
            .iter()
            .map(|entry| entry.line)
            .filter(|line| *line > start)
            .min()
            .unwrap_or(u32::MAX);
        (1u32..)
            .zip(&self.text)
            .filter(|(number, _)| (start..end).contains(number))
            .find(|(number, line)| {
                let code = line.split(" #").next().unwrap_or("");
                (*number != start || id == word)
                    && !code.trim_start().starts_with('#')
                    && has_word(code, word)
            })
            .map_or(start, |(number, _)| number)
    }
}

/// The id of a line such as `  - id: drain` or `  - {id: drain, …`.
fn entry_id(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('-')?.trim_start();
    let rest = rest.strip_prefix('{').unwrap_or(rest).trim_start();
    let rest = rest.strip_prefix("id:")?.trim_start().trim_start_matches('"');
    let end = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        .unwrap_or(rest.len());
    (end > 0).then(|| &rest[..end])
}

fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(part_of_name) && !line[at + word.len()..].starts_with(part_of_name)
    })
}

/// The line of an anchor or alias, which the catalogue does without: what an action inherits would stand elsewhere.
/// Looks where a plain scalar begins; quoted text, comments and block scalars are passed over.
pub(crate) fn anchor(text: &str) -> Option<u32> {
    let mut block: Option<usize> = None;
    let mut quote: Option<char> = None;
    for (number, line) in (1u32..).zip(text.lines()) {
        let indent = line.len() - line.trim_start().len();
        if let Some(header) = block {
            if line.trim().is_empty() || indent > header {
                continue;
            }
            block = None;
        }
        let mut before = '\n';
        let mut gap = true;
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match quote {
                Some('"') if c == '\\' => {
                    chars.next();
                }
                Some(open) => {
                    if c == open {
                        quote = None;
                        before = c;
                        gap = false;
                    }
                }
                None => {
                    let starts = match before {
                        '\n' | '[' | '{' | ',' => true,
                        ':' | '-' | '?' => gap,
                        _ => false,
                    };
                    match c {
                        '#' if gap => break,
                        '"' | '\'' if starts => quote = Some(c),
                        '&' | '*' if starts => return Some(number),
                        '|' | '>' if starts && before == ':' => {
                            block = Some(indent);
                            break;
                        }
                        _ => {}
                    }
                    if c.is_whitespace() {
                        gap = true;
                    } else {
                        before = c;
                        gap = false;
                    }
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_in_block_and_flow_form() {
        let text = "stages:\n  - {id: a, title: x}\nactions:\n  - id: a\n    needs: [{same: b}]\n\n  - id: b\n  - id: a\n";
        let lines = Lines::new(text);
        assert_eq!(lines.of("stages", "a"), 2);
        assert_eq!(lines.of("actions", "a"), 4);
        assert_eq!(lines.nth("actions", "a", 1), 8);
        assert_eq!(lines.within("actions", "a", "b"), 5);
        assert_eq!(lines.within("actions", "a", "missing"), 4);
        assert_eq!(lines.of("actions", "c"), 0);
    }

    #[test]
    fn anchors_and_aliases_are_seen_and_globs_are_not() {
        assert_eq!(anchor("a: 1\nb: &x 2\n"), Some(2));
        assert_eq!(anchor("b: [*x]\n"), Some(1));
        assert_eq!(anchor("- *x\n"), Some(1));
        assert_eq!(anchor("b: [\"*\", '&', a*b, R&D] # *x\n"), None);
        assert_eq!(anchor("b: >-\n  *text\n  & more\nc: 1\n"), None);
        assert_eq!(anchor("b: >-\n  text\nc: *x\n"), Some(3));
    }
}
