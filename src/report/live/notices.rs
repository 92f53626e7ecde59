//! What goes above the view and stays: stages that are over, failures, decisions.

use crate::apply::Verb;
use crate::apply::control::{Cause, Decision, Interrupt, Reaction};
use crate::apply::events::{EndKind, Event, Line as EventLine};
use crate::report::doc::{Block, Line, Tone};
use crate::report::progress::{News, Progress, because, ended, remote};
use crate::text::{count, duration, number};

/// Lines of stderr that are shown; the log of the run has them all.
const STDERR: usize = 5;

/// What an event says that stays, after the progress has taken it in.
pub(super) fn of(progress: &Progress, line: &EventLine, news: &News) -> Vec<Block> {
    let mut blocks = Vec::new();
    match &line.event {
        Event::RunStart {
            actions,
            done,
            resumed,
            width,
            ..
        } => {
            let (all, done) = (number(*actions as usize), number(*done as usize));
            let what = match resumed {
                true => format!("going on: {done} of {all} actions are done"),
                false => format!("{all} actions"),
            };
            let hosts = count(progress.spec.hosts.len(), "host");
            let at_once = count(*width as usize, "connection");
            let text = format!("{what} on {hosts}, {at_once} at once");
            blocks.push(Block::text(
                Line::new().strong(name(progress)).plain(": ").plain(text),
            ));
        }
        Event::ActionEnd {
            action,
            verb,
            end,
            elapsed_ms,
            reason,
        } if !matches!(end, EndKind::Done | EndKind::Cancelled) => {
            let what = match verb {
                Verb::Run => "",
                Verb::Undo => "undo of ",
            };
            let mut text = Line::new().plain(what).strong(action).plain(format!(
                " {} after {}",
                ended(*end),
                unbroken(elapsed_ms / 1000)
            ));
            if let Some(reason) = reason {
                text = text.plain(": ").plain(because(reason));
            }
            blocks.push(Block::item(Tone::Danger, "✗", text));
            let stderr = reason.as_ref().map_or(&[][..], |reason| &reason.stderr);
            for line in &stderr[stderr.len().saturating_sub(STDERR)..] {
                blocks.push(Block::Text {
                    indent: 4,
                    mark: Some(crate::report::doc::Span::new(Tone::Dim, "│")),
                    line: Line::from(remote(line)),
                });
            }
        }
        Event::HostQuarantined { host, action, .. } => {
            let text = Line::new()
                .strong(host)
                .plain(" is left out from here on, because ")
                .plain(action)
                .plain(" did not end well");
            blocks.push(Block::item(Tone::Warn, "!", text));
        }
        Event::Interrupted { interrupt, reaction } => {
            let running = count(progress.running.len(), "action");
            blocks.push(Block::item(
                Tone::Warn,
                "!",
                interrupted(*interrupt, *reaction, &running),
            ));
        }
        Event::Decided { cause, decision, .. } => blocks.extend(decided(*cause, *decision)),
        Event::RollbackStart { undos, loses } => {
            let mut text = format!("rolling back: {} to undo", count(*undos as usize, "action"));
            if !loses.is_empty() && loses != "nothing" {
                text.push_str("; this loses ");
                text.push_str(loses);
            }
            blocks.push(Block::item(Tone::Warn, "!", text));
        }
        Event::RunEnd {
            outcome,
            achieved_ms,
            bound_ms,
            ..
        } => blocks.push(end(progress, outcome, *achieved_ms, *bound_ms)),
        _ => {}
    }
    for (stage, ms) in &news.stages {
        let tally = progress.stage_tally(*stage);
        let title = &progress.spec.stages[*stage].title;
        let undo = match progress.verb {
            Verb::Run => "",
            Verb::Undo => "Undone: ",
        };
        let done = count(tally.done, "action").replace(' ', "\u{a0}");
        let time = unbroken(ms / 1000);
        let mut text = Line::new()
            .plain(undo)
            .plain(title)
            .dim(format!("  {done}, {time}"));
        if tally.left_out > 0 {
            text = text.tone(Tone::Warn, format!("  {} left out", number(tally.left_out)));
        }
        blocks.push(Block::item(Tone::Good, "✓", text));
    }
    blocks
}

