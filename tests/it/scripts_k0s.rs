//! The scripts that bring k0s to hosts, on simulated hosts: a controller on a copy of the data, others that join it, a
//! worker, and the way back.

use crate::scripts_store::planned;
use crate::simulated::{Ran, facts, options, script, sh};
use mkectl::lab::model::Phase;
use mkectl::lab::{Lab, assets};
use std::collections::BTreeMap;
use std::time::Duration;

const RUN: &str = "/var/lib/mkectl/0123456789abcdef0123456789abcdef";
const K0S: &str = "/var/lib/mkectl/k0s";
const ETCDUTL: &str = "/.lab/bin/etcdutl";

const VERSIONS: assets::Versions<'static> = assets::Versions {
    k0s: "v1.32.11+k0s.0",
    etcd: "3.5.25",
    calico: "v3.30.200",
    mke: "4.1.5",
};

struct Stage {
    lab: Lab,
    runtime: tokio::runtime::Runtime,
}

type Env<'a> = &'a [(&'a str, &'a str)];

impl Stage {
    fn new(hosts: &[&str]) -> Stage {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let lab = runtime
            .block_on(Lab::from_facts(&facts("three-managers", hosts), &options(20)))
            .unwrap();
        let stage = Stage { lab, runtime };
        let k0s = assets::assets(&VERSIONS)["k0s"].clone();
        for host in hosts {
            stage.write(host, K0S, &k0s, "755");
        }
        stage
    }

    fn sh(&self, host: &str, line: &str, input: &[u8]) -> Ran {
        sh(&self.lab, host, line, input)
    }

    fn ok(&self, host: &str, line: &str) -> String {
        let ran = self.sh(host, line, b"");
        assert_eq!(ran.status, 0, "{line}: {}", ran.text());
        ran.text().trim_end().to_owned()
    }

    fn write(&self, host: &str, path: &str, bytes: &[u8], mode: &str) {
        let directory = path.rsplit_once('/').unwrap().0;
        let line = format!("mkdir -p {directory} && cat >{path} && chmod {mode} {path}");
        assert_eq!(self.sh(host, &line, bytes).status, 0);
    }

    fn verb(&self, host: &str, name: &str, verb: &str, env: Env<'_>) -> Ran {
        let home = format!("{RUN}/actions/{name}");
        self.write(host, &format!("{home}/script"), script(name).as_bytes(), "600");
        let mut line = format!(
            "mkdir -p {home}/work {home}/out && cd / && umask 077 && env MKECTL_OUT={home}/out MKECTL_WORK={home}/work \
             MKECTL_POLL=0.05 MKECTL_DEADLINE=30 LC_ALL=C"
        );
        for (name, value) in env {
            line.push_str(&format!(" {name}='{value}'"));
        }
        line.push_str(&format!(" sh {home}/script {verb}"));
        self.sh(host, &line, b"")
    }

    #[track_caller]
    fn done(&self, host: &str, name: &str, verb: &str, env: Env<'_>) -> String {
        let ran = self.verb(host, name, verb, env);
        assert_eq!(ran.status, 0, "{host} {name} {verb}: {}", ran.text());
        ran.text()
    }

    #[track_caller]
    fn probe(&self, host: &str, name: &str, env: Env<'_>, wanted: i32) {
        let ran = self.verb(host, name, "probe", env);
        assert_eq!(ran.status, wanted, "{host} {name} probe: {}", ran.text());
    }

    /// Run and verify with the probe before and after, and everything twice.
    #[track_caller]
    fn whole(&self, host: &str, name: &str, env: Env<'_>) {
        self.probe(host, name, env, 11);
        self.done(host, name, "run", env);
        self.done(host, name, "run", env);
        if script(name).contains("\nverify()") {
            self.done(host, name, "verify", env);
        }
        self.probe(host, name, env, 10);
    }

    fn output(&self, host: &str, name: &str, output: &str) -> String {
        self.ok(host, &format!("cat {RUN}/actions/{name}/out/{output}"))
    }

    /// MKE 3 stops everywhere, as its own scripts would have it.
    fn stop_mke3(&self, hosts: &[&str]) {
        for host in hosts {
            self.ok(host, "systemctl stop docker.socket docker.service");
            self.ok(
                host,
                "cd /etc/cni/net.d && for file in *; do mv $file $file.mkectl-01234567; done",
            );
            let state = self.lab.state();
            assert!(
                state.hosts[*host]
                    .containers
                    .values()
                    .all(|one| one.phase != Phase::Running)
            );
        }
    }
}

