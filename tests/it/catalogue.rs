//! The catalogue: the shipped files, what the loader refuses, the releases.

#![allow(clippy::unwrap_used)] // In tests a panic is the answer, in helpers as well.

mod refused;
mod releases;
mod rollback;

use mkectl::catalogue::{Bundle, Capacity, Catalogue, Mke3Objects, ParamDef, UsersWrite, vocabulary};
use mkectl::model::{Effect, OutputKind, UndoKind};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Actions of an upgrade, in the order in which they are explained; the loader's tests rest on them being there.
const ACTIONS: [&str; 60] = [
    "lock",
    "record-state",
    "backup-mke3",
    "backup-swarm-defs",
    "read-hashes",
    "stage-binaries",
    "stage-config",
    "prepull",
    "snapshot-rehearsal",
    "lb-listen",
    "lb-probe",
    "lb-close",
    "webhook-inventory",
    "recheck",
    "note-health",
    "freeze-cluster-agent",
    "freeze-agents",
    "verify-frozen",
    "pin-restart",
    "arm-hold-workers",
    "stop-apiservers",
    "final-snapshot",
    "copy-snapshot",
    "carry-keys",
    "export-copies",
    "stop-kv",
    "arm-hold-managers",
    "stop-node-lead",
    "place-pki",
    "restore-etcd",
    "start-lead",
    "node-labels",
    "hold-webhooks",
    "clear-mke3-objects",
    "kube-dns-ip",
    "calico",
    "k0s-snapshot-1",
    "lb-verify",
    "stop-node-manager",
    "mint-controller-token",
    "join-controller",
    "controllers-ok",
    "stop-node-worker",
    "mint-worker-token",
    "join-worker",
    "release-hold",
    "restore-webhooks",
    "platform-crds",
    "mke4k",
    "rbac",
    "admin-kubeconfig",
    "verify",
    "verify-cluster",
    "commit",
    "remove-swarm",
    "remove-mke3",
    "remove-leftovers",
    "write-config",
    "unlock",
    "print-summary",
];

fn shipped() -> Catalogue {
    match Catalogue::load(&Bundle::embedded()) {
        Ok((catalogue, _)) => catalogue,
        Err(error) => panic!("{error}"),
    }
}

fn text(name: &str) -> String {
    Bundle::embedded().text(name).unwrap().to_owned()
}

