//! The objects that MKE 3's Kubernetes holds at the start, and the credentials that go with them.

use super::container::{Container, Restart};
use super::etcd::Member;
use super::kube::controllers::{Running, make_live, reconcile};
use super::kube::{Api, Context, field, name, namespace, text, tokens};
use super::seed::SeedFile;
use super::{State, id};
use crate::lab::error::LabError;
use crate::model::Role;
use crate::source::facts::{Facts, HostFacts};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const OBJECTS: &str = include_str!("mke3/objects.yaml");

/// The lab's own key: MKE 3 signs tokens of service accounts with it.
const ACCOUNT_KEY: &str = include_str!("mke3/service_account_key.pem");
const CLIENT_CA: &str = include_str!("mke3/client_ca.pem");
const NODE_CERT: &str = include_str!("mke3/node_cert.pem");
const NODE_KEY: &str = include_str!("mke3/node_key.pem");

/// Who wrote what the cluster starts with.
const MANAGER: &str = "ucp";

/// Name of the file by which a member of etcd knows its data.
pub(crate) const DATA: &str = "member/snap/db";

/// Fills MKE 3's etcd. `facts` tells of nodes, pools, definitions and webhooks.
pub(super) fn seed(state: &mut State, facts: &Facts) -> Result<(), LabError> {
    members(state, facts);
    let text = OBJECTS
        .replace(
            "{version}",
            facts.cluster.mke_version.as_deref().unwrap_or("3.8.5"),
        )
        .replace("{worker}", &first(state, Role::Worker))
        .replace("{manager}", &first(state, Role::Manager))
        .replace("{hook}", hooks(facts).first().map_or("guard", String::as_str));
    let data: Value = serde_yaml::from_str(&text).map_err(|error| LabError::Facts(error.to_string()))?;
    let context = state.mke3_context();
    let mut store = std::mem::take(&mut state.etcd.store);
    let filled = fill(&mut store, &context, state, facts, &data);
    state.etcd.store = store;
    filled.map_err(LabError::Facts)
}

fn hooks(facts: &Facts) -> Vec<String> {
    facts
        .cluster
        .objects
        .as_ref()
        .and_then(|objects| objects.failing_webhooks.clone())
        .unwrap_or_default()
}

fn first(state: &State, role: Role) -> String {
    let of = |role: Role| state.hosts.values().find(move |host| host.role == role);
    of(role)
        .or_else(|| of(Role::Manager))
        .map(|host| host.name.clone())
        .unwrap_or_default()
}

fn members(state: &mut State, facts: &Facts) {
    let etcd = facts.cluster.etcd.clone().unwrap_or_default();
    for host in state.hosts.values().filter(|host| host.role == Role::Manager) {
        let digest = id(&format!("etcd member {}", host.name));
        let member = Member {
            id: u64::from_str_radix(&digest[..16], 16).unwrap_or(1) | 1,
            name: format!("orca-kv-{}", host.address),
            peer: format!("https://{}:12380", host.address),
            client: format!("https://{}:12379", host.address),
            strays: false,
        };
        state.etcd.members.insert(host.name.clone(), member);
    }
    if etcd.members_agree == Some(false)
        && let Some(last) = state.etcd.members.values_mut().next_back()
    {
        last.strays = true;
    }
    state.etcd.alarms = etcd.alarms.into_iter().flatten().collect();
    state.etcd.size = etcd.size_bytes.map_or(0, |bytes| bytes.0);
    state.etcd.leader = state.etcd.members.keys().next().cloned().unwrap_or_default();
}

impl State {
    /// What MKE 3's API server knows besides its store.
    pub fn mke3_context(&self) -> Context {
        Context {
            now: self.now,
            version: self.kubernetes.clone(),
            live: self
                .hosts
                .keys()
                .filter(|host| self.runs(host, "ucp-kubelet"))
                .cloned()
                .collect(),
            token_keys: vec![ACCOUNT_KEY.to_owned()],
            client_cas: BTreeSet::from(["UCP Client Root CA".to_owned()]),
            administrators: self
                .accounts
                .iter()
                .filter(|(_, account)| account.admin)
                .map(|(name, _)| name.clone())
                .collect(),
        }
    }
}

