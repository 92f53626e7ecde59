//! What the builder refuses, and that each refusal says where and what to do.

use super::cluster::{Cluster, action, all, budget, same, stage, take};
use mkectl::catalogue::{ActionDef, Capacity, Catalogue, ParamDef};
use mkectl::model::{Output, OutputKind, Selector};
use mkectl::plan::build;

fn catalogue(actions: Vec<ActionDef>) -> Catalogue {
    Catalogue {
        stages: vec![stage("one", false), stage("two", false)],
        budgets: vec![budget("slots", Selector::Hosts, Capacity::Fixed(1))],
        actions,
        scripts: Default::default(),
    }
}

fn refusal(cluster: &Cluster, actions: Vec<ActionDef>) -> String {
    build(&catalogue(actions), &cluster.situation())
        .unwrap_err()
        .to_string()
}

fn refused(actions: Vec<ActionDef>) -> String {
    refusal(&Cluster::new(3, 2), actions)
}

fn with(mut action: ActionDef, change: impl FnOnce(&mut ActionDef)) -> ActionDef {
    action.line = 7;
    change(&mut action);
    action
}

fn hosts(id: &str) -> ActionDef {
    action(id, "one", Selector::Hosts, &[], 1)
}

fn param(source: ParamDef) -> ActionDef {
    with(hosts("a"), |it| drop(it.params.insert("P".to_owned(), source)))
}

fn making(mut action: ActionDef) -> ActionDef {
    let output = Output {
        kind: OutputKind::Value,
        value_type: None,
        max: None,
        secret: false,
        keep: None,
    };
    action.outputs.insert("o".to_owned(), output);
    action
}

fn taking(mut action: ActionDef, output: &str) -> ActionDef {
    action
        .params
        .insert("P".to_owned(), ParamDef::Output(output.to_owned()));
    action
}

