# Reads what a manager knows of the cluster: swarm, etcd, Kubernetes. Argument: namespaces of MKE 3 and Kubernetes themselves,
# whose pods are not users'.
. facts/base.sh

swarm() {
    is cluster.id "$(within 20 docker info --format '{{with .Swarm.Cluster}}{{.ID}}{{end}}' 2>/dev/null)"
    if ! ids=$(within 20 docker node ls --quiet 2>/dev/null); then
        dunno swarm-node "this manager does not list the nodes of the swarm: it has no leader"
        dunno service "this manager does not list the services of the swarm: it has no leader"
        return
    fi
    # shellcheck disable=SC2086
    # Ids are letters and digits. ManagerStatus is there for managers only.
    if shown=$(within 60 docker node inspect --format '{{.ID}}{{"\t"}}{{.Description.Hostname}}{{"\t"}}{{.Status.State}}{{"\t"}}{{.Spec.Role}}{{"\t"}}{{.Spec.Availability}}{{"\t"}}{{with .ManagerStatus}}{{.Leader}}{{end}}{{"\t"}}{{json .Spec.Labels}}' $ids 2>/dev/null); then
        list swarm-node
        printf '%s\n' "$shown" | while IFS= read -r line; do has swarm-node "$line"; done
    else
        dunno swarm-node "this manager does not tell of the nodes of the swarm"
    fi
    if shown=$(within 20 docker service ls --format '{{.Name}}' 2>/dev/null); then
        list service
        printf '%s\n' "$shown" | while IFS= read -r line; do
            if [ -n "$line" ]; then has service "$line"; fi
        done
    else
        dunno service "this manager does not list the services of the swarm"
    fi
}

kv() {
    within 30 docker exec --env ETCDCTL_API=3 ucp-kv etcdctl --endpoints https://127.0.0.1:2379 \
        --cacert /etc/docker/ssl/ca.pem --cert /etc/docker/ssl/cert.pem --key /etc/docker/ssl/key.pem "$@" 2>/dev/null
}

# Answers of etcdctl are JSON on one line. It ends with 1 when one member does not answer, and tells of the others.
etcd() {
    status=$(kv endpoint status --cluster --write-out json) || :
    case $status in
    '['*)
        is etcd.status "$status"
        # All are asked for what they had at a revision that all have.
        revision=$(printf '%s\n' "$status" | grep -o '"revision":[0-9]*' | sort -t : -k 2 -n | head -n 1)
        if hashes=$(kv endpoint hashkv --cluster --rev "${revision#*:}" --write-out json); then
            is etcd.hashes "$hashes"
        else
            dunno etcd.hashes "not all members of etcd tell the hash of their keys"
        fi
        ;;
    *) dunno etcd.status "etcd does not answer" ;;
    esac
    # With one that is not healthy it ends with 1.
    health=$(kv endpoint health --cluster --write-out json) || :
    case $health in
    '['*) is etcd.health "$health" ;;
    *) dunno etcd.health "etcd does not answer" ;;
    esac
    if alarms=$(kv alarm list); then
        list etcd.alarm
        # memberID:12345 alarm:NOSPACE
        printf '%s\n' "$alarms" | while read -r member alarm _; do
            if [ -n "$member" ]; then has etcd.alarm "${alarm#alarm:}"; fi
        done
    else
        dunno etcd.alarm "etcd does not tell its alarms"
    fi
    # "Authentication Status: false"
    case $(kv auth status) in
    *': true'*) is etcd.auth true ;;
    *': false'*) is etcd.auth false ;;
    *) dunno etcd.auth "etcd does not tell whether it wants a login" ;;
    esac
}

# kubectl of the kubelet's image, with the certificates that MKE's own components use, through the proxy of this node.
certs=/var/lib/docker/ucp/ucp-node-certs
kube() {
    within 120 docker exec ucp-kubelet kubectl --server https://127.0.0.1:6444 --certificate-authority "$certs/ca.pem" \
        --client-certificate "$certs/cert.pem" --client-key "$certs/key.pem" --request-timeout 60s "$@" 2>/dev/null
}

# NAME RESOURCE JSONPATH OPTIONS...: a list with a member for each line that the template prints.
objects() {
    _name=$1 _resource=$2 _template=$3
    shift 3
    if _shown=$(kube get "$_resource" --output "jsonpath=$_template" "$@"); then
        list "$_name"
        printf '%s\n' "$_shown" | while IFS= read -r _line; do
            if [ -n "$_line" ]; then has "$_name" "$_line"; fi
        done
    else
        dunno "$_name" "the API of Kubernetes does not list $_resource"
    fi
}

