# Unpacks k0s and the etcd tools in this action's own directory and runs each once: a host that may not execute them, or
# on which k0s cannot run, is found while MKE 3 still serves.
. lib/base.sh

probe() { not_done "the programs are only staged for this run"; }

run() {
    cd "$MKECTL_WORK" || fail "cannot use $MKECTL_WORK"
    cp "$K0S" k0s.new || fail "cannot copy k0s: is the disk under $MKECTL_WORK full?"
    chmod 0755 k0s.new || fail "cannot make k0s executable"
    mv -f k0s.new k0s || fail "cannot place k0s"

    rm -rf tools
    mkdir tools || fail "cannot make $MKECTL_WORK/tools"
    tar -xzf "$ETCD_TOOLS" -C tools || fail "cannot unpack the etcd tools: is the disk under $MKECTL_WORK full?"
    for file in tools/etcdutl tools/*/etcdutl; do
        [ ! -f "$file" ] || mv -f "$file" etcdutl || fail "cannot place etcdutl"
    done
    rm -rf tools
    [ -f etcdutl ] || fail "the archive of etcd tools has no etcdutl in it: make the plan again with the right archive"
    chmod 0755 etcdutl || fail "cannot make etcdutl executable"

    check
    hand_on k0s
    hand_on etcdutl
}

check() {
    cd "$MKECTL_WORK" || fail "cannot use $MKECTL_WORK"
    version=$(./k0s version) ||
        unplanned "k0s cannot be executed under $MKECTL_WORK: look at mount options (noexec) and fapolicyd"
    [ "$version" = "$K0S_VERSION" ] || unplanned "k0s says that it is $version, the plan wants $K0S_VERSION"
    ./etcdutl version >etcdutl.version ||
        unplanned "etcdutl cannot be executed under $MKECTL_WORK: look at mount options (noexec) and fapolicyd"
    if ! ./k0s sysinfo >sysinfo.txt 2>&1; then
        grep -E '\((rejected|error)|: error' sysinfo.txt >&2 || cat sysinfo.txt >&2
        unplanned "k0s cannot run on this host: see the lines above, from k0s sysinfo"
    fi
}

verify() { check; }
. lib/main.sh
