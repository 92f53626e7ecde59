//! Plans grow with the number of hosts and no faster, counted rather than timed: `docs/benchmarks.md` has the times.

#[path = "../../benches/support/mod.rs"]
pub mod generated;

use generated::Files;
use mkectl::catalogue::Bundle;
use mkectl::model::Plan;
use mkectl::plan;
use mkectl::plan::tables::Tables;
use mkectl::report::{self, Style};

/// What a plan for 10,000 hosts may have.
const LARGEST_FILE: usize = 50_000_000;

const STYLE: Style = Style {
    width: 100,
    color: false,
    unicode: true,
};

struct Counted {
    hosts: usize,
    bytes: usize,
    nodes: usize,
    edges: usize,
    lines: usize,
}

fn counted(tables: &Tables, hosts: usize) -> Counted {
    let files = Files::cluster(hosts);
    let plan: Plan = files.parse().plan(tables);
    let json = plan::write(&plan).unwrap();
    assert_eq!(plan::read(&json).unwrap(), plan, "{hosts} hosts");
    let spec = &plan.spec;
    assert_eq!(spec.hosts.len(), hosts);
    let needs = spec.actions.iter().map(|action| action.needs.len());
    let needs = needs.chain(spec.joints.iter().map(|joint| joint.needs.len()));
    Counted {
        hosts,
        bytes: json.len(),
        nodes: spec.actions.len() + spec.joints.len(),
        edges: needs.sum(),
        lines: report::diff::render(&plan, &STYLE).lines().count(),
    }
}

#[test]
fn a_plan_grows_with_the_hosts_and_no_faster() {
    let tables = Tables::load(&Bundle::embedded()).unwrap();
    // All below 1,000 hosts, where the number of managers stays the same.
    let [small, middle, large] = [100, 200, 400].map(|hosts| counted(&tables, hosts));
    let per_host = |a: &Counted, b: &Counted, of: fn(&Counted) -> usize| {
        (of(b) - of(a)) as f64 / (b.hosts - a.hosts) as f64
    };
    for (what, of) in [
        ("bytes", (|it| it.bytes) as fn(&Counted) -> usize),
        ("actions and joints", |it| it.nodes),
        ("needs", |it| it.edges),
    ] {
        let (first, second) = (per_host(&small, &middle, of), per_host(&middle, &large, of));
        assert!(
            first > 0.0 && second < first * 1.05,
            "{what} of a further host: {first} among 100 to 200, {second} among 200 to 400"
        );
    }
    let bytes = large.bytes as f64 + per_host(&middle, &large, |it| it.bytes) * (10_000 - large.hosts) as f64;
    assert!(
        bytes < LARGEST_FILE as f64,
        "10,000 hosts would make {bytes} bytes"
    );
    assert!(
        large.edges <= 2 * large.nodes,
        "{} needs of {} actions and joints",
        large.edges,
        large.nodes
    );
    assert!(
        large.lines <= small.lines + small.lines / 10,
        "the diff has {} lines for 100 hosts and {} for 400",
        small.lines,
        large.lines
    );
}
