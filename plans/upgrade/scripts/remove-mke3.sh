# Starts Docker once more, without a swarm, to remove the containers and volumes of MKE 3 by name. Then stops it for good.
# Volumes that are not in the list stay, and so do containers of others.
. lib/base.sh
. lib/docker.sh

# What Docker's start does to the policy of FORWARD is taken back: "TOOL POLICY" lines.
policies=$MKECTL_WORK/forward

disabled() {
    case $(systemctl is-enabled "$1" 2>/dev/null) in
    enabled*) return 1 ;;
    *) return 0 ;;
    esac
}

# What is still to be done: $wrong.
look() {
    wrong=
    [ -e "$MKECTL_WORK/emptied" ] || wrong="containers of MKE 3 are there"
    while read -r volume; do
        [ -z "$volume" ] || [ ! -e "$DOCKER_ROOT/volumes/$volume" ] || wrong="the volume $volume is there"
    done <"$VOLUMES"
    held_units
    for unit in $held; do
        ! unit_active "$unit" || wrong="$unit runs"
        disabled "$unit" || wrong="$unit starts with the host"
        name_drop_in "$unit"
        [ ! -e "$drop_in" ] || wrong="$unit has the condition of a held Docker"
    done
    [ ! -e "$hold" ] || wrong="$hold is there"
}

probe() {
    look
    [ -n "$wrong" ] || is_done
    [ ! -e "$MKECTL_WORK/began" ] || partly_done "$wrong"
    not_done "$wrong"
}

list_containers() {
    docker ps -aq --no-trunc --filter 'name=^/ucp-' --filter 'name=^/k8s_' >"$MKECTL_WORK/containers" ||
        fail "Docker does not list its containers"
}

# Only what Docker changes is put back, and only where it opened less than before.
note_policies() {
    [ ! -e "$policies" ] || return 0
    for tool in iptables ip6tables; do
        command -v $tool >/dev/null || continue
        case $($tool -S FORWARD 2>/dev/null) in
        "-P FORWARD ACCEPT"*) printf '%s\n' $tool ;;
        esac
    done | replace "$policies" 600
}

restore_policies() {
    while read -r tool; do
        "$tool" -P FORWARD ACCEPT || fail "cannot set the policy of FORWARD back with $tool"
    done <"$policies"
}

docker_answers() { seen=$(docker info --format '{{.Swarm.LocalNodeState}}' 2>&1); }

run() {
    [ ! -e "$DOCKER_ROOT/swarm/docker-state.json" ] ||
        unplanned "$DOCKER_ROOT/swarm still holds the state of the swarm, with which Docker would bring MKE 3 back"
    : >"$MKECTL_WORK/began" || fail "cannot write $MKECTL_WORK/began"
    note_policies
    rm -f "$hold" || fail "cannot remove $hold"
    systemctl reset-failed docker.socket docker.service 2>/dev/null
    systemctl start docker.socket docker.service || later "Docker does not start; see journalctl -u docker"
    wait_for "Docker to answer" docker_answers
    if [ "$seen" != inactive ]; then
        systemctl stop docker.socket docker.service
        unplanned "Docker came up in a swarm ($seen) and was stopped again"
    fi
    list_containers
    if [ -s "$MKECTL_WORK/containers" ]; then
        # Without their anonymous volumes, which may be somebody's data; without force, because none may run.
        xargs docker rm <"$MKECTL_WORK/containers" >/dev/null || fail "Docker could not remove all containers of MKE 3"
    fi
    list_containers
    [ ! -s "$MKECTL_WORK/containers" ] || fail "containers of MKE 3 are still there"
    : >"$MKECTL_WORK/emptied" || fail "cannot write $MKECTL_WORK/emptied"
    docker volume ls --format '{{.Name}}' >"$MKECTL_WORK/volumes" || fail "Docker does not list its volumes"
    while read -r volume; do
        grep -qxF -- "$volume" "$MKECTL_WORK/volumes" || continue
        docker volume rm "$volume" || fail "cannot remove the volume $volume"
    done <"$VOLUMES"
    held_units
    for unit in $held; do
        systemctl disable "$unit" || fail "cannot disable $unit"
        systemctl stop "$unit" || fail "cannot stop $unit"
    done
    restore_policies
    for unit in $held; do
        name_drop_in "$unit"
        rm -f "$drop_in" || fail "cannot remove the condition of $unit"
        rmdir "${drop_in%/*}" 2>/dev/null
    done
    systemctl daemon-reload || fail "systemd cannot read its units again"
    say "Docker is stopped and disabled, its data stays; start it with: systemctl enable --now docker"
}

. lib/main.sh
