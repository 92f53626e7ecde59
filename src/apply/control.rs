//! What a signal or a failure leads to. Pure: tables, no side effects.

use crate::model::{OnFailure, Role, Spec};
use crate::options::{Amount, FailurePolicy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// A request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Interrupt {
    /// Ctrl-C.
    Int,
    /// SIGTERM.
    Term,
    /// The cluster is not this run's any more: another one has taken over, or its claim could not be renewed.
    Superseded,
}

/// What a request to stop does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reaction {
    /// Start nothing new, cancel what may be cancelled, let the rest end, then do what a failure would lead to.
    Stop,
    /// Let go of what cannot be cancelled: it goes on on its host, and a resumed run finds it.
    Detach,
    /// Leave at once.
    Exit,
    /// Start nothing new and let what runs end; nothing is cancelled, for it is not ours to cancel.
    Finish,
}

/// Counts requests to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    pressed: u32,
    first: Option<Interrupt>,
}

impl Signals {
    /// One more request.
    pub fn press(&mut self, interrupt: Interrupt) -> Reaction {
        if interrupt == Interrupt::Superseded {
            return Reaction::Finish;
        }
        self.first.get_or_insert(interrupt);
        self.pressed = self.pressed.saturating_add(1);
        match self.pressed {
            1 => Reaction::Stop,
            2 => Reaction::Detach,
            _ => Reaction::Exit,
        }
    }

    /// The way back begins: the first request was answered, and a new one is needed to stop again.
    pub fn again(first: Interrupt) -> Signals {
        Signals {
            pressed: 0,
            first: Some(first),
        }
    }

    /// The first request, if there was one.
    pub fn first(&self) -> Option<Interrupt> {
        self.first
    }
}

/// The receiving end of requests to stop.
#[derive(Debug)]
pub struct Control(Option<mpsc::UnboundedReceiver<Interrupt>>);

impl Control {
    /// A control, and the handle that a signal handler uses.
    pub fn new() -> (mpsc::UnboundedSender<Interrupt>, Control) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, Control(Some(receiver)))
    }

    /// Nobody can ask this run to stop.
    pub fn none() -> Control {
        Control(None)
    }

    /// The next request; never comes back once nobody can make one any more.
    pub async fn next(&mut self) -> Interrupt {
        if let Some(receiver) = &mut self.0
            && let Some(interrupt) = receiver.recv().await
        {
            return interrupt;
        }
        self.0 = None;
        std::future::pending().await
    }
}

/// What the operator chose for failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `--on-failure`.
    pub on_failure: FailurePolicy,
    /// How many workers may be left out.
    pub max_failed_workers: u32,
}

impl Policy {
    /// The policy that a plan holds. Anything that cannot be read is as strict as can be.
    pub fn of(spec: &Spec) -> Policy {
        let option = |name: &str| spec.intent.options.get(name).map(String::as_str);
        let workers = spec.hosts.iter().filter(|host| host.role == Some(Role::Worker));
        let workers = u32::try_from(workers.count()).unwrap_or(u32::MAX);
        Policy {
            on_failure: match option("on-failure") {
                Some("auto") => FailurePolicy::Auto,
                Some("rollback") => FailurePolicy::Rollback,
                _ => FailurePolicy::Pause,
            },
            max_failed_workers: match option("max-failed-workers").and_then(Amount::parse) {
                Some(Amount::Count(count)) => count,
                Some(Amount::Percent(percent)) => {
                    let share = u64::from(workers) * u64::from(percent) / 100;
                    u32::try_from(share).unwrap_or(u32::MAX).max(1)
                }
                None => 0,
            },
        }
    }
}

/// Why the run does not simply go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A person asked it to stop.
    Interrupted,
    /// An action failed for good.
    Failed,
    /// A host cannot be reached.
    Unreachable,
    /// A host is not as the plan took it to be.
    NotAsPlanned,
    /// What an action did cannot be told.
    CannotTell,
    /// An action that must not be interrupted is past its deadline and still runs.
    StillRunning,
    /// The cluster is not this run's any more.
    Superseded,
}

/// Everything that the decision depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// `--on-failure`.
    pub policy: FailurePolicy,
    /// What the catalogue says about the stage.
    pub stage: OnFailure,
    /// What happened.
    pub cause: Cause,
    /// Something may have been changed already.
    pub changed: bool,
    /// A user's pod or client may have written through the new API: the first line is behind us.
    pub users_wrote: bool,
    /// Something that cannot be undone may have been done: the second line is behind us.
    pub no_return: bool,
    /// It is about a worker, and one more may be left out.
    pub may_leave_out: bool,
}

/// What is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Leave the worker out and go on.
    Quarantine,
    /// Nothing was changed, so there is nothing to do.
    Nothing,
    /// Stop; the run can be resumed or rolled back by command.
    Pause,
    /// Undo everything.
    Rollback,
    /// A person must decide: going on is not safe, and going back is not possible or not ours to choose.
    Undecided,
}

