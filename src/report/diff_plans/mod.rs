//! What changed between two plans, and in risk: what somebody who approved the first must know of the second.

mod render;

pub use render::render_diff;

use super::sections;
use super::view::{Summary, some};
use crate::model::{Plan, Spec, Step, UndoKind};
use crate::text::{count, duration, number};
use serde::Serialize;
use serde_json::Value as Json;
use similar::{ChangeTag, TextDiff};
use std::collections::BTreeMap;

/// Items of a list that are written out.
const ITEMS: usize = 12;
/// Fields that say most about a row, in the order in which they are shown.
const BRIEF: [&str; 11] = [
    "stage", "title", "source", "file", "role", "address", "fate", "outcome", "to", "reason", "because",
];

/// How a thing differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Only the second plan has it.
    Added,
    /// Only the first plan has it.
    Removed,
    /// Both have it, differently.
    Changed,
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it is: a key path, an action id, `CODE subject`.
    pub name: String,
    /// How it differs.
    pub kind: Kind,
    /// What the first plan says; empty when added.
    pub before: String,
    /// What the second plan says; empty when removed.
    pub after: String,
}

/// A text that differs, line by line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TextChange {
    /// Name of the script or document.
    pub name: String,
    /// How it differs.
    pub kind: Kind,
    /// Lines with `+`, `-` or a space before them, three lines of surroundings; `@` stands before the place of a part.
    pub lines: Vec<String>,
}

/// A figure of risk in both plans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RiskChange {
    /// What.
    pub what: String,
    /// In the first plan.
    pub before: String,
    /// In the second plan.
    pub after: String,
    /// True when it got worse, false when it got better, absent when it is only different.
    pub worse: Option<bool>,
}

/// What changed between two plans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanDiff {
    /// Both digests.
    pub digests: [String; 2],
    /// Cluster, versions and whether it may be applied.
    pub intent: Vec<Change>,
    /// Options.
    pub options: Vec<Change>,
    /// Inputs.
    pub inputs: Vec<Change>,
    /// Settings.
    pub settings: Vec<Change>,
    /// Flags.
    pub flags: Vec<Change>,
    /// Ports.
    pub ports: Vec<Change>,
    /// Users, teams, roles and who gains or loses.
    pub access: Vec<Change>,
    /// Findings.
    pub findings: Vec<Change>,
    /// What could not be checked.
    pub unchecked: Vec<Change>,
    /// Hosts.
    pub hosts: Vec<Change>,
    /// Stages, steps and budgets.
    pub steps: Vec<Change>,
    /// Actions.
    pub actions: Vec<Change>,
    /// Images and charts.
    pub images: Vec<Change>,
    /// Scripts.
    pub scripts: Vec<TextChange>,
    /// Generated documents.
    pub documents: Vec<TextChange>,
    /// What differs in risk.
    pub risk: Vec<RiskChange>,
}

impl PlanDiff {
    /// Compares what decides; who made a plan and when does not count.
    pub fn of(a: &Plan, b: &Plan) -> PlanDiff {
        let both = |read: fn(&Spec) -> BTreeMap<String, Json>| keyed(&read(&a.spec), &read(&b.spec));
        PlanDiff {
            digests: [a.digest.clone(), b.digest.clone()],
            intent: both(intent),
            options: both(|spec| {
                spec.intent
                    .options
                    .iter()
                    .map(|(name, value)| (name.clone(), fields(value)))
                    .collect()
            }),
            inputs: both(|spec| by(&spec.inputs, |input| input.name.clone())),
            settings: both(|spec| {
                let text = |row: &crate::model::SettingRow| {
                    let to: Vec<String> = row
                        .to
                        .iter()
                        .map(|to| format!("{}: {}", to.path, to.value))
                        .collect();
                    format!(
                        "{} = {}, {}",
                        row.before,
                        words(&row.outcome),
                        join(&to, &row.reason)
                    )
                };
                gather(
                    spec.conversion
                        .settings
                        .iter()
                        .map(|row| (row.path.clone(), text(row).into())),
                )
            }),
            flags: both(|spec| {
                let name = |row: &crate::model::FlagRow| {
                    format!(
                        "{} {} {}",
                        row.component.name(),
                        row.profile.as_deref().unwrap_or("-"),
                        row.flag
                    )
                };
                let text = |row: &crate::model::FlagRow| {
                    let to: Vec<String> = row
                        .to
                        .iter()
                        .map(|to| format!("{}: {}", to.path, to.value))
                        .collect();
                    format!("{}, {}", words(&row.outcome), join(&to, &row.reason))
                };
                gather(
                    spec.conversion
                        .flags
                        .iter()
                        .map(|row| (name(row), text(row).into())),
                )
            }),
            ports: both(|spec| {
                by(&spec.conversion.ports, |row| {
                    format!("{}/{} {}", row.port, row.protocol, row.hosts)
                })
            }),
            access: both(access),
            findings: both(|spec| {
                let name =
                    |finding: &crate::model::Finding| format!("{} {}", finding.code, finding.subject.name);
                let text = |finding: &crate::model::Finding| {
                    let hosts = crate::text::fold_hosts(&finding.hosts);
                    let on = if hosts.is_empty() {
                        hosts
                    } else {
                        format!(" on {hosts}")
                    };
                    format!("{}: {}{on}", words(&finding.severity), finding.message)
                };
                gather(
                    spec.findings
                        .iter()
                        .map(|finding| (name(finding), text(finding).into())),
                )
            }),
            unchecked: both(|spec| {
                let text = |open: &crate::model::Unchecked| {
                    let on = match open.hosts.is_empty() {
                        true => String::new(),
                        false => format!(" on {}", crate::text::fold_hosts(&open.hosts)),
                    };
                    format!("{}{on}", open.why)
                };
                gather(
                    spec.unchecked
                        .iter()
                        .map(|open| (open.code.clone(), text(open).into())),
                )
            }),
            hosts: both(|spec| by(&spec.hosts, |host| host.id.clone())),
            steps: both(steps),
            actions: both(|spec| {
                let text = |action: &crate::model::Action| format!("after {}", action.needs.join(", "));
                spec.actions
                    .iter()
                    .map(|action| (action.id.clone(), text(action).into()))
                    .collect()
            }),
            images: both(|spec| by(&spec.images, |image| image.name.clone())),
            scripts: texts(&scripts(&a.spec), &scripts(&b.spec)),
            documents: texts(&documents(&a.spec), &documents(&b.spec)),
            risk: risk(a, b),
        }
    }

