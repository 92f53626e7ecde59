# Saves what the API of MKE 3 has that the upgrade may disturb, and what the end is compared with: webhooks, aggregated
# APIs, CRDs, disruption budgets, drivers, workloads with how many of each are ready, and a sample of who may do what.
. lib/base.sh
. lib/mke3.sh
. lib/access.sh

probe() { not_done "a list is only made for this run"; }

run() {
    rm -rf "$MKECTL_WORK/inventory.d"
    mkdir "$MKECTL_WORK/inventory.d" || fail "cannot write in $MKECTL_WORK"
    cd "$MKECTL_WORK/inventory.d" || fail "cannot use $MKECTL_WORK/inventory.d"
    for kind in validatingwebhookconfigurations mutatingwebhookconfigurations apiservices customresourcedefinitions \
        csidrivers runtimeclasses storageclasses; do
        save "$kind" --output yaml
    done
    save poddisruptionbudgets --all-namespaces --output yaml
    names='{range .items[*]}{.metadata.namespace}{" "}{.metadata.name}{" "}'
    for kind in deployments statefulsets; do
        list "$kind" --all-namespaces --output "jsonpath=$names"'{.spec.replicas}{" "}{.status.readyReplicas}{"\n"}{end}'
    done
    list daemonsets --all-namespaces \
        --output "jsonpath=$names"'{.status.desiredNumberScheduled}{" "}{.status.numberReady}{"\n"}{end}'
    for kind in jobs cronjobs services persistentvolumeclaims; do
        list "$kind" --all-namespaces --output "jsonpath=$names"'{"\n"}{end}'
    done
    list nodes --output 'jsonpath={range .items[*]}{.metadata.name}{" "}{.metadata.uid}{"\n"}{end}'
    list namespaces --output 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}'
    list persistentvolumes --output 'jsonpath={range .items[*]}{.metadata.name}{" "}{.status.phase}{"\n"}{end}'
    ask_access
    tar -cf "$MKECTL_WORK/inventory.new" -C "$MKECTL_WORK/inventory.d" . || fail "cannot pack the list: is the disk full?"
    mv -f "$MKECTL_WORK/inventory.new" "$MKECTL_WORK/inventory" || fail "cannot keep the list"
    hand_on inventory
}

# The answers of MKE 3, in access.
ask_access() {
    : >access
    count_questions
    [ "$count" -gt 0 ] || return 0
    questions with | mke3_kubectl create -f - --output "$answers" >access.lines ||
        later "the API of MKE 3 does not tell who may do what: see the line above"
    [ "$(grep -c . access.lines)" -eq "$count" ] || later "the API of MKE 3 did not answer all $count questions"
    sort access.lines >access && rm -f access.lines
}

# KIND OPTIONS...: the objects in KIND.yaml.
save() {
    kind=$1
    mke3_kubectl get "$@" >"$kind.yaml" || later "the API of MKE 3 does not list $kind: see the line above"
}

# KIND OPTIONS...: a line for each in KIND.
list() {
    kind=$1
    mke3_kubectl get "$@" >"$kind.lines" || later "the API of MKE 3 does not list $kind: see the line above"
    sort "$kind.lines" >"$kind" && rm -f "$kind.lines"
}

verify() { tar -tf "$MKECTL_WORK/inventory" >/dev/null || fail "the list cannot be read back"; }
. lib/main.sh
