//! What the end of an attempt leads to.

use super::*;

impl Run {
    pub(super) fn again(
        &mut self,
        drive: &mut Drive<'_>,
        action: u32,
        call: &ActionCall,
        tries: u32,
        reason: &Reason,
    ) -> io::Result<()> {
        self.result(
            call.id(),
            call.verb,
            call.attempt,
            EndKind::Temporary,
            BTreeMap::new(),
            Some(reason),
        )?;
        let next = match self.call(drive, action) {
            Ok(next) => next,
            Err(error) => {
                let end = ActionEnd::Failed(Reason::new(error.to_string()));
                return self.settle(drive, action, call.attempt, end);
            }
        };
        self.record(Record::Retry {
            at: self.at(),
            action: next.id().to_owned(),
            verb: next.verb,
            attempt: next.attempt,
        })?;
        self.intent(&next)?;
        let factor = 2u32.saturating_pow(tries - 1);
        let delay = self
            .limits
            .retry_first
            .saturating_mul(factor)
            .min(self.limits.retry_most);
        self.events.emit(Event::ActionRetry {
            action: next.id().to_owned(),
            verb: next.verb,
            attempt: next.attempt,
            after_ms: millis(delay),
            reason: reason.clone(),
        });
        if let Some(running) = drive.running.get_mut(&action) {
            running.tries = tries + 1;
        }
        drive.next.push((action, next, delay));
        Ok(())
    }

    pub(super) fn result(
        &mut self,
        action: &str,
        verb: Verb,
        attempt: u32,
        end: EndKind,
        outputs: BTreeMap<String, Recorded>,
        reason: Option<&Reason>,
    ) -> io::Result<()> {
        self.record(Record::Result {
            at: self.at(),
            action: action.to_owned(),
            verb,
            attempt,
            end,
            outputs,
            reason: reason.cloned(),
        })
    }

    /// Records what an action handed on.
    pub(super) fn done(
        &mut self,
        id: &str,
        verb: Verb,
        attempt: u32,
        values: BTreeMap<String, OutputValue>,
    ) -> io::Result<()> {
        let recorded = values
            .iter()
            .map(|(name, value)| (name.clone(), value.recorded()));
        self.result(id, verb, attempt, EndKind::Done, recorded.collect(), None)?;
        for (name, value) in values {
            if let OutputValue::Secret(secret) = value {
                self.made.insert((id.to_owned(), name), secret);
            }
        }
        Ok(())
    }

    /// An action has ended for good.
    pub(super) fn settle(
        &mut self,
        drive: &mut Drive<'_>,
        action: u32,
        attempt: u32,
        end: ActionEnd,
    ) -> io::Result<()> {
        let id = drive.load.indexed.id(action).to_owned();
        let now = self.now_ms();
        let start_ms = drive
            .running
            .remove(&action)
            .map_or(now, |running| running.start_ms);
        drive.times[action as usize] = now - start_ms;
        let span = drive.span.get_or_insert((start_ms, now));
        *span = (span.0.min(start_ms), span.1.max(now));
        self.timings.push(Timing {
            action: id.clone(),
            verb: drive.verb,
            start_ms,
            end_ms: now,
        });
        let (kind, cause, reason) = match end {
            ActionEnd::Done(values) => {
                self.done(&id, drive.verb, attempt, values)?;
                self.told(&id, drive.verb, EndKind::Done, now - start_ms, None);
                drive.scheduler.ended(action, Ended::Done);
                self.stage_ended(drive, action);
                return Ok(());
            }
            ActionEnd::Temporary(reason) => (EndKind::Temporary, Cause::Failed, reason),
            ActionEnd::NotAsPlanned(reason) => (EndKind::NotAsPlanned, Cause::NotAsPlanned, reason),
            ActionEnd::Failed(reason) => (EndKind::Failed, Cause::Failed, reason),
            ActionEnd::Unreachable(reason) => (EndKind::Unreachable, Cause::Unreachable, reason),
            ActionEnd::CannotTell(reason) => (EndKind::CannotTell, Cause::CannotTell, reason),
            ActionEnd::StillRunning(reason) => {
                self.running.push(id.clone());
                (EndKind::StillRunning, Cause::StillRunning, reason)
            }
            ActionEnd::Cancelled(reason) => (EndKind::Cancelled, Cause::Interrupted, reason),
        };
        self.result(&id, drive.verb, attempt, kind, BTreeMap::new(), Some(&reason))?;
        self.told(&id, drive.verb, kind, now - start_ms, Some(&reason));
        drive.scheduler.ended(action, Ended::Failed);
        if kind == EndKind::Cancelled {
            return Ok(());
        }
        self.failures.push(Failure {
            action: id.clone(),
            verb: drive.verb,
            end: kind,
            reason: reason.clone(),
        });
        match drive.verb {
            Verb::Run => self.failed(drive, action, &id, cause, &reason),
            Verb::Undo => {
                self.not_undone(drive, action, cause);
                Ok(())
            }
        }
    }

