# Installs the operator of MKE 4k with the Helm of k0s, hands it the configuration and waits until it says that all
# components are ready.
. lib/base.sh
. lib/k0s.sh
. lib/objects.sh

config=mkeconfigs.mke.mirantis.com

# The name of the configuration, as its file has it.
read_name() { name=$(awk '/^metadata:/ { on = 1; next } /^[^ ]/ { on = 0 } on && $1 == "name:" { print $2; exit }' "$MKE4_CONFIG"); }

# For wait_for. What the operator says of an older configuration does not count.
ready() {
    if ! ask -n mke get "$config" "$name" \
        -o 'jsonpath={.metadata.generation} {.status.observedGeneration} {.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].message}'; then
        return 1
    fi
    # shellcheck disable=SC2086 # Words.
    set -- $seen
    [ "$#" -ge 3 ] && [ "$1" = "$2" ] && [ "$3" = True ]
}

defined() { ask get customresourcedefinition "$config" -o name; }

# DEFINITION: k0s has it. That an API server does not answer is no answer.
has() {
    ask get customresourcedefinition "$1" --ignore-not-found -o name || later "cannot ask k0s for the definition $1: $seen"
    [ -n "$seen" ]
}

# Within two minutes. After a loss of power k0s is up before its API server is.
answers() {
    _until=$(($(date +%s) + 120))
    until api_ready; do
        [ "$(date +%s)" -lt "$_until" ] || return 1
        sleep "$MKECTL_POLL"
    done
}

probe() {
    need_k0s
    [ -f "$CHART" ] || not_done "the chart of the operator was not brought to this host"
    read_chart "$CHART"
    read_name
    if ! ask -n kube-system get charts.helm.k0sproject.io "$chart_name" --ignore-not-found -o name; then
        not_done "k0s has no charts: $seen"
    fi
    [ -n "$seen" ] || not_done "the operator is not installed"
    chart_installed "$chart_name" || partly_done "the operator is not installed: $seen"
    ready || partly_done "MKE 4k is not ready: $seen"
    is_done
}

run() {
    if grep -q 'mkectl-secret:' "$MKE4_CONFIG"; then
        unplanned "the configuration has places for secrets that nobody filled in: set them and go on"
    fi
    read_chart "$CHART"
    read_name
    # By name, and not the file of this host: any controller may be the one that installs charts.
    # Where Mirantis has its charts: the default of spec.registries.chartRegistry in the MKE 4k configuration.
    registry=${CHART_REGISTRY:-oci://registry.mirantis.com/mke}
    install_chart "$chart_name" "${registry%/}/$chart_name" mke </dev/null
    wait_for "k0s to install the operator of MKE 4k" chart_installed "$chart_name"
    wait_for "the operator's definitions" defined
    kube apply --server-side --force-conflicts --field-manager=mkectl -f "$MKE4_CONFIG" ||
        later "the operator does not take the configuration"
    wait_for "the components of MKE 4k" ready
}

# Definitions stay: with them every object of their kinds would go. A k0s that is broken does not keep the way back waiting:
# what cannot be taken from its store goes with it.
undo() {
    systemctl is-active --quiet k0scontroller || return 0
    if ! answers; then
        say "the API server of k0s does not answer ($seen): the operator of MKE 4k goes with the store of k0s"
        return 0
    fi
    read_name
    if has "$config"; then
        kube -n mke delete "$config" "$name" --ignore-not-found --wait=false || later "cannot remove the configuration"
        wait_for "the operator to remove the components of MKE 4k" gone -n mke get "$config" "$name"
    fi
    # The file of the chart is on the host before anything is done with it. Where it is not, mkectl was lost before that.
    if [ -f "$CHART" ] && has charts.helm.k0sproject.io; then
        read_chart "$CHART"
        kube -n kube-system delete charts.helm.k0sproject.io "$chart_name" --ignore-not-found --wait=false ||
            later "cannot remove the chart of the operator"
        wait_for "k0s to remove the operator of MKE 4k" gone -n kube-system get charts.helm.k0sproject.io "$chart_name"
    fi
}

# For wait_for: ARGUMENT... of a get that finds nothing.
gone() {
    ask "$@" --ignore-not-found -o name || return 1
    [ -z "$seen" ]
}
. lib/main.sh
