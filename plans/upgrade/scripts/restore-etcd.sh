# Restores the final snapshot as the store of a new etcd with this host as its only member.
. lib/base.sh
. lib/k0s.sh

# FILE: its revision and keys in $revision and $keys.
read_status() {
    status=$("$ETCDUTL" snapshot status "$1") || fail "$1 is no snapshot of etcd"
    revision=${status#*, }
    keys=${revision#*, }
    revision=${revision%%,*}
    keys=${keys%%,*}
}

probe() {
    if [ -e "$MKECTL_WORK/restored" ] && [ -e "$DATA_DIR/etcd/member/snap/db" ]; then is_done; fi
    if [ -e "$DATA_DIR/etcd" ] || [ -e "$DATA_DIR/etcd.new" ]; then partly_done "$DATA_DIR/etcd is not whole"; fi
    not_done "there is no $DATA_DIR/etcd"
}

run() {
    if [ -e "$MKECTL_WORK/restored" ] && [ -e "$DATA_DIR/etcd/member/snap/db" ]; then return 0; fi
    if [ -e "$DATA_DIR/etcd" ] && [ ! -e "$MKECTL_WORK/whole" ]; then
        unplanned "$DATA_DIR/etcd is there already: move it away, or leave this host out"
    fi
    # k0s calls its member by the name of the host, and a store for another name would stay without members.
    [ "$(uname -n)" = "$NODE_NAME" ] || unplanned "this host is called $(uname -n), and the plan says $NODE_NAME"
    if [ ! -e "$MKECTL_WORK/whole" ]; then
        read_status "$SNAPSHOT"
        # shellcheck disable=SC2153 # the capital ones are what the final snapshot had
        if [ "$revision" != "$REVISION" ] || [ "$keys" != "$KEYS" ]; then
            fail "the snapshot has revision $revision and $keys keys instead of $REVISION and $KEYS"
        fi
        move_aside "$DATA_DIR/etcd.new"
        peer=https://$(in_url "$NODE_IP"):2380
        "$ETCDUTL" snapshot restore "$SNAPSHOT" --name "$NODE_NAME" --initial-cluster "$NODE_NAME=$peer" \
            --initial-advertise-peer-urls "$peer" --data-dir "$DATA_DIR/etcd.new" || fail "etcdutl could not restore"
        # k0s makes that user when it is installed, and gives it the store when it starts.
        if id -u etcd >/dev/null 2>&1; then
            chown -R etcd "$DATA_DIR/etcd.new" || fail "cannot give $DATA_DIR/etcd.new to etcd"
        fi
        chmod 0700 "$DATA_DIR/etcd.new" || fail "cannot close $DATA_DIR/etcd.new to others"
        sync
        : >"$MKECTL_WORK/whole" || fail "cannot write to $MKECTL_WORK"
    fi
    if [ ! -e "$DATA_DIR/etcd" ]; then
        mv "$DATA_DIR/etcd.new" "$DATA_DIR/etcd" || fail "cannot rename $DATA_DIR/etcd.new"
        sync
    fi
    : >"$MKECTL_WORK/restored" || fail "cannot write to $MKECTL_WORK"
}

verify() {
    [ -e "$DATA_DIR/etcd/member/snap/db" ] || fail "there is no store in $DATA_DIR/etcd"
    # Once k0s runs the store goes on, and its file is locked.
    if systemctl is-active --quiet k0scontroller; then return 0; fi
    read_status "$DATA_DIR/etcd/member/snap/db"
    [ "$revision" -ge "$REVISION" ] || fail "the store has revision $revision instead of $REVISION"
    # The count has the members in it as well, of which there are fewer now.
    [ "$keys" -ge $((KEYS - 20)) ] || fail "the store has $keys keys instead of $KEYS"
}

undo() {
    if systemctl is-active --quiet k0scontroller; then fail "k0s still runs: undo start-lead first"; fi
    if [ -e "$MKECTL_WORK/whole" ]; then move_aside "$DATA_DIR/etcd"; fi
    move_aside "$DATA_DIR/etcd.new"
    rm -f "$MKECTL_WORK/restored" "$MKECTL_WORK/whole" || fail "cannot write to $MKECTL_WORK"
}
. lib/main.sh