impl State {
    /// Makes an object in MKE 3's Kubernetes; one that is there already stays as it is.
    pub(crate) fn create_mke3(&mut self, object: Value) -> Result<(), String> {
        let context = self.mke3_context();
        let mut api = Api::new(&mut self.etcd.store, &context);
        match api.create(object, MANAGER) {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.code == 409 => Ok(()),
            Err(refusal) => Err(refusal.message),
        }
    }

    /// Objects of MKE 3's Kubernetes, of all namespaces.
    pub(crate) fn list_mke3(&mut self, plural: &str) -> Vec<Value> {
        let context = self.mke3_context();
        Api::new(&mut self.etcd.store, &context).all(plural)
    }
}

fn fill(
    store: &mut super::etcd::Store,
    context: &Context,
    state: &mut State,
    facts: &Facts,
    data: &Value,
) -> Result<(), String> {
    let mut api = Api::new(store, context);
    let objects = facts.cluster.objects.clone().unwrap_or_default();
    let list = |key: &str| data[key].as_array().cloned().unwrap_or_default();
    for space in list("namespaces") {
        make(
            &mut api,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}),
        )?;
    }
    let calico = data["kinds"].as_object().cloned().unwrap_or_default();
    let mut definitions: BTreeSet<String> = objects.crds.into_iter().flatten().collect();
    definitions.extend(
        calico
            .keys()
            .map(|plural| format!("{plural}.crd.projectcalico.org")),
    );
    for definition in definitions {
        make(&mut api, crd(&definition, &calico))?;
    }
    let pools = match objects.ip_pools {
        Some(pools) if !pools.is_empty() => pools,
        _ => vec!["192.168.0.0/16".to_owned()],
    };
    for (at, cidr) in pools.iter().enumerate() {
        let mut pool = data["pools"].clone();
        pool["spec"]["cidr"] = json!(cidr);
        if at > 0 {
            pool["metadata"]["name"] = json!(format!("pool-{at}"));
        }
        make(&mut api, pool)?;
    }
    for object in list("calico") {
        make(&mut api, object)?;
    }
    for number in 0..objects.bgp_peers.unwrap_or(0) {
        make(
            &mut api,
            json!({"apiVersion": "crd.projectcalico.org/v1", "kind": "BGPPeer",
                "metadata": {"name": format!("peer-{number}")}, "spec": {"peerIP": "192.0.2.1", "asNumber": 64512}}),
        )?;
    }
    for host in state.hosts.values() {
        let about = facts
            .hosts
            .iter()
            .find(|about| about.hostname.as_deref().unwrap_or(&about.address) == host.name);
        make(&mut api, node(host, about, &context.version))?;
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": host.name, "namespace": "kube-node-lease"}, "spec": {"holderIdentity": host.name}});
        make(&mut api, lease)?;
    }
    for object in list("objects") {
        make(&mut api, object)?;
    }
    for role in objects.cluster_roles.into_iter().flatten() {
        if api.find("clusterroles", "", &role).is_none() {
            let made = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": role}, "rules": []});
            make(&mut api, made)?;
        }
    }
    for (place, account) in [("shop", "deployer"), ("kube-system", "calico-node")] {
        token(&mut api, place, account)?;
    }
    api.store
        .put("/registry/ranges/serviceips", b"10.96.0.0/16".to_vec());
    let idle = idle(state, facts);
    schedulable(&mut api, &idle, false);
    pods(&mut api, state)?;
    schedulable(&mut api, &idle, true);
    for dead in objects.dead_apiservices.into_iter().flatten() {
        let (version, group) = dead.split_once('.').unwrap_or(("v1", &dead));
        let made = json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": dead},
            "spec": {"group": group, "version": version, "service": {"namespace": "kube-system", "name": "compose-api"}}});
        make(&mut api, made)?;
    }
    for hook in list("webhooks") {
        make(&mut api, hook)?;
    }
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "web.1", "namespace": "shop"},
        "reason": "Scheduled", "message": "gone within the hour"});
    make(&mut api, event)?;
    Ok(())
}

fn make(api: &mut Api<'_>, object: Value) -> Result<Value, String> {
    api.create(object, MANAGER).map_err(|refusal| refusal.message)
}

