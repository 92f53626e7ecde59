//! What several sections need to know of a plan, worked out once.

use crate::model::{Action, Effect, Finding, Outcome, Plan, PortFate, Role, Severity, Spec, Step, UndoKind};
use crate::text::{count, duration, fold_hosts, sanitize};
use std::collections::{BTreeMap, BTreeSet};

/// A plan with what is looked up often.
pub(super) struct View<'a> {
    pub(super) plan: &'a Plan,
    pub(super) spec: &'a Spec,
    pub(super) names: Names<'a>,
    /// Actions by step.
    pub(super) actions: BTreeMap<&'a str, Vec<&'a Action>>,
    /// Its numbers.
    pub(super) summary: Summary,
}

impl<'a> View<'a> {
    pub(super) fn new(plan: &'a Plan) -> View<'a> {
        let spec = &plan.spec;
        let mut actions: BTreeMap<&str, Vec<&Action>> = BTreeMap::new();
        for action in &spec.actions {
            actions.entry(&action.step).or_default().push(action);
        }
        View {
            plan,
            spec,
            names: Names::new(spec),
            actions,
            summary: Summary::of(plan),
        }
    }

    /// Actions of a step, in plan order.
    pub(super) fn of(&self, step: &str) -> &[&'a Action] {
        self.actions.get(step).map_or(&[], Vec::as_slice)
    }

    /// Hosts that a step has actions about, in words.
    pub(super) fn hosts_of(&self, step: &str) -> String {
        let hosts: Vec<&str> = self.of(step).iter().map(|action| action.host.as_str()).collect();
        self.names.describe(&hosts)
    }

    /// Steps that something is done for.
    pub(super) fn active(&self) -> impl Iterator<Item = &'a Step> {
        self.spec
            .steps
            .iter()
            .filter(|step| !self.of(&step.id).is_empty())
    }

    /// Of these, the ones whose script this build does not have.
    pub(super) fn without_script(&self) -> Vec<&'a Step> {
        self.active()
            .filter(|step| step.builtin.is_none() && step.script_digest.is_none())
            .collect()
    }

    /// Findings of a severity.
    pub(super) fn findings(&self, severity: Severity) -> impl Iterator<Item = &'a Finding> {
        self.spec
            .findings
            .iter()
            .filter(move |finding| finding.severity == severity)
    }

    /// What follows `mkectl` to name this plan in a command.
    pub(super) fn file(&self) -> &'static str {
        "plan.json"
    }
}

/// Sets of hosts in words.
pub(super) struct Names<'a> {
    all: BTreeSet<&'a str>,
    managers: BTreeSet<&'a str>,
    workers: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    fn new(spec: &'a Spec) -> Names<'a> {
        let of = |role: Option<Role>| {
            spec.hosts
                .iter()
                .filter(|host| role.is_none() || host.role == role)
                .map(|host| host.id.as_str())
                .collect()
        };
        Names {
            all: of(None),
            managers: of(Some(Role::Manager)),
            workers: of(Some(Role::Worker)),
        }
    }

    /// `all 8 hosts`, `all 5 workers`, `all workers but worker-02`, or the names, folded.
    pub(super) fn describe(&self, hosts: &[&str]) -> String {
        let set: BTreeSet<&str> = hosts.iter().copied().collect();
        if set.len() > 2 {
            for (name, group) in [
                ("host", &self.all),
                ("manager", &self.managers),
                ("worker", &self.workers),
            ] {
                if set == *group {
                    return format!("all {}", count(set.len(), name));
                }
            }
            for (name, group) in [("hosts", &self.all), ("workers", &self.workers)] {
                let missing: Vec<&str> = group.difference(&set).copied().collect();
                if set.is_subset(group) && missing.len() <= 2 && set.len() > 3 {
                    return format!("all {name} but {}", sanitize(&fold_hosts(&missing)));
                }
            }
        }
        let folded = fold_hosts(hosts);
        if folded.len() > LONG && set.len() > SHOWN {
            let shown: Vec<&str> = set.iter().copied().take(SHOWN).collect();
            let more = crate::text::number(set.len() - SHOWN);
            return format!("{} and {more} more", sanitize(&fold_hosts(&shown)));
        }
        sanitize(&folded)
    }
}

/// A folded list of this many bytes is shortened: names without order among thousands would fill pages.
const LONG: usize = 1_000;
/// Names that stay of a list that is shortened; the plan file has them all.
const SHOWN: usize = 60;

/// A plan in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Actions.
    pub actions: usize,
    /// Of them, those that change something and can undo that.
    pub changes: usize,
    /// Of them, those that destroy something.
    pub destroys: usize,
    /// Of them, those that change or destroy something and cannot be undone.
    pub irreversible: usize,
    /// Hosts.
    pub hosts: usize,
    /// Settings by outcome, without those that nobody chose.
    pub settings: BTreeMap<Outcome, usize>,
    /// Settings at their default, for which nothing needs to be said.
    pub defaults: usize,
    /// Flags by outcome.
    pub flags: BTreeMap<Outcome, usize>,
    /// Ports by fate.
    pub ports: BTreeMap<PortFate, usize>,
    /// Users, organizations, teams.
    pub accounts: Option<(usize, usize, usize)>,
    /// Somebody gains access.
    pub gains: usize,
    /// Somebody loses access.
    pub losses: usize,
    /// Blocking findings.
    pub blockers: usize,
    /// Warnings.
    pub warnings: usize,
    /// Notes.
    pub notes: usize,
    /// Checks that could not be made, by code.
    pub unchecked: usize,
}

