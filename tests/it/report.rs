//! What a person reads of a plan.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod fixture;

use fixture::{CLEAN, LARGE, SMALL, Size, plan};
use mkectl::model::{Plan, Severity, UndoKind};
use mkectl::report::diff_plans::{Kind, PlanDiff, render_diff};
use mkectl::report::scripts::{Direction, NotFound, Value};
use mkectl::report::{Style, Summary, diff, findings, graph, html, markdown, scripts};
use mkectl::text;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const PLAIN: Style = Style {
    width: 100,
    color: false,
    unicode: true,
};

fn at(width: usize) -> Style {
    Style { width, ..PLAIN }
}

/// Every form of a plan, with its name.
fn forms(plan: &Plan, style: &Style) -> Vec<(&'static str, String)> {
    let first = plan.spec.actions.first().map_or("", |action| action.id.as_str());
    let mut other = plan.clone();
    other.spec.hosts.pop();
    other.spec.findings.pop();
    other.digest.push('0');
    let mut out = vec![
        ("diff", diff::render(plan, style)),
        ("markdown", markdown::render(plan, None)),
        ("markdown, short", markdown::render(plan, Some(4_000))),
        ("html", html::render(plan)),
        ("dot", graph::dot(plan, true)),
        ("mermaid", graph::mermaid(plan, false)),
        ("script", scripts::render(plan, first, style).unwrap()),
        ("diff of plans", render_diff(plan, &other, style)),
    ];
    for stage in &plan.spec.stages {
        out.push((
            "finish",
            scripts::runbook(plan, &stage.id, Direction::Finish, style).unwrap(),
        ));
        out.push((
            "undo",
            scripts::runbook(plan, &stage.id, Direction::Undo, style).unwrap(),
        ));
    }
    out
}

/// Fields that hold one of a few words, so that they cannot be changed.
const WORDS: [&str; 16] = [
    "role",
    "outcome",
    "severity",
    "kind",
    "effect",
    "for",
    "at",
    "cancel",
    "failure",
    "counts",
    "component",
    "fate",
    "confidence",
    "type",
    "keep",
    "max",
];
/// Fields that are maps with names of their own.
const MAPS: [&str; 8] = [
    "options", "facts", "fields", "params", "files", "scripts", "paths", "readings",
];

/// Appends a text to every string of a plan, in the same way, so that references still hold.
fn poison(value: &mut serde_json::Value, name: &str, text: &str) {
    match value {
        serde_json::Value::String(known) if !WORDS.contains(&name) => known.push_str(text),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| poison(item, name, text)),
        serde_json::Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                poison(value, name, text);
            }
            if MAPS.contains(&name) {
                *map = std::mem::take(map)
                    .into_iter()
                    .map(|(key, value)| (key + text, value))
                    .collect();
            }
        }
        _ => {}
    }
}

fn poisoned(size: Size, text: &str) -> Plan {
    let mut value = serde_json::to_value(plan(size)).unwrap();
    poison(&mut value, "", text);
    serde_json::from_value(value).unwrap()
}

const POISON: &str =
    "\u{1b}[31m\u{202e}evil\u{200b}\r\n\u{7}@all #12 <script>alert('x')</script>\"`|\\ ```\u{2066}";

#[test]
fn a_plan_reads_like_this() {
    let small = plan(SMALL);
    insta::assert_snapshot!("diff_small_80", diff::render(&small, &at(80)));
    insta::assert_snapshot!("diff_small_140", diff::render(&small, &at(140)));
    insta::assert_snapshot!("diff_clean_100", diff::render(&plan(CLEAN), &at(100)));
    insta::assert_snapshot!("diff_large_120", diff::render(&plan(LARGE), &at(120)));
    let ascii = Style {
        unicode: false,
        ..at(100)
    };
    insta::assert_snapshot!("diff_small_ascii", diff::render(&small, &ascii));
    insta::assert_snapshot!("markdown_small_8000", markdown::render(&small, Some(8_000)));
    insta::assert_snapshot!("markdown_large_2000", markdown::render(&plan(LARGE), Some(2_000)));
    insta::assert_snapshot!(
        "script",
        scripts::render(&small, "worker-02/join-worker", &at(100)).unwrap()
    );
    insta::assert_snapshot!(
        "runbook_undo_controllers",
        scripts::runbook(&small, "controllers", Direction::Undo, &at(100)).unwrap()
    );
    insta::assert_snapshot!("mermaid_large", graph::mermaid(&plan(LARGE), false));
}