fn crd(definition: &str, calico: &serde_json::Map<String, Value>) -> Value {
    let (plural, group) = definition.split_once('.').unwrap_or((definition, "example.com"));
    let kind = calico.get(plural).and_then(Value::as_str).map_or_else(
        || {
            let singular = plural.strip_suffix('s').unwrap_or(plural);
            let mut letters = singular.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
                .unwrap_or_default()
        },
        str::to_owned,
    );
    let namespaced = group == "crd.projectcalico.org" && matches!(plural, "networkpolicies" | "networksets");
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": definition},
        "spec": {"group": group, "scope": if namespaced { "Namespaced" } else { "Cluster" },
            "names": {"kind": kind, "plural": plural, "singular": kind.to_ascii_lowercase()},
            "versions": [{"name": "v1", "served": true, "storage": true}]},
        "status": {"storedVersions": ["v1"]},
    })
}

fn node(host: &super::Host, about: Option<&HostFacts>, version: &str) -> Value {
    let facts = about.and_then(|about| about.node.clone()).unwrap_or_default();
    let taints: Vec<Value> = facts
        .taints
        .iter()
        .flatten()
        .map(|taint| {
            let (rest, effect) = taint.rsplit_once(':').unwrap_or((taint, "NoSchedule"));
            let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
            json!({"key": key, "value": value, "effect": effect})
        })
        .collect();
    let mut labels = facts.labels;
    for (key, value) in [
        ("kubernetes.io/hostname", host.name.as_str()),
        ("kubernetes.io/os", "linux"),
    ] {
        labels.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }
    let status = if facts.ready == Some(false) {
        "False"
    } else {
        "True"
    };
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": host.name, "labels": labels},
        "spec": {"taints": taints},
        "status": {
            "addresses": [{"type": "InternalIP", "address": host.address}, {"type": "Hostname", "address": host.name}],
            "conditions": [{"type": "Ready", "status": status, "reason": "KubeletReady", "lastTransitionTime": super::kube::time(0)}],
            "nodeInfo": {"kubeletVersion": version, "containerRuntimeVersion": format!("docker://{}", host.engine.version)},
        },
    })
}

fn token(api: &mut Api<'_>, place: &str, account: &str) -> Result<(), String> {
    let found = api
        .find("serviceaccounts", place, account)
        .ok_or_else(|| format!("no service account {place}/{account}"))?;
    let secret = format!("{account}-token");
    let claims = tokens::claims(place, account, &secret, text(&found, &["metadata", "uid"]));
    let token = tokens::sign(&claims, ACCOUNT_KEY).ok_or("the lab's key signs nothing")?;
    let base64 = |text: &str| data_encoding::BASE64.encode(text.as_bytes());
    make(
        api,
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
            "metadata": {"name": secret, "namespace": place, "annotations": {
                "kubernetes.io/service-account.name": account,
                "kubernetes.io/service-account.uid": text(&found, &["metadata", "uid"]),
            }},
            "data": {"token": base64(&token), "ca.crt": base64(CLIENT_CA), "namespace": base64(place)},
        }),
    )
    .map(|_| ())
}

/// Nodes that run no pods of users by the facts, unless that leaves none that may.
fn idle(state: &State, facts: &Facts) -> Vec<String> {
    let runs_none = |host: &&super::Host| {
        let about = facts
            .hosts
            .iter()
            .find(|about| about.hostname.as_deref().unwrap_or(&about.address) == host.name);
        about.and_then(|about| about.node.as_ref()?.user_pods) == Some(0)
    };
    let idle: Vec<String> = state
        .hosts
        .values()
        .filter(runs_none)
        .map(|host| host.name.clone())
        .collect();
    if idle.len() == state.hosts.len() {
        Vec::new()
    } else {
        idle
    }
}

/// Opens nodes for new pods, or closes them.
fn schedulable(api: &mut Api<'_>, nodes: &[String], open: bool) {
    for name in nodes {
        let Some(mut node) = api.find("nodes", "", name) else {
            continue;
        };
        if let Some(spec) = node["spec"].as_object_mut() {
            if open {
                spec.remove("unschedulable");
            } else {
                spec.insert("unschedulable".to_owned(), json!(true));
            }
        }
        api.write_status(&node);
    }
}

