//! The pass over the leaves of a configuration.

use super::path::DocPath;
use super::table::{Class, Condition, Kind, SettingDef, SettingsTable, TargetDef};
use super::transform::{self, Made};
use super::value::{self, SECRET};
use super::{SECRET_PLACEHOLDER, SettingsResult, Write};
use crate::catalogue::Release;
use crate::model::{
    Confidence, Finding, Outcome, SecretRef, SettingRow, Severity, Subject, SubjectKind, Target,
};
use crate::source::mke3::{Config, Leaf, Segment, Value};
use crate::yaml::{self, Node};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) struct Engine<'a> {
    table: &'a SettingsTable,
    config: &'a Config,
    release: &'a Release,
    /// Leaves by lower-case display path.
    by_path: BTreeMap<String, &'a Leaf>,
    /// The first leaf of every row that is not in a list.
    by_row: BTreeMap<usize, &'a Leaf>,
    seen: BTreeSet<(usize, String)>,
    raised: BTreeSet<(String, String)>,
    result: SettingsResult,
}

/// What became of one leaf, before it is a row.
struct Verdict {
    outcome: Outcome,
    reason: String,
    to: Vec<Target>,
    /// It is lost, and that is to be said.
    lost: bool,
}

impl Verdict {
    fn of(outcome: Outcome, reason: impl Into<String>) -> Verdict {
        Verdict {
            outcome,
            reason: reason.into(),
            to: Vec::new(),
            lost: false,
        }
    }
}

/// True when a schema generation (`4.1.0`, `4.1.3`, `4.2`) is the same as another or later.
pub(crate) fn at_least(schema: &str, other: &str) -> bool {
    let parts = |text: &str| -> Vec<u32> {
        let mut parts: Vec<u32> = text.split('.').map(|part| part.parse().unwrap_or(0)).collect();
        parts.resize(3, 0);
        parts
    };
    parts(schema) >= parts(other)
}

