//! `mkectl apply` as a process, over SSH, against simulated hosts.

mod gates;
mod images;
mod lease;
mod openssh;

use crate::scripts::Stage;
use mkectl::lab::Isolation;
use mkectl::lab::model::Backend;
use mkectl::model::{Bastion, Meta, PLAN_FORMAT, PLAN_KIND, Plan, Spec};
use mkectl::plan::digest::digest;
use openssh::{OpenSsh, Server};
use russh::keys::ssh_key::LineEnding;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// One session at a time, as an administrator may have set it.
const RSA: Server = Server {
    key: "rsa",
    user: "root",
    shell: "/bin/sh",
    config: "MaxSessions 1",
    bashrc: "",
};

/// New keys every few kilobytes and seconds, a banner, and a login shell that talks.
const ECDSA: Server = Server {
    key: "ecdsa",
    user: "root",
    shell: "/bin/bash",
    config: "RekeyLimit 64K 3\nBanner /etc/ssh/lab_banner",
    bashrc: "echo welcome; echo 'last login: never' >&2",
};

/// An ordinary user with sudo and no terminal.
const SUDO: Server = Server {
    key: "ed25519",
    user: "deploy",
    shell: "/bin/bash",
    config: "MaxStartups 4:50:8",
    bashrc: "echo 'out of date: 12 packages'",
};

/// Behind another host.
const BASTION: Server = Server {
    key: "ed25519",
    user: "root",
    shell: "/bin/bash",
    config: "MaxSessions 2",
    bashrc: "",
};

const HOSTS: [&str; 4] = ["manager-01", "manager-02", "manager-03", "worker-01"];

