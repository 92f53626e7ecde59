//! `plan`, `upgrade` and `rehearse` that read a live cluster, as processes: against the simulated one, over real SSH and TLS.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::simulated::{facts, options};
use crate::support::repo;
use mkectl::lab::Lab;
use mkectl::lab::api::{Authority, Server, Setup};
use mkectl::plan::read;
use mkectl::source::accounts::Accounts;
use russh::keys::ssh_key::LineEnding;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const PASSWORD: &str = "poison-password";

/// A machine of an operator, and a cluster with one host and an API.
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
    fn new(host: &str, cluster: &str) -> Desk {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let file = |name: &str| fs::read(repo(&format!("testdata/clusters/{cluster}/{name}"))).unwrap();
        let setup = Setup {
            name: "mke.example.com".to_owned(),
            config: file("mke3.toml"),
            accounts: Accounts::parse("accounts.json", &file("accounts.json")).unwrap(),
            password: PASSWORD.to_owned(),
        };
        let (lab, api) = runtime.block_on(async {
            let mut facts = facts("three-managers", &["manager-01", host]);
            facts
                .hosts
                .sort_by_key(|about| about.hostname.as_deref() != Some(host));
            let lab = Lab::from_facts(&facts, &options(50)).await.unwrap();
            let api = lab.serve_api(setup).await.unwrap();
            (lab, api)
        });
        let home = tempfile::tempdir().unwrap();
        let key = home.path().join("key");
        fs::write(&key, &*lab.client_key().to_openssh(LineEnding::LF).unwrap()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let server = lab.server(host).unwrap();
        fs::write(
            home.path().join("hosts.yaml"),
            format!(
                "hosts:\n  - address: 127.0.0.1\n    port: {}\n    user: root\n    keyPath: {}\n",
                server.address().port(),
                key.display()
            ),
        )
        .unwrap();
        fs::create_dir(home.path().join(".ssh")).unwrap();
        fs::write(
            home.path().join(".ssh/known_hosts"),
            format!(
                "[127.0.0.1]:{} {}\n",
                server.address().port(),
                server.host_key().to_openssh().unwrap()
            ),
        )
        .unwrap();
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
        let place = self.api.address().to_string();
        self.command(words)
            .env("MKECTL_MKE3_ADMIN_PASSWORD", PASSWORD)
            .args(["--mke3-external-address", &place])
            .output()
            .unwrap()
    }
}

#[test]
fn a_live_plan_is_the_plan_of_what_was_recorded() {
    let desk = Desk::new("manager-01", "three-managers");
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
    for name in ["kept/mke3.toml", "kept/accounts.json"] {
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
    let desk = Desk::new("manager-01", "three-managers");
    let accounts = repo("testdata/clusters/minimal/accounts.json");
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

/// A worker knows the CA too.
#[test]
fn a_worker_gives_the_ca_where_no_manager_is_known() {
    let desk = Desk::new("worker-01", "three-managers");
    let out = desk.live(&["plan", "--live"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
}

#[test]
fn each_fault_has_its_exit_code_and_leaves_stdout_empty() {
    let desk = Desk::new("manager-01", "three-managers");
    let stranger = desk.path("stranger.pem");
    fs::write(&stranger, Authority::stranger().unwrap().pem()).unwrap();
    let place = desk.api.address().to_string();
    let wrong = desk.path("wrong");
    fs::write(&wrong, "no-poison\n").unwrap();
    let right = desk.path("right");
    fs::write(&right, format!("{PASSWORD}\n")).unwrap();
    let check = |name: &str, words: &[&str], code: i32, says: &[&str]| {
        let out = desk.command(&["plan"]).args(words).output().unwrap();
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
    // Nobody lets us in to ask for the CA.
    fs::remove_file(desk.path(".ssh/known_hosts")).unwrap();
    check(
        "a host that is not trusted",
        &["--mke3-admin-password-file", &right, at[0], at[1]],
        15,
        &["no host gives the CA of the cluster", "--mke3-ca-file"],
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
    let desk = Desk::new("manager-01", "three-managers");
    desk.lab.server("manager-01").unwrap().freeze(true);
    let began = Instant::now();
    let out = desk.live(&["plan", "--live"]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(15), "{said}");
    assert!(said.contains("no host gives the CA of the cluster"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn a_dry_run_of_an_upgrade_is_its_plan() {
    let desk = Desk::new("manager-01", "three-managers");
    let plan = read(&desk.live(&["plan", "--live", "--on-failure", "rollback"]).stdout).unwrap();
    let out = desk.live(&["upgrade", "--dry-run", "--output=results"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let kept = read(&fs::read(desk.path("results/plan.json")).unwrap()).unwrap();
    assert_eq!(kept.spec.intent.options["on-failure"], "rollback");
    assert_eq!(kept.digest, plan.digest);
    let bare = desk.live(&["upgrade", "--dry-run"]);
    assert_eq!(read(&bare.stdout).unwrap().digest, plan.digest);
    assert!(
        !desk.path(".local").exists(),
        "a dry run keeps nothing unless it is asked to"
    );
}

#[test]
fn an_upgrade_that_cannot_be_done_is_refused_before_anybody_is_asked() {
    let desk = Desk::new("manager-01", "three-managers");
    // Without facts nobody knows what a host is.
    let out = desk.live(&["upgrade", "--force"]);
    assert_eq!(out.status.code(), Some(3), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("this plan cannot be applied"));
    let calls = desk.api.calls().len();
    for (flag, why) in [
        ("--cni-check-port=81", "no port is opened"),
        ("--skip-cpu-cores-check", "findings are never skipped"),
        ("--backup-path=backup.tar", "from one MKE 4k to the next"),
        ("--lease-ttl=1m", "a lock of its own"),
        ("--image-registry-username=robot", "no credentials of registries"),
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

/// The command line of the documents, on the cluster of the documents' first failure: nothing is begun, and the reason is told
/// with its place.
#[test]
fn the_documents_command_line_is_refused_where_theirs_is() {
    let desk = Desk::new("manager-01", "blocked");
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
