# Takes the final snapshot of MKE 3's etcd once no member moves any more and all hold the same. The way back waits here
# until etcd is healthy again and has lost nothing, before any API server starts.
. lib/base.sh
. lib/docker.sh
. lib/kv.sh

snapshot=$MKECTL_WORK/snapshot
inside=/tmp/mkectl-final-$tag.db

# Revision of every member that the cluster knows, in $revisions; $revision is the one they share, else empty.
read_revisions() {
    revisions='' revision=
    kv endpoint status --cluster --write-out fields >"$MKECTL_WORK/status" 2>"$MKECTL_WORK/status.err" || return 1
    while read -r key _ value; do
        [ "$key" = '"Revision"' ] || continue
        revisions="$revisions $value"
    done <"$MKECTL_WORK/status"
    for one in $revisions; do
        case $revision in
        '' | "$one") revision=$one ;;
        *)
            revision=
            return 0
            ;;
        esac
    done
}

# What kv said last when it failed.
complaint() { tail -n 1 "$MKECTL_WORK/status.err"; }

# All members are at one revision and stay there for a while.
at_rest() {
    if ! read_revisions; then
        seen="not all members answer: $(complaint)"
        return 1
    fi
    seen="members at revisions$revisions"
    [ -n "$revision" ] || return 1
    first=$revision
    for _ in 1 2 3 4 5; do
        sleep "$MKECTL_POLL"
        read_revisions || return 1
        if [ "$revision" != "$first" ]; then
            seen="revision moved from $first to${revisions:- nothing}"
            return 1
        fi
    done
}

# REVISION: whether a key of Kubernetes was written later. That keys go is no write: events have a lease that runs out,
# whether API servers run or not. $newest is the last write.
written_since() {
    kv get --prefix /registry/ --keys-only --sort-by MODIFY --order DESCEND --limit 1 --write-out fields \
        >"$MKECTL_WORK/newest" 2>"$MKECTL_WORK/status.err" || later "etcd does not tell its last write: $(complaint)"
    newest=
    while read -r key _ value; do
        if [ "$key" = '"ModRevision"' ]; then newest=$value; fi
    done <"$MKECTL_WORK/newest"
    [ -n "$newest" ] || fail "etcd of MKE 3 has no objects of Kubernetes below /registry/"
    [ "$newest" -gt "$1" ]
}

same_hash() {
    if ! kv endpoint hashkv --cluster >"$MKECTL_WORK/hashes" 2>"$MKECTL_WORK/status.err"; then
        seen="not all members answer: $(complaint)"
        return 1
    fi
    hashes=$(cut -d ' ' -f 2 "$MKECTL_WORK/hashes" | tr -d , | sort -u)
    seen="hashes: $(printf '%s' "$hashes" | tr '\n' ' ')"
    [ "$(printf '%s\n' "$hashes" | grep -c .)" -eq 1 ]
}

# FILE: what it holds, in $held and $total.
read_snapshot() {
    "$ETCDUTL" snapshot status --write-out fields "$1" >"$MKECTL_WORK/about" || return 1
    held='' total=
    while read -r key _ value; do
        case $key in
        '"Revision"') held=$value ;;
        '"Keys"') total=$value ;;
        esac
    done <"$MKECTL_WORK/about"
    [ -n "$held" ] && [ -n "$total" ]
}

probe() {
    if [ ! -s "$snapshot" ] || [ ! -s "$MKECTL_WORK/hash" ]; then not_done "there is no snapshot"; fi
    hash_file "$snapshot"
    [ "$sha256" = "$(cat "$MKECTL_WORK/hash")" ] || not_done "the snapshot is not what it was when it was taken"
    # Later etcd rests, or Docker is held.
    docker_runs || is_done
    look_at_container ucp-kv
    [ "$running" = true ] || is_done
    if written_since "$(cat "$MKECTL_WORK/revision")"; then not_done "objects were written since the snapshot"; fi
    is_done
}

