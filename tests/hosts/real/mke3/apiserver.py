"""An API server of Kubernetes over a real etcd, as far as an upgrade asks it: a real kubectl talks to it.

Flags are those of kube-apiserver. Objects are stored as JSON under the keys that Kubernetes uses; no admission, no
controllers. Answers that need rules (SubjectAccessReview) follow one that everybody can see below.
"""
import base64
import datetime
import functools
import http.server
import json
import re
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid

from etcd import Etcd

flags = dict(word[2:].split("=", 1) for word in sys.argv[1:] if word.startswith("--") and "=" in word)

# group/version: {resource: (kind, in namespaces, prefix)}; "" where the prefix is that of the resource.
API = {
    "v1": {
        "pods": ("Pod", True, ""),
        "services": ("Service", True, "services/specs"),
        "endpoints": ("Endpoints", True, "services/endpoints"),
        "secrets": ("Secret", True, ""),
        "configmaps": ("ConfigMap", True, ""),
        "serviceaccounts": ("ServiceAccount", True, ""),
        "persistentvolumeclaims": ("PersistentVolumeClaim", True, ""),
        "events": ("Event", True, ""),
        "persistentvolumes": ("PersistentVolume", False, ""),
        "namespaces": ("Namespace", False, ""),
        "nodes": ("Node", False, "minions"),
    },
    "apps/v1": {
        "deployments": ("Deployment", True, ""),
        "daemonsets": ("DaemonSet", True, ""),
        "statefulsets": ("StatefulSet", True, ""),
        "replicasets": ("ReplicaSet", True, ""),
    },
    "batch/v1": {"jobs": ("Job", True, ""), "cronjobs": ("CronJob", True, "")},
    "policy/v1": {"poddisruptionbudgets": ("PodDisruptionBudget", True, "")},
    "coordination.k8s.io/v1": {"leases": ("Lease", True, "")},
    "rbac.authorization.k8s.io/v1": {
        "clusterroles": ("ClusterRole", False, ""),
        "clusterrolebindings": ("ClusterRoleBinding", False, ""),
        "roles": ("Role", True, ""),
        "rolebindings": ("RoleBinding", True, ""),
    },
    "storage.k8s.io/v1": {"csidrivers": ("CSIDriver", False, ""), "storageclasses": ("StorageClass", False, "")},
    "node.k8s.io/v1": {"runtimeclasses": ("RuntimeClass", False, "")},
    "admissionregistration.k8s.io/v1": {
        "validatingwebhookconfigurations": ("ValidatingWebhookConfiguration", False, ""),
        "mutatingwebhookconfigurations": ("MutatingWebhookConfiguration", False, ""),
    },
    "apiextensions.k8s.io/v1": {
        "customresourcedefinitions": ("CustomResourceDefinition", False, "apiextensions.k8s.io/customresourcedefinitions")
    },
    "apiregistration.k8s.io/v1": {"apiservices": ("APIService", False, "apiregistration.k8s.io/apiservices")},
    "authorization.k8s.io/v1": {"subjectaccessreviews": ("SubjectAccessReview", False, None)},
    "authentication.k8s.io/v1": {"selfsubjectreviews": ("SelfSubjectReview", False, None)},
    "certificates.k8s.io/v1": {"certificatesigningrequests": ("CertificateSigningRequest", False, "")},
    "crd.projectcalico.org/v1": {
        "ippools": ("IPPool", False, "crd.projectcalico.org/ippools"),
        "bgppeers": ("BGPPeer", False, "crd.projectcalico.org/bgppeers"),
        "felixconfigurations": ("FelixConfiguration", False, "crd.projectcalico.org/felixconfigurations"),
    },
    "helm.k0sproject.io/v1beta1": {"charts": ("Chart", True, "helm.k0sproject.io/charts")},
    "mke.mirantis.com/v1alpha1": {"mkeconfigs": ("MkeConfig", True, "mke.mirantis.com/mkeconfigs")},
    "dex.coreos.com/v1": {"passwords": ("Password", True, "dex.coreos.com/passwords")},
}
# Served once somebody has defined them.
DEFINED = {
    "helm.k0sproject.io/v1beta1": "charts.helm.k0sproject.io",
    "mke.mirantis.com/v1alpha1": "mkeconfigs.mke.mirantis.com",
    "dex.coreos.com/v1": "passwords.dex.coreos.com",
}
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]

