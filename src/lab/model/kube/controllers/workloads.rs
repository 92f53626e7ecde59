//! Deployments, ReplicaSets, DaemonSets, StatefulSets, Jobs, and the scheduler.

use super::MANAGER;
use crate::lab::model::kube::{Api, Cascade, condition, field, labels, labels::fits, name, namespace, text};
use serde_json::{Value, json};

/// Taints that DaemonSets' pods tolerate whatever they say.
const TOLERATED: [&str; 6] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/unschedulable",
];

pub(super) fn round(api: &mut Api<'_>) {
    for object in alive(api, "deployments") {
        deployment(api, &object);
    }
    for object in alive(api, "replicasets") {
        replicas(api, &object);
    }
    for object in alive(api, "daemonsets") {
        daemons(api, &object);
    }
    for object in alive(api, "statefulsets") {
        stateful(api, &object);
    }
    for object in alive(api, "jobs") {
        job(api, &object);
    }
    for object in alive(api, "services") {
        endpoints(api, &object);
    }
}

/// Addresses of the pods of a service that answer.
fn endpoints(api: &mut Api<'_>, service: &Value) {
    let (place, of) = (namespace(service), name(service));
    let Some(pods) = api.backends(place, of) else {
        return;
    };
    let addresses: Vec<Value> = pods
        .iter()
        .filter(|pod| api.is_up(pod))
        .map(|pod| json!({"ip": address(pod), "targetRef": {"kind": "Pod", "name": name(pod)}}))
        .collect();
    let subsets = if addresses.is_empty() {
        json!([])
    } else {
        json!([{"addresses": addresses}])
    };
    match api.find("endpoints", place, of) {
        Some(old) if old["subsets"] == subsets => {}
        Some(mut old) => {
            old["subsets"] = subsets;
            api.write_status(&old);
        }
        None => {
            let made = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": of, "namespace": place},
                "subsets": subsets});
            let _ = api.create(made, MANAGER);
        }
    }
}

fn alive(api: &Api<'_>, plural: &str) -> Vec<Value> {
    api.resource(plural)
        .map(|resource| {
            api.select(&resource, None, |object| {
                field(object, &["metadata", "deletionTimestamp"]).is_none()
            })
        })
        .unwrap_or_default()
}

fn owner(object: &Value) -> Value {
    json!([{
        "apiVersion": object["apiVersion"], "kind": object["kind"], "name": name(object),
        "uid": text(object, &["metadata", "uid"]), "controller": true, "blockOwnerDeletion": true,
    }])
}

fn owned(api: &Api<'_>, plural: &str, of: &Value) -> Vec<Value> {
    let Some(resource) = api.resource(plural) else {
        return Vec::new();
    };
    let uid = &of["metadata"]["uid"];
    api.select(&resource, Some(namespace(of)), |object| {
        object["metadata"]["ownerReferences"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|owner| owner["uid"] == *uid)
    })
}

fn pod(of: &Value, name: &str) -> Value {
    let template = &of["spec"]["template"];
    let mut metadata = template["metadata"].clone();
    if !metadata.is_object() {
        metadata = json!({});
    }
    metadata["name"] = json!(name);
    metadata["namespace"] = json!(namespace(of));
    metadata["ownerReferences"] = owner(of);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

fn suffix(api: &Api<'_>, seed: &str) -> String {
    crate::lab::model::id(&format!("{seed} {}", api.store.revision()))[..5].to_owned()
}

fn remove(api: &mut Api<'_>, pod: &Value) {
    if let Some(pods) = api.resource("pods") {
        // Refused by a webhook, it is tried again in the next round.
        let _ = api.delete(&pods, namespace(pod), name(pod), Cascade::Background, false);
    }
}

fn running(pods: &[Value]) -> Vec<&Value> {
    pods.iter()
        .filter(|pod| {
            field(pod, &["metadata", "deletionTimestamp"]).is_none()
                && !matches!(text(pod, &["status", "phase"]), "Failed" | "Succeeded")
        })
        .collect()
}

fn ready(pods: &[Value]) -> usize {
    running(pods)
        .into_iter()
        .filter(|pod| condition(pod, "Ready"))
        .count()
}

fn deployment(api: &mut Api<'_>, object: &Value) {
    let hash = crate::lab::model::id(&object["spec"]["template"].to_string())[..10].to_owned();
    let wanted = format!("{}-{hash}", name(object));
    let sets = owned(api, "replicasets", object);
    let replicas = object["spec"]["replicas"].clone();
    if !sets.iter().any(|set| name(set) == wanted) {
        let mut template = object["spec"]["template"].clone();
        template["metadata"]["labels"]["pod-template-hash"] = json!(hash);
        let mut labels = object["spec"]["selector"]["matchLabels"].clone();
        labels["pod-template-hash"] = json!(hash);
        let made = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": wanted, "namespace": namespace(object), "labels": labels, "ownerReferences": owner(object)},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
        });
        let _ = api.create(made, MANAGER);
    }
    let mut ready = 0;
    let mut count = 0;
    for mut set in owned(api, "replicasets", object) {
        let now = if name(&set) == wanted {
            replicas.clone()
        } else {
            json!(0)
        };
        ready += set["status"]["readyReplicas"].as_u64().unwrap_or(0);
        count += set["status"]["replicas"].as_u64().unwrap_or(0);
        if set["spec"]["replicas"] != now {
            set["spec"]["replicas"] = now;
            api.write_status(&set);
        }
    }
    let mut new = object.clone();
    let wanted = replicas.as_u64().unwrap_or(1);
    new["status"]["replicas"] = json!(count);
    new["status"]["updatedReplicas"] = json!(count);
    new["status"]["readyReplicas"] = json!(ready);
    new["status"]["availableReplicas"] = json!(ready);
    new["status"]["observedGeneration"] = object["metadata"]["generation"].clone();
    let time = api.context.time();
    let available = if ready >= wanted { "True" } else { "False" };
    crate::lab::model::kube::set_condition(&mut new, "Available", available, "MinimumReplicas", "", &time);
    api.write_status(&new);
}

