# Keeps a second copy of the final snapshot on this host.
. lib/base.sh

copy=$MKECTL_WORK/copy

probe() {
    [ -f "$copy" ] || not_done "there is no copy"
    [ -n "${HASH:-}" ] || not_done "there is no snapshot yet"
    hash_file "$copy"
    [ "$sha256" = "$HASH" ] || not_done "the copy differs from the snapshot"
    is_done
}

run() {
    # Its own blocks on disk: a link would share a damage.
    if ! cp "$SNAPSHOT" "$copy.new" || ! chmod 600 "$copy.new" || ! sync "$copy.new"; then
        rm -f "$copy.new"
        fail "cannot write $copy"
    fi
    hash_file "$copy.new"
    [ "$sha256" = "$HASH" ] || fail "what arrived is not the snapshot: its hash is $sha256"
    mv -f "$copy.new" "$copy" || fail "cannot write $copy"
    hand_on copy
}

. lib/main.sh
