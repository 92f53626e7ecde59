#!/bin/bash
# Prints what a rollback must bring back on this host, one line each, sorted. Argument: prefixes of etcd keys that change by
# themselves, one word each.
set -eu
passing=("$@")
{
    # Names of swarm tasks and the hosts that they run on change by nature; how many run of each service does not.
    docker ps -a --format '{{.Names}} {{.Image}} {{.State}} {{.Label "com.docker.swarm.service.name"}}' |
        awk '$4 == "" { print "container", $1, $2, $3 }'
    docker ps -aq --no-trunc | while read -r id; do
        docker inspect --type container --format \
            'settings {{.Name}} {{json .HostConfig.RestartPolicy}} {{json .HostConfig.Binds}} {{json .Config.Cmd}} {{json .Config.Labels}}' "$id"
    done | grep -v 'com.docker.swarm.task' || :
    docker volume ls --format 'volume {{.Name}}'
    docker network ls --format 'network {{.Name}} {{.Driver}} {{.Scope}}'
    docker images --no-trunc --format 'image {{.Repository}}:{{.Tag}} {{.ID}}'
    docker info --format 'swarm {{.Swarm.NodeID}} {{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}'
    if [ "$(docker info --format '{{.Swarm.ControlAvailable}}')" = true ]; then
        docker node ls --format 'node {{.Hostname}} {{.Status}} {{.Availability}}'
        docker service ls --format 'tasks {{.Name}} {{.Replicas}}'
        docker service ls -q | while read -r id; do
            # Docker sorts the mounts of a service whenever it is changed.
            docker service inspect --format '{{range .Spec.TaskTemplate.ContainerSpec.Mounts}}{{println "mount of" .Source .Target .ReadOnly}}{{end}}' "$id" |
                sed "/./s/^/service $id /; /^$/d"
            docker service inspect --format 'service {{.ID}} {{.Spec.Name}} {{json .Spec.Mode}} {{json .Spec.Labels}} {{with .Spec.TaskTemplate.Placement}}{{range .Constraints}} {{.}}{{end}}{{end}}' "$id"
        done
        docker exec ucp-kv etcdctl --endpoints https://127.0.0.1:2379 --cacert /etc/docker/ssl/ca.pem --cert /etc/docker/ssl/cert.pem \
            --key /etc/docker/ssl/key.pem get --prefix '' --write-out json | python3 /opt/mke3/keys.py "${passing[@]}"
    fi
    # Volumes of databases that write by themselves are looked at through their servers.
    find /var/lib/docker/volumes -type f ! -path '*/ucp-kv/_data/*' ! -name metadata.db -exec sha256sum {} + | sed 's/^/content /'
    # Accounts that k0s made stay, because what was moved aside belongs to them.
    find /etc /usr/local /var/lib/kubelet /var/lib/calico /root -xdev -type f ! -path '*.mkectl-*' \
        ! -path '/etc/passwd*' ! -path '/etc/group*' ! -path '/etc/shadow*' ! -path '/etc/gshadow*' -exec sha256sum {} + | sed 's/^/file /'
    find /etc/systemd/system -type l -printf 'link %p %l\n'
    findmnt -rno TARGET,FSTYPE | grep '^/var/lib/kubelet/' | sed 's/^/mount /'
    for unit in docker.service docker.socket containerd.service cri-dockerd-mke.service cri-dockerd-mke.socket k0scontroller.service k0sworker.service; do
        systemctl show -p Id,LoadState,ActiveState,UnitFileState,DropInPaths "$unit" | tr '\n' ' ' | sed 's/^/unit /'
        echo
    done
    sysctl net.ipv4.ip_forward kernel.panic kernel.panic_on_oops vm.overcommit_memory net.bridge.bridge-nf-call-iptables | sed 's/^/sysctl /'
    for tool in iptables-nft-save ip6tables-nft-save; do
        $tool 2>/dev/null | grep '^:\(KUBE-\|cali-\|DOCKER\)' | sed 's/ \[.*//' | sort -u | sed "s/^/$tool /"
    done
} | sort
