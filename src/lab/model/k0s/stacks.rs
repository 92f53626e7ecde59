//! What controllers of k0s apply to their cluster.

use super::Config;
use crate::lab::model::kube::Api;
use serde_json::{Value, json};

/// Namespaces that every API server makes when it starts.
pub(super) fn namespaces(api: &mut Api<'_>) {
    for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
        if api.find("namespaces", "", name).is_none() {
            // Nothing stands in the way of these.
            let _ = api.create(
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
                "kube-apiserver",
            );
        }
    }
}

fn workload(kind: &str, name: &str, label: &str, host_network: bool) -> Value {
    let labels = json!({"k8s-app": label});
    json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": name, "namespace": "kube-system", "labels": {"k8s-app": label, "k0s.k0sproject.io/stack": name}},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "hostNetwork": host_network,
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{"name": name, "image": format!("quay.io/k0sproject/{name}:stand-in")}],
                },
            },
        },
    })
}

fn custom(plural: &str, kind: &str, group: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
            "versions": [{"name": "v1beta1", "served": true, "storage": true}],
        },
    })
}

/// Stacks of a control plane with this configuration.
pub(super) fn objects(config: &Config) -> Vec<Value> {
    let mut objects = vec![
        custom("charts", "Chart", "helm.k0sproject.io"),
        custom("etcdmembers", "EtcdMember", "etcd.k0sproject.io"),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
            "spec": {
                "clusterIP": config.dns_address(), "selector": {"k8s-app": "kube-dns"},
                "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}],
            },
        }),
        workload("Deployment", "coredns", "kube-dns", false),
        workload("DaemonSet", "kube-proxy", "kube-proxy", true),
        workload("DaemonSet", "konnectivity-agent", "konnectivity-agent", true),
        workload("Deployment", "metrics-server", "metrics-server", false),
    ];
    for profile in config.profiles() {
        objects.push(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("worker-config-{profile}"), "namespace": "kube-system"},
            "data": {"kubeletConfiguration": "{}"},
        }));
    }
    objects
}
