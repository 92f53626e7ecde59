//! The program from outside: streams, exit codes, refusals.

#![allow(clippy::unwrap_used)]

use crate::support::repo;
use assert_cmd::Command;
use mkectl::plan::read;
use std::fs;
use std::path::Path;
use std::process::Output;

fn mkectl() -> Command {
    let mut command = Command::cargo_bin("mkectl").unwrap();
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LC_ALL", "TERM"] {
        command.env_remove(name);
    }
    command
}

fn plan_args(cluster: &str) -> Vec<String> {
    let file = |name: &str| {
        repo(&format!("testdata/clusters/{cluster}/{name}"))
            .to_string_lossy()
            .into_owned()
    };
    [
        "plan",
        "--mke3-config",
        &file("mke3.toml"),
        "--hosts-path",
        &file("hosts.yaml"),
        "--facts",
        &file("facts.json"),
        "--accounts",
        &file("accounts.json"),
        "--external-address",
        "mke.example.com",
        "--gateway-http-node-port",
        if cluster == "everything" { "32080" } else { "33000" },
        if cluster == "everything" {
            "--gateway-https-node-port=32443"
        } else {
            "--gateway-https-node-port=33001"
        },
    ]
    .map(str::to_owned)
    .to_vec()
}

fn run(args: &[impl AsRef<std::ffi::OsStr>]) -> Output {
    mkectl().args(args).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn redirected_stdout_is_exactly_the_plan_and_the_diff_goes_to_stderr() {
    let out = run(&plan_args("three-managers"));
    assert_eq!(code(&out), 0, "{}", err(&out));
    let plan = read(&out.stdout).unwrap();
    assert_eq!(plan.spec.cluster.to.mke, "4.1.5");
    let diff = err(&out);
    assert!(
        diff.contains("Plan: ") && diff.contains("POINT OF NO RETURN") && !diff.contains('\u{1b}'),
        "{diff}"
    );
    assert!(plan.meta.paths["hosts"].ends_with("testdata/clusters/three-managers/hosts.yaml"));
    assert!(plan.meta.created_at.ends_with('Z'));
}

#[test]
fn the_same_inputs_give_the_same_spec_in_another_directory_home_and_time_zone() {
    let first = read(&run(&plan_args("three-managers")).stdout).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    for name in ["mke3.toml", "hosts.yaml", "facts.json", "accounts.json"] {
        fs::copy(
            repo(&format!("testdata/clusters/three-managers/{name}")),
            elsewhere.path().join(name),
        )
        .unwrap();
    }
    let args = [
        "plan",
        "--accounts=accounts.json",
        "--facts=facts.json",
        "--hosts-path=hosts.yaml",
        "--mke3-config=mke3.toml",
        "--gateway-https-node-port",
        "33001",
        "--gateway-http-node-port",
        "33000",
        "--external-address=mke.example.com",
    ];
    let out = mkectl()
        .args(args)
        .current_dir(elsewhere.path())
        .env("HOME", elsewhere.path())
        .env("USER", "somebody")
        .env("TZ", "Pacific/Auckland")
        .env("LANG", "de_DE.UTF-8")
        .output()
        .unwrap();
    let second = read(&out.stdout).unwrap();
    assert_eq!(first.digest, second.digest);
    assert_eq!(
        serde_json::to_string(&first.spec).unwrap(),
        serde_json::to_string(&second.spec).unwrap()
    );
}

#[test]
fn blockers_exit_with_3_and_the_plan_is_printed_all_the_same() {
    let out = run(&plan_args("blocked"));
    assert_eq!(code(&out), 3);
    let plan = read(&out.stdout).unwrap();
    assert!(!plan.spec.intent.applyable);
    let diff = err(&out);
    // The real tool's own text, so that its users find it.
    let real = "unsupported configuration for mke4 upgrade: mke3 cluster is using etcdv3 and not kdd backend for calico";
    assert!(
        diff.split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .contains(real),
        "{diff}"
    );
    for finding in plan
        .spec
        .findings
        .iter()
        .filter(|f| f.severity == mkectl::model::Severity::Blocking)
    {
        assert!(diff.contains(&finding.code), "{}", finding.code);
        let explained = run(&["explain", &finding.code]);
        assert_eq!(code(&explained), 0, "{}", finding.code);
        assert!(String::from_utf8(explained.stdout).unwrap().len() > 100);
    }
}

/// Every blocking setting alone, on an otherwise healthy cluster.
#[test]
fn each_blocking_setting_blocks_alone() {
    let dir = tempfile::tempdir().unwrap();
    let toml = fs::read_to_string(repo("testdata/clusters/minimal/mke3.toml")).unwrap();
    let cases = [
        ("calico_kdd = true", "calico_kdd = false", "MKE3-CALICO-ETCD"),
        ("calico_kdd = true", "", "MKE3-CALICO-ETCD"),
        (
            "calico_ebpf_enabled = false",
            "calico_ebpf_enabled = true",
            "MKE3-EBPF",
        ),
        (
            "unmanaged_cni = false",
            "unmanaged_cni = true",
            "MKE3-CNI-UNMANAGED",
        ),
        (
            "kube_proxy_mode = \"iptables\"",
            "kube_proxy_mode = \"ipvs\"",
            "MKE3-KUBE-PROXY-MODE",
        ),
        (
            "kube_proxy_mode = \"iptables\"",
            "kube_proxy_mode = \"disabled\"",
            "MKE3-KUBE-PROXY-MODE",
        ),
        (
            "unmanaged_cni = false",
            "unmanaged_cni = false\n  swarm_only = true",
            "MKE3-SWARM-ONLY",
        ),
    ];
    for (from, to, finding) in cases {
        assert!(toml.contains(from), "{from}");
        let file = dir.path().join("mke3.toml");
        fs::write(&file, toml.replace(from, to)).unwrap();
        let mut args = plan_args("minimal");
        args[2] = file.to_string_lossy().into_owned();
        let out = run(&args);
        assert_eq!(code(&out), 3, "{to}: {}", err(&out));
        let blocking: Vec<String> = read(&out.stdout)
            .unwrap()
            .spec
            .findings
            .into_iter()
            .filter(|f| f.severity == mkectl::model::Severity::Blocking)
            .map(|f| f.code)
            .collect();
        assert_eq!(blocking, [finding], "{to}");
    }
}

#[test]
fn detailed_exit_code_says_that_there_are_changes() {
    let mut args = plan_args("minimal");
    args.push("--detailed-exitcode".to_owned());
    assert_eq!(code(&run(&args)), 2);
    args[2] = repo("testdata/clusters/blocked/mke3.toml")
        .to_string_lossy()
        .into_owned();
    assert_eq!(code(&run(&args)), 3, "blockers come first");
}

#[test]
fn without_facts_there_are_no_actions_and_the_plan_says_so() {
    let args: Vec<String> = plan_args("three-managers");
    let without: Vec<&String> = args.iter().take(5).chain(args.iter().skip(7)).collect();
    let out = run(&without);
    let plan = read(&out.stdout).unwrap();
    assert!(plan.spec.actions.is_empty() && !plan.spec.intent.applyable);
    assert!(
        plan.spec
            .intent
            .not_applyable
            .iter()
            .any(|why| why.contains("--facts")),
        "{:?}",
        plan.spec.intent
    );
    assert!(!plan.spec.conversion.settings.is_empty());
    assert!(!plan.spec.unchecked.is_empty());
}

#[test]
fn bad_input_names_file_line_and_remedy_and_leaves_stdout_empty() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    };
    let cases: Vec<(usize, String, Vec<&str>)> = vec![
        (2, "no/such/file.toml".into(), vec!["cannot read no/such/file.toml", "check the path"]),
        (2, dir.path().to_string_lossy().into_owned(), vec!["is a directory"]),
        (2, write("empty.toml", b""), vec!["empty.toml", "empty"]),
        (2, write("binary.toml", b"a = \"\0\xff\""), vec!["binary.toml"]),
        (2, write("dup.toml", b"[auth]\nbackend = \"a\"\nbackend = \"b\"\n"), vec!["dup.toml:3:1", "duplicate key"]),
        (2, write("form.toml", b"[cluster_config.custom_kubelet_flags] = [\"--v=2\"]\n"), vec!["form.toml:1", "custom_kubelet_flags"]),
        (4, write("hosts.yaml", b"hosts:\n- address: 1.2.3.4\n  keypath: x\n"), vec!["hosts.yaml:3", "keyPath"]),
        (4, write("none.yaml", b"hosts: []\n"), vec!["none.yaml", "host"]),
        (6, write("facts.json", b"{\"kind\":\"mkectl.facts\",\"format_version\":\"1.0\",\"hosts\":[],\"hosts\":[]}"), vec!["facts.json", "hosts"]),
        (6, write("typo.json", b"{\"kind\":\"mkectl.facts\",\"format_version\":\"1.0\",\"hosts\":[{\"address\":\"a\",\"hostnam\":\"b\"}]}"), vec!["typo.json:1", "hostname"]),
        (8, write("accounts.json", b"{\"kind\":\"mkectl.facts\",\"format_version\":\"1.0\",\"users\":[]}"), vec!["accounts.json", "mkectl.accounts"]),
    ];
    for (at, path, words) in cases {
        let mut args = plan_args("minimal");
        args[at] = path;
        let out = run(&args);
        let message = err(&out);
        assert_eq!(code(&out), 4, "{message}");
        assert!(out.stdout.is_empty());
        for word in words {
            assert!(message.contains(word), "{word:?} is not in {message}");
        }
        assert!(
            message.starts_with("error: ") && message.contains(" help: "),
            "{message}"
        );
    }
}