run() {
    need_docker
    rm -f "$MKECTL_WORK/hash"
    # The cluster is down meanwhile. Saving many gigabytes may take its time; a member that is dead does not come back by it.
    wait_at_most 180
    wait_for "all members of etcd to come to rest" at_rest
    wait_for "all members of etcd to hold the same" same_hash
    kv snapshot save "$inside" || later "etcd could not save a snapshot; is the disk full?"
    docker cp "ucp-kv:$inside" "$snapshot.new" || fail "cannot copy the snapshot out of ucp-kv; is the disk full?"
    docker exec ucp-kv rm -f "$inside" || warn "$inside is left in the container ucp-kv"
    chmod 600 "$snapshot.new" || fail "cannot protect $snapshot.new"
    read_snapshot "$snapshot.new" || fail "the snapshot cannot be read"
    [ "$held" -ge "$revision" ] || fail "the snapshot is of revision $held, and all members were at $revision before"
    if written_since "$revision"; then
        later "something still writes: all members were at revision $revision, the last write is $newest"
    fi
    hash_file "$snapshot.new"
    if ! sync "$snapshot.new" || ! mv -f "$snapshot.new" "$snapshot"; then fail "cannot keep the snapshot"; fi
    # A snapshot can only be asked for its keys by starting an etcd on it, so the names are noted while this one runs.
    kv get /registry/ --prefix --keys-only >"$MKECTL_WORK/key-list.new" || later "etcd could not list its keys"
    grep . "$MKECTL_WORK/key-list.new" | replace "$MKECTL_WORK/key-list" 600
    rm -f "$MKECTL_WORK/key-list.new"
    printf %s "$held" | replace "$MKECTL_WORK/revision" 600
    printf %s "$total" | replace "$MKECTL_WORK/keys" 600
    printf %s "$sha256" | replace "$MKECTL_WORK/hash" 600
    say "revision $held, $total keys"
    for output in snapshot revision keys hash key-list; do hand_on $output; done
}

verify() {
    [ -s "$MKECTL_WORK/hash" ] || fail "there is no snapshot"
    hash_file "$snapshot"
    [ "$sha256" = "$(cat "$MKECTL_WORK/hash")" ] || fail "the snapshot is not what it was when it was taken"
    read_snapshot "$snapshot" || fail "the snapshot cannot be read"
    [ "$held" = "$(cat "$MKECTL_WORK/revision")" ] || fail "the snapshot is of revision $held"
    if written_since "$held"; then
        fail "objects were written after the snapshot of revision $held, the last at $newest:" \
            "is an API server of MKE 3 left running?"
    fi
}

# Healthy, on all members, and not behind the snapshot.
as_before() {
    if ! kv endpoint health --cluster >"$MKECTL_WORK/health" 2>"$MKECTL_WORK/status.err"; then
        seen="not all members are healthy: $(complaint)"
        return 1
    fi
    if ! read_revisions; then
        seen="not all members answer: $(complaint)"
        return 1
    fi
    seen="members at revisions$revisions, the snapshot at $(cat "$MKECTL_WORK/revision")"
    [ -n "$revision" ] && [ "$revision" -ge "$(cat "$MKECTL_WORK/revision")" ]
}

undo() {
    [ -s "$MKECTL_WORK/revision" ] || return 0
    need_docker
    # The member of this host may have ended since, when nothing started it again.
    look_at_container ucp-kv
    [ "$running" != false ] || docker start ucp-kv || fail "cannot start ucp-kv"
    # An undo has seven attempts. A host that is gone does not come back by waiting, and the cluster is down meanwhile.
    wait_at_most 60
    wait_for "etcd of MKE 3 to be healthy at the revision it had" as_before
    # Only now: where the members do not come back, they are restored from it by hand.
    rm -f "$snapshot" "$snapshot.new" "$MKECTL_WORK/hash" "$MKECTL_WORK/keys" "$MKECTL_WORK/key-list" \
        "$MKECTL_WORK/revision"
}

. lib/main.sh
