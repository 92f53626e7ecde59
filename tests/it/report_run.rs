//! What people and programs see of a run, from the events and results of real runs of the engine.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod play;
mod summary;
mod terminal;

use crate::support::plan_of;
use mkectl::apply::book::Book;
use mkectl::apply::events::{self, Event, Line, Subscriber};
use mkectl::apply::{Outcome, RunResult, Verb};
use mkectl::model::Spec;
use mkectl::options::FailurePolicy;
use mkectl::report::Style;
use mkectl::report::event_lines::EventLines;
use mkectl::report::failure::{self, Names};
use mkectl::report::live::Screen;
use mkectl::report::logline::{self, Form, Level, LogLines};
use mkectl::report::run_report::{self, RunReport};
use mkectl::text::{is_unsafe, width};
use play::{Buffer, Fault, POISON, Show, Shown};
use std::sync::{Arc, OnceLock};

/// The plan of the cluster `three-managers`, as if every script were there.
fn spec() -> Arc<Spec> {
    static SPEC: OnceLock<Arc<Spec>> = OnceLock::new();
    Arc::clone(SPEC.get_or_init(|| applyable(plan_of("three-managers").spec)))
}

fn applyable(mut spec: Spec) -> Arc<Spec> {
    spec.intent.applyable = true;
    for action in &mut spec.actions {
        action.undecided = None;
    }
    Arc::new(spec)
}

fn style(width: usize) -> Style {
    Style {
        width,
        color: false,
        unicode: true,
    }
}

const NAMES: Names<'static> = Names {
    plan: "plan.json",
    digest: "sha256:1fc1b1366cbd00112233445566778899",
    logs: "",
};

fn logged(show: &Show, form: Form, level: Level, lines: &[Line]) -> String {
    let out = Buffer::default();
    let log = LogLines::new(logline::Setup {
        spec: Arc::clone(&show.spec),
        earlier: &show.book(),
        until: show.until,
        level,
        form,
        out: Box::new(out.clone()),
    });
    lines.iter().for_each(|line| log.line(line));
    out.text()
}

/// Nothing that hosts say reaches a terminal as they say it, and no secret does at all.
#[track_caller]
fn harmless(text: &str) {
    let found = text.chars().find(|c| *c != '\n' && is_unsafe(*c));
    assert_eq!(found, None, "{text}");
    assert!(!text.contains(POISON), "{text}");
}

fn log_of(shown: &Shown, level: Level) -> String {
    let text = logged(&Show::new(&spec()), Form::Text, level, &shown.lines);
    harmless(&text);
    text
}

#[tokio::test(start_paused = true)]
async fn log_lines_of_a_run_look_like_those_of_the_real_tool() {
    let shown = Show::new(&spec())
        .fault(Verb::Run, "worker-02/prepull", Fault::Temporary(1))
        .run()
        .await;
    assert_eq!(shown.result.outcome, Outcome::Done);
    let text = log_of(&shown, Level::Info);
    insta::assert_snapshot!("log_done", text);
    for line in text.lines() {
        let (level, rest) = line.split_at(4);
        assert!(["INFO", "WARN"].contains(&level), "{line}");
        let (seconds, rest) = rest.strip_prefix('[').unwrap().split_once("] ").unwrap();
        assert!(seconds.len() >= 4 && seconds.parse::<u64>().is_ok(), "{line}");
        assert!(!rest.is_empty());
    }
    // The same run, line by line, for programs.
    let json = logged(&Show::new(&spec()), Form::Json, Level::Info, &shown.lines);
    let levels = |text: &str| text.lines().count();
    assert_eq!(levels(&json), levels(&text));
    for (json, text) in json.lines().zip(text.lines()) {
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert!(text.ends_with(json["msg"].as_str().unwrap()), "{text} {json}");
        assert!(json["level"].is_string() && json["seconds"].is_u64());
    }
}

