# Makes the managers controllers by label and taint, and cordons every node that k0s' kubelet does not serve yet: without
# the node lifecycle controller such a node looks Ready, and new pods would wait on it for ever.
. lib/base.sh
. lib/k0s.sh
. lib/objects.sh

role='node-role.kubernetes.io/control-plane'
taint='node-role.kubernetes.io/master'
old_taint=com.docker.ucp.manager

# A line for each node: name, version of its kubelet, true where it is cordoned.
list_nodes() {
    kube get nodes --no-headers \
        -o custom-columns=NAME:.metadata.name,KUBELET:.status.nodeInfo.kubeletVersion,CORDONED:.spec.unschedulable \
        >"$MKECTL_WORK/nodes"
}

# Nodes that have not moved and take new pods.
open_nodes() { awk -v ours="${k0s_version%.*}" '$2 != ours && $3 != "true" { print $1 }' "$MKECTL_WORK/nodes"; }

# NODE KEY: it has this taint.
tainted() {
    ask get node "$1" -o "jsonpath={.spec.taints[?(@.key==\"$2\")].key}" || later "cannot read the node $1: $seen"
    [ -n "$seen" ]
}

# NODE
is_controller() {
    ask get node "$1" -o "jsonpath={.metadata.labels.node-role\.kubernetes\.io/control-plane}" ||
        later "cannot read the node $1: $seen"
    [ "$seen" = true ]
}

probe() {
    need_k0s
    [ -e "$MKECTL_WORK/cordoned-before" ] || not_done "nothing was changed"
    read_version
    list_nodes || cannot_tell "cannot list the nodes"
    [ -z "$(open_nodes)" ] || partly_done "nodes that have not moved take new pods"
    for manager in $MANAGERS; do
        if ! is_controller "$manager" || tainted "$manager" "$old_taint"; then
            partly_done "$manager is not a controller by label and taint"
        fi
    done
    is_done
}

run() {
    same_store cordoned-before
    read_version
    list_nodes || later "cannot list the nodes"
    # Only the first look tells what was cordoned before.
    if [ ! -e "$MKECTL_WORK/cordoned-before" ]; then
        awk '$3 == "true" { print $1 }' "$MKECTL_WORK/nodes" >"$MKECTL_WORK/cordoned" || fail "cannot write to $MKECTL_WORK"
        note cordoned-before <"$MKECTL_WORK/cordoned"
    fi
    hand_on cordoned-before
    for manager in $MANAGERS; do
        kube label node "$manager" "$role=true" --overwrite || later "cannot label $manager"
        # Who was kept off managers stays off; who was not, is not.
        if tainted "$manager" "$old_taint"; then
            kube taint node "$manager" "$taint=:NoSchedule" --overwrite || later "cannot taint $manager"
            kube taint node "$manager" "$old_taint-" || later "cannot remove a taint of $manager"
        fi
    done
    for node in $(open_nodes); do
        kube cordon "$node" || later "cannot cordon $node"
    done
}
. lib/main.sh
