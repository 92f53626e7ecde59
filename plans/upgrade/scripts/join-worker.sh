# Starts k0s on this worker under the node's old name, waits until the node is Ready and lets new pods in.
. lib/base.sh
. lib/k0s.sh

# The kubelet may read and change its own node, and nothing else.
kube() { "$k0s" kubectl --kubeconfig "$DATA_DIR/kubelet.conf" "$@"; }

probe() {
    if [ ! -e "$MKECTL_WORK/begun" ]; then not_done "k0s is not installed"; fi
    if ! systemctl is-active --quiet k0sworker; then partly_done "k0sworker is not active"; fi
    [ -e "$DATA_DIR/kubelet.conf" ] || partly_done "the worker has not joined"
    node_ready || partly_done "the node is not Ready: $seen"
    uncordoned || partly_done "the node is cordoned"
    token_forgotten || partly_done "the token is still on the host"
    is_done
}

run() {
    claim k0sworker.service
    place_k0s "$K0S"
    read_version
    if ! systemctl is-active --quiet k0sworker; then
        place_token
        install_k0s worker --token-file=/etc/k0s/k0stoken
        start_k0s k0sworker 10250
    fi
    wait_for "the kubelet to be let in" joined
    wait_for "the kubelet of this k0s on $NODE_NAME" node_registered
    wait_for "the node $NODE_NAME to be Ready" node_ready
    let_pods_in
    forget_token
}

joined() {
    seen="k0sworker is $(unit_state k0sworker)"
    [ -e "$DATA_DIR/kubelet.conf" ]
}

undo() {
    [ -e "$MKECTL_WORK/begun" ] || return 0
    forget_token
    put_back /etc/k0s/k0stoken
    remove_k0s k0sworker.service images
}
. lib/main.sh
