# Gives the service of the cluster's DNS the address that k0s tells kubelets. An address cannot be changed, so a service
# with another one is removed, and k0s makes its own.
. lib/base.sh
. lib/k0s.sh
. lib/objects.sh

# For wait_for: the address in $seen.
dns_right() {
    ask -n kube-system get service kube-dns --ignore-not-found -o 'jsonpath={.spec.clusterIP}' && [ "$seen" = "$CLUSTER_DNS" ]
}

probe() {
    need_k0s
    if dns_right; then is_done; fi
    not_done "the service has the address ${seen:-that k0s will give it}"
}

run() {
    if dns_right; then return 0; fi
    kube get services --all-namespaces --no-headers \
        -o custom-columns=IP:.spec.clusterIP,NS:.metadata.namespace,NAME:.metadata.name >"$MKECTL_WORK/services" ||
        later "cannot list services"
    holder=$(awk -v ip="$CLUSTER_DNS" '$1 == ip { print $2 "/" $3 }' "$MKECTL_WORK/services")
    case $holder in
    '' | kube-system/kube-dns) ;;
    *) unplanned "the service $holder has the address $CLUSTER_DNS, which the cluster's DNS needs: give it another" ;;
    esac
    kube -n kube-system delete service kube-dns --ignore-not-found || later "cannot remove the service kube-dns"
    wait_for "k0s to make the service kube-dns with the address $CLUSTER_DNS" dns_right
}
. lib/main.sh
