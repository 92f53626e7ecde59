# Compares this node with the record: k0s serves it, its pods run, and the data that Docker kept is where it was.
. lib/base.sh
. lib/k0s.sh
. lib/objects.sh

probe() { not_done "this is only compared"; }

# A controller asks as administrator, a worker as the kubelet of its node.
kube() {
    config=$DATA_DIR/pki/admin.conf
    [ -e "$config" ] || config=$DATA_DIR/kubelet.conf
    "$k0s" kubectl --kubeconfig "$config" "$@"
}

# For wait_for: no pod of this node waits for anything; $seen names the first that does.
pods_run() {
    kube get pods --all-namespaces --field-selector "spec.nodeName=$NODE_NAME" --no-headers \
        -o 'custom-columns=NS:.metadata.namespace,NAME:.metadata.name,PHASE:.status.phase,READY:.status.conditions[?(@.type=="Ready")].status,WHY:.status.containerStatuses[*].state.waiting.reason' \
        >"$MKECTL_WORK/pods" 2>"$MKECTL_WORK/errors" || {
        seen=$(tail -n 1 "$MKECTL_WORK/errors")
        return 1
    }
    seen=$(awk '$3 == "Succeeded" || ($3 == "Running" && $4 == "True") { next }
        { print $1 "/" $2 " is " $3 " " $5; exit }' "$MKECTL_WORK/pods")
    [ -z "$seen" ]
}

run() {
    rm -rf "${MKECTL_WORK:?}/before"
    tar -xf "$STATE" -C "$MKECTL_WORK" || fail "cannot unpack the record of the state before"
    read_version
    wait_for "the kubelet of k0s on $NODE_NAME" node_registered
    wait_for "the node $NODE_NAME to be Ready" node_ready
    wait_for "the pods of this node" pods_run
    say "$(grep -c . "$MKECTL_WORK/pods") pods run"
    volumes
}

# Volumes that held data are still where Docker kept them; Docker itself cannot be asked any more.
volumes() {
    awk '$2 != "is" { print $1 }' "$MKECTL_WORK/before/volumes" | sort -u >"$MKECTL_WORK/volumes" ||
        fail "the record has no volumes"
    while read -r volume; do
        [ -d "$DOCKER_ROOT/volumes/$volume" ] || fail "the volume $volume is not in $DOCKER_ROOT/volumes any more"
    done <"$MKECTL_WORK/volumes"
    say "$(grep -c . "$MKECTL_WORK/volumes") volumes are there"
}

verify() { pods_run || fail "$seen"; }
. lib/main.sh
