//! Log lines of a run, in the form of the real tool: `INFO[0106] ==> Running phase: Prepare the hosts`.
//!
//! A step says when its first host begins and when its last is done, whether it has three hosts or a thousand; failures
//! are always said, output of scripts at `debug`.

mod line;
mod rollback;
mod turns;

pub use line::{Form, Level, format};

use super::progress::{Progress, State, because, ended, remote};
use crate::apply::Verb;
use crate::apply::book::Book;
use crate::apply::events::{EndKind, Event, Line, Subscriber};
use crate::model::{At, Host, Spec};
use crate::text::{count, duration, fold_hosts, number, truncate};
use rollback::Rollback;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// A folded list of hosts in a line is at most so long.
const HOSTS: usize = 120;
/// Retries of a step that are warnings; further ones are details.
const RETRIES: u32 = 3;

/// Everything that log lines of a run take.
pub struct Setup<'a> {
    /// The plan.
    pub spec: Arc<Spec>,
    /// What earlier runs of the plan came to; the default for the first.
    pub earlier: &'a Book,
    /// The stage after which the run stops.
    pub until: Option<&'a str>,
    /// How much is written.
    pub level: Level,
    /// Form of the lines.
    pub form: Form,
    /// Where lines go; each is flushed.
    pub out: Box<dyn Write + Send>,
}

/// Writes log lines of a run. Their seconds are those of the clock of the run's events.
pub struct LogLines(Mutex<Log>);

struct Log {
    progress: Progress,
    level: Level,
    form: Form,
    out: Box<dyn Write + Send>,
    seconds: u64,
    retries: Vec<u32>,
    /// Why the upgrade is given up.
    error: Option<String>,
    last_failure: Option<(usize, String)>,
    rollback: Option<Rollback>,
}

impl LogLines {
    /// Log lines for a run that has not begun.
    pub fn new(setup: Setup<'_>) -> LogLines {
        let steps = setup.spec.steps.len();
        LogLines(Mutex::new(Log {
            progress: Progress::new(setup.spec, setup.earlier, setup.until),
            level: setup.level,
            form: setup.form,
            out: setup.out,
            seconds: 0,
            retries: vec![0; steps],
            error: None,
            last_failure: None,
            rollback: None,
        }))
    }
}

impl Subscriber for LogLines {
    fn line(&self, line: &Line) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(line);
    }
}

impl Log {
    fn say(&mut self, level: Level, message: &str) {
        if level > self.level {
            return;
        }
        let line = format(self.form, level, self.seconds, message);
        // There is nowhere to report a failure of that to; the journal has everything.
        let _ = self
            .out
            .write_all(line.as_bytes())
            .and_then(|()| self.out.flush());
    }

    fn take(&mut self, line: &Line) {
        self.seconds = line.ms / 1000;
        let news = self.progress.take(line);
        if let Event::StageStart { stage } = &line.event {
            let title = self.title(stage);
            let undo = match self.progress.verb {
                Verb::Run => "",
                Verb::Undo => "Undo: ",
            };
            self.say(Level::Info, &format!("==> Running phase: {undo}{title}"));
        }
        for step in &news.begun {
            self.step_begins(*step);
        }
        self.event(&line.event);
        for (step, ms) in &news.ended {
            self.step_ends(*step, *ms);
        }
        for (stage, _) in &news.stages {
            if self.progress.verb == Verb::Run {
                let title = self.progress.spec.stages[*stage].title.clone();
                self.say(Level::Info, &format!("[{title}] Completed"));
            }
        }
        if let Some(mut rollback) = self.rollback.take() {
            for text in rollback.news(&self.progress) {
                self.say(Level::Info, &text);
            }
            self.rollback = Some(rollback);
        }
        if let Event::RunEnd { outcome, .. } = &line.event {
            self.end(outcome);
        }
    }

    fn title(&self, stage: &str) -> String {
        let stages = &self.progress.spec.stages;
        let found = stages.iter().find(|it| it.id == stage);
        found.map_or_else(|| stage.to_owned(), |it| it.title.clone())
    }

    /// Where an action executes, as the real tool names it.
    fn place(&self, action: usize) -> String {
        match self.progress.place_of(action) {
            Some(host) => ssh(host),
            None => "[local]".to_owned(),
        }
    }

    fn step_begins(&mut self, step: usize) {
        let open = |state| matches!(state, State::Waiting | State::Running);
        let hosts = self.progress.hosts_of_step(step, open);
        let row = &self.progress.spec.steps[step];
        let what = match self.progress.verb {
            Verb::Run => row.title.clone(),
            Verb::Undo => format!("Undo: {}", row.title),
        };
        let id = row.id.clone();
        let text = match (hosts.as_slice(), self.only(step)) {
            ([_], Some(action)) => format!("{}: {id}: {what}", self.place(action)),
            (hosts, _) => {
                let on = named(hosts);
                format!("[{id}] {}: {what}: {on}", count(hosts.len(), "host"))
            }
        };
        self.say(Level::Info, &text);
    }

    /// The action of a step, when there is only one on the way.
    fn only(&self, step: usize) -> Option<usize> {
        let of = |action: &usize| {
            self.progress.step[*action] == step && self.progress.states[*action] != State::Absent
        };
        let mut mine = (0..self.progress.states.len()).filter(of);
        let first = mine.next();
        first.filter(|_| mine.next().is_none())
    }