/// k0s.yaml as a plan has it, for one cluster.
fn k0s_yaml(held: bool) -> String {
    let hold = "    controllers: \"*,bootstrapsigner,tokencleaner,-node-lifecycle-controller,-taint-eviction-controller,-cronjob-controller\"\n";
    format!(
        "apiVersion: k0s.k0sproject.io/v1beta1\nkind: ClusterConfig\nmetadata:\n  name: k0s\nspec:\n  api:\n    address: mkectl-host:private-address\n    externalAddress: mke.example.com\n    extraArgs:\n      encryption-provider-config: /elsewhere\n      mkectl-host: carried-flags\n      profiling: \"true\"\n    k0sApiPort: 9443\n    port: 6443\n  controllerManager:\n    extraArgs:\n      allocate-node-cidrs: \"false\"\n{}  network:\n    podCIDR: 192.168.0.0/16\n    provider: custom\n    serviceCIDR: 10.96.0.0/16\n  storage:\n    etcd:\n      peerAddress: mkectl-host:private-address\n    type: etcd\n  workerProfiles:\n  - name: mke4k-controller\n    values: {{}}\n  - name: mke4k-worker\n    values: {{}}\n",
        if held {
            hold.replace("    c", "      c")
        } else {
            String::new()
        }
    )
}

/// Keys as they are carried over: a real pair, and an encryption configuration that a flag names.
fn keys(stage: &Stage, host: &str) {
    stage.write(
        host,
        "/tmp/k/encryption.cfg",
        b"kind: EncryptionConfiguration\n",
        "600",
    );
    stage.write(
        host,
        "/tmp/k/args",
        b"encryption-provider-config=encryption.cfg\n",
        "600",
    );
    stage.ok(
        host,
        "cd /tmp/k && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out sa.key 2>/dev/null && \
         openssl pkey -in sa.key -pubout -out sa.pub",
    );
    stage.ok(host, "cd /tmp/k && tar -cf /tmp/keys.tar *");
}

