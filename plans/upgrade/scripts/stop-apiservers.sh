# Stops the API server of MKE 3 on this manager, then its controllers, its scheduler and the controller of MKE, which
# holds 443 and 6443. Starts them again on the way back, the API server first.
. lib/base.sh
. lib/docker.sh

names="ucp-kube-apiserver ucp-kube-controller-manager ucp-kube-scheduler ucp-controller"

count() {
    up=0 down=0
    for name in $names; do
        look_at_container "$name"
        case $running in
        true) up=$((up + 1)) ;;
        *) down=$((down + 1)) ;;
        esac
    done
}

probe() {
    # Where Docker is held, nothing of it runs.
    docker_runs || is_done
    count
    if [ "$up" -eq 0 ]; then
        # A restart of the host may have stopped them, and then the way back would not know that it has to start them.
        [ -e "$MKECTL_WORK/began" ] || not_done "they do not run, and were not stopped by this plan"
        is_done
    fi
    [ "$down" -eq 0 ] || partly_done "$down of them are stopped, $up run"
    not_done "the control plane of MKE 3 runs"
}

run() {
    need_docker
    : >"$MKECTL_WORK/began" || fail "cannot write $MKECTL_WORK/began"
    for name in $names; do
        look_at_container "$name"
        [ "$running" = true ] || continue
        docker stop -t 60 "$name" || fail "cannot stop $name"
    done
    # Something that starts them again would write behind the back of the final snapshot.
    sleep "$MKECTL_POLL"
    count
    [ "$up" -eq 0 ] || fail "$up of $names run again; an agent of MKE 3 must still be at work"
}

undo() {
    [ -e "$MKECTL_WORK/began" ] || return 0
    need_docker
    for name in $names; do
        look_at_container "$name"
        [ "$running" = false ] || continue
        docker start "$name" || fail "cannot start $name"
    done
    for name in $names; do
        look_at_container "$name"
        [ "$running" != false ] || later "$name was started and does not run; see docker logs $name"
    done
    rm -f "$MKECTL_WORK/began"
}

. lib/main.sh
