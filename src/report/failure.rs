//! What a person reads when a run did not go as planned: what failed and where, what was done and what was not, where that
//! leaves the cluster, and the commands to go on with.

mod stages;

use super::doc::{Block, Line, Section, Span, Table, Tone, Weight};
use super::page::{Page, Style};
use super::progress::{because, ended, remote};
use crate::apply::engine::Failure;
use crate::apply::runner::ActionName;
use crate::apply::scheduler::Frame;
use crate::apply::{Outcome, RunResult, Verb};
use crate::model::{Action, At, Host, Spec, Step, UndoKind};
use crate::text::{count, fold_hosts, number};
use std::collections::{BTreeMap, BTreeSet};

/// Failures that are written out.
const FAILURES: usize = 10;

/// What the text names and the result does not know.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The plan file, as a person would type it.
    pub plan: &'a str,
    /// Digest of the plan.
    pub digest: &'a str,
    /// Directory with the log of each host on this machine; empty when there is none.
    pub logs: &'a str,
}

/// The text; empty for a run that did everything on every host.
pub fn render(spec: &Spec, result: &RunResult, names: &Names<'_>, style: &Style) -> String {
    if result.outcome == Outcome::Done && result.left_out.is_empty() {
        return String::new();
    }
    let view = View::new(spec, result, names);
    let mut page = Page::new(style);
    page.heading(&view.title(), &view.gist());
    page.gap();
    page.blocks(&view.failures());
    let sections = [
        ("done", "What was done", view.stages()),
        ("open", "What needs a look", view.open()),
        ("state", "Where that leaves the cluster", view.state()),
        ("next", "How to go on", view.next()),
    ];
    for (id, title, blocks) in sections {
        if !blocks.is_empty() {
            page.section(&Section {
                id,
                title: title.to_owned(),
                gist: String::new(),
                weight: Weight::Always,
                blocks,
            });
        }
    }
    page.finish()
}

struct View<'a> {
    spec: &'a Spec,
    result: &'a RunResult,
    names: &'a Names<'a>,
    actions: BTreeMap<&'a str, &'a Action>,
    steps: BTreeMap<&'a str, &'a Step>,
    hosts: BTreeMap<&'a str, &'a Host>,
    lead: Option<&'a str>,
}