/// A time that no line break divides.
fn unbroken(seconds: u64) -> String {
    duration(seconds).replace(' ', "\u{a0}")
}

fn name(progress: &Progress) -> &str {
    let cluster = &progress.spec.cluster;
    let names = [&cluster.name, &cluster.external_address, &cluster.id];
    names
        .into_iter()
        .find(|name| !name.is_empty())
        .map_or("the cluster", String::as_str)
}

fn interrupted(interrupt: Interrupt, reaction: Reaction, running: &str) -> String {
    let (who, again) = match interrupt {
        Interrupt::Int => ("interrupted", "Ctrl-C again"),
        Interrupt::Term => ("asked to terminate", "a second signal"),
        Interrupt::Superseded => ("superseded", "a signal"),
    };
    match reaction {
        Reaction::Stop => format!(
            "{who}: nothing new is started, {running} are cancelled or come to their end; {again} lets go of them"
        ),
        Reaction::Detach => format!("{who} again: letting go of {running}, which go on on their hosts"),
        Reaction::Exit => format!("{who} a third time: leaving at once"),
        Reaction::Finish => format!(
            "this run does not hold the cluster any more: nothing new is started, {running} come to their end"
        ),
    }
}

fn decided(cause: Cause, decision: Decision) -> Option<Block> {
    let why = match cause {
        Cause::Interrupted => "interrupted",
        Cause::Failed => "an action failed",
        Cause::Unreachable => "a host cannot be reached",
        Cause::NotAsPlanned => "a host is not as planned",
        Cause::CannotTell => "what an action did cannot be told",
        Cause::StillRunning => "an action that must not be interrupted still runs",
        Cause::Superseded => "another run has taken over, or a majority of managers is lost",
    };
    let what = match decision {
        // What follows says it.
        Decision::Quarantine | Decision::Rollback => return None,
        Decision::Nothing => "nothing was changed, so there is nothing to undo",
        Decision::Pause => "the run pauses",
        Decision::Undecided => "a person must decide how to go on",
    };
    Some(Block::item(Tone::Warn, "!", format!("{why}: {what}")))
}

fn end(progress: &Progress, outcome: &str, achieved_ms: u64, bound_ms: u64) -> Block {
    let tally = progress.tally();
    let began = progress.began_ms.unwrap_or(progress.now_ms);
    let time = unbroken(progress.now_ms.saturating_sub(began) / 1000);
    let so_far = format!("{} of {}", number(tally.done), count(tally.all, "action"));
    let (tone, mark, text) = match outcome {
        "done" if tally.left_out == 0 => (Tone::Good, "✓", format!("done: {so_far} in {time}")),
        "done" => (
            Tone::Warn,
            "!",
            format!("done but for the hosts that were left out: {so_far} in {time}"),
        ),
        "gate" => (Tone::Good, "✓", format!("paused at the gate: {so_far} in {time}")),
        "rolled-back" => (
            Tone::Warn,
            "!",
            format!("rolled back: {} undone in {time}", count(tally.done, "action")),
        ),
        "nothing-changed" => (
            Tone::Danger,
            "✗",
            format!("ended before anything was changed, after {time}"),
        ),
        "detached" => (
            Tone::Warn,
            "!",
            format!("let go after {time}: {so_far}, some still run on their hosts"),
        ),
        _ => (Tone::Danger, "✗", format!("stopped after {time}: {so_far}")),
    };
    let mut line = Line::new().strong(text);
    if outcome == "done" && bound_ms > 0 {
        let percent = achieved_ms.saturating_mul(100).div_ceil(bound_ms);
        line = line.dim(format!(
            "  (no run could have been shorter than {}: {percent}% of it)",
            unbroken(bound_ms / 1000)
        ));
    }
    Block::item(tone, mark, line)
}