#[test]
fn findings_are_explained() {
    let text = "Calico can keep its data in etcd or in the Kubernetes API. MKE 4k reads only the latter, so a cluster \
                that still uses etcd has to be converted first.\n\nThe conversion takes about 20 seconds a node.";
    let shown = findings::explain(
        "MKE3-CALICO-ETCD",
        "Calico keeps its data in etcd",
        Severity::Blocking,
        text,
        "Ask Mirantis support before you convert: it cannot be undone",
        &at(80),
    );
    insta::assert_snapshot!("explain", shown);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let wide = poisoned(SMALL, "日本語データ/überlanger-name-ohne-leerzeichen.example.com");
    for plan in [
        plan(SMALL),
        plan(CLEAN),
        plan(LARGE),
        wide,
        poisoned(SMALL, POISON),
    ] {
        for width in [80, 81, 99, 100, 117, 140, 200] {
            for unicode in [true, false] {
                let shown = diff::render(
                    &plan,
                    &Style {
                        width,
                        color: false,
                        unicode,
                    },
                );
                for line in shown.lines() {
                    assert!(
                        text::width(line) <= width,
                        "{} > {width}: {line}",
                        text::width(line)
                    );
                    assert_eq!(line.trim_end(), line, "trailing space");
                }
                assert!(unicode || shown.is_ascii());
            }
        }
    }
}

#[test]
fn colour_only_adds_colour() {
    let plan = plan(SMALL);
    let bare = diff::render(&plan, &PLAIN);
    let painted = diff::render(&plan, &Style { color: true, ..PLAIN });
    assert!(!bare.contains('\u{1b}') && painted.contains("\u{1b}["));
    let stripped: String = painted
        .split('\u{1b}')
        .enumerate()
        .map(|(at, part)| {
            if at == 0 {
                part
            } else {
                part.split_once('m').unwrap().1
            }
        })
        .collect();
    assert_eq!(stripped, bare);
}

#[test]
fn nothing_harmful_survives() {
    let plan = poisoned(SMALL, POISON);
    for (name, shown) in forms(&plan, &PLAIN) {
        let bad = shown.chars().find(|c| *c != '\n' && text::is_unsafe(*c));
        assert_eq!(bad, None, "{name}");
        assert!(shown.contains("evil"), "{name} was not poisoned at all");
    }
    let page = html::render(&plan);
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
}

/// Texts with control characters and everything else that Unicode has.
fn hostile() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(
        "\u{1b}\u{9b}\u{7}\n\r\t\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}\"'`<>&|\\#@[]{}"
            .chars()
            .collect::<Vec<_>>(),
    );
    prop::collection::vec(prop_oneof![any::<char>(), odd], 0..40)
        .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn nothing_harmful_survives_whatever_it_is(poison in hostile(), width in 80usize..160) {
        let plan = poisoned(SMALL, &poison);
        for (name, shown) in forms(&plan, &at(width)) {
            let bad = shown.chars().find(|c| *c != '\n' && text::is_unsafe(*c));
            prop_assert_eq!(bad, None, "{}", name);
        }
        for line in diff::render(&plan, &at(width)).lines() {
            prop_assert!(text::width(line) <= width);
        }
    }

    #[test]
    fn markdown_keeps_its_limit(max in 2_000usize..70_000, poison in prop_oneof![Just(""), Just(POISON)], many in 0usize..400) {
        let mut plan = poisoned(SMALL, poison);
        let blockers: Vec<_> = plan.spec.findings.iter().filter(|f| f.severity == Severity::Blocking).cloned().collect();
        for n in 0..many {
            let mut finding = blockers[n % blockers.len()].clone();
            finding.code = format!("{}-{n}", finding.code);
            plan.spec.findings.push(finding);
        }
        let shown = markdown::render(&plan, Some(max));
        prop_assert!(shown.len() <= max, "{} > {max}", shown.len());
        prop_assert!(shown.encode_utf16().count() <= max);
        prop_assert!(shown.contains(&plan.digest[..71]));
        let blockers = format!("{} blockers", text::number(many + 3));
        prop_assert!(shown.contains(&blockers));
        prop_assert_eq!(shown.matches("<details>").count(), shown.matches("</details>").count());
    }
}

