//! The scripts that work on objects, on a first controller and a worker that joins it: in all verbs and twice, what they
//! must refuse, and that the cluster then holds what it held.

use crate::simulated::{facts, options, script, sh};
use crate::support::repo;
use mkectl::lab::model::kube;
use mkectl::lab::{Lab, assets};
use mkectl::source::accounts::Accounts;
use std::collections::BTreeMap;
use std::fs;

const LEAD: &str = "manager-01";
const WORKER: &str = "worker-01";
const ACTIONS: &str = "/var/lib/mkectl/0123456789abcdef/actions";
const KUBE: &str = "/usr/local/bin/k0s kubectl";

/// A binding that no plan made.
const STRAY: &str = "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: stray, namespace: default}, \
    roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}, \
    subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: frank}]}\n";

/// A file of the plan of `three-managers` that holds some text.
pub fn planned(text: &str) -> Vec<u8> {
    let plan = fs::read(repo("plans/examples/three-managers.json")).unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&plan).unwrap();
    let files = plan["spec"]["files"].as_object().unwrap();
    let found = files.values().find(|file| file.as_str().unwrap().contains(text));
    found.unwrap().as_str().unwrap().as_bytes().to_vec()
}

struct Stage {
    lab: Lab,
    env: BTreeMap<String, String>,
    _runtime: tokio::runtime::Runtime,
}

impl Stage {
    fn new() -> Stage {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let lab = runtime
            .block_on(Lab::from_facts(
                &facts("three-managers", &[LEAD, WORKER]),
                &options(20),
            ))
            .unwrap();
        let work = |action: &str| format!("{ACTIONS}/{action}.sh/out/saved");
        let accounts = std::fs::read(repo("testdata/clusters/three-managers/accounts.json")).unwrap();
        let accounts = Accounts::parse("accounts.json", &accounts).unwrap();
        lab.state().know_accounts(&accounts).unwrap();
        let env = [
            ("ACCESS", "/tmp/access.txt"),
            ("CALICO", "/tmp/calico.yaml"),
            ("CHART_REGISTRY", "oci://registry.example.com/mke"),
            ("CLUSTER_DNS", "10.96.0.10"),
            ("CORDONED_BEFORE", "/tmp/empty"),
            ("DATA_DIR", "/var/lib/k0s"),
            ("DOCKER_ROOT", "/var/lib/docker"),
            ("ETCDUTL", "/.lab/bin/etcdutl"),
            ("EXTERNAL_ADDRESS", "mke.example.com"),
            ("HASHES", "/tmp/hashes"),
            ("IMAGE_REGISTRY", "registry.example.com/mke"),
            (
                "INVENTORY",
                &format!("{ACTIONS}/webhook-inventory.sh/out/inventory"),
            ),
            ("K0S", "/var/lib/mkectl/k0s"),
            ("K0S_CONFIG", "/tmp/k0s.yaml"),
            ("KEY_LIST", "/tmp/key-list"),
            ("KUBELET_ROOT", "/var/lib/kubelet"),
            ("MANAGERS", LEAD),
            ("MKE4_CONFIG", "/tmp/mke4.yaml"),
            ("OBJECTS", "/tmp/objects.txt"),
            ("PROFILE", "mke4k-worker"),
            ("RBAC", "/tmp/rbac.yaml"),
            ("REMOVED", &work("clear-mke3-objects")),
            ("SAVED", &work("hold-webhooks")),
            ("SNAPSHOT", "/tmp/final.db"),
        ];
        let env = env
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        Stage {
            lab,
            env,
            _runtime: runtime,
        }
    }

    fn sh(&self, host: &str, line: &str, input: &[u8]) -> (i32, String) {
        let ran = sh(&self.lab, host, line, input);
        (ran.status, ran.text())
    }

    #[track_caller]
    fn ok(&self, host: &str, line: &str) -> String {
        let (status, text) = self.sh(host, line, b"");
        assert_eq!(status, 0, "{line}: {text}");
        text
    }

    fn write(&self, host: &str, path: &str, bytes: &[u8]) {
        let line = format!(
            "mkdir -p {} && cat >{path} && chmod 755 {path}",
            path.rsplit_once('/').unwrap().0
        );
        assert_eq!(self.sh(host, &line, bytes).0, 0);
    }

    fn call(&self, host: &str, name: &str, verb: &str, more: &[(&str, &str)]) -> (i32, String) {
        let home = format!("{ACTIONS}/{name}.sh");
        self.write(
            host,
            &format!("{home}/script"),
            script(&format!("{name}.sh")).as_bytes(),
        );
        let address = self.lab.state().hosts[host].address.clone();
        let mut line = format!(
            "mkdir -p {home}/work {home}/out && cd / && umask 077 && env MKECTL_OUT={home}/out MKECTL_WORK={home}/work \
             MKECTL_POLL=0.05 MKECTL_DEADLINE=60 LC_ALL=C NODE_NAME={host} NODE_IP={address}"
        );
        let given = self
            .env
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in given.chain(more.iter().copied()) {
            line.push_str(&format!(" {name}='{value}'"));
        }
        self.sh(host, &format!("{line} sh {home}/script {verb}"), b"")
    }

