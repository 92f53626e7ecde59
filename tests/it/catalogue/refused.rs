//! One broken catalogue for every rule of the loader, with what it answers.

use mkectl::catalogue::{Bundle, Catalogue, Need, ParamDef};
use mkectl::model::{At, Cancel, UndoKind};

const GOOD: &str = "\
schema: 1

stages:
  - {id: first, title: First, downtime: false, failure: rollback, undo-loses: nothing}
  - {id: second, title: Second, downtime: true, failure: quarantine, undo-loses: nothing}
  - {id: last, title: Last, downtime: false, failure: pause, point_of_no_return: true, undo-loses: all}

budgets:
  - {id: down, counts: workers, capacity: {option: worker-disruption}}
  - {id: one, counts: managers, capacity: {fixed: 1}}

actions:
  - id: record
    stage: first
    title: Record
    for: hosts
    script: record.sh
    effect: reads
    undo: script
    outputs: {state: {kind: file, max: 64MiB, keep: run}}
    estimate: 3s

  - id: start
    stage: second
    title: Start
    for: lead
    needs: [{all: record}]
    script: start.sh
    params: {DATA_DIR: {option: data-dir}, NAME: {host: hostname}}
    outputs: {ca: {kind: value, type: sha256}}
    effect: changes
    changes: {files: [\"$DATA_DIR/\"]}
    estimate: 90s

  - id: mint
    stage: second
    title: Mint
    for: workers
    at: lead
    when: [swarm-workloads]
    needs: [{all: start}]
    budgets: [{take: down, until: join}]
    script: mint.sh
    repeatable: true
    outputs: {token: {kind: secret}}
    effect: changes
    changes: {objects: [secrets/*]}
    undo: {by: start}
    estimate: 1s

  - id: join
    stage: second
    title: Join
    for: workers
    when: [swarm-workloads]
    needs: [{same: mint}]
    budgets: []
    script: join.sh
    params: {TOKEN: {output: mint.token}, CA: {output: start.ca}}
    effect: changes
    users_write: always
    changes: {units: [k0sworker.service]}
    relies: [docker.root]
    timeout: 15m
    retry: 2
    estimate: 1m

  - id: write
    stage: second
    title: Write
    for: lead
    at: operator
    needs: [{same: start}]
    budgets: [{take: one}]
    builtin: print-summary
    effect: reads
    estimate: 1s

  - id: remove
    stage: last
    title: Remove
    for: hosts
    script: remove.sh
    effect: destroys
    undo: {impossible: it is gone}
    changes: {volumes: [ucp-*]}
    estimate: 1s
";

fn load(text: &str, scripts: &[(&str, &str)]) -> Result<(Catalogue, Vec<String>), String> {
    let mut files = vec![("catalogue.yaml".to_owned(), text.to_owned())];
    files.extend(
        scripts
            .iter()
            .map(|(name, body)| (format!("scripts/{name}"), (*body).to_owned())),
    );
    Catalogue::load(&Bundle::from_files(files)).map_err(|error| error.to_string())
}

fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "the fixture lacks {from:?}");
    GOOD.replacen(from, to, 1)
}

#[track_caller]
fn refused(from: &str, to: &str, line: &str, expected: &str) {
    let text = with(from, to);
    let Err(error) = load(&text, &[]) else {
        panic!("accepted {to:?}");
    };
    let (number, message) = error
        .strip_prefix("plans/upgrade/catalogue.yaml:")
        .and_then(|rest| rest.split_once(": "))
        .unwrap_or_else(|| panic!("no place in {error}"));
    assert_eq!(message, expected);
    let at = number.parse::<usize>().unwrap();
    assert_eq!(text.lines().nth(at - 1).unwrap().trim(), line);
}

#[test]
fn the_fixture_is_read_as_written() {
    let (catalogue, warnings) = load(GOOD, &[]).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(
        catalogue.missing_scripts(),
        ["join.sh", "mint.sh", "record.sh", "remove.sh", "start.sh"]
    );
    let join = catalogue.action("join").unwrap();
    assert_eq!(
        (join.timeout_s, join.retry, join.estimate_s, join.line),
        (900, 2, 60, 51)
    );
    assert_eq!(
        (join.cancel, join.at, join.undo.kind),
        (Cancel::Finish, At::Subject, UndoKind::Script)
    );
    assert_eq!(join.needs, [Need::Same("mint".to_owned())]);
    assert_eq!(join.params["CA"], ParamDef::Output("start.ca".to_owned()));
    let mint = catalogue.action("mint").unwrap();
    assert_eq!(
        (mint.undo.kind, mint.undo.why.as_str()),
        (UndoKind::None, "goes with the undo of start")
    );
    assert_eq!((mint.timeout_s, mint.retry), (300, 0));
    assert!(catalogue.stages[2].gate, "the point of no return implies a gate");
    assert_eq!(
        catalogue.action("record").unwrap().outputs["state"]
            .max
            .unwrap()
            .0,
        64 << 20
    );
}

#[test]
fn text_that_is_not_a_catalogue() {
    let missing = Catalogue::load(&Bundle::default()).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "plans/upgrade/catalogue.yaml: is missing or not UTF-8; put it there"
    );
    refused(
        "schema: 1",
        "schema: 2",
        "schema: 2",
        "schema 2 is not known to this build; use schema 1",
    );
    refused(
        "title: Join\n",
        "title: &x Join\n",
        "title: &x Join",
        "an anchor or alias; repeat what it stands for; quote a text that begins with & or *",
    );
    let error = load(&with("    retry: 2\n", "    retries: 2\n"), &[]).unwrap_err();
    assert!(error.starts_with("plans/upgrade/catalogue.yaml:"), "{error}");
    assert!(error.contains("unknown field `retries`"), "{error}");
    let error = load(&with("counts: workers", "count: workers"), &[]).unwrap_err();
    assert!(error.contains("unknown field `count`"), "{error}");
    for (from, to, expected) in [
        (
            "timeout: 15m",
            "timeout: 15",
            "\"15\" is not a duration such as 30s, 5m or 2h",
        ),
        (
            "max: 64MiB",
            "max: 64M",
            "\"64M\" is not a size such as 4KiB, 64MiB or 8GiB",
        ),
        ("for: lead", "for: leader", "unknown variant `leader`"),
        ("{same: mint}", "{any: mint}", "unknown variant `any`"),
        ("{host: hostname}", "{shell: hostname}", "unknown variant `shell`"),
        (
            "NAME: {host: hostname}",
            "NAME: {host: hostname, option: data-dir}",
            "expected map with a single key",
        ),
        (
            "NAME: {host: hostname}",
            "DATA_DIR: {host: hostname}",
            "DATA_DIR stands twice",
        ),
        ("    estimate: 90s\n", "", "missing field `estimate`"),
        (
            "    title: Join\n",
            "    title: Join\n    title: Join\n",
            "duplicate field `title`",
        ),
    ] {
        let error = load(&with(from, to), &[]).unwrap_err();
        assert!(error.contains(expected), "{error}\n  lacks\n{expected}");
        assert!(
            error.ends_with("see docs/catalogue.md for the keys and their forms"),
            "{error}"
        );
    }
}

#[test]
fn unknown_names_with_the_nearest_known_one() {
    refused(
        "when: [swarm-workloads]",
        "when: [swarm-workload]",
        "when: [swarm-workload]",
        "action mint names the unknown condition swarm-workload; did you mean swarm-workloads?",
    );
    refused(
        "users_write: always",
        "users_write: alway",
        "users_write: alway",
        "action join names the unknown condition alway; known are managers-run-user-pods, single-manager, swarm-workloads",
    );
    refused(
        "[{same: mint}]",
        "[{same: mnt}]",
        "needs: [{same: mnt}]",
        "action join needs the unknown action mnt; did you mean mint?",
    );
    refused(
        "take: one",
        "take: on",
        "budgets: [{take: on}]",
        "action write takes the unknown budget on; did you mean one?",
    );
    refused(
        "until: join",
        "until: jion",
        "budgets: [{take: down, until: jion}]",
        "action mint holds down until the unknown action jion; did you mean join?",
    );
    refused(
        "{option: data-dir}",
        "{option: datadir}",
        "params: {DATA_DIR: {option: datadir}, NAME: {host: hostname}}",
        "action start names the unknown option datadir; did you mean data-dir?",
    );
    refused(
        "{option: data-dir}",
        "{value: mke-version}",
        "params: {DATA_DIR: {value: mke-version}, NAME: {host: hostname}}",
        "action start names the unknown value mke-version; did you mean mke3-version?",
    );
    refused(
        "{host: hostname}",
        "{host: host-name}",
        "params: {DATA_DIR: {option: data-dir}, NAME: {host: host-name}}",
        "action start names the unknown host field host-name; did you mean hostname?",
    );
    refused(
        "{host: hostname}",
        "{file: k0s.yml}",
        "params: {DATA_DIR: {option: data-dir}, NAME: {file: k0s.yml}}",
        "action start names the unknown document k0s.yml; did you mean k0s.yaml?",
    );
    refused(
        "{host: hostname}",
        "{secret: passphrase}",
        "params: {DATA_DIR: {option: data-dir}, NAME: {secret: passphrase}}",
        "action start names the unknown secret passphrase; known are backup-passphrase",
    );
    refused(
        "{output: start.ca}",
        "{output: start.cert}",
        "params: {TOKEN: {output: mint.token}, CA: {output: start.cert}}",
        "action join reads the unknown output cert of start; known are ca",
    );
    refused(
        "{output: start.ca}",
        "{output: strat.ca}",
        "params: {TOKEN: {output: mint.token}, CA: {output: strat.ca}}",
        "action join reads an output of the unknown action strat; did you mean start?",
    );
    refused(
        "{output: start.ca}",
        "{output: ca}",
        "params: {TOKEN: {output: mint.token}, CA: {output: ca}}",
        "action join reads ca, which is no output; write ACTION.OUTPUT",
    );
    refused(
        "builtin: print-summary",
        "builtin: print-sumary",
        "builtin: print-sumary",
        "action write names the unknown builtin print-sumary; did you mean print-summary?",
    );
    refused(
        "relies: [docker.root]",
        "relies: [docker.roots]",
        "relies: [docker.roots]",
        "action join names the unknown fact docker.roots; did you mean docker.root?",
    );
    refused(
        "stage: last\n",
        "stage: lasst\n",
        "stage: lasst",
        "action remove is in the unknown stage lasst; did you mean last?",
    );
    refused(
        "{option: worker-disruption}",
        "{option: data-dir}",
        "- {id: down, counts: workers, capacity: {option: data-dir}}",
        "budget down takes its capacity from data-dir, which is no amount; known are concurrent-uploads, worker-disruption",
    );
    refused(
        "undo: {by: start}",
        "undo: {by: strat}",
        "undo: {by: strat}",
        "action mint is undone by the unknown action strat; did you mean start?",
    );
}

#[test]
fn unknown_assets_are_looked_up_in_the_releases() {
    let text = with("{host: hostname}", "{asset: kos}");
    let releases = Bundle::embedded().text("releases.yaml").unwrap().to_owned();
    let bundle = Bundle::from_files([("catalogue.yaml", text.clone()), ("releases.yaml", releases)]);
    assert_eq!(
        Catalogue::load(&bundle).unwrap_err().to_string(),
        "plans/upgrade/catalogue.yaml:29: action start names the unknown asset kos; did you mean k0s?"
    );
    let alone = load(&text, &[]).unwrap_err();
    assert_eq!(
        alone,
        "plans/upgrade/releases.yaml: is missing or not UTF-8; put it there"
    );
}

#[test]
fn ids_are_unique_and_well_formed() {
    refused(
        "- id: join\n",
        "- id: mint\n",
        "- id: mint",
        "action mint stands twice; rename or remove one of them",
    );
    refused(
        "id: one,",
        "id: down,",
        "- {id: down, counts: managers, capacity: {fixed: 1}}",
        "budget down stands twice; rename or remove one of them",
    );
    refused(
        "id: second,",
        "id: first,",
        "- {id: first, title: Second, downtime: true, failure: quarantine, undo-loses: nothing}",
        "stage first stands twice; rename or remove one of them",
    );
    refused(
        "- id: write\n",
        "- id: Write\n",
        "- id: Write",
        "action \"Write\" is not an id; use lower-case letters, digits and dashes, a letter first",
    );
    refused(
        "state: {kind",
        "State: {kind",
        "outputs: {State: {kind: file, max: 64MiB, keep: run}}",
        "action record has an output with the name \"State\"; use lower-case letters, digits and dashes, a letter first",
    );
}

#[test]
fn orders_that_cannot_be_or_could_get_lost() {
    refused(
        "effect: reads\n    undo: script",
        "needs: [{all: write}]\n    effect: reads\n    undo: script",
        "needs: [{all: write}]",
        "action record needs write of the later stage second; move one of them, so that --until STAGE stays a whole \
         piece of work",
    );
    refused(
        "needs: [{all: record}]",
        "needs: [{all: record}, {all: join}]",
        "needs: [{all: record}, {all: join}]",
        "action start needs itself: start needs join needs mint needs start; remove one of these needs",
    );
    refused(
        "needs: [{all: record}]",
        "needs: [{same: start}]",
        "- id: start",
        "action start needs itself: start needs start; remove one of these needs",
    );
    refused(
        "needs: [{all: start}]",
        "needs: [{same: start}]",
        "needs: [{same: start}]",
        "action mint needs the same host's start, which is not about every such host; write {all: start}, or let `for` \
         lie within that of start",
    );
}

#[test]
fn outputs_that_may_not_be_there() {
    refused(
        "builtin: print-summary",
        "builtin: print-summary\n    params: {TOKEN: {output: mint.token}}",
        "params: {TOKEN: {output: mint.token}}",
        "action write reads mint.token, but mint is about several hosts and not about every one of these; read an output of \
         an action about the same host, or about one host only",
    );
    refused(
        "    needs: [{all: record}]\n    script: start.sh\n    params: {",
        "    script: start.sh\n    params: {X: {output: record.state}, ",
        "params: {X: {output: record.state}, DATA_DIR: {option: data-dir}, NAME: {host: hostname}}",
        "action start reads record.state, but record need not have ended before it; add a need that leads to record",
    );
    refused(
        "script: start.sh",
        "script: start.sh\n    when: [single-manager]",
        "params: {TOKEN: {output: mint.token}, CA: {output: start.ca}}",
        "action join reads start.ca, but start is skipped by single-manager and it is not; give both the same when and \
         unless, single-manager included",
    );
    // A cluster without workers has no join, so nothing would put write behind start.
    refused(
        "needs: [{same: start}]",
        "needs: [{all: join}]\n    params: {CA: {output: start.ca}}",
        "params: {CA: {output: start.ca}}",
        "action write reads start.ca, but start need not have ended before it; add a need that leads to start",
    );
}

#[test]
fn holds_that_could_block_each_other() {
    refused(
        "needs: [{same: mint}]",
        "needs: [{same: mint}, {all: write}]",
        "budgets: [{take: down, until: join}]",
        "action mint holds down until join while join waits for other hosts' write; let mint need {all: write} already",
    );
    refused(
        "budgets: []",
        "budgets: [{take: one}]",
        "budgets: [{take: down, until: join}]",
        "action mint holds down until join while join takes one; take both in mint: all of an action's budgets are taken \
         at once",
    );
    refused(
        "until: join",
        "until: start",
        "needs: [{all: start}]",
        "action mint holds down until start, which does not follow it on every such host; let start need {same: …} that \
         leads to mint",
    );
    refused(
        "until: join",
        "until: remove",
        "budgets: [{take: down, until: remove}]",
        "action mint holds down until remove, which does not follow it on every such host; let remove need {same: …} \
         that leads to mint",
    );
    refused(
        "- id: join\n    stage: second",
        "- id: join\n    stage: last",
        "budgets: [{take: down, until: join}]",
        "action mint holds down until join, across the gate before last; all hosts meet at a gate, so the hold would never \
         end: end it before",
    );
}

#[test]
fn effects_and_undo_that_contradict_each_other() {
    refused(
        "effect: changes\n    changes: {files",
        "effect: destroys\n    changes: {files",
        "effect: destroys",
        "action start destroys before the point of no return; move it behind that stage, or let it move things aside and \
         be undone",
    );
    refused(
        "effect: changes\n    changes: {files",
        "effect: changes\n    undo: none\n    changes: {files",
        "undo: none",
        "action start changes something and has no undo; write an undo, or undo: {by: ACTION} when that earlier action's \
         undo covers it",
    );
    refused(
        "undo: {by: start}",
        "undo: {impossible: so}",
        "undo: {impossible: so}",
        "action mint changes something before the point of no return and cannot be undone; write an undo, or move it \
         behind that stage",
    );
    refused(
        "undo: {by: start}",
        "undo: {by: write}",
        "undo: {by: write}",
        "action mint is undone by write, which has no undo of its own; name an action with undo: script",
    );
    refused(
        "undo: {by: start}",
        "undo: {by: join}",
        "undo: {by: join}",
        "action mint is undone by join, which need not have run before it; add a need that leads to join",
    );
    refused(
        "undo: {impossible: it is gone}",
        "undo: script",
        "undo: script",
        "action remove destroys and says that it can be undone; write undo: {impossible: WHY}, or effect: changes",
    );
    refused(
        "    undo: {impossible: it is gone}\n",
        "",
        "effect: destroys",
        "action remove destroys and does not say why it cannot be undone; write undo: {impossible: WHY}",
    );
    refused(
        "undo: script",
        "undo: {impossible: so}",
        "undo: {impossible: so}",
        "action record only reads and says that it cannot be undone; remove undo, or correct effect",
    );
    refused(
        "    undo: script\n",
        "    undo: script\n    changes: {files: [/etc/]}\n",
        "changes: {files: [/etc/]}",
        "action record only reads and lists changes; remove changes, or write effect: changes",
    );
    refused(
        "    changes: {units: [k0sworker.service]}\n",
        "",
        "effect: changes",
        "action join does not say what it may alter; list it under changes: the plan prints it and rehearsals hold the \
         script to it",
    );
    refused(
        "    repeatable: true\n",
        "",
        "outputs: {token: {kind: secret}}",
        "action mint hands on the secret token and is not repeatable; a secret is lost when a run stops, so the action \
         must be repeatable: true, or hand on a secret file",
    );
    refused(
        ", point_of_no_return: true",
        "",
        "- {id: last, title: Last, downtime: false, failure: pause, undo-loses: all}",
        "no stage is the point of no return; mark exactly one with point_of_no_return: true",
    );
    refused(
        "failure: quarantine,",
        "failure: quarantine, point_of_no_return: true,",
        "- {id: last, title: Last, downtime: false, failure: pause, point_of_no_return: true, undo-loses: all}",
        "stage last is a second point of no return; mark exactly one",
    );
    refused(
        "{fixed: 1}",
        "{fixed: 0}",
        "- {id: one, counts: managers, capacity: {fixed: 0}}",
        "budget one has no capacity; give it at least 1, or no action that takes it could ever run",
    );
}

#[test]
fn scripts_and_builtins_stay_where_they_belong() {
    refused(
        "builtin: print-summary",
        "script: summary.sh",
        "script: summary.sh",
        "action write runs a script on the operator's machine; scripts run on hosts only: use a builtin, or at: lead",
    );
    refused(
        "script: start.sh",
        "builtin: print-summary",
        "builtin: print-summary",
        "action start runs a builtin on a host; builtins run on the operator's machine only: add at: operator, or use a \
         script",
    );
    refused(
        "builtin: print-summary",
        "builtin: print-summary\n    script: a.sh",
        "builtin: print-summary",
        "action write has a script and a builtin; keep one of them",
    );
    refused(
        "    script: start.sh\n",
        "",
        "- id: start",
        "action start has neither script nor builtin; name one of them",
    );
    refused(
        "script: start.sh",
        "script: ../start.sh",
        "script: ../start.sh",
        "action start names a script in an unexpected form; name a file of scripts/, such as stop-node.sh",
    );
}

#[test]
fn params_changes_titles_and_outputs_have_a_form() {
    refused(
        "NAME: {host",
        "name: {host",
        "params: {DATA_DIR: {option: data-dir}, name: {host: hostname}}",
        "action start has a param with the name \"name\"; use capital letters, digits and _, a letter first, and not \
         MKECTL_ at the beginning",
    );
    refused(
        "NAME: {host",
        "MKECTL_OUT: {host",
        "params: {DATA_DIR: {option: data-dir}, MKECTL_OUT: {host: hostname}}",
        "action start has a param with the name \"MKECTL_OUT\"; use capital letters, digits and _, a letter first, and \
         not MKECTL_ at the beginning",
    );
    refused(
        "$DATA_DIR/",
        "$OTHER/",
        "changes: {files: [\"$OTHER/\"]}",
        "action start lists the change \"$OTHER/\" with $OTHER, which is no param known when planning; use one of its own \
         params from a literal, option, value or host field",
    );
    refused(
        "units: [k0sworker.service]",
        "units: [$TOKEN]",
        "changes: {units: [$TOKEN]}",
        "action join lists the change \"$TOKEN\" with $TOKEN, which is no param known when planning; use one of its own \
         params from a literal, option, value or host field",
    );
    refused(
        "title: Start\n",
        "title: Start $NAME\n",
        "title: Start $NAME",
        "action start has variables in its title; the title is one plain sentence, the host stands beside it",
    );
    refused(
        "{kind: value, type: sha256}",
        "{kind: value}",
        "outputs: {ca: {kind: value}}",
        "action start has the value ca in an unexpected form; a value has a type and nothing else",
    );
    refused(
        "{kind: file, max: 64MiB, keep: run}",
        "{kind: file, max: 64MiB}",
        "outputs: {state: {kind: file, max: 64MiB}}",
        "action record has the file state in an unexpected form; a file has max and keep, and secret: true where it holds \
         any",
    );
    refused(
        "{kind: secret}",
        "{kind: secret, max: 1KiB}",
        "outputs: {token: {kind: secret, max: 1KiB}}",
        "action mint has the secret token in an unexpected form; a secret lives in memory and has no further keys",
    );
    refused(
        "at: lead\n    when: [swarm-workloads]",
        "at: lead\n    when: [swarm-workloads]\n    unless: [swarm-workloads]",
        "when: [swarm-workloads]",
        "action mint asks for swarm-workloads in when and in unless, so it never runs; remove one of them",
    );
}

const SCRIPT: &str = "#!/bin/sh\nprobe() {\n  :\n}\nrun() {\n  :\n}\nundo () {\n  :\n}\n";

#[test]
fn scripts_that_are_there_are_used_and_whole() {
    let (catalogue, _) = load(GOOD, &[("start.sh", SCRIPT), (".gitkeep", "")]).unwrap();
    assert!(catalogue.scripts.contains_key("start.sh"));
    assert!(!catalogue.missing_scripts().contains(&"start.sh"));
    assert_eq!(
        load(GOOD, &[("other.sh", SCRIPT)]).unwrap_err(),
        "plans/upgrade/scripts/other.sh: no action uses this script; name it in catalogue.yaml, or remove it"
    );
    for function in ["probe", "run", "undo"] {
        let broken = SCRIPT.replace(&format!("\n{function}"), &format!("\n{function}_it"));
        assert_eq!(
            load(GOOD, &[("start.sh", &broken)]).unwrap_err(),
            format!(
                "plans/upgrade/catalogue.yaml:28: action start uses start.sh, which has no function {function}; \
                 add {function}() to plans/upgrade/scripts/start.sh"
            )
        );
    }
    // Undone by another action: no undo of its own is needed.
    let without = SCRIPT.replace("undo ()", "other ()");
    assert!(load(GOOD, &[("mint.sh", &without)]).is_ok());
}

#[test]
fn what_nobody_uses_is_a_warning() {
    let (_, warnings) = load(&with("    undo: script\n", ""), &[]).unwrap();
    assert_eq!(
        warnings,
        ["catalogue.yaml:13: nobody reads the output state of record"]
    );
    let (_, warnings) = load(&with("    budgets: [{take: one}]\n", ""), &[]).unwrap();
    assert_eq!(warnings, ["catalogue.yaml: no action takes the budget one"]);
}
