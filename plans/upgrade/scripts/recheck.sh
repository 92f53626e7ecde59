# Looks once more, right before the outage, whether the host is as planned and MKE 3 is healthy.
. lib/base.sh
. lib/docker.sh

probe() { not_done "this only looks"; }

run() {
    proxy=$(docker inspect --type container --format '{{.Config.Image}} {{.State.Status}}' ucp-proxy) ||
        unplanned "MKE 3 does not run on this host: there is no container ucp-proxy"
    [ "${proxy##*[: ]}" = running ] || unplanned "the container ucp-proxy does not run"
    case ${proxy% *} in
    *:"$MKE_VERSION") ;;
    *) unplanned "MKE 3 is of another version than the plan says, $MKE_VERSION: its proxy is ${proxy% *}" ;;
    esac
    state=$(docker info --format '{{.Swarm.LocalNodeState}}') || later "Docker does not answer on this host"
    [ "$state" = active ] || unplanned "this host is not in the swarm: its state is ${state:-unknown}"
    docker ps --all --filter name=ucp-kubelet --format '{{.State}}' >"$MKECTL_WORK/kubelet" || later "Docker does not answer"
    grep -qx running "$MKECTL_WORK/kubelet" || unplanned "the kubelet of MKE 3 does not run on $NODE_NAME"
    if is_manager; then check_manager; fi
    [ ! -e /usr/local/bin/k0s ] || unplanned "k0s is installed on this host already: /usr/local/bin/k0s"
    if systemctl is-active --quiet k0scontroller.service k0sworker.service; then
        unplanned "k0s runs on this host already"
    fi
    for entry in "$DATA_DIR/pki" "$DATA_DIR/etcd"; do
        [ ! -e "$entry" ] || unplanned "$entry is there already, from another k0s: move it away"
    done
}

check_manager() {
    docker node ls --format '{{.Hostname}} {{.Status}}' >"$MKECTL_WORK/nodes" || later "the swarm has no leader"
    if grep -v ' Ready$' "$MKECTL_WORK/nodes" >&2; then later "the nodes above are not Ready in the swarm: see to them"; fi
    ping=$(curl -qsSk --noproxy '*' --max-time 20 https://127.0.0.1:443/_ping 2>&1)
    [ "$ping" = OK ] || later "MKE 3 is not healthy on this manager: it says $ping"
}

verify() { :; }
. lib/main.sh
