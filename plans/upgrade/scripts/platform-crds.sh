# Looks for definitions and namespaces of others under names that MKE 4k brings: replacing a definition may delete every
# object of its kind.
. lib/base.sh
. lib/k0s.sh

probe() { not_done "this is only looked at"; }

# API groups that MKE 4k's components bring, and the namespaces that it installs into.
groups="mke.mirantis.com k0rdent.mirantis.com dex.coreos.com cert-manager.io acme.cert-manager.io cluster.x-k8s.io
    infrastructure.cluster.x-k8s.io controlplane.cluster.x-k8s.io bootstrap.cluster.x-k8s.io addons.cluster.x-k8s.io
    source.toolkit.fluxcd.io helm.toolkit.fluxcd.io velero.io gateway.networking.k8s.io gateway.envoyproxy.io
    config.projectsveltos.io lib.projectsveltos.io monitoring.coreos.com"
spaces="mke k0rdent projectsveltos"

run() {
    # Gatekeeper only comes where the configuration turns it on.
    if awk '/opaGatekeeper:/ { on = 1; next } on && /enabled:/ { found = $2 == "true"; exit } END { exit !found }' "$MKE4_CONFIG"; then
        groups="$groups templates.gatekeeper.sh config.gatekeeper.sh constraints.gatekeeper.sh"
    fi
    kube get customresourcedefinitions --no-headers \
        -o 'custom-columns=GROUP:.spec.group,NAME:.metadata.name,RELEASE:.metadata.annotations.meta\.helm\.sh/release-namespace,BY:.metadata.labels.app\.kubernetes\.io/managed-by' \
        >"$MKECTL_WORK/definitions" || later "cannot list definitions"
    kube get namespaces --no-headers \
        -o 'custom-columns=NAME:.metadata.name,BY:.metadata.labels.app\.kubernetes\.io/managed-by,RELEASE:.metadata.annotations.meta\.helm\.sh/release-namespace' \
        >"$MKECTL_WORK/namespaces" || later "cannot list namespaces"
    kube -n kube-system get charts.helm.k0sproject.io --no-headers -o custom-columns=NAME:.metadata.name \
        >"$MKECTL_WORK/charts" || later "cannot list the charts of k0s"
    # Once the operator's chart is there, all of this is its own.
    if grep -qx mke-operator "$MKECTL_WORK/charts"; then return 0; fi
    others=$(
        awk -v groups="$groups" 'BEGIN { split(groups, list, /[ \n]+/); for (at in list) ours[list[at]] }
            $1 in ours && $4 != "mkectl" { print "the definition " $2 }' "$MKECTL_WORK/definitions"
        awk -v spaces="$spaces" 'BEGIN { split(spaces, list, " "); for (at in list) ours[list[at]] }
            $1 in ours && $2 != "mkectl" { print "the namespace " $1 }' "$MKECTL_WORK/namespaces"
    )
    [ -z "$others" ] && return 0
    warn "$others"
    unplanned "the cluster has what MKE 4k brings, from somebody else: remove it, or move its objects elsewhere, then make a new plan"
}
. lib/main.sh
