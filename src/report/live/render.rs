//! The lines of the view, from how far the run is. Pure: the same progress, time and terminal give the same text.

use crate::apply::Verb;
use crate::model::Role;
use crate::report::doc::{Line, Tone};
use crate::report::page::{Style, cut};
use crate::report::progress::{Progress, Running, remote};
use crate::text::{count, duration, fold_hosts, number, pad, sanitize, truncate, width};
use std::collections::BTreeMap;

/// Stages that are shown, at most.
const STAGES: usize = 3;
/// Steps that are shown, at most; with stages, one line for the rest and the bar, twelve lines.
const STEPS: usize = 7;
/// Columns of a time such as `59m 59s`.
const TIME: usize = 7;

/// What is known about the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Eta {
    /// Milliseconds left, when that was worked out.
    pub(super) left_ms: Option<u64>,
}

/// Actions of one step that run.
struct Group<'a> {
    step: usize,
    hosts: Vec<&'a str>,
    /// The one that has run longest.
    oldest: &'a Running,
}

/// The view; no line is wider than the terminal.
pub(super) fn render(progress: &Progress, eta: Eta, now_ms: u64, style: &Style) -> Vec<String> {
    let mut lines = Vec::new();
    let groups = groups(progress);
    let running: Vec<usize> = stages(progress, &groups);
    for stage in running.iter().take(STAGES) {
        lines.push(stage_line(progress, *stage, now_ms, style));
    }
    let mut shown: Vec<&Group> = groups.iter().collect();
    // Who runs longest is who is waited for.
    shown.sort_by_key(|group| (group.oldest.start_ms, group.step));
    let rest = shown.split_off(shown.len().min(STEPS));
    shown.sort_by_key(|group| group.step);
    let names = shown
        .iter()
        .map(|group| width(&progress.spec.steps[group.step].id));
    let names = names.max().unwrap_or(0);
    let room = style.width.saturating_sub(names + TIME + 10) * 3 / 5;
    let hosts: Vec<String> = shown
        .iter()
        .map(|group| named(progress, &group.hosts, room, style))
        .collect();
    let wide = hosts.iter().map(|it| width(it)).max().unwrap_or(0);
    for (group, hosts) in shown.iter().zip(&hosts) {
        let id = &progress.spec.steps[group.step].id;
        let line = Line::new()
            .plain(format!("    {}  ", pad(id, names)))
            .info(format!("{}  ", pad(hosts, wide)))
            .plain(format!("{:>TIME$}  ", took(group.oldest.start_ms, now_ms)));
        lines.push(cut(&note(line, group.oldest, now_ms), style));
    }
    if !rest.is_empty() {
        let on: usize = rest.iter().map(|group| group.hosts.len()).sum();
        let text = format!(
            "    and {} with {}",
            count(rest.len(), "more step"),
            count(on, "action")
        );
        lines.push(cut(&Line::new().dim(text), style));
    }
    lines.push(bar(progress, eta, now_ms, style));
    lines
}

fn groups(progress: &Progress) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
    for (action, running) in &progress.running {
        let step = progress.step[*action];
        let group = groups.entry(step).or_insert(Group {
            step,
            hosts: Vec::new(),
            oldest: running,
        });
        group.hosts.push(progress.host_of(*action).id.as_str());
        if running.start_ms < group.oldest.start_ms {
            group.oldest = running;
        }
    }
    groups.into_values().collect()
}

/// Stages with something that runs, in plan order.
fn stages(progress: &Progress, groups: &[Group]) -> Vec<usize> {
    let mut stages: Vec<usize> = groups.iter().map(|group| progress.stage[group.step]).collect();
    stages.sort_unstable();
    stages.dedup();
    stages
}

