//! `findings/*.yaml`: every finding that mkectl can make, with its default severity and the long text of
//! `mkectl explain CODE`. Checks and conversions name codes; what a code means stands only here.

use super::error::nearest;
use super::{Bundle, CatalogueError};
use crate::model::Severity;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What a finding code means.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingDef {
    /// Stable code, `[A-Z][A-Z0-9-]+`.
    pub code: String,
    /// Severity unless a check says otherwise.
    pub severity: Severity,
    /// A few words, without trailing full stop.
    pub title: String,
    /// Paragraphs separated by empty lines: why it matters, what was looked at, what happens next.
    pub explain: String,
    /// What to do: one sentence without trailing full stop; findings carry it unless a check knows better.
    pub remedy: String,
}

/// All finding codes of `plans/upgrade/findings/`, by code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindingRegistry {
    definitions: BTreeMap<String, FindingDef>,
}

/// True for `[A-Z][A-Z0-9-]+` that does not end in a dash and has no two dashes in a row.
fn is_code(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-')
        && !text.ends_with('-')
        && !text.contains("--")
}

impl FindingDef {
    fn problem(&self) -> Option<String> {
        if !is_code(&self.code) {
            return Some(format!("{:?} is not a finding code", self.code));
        }
        let texts = [
            ("title", &self.title),
            ("explain", &self.explain),
            ("remedy", &self.remedy),
        ];
        if let Some((key, _)) = texts.iter().find(|(_, text)| text.trim().is_empty()) {
            return Some(format!("{} has an empty {key}", self.code));
        }
        for (key, text) in [("title", &self.title), ("remedy", &self.remedy)] {
            if text.trim_end().ends_with('.') || text.trim().contains('\n') {
                return Some(format!(
                    "{}: {key} is not one line without trailing full stop",
                    self.code
                ));
            }
        }
        None
    }

    /// Paragraphs of [`FindingDef::explain`], each on one line.
    pub fn paragraphs(&self) -> Vec<String> {
        let mut out = vec![String::new()];
        for line in self.explain.lines() {
            if line.trim().is_empty() {
                out.push(String::new());
            } else if let Some(last) = out.last_mut() {
                if !last.is_empty() {
                    last.push(' ');
                }
                last.push_str(line.trim());
            }
        }
        out.retain(|paragraph| !paragraph.is_empty());
        out
    }

    /// The text that `mkectl explain CODE` prints, wrapped at `width` columns; ends in a line break.
    pub fn text(&self, width: usize) -> String {
        let mut out = format!("{} ({})\n", self.code, severity_word(self.severity));
        wrap(&mut out, &self.title, width);
        for paragraph in self.paragraphs() {
            out.push('\n');
            wrap(&mut out, &paragraph, width);
        }
        out.push('\n');
        wrap(&mut out, &format!("What to do: {}.", self.remedy.trim()), width);
        out
    }
}

/// The word for a severity, as in the JSON form.
fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Blocking => "blocking",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

/// Appends a paragraph, filled up to `width` columns; a word longer than that stands alone on its line.
fn wrap(out: &mut String, text: &str, width: usize) {
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            out.push('\n');
            column = 0;
        }
        if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
}

/// A list of definitions, or the same under the key `findings`.
fn read(text: &str) -> Result<Vec<FindingDef>, serde_yaml::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Keyed {
        findings: Vec<FindingDef>,
    }
    // Looked at beforehand, because trying one form after the other would report the fault of the wrong one.
    if text.lines().any(|line| line.starts_with("findings:")) {
        crate::yaml::typed(text).map(|file: Keyed| file.findings)
    } else {
        crate::yaml::typed(text)
    }
}

impl FindingRegistry {
    /// Reads every `findings/*.yaml`. Refuses codes that stand twice, codes of another form, and empty texts.
    pub fn load(bundle: &Bundle) -> Result<FindingRegistry, CatalogueError> {
        let mut registry = FindingRegistry::default();
        let mut places: BTreeMap<String, String> = BTreeMap::new();
        let names: Vec<&str> = bundle
            .names()
            .filter(|name| name.starts_with("findings/") && name.ends_with(".yaml"))
            .collect();
        for file in names {
            let text = bundle
                .text(file)
                .ok_or_else(|| CatalogueError::new(file, 0, "not UTF-8", "save the file as UTF-8"))?;
            let definitions = read(text).map_err(|error| CatalogueError::yaml(file, &error))?;
            for definition in definitions {
                if let Some(problem) = definition.problem() {
                    return Err(CatalogueError::new(
                        file,
                        0,
                        problem,
                        "codes are [A-Z][A-Z0-9-]+, and title, explain and remedy all say something",
                    ));
                }
                if let Some(other) = places.insert(definition.code.clone(), file.to_owned()) {
                    return Err(CatalogueError::new(
                        file,
                        0,
                        format!("{} stands in {other} already", definition.code),
                        "give every finding a code of its own",
                    ));
                }
                registry.definitions.insert(definition.code.clone(), definition);
            }
        }
        Ok(registry)
    }