#[test]
fn bad_usage_exits_with_4() {
    for args in [
        vec!["plan"],
        vec!["no-such-command"],
        vec!["plan", "--worker-disruption", "0%"],
        vec!["plan", "--commit-after", "soon"],
        vec!["explain", "NO-SUCH-CODE"],
        vec!["man", "docs"],
        vec!["show"],
    ] {
        let out = run(&args);
        assert_eq!(code(&out), 4, "{args:?}: {}", err(&out));
        assert!(out.stdout.is_empty(), "{args:?}");
    }
    let mut args = plan_args("minimal");
    args.extend(["--target-version".to_owned(), "9.9.9".to_owned()]);
    let out = run(&args);
    assert_eq!(code(&out), 4);
    assert!(
        err(&out).contains("9.9.9") && err(&out).contains("4.1.5"),
        "{}",
        err(&out)
    );
    assert!(err(&run(&["explain", "MKE3-CALICO-ETC"])).contains("MKE3-CALICO-ETCD"));
}

#[test]
fn flags_of_the_documents_are_accepted_in_every_spelling() {
    for airgapped in ["--mke3-airgapped=true", "--mke3-airgapped"] {
        let mut args = plan_args("minimal");
        args.extend(
            [
                airgapped,
                "--image-registry=r.example.com:8080/mke",
                "--chart-registry=oci://r.example.com:8080/mke",
                "--logLevel",
                "debug",
            ]
            .map(str::to_owned),
        );
        let out = run(&args);
        let plan = read(&out.stdout).unwrap();
        assert_eq!(plan.spec.intent.options["mke3-airgapped"], "true");
        assert!(
            err(&out).contains("DEBU[0000] reading mke3-config"),
            "{}",
            err(&out)
        );
    }
}