kubernetes() {
    if ! about=$(kube get --raw /version); then
        dunno kubernetes "the API of Kubernetes does not answer this manager"
        return
    fi
    # "gitVersion": "v1.31.7-mirantis-1"
    is kubernetes-version "$(printf '%s\n' "$about" | sed -n 's/.*"gitVersion" *: *"\([^"]*\)".*/\1/p' | head -n 1)"
    objects node nodes '{range .items[*]}{.metadata.name}{"\t"}{.status.conditions[?(@.type=="Ready")].status}{"\t"}{.status.addresses[?(@.type=="InternalIP")].address}{"\t"}{.metadata.labels}{"\t"}{.spec.taints}{"\n"}{end}'
    pods
    objects node-port services '{range .items[*].spec.ports[?(@.nodePort)]}{.nodePort}{"\n"}{end}' --all-namespaces
    objects health-port services '{range .items[?(@.spec.healthCheckNodePort)]}{.spec.healthCheckNodePort}{"\n"}{end}' --all-namespaces
    objects csi-driver csidrivers '{range .items[*]}{.metadata.name}{"\n"}{end}'
    objects crd customresourcedefinitions '{range .items[*]}{.metadata.name}{"\n"}{end}'
    objects cluster-role clusterroles '{range .items[*]}{.metadata.name}{"\n"}{end}'
    objects webhook validatingwebhookconfigurations,mutatingwebhookconfigurations \
        '{range .items[*]}{.metadata.name}{range .webhooks[*]}{"\t"}{.failurePolicy}/{.clientConfig.service.name}{end}{"\n"}{end}'
    objects apiservice apiservices '{range .items[?(@.spec.service)]}{.metadata.name}{"\t"}{.status.conditions[?(@.type=="Available")].status}{"\n"}{end}'
    objects namespace namespaces '{range .items[*]}{.metadata.name}{"\t"}{.status.phase}{"\n"}{end}'
    objects ip-pool ippools.crd.projectcalico.org '{range .items[*]}{.spec.cidr}{"\n"}{end}'
    objects bgp-peer bgppeers.crd.projectcalico.org '{range .items[*]}{.metadata.name}{"\n"}{end}'
    objects workload deployments,daemonsets,statefulsets '{range .items[*]}{.metadata.namespace}/{.metadata.name}{"\t"}{.spec.template.spec.containers[*].image}{"\n"}{end}' --all-namespaces
    volumes
    # apiserver_requested_deprecated_apis{group="",version="v1",resource="componentstatuses",subresource="",removed_release=""} 1
    if metrics=$(kube get --raw /metrics); then
        list deprecated
        printf '%s\n' "$metrics" | grep '^apiserver_requested_deprecated_apis{' | while IFS= read -r line; do
            has deprecated "$line"
        done
    else
        dunno deprecated "the API of Kubernetes does not show its metrics"
    fi
}

# How many pods of users there are on each node: with thousands of pods, the list would be long.
pods() {
    if ! shown=$(kube get pods --all-namespaces --output \
        'jsonpath={range .items[*]}{.metadata.namespace}{"\t"}{.status.phase}{"\t"}{.spec.nodeName}{"\n"}{end}'); then
        dunno user-pods "the API of Kubernetes does not list pods"
        return
    fi
    list user-pods
    printf '%s\n' "$shown" | while IFS=$tab read -r namespace phase node; do
        case " $system " in *" $namespace "*) continue ;; esac
        case $phase in Succeeded | Failed) continue ;; esac
        if [ -n "$node" ]; then printf '%s\n' "$node"; fi
    done | sort | uniq -c | while read -r count node; do has user-pods "$node$tab$count"; done
}

# Which plugin each volume names; the keys of its spec are looked at here, because there may be thousands.
volumes() {
    if ! shown=$(kube get persistentvolumes --output 'jsonpath={range .items[*]}{.spec}{"\n"}{end}'); then
        dunno volume "the API of Kubernetes does not list volumes"
        return
    fi
    list volume
    printf '%s\n' "$shown" | grep -oE '"(awsElasticBlockStore|azureDisk|azureFile|cephfs|cinder|flocker|gcePersistentDisk|gitRepo|glusterfs|quobyte|rbd|scaleIO|storageos|vsphereVolume)":' |
        tr -d '":' | sort | uniq -c | while read -r count plugin; do has volume "$plugin$tab$count"; done
}

system=$*
swarm
etcd
kubernetes