/// Pods of MKE's DaemonSets are those that Docker shows; for the others the controllers run, and Docker gets theirs.
fn pods(api: &mut Api<'_>, state: &mut State) -> Result<(), String> {
    let time = api.context.time();
    for host in state.hosts.values() {
        for container in host.containers.values().filter(|container| container.is_pod()) {
            let label = |key: &str| container.labels.get(key).map_or("", String::as_str);
            if label("io.kubernetes.docker.type") == "podsandbox" {
                continue;
            }
            let (set, pod) = (
                label("io.kubernetes.container.name"),
                label("io.kubernetes.pod.name"),
            );
            let Some(owner) = api.find("daemonsets", "kube-system", set) else {
                continue;
            };
            let mut made = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": pod, "namespace": "kube-system", "labels": owner["spec"]["template"]["metadata"]["labels"],
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": set, "controller": true,
                        "uid": owner["metadata"]["uid"]}]},
                "spec": owner["spec"]["template"]["spec"],
            });
            made["spec"]["nodeName"] = json!(host.name);
            let mut made = make(api, made)?;
            made["metadata"]["uid"] = json!(label("io.kubernetes.pod.uid"));
            make_live(&mut made, &time);
            api.write_status(&made);
        }
    }
    let running = Running {
        workloads: true,
        charts: false,
    };
    for _ in 0..4 {
        reconcile(api.store, api.context, running);
        for mut pod in api.all("pods") {
            if !text(&pod, &["spec", "nodeName"]).is_empty() {
                make_live(&mut pod, &time);
                api.write_status(&pod);
            }
        }
    }
    for pod in api.all("pods") {
        let Some(host) = state.hosts.get_mut(text(&pod, &["spec", "nodeName"])) else {
            continue;
        };
        let uid = text(&pod, &["metadata", "uid"]).to_owned();
        let known = |container: &Container| container.labels.get("io.kubernetes.pod.uid") == Some(&uid);
        if !host.containers.values().any(known) {
            contain(host, &pod, &uid);
        }
    }
    Ok(())
}

/// The containers that Docker shows of a pod.
fn contain(host: &mut super::Host, pod: &Value, uid: &str) {
    let grace = field(pod, &["spec", "terminationGracePeriodSeconds"])
        .and_then(Value::as_u64)
        .unwrap_or(30);
    let mut parts = vec![("POD".to_owned(), "mirantis/ucp-pause:3.10".to_owned())];
    for container in field(pod, &["spec", "containers"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        parts.push((
            text(container, &["name"]).to_owned(),
            text(container, &["image"]).to_owned(),
        ));
    }
    for (part, image) in parts {
        let full = format!("k8s_{part}_{}_{}_{uid}_0", name(pod), namespace(pod));
        let mut made = Container::running(&host.name, &full, &image);
        made.restart = Restart::new("no");
        let kind = if part == "POD" { "podsandbox" } else { "container" };
        made.labels = BTreeMap::from(
            [
                ("io.kubernetes.container.name", part.as_str()),
                ("io.kubernetes.pod.name", name(pod)),
                ("io.kubernetes.pod.namespace", namespace(pod)),
                ("io.kubernetes.pod.uid", uid),
                (
                    "annotation.io.kubernetes.pod.terminationGracePeriod",
                    &grace.to_string(),
                ),
                ("io.kubernetes.docker.type", kind),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        host.containers.insert(full, made);
        host.images
            .insert(image.clone(), format!("sha256:{}", id(&image)));
    }
}

/// Files in the volumes of a host that belong to these objects. `root` is the engine's, without the leading slash.
pub(super) fn files(host: &super::Host, root: &str) -> Vec<SeedFile> {
    let file = |volume: &str, name: &str, bytes: &[u8]| SeedFile {
        path: format!("{root}/volumes/{volume}/_data/{name}"),
        bytes: bytes.to_vec(),
        mode: 0o600,
    };
    let mut files = vec![
        file("ucp-node-certs", "ca.pem", CLIENT_CA.as_bytes()),
        file("ucp-node-certs", "cert.pem", NODE_CERT.as_bytes()),
        file("ucp-node-certs", "key.pem", NODE_KEY.as_bytes()),
    ];
    if host.role == Role::Manager {
        files.push(file(
            "ucp-node-certs",
            "service_account_key.pem",
            ACCOUNT_KEY.as_bytes(),
        ));
        files.push(file(
            "ucp-kv",
            DATA,
            format!("etcd of {}\n", host.name).as_bytes(),
        ));
    }
    files
}