#[test]
fn a_private_key_does_not_get_into_a_plan_as_a_ca() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    fs::write(
        &file,
        "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\ncanary\n",
    )
    .unwrap();
    let mut args = plan_args("minimal");
    args.extend([
        "--image-registry-ca-file".to_owned(),
        file.to_string_lossy().into_owned(),
    ]);
    let out = run(&args);
    assert_eq!(code(&out), 4);
    assert!(
        err(&out).contains("private key") && !err(&out).contains("canary"),
        "{}",
        err(&out)
    );
}

fn saved(dir: &Path, cluster: &str) -> String {
    let path = dir.join(format!("{cluster}.json")).to_string_lossy().into_owned();
    let mut args = plan_args(cluster);
    args.extend(["-o".to_owned(), path.clone()]);
    let out = run(&args);
    assert!(matches!(code(&out), 0 | 3), "{}", err(&out));
    path
}

#[test]
fn a_saved_plan_is_private_and_is_shown_offline_in_every_form() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = saved(dir.path(), "three-managers");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for (args, word) in [
        (vec!["show", &path], "Plan: "),
        (
            vec!["show", &path, "--format", "json"],
            "\"kind\": \"mkectl.plan\"",
        ),
        (
            vec!["show", &path, "--format", "markdown", "--max-bytes", "20000"],
            "<details>",
        ),
        (vec!["show", &path, "--format", "html"], "</html>"),
        (vec!["show", &path, "--format", "dot"], "digraph"),
        (vec!["show", &path, "--format", "mermaid"], "flowchart"),
        (vec!["graph", &path, "--full"], "join-worker"),
        (vec!["graph", &path, "--format", "mermaid"], "flowchart"),
    ] {
        let out = mkectl().args(&args).current_dir(dir.path()).output().unwrap();
        assert_eq!(code(&out), 0, "{args:?}: {}", err(&out));
        assert!(String::from_utf8(out.stdout).unwrap().contains(word), "{args:?}");
    }
    let shown = run(&["show", &path, "--format", "json"]);
    assert_eq!(
        shown.stdout,
        fs::read(&path).unwrap(),
        "show gives the same bytes"
    );
    let unknown = run(&["show", &path, "--scripts", "worker-01/join-workr"]);
    assert_eq!(code(&unknown), 4);
    assert!(
        err(&unknown).contains("worker-01/join-worker"),
        "{}",
        err(&unknown)
    );
}

