# Makes a token with which one host joins. It is made as a file and its secret applied, because only so can it name the
# address to join at: `k0s token create` would name the load balancer.
. lib/base.sh
. lib/k0s.sh

# On a file system in memory, and for this action alone.
dir=/run/$tag-token-$(printf '%s' "${MKECTL_WORK#*/actions/}" | tr / -)

probe() {
    [ -s "$MKECTL_WORK/id" ] || not_done "no token was made"
    id=$(cat "$MKECTL_WORK/id")
    secret=$(kube get secret "bootstrap-token-$id" -n kube-system --ignore-not-found -o name) ||
        cannot_tell "the API server does not answer"
    [ -n "$secret" ] || not_done "the token $id is used up"
    is_done
}

run() {
    case $ROLE in
    controller) port=9443 ;;
    *) port=6443 ;;
    esac
    clear_away
    mkdir -m 0700 "$dir" || fail "cannot make $dir"
    trap clear_away EXIT
    # Longer than joining may take with what it waits for, and not much longer.
    "$k0s" token pre-shared --role "$ROLE" --cert "$DATA_DIR/pki/ca.crt" --url "https://$(in_url "$JOIN_ADDRESS"):$port" --valid 30m --out "$dir" ||
        fail "k0s could not make a token"
    for token in "$dir"/token_*; do id=${token##*/token_}; done
    kube create -f "$dir/bootstrap-token-$id.yaml" || later "the API server does not take the token"
    printf '%s' "$id" >"$MKECTL_WORK/id" || fail "cannot write to $MKECTL_WORK"
    cp "$MKECTL_WORK/id" "$MKECTL_OUT/token-id" || fail "cannot hand on the token's id"
    cp "$dir/token_$id" "$MKECTL_OUT/token" || fail "cannot hand on the token"
}

clear_away() {
    rm -f "$dir"/*
    [ ! -d "$dir" ] || rmdir "$dir" || fail "cannot remove $dir"
}
. lib/main.sh
