#!/bin/bash
# Starts the MKE 3 of this host, in real containers of a real Docker. Arguments: the version of MKE, the address of this
# host, addresses of the managers.
#
# Images are empty but for links: programs come from the host by a mount, so that an image takes no time and no room.
set -eu
version=$1 address=$2
shift 2
managers=("$@")
cd /opt/mke3
manager=
for one in "${managers[@]}"; do [ "$one" != "$address" ] || manager=1; done

# ---------------------------------------------------------------------------------------------------------------- images

root=$(mktemp -d)
mkdir -p "$root"/{etc,tmp,var,root,run,opt}
ln -s usr/bin "$root/bin"
ln -s usr/sbin "$root/sbin"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
# A digest that differs per name, as images do.
import() {
    echo "$1" >"$root/etc/image"
    tar -C "$root" -c . | docker import --change "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin" - "$1" >/dev/null
}
for name in auth-store cfssl controller hyperkube etcd swarm agent auth pause calico-node node-feature-discovery; do
    import "mirantis/ucp-$name:$version"
done
for name in quay.io/k0sproject/pause:3.9 quay.io/k0sproject/coredns:1.12.0 nginx:1.27; do import "$name"; done
rm -rf "$root"
# The installer's image is run without our mounts.
root=$(mktemp -d)
mkdir -p "$root/bin" "$root/var/run"
cp "$(command -v busybox)" "$root/bin/busybox"
for program in sh cat sleep head tail wget echo; do ln -s busybox "$root/bin/$program"; done
cp installer "$root/bin/ucp-tool"
tar -C "$root" -c . | docker import --change 'ENTRYPOINT ["/bin/ucp-tool"]' - "mirantis/ucp:$version" >/dev/null
rm -rf "$root"

# --------------------------------------------------------------------------------------------------------------- volumes

