//! The view on a real terminal, to look at: `cargo test --test it -- --ignored --nocapture on_a_terminal`.

use super::applyable;
use super::play::{Fast, Fault, Show};
use crate::size::generated::Files;
use mkectl::apply::Verb;
use mkectl::apply::book::Book;
use mkectl::apply::events::Subscriber;
use mkectl::catalogue::Bundle;
use mkectl::plan::tables::Tables;
use mkectl::report::Style;
use mkectl::report::live::{Live, Setup};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_view_without_a_terminal_draws_nothing_and_ends() {
    let spec = super::spec();
    let clock = Arc::new(Fast(tokio::time::Instant::now(), 60_000));
    let (mut read, write) = std::io::pipe().unwrap();
    let term = console::Term::read_write_pair(std::io::stdin(), write);
    let live = Live::start(Setup {
        spec: Arc::clone(&spec),
        earlier: &Book::default(),
        until: None,
        width: spec.estimate.width,
        clock: Arc::clone(&clock) as _,
        term,
        style: Style::default(),
    });
    let show = Show {
        speed: 60_000,
        ..Show::new(&spec)
    };
    let show = show.fault(Verb::Run, "manager-02/join-controller", Fault::Fail);
    let shown = show
        .to(clock, vec![Arc::clone(&live) as Arc<dyn Subscriber>])
        .await;
    assert_eq!(shown.result.outcome, mkectl::apply::Outcome::RolledBack);
    live.print("nobody reads this");
    live.finish();
    live.finish();
    drop(live);
    let mut drawn = String::new();
    std::io::Read::read_to_string(&mut read, &mut drawn).unwrap();
    assert_eq!(drawn, "");
}

/// How many times faster than time.
const SPEED: u32 = 600;

#[test]
#[ignore = "plays half a minute on a terminal"]
fn two_hundred_hosts_on_a_terminal() {
    let tables = Tables::load(&Bundle::embedded()).unwrap();
    let files = Files::cluster(200);
    let spec = applyable(files.parse().plan(&tables).spec);
    let worker = |number: usize| -> &'static str {
        let workers: Vec<&str> = spec
            .actions
            .iter()
            .filter(|it| it.step == "join-worker")
            .map(|it| it.id.as_str())
            .collect();
        workers[number].to_owned().leak()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let clock = Arc::new(Fast(tokio::time::Instant::now(), SPEED));
        let live = Live::start(Setup {
            spec: Arc::clone(&spec),
            earlier: &Book::default(),
            until: None,
            width: spec.estimate.width,
            clock: Arc::clone(&clock) as _,
            term: console::Term::stderr(),
            style: Style {
                color: std::env::var_os("NO_COLOR").is_none(),
                ..Style::default()
            },
        });
        let show = Show {
            speed: SPEED,
            ..Show::new(&spec)
        };
        let show =
            show.fault(Verb::Run, worker(7), Fault::Fail)
                .fault(Verb::Run, worker(9), Fault::Temporary(2));
        let shown = show
            .to(clock, vec![Arc::clone(&live) as Arc<dyn Subscriber>])
            .await;
        live.finish();
        assert!(shown.result.achieved_ms > 0);
        tokio::time::sleep(Duration::from_millis(10)).await;
    });
}
