# Stops etcd of MKE 3 on this manager once its keys are known to be those that were carried. The volume stays as it is:
# it is the way back.
. lib/base.sh
. lib/docker.sh
. lib/keys.sh

probe() {
    # Where Docker is held, nothing of it runs.
    docker_runs || is_done
    look_at_container ucp-kv
    case $running in
    true) not_done "etcd of MKE 3 runs" ;;
    false) is_done ;;
    *) cannot_tell "there is no container ucp-kv" ;;
    esac
}

run() {
    need_docker
    find_keys
    # shellcheck disable=SC2153
    [ "$keys_hash" = "$KEYS_HASH" ] || unplanned "keys or settings of the API server differ between this manager and the" \
        "lead: compare what the arguments of ucp-kube-apiserver name on both ($(key_names))"
    : >"$MKECTL_WORK/began" || fail "cannot write $MKECTL_WORK/began"
    look_at_container ucp-kv
    case $running in
    true) docker stop -t 60 ucp-kv || fail "cannot stop ucp-kv" ;;
    absent) fail "there is no container ucp-kv" ;;
    esac
    sleep "$MKECTL_POLL"
    look_at_container ucp-kv
    [ "$running" = false ] || fail "ucp-kv runs again; an agent of MKE 3 must still be at work"
    status=$(docker inspect --type container --format '{{.State.ExitCode}}' ucp-kv) || fail "cannot look at ucp-kv"
    [ "$status" != 137 ] || warn "ucp-kv was killed, because it did not stop within a minute"
}

undo() {
    [ -e "$MKECTL_WORK/began" ] || return 0
    need_docker
    look_at_container ucp-kv
    case $running in
    # Alone it has no quorum; final-snapshot.sh waits for the others.
    false) docker start ucp-kv || fail "cannot start ucp-kv" ;;
    absent) fail "there is no container ucp-kv; restore its container from the volume ucp-kv" ;;
    esac
    look_at_container ucp-kv
    [ "$running" = true ] || later "ucp-kv was started and does not run; see docker logs ucp-kv"
    rm -f "$MKECTL_WORK/began"
}

. lib/main.sh
