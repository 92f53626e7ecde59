//! Log lines of a run, in the form of the real tool: `INFO[0106] ==> Running phase: Prepare the hosts`.
//!
//! A step says when its first host begins and when its last is done, whether it has three hosts or a thousand; failures
//! are always said, output of scripts at `debug`.

mod rollback;

use super::progress::{Progress, State, because, ended, remote};
use crate::apply::Verb;
use crate::apply::book::Book;
use crate::apply::control::{Cause, Decision, Interrupt, Reaction};
use crate::apply::events::{EndKind, Event, Line, Subscriber};
use crate::model::{At, Host, Spec};
use crate::text::{count, duration, fold_hosts, number, sanitize, truncate};
use rollback::Rollback;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The run ends with it.
    Fatal,
    /// Something failed.
    Error,
    /// A person should know.
    Warn,
    /// What is being done.
    Info,
    /// Details.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// The four letters in front of a line.
    pub fn short(self) -> &'static str {
        match self {
            Level::Fatal => "FATA",
            Level::Error => "ERRO",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Debug => "DEBU",
            Level::Trace => "TRAC",
        }
    }

    /// Its name in JSON.
    pub fn long(self) -> &'static str {
        match self {
            Level::Fatal => "fatal",
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

/// Form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `INFO[0106] message`; the number is seconds since the start.
    Text,
    /// One JSON object a line.
    Json,
}

/// One line with its line break. Control characters of the message are replaced; seconds beyond 9999 take more digits.
pub fn format(form: Form, level: Level, seconds: u64, message: &str) -> String {
    let message = sanitize(message);
    match form {
        Form::Text => format!("{}[{seconds:04}] {message}\n", level.short()),
        Form::Json => {
            let line = serde_json::json!({"level": level.long(), "msg": message, "seconds": seconds});
            format!("{line}\n")
        }
    }
}

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

    fn run_starts(&mut self, plan: &str, width: u32, actions: u32, done: u32, resumed: bool) {
        let cluster = &self.progress.spec.cluster;
        let text = format!(
            "Upgrading MKE {} to MKE {} with plan {plan}",
            known(&cluster.from.mke),
            known(&cluster.to.mke)
        );
        let hosts = count(self.progress.spec.hosts.len(), "host");
        let more = format!(
            "{} on {hosts}, {} at once",
            count(actions as usize, "action"),
            count(width as usize, "connection")
        );
        self.say(Level::Info, &text);
        self.say(Level::Info, &more);
        if resumed {
            let text = format!(
                "Taking an earlier run up: {} are done",
                count(done as usize, "action")
            );
            self.say(Level::Info, &text);
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

    fn interrupted(&mut self, interrupt: Interrupt, reaction: Reaction) {
        let running = count(self.progress.running.len(), "action");
        let signal = signal(interrupt);
        let text = match reaction {
            Reaction::Stop => {
                format!("Received signal {signal}: nothing new is started, waiting for the end of {running}")
            }
            Reaction::Detach => {
                format!("Received signal {signal} again: letting go of {running}, which go on on their hosts")
            }
            Reaction::Exit => format!("Received signal {signal} a third time: leaving at once"),
        };
        self.say(Level::Warn, &text);
        if reaction == Reaction::Stop && self.error.is_none() && self.rollback.is_none() {
            self.error = Some(format!("aborting upgrade due to signal {signal}"));
        }
    }

    fn decided(&mut self, cause: Cause, action: Option<&str>, decision: Decision) {
        if decision == Decision::Quarantine {
            return;
        }
        let failed = self.last_failure.take();
        if let Some((at, why)) = failed.filter(|_| cause != Cause::Interrupted || self.error.is_none()) {
            let stage = &self.progress.stage_of(at).title;
            self.error = Some(format!("failed to run step [{stage}]: {why}"));
        }
        let error = self.error.clone().unwrap_or_else(|| match action {
            Some(action) => format!("{action} did not end well"),
            None => "the run could not go on".to_owned(),
        });
        let text = match decision {
            Decision::Rollback => {
                format!("Initiating rollback because of upgrade failure. upgradeErr = {error}")
            }
            Decision::Pause => format!("Pausing because of upgrade failure. upgradeErr = {error}"),
            Decision::Undecided => {
                format!("A person must decide how to go on after upgrade failure. upgradeErr = {error}")
            }
            _ => return,
        };
        self.error = Some(error);
        self.say(Level::Warn, &text);
    }

    fn rollback_starts(&mut self, loses: &str) {
        let version = known(&self.progress.spec.cluster.from.mke).to_owned();
        self.say(
            Level::Info,
            &format!("Initiating rollback of MKE to version: {version}"),
        );
        if !loses.is_empty() && loses != "nothing" {
            self.say(Level::Warn, &format!("The rollback loses: {loses}"));
        }
        self.retries.fill(0);
        self.rollback = Some(Rollback::new(&self.progress));
    }

    fn end(&mut self, outcome: &str) {
        let began = self.progress.began_ms.unwrap_or(self.progress.now_ms);
        let time = duration(self.progress.now_ms.saturating_sub(began) / 1000);
        let cluster = &self.progress.spec.cluster;
        let (from, to) = (
            known(&cluster.from.mke).to_owned(),
            known(&cluster.to.mke).to_owned(),
        );
        let tally = self.progress.tally();
        self.say(Level::Info, &format!("==> Finished in {time}"));
        let error = self.error.take();
        match outcome {
            "done" if tally.left_out == 0 => {
                let text = format!("Upgrade to MKE version {to} completed successfully ...");
                self.say(Level::Info, &text);
            }
            "done" => {
                let text = format!("Upgrade to MKE version {to} completed, but hosts were left out ...");
                self.say(Level::Warn, &text);
            }
            "gate" => self.say(Level::Info, "Paused at the gate, as asked for"),
            "rolled-back" => {
                let text = format!("Rollback to MKE version {from} completed successfully ...");
                self.say(Level::Info, &text);
                if let Some(error) = error {
                    self.say(Level::Fatal, &format!("Upgrade failed due to error: {error}"));
                }
            }
            _ if self.rollback.is_some() => {
                let left = count(tally.all.saturating_sub(tally.done), "undo");
                let text = format!("Rollback to MKE version {from} is not complete: {left} remain");
                self.say(Level::Fatal, &text);
            }
            _ => {
                let error = error.unwrap_or_else(|| format!("the run ended as {outcome}"));
                self.say(Level::Fatal, &format!("Upgrade failed due to error: {error}"));
            }
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

/// As the real tool writes it.
fn signal(interrupt: Interrupt) -> &'static str {
    match interrupt {
        Interrupt::Int => "interrupt",
        Interrupt::Term => "terminated",
    }
}

pub(super) fn known(version: &str) -> &str {
    if version.is_empty() { "unknown" } else { version }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_is_in_it() {
        let line = format(Form::Text, Level::Warn, 106, "one\nFATA[0000] two\u{1b}[2J");
        assert_eq!(line, "WARN[0106] one FATA[0000] two\u{FFFD}[2J\n");
        assert_eq!(format(Form::Text, Level::Trace, 12345, "x"), "TRAC[12345] x\n");
        let line = format(Form::Json, Level::Fatal, 7, "a \"b\"\n");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({"level": "fatal", "msg": "a \"b\" ", "seconds": 7});
        assert_eq!(value, expected);
    }

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