fn stage_line(progress: &Progress, stage: usize, now_ms: u64, style: &Style) -> String {
    let tally = progress.stage_tally(stage);
    let title = match progress.verb {
        Verb::Run => progress.spec.stages[stage].title.clone(),
        Verb::Undo => format!("Undo: {}", progress.spec.stages[stage].title),
    };
    let began = progress.stage_began(stage).unwrap_or(now_ms);
    let mut tail = Line::new();
    if tally.failed > 0 {
        tail = tail.tone(Tone::Danger, format!("{} failed  ", number(tally.failed)));
    }
    if tally.left_out > 0 {
        tail = tail.tone(Tone::Warn, format!("{} left out  ", number(tally.left_out)));
    }
    let tail = tail
        .strong(format!("{}/{}", number(tally.done), number(tally.all)))
        .plain(format!("  {:>TIME$}", took(began, now_ms)));
    let mark = if style.unicode { "● " } else { "* " };
    let room = style.width.saturating_sub(width(mark) + width(&tail.text()) + 2);
    let title = truncate(&sanitize(&title), room, dots(style));
    let mut line = Line::new()
        .tone(Tone::Info, mark)
        .strong(&title)
        .plain(" ".repeat(room - width(&title) + 2));
    for span in tail.spans() {
        line = line.tone(span.tone(), span.text());
    }
    cut(&line, style)
}

/// What the longest of a group saw, or when it is tried again and why.
fn note(line: Line, running: &Running, now_ms: u64) -> Line {
    match &running.again {
        Some((when, attempt, why)) if *when > now_ms => {
            let why = remote(why);
            let wait = when.saturating_sub(now_ms).div_ceil(1000);
            line.tone(Tone::Warn, format!("attempt {attempt} in {wait}s: {why}"))
        }
        Some((_, attempt, why)) => line.tone(Tone::Warn, format!("attempt {attempt}: {}", remote(why))),
        None => line.dim(remote(&running.seen)),
    }
}

/// Hosts in so many columns: their names, folded, or how many of which role.
fn named(progress: &Progress, hosts: &[&str], room: usize, style: &Style) -> String {
    let folded = sanitize(&fold_hosts(hosts));
    if width(&folded) <= room {
        return folded;
    }
    if let [only] = hosts {
        return truncate(&sanitize(only), room, dots(style));
    }
    let all = &progress.spec.hosts;
    if hosts.len() == all.len() {
        return format!("all {}", count(hosts.len(), "host"));
    }
    let of = |role: Option<Role>| {
        let is = |name: &&&str| all.iter().any(|host| host.id == **name && host.role == role);
        hosts.iter().filter(is).count()
    };
    let roles = [
        (of(Some(Role::Manager)), "manager"),
        (of(Some(Role::Worker)), "worker"),
        (of(None), "host"),
    ];
    let parts = roles.into_iter().filter(|(n, _)| *n > 0);
    let parts: Vec<String> = parts.map(|(n, noun)| count(n, noun)).collect();
    truncate(&parts.join(", "), room, dots(style))
}

fn took(start_ms: u64, now_ms: u64) -> String {
    duration(now_ms.saturating_sub(start_ms) / 1000)
}

fn dots(style: &Style) -> &'static str {
    if style.unicode { "…" } else { "..." }
}

/// The whole run: how much of its time is over, its actions, since when, and how long it still takes.
fn bar(progress: &Progress, eta: Eta, now_ms: u64, style: &Style) -> String {
    let tally = progress.tally();
    let began = progress.began_ms.unwrap_or(now_ms);
    let past = now_ms.saturating_sub(began);
    let left = eta.left_ms.unwrap_or(0);
    let share = match eta.left_ms {
        _ if tally.all == 0 || tally.over() => 100,
        // Rounded down, and never full before the end.
        Some(_) => (past.saturating_mul(100) / past.saturating_add(left).max(1)).min(99),
        None => u64::try_from(tally.done * 100 / tally.all).unwrap_or(0).min(99),
    };
    let mut tail = format!(
        " {share:>3}%  {}/{} {}  {}",
        number(tally.done),
        number(tally.all),
        match progress.verb {
            Verb::Run => "actions",
            Verb::Undo => "undone",
        },
        took(began, now_ms)
    );
    if eta.left_ms.is_some() && left > 0 && !tally.over() {
        let about = if style.unicode { "≈" } else { "~" };
        tail.push_str(&format!("  {about} {} left", duration(left.div_ceil(1000))));
    }
    let room = style.width.saturating_sub(width(&tail));
    let full = usize::try_from(share).unwrap_or(0) * room / 100;
    let (done, open) = if style.unicode { ("━", "─") } else { ("#", "-") };
    let tone = match progress.verb {
        Verb::Run => Tone::Good,
        Verb::Undo => Tone::Change,
    };
    let line = Line::new()
        .tone(tone, done.repeat(full))
        .dim(open.repeat(room - full))
        .plain(tail);
    cut(&line, style)
}