    pub(super) fn told(&self, id: &str, verb: Verb, end: EndKind, elapsed_ms: u64, reason: Option<&Reason>) {
        self.events.emit(Event::ActionEnd {
            action: id.to_owned(),
            verb,
            end,
            elapsed_ms,
            reason: reason.cloned(),
        });
    }

    pub(super) fn stage_ended(&self, drive: &mut Drive<'_>, action: u32) {
        let stage = drive.load.indexed.stage[drive.load.indexed.step[action as usize] as usize] as usize;
        drive.stage_left[stage] = drive.stage_left[stage].saturating_sub(1);
        if drive.stage_left[stage] == 0 && drive.verb == Verb::Run {
            let stage = self.spec.stages[stage].id.clone();
            self.events.emit(Event::StageEnd { stage });
        }
    }

    /// What a failure on the way forward leads to.
    pub(super) fn failed(
        &mut self,
        drive: &mut Drive<'_>,
        action: u32,
        id: &str,
        cause: Cause,
        reason: &Reason,
    ) -> io::Result<()> {
        let step: &Step = &self.spec.steps[drive.load.indexed.step[action as usize] as usize];
        let stage: Option<&Stage> = self.spec.stages.iter().find(|stage| stage.id == step.stage);
        let on_failure = stage.map_or(OnFailure::Pause, |stage| stage.failure);
        let host = &self.spec.hosts[drive.load.host[action as usize] as usize];
        if self.book.left_out.contains(&host.id) {
            return Ok(());
        }
        let room = !reason.common && self.book.left_out.len() < self.policy.max_failed_workers as usize;
        let worker = host.role == Some(Role::Worker);
        let decision = decide(&self.moment(cause, on_failure, worker && room));
        if decision == Decision::Quarantine && *drive.halt.borrow() == Halt::No {
            let host = host.id.clone();
            self.events.emit(Event::Decided {
                cause,
                action: Some(id.to_owned()),
                decision,
            });
            self.record(Record::Quarantine {
                at: self.at(),
                host: host.clone(),
                action: id.to_owned(),
            })?;
            self.events.emit(Event::HostQuarantined {
                host,
                action: id.to_owned(),
                reason: reason.clone(),
            });
            drive.scheduler.leave_out(drive.load.host[action as usize]);
            drive.count_stages();
            return Ok(());
        }
        let halt = match decision {
            Decision::Rollback => Halt::Cancel,
            _ => Halt::Finish,
        };
        drive.stop(cause, on_failure, halt);
        Ok(())
    }

    /// A host that cannot be reached does not keep the others from being undone, as long as a majority of managers is
    /// there. Anything else only stops what comes after it.
    pub(super) fn not_undone(&mut self, drive: &mut Drive<'_>, action: u32, cause: Cause) {
        drive.worst = drive.worst.max(Some((cause, OnFailure::Pause)));
        if cause != Cause::Unreachable {
            return;
        }
        let lost: BTreeSet<&str> = self
            .failures
            .iter()
            .filter(|failure| failure.verb == Verb::Undo && failure.end == EndKind::Unreachable)
            .filter_map(|failure| self.places.actions.get(&failure.action))
            .map(|place| self.spec.actions[*place].host.as_str())
            .collect();
        let managers = self
            .spec
            .hosts
            .iter()
            .filter(|host| host.role == Some(Role::Manager));
        let (gone, there): (Vec<_>, Vec<_>) = managers.partition(|host| lost.contains(host.id.as_str()));
        if there.len() > gone.len() {
            drive.scheduler.leave_out(drive.load.host[action as usize]);
        }
    }
}