    /// True when nothing that decides differs.
    pub fn is_empty(&self) -> bool {
        let [a, b] = &self.digests;
        a == b
    }

    /// The parts that hold changes, with their titles, in the order in which they are shown.
    fn parts(&self) -> [(&'static str, &[Change]); 13] {
        [
            ("Intent", &self.intent),
            ("Options", &self.options),
            ("Inputs", &self.inputs),
            ("Findings", &self.findings),
            ("Not checked", &self.unchecked),
            ("Settings", &self.settings),
            ("Flags", &self.flags),
            ("Ports", &self.ports),
            ("Access", &self.access),
            ("Hosts", &self.hosts),
            ("Stages and steps", &self.steps),
            ("Actions", &self.actions),
            ("Images and charts", &self.images),
        ]
    }
}

fn join(to: &[String], reason: &str) -> String {
    if to.is_empty() {
        reason.to_owned()
    } else {
        to.join("; ")
    }
}

/// A value as its JSON says it, strings without quotes.
fn words<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).map_or_else(|_| String::new(), |value| show(&value))
}

/// A value for a person: the fields of a row as `name: value, …`, the empty ones left out.
fn show(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Object(map) => {
            let texts = map.iter().map(|(name, value)| (name, show(value)));
            let shown = texts
                .filter(|(_, text)| !text.is_empty())
                .map(|(name, text)| format!("{name}: {text}"));
            shown.collect::<Vec<_>>().join(", ")
        }
        Json::Array(items) => some(&items.iter().map(show).collect::<Vec<_>>(), ITEMS, "item"),
        Json::Null => String::new(),
        value => value.to_string(),
    }
}

/// Texts by name; where a name comes twice, such as a flag that is set twice, none of its texts is lost.
fn gather(rows: impl Iterator<Item = (String, Json)>) -> BTreeMap<String, Json> {
    let mut out: BTreeMap<String, Json> = BTreeMap::new();
    for (name, value) in rows {
        match out.get_mut(&name) {
            Some(Json::Array(known)) => known.push(value),
            Some(known) => *known = Json::Array(vec![known.take(), value]),
            None => {
                out.insert(name, value);
            }
        }
    }
    out
}

fn by<T: Serialize>(rows: &[T], name: impl Fn(&T) -> String) -> BTreeMap<String, Json> {
    gather(rows.iter().map(|row| (name(row), fields(row))))
}

fn fields<T: Serialize>(row: &T) -> Json {
    serde_json::to_value(row).unwrap_or(Json::Null)
}

