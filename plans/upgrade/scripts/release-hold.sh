# Gives k0s its configuration without the hold on eviction, volume detaching and cron jobs, and restarts it.
. lib/base.sh
. lib/k0s.sh

# Whether the configuration on the host is this one.
is_now() {
    [ -e /etc/k0s/k0s.yaml ] || return 1
    hash_file /etc/k0s/k0s.yaml
    now=$sha256
    k0s_yaml "$1" >"$MKECTL_WORK/k0s.yaml" || fail "cannot write to $MKECTL_WORK"
    hash_file "$MKECTL_WORK/k0s.yaml"
    [ "$now" = "$sha256" ]
}

# What runs is told apart from what lies there by this file, which is there until k0s runs with what lies there.
change_to() {
    if ! is_now "$1"; then
        : >"$MKECTL_WORK/restart" || fail "cannot write to $MKECTL_WORK"
        replace /etc/k0s/k0s.yaml 0600 <"$MKECTL_WORK/k0s.yaml"
    fi
    if [ -e "$MKECTL_WORK/restart" ]; then
        systemctl restart k0scontroller || fail "systemd cannot restart k0scontroller; see journalctl -u k0scontroller"
        wait_for "the API server" api_ready
        rm -f "$MKECTL_WORK/restart" || fail "cannot write to $MKECTL_WORK"
    fi
}

probe() {
    if is_now "$K0S_CONFIG_RELEASED"; then
        [ ! -e "$MKECTL_WORK/restart" ] || partly_done "k0s was not restarted yet"
        is_done
    fi
    not_done "the hold is on"
}

run() {
    is_now "$K0S_CONFIG" || is_now "$K0S_CONFIG_RELEASED" ||
        unplanned "/etc/k0s/k0s.yaml was changed since mkectl wrote it"
    change_to "$K0S_CONFIG_RELEASED"
}

undo() {
    if [ -e "$MKECTL_WORK/restart" ] || is_now "$K0S_CONFIG_RELEASED"; then change_to "$K0S_CONFIG"; fi
}
. lib/main.sh
