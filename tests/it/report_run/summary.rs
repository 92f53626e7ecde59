//! The Upgrade Summary.

use super::play::{Fault, Show};
use super::{applyable, harmless, spec};
use crate::support::plan_of;
use mkectl::apply::Verb;
use mkectl::apply::book::Book;
use mkectl::model::{Effect, Outcome, Spec};
use mkectl::report::upgrade_summary::render;

/// The example of the documentation of MKE 4k 4.1, in its later wording: earlier pages have `MKE3 ports`.
const EXAMPLE: &str = "\
Upgrade Summary
---------------

Configuration file
---------------
All MKE 3 TOML settings were successfully converted into MKE 4 YAML settings.

Authentication
---------------
Users found in the MKE3 cluster: 1

All users were upgraded to the MKE 4k cluster successfully.

Authorization
---------------
Organizations found in the MKE3 cluster: 1
Teams found in the MKE3 cluster: 0

All organizations and teams were translated to aggregated roles in the MKE 4k cluster successfully.

Ports
---------------
The following MKE 3 ports are no longer used by MKE 4k and (unless otherwise needed) may be made unavailable on all nodes: [2377,6444,7946,9055,12376,12378,12379,12380,12381,12382,12383,12384,12385,12386,12387,12388,12389,12391,12392,179,12390,2376,443]

MCR
---------------
MCR may safely be uninstalled

MKE3 Cleanup
---------------
MKE 3.8.5 was uninstalled from the cluster successfully.
";

/// Everything is done.
fn whole(spec: &Spec) -> Book {
    let mut book = Book::default();
    for action in &spec.actions {
        book.intents.insert(action.id.clone());
        book.done.insert(action.id.clone(), Default::default());
    }
    book
}

#[test]
fn the_summary_of_the_smallest_cluster_is_the_example_of_the_documentation() {
    let spec = plan_of("minimal").spec;
    assert_eq!(render(&spec, &whole(&spec)), EXAMPLE);
}

#[tokio::test(start_paused = true)]
async fn a_real_run_of_the_smallest_cluster_comes_to_the_same() {
    let spec = applyable(plan_of("minimal").spec);
    let shown = Show::new(&spec).run().await;
    assert_eq!(render(&spec, &shown.result.book), EXAMPLE);
}

#[test]
fn what_did_not_come_over_is_named() {
    for cluster in ["three-managers", "everything"] {
        let spec = plan_of(cluster).spec;
        let text = render(&spec, &whole(&spec));
        harmless(&text);
        insta::assert_snapshot!(format!("summary_{cluster}"), text);
        for row in spec.rbac.as_ref().unwrap().users.iter() {
            let named = text.lines().any(|line| {
                let names = line.strip_prefix("- ").and_then(|line| line.split_once(": "));
                names.is_some_and(|(names, _)| names.split(", ").any(|name| name == row.name))
            });
            let lost = row.outcome != Outcome::Converted;
            assert_eq!(named, lost, "{}: {:?}", row.name, row.outcome);
        }
    }
}

#[test]
fn nothing_counts_that_was_not_done() {
    let spec = spec();
    let nothing = render(&spec, &Book::default());
    insta::assert_snapshot!("summary_nothing_done", nothing);
    let mut book = whole(&spec);
    let destroys = |id: &str| {
        let step = id.rsplit('/').next().unwrap();
        let row = spec.steps.iter().find(|it| it.id == step).unwrap();
        row.effect == Effect::Destroys
    };
    book.done.retain(|id, _| !destroys(id));
    let before_commit = render(&spec, &book);
    assert!(before_commit.contains("MKE 3.8.5 was not uninstalled from the cluster yet."));
    assert!(!before_commit.contains("MCR may safely be uninstalled\n"));
}

#[test]
fn accounts_that_were_not_read_and_empty_directories_are_said() {
    let mut spec = plan_of("minimal").spec;
    let rbac = spec.rbac.as_mut().unwrap();
    (rbac.counts.organizations, rbac.counts.teams) = (0, 0);
    rbac.organizations.clear();
    let text = render(&spec, &whole(&spec));
    assert!(text.contains(
        "Organizations found in the MKE3 cluster: 0\nTeams found in the MKE3 cluster: 0\n\nThere were no organizations"
    ));
    spec.rbac = None;
    let text = render(&spec, &whole(&spec));
    assert!(text.contains("The users of the MKE3 cluster were not read, so no user was upgraded.\n"));
    spec.conversion.ports.clear();
    assert!(render(&spec, &whole(&spec)).contains("\nAll MKE 3 ports are still used by MKE 4k.\n"));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_was_left_out_still_has_mke_3() {
    let shown = Show::new(&spec())
        .fault(Verb::Run, "worker-03/join-worker", Fault::Fail)
        .run()
        .await;
    let text = render(&spec(), &shown.result.book);
    let at = text.find("\nMCR\n").unwrap();
    insta::assert_snapshot!("summary_left_out", &text[at + 1..]);
    assert!(text.contains("- worker-03: left out of the upgrade\n"));
    let mut book = whole(&spec());
    book.done.remove("worker-02/remove-leftovers");
    let text = render(&spec(), &book);
    assert!(
        text.contains("- worker-02: remove-leftovers not done\n"),
        "{text}"
    );
}
