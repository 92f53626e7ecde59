#!/bin/bash
# Gives the cluster what only one host can: objects of Kubernetes and services of the swarm. Arguments: the version of MKE,
# names of hosts.
set -eu
version=$1
shift
address=$(docker info --format '{{.Swarm.NodeAddr}}')
for _ in $(seq 120); do
    if etcdctl --endpoints "https://$address:12379" --cacert /opt/certs/ca.pem --cert /opt/certs/cert.pem \
        --key /opt/certs/key.pem endpoint health --cluster; then break; fi
    sleep 0.5
done
python3 /opt/mke3/seed.py "$address" "$@"
# NAME IMAGE ROLE MODE COMMAND...
service() {
    local name=$1 image=$2 role=$3 mode=$4 options=()
    shift 4
    case $name in ucp-*) options=(--label "com.docker.ucp.version=$version" --mount "type=bind,src=/var/run/docker.sock,dst=/var/run/docker.sock") ;; esac
    [ "$mode" = global ] && options+=(--mode global) || options+=(--replicas "$mode")
    docker service create --detach --no-resolve-image --name "$name" --constraint "node.role == $role" \
        --mount type=bind,src=/usr,dst=/usr,ro --mount type=bind,src=/opt/mke3,dst=/opt/mke3,ro "${options[@]}" "$image" "$@"
}
service ucp-auth-api "mirantis/ucp-auth:$version" manager global /opt/mke3/stay.sh
service ucp-auth-worker "mirantis/ucp-auth:$version" manager global /opt/mke3/stay.sh
service ucp-manager-agent "mirantis/ucp-agent:$version" manager global /opt/mke3/agent.sh host
service ucp-worker-agent-x "mirantis/ucp-agent:$version" worker global /opt/mke3/agent.sh host
service ucp-cluster-agent "mirantis/ucp-agent:$version" manager 1 /opt/mke3/agent.sh cluster
service legacy-web nginx:1.27 worker 1 /opt/mke3/stay.sh
for _ in $(seq 120); do
    if ! docker service ls --format '{{.Replicas}}' | awk -F/ '$1 != $2 { exit 1 }'; then
        sleep 0.5
        continue
    fi
    if kubectl --server "https://$address:6444" --certificate-authority /opt/certs/ca.pem --client-certificate /opt/certs/cert.pem \
        --client-key /opt/certs/key.pem get nodes -o name && curl -fsk https://127.0.0.1:443/_ping; then exit 0; fi
    sleep 0.5
done
docker service ls
exit 1
