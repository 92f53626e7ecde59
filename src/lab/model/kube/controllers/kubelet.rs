//! What kubelets report: pods that run, and nodes that are ready.

use crate::lab::model::kube::{Api, field, name, namespace, set_condition, text};
use serde_json::{Value, json};

/// Pods whose readiness gives a node its network.
const NETWORK: &str = "calico-node";

/// Whether the network of pods works on a node.
pub fn network_up(api: &Api<'_>, node: &str) -> bool {
    let Some(pods) = api.resource("pods") else {
        return false;
    };
    let network = api.select(&pods, None, |pod| {
        text(pod, &["metadata", "labels", "k8s-app"]) == NETWORK
            && text(pod, &["spec", "nodeName"]) == node
            && crate::lab::model::kube::condition(pod, "Ready")
            && field(pod, &["metadata", "deletionTimestamp"]).is_none()
    });
    !network.is_empty()
}

/// Marks a pod as running and ready.
pub fn make_live(pod: &mut Value, time: &str) {
    if text(pod, &["status", "phase"]) == "Running"
        && crate::lab::model::kube::condition(pod, "Ready")
        && field(pod, &["status", "containerStatuses"]).is_some()
    {
        return;
    }
    pod["status"]["phase"] = json!("Running");
    if field(pod, &["status", "startTime"]).is_none() {
        pod["status"]["startTime"] = json!(time);
    }
    for kind in ["PodScheduled", "Initialized", "ContainersReady", "Ready"] {
        set_condition(pod, kind, "True", "", "", time);
    }
    let statuses: Vec<Value> = field(pod, &["spec", "containers"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|container| {
            json!({
                "name": container["name"], "image": container["image"], "ready": true, "started": true,
                "restartCount": 0, "state": {"running": {"startedAt": time}},
            })
        })
        .collect();
    pod["status"]["containerStatuses"] = Value::Array(statuses);
}

/// MKE 3's own Calico finds its API server and its certificates only beside MKE 3.
fn needs_mke3(pod: &Value) -> bool {
    field(pod, &["spec", "containers"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .any(|container| text(container, &["image"]).starts_with("mirantis/ucp-calico"))
}

pub(super) fn round(api: &mut Api<'_>) {
    let time = api.context.time();
    let Some(pods) = api.resource("pods") else { return };
    for node in api.context.live.clone() {
        let network = network_up(api, &node);
        for mut pod in api.select(&pods, None, |pod| text(pod, &["spec", "nodeName"]) == node) {
            if field(&pod, &["metadata", "deletionTimestamp"]).is_some() {
                api.store.delete(&pods.key(namespace(&pod), name(&pod)));
                continue;
            }
            if matches!(text(&pod, &["status", "phase"]), "Succeeded" | "Failed") {
                continue;
            }
            let host_network = field(&pod, &["spec", "hostNetwork"]) == Some(&json!(true));
            if needs_mke3(&pod) {
                pod["status"]["phase"] = json!("Running");
                let why = "back-off 5m0s restarting failed container";
                set_condition(&mut pod, "Ready", "False", "ContainersNotReady", why, &time);
            } else if host_network || network {
                make_live(&mut pod, &time);
                let of_job = field(&pod, &["metadata", "ownerReferences"])
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .any(|owner| owner["kind"] == "Job");
                if of_job {
                    pod["status"]["phase"] = json!("Succeeded");
                }
            } else {
                pod["status"]["phase"] = json!("Pending");
                set_condition(
                    &mut pod,
                    "Ready",
                    "False",
                    "ContainersNotReady",
                    "network is not ready: container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized",
                    &time,
                );
            }
            api.write_status(&pod);
        }
        let Some(mut object) = api.find("nodes", "", &node) else {
            continue;
        };
        if network_up(api, &node) {
            set_condition(
                &mut object,
                "Ready",
                "True",
                "KubeletReady",
                "kubelet is posting ready status",
                &time,
            );
        } else {
            set_condition(
                &mut object,
                "Ready",
                "False",
                "KubeletNotReady",
                "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized",
                &time,
            );
        }
        api.write_status(&object);
    }
}
