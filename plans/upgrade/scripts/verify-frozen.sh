# Waits until no agent of MKE 3 and none of the containers with which it repairs the host was seen for a while.
. lib/base.sh
. lib/docker.sh

# Looks in a row without an agent that count as frozen: an agent that is placed again comes within seconds.
quiet=15

# What repairs: the agents' tasks, their containers of older versions, and the container that they start for a repair.
agents_run() {
    docker ps --format '{{.Names}}' >"$MKECTL_WORK/names" || later "Docker does not list its containers"
    agents=
    while read -r name; do
        case $name in
        ucp-agent | ucp-agent.* | ucp-*-agent.* | ucp-*-agent-x.* | ucp-reconcile | ucp-reconcile[.-]*)
            agents="$agents $name"
            ;;
        esac
    done <"$MKECTL_WORK/names"
    [ -n "$agents" ]
}

quiet_now() {
    looks=0
    while [ "$looks" -lt "$quiet" ]; do
        if agents_run; then
            seen="still running:$agents"
            return 1
        fi
        looks=$((looks + 1))
        sleep "$MKECTL_POLL"
    done
}

probe() { not_done "has to be looked at again"; }

run() {
    need_docker
    wait_for "the agents of MKE 3 to end on this host" quiet_now
}

. lib/main.sh
