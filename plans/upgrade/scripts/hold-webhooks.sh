# Saves and removes webhooks and aggregated APIs that pods of the cluster serve: no such pod runs yet, pods of the network
# would have to be let in by them, and they cannot run without a network.
. lib/base.sh
. lib/k0s.sh
. lib/objects.sh

kinds="apiservices mutatingwebhookconfigurations validatingwebhookconfigurations"

# KIND: names of those that are served from inside the cluster, except what k0s itself brings.
served_inside() {
    case $1 in
    apiservices) _services='{.spec.service.name}' ;;
    *) _services='{.webhooks[*].clientConfig.service.name}' ;;
    esac
    kube get "$1" -o "jsonpath={range .items[*]}{.metadata.name}|{.metadata.labels.k0s\.k0sproject\.io/stack}|$_services{\"\\n\"}{end}" \
        >"$MKECTL_WORK/list" || later "cannot list $1"
    awk -F '|' '$2 == "" && $3 != "" { print $1 }' "$MKECTL_WORK/list"
}

# PATH: a part of the object as JSON; null where there is none.
part() {
    _part=$(kube get "$kind" "$name" -o "jsonpath={$1}") || later "cannot read $kind/$name"
    printf '%s' "${_part:-null}"
}

# KIND NAME: all that its owner decided, without what the server adds, so that it can be made again.
save() {
    kind=$1 name=$2
    case $kind in
    apiservices) what='apiregistration.k8s.io/v1 APIService spec' ;;
    mutatingwebhookconfigurations) what='admissionregistration.k8s.io/v1 MutatingWebhookConfiguration webhooks' ;;
    *) what='admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration webhooks' ;;
    esac
    # shellcheck disable=SC2086 # Three words.
    set -- $what
    printf '{"apiVersion": "%s", "kind": "%s", "metadata": {"name": "%s", "labels": %s, "annotations": %s, "ownerReferences": %s}, "%s": %s}\n' \
        "$1" "$2" "$name" "$(part .metadata.labels)" "$(part .metadata.annotations)" \
        "$(part .metadata.ownerReferences)" "$3" "$(part ".$3")" >"$MKECTL_WORK/object" ||
        fail "cannot write to $MKECTL_WORK"
    note "held/$kind.$name" <"$MKECTL_WORK/object"
}

probe() {
    need_k0s
    [ -e "$MKECTL_WORK/saved" ] || not_done "nothing was set aside"
    for kind in $kinds; do
        names=$(served_inside "$kind") || cannot_tell "cannot list $kind"
        [ -z "$names" ] || partly_done "$kind are there: $names"
    done
    is_done
}

run() {
    same_store held saved
    mkdir -p "$MKECTL_WORK/held" || fail "cannot write to $MKECTL_WORK"
    for kind in $kinds; do
        names=$(served_inside "$kind") || exit $?
        for name in $names; do
            save "$kind" "$name"
            [ -s "$MKECTL_WORK/held/$kind.$name" ] || fail "$kind/$name was not saved, so it stays"
            kube delete "$kind" "$name" || later "cannot remove $kind/$name"
        done
    done
    tar -cf "$MKECTL_WORK/saved.new" -C "$MKECTL_WORK" held || fail "cannot pack what was set aside: is the disk full?"
    if ! sync "$MKECTL_WORK/saved.new" || ! mv -f "$MKECTL_WORK/saved.new" "$MKECTL_WORK/saved"; then
        fail "cannot keep what was set aside"
    fi
    hand_on saved
}

verify() {
    [ -s "$MKECTL_WORK/saved" ] || fail "what was set aside is lost"
    for kind in $kinds; do
        names=$(served_inside "$kind") || exit $?
        [ -z "$names" ] || fail "$kind are there again: $names; stop what makes them, and go on"
    done
    wait_for "the API server to let pods in" pods_let_in
}
. lib/main.sh
