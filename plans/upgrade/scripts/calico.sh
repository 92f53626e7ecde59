# Hands Calico over to its operator: asks k0s to install the operator's chart, with the address pools as they are, and
# waits for the network on the nodes that have moved. The others keep the Calico that MKE 3 runs on them.
. lib/base.sh
. lib/k0s.sh
. lib/objects.sh

release=tigera-operator

# A line for each pool: what must be the same afterwards.
list_pools() {
    kube get ippools.crd.projectcalico.org --no-headers -o custom-columns=NAME:.metadata.name,CIDR:.spec.cidr,BLOCK:.spec.blockSize,VXLAN:.spec.vxlanMode,IPIP:.spec.ipipMode,NAT:.spec.natOutgoing,NODES:.spec.nodeSelector,OFF:.spec.disabled
}

# The pools as the operator's configuration has them. A pool that it does not know it would make, over addresses in use.
pool_values() {
    echo "    ipPools:"
    while read -r name cidr block vxlan ipip nat nodes off; do
        case $ipip/$vxlan in
        Always/*) how=IPIP ;;
        CrossSubnet/*) how=IPIPCrossSubnet ;;
        */Always) how=VXLAN ;;
        */CrossSubnet) how=VXLANCrossSubnet ;;
        *) how=None ;;
        esac
        echo "    - name: $name"
        echo "      cidr: $cidr"
        if [ "$block" != "<none>" ]; then echo "      blockSize: $block"; fi
        echo "      encapsulation: $how"
        if [ "$nat" = true ]; then echo "      natOutgoing: Enabled"; else echo "      natOutgoing: Disabled"; fi
        if [ "$nodes" != "<none>" ]; then echo "      nodeSelector: $nodes"; fi
        if [ "$off" = true ]; then echo "      disableNewAllocations: true"; fi
    done <"$MKECTL_WORK/pools"
}

# BGP carries routes where packets are not wrapped in VXLAN, and to peers outside.
needs_bgp() {
    awk '$4 != "Always" { found = 1 } END { exit !found }' "$MKECTL_WORK/pools" && return 0
    peers=$(kube get bgppeers.crd.projectcalico.org -o name) || later "cannot list BGP peers"
    [ -n "$peers" ]
}

values() {
    if needs_bgp; then bgp=Enabled; else bgp=Disabled; fi
    pool_values >"$MKECTL_WORK/pool-values"
    awk -v pools="$MKECTL_WORK/pool-values" -v bgp="$bgp" -v registry="$IMAGE_REGISTRY" '
        { sub(/\r$/, "") }
        /^    bgp:/ { next }
        { print }
        /^installation:/ && registry != "" { print "  registry: " registry "/" }
        /^  calicoNetwork:/ {
            print "    bgp: " bgp
            while ((getline line <pools) > 0) print line
        }
        END { if (registry != "") print "tigeraOperator:\n  registry: " registry }
    ' "$CALICO"
}

# For wait_for: all nodes that k0s serves have a network.
moved_nodes_ready() {
    kube get nodes --no-headers \
        -o 'custom-columns=NAME:.metadata.name,KUBELET:.status.nodeInfo.kubeletVersion,READY:.status.conditions[?(@.type=="Ready")].status' \
        >"$MKECTL_WORK/nodes" || return 1
    seen=$(awk -v ours="${k0s_version%.*}" '$2 == ours { found = 1; if ($3 != "True") print $1 " is not Ready" }
        END { if (!found) print "k0s serves no node" }' "$MKECTL_WORK/nodes")
    [ -z "$seen" ]
}

# In $seen.
network_runs() {
    ask -n calico-system get daemonset calico-node -o 'jsonpath={.status.numberReady}' || return 1
    [ "${seen:-0}" -gt 0 ] || return 1
    moved_nodes_ready
}

probe() {
    need_k0s
    [ -e "$MKECTL_WORK/pools" ] || not_done "the operator is not installed"
    read_version
    read_chart "$CHART"
    chart_installed "$release" || partly_done "the operator is not installed: $seen"
    network_runs || partly_done "Calico is not ready: $seen"
    same_pools || partly_done "the address pools have changed"
    is_done
}

run() {
    same_store pools
    read_version
    read_chart "$CHART"
    if grep -q '^    ipPools:' "$CALICO"; then
        unplanned "the Calico values of the plan have address pools of their own: they come from the cluster"
    fi
    grep -q '^  calicoNetwork:' "$CALICO" || unplanned "the Calico values of the plan have no installation.calicoNetwork"
    if [ ! -e "$MKECTL_WORK/pools" ]; then
        list_pools >"$MKECTL_WORK/pools.read" || later "cannot list the address pools"
        [ -s "$MKECTL_WORK/pools.read" ] || unplanned "the cluster has no address pool of Calico: is its data in Kubernetes?"
        note pools <"$MKECTL_WORK/pools.read"
    fi
    values >"$MKECTL_WORK/values" || fail "cannot write to $MKECTL_WORK"
    install_chart "$release" "$CHART" tigera-operator <"$MKECTL_WORK/values"
    wait_for "k0s to install Calico's operator" chart_installed "$release"
    wait_for "the network of the nodes that have moved" network_runs
}

same_pools() { list_pools >"$MKECTL_WORK/pools.now" && cmp -s "$MKECTL_WORK/pools" "$MKECTL_WORK/pools.now"; }

verify() {
    read_version
    network_runs || fail "Calico is not ready: $seen"
    if ! same_pools; then
        cat "$MKECTL_WORK/pools.now" >&2
        fail "the address pools are not as before: see the lines above, and $MKECTL_WORK/pools"
    fi
}
. lib/main.sh
