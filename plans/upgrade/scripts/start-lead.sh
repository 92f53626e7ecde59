# Starts the first controller on the restored store, as a worker too, and waits until it serves this node.
. lib/base.sh
. lib/k0s.sh

probe() {
    if [ ! -e "$MKECTL_WORK/begun" ] && [ ! -e "$units/k0scontroller.service" ]; then not_done "k0s is not installed"; fi
    if ! systemctl is-active --quiet k0scontroller; then partly_done "k0scontroller is not active"; fi
    read_version
    api_ready || partly_done "the API server is not ready: $seen"
    node_registered || partly_done "the kubelet of this k0s does not serve $NODE_NAME: $seen"
    is_done
}

run() {
    [ -e "$DATA_DIR/etcd/member/snap/db" ] || unplanned "there is no store in $DATA_DIR/etcd to start on"
    [ -s "$DATA_DIR/pki/sa.key" ] || unplanned "there is no service account key in $DATA_DIR/pki"
    claim k0scontroller.service
    place_k0s "$K0S"
    read_version
    if ! systemctl is-active --quiet k0scontroller; then
        install_k0s controller --enable-worker=true --config=/etc/k0s/k0s.yaml
        own_carried
        start_k0s k0scontroller 2379 2380 6443 8132 9443 10250
    fi
    wait_for "the API server" api_ready
    wait_for "the kubelet of this k0s on $NODE_NAME" node_registered
    "$k0s" kubeconfig admin --data-dir="$DATA_DIR" >"$MKECTL_OUT/kubeconfig" || fail "k0s gives no kubeconfig"
    cp "$DATA_DIR/pki/ca.crt" "$MKECTL_OUT/ca" || fail "cannot hand on the CA"
    hash_file "$DATA_DIR/pki/ca.crt"
    printf '%s' "$sha256" >"$MKECTL_OUT/ca-hash" || fail "cannot hand on the hash of the CA"
}

verify() {
    api_ready || fail "the API server is not ready: $seen"
    # What an empty store would count from 1 goes on here from where MKE 3 stopped.
    ask get node "$NODE_NAME" -o 'jsonpath={.metadata.resourceVersion}' || fail "cannot read the node $NODE_NAME: $seen"
    [ "$seen" -ge "$REVISION" ] || fail "the API server does not serve what was restored: revision $seen, not $REVISION"
    # Secrets are what an encryption key that was not carried over makes unreadable.
    kube get secrets --all-namespaces -o name >"$MKECTL_WORK/secrets" || fail "the API server cannot read secrets"
    kube get namespaces,nodes,pods --all-namespaces -o name >"$MKECTL_WORK/objects" ||
        fail "the API server cannot read its objects"
    say "$(wc -l <"$MKECTL_WORK/objects") namespaces, nodes and pods, $(wc -l <"$MKECTL_WORK/secrets") secrets"
}

undo() {
    # Store and keys are of the two actions before, images of an earlier one.
    remove_k0s k0scontroller.service etcd etcd.new pki images
}
. lib/main.sh
