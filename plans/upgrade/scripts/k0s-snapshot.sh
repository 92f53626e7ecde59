# Takes a snapshot of the etcd of k0s, by the backup command of k0s.
. lib/base.sh
. lib/k0s.sh

probe() {
    if [ -s "$MKECTL_WORK/snapshot" ]; then is_done; fi
    not_done "there is no snapshot"
}

run() {
    # The backup holds the keys of the CA as well: only the snapshot is kept of it.
    trap 'rm -f "$MKECTL_WORK/backup.tar.gz"' EXIT
    "$K0S" backup --save-path=- --data-dir="$DATA_DIR" >"$MKECTL_WORK/backup.tar.gz" || later "k0s could not back up"
    tar -xzf "$MKECTL_WORK/backup.tar.gz" -C "$MKECTL_WORK" etcd-snapshot.db || fail "the backup has no etcd snapshot"
    "$ETCDUTL" snapshot status "$MKECTL_WORK/etcd-snapshot.db" || fail "the snapshot cannot be read"
    sync "$MKECTL_WORK/etcd-snapshot.db"
    mv -f "$MKECTL_WORK/etcd-snapshot.db" "$MKECTL_WORK/snapshot" || fail "cannot write to $MKECTL_WORK"
    hand_on snapshot
}
. lib/main.sh
