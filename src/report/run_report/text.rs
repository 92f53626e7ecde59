//! The run report for a person.

use super::{Copy, RunReport, StepTimes};
use crate::apply::Verb;
use crate::model::Keep;
use crate::report::doc::{Block, Line, Section, Table, Tone, Weight};
use crate::report::page::{Page, Style};
use crate::text::{bytes, count, duration, number};

/// Steps and hosts that are shown; the JSON has all.
const SHOWN: usize = 12;

/// The report as text: what it took, the longest chain, slow steps and hosts, copies that were kept.
pub fn render(report: &RunReport, style: &Style) -> String {
    let mut page = Page::new(style);
    page.heading(
        "Run report",
        &format!("{}, exit status {}", report.outcome, report.exit),
    );
    page.gap();
    page.blocks(&head(report));
    let sections = [
        (
            "path",
            "Longest chain",
            "the run could not be shorter than this",
            path(report),
        ),
        (
            "steps",
            "Steps",
            "by how long all their actions took together",
            steps(report),
        ),
        (
            "hosts",
            "Slowest hosts",
            "against the median of each step",
            hosts(report),
        ),
        ("copies", "Copies that were kept", "", copies(&report.copies)),
    ];
    for (id, title, gist, blocks) in sections {
        if !blocks.is_empty() {
            page.section(&Section {
                id,
                title: title.to_owned(),
                gist: gist.to_owned(),
                weight: Weight::Normal,
                blocks,
            });
        }
    }
    page.finish()
}

fn time(ms: u64) -> String {
    match ms {
        0 => "0s".to_owned(),
        1..10_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        _ => duration(ms / 1000),
    }
}

fn head(report: &RunReport) -> Vec<Block> {
    let mut facts = vec![
        ("plan", Line::from(report.plan.as_str())),
        ("run", Line::from(report.run.as_str())),
        (
            "actions",
            Line::from(format!(
                "{} of {} done{}",
                number(report.done as usize),
                number(report.actions as usize),
                match report.failed {
                    0 => String::new(),
                    failed => format!(", {}", count(failed as usize, "failure")),
                }
            )),
        ),
    ];
    if let Some(percent) = report.percent_of_bound {
        let text = Line::new().strong(time(report.achieved_ms)).plain(format!(
            ", {percent}% of the lower bound of {} for these times; planned were {}",
            time(report.bound_ms),
            time(report.estimate_ms)
        ));
        facts.push(("time", text));
    }
    if !report.left_out.is_empty() {
        let names = crate::text::fold_hosts(&report.left_out);
        facts.push(("left out", Line::new().tone(Tone::Warn, names)));
    }
    let mut blocks = vec![Block::Facts(facts)];
    for stage in &report.stages {
        let undo = if stage.verb == Verb::Undo { "undo of " } else { "" };
        let took = stage.end_ms.saturating_sub(stage.start_ms);
        let text = Line::new()
            .plain(format!("{undo}{}  ", stage.stage))
            .strong(time(took))
            .dim(format!(
                "  from {} to {}",
                time(stage.start_ms),
                time(stage.end_ms)
            ));
        blocks.push(Block::item(Tone::Dim, "·", text));
    }
    blocks
}

fn path(report: &RunReport) -> Vec<Block> {
    if report.critical_path.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(&["took", "action", "waited"]);
    let mut ended = report.critical_path[0].start_ms;
    for row in &report.critical_path {
        // Between two actions of the chain there may be a wait for a connection, for a budget, or for a person.
        let waited = match row.start_ms.saturating_sub(ended) {
            0 => Line::new(),
            ms => Line::new().dim(format!("after a wait of {}", time(ms))),
        };
        ended = row.end_ms;
        table.row([
            Line::new().strong(time(row.end_ms.saturating_sub(row.start_ms))),
            Line::from(row.action.as_str()),
            waited,
        ]);
    }
    vec![Block::Table(table)]
}

fn steps(report: &RunReport) -> Vec<Block> {
    let mut rows: Vec<&StepTimes> = report.steps.iter().collect();
    rows.sort_by(|a, b| (b.total_ms, &a.step).cmp(&(a.total_ms, &b.step)));
    let mut table = Table::new(&["step", "actions", "median", "slowest", "planned"]);
    table.show_head = true;
    for row in rows.iter().take(SHOWN) {
        let undo = if row.verb == Verb::Undo { "undo of " } else { "" };
        table.row([
            Line::new().plain(undo).strong(&row.step),
            Line::from(number(row.actions as usize)),
            Line::from(time(row.median_ms)),
            Line::from(time(row.longest_ms)).dim(format!(" {}", row.longest_host)),
            Line::new().dim(time(row.estimate_ms)),
        ]);
    }
    with_rest(table, rows.len(), "step")
}

fn hosts(report: &RunReport) -> Vec<Block> {
    let rows = report.hosts.iter().filter(|row| row.behind_ms > 0);
    let mut table = Table::new(&["host", "behind", "busy"]);
    let all = rows.clone().count();
    for row in rows.take(SHOWN) {
        table.row([
            Line::new().strong(&row.host),
            Line::from(format!("{} behind", time(row.behind_ms))),
            Line::new().dim(format!("{} in all", time(row.busy_ms))),
        ]);
    }
    with_rest(table, all, "host")
}

fn with_rest(table: Table, all: usize, noun: &str) -> Vec<Block> {
    if table.rows.is_empty() {
        return Vec::new();
    }
    let mut blocks = vec![Block::Table(table)];
    if all > SHOWN {
        let text = format!("and {}", count(all - SHOWN, &format!("more {noun}")));
        blocks.push(Block::text(Line::new().dim(text)));
    }
    blocks
}

fn copies(copies: &[Copy]) -> Vec<Block> {
    if copies.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(&["until", "size", "where", "what"]);
    table.stack = Some(3);
    for copy in copies {
        let until = match copy.keep {
            Keep::Kept => "until you remove it",
            Keep::Commit => "until commit",
            Keep::Run => "until the run ends",
        };
        let host = match copy.host.as_str() {
            "" => "this machine",
            host => host,
        };
        let secret = if copy.secret { ", holds secrets" } else { "" };
        table.row([
            Line::new().dim(until),
            Line::from(bytes(copy.size.0)),
            Line::new().strong(host).plain(":").info(&copy.path),
            Line::new().dim(format!("{} of {}{secret}", copy.output, copy.action)),
        ]);
    }
    vec![Block::Table(table)]
}
