"""Objects of Kubernetes, some thousand, straight into etcd. Arguments: address of an etcd, names of nodes."""
import base64
import hashlib
import json
import subprocess
import sys
import uuid

from etcd import Etcd

address, *nodes = sys.argv[1:]
etcd = Etcd(f"https://{address}:12379", "/opt/certs/ca.pem", "/opt/certs/cert.pem", "/opt/certs/key.pem")
pairs = []


def add(prefix, api, kind, name, namespace=None, labels=None, **rest):
    uid = str(uuid.UUID(hashlib.md5(f"{prefix}/{namespace}/{name}".encode()).hexdigest()))
    meta = {"name": name, "uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z"}
    if namespace:
        meta["namespace"] = namespace
    if labels:
        meta["labels"] = labels
    key = f"/registry/{prefix}/" + (f"{namespace}/" if namespace else "") + name
    pairs.append((key, json.dumps({"apiVersion": api, "kind": kind, "metadata": meta, **rest}, separators=(",", ":"))))


def url64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def token(namespace):
    """Signed by the key of MKE 3, as tokens of service accounts are."""
    head = url64(json.dumps({"alg": "RS256", "kid": "mke"}).encode())
    body = url64(json.dumps({"iss": "kubernetes/serviceaccount", "sub": f"system:serviceaccount:{namespace}:default"}, separators=(",", ":")).encode())
    signed = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", "/opt/certs/service_account_key.pem"], input=f"{head}.{body}".encode(), capture_output=True, check=True
    ).stdout
    return f"{head}.{body}.{url64(signed)}"


for place in ["default", "kube-system", "kube-public", "kube-node-lease", "shop"]:
    add("namespaces", "v1", "Namespace", place, status={"phase": "Active"})
    add("serviceaccounts", "v1", "ServiceAccount", "default", place)
add("secrets", "v1", "Secret", "default-token", "shop", type="kubernetes.io/service-account-token",
    data={"token": base64.b64encode(token("shop").encode()).decode()})
runs = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
for number, node in enumerate(nodes, 1):
    labels = {
        "kubernetes.io/hostname": node,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "com.docker.ucp.collection": "system",
        "com.docker.ucp.orchestrator.kubernetes": "true",
        "com.docker.ucp.orchestrator.swarm": "true",
    }
    spec = {}
    if node.startswith("manager"):
        labels["node-role.kubernetes.io/master"] = ""
        spec["taints"] = [{"key": "com.docker.ucp.manager", "effect": "NoSchedule"}]
    add("minions", "v1", "Node", node, labels=labels, spec=spec, status={
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        "addresses": [{"type": "InternalIP", "address": f"10.99.0.{number}"}, {"type": "Hostname", "address": node}],
    })
    uid = hashlib.md5(f"{node} web".encode()).hexdigest()
    add("pods", "v1", "Pod", f"calico-node-{number}", "kube-system", spec={"nodeName": node, "containers": [{"name": "calico-node", "image": "mirantis/ucp-calico-node:3.8.5"}]}, status=runs)
    add("pods", "v1", "Pod", f"web-{uid[:5]}", "shop", spec={"nodeName": node, "containers": [{"name": "web", "image": "nginx:1.27"}]}, status=runs)
container = {"spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]}}
add("deployments", "apps/v1", "Deployment", "web", "shop", spec={"replicas": 2, "template": container}, status={"readyReplicas": 2})
add("deployments", "apps/v1", "Deployment", "coredns", "kube-system", spec={"replicas": 1, "template": container}, status={"readyReplicas": 1})
add("deployments", "apps/v1", "Deployment", "calico-kube-controllers", "kube-system", spec={"replicas": 1, "template": container}, status={"readyReplicas": 1})
add("daemonsets", "apps/v1", "DaemonSet", "calico-node", "kube-system", spec={"template": container},
    status={"desiredNumberScheduled": len(nodes), "numberReady": len(nodes)})
add("services/specs", "v1", "Service", "web", "shop", spec={"type": "NodePort", "clusterIP": "10.96.0.20", "ports": [{"port": 80, "nodePort": 33080}]})
add("services/specs", "v1", "Service", "kube-dns", "kube-system", spec={"clusterIP": "10.96.0.10", "ports": [{"port": 53, "protocol": "UDP"}]})
add("services/specs", "v1", "Service", "kubernetes", "default", spec={"clusterIP": "10.96.0.1", "ports": [{"port": 443}]})
for role in ["admin", "cluster-admin", "edit", "view", "calico-node"]:
    add("clusterroles", "rbac.authorization.k8s.io/v1", "ClusterRole", role, rules=[{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get"]}])
for crd in ["ippools", "bgppeers", "felixconfigurations"]:
    add("apiextensions.k8s.io/customresourcedefinitions", "apiextensions.k8s.io/v1", "CustomResourceDefinition", f"{crd}.crd.projectcalico.org",
        spec={"group": "crd.projectcalico.org"})
add("crd.projectcalico.org/ippools", "crd.projectcalico.org/v1", "IPPool", "default-ipv4-ippool", spec={"cidr": "192.168.0.0/16", "ipipMode": "Always"})
add("services/endpoints", "v1", "Endpoints", "web", "shop", subsets=[{"addresses": [{"ip": "192.168.0.9"}], "ports": [{"port": 80}]}])
add("validatingwebhookconfigurations", "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "orders.shop.example",
    webhooks=[{"name": "orders.shop.example", "clientConfig": {"service": {"namespace": "shop", "name": "web"}}, "sideEffects": "None",
               "admissionReviewVersions": ["v1"]}])
add("storageclasses", "storage.k8s.io/v1", "StorageClass", "fast", provisioner="ebs.csi.aws.com")
for number in range(1500):
    add("configmaps", "v1", "ConfigMap", f"settings-{number:04}", "shop", data={"text": hashlib.sha256(str(number).encode()).hexdigest() * 4})
    add("secrets", "v1", "Secret", f"login-{number:04}", "shop", data={"password": base64.b64encode(str(number).encode()).decode()})
etcd.put_all(pairs)
# Stored in binary, as Kubernetes stores its own kinds; nobody here can read it, and it has to survive all the same.
etcd.put_all([(f"/registry/events/shop/binary.{number:04}", b"k8s\0\n\x0b\n\x02v1\x12\x05Event\x12\x07" + bytes(range(200))) for number in range(200)])
print(len(pairs) + 200, "keys")