#[tokio::test(start_paused = true)]
async fn log_lines_do_not_grow_with_the_hosts() {
    let shown = Show::new(&spec()).run().await;
    let info = log_of(&shown, Level::Info).lines().count();
    let steps = spec().steps.len();
    assert!(
        info <= 2 * steps + 2 * spec().stages.len() + 10,
        "{info} lines for {steps} steps"
    );
    let debug = log_of(&shown, Level::Debug);
    let outputs = debug
        .lines()
        .filter(|line| line.contains("| a line of output"))
        .count();
    assert_eq!(outputs, spec().actions.len(), "output is there at debug");
    let warn = log_of(&shown, Level::Warn);
    assert_eq!(warn, "", "nothing went wrong");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_is_logged_in_the_words_of_the_real_tool() {
    let shown = Show {
        interrupt_at: Some("manager-01/start-lead"),
        ..Show::new(&spec())
    };
    let shown = shown.run().await;
    assert_eq!(shown.result.outcome, Outcome::RolledBack);
    let text = log_of(&shown, Level::Info);
    insta::assert_snapshot!("log_rolled_back", text);
    // The lines of the example in the documentation of MKE 4k that are not about its ways to do it, in its order.
    let version = &spec().cluster.from.mke;
    let expected = [
        "WARN Initiating rollback because of upgrade failure. upgradeErr = aborting upgrade due to signal interrupt".to_owned(),
        format!("INFO Initiating rollback of MKE to version: {version}"),
        "INFO Step 1 of 2: [Rollback Upgrade Tasks]".to_owned(),
        "INFO [Rollback Upgrade Tasks] Completed".to_owned(),
        "INFO Step 2 of 2: [Rollback Pre Upgrade Tasks]".to_owned(),
        "INFO [Rollback Pre Upgrade Tasks] Completed".to_owned(),
        format!("INFO Rollback to MKE version {version} completed successfully ..."),
        "FATA Upgrade failed due to error: aborting upgrade due to signal interrupt".to_owned(),
    ];
    let said: Vec<String> = text
        .lines()
        .map(|line| format!("{}{}", &line[..4], &line[line.find(']').unwrap() + 1..]))
        .filter(|line| expected.contains(line))
        .collect();
    assert_eq!(said, expected);
    assert!(
        text.ends_with(&format!("{}\n", &expected[7][5..])),
        "the last line says why"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rollback_by_command_is_no_failure_of_an_upgrade() {
    let first = Show {
        until: Some("quiesce"),
        ..Show::new(&spec())
    };
    let first = first.run().await;
    let back = || Show {
        direction: mkectl::apply::engine::Direction::Back,
        earlier: first.journal.clone(),
        ..Show::new(&spec())
    };
    let shown = back().run().await;
    assert_eq!(shown.result.outcome, Outcome::RolledBack);
    let text = logged(&back(), Form::Text, Level::Info, &shown.lines);
    assert!(!text.contains("upgradeErr") && !text.contains("FATA"), "{text}");
    assert!(text.contains("Step 1 of 2: [Rollback Upgrade Tasks]\n"), "{text}");
    let end = text.lines().last().unwrap();
    assert!(
        end.ends_with("Rollback to MKE version 3.8.5 completed successfully ..."),
        "{end}"
    );
    // A rollback that stops half-way says so, and the next one goes on with what is left.
    let half = back()
        .fault(Verb::Undo, "manager-01/stop-kv", Fault::Fail)
        .run()
        .await;
    let text = logged(&back(), Form::Text, Level::Info, &half.lines);
    let left = half.result.remaining.len();
    let end = text.lines().last().unwrap();
    assert!(
        end.starts_with("FATA") && end.ends_with(&format!("is not complete: {left} undos remain")),
        "{end}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_logged_whatever_the_level() {
    let shown = Show::new(&spec())
        .fault(Verb::Run, "worker-03/join-worker", Fault::Fail)
        .fault(Verb::Run, "manager-01/mke4k", Fault::CannotTell)
        .run()
        .await;
    assert_eq!(shown.result.outcome, Outcome::Undecided);
    let errors = log_of(&shown, Level::Error);
    insta::assert_snapshot!("log_errors", errors);
}

#[tokio::test(start_paused = true)]
async fn every_event_is_written_and_fits_the_schema() {
    let spec = spec();
    let out = Buffer::default();
    let lines = Arc::new(EventLines::new(Box::new(out.clone())));
    let show = Show::new(&spec)
        .fault(Verb::Run, "worker-02/prepull", Fault::Temporary(1))
        .fault(Verb::Run, "manager-02/join-controller", Fault::Fail);
    let clock = Arc::new(play::Fast(tokio::time::Instant::now(), 1));
    let shown = show
        .to(clock, vec![Arc::clone(&lines) as Arc<dyn Subscriber>])
        .await;
    assert_eq!(shown.result.outcome, Outcome::RolledBack);
    assert!(lines.error().is_none());
    let text = out.text();
    assert!(text.ends_with('\n') && !text.contains(POISON));
    let schema = jsonschema::validator_for(&events::schema()).unwrap();
    let mut read = Vec::new();
    for (number, line) in (1u64..).zip(text.lines()) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(schema.is_valid(&value), "{line}");
        assert_eq!(value["seq"], number, "no gap");
        read.push(serde_json::from_str::<Line>(line).unwrap());
    }
    assert_eq!(read, shown.lines, "everything that was told, in order");
    let kinds: std::collections::BTreeSet<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].to_string())
        .collect();
    assert!(kinds.len() >= 11, "{kinds:?}");
    assert!(!schema.is_valid(&serde_json::json!({"v": "1.0", "seq": "one"})));
}

#[test]
fn a_stream_that_breaks_stays_broken() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += 1;
            match self.0 {
                2 => Err(std::io::Error::other("disk full")),
                _ => Ok(bytes.len()),
            }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = EventLines::new(Box::new(Full(0)));
    let line = Line {
        v: "1.0".to_owned(),
        run: "r".to_owned(),
        seq: 1,
        at: String::new(),
        ms: 0,
        event: Event::StageStart {
            stage: "s".to_owned(),
        },
    };
    lines.line(&line);
    assert!(lines.error().is_none());
    lines.line(&line);
    lines.line(&line);
    assert_eq!(lines.error().unwrap().to_string(), "disk full");
}

