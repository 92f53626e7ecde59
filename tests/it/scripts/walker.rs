//! Executes actions as the plan wants it, and before that asks of each everything that the contract of scripts promises.

#![allow(
    clippy::print_stdout,
    reason = "what is walked is told where a test is watched"
)]

use super::changes::Seen;
use super::stage::{Log, Stage};
use mkectl::apply::journal::Record;
use mkectl::apply::remote::{Exercised, Remote};
use mkectl::apply::runner::{AttemptState, Outcome, Verb, Verdict};
use mkectl::apply::{ActionCall, ActionEnd, Executor, Fut, Verb as Way};
use mkectl::lab::Lab;
use mkectl::lab::model::Crash;
use mkectl::model::{Effect, UndoKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Attempts of the walker are numbered from here on, beyond those of the engine.
const FIRST: u32 = 1000;

/// At most so many crashes are tried in one verb of one action.
const CRASHES: u32 = 4;

pub struct Walker {
    remote: Arc<Remote>,
    lab: Arc<Lab>,
    log: Arc<Log>,
    hard: bool,
    twice: bool,
    number: Mutex<u32>,
    met: Mutex<BTreeSet<String>>,
    problems: Mutex<Vec<String>>,
    records: Mutex<Vec<Record>>,
    mutants: BTreeMap<String, Vec<String>>,
}

impl Walker {
    fn new(stage: &Stage, token: u64, hard: bool) -> Walker {
        let log = Arc::new(Log::default());
        Walker {
            remote: stage.remote(token, log.clone()),
            lab: stage.lab.clone(),
            log,
            hard,
            twice: false,
            number: Mutex::new(FIRST),
            met: Mutex::default(),
            problems: Mutex::default(),
            records: Mutex::default(),
            mutants: super::mutants(),
        }
    }

    /// Hard on the first action of each step, plain with the others.
    pub fn forward(stage: &Stage) -> Walker {
        Walker::new(stage, 1, true)
    }

    /// As a run does it.
    pub fn plain(stage: &Stage) -> Walker {
        Walker::new(stage, 1, false)
    }

    /// Makes every undo twice. Several at a time, because some wait for what others bring back.
    pub fn back(stage: &Stage) -> Walker {
        Walker {
            twice: true,
            ..Walker::new(stage, 2, false)
        }
    }

    pub fn width(&self) -> u32 {
        if self.hard { 1 } else { 8 }
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

    fn wrong(&self, call: &ActionCall, what: &str, ran: &Exercised) {
        self.problems.lock().unwrap().push(format!(
            "{}: {what}: {:?}\n    {}",
            call.id(),
            ran.state,
            [ran.stdout.clone(), ran.stderr.clone()].concat().join("\n    ")
        ));
    }

    async fn verb(&self, call: &ActionCall, verb: Verb, script: Option<&str>) -> Option<Exercised> {
        match self.remote.exercise(call, verb, self.next(), script).await {
            Ok(ran) => Some(ran),
            Err(reason) => {
                self.problems.lock().unwrap().push(format!(
                    "{}: {} could not be run: {reason}",
                    call.id(),
                    verb.name()
                ));
                None
            }
        }
    }

    /// The probe must say this.
    async fn probe(&self, call: &ActionCall, wanted: Verdict, when: &str) {
        if let Some(ran) = self.verb(call, Verb::Probe, None).await
            && verdict(&ran) != wanted
        {
            self.wrong(call, &format!("the probe should say {wanted:?} {when}"), &ran);
        }
    }

    /// The verb must succeed.
    async fn good(&self, call: &ActionCall, verb: Verb, when: &str) -> bool {
        let Some(ran) = self.verb(call, verb, None).await else {
            return false;
        };
        let done = is_done(&ran);
        if !done {
            self.wrong(call, &format!("{} should succeed {when}", verb.name()), &ran);
        }
        done
    }

    /// Kills the verb at some of the calls it makes. True when it came to its end unharmed at last.
    async fn killed(&self, call: &ActionCall, verb: Verb, host: &str) -> bool {
        for at in 0..CRASHES {
            // The first calls, then further apart; before and after the program has done its work.
            let calls = at * (at + 1) / 2;
            self.lab.state().crash = Some(Crash {
                host: host.to_owned(),
                calls,
                after: at % 2 == 1,
            });
            let ran = self.verb(call, verb, None).await;
            let unused = self.lab.state().crash.take().is_some();
            let Some(ran) = ran else { return false };
            if unused {
                // It makes fewer calls: this was a whole run.
                if !is_done(&ran) {
                    self.wrong(call, &format!("{} should succeed half done", verb.name()), &ran);
                }
                return is_done(&ran);
            }
            // Whatever the probe says, it must be able to say it.
            if let Some(probe) = self.verb(call, Verb::Probe, None).await
                && verdict(&probe) == Verdict::CannotTell
            {
                self.wrong(
                    call,
                    &format!(
                        "the probe cannot tell after {} was killed at call {calls}",
                        verb.name()
                    ),
                    &probe,
                );
            }
        }
        false
    }

    async fn hard(&self, call: &ActionCall) {
        let Some(host) = call.at().map(|host| host.id.clone()) else {
            return;
        };
        let step = call.step();
        let undone = step.undo.kind == UndoKind::Script;
        let has_verify = call.script().unwrap_or_default().contains("\nverify()");
        match call.verb {
            Way::Run => {
                self.probe(call, Verdict::NotDone, "before it ran").await;
                if undone && step.effect != Effect::Reads {
                    self.good(call, Verb::Undo, "where it never ran").await;
                    self.probe(call, Verdict::NotDone, "after an undo of nothing")
                        .await;
                }
                for line in self
                    .mutants
                    .get(step.script.as_deref().unwrap_or_default())
                    .into_iter()
                    .flatten()
                {
                    self.mutant(call, line, has_verify).await;
                }
                self.killed(call, Verb::Run, &host).await;
                self.good(call, Verb::Run, "after it was killed").await;
                if has_verify {
                    self.good(call, Verb::Verify, "after run").await;
                }
                // A script without verify proves itself by its probe.
                if step.effect != Effect::Reads && !has_verify {
                    self.probe(call, Verdict::Done, "after run").await;
                }
                self.good(call, Verb::Run, "a second time").await;
                if has_verify {
                    self.good(call, Verb::Verify, "after the second run").await;
                }
            }
            Way::Undo => {}
        }
    }

    /// With a line less, its run fails, or it is not done afterwards.
    async fn mutant(&self, call: &ActionCall, line: &str, has_verify: bool) {
        let script = call.script().unwrap_or_default();
        let mut dropped = false;
        let mutated: String = script
            .lines()
            .filter(|known| {
                let this = !dropped && known.trim() == line.trim();
                dropped |= this;
                !this
            })
            .flat_map(|known| [known, "\n"])
            .collect();
        if !dropped {
            let problem = format!("{}: the script has no line {line:?} to drop", call.id());
            self.problems.lock().unwrap().push(problem);
            return;
        }
        let Some(ran) = self.verb(call, Verb::Run, Some(&mutated)).await else {
            return;
        };
        if !is_done(&ran) {
            return;
        }
        let look = if has_verify { Verb::Verify } else { Verb::Probe };
        let Some(after) = self.verb(call, look, None).await else {
            return;
        };
        let caught = if has_verify {
            !is_done(&after)
        } else {
            verdict(&after) != Verdict::Done
        };
        if !caught {
            self.wrong(call, &format!("nobody notices that {line:?} is missing"), &after);
        }
    }
}

fn verdict(ran: &Exercised) -> Verdict {
    match &ran.state {
        AttemptState::Ended(ended) => ended.verdict(),
        _ => Verdict::CannotTell,
    }
}

fn is_done(ran: &Exercised) -> bool {
    matches!(&ran.state, AttemptState::Ended(ended) if ended.outcome() == Outcome::Done)
}

impl Executor for Walker {
    fn execute<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ActionEnd> {
        Box::pin(async move {
            let seen = call.at().map(|host| Seen::now(&self.lab, &host.id));
            let first = self
                .met
                .lock()
                .unwrap()
                .insert(format!("{:?} {}", call.verb, call.step().id));
            if std::env::var_os("MKECTL_TEST_TRACE").is_some() {
                println!("{:?} {}", call.verb, call.id());
            }
            if self.hard && first {
                self.hard(call).await;
            }
            let end = self.remote.execute(call).await;
            if self.twice
                && call.verb == Way::Undo
                && call.step().undo.kind == UndoKind::Script
                && call.at().is_some()
            {
                self.good(call, Verb::Undo, "a second time").await;
            }
            if let (true, Some(seen), Some(host)) = (self.hard, seen, call.at()) {
                let more = seen.undeclared(&Seen::now(&self.lab, &host.id), call);
                for what in more {
                    let problem = format!(
                        "{:?} {} changes {what}, and the plan does not say so",
                        call.verb,
                        call.id()
                    );
                    self.problems.lock().unwrap().push(problem);
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