/// What a failure or an interruption leads to.
///
/// The tool never chooses by itself to lose what users wrote: behind the first line only a policy that says `rollback`, in
/// the plan that was reviewed, goes back, and behind the second nothing does.
pub fn decide(moment: &Moment) -> Decision {
    match moment.cause {
        // Whoever holds the cluster now decides.
        Cause::Superseded if moment.changed => return Decision::Pause,
        // An undo beside it would work against it.
        Cause::StillRunning => return Decision::Undecided,
        _ if !moment.changed => return Decision::Nothing,
        _ => {}
    }
    let pause = match moment.cause {
        // Going on would ask the same question again.
        Cause::CannotTell => Decision::Undecided,
        Cause::NotAsPlanned if moment.no_return => Decision::Undecided,
        _ => Decision::Pause,
    };
    if moment.no_return {
        return pause;
    }
    let interrupted = moment.cause == Cause::Interrupted;
    match moment.policy {
        FailurePolicy::Pause => pause,
        FailurePolicy::Rollback => Decision::Rollback,
        // Installing what comes on top can be tried again; undoing the cluster for it would be worse.
        FailurePolicy::Auto if moment.stage == OnFailure::Pause && !interrupted => pause,
        FailurePolicy::Auto if !moment.users_wrote => Decision::Rollback,
        FailurePolicy::Auto => {
            let worker = moment.stage == OnFailure::Quarantine && moment.may_leave_out;
            if worker && !interrupted {
                Decision::Quarantine
            } else {
                pause
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_stop_then_detach_then_exit() {
        let mut signals = Signals::default();
        assert_eq!(signals.first(), None);
        assert_eq!(signals.press(Interrupt::Term), Reaction::Stop);
        assert_eq!(signals.press(Interrupt::Int), Reaction::Detach);
        assert_eq!(signals.press(Interrupt::Int), Reaction::Exit);
        assert_eq!(signals.press(Interrupt::Int), Reaction::Exit);
        assert_eq!(signals.first(), Some(Interrupt::Term));
    }

    /// Policy, stage, then what happens before the first line, between the lines and behind the second, after a failure.
    const FAILED: &[(FailurePolicy, OnFailure, [Decision; 3])] = {
        use Decision::{Pause as P, Quarantine as Q, Rollback as R};
        use FailurePolicy as F;
        use OnFailure as S;
        &[
            (F::Auto, S::Rollback, [R, P, P]),
            (F::Auto, S::Quarantine, [R, Q, P]),
            (F::Auto, S::Pause, [P, P, P]),
            (F::Rollback, S::Rollback, [R, R, P]),
            (F::Rollback, S::Quarantine, [R, R, P]),
            (F::Rollback, S::Pause, [R, R, P]),
            (F::Pause, S::Rollback, [P, P, P]),
            (F::Pause, S::Quarantine, [P, P, P]),
            (F::Pause, S::Pause, [P, P, P]),
        ]
    };

    fn moments(policy: FailurePolicy, stage: OnFailure, cause: Cause) -> [Moment; 3] {
        [(false, false), (true, false), (true, true)].map(|(users_wrote, no_return)| Moment {
            policy,
            stage,
            cause,
            changed: true,
            users_wrote,
            no_return,
            may_leave_out: true,
        })
    }

    #[test]
    fn every_stage_and_policy_before_between_and_behind_the_lines() {
        assert_eq!(FAILED.len(), 9);
        for (policy, stage, expected) in FAILED {
            for cause in [Cause::Failed, Cause::Unreachable] {
                let found = moments(*policy, *stage, cause).map(|moment| decide(&moment));
                assert_eq!(found, *expected, "{policy} {stage:?} {cause:?}");
            }
            // No more workers may be left out: then a person is asked.
            let [_, between, _] = moments(*policy, *stage, Cause::Failed);
            let found = decide(&Moment {
                may_leave_out: false,
                ..between
            });
            let expected = match expected[1] {
                Decision::Quarantine => Decision::Pause,
                other => other,
            };
            assert_eq!(found, expected, "{policy} {stage:?}");
        }
    }

    #[test]
    fn an_interruption_goes_back_before_the_first_line_and_pauses_behind_it() {
        for (policy, stage, _) in FAILED {
            let expected = match policy {
                FailurePolicy::Auto => [Decision::Rollback, Decision::Pause, Decision::Pause],
                FailurePolicy::Rollback => [Decision::Rollback, Decision::Rollback, Decision::Pause],
                FailurePolicy::Pause => [Decision::Pause; 3],
            };
            let found = moments(*policy, *stage, Cause::Interrupted).map(|moment| decide(&moment));
            assert_eq!(found, expected, "{policy} {stage:?}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_undone_or_left_to_a_person_but_never_resumed() {
        for (policy, stage, failed) in FAILED {
            let found = moments(*policy, *stage, Cause::CannotTell).map(|moment| decide(&moment));
            let expected = failed.map(|decision| match decision {
                Decision::Pause => Decision::Undecided,
                other => other,
            });
            assert_eq!(found, expected, "{policy} {stage:?}");
            let running = moments(*policy, *stage, Cause::StillRunning).map(|moment| decide(&moment));
            assert_eq!(running, [Decision::Undecided; 3], "{policy} {stage:?}");
            let [_, _, behind] = moments(*policy, *stage, Cause::NotAsPlanned);
            assert_eq!(decide(&behind), Decision::Undecided, "{policy} {stage:?}");
        }
    }

    #[test]
    fn a_run_that_was_superseded_only_pauses() {
        for (policy, stage, _) in FAILED {
            let found = moments(*policy, *stage, Cause::Superseded).map(|moment| decide(&moment));
            assert_eq!(found, [Decision::Pause; 3], "{policy} {stage:?}");
        }
        let mut signals = Signals::default();
        assert_eq!(signals.press(Interrupt::Superseded), Reaction::Finish);
        assert_eq!(signals.first(), None);
        assert_eq!(signals.press(Interrupt::Int), Reaction::Stop);
    }

    #[test]
    fn before_any_change_there_is_nothing_to_do() {
        for (policy, stage, _) in FAILED {
            for cause in [
                Cause::Failed,
                Cause::Interrupted,
                Cause::CannotTell,
                Cause::NotAsPlanned,
                Cause::Superseded,
            ] {
                let [before, _, _] = moments(*policy, *stage, cause);
                let found = decide(&Moment {
                    changed: false,
                    ..before
                });
                assert_eq!(found, Decision::Nothing, "{policy} {stage:?} {cause:?}");
            }
        }
    }
}