fn failure_text(result: &RunResult, width: usize) -> String {
    let text = failure::render(&spec(), result, &NAMES, &style(width));
    harmless(&text);
    for line in text.lines() {
        assert!(mkectl::text::width(line) <= width, "{line}");
    }
    text
}

#[tokio::test(start_paused = true)]
async fn a_failure_names_what_a_person_needs() {
    let failed = "manager-02/join-controller";
    let shown = Show {
        policy: FailurePolicy::Pause,
        ..Show::new(&spec())
    };
    let shown = shown.fault(Verb::Run, failed, Fault::Fail).run().await;
    assert_eq!(shown.result.outcome, Outcome::Paused);
    let text = failure_text(&shown.result, 100);
    insta::assert_snapshot!("failure_paused", text);
    let host = spec()
        .hosts
        .iter()
        .find(|it| it.id == "manager-02")
        .unwrap()
        .clone();
    for part in [
        failed,
        &format!("{}:{}", host.address, host.port),
        "join-controller.sh run",
        "exit status 1",
        "cannot reach 10.0.0.1:6443",
        "mkectl apply plan.json --resume",
        "mkectl rollback plan.json",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    failure_text(&shown.result, 80);
}

#[tokio::test(start_paused = true)]
async fn each_outcome_says_how_to_go_on() {
    let commands = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| line.starts_with("mkectl ") && !line.contains("--scripts"));
        let command = |line: &str| line.split("  ").next().unwrap().to_owned();
        lines.map(command).collect()
    };
    let (resume, back) = ("mkectl apply plan.json --resume", "mkectl rollback plan.json");
    let show = || Show::new(&spec());
    let cases = [
        // Nothing was changed by the first action of the plan that fails.
        (
            show().fault(Verb::Run, "manager-01/join-controller", Fault::Fail),
            Outcome::Done,
            vec![],
        ),
        (
            show().fault(Verb::Run, "worker-03/join-worker", Fault::Fail),
            Outcome::Done,
            vec![resume, back],
        ),
        (
            show().fault(Verb::Run, "manager-02/join-controller", Fault::Fail),
            Outcome::RolledBack,
            vec!["mkectl plan … -o NEW-PLAN"],
        ),
        (
            show().fault(Verb::Run, "manager-01/mke4k", Fault::Fail),
            Outcome::Paused,
            vec![resume, back],
        ),
        (
            show().fault(Verb::Run, "manager-01/mke4k", Fault::CannotTell),
            Outcome::Undecided,
            vec!["mkectl status plan.json", resume, back],
        ),
        (
            show().fault(Verb::Run, "worker-01/remove-mke3", Fault::Fail),
            Outcome::Paused,
            vec![resume],
        ),
        (
            show()
                .fault(Verb::Run, "manager-02/join-controller", Fault::Fail)
                .fault(Verb::Undo, "worker-01/pin-restart", Fault::Fail),
            Outcome::Undecided,
            vec!["mkectl status plan.json", back],
        ),
        (
            Show {
                until: Some("prepare"),
                ..show()
            },
            Outcome::Gate("quiesce".to_owned()),
            vec![resume, back],
        ),
    ];
    let mut all = String::new();
    for (show, outcome, expected) in cases {
        let faults = format!("{:?}", show.faults);
        let shown = show.run().await;
        assert_eq!(shown.result.outcome, outcome, "{faults}");
        let text = failure_text(&shown.result, 100);
        if expected.is_empty() {
            assert_eq!(text, "", "there is nothing to say");
            continue;
        }
        // After commit there is no way back, and where workers were left out behind it neither.
        let crossed = shown.result.book.crossed(&spec());
        let expected: Vec<&str> = expected
            .into_iter()
            .filter(|it| *it != back || !crossed.no_return || shown.result.book.rolling_back)
            .collect();
        assert_eq!(commands(&text), expected, "{faults}\n{text}");
        all.push_str(&text);
        all.push('\n');
    }
    insta::assert_snapshot!("failures", all);
}

