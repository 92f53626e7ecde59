# Waits until all managers are members of etcd and their API servers are ready, and this one's node is Ready.
. lib/base.sh
. lib/k0s.sh

probe() { not_done "it is looked at again whenever it is asked for"; }

run() {
    wait_for "the API server" api_ready
    wait_for "the members of etcd" members_there
    wait_for "the API servers of all managers" servers_there
    wait_for "the node $NODE_NAME to be Ready" node_ready
}

# All managers, and nobody else.
members_there() {
    seen=$("$k0s" etcd member-list --data-dir="$DATA_DIR" 2>&1) || return 1
    count=0
    for address in $MANAGERS; do
        case $seen in *"\"https://$(in_url "$address"):2380\""*) ;; *) return 1 ;; esac
        count=$((count + 1))
    done
    [ "$(printf '%s' "$seen" | grep -o '"https://[^"]*"' | wc -l)" -eq "$count" ]
}

# Each under its own address: the service `kubernetes` leads to the load balancer.
servers_there() {
    for address in $MANAGERS; do
        if ! ask --server "https://$(in_url "$address"):6443" get --raw /readyz || [ "$seen" != ok ]; then
            seen="$address: $seen"
            return 1
        fi
    done
}

verify() { run; }
. lib/main.sh