#[test]
fn unknown_names() {
    let texts = [
        refused(vec![with(hosts("a"), |it| it.stage = "three".to_owned())]),
        refused(vec![with(hosts("a"), |it| it.needs = vec![all("b")])]),
        refused(vec![with(hosts("a"), |it| it.when = vec!["raining".to_owned()])]),
        refused(vec![with(hosts("a"), |it| {
            it.relies = vec!["weather".to_owned()]
        })]),
        refused(vec![with(hosts("a"), |it| it.budgets = vec![take("gold", None)])]),
        refused(vec![param(ParamDef::Option("colour".to_owned()))]),
        refused(vec![param(ParamDef::Value("colour".to_owned()))]),
        refused(vec![param(ParamDef::Host("colour".to_owned()))]),
        refused(vec![param(ParamDef::File("colour.txt".to_owned()))]),
        refused(vec![param(ParamDef::Asset("paint".to_owned()))]),
        refused(vec![param(ParamDef::Secret("colour".to_owned()))]),
    ];
    insta::assert_snapshot!(texts.join("\n"), @r#"
    catalogue.yaml:7: action a: stage three does not exist; add it or correct the name
    catalogue.yaml:7: action a: needs b, which does not exist; add it or correct the name
    catalogue.yaml:7: action a: condition raining does not exist; see docs/catalogue.md for the names
    catalogue.yaml:7: action a: relies on weather, which is no fact; see docs/catalogue.md for the names
    catalogue.yaml:7: action a: takes budget gold, which does not exist; add it or correct the name
    catalogue.yaml:7: action a: parameter P: option colour does not exist; see docs/catalogue.md for the names
    catalogue.yaml:7: action a: parameter P: value colour does not exist; see docs/catalogue.md for the names
    catalogue.yaml:7: action a: parameter P: host field colour does not exist; see docs/catalogue.md for the names
    catalogue.yaml:7: action a: parameter P: document colour.txt does not exist; see docs/catalogue.md for the names
    catalogue.yaml:7: action a: parameter P: asset paint does not exist; see docs/catalogue.md for the names
    catalogue.yaml:7: action a: parameter P: secret colour does not exist; see docs/catalogue.md for the names
    "#);
}

#[test]
fn outputs_that_may_not_be_there() {
    let other = |id: &str, needs| action(id, "one", Selector::OtherManagers, needs, 1);
    let lead = |id: &str, needs| action(id, "one", Selector::Lead, needs, 1);
    let skipped = |mut action: ActionDef| {
        action.when = vec!["single-manager".to_owned()];
        action
    };
    let texts = [
        refused(vec![taking(hosts("b"), "nonsense")]),
        refused(vec![taking(hosts("b"), "a.o")]),
        refused(vec![hosts("a"), taking(hosts("b"), "a.o")]),
        refused(vec![making(hosts("a")), taking(hosts("b"), "a.o")]),
        refused(vec![
            making(other("a", &[])),
            taking(lead("b", &[all("a")]), "a.o"),
        ]),
        refused(vec![
            skipped(making(hosts("a"))),
            taking(lead("b", &[all("a")]), "a.o"),
        ]),
    ];
    insta::assert_snapshot!(texts.join("\n"), @r#"
    catalogue.yaml:0: action b: parameter P: output nonsense is not ACTION.OUTPUT; write both names
    catalogue.yaml:0: action b: parameter P: output a.o is of no action; correct the name
    catalogue.yaml:0: action b: parameter P: output a.o is not among the outputs of that action; add it there or correct the name
    catalogue.yaml:0: action b: parameter P: output a.o may not be there yet; add a need that puts its action first
    catalogue.yaml:0: action b: parameter P: output a.o could be of several hosts; take it from the same host or a single one
    catalogue.yaml:0: action b: parameter P: output a.o is of an action that is skipped here; give both the same conditions
    "#);
}

#[test]
fn outputs_that_are_there() {
    let lead = action("a", "one", Selector::Lead, &[], 1);
    let through = |need| {
        let between = action("m", "one", Selector::Hosts, &[all("a")], 1);
        let last = action("b", "one", Selector::Workers, &[need], 1);
        let catalogue = catalogue(vec![making(lead.clone()), between, taking(last, "a.o")]);
        build(&catalogue, &Cluster::new(3, 2).situation())
    };
    assert!(through(same("m")).is_ok());
    assert!(through(all("m")).is_ok());
    // Behind a gate everything has ended.
    let mut gated = catalogue(vec![
        making(hosts("a")),
        taking(action("b", "two", Selector::Hosts, &[], 1), "a.o"),
    ]);
    assert!(build(&gated, &Cluster::new(3, 2).situation()).is_err());
    gated.stages[1].gate = true;
    assert!(build(&gated, &Cluster::new(3, 2).situation()).is_ok());
}

#[test]
fn orders_that_cannot_be() {
    let texts = [
        refused(vec![
            action("a", "one", Selector::Hosts, &[all("b")], 1),
            action("b", "two", Selector::Hosts, &[], 1),
        ]),
        refused(vec![
            action("a", "one", Selector::Lead, &[], 1),
            action("b", "one", Selector::Hosts, &[same("a")], 1),
        ]),
        refused(vec![
            action("a", "one", Selector::Hosts, &[all("b")], 1),
            action("b", "one", Selector::Hosts, &[all("a")], 1),
        ]),
        refused(vec![
            with(action("a", "one", Selector::Workers, &[], 1), |it| {
                it.budgets = vec![take("slots", Some("b"))];
            }),
            action("b", "one", Selector::Workers, &[all("a")], 1),
        ]),
    ];
    insta::assert_snapshot!(texts.join("\n"), @r#"
    catalogue.yaml:0: action a: needs b, which belongs to a later stage; move one of them
    catalogue.yaml:0: action b: needs the same host's a, which is not about all of its hosts; use all, or widen the for of a
    catalogue.yaml: action b waits for itself; remove one of the needs around it
    catalogue.yaml: action w2/a can never take its budgets; shorten what holds them (until)
    "#);
}

#[test]
fn hosts_that_cannot_be_told_apart() {
    let refused = |id: &str| {
        let mut cluster = Cluster::new(1, 1);
        cluster.ids[1] = id.to_owned();
        refusal(&cluster, vec![hosts("a")])
    };
    let texts = ["m1", "all", "gate", "a/b", ""].map(refused);
    insta::assert_snapshot!(texts.join("\n"), @r#"
    host "m1": two hosts have this id; give the host another hostname in hosts.yaml
    host "all": joints of the plan use this name; give the host another hostname in hosts.yaml
    host "gate": joints of the plan use this name; give the host another hostname in hosts.yaml
    host "a/b": a slash separates host and step; give the host another hostname in hosts.yaml
    host "": it has no id; give the host another hostname in hosts.yaml
    "#);
}