impl Summary {
    /// Counts.
    pub fn of(plan: &Plan) -> Summary {
        let spec = &plan.spec;
        let steps: BTreeMap<&str, &Step> = spec.steps.iter().map(|step| (step.id.as_str(), step)).collect();
        let mut summary = Summary {
            actions: spec.actions.len(),
            hosts: spec.hosts.len(),
            ..Summary::default()
        };
        for action in &spec.actions {
            let Some(step) = steps.get(action.step.as_str()) else {
                continue;
            };
            match step.effect {
                Effect::Reads => continue,
                Effect::Changes => summary.changes += 1,
                Effect::Destroys => summary.destroys += 1,
            }
            if step.undo.kind == UndoKind::Impossible {
                summary.irreversible += 1;
            }
        }
        for row in &spec.conversion.settings {
            if quiet(row.default, row.outcome) {
                summary.defaults += 1;
            } else {
                *summary.settings.entry(row.outcome).or_default() += 1;
            }
        }
        for row in &spec.conversion.flags {
            *summary.flags.entry(row.outcome).or_default() += 1;
        }
        for row in &spec.conversion.ports {
            *summary.ports.entry(row.fate).or_default() += 1;
        }
        if let Some(rbac) = &spec.rbac {
            let counts = &rbac.counts;
            summary.accounts = Some((
                counts.users as usize,
                counts.organizations as usize,
                counts.teams as usize,
            ));
            summary.gains = rbac.changes.iter().filter(|change| change.gains).count();
            summary.losses = rbac.changes.len() - summary.gains;
        }
        for finding in &spec.findings {
            match finding.severity {
                Severity::Blocking => summary.blockers += 1,
                Severity::Warning => summary.warnings += 1,
                Severity::Info => summary.notes += 1,
            }
        }
        let codes: BTreeSet<&str> = spec.unchecked.iter().map(|open| open.code.as_str()).collect();
        summary.unchecked = codes.len();
        summary
    }

    /// Settings or flags of an outcome.
    pub fn lost(rows: &BTreeMap<Outcome, usize>) -> usize {
        rows.iter()
            .filter(|(outcome, _)| lost(**outcome))
            .map(|(_, n)| n)
            .sum()
    }

    /// The sentence that stands first in every form, such as `Plan: 127 actions on 8 hosts, …`.
    pub fn sentence(&self) -> String {
        let mut parts = Vec::new();
        if self.actions == 0 {
            parts.push("no actions".to_owned());
        } else {
            parts.push(format!(
                "{} on {}",
                count(self.actions, "action"),
                count(self.hosts, "host")
            ));
        }
        let row = |noun: &str, rows: &BTreeMap<Outcome, usize>| {
            let converted = rows.get(&Outcome::Converted).copied().unwrap_or(0);
            let lost = Summary::lost(rows);
            let tail = if lost > 0 {
                format!(" ({} lost)", crate::text::number(lost))
            } else {
                String::new()
            };
            format!("{} converted{tail}", count(converted, noun))
        };
        if !self.settings.is_empty() || self.defaults > 0 {
            parts.push(row("setting", &self.settings));
        }
        if !self.flags.is_empty() {
            parts.push(row("flag", &self.flags));
        }
        if let Some((users, _, teams)) = self.accounts {
            parts.push(format!("{} in {}", count(users, "user"), count(teams, "team")));
        }
        for (n, noun) in [(self.blockers, "blocker"), (self.warnings, "warning")] {
            parts.push(if n == 0 {
                format!("no {noun}s")
            } else {
                count(n, noun)
            });
        }
        if self.unchecked > 0 {
            parts.push(format!("{} not made", count(self.unchecked, "check")));
        }
        format!("Plan: {}.", parts.join(", "))
    }
}

/// `≈ 12m 30s`, which no line break divides.
pub(super) fn about(seconds: u32) -> String {
    format!("≈\u{a0}{}", unbroken(seconds))
}

/// A time that no line break divides.
pub(super) fn unbroken(seconds: u32) -> String {
    duration(seconds.into()).replace(' ', "\u{a0}")
}

/// The reason of a condition as a sentence with the condition's name behind it; the plan has the name in front.
pub(super) fn because(text: &str) -> (String, String) {
    let named = |name: &str| {
        let bare = name.strip_prefix("not ").unwrap_or(name);
        !bare.is_empty()
            && bare
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    match text.split_once(": ") {
        Some((name, why)) if named(name) && !why.is_empty() => (why.to_owned(), format!("  ({name})")),
        _ => (text.to_owned(), String::new()),
    }
}

/// True for a setting of which nothing needs to be said.
pub(super) fn quiet(default: bool, outcome: Outcome) -> bool {
    default && !matches!(outcome, Outcome::Blocking | Outcome::Unknown)
}

/// True when what the thing did is gone or in doubt.
pub(super) fn lost(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Unsupported | Outcome::Blocking | Outcome::Unknown
    )
}

/// A short list: the first few, and how many more.
pub(super) fn some<T: AsRef<str>>(items: &[T], most: usize, noun: &str) -> String {
    let shown: Vec<&str> = items.iter().take(most).map(AsRef::as_ref).collect();
    let rest = items.len() - shown.len();
    match rest {
        0 => shown.join(", "),
        _ => format!(
            "{}, … and {} more {}",
            shown.join(", "),
            crate::text::number(rest),
            crate::text::plural(rest, noun)
        ),
    }
}
