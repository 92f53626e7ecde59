# Reserves the host for one plan. A second plan fails here, before it has changed anything, and says who holds the host.
. lib/base.sh
. lib/lock.sh

probe() {
    look_at_lock
    [ "$owner" = "$tag" ] && is_done
    not_done "the host is held by ${owner:-nobody}"
}

run() {
    look_at_lock
    if [ -z "$owner" ]; then
        mkdir -p "$lock" || fail "cannot make $lock"
        printf '%s %s\n' "$tag" "since $(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$lock/owner.$tag" || fail "cannot write in $lock"
        # A link to a name that is taken fails: of two that come at once, one gets the host.
        ln "$lock/owner.$tag" "$lock/owner" 2>/dev/null
        look_at_lock
    fi
    rm -f "$lock/owner.$tag"
    [ "$owner" = "$tag" ] ||
        fail "this host is held by the plan ${owner:-(unknown)} ${since}: end or roll back that plan, or remove its lock with mkectl unlock"
    sync "$lock" 2>/dev/null || sync
}

undo() { release_lock; }
. lib/main.sh