etcd = Etcd(
    flags["etcd-servers"].split(",")[0], flags["etcd-cafile"], flags["etcd-certfile"], flags["etcd-keyfile"]
)


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def served():
    """What is served now."""
    definitions = "/registry/apiextensions.k8s.io/customresourcedefinitions/"
    return {place: API[place] for place in API if place not in DEFINED or etcd.get(definitions + DEFINED[place])}


def common_name(subject):
    return next(value for part in subject for name, value in part if name == "commonName")


@functools.cache
def ca_name():
    """The common name of the CA of our clients."""
    words = ["openssl", "x509", "-noout", "-subject", "-nameopt", "multiline,-esc_msb", "-in", flags["client-ca-file"]]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return next(line.split("=", 1)[1].strip() for line in said.splitlines() if "commonName" in line)


def unsigned(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def bearer(token):
    """Who a token is of: one of a service account, signed by the key that the flags name, or one with which a node joins."""
    match = re.fullmatch(r"([a-z0-9]{6})\.([a-z0-9]{16})", token)
    if match:
        found = etcd.get(f"/registry/secrets/kube-system/bootstrap-token-{match[1]}")
        if found and json.loads(found[0][1]).get("stringData", {}).get("token-secret") == match[2]:
            return f"system:bootstrap:{match[1]}"
    elif token.count(".") == 2:
        head, body, signature = token.split(".")
        with tempfile.NamedTemporaryFile() as file:
            file.write(unsigned(signature))
            file.flush()
            said = subprocess.run(
                ["openssl", "dgst", "-sha256", "-prverify", flags["service-account-key-file"], "-signature", file.name],
                input=f"{head}.{body}".encode(), capture_output=True, check=False,
            )
        if said.returncode == 0:
            return json.loads(unsigned(body))["sub"]
    return None


def allowed(spec):
    """Administrators may everything, others read what is no secret."""
    user, of = spec.get("user", ""), spec.get("resourceAttributes", {})
    if user == "admin" or "system:masters" in spec.get("groups", []):
        return True
    return of.get("verb") in ("get", "list", "watch") and of.get("resource") != "secrets"


def merge(old, patch):
    if not isinstance(patch, dict) or not isinstance(old, dict):
        return patch
    result = dict(old)
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key, {}) if isinstance(value, dict) else None, value)
    return result


def json_patch(old, steps):
    new = json.loads(json.dumps(old))
    for step in steps:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
        at = new
        for part in way:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
        if isinstance(at, list):
            place = len(at) if last == "-" else int(last)
            if step["op"] == "remove":
                del at[place]
            elif step["op"] == "add":
                at.insert(place, step["value"])
            else:
                at[place] = step["value"]
        elif step["op"] == "remove":
            at.pop(last, None)
        else:
            at[last] = step["value"]
    return new


def selected(thing, query):
    for selector in query.get("fieldSelector", []):
        for part in filter(None, selector.split(",")):
            key, _, value = part.partition("=")
            at = thing
            for step in key.strip("=!").split("."):
                at = at.get(step, "") if isinstance(at, dict) else ""
            if (str(at) == value.lstrip("=")) == key.endswith("!"):
                return False
    labels = thing.get("metadata", {}).get("labels", {})
    for selector in query.get("labelSelector", []):
        for part in filter(None, selector.split(",")):
            if "!=" in part:
                key, value = part.split("!=")
                if labels.get(key) == value:
                    return False
            elif "=" in part:
                key, value = re.split("==?", part)
                if labels.get(key) != value:
                    return False
            elif part.startswith("!"):
                if part[1:] in labels:
                    return False
            elif part not in labels:
                return False
    return True


