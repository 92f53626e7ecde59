//! The scripts that bring MKE 3 to rest and remove it, on simulated hosts: every verb, twice, and after an attempt that was
//! killed half-way.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::simulated::{self, Ran, options, script};
use crate::support::repo;
use mkectl::lab::Lab;
use mkectl::source::facts::Facts;
use std::fs;
use std::time::Duration;

const PLAN: &str = "0123456789abcdef";

/// A cluster of `testdata/clusters`, with time that passes by itself.
async fn lab(cluster: &str) -> Lab {
    let bytes = fs::read(repo(&format!("testdata/clusters/{cluster}/facts.json"))).unwrap();
    let facts = Facts::parse("facts.json", &bytes).unwrap();
    match Lab::from_facts(&facts, &options(30)).await {
        Ok(lab) => lab,
        Err(error) => panic!("these tests need root or user namespaces: {error}"),
    }
}

fn sh(lab: &Lab, host: &str, line: &str) -> Ran {
    simulated::sh(lab, host, line, b"")
}

fn ok(lab: &Lab, host: &str, line: &str) -> String {
    let ran = sh(lab, host, line);
    assert_eq!(ran.status, 0, "{host}: {line}: {ran:?}");
    ran.out.trim_end().to_owned()
}

/// One action on one host.
#[derive(Clone)]
struct Action<'a> {
    lab: &'a Lab,
    host: &'a str,
    id: &'a str,
    script: &'a str,
    env: Vec<(&'a str, String)>,
}

impl Action<'_> {
    fn line(&self, verb: &str, before: &str) -> String {
        let root = format!("/var/lib/mkectl/{PLAN}");
        let work = format!("{root}/actions/{}/work", self.id);
        let out = format!("{root}/actions/{}/{verb}.1/out", self.id);
        let script = format!("{root}/scripts/{}", self.script);
        let env: Vec<String> = self
            .env
            .iter()
            .map(|(name, value)| format!("{name}='{value}'"))
            .collect();
        format!(
            "umask 077; mkdir -p {root}/scripts {work} {out} && cat >{script} && cd / && {before}; exec env -i \
             PATH=\"/killer:$PATH\" MKECTL_OUT={out} MKECTL_WORK={work} MKECTL_POLL=0.05 MKECTL_DEADLINE=40 {} \
             sh {script} {verb}",
            env.join(" ")
        )
    }

    fn call(&self, verb: &str) -> Ran {
        simulated::sh(
            self.lab,
            self.host,
            &self.line(verb, "true"),
            script(self.script).as_bytes(),
        )
    }

    #[track_caller]
    fn gives(&self, verb: &str, status: i32) -> Ran {
        let ran = self.call(verb);
        assert_eq!(
            ran.status, status,
            "{} {verb} on {}: {ran:#?}",
            self.id, self.host
        );
        ran
    }

    /// Runs a verb that is killed, with all that it started, at the `n`-th call of a program of the model. Whether it came so
    /// far.
    fn killed(&self, verb: &str, n: u32) -> bool {
        // In front of each stand-in lies one that counts.
        let killer = format!(
            "mkdir -p /killer && rm -f /killer/* && for p in docker systemctl umount iptables-legacy-restore mv; do \
             {{ echo '#!/bin/sh'; echo 'echo x >>/killer.count'; \
             echo 'if [ \"$(wc -l </killer.count)\" -eq {n} ]; then kill -9 $PPID; kill -9 $$; fi'; \
             echo \"exec $(command -v $p) \\\"\\$@\\\"\"; }} >/killer/$p && chmod 755 /killer/$p; done; : >/killer.count"
        );
        simulated::sh(
            self.lab,
            self.host,
            &self.line(verb, &killer),
            script(self.script).as_bytes(),
        );
        let calls: u32 = ok(
            self.lab,
            self.host,
            "rm -rf /killer; wc -l </killer.count; rm /killer.count",
        )
        .trim()
        .parse()
        .unwrap();
        calls >= n
    }

    /// Every verb, twice, and killed anywhere. Leaves it done.
    #[track_caller]
    fn all_verbs(&self) {
        self.gives("probe", 11);
        self.gives("undo", 0);
        self.gives("probe", 11);
        self.gives("run", 0);
        self.gives("probe", 10);
        self.gives("run", 0);
        self.gives("probe", 10);
        self.gives("undo", 0);
        self.gives("probe", 11);
        self.gives("undo", 0);
        for n in [1, 2, 3, 5, 8, 13] {
            let reached = self.killed("run", n);
            self.gives("undo", 0);
            self.gives("probe", 11);
            self.killed("run", n);
            self.gives("run", 0);
            self.gives("probe", 10);
            self.killed("undo", n);
            self.gives("undo", 0);
            self.gives("probe", 11);
            if !reached {
                break;
            }
        }
        self.gives("run", 0);
        self.gives("probe", 10);
    }
}