#[test]
fn a_plan_that_was_touched_exits_with_5() {
    let dir = tempfile::tempdir().unwrap();
    let path = saved(dir.path(), "minimal");
    let text = fs::read_to_string(&path).unwrap();
    for (name, content, word) in [
        (
            "flipped",
            text.replacen("\"timeout_s\":60", "\"timeout_s\":61", 1),
            "changed after it was made",
        ),
        (
            "duplicate",
            text.replacen("\"spec\":", "\"digest\": \"x\",\n \"spec\":", 1),
            "stands twice",
        ),
        ("major", text.replacen("\"1.0\"", "\"2.0\"", 1), "format 2.0"),
        ("empty", String::new(), "empty or cut off"),
        ("cut", text[..1000].to_owned(), "empty or cut off"),
    ] {
        assert_ne!(content, text, "{name}");
        let file = dir.path().join(name);
        fs::write(&file, content).unwrap();
        for command in ["show", "graph"] {
            let out = run(&[command, &file.to_string_lossy()]);
            assert_eq!(code(&out), 5, "{name}: {}", err(&out));
            assert!(
                err(&out).contains(word) && out.stdout.is_empty(),
                "{name}: {}",
                err(&out)
            );
        }
    }
}

#[test]
fn two_plans_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (saved(dir.path(), "minimal"), saved(dir.path(), "three-managers"));
    let same = run(&["diff", &a, &a, "--detailed-exitcode"]);
    assert_eq!(code(&same), 0);
    let other = run(&["diff", &a, &b, "--detailed-exitcode"]);
    assert_eq!(code(&other), 2);
    assert!(String::from_utf8(other.stdout).unwrap().contains("manager-02"));
}