/// The text of markdown outside fences and code spans.
fn prose(markdown: &str) -> String {
    let mut out = String::new();
    let mut fence: Option<&str> = None;
    for line in markdown.lines() {
        let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
        match fence {
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => {
                let mut rest = line;
                while let Some(at) = rest.find('`') {
                    if rest[..at].ends_with('\\') {
                        out.push_str(&rest[..=at]);
                        rest = &rest[at + 1..];
                        continue;
                    }
                    let ticks = rest[at..].len() - rest[at..].trim_start_matches('`').len();
                    out.push_str(&rest[..at]);
                    rest = &rest[at + ticks..];
                    let close = "`".repeat(ticks);
                    let mut from = 0;
                    while let Some(end) = rest[from..].find(&close) {
                        let end = from + end;
                        let run = rest[end..].len() - rest[end..].trim_start_matches('`').len();
                        if run == ticks {
                            rest = &rest[end + ticks..];
                            break;
                        }
                        from = end + run;
                    }
                }
                out.push_str(rest);
                out.push('\n');
            }
        }
    }
    assert_eq!(fence, None, "a fence is left open");
    out
}

#[test]
fn markdown_links_nobody_and_nothing() {
    let shown = markdown::render(&poisoned(SMALL, POISON), None);
    let prose = prose(&shown);
    assert!(!prose.contains("@all") && !prose.contains("#12"), "{prose}");
    assert!(!prose.contains("<script"), "{prose}");
    let tags: BTreeSet<&str> = prose
        .split('<')
        .skip(1)
        .filter_map(|tag| tag.split('>').next())
        .collect();
    let ours = ["details", "summary", "b", "/b", "/summary", "/details"];
    assert!(
        tags.iter()
            .all(|tag| ours.contains(tag) || tag.starts_with("!-- mkectl:plan:")),
        "{tags:?}"
    );
}

#[test]
fn markdown_leaves_out_what_matters_least_first() {
    let plan = plan(SMALL);
    let full = markdown::render(&plan, None);
    assert!(!full.contains("** left out"));
    let short = markdown::render(&plan, Some(full.len() - 1));
    assert!(short.contains("** left out") && short.contains("<summary><b>What happens"));
    assert!(
        short.contains("**Hosts (8)** left out") || short.contains("**Notes (1)** left out"),
        "{short}"
    );
    for finding in plan
        .spec
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Blocking)
    {
        assert!(short.contains(&format!("mkectl explain {}", finding.code)));
    }
}

#[test]
fn the_same_plan_gives_the_same_bytes() {
    let plan = plan(SMALL);
    let again: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(forms(&plan, &PLAIN), forms(&again, &PLAIN));
}

/// One line, spaces collapsed, to look for texts that may have been broken.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn nothing_that_matters_is_folded_away() {
    let plan = plan(SMALL);
    let shown = flat(&diff::render(&plan, &at(400)));
    let spec = &plan.spec;
    for finding in spec
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Blocking)
    {
        for text in [
            &finding.message,
            &finding.remedy,
            &format!("mkectl explain {}", finding.code),
        ] {
            assert!(shown.contains(text.as_str()), "{text}");
        }
    }
    for row in spec.conversion.settings.iter().filter(|row| !row.default) {
        let key = row.path.rsplit('.').next().unwrap();
        assert!(
            shown.contains(key) && shown.contains(&format!(":{}", row.line.unwrap())),
            "{key}"
        );
    }
    for row in &spec.conversion.flags {
        assert!(
            shown.contains(&row.flag) && shown.contains(&row.remedy),
            "{}",
            row.flag
        );
    }
    for text in spec
        .inputs
        .iter()
        .map(|input| &input.unchecked)
        .chain(&spec.intent.not_applyable)
    {
        assert!(shown.contains(text.as_str()), "{text}");
    }
    for file in &spec.secret_files {
        assert!(
            shown.contains(&format!("{} {}", file.path, file.mode)),
            "{}",
            file.path
        );
    }
    let first = shown
        .find("LAST AUTOMATIC ROLLBACK before worker-01/join-worker")
        .unwrap();
    let second = shown.find("POINT OF NO RETURN").unwrap();
    assert!(first < second && shown.find("gate: --until prepare").unwrap() < first);
}