fn intent(spec: &Spec) -> BTreeMap<String, Json> {
    let cluster = &spec.cluster;
    let mut out: BTreeMap<String, Json> = BTreeMap::from([
        (
            "applyable".to_owned(),
            if spec.intent.applyable { "yes" } else { "no" }.into(),
        ),
        (
            "catalogue".to_owned(),
            sections::short(&spec.intent.catalogue).into(),
        ),
        (
            "cluster".to_owned(),
            format!("{} {}", cluster.name, cluster.id).trim().into(),
        ),
        ("from".to_owned(), fields(&cluster.from)),
        ("to".to_owned(), fields(&cluster.to)),
        (
            "last automatic rollback".to_owned(),
            spec.lines.last_automatic_rollback.as_str().into(),
        ),
        (
            "point of no return".to_owned(),
            spec.lines.point_of_no_return.as_str().into(),
        ),
    ]);
    out.extend(
        cluster
            .facts
            .iter()
            .map(|(name, value)| (format!("fact {name}"), value.as_str().into())),
    );
    for reason in &spec.intent.not_applyable {
        out.insert(format!("not applyable: {reason}"), "".into());
    }
    out
}

fn access(spec: &Spec) -> BTreeMap<String, Json> {
    let Some(rbac) = &spec.rbac else {
        return BTreeMap::new();
    };
    let mut out = BTreeMap::new();
    for user in &rbac.users {
        out.insert(format!("user {}", user.name), fields(user));
    }
    for role in &rbac.roles {
        out.insert(format!("role {}", role.name), fields(role));
    }
    for organization in &rbac.organizations {
        for team in &organization.teams {
            out.insert(format!("team {}/{}", organization.name, team.name), fields(team));
        }
        let mut own = fields(organization);
        if let Json::Object(map) = &mut own {
            map.remove("teams");
        }
        out.insert(format!("organization {}", organization.name), own);
    }
    for row in &rbac.bindings {
        let name = match &row.namespace {
            Some(namespace) => format!("RoleBinding {namespace}/{}", row.name),
            None => format!("ClusterRoleBinding {}", row.name),
        };
        out.insert(name, fields(row));
    }
    let loose = rbac.loose.iter().map(|grant| {
        let name = format!(
            "grant {}: {} on {}",
            grant.subject, grant.role.role, grant.role.on
        );
        (name, fields(&grant.role))
    });
    out.extend(gather(loose));
    for change in &rbac.changes {
        let verb = if change.gains { "gains" } else { "loses" };
        out.insert(
            format!("{} {verb} {}", change.who, change.what),
            count(change.users as usize, "user").into(),
        );
    }
    out
}

fn steps(spec: &Spec) -> BTreeMap<String, Json> {
    let mut out = BTreeMap::new();
    for stage in &spec.stages {
        out.insert(format!("stage {}", stage.id), fields(stage));
    }
    for budget in &spec.budgets {
        out.insert(format!("budget {}", budget.id), fields(budget));
    }
    for step in &spec.steps {
        out.insert(format!("step {}", step.id), fields(step));
    }
    out
}

fn scripts(spec: &Spec) -> BTreeMap<String, &str> {
    let script = |step: &Step| {
        Some((
            step.script.clone()?,
            spec.scripts.get(step.script_digest.as_ref()?)?.as_str(),
        ))
    };
    spec.steps.iter().filter_map(script).collect()
}

fn documents(spec: &Spec) -> BTreeMap<String, &str> {
    let text = |digest: &String| spec.files.get(digest).map(String::as_str);
    spec.documents
        .iter()
        .filter_map(|document| Some((document.name.clone(), text(&document.digest)?)))
        .collect()
}

fn keyed(a: &BTreeMap<String, Json>, b: &BTreeMap<String, Json>) -> Vec<Change> {
    pair(a, b)
        .into_iter()
        .map(|(name, kind, before, after)| {
            let (before, after) = match (before, after) {
                (Some(old), Some(new)) => (news(old, new), news(new, old)),
                (before, after) => (
                    before.map(brief).unwrap_or_default(),
                    after.map(brief).unwrap_or_default(),
                ),
            };
            Change {
                name: name.clone(),
                kind,
                before,
                after,
            }
        })
        .collect()
}

/// What of a value is not in the other: of rows the fields that differ, of lists the items that the other has not.
fn news(one: &Json, other: &Json) -> String {
    match (one, other) {
        (Json::Object(one), Json::Object(other)) => {
            let differing = one
                .iter()
                .filter(|(name, value)| other.get(*name) != Some(*value))
                .map(|(name, value)| match other.get(name) {
                    Some(known) => (name, news(value, known)),
                    None => (name, show(value)),
                })
                .filter(|(_, text)| !text.is_empty())
                .map(|(name, text)| format!("{name}: {text}"));
            differing.collect::<Vec<_>>().join(", ")
        }
        (Json::Array(one), Json::Array(other)) => {
            let only: Vec<Json> = one.iter().filter(|item| !other.contains(item)).cloned().collect();
            match only.is_empty() && one.len() == other.len() {
                true => "the same in another order".to_owned(),
                false => show(&Json::Array(only)),
            }
        }
        (one, _) => show(one),
    }
}

