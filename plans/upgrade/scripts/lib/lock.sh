# The lock of a host: a directory, whose file "owner" can be made only once.
lock=/var/lib/mkectl/lock

# Sets owner to the first word of the file: the plan that holds the host, empty for none.
look_at_lock() {
    owner='' since=''
    [ ! -e "$lock/owner" ] || read -r owner since <"$lock/owner" || fail "cannot read $lock/owner"
}

release_lock() {
    look_at_lock
    if [ "$owner" = "$tag" ]; then
        rm -f "$lock/owner" || fail "cannot remove $lock/owner"
    fi
    rm -f "$lock/owner.$tag"
    # What others keep in it stays.
    rmdir "$lock" 2>/dev/null || :
}
