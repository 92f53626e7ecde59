//! One pass over all flags: read, refuse, check, merge, place.

use super::draft::Draft;
use super::flow::flow;
use super::tables::{FlagDef, FlagType, Minor};
use super::text::{self, HIDDEN, Text};
use super::{FlagInput, FlagTables, FlagsResult, RawFlag, value};
use crate::convert::kubelet::{self, Values};
use crate::model::{Component, Finding, FlagRow, Outcome, Subject, SubjectKind, Target};
use crate::yaml::Node;
use std::collections::{BTreeMap, BTreeSet};

/// Converts every flag. The result depends on nothing but the arguments.
pub fn convert_flags(tables: &FlagTables, input: &FlagInput<'_>) -> FlagsResult {
    let mut pass = Pass::new(tables, input);
    match tables.known(input.target_minor) {
        Some(minor) if tables.fields.covers(minor) => pass.run(minor),
        _ => pass.no_table(),
    }
    pass.finish()
}

/// A flag that may be carried over.
pub(super) struct Given {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) value: String,
}

/// A kubelet profile while its fields are collected.
#[derive(Default)]
pub(super) struct ProfileDraft {
    pub(super) values: Values,
    pub(super) from: BTreeMap<String, Vec<usize>>,
}

pub(super) struct Pass<'a> {
    pub(super) tables: &'a FlagTables,
    pub(super) input: &'a FlagInput<'a>,
    pub(super) source: Option<Minor>,
    pub(super) parsed: Vec<Text>,
    pub(super) drafts: Vec<Option<Draft>>,
    pub(super) hidden: BTreeSet<usize>,
    pub(super) names: BTreeMap<String, String>,
    pub(super) profiles: BTreeMap<String, ProfileDraft>,
    /// Flags of all nodes that stay on the kubelet's command line although a field exists: by name, path, value and rows.
    pub(super) globals: BTreeMap<String, (String, Node)>,
    pub(super) global_rows: BTreeMap<String, Vec<usize>>,
    pub(super) fields: BTreeMap<String, Node>,
    pub(super) out: FlagsResult,
}

impl<'a> Pass<'a> {
    fn new(tables: &'a FlagTables, input: &'a FlagInput<'a>) -> Self {
        let profiles: BTreeSet<&str> = input
            .flags
            .iter()
            .filter_map(|flag| flag.profile.as_deref())
            .collect();
        let mut pass = Pass {
            tables,
            input,
            source: input.source_minor.and_then(Minor::parse),
            parsed: input.flags.iter().map(read).collect(),
            drafts: vec![None; input.flags.len()],
            hidden: BTreeSet::new(),
            names: kubelet::names(&tables.policy.profiles, &profiles),
            profiles: BTreeMap::new(),
            globals: BTreeMap::new(),
            global_rows: BTreeMap::new(),
            fields: BTreeMap::new(),
            out: FlagsResult::default(),
        };
        pass.hide();
        pass
    }

    /// Marks the rows whose value may not be shown.
    fn hide(&mut self) {
        let secrets = &self.tables.policy.secrets;
        // The value of a flag in two entries stands in the next entry of the same list.
        let mut awaited: BTreeMap<(Component, Option<&str>), bool> = BTreeMap::new();
        for (index, raw) in self.input.flags.iter().enumerate() {
            let awaited = awaited
                .entry((raw.component, raw.profile.as_deref()))
                .or_default();
            let was_awaited = std::mem::take(awaited);
            match &self.parsed[index] {
                Text::Flag {
                    name,
                    value: Some(value),
                } => {
                    if is_secret(secrets, self.tables.flag(raw.component, name), name, value) {
                        self.hidden.insert(index);
                    }
                }
                Text::Flag { name, value: None } => *awaited = secrets.named(name),
                Text::Bad(_) if was_awaited => {
                    self.hidden.insert(index);
                }
                Text::Bad(_) | Text::Empty => {}
            }
        }
    }

    fn no_table(&mut self) {
        let first = self.tables.minors().next().unwrap_or_default();
        let last = self.tables.minors().last().unwrap_or_default();
        let why = format!(
            "the tables of flags cover Kubernetes {first} to {last}, and kubelet fields from 1.32, not the target's"
        );
        for draft in &mut self.drafts {
            let mut lost = Draft::lost(
                "FLAG-NO-TABLE",
                why.clone(),
                "use a version of mkectl that knows the target",
            );
            lost.outcome = Outcome::Unknown;
            *draft = Some(lost);
        }
    }