fn replicas(api: &mut Api<'_>, object: &Value) {
    let pods = owned(api, "pods", object);
    let mut there: Vec<&Value> = running(&pods);
    let wanted = object["spec"]["replicas"].as_u64().unwrap_or(1) as usize;
    // Pods that are not ready go first.
    there.sort_by_key(|pod| !condition(pod, "Ready"));
    let spare: Vec<Value> = there.iter().skip(wanted).map(|pod| (*pod).clone()).collect();
    let missing = wanted.saturating_sub(there.len());
    for one in spare {
        remove(api, &one);
    }
    for _ in 0..missing {
        let made = pod(object, &format!("{}-{}", name(object), suffix(api, name(object))));
        if api.create(made, MANAGER).is_err() {
            break;
        }
    }
    let pods = owned(api, "pods", object);
    let mut new = object.clone();
    new["status"]["replicas"] = json!(running(&pods).len());
    new["status"]["readyReplicas"] = json!(ready(&pods));
    api.write_status(&new);
}

/// An address of the pool that follows from the pod.
fn address(pod: &Value) -> String {
    let digest = crate::lab::model::id(text(pod, &["metadata", "uid"]));
    let byte = |at: usize| u8::from_str_radix(&digest[at..at + 2], 16).unwrap_or(1);
    format!("192.168.{}.{}", byte(0), byte(2).clamp(1, 254))
}

/// Whether a pod may be on a node, by its selector and the node's taints.
fn suits(pod: &Value, node: &Value, daemon: bool) -> bool {
    let selected = field(pod, &["spec", "nodeSelector"])
        .is_none_or(|wanted| wanted.is_null() || labels::has_all(&labels(node), wanted));
    let tolerations = field(pod, &["spec", "tolerations"]).and_then(Value::as_array);
    let tolerated = |taint: &Value| {
        let key = text(taint, &["key"]);
        (daemon && TOLERATED.contains(&key))
            || tolerations.into_iter().flatten().any(|toleration| {
                let effect = text(toleration, &["effect"]);
                (effect.is_empty() || effect == text(taint, &["effect"]))
                    && (text(toleration, &["key"]).is_empty() || text(toleration, &["key"]) == key)
                    && (text(toleration, &["operator"]) == "Exists"
                        || text(toleration, &["value"]) == text(taint, &["value"]))
            })
    };
    selected
        && field(node, &["spec", "taints"])
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter(|taint| text(taint, &["effect"]) != "PreferNoSchedule")
            .all(tolerated)
}

fn daemons(api: &mut Api<'_>, object: &Value) {
    let pods = owned(api, "pods", object);
    let template = pod(object, "any");
    let mut wanted = 0;
    for node in alive(api, "nodes") {
        let here: Vec<&Value> = pods
            .iter()
            .filter(|pod| text(pod, &["spec", "nodeName"]) == name(&node))
            .collect();
        if suits(&template, &node, true) {
            wanted += 1;
            if here
                .iter()
                .all(|pod| field(pod, &["metadata", "deletionTimestamp"]).is_some())
            {
                let mut made = pod(object, &format!("{}-{}", name(object), suffix(api, name(&node))));
                made["spec"]["nodeName"] = json!(name(&node));
                let _ = api.create(made, MANAGER);
            }
        } else {
            for one in here {
                remove(api, one);
            }
        }
    }
    let pods = owned(api, "pods", object);
    let mut new = object.clone();
    new["status"]["desiredNumberScheduled"] = json!(wanted);
    new["status"]["currentNumberScheduled"] = json!(running(&pods).len());
    new["status"]["numberReady"] = json!(ready(&pods));
    new["status"]["numberAvailable"] = json!(ready(&pods));
    new["status"]["updatedNumberScheduled"] = json!(running(&pods).len());
    new["status"]["observedGeneration"] = object["metadata"]["generation"].clone();
    api.write_status(&new);
}