/// A row that only one plan has: what says most about it, because all of it is new.
fn brief(value: &Json) -> String {
    let Json::Object(map) = value else {
        return show(value);
    };
    let text = |name: &str| {
        map.get(name)
            .and_then(Json::as_str)
            .filter(|text| !text.is_empty())
    };
    let parts: Vec<&str> = BRIEF.iter().filter_map(|name| text(name)).collect();
    if parts.is_empty() {
        show(value)
    } else {
        parts.join(", ")
    }
}

type Pair<'a, T> = (&'a String, Kind, Option<&'a T>, Option<&'a T>);

fn pair<'a, T: PartialEq>(a: &'a BTreeMap<String, T>, b: &'a BTreeMap<String, T>) -> Vec<Pair<'a, T>> {
    let gone = a
        .iter()
        .filter(|(name, _)| !b.contains_key(*name))
        .map(|(name, old)| (name, Kind::Removed, Some(old), None));
    let mut out: Vec<Pair<T>> = gone.collect();
    for (name, new) in b {
        match a.get(name) {
            None => out.push((name, Kind::Added, None, Some(new))),
            Some(old) if old != new => out.push((name, Kind::Changed, Some(old), Some(new))),
            Some(_) => {}
        }
    }
    out.sort_by(|x, y| x.0.cmp(y.0));
    out
}

fn texts(a: &BTreeMap<String, &str>, b: &BTreeMap<String, &str>) -> Vec<TextChange> {
    pair(a, b)
        .into_iter()
        .map(|(name, kind, before, after)| TextChange {
            name: name.clone(),
            kind,
            lines: lines(before.copied().unwrap_or(""), after.copied().unwrap_or("")),
        })
        .collect()
}

fn lines(before: &str, after: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(before, after);
    let mut out = Vec::new();
    for group in diff.grouped_ops(3) {
        if let Some(first) = group.first() {
            out.push(format!("@ line {}", first.new_range().start + 1));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            out.push(format!("{sign}{}", change.value().trim_end_matches(['\n', '\r'])));
        }
    }
    out
}

/// Two figures of which more is worse.
fn figure(what: &str, a: usize, b: usize, show: impl Fn(usize) -> String) -> RiskChange {
    let worse = (a != b).then_some(b > a);
    RiskChange {
        what: what.to_owned(),
        before: show(a),
        after: show(b),
        worse,
    }
}

fn risk(a: &Plan, b: &Plan) -> Vec<RiskChange> {
    let (one, two) = (Summary::of(a), Summary::of(b));
    let (old, new) = (&a.spec.estimate, &b.spec.estimate);
    let time = |seconds: usize| format!("≈\u{a0}{}", duration(seconds as u64));
    let undo = |plan: &Plan| {
        let with = |step: &&Step| step.undo.kind == UndoKind::Script;
        plan.spec.steps.iter().filter(with).count()
    };
    let mut out = vec![
        figure("blockers", one.blockers, two.blockers, number),
        figure("warnings", one.warnings, two.warnings, number),
        figure("checks not made", one.unchecked, two.unchecked, number),
        figure(
            "settings lost",
            Summary::lost(&one.settings),
            Summary::lost(&two.settings),
            number,
        ),
        figure(
            "flags lost",
            Summary::lost(&one.flags),
            Summary::lost(&two.flags),
            number,
        ),
        figure("losses of access", one.losses, two.losses, number),
        figure("gains of access", one.gains, two.gains, number),
        figure("actions that destroy", one.destroys, two.destroys, number),
        figure(
            "actions that cannot be undone",
            one.irreversible,
            two.irreversible,
            number,
        ),
        figure(
            "API outage",
            old.api_outage_s as usize,
            new.api_outage_s as usize,
            time,
        ),
        figure(
            "login outage",
            old.login_outage_s as usize,
            new.login_outage_s as usize,
            time,
        ),
        figure(
            "outage of a worker",
            old.worker_outage_s as usize,
            new.worker_outage_s as usize,
            time,
        ),
        figure("whole run", old.total_s as usize, new.total_s as usize, time),
    ];
    for (what, before, after) in [
        ("hosts", one.hosts, two.hosts),
        ("actions", one.actions, two.actions),
        ("steps with an undo", undo(a), undo(b)),
    ] {
        out.push(RiskChange {
            worse: None,
            ..figure(what, before, after, number)
        });
    }
    for stage in &b.spec.stages {
        if let Some(old) = a
            .spec
            .stages
            .iter()
            .find(|old| old.id == stage.id && old.undo_loses != stage.undo_loses)
        {
            out.push(RiskChange {
                what: format!("undo of {} loses", stage.id),
                before: old.undo_loses.clone(),
                after: stage.undo_loses.clone(),
                worse: None,
            });
        }
    }
    out.retain(|change| change.before != change.after);
    out
}
