"""What a running k0s of the stand-in does: a real etcd from what lies in its data directory, the API server, the controllers
that an upgrade waits for, and a kubelet that serves its node."""
import base64
import datetime
import gzip
import http.client
import http.server
import json
import os
import pwd
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

HERE = "/opt/mke3"
children = []


def run(*words, **options):
    return subprocess.run(words, check=True, capture_output=True, **options)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def certificate_authority(name):
    if not os.path.exists(f"{name}.crt"):
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650",
            "-subj", "/CN=kubernetes-ca", "-keyout", f"{name}.key", "-out", f"{name}.crt")
        os.chmod(f"{name}.key", 0o600)


def certificate(ca, name, subject, addresses=()):
    if os.path.exists(f"{name}.crt"):
        return
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject, "-keyout",
        f"{name}.key", "-out", f"{name}.csr")
    names = ",".join([f"IP:{one}" if one[-1].isdigit() else f"DNS:{one}" for one in addresses] + ["DNS:localhost"])
    write(f"{name}.ext", f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
    run("openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.crt", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", "365",
        "-extfile", f"{name}.ext", "-out", f"{name}.crt")
    os.unlink(f"{name}.csr")
    os.unlink(f"{name}.ext")
    os.chmod(f"{name}.key", 0o600)


def start(*words):
    print("starting", *words, flush=True)
    child = subprocess.Popen(words)
    children.append(child)
    return child


def stop(*_):
    for child in reversed(children):
        child.terminate()
    for child in reversed(children):
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
    try:
        os.unlink("/run/k0s/status.json")
    except OSError:
        pass
    os._exit(0)


class Api:
    """The API server of some host, as administrator, as the kubelet of a node, or as a node that joins."""

    def __init__(self, server, ca, certificate=None, key=None, token=None):
        self.server = server
        self.context = ssl.create_default_context(cafile=ca)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        if certificate:
            self.context.load_cert_chain(certificate, key)

    def call(self, method, path, body=None, kind="application/merge-patch+json"):
        connection = http.client.HTTPSConnection(self.server, 6443, context=self.context, timeout=10)
        try:
            headers = {"Content-Type": kind, **self.headers}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()


class Joining(http.server.BaseHTTPRequestHandler):
    """The API by which controllers join: gives what they share."""

    data = ""

    def setup(self):
        self.request.do_handshake()
        super().setup()

    def log_message(self, *_):
        pass

    def do_GET(self):
        pki = f"{self.data}/pki"
        names = ["ca.crt", "ca.key", "etcd/ca.crt", "etcd/ca.key", "etcd/server.crt", "etcd/server.key"]
        text = json.dumps({name: read(f"{pki}/{name}") for name in names}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def serve_joins(data):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(f"{data}/pki/server.crt", f"{data}/pki/server.key")
    Joining.data = data

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            pass

    server = Server(("0.0.0.0", 9443), Joining)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


def hold(port, pki=None):
    """Other ports that a node of k0s listens on, with TLS where there is a certificate."""
    listener = socket.create_server(("0.0.0.0", port))
    context = None
    if pki:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(f"{pki}/server.crt", f"{pki}/server.key")
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=refuse, args=(connection, context), daemon=True).start()


def refuse(connection, context):
    try:
        connection.settimeout(10)
        if context:
            connection = context.wrap_socket(connection, server_side=True)
        connection.close()
    except OSError:
        pass


def served_names(config):
    """Addresses that the configuration wants in the certificate of the API server."""
    found, inside = [], False
    for line in read(config).splitlines():
        word = line.strip()
        if word.startswith("externalAddress:"):
            found.append(word.split(":", 1)[1].strip().strip('"'))
        inside = inside and word.startswith("- ")
        if inside:
            found.append(word[2:].strip('"'))
        if word == "sans:":
            inside = True
    return [one for one in dict.fromkeys(found) if one]


def join_information(flags):
    text = gzip.decompress(base64.b64decode(read(flags["token-file"]))).decode()
    server = text.split("server: https://")[1].split()[0]
    ca = base64.b64decode(text.split("certificate-authority-data: ")[1].split()[0]).decode()
    return server.rpartition(":")[0], ca, text.split("token: ")[1].split()[0]


def controller(data, flags, address, etcdctl):
    name = socket.gethostname()
    pki = f"{data}/pki"
    os.makedirs(f"{pki}/etcd", exist_ok=True)
    cluster, state = f"{name}=https://{address}:2380", "new"
    if "token-file" in flags and not os.path.exists(f"{data}/etcd/member"):
        other, ca, _ = join_information(flags)
        write(f"{data}/join-ca.crt", ca)
        context = ssl.create_default_context(cafile=f"{data}/join-ca.crt")
        connection = http.client.HTTPSConnection(other, 9443, context=context, timeout=20)
        connection.request("GET", "/v1beta1/ca")
        for path, content in json.loads(connection.getresponse().read()).items():
            write(f"{pki}/{path}", content, 0o600 if path.endswith("key") else 0o644)
        os.unlink(f"{data}/join-ca.crt")
        for one in ("server.crt", "server.key"):
            os.rename(f"{pki}/etcd/{one}", f"{pki}/etcd/lead-{one}")
        said = run("etcdctl", "--endpoints", f"https://{other}:2379", "--cacert", f"{pki}/etcd/ca.crt", "--cert",
                   f"{pki}/etcd/lead-server.crt", "--key", f"{pki}/etcd/lead-server.key", "member", "add", name,
                   f"--peer-urls=https://{address}:2380", text=True).stdout
        cluster = next(line.split('"')[1] for line in said.splitlines() if line.startswith("ETCD_INITIAL_CLUSTER="))
        state = "existing"
        for one in ("server.crt", "server.key"):
            os.unlink(f"{pki}/etcd/lead-{one}")
    certificate_authority(f"{pki}/ca")
    certificate_authority(f"{pki}/etcd/ca")
    everywhere = ["127.0.0.1", address]
    certificate(f"{pki}/etcd/ca", f"{pki}/etcd/server", "/CN=etcd-server", everywhere)
    served = list(dict.fromkeys(everywhere + served_names(flags["config"])))
    certificate(f"{pki}/ca", f"{pki}/server", "/CN=kubernetes", served)
    certificate(f"{pki}/ca", f"{pki}/admin", "/O=system:masters/CN=kubernetes-admin")
    if not os.path.exists(f"{pki}/sa.key"):
        run("openssl", "genrsa", "-out", f"{pki}/sa.key", "2048")
    from k0smain import kubeconfig

    write(f"{pki}/admin.conf", kubeconfig("https://localhost:6443", f"{pki}/ca.crt", f"{pki}/admin.crt", f"{pki}/admin.key"), 0o600)
    os.makedirs(f"{data}/etcd", mode=0o700, exist_ok=True)
    os.chmod(f"{data}/etcd", 0o700)
    owner = pwd.getpwnam("etcd")
    for top, directories, files in os.walk(f"{data}/etcd"):
        for one in [top] + [os.path.join(top, file) for file in files]:
            os.chown(one, owner.pw_uid, owner.pw_gid)
    tls = ["--cert-file", f"{pki}/etcd/server.crt", "--key-file", f"{pki}/etcd/server.key", "--trusted-ca-file", f"{pki}/etcd/ca.crt",
           "--client-cert-auth", "--peer-cert-file", f"{pki}/etcd/server.crt", "--peer-key-file", f"{pki}/etcd/server.key",
           "--peer-trusted-ca-file", f"{pki}/etcd/ca.crt", "--peer-client-cert-auth"]
    etcd = start("etcd", "--name", name, "--data-dir", f"{data}/etcd", "--listen-client-urls", "https://0.0.0.0:2379", "--advertise-client-urls",
          f"https://{address}:2379", "--listen-peer-urls", f"https://{address}:2380", "--initial-advertise-peer-urls",
          f"https://{address}:2380", "--initial-cluster", cluster, "--initial-cluster-state", state, *tls)
    for _ in range(300):
        if etcd.poll() is not None:
            # As k0s does with what it supervises.
            time.sleep(5)
            children.remove(etcd)
            etcd = start(*etcd.args)
        if etcdctl(data, "endpoint", "health").returncode == 0:
            break
        time.sleep(0.2)
    start("/usr/bin/python3", f"{HERE}/apiserver.py", f"--etcd-servers=https://127.0.0.1:2379", f"--etcd-cafile={pki}/etcd/ca.crt",
          f"--etcd-certfile={pki}/etcd/server.crt", f"--etcd-keyfile={pki}/etcd/server.key", "--secure-port=6443",
          f"--client-ca-file={pki}/ca.crt", f"--tls-cert-file={pki}/server.crt", f"--tls-private-key-file={pki}/server.key",
          f"--git-version={flags['version']}", f"--service-account-key-file={pki}/sa.key", "--foreign-ca-file=/opt/certs/ca.pem")
    threading.Thread(target=serve_joins, args=(data,), daemon=True).start()
    threading.Thread(target=hold, args=(8132, pki), daemon=True).start()
    return Api("localhost", f"{pki}/ca.crt", f"{pki}/admin.crt", f"{pki}/admin.key")


SIGNING = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CHARTS = "/apis/helm.k0sproject.io/v1beta1/namespaces/kube-system/charts"
CONFIGS = "/apis/mke.mirantis.com/v1alpha1/namespaces/mke/mkeconfigs"


def reconcile(api, pki):
    """Controllers: charts are installed, the operator of Calico brings its pods, CoreDNS its service, the operator of MKE 4k
    says that all is ready, and nodes that join get certificates."""
    while True:
        for part in (charts, dns, configurations, certificates):
            try:
                part(api, pki)
            except (OSError, http.client.HTTPException, KeyError, TypeError, subprocess.CalledProcessError) as error:
                print("controllers:", part.__name__, error, flush=True)
        time.sleep(1)


def define(api, plural, kind):
    name, _, group = plural.partition(".")
    definition = {"metadata": {"name": plural}, "spec": {"group": group, "names": {"kind": kind, "plural": name}}}
    api.call("PUT", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}", definition)


def charts(api, _):
    code, found = api.call("GET", CHARTS)
    if code == 404:
        define(api, "charts.helm.k0sproject.io", "Chart")
        return
    for chart in found["items"]:
        name = chart["metadata"]["name"]
        if "deletionTimestamp" in chart["metadata"]:
            api.call("PATCH", f"{CHARTS}/{name}", {"metadata": {"finalizers": []}})
            continue
        if chart.get("status", {}).get("version") == chart["spec"]["version"]:
            continue
        if name == "tigera-operator":
            daemons = "/apis/apps/v1/namespaces/calico-system/daemonsets"
            api.call("PUT", f"{daemons}/calico-node", {"metadata": {"name": "calico-node"}, "status": {"numberReady": 1}})
        if name == "mke-operator":
            api.call("PUT", "/api/v1/namespaces/mke", {"metadata": {"name": "mke"}, "status": {"phase": "Active"}})
            define(api, "mkeconfigs.mke.mirantis.com", "MkeConfig")
            define(api, "passwords.dex.coreos.com", "Password")
        status = {"releaseName": name, "version": chart["spec"]["version"], "error": ""}
        api.call("PATCH", f"{CHARTS}/{name}", {"status": status})


def dns(api, _):
    code, _ = api.call("GET", "/api/v1/namespaces/kube-system/services/kube-dns")
    if code == 404:
        service = {"metadata": {"name": "kube-dns"}, "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 53, "protocol": "UDP"}]}}
        api.call("POST", "/api/v1/namespaces/kube-system/services", service)


def configurations(api, _):
    code, found = api.call("GET", CONFIGS)
    for one in found["items"] if code == 200 else []:
        seen = one["metadata"]["generation"]
        if one.get("status", {}).get("observedGeneration") != seen:
            ready = [{"type": "Ready", "status": "True", "message": "all components are ready"}]
            api.call("PATCH", f"{CONFIGS}/{one['metadata']['name']}/status", {"status": {"observedGeneration": seen, "conditions": ready}})


def certificates(api, pki):
    for wanted in api.call("GET", SIGNING)[1]["items"]:
        name = wanted["metadata"]["name"]
        if "certificate" in wanted.get("status", {}):
            continue
        signed = run("openssl", "x509", "-req", "-CA", f"{pki}/ca.crt", "-CAkey", f"{pki}/ca.key", "-set_serial", str(time.time_ns()),
                     "-days", "365", input=base64.b64decode(wanted["spec"]["request"])).stdout
        api.call("PATCH", f"{SIGNING}/{name}/status", {"status": {"certificate": base64.b64encode(signed).decode()}})


def join_worker(data, flags):
    """Gets a certificate for the kubelet of this node with the token, unless it has one."""
    kept = f"{data}/worker"
    extra = extra_words(flags)
    node = extra.get("hostname-override", socket.gethostname())
    server = f"{kept}/server"
    if not os.path.exists(f"{data}/kubelet.conf"):
        other, ca, token = join_information(flags)
        write(f"{kept}/ca.crt", ca)
        write(server, other)
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
            f"/O=system:nodes/CN=system:node:{node}", "-keyout", f"{kept}/node.key", "-out", f"{kept}/node.csr")
        os.chmod(f"{kept}/node.key", 0o600)
        with open(f"{kept}/node.csr", "rb") as file:
            request = base64.b64encode(file.read()).decode()
        api = Api(other, f"{kept}/ca.crt", token=token)
        signed = None
        name = f"node-csr-{node}-{os.getpid()}"
        while not signed:
            try:
                code, found = api.call("GET", f"{SIGNING}/{name}")
                if code == 404:
                    code, found = api.call("POST", SIGNING, {"metadata": {"name": name}, "spec": {"request": request}})
                if code == 401:
                    print("the token is not accepted", flush=True)
                signed = found.get("status", {}).get("certificate") if code < 300 else None
            except (OSError, http.client.HTTPException) as error:
                print("joining:", error, flush=True)
            time.sleep(0.5)
        write(f"{kept}/node.crt", base64.b64decode(signed).decode())
        from k0smain import kubeconfig

        text = kubeconfig(f"https://{other}:6443", f"{kept}/ca.crt", f"{kept}/node.crt", f"{kept}/node.key")
        write(f"{data}/kubelet.conf", text, 0o600)
    return Api(read(server), f"{kept}/ca.crt", f"{kept}/node.crt", f"{kept}/node.key")


def extra_words(flags):
    return dict(word.lstrip("-").split("=", 1) for word in flags.get("kubelet-extra-args", "").split())


def kubelet(api, flags, data):
    """Serves the node under its name, with the files and mounts of a kubelet and of Calico."""
    extra = extra_words(flags)
    node = extra.get("hostname-override", socket.gethostname())
    root = flags.get("kubelet-root-dir", f"{data}/kubelet")
    write(f"{root}/pki/kubelet-client-current.pem", "certificate\n", 0o600)
    write(f"{root}/cpu_manager_state", '{"policyName":"none"}', 0o600)
    volume = f"{root}/pods/0000{os.getpid()}/volumes/kubernetes.io~projected/kube-api-access"
    os.makedirs(volume, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", volume)
    write("/etc/cni/net.d/10-calico.conflist", '{"name": "k8s-pod-network", "of": "k0s"}\n')
    threading.Thread(target=hold, args=(10250,), daemon=True).start()
    # v1.32.11+k0s.0 has kubelet v1.32.11+k0s.
    version = flags["version"].rpartition(".")[0]
    while True:
        try:
            now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            status = {
                "nodeInfo": {"kubeletVersion": version},
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now}],
                "addresses": [{"type": "InternalIP", "address": extra.get("node-ip", "")}, {"type": "Hostname", "address": node}],
            }
            code, _ = api.call("PATCH", f"/api/v1/nodes/{node}", {"status": status})
            if code == 404:
                api.call("POST", "/api/v1/nodes", {"metadata": {"name": node}, "status": status})
        except (OSError, http.client.HTTPException) as error:
            print("kubelet:", error, flush=True)
        time.sleep(3)


def serve(role, flags, version, etcdctl, kubeconfig):
    import types

    module = types.ModuleType("k0smain")
    module.kubeconfig = kubeconfig
    sys.modules["k0smain"] = module
    sys.path.insert(0, HERE)
    signal.signal(signal.SIGTERM, stop)
    data = flags["data-dir"]
    flags["version"] = version
    shown = run("ip", "-o", "-4", "address", "show", "eth0", text=True).stdout
    address = shown.split()[3].split("/")[0]
    write("/run/k0s/status.json", json.dumps({"Version": version, "Pid": os.getpid(), "Role": role, "Workloads": True}))
    if role == "controller":
        api = controller(data, flags, address, etcdctl)
        threading.Thread(target=reconcile, args=(api, f"{data}/pki"), daemon=True).start()
        if flags.get("enable-worker"):
            threading.Thread(target=kubelet, args=(api, flags, data), daemon=True).start()
    else:
        threading.Thread(target=lambda: kubelet(join_worker(data, flags), flags, data), daemon=True).start()
    while True:
        for child in children:
            if child.poll() is not None:
                print("a child ended:", child.args, child.returncode, flush=True)
                children.remove(child)
                stop()
        time.sleep(1)