    /// The definition of a code; upper and lower case are the same.
    pub fn get(&self, code: &str) -> Option<&FindingDef> {
        self.definitions
            .get(code)
            .or_else(|| self.definitions.get(&code.to_ascii_uppercase()))
    }

    /// All definitions, sorted by code.
    pub fn iter(&self) -> impl Iterator<Item = &FindingDef> {
        self.definitions.values()
    }

    /// The code that `code` was probably meant to be; `None` when nothing is near.
    pub fn nearest(&self, code: &str) -> Option<&str> {
        let wanted = code.to_ascii_uppercase().replace('_', "-");
        nearest(&wanted, self.definitions.keys().map(String::as_str))
    }

    /// `docs/findings.md`: a table of all codes, then a section for each.
    pub fn markdown(&self) -> String {
        let mut out = String::from(
            "# Findings\n\n\
             Made from `plans/upgrade/findings/*.yaml`; do not edit. `mkectl explain CODE` prints a section.\n\n\
             The severity is the usual one; a check may raise or lower it where it knows more, and the text says when.\n\n\
             | code | severity | title |\n| --- | --- | --- |\n",
        );
        for definition in self.iter() {
            let _ = writeln!(
                out,
                "| [{code}](#{anchor}) | {severity} | {title} |",
                code = definition.code,
                anchor = definition.code.to_ascii_lowercase(),
                severity = severity_word(definition.severity),
                title = definition.title.trim().replace('|', "\\|"),
            );
        }
        for definition in self.iter() {
            let _ = write!(
                out,
                "\n## {}\n\n**{}.** Severity: {}.\n",
                definition.code,
                definition.title.trim(),
                severity_word(definition.severity)
            );
            for paragraph in definition.paragraphs() {
                out.push('\n');
                wrap(&mut out, &paragraph, 110);
            }
            out.push('\n');
            wrap(
                &mut out,
                &format!("What to do: {}.", definition.remedy.trim()),
                110,
            );
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(files: &[(&str, &str)]) -> Result<FindingRegistry, CatalogueError> {
        FindingRegistry::load(&Bundle::from_files(files.iter().copied()))
    }

    fn entry(code: &str, title: &str) -> String {
        format!("- {{code: {code}, severity: warning, title: {title}, explain: Because., remedy: do it}}\n")
    }

    #[test]
    fn files_are_merged_and_others_left_alone() {
        let one = entry("A-ONE", "t");
        let two = entry("B-TWO", "t");
        let registry = load(&[
            ("findings/a.yaml", &one),
            ("findings/b.yaml", &two),
            ("other/c.yaml", "]"),
        ])
        .unwrap();
        assert_eq!(
            registry.iter().map(|d| d.code.as_str()).collect::<Vec<_>>(),
            ["A-ONE", "B-TWO"]
        );
        assert_eq!(registry.get("a-one").unwrap().title, "t");
        let keyed = format!("findings:\n{}", entry("C-KEYED", "t"));
        assert!(
            load(&[("findings/c.yaml", &keyed)])
                .unwrap()
                .get("C-KEYED")
                .is_some()
        );
    }

    #[test]
    fn a_code_may_stand_once() {
        let one = entry("A-ONE", "t");
        let error = load(&[("findings/a.yaml", &one), ("findings/b.yaml", &one)]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("plans/upgrade/findings/b.yaml: A-ONE stands in findings/a.yaml already"),
            "{error}"
        );
    }

    #[test]
    fn bad_codes_and_empty_texts_are_refused() {
        for code in ["a-one", "A", "1A", "A_B", "A-", "A--B"] {
            let text = entry(code, "t");
            assert!(load(&[("findings/a.yaml", &text)]).is_err(), "{code}");
        }
        let text = entry("A-ONE", "' '");
        assert!(
            load(&[("findings/a.yaml", &text)])
                .unwrap_err()
                .to_string()
                .contains("empty title")
        );
        let text = entry("A-ONE", "It ends.");
        assert!(
            load(&[("findings/a.yaml", &text)])
                .unwrap_err()
                .to_string()
                .contains("full stop")
        );
        assert!(load(&[("findings/a.yaml", "- {code: A-ONE, colour: red}")]).is_err());
    }

    #[test]
    fn a_typing_mistake_finds_its_code_and_nonsense_finds_none() {
        let text = entry("CGROUP-V1", "t") + &entry("CPU-LOW", "t");
        let registry = load(&[("findings/a.yaml", &text)]).unwrap();
        assert_eq!(registry.nearest("cgroup_v2"), Some("CGROUP-V1"));
        assert_eq!(registry.nearest("zzzz"), None);
    }

    #[test]
    fn text_wraps_and_keeps_paragraphs() {
        let text =
            "- {code: A-ONE, severity: info, title: t, explain: \"one two three\\n\\nfour\", remedy: go}";
        let registry = load(&[("findings/a.yaml", text)]).unwrap();
        assert_eq!(
            registry.get("A-ONE").unwrap().text(8),
            "A-ONE (info)\nt\n\none two\nthree\n\nfour\n\nWhat to\ndo: go.\n"
        );
    }
}
