//! Executes actions as the plan wants it, and before that asks of each everything that the contract of scripts promises.

#![allow(
    clippy::print_stdout,
    reason = "what is walked is told where a test is watched"
)]

use super::changes::Seen;
use super::mutants::{self, Mutants};
use super::near::{self, Ran};
use super::stage::{Log, Stage};
use mkectl::apply::journal::Record;
use mkectl::apply::remote::Remote;
use mkectl::apply::runner::{Verb, Verdict};
use mkectl::apply::{ActionCall, ActionEnd, Executor, Fut, Verb as Way};
use mkectl::lab::Lab;
use mkectl::lab::model::Crash;
use mkectl::model::{Action, Effect, UndoKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Attempts of the walker are numbered from here on, beyond those of the engine.
const FIRST: u32 = 1000;

/// At which of its calls a verb is killed: the first ones, then further apart.
const CRASHES: &[u32] = &[0, 1, 2, 4, 7, 12];

/// For how many seconds a verb may wait for what must come, and a mutant for what never will.
const PATIENCE: u32 = 60;
const MUTANT_PATIENCE: u32 = 4;

/// What is asked of an action beside its execution.
enum Hard {
    Nothing,
    /// Everything, on the way forward, of the first action of each step of these stages.
    Stages(Vec<String>),
    /// Everything, on the way back, of the first action of each step; mutants only where there is everything to undo.
    Undo {
        mutants: bool,
    },
}

pub struct Walker {
    remote: Arc<Remote>,
    lab: Arc<Lab>,
    digest: String,
    log: Arc<Log>,
    hard: Hard,
    number: Mutex<u32>,
    met: Mutex<BTreeSet<String>>,
    problems: Mutex<Vec<String>>,
    records: Mutex<Vec<Record>>,
    mutants: BTreeMap<String, Mutants>,
    /// The lab crashes at one place at a time.
    crash: Mutex<()>,
    began: Instant,
}

impl Walker {
    fn new(stage: &Stage, token: u64, hard: Hard) -> Walker {
        let log = Arc::new(Log::default());
        Walker {
            remote: stage.remote(token, log.clone()),
            lab: stage.lab.clone(),
            digest: stage.digest.clone(),
            log,
            hard,
            number: Mutex::new(FIRST),
            met: Mutex::default(),
            problems: Mutex::default(),
            records: Mutex::default(),
            mutants: mutants::read(),
            crash: Mutex::default(),
            began: Instant::now(),
        }
    }

    /// Hard on the first action of each step of these stages, plain with the others.
    pub fn forward(stage: &Stage, stages: &[&str]) -> Walker {
        let stages = stages.iter().map(|&stage| stage.to_owned()).collect();
        Walker::new(stage, 2, Hard::Stages(stages))
    }

    /// As a run does it.
    pub fn plain(stage: &Stage) -> Walker {
        Walker::new(stage, 1, Hard::Nothing)
    }

    /// Hard on the first undo of each step. Several at a time, because some wait for what others bring back.
    pub fn back(stage: &Stage, mutants: bool) -> Walker {
        Walker::new(stage, 3, Hard::Undo { mutants })
    }

    /// One at a time where everything that changes is held against what its action says.
    pub fn width(&self) -> u32 {
        if matches!(self.hard, Hard::Stages(_)) {
            1
        } else {
            8
        }
    }

    pub fn keep(&self, records: Vec<Record>) {
        *self.records.lock().unwrap() = records;
    }

    pub fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap().clone()
    }

    /// Fails with everything that went against the contract.
    pub fn report(&self) {
        let problems = self.problems.lock().unwrap();
        let unmodelled = self.lab.state().unmodelled.clone();
        if let Ok(path) = std::env::var("MKECTL_TEST_LOG") {
            std::fs::write(path, &*self.log.0.lock().unwrap()).unwrap();
        }
        assert!(
            problems.is_empty() && unmodelled.is_empty(),
            "{}\nnot simulated:\n{}",
            problems.join("\n"),
            unmodelled.join("\n")
        );
    }

    fn next(&self) -> u32 {
        let mut number = self.number.lock().unwrap();
        *number += 1;
        *number
    }

    fn trace(&self, what: &str) {
        if std::env::var_os("MKECTL_TEST_TRACE").is_some() {
            println!("{:8.2} {what}", self.began.elapsed().as_secs_f32());
        }
    }

    fn problem(&self, problem: String) {
        self.trace(&problem);
        self.problems.lock().unwrap().push(problem);
    }

    fn wrong(&self, call: &ActionCall, what: &str, ran: &Ran) {
        self.problem(format!("{}: {what}: {:?}\n{}", call.id(), ran.status, ran.text));
    }

    fn verb(&self, call: &ActionCall, verb: Verb, script: Option<&str>, patience: u32) -> Ran {
        let script = script.or_else(|| call.script()).unwrap_or_default();
        let number = self.next();
        let began = Instant::now();
        let ran = tokio::task::block_in_place(|| {
            near::verb(&self.lab, &self.digest, call, (verb, number), script, patience)
        });
        let took = began.elapsed().as_secs_f32();
        if took > 1.0 {
            self.trace(&format!("    {} took {took:.1} s: {:?}", verb.name(), ran.status));
        }
        ran
    }

    /// The probe must say this.
    fn probe(&self, call: &ActionCall, wanted: Verdict, when: &str) {
        let ran = self.verb(call, Verb::Probe, None, PATIENCE);
        if ran.verdict() != wanted {
            self.wrong(call, &format!("the probe should say {wanted:?} {when}"), &ran);
        }
    }

    /// The verb must succeed.
    fn good(&self, call: &ActionCall, verb: Verb, when: &str) {
        let ran = self.verb(call, verb, None, PATIENCE);
        if !ran.done() {
            self.wrong(call, &format!("{} should succeed {when}", verb.name()), &ran);
        }
    }

    /// Kills the verb at some of the calls it makes, before and after the program has done its work.
    fn killed(&self, call: &ActionCall, verb: Verb) {
        let host = &call.at().unwrap().id;
        for (at, &calls) in CRASHES.iter().enumerate() {
            let one = self.crash.lock().unwrap();
            self.lab.state().crash = Some(Crash {
                host: host.clone(),
                calls,
                after: at % 2 == 1,
            });
            let ran = self.verb(call, verb, None, MUTANT_PATIENCE);
            let unused = self.lab.state().crash.take().is_some();
            drop(one);
            if unused {
                // It makes fewer calls: this was a whole run, or it waits for others.
                if !ran.done() && ran.status != Some(75) {
                    self.wrong(call, &format!("{} should succeed half done", verb.name()), &ran);
                }
                return;
            }
            // Whatever the probe says, it must be able to say it.
            let probe = self.verb(call, Verb::Probe, None, PATIENCE);
            if probe.verdict() == Verdict::CannotTell {
                let what = format!(
                    "the probe cannot tell after {} was killed at call {calls}",
                    verb.name()
                );
                self.wrong(call, &what, &probe);
            }
        }
    }

    fn has_verify(call: &ActionCall) -> bool {
        call.script().unwrap_or_default().contains("\nverify()")
    }

    fn hard_forward(&self, call: &ActionCall) {
        let step = call.step();
        let undone = step.undo.kind == UndoKind::Script;
        let reads = step.effect == Effect::Reads;
        let has_verify = Walker::has_verify(call);
        self.probe(call, Verdict::NotDone, "before it ran");
        if undone && !reads {
            self.good(call, Verb::Undo, "where it never ran");
            self.probe(call, Verdict::NotDone, "after an undo of nothing");
        }
        self.run_mutants(call);
        self.killed(call, Verb::Run);
        self.good(call, Verb::Run, "after it was killed");
        if has_verify {
            self.good(call, Verb::Verify, "after run");
        }
        // A script without verify proves itself by its probe. That it runs a second time, and what it is like then, is
        // what the execution shows that follows.
        if !reads && !has_verify {
            self.probe(call, Verdict::Done, "after run");
        }
    }

    /// The lines that are dropped at this action: those of a script are dealt out to all actions that it has in the plan,
    /// because what a mutant left behind could hide the next.
    fn dealt<'a>(&self, call: &ActionCall, lines: impl Fn(&Mutants) -> &Vec<String> + 'a) -> Vec<String> {
        let spec = call.spec();
        let digest = &call.step().script_digest;
        let has = |action: &&Action| {
            spec.steps
                .iter()
                .any(|step| step.id == action.step && step.script_digest == *digest)
        };
        let of = spec.actions.iter().filter(has).count();
        let at = spec
            .actions
            .iter()
            .filter(has)
            .position(|action| action.id == call.id());
        let known = self
            .mutants
            .get(call.step().script.as_deref().unwrap_or_default());
        known
            .map(lines)
            .into_iter()
            .flatten()
            .enumerate()
            .filter(|(index, _)| Some(index % of) == at)
            .map(|(_, line)| line.clone())
            .collect()
    }

    fn run_mutants(&self, call: &ActionCall) {
        let step = call.step();
        let changes = &step.changes;
        // Of what only changes objects, the store alone has to be put back.
        let objects = step.effect == Effect::Reads
            || changes.files.is_empty()
                && changes.units.is_empty()
                && changes.containers.is_empty()
                && changes.services.is_empty()
                && changes.volumes.is_empty();
        let before = self.lab.state().k0s.clone();
        let lines = self.dealt(call, |mutants| &mutants.run);
        for (at, line) in lines.iter().enumerate() {
            if let Some(mutated) = self.mutated(call, line) {
                self.mutant(call, line, &mutated);
            }
            if objects && step.undo.kind != UndoKind::Script {
                self.lab.state().k0s = before.clone();
                near::forget_work(&self.lab, &self.digest, call);
            } else if at + 1 < lines.len() && step.undo.kind == UndoKind::Script {
                self.good(call, Verb::Undo, "after a mutant");
            }
        }
    }

    fn mutated(&self, call: &ActionCall, line: &str) -> Option<String> {
        let mutated = mutants::without(call.script().unwrap_or_default(), line);
        if mutated.is_none() {
            self.problem(format!("{}: the script has no line {line:?} to drop", call.id()));
        }
        mutated
    }

    /// With a line less, its run fails, or running it again, or it is not done afterwards, or something is missing that it
    /// should hand on.
    fn mutant(&self, call: &ActionCall, line: &str, mutated: &str) {
        for _ in 0..2 {
            let ran = self.verb(call, Verb::Run, Some(mutated), MUTANT_PATIENCE);
            if !ran.done() || call.step().outputs.keys().any(|name| !ran.outputs.contains(name)) {
                return;
            }
            if call.step().repeatable {
                break;
            }
        }
        let after = if Walker::has_verify(call) {
            let after = self.verb(call, Verb::Verify, Some(mutated), MUTANT_PATIENCE);
            if !after.done() {
                return;
            }
            after
        } else {
            let after = self.verb(call, Verb::Probe, Some(mutated), PATIENCE);
            if call.step().effect != Effect::Reads && after.verdict() != Verdict::Done {
                return;
            }
            after
        };
        self.wrong(call, &format!("nobody notices that {line:?} is missing"), &after);
    }

    fn undo_mutants(&self, call: &ActionCall, lines: &[String]) {
        for line in lines {
            let Some(mutated) = self.mutated(call, line) else {
                continue;
            };
            let ran = self.verb(call, Verb::Undo, Some(&mutated), MUTANT_PATIENCE);
            if !ran.done() {
                continue;
            }
            let after = self.verb(call, Verb::Probe, None, PATIENCE);
            if after.verdict() == Verdict::NotDone {
                self.wrong(call, &format!("nobody notices that {line:?} is missing"), &after);
            }
        }
    }
}

