# Objects in the store of k0s. Scripts that use it include lib/k0s.sh too.

# Probes begin with it: the store that holds what was done is that of a k0s that runs.
need_k0s() { systemctl is-active --quiet k0scontroller || not_done "k0s does not run here"; }

# FILE...: forgets them in MKECTL_WORK when they are of a store that a rollback threw away. Every restored store gets a CA
# of its own.
same_store() {
    hash_file "$DATA_DIR/pki/ca.crt"
    if [ "$(cat "$MKECTL_WORK/store" 2>/dev/null)" = "$sha256" ]; then return 0; fi
    for _name in "$@"; do rm -rf "${MKECTL_WORK:?}/$_name"; done
    printf '%s' "$sha256" >"$MKECTL_WORK/store" || fail "cannot write to $MKECTL_WORK"
}

# NAME: standard input becomes $MKECTL_WORK/NAME, whole or not at all. Its directory is there.
note() {
    if ! cat >"$MKECTL_WORK/$1.new" || ! mv -f "$MKECTL_WORK/$1.new" "$MKECTL_WORK/$1"; then
        fail "cannot write to $MKECTL_WORK"
    fi
}

# ARGUMENT...: what kubectl prints goes to $seen. Fails with the reason in it.
ask() {
    if seen=$(kube "$@" 2>"$MKECTL_WORK/errors"); then return 0; fi
    # Discovery complains of aggregated APIs that do not answer, whatever was asked.
    seen=$(grep -v memcache.go "$MKECTL_WORK/errors" | tail -n 1)
    return 1
}

# For wait_for: NAMESPACE DEPLOYMENT.
deployed() {
    ask -n "$1" get deployment "$2" -o 'jsonpath={.status.conditions[?(@.type=="Available")].status}' &&
        [ "$seen" = True ]
}

# A pod that is made nowhere: whether anything stands in the way of pods.
pods_let_in() {
    kube create --dry-run=server -f - >/dev/null 2>"$MKECTL_WORK/errors" <<'end' && return 0
apiVersion: v1
kind: Pod
metadata: {generateName: mkectl-probe-, namespace: default}
spec: {restartPolicy: Never, containers: [{name: probe, image: pause}]}
end
    seen=$(grep -v memcache.go "$MKECTL_WORK/errors" | tail -n 1)
    return 1
}

# CHART: its name and version from the archive, in $chart_name and $chart_version.
read_chart() {
    _about=$(tar -tzf "$1" | grep -m 1 '^[^/]*/Chart\.yaml$') || fail "$1 is no Helm chart"
    tar -xzOf "$1" "$_about" >"$MKECTL_WORK/Chart.yaml" || fail "cannot read $1"
    chart_name=$(sed -n 's/^name: *//p' "$MKECTL_WORK/Chart.yaml" | tr -d "\"'")
    chart_version=$(sed -n 's/^version: *//p' "$MKECTL_WORK/Chart.yaml" | tr -d "\"'")
    if [ -z "$chart_name" ] || [ -z "$chart_version" ]; then fail "$1 does not tell its name and version"; fi
}

# NAME PLACE NAMESPACE: asks k0s to install a chart, version $chart_version from PLACE, with values from standard input.
# k0s has Helm built in; hosts have none.
install_chart() {
    {
        cat <<end
apiVersion: helm.k0sproject.io/v1beta1
kind: Chart
metadata:
  name: $1
  namespace: kube-system
  finalizers: [helm.k0sproject.io/uninstall-helm-release]
spec:
  chartName: $2
  releaseName: $1
  version: "$chart_version"
  namespace: $3
  timeout: 10m0s
  values: |
end
        sed 's/^/    /'
    } >"$MKECTL_WORK/chart.yaml" || fail "cannot write to $MKECTL_WORK"
    kube apply --server-side --force-conflicts --field-manager=mkectl -f "$MKECTL_WORK/chart.yaml" ||
        later "k0s does not take the chart $1"
}

# For wait_for: NAME of a chart that k0s has installed in the version that is wanted.
chart_installed() {
    if ! ask -n kube-system get charts.helm.k0sproject.io "$1" \
        -o 'jsonpath={.status.releaseName} {.status.version} {.status.error}'; then
        return 1
    fi
    [ "$seen" = "$1 $chart_version " ]
}