/// Everything up to a first controller that serves.
fn lead(stage: &Stage, host: &str) -> Vec<(String, String)> {
    let (snapshot, revision, total, address) = {
        let state = stage.lab.state();
        let store = &state.etcd.store;
        let address = state.hosts[host].address.clone();
        (store.snapshot(), store.revision(), store.total_keys(), address)
    };
    stage.write(host, "/tmp/final.db", &snapshot, "600");
    stage.write(host, "/tmp/k0s.yaml", k0s_yaml(true).as_bytes(), "600");
    stage.write(host, "/tmp/released.yaml", k0s_yaml(false).as_bytes(), "600");
    keys(stage, host);
    [
        ("K0S", K0S.to_owned()),
        ("ETCDUTL", ETCDUTL.to_owned()),
        ("K0S_CONFIG", "/tmp/k0s.yaml".to_owned()),
        ("K0S_CONFIG_RELEASED", "/tmp/released.yaml".to_owned()),
        ("NODE_IP", address),
        ("NODE_NAME", host.to_owned()),
        ("DATA_DIR", "/var/lib/k0s".to_owned()),
        ("KUBELET_ROOT", "/var/lib/kubelet".to_owned()),
        ("SNAPSHOT", "/tmp/final.db".to_owned()),
        ("REVISION", revision.to_string()),
        ("KEYS", "/tmp/keys.tar".to_owned()),
        ("TOTAL", total.to_string()),
        ("PROFILE", "mke4k-controller".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn env(values: &[(String, String)]) -> Vec<(&str, &str)> {
    values
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// As in the catalogue, restore-etcd's KEYS is the number of keys.
fn counted(values: &[(String, String)]) -> Vec<(&str, &str)> {
    let total = values
        .iter()
        .find(|(name, _)| name == "TOTAL")
        .unwrap()
        .1
        .as_str();
    env(values)
        .into_iter()
        .map(|(name, value)| (name, if name == "KEYS" { total } else { value }))
        .collect()
}

#[test]
fn a_first_controller_starts_on_the_copy_and_goes_again() {
    let stage = Stage::new(&["manager-01"]);
    let host = "manager-01";
    stage.stop_mke3(&[host]);
    let values = lead(&stage, host);
    let before = stage.lab.changes(host).unwrap();
    stage.done(host, "place-pki.sh", "undo", &env(&values));
    stage.whole(host, "place-pki.sh", &env(&values));
    let yaml = stage.ok(host, "cat /etc/k0s/k0s.yaml");
    assert!(
        yaml.contains("encryption-provider-config: \"/var/lib/k0s/encryption.cfg\""),
        "{yaml}"
    );
    assert!(!yaml.contains("mkectl") && !yaml.contains("elsewhere"), "{yaml}");
    stage.done(host, "restore-etcd.sh", "undo", &counted(&values));
    stage.whole(host, "restore-etcd.sh", &counted(&values));
    stage.done(host, "start-lead.sh", "undo", &env(&values));
    stage.whole(host, "start-lead.sh", &env(&values));
    assert_eq!(stage.output(host, "start-lead.sh", "ca-hash").len(), 64);
    stage.whole(host, "k0s-snapshot.sh", &env(&values));

    for _ in 0..2 {
        stage.done(host, "start-lead.sh", "undo", &env(&values));
        stage.probe(host, "start-lead.sh", &env(&values), 11);
    }
    stage.whole(host, "start-lead.sh", &env(&values));
    for name in ["start-lead.sh", "restore-etcd.sh", "place-pki.sh"] {
        stage.done(host, name, "undo", &counted(&values));
        stage.probe(host, name, &counted(&values), 11);
    }
    let left: Vec<String> = stage
        .lab
        .changes(host)
        .unwrap()
        .into_iter()
        .filter(|change| !before.contains(change))
        .map(|change| change.path)
        .filter(|path| !path.contains(".mkectl-01234567") && !path.starts_with("/var/lib/mkectl/"))
        .collect();
    // What the actions before left there, and users that others may use by now.
    for path in &left {
        assert!(
            [
                "/etc/k0s",
                "/etc/passwd",
                "/etc/systemd",
                "/var/lib/k0s",
                "/var/lib/kubelet"
            ]
            .iter()
            .any(|known| path.starts_with(known)),
            "{left:?}"
        );
        assert!(
            !path.starts_with("/etc/k0s/") && !path.ends_with(".service"),
            "{left:?}"
        );
    }
    let left = stage.ok(
        host,
        "cut -d ' ' -f 5 /proc/self/mountinfo; grep -ls '[c]ontainerd-shim' /proc/[0-9]*/cmdline || :",
    );
    assert!(!left.contains("of-k0s") && !left.contains("cmdline"), "{left}");
    assert!(!stage.lab.state().hosts[host].links.contains_key("vxlan.calico"));
    assert!(
        stage.lab.state().unmodelled.is_empty(),
        "{:?}",
        stage.lab.state().unmodelled
    );
    drop(stage.runtime);
}

/// The same host's parameters, for another host.
fn elsewhere(
    stage: &Stage,
    values: &[(String, String)],
    host: &str,
    more: &[(&str, String)],
) -> Vec<(String, String)> {
    let address = stage.lab.state().hosts[host].address.clone();
    let mut of: BTreeMap<String, String> = values.iter().cloned().collect();
    of.insert("NODE_IP".to_owned(), address);
    of.insert("NODE_NAME".to_owned(), host.to_owned());
    of.extend(
        more.iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone())),
    );
    of.into_iter().collect()
}

/// A token of the lead's, on another host.
fn token(
    stage: &Stage,
    lead: &str,
    host: &str,
    role: &str,
    values: &[(String, String)],
) -> Vec<(&'static str, String)> {
    let at = match role {
        "controller" => stage.lab.state().hosts[lead].address.clone(),
        _ => "mke.example.com".to_owned(),
    };
    let mut of = env(values);
    of.extend([("ROLE", role), ("JOIN_ADDRESS", at.as_str())]);
    stage.done(lead, "mint-token.sh", "run", &of);
    stage.probe(lead, "mint-token.sh", &of, 10);
    let text = stage.output(lead, "mint-token.sh", "token");
    stage.write(host, "/run/token", text.as_bytes(), "600");
    vec![
        ("TOKEN_FILE", "/run/token".to_owned()),
        ("TOKEN_ID", stage.output(lead, "mint-token.sh", "token-id")),
        ("CA_HASH", stage.output(lead, "start-lead.sh", "ca-hash")),
        ("CORDONED_BEFORE", "/tmp/cordoned".to_owned()),
    ]
}

/// Webhooks that would stop it go aside, MKE 3's Calico goes, and that of MKE 4k comes.
fn network(stage: &Stage, values: &[(String, String)]) {
    let lead = "manager-01";
    let chart = assets::assets(&VERSIONS)["calico-chart"].clone();
    for (path, bytes) in [
        ("/tmp/calico.tgz", chart),
        ("/tmp/calico.yaml", planned("linuxDataplane: Iptables\n    mtu")),
        ("/tmp/objects.txt", planned("daemonsets/kube-system/calico-node")),
    ] {
        stage.write(lead, path, &bytes, "600");
    }
    let mut of = env(values);
    of.extend([
        ("OBJECTS", "/tmp/objects.txt"),
        ("CALICO", "/tmp/calico.yaml"),
        ("CHART", "/tmp/calico.tgz"),
        ("IMAGE_REGISTRY", ""),
    ]);
    for name in ["hold-webhooks.sh", "clear-mke3-objects.sh", "calico.sh"] {
        stage.done(lead, name, "run", &of);
    }
}

#[test]
fn others_join_one_by_one_and_go_again() {
    let hosts = ["manager-01", "manager-02", "manager-03", "worker-01"];
    let stage = Stage::new(&hosts);
    stage.stop_mke3(&hosts);
    let first = lead(&stage, "manager-01");
    for name in ["place-pki.sh", "restore-etcd.sh", "start-lead.sh"] {
        let of = if name == "restore-etcd.sh" {
            counted(&first)
        } else {
            env(&first)
        };
        stage.done("manager-01", name, "run", &of);
    }
    stage.ok(
        "manager-01",
        "/usr/local/bin/k0s kubectl cordon manager-02 worker-01",
    );
    network(&stage, &first);
    for host in &hosts[1..] {
        keys(&stage, host);
        stage.write(host, "/tmp/cordoned", b"manager-03\n", "600");
        stage.write(host, "/tmp/k0s.yaml", k0s_yaml(true).as_bytes(), "600");
        stage.write(host, "/tmp/released.yaml", k0s_yaml(false).as_bytes(), "600");
    }
    let managers: Vec<String> = hosts[..3]
        .iter()
        .map(|host| stage.lab.state().hosts[*host].address.clone())
        .collect();
    for host in ["manager-02", "manager-03"] {
        let minted = token(&stage, "manager-01", host, "controller", &first);
        let values = elsewhere(&stage, &first, host, &minted);
        stage.done(host, "join-controller.sh", "undo", &env(&values));
        stage.whole(host, "join-controller.sh", &env(&values));
        let left = stage.ok(
            "manager-01",
            "/usr/local/bin/k0s kubectl get secrets -n kube-system -o name",
        );
        assert!(!left.contains("bootstrap-token"), "{left}");
    }
    let mut early = elsewhere(
        &stage,
        &first,
        "manager-01",
        &[("MANAGERS", format!("{} 192.0.2.1", managers.join(" ")))],
    );
    early.push(("MKECTL_DEADLINE".to_owned(), "2".to_owned()));
    let said = stage.verb("manager-01", "controllers-ok.sh", "run", &env(&early));
    assert!(
        said.status == 75 && said.text().contains("the members of etcd"),
        "{said:?}"
    );
    for host in &hosts[..3] {
        let values = elsewhere(&stage, &first, host, &[("MANAGERS", managers.join(" "))]);
        stage.done(host, "controllers-ok.sh", "run", &env(&values));
    }

    let worker = "worker-01";
    let mut minted = token(&stage, "manager-01", worker, "worker", &first);
    minted.push(("PROFILE", "mke4k-worker".to_owned()));
    let values = elsewhere(&stage, &first, worker, &minted);
    stage.done(worker, "join-worker.sh", "undo", &env(&values));
    stage.whole(worker, "join-worker.sh", &env(&values));
    assert!(
        !stage
            .ok(worker, "base64 -d /etc/k0s/k0stoken | gunzip")
            .contains(minted[1].1.as_str())
    );
    assert!(stage.lab.state().k0s_on("worker-01").is_some());

    for host in &hosts[..3] {
        let values = elsewhere(&stage, &first, host, &[]);
        stage.done(host, "release-hold.sh", "undo", &env(&values));
        stage.whole(host, "release-hold.sh", &env(&values));
    }
    for host in &hosts[..3] {
        let values = elsewhere(&stage, &first, host, &[]);
        stage.done(host, "release-hold.sh", "undo", &env(&values));
        stage.probe(host, "release-hold.sh", &env(&values), 11);
    }
    stage.done(worker, "join-worker.sh", "undo", &env(&values));
    stage.probe(worker, "join-worker.sh", &env(&values), 11);
    // Nothing of a join is left where a k0s would look for it.
    stage.ok(worker, "test ! -e /etc/k0s/k0stoken");
    for host in ["manager-02", "manager-03"] {
        let values = elsewhere(&stage, &first, host, &minted);
        stage.done(host, "join-controller.sh", "undo", &env(&values));
        stage.probe(host, "join-controller.sh", &env(&values), 11);
    }
    // Each left the others in peace: the lead serves alone, and takes another member.
    assert_eq!(
        stage.ok("manager-01", "/usr/local/bin/k0s kubectl get --raw /readyz"),
        "ok"
    );
    let minted = token(&stage, "manager-01", "manager-02", "controller", &first);
    let values = elsewhere(&stage, &first, "manager-02", &minted);
    stage.whole("manager-02", "join-controller.sh", &env(&values));
    assert!(
        stage.lab.state().unmodelled.is_empty(),
        "{:?}",
        stage.lab.state().unmodelled
    );
    drop(stage.runtime);
}

/// Waits until a line of a host's shell prints this.
#[track_caller]
fn soon(stage: &Stage, host: &str, line: &str, wanted: &str) {
    let mut last = String::new();
    for _ in 0..200 {
        last = stage.sh(host, line, b"").text();
        if last.contains(wanted) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{line}: {last:?} never has {wanted:?}");
}

#[test]
fn k0s_refuses_what_would_not_work() {
    let hosts = ["manager-01", "manager-02", "manager-03", "worker-01"];
    let stage = Stage::new(&hosts);
    stage.stop_mke3(&hosts[..2]);
    let first = lead(&stage, "manager-01");
    for name in ["place-pki.sh", "restore-etcd.sh", "start-lead.sh"] {
        let of = if name == "restore-etcd.sh" {
            counted(&first)
        } else {
            env(&first)
        };
        stage.done("manager-01", name, "run", &of);
    }
    let k0s = "/usr/local/bin/k0s";
    let address = |host: &str| stage.lab.state().hosts[host].address.clone();
    let raw = |host: &str| {
        stage.ok(
            host,
            &format!("mkdir -p /usr/local/bin /etc/k0s && cp {K0S} {k0s}"),
        );
        let yaml = k0s_yaml(true)
            .replace("mkectl-host:private-address", &address(host))
            .replace(
                "      mkectl-host: carried-flags\n      encryption-provider-config: /elsewhere\n",
                "",
            )
            .replace(
                "      encryption-provider-config: /elsewhere\n      mkectl-host: carried-flags\n",
                "",
            );
        stage.write(host, "/etc/k0s/k0s.yaml", yaml.as_bytes(), "600");
        stage.ok(host, &format!("{k0s} install controller --force --enable-worker --config=/etc/k0s/k0s.yaml --token-file=/etc/k0s/k0stoken --kubelet-root-dir=/var/lib/kubelet"));
    };
    raw("manager-02");
    // A unit that is there is not overwritten unasked.
    let again = stage.sh("manager-02", &format!("{k0s} install controller"), b"");
    assert!(
        again.status == 1 && again.text().contains("already exists"),
        "{again:?}"
    );
    // A token for workers, one that nobody knows, and one of another cluster.
    let mint = |role: &str, url: &str, cert: &str| {
        stage.ok("manager-01", &format!("rm -rf /tmp/t && mkdir /tmp/t && {k0s} token pre-shared --role {role} --cert {cert} --url {url} --valid 30m --out /tmp/t"));
        stage.ok("manager-01", "cat /tmp/t/token_*")
    };
    let join = format!("https://{}:9443", address("manager-01"));
    let ca = "/var/lib/k0s/pki/ca.crt";
    for (token, reason) in [
        (mint("worker", &join, ca), "wrong token type kubelet-bootstrap"),
        (mint("controller", &join, ca), "Unauthorized"),
        (mint("controller", &join, "/etc/hosts"), "unknown authority"),
        (
            mint(
                "controller",
                &format!("https://{}:9443", address("manager-03")),
                ca,
            ),
            "connection refused",
        ),
        ("# nothing".to_owned(), "illegal base64 data"),
    ] {
        stage.write("manager-02", "/etc/k0s/k0stoken", token.as_bytes(), "600");
        stage.ok("manager-02", "systemctl restart k0scontroller");
        soon(&stage, "manager-02", "journalctl -u k0scontroller -n 1", reason);
        assert_eq!(
            stage
                .sh("manager-02", "systemctl is-active k0scontroller", b"")
                .text()
                .trim(),
            "activating"
        );
    }
    // The right one; then two members need both of them.
    let token = mint("controller", &join, ca);
    stage.ok(
        "manager-01",
        &format!("{k0s} kubectl create -f /tmp/t/bootstrap-token-*.yaml"),
    );
    stage.write("manager-02", "/etc/k0s/k0stoken", token.as_bytes(), "600");
    soon(
        &stage,
        "manager-02",
        &format!("{k0s} kubectl get --raw /readyz"),
        "ok",
    );
    stage.ok("manager-02", "systemctl stop k0scontroller");
    assert_ne!(
        stage
            .sh("manager-01", &format!("{k0s} kubectl get --raw /readyz"), b"")
            .status,
        0
    );
    assert_ne!(
        stage
            .sh("manager-01", &format!("{k0s} etcd member-list"), b"")
            .status,
        0
    );
    stage.ok("manager-02", "systemctl start k0scontroller");
    soon(
        &stage,
        "manager-01",
        &format!("{k0s} kubectl get --raw /readyz"),
        "ok",
    );
    // Two of three: a third may not come while one is away, and nothing starts where MKE 3 has the ports.
    stage.write("manager-03", "/etc/k0s/k0stoken", token.as_bytes(), "600");
    raw("manager-03");
    stage.ok("manager-03", "systemctl start k0scontroller");
    assert_ne!(
        stage
            .sh("manager-03", &format!("{k0s} kubectl get --raw /readyz"), b"")
            .status,
        0
    );
    assert!(
        stage
            .lab
            .state()
            .k0s_api("manager-03")
            .unwrap_err()
            .contains("address already in use")
    );
    // What is not there for long, without the hold, loses its pods; with it, it does not.
    let pods = format!("{k0s} kubectl get pods -A -o 'jsonpath={{.items[*].spec.nodeName}}'");
    assert!(stage.ok("manager-01", &pods).contains("worker-01"));
    std::thread::sleep(Duration::from_secs(2));
    assert!(stage.ok("manager-01", &pods).contains("worker-01"));
    stage.ok(
        "manager-01",
        "sed -i /node-lifecycle/d /etc/k0s/k0s.yaml && systemctl restart k0scontroller",
    );
    soon(
        &stage,
        "manager-01",
        &format!("{k0s} kubectl get nodes"),
        "NotReady",
    );
    // An etcd that was restored for another name is not taken.
    stage.ok(
        "manager-02",
        "systemctl stop k0scontroller && mv /var/lib/k0s/etcd /tmp/etcd",
    );
    let url = format!("https://{}:2380", address("manager-02"));
    stage.write(
        "manager-02",
        "/tmp/final.db",
        &stage.lab.state().etcd.store.snapshot(),
        "600",
    );
    stage.ok("manager-02", &format!("{ETCDUTL} snapshot restore /tmp/final.db --name other --initial-cluster other={url} --initial-advertise-peer-urls {url} --data-dir /var/lib/k0s/etcd 2>&1"));
    stage.ok("manager-02", "systemctl start k0scontroller");
    soon(
        &stage,
        "manager-02",
        "journalctl -u k0scontroller -n 1",
        "not in the initial cluster",
    );
    assert!(
        stage.lab.state().unmodelled.is_empty(),
        "{:?}",
        stage.lab.state().unmodelled
    );
    drop(stage.runtime);
}