    #[track_caller]
    fn expect(&self, host: &str, name: &str, verb: &str, more: &[(&str, &str)], status: i32) -> String {
        let (got, text) = self.call(host, name, verb, more);
        assert_eq!(got, status, "{name} {verb}: {text}");
        text
    }

    /// A probe before and after, everything twice, and no complaint of the check.
    #[track_caller]
    fn whole(&self, name: &str, more: &[(&str, &str)]) {
        self.expect(LEAD, name, "probe", more, 11);
        self.expect(LEAD, name, "run", more, 0);
        self.expect(LEAD, name, "run", more, 0);
        if script(&format!("{name}.sh")).contains("\nverify()") {
            self.expect(LEAD, name, "verify", more, 0);
        }
        self.expect(LEAD, name, "probe", more, 10);
    }

    fn out(&self, name: &str, output: &str) -> String {
        self.ok(LEAD, &format!("cat {ACTIONS}/{name}.sh/out/{output}"))
    }
}

/// What earlier actions hand on: snapshot, keys, inventory, hashes. Then MKE 3 stops.
fn prepare(stage: &Stage) -> (String, String) {
    let store = stage.lab.state().etcd.store.clone();
    let keys: String = store
        .range("/registry/")
        .map(|(key, _)| format!("{key}\n"))
        .collect();
    let versions = assets::Versions {
        k0s: "v1.32.11+k0s.0",
        etcd: "3.5.25",
        calico: "v3.30.200",
        mke: "4.1.5",
    };
    let assets = assets::assets(&versions);
    for (path, bytes) in [
        ("/tmp/final.db", store.snapshot()),
        ("/tmp/key-list", keys.into_bytes()),
        ("/tmp/empty", Vec::new()),
        ("/tmp/k0s.yaml", planned("node-lifecycle-controller")),
        ("/tmp/calico.yaml", planned("linuxDataplane: Iptables\n    mtu")),
        ("/tmp/objects.txt", planned("daemonsets/kube-system/calico-node")),
        ("/tmp/mke4.yaml", planned("kind: MkeConfig")),
        ("/tmp/rbac.yaml", planned("dex.coreos.com/v1")),
        ("/tmp/access.txt", planned("ask get - pods")),
        (
            "/tmp/hashes",
            b"admin $2a$10$abc\nbob $2b$10$def\nbill {SHA256}x\n".to_vec(),
        ),
        ("/tmp/calico.tgz", assets["calico-chart"].clone()),
        ("/tmp/mke.tgz", assets["mke-operator-chart"].clone()),
        ("/var/lib/mkectl/k0s", assets["k0s"].clone()),
    ] {
        stage.write(LEAD, path, &bytes);
        stage.write(WORKER, path, &bytes);
    }
    stage.ok(
        LEAD,
        "mkdir /tmp/k && cd /tmp/k && cp /var/lib/docker/volumes/ucp-node-certs/_data/service_account_key.pem sa.key && \
         openssl pkey -in sa.key -pubout -out sa.pub && tar -cf /tmp/keys.tar *",
    );
    stage.expect(LEAD, "webhook-inventory", "run", &[], 0);
    stage.expect(LEAD, "webhook-inventory", "verify", &[], 0);
    for host in [LEAD, WORKER] {
        stage.ok(
            host,
            "systemctl stop docker.socket docker.service && cd /etc/cni/net.d && for file in *; do mv $file $file.aside; done",
        );
    }
    (store.revision().to_string(), store.total_keys().to_string())
}