impl<'a> Engine<'a> {
    pub(crate) fn new(table: &'a SettingsTable, config: &'a Config, release: &'a Release) -> Engine<'a> {
        let mut by_path = BTreeMap::new();
        let mut by_row = BTreeMap::new();
        for leaf in &config.leaves {
            by_path.entry(leaf.display_path().to_lowercase()).or_insert(leaf);
            if let Some(index) = table.position(&leaf.table_path()) {
                by_row.entry(index).or_insert(leaf);
            }
        }
        Engine {
            table,
            config,
            release,
            by_path,
            by_row,
            seen: BTreeSet::new(),
            raised: BTreeSet::new(),
            result: SettingsResult::default(),
        }
    }

    pub(crate) fn into_result(self) -> SettingsResult {
        self.result
    }

    pub(crate) fn run(&mut self) {
        for leaf in &self.config.leaves {
            match self.table.position(&leaf.table_path()) {
                Some(index) => self.known(index, leaf),
                None => self.unknown(leaf),
            }
        }
        for (index, row) in self.table.settings.iter().enumerate() {
            if let (Some(absent), false) = (&row.absent, self.by_row.contains_key(&index)) {
                self.absent(row, absent);
            }
        }
    }

    fn subject(&self, name: &str, line: Option<u32>) -> Subject {
        let subject = Subject::new(SubjectKind::Setting, name);
        match line {
            Some(line) => subject.at(self.config.file.clone(), line),
            None => Subject {
                file: Some(self.config.file.clone()),
                ..subject
            },
        }
    }

    fn find(
        &mut self,
        severity: Severity,
        code: &str,
        subject: Subject,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.result.findings.push(Finding {
            severity,
            code: code.to_owned(),
            subject,
            message: message.into(),
            remedy: remedy.into(),
            hosts: Vec::new(),
        });
    }

    /// A finding with the severity and remedy that its code has.
    fn find_coded(&mut self, code: &str, subject: Subject, message: String) {
        let remedy = self
            .table
            .findings
            .get(code)
            .map_or(String::new(), |def| def.remedy.clone());
        self.find(self.table.severity(code), code, subject, message, remedy);
    }

    fn unknown(&mut self, leaf: &Leaf) {
        let path = leaf.display_path();
        let is_table = self.table.is_table(&leaf.table_path());
        let empty = matches!(&leaf.value, Value::Empty)
            || matches!(&leaf.value, Value::List(items) if items.is_empty());
        // An unknown key may hold a secret under any name, so its text is not shown.
        let before = match &leaf.value {
            Value::Bool(_) | Value::Integer(_) | Value::Empty => value::display(&leaf.value),
            _ => "(not shown)".to_owned(),
        };
        let mut row = SettingRow {
            line: Some(leaf.line),
            before,
            outcome: Outcome::Unknown,
            to: Vec::new(),
            reason: "This version of mkectl does not know the key".to_owned(),
            default: false,
            confidence: Confidence::Documented,
            path: path.clone(),
        };
        let subject = self.subject(&path, Some(leaf.line));
        if is_table && empty {
            row.before = value::display(&leaf.value);
            row.outcome = Outcome::Ignored;
            row.reason = "Nothing is in it".to_owned();
            row.default = true;
        } else if is_table {
            row.outcome = Outcome::Blocking;
            row.reason = "It is a table to MKE 3".to_owned();
            self.find_coded(
                "SETTING-INVALID",
                subject,
                format!("{path} is not a table of settings"),
            );
        } else {
            let message = match self.table.nearest(&leaf.table_path()) {
                Some(near) => format!("{path} is not known; the nearest known key is {near}"),
                None => format!("{path} is not known"),
            };
            self.find_coded("SETTING-UNKNOWN", subject, message);
        }
        self.result.rows.push(row);
    }

    fn absent(&mut self, row: &SettingDef, absent: &Node) {
        let value = match absent {
            Node::Bool(flag) => Value::Bool(*flag),
            Node::Int(number) => Value::Integer(*number),
            Node::Str(text) => Value::String(text.clone()),
            _ => Value::Empty,
        };
        let refused = row.class == Class::Blocking && value::allowed(row, &value).is_none();
        let (outcome, reason) = match refused {
            true => (
                Outcome::Blocking,
                format!(
                    "{}; a missing key counts as {}",
                    row.reason,
                    value::display(&value)
                ),
            ),
            false => (Outcome::Ignored, row.reason.clone()),
        };
        self.result.rows.push(SettingRow {
            path: row.path.clone(),
            line: None,
            before: "(not set)".to_owned(),
            outcome,
            to: Vec::new(),
            reason,
            default: false,
            confidence: row.confidence,
        });
        if refused {
            self.raise(row, &row.path, "", None);
        }
    }

    fn known(&mut self, index: usize, leaf: &Leaf) {
        let table = self.table;
        let row = &table.settings[index];
        let path = leaf.display_path();
        let secret = row.secret || (!row.to.is_empty() && value::holds_secret(&leaf.value));
        let is_default = row
            .default
            .as_ref()
            .is_some_and(|default| value::same(default, &leaf.value));
        let keeps_zero = matches!(row.class, Class::Converted | Class::Blocking);
        let off = value::is_off(row, &leaf.value, keeps_zero);

        let instance = match row.path.ends_with("<name>") {
            true => path.clone(),
            false => positions(leaf),
        };
        let verdict = if !self.seen.insert((index, instance)) {
            self.find_coded(
                "SETTING-DUPLICATE",
                self.subject(&path, Some(leaf.line)),
                format!("{path} and another spelling of {} are both set", row.path),
            );
            Verdict::of(
                Outcome::Blocking,
                "Another spelling of the same key is set as well",
            )
        } else {
            self.decide(row, leaf, &path, secret, off)
        };

        let quiet = (is_default || off) && !row.loud;
        if verdict.lost && !quiet {
            self.lose(row, leaf, &path);
        }
        // An empty secret is no secret, and worth knowing.
        let empty = matches!(&leaf.value, Value::String(text) if text.is_empty());
        self.result.rows.push(SettingRow {
            path,
            line: Some(leaf.line),
            before: if secret && !empty {
                SECRET.to_owned()
            } else {
                value::display(&leaf.value)
            },
            outcome: verdict.outcome,
            to: verdict.to,
            reason: verdict.reason,
            default: is_default || off,
            confidence: row.confidence,
        });
    }

    fn decide(&mut self, row: &SettingDef, leaf: &Leaf, path: &str, secret: bool, off: bool) -> Verdict {
        let value = &leaf.value;
        let valid = value::check(row, value).and_then(|()| match row.class {
            Class::Blocking => Ok(()),
            _ if row.allowed.is_none() || value::allowed(row, value).is_some() || off => Ok(()),
            _ => Err("has a value that MKE 3 does not know".to_owned()),
        });
        if let Err(wrong) = valid {
            return self.invalid(row, leaf, path, &wrong);
        }
        if row.class == Class::Blocking && value::allowed(row, value).is_none() {
            self.raise(row, path, "", Some(leaf.line));
            return Verdict::of(Outcome::Blocking, row.reason.clone());
        }
        if let Some(skip) = &row.skip_entry
            && sibling(&self.by_path, leaf, &skip.key)
                .zip(skip.is.as_ref())
                .is_some_and(|(value, is)| value::same(is, value))
        {
            let reason = row.else_reason.as_ref().unwrap_or(&row.reason);
            return Verdict::of(Outcome::Ignored, reason.clone());
        }
        match row.class {
            Class::Retired => return Verdict::of(Outcome::Retired, row.reason.clone()),
            Class::Ignored => return Verdict::of(Outcome::Ignored, row.reason.clone()),
            Class::Unsupported if off => return Verdict::of(Outcome::Ignored, off_reason(row, value)),
            Class::Converted if off => return Verdict::of(Outcome::Ignored, "It is not set"),
            _ => {}
        }
        if let Some(failed) = row.when.iter().find(|condition| !self.holds(condition)) {
            let reason = row.else_reason.clone().unwrap_or_else(|| {
                let wanted = match (&failed.is, &failed.not) {
                    (Some(is), _) => format!("{} is not {}", failed.key, yaml::flow(is)),
                    (None, _) => format!("{} is not set", failed.key),
                };
                format!("It does not count, because {wanted}")
            });
            return Verdict::of(Outcome::Ignored, reason);
        }
        if row.class == Class::Unsupported {
            return Verdict {
                lost: true,
                ..Verdict::of(Outcome::Unsupported, row.reason.clone())
            };
        }
        self.convert(row, leaf, path, secret)
    }

    /// A value that cannot be used: it stops the plan where it would be carried over, and is a warning elsewhere.
    fn invalid(&mut self, row: &SettingDef, leaf: &Leaf, path: &str, wrong: &str) -> Verdict {
        let (severity, outcome) = match row.class {
            Class::Converted | Class::Blocking => (Severity::Blocking, Outcome::Blocking),
            Class::Unsupported => (Severity::Warning, Outcome::Unsupported),
            Class::Retired => (Severity::Warning, Outcome::Retired),
            Class::Ignored => (Severity::Warning, Outcome::Ignored),
        };
        let subject = self.subject(path, Some(leaf.line));
        let remedy = self.table.findings["SETTING-INVALID"].remedy.clone();
        self.find(
            severity,
            "SETTING-INVALID",
            subject,
            format!("{path} {wrong}"),
            remedy,
        );
        Verdict::of(outcome, format!("The value {wrong}"))
    }

    fn convert(&mut self, row: &SettingDef, leaf: &Leaf, path: &str, secret: bool) -> Verdict {
        // Custom flags go their own way, see `convert::flags` and `convert::kubelet`.
        if row.to.is_empty() {
            let outcome = match row.class {
                Class::Blocking => Outcome::Ignored,
                _ => Outcome::Converted,
            };
            return Verdict::of(outcome, row.reason.clone());
        }
        let fits = |target: &&TargetDef| {
            let schema = &self.release.schema;
            target.since.as_ref().is_none_or(|since| at_least(schema, since))
                && target.until.as_ref().is_none_or(|until| !at_least(schema, until))
        };
        let targets: Vec<&TargetDef> = row.to.iter().filter(fits).collect();
        if targets.is_empty() {
            return Verdict {
                lost: true,
                ..Verdict::of(
                    Outcome::Unsupported,
                    format!("MKE 4k {} has no field for it", self.release.mke),
                )
            };
        }
        let entry = leaf
            .path
            .iter()
            .rev()
            .find_map(|segment| match segment {
                Segment::Index(index) => Some(*index),
                Segment::Key(_) => None,
            })
            .unwrap_or(0);
        let name = match leaf.path.last() {
            Some(Segment::Key(key)) => Some(key.as_str()),
            _ => None,
        };
        let mut to = Vec::new();
        for target in targets {
            if target.unless.as_ref().is_some_and(|key| self.is_set(key)) {
                continue;
            }
            let by_path = &self.by_path;
            let made = transform::apply(target, row, &leaf.value, &|key| sibling(by_path, leaf, key));
            let (mut node, by_name) = match made {
                Ok(Made::Value(node, by_name)) => (node, by_name),
                Ok(Made::Nothing) => {
                    to.push(Target {
                        path: doc_path(target).at_entry(entry, name).to_string(),
                        value: yaml::flow(&Node::List(vec![value::node(&leaf.value)])),
                    });
                    continue;
                }
                Ok(Made::NoPlace) => {
                    return Verdict {
                        lost: true,
                        ..Verdict::of(Outcome::Unsupported, "The entry has no place in MKE 4k")
                    };
                }
                Err(wrong) => return self.invalid(row, leaf, path, &wrong),
            };
            // A placeholder stands for one string. A list or mapping that holds a secret cannot be carried over.
            if secret && !matches!(node, Node::Str(_) | Node::Bool(_)) {
                return self.invalid(row, leaf, path, "holds a secret where none is expected");
            }
            let at = doc_path(target).at_entry(entry, by_name.as_deref().or(name));
            let mut shown = yaml::flow(&node);
            if secret && matches!(node, Node::Str(_)) {
                let secret = self.secret(row, path);
                node = Node::Str(format!("{SECRET_PLACEHOLDER}{secret}"));
                shown = SECRET.to_owned();
            }
            to.push(Target {
                path: at.to_string(),
                value: shown,
            });
            self.result.writes.push(Write {
                path: at,
                value: node,
                merge: target.merge,
            });
        }
        if to.is_empty() {
            return Verdict::of(
                Outcome::Ignored,
                "Every place it would go to has a setting of its own",
            );
        }
        let noted = !row.topic_unless.is_empty()
            && !row
                .topic_unless
                .iter()
                .any(|quiet| value::same(quiet, &leaf.value));
        if noted {
            self.raise(row, path, &positions(leaf), Some(leaf.line));
        }
        Verdict {
            to,
            ..Verdict::of(Outcome::Converted, row.reason.clone())
        }
    }

    /// The name of a secret in documents; remembers where its value is read at apply.
    fn secret(&mut self, row: &SettingDef, path: &str) -> String {
        let name = row.secret_name.clone().unwrap_or_else(|| {
            path.to_lowercase()
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                .collect()
        });
        self.result.secrets.push(SecretRef {
            name: name.clone(),
            from: format!("mke3-config:{path}"),
            used_for: row.secret_use.clone().unwrap_or_else(|| path.to_owned()),
        });
        name
    }

    fn lose(&mut self, row: &SettingDef, leaf: &Leaf, path: &str) {
        if row.topic.is_some() {
            return self.raise(row, path, &entry_of(leaf), Some(leaf.line));
        }
        let subject = self.subject(path, Some(leaf.line));
        let bounds = row.to.iter().find_map(|target| {
            let since = target.since.as_ref().map(|v| format!("{v} or later"));
            since.or_else(|| target.until.as_ref().map(|v| format!("before {v}")))
        });
        let code = match bounds {
            Some(_) => "SETTING-NEEDS-RELEASE",
            None => "SETTING-UNSUPPORTED",
        };
        let message = match bounds {
            Some(bounds) => format!("{path} needs MKE 4k {bounds}"),
            None => format!("{path} is lost: {}", sentence(&row.reason)),
        };
        match row.remedy.clone() {
            Some(remedy) => self.find(self.table.severity(code), code, subject, message, remedy),
            None => self.find_coded(code, subject, message),
        }
    }

    /// Raises the topic of a row, once, or once per entry of its list where the entries are things of their own.
    fn raise(&mut self, row: &SettingDef, path: &str, entry: &str, line: Option<u32>) {
        let table = self.table;
        let Some((id, topic)) = row.topic.as_ref().and_then(|id| table.topics.get_key_value(id)) else {
            return;
        };
        let entry = if topic.per_entry { entry } else { "" };
        if self.raised.insert((id.clone(), entry.to_owned())) {
            let severity = table.severity(&topic.code);
            let subject = self.subject(path, line);
            self.find(
                severity,
                &topic.code,
                subject,
                topic.message.clone(),
                topic.remedy.clone(),
            );
        }
    }

    fn is_set(&self, key: &str) -> bool {
        let Some(index) = self.table.position(key) else {
            return false;
        };
        let row = &self.table.settings[index];
        self.by_row
            .get(&index)
            .is_some_and(|leaf| !value::is_off(row, &leaf.value, true))
    }

    fn holds(&self, condition: &Condition) -> bool {
        let Some(index) = self.table.position(&condition.key) else {
            return false;
        };
        let equals = |wanted: &Node| match self.by_row.get(&index) {
            Some(leaf) => value::same(wanted, &leaf.value),
            None => self.table.settings[index].default.as_ref() == Some(wanted),
        };
        condition.is.as_ref().is_none_or(equals) && condition.not.as_ref().is_none_or(|not| !equals(not))
    }
}

fn doc_path(target: &TargetDef) -> DocPath {
    // The table was checked when it was loaded; an empty path writes nothing.
    DocPath::parse(&target.path).unwrap_or(DocPath(Vec::new()))
}

/// The value of a sibling in the same table or entry of a list.
fn sibling<'a>(by_path: &BTreeMap<String, &'a Leaf>, leaf: &Leaf, key: &str) -> Option<&'a Value> {
    let mut path = leaf.path.clone();
    path.pop();
    path.push(Segment::Key(key.to_owned()));
    let place = Leaf {
        path,
        value: Value::Empty,
        line: 0,
        column: 0,
    };
    by_path
        .get(&place.display_path().to_lowercase())
        .map(|leaf| &leaf.value)
}

