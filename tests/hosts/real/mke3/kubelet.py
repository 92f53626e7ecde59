"""The kubelet or kube-proxy of MKE 3: holds its ports; the kubelet keeps its pods running, with what they have mounted, and
tells the API that it lives. Arguments: its name, the node's name, ports."""
import glob
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

name, node, *ports = sys.argv[1:]
certs = "/var/lib/docker/ucp/ucp-node-certs"
with open("/proc/self/comm", "w", encoding="ascii") as comm:
    comm.write(name)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


def hold(port):
    address = "127.0.0.1" if port == "10248" else "0.0.0.0"
    listener = socket.create_server((address, int(port)))
    while True:
        connection, _ = listener.accept()
        connection.close()


def keep_pods():
    shown = subprocess.run(
        ["docker", "ps", "-aq", "--filter", "label=io.kubernetes.pod.uid", "--filter", "status=exited"], capture_output=True, text=True, check=False
    )
    if shown.stdout.split():
        subprocess.run(["docker", "start", *shown.stdout.split()], check=False)
    for volume in glob.glob("/var/lib/kubelet/pods/*/volumes/*/*"):
        if not os.path.ismount(volume):
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", volume], check=True)
            with open(f"{volume}/token", "w", encoding="ascii") as token:
                token.write("token\n")


def beat():
    context = ssl.create_default_context(cafile=f"{certs}/ca.pem")
    context.load_cert_chain(f"{certs}/cert.pem", f"{certs}/key.pem")
    path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}"
    while True:
        keep_pods()
        try:
            connection = http.client.HTTPSConnection("127.0.0.1", 6444, context=context, timeout=10)
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": node}, "spec": {"renewTime": time.time()}}
            connection.request("PUT", path, json.dumps(lease))
            connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            print(error, flush=True)
        time.sleep(5)


for port in ports:
    threading.Thread(target=hold, args=(port,), daemon=True).start()
if name == "kubelet":
    beat()
while True:
    time.sleep(3600)