def nodes_table(found):
    """As kubectl shows nodes."""
    names = ["Name", "Status", "Roles", "Age", "Version"]
    rows = []
    for node in found["items"]:
        ready = any(one["type"] == "Ready" and one["status"] == "True" for one in node.get("status", {}).get("conditions", []))
        version = node.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", "")
        cells = [node["metadata"]["name"], "Ready" if ready else "NotReady", "<none>", "1d", version or "<none>"]
        about = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": node["metadata"]}
        rows.append({"cells": cells, "object": about})
    columns = [{"name": name, "type": "string", "format": "", "description": "", "priority": 0} for name in names]
    return {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "columnDefinitions": columns, "rows": rows}


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass


class Failure(Exception):
    def __init__(self, code, reason, message):
        super().__init__(message)
        self.code, self.reason = code, reason


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        self.request.settimeout(120)
        self.request.do_handshake()
        super().setup()

    def log_message(self, *_):
        pass

    def answer(self, code, body, kind="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_request(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        url = urllib.parse.urlparse(self.path)
        query = urllib.parse.parse_qs(url.query)
        try:
            self.user = self.who()
            if not self.user and url.path not in ("/readyz", "/livez", "/healthz", "/version"):
                raise Failure(401, "Unauthorized", "Unauthorized")
            self.route(url.path.rstrip("/") or "/", query, body)
        except Failure as failure:
            self.answer(
                failure.code,
                {
                    "kind": "Status",
                    "apiVersion": "v1",
                    "metadata": {},
                    "status": "Failure",
                    "message": str(failure),
                    "reason": failure.reason,
                    "code": failure.code,
                },
            )
        except OSError as error:
            self.answer(500, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": str(error), "code": 500})

    def who(self):
        """The common name of a certificate of our CA, or who a token is of. Who shows another certificate is nobody."""
        shown = self.request.getpeercert()
        if shown:
            return common_name(shown["subject"]) if common_name(shown["issuer"]) == ca_name() else None
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        return bearer(token.strip()) if kind == "Bearer" else None

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

    def route(self, path, query, body):
        if path == "/version":
            return self.answer(
                200, {"major": "1", "minor": flags["git-version"].split(".")[1], "gitVersion": flags["git-version"]}
            )
        if path in ("/readyz", "/livez", "/healthz"):
            etcd.get("/registry/health")
            return self.answer(200, b"ok" if "verbose" not in query else b"[+]etcd ok\nreadyz check passed\n", "text/plain")
        if path == "/metrics":
            text = 'apiserver_requested_deprecated_apis{group="",removed_release="",resource="componentstatuses",subresource="",version="v1"} 1\n'
            return self.answer(200, text.encode(), "text/plain")
        if path == "/api":
            return self.answer(200, {"kind": "APIVersions", "versions": ["v1"]})
        if path == "/apis":
            groups = []
            for place in served():
                if "/" in place:
                    version = {"groupVersion": place, "version": place.split("/")[1]}
                    groups.append({"name": place.split("/")[0], "versions": [version], "preferredVersion": version})
            return self.answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        if path == "/openapi/v3":
            places = {("api/" if place == "v1" else "apis/") + place: place for place in API}
            return self.answer(200, {"paths": {at: {"serverRelativeURL": f"/openapi/v3/{at}"} for at in places}})
        if path.startswith("/openapi/v3/"):
            return self.answer(200, self.openapi(path.removeprefix("/openapi/v3/").split("/", 1)[1]))
        match = re.fullmatch(r"/(?:api/(v1)|apis/([^/]+/[^/]+))(?:/(.*))?", path)
        place = match and (match[1] or match[2])
        if place not in served():
            raise Failure(404, "NotFound", "the server could not find the requested resource")
        if not match[3]:
            return self.answer(200, self.resources(place))
        parts = match[3].split("/")
        namespace = None
        if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in ("status", "finalize"):
            namespace, parts = parts[1], parts[2:]
        if parts[0] not in API[place]:
            raise Failure(404, "NotFound", "the server could not find the requested resource")
        self.objects(place, parts[0], namespace, parts[1] if len(parts) > 1 else None, query, body)

    def resources(self, place):
        found = []
        for resource, (kind, namespaced, _) in API[place].items():
            verbs = ["create"] if kind.endswith("Review") else VERBS
            found.append(
                {"name": resource, "singularName": kind.lower(), "namespaced": namespaced, "kind": kind, "verbs": verbs}
            )
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": place, "resources": found}

    def openapi(self, place):
        """Enough for kubectl to leave validation to the server."""
        group, _, version = place.rpartition("/")
        parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in ("dryRun", "fieldValidation")]
        paths = {}
        for resource, (kind, _, _) in API.get(place, {}).items():
            about = {"group": group, "version": version, "kind": kind}
            operation = {"parameters": parameters, "responses": {}, "x-kubernetes-group-version-kind": about}
            paths[f"/{resource}"] = {"patch": operation, "post": operation}
        return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "1"}, "paths": paths, "components": {}}

    def load(self, value, revision):
        if not value.startswith(b"{"):
            return None
        thing = json.loads(value)
        thing.setdefault("metadata", {})["resourceVersion"] = str(revision)
        return thing

    def objects(self, place, resource, namespace, name, query, body):
        kind, namespaced, prefix = API[place][resource]
        if kind == "SubjectAccessReview":
            thing = json.loads(body)
            thing["status"] = {"allowed": allowed(thing["spec"])}
            return self.answer(201, thing)
        if kind == "SelfSubjectReview":
            return self.answer(201, {"apiVersion": place, "kind": kind, "status": {"userInfo": {"username": self.user}}})
        below = f"/registry/{prefix or resource}/" + (f"{namespace}/" if namespace and namespaced else "")
        method = self.command
        if method == "GET" and not name:
            if query.get("watch", [""])[0] in ("1", "true"):
                return self.watch(below, query)
            found = self.list(place, kind, below, query)
            table = kind == "Node" and "as=Table" in self.headers.get("Accept", "")
            return self.answer(200, nodes_table(found) if table else found)
        if method == "GET":
            return self.answer(200, self.one(below + name, resource, name))
        if method == "DELETE":
            names = [name] if name else [thing["metadata"]["name"] for thing in self.list(place, kind, below, query)["items"]]
            for one in names:
                thing = self.one(below + one, resource, one)
                if "dryRun" in query:
                    continue
                if thing["metadata"].get("finalizers"):
                    thing["metadata"].setdefault("deletionTimestamp", now())
                    etcd.put(below + one, json.dumps(thing, separators=(",", ":")))
                else:
                    etcd.delete(below + one)
            return self.answer(200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                                     "details": {"name": name, "uid": thing["metadata"].get("uid", "") if names else ""}})
        patch = json.loads(body)
        code, old = 200, None
        if method == "POST":
            meta = patch.setdefault("metadata", {})
            if "name" not in meta:
                meta["name"] = meta.get("generateName", "x-") + uuid.uuid4().hex[:5]
            name, code = meta["name"], 201
            if etcd.get(below + name):
                raise Failure(409, "AlreadyExists", f'{resource} "{name}" already exists')
            new = patch
        elif method == "PUT":
            old = etcd.get(below + name)
            wanted = patch.get("metadata", {}).get("resourceVersion")
            if old and wanted and wanted != str(old[0][2]):
                raise Failure(409, "Conflict", f'Operation cannot be fulfilled on {resource} "{name}": the object has been modified')
            new = patch
        else:
            how = self.headers.get("Content-Type", "")
            if "apply-patch" in how:
                old = etcd.get(below + name)
                new = merge(self.load(*old[0][1:]) or {}, patch) if old else patch
                code = 200 if old else 201
            else:
                old = self.one(below + name, resource, name)
                new = json_patch(old, patch) if "json-patch" in how else merge(old, patch)
        meta = new.setdefault("metadata", {})
        meta.update(name=name)
        meta.setdefault("uid", str(uuid.uuid4()))
        meta.setdefault("creationTimestamp", now())
        if namespace and namespaced:
            meta["namespace"] = namespace
        meta.pop("resourceVersion", None)
        new.update(apiVersion=place, kind=kind)
        if place in DEFINED:
            known = (self.load(*old[0][1:]) if isinstance(old, list) and old else old) or {}
            same = known.get("spec") == new.get("spec")
            meta["generation"] = known.get("metadata", {}).get("generation", 0) + (0 if same else 1)
        revision = 0
        if "dryRun" not in query and "deletionTimestamp" in meta and not meta.get("finalizers"):
            etcd.delete(below + name)
        elif "dryRun" not in query:
            revision = etcd.put(below + name, json.dumps(new, separators=(",", ":")))
        meta["resourceVersion"] = str(revision)
        self.answer(code, new)

    def one(self, key, resource, name):
        found = etcd.get(key)
        thing = self.load(*found[0][1:]) if found else None
        if thing is None:
            raise Failure(404, "NotFound", f'{resource} "{name}" not found')
        return thing

    def list(self, place, kind, below, query):
        items = [self.load(value, revision) for _, value, revision in etcd.get(below)]
        items = [thing for thing in items if thing and selected(thing, query)]
        return {"kind": f"{kind}List", "apiVersion": place, "metadata": {"resourceVersion": "1"}, "items": items}

    def watch(self, below, query):
        """Looks every half second, for half a minute."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        before = None
        for _ in range(60):
            found = {key: self.load(value, revision) for key, value, revision in etcd.get(below)}
            found = {key: thing for key, thing in found.items() if thing and selected(thing, query)}
            if before is None and query.get("resourceVersion", ["0"])[0] not in ("", "0"):
                before = found
            for key, thing in found.items():
                known = (before or {}).get(key)
                if known != thing:
                    self.event("MODIFIED" if known else "ADDED", thing)
            for key, thing in (before or {}).items():
                if key not in found:
                    self.event("DELETED", thing)
            before = found
            time.sleep(0.5)

    def event(self, kind, thing):
        self.wfile.write(json.dumps({"type": kind, "object": thing}).encode() + b"\n")
        self.wfile.flush()


def announce(address):
    """API servers tell of themselves under a lease that runs out."""
    while True:
        try:
            lease = etcd.lease(15)
            etcd.put(f"/registry/masterleases/{address}", json.dumps({"kind": "Endpoints", "ip": address}), lease)
        except OSError as error:
            print(error, flush=True)
        time.sleep(5)


def name_process(name):
    with open("/proc/self/comm", "w", encoding="ascii") as comm:
        comm.write(name[:15])


def main():
    name_process("kube-apiserver")
    # As process 1 of a container, nothing ends us by default.
    import signal

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=flags["client-ca-file"])
    if "foreign-ca-file" in flags:
        # A real server asks for certificates without looking at once whose they are. Here their CA has to be known.
        context.load_verify_locations(flags["foreign-ca-file"])
    context.load_cert_chain(flags["tls-cert-file"], flags["tls-private-key-file"])
    context.verify_mode = ssl.CERT_OPTIONAL
    server = Server(("0.0.0.0", int(flags["secure-port"])), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    address = urllib.parse.urlparse(flags["etcd-servers"].split(",")[0]).hostname
    threading.Thread(target=announce, args=(address,), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