/// A machine of an operator, with a plan for the hosts of a lab.
struct Desk {
    stage: Stage,
    home: tempfile::TempDir,
    spec: Spec,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Desk {
    fn new() -> Desk {
        let stage = Stage::new(&HOSTS);
        let home = tempfile::tempdir().unwrap();
        let mut desk = Desk {
            spec: (*stage.spec).clone(),
            stage,
            home,
        };
        let key = desk.path("id_ed25519");
        fs::write(
            &key,
            &*desk.stage.lab.client_key().to_openssh(LineEnding::LF).unwrap(),
        )
        .unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        for host in &mut desk.spec.hosts {
            let server = desk.stage.lab.server(&host.id).unwrap();
            host.address = server.address().ip().to_string();
            host.port = u32::from(server.address().port());
            host.key_path = "~/id_ed25519".to_owned();
            host.bastion = None;
            host.host_keys = vec![server.fingerprint()];
        }
        desk
    }

    /// With a real OpenSSH server in every host, each of another kind.
    fn with_openssh() -> (Desk, Vec<OpenSsh>) {
        let mut desk = Desk::new();
        let client = desk.stage.lab.client_key().public_key().to_openssh().unwrap();
        let servers = [
            ("manager-01", "root", RSA),
            ("manager-02", "root", ECDSA),
            ("manager-03", "deploy", SUDO),
            ("worker-01", "root", BASTION),
        ]
        .map(|(host, user, server)| {
            let started = OpenSsh::in_host(&desk.stage.lab, host, &client, desk.home.path(), &server);
            let planned = desk.spec.hosts.iter_mut().find(|known| known.id == host).unwrap();
            planned.address = "127.0.0.1".to_owned();
            planned.port = u32::from(started.port);
            planned.user = user.to_owned();
            planned.host_keys = vec![started.fingerprint.clone()];
            started
        });
        let bastion = OpenSsh::bastion(&client, desk.home.path());
        let user = Command::new("id").arg("-un").output().unwrap();
        desk.spec.hosts.last_mut().unwrap().bastion = Some(Bastion {
            address: "127.0.0.1".to_owned(),
            port: u32::from(bastion.port),
            user: text(&user.stdout).trim().to_owned(),
            key_path: "~/id_ed25519".to_owned(),
            bastion: None,
        });
        fs::create_dir(desk.path(".ssh")).unwrap();
        let key = fs::read_to_string(desk.path("host-key-bastion.pub")).unwrap();
        fs::write(
            desk.path(".ssh/known_hosts"),
            format!("[127.0.0.1]:{} {key}", bastion.port),
        )
        .unwrap();
        (desk, servers.into_iter().chain([bastion]).collect())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Saves a plan.
    fn save(&self, name: &str, spec: &Spec) -> String {
        let plan = Plan {
            kind: PLAN_KIND.to_owned(),
            format_version: PLAN_FORMAT.to_owned(),
            digest: digest(spec).unwrap(),
            spec: spec.clone(),
            meta: Meta::default(),
        };
        let path = self.path(name);
        fs::write(&path, mkectl::plan::write(&plan).unwrap()).unwrap();
        path.to_string_lossy().into_owned()
    }

    fn apply(&self, plan: &str, words: &[&str]) -> Output {
        self.command(plan, words).output().unwrap()
    }

    fn command(&self, plan: &str, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mkectl"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home.path())
            .env("MKECTL_BACKUP_PASSPHRASE", "poison-passphrase")
            .args(["apply", plan])
            .args(words);
        for asset in &self.spec.assets {
            let file = self.path(&format!("asset-{}", asset.name));
            if !file.exists() {
                fs::write(&file, self.stage.asset(&asset.name)).unwrap();
            }
            command.args(["--asset", &format!("{}={}", asset.name, file.display())]);
        }
        command
    }

    /// It ends with this code, says this, and begins nothing.
    fn refused(&self, plan: &str, words: &[&str], code: i32, says: &str) {
        let output = self.apply(plan, words);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{says}: {err}");
        assert!(err.contains(says), "{says:?} is not in: {err}");
        assert!(output.stdout.is_empty(), "{says}");
        for host in HOSTS {
            let changes = self.stage.lab.changes(host).unwrap();
            assert!(
                !changes
                    .iter()
                    .any(|change| change.path.starts_with("/var/lib/mkectl")),
                "{says}: something was begun on {host}"
            );
        }
    }
}

fn is_root_only(path: &Path) -> bool {
    fs::metadata(path).unwrap().permissions().mode() & 0o777 == 0o600
}

#[test]
fn bad_situations_have_their_code_and_sentence() {
    let desk = Desk::new();
    let plan = desk.save("plan.json", &desk.spec);

    // Nobody says yes.
    desk.refused(&plan, &[], 6, "nobody confirmed this plan");

    // Edited by hand.
    let edited = fs::read_to_string(&plan)
        .unwrap()
        .replacen("worker-01", "worker-99", 1);
    fs::write(desk.path("edited.json"), edited).unwrap();
    let edited = desk.path("edited.json").to_string_lossy().into_owned();
    desk.refused(&edited, &["--yes"], 5, "digest");
    fs::write(desk.path("half.json"), "{\"kind\": \"mkectl.plan\"").unwrap();
    let half = desk.path("half.json").to_string_lossy().into_owned();
    desk.refused(&half, &["--yes"], 5, "half.json");

    let changed = |name: &str, change: &dyn Fn(&mut Spec)| {
        let mut spec = desk.spec.clone();
        change(&mut spec);
        desk.save(name, &spec)
    };
    // A host with another key than the plan pins.
    let other = changed("key.json", &|spec| {
        spec.hosts[1].host_keys = vec!["SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()];
    });
    desk.refused(&other, &["--yes"], 15, "manager-02");
    // Nothing pinned, nothing known.
    let unknown = changed("unknown.json", &|spec| spec.hosts[0].host_keys.clear());
    desk.refused(&unknown, &["--yes"], 15, "known_hosts");
    // Nobody there.
    let gone = changed("gone.json", &|spec| spec.hosts[3].port = 1);
    desk.refused(&gone, &["--yes"], 15, "worker-01");
    // Something is not as the plan relied on.
    desk.stage
        .lab
        .state()
        .hosts
        .get_mut("worker-01")
        .unwrap()
        .system
        .selinux = "enforcing".to_owned();
    desk.refused(
        &plan,
        &["--yes"],
        8,
        "worker-01: selinux was \"disabled\" and is \"enforcing\" now; it concerns worker-01/stage-config",
    );
    desk.stage
        .lab
        .state()
        .hosts
        .get_mut("worker-01")
        .unwrap()
        .system
        .selinux = "disabled".to_owned();
    // A key file that cannot be read.
    let no_key = changed("no-key.json", &|spec| {
        spec.hosts[0].key_path = "~/nowhere".to_owned()
    });
    desk.refused(&no_key, &["--yes"], 4, "nowhere");
    // A key that the host does not let in.
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(desk.path("stranger"))
        .status()
        .unwrap();
    assert!(made.success());
    let refused = changed("stranger.json", &|spec| {
        spec.hosts[2].key_path = "~/stranger".to_owned()
    });
    desk.refused(&refused, &["--yes"], 15, "manager-03");
    // The host was replaced, or this is the plan of another cluster.
    let replaced = changed("replaced.json", &|spec| {
        spec.hosts[2].machine_id = "0123456789abcdef0123456789abcdef".to_owned();
    });
    desk.refused(&replaced, &["--yes"], 8, "machine id");
    // A stage that is none, and a run that was never begun.
    desk.refused(&plan, &["--yes", "--resume"], 4, "nothing to resume");
    // Blockers.
    let blocked = changed("blocked.json", &|spec| {
        spec.intent.applyable = false;
        spec.intent.not_applyable = vec!["1 blocking finding".to_owned()];
    });
    desk.refused(&blocked, &["--yes"], 3, "1 blocking finding");
    // An asset with other bytes.
    fs::write(desk.path("asset-k0s"), "something else").unwrap();
    desk.refused(&plan, &["--yes"], 8, "is not the file of the plan");
    fs::remove_file(desk.path("asset-k0s")).unwrap();
    // A state directory that cannot be made.
    desk.refused(
        &plan,
        &["--yes", "--state-dir", "/proc/nowhere"],
        4,
        "/proc/nowhere",
    );
}

/// The servers are real where this runs as root: OpenSSH separates privileges with accounts that an ordinary user's namespace
/// does not have, so there the lab's own servers stand in.
#[test]
fn a_plan_is_applied() {
    let (desk, servers) = match Isolation::best() {
        Isolation::Root => Desk::with_openssh(),
        Isolation::User => (Desk::new(), Vec::new()),
    };
    let plan = desk.save("plan.json", &desk.spec);
    fs::create_dir(desk.path(".mke")).unwrap();
    fs::write(desk.path(".mke/mke.kubeconf"), "half of an old one").unwrap();
    let events = desk.path("events.jsonl");
    let output = desk.apply(&plan, &["--yes", "--events", &events.to_string_lossy()]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    for server in &servers {
        let log = fs::read_to_string(&server.log).unwrap();
        assert!(
            log.contains("Accepted publickey"),
            "{}: {log}",
            server.log.display()
        );
    }

    // stdout is mke4.yaml and nothing else.
    let document = desk
        .spec
        .documents
        .iter()
        .find(|document| document.name == "mke4.yaml");
    assert_eq!(text(&output.stdout), desk.spec.files[&document.unwrap().digest]);
    assert!(err.contains("\nUpgrade Summary\n---------------\n"), "{err}");
    assert!(
        err.contains("was uninstalled from the cluster successfully."),
        "{err}"
    );

    let kubeconfig = desk.path(".mke/mke.kubeconf");
    assert!(is_root_only(&kubeconfig));
    assert!(
        fs::read_to_string(&kubeconfig)
            .unwrap()
            .contains("server: https://mke.example.com:6443")
    );
    assert_eq!(
        fs::read_to_string(desk.path(".mke/mke.kubeconf.before-upgrade")).unwrap(),
        "half of an old one"
    );

    // The journal, the events and the logs are there, closed to others, and hold no secret.
    let state = fs::read_dir(desk.path(".local/state/mkectl"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut looked = 0;
    let mut left = vec![state.clone(), events.clone()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        assert!(is_root_only(&path), "{}", path.display());
        let bytes = fs::read(&path).unwrap();
        assert!(!text(&bytes).contains("poison-passphrase"), "{}", path.display());
        looked += 1;
    }
    assert!(looked > HOSTS.len());
    assert!(!err.contains("poison-passphrase"));
    assert!(desk.stage.lab.state().unmodelled.is_empty());

    // It is used up.
    let again = desk.apply(&plan, &["--yes"]);
    assert_eq!(again.status.code(), Some(4), "{}", text(&again.stderr));
}

/// The process dies in the middle of the outage, without a word to anybody: the hosts finish what they do, and the next
/// process goes on from the journal and what the hosts say.
#[test]
fn a_killed_run_is_taken_up() {
    let desk = Desk::new();
    let plan = desk.save("plan.json", &desk.spec);
    let state = desk.path("state");
    let words = [
        "--yes",
        "--until",
        "quiesce",
        "--state-dir",
        state.to_str().unwrap(),
    ];
    let mut first = desk
        .command(&plan, &words)
        .stdout(Stdio::null())
        .stderr(fs::File::create(desk.path("first.log")).unwrap())
        .spawn()
        .unwrap();
    let digest = digest(&desk.spec).unwrap();
    let journal = state.join(&digest["sha256:".len()..][..16]).join("journal.jsonl");
    let begun = || fs::read_to_string(&journal).is_ok_and(|text| text.contains("/stop-apiservers"));
    for _ in 0..6000 {
        if begun() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // `kill` is SIGKILL.
    first.kill().unwrap();
    let ended = first.wait().unwrap();
    let said = fs::read_to_string(desk.path("first.log")).unwrap();
    assert!(begun() && ended.code().is_none(), "{ended}: {said}");

    // It is not begun again by mistake.
    let again = desk.apply(&plan, &words);
    assert_eq!(again.status.code(), Some(4), "{}", text(&again.stderr));
    let resumed = desk.apply(&plan, &[&words[..], &["--resume"]].concat());
    let err = text(&resumed.stderr);
    assert_eq!(resumed.status.code(), Some(14), "{err}");
    let text = fs::read_to_string(&journal).unwrap();
    assert!(text.contains("/arm-hold-managers"), "{err}");
    assert!(desk.stage.lab.state().unmodelled.is_empty());
    let state = desk.stage.lab.state();
    for manager in &HOSTS[..3] {
        assert!(!state.runs(manager, "ucp-kv"), "{manager}: {err}");
    }
}

/// What somebody else changed between two runs stops the second one, where something that is still to run relies on it; what
/// nothing relies on any more is told; what the plan itself changed is neither.
#[test]
fn drift_on_resume_is_told_apart() {
    let desk = Desk::new();
    let plan = desk.save("plan.json", &desk.spec);
    let state = desk.path("state");
    let run = |words: &[&str]| {
        let state = state.to_str().unwrap();
        let out = desk.apply(&plan, &[&["--yes", "--state-dir", state][..], words].concat());
        (out.status.code(), text(&out.stderr))
    };
    let (code, err) = run(&["--until", "prepare"]);
    assert_eq!(code, Some(14), "{err}");
    let change = |selinux: &str, backend: Backend| {
        let mut state = desk.stage.lab.state();
        let worker = state.hosts.get_mut("worker-01").unwrap();
        worker.system.selinux = selinux.to_owned();
        worker.netfilter.backend = backend;
    };

    change("enforcing", Backend::Legacy);
    let (code, err) = run(&["--resume", "--until", "quiesce"]);
    assert_eq!(code, Some(8), "{err}");
    assert!(
        err.contains("worker-01: iptables was \"nft\" and is \"legacy\" now; it concerns worker-01/"),
        "{err}"
    );
    assert!(err.contains("so nothing more was begun"), "{err}");
    assert!(
        err.contains("worker-01: selinux was \"disabled\" and is \"enforcing\" now; nothing that is still to run relies on it"),
        "{err}"
    );
    assert!(desk.stage.lab.state().runs("manager-01", "ucp-kv"), "{err}");

    // It was put back, and the rest concerns nobody.
    change("enforcing", Backend::Nft);
    let (code, err) = run(&["--resume", "--until", "quiesce"]);
    assert_eq!(code, Some(14), "{err}");
    assert!(err.contains("worker-01: selinux was"), "{err}");
    assert!(!desk.stage.lab.state().runs("manager-01", "ucp-kv"), "{err}");

    // MKE 3 does not run any more, nobody can tell of etcd, and that is as planned.
    let (code, err) = run(&["--resume", "--until", "first-controller"]);
    assert_eq!(code, Some(14), "{err}");
    assert!(!err.contains("cluster.etcd"), "{err}");
}