    fn step_ends(&mut self, step: usize, ms: u64) {
        let state = self.progress.steps[step];
        let id = self.progress.spec.steps[step].id.clone();
        let done = match self.progress.verb {
            Verb::Run => "done",
            Verb::Undo => "undone",
        };
        let time = duration(ms / 1000);
        let mut text = match self.only(step) {
            Some(action) if state.tally.done == 1 => {
                format!("{}: {id}: {done} in {time}", self.place(action))
            }
            _ => format!("[{id}] {done} on {} in {time}", count(state.tally.done, "host")),
        };
        if state.tally.left_out > 0 {
            text.push_str(&format!(", {} left out", number(state.tally.left_out)));
        }
        self.say(Level::Info, &text);
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStart {
                plan,
                width,
                actions,
                done,
                resumed,
            } => self.run_starts(plan, *width, *actions, *done, *resumed),
            Event::ActionStart {
                action,
                verb,
                attempt,
                doubtful,
                ..
            } => {
                let doubt = if *doubtful {
                    ", which may have begun before"
                } else {
                    ""
                };
                let text = format!("{} attempt {attempt}{doubt}", word(*verb));
                self.host_line(Level::Debug, action, &text);
            }
            Event::ActionSeen { action, text, .. } => self.host_line(Level::Debug, action, &remote(text)),
            Event::ActionOutput { action, text, .. } => {
                self.host_line(Level::Debug, action, &format!("| {}", remote(text)));
            }
            Event::ActionRetry {
                action,
                attempt,
                after_ms,
                reason,
                ..
            } => self.again(action, *attempt, *after_ms, &because(reason)),
            Event::ActionEnd {
                action,
                verb,
                end,
                elapsed_ms,
                reason,
            } => self.action_ends(action, *verb, *end, *elapsed_ms, reason.as_ref()),
            Event::HostQuarantined { host, action, .. } => {
                let text = format!("{host} is left out from here on, because {action} did not end well");
                self.say(Level::Warn, &text);
            }
            Event::Interrupted { interrupt, reaction } => self.interrupted(*interrupt, *reaction),
            Event::Decided {
                cause,
                action,
                decision,
            } => self.decided(*cause, action.as_deref(), *decision),
            Event::RollbackStart { loses, .. } => self.rollback_starts(loses),
            _ => {}
        }
    }

    fn host_line(&mut self, level: Level, action: &str, text: &str) {
        if level > self.level {
            return;
        }
        let place = self.progress.place(action).map(|at| self.place(at));
        let place = place.unwrap_or_else(|| "[local]".to_owned());
        self.say(level, &format!("{place}: {}: {text}", self.short(action)));
    }

    /// The step of an action, and the host that it is about where that is another than the one it executes on.
    fn short<'a>(&self, action: &'a str) -> &'a str {
        let elsewhere = self.progress.place(action);
        let elsewhere = elsewhere.is_some_and(|at| self.progress.step_of(at).at != At::Subject);
        match action.rsplit_once('/') {
            Some((_, step)) if !elsewhere => step,
            _ => action,
        }
    }

    fn again(&mut self, action: &str, attempt: u32, after_ms: u64, why: &str) {
        let text = format!(
            "{why}; attempt {attempt} in {}",
            duration(after_ms.div_ceil(1000))
        );
        let Some(at) = self.progress.place(action) else {
            return;
        };
        let step = self.progress.step[at];
        self.retries[step] = self.retries[step].saturating_add(1);
        let level = match self.retries[step] {
            0..=RETRIES => Level::Warn,
            _ => Level::Debug,
        };
        self.host_line(level, action, &text);
        if self.retries[step] == RETRIES {
            let id = self.progress.spec.steps[step].id.clone();
            let text = format!("[{id}] further attempts are logged at the level debug");
            self.say(Level::Warn, &text);
        }
    }

    fn action_ends(
        &mut self,
        action: &str,
        verb: Verb,
        end: EndKind,
        elapsed_ms: u64,
        reason: Option<&crate::apply::Reason>,
    ) {
        let why = reason.map(because).unwrap_or_default();
        let time = duration(elapsed_ms / 1000);
        match end {
            EndKind::Done => {
                return self.host_line(Level::Debug, action, &format!("{} done in {time}", word(verb)));
            }
            EndKind::Cancelled => return self.host_line(Level::Info, action, &format!("cancelled: {why}")),
            _ => {}
        }
        let text = format!("{} {} after {time}: {why}", word(verb), ended(end));
        self.host_line(Level::Error, action, &text);
        for line in reason.map_or(&[][..], |reason| &reason.stderr) {
            self.host_line(Level::Error, action, &format!("| {}", remote(line)));
        }
        if let Some(at) = self.progress.place(action) {
            self.last_failure = Some((at, format!("{action}: {why}")));
        }
    }
}

fn ssh(host: &Host) -> String {
    match host.address.contains(':') {
        true => format!("[ssh] [{}]:{}", host.address, host.port),
        false => format!("[ssh] {}:{}", host.address, host.port),
    }
}

fn named(hosts: &[&str]) -> String {
    truncate(&fold_hosts(hosts), HOSTS, "…")
}

fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Run => "run",
        Verb::Undo => "undo",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_as_the_real_tool_names_them() {
        let mut host = Host {
            id: "m".to_owned(),
            role: None,
            address: "54.151.30.20".to_owned(),
            port: 22,
            user: String::new(),
            key_path: String::new(),
            bastion: None,
            host_keys: Vec::new(),
            machine_id: String::new(),
            fields: Default::default(),
            facts: Default::default(),
        };
        assert_eq!(ssh(&host), "[ssh] 54.151.30.20:22");
        host.address = "fd00::1".to_owned();
        assert_eq!(ssh(&host), "[ssh] [fd00::1]:22");
    }
}
