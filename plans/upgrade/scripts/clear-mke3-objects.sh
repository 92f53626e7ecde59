# Removes the system workloads of MKE 3 by exact name, with their pods, and keeps a copy. k0s brings some under the same
# name, which it can only make when the old ones are gone.
. lib/base.sh
. lib/k0s.sh
. lib/objects.sh

# RESOURCE/NAMESPACE/NAME: split into $kind, $place and $name.
split() {
    kind=${1%%/*}
    name=${1#*/}
    place=${name%%/*}
    name=${name#*/}
}

# The object of $kind, $place and $name that MKE 3 made: its UID in $uid, empty where there is none.
find_old() {
    ask -n "$place" get "$kind" "$name" --ignore-not-found \
        -o 'jsonpath={.metadata.uid}|{.metadata.labels.k0s\.k0sproject\.io/stack}' || later "cannot read $kind $name: $seen"
    uid=${seen%%|*}
    [ "${seen#*|}" = "" ] || uid=
    # What came under the name of one that was removed is not MKE's.
    if [ -n "$uid" ] && [ -e "$MKECTL_WORK/removed/$kind/$place/$name" ]; then
        [ "$uid" = "$(cat "$MKECTL_WORK/uids/$kind.$place.$name")" ] || uid=
    fi
}

# Pods whose owner is $uid, or a ReplicaSet of it. On nodes that have not moved nobody would confirm that they ended: they
# run on under Docker, for the network there, and are no longer this store's affair.
forget_pods() {
    owners=$uid
    path='{range .items[*]}{.metadata.name}|{.metadata.ownerReferences[*].uid}|{.metadata.uid}{"\n"}{end}'
    kube -n "$place" get replicasets -o "jsonpath=$path" >"$MKECTL_WORK/list" || later "cannot list replicasets"
    while IFS='|' read -r _ owner set; do
        if [ "$owner" = "$uid" ]; then owners="$owners $set"; fi
    done <"$MKECTL_WORK/list"
    printf '%s\n' "$owners" | note "owners/$kind.$place.$name"
}

remove_pods() {
    for owners in "$MKECTL_WORK"/owners/*; do
        [ -e "$owners" ] || continue
        place=${owners##*/}
        place=${place#*.}
        place=${place%%.*}
        kube -n "$place" get pods -o 'jsonpath={range .items[*]}{.metadata.name}|{.metadata.ownerReferences[*].uid}{"\n"}{end}' \
            >"$MKECTL_WORK/list" || later "cannot list pods"
        while IFS='|' read -r pod owner; do
            case " $(cat "$owners") " in
            *" ${owner:-none} "*)
                kube -n "$place" delete pod "$pod" --force --grace-period=0 --ignore-not-found </dev/null ||
                    later "cannot remove the pod $pod"
                ;;
            esac
        done <"$MKECTL_WORK/list"
    done
}

probe() {
    need_k0s
    [ -e "$MKECTL_WORK/saved" ] || not_done "nothing was removed"
    while read -r object; do
        split "$object"
        find_old
        [ -z "$uid" ] || partly_done "$object of MKE 3 is there"
    done <"$OBJECTS"
    is_done
}

run() {
    same_store removed uids owners saved
    mkdir -p "$MKECTL_WORK/removed" "$MKECTL_WORK/uids" "$MKECTL_WORK/owners" || fail "cannot write to $MKECTL_WORK"
    while read -r object; do
        split "$object"
        find_old
        [ -n "$uid" ] || continue
        kube -n "$place" get "$kind" "$name" -o yaml >"$MKECTL_WORK/object" </dev/null || later "cannot read $object"
        printf '%s' "$uid" | note "uids/$kind.$place.$name"
        forget_pods
        mkdir -p "$MKECTL_WORK/removed/$kind/$place" || fail "cannot write to $MKECTL_WORK"
        note "removed/$object" <"$MKECTL_WORK/object"
        [ -s "$MKECTL_WORK/removed/$object" ] || fail "$object was not saved, so it stays"
        kube -n "$place" delete "$kind" "$name" --cascade=background --ignore-not-found </dev/null ||
            later "cannot remove $object"
    done <"$OBJECTS"
    remove_pods
    tar -cf "$MKECTL_WORK/saved.new" -C "$MKECTL_WORK" removed || fail "cannot pack what was removed: is the disk full?"
    if ! sync "$MKECTL_WORK/saved.new" || ! mv -f "$MKECTL_WORK/saved.new" "$MKECTL_WORK/saved"; then
        fail "cannot keep what was removed"
    fi
    hand_on saved
}
. lib/main.sh
