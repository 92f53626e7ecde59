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
    false)
        # A restart of the host may have stopped it, and then nothing keeps Docker from starting it.
        [ -e "$MKECTL_WORK/began" ] || not_done "etcd of MKE 3 does not run, and was not stopped by this plan"
        is_done
        ;;
    *) cannot_tell "there is no container ucp-kv" ;;
    esac
}

run() {
    need_docker
    find_keys
    # shellcheck disable=SC2153
    [ "$keys_hash" = "$KEYS_HASH" ] || unplanned "keys or settings of the API server differ between this manager and the" \
        "lead: compare what the arguments of ucp-kube-apiserver name on both ($(key_names))"
    if [ ! -s "$MKECTL_WORK/began" ]; then
        # The policy that it gets back.
        docker inspect --type container --format '{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}' ucp-kv \
            >"$MKECTL_WORK/policy" || fail "cannot look at ucp-kv"
        mv -f "$MKECTL_WORK/policy" "$MKECTL_WORK/began" || fail "cannot write $MKECTL_WORK/began"
    fi
    docker update --restart=no ucp-kv || fail "cannot change the restart policy of ucp-kv"
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
    read -r policy <"$MKECTL_WORK/began" || fail "cannot read $MKECTL_WORK/began"
    case $policy in
    :0) policy=no ;;
    *:0) policy=${policy%:0} ;;
    esac
    docker update "--restart=$policy" ucp-kv || fail "cannot restore the restart policy of ucp-kv"
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