fn action<'a>(lab: &'a Lab, host: &'a str, id: &'a str, script: &'a str) -> Action<'a> {
    Action {
        lab,
        host,
        id,
        script,
        env: Vec::new(),
    }
}

/// Runs a script on these hosts, as a plan would.
fn run_on<'a>(lab: &'a Lab, hosts: &[&'a str], id: &'a str, script: &'a str, env: &[(&'a str, String)]) {
    for host in hosts {
        let action = Action {
            env: env.to_vec(),
            ..action(lab, host, id, script)
        };
        action.gives("run", 0);
    }
}

fn hosts(lab: &Lab) -> Vec<&str> {
    lab.hosts().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_frozen_and_thawed() {
    let lab = lab("three-managers").await;
    let lead = "manager-01";
    let mut early = action(&lab, lead, "verify-frozen", "verify-frozen.sh");
    early.env.push(("MKECTL_DEADLINE", "3".to_owned()));
    assert!(early.gives("run", 75).text().contains("still running"));
    action(&lab, lead, "freeze-cluster-agent", "freeze-cluster-agent.sh").all_verbs();
    action(&lab, lead, "freeze-agents", "freeze-agents.sh").all_verbs();
    for host in hosts(&lab) {
        action(&lab, host, "verify-frozen", "verify-frozen.sh").gives("run", 0);
    }
    action(&lab, lead, "pin-restart", "pin-restart.sh").all_verbs();
    assert_eq!(lab.state().unmodelled, Vec::<String>::new());
}

fn role(name: &'static str) -> Vec<(&'static str, String)> {
    vec![("ROLE", name.to_owned())]
}

fn roots() -> Vec<(&'static str, String)> {
    vec![
        ("DOCKER_ROOT", "/var/lib/docker".to_owned()),
        ("KUBELET_ROOT", "/var/lib/kubelet".to_owned()),
    ]
}

/// Brings a cluster to where nodes can be stopped.
fn quiesce(lab: &Lab, managers: &[&str]) {
    run_on(
        lab,
        &managers[..1],
        "freeze-cluster-agent",
        "freeze-cluster-agent.sh",
        &[],
    );
    run_on(lab, &managers[..1], "freeze-agents", "freeze-agents.sh", &[]);
    let all = hosts(lab);
    run_on(lab, &all, "pin-restart", "pin-restart.sh", &[]);
    let workers: Vec<&str> = all
        .iter()
        .copied()
        .filter(|host| !managers.contains(host))
        .collect();
    run_on(lab, &workers, "arm-hold-workers", "arm-hold.sh", &role("worker"));
    run_on(lab, managers, "stop-apiservers", "stop-apiservers.sh", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_stopped_and_comes_back() {
    let lab = lab("three-managers").await;
    let managers = ["manager-01", "manager-02", "manager-03"];
    quiesce(&lab, &managers);
    let stop = Action {
        env: role("manager"),
        ..action(&lab, "manager-02", "arm-hold-managers", "arm-hold.sh")
    };
    stop.all_verbs();
    let stop = Action {
        env: roots(),
        ..action(&lab, "worker-01", "stop-node-worker", "stop-node.sh")
    };
    stop.gives("probe", 11);
    let mounts = "grep -c /var/lib/kubelet/pods /proc/self/mountinfo";
    assert_ne!(ok(&lab, "worker-01", mounts), "0");

    // Something holds a file on a volume: nothing is unmounted behind its back.
    let busy = lab
        .entry("worker-01")
        .unwrap()
        .command(["sh", "-c", "for d in /var/lib/kubelet/pods/*/volumes/*/*; do cd $d; done; echo $$ >/root/busy; exec sleep 60"])
        .spawn();
    let mut busy = busy.unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let refused = stop.gives("run", 1);
    assert!(refused.err.contains("is busy, used by sleep("), "{refused:?}");
    stop.gives("probe", 12);
    ok(&lab, "worker-01", "kill $(cat /root/busy)");
    busy.wait().unwrap();

    stop.gives("undo", 0);
    stop.all_verbs();
    assert_eq!(sh(&lab, "worker-01", mounts).out, "0\n");
    let left =
        "ls /etc/cni/net.d /var/lib/kubelet; iptables-legacy-save; iptables-save | grep -c KUBE-FORWARD";
    let left = ok(&lab, "worker-01", left);
    assert!(
        !left.contains("10-calico.conflist\n") && !left.contains("cpu_manager_state\n"),
        "{left}"
    );
    assert!(
        !left.contains("KUBE-SVC-OLD") && left.contains("-s 192.0.2.66/32 -j DROP"),
        "{left}"
    );
    assert!(left.ends_with('3'), "{left}");
    // Nothing wakes it.
    let docker = sh(&lab, "worker-01", "docker ps");
    assert!(docker.err.contains("Cannot connect"), "{docker:?}");

    stop.gives("undo", 0);
    let back = Action {
        env: role("worker"),
        ..action(&lab, "worker-01", "arm-hold-workers", "arm-hold.sh")
    };
    back.gives("undo", 0);
    action(&lab, "worker-01", "pin-restart", "pin-restart.sh").gives("undo", 0);
    let files = ok(&lab, "worker-01", "ls /etc/cni/net.d /var/lib/kubelet");
    assert!(
        files.contains("10-calico.conflist\n") && files.contains("cpu_manager_state\n"),
        "{files}"
    );
    assert!(!files.contains(".mkectl-"), "{files}");
    std::thread::sleep(Duration::from_millis(500));
    let running = ok(&lab, "worker-01", "docker ps --format '{{.Names}}'");
    for name in [
        "ucp-kubelet",
        "ucp-kube-proxy",
        "ucp-proxy",
        "k8s_calico-node",
        "k8s_POD_calico-node",
    ] {
        assert!(running.contains(name), "{name}: {running}");
    }
    assert_eq!(lab.state().unmodelled, Vec::<String>::new());
}

/// Takes the snapshot, carries the keys and stops etcd: the rest of the stage.
async fn snapshot_and_keys(cluster: &str, managers: &[&'static str]) {
    let lab = lab(cluster).await;
    quiesce(&lab, managers);
    let lead = managers[0];
    for host in managers {
        ok(&lab, host, "ln -s /.lab/mkectl /root/etcdutl");
    }
    let etcdutl = ("ETCDUTL", "/root/etcdutl".to_owned());
    let last = Action {
        env: vec![etcdutl.clone()],
        ..action(&lab, lead, "final-snapshot", "final-snapshot.sh")
    };
    last.all_verbs();
    last.gives("verify", 0);
    let work = |id: &str| format!("/var/lib/mkectl/{PLAN}/actions/{id}/work");
    let hash = ok(&lab, lead, &format!("cat {}/hash", work("final-snapshot")));
    assert_eq!(
        ok(
            &lab,
            lead,
            "docker exec ucp-kv cat /tmp/x 2>/dev/null; ls /var/lib/docker/overlay2/*/diff/tmp"
        ),
        ""
    );

    // A write behind its back is noticed.
    let before = lab.state().etcd.store.clone();
    lab.state().etcd.store.put("/registry/late", b"{}".to_vec());
    last.gives("verify", 1);
    last.gives("probe", 11);
    lab.state().etcd.store = before;
    last.gives("probe", 10);

    let snapshot = format!("{}/snapshot", work("final-snapshot"));
    let carry = Action {
        env: vec![etcdutl, ("SNAPSHOT", snapshot.clone())],
        ..action(&lab, lead, "carry-keys", "carry-keys.sh")
    };
    carry.gives("probe", 11);
    let proven = carry.gives("run", 0);
    assert!(proven.out.contains("the key has signed a token"), "{proven:?}");
    carry.gives("run", 0);
    let keys = format!("{}/keys", work("carry-keys"));
    assert_eq!(
        ok(&lab, lead, &format!("tar -tf {keys} | sort")),
        "./\n./args\n./sa.key\n./sa.pub"
    );
    assert!(!ok(&lab, lead, &format!("ls {}", work("carry-keys"))).contains("proof"));
    let keys_hash = ok(&lab, lead, &format!("cat {}/hash", work("carry-keys")));

    // Another key is not the one that signed.
    let real = "/var/lib/docker/volumes/ucp-node-certs/_data/service_account_key.pem";
    ok(
        &lab,
        lead,
        &format!("cp {real} /root/real && openssl genrsa -out {real} 2048 2>/dev/null"),
    );
    let other = carry.gives("run", 1);
    assert!(other.err.contains("is not the key in use"), "{other:?}");
    let stop = |host| Action {
        env: vec![("KEYS_HASH", keys_hash.clone())],
        ..action(&lab, host, "stop-kv", "stop-kv.sh")
    };
    stop(lead).gives("run", 78);
    ok(&lab, lead, &format!("cat /root/real >{real}"));

    for host in managers {
        if *host == managers[managers.len() - 1] {
            stop(host).all_verbs();
        } else {
            stop(host).gives("run", 0);
        }
    }
    if managers.len() > 1 {
        let copy = Action {
            env: vec![("SNAPSHOT", "/root/arrived".to_owned()), ("HASH", hash)],
            ..action(&lab, managers[1], "copy-snapshot", "copy-snapshot.sh")
        };
        copy.gives("probe", 11);
        ok(&lab, managers[1], "echo cut >/root/arrived");
        copy.gives("run", 1);
        copy.gives("probe", 11);
        let bytes = lab
            .entry(lead)
            .unwrap()
            .command(["cat", &snapshot])
            .output()
            .unwrap()
            .stdout;
        simulated::sh(&lab, managers[1], "cat >/root/arrived", &bytes);
        copy.gives("run", 0);
        copy.gives("probe", 10);
    }
    for host in managers {
        stop(host).gives("undo", 0);
    }
    // A member that has ended is started, where nothing else starts it any more.
    ok(&lab, lead, "docker stop ucp-kv");
    last.gives("undo", 0);
    let runs = "docker inspect --type container --format '{{.State.Running}}' ucp-kv";
    assert_eq!(ok(&lab, lead, runs), "true");
    for host in managers {
        action(&lab, host, "stop-apiservers", "stop-apiservers.sh").gives("undo", 0);
    }
    assert_eq!(lab.state().unmodelled, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_snapshot_and_the_keys_are_proven() {
    snapshot_and_keys("three-managers", &["manager-01", "manager-02", "manager-03"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_snapshot_of_a_single_manager() {
    snapshot_and_keys("minimal", &["manager-01"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mke_3_is_removed_and_nothing_else() {
    let lab = lab("three-managers").await;
    let managers = ["manager-01", "manager-02", "manager-03"];
    quiesce(&lab, &managers);
    run_on(
        &lab,
        &managers,
        "arm-hold-managers",
        "arm-hold.sh",
        &role("manager"),
    );
    let hosts = ["manager-01", "worker-01", "worker-02", "worker-03"];
    run_on(&lab, &hosts, "stop-node", "stop-node.sh", &roots());

    let commit = action(&lab, "manager-01", "commit", "commit.sh");
    commit.gives("probe", 11);
    commit.killed("run", 1);
    commit.gives("run", 0);
    commit.gives("probe", 10);

    let list = "plans/upgrade/mke3-objects.yaml";
    let list = fs::read_to_string(repo(list)).unwrap();
    let volumes: Vec<&str> = list
        .split_once("volumes:\n")
        .unwrap()
        .1
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "))
        .collect();
    for (host, n) in hosts.into_iter().zip([0, 2, 5, 9]) {
        let before = ok(
            &lab,
            host,
            "cat /var/lib/docker/volumes/*/_data/orders.db /var/lib/docker/volumes/*/_data/upload.bin; \
                                     iptables -P FORWARD ACCEPT",
        );
        simulated::sh(
            &lab,
            host,
            "cat >/root/volumes",
            (volumes.join("\n") + "\n").as_bytes(),
        );
        let docker_root = ("DOCKER_ROOT", "/var/lib/docker".to_owned());
        let swarm = Action {
            env: vec![docker_root.clone()],
            ..action(&lab, host, "remove-swarm", "remove-swarm.sh")
        };
        let mke3 = Action {
            env: vec![docker_root, ("VOLUMES", "/root/volumes".to_owned())],
            ..action(&lab, host, "remove-mke3", "remove-mke3.sh")
        };
        swarm.gives("probe", 11);
        // In the wrong order it is refused before anything starts.
        mke3.gives("run", 78);
        assert_eq!(sh(&lab, host, "systemctl is-active docker").out, "inactive\n");
        swarm.killed("run", 1);
        swarm.gives("run", 0);
        swarm.gives("probe", 10);
        swarm.gives("run", 0);
        mke3.gives("probe", 11);
        if n > 0 {
            mke3.killed("run", n);
        }
        mke3.gives("run", 0);
        mke3.gives("probe", 10);
        mke3.gives("run", 0);
        mke3.gives("probe", 10);

        assert_eq!(
            ok(&lab, host, "iptables -S FORWARD | head -n 1"),
            "-P FORWARD ACCEPT"
        );
        let after = ok(
            &lab,
            host,
            "cat /var/lib/docker/volumes/*/_data/orders.db /var/lib/docker/volumes/*/_data/upload.bin",
        );
        assert_eq!(before, after, "volumes of others stay");
        let left = ok(
            &lab,
            host,
            "ls -d /var/lib/docker/volumes/ucp-* 2>/dev/null; ls /var/lib/docker /etc/systemd/system",
        );
        assert!(
            !left.contains("ucp-node-certs") && left.contains("swarm.mkectl-01234567"),
            "{left}"
        );
        assert!(!left.contains("docker.service.d"), "{left}");
        assert_eq!(left.contains("ucp-backup"), host.starts_with("manager"), "{left}");
        let state = lab.state();
        let names: Vec<&String> = state.hosts[host].containers.keys().collect();
        assert!(
            !names
                .iter()
                .any(|name| name.starts_with("ucp-") && !name.contains('.')),
            "{names:?}"
        );
        assert!(!names.iter().any(|name| name.starts_with("k8s_")), "{names:?}");
    }
    assert_eq!(lab.state().unmodelled, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_shredded_and_backups_stay() {
    let lab = lab("minimal").await;
    let host = "manager-01";
    let root = format!("/var/lib/mkectl/{PLAN}");
    let make = format!(
        "set -e; cd / && mkdir -p {root}/files && printf '443/tcp\\n7946/tcp,udp\\n' >{root}/files/ports; \
         for a in final-snapshot carry-keys backup-mke3 remove-swarm; do \
         for d in {root}/actions/$(hostname).$a/work {root}/actions/$(hostname).$a/run.1/out; do \
         mkdir -p $d; echo secret >$d/of-$a; done; done; echo carried >{root}/files/abc"
    );
    ok(&lab, host, &make);
    let env = vec![
        ("PORTS", format!("{root}/files/ports")),
        ("KUBELET_ROOT", "/var/lib/kubelet".to_owned()),
        ("DATA_DIR", "/var/lib/k0s".to_owned()),
    ];
    let remove = Action {
        env,
        ..action(&lab, host, "manager-01.remove-leftovers", "remove-leftovers.sh")
    };
    remove.gives("probe", 11);
    remove.gives("run", 0);
    remove.gives("probe", 10);
    remove.gives("run", 0);
    let left = ok(
        &lab,
        host,
        &format!("grep -rl 'secret\\|carried' {root} | grep -v scripts/ | sort"),
    );
    let root = format!("{root}/actions/{host}");
    let kept = [
        "backup-mke3/run.1/out/of-backup-mke3",
        "backup-mke3/work/of-backup-mke3",
        "remove-swarm/run.1/out/of-remove-swarm",
        "remove-swarm/work/of-remove-swarm",
    ];
    assert_eq!(
        left.lines().collect::<Vec<_>>(),
        kept.map(|file| format!("{root}.{file}"))
    );
    assert_eq!(lab.state().unmodelled, Vec::<String>::new());
}
