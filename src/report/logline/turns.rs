//! What a run begins with, where it turns, and how it ends.

use super::rollback::Rollback;
use super::{Level, Log};
use crate::apply::control::{Cause, Decision, Interrupt, Reaction};
use crate::text::{count, duration};

impl Log {
    pub(super) fn run_starts(&mut self, plan: &str, width: u32, actions: u32, done: u32, resumed: bool) {
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

    pub(super) fn interrupted(&mut self, interrupt: Interrupt, reaction: Reaction) {
        let running = count(self.progress.running.len(), "action");
        let signal = signal(interrupt);
        let text = match reaction {
            Reaction::Finish => format!(
                "This run does not hold the cluster any more: nothing new is started, waiting for the end of {running}"
            ),
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
        if reaction == Reaction::Finish {
            self.error = Some(
                "another run has taken this cluster over, or a majority of its managers is lost".to_owned(),
            );
        }
    }

    pub(super) fn decided(&mut self, cause: Cause, action: Option<&str>, decision: Decision) {
        if decision == Decision::Quarantine {
            return;
        }
        let failed = self.last_failure.take();
        if let Some((at, why)) = failed
            .filter(|_| !matches!(cause, Cause::Interrupted | Cause::Superseded) || self.error.is_none())
        {
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

    pub(super) fn rollback_starts(&mut self, loses: &str) {
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

    pub(super) fn end(&mut self, outcome: &str) {
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

/// As the real tool writes it.
fn signal(interrupt: Interrupt) -> &'static str {
    match interrupt {
        Interrupt::Int => "interrupt",
        Interrupt::Term => "terminated",
        Interrupt::Superseded => "superseded",
    }
}

fn known(version: &str) -> &str {
    if version.is_empty() { "unknown" } else { version }
}
