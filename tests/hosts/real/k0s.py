#!/usr/bin/python3
"""A stand-in of k0s: the command line and the files of the real one, a real systemd unit, a real etcd, and the API server of
mke3/apiserver.py. What it has no answer to is an error, never a success.

Sources: pkg/ and cmd/ of k0s 1.32; what `reset` removes is that of pkg/cleanup.
"""
import base64
import glob
import gzip
import http.client
import http.server
import io
import json
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import time
import uuid

VERSION = "@VERSION@"
HERE = "/opt/mke3"
STATUS = "/run/k0s/status.json"
USERS = ("etcd", "kube-apiserver", "konnectivity-server", "kube-scheduler")
IMAGES = ("quay.io/k0sproject/coredns:1.12.0", "quay.io/k0sproject/pause:3.9")
# Flags that take a value; all others stand alone.
TAKES = {
    "data-dir", "config", "token-file", "kubelet-root-dir", "kubelet-extra-args", "profile", "labels", "taints", "role", "cert",
    "url", "valid", "out", "save-path", "peer-address", "kubeconfig", "expiry", "status-socket",
}
STANDS = {"enable-worker", "no-taints", "force", "debug", "verbose", "enable-metrics-scraper", "enable-dynamic-config", "single"}


def refuse(text, code=1):
    print(f"Error: {text}", file=sys.stderr)
    sys.exit(code)


def parse(words):
    """Flags and what is left; a flag that k0s does not have is an error."""
    flags, rest, words = {}, [], list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        name = {"c": "config", "o": "output", "d": "debug", "v": "verbose"}.get(name, name)
        if name in TAKES or name == "output":
            flags[name] = value if equals else (words.pop(0) if words else refuse(f"flag needs an argument: --{name}"))
        elif name in STANDS:
            flags[name] = value != "false"
        else:
            refuse(f"unknown flag: --{name}")
    return flags, rest


def run(*words, **options):
    return subprocess.run(words, check=True, **options)


def address():
    shown = run("ip", "-o", "-4", "address", "show", "eth0", capture_output=True, text=True).stdout
    return shown.split()[3].split("/")[0]


# ------------------------------------------------------------------------------------------------------------ commands


def validate(path):
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        refuse(f"failed to read config: open {path}: {error.strerror.lower()}")
    if "kind: ClusterConfig" not in text or "apiVersion: k0s.k0sproject.io/v1beta1" not in text:
        refuse("config: no kind ClusterConfig in it")
    # extraArgs may hold any word; an address has to be one.
    if "ddress: mkectl-host" in text:
        refuse("spec: api: address: Invalid value: \"mkectl-host:private-address\": invalid IP address")


def install(role, flags):
    if role == "controller":
        validate(flags.get("config", "/etc/k0s/k0s.yaml"))
        for user in USERS:
            try:
                pwd.getpwnam(user)
            except KeyError:
                run("useradd", "--home", flags["data-dir"], "--shell", "/usr/sbin/nologin", "--system", "--no-create-home", user)
    path = f"/etc/systemd/system/k0s{role}.service"
    if os.path.exists(path) and not flags.get("force"):
        refuse(f"failed to install {role} service: Init already exists: {path}")
    words = [role]
    for name, value in sorted(flags.items()):
        if name != "force":
            words.append(f"--{name}={value}" if name in TAKES else f"--{name}=true")
    words = [word.replace("\\", "\\\\").replace(" ", "\\x20").replace('"', '\\"') for word in words]
    with open(path, "w", encoding="utf-8") as unit:
        unit.write(
            "[Unit]\nDescription=k0s - Zero Friction Kubernetes\nDocumentation=https://docs.k0sproject.io\n"
            "ConditionFileIsExecutable=/usr/local/bin/k0s\n\nAfter=network-online.target\nWants=network-online.target\n\n"
            "[Service]\nStartLimitInterval=5\nStartLimitBurst=10\nExecStart=/usr/local/bin/k0s " + " ".join(words) + "\n\n"
            "RestartSec=10\nDelegate=yes\nKillMode=process\nLimitCORE=infinity\nTasksMax=infinity\nTimeoutStartSec=0\n"
            "LimitNOFILE=999999\nRestart=always\n\n[Install]\nWantedBy=multi-user.target\n"
        )
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", f"k0s{role}.service", stderr=subprocess.DEVNULL)


def kubectl(words):
    if not any(word.startswith("--kubeconfig") for word in words) and "KUBECONFIG" not in os.environ:
        path = "/var/lib/k0s/pki/admin.conf"
        if not os.path.exists(path):
            refuse(f"cannot stat k0s kubeconfig, is the server running?: stat {path}: no such file or directory")
        words = ["--kubeconfig", path, *words]
    os.execv("/usr/bin/kubectl", ["kubectl", *words])


def etcdctl(data, *words):
    pki = f"{data}/pki/etcd"
    return subprocess.run(
        ["etcdctl", "--endpoints", "https://127.0.0.1:2379", "--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/server.crt",
         "--key", f"{pki}/server.key", *words],
        capture_output=True, text=True, check=False,
    )


def members(data):
    said = etcdctl(data, "member", "list", "--write-out", "json")
    if said.returncode:
        refuse(f"can't list etcd cluster members: {said.stderr.strip()}")
    return {member.get("name", ""): member for member in json.loads(said.stdout)["members"]}


def kubeconfig(server, ca, certificate, key):
    def text(path):
        with open(path, "rb") as file:
            return base64.b64encode(file.read()).decode()

    return (
        f"apiVersion: v1\nclusters:\n- cluster:\n    server: {server}\n    certificate-authority-data: {text(ca)}\n  name: local\n"
        "contexts:\n- context:\n    cluster: local\n    namespace: default\n    user: user\n  name: Default\n"
        "current-context: Default\nkind: Config\npreferences: {}\n"
        f"users:\n- name: user\n  user:\n    client-certificate-data: {text(certificate)}\n    client-key-data: {text(key)}\n"
    )