#[test]
fn the_shipped_catalogue_loads_without_warnings_and_has_every_action() {
    let (catalogue, warnings) =
        Catalogue::load(&Bundle::embedded()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(warnings, Vec::<String>::new());
    let ids: Vec<&str> = catalogue
        .actions
        .iter()
        .map(|action| action.id.as_str())
        .collect();
    assert_eq!(ids, ACTIONS);
    let stages: Vec<&str> = catalogue.stages.iter().map(|stage| stage.id.as_str()).collect();
    assert_eq!(
        stages,
        [
            "prepare",
            "quiesce",
            "first-controller",
            "controllers",
            "workers",
            "platform",
            "verify",
            "commit",
            "cleanup",
            "outputs"
        ]
    );
    let gates: Vec<&str> = catalogue
        .stages
        .iter()
        .filter(|stage| stage.gate)
        .map(|stage| stage.id.as_str())
        .collect();
    assert_eq!(gates, ["quiesce", "workers", "commit"]);
}

/// A table that grows past this is a program; see "Where data ends" in docs/catalogue.md.
#[test]
fn the_catalogue_stays_a_table() {
    assert!(shipped().actions.len() <= 60);
    assert!(text("catalogue.yaml").lines().count() < 1000);
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src/catalogue");
    for file in std::fs::read_dir(root).unwrap() {
        let path = file.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        for word in ["untagged", "serde_yaml::Value", "serde_json::Value"] {
            assert!(!source.contains(word), "{} uses {word}", path.display());
        }
    }
}

#[test]
fn every_line_number_leads_to_its_action() {
    let text = text("catalogue.yaml");
    let lines: Vec<&str> = text.lines().collect();
    for action in &shipped().actions {
        let line = lines[usize::try_from(action.line).unwrap() - 1];
        assert_eq!(line, format!("  - id: {}", action.id));
    }
}

#[test]
fn every_name_of_the_vocabulary_is_used_and_documented() {
    let catalogue = shipped();
    let mut used: BTreeSet<(&str, &str)> = BTreeSet::new();
    for action in &catalogue.actions {
        for name in action.when.iter().chain(&action.unless) {
            used.insert(("condition", name));
        }
        if let Some(UsersWrite::When(name)) = &action.users_write {
            used.insert(("condition", name));
        }
        for source in action.params.values() {
            match source {
                ParamDef::Option(name) => used.insert(("option", name)),
                ParamDef::Value(name) => used.insert(("value", name)),
                ParamDef::Host(name) => used.insert(("host", name)),
                ParamDef::File(name) => used.insert(("file", name)),
                ParamDef::Secret(name) => used.insert(("secret", name)),
                ParamDef::Literal(_) | ParamDef::Asset(_) | ParamDef::Output(_) => false,
            };
        }
        used.extend(action.builtin.iter().map(|name| ("builtin", name.as_str())));
        used.extend(action.relies.iter().map(|name| ("fact", name.as_str())));
    }
    for budget in &catalogue.budgets {
        if let Capacity::Option(name) = &budget.capacity {
            used.insert(("option", name));
        }
    }
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/catalogue.md")).unwrap();
    let lists = [
        ("condition", vocabulary::CONDITIONS),
        ("option", vocabulary::OPTIONS),
        ("value", vocabulary::VALUES),
        ("host", vocabulary::HOST_FIELDS),
        ("file", vocabulary::DOCUMENTS),
        ("secret", vocabulary::SECRETS),
        ("builtin", vocabulary::BUILTINS),
        ("fact", vocabulary::FACTS),
    ];
    for (kind, names) in lists {
        assert!(
            names.is_sorted_by_key(|(name, _)| *name),
            "{kind} names are not sorted"
        );
        for (name, meaning) in names {
            assert!(used.contains(&(kind, *name)), "no action uses the {kind} {name}");
            assert!(
                docs.contains(&format!("| `{name}` | {meaning} |")),
                "docs/catalogue.md lacks {name}"
            );
        }
    }
    for (name, meaning) in vocabulary::FEATURES {
        assert!(
            docs.contains(&format!("| `{name}` | {meaning} |")),
            "docs/catalogue.md lacks {name}"
        );
    }
}

/// What the scripts do must be visible to a board: nothing hides behind a default.
#[test]
fn changes_before_the_point_of_no_return_can_be_undone() {
    let catalogue = shipped();
    let end = catalogue
        .stages
        .iter()
        .position(|stage| stage.point_of_no_return)
        .unwrap();
    for action in &catalogue.actions {
        let stage = catalogue
            .stages
            .iter()
            .position(|stage| stage.id == action.stage)
            .unwrap();
        if action.effect == Effect::Changes && stage < end {
            let goes_along = action.undo.why.starts_with("goes with the undo of ");
            assert!(
                action.undo.kind == UndoKind::Script || goes_along,
                "{}",
                action.id
            );
        }
        assert!(action.effect != Effect::Destroys || stage >= end, "{}", action.id);
    }
}

#[test]
fn users_write_first_where_their_first_pod_runs() {
    let catalogue = shipped();
    let marked: Vec<(&str, &UsersWrite)> = catalogue
        .actions
        .iter()
        .filter_map(|action| Some((action.id.as_str(), action.users_write.as_ref()?)))
        .collect();
    let condition = UsersWrite::When("managers-run-user-pods".to_owned());
    assert_eq!(
        marked,
        [
            ("start-lead", &condition),
            ("join-controller", &condition),
            ("join-worker", &UsersWrite::Always)
        ]
    );
}

/// Password hashes cannot be read again once MKE 3 is down, so they must not live in memory alone.
#[test]
fn only_tokens_live_in_memory() {
    for action in &shipped().actions {
        for (name, output) in &action.outputs {
            if output.kind == OutputKind::Secret {
                assert_eq!(name, "token");
                assert!(action.repeatable);
            }
        }
    }
}

#[test]
fn every_script_is_either_there_or_listed_as_missing() {
    let catalogue = shipped();
    let missing = catalogue.missing_scripts();
    for action in &catalogue.actions {
        let Some(script) = action.script.as_deref() else {
            continue;
        };
        assert_eq!(
            catalogue.scripts.contains_key(script),
            !missing.contains(&script),
            "{script}"
        );
    }
}

#[test]
fn the_lists_of_mke3_hold_exact_names_only() {
    let objects = Mke3Objects::load(&Bundle::embedded()).unwrap();
    assert!(
        objects
            .objects_text()
            .contains("daemonsets/kube-system/calico-node\n")
    );
    assert!(objects.volumes_text().contains("ucp-kv\n"));
    assert!(!objects.volumes_text().contains("ucp-backup"));
    let load = |text: &str| Mke3Objects::load(&Bundle::from_files([("mke3-objects.yaml", text)]));
    let wrong = |text: &str| load(text).unwrap_err().to_string();
    assert_eq!(
        wrong("schema: 1\npassing: []\nobjects: []\nvolumes:\n  - \"ucp-*\"\n"),
        "plans/upgrade/mke3-objects.yaml:5: \"ucp-*\" is not the name of a volume; write exact names, no globs"
    );
    assert!(
        wrong("schema: 1\npassing: []\nobjects: [calico]\nvolumes: []\n")
            .contains("is not resource/namespace/name")
    );
    assert!(
        wrong("schema: 1\npassing: []\nobjects: [ippools.crd.projectcalico.org/x/y]\nvolumes: []\n")
            .contains("is of a kind that is never removed")
    );
    assert!(wrong("schema: 1\npassing: []\nobjects: []\nvolumes: [a, a]\n").contains("stands twice"));
    for prefix in ["/registry/", "/registry/events", "events/", "/"] {
        let text = format!("schema: 1\nobjects: []\nvolumes: []\npassing: [{prefix}]\n");
        assert!(
            wrong(&text).contains("is not a prefix of keys of one kind"),
            "{prefix}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn yaml_like_text_never_panics(text in "(schema: 1\n)?(stages|actions|releases|objects)?[a-z:\\-\\[\\]{}\n&*|>'\"#!0-9%@~<$é ]{0,200}") {
        for name in ["catalogue.yaml", "releases.yaml", "mke3-objects.yaml"] {
            let bundle = Bundle::from_files([(name, text.as_bytes())]);
            let _ = Catalogue::load(&bundle);
            let _ = mkectl::catalogue::Releases::load(&bundle);
            let _ = Mke3Objects::load(&bundle);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Lines of the real file dropped, doubled and swapped: either it still loads, or the error has a file and a remedy.
    #[test]
    fn a_damaged_catalogue_is_refused_with_a_place(at in 0usize..900, other in 0usize..900, how in 0u8..3) {
        let shipped = text("catalogue.yaml");
        let mut lines: Vec<&str> = shipped.lines().collect();
        match how {
            0 => { lines.remove(at); }
            1 => { let line = lines[other]; lines.insert(at, line); }
            _ => lines.swap(at, other),
        }
        let releases = text("releases.yaml");
        let bundle = Bundle::from_files([("catalogue.yaml", lines.join("\n")), ("releases.yaml", releases)]);
        if let Err(error) = Catalogue::load(&bundle) {
            prop_assert!(error.to_string().starts_with("plans/upgrade/catalogue.yaml"), "{}", error);
            prop_assert!(!error.remedy().is_empty());
        }
    }
}
