//! `plan`, `upgrade` and `rehearse` that read a live cluster, as processes: against the simulated one, over real SSH and TLS.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::simulated::options;
use crate::support::repo;
use mkectl::lab::Lab;
use mkectl::lab::api::{Authority, Server, Setup};
use mkectl::lab::assets::{Versions, assets};
use mkectl::plan::read;
use mkectl::source::accounts::Accounts;
use mkectl::source::facts::Facts;
use mkectl::source::hosts::Hosts;
use mkectl::source::join;
use russh::keys::ssh_key::LineEnding;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const PASSWORD: &str = "poison-password";

/// A machine of an operator, and a simulated cluster with its API.
struct Desk {
    lab: Lab,
    api: Server,
    home: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Desk {
    /// A twin of a cluster of `testdata/`; hosts.yaml lists all its hosts.
    fn new(cluster: &str) -> Desk {
        Desk::made_of(cluster, cluster, |_| true)
    }

    /// The same; hosts.yaml lists these hosts alone.
    fn listing(cluster: &str, listed: impl Fn(&str) -> bool) -> Desk {
        Desk::made_of(cluster, cluster, listed)
    }

    /// The hosts of one cluster, with the configuration of another.
    fn made_of(cluster: &str, config: &str, listed: impl Fn(&str) -> bool) -> Desk {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let file = |name: &str| fs::read(repo(&format!("testdata/clusters/{cluster}/{name}"))).unwrap();
        let config = fs::read(repo(&format!("testdata/clusters/{config}/mke3.toml"))).unwrap();
        let setup = Setup {
            name: "mke.example.com".to_owned(),
            config,
            accounts: Accounts::parse("accounts.json", &file("accounts.json")).unwrap(),
            password: PASSWORD.to_owned(),
        };
        let facts = Facts::parse("facts.json", &file("facts.json")).unwrap();
        let hosts = Hosts::parse_bytes("hosts.yaml", &file("hosts.yaml")).unwrap();
        let (lab, api) = runtime.block_on(async {
            let lab = Lab::from_facts(&facts, &options(50)).await.unwrap();
            let api = lab.serve_api(setup).await.unwrap();
            (lab, api)
        });
        let home = tempfile::tempdir().unwrap();
        let key = home.path().join("key");
        fs::write(&key, &*lab.client_key().to_openssh(LineEnding::LF).unwrap()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let (mut list, mut known) = ("hosts:\n".to_owned(), String::new());
        for joined in join(&hosts, Some(&facts)).iter().filter(|host| listed(&host.id)) {
            let server = lab.server(&joined.id).unwrap();
            let (address, port) = (server.address().ip(), server.address().port());
            let key = key.display();
            list += &format!("  - {{address: {address}, port: {port}, user: root, keyPath: {key}");
            if let Some(private) = &joined.entry.private_address {
                list += &format!(", privateAddress: {private}");
            }
            list += "}\n";
            known += &format!("[{address}]:{port} {}\n", server.host_key().to_openssh().unwrap());
        }
        fs::write(home.path().join("hosts.yaml"), list).unwrap();
        fs::create_dir(home.path().join(".ssh")).unwrap();
        fs::write(home.path().join(".ssh/known_hosts"), known).unwrap();
        Desk {
            lab,
            api,
            home,
            runtime,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mkectl"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home.path())
            .current_dir(self.home.path())
            .args(words)
            .args([
                "--hosts-path",
                "hosts.yaml",
                "--external-address",
                "mke.example.com",
            ])
            .args([
                "--gateway-http-node-port",
                "33000",
                "--gateway-https-node-port",
                "33001",
            ]);
        command
    }

    fn live(&self, words: &[&str]) -> Output {
        self.live_command(words).output().unwrap()
    }

    fn live_command(&self, words: &[&str]) -> Command {
        let place = self.api.address().to_string();
        let mut command = self.command(words);
        command
            .env("MKECTL_MKE3_ADMIN_PASSWORD", PASSWORD)
            .env("MKECTL_BACKUP_PASSPHRASE", "poison-passphrase")
            .args(["--mke3-external-address", &place]);
        command
    }

    /// The same on a terminal, where somebody types. Both streams come as one.
    fn at_a_terminal(&self, words: &[&str], typed: &str) -> (Option<i32>, String) {
        let inner = self.live_command(words);
        let line: Vec<String> = std::iter::once(inner.get_program())
            .chain(inner.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let line = mkectl::ssh::quote::line(&line).unwrap();
        let mut outer = Command::new("script");
        outer
            .env_clear()
            .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .env("TERM", "xterm")
            .current_dir(self.home.path())
            .args(["-qec", &line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = outer.spawn().unwrap();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), text(&output.stdout))
    }
}

#[test]
fn a_live_plan_is_the_plan_of_what_was_recorded() {
    let desk = Desk::new("three-managers");
    let out = desk.live(&["plan", "--mke3-admin-username", "admin", "--record", "kept"]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert!(
        said.contains("==> Running phase: Read MKE 3 at 127.0.0.1:"),
        "{said}"
    );
    assert!(
        said.contains("holds secrets of the cluster in the clear"),
        "{said}"
    );
    assert_eq!(desk.api.sessions(), 0, "the session was not ended");
    let live = read(&out.stdout).unwrap();
    assert!(live.meta.paths["mke3-config"].starts_with("https://127.0.0.1:"));
    assert_eq!(live.meta.paths["facts"], "the hosts, over SSH");
    assert!(!live.spec.actions.is_empty(), "nobody knew what the hosts are");
    for host in &live.spec.hosts {
        let server = desk.lab.server(&host.id).unwrap();
        assert_eq!(
            host.host_keys,
            [server.fingerprint()],
            "{}: who was really there",
            host.id
        );
    }
    for name in ["kept/mke3.toml", "kept/accounts.json", "kept/facts.json"] {
        let mode = fs::metadata(desk.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(
        fs::read(desk.path("kept/mke3.toml")).unwrap(),
        fs::read(repo("testdata/clusters/three-managers/mke3.toml")).unwrap()
    );

    let files = desk
        .command(&[
            "plan",
            "--mke3-config",
            "kept/mke3.toml",
            "--accounts",
            "kept/accounts.json",
            "--facts",
            "kept/facts.json",
        ])
        .output()
        .unwrap();
    let recorded = read(&files.stdout).unwrap();
    let bytes = |spec: &mkectl::model::Spec| serde_json::to_vec(spec).unwrap();
    assert_eq!(bytes(&live.spec), bytes(&recorded.spec));
    assert_eq!(live.digest, recorded.digest);

    let kept = text(&fs::read(desk.path("kept/accounts.json")).unwrap());
    for artefact in [said, text(&out.stdout), kept] {
        assert!(!artefact.contains(PASSWORD));
    }
}

/// A file wins: what it gives is not asked for.
#[test]
fn a_file_that_is_given_wins() {
    let desk = Desk::new("minimal");
    let accounts = repo("testdata/clusters/everything/accounts.json");
    let out = desk.live(&["plan", "--live", "--accounts", &accounts.to_string_lossy()]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let calls = desk.api.calls();
    assert!(
        calls.iter().any(|call| call == "GET /api/ucp/config-toml"),
        "{calls:?}"
    );
    assert!(
        !calls.iter().any(|call| call == "GET /collectionGrants"),
        "{calls:?}"
    );
    let given = Accounts::parse("accounts.json", &fs::read(accounts).unwrap()).unwrap();
    let plan = read(&out.stdout).unwrap();
    assert_eq!(
        plan.spec.rbac.map(|rbac| rbac.users.len()),
        Some(given.users.len())
    );
}

/// A worker knows the CA too. What it does not know is what else there is.
#[test]
fn a_worker_gives_the_ca_where_no_manager_is_known() {
    let desk = Desk::listing("three-managers", |host| host == "worker-01");
    let out = desk.live(&["plan", "--live"]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(said.contains("no host of hosts.yaml is a manager"), "{said}");
    assert!(said.contains("7 users"), "the API was not read: {said}");
}

/// What the swarm and Kubernetes say is compared with hosts.yaml.
#[test]
fn nodes_that_hosts_yaml_does_not_list_are_named() {
    let desk = Desk::listing("three-managers", |host| {
        !["manager-03", "worker-02"].contains(&host)
    });
    let out = desk.live(&["plan", "--live"]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{said}");
    for name in ["manager-03", "worker-02"] {
        assert!(
            said.contains(&format!("does not list the swarm's node {name}")),
            "{said}"
        );
    }
}

/// One host that cannot be read is one too many, and each is named with its reason.
#[test]
fn hosts_that_cannot_be_read_are_named() {
    let desk = Desk::new("three-managers");
    let known = fs::read_to_string(desk.path(".ssh/known_hosts")).unwrap();
    let address = |host: &str| desk.lab.server(host).unwrap().address().ip().to_string();
    let (first, second) = (address("worker-02"), address("worker-04"));
    let kept: String = known
        .lines()
        .filter(|line| !line.starts_with(&format!("[{first}]")))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(desk.path(".ssh/known_hosts"), kept).unwrap();
    desk.lab.server("worker-04").unwrap().freeze(true);
    let out = desk.live(&["plan", "--live", "--record", "kept"]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(15), "{said}");
    assert!(said.contains("2 of 8 hosts could not be read"), "{said}");
    assert!(
        said.contains(&format!("\n{first}: the host key of {first}:"))
            || said.contains(&format!("{first}: the host key of {first}:")),
        "{said}"
    );
    assert!(said.contains(&format!("{second}: ")), "{said}");
    assert!(out.stdout.is_empty());
    assert!(!desk.path("kept").exists(), "half a recording");
    assert_eq!(
        desk.api.calls(),
        Vec::<String>::new(),
        "MKE was asked for nothing"
    );
}

/// Files that give what MKE tells leave the hosts to be read, and nobody is asked for a password.
#[test]
fn facts_alone_are_read_live() {
    let desk = Desk::new("minimal");
    let file = |name: &str| {
        repo(&format!("testdata/clusters/minimal/{name}"))
            .to_string_lossy()
            .into_owned()
    };
    let out = desk
        .command(&["plan", "--live"])
        .args([
            "--mke3-config",
            &file("mke3.toml"),
            "--accounts",
            &file("accounts.json"),
        ])
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(!read(&out.stdout).unwrap().spec.actions.is_empty());
    assert_eq!(desk.api.calls(), Vec::<String>::new());
}

#[test]
fn each_fault_has_its_exit_code_and_leaves_stdout_empty() {
    let desk = Desk::new("three-managers");
    let recorded = desk.live(&["plan", "--live", "--record", "kept"]);
    assert_eq!(recorded.status.code(), Some(0), "{}", text(&recorded.stderr));
    let stranger = desk.path("stranger.pem");
    fs::write(&stranger, Authority::stranger().unwrap().pem()).unwrap();
    let place = desk.api.address().to_string();
    let wrong = desk.path("wrong");
    fs::write(&wrong, "no-poison\n").unwrap();
    let right = desk.path("right");
    fs::write(&right, format!("{PASSWORD}\n")).unwrap();
    let check = |name: &str, words: &[&str], code: i32, says: &[&str]| {
        let out = desk
            .command(&["plan", "--facts", "kept/facts.json"])
            .args(words)
            .output()
            .unwrap();
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{name}: {said}");
        for says in says {
            assert!(said.contains(says), "{name}: {said}");
        }
        assert!(out.stdout.is_empty(), "{name}");
        assert!(!said.contains("poison"), "{name}: {said}");
    };
    let at = ["--mke3-external-address", place.as_str()];
    let of = |file: &PathBuf| file.to_string_lossy().into_owned();
    let (right, wrong, stranger) = (of(&right), of(&wrong), of(&stranger));
    check(
        "nothing is given",
        &[],
        4,
        &["the MKE 3 configuration is not given", "--mke3-admin-username"],
    );
    check(
        "no password",
        &["--live", at[0], at[1]],
        4,
        &["the password of admin is not given", "MKECTL_MKE3_ADMIN_PASSWORD"],
    );
    check(
        "wrong password",
        &["--mke3-admin-password-file", &wrong, at[0], at[1]],
        4,
        &[
            "POST /auth/login: user name or password is wrong",
            "--mke3-admin-username",
        ],
    );
    check(
        "not an administrator",
        &[
            "--mke3-admin-username",
            "bob",
            "--mke3-admin-password-file",
            &right,
            at[0],
            at[1],
        ],
        4,
        &["GET /accounts/bob: the account is no administrator"],
    );
    check(
        "somebody else's certificate",
        &[
            "--mke3-admin-password-file",
            &right,
            "--mke3-ca-file",
            &stranger,
            at[0],
            at[1],
        ],
        15,
        &["not of this cluster", "nothing was sent", "--mke3-ca-file"],
    );
    let ssh = desk.lab.server("manager-01").unwrap().address().to_string();
    check(
        "something else there",
        &[
            "--mke3-admin-password-file",
            &right,
            "--mke3-external-address",
            &ssh,
        ],
        4,
        &["does not speak TLS", "check address and port"],
    );
    check(
        "an address that is none",
        &[
            "--mke3-admin-password-file",
            &right,
            "--mke3-external-address",
            "https://mke",
        ],
        4,
        &["it is a URL"],
    );
    check(
        "no CA in the file",
        &[
            "--mke3-admin-password-file",
            &right,
            "--mke3-ca-file",
            &right,
            at[0],
            at[1],
        ],
        4,
        &["there is no certificate in it"],
    );
    // The cluster is gone.
    for host in desk.lab.state().hosts.values_mut() {
        host.containers.remove("ucp-controller");
        host.wanted.remove("ucp-controller");
    }
    let ca = desk.path("ca.pem");
    fs::write(&ca, Authority::of_mke3().unwrap().pem()).unwrap();
    let ca = of(&ca);
    check(
        "an API that is down",
        &[
            "--mke3-admin-password-file",
            &right,
            "--mke3-ca-file",
            &ca,
            at[0],
            at[1],
        ],
        15,
        &["the connection ended before the answer did (tried 5 times)"],
    );
    drop(desk.runtime.enter());
}

/// A host that takes the connection and then says nothing holds nobody up for long.
#[test]
fn a_host_that_hangs_is_given_up() {
    let desk = Desk::new("minimal");
    let recorded = desk.live(&["plan", "--live", "--record", "kept"]);
    assert_eq!(recorded.status.code(), Some(0), "{}", text(&recorded.stderr));
    desk.lab.server("manager-01").unwrap().freeze(true);
    for (words, says) in [
        (
            &["plan", "--live"][..],
            &["1 of 1 hosts could not be read", "127.77.0.1: "][..],
        ),
        (
            &["plan", "--live", "--facts", "kept/facts.json"],
            &["no host gives the CA of the cluster", "--mke3-ca-file"],
        ),
    ] {
        let began = Instant::now();
        let out = desk.live(words);
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(15), "{said}");
        for says in says {
            assert!(said.contains(says), "{said}");
        }
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "{:?}",
            began.elapsed()
        );
    }
}

#[test]
fn a_dry_run_of_an_upgrade_is_its_plan() {
    let desk = Desk::new("minimal");
    let plan = desk.live(&["plan", "--live", "--on-failure", "rollback", "--record", "kept"]);
    let plan = read(&plan.stdout).unwrap();
    // A second reading would find another clock and other free bytes.
    let facts = ["--facts", "kept/facts.json"];
    let out = desk.live(&["upgrade", "--dry-run", "--output=results", facts[0], facts[1]]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let kept = read(&fs::read(desk.path("results/plan.json")).unwrap()).unwrap();
    assert_eq!(kept.spec.intent.options["on-failure"], "rollback");
    assert_eq!(kept.digest, plan.digest);
    let bare = desk.live(&["upgrade", "--dry-run", facts[0], facts[1]]);
    assert_eq!(read(&bare.stdout).unwrap().digest, plan.digest);
    assert!(
        !desk.path(".local").exists(),
        "a dry run keeps nothing unless it is asked to"
    );
}

#[test]
fn an_upgrade_that_cannot_be_done_is_refused_before_anybody_is_asked() {
    let desk = Desk::new("minimal");
    // Nobody said where k0s and the charts are.
    let out = desk.live(&["upgrade", "--force"]);
    assert_eq!(out.status.code(), Some(3), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("this plan cannot be applied"));
    let calls = desk.api.calls().len();
    for (flag, why) in [
        ("--cni-check-port=81", "no port is opened"),
        ("--skip-cpu-cores-check", "findings are never skipped"),
        ("--backup-path=backup.tar", "from one MKE 4k to the next"),
        ("--lease-ttl=1m", "a lock of its own"),
        ("--lease-adopt-stale", "a lock of its own"),
    ] {
        let out = desk.live(&["upgrade", "--force", flag]);
        let said = text(&out.stderr);
        let name = flag.split('=').next().unwrap();
        assert_eq!(out.status.code(), Some(4), "{said}");
        assert!(
            said.contains(&format!("{name} is not taken")) && said.contains(why),
            "{said}"
        );
    }
    assert_eq!(
        desk.api.calls().len(),
        calls,
        "flags are refused before anything is read"
    );
}

/// From hosts.yaml and a password to the summary: everything is read live, the plan is shown, the name of the cluster is typed,
/// and exactly that plan runs.
#[test]
fn an_upgrade_goes_from_the_command_line_to_the_summary() {
    let desk = Desk::new("minimal");
    let dry = read(&desk.live(&["upgrade", "--dry-run"]).stdout).unwrap();
    let to = &dry.spec.cluster.to;
    let versions = Versions {
        k0s: &to.k0s,
        etcd: &to.etcd,
        calico: "",
        mke: &to.mke,
    };
    let mut words: Vec<String> = [
        "upgrade",
        "--mke3-admin-username",
        "admin",
        "--config-out",
        "new-mke4.yaml",
        "-l",
        "debug",
    ]
    .map(str::to_owned)
    .into();
    for (name, bytes) in assets(&versions) {
        fs::write(desk.path(name), bytes).unwrap();
        words.extend(["--asset".to_owned(), format!("{name}={name}")]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();

    // Nobody is there to type the name.
    let out = desk.live(&words);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(6), "{said}");
    assert!(said.contains("there is no terminal to ask on"), "{said}");
    assert!(!desk.path(".local").exists(), "something was begun");

    // A yes is not the name.
    let (code, said) = desk.at_a_terminal(&words, "yes\n");
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("not confirmed; nothing was begun"), "{said}");

    let (code, said) = desk.at_a_terminal(&words, "mke.example.com\n");
    assert_eq!(code, Some(0), "{said}");
    let mut rest = said.as_str();
    for next in [
        "Type its name, \"mke.example.com\": ",
        "Upgrade Summary",
        "Users found in the MKE3 cluster: 1",
        "was uninstalled from the cluster successfully.",
    ] {
        let Some(at) = rest.find(next) else {
            panic!("{next:?} does not come after the others: {said}")
        };
        rest = &rest[at..];
    }
    assert!(!said.contains("poison"), "{said}");
    assert_eq!(desk.lab.state().unmodelled, Vec::<String>::new());
    let written = fs::read_to_string(desk.path("new-mke4.yaml")).unwrap();
    assert!(written.contains("mke.example.com"), "{written}");
    assert!(desk.path(".mke/mke.kubeconf").exists());
    // `status` and `rollback` find the plan there.
    let kept = fs::read_dir(desk.path(".local/state/mkectl"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("plan.json"))
        .find(|path| path.exists())
        .unwrap();
    assert!(!read(&fs::read(kept).unwrap()).unwrap().spec.actions.is_empty());
}

/// The command line of the documents, on the cluster of the documents' first failure: nothing is begun, and the reason is told
/// with its place.
#[test]
fn the_documents_command_line_is_refused_where_theirs_is() {
    let desk = Desk::made_of("minimal", "blocked", |_| true);
    let words = [
        "upgrade",
        "--mke3-admin-username",
        "admin",
        "--mke3-admin-password",
        PASSWORD,
        "-l",
        "debug",
        "--config-out",
        "new-mke4.yaml",
    ];
    let out = desk.live(&words);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(
        said.contains("MKE3-CALICO-ETCD") && said.contains("mke3.toml:"),
        "{said}"
    );
    assert!(said.contains("can be seen by others on this machine"), "{said}");
    assert!(!said.contains(PASSWORD) && !text(&out.stdout).contains(PASSWORD));
    assert!(!desk.path("new-mke4.yaml").exists());
    assert_eq!(desk.api.sessions(), 0);
}

/// The twin is read as a real cluster is, and the plan runs on it.
#[test]
fn a_rehearsal_reads_its_twin_live() {
    let home = tempfile::tempdir().unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_mkectl"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home.path())
        .args(["rehearse", "--live", "--until", "prepare", "--state-dir"])
        .arg(home.path().join("state"))
        .output()
        .unwrap();
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(14), "{said}");
    assert!(
        said.contains("==> Running phase: Read MKE 3 at mke.rehearsal.test:443 as admin"),
        "{said}"
    );
    assert!(
        said.contains("8 nodes, 7 users, 2 organizations, 3 teams"),
        "{said}"
    );
}