def backup(data, to):
    if not os.path.exists(STATUS):
        refuse("failed to get k0s status: k0s is not running")
    snapshot = f"/tmp/k0s-backup-{os.getpid()}.db"
    said = etcdctl(data, "snapshot", "save", snapshot)
    if said.returncode:
        refuse(f"failed to create backup on step `etcd`: {said.stderr.strip()}")
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        archive.add(snapshot, "etcd-snapshot.db")
        archive.add(f"{data}/pki", "pki")
    os.unlink(snapshot)
    if to != "-":
        refuse("only --save-path=- is known here")
    sys.stdout.buffer.write(held.getvalue())


def pre_shared(flags):
    identity, secret = uuid.uuid4().hex[:6], uuid.uuid4().hex[:16]
    with open(flags["cert"], "rb") as file:
        ca = base64.b64encode(file.read()).decode()
    user = "kubelet-bootstrap" if flags["role"] == "worker" else "controller-bootstrap"
    text = (
        f"apiVersion: v1\nclusters:\n- cluster:\n    server: {flags['url']}\n    certificate-authority-data: {ca}\n  name: k0s\n"
        f"contexts:\n- context:\n    cluster: k0s\n    user: {user}\n  name: k0s\ncurrent-context: k0s\nkind: Config\n"
        f"users:\n- name: {user}\n  user:\n    token: {identity}.{secret}\n"
    )
    out = flags.get("out", ".")
    with open(f"{out}/token_{identity}", "w", encoding="ascii") as file:
        file.write(base64.b64encode(gzip.compress(text.encode())).decode())
    with open(f"{out}/bootstrap-token-{identity}.yaml", "w", encoding="ascii") as file:
        file.write(
            f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: bootstrap-token-{identity}\n  namespace: kube-system\n"
            f"type: bootstrap.kubernetes.io/token\nstringData:\n  token-id: {identity}\n  token-secret: {secret}\n"
        )


def reset(data, flags):
    if os.path.exists(STATUS):
        refuse("k0s seems to be running! please stop k0s before reset.")
    for line in reversed(open("/proc/self/mounts", encoding="utf-8").readlines()):
        where = line.split()[1]
        if where.startswith((f"{data}/", "/run/k0s/", flags.get("kubelet-root-dir", f"{data}/kubelet") + "/")):
            subprocess.run(["umount", where], check=False)
    for role in ("controller", "worker"):
        unit = f"/etc/systemd/system/k0s{role}.service"
        if os.path.exists(unit):
            subprocess.run(["systemctl", "disable", f"k0s{role}.service"], check=False, stderr=subprocess.DEVNULL)
            os.unlink(unit)
    for user in USERS:
        subprocess.run(["userdel", user], check=False, stderr=subprocess.DEVNULL)
    for path in (data, "/run/k0s", flags.get("kubelet-root-dir", "")):
        if path:
            shutil.rmtree(path, ignore_errors=True)
    for name in ("10-calico.conflist", "calico-kubeconfig", "10-kuberouter.conflist"):
        if os.path.exists(f"/etc/cni/net.d/{name}"):
            os.unlink(f"/etc/cni/net.d/{name}")
    run("systemctl", "daemon-reload")


def main():
    words = sys.argv[1:]
    command = words[0] if words else ""
    if command in ("kubectl", "kc"):
        kubectl(words[1:])
    flags, rest = parse(words)
    flags.setdefault("data-dir", "/var/lib/k0s")
    data = flags["data-dir"]
    match rest:
        case ["version"]:
            print(VERSION)
        case ["sysinfo"]:
            print("Total memory: 23.5 GiB (pass)")
        case ["airgap", "list-images"]:
            print("\n".join(IMAGES))
        case ["config", "validate"]:
            validate(flags.get("config", "/etc/k0s/k0s.yaml"))
        case ["install", ("controller" | "worker") as role]:
            install(role, flags)
        case [("controller" | "worker") as role]:
            from importlib.machinery import SourceFileLoader

            SourceFileLoader("k0srun", f"{HERE}/k0srun.py").load_module().serve(role, flags, VERSION, etcdctl, kubeconfig)
        case ["etcd", "member-list"]:
            print(json.dumps({"members": {name: member["peerURLs"][0] for name, member in members(data).items()}}))
        case ["etcd", "leave"]:
            url = f"https://{flags.get('peer-address') or address()}:2380"
            for member in members(data).values():
                if url in member["peerURLs"]:
                    said = etcdctl(data, "member", "remove", format(member["ID"], "x"))
                    sys.exit(said.returncode)
            refuse(f"no member {url}")
        case ["token", "pre-shared"]:
            pre_shared(flags)
        case ["kubeconfig", "admin"]:
            pki = f"{data}/pki"
            if not os.path.exists(f"{pki}/admin.crt"):
                refuse(f'admin PKI file "{pki}/admin.crt" not found, check if the control plane is initialized on this node')
            print(kubeconfig(f"https://{address()}:6443", f"{pki}/ca.crt", f"{pki}/admin.crt", f"{pki}/admin.key"), end="")
        case ["status"]:
            if not os.path.exists(STATUS):
                refuse("failed to get k0s status: k0s is not running")
            print(open(STATUS, encoding="utf-8").read())
        case ["backup"]:
            backup(data, flags.get("save-path", ""))
        case ["reset"]:
            reset(data, flags)
        case _:
            refuse(f"this stand-in does not know: {' '.join(words)}", 64)


if __name__ == "__main__":
    main()