impl Executor for Walker {
    fn execute<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ActionEnd> {
        Box::pin(async move {
            self.trace(&format!("{:?} {}", call.verb, call.id()));
            let first = self
                .met
                .lock()
                .unwrap()
                .insert(format!("{:?} {}", call.verb, call.step().id));
            let scripted = call.at().is_some();
            let forward = match &self.hard {
                Hard::Stages(stages) => scripted && stages.contains(&call.step().stage),
                _ => false,
            };
            let back = matches!(self.hard, Hard::Undo { .. })
                && scripted
                && call.verb == Way::Undo
                && call.step().undo.kind == UndoKind::Script;
            let mutants = match (&self.hard, call.verb) {
                (Hard::Stages(_), Way::Run) => self.dealt(call, |mutants| &mutants.run),
                (Hard::Undo { mutants: true }, Way::Undo) => self.dealt(call, |mutants| &mutants.undo),
                _ => Vec::new(),
            };
            let seen = call
                .at()
                .filter(|_| matches!(self.hard, Hard::Stages(_)))
                .map(|host| Seen::now(&self.lab, &host.id));
            if (forward || back) && (first || !mutants.is_empty()) {
                // The long way, which brings what the script needs.
                if let Err(reason) = self.remote.exercise(call, Verb::Probe, self.next(), None).await {
                    self.problem(format!("{}: the probe could not be run: {reason}", call.id()));
                }
                near::place_secrets(&self.lab, call);
            }
            match (forward, back) {
                (true, _) if first => self.hard_forward(call),
                (true, _) => self.run_mutants(call),
                (_, true) => self.undo_mutants(call, &mutants),
                _ => {}
            }
            if back && first {
                self.killed(call, Verb::Undo);
            }
            let end = self.remote.execute(call).await;
            if back && first {
                self.good(call, Verb::Undo, "a second time");
            }
            if let (Some(seen), Some(host)) = (seen, call.at()) {
                let more = seen.undeclared(&Seen::now(&self.lab, &host.id), call);
                for what in more {
                    self.problem(format!(
                        "{:?} {} changes {what}, and the plan does not say so",
                        call.verb,
                        call.id()
                    ));
                }
            }
            if !matches!(end, ActionEnd::Done(_)) {
                println!("{:?} {}: {end:#?}", call.verb, call.id());
            }
            end
        })
    }

    fn cancel<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ()> {
        self.remote.cancel(call)
    }
}