#[test]
fn many_hosts_and_users_stay_short() {
    let plan = plan(LARGE);
    let shown = diff::render(&plan, &at(100));
    assert!(shown.lines().count() < 700, "{} lines", shown.lines().count());
    assert!(shown.contains("all 200 hosts") && shown.contains("… and 11,952 more users"));
    let summary = Summary::of(&plan);
    assert_eq!((summary.hosts, summary.accounts), (200, Some((12_000, 40, 549))));
    assert_eq!(summary.irreversible, 400);
}

#[test]
fn a_plan_without_actions_says_so() {
    let mut plan = plan(SMALL);
    plan.spec.actions.clear();
    plan.spec.joints.clear();
    plan.spec.rbac = None;
    let shown = flat(&diff::render(&plan, &PLAIN));
    assert!(shown.contains("no actions: without facts") && !shown.contains("outage"));
    assert!(markdown::render(&plan, Some(2_000)).contains("no actions"));
    assert!(html::render(&plan).contains("no actions"));
}

#[test]
fn the_page_is_well_formed_and_alone() {
    let page = html::render(&poisoned(SMALL, POISON));
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1).filter_map(|tag| tag.split('>').next()) {
        let name = tag.split_whitespace().next().unwrap();
        if matches!(name, "!doctype" | "meta") {
            continue;
        }
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    for outside in ["src=", "url(", "@import", "<link", "http-equiv=\"refresh"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let ids: Vec<&str> = page
        .split(" id=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    for link in page
        .split("href=\"#")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
    {
        assert!(ids.contains(&link), "{link} leads nowhere");
    }
}

/// Reads DOT as far as we write it: quoted strings closed, braces balanced, edges between known nodes.
fn check_dot(dot: &str) -> (usize, usize) {
    let mut bare = String::new();
    let mut inside = false;
    let mut chars = dot.chars();
    while let Some(c) = chars.next() {
        match (inside, c) {
            (true, '\\') => assert!(chars.next().is_some()),
            (_, '"') => inside = !inside,
            (true, '\n') => panic!("a string runs over the end of a line"),
            (true, _) => {}
            (false, c) => bare.push(c),
        }
    }
    assert!(!inside);
    assert_eq!(bare.matches('{').count(), bare.matches('}').count());
    assert_eq!(bare.matches('[').count(), bare.matches(']').count());
    let lines = || bare.lines().map(str::trim);
    let nodes: BTreeSet<&str> = lines()
        .filter(|line| line.starts_with('n') && !line.starts_with("node") && line.contains(" ["))
        .map(word)
        .collect();
    let mut edges = 0;
    for line in lines().filter(|line| line.contains("->")) {
        let (from, to) = line.trim_end_matches(';').split_once(" -> ").unwrap();
        assert!(nodes.contains(from) && nodes.contains(to), "{line}");
        edges += 1;
    }
    (nodes.len(), edges)
}

fn word(line: &str) -> &str {
    line.split(' ').next().unwrap()
}

#[test]
fn graphs_are_valid() {
    let small = plan(SMALL);
    let all = small.spec.actions.len() + small.spec.joints.len();
    assert_eq!(check_dot(&graph::dot(&small, false)).0, all);
    let large = plan(LARGE);
    let (nodes, edges) = check_dot(&graph::dot(&large, false));
    assert!(
        nodes <= graph::FOLD_ABOVE && edges >= nodes - 1,
        "{nodes} {edges}"
    );
    assert_eq!(
        check_dot(&graph::dot(&large, true)).0,
        large.spec.actions.len() + large.spec.joints.len()
    );
    let hostile = poisoned(SMALL, POISON);
    check_dot(&graph::dot(&hostile, true));
    let mermaid = graph::mermaid(&hostile, true);
    assert_eq!(
        mermaid.matches("subgraph ").count(),
        mermaid.matches("\n  end\n").count()
    );
    for line in mermaid.lines().filter(|line| line.contains('[')) {
        assert_eq!(line.matches('"').count(), 2, "{line}");
        let label = line.split('"').nth(1).unwrap().replace("<br/>", "");
        assert!(!label.contains(['<', '>', '[', ']', '`', '(', ')']), "{line}");
    }
}

#[test]
fn graphviz_takes_the_graph() {
    let dot = |text: &str| {
        use std::io::Write;
        let mut child = std::process::Command::new("dot")
            .arg("-Tplain")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .ok()?;
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        Some(child.wait_with_output().unwrap())
    };
    for plan in [plan(SMALL), poisoned(SMALL, POISON)] {
        // Where Graphviz is not installed, `graphs_are_valid` is all there is.
        let Some(output) = dot(&graph::dot(&plan, true)) else {
            return;
        };
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn scripts_are_shown_to_the_byte() {
    let plan = plan(SMALL);
    let found = scripts::action(&plan, "worker-02/join-worker").unwrap();
    let digest = found.step.script_digest.as_ref().unwrap();
    assert_eq!(found.script, plan.spec.scripts.get(digest).map(String::as_str));
    assert_eq!(found.environment["NODE_NAME"], Value::Known("worker-02".into()));
    // A secret comes as a file, never as a value: not even its variable exists.
    let secret = |name: &str| matches!(&found.environment[name], Value::Secret { .. });
    assert!(secret("LDAP_FILE") && secret("TOKEN_FILE"));
    assert!(!found.environment.contains_key("LDAP") && !found.environment.contains_key("TOKEN"));
    assert_eq!(found.runs_on.unwrap().id, "worker-02");
    assert_eq!(
        scripts::action(&plan, "worker-02/mint-token")
            .unwrap()
            .runs_on
            .unwrap()
            .id,
        "mgr-01"
    );
    let missing = scripts::action(&plan, "worker-02/join-wroker").unwrap_err();
    assert!(
        missing
            .to_string()
            .contains("did you mean \"worker-02/join-worker\""),
        "{missing}"
    );
    assert!(matches!(
        scripts::runbook(&plan, "nowhere", Direction::Undo, &PLAIN),
        Err(NotFound::Stage { .. })
    ));
}

#[test]
fn a_runbook_keeps_the_order_of_the_graph() {
    let plan = plan(SMALL);
    for stage in &plan.spec.stages {
        let steps: BTreeMap<&str, _> = plan
            .spec
            .steps
            .iter()
            .map(|step| (step.id.as_str(), step))
            .collect();
        let here: Vec<_> = plan
            .spec
            .actions
            .iter()
            .filter(|action| steps[action.step.as_str()].stage == stage.id)
            .collect();
        let finish = scripts::runbook(&plan, &stage.id, Direction::Finish, &PLAIN).unwrap();
        let undo = scripts::runbook(&plan, &stage.id, Direction::Undo, &PLAIN).unwrap();
        let place = |text: &str, id: &str| text.find(&format!(". {id}  "));
        for pair in here.windows(2).filter(|pair| pair[0].step != pair[1].step) {
            assert!(
                place(&finish, &pair[0].id) < place(&finish, &pair[1].id),
                "{}",
                pair[1].id
            );
            if let (Some(one), Some(two)) = (place(&undo, &pair[0].id), place(&undo, &pair[1].id)) {
                assert!(one > two, "{}", pair[1].id);
            }
        }
        assert!(here.iter().all(|action| place(&finish, &action.id).is_some()));
        for action in here
            .iter()
            .filter(|action| steps[action.step.as_str()].undo.kind == UndoKind::Script)
        {
            assert!(place(&undo, &action.id).is_some(), "{}", action.id);
        }
    }
}

#[test]
fn commands_of_a_runbook_survive_the_shell() {
    let mut plan = plan(SMALL);
    let value = "it's \"a\" $HOME `id` \\ & end";
    for step in &mut plan.spec.steps {
        step.params = BTreeMap::from([(
            "VALUE".to_owned(),
            mkectl::model::ParamSource::Literal(value.into()),
        )]);
    }
    let shown = scripts::runbook(&plan, "quiesce", Direction::Finish, &PLAIN).unwrap();
    let line = shown
        .lines()
        .find(|line| line.trim_start().starts_with("ssh "))
        .unwrap();
    // The local shell hands ssh one word, which the shell on the host reads again; `env` is what prints it here.
    let command = line.trim().rsplit_once(" < ").unwrap().0;
    let script = format!(
        "ssh() {{ shift 3; sh -c \"$(printf '%s' \"$*\" | sed 's/sudo -n mkdir[^&]*&& sudo -n //; s/ sh -s run$/ printenv VALUE/')\"; }}\n{command}\n"
    );
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg(script)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n'),
        value,
        "{output:?}"
    );
}

#[test]
fn two_plans_are_compared() {
    let (a, b) = (plan(SMALL), plan(CLEAN));
    let same = PlanDiff::of(&a, &a);
    assert!(same.is_empty() && same.risk.is_empty() && same.actions.is_empty() && same.scripts.is_empty());
    assert!(render_diff(&a, &a, &PLAIN).contains("an approval of one holds for the other"));
    let diff = PlanDiff::of(&a, &b);
    let blockers = diff.risk.iter().find(|change| change.what == "blockers").unwrap();
    assert_eq!(
        (blockers.before.as_str(), blockers.after.as_str(), blockers.worse),
        ("3", "0", Some(false))
    );
    assert_eq!(
        diff.findings
            .iter()
            .filter(|change| change.kind == Kind::Removed)
            .count(),
        3
    );
    assert_eq!(diff.flags.len(), 2);
    assert_eq!(
        diff.settings
            .iter()
            .map(|change| change.name.as_str())
            .collect::<Vec<_>>(),
        ["cluster_config.unmanaged_cni"]
    );
    assert_eq!(diff.scripts.len(), 1);
    assert_eq!(diff.scripts[0].kind, Kind::Added);
    let grown = plan(Size { workers: 7, ..SMALL });
    let mut changed = grown.clone();
    let (digest, old) = changed
        .spec
        .files
        .iter()
        .next()
        .map(|(key, text)| (key.clone(), text.clone()))
        .unwrap();
    changed
        .spec
        .files
        .insert(digest, old.replace("kind: ", "kind:  "));
    let diff = PlanDiff::of(&a, &changed);
    assert_eq!(
        diff.hosts
            .iter()
            .filter(|change| change.kind == Kind::Added)
            .count(),
        2
    );
    assert!(
        diff.documents[0]
            .lines
            .iter()
            .any(|line| line.starts_with("+kind:  "))
    );
    assert!(
        diff.documents[0]
            .lines
            .iter()
            .any(|line| line.starts_with("-kind: "))
    );
    let run = diff
        .risk
        .iter()
        .find(|change| change.what == "whole run")
        .unwrap();
    assert_eq!(run.worse, Some(true));
    insta::assert_snapshot!("diff_plans", render_diff(&a, &changed, &at(100)));
    for width in [80, 100, 160] {
        for line in render_diff(&a, &changed, &at(width)).lines() {
            assert!(text::width(line) <= width, "{line}");
        }
    }
}

/// Writes every form to a directory, for looking at them.
#[test]
#[ignore = "writes files for a person to look at"]
fn write_all_forms() {
    let dir = std::env::var("REPORT_DIR").unwrap();
    for (name, size) in [("small", SMALL), ("clean", CLEAN), ("large", LARGE)] {
        let plan = plan(size);
        for width in [80, 100, 140] {
            for (suffix, color, unicode) in [
                ("", false, true),
                ("-color", true, true),
                ("-ascii", false, false),
            ] {
                let text = diff::render(
                    &plan,
                    &Style {
                        width,
                        color,
                        unicode,
                    },
                );
                std::fs::write(format!("{dir}/{name}-{width}{suffix}.txt"), text).unwrap();
            }
        }
        std::fs::write(format!("{dir}/{name}.html"), html::render(&plan)).unwrap();
        std::fs::write(format!("{dir}/{name}.md"), markdown::render(&plan, Some(65_000))).unwrap();
        std::fs::write(format!("{dir}/{name}.dot"), graph::dot(&plan, false)).unwrap();
    }
}