    fn run(&mut self, minor: Minor) {
        let mut groups: BTreeMap<(Component, Option<&'a str>), Vec<usize>> = BTreeMap::new();
        for (index, raw) in self.input.flags.iter().enumerate() {
            let group = (raw.component, raw.profile.as_deref());
            groups.entry(group).or_default().push(index);
            if let Some(profile) = &raw.profile {
                self.profiles.entry(profile.clone()).or_default();
            }
        }
        for ((component, profile), indices) in groups {
            let mut by_name: BTreeMap<String, Vec<Given>> = BTreeMap::new();
            for given in self.admit_all(component, profile, &indices, minor) {
                by_name.entry(given.name.clone()).or_default().push(given);
            }
            for (name, givens) in by_name {
                if let Some(def) = self.tables.flag(component, &name) {
                    self.settle(component, profile, &name, def, &givens, minor);
                }
            }
        }
        self.obey_rules(minor);
        let hosts = self.choose_profiles();
        self.put_in_order(&hosts, minor);
        self.store_profiles(&hosts);
    }

    pub(super) fn say(
        &mut self,
        code: &str,
        profile: &str,
        message: String,
        remedy: &str,
        hosts: Vec<String>,
    ) {
        let line = self
            .input
            .flags
            .iter()
            .find(|raw| raw.profile.as_deref() == Some(profile))
            .map(|raw| raw.line);
        let subject = Subject::new(SubjectKind::Profile, profile);
        self.out.findings.push(Finding {
            severity: self.tables.severity(code),
            code: code.to_owned(),
            subject: match line {
                Some(line) => subject.at(self.input.file, line),
                None => subject,
            },
            message,
            remedy: remedy.to_owned(),
            hosts,
        });
    }

    fn shown(&self, index: usize, raw: &RawFlag) -> (String, String) {
        let secrets = &self.tables.policy.secrets;
        let hidden = self.hidden.contains(&index);
        match &self.parsed[index] {
            Text::Flag { .. } if hidden => {
                let text = raw.text.trim();
                let written = text.split_once('=').map_or(text, |(name, _)| name);
                (format!("{written}={HIDDEN}"), written.to_owned())
            }
            Text::Flag { .. } => {
                let text = raw.text.trim();
                let written = text.split_once('=').map_or(text, |(name, _)| name);
                (text.to_owned(), written.to_owned())
            }
            Text::Empty => (String::new(), "(empty)".to_owned()),
            Text::Bad(_) if hidden => (HIDDEN.to_owned(), HIDDEN.to_owned()),
            Text::Bad(_) => {
                let text = secrets.hide(&raw.text);
                (text.clone(), text)
            }
        }
    }

    fn finish(mut self) -> FlagsResult {
        let drafts = std::mem::take(&mut self.drafts);
        for (index, (raw, draft)) in self.input.flags.iter().zip(drafts).enumerate() {
            let draft = draft.unwrap_or_else(|| {
                let mut lost = Draft::lost("FLAG-UNKNOWN", "no rule covers it", "leave it out");
                lost.outcome = Outcome::Unknown;
                lost
            });
            let (flag, name) = self.shown(index, raw);
            let profile = raw
                .profile
                .as_ref()
                .map(|name| format!(" (profile {name})"))
                .unwrap_or_default();
            let subject = format!("{} {name}{profile}", raw.component.name());
            for note in draft.notes {
                self.out.findings.push(Finding {
                    severity: self.tables.severity(&note.code),
                    code: note.code,
                    subject: Subject::new(SubjectKind::Flag, subject.clone()).at(self.input.file, raw.line),
                    message: note.message,
                    remedy: note.remedy,
                    hosts: Vec::new(),
                });
            }
            self.out.rows.push(FlagRow {
                component: raw.component,
                profile: raw.profile.clone(),
                flag,
                line: raw.line,
                outcome: draft.outcome,
                to: draft.to,
                reason: draft.reason,
                remedy: draft.remedy,
            });
        }
        self.out.fields = self.fields.into_iter().collect();
        self.out.findings.sort();
        self.out.findings.dedup();
        self.out.secrets.sort();
        self.out
    }
}

/// Reads one entry. In a profile a quote that is left after splitting was never closed.
fn read(raw: &RawFlag) -> Text {
    match text::read(&raw.text) {
        Text::Flag { .. } if raw.profile.is_some() && raw.text.contains(['"', '\'']) => {
            Text::Bad("it holds a quotation mark that does not close")
        }
        text => text,
    }
}

/// True when the value of a flag may not be shown. A number, a duration or a boolean is no secret, whatever the name says.
pub(super) fn is_secret(secrets: &text::SecretNames, def: Option<&FlagDef>, name: &str, value: &str) -> bool {
    let harmless = match def.map(|def| def.kind) {
        Some(FlagType::Bool) => value::boolean(value).is_some(),
        Some(FlagType::Int) => value::integer(value).is_some(),
        Some(FlagType::Duration) => value::duration(value).is_some(),
        _ => false,
    };
    // Names of gates have such words in them, and their values are booleans.
    let gates = def.is_some_and(|def| def.kind == FlagType::Gates);
    !harmless && (secrets.named(name) || (!gates && secrets.inside(value)))
}

pub(super) fn target(path: String, node: &Node) -> Target {
    Target {
        path,
        value: flow(node),
    }
}

pub(super) fn syntax(why: &str) -> Draft {
    Draft::lost(
        "FLAG-SYNTAX",
        why,
        "write it as --name=value in MKE 3's configuration and plan again",
    )
}

pub(super) fn wrong_value(why: String) -> Draft {
    Draft::lost(
        "FLAG-VALUE",
        why,
        "correct the value in MKE 3's configuration and plan again, or leave the flag out",
    )
}