#[tokio::test(start_paused = true)]
async fn a_run_report_adds_up() {
    let shown = Show::new(&spec()).run().await;
    let report = RunReport::new(&spec(), "sha256:plan", "run-1", &shown.result);
    assert_eq!(report.times.len(), spec().actions.len());
    assert_eq!(report.achieved_ms, shown.result.achieved_ms);
    let percent = report.percent_of_bound.unwrap();
    assert_eq!(percent, (report.achieved_ms * 100).div_ceil(report.bound_ms));
    assert!(percent >= 100, "{percent}");
    let total: u64 = report.times.iter().map(|it| it.end_ms - it.start_ms).sum();
    assert_eq!(report.steps.iter().map(|it| it.total_ms).sum::<u64>(), total);
    assert_eq!(report.hosts.iter().map(|it| it.busy_ms).sum::<u64>(), total);
    // A chain of actions one after the other, none before the one that it waits for has ended.
    let path = &report.critical_path;
    assert!(path.len() > 10);
    assert!(
        path.windows(2).all(|pair| pair[0].end_ms <= pair[1].start_ms),
        "{path:#?}"
    );
    let length: u64 = path.iter().map(|it| it.end_ms - it.start_ms).sum();
    assert!(
        length <= report.bound_ms && length * 2 > report.bound_ms,
        "{length}"
    );
    // What was kept for a way back is gone once there is none.
    assert!(
        report
            .copies
            .iter()
            .all(|it| it.keep == mkectl::model::Keep::Kept)
    );
    assert!(
        report
            .copies
            .iter()
            .any(|it| it.action.ends_with("/backup-mke3") && it.secret)
    );

    let schema = jsonschema::validator_for(&run_report::schema()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    assert!(schema.is_valid(&json));
    assert_eq!(serde_json::from_value::<RunReport>(json).unwrap(), report);
    let text = run_report::render(&report, &style(100));
    harmless(&text);
    insta::assert_snapshot!("run_report", text);

    let shown = Show {
        until: Some("quiesce"),
        ..Show::new(&spec())
    };
    let shown = shown.run().await;
    let report = RunReport::new(&spec(), "sha256:plan", "run-1", &shown.result);
    let snapshot = report
        .copies
        .iter()
        .find(|it| it.action.ends_with("/final-snapshot") && it.output == "snapshot")
        .unwrap();
    assert_eq!(snapshot.keep, mkectl::model::Keep::Commit);
    assert!(snapshot.secret && snapshot.path.starts_with("/var/lib/mkectl/"));
}

/// The view of a run at a moment.
fn screen_at(shown: &Shown, until_ms: u64, style: &Style) -> (String, Vec<String>) {
    let mut screen = Screen::new(spec(), &Book::default(), None, spec().estimate.width);
    let mut above = String::new();
    for line in shown.lines.iter().take_while(|line| line.ms <= until_ms) {
        let text = screen.take(line, style);
        if !text.is_empty() {
            above.push_str(&text);
            above.push('\n');
        }
    }
    (above, screen.lines(until_ms, style))
}

#[tokio::test(start_paused = true)]
async fn the_view_says_what_runs_and_how_long_it_still_takes() {
    let shown = Show::new(&spec())
        .fault(Verb::Run, "worker-02/prepull", Fault::Temporary(1))
        .fault(Verb::Run, "worker-03/join-worker", Fault::Fail)
        .run()
        .await;
    assert_eq!(shown.result.outcome, Outcome::Done);
    let end = shown.lines.last().unwrap().ms;
    let mut views = String::new();
    for percent in [0, 2, 8, 15, 30, 40, 50, 60, 80, 98] {
        let (_, lines) = screen_at(&shown, end * percent / 100, &style(80));
        views.push_str(&format!("--- {percent}%\n{}\n", lines.join("\n")));
    }
    let (above, lines) = screen_at(&shown, end, &style(80));
    views.push_str(&format!(
        "--- at the end\n{}\n--- above\n{above}",
        lines.join("\n")
    ));
    harmless(&views);
    insta::assert_snapshot!("live_80", views);
    let ascii = Style {
        unicode: false,
        ..style(140)
    };
    let (above, lines) = screen_at(&shown, end / 10, &ascii);
    let text = format!("{above}---\n{}\n", lines.join("\n"));
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!("live_140_ascii", text);
}

#[tokio::test(start_paused = true)]
async fn the_view_fits_any_terminal_at_any_moment() {
    let shown = Show::new(&spec())
        .fault(Verb::Run, "manager-02/join-controller", Fault::Fail)
        .run()
        .await;
    assert_eq!(shown.result.outcome, Outcome::RolledBack);
    for columns in [20, 80, 81, 140, 200] {
        let style = style(columns);
        let mut screen = Screen::new(spec(), &Book::default(), None, spec().estimate.width);
        let mut undone = false;
        for (number, line) in shown.lines.iter().enumerate() {
            let above = screen.take(line, &style);
            for line in above.lines() {
                assert!(width(line) <= columns.max(40), "{line}");
            }
            if number % 7 != 0 {
                continue;
            }
            let lines = screen.lines(line.ms, &style);
            assert!(lines.len() <= 12, "{lines:#?}");
            for line in &lines {
                assert!(width(line) <= columns, "{columns}: {line}");
                harmless(line);
            }
            undone |= lines.last().unwrap().contains("undone");
        }
        assert!(undone || columns == 20, "the way back has a bar of its own");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_shrinks_as_time_goes_by() {
    let shown = Show::new(&spec()).run().await;
    let end = shown.lines.last().unwrap().ms;
    let mut screen = Screen::new(spec(), &Book::default(), None, spec().estimate.width);
    let mut worst = 0.0f64;
    let mut next = 0;
    for line in &shown.lines {
        screen.take(line, &style(80));
        if line.ms >= next && line.ms < end {
            next = line.ms + end / 20;
            let left = screen.left_ms(line.ms).unwrap() as f64;
            let truth = (end - line.ms) as f64;
            worst = worst.max((left - truth).abs() / end as f64);
        }
    }
    assert_eq!(screen.left_ms(end), Some(0));
    assert!(worst < 0.2, "it was wrong by {worst} of the run");
}

#[tokio::test(start_paused = true)]
async fn a_resumed_run_starts_where_the_earlier_one_stopped() {
    let first = Show {
        until: Some("prepare"),
        ..Show::new(&spec())
    };
    let first = first.run().await;
    let second = Show {
        earlier: first.journal,
        ..Show::new(&spec())
    };
    let (book, done) = (second.book(), first.result.book.done.len());
    let shown = second.run().await;
    let mut screen = Screen::new(spec(), &book, None, spec().estimate.width);
    let above = screen.take(&shown.lines[0], &style(80));
    assert!(above.contains(&format!("going on: {done} of")), "{above}");
    let lines = screen.lines(shown.lines[0].ms, &style(80));
    let all = spec().actions.len();
    assert!(
        lines.concat().contains(&format!("{done}/{all} actions")),
        "{lines:?}"
    );
    shown.lines[1..].iter().for_each(|line| {
        screen.take(line, &style(80));
    });
    let lines = screen.lines(shown.lines.last().unwrap().ms, &style(80));
    assert!(
        lines.concat().contains(&format!("100%  {all}/{all} actions")),
        "{lines:?}"
    );
}
