# Starts this manager as a controller that joins the others, waits until its etcd member is let in, its API server ready
# and its node Ready, and lets new pods in.
. lib/base.sh
. lib/k0s.sh

probe() {
    if [ ! -e "$MKECTL_WORK/begun" ]; then not_done "k0s is not installed"; fi
    if ! systemctl is-active --quiet k0scontroller; then partly_done "k0scontroller is not active"; fi
    api_ready || partly_done "the API server is not ready: $seen"
    node_ready || partly_done "the node is not Ready: $seen"
    revoked || partly_done "the token is not revoked"
    uncordoned || partly_done "the node is cordoned"
    is_done
}

revoked() {
    token_forgotten && ask get secret "bootstrap-token-$TOKEN_ID" -n kube-system --ignore-not-found -o name &&
        [ -z "$seen" ]
}

run() {
    claim k0scontroller.service
    place_k0s "$K0S"
    read_version
    if ! systemctl is-active --quiet k0scontroller; then
        place_carried "$KEYS"
        k0s_yaml "$K0S_CONFIG" >"$MKECTL_WORK/k0s.yaml" || fail "cannot write to $MKECTL_WORK"
        set_aside /etc/k0s/k0s.yaml
        replace /etc/k0s/k0s.yaml 0600 <"$MKECTL_WORK/k0s.yaml"
        place_token
        install_k0s controller --enable-worker=true --config=/etc/k0s/k0s.yaml --token-file=/etc/k0s/k0stoken
        own_carried
        start_k0s k0scontroller 2379 2380 6443 8132 9443 10250
    fi
    wait_for "the API server of this host and its etcd member" api_ready
    right_ca "$DATA_DIR/pki/ca.crt"
    wait_for "the kubelet of this k0s on $NODE_NAME" node_registered
    wait_for "the node $NODE_NAME to be Ready" node_ready
    let_pods_in
    kube delete secret "bootstrap-token-$TOKEN_ID" -n kube-system --ignore-not-found || later "cannot revoke the token"
    forget_token
}

verify() {
    "$k0s" etcd member-list --data-dir="$DATA_DIR" >"$MKECTL_WORK/members" || fail "etcd does not list its members"
    grep -qF "https://$(in_url "$NODE_IP"):2380" "$MKECTL_WORK/members" || fail "etcd does not have this member"
    right_ca "$DATA_DIR/pki/ca.crt"
    node_ready || fail "the node $NODE_NAME is not Ready: $seen"
    uncordoned || fail "the node $NODE_NAME takes no new pods"
    revoked || fail "the token is not revoked"
}

undo() {
    [ -e "$MKECTL_WORK/begun" ] || return 0
    # While enough members are there the others are better off without this one. In a rollback they stop side by side,
    # and their store is thrown away.
    if systemctl is-active --quiet k0scontroller && api_ready; then
        timeout 30 "$k0s" etcd leave --data-dir="$DATA_DIR" --peer-address "$NODE_IP" ||
            warn "the etcd member stays on the list of the others"
    fi
    forget_token
    put_back /etc/k0s/k0stoken
    unplace_carried
    put_back /etc/k0s/k0s.yaml
    remove_k0s k0scontroller.service images
}
. lib/main.sh
