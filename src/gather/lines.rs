//! What the scripts of facts print, read strictly.
//!
//! An answer is framed by a word that the caller chose, so that neither the start-up files of a login shell nor anything on
//! the host is taken for it, and an answer that was cut off is none. Between lies one fact a line; every other line is a
//! remark. All text is made harmless here, once: nothing behind this module sees a control character.

use crate::text::sanitize;
use std::collections::BTreeMap;

/// Version of the lines.
const VERSION: &str = "1";

/// The longest line that is read; etcd of many members tells much on one.
const LINE: usize = 256 * 1024;

/// Members of a list that are kept.
const MEMBERS: usize = 200_000;

/// Remarks that are kept.
const REMARKS: usize = 20;

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Nanoseconds since 1970 by the host's clock, when it began.
    pub clock: Option<i128>,
    /// Facts by name; empty ones are left out.
    values: BTreeMap<String, String>,
    /// Lists that were read, by name.
    lists: BTreeMap<String, Vec<String>>,
    /// Facts that could not be told, with the reason.
    pub untold: BTreeMap<String, String>,
    /// Whatever else was printed.
    pub remarks: Vec<String>,
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It never began.
    #[error("it does not run a POSIX shell over SSH: {0}")]
    None(String),
    /// It has no end.
    #[error("its answer was cut off{0}")]
    CutOff(String),
    /// The script failed.
    #[error("the script that reads facts failed there with status {0}{1}")]
    Failed(String, String),
    /// Two answers in one.
    #[error("it tells {0} twice, which no host does by itself")]
    Twice(String),
    /// It told more than any host has to tell.
    #[error("it tells more than {0} lines of {1}")]
    TooMuch(usize, String),
}

impl Answer {
    /// Reads the output of a script that was given `word`.
    ///
    /// # Errors
    ///
    /// When there is no whole answer in it.
    pub fn parse(word: &str, output: &[u8]) -> Result<Answer, NoAnswer> {
        let mut answer = Answer::default();
        let mut begun = false;
        let head = format!("mkectl-facts {VERSION} {word} ");
        let tail = format!(". {word} ");
        let mut before = Vec::new();
        for line in output.split(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&line[..line.len().min(LINE)]);
            if !begun {
                // A start-up file may have printed without an end of line.
                if let Some(at) = line.find(&head) {
                    begun = true;
                    answer.clock = line[at + head.len()..].trim().parse().ok();
                } else {
                    before.push(clean(&line));
                }
            } else if let Some(status) = line.strip_prefix(&tail) {
                let status = clean(status);
                if status == "0" {
                    return Ok(answer);
                }
                return Err(NoAnswer::Failed(status, said(&answer.remarks)));
            } else {
                answer.take(&line)?;
            }
        }
        if begun {
            return Err(NoAnswer::CutOff(said(&answer.remarks)));
        }
        before.retain(|line| !line.is_empty());
        let last = before.pop().unwrap_or_else(|| "it printed nothing".to_owned());
        Err(NoAnswer::None(last))
    }

    fn take(&mut self, line: &str) -> Result<(), NoAnswer> {
        let mut parts = line.splitn(3, ' ');
        let (kind, name, text) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
            parts.next(),
        );
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if !matches!(kind, "=" | "*" | "+" | "-") || name.is_empty() || !name.chars().all(plain) {
            let remark = clean(line);
            if !remark.is_empty() && self.remarks.len() < REMARKS {
                self.remarks.push(remark);
            }
            return Ok(());
        }
        let name = name.to_owned();
        // Fields are separated by tabs, which are control characters as well.
        let text = text
            .unwrap_or_default()
            .split('\t')
            .map(clean)
            .collect::<Vec<_>>()
            .join("\t");
        match kind {
            "=" if text.is_empty() => {}
            "=" => {
                if self.values.insert(name.clone(), text).is_some() {
                    return Err(NoAnswer::Twice(name));
                }
            }
            "*" => {
                self.lists.entry(name).or_default();
            }
            "+" => {
                let list = self.lists.entry(name.clone()).or_default();
                if list.len() >= MEMBERS {
                    return Err(NoAnswer::TooMuch(MEMBERS, name));
                }
                list.push(text);
            }
            _ => {
                self.untold.insert(name, text);
            }
        }
        Ok(())
    }

    /// A fact.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// A fact that is a number, a word, whatever can be parsed; what cannot be is not told.
    pub fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.value(name)?.parse().ok()
    }

    /// A list, with its members split into fields; absent when it was not read, or something in it was not.
    pub fn list(&self, name: &str) -> Option<impl Iterator<Item = Vec<&str>>> {
        if self.untold.contains_key(name) {
            return None;
        }
        let members = self.lists.get(name)?;
        Some(members.iter().map(|member| member.split('\t').collect()))
    }

    /// The first fields of a list, sorted, each once.
    pub fn names(&self, name: &str) -> Option<Vec<String>> {
        let names: std::collections::BTreeSet<String> = self
            .list(name)?
            .filter_map(|fields| fields.first().map(|field| (*field).to_owned()))
            .filter(|name| !name.is_empty())
            .collect();
        Some(names.into_iter().collect())
    }
}

