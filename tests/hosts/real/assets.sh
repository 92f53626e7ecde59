#!/bin/bash
# Makes what an upgrade brings to the hosts, for `mkectl --asset`. Arguments: the directory, versions of k0s, etcd and Calico,
# and of MKE 4k. etcdutl is the real one.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${MKECTL_REAL_CACHE:-/var/tmp/mkectl-real-cache}
to=$1 k0s=$2 etcd=$3 calico=$4 mke=$5
mkdir -p "$to/etcd-v$etcd-linux-amd64"
sed "s/@VERSION@/$k0s/" "$here/k0s.py" >"$to/k0s"
cp "$cache"/newer/tree/usr/bin/{etcdctl,etcdutl} "$to/etcd-v$etcd-linux-amd64/"
tar -C "$to" -czf "$to/etcd-tools.tar.gz" "etcd-v$etcd-linux-amd64"
chart() {
    mkdir -p "$to/chart/$2"
    printf 'apiVersion: v2\nname: %s\nversion: %s\n' "$2" "$3" >"$to/chart/$2/Chart.yaml"
    tar -C "$to/chart" -czf "$to/$1.tgz" "$2"
}
chart calico-chart tigera-operator "$calico"
chart mke-operator-chart mke-operator "$mke"
rm -rf "$to/chart" "$to/etcd-v$etcd-linux-amd64"
