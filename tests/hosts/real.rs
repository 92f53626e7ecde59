//! An upgrade on real hosts: systemd, OpenSSH, Docker Engine, a swarm, etcd and kubectl are real; MKE 3's images and k0s are
//! stand-ins (`tests/hosts/real/`). The hosts live in namespaces of their own and end with the test.
//!
//! Needs root, a cgroup v2 tree and the packages of `.ci/install real`; without them it fails and says what is missing.
//! `MKECTL_REAL_HOSTS="3 2"` says how many managers and workers there are.

mod faults;

use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Versions of what MKE 4k 4.1.5 brings.
const BRINGS: [&str; 4] = ["v1.32.11+k0s.0", "3.5.25", "v3.30.200", "4.1.5"];

/// Set aside while no pods run, and made again afterwards.
const WEBHOOK: &str = "/registry/validatingwebhookconfigurations/orders.shop.example";

/// Hosts with an MKE 3. Whatever was started ends with it.
struct Cluster {
    dir: PathBuf,
    managers: usize,
    workers: usize,
    passing: Vec<String>,
}

#[derive(Deserialize)]
struct Objects {
    objects: Vec<String>,
    passing: Vec<String>,
}

fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn objects() -> Objects {
    serde_yaml::from_str(&fs::read_to_string(repo("plans/upgrade/mke3-objects.yaml")).unwrap()).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

impl Cluster {
    fn up() -> Cluster {
        let size = std::env::var("MKECTL_REAL_HOSTS").unwrap_or_else(|_| "3 2".to_owned());
        let (managers, workers) = size.split_once(' ').expect("MKECTL_REAL_HOSTS is two numbers");
        let cluster = Cluster {
            dir: PathBuf::from(format!("/var/tmp/mkectl-real-{}", std::process::id())),
            managers: managers.parse().unwrap(),
            workers: workers.parse().unwrap(),
            passing: objects().passing,
        };
        cluster.script("hosts.sh", &["up", managers, workers]);
        let assets = cluster.name("assets");
        let mut words = vec![assets.as_str()];
        words.extend(BRINGS);
        cluster.script("assets.sh", &words);
        fs::create_dir_all(cluster.dir.join("home/.ssh")).unwrap();
        fs::copy(
            cluster.dir.join("known_hosts"),
            cluster.dir.join("home/.ssh/known_hosts"),
        )
        .unwrap();
        for name in ["mke3.toml", "accounts.json"] {
            fs::copy(
                repo("testdata/clusters/minimal").join(name),
                cluster.dir.join(name),
            )
            .unwrap();
        }
        cluster
    }

    fn name(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    fn hosts(&self) -> Vec<String> {
        let managers = (1..=self.managers).map(|at| format!("manager-{at}"));
        managers
            .chain((1..=self.workers).map(|at| format!("worker-{at}")))
            .collect()
    }

    fn command(&self, script: &str, words: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=10", "900"])
            .arg(repo("tests/hosts/real").join(script))
            .args(words)
            .env("MKECTL_REAL_DIR", &self.dir)
            .env("HOME", self.dir.join("home"))
            .env("MKECTL_STATE_DIR", self.dir.join("state"))
            .stdin(Stdio::null());
        command
    }

    /// Runs one of the scripts, which has to succeed.
    fn script(&self, script: &str, words: &[&str]) -> String {
        let output = self.command(script, words).output().unwrap();
        assert!(output.status.success(), "{script} {words:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs mkectl from the network of the hosts; it has to end with this code.
    fn mkectl(&self, code: i32, words: &[&str]) -> String {
        let output = self.start(words).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "mkectl {words:?}: {}",
            said(&output)
        );
        said(&output)
    }

    fn start(&self, words: &[&str]) -> Command {
        let mut all = vec!["lan", env!("CARGO_BIN_EXE_mkectl")];
        all.extend(words);
        let mut command = self.command("hosts.sh", &all);
        command
            .env("MKECTL_BACKUP_PASSPHRASE", "of a test")
            .current_dir(&self.dir);
        if words.first() == Some(&"rollback") {
            // A way back needs no secrets.
            command.env_remove("MKECTL_BACKUP_PASSPHRASE");
        }
        command
    }

    fn assets(&self) -> Vec<String> {
        let files = [
            ("k0s", "k0s"),
            ("etcd-tools", "etcd-tools.tar.gz"),
            ("calico-chart", "calico-chart.tgz"),
            ("mke-operator-chart", "mke-operator-chart.tgz"),
        ];
        let asset =
            |(name, file): (&str, &str)| format!("--asset={name}={}", self.name(&format!("assets/{file}")));
        files.into_iter().map(asset).collect()
    }

    fn plan(&self, name: &str) {
        let assets = self.assets();
        let mut words = vec!["facts", "--hosts-path", "hosts.yaml", "-o", "facts.json"];
        self.mkectl(0, &words);
        words = "plan --hosts-path hosts.yaml --mke3-config mke3.toml --accounts accounts.json --facts facts.json --external-address 10.99.0.254 \
                 --target-version 4.1.5 --gateway-http-node-port 33000 --gateway-https-node-port 33001"
            .split_whitespace()
            .collect();
        words.extend(["-o", name]);
        words.extend(assets.iter().map(String::as_str));
        self.mkectl(0, &words);
    }

    fn apply(&self, code: i32, plan: &str, more: &[&str]) -> String {
        let assets = self.assets();
        let mut words = vec!["apply", plan, "--yes", "--mke3-config", "mke3.toml"];
        words.extend(more);
        words.extend(assets.iter().map(String::as_str));
        self.mkectl(code, &words)
    }

    fn on(&self, host: &str, words: &[&str]) -> String {
        let mut all = vec!["exec", host];
        all.extend(words);
        self.script("hosts.sh", &all)
    }

    /// What a rollback must bring back: lines about containers, services, volumes, files, units, mounts and keys of etcd.
    fn picture(&self) -> Vec<(String, Vec<String>)> {
        let picture = |host: String| {
            let mut words = vec!["/opt/mke3/picture.sh"];
            words.extend(self.passing.iter().map(String::as_str));
            let lines = self.on(&host, &words).lines().map(str::to_owned).collect();
            (host, lines)
        };
        self.hosts().into_iter().map(picture).collect()
    }

    fn is_as(&self, before: &[(String, Vec<String>)]) {
        let differences = self.differences(before);
        assert!(
            differences.is_empty(),
            "not as before:\n{}",
            differences.join("\n")
        );
    }

    /// Keys in the store of k0s on a manager, as a picture has them.
    fn k0s_keys(&self, manager: &str) -> String {
        let mut words = vec!["/opt/mke3/k0s-keys.sh"];
        words.extend(self.passing.iter().map(String::as_str));
        self.on(manager, &words)
    }

    /// Those of `keys` that the store of k0s on a manager does not have, less the objects of MKE 3.
    fn lost(&self, manager: &str, keys: &[String]) -> Vec<String> {
        let removed: Vec<String> = objects()
            .objects
            .iter()
            .map(|object| format!("key /registry/{object} "))
            .chain([format!("key {WEBHOOK} ")])
            .collect();
        let now = self.k0s_keys(manager);
        keys.iter()
            .filter(|key| !removed.iter().any(|removed| key.starts_with(removed)))
            .filter(|key| !now.lines().any(|line| line == **key))
            .cloned()
            .collect()
    }

    /// Every key of MKE 3 is in the store of k0s, which runs on every host; of MKE 3 only its backups are left.
    fn is_upgraded(&self, keys: &[String]) {
        let lost = self.lost("manager-1", keys);
        assert!(lost.is_empty(), "{lost:?}");
        let now = self.k0s_keys("manager-1");
        assert!(now.contains(WEBHOOK), "what was set aside is not back");
        for host in self.hosts() {
            let unit = if host.starts_with("manager") {
                "k0scontroller"
            } else {
                "k0sworker"
            };
            assert_eq!(self.on(&host, &["systemctl", "is-active", unit]).trim(), "active");
            let left = self.on(
                &host,
                &[
                    "sh",
                    "-c",
                    "ls /var/lib/docker/volumes; systemctl is-active docker || :",
                ],
            );
            assert!(
                left.contains("orders-data") && left.contains("inactive"),
                "{host}: {left}"
            );
            // Whoever has to restore MKE 3 needs its backups.
            let of_mke3: Vec<&str> = left.lines().filter(|line| line.starts_with("ucp-")).collect();
            let kept: &[&str] = if unit == "k0scontroller" {
                &["ucp-backup"]
            } else {
                &[]
            };
            assert_eq!(of_mke3, kept, "{host}");
        }
    }

    /// Compares, for a while: a swarm starts its tasks in its own time.
    fn differences(&self, before: &[(String, Vec<String>)]) -> Vec<String> {
        let mut differences = Vec::new();
        for _ in 0..20 {
            differences.clear();
            for ((host, then), (_, now)) in before.iter().zip(self.picture()) {
                differences.extend(
                    then.iter()
                        .filter(|line| !now.contains(line))
                        .map(|line| format!("{host} lost {line}")),
                );
                differences.extend(
                    now.iter()
                        .filter(|line| !then.contains(line))
                        .map(|line| format!("{host} has {line}")),
                );
            }
            if differences.is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
        differences
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("MKECTL_REAL_KEEP").is_some() {
            return;
        }
        let _ = self.command("hosts.sh", &["down"]).status();
    }
}

/// `key NAME HASH REVISION` lines of a picture.
fn keys(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .filter(|line| line.starts_with("key "))
        .cloned()
        .collect()
}

#[test]
#[ignore = "five hosts and some minutes, as root: .ci/install real, then cargo test --test hosts real:: -- --ignored"]
fn a_cluster_moves_to_k0s_with_every_key_and_is_afterwards_what_it_was() {
    let cluster = Cluster::up();
    let before = cluster.picture();
    let keys = keys(&before[0].1);
    assert!(keys.len() > 3000, "etcd of MKE 3 has thousands of keys");
    cluster.plan("plan.json");
    cluster.apply(14, "plan.json", &["--until", "prepare"]);
    for host in cluster.hosts() {
        let runs = cluster.on(&host, &["docker", "ps"]);
        assert!(
            runs.contains("ucp-kubelet"),
            "{host} serves while it is prepared\n{runs}"
        );
    }

    cluster.apply(14, "plan.json", &["--until", "quiesce", "--resume"]);
    for host in cluster.hosts() {
        let runs = cluster.on(&host, &["docker", "ps", "--format", "{{.Names}}"]);
        for name in [
            "ucp-kv",
            "ucp-kube-apiserver",
            "ucp-manager-agent",
            "ucp-worker-agent-x",
        ] {
            assert!(!runs.contains(name), "{host}: {name} runs\n{runs}");
        }
    }

    cluster.apply(14, "plan.json", &["--until", "controllers", "--resume"]);
    for manager in cluster.hosts().iter().take(cluster.managers) {
        assert_eq!(
            cluster
                .on(manager, &["systemctl", "is-active", "k0scontroller"])
                .trim(),
            "active"
        );
        let lost = cluster.lost(manager, &keys);
        assert!(lost.is_empty(), "{manager} does not have {lost:?}");
    }

    cluster.mkectl(13, &["rollback", "plan.json", "--yes"]);
    cluster.is_as(&before);

    cluster.loses_mkectl(&before);

    // Nothing stands in the way of another plan, which goes all the way.
    cluster.plan("again.json");
    let told = cluster.apply(0, "again.json", &[]);
    assert!(told.contains("Upgrade Summary"), "{told}");
    cluster.is_upgraded(&keys);
}
