# Notes how MKE 3 looks on this host while it is healthy. The undo, on the way back, waits until it looks like that again.
. lib/base.sh
. lib/docker.sh
. lib/mke3.sh

probe() { not_done "the state is only noted, or waited for"; }

run() {
    # The first note is of a healthy host; a later attempt may find it half stopped.
    if [ ! -e "$MKECTL_WORK/health" ]; then
        look || later "MKE 3 is not healthy on this host: $seen"
        mv -f "$MKECTL_WORK/now" "$MKECTL_WORK/health" || fail "cannot keep the note"
    fi
    hand_on health
}

verify() { [ -s "$MKECTL_WORK/health" ] || fail "nothing is noted"; }

undo() {
    [ -e "$MKECTL_WORK/health" ] || return 0
    wait_for "MKE 3 to be healthy again" as_before
    rm -f "$MKECTL_WORK/health"
}

as_before() {
    look || return 1
    comm -23 "$MKECTL_WORK/health" "$MKECTL_WORK/now" >"$MKECTL_WORK/missing"
    if [ -s "$MKECTL_WORK/missing" ]; then
        seen="not yet there: $(tr '\n' ';' <"$MKECTL_WORK/missing")"
        return 1
    fi
}

# Writes sorted lines to "now": containers of MKE 3 that run, the swarm, the node. Fails with the reason in $seen.
look() {
    seen="Docker does not answer"
    docker info --format 'swarm {{.Swarm.LocalNodeState}}' >"$MKECTL_WORK/looked" || return 1
    docker ps --filter name=ucp- --format '{{.Names}}' >"$MKECTL_WORK/names" || return 1
    while read -r name; do
        case $name in
        # Those of services and pods get new names, and this one comes and goes.
        k8s_* | *.*.* | ucp-reconcile) ;;
        *) echo "container $name" ;;
        esac
    done <"$MKECTL_WORK/names" >>"$MKECTL_WORK/looked"
    if is_manager; then
        seen=$(curl -qsSk --noproxy '*' --max-time 20 https://127.0.0.1:443/_ping 2>&1)
        [ "$seen" = OK ] || return 1
        echo "ping OK" >>"$MKECTL_WORK/looked"
    fi
    seen=$(mke3_kubectl get node "$NODE_NAME" \
        --output 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>&1) || return 1
    if [ "$seen" != True ]; then
        seen="the node $NODE_NAME is not Ready"
        return 1
    fi
    echo "node $NODE_NAME Ready" >>"$MKECTL_WORK/looked"
    sort "$MKECTL_WORK/looked" >"$MKECTL_WORK/now"
}
. lib/main.sh