fn clean(text: &str) -> String {
    sanitize(text).trim().to_owned()
}

fn said(remarks: &[String]) -> String {
    remarks
        .last()
        .map_or_else(String::new, |last| format!(": {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Answer, NoAnswer> {
        Answer::parse("w0rd", text.as_bytes())
    }

    #[test]
    fn facts_lists_and_what_could_not_be_told_are_kept_apart() {
        let answer = parse(
            "Welcome!\nno newlinemkectl-facts 1 w0rd 1700000000123456789\n= cpus 8\n= empty \n* pods\n* listening\n\
             + listening 22\tsshd\n+ listening 80\t\n- docker it does not answer\nstray\u{1b}[31m words\n. w0rd 0\nafter\n",
        )
        .unwrap();
        assert_eq!(answer.clock, Some(1_700_000_000_123_456_789));
        assert_eq!(answer.parsed::<u32>("cpus"), Some(8));
        assert_eq!(answer.value("empty"), None);
        assert_eq!(answer.list("pods").unwrap().count(), 0);
        assert!(answer.list("docker").is_none());
        let listening: Vec<_> = answer.list("listening").unwrap().collect();
        assert_eq!(listening, [vec!["22", "sshd"], vec!["80", ""]]);
        assert_eq!(answer.untold["docker"], "it does not answer");
        assert_eq!(answer.remarks.len(), 1);
        assert!(!answer.remarks[0].contains('\u{1b}'));
    }

    #[test]
    fn what_is_not_a_whole_answer_is_none() {
        let no = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(
            no("This account is disabled.\n"),
            "it does not run a POSIX shell over SSH: This account is disabled."
        );
        assert_eq!(
            no(""),
            "it does not run a POSIX shell over SSH: it printed nothing"
        );
        assert_eq!(
            no("mkectl-facts 1 w0rd 1\n= cpus 8\nKilled\n"),
            "its answer was cut off: Killed"
        );
        assert_eq!(
            no("mkectl-facts 1 w0rd 1\n. w0rd 127\n"),
            "the script that reads facts failed there with status 127"
        );
        assert_eq!(
            no("mkectl-facts 1 other 1\n. other 0\n"),
            "it does not run a POSIX shell over SSH: . other 0"
        );
        assert_eq!(
            no("mkectl-facts 1 w0rd 1\n= role a\n= role b\n. w0rd 0\n"),
            "it tells role twice, which no host does by itself"
        );
    }

    #[test]
    fn a_host_cannot_make_a_list_of_what_was_not_read() {
        let answer = parse("mkectl-facts 1 w0rd x\n- crd forbidden\n* crd\n+ crd a\n. w0rd 0\n").unwrap();
        assert!(answer.names("crd").is_none());
        assert_eq!(answer.clock, None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_let_control_characters_through(noise in ".*", name in "[a-z.]{1,8}") {
            let text = format!("mkectl-facts 1 w0rd 1\n= {name} {noise}\n. w0rd 0\n");
            if let Ok(answer) = parse(&text)
                && let Some(value) = answer.value(&name)
            {
                proptest::prop_assert!(value.split('\t').all(|field| !field.chars().any(char::is_control)));
            }
        }
    }
}