#[test]
fn a_failed_write_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut args = plan_args("minimal");
    args.extend([
        "-o".to_owned(),
        dir.path()
            .join("no/such/dir/plan.json")
            .to_string_lossy()
            .into_owned(),
    ]);
    let out = run(&args);
    assert_eq!(code(&out), 4);
    assert!(err(&out).contains("cannot write"), "{}", err(&out));
}

#[test]
fn colour_only_when_asked_for() {
    let mut args = plan_args("minimal");
    args.extend(["--format".to_owned(), "text".to_owned()]);
    let colored = |command: &mut Command| command.args(&args).output().unwrap().stdout.contains(&0x1b);
    assert!(!colored(&mut mkectl()));
    assert!(colored(mkectl().env("CLICOLOR_FORCE", "1")));
    assert!(!colored(mkectl().env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1")));
    assert!(!colored(mkectl().env("CLICOLOR_FORCE", "1").arg("--no-color")));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = saved(dir.path(), "three-managers");
    let script = format!(
        "{} show {path} --format json | head -c 10 >/dev/null; echo ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_mkectl")
    );
    let out = std::process::Command::new("bash")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(out.stdout).unwrap().trim(), "0");
}

#[test]
fn init_prints_the_default_and_converts() {
    let default = run(&["init"]);
    assert_eq!(code(&default), 0);
    assert!(
        String::from_utf8(default.stdout)
            .unwrap()
            .starts_with("apiVersion: mke.mirantis.com/v1alpha1\n")
    );
    let toml = repo("testdata/clusters/three-managers/mke3.toml");
    let converted = run(&["init", "--mke3-config", &toml.to_string_lossy()]);
    assert_eq!(code(&converted), 0);
    let text = String::from_utf8(converted.stdout).unwrap();
    assert!(
        text.contains("enable-garbage-collector: \"false\"") && text.contains("duration: 10s"),
        "{text}"
    );
}

#[test]
fn the_compatibility_report_masks_secrets() {
    let toml = repo("testdata/clusters/everything/mke3.toml");
    for form in ["human", "toml"] {
        let out = run(&[
            "check",
            "mke3",
            "--mke3-config",
            &toml.to_string_lossy(),
            "--format",
            form,
        ]);
        assert_eq!(code(&out), 0, "{}", err(&out));
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(
            text.contains("# MKE3->MKE4 Compatibility Checks #") && text.contains("# Not supported #"),
            "{text}"
        );
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn no_secret_of_an_input_is_in_any_output() {
    for cluster in ["everything", "three-managers"] {
        let dir = tempfile::tempdir().unwrap();
        let toml = fs::read_to_string(repo(&format!("testdata/clusters/{cluster}/mke3.toml"))).unwrap();
        assert!(toml.contains("canary"), "{cluster} has no canary");
        let path = saved(dir.path(), cluster);
        let forms = ["text", "json", "markdown", "html", "dot", "mermaid"];
        for form in forms {
            let out = run(&["show", &path, "--format", form]);
            let text = String::from_utf8(out.stdout).unwrap();
            assert!(!text.contains("canary"), "{cluster} as {form}");
        }
    }
}

#[test]
fn version_completion_and_manual_are_there() {
    let version = String::from_utf8(run(&["version"]).stdout).unwrap();
    assert_eq!(version, format!("Version: v{}\n", env!("CARGO_PKG_VERSION")));
    let json: serde_json::Value = serde_json::from_slice(&run(&["version", "--json"]).stdout).unwrap();
    assert_eq!(json["plan_format"], "1.0");
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            String::from_utf8(run(&["completion", shell]).stdout)
                .unwrap()
                .contains("mkectl")
        );
    }
    assert!(
        String::from_utf8(run(&["man"]).stdout)
            .unwrap()
            .contains(".TH mkectl")
    );
    assert!(
        String::from_utf8(run(&["man", "plan"]).stdout)
            .unwrap()
            .contains("hosts")
    );
}
