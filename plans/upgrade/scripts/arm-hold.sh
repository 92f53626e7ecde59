# Lays ready a condition for the start of Docker and of MKE's shim between it and the kubelet: while /var/lib/mkectl/hold is
# there, neither systemd nor a reboot nor a docker command starts them. On the way back it takes the condition away and starts
# them and what ran beside MKE 3; a manager waits for the leader of the swarm.
. lib/base.sh
. lib/docker.sh

# What ran beside MKE 3, until it was started again.
beside=$MKECTL_WORK/beside

condition() { printf '[Unit]\nConditionPathExists=!%s\n' "$hold"; }

probe() {
    laid=0 missing=
    held_units
    for unit in $held; do
        name_drop_in "$unit"
        if [ -f "$drop_in" ] && [ "$(cat "$drop_in")" = "$(condition)" ]; then
            laid=$((laid + 1))
            case " $(systemctl show -p DropInPaths --value "$unit") " in
            *" $drop_in "*) ;;
            *) partly_done "systemd has not read $drop_in" ;;
            esac
        else
            missing=$unit
        fi
    done
    [ -n "$missing" ] || is_done
    [ "$laid" -eq 0 ] || partly_done "$missing does not have the condition yet"
    if [ -e "$MKECTL_WORK/armed" ] && ! docker_runs; then
        partly_done "the condition is gone, but Docker was not started again"
    fi
    [ ! -e "$hold" ] || partly_done "the condition is gone, but not what it looks at, $hold"
    not_done "Docker starts whenever it is asked to"
}

run() {
    : >"$MKECTL_WORK/armed" || fail "cannot write $MKECTL_WORK/armed"
    held_units
    for unit in $held; do
        name_drop_in "$unit"
        condition | replace "$drop_in" 644
    done
    systemctl daemon-reload || fail "systemd cannot read its units again"
}

docker_answers() {
    seen=$(docker info --format '{{.ServerVersion}}' 2>&1)
}

in_swarm() {
    seen=$(docker info --format '{{.Swarm.LocalNodeState}}' 2>&1)
    [ "$seen" = active ]
}

leader_there() { seen=$(docker node ls --format '{{.Hostname}}' 2>&1); }

undo() {
    if [ ! -e "$MKECTL_WORK/armed" ]; then return 0; fi
    if [ -s "$hold" ]; then replace "$beside" 600 <"$hold"; fi
    rm -f "$hold" || fail "cannot remove $hold"
    held_units
    for unit in $held; do
        name_drop_in "$unit"
        rm -f "$drop_in" || fail "cannot remove $drop_in"
        # Others may have drop-ins there.
        rmdir "${drop_in%/*}" 2>/dev/null
    done
    systemctl daemon-reload || fail "systemd cannot read its units again"
    # A socket that was asked while it was held has failed, and stays so.
    # shellcheck disable=SC2086
    systemctl reset-failed $held 2>/dev/null
    systemctl start docker.socket docker.service || later "Docker does not start; see journalctl -u docker"
    wait_for "Docker to answer" docker_answers
    for unit in $known; do
        systemctl start "$unit" || later "$unit does not start; see journalctl -u $unit"
    done
    if [ -s "$beside" ]; then
        while read -r name; do
            look_at_container "$name"
            [ "$running" != false ] || docker start "$name" || warn "cannot start $name, which ran before"
        done <"$beside"
        rm -f "$beside"
    fi
    wait_for "this host to be in the swarm again" in_swarm
    if [ "$ROLE" = manager ]; then
        wait_for "the swarm to have a leader, which takes more than half of the managers" leader_there
    fi
    [ ! -e "$hold" ] || fail "$hold is still there, and would hold Docker the next time"
    rm -f "$MKECTL_WORK/armed"
}

. lib/main.sh
