# Puts back the webhooks and aggregated APIs that were set aside, each when its server answers, and looks after each
# whether pods are still let in.
. lib/base.sh
. lib/k0s.sh
. lib/objects.sh

unpack() {
    rm -rf "${MKECTL_WORK:?}/held"
    tar -xf "$SAVED" -C "$MKECTL_WORK" || fail "cannot unpack what was set aside"
}

# FILE: $kind and $name of what it holds. MKE 3's own aggregated APIs do not come back.
about() {
    kind=${1##*/}
    name=${kind#*.}
    kind=${kind%%.*}
    case $kind/$name in
    apiservices/*.compose.docker.com) return 1 ;;
    esac
}

there() { ask get "$kind" "$name" --ignore-not-found -o name && [ -n "$seen" ]; }

probe() {
    need_k0s
    [ -e "${SAVED:-}" ] || not_done "nothing was set aside yet"
    unpack
    all=0 back=0
    for file in "$MKECTL_WORK"/held/*; do
        [ -e "$file" ] || continue
        about "$file" || continue
        all=$((all + 1))
        if there; then back=$((back + 1)); fi
    done
    [ "$back" -ne "$all" ] || is_done
    [ "$back" -eq 0 ] || partly_done "$back of $all are back"
    not_done "none is back"
}

# For wait_for: NAMESPACE SERVICE has a server that is ready, or is none that could have one.
served() {
    ask -n "$1" get service "$2" --ignore-not-found -o name || return 1
    if [ -z "$seen" ]; then
        warn "the service $1/$2 is missing, as it was before"
        return 0
    fi
    if ! ask -n "$1" get endpoints "$2" -o 'jsonpath={.subsets[*].addresses[0].ip}'; then return 1; fi
    [ -n "$seen" ] || seen="no pod of the service $1/$2 is ready"
    case $seen in no*) return 1 ;; esac
}

# FILE: NAMESPACE/SERVICE of what serves it, as kubectl reads the file.
services() {
    case $kind in
    apiservices) path='{.spec.service.namespace}/{.spec.service.name}' ;;
    *) path='{range .webhooks[*]}{.clientConfig.service.namespace}/{.clientConfig.service.name} {end}' ;;
    esac
    kube create --dry-run=client -f "$1" -o "jsonpath=$path"
}

run() {
    unpack
    # Aggregated APIs first, which come first by name: webhooks may look at what they serve.
    for file in "$MKECTL_WORK"/held/*; do
        [ -e "$file" ] || continue
        about "$file" || continue
        if there; then continue; fi
        names=$(services "$file") || later "cannot read $kind/$name"
        for service in $names; do
            [ "$service" != / ] || continue
            wait_for "the server of $kind/$name" served "${service%/*}" "${service#*/}"
        done
        kube create -f "$file" || later "cannot put back $kind/$name"
        if ! pods_let_in; then
            why=$seen
            kube delete "$kind" "$name" || fail "$kind/$name lets no pods in and cannot be removed: $why"
            later "$kind/$name lets no pods in, so it was taken away again: $why"
        fi
    done
}

verify() {
    unpack
    for file in "$MKECTL_WORK"/held/*; do
        [ -e "$file" ] || continue
        about "$file" || continue
        there || fail "$kind/$name is missing"
    done
    pods_let_in || fail "the API server lets no pods in: $seen"
}
. lib/main.sh