/// The positions in lists along a path: which of several leaves of one row this is.
fn positions(leaf: &Leaf) -> String {
    let mut out = String::new();
    for segment in &leaf.path {
        if let Segment::Index(index) = segment {
            out.push_str(&format!("[{index}]"));
        }
    }
    out
}

/// The entry of a list that a leaf is in.
fn entry_of(leaf: &Leaf) -> String {
    let path = leaf.display_path();
    path.rfind(']')
        .map_or(String::new(), |end| path[..=end].to_owned())
}

fn off_reason(row: &SettingDef, value: &Value) -> String {
    let plain = value::is_off(
        &SettingDef {
            off: None,
            ..row.clone()
        },
        value,
        false,
    );
    match &row.else_reason {
        Some(reason) => reason.clone(),
        None if plain || row.kind == Kind::Any => "It is off, so nothing is lost".to_owned(),
        None => row.reason.clone(),
    }
}

/// A reason in the middle of a sentence: its first letter in lower case, unless it starts a name.
fn sentence(reason: &str) -> String {
    let mut chars = reason.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            let word = reason.split(' ').next().unwrap_or_default();
            // Names keep their capital.
            if ["Swarm", "Kubernetes", "Calico", "OpsCare"].contains(&word) {
                reason.to_owned()
            } else {
                first.to_lowercase().collect::<String>() + chars.as_str()
            }
        }
        _ => reason.to_owned(),
    }
}
