//! Taking an earlier run up: what it left running is attended to, or brought to its end, before anything else begins.

use super::*;

/// How taking up an earlier run went.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TakenUp {
    Ended,
    Stopped,
    Superseded,
    Detached,
}

impl Run {
    /// Attempts of earlier runs whose end is not known.
    pub(super) fn open(&self, verb: Verb) -> Vec<(String, u32)> {
        let open = self.book.open.iter().filter(|((known, _), _)| *known == verb);
        open.map(|((_, action), attempt)| (action.clone(), *attempt))
            .collect()
    }

    /// Attends to what an earlier run left running, before anything else starts: it holds its host and its budgets. What
    /// did not end well is tried again later, in its place.
    pub(super) async fn take_up(&mut self, spec: &Spec, verb: Verb) -> io::Result<TakenUp> {
        let lead = Frame::forward(spec).lead();
        let halt = watch::Sender::new(Halt::No);
        let mut tasks = JoinSet::new();
        let mut running = BTreeSet::new();
        // The start of this run is in the journal before it does anything.
        if self.commit().await? == Kept::Here {
            return Ok(TakenUp::Superseded);
        }
        for (id, number) in self.open(verb) {
            let Some(row) = self.places.actions.get(&id).map(|place| &spec.actions[*place]) else {
                continue;
            };
            let step = self.places.steps.get(&row.step).map(|place| &spec.steps[*place]);
            let host = self.places.hosts.get(&row.host).map(|place| &spec.hosts[*place]);
            let (Some(step), Some(host)) = (step, host) else {
                continue;
            };
            let Ok(inputs) = outputs::resolve(spec, host, row, step, verb, true, self) else {
                continue;
            };
            let Some(call) = self.open_call(&id, verb, number, lead, inputs) else {
                continue;
            };
            self.started(&call);
            let start_ms = self.now_ms();
            let (executor, limits, halt) = (Arc::clone(&self.executor), self.limits, halt.subscribe());
            running.insert(id);
            tasks.spawn(async move {
                let call = Arc::new(call);
                let end = attempt(executor, Arc::clone(&call), limits, Duration::ZERO, halt).await;
                (start_ms, call, end)
            });
        }
        let mut taken = TakenUp::Ended;
        while !running.is_empty() {
            tokio::select! {
                biased;
                interrupt = self.control.next() => {
                    let reaction = self.signals.press(interrupt);
                    self.events.emit(Event::Interrupted { interrupt, reaction });
                    match reaction {
                        Reaction::Stop => {
                            taken = taken.max(TakenUp::Stopped);
                            halt.send_replace(Halt::Cancel);
                        }
                        Reaction::Finish => {
                            self.superseded = true;
                            taken = TakenUp::Superseded;
                            halt.send_replace(Halt::Finish);
                        }
                        Reaction::Detach | Reaction::Exit => {
                            self.running = running.into_iter().collect();
                            return Ok(TakenUp::Detached);
                        }
                    }
                }
                Some(joined) = tasks.join_next() => {
                    let (start_ms, call, end) = match joined {
                        Ok(joined) => joined,
                        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                        Err(_) => continue,
                    };
                    running.remove(call.id());
                    self.taken_up(&call, start_ms, end)?;
                    if self.commit().await? == Kept::Here {
                        taken = TakenUp::Superseded;
                        halt.send_replace(Halt::Finish);
                    }
                }
            }
        }
        Ok(taken)
    }

    pub(super) fn taken_up(&mut self, call: &ActionCall, start_ms: u64, end: ActionEnd) -> io::Result<()> {
        let now = self.now_ms();
        let (id, verb, number) = (call.id(), call.verb, call.attempt);
        let (kind, reason) = match checked(call, end) {
            ActionEnd::Done(values) => {
                self.timings.push(Timing {
                    action: id.to_owned(),
                    verb,
                    start_ms,
                    end_ms: now,
                });
                self.done(id, verb, number, values)?;
                self.told(id, verb, EndKind::Done, now - start_ms, None);
                return Ok(());
            }
            // Its end is still not known, and it is looked for again in its place.
            ActionEnd::Unreachable(_) | ActionEnd::StillRunning(_) => return Ok(()),
            ActionEnd::Temporary(reason) => (EndKind::Temporary, reason),
            ActionEnd::NotAsPlanned(reason) => (EndKind::NotAsPlanned, reason),
            ActionEnd::Failed(reason) => (EndKind::Failed, reason),
            ActionEnd::CannotTell(reason) => (EndKind::CannotTell, reason),
            ActionEnd::Cancelled(reason) => (EndKind::Cancelled, reason),
        };
        self.result(id, verb, number, kind, BTreeMap::new(), Some(&reason))?;
        self.told(id, verb, kind, now - start_ms, Some(&reason));
        Ok(())
    }

    /// Before anything is undone, what an earlier run left running is brought to its end: an undo beside it would work
    /// against it. False when something runs on.
    pub(super) async fn let_go(&mut self, spec: &Spec) -> Result<bool, RunError> {
        let open = self.open(Verb::Run);
        let lead = Frame::forward(spec).lead();
        let mut tasks = JoinSet::new();
        for (id, attempt) in open {
            let Some(call) = self.open_call(&id, Verb::Run, attempt, lead, Inputs::default()) else {
                continue;
            };
            let executor = Arc::clone(&self.executor);
            // What must not be interrupted is waited for instead.
            let limit = match call.step().cancel {
                Cancel::Never => call.deadline,
                _ => self.limits.cancel,
            };
            tasks.spawn(async move {
                let ended = tokio::time::timeout(limit, executor.cancel(&call)).await;
                (id, attempt, ended.is_ok())
            });
        }
        let mut gone = true;
        while let Some(joined) = tasks.join_next().await {
            let (id, attempt, ended) = match joined {
                Ok(joined) => joined,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => continue,
            };
            if ended {
                let reason = Reason::new("it was stopped, because everything is undone");
                let end = EndKind::Cancelled;
                self.result(&id, Verb::Run, attempt, end, BTreeMap::new(), Some(&reason))?;
            } else {
                gone = false;
                self.running.push(id);
            }
        }
        self.running.sort();
        Ok(gone)
    }

    /// An attempt of an earlier run.
    pub(super) fn open_call(
        &self,
        id: &str,
        verb: Verb,
        attempt: u32,
        lead: Option<u32>,
        inputs: Inputs,
    ) -> Option<ActionCall> {
        let action = *self.places.actions.get(id)?;
        let row = &self.spec.actions[action];
        let step = *self.places.steps.get(&row.step)?;
        let host = *self.places.hosts.get(&row.host)?;
        let step_row = &self.spec.steps[step];
        Some(ActionCall {
            spec: Arc::clone(&self.spec),
            action,
            step,
            host,
            at: place_of(step_row.at, host, lead),
            events: self.events.clone(),
            doubtful: AtomicBool::new(true),
            heard: AtomicBool::new(false),
            seen: Mutex::default(),
            verb,
            attempt,
            deadline: Duration::from_secs(u64::from(step_row.timeout_s.max(1))).min(self.limits.action),
            inputs,
        })
    }
}