#[test]
fn objects_survive_and_others_are_left_alone() {
    let stage = Stage::new();
    let (revision, total) = prepare(&stage);
    let keys = [
        ("KEYS", "/tmp/keys.tar"),
        ("REVISION", revision.as_str()),
        ("PROFILE", "mke4k-controller"),
    ];
    stage.expect(LEAD, "place-pki", "run", &keys, 0);
    stage.expect(
        LEAD,
        "restore-etcd",
        "run",
        &[("KEYS", &total), ("REVISION", &revision)],
        0,
    );
    stage.expect(LEAD, "start-lead", "run", &keys, 0);

    // Nothing lets pods in before webhooks are held, and Calico can have none before.
    let calico = [("CHART", "/tmp/calico.tgz")];
    stage.whole("node-labels", &[]);
    assert!(
        stage
            .ok(LEAD, &format!("{KUBE} get nodes"))
            .contains("Ready,SchedulingDisabled")
    );
    stage.whole("hold-webhooks", &[]);
    stage.whole("clear-mke3-objects", &[]);
    stage.whole("kube-dns-ip", &[]);
    stage.whole("calico", &calico);

    let address = stage.lab.state().hosts[LEAD].address.clone();
    stage.expect(
        LEAD,
        "mint-token",
        "run",
        &[("ROLE", "worker"), ("JOIN_ADDRESS", &address)],
        0,
    );
    stage.write(WORKER, "/run/token", stage.out("mint-token", "token").as_bytes());
    let (id, ca) = (
        stage.out("mint-token", "token-id"),
        stage.out("start-lead", "ca-hash"),
    );
    let token = [
        ("TOKEN_FILE", "/run/token"),
        ("TOKEN_ID", id.trim()),
        ("CA_HASH", ca.trim()),
    ];
    stage.expect(WORKER, "join-worker", "run", &token, 0);
    stage.whole("restore-webhooks", &[]);

    stage.expect(LEAD, "platform-crds", "run", &[], 0);
    let chart = [("CHART", "/tmp/mke.tgz")];
    // Where mkectl is lost before it brought the chart, the way back has none either.
    let none = [("CHART", "/tmp/not-brought.tgz")];
    stage.expect(LEAD, "mke4k", "undo", &none, 0);
    stage.expect(LEAD, "mke4k", "probe", &none, 11);
    stage.expect(LEAD, "mke4k", "undo", &chart, 0);
    stage.whole("mke4k", &chart);
    stage.expect(LEAD, "mke4k", "undo", &chart, 0);
    stage.expect(LEAD, "mke4k", "probe", &chart, 11);
    stage.expect(LEAD, "mke4k", "undo", &chart, 0);
    let theirs = stage.expect(LEAD, "platform-crds", "run", &[], 78);
    assert!(theirs.contains("the namespace mke"), "{theirs}");
    stage.whole("mke4k", &chart);
    stage.whole("rbac", &[]);
    let hashes = stage.ok(
        LEAD,
        &format!("{KUBE} -n mke get passwords -o 'jsonpath={{.items[*].hash}}'"),
    );
    assert_eq!(hashes, "JDJhJDEwJGFiYw== JDJiJDEwJGRlZg==");

    let before = [("STATE", "/tmp/state.tar")];
    for host in [LEAD, WORKER] {
        stage.ok(host, "mkdir -p /tmp/s/before && echo 'ucp-node-certs holds data' >/tmp/s/before/volumes && tar -cf /tmp/state.tar -C /tmp/s before");
        stage.expect(host, "verify", "run", &before, 0);
        stage.expect(host, "verify", "verify", &before, 0);
    }
    stage.ok(LEAD, "mkdir -p /tmp/l/before && echo 'lost holds data' >/tmp/l/before/volumes && tar -cf /tmp/lost.tar -C /tmp/l before");
    let said = stage.expect(LEAD, "verify", "run", &[("STATE", "/tmp/lost.tar")], 1);
    assert!(said.contains("the volume lost is not in"), "{said}");
    let said = stage.expect(LEAD, "verify-cluster", "run", &[], 0);
    assert!(
        said.contains("gets in with its old token") && said.contains("are refused"),
        "{said}"
    );
    stage.expect(LEAD, "verify-cluster", "verify", &[], 0);
    assert!(
        said.contains(" answers to who may do what are as before"),
        "{said}"
    );

    // Access that nobody planned is noticed, each way; planned access is not, but only there and only that way.
    stage.ok(
        LEAD,
        &format!(
            "{KUBE} delete clusterrolebinding entire-company-org && \
                  {KUBE} create -f - <<'end'\n{STRAY}end"
        ),
    );
    let said = stage.expect(LEAD, "verify-cluster", "run", &[], 1);
    assert!(
        said.contains(
            "user bob: get pods in all namespaces: was allowed and is refused, which the plan does not say"
        ) && said.contains(
            "user frank: create pods in default: was refused and is allowed, which the plan does not say"
        ),
        "{said}"
    );
    stage.ok(
        LEAD,
        "sed '$a gains frank default\\ngains bob -' /tmp/access.txt >/tmp/more.txt",
    );
    let said = stage.expect(LEAD, "verify-cluster", "run", &[("ACCESS", "/tmp/more.txt")], 1);
    assert!(
        said.contains("user bob: get pods") && !said.contains("user frank"),
        "{said}"
    );

    // What is lost is missed, and what is another's is not touched.
    stage.ok(LEAD, &format!("{KUBE} -n shop delete secret db-password"));
    stage.ok(
        LEAD,
        &format!("{KUBE} -n shop delete pod importer --force --grace-period=0"),
    );
    let said = stage.expect(LEAD, "verify-cluster", "run", &[], 1);
    assert!(
        said.contains("secrets shop/db-password is missing")
            && said.contains("pods shop/importer is missing"),
        "{said}"
    );
    stage.expect(LEAD, "verify-cluster", "verify", &[], 1);
    stage.ok(
        LEAD,
        &format!("{KUBE} label clusterrole fullcontrol app.kubernetes.io/managed-by-"),
    );
    let said = stage.expect(LEAD, "rbac", "run", &[], 78);
    assert!(said.contains("fullcontrol"), "{said}");

    let state = stage.lab.state();
    assert!(state.unmodelled.is_empty(), "{:?}", state.unmodelled);
    drop(state);
    let mut state = stage.lab.state();
    let cluster = state.k0s_on(LEAD).unwrap().cluster.clone();
    let hooks = state
        .with_k0s(&cluster, |api| api.all("validatingwebhookconfigurations"))
        .unwrap();
    assert_eq!(kube::name(&hooks[0]), "guard");
}
