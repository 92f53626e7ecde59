//! Poison in every key that holds a secret: it gets into nothing, not even as a digest.

use super::*;
use mkectl::convert::report::{Form, compatibility_report};
use mkectl::convert::settings::convert_settings;
use mkectl::report::scripts;
use mkectl::report::{Style, diff, graph, html, markdown};
use mkectl::source::mke3::{Leaf, Segment, Value};

/// Every key that the table calls secret, a few that it does not know, and secrets inside of other values.
fn poisoned(cluster: &mut Cluster, poison: &str) -> usize {
    let secret: BTreeSet<&str> = tables()
        .settings
        .settings
        .iter()
        .filter(|row| row.secret)
        .map(|row| row.path.as_str())
        .collect();
    let mut seen = BTreeSet::new();
    let config = cluster.leaves();
    for (leaf, known) in cluster.config.leaves.iter_mut().zip(&config.leaves) {
        let Some(row) = tables().settings.find(&known.table_path()) else {
            continue;
        };
        if secret.contains(row.path.as_str()) {
            seen.insert(row.path.as_str());
            leaf.value = Value::String(format!("{poison}-{}", seen.len()));
        } else if let Value::String(text) = &mut leaf.value
            && text.starts_with("https://")
        {
            *text = text.replacen("https://", &format!("https://user:{poison}@"), 1);
        }
    }
    assert_eq!(
        seen, secret,
        "the cluster with everything must hold every secret key"
    );
    for (line, key) in (9000..).zip(["vault_password", "password_hash", "some_new_thing"]) {
        cluster.config.leaves.push(Leaf {
            path: vec![
                Segment::Key("cluster_config".to_owned()),
                Segment::Key(key.to_owned()),
            ],
            value: Value::String(poison.to_owned()),
            line,
            column: 1,
        });
    }
    let flags = [
        format!("--oidc-client-secret={poison}"),
        format!("--token={poison}"),
        "--bootstrap-password".to_owned(),
        poison.to_owned(),
        format!("--audit-webhook=https://me:{poison}@hooks.example.com"),
    ];
    for leaf in &mut cluster.config.leaves {
        if let (true, Value::List(list)) = (leaf.table_path().ends_with("_flags"), &mut leaf.value) {
            list.extend(flags.iter().map(|flag| (Value::String(flag.clone()), leaf.line)));
        }
    }
    secret.len()
}

fn outputs(cluster: &Cluster) -> BTreeMap<String, String> {
    let plan = plan(cluster.make());
    let style = Style {
        width: 100,
        color: false,
        unicode: true,
    };
    let release = tables().releases.get(&plan.spec.cluster.to.mke).unwrap();
    let config = cluster.leaves();
    let settings = convert_settings(&tables().settings, &config, release, &cluster.options);
    let report = |form| compatibility_report(&tables().settings, &config, &settings, form);
    let mut out = BTreeMap::from([
        (
            "plan.json".to_owned(),
            String::from_utf8(mkectl::plan::write(&plan).unwrap()).unwrap(),
        ),
        ("diff".to_owned(), diff::render(&plan, &style)),
        ("markdown".to_owned(), markdown::render(&plan, None)),
        ("html".to_owned(), html::render(&plan)),
        ("dot".to_owned(), graph::dot(&plan, true)),
        ("mermaid".to_owned(), graph::mermaid(&plan, true)),
        ("compatibility, TOML".to_owned(), report(Form::Toml)),
        ("compatibility, human".to_owned(), report(Form::Human)),
        ("debug".to_owned(), format!("{plan:#?}\n{settings:#?}")),
    ]);
    for document in &plan.spec.documents {
        out.insert(document.name.clone(), plan.spec.files[&document.digest].clone());
    }
    for action in &plan.spec.actions {
        if let Ok(text) = scripts::render(&plan, &action.id, &style) {
            out.insert(action.id.clone(), text);
        }
    }
    out
}

#[test]
fn no_secret_gets_into_any_output() {
    const FIRST: &str = "cAnArY";
    const SECOND: &str = "pOiSoNeD-otherwise";
    for release in &tables().releases.releases {
        let with = |poison: &str| {
            let mut cluster = Cluster::read("everything");
            cluster.options.target_version = Some(release.mke.clone());
            assert!(poisoned(&mut cluster, poison) > 5);
            outputs(&cluster)
        };
        let (first, second) = (with(FIRST), with(SECOND));
        assert!(first.contains_key("mke4.yaml") && first["mke4.yaml"].contains("mkectl-secret:"));
        for (name, text) in &first {
            for line in text.lines() {
                // A chain of the kubelet's in iptables, which a script looks for.
                let lower = line.to_lowercase().replace("kubelet-canary", "");
                assert!(
                    !lower.contains(&FIRST.to_lowercase()) && !lower.contains("canary-"),
                    "{} {name}: {line}",
                    release.mke
                );
            }
            // A digest of a secret would tell two of them apart.
            let other = &second[name];
            if let Some((one, two)) = text.lines().zip(other.lines()).find(|(one, two)| one != two) {
                panic!("{} {name} depends on a secret:\n{one}\n{two}", release.mke);
            }
            assert_eq!(
                text.len(),
                other.len(),
                "{} {name} depends on a secret",
                release.mke
            );
        }
    }
}