# VOLUME FILE...
fill() {
    local volume=$1 mountpoint
    shift
    docker volume create "$volume" >/dev/null
    mountpoint=$(docker volume inspect --format '{{.Mountpoint}}' "$volume")
    [ $# -eq 0 ] || install -m 600 "$@" "$mountpoint"
}
pair=(/opt/certs/ca.pem /opt/certs/cert.pem /opt/certs/key.pem)
fill ucp-node-certs "${pair[@]}" /opt/certs/service_account_key.pem
# MKE's own components look for it here, inside and outside of containers.
mkdir -p /var/lib/docker/ucp
ln -sfn ../volumes/ucp-node-certs/_data /var/lib/docker/ucp/ucp-node-certs
if [ -n "$manager" ]; then
    for volume in ucp-auth-api-certs ucp-auth-store-certs ucp-auth-worker-certs ucp-client-root-ca ucp-cluster-root-ca \
        ucp-controller-client-certs ucp-controller-server-certs ucp-kv-certs; do
        fill "$volume" "${pair[@]}"
    done
    for volume in ucp-auth-store-data ucp-auth-worker-data ucp-backup ucp-kv ucp-metrics-data ucp-metrics-inventory; do
        fill "$volume"
    done
    echo inventory >"$(docker volume inspect --format '{{.Mountpoint}}' ucp-metrics-inventory)/inventory.json"
fi
docker volume create orders-data >/dev/null
echo "orders of $(hostname)" >"$(docker volume inspect --format '{{.Mountpoint}}' orders-data)/orders.db"

# ----------------------------------------------------------------------------------------------------------------- files

mkdir -p /etc/cni/net.d /var/lib/kubelet /var/lib/calico
echo '{"name": "k8s-pod-network", "cniVersion": "0.3.1", "plugins": [{"type": "calico"}]}' >/etc/cni/net.d/10-calico.conflist
printf 'apiVersion: v1\nkind: Config\n' >/etc/cni/net.d/calico-kubeconfig
printf '{"policyName":"none","defaultCpuSet":"","checksum":1353318690}' >/var/lib/kubelet/cpu_manager_state
printf '{"policyName":"None","machineState":{},"entries":{},"checksum":4236770233}' >/var/lib/kubelet/memory_manager_state
chmod 600 /etc/cni/net.d/* /var/lib/kubelet/*_manager_state
systemctl start cri-dockerd-mke.socket cri-dockerd-mke.service

# ------------------------------------------------------------------------------------------------------------ containers

mounts=(-v /usr:/usr:ro -v /opt/mke3:/opt/mke3:ro)
nodes=(-v ucp-node-certs:/var/lib/docker/ucp/ucp-node-certs)
# NAME IMAGE OPTION... -- COMMAND...
start() {
    local name=$1 image=$2 options=()
    shift 2
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    docker run -d --name "$name" --restart unless-stopped --label "com.docker.ucp.version=$version" \
        --label com.docker.ucp.InstanceID=mkectl-test "${mounts[@]}" "${options[@]}" "mirantis/ucp-$image:$version" "$@" >/dev/null
}
stay=/opt/mke3/stay.sh

if [ -n "$manager" ]; then
    cluster=
    for one in "${managers[@]}"; do cluster=$cluster${cluster:+,}orca-kv-$one=https://$one:12380; done
    start ucp-kv etcd -p 12379:2379 -p 12380:2380 -v ucp-kv:/data -v ucp-kv-certs:/etc/docker/ssl -- \
        etcd --name "orca-kv-$address" --data-dir /data/datav3 --listen-client-urls https://0.0.0.0:2379 \
        --advertise-client-urls "https://$address:12379" --listen-peer-urls https://0.0.0.0:2380 \
        --initial-advertise-peer-urls "https://$address:12380" --initial-cluster "$cluster" --initial-cluster-state new \
        --snapshot-count 20000 --client-cert-auth --peer-client-cert-auth \
        --trusted-ca-file /etc/docker/ssl/ca.pem --cert-file /etc/docker/ssl/cert.pem --key-file /etc/docker/ssl/key.pem \
        --peer-trusted-ca-file /etc/docker/ssl/ca.pem --peer-cert-file /etc/docker/ssl/cert.pem --peer-key-file /etc/docker/ssl/key.pem
    start ucp-auth-store auth-store -p 12383:12383 -p 12384:12384 -v ucp-auth-store-data:/var/data -v ucp-auth-store-certs:/tls -- \
        python3 /opt/mke3/authstore.py
    start ucp-client-root-ca cfssl -p 12382:12382 -v ucp-client-root-ca:/etc/cfssl -- $stay
    start ucp-cluster-root-ca cfssl -p 12381:12381 -v ucp-cluster-root-ca:/etc/cfssl -- $stay
    start ucp-swarm-manager swarm -p 2376:2375 "${nodes[@]}" -- $stay
    certs=/var/lib/docker/ucp/ucp-node-certs
    start ucp-kube-apiserver hyperkube --network host "${nodes[@]}" -- \
        python3 /opt/mke3/apiserver.py --name=kube-apiserver --etcd-servers="https://$address:12379" --etcd-cafile=$certs/ca.pem \
        --etcd-certfile=$certs/cert.pem --etcd-keyfile=$certs/key.pem --secure-port=12388 \
        --client-ca-file=$certs/ca.pem --tls-cert-file=$certs/cert.pem --tls-private-key-file=$certs/key.pem \
        --service-account-key-file=$certs/service_account_key.pem \
        --service-account-signing-key-file=$certs/service_account_key.pem --git-version=v1.31.7-mirantis-1
    start ucp-kube-controller-manager hyperkube --network host "${nodes[@]}" -- $stay
    start ucp-kube-scheduler hyperkube --network host "${nodes[@]}" -- $stay
    start ucp-controller controller -p 443:8080 -p 6443:8081 "${nodes[@]}" \
        -v ucp-controller-server-certs:/var/lib/docker/ucp/ucp-controller-server-certs -- \
        python3 /opt/mke3/controller.py "$address"
fi
start ucp-proxy agent -p 6444:6444 -p 12376:2376 -p 12378:12378 "${nodes[@]}" -- python3 /opt/mke3/proxy.py 6444 12388 "${managers[@]}"
start ucp-kubelet hyperkube --network host --cap-add SYS_ADMIN --security-opt apparmor=unconfined "${nodes[@]}" \
    -v /var/lib/kubelet:/var/lib/kubelet:rshared -v /var/run/docker.sock:/var/run/docker.sock -- python3 /opt/mke3/kubelet.py kubelet "$(hostname)" 10250 10248
start ucp-kube-proxy hyperkube --network host "${nodes[@]}" -- python3 /opt/mke3/kubelet.py kube-proxy "$(hostname)" 10256

# Pods, as the kubelet has Docker run them.
# POD CONTAINER IMAGE [NAMESPACE]
pod() {
    local uid suffix
    uid=$(printf '%s %s' "$(hostname)" "$1" | md5sum | sed 's/^\(.\{8\}\)\(.\{4\}\)\(.\{4\}\)\(.\{4\}\)\(.\{12\}\).*/\1-\2-\3-\4-\5/')
    suffix=$(printf %.5s "$uid")
    mkdir -p "/var/lib/kubelet/pods/$uid/volumes/kubernetes.io~projected/kube-api-access-$suffix"
    for container in POD "$2"; do
        docker run -d --name "k8s_${container}_$1-${suffix}_${4:-kube-system}_${uid}_0" --label io.kubernetes.pod.uid="$uid" \
            --label io.kubernetes.container.name="$container" --label io.kubernetes.pod.name="$1-$suffix" \
            --label io.kubernetes.pod.namespace="${4:-kube-system}" --label annotation.io.kubernetes.pod.terminationGracePeriod=30 \
            "${mounts[@]}" "$([ "$container" = POD ] && echo "mirantis/ucp-pause:$version" || echo "$3")" $stay >/dev/null
    done
}
pod calico-node calico-node "mirantis/ucp-calico-node:$version"
pod web web nginx:1.27 shop
# What a user runs beside MKE.
docker run -d --name legacy --restart always "${mounts[@]}" -v orders-data:/data nginx:1.27 $stay >/dev/null