fn stateful(api: &mut Api<'_>, object: &Value) {
    let pods = owned(api, "pods", object);
    for ordinal in 0..object["spec"]["replicas"].as_u64().unwrap_or(1) {
        let own = format!("{}-{ordinal}", name(object));
        match pods.iter().find(|pod| name(pod) == own) {
            Some(pod) if condition(pod, "Ready") => {}
            // The next one waits until this one is ready.
            Some(_) => break,
            None => {
                let mut made = pod(object, &own);
                let mut volumes = made["spec"]["volumes"].as_array().cloned().unwrap_or_default();
                for claim in object["spec"]["volumeClaimTemplates"]
                    .as_array()
                    .into_iter()
                    .flatten()
                {
                    let claimed = format!("{}-{own}", name(claim));
                    volumes
                        .push(json!({"name": name(claim), "persistentVolumeClaim": {"claimName": claimed}}));
                }
                made["spec"]["volumes"] = Value::Array(volumes);
                let _ = api.create(made, MANAGER);
                break;
            }
        }
    }
    let pods = owned(api, "pods", object);
    let mut new = object.clone();
    new["status"]["replicas"] = json!(running(&pods).len());
    new["status"]["readyReplicas"] = json!(ready(&pods));
    new["status"]["availableReplicas"] = json!(ready(&pods));
    new["status"]["observedGeneration"] = object["metadata"]["generation"].clone();
    api.write_status(&new);
}

fn job(api: &mut Api<'_>, object: &Value) {
    if condition(object, "Complete") {
        return;
    }
    let pods = owned(api, "pods", object);
    let mut new = object.clone();
    if pods
        .iter()
        .any(|pod| text(pod, &["status", "phase"]) == "Succeeded")
    {
        let time = api.context.time();
        new["status"]["succeeded"] = json!(1);
        crate::lab::model::kube::set_condition(&mut new, "Complete", "True", "CompletionsReached", "", &time);
    } else if pods.is_empty() {
        let made = pod(object, &format!("{}-{}", name(object), suffix(api, name(object))));
        let _ = api.create(made, MANAGER);
    }
    api.write_status(&new);
}

/// Gives pods a node: the one with the fewest pods of those that are uncordoned and suit. Whether it is ready counts only by
/// the taints that the node lifecycle controller gives it.
pub(super) fn schedule(api: &mut Api<'_>) {
    let Some(pods) = api.resource("pods") else { return };
    let waiting = api.select(&pods, None, |one| {
        text(one, &["spec", "nodeName"]).is_empty()
            && field(one, &["metadata", "deletionTimestamp"]).is_none()
    });
    for mut one in waiting {
        let all = api.list(&pods, None);
        let best = alive(api, "nodes")
            .into_iter()
            .filter(|node| {
                field(node, &["spec", "unschedulable"]) != Some(&json!(true))
                    && suits(&one, node, false)
                    && volumes_reach(api, &one, name(node))
            })
            .min_by_key(|node| {
                all.iter()
                    .filter(|pod| text(pod, &["spec", "nodeName"]) == name(node))
                    .count()
            });
        if let Some(node) = best {
            one["spec"]["nodeName"] = json!(name(&node));
            api.write_status(&one);
        }
    }
}

/// Whether the volumes of a pod can be had on a node.
fn volumes_reach(api: &Api<'_>, pod: &Value, node: &str) -> bool {
    field(pod, &["spec", "volumes"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|volume| field(volume, &["persistentVolumeClaim", "claimName"])?.as_str())
        .all(|claim| {
            let Some(claim) = api.find("persistentvolumeclaims", namespace(pod), claim) else {
                return false;
            };
            let Some(volume) = api.find("persistentvolumes", "", text(&claim, &["spec", "volumeName"]))
            else {
                return false;
            };
            let Some(terms) = field(
                &volume,
                &["spec", "nodeAffinity", "required", "nodeSelectorTerms"],
            ) else {
                return true;
            };
            let host = [("kubernetes.io/hostname".to_owned(), node.to_owned())].into();
            terms
                .as_array()
                .into_iter()
                .flatten()
                .any(|term| fits(&host, term))
        })
}
