# Takes a snapshot of MKE 3's etcd to see that it can be taken, copied and read, and looks for objects that are stored in a
# version which the new API server cannot decode: they have to be written anew while MKE 3 still serves.
. lib/base.sh
. lib/kv.sh

inside=/tmp/mkectl-rehearsal-$tag.db

probe() { not_done "this only looks"; }

run() {
    # It holds all secrets of the cluster and is of no use afterwards.
    trap 'rm -f "$MKECTL_WORK/rehearsal.db"; docker exec ucp-kv rm -f "$inside"' EXIT
    alarms=$(kv alarm list) || later "etcd of MKE 3 does not answer"
    [ -z "$alarms" ] || unplanned "etcd of MKE 3 has an alarm, which has to be cleared first: $alarms"
    kv endpoint health --cluster >/dev/null || later "not all members of MKE 3's etcd are healthy: see the lines above"
    kv snapshot save "$inside" >/dev/null || later "etcd could not save a snapshot; is the disk full?"
    docker cp "ucp-kv:$inside" "$MKECTL_WORK/rehearsal.db" ||
        fail "cannot copy the snapshot out of ucp-kv; is the disk full?"
    "$ETCDUTL" snapshot status --write-out fields "$MKECTL_WORK/rehearsal.db" >"$MKECTL_WORK/status" ||
        fail "the snapshot cannot be read"
    keys=$(awk '$1 == "\"Keys\"" { print $3 }' "$MKECTL_WORK/status")
    [ "${keys:-0}" -gt 0 ] || fail "the snapshot has no keys"
    say "the snapshot has $keys keys and $(wc -c <"$MKECTL_WORK/rehearsal.db") bytes"

    : >"$MKECTL_WORK/unreadable"
    while read -r version kind; do
        if [ -n "$kind" ]; then look_for "$version" "$kind"; fi
    done <"$UNREADABLE"
    if [ -s "$MKECTL_WORK/unreadable" ]; then
        cat "$MKECTL_WORK/unreadable" >&2
        unplanned "the new API server cannot decode the objects above: write them anew under MKE 3 (kubectl get, then" \
            "kubectl replace), or delete them"
    fi
}

verify() { :; }

# VERSION KIND: notes how many objects of the kind are stored in this version. Keys begin with the kind in lower case, in the
# singular or plural. Values are protocol buffers, in which the kind follows the version, or JSON. A printable byte may come
# before the version, which is its length.
look_for() {
    resource=$(printf '%s' "${2%y}" | tr '[:upper:]' '[:lower:]')
    kv get --prefix "/registry/$resource" --print-value-only >"$MKECTL_WORK/values" </dev/null ||
        later "etcd of MKE 3 does not list $2"
    found=$(tr -cs '[:print:]' '\n' <"$MKECTL_WORK/values" | awk -v version="$1" -v kind="$2" '
        index($0, "\"apiVersion\":\"" version "\"") && index($0, "\"kind\":\"" kind "\"") { found++ }
        $0 == kind && substr(before, length(before) - length(version) + 1) == version &&
            length(before) <= length(version) + 1 { found++ }
        { before = $0 }
        END { print found + 0 }')
    rm -f "$MKECTL_WORK/values"
    if [ "$found" -gt 0 ]; then echo "$found objects of kind $2 are stored as $1" >>"$MKECTL_WORK/unreadable"; fi
}
. lib/main.sh
