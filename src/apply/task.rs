//! One attempt at one action, with its deadline, lost connections and cancellation.

use super::call::{ActionCall, ActionEnd, Executor, Reason};
use super::engine::Limits;
use super::events::{Event, millis};
use crate::model::Cancel;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// What running attempts are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Halt {
    /// Go on.
    No,
    /// End what runs, wait for nothing.
    Finish,
    /// Also cancel what may be cancelled.
    Cancel,
}

/// Makes one attempt, after a while.
pub(super) async fn attempt(
    executor: Arc<dyn Executor>,
    call: Arc<ActionCall>,
    limits: Limits,
    delay: Duration,
    mut halt: watch::Receiver<Halt>,
) -> ActionEnd {
    if !delay.is_zero() && !pause(delay, &mut halt).await {
        return ActionEnd::Cancelled(Reason::new("it was not tried again, because the run stops"));
    }
    let cancellable = call.step().cancel == Cancel::Now;
    let mut wait = limits.retry_first;
    let mut lost_for = Duration::ZERO;
    loop {
        let began = call.events.clock().elapsed();
        let end = tokio::select! {
            biased;
            () = cancelled(&mut halt), if cancellable => {
                cancel(&*executor, &call, &limits).await;
                return ActionEnd::Cancelled(Reason::new("it was cancelled, because the run stops"));
            }
            end = timeout(call.deadline, executor.execute(&call)) => end,
        };
        match end {
            Err(_) => return out_of_time(&*executor, &call, &limits).await,
            Ok(ActionEnd::Unreachable(reason)) => {
                // A lost connection costs no attempt: what runs goes on on its host, and is looked for there.
                call.doubtful.store(true, Ordering::Relaxed);
                // A host that answered and is lost again is a new loss. One that lets us wait for long without an answer is
                // lost meanwhile.
                if call.heard.swap(false, Ordering::Relaxed) {
                    (lost_for, wait) = (Duration::ZERO, limits.retry_first);
                } else {
                    lost_for += call.events.clock().elapsed().saturating_sub(began);
                }
                if lost_for >= limits.unreachable {
                    return ActionEnd::Unreachable(reason);
                }
                call.events.emit(Event::ActionRetry {
                    action: call.id().to_owned(),
                    verb: call.verb,
                    attempt: call.attempt,
                    after_ms: millis(wait),
                    reason: reason.clone(),
                });
                if !pause(wait, &mut halt).await {
                    return ActionEnd::Unreachable(reason);
                }
                lost_for += wait;
                wait = (wait * 2).min(limits.retry_most);
            }
            Ok(end) => return end,
        }
    }
}

async fn out_of_time(executor: &dyn Executor, call: &ActionCall, limits: &Limits) -> ActionEnd {
    let seen = match call.last_seen() {
        seen if seen.is_empty() => "it told nothing about what it waits for".to_owned(),
        seen => format!("the last thing seen was: {seen}"),
    };
    let reason = Reason::new(format!("not done after {} s; {seen}", call.deadline.as_secs()));
    if call.step().cancel == Cancel::Never {
        return ActionEnd::StillRunning(reason);
    }
    cancel(executor, call, limits).await;
    ActionEnd::Temporary(reason)
}

async fn cancel(executor: &dyn Executor, call: &ActionCall, limits: &Limits) {
    // Whether it worked is asked by the probe of whatever comes next.
    let _ = timeout(limits.cancel, executor.cancel(call)).await;
}

/// Waits; false when the run stops meanwhile.
async fn pause(time: Duration, halt: &mut watch::Receiver<Halt>) -> bool {
    tokio::select! {
        biased;
        _ = halt.wait_for(|halt| *halt > Halt::No) => false,
        () = sleep(time) => true,
    }
}

async fn cancelled(halt: &mut watch::Receiver<Halt>) {
    if halt.wait_for(|halt| *halt == Halt::Cancel).await.is_err() {
        std::future::pending().await
    }
}