impl<'a> View<'a> {
    fn new(spec: &'a Spec, result: &'a RunResult, names: &'a Names<'a>) -> View<'a> {
        View {
            spec,
            result,
            names,
            actions: spec.actions.iter().map(|it| (it.id.as_str(), it)).collect(),
            steps: spec.steps.iter().map(|it| (it.id.as_str(), it)).collect(),
            hosts: spec.hosts.iter().map(|it| (it.id.as_str(), it)).collect(),
            lead: Frame::forward(spec)
                .lead()
                .and_then(|lead| spec.hosts.get(lead as usize))
                .map(|host| host.id.as_str()),
        }
    }

    fn title(&self) -> String {
        match &self.result.outcome {
            Outcome::Done => "The upgrade is done, but for hosts that were left out",
            Outcome::Gate(_) => "The upgrade is paused at a gate",
            Outcome::NothingChanged => "The upgrade ended before anything was changed",
            Outcome::RolledBack => "The upgrade was rolled back",
            Outcome::Paused if self.back() => "The rollback was interrupted",
            Outcome::Paused => "The upgrade is paused",
            Outcome::Undecided if self.back() => "The rollback could not be finished",
            Outcome::Undecided => "The upgrade needs a decision",
            Outcome::Detached => "mkectl let go of a run that goes on",
        }
        .to_owned()
    }

    fn gist(&self) -> String {
        match (self.result.interrupted, self.result.failures.len()) {
            (Some(_), 0) => "interrupted".to_owned(),
            (_, 0) => String::new(),
            (None, n) => count(n, "failure"),
            (Some(_), n) => format!("interrupted, {}", count(n, "failure")),
        }
    }

    fn back(&self) -> bool {
        self.result.book.rolling_back
    }

    /// Failures, alike ones together.
    fn failures(&self) -> Vec<Block> {
        let mut groups: Vec<(&Failure, Vec<&str>)> = Vec::new();
        for failure in &self.result.failures {
            let step = |it: &Failure| self.actions.get(it.action.as_str()).map(|it| it.step.as_str());
            let alike = |known: &Failure| {
                let same =
                    (known.verb, known.end, &known.reason) == (failure.verb, failure.end, &failure.reason);
                same && step(known) == step(failure)
            };
            match groups.iter_mut().find(|(known, _)| alike(known)) {
                Some((_, all)) => all.push(&failure.action),
                None => groups.push((failure, vec![&failure.action])),
            }
        }
        let mut blocks = Vec::new();
        for (failure, all) in groups.iter().take(FAILURES) {
            self.failure(failure, all, &mut blocks);
        }
        if groups.len() > FAILURES {
            let text = format!("and {} more", count(groups.len() - FAILURES, "failure"));
            blocks.push(Block::text(Line::new().dim(text)));
        }
        blocks
    }

    fn failure(&self, failure: &Failure, all: &[&str], blocks: &mut Vec<Block>) {
        let action = self.actions.get(failure.action.as_str());
        let step = action.and_then(|it| self.steps.get(it.step.as_str()));
        let (Some(action), Some(step)) = (action, step) else {
            return;
        };
        let undo = match failure.verb {
            Verb::Run => "",
            Verb::Undo => "the undo of ",
        };
        let title = Line::new()
            .plain(undo)
            .strong(&failure.action)
            .plain(format!(" {}: ", ended(failure.end)))
            .plain(because(&failure.reason));
        if !blocks.is_empty() {
            blocks.push(Block::Gap);
        }
        blocks.push(Block::item(Tone::Danger, "✗", title));
        let about: Vec<&str> = all
            .iter()
            .filter_map(|id| self.actions.get(id))
            .map(|it| it.host.as_str())
            .collect();
        let mut facts = vec![("host", self.host(&about))];
        if step.at == At::Lead {
            let lead = self.lead.unwrap_or("the first manager");
            facts.push(("runs on", Line::from(format!("{lead}, for that host"))));
        }
        facts.push(("action", Line::from(format!("{}: {}", step.id, step.title))));
        facts.push(("command", self.command(step, failure)));
        if let Some(status) = failure.reason.status {
            facts.push(("exit status", Line::from(status.to_string())));
        }
        blocks.push(Block::Facts(facts));
        if !failure.reason.stderr.is_empty() {
            blocks.push(Block::Text {
                indent: 2,
                mark: None,
                line: Line::new().dim("last lines of stderr"),
            });
        }
        for line in &failure.reason.stderr {
            blocks.push(Block::Text {
                indent: 4,
                mark: Some(Span::new(Tone::Dim, "│")),
                line: Line::from(remote(line)),
            });
        }
        let show = format!("mkectl show {} --scripts {}", self.names.plan, failure.action);
        let mut more = vec![("its script", Line::new().info(show))];
        if step.at != At::Operator {
            let digits = self.names.digest.rsplit(':').next().unwrap_or_default();
            let digits: String = digits.chars().take(16).collect();
            let name = ActionName::new(&action.host, &step.id);
            let path = format!("/var/lib/mkectl/{digits}/actions/{name}/");
            let at = match step.at {
                At::Lead => self.lead.unwrap_or("the first manager"),
                _ => action.host.as_str(),
            };
            more.push(("its output", Line::new().info(path).dim(format!(" on {at}"))));
        }
        if !self.names.logs.is_empty() {
            more.push(("logs", Line::new().info(self.names.logs)));
        }
        blocks.push(Block::Facts(more));
    }

    fn host(&self, about: &[&str]) -> Line {
        match about {
            [one] => {
                let line = Line::new().strong(one);
                match self.hosts.get(one) {
                    Some(host) => line.plain(format!(" ({}:{})", host.address, host.port)),
                    None => line,
                }
            }
            _ => Line::new().strong(fold_hosts(about)),
        }
    }

    fn command(&self, step: &Step, failure: &Failure) -> Line {
        let verb = match failure.verb {
            Verb::Run => "run",
            Verb::Undo => "undo",
        };
        let what = match (&step.script, &step.builtin) {
            (Some(script), _) => format!("{script} {verb}"),
            (None, Some(builtin)) => format!("{builtin} {verb}, by mkectl itself"),
            (None, None) => verb.to_owned(),
        };
        let key = (failure.verb, failure.action.clone());
        let attempt = self.result.book.attempts.get(&key).copied().unwrap_or(1);
        Line::new().plain(what).dim(format!(", attempt {attempt}"))
    }

    /// What runs on, what was left out, what was not undone.
    fn open(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        if !self.result.running.is_empty() {
            let text = Line::new()
                .plain("may still run on their hosts: ")
                .strong(some(&self.result.running));
            blocks.push(Block::item(Tone::Warn, "!", text));
        }
        if !self.result.left_out.is_empty() {
            let names: Vec<&String> = self.result.left_out.iter().collect();
            let text = Line::new()
                .plain("left out, stopped and not part of the new cluster: ")
                .strong(fold_hosts(&names));
            blocks.push(Block::item(Tone::Warn, "!", text));
        }
        if !self.result.remaining.is_empty() {
            let text = Line::new()
                .plain("not undone: ")
                .strong(some(&self.result.remaining));
            blocks.push(Block::item(Tone::Warn, "!", text));
        }
        blocks
    }

    fn state(&self) -> Vec<Block> {
        let crossed = self.result.book.crossed(self.spec);
        let text = match &self.result.outcome {
            Outcome::RolledBack => {
                "every change was undone, and each host was compared with what was recorded of it before"
            }
            _ if !crossed.changed => "nothing was changed: MKE 3 serves as before",
            _ if crossed.no_return => "the point of no return is behind: there is no rollback",
            _ if crossed.users_wrote => "users may have written through the new API already",
            _ => "no user has written through the new API yet",
        };
        let mut blocks = vec![Block::text(text)];
        if crossed.no_return {
            blocks.push(Block::deeper(self.impossible()));
            return blocks;
        }
        if !crossed.changed || self.result.outcome == Outcome::RolledBack {
            return blocks;
        }
        let loses = self.loses();
        blocks.push(Block::text(match loses.is_empty() {
            true => "a rollback loses nothing",
            false => "a rollback loses",
        }));
        for (title, what) in loses {
            let text = Line::new().dim(format!("{title}: ")).plain(what);
            blocks.push(Block::item(Tone::Warn, "-", text));
        }
        blocks
    }

    /// Why something that was begun cannot be undone.
    fn impossible(&self) -> String {
        let begun = &self.result.book.touched;
        let of = |step: &&Step| {
            let mut mine = self.spec.actions.iter().filter(|it| it.step == step.id);
            step.undo.kind == UndoKind::Impossible && mine.any(|it| begun.contains(&it.id))
        };
        let step = self.spec.steps.iter().rfind(of);
        step.map_or_else(String::new, |step| step.undo.why.clone())
    }

    /// What undoing loses, by the stages that were begun: each adds to those before it.
    fn loses(&self) -> Vec<(&'a str, &'a str)> {
        let begun: BTreeSet<&str> = self
            .result
            .book
            .intents
            .iter()
            .filter_map(|id| self.actions.get(id.as_str()))
            .filter_map(|action| self.steps.get(action.step.as_str()))
            .map(|step| step.stage.as_str())
            .collect();
        let mut loses: Vec<(&str, &str)> = Vec::new();
        for stage in self
            .spec
            .stages
            .iter()
            .filter(|stage| begun.contains(stage.id.as_str()))
        {
            let what = stage.undo_loses.as_str();
            if !what.is_empty() && what != "nothing" && loses.iter().all(|(_, known)| *known != what) {
                loses.push((&stage.title, what));
            }
        }
        loses
    }

    /// Commands, the likely one first.
    fn next(&self) -> Vec<Block> {
        let plan = self.names.plan;
        let crossed = self.result.book.crossed(self.spec);
        let resume = (
            format!("mkectl apply {plan} --resume"),
            "goes on where this run stopped",
        );
        let again = (format!("mkectl apply {plan} --resume"), "tries again");
        let back = (format!("mkectl rollback {plan}"), "undoes everything");
        let on_back = (format!("mkectl rollback {plan}"), "goes on with the rollback");
        let status = (
            format!("mkectl status {plan}"),
            "says how far it came, as its journal has it",
        );
        let hosts = (
            format!("mkectl apply {plan} --resume"),
            "takes the hosts in that were left out, once they are repaired",
        );
        let new = (
            "mkectl plan … -o NEW-PLAN".to_owned(),
            "makes a new plan: this one is used up",
        );
        let mut commands = match &self.result.outcome {
            Outcome::Done => vec![hosts],
            Outcome::RolledBack => vec![new],
            Outcome::NothingChanged => vec![again],
            Outcome::Gate(_) => vec![resume],
            Outcome::Paused if self.back() => vec![on_back],
            Outcome::Paused => vec![resume],
            Outcome::Undecided if self.back() => vec![status, on_back],
            Outcome::Undecided => vec![status, resume],
            Outcome::Detached if self.back() => vec![status, on_back],
            Outcome::Detached => vec![status, resume],
        };
        let possible = crossed.changed && !crossed.no_return && !self.back();
        let open = !matches!(self.result.outcome, Outcome::RolledBack | Outcome::NothingChanged);
        if possible && open {
            commands.push(back);
        }
        let mut table = Table::new(&["command", "what"]);
        for (command, what) in commands {
            table.row([Line::new().info(command), Line::from(what)]);
        }
        vec![Block::Table(table)]
    }
}

/// Ids, the first few of them.
fn some(ids: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown = ids[..ids.len().min(SHOWN)].join(", ");
    match ids.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {} more", number(more)),
    }
}
