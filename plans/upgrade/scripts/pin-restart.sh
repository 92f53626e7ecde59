# Keeps Docker from starting the containers of MKE 3 by itself. The policies, and which of them ran, are recorded; on the
# way back they are restored and started. etcd is pinned when it is stopped: until then a manager that restarts has to
# come back as a member.
. lib/base.sh
. lib/docker.sh

policies=$MKECTL_WORK/policies

not_a_task='{{if not (index .Config.Labels "com.docker.swarm.task.id")}}'
about='{{.Name}} {{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}} {{.State.Running}}'

unpinned=ucp-kv

# FILE: containers of MKE 3, "NAME POLICY:ATTEMPTS RUNNING". Not those of the swarm, which starts its tasks itself.
list() {
    ids=$(docker ps -aq --no-trunc --filter 'name=^/ucp-') || later "Docker does not list its containers"
    [ -n "$ids" ] || fail "Docker has no containers of MKE 3"
    # shellcheck disable=SC2086
    docker inspect --type container --format "$not_a_task$about{{end}}" $ids >"$1.all" ||
        fail "a container of MKE 3 went away while it was looked at"
    sed -n 's,^/,,p' "$1.all" >"$1"
    rm -f "$1.all"
    [ -s "$1" ] || fail "Docker has no containers of MKE 3"
}

probe() {
    if ! docker_runs; then cannot_tell "Docker does not run on this host"; fi
    list "$MKECTL_WORK/now"
    pinned=0 loose=0
    while read -r name policy _; do
        [ "$name" != "$unpinned" ] || continue
        case $policy in
        no:* | :*) pinned=$((pinned + 1)) ;;
        *) loose=$((loose + 1)) one=$name ;;
        esac
    done <"$MKECTL_WORK/now"
    if [ "$loose" -eq 0 ] && [ -s "$policies" ]; then is_done; fi
    if [ "$loose" -eq 0 ]; then not_done "nothing is recorded on this host"; fi
    if [ -s "$policies" ] && [ "$pinned" -gt 0 ]; then partly_done "$loose containers, such as $one, restart"; fi
    not_done "$loose containers of MKE 3 restart by themselves"
}

run() {
    need_docker
    # What an earlier attempt recorded stays: by then some policies were pinned.
    if [ ! -s "$policies" ]; then
        list "$MKECTL_WORK/now"
        replace "$policies" 600 <"$MKECTL_WORK/now"
    fi
    hand_on policies
    names=
    while read -r name _; do
        [ "$name" != "$unpinned" ] || continue
        look_at_container "$name"
        [ "$running" = absent ] || names="$names $name"
    done <"$policies"
    # shellcheck disable=SC2086
    docker update --restart=no $names || fail "cannot change the restart policy of the containers of MKE 3"
}

undo() {
    [ -s "$policies" ] || return 0
    need_docker
    start=
    while read -r name policy ran; do
        look_at_container "$name"
        [ "$running" != absent ] || continue
        case $policy in
        :0) policy=no ;;
        *:0) policy=${policy%:0} ;;
        esac
        docker update "--restart=$policy" "$name" || fail "cannot restore the restart policy of $name"
        if [ "$ran" = true ] && [ "$running" = false ]; then start="$start $name"; fi
    done <"$policies"
    # The record is all that tells what the policies were.
    list "$MKECTL_WORK/now"
    other=$(awk '{ sub(/^:/, "no:", $2) } FILENAME == ARGV[1] { was[$1] = $2; next }
        ($1 in was) && was[$1] != $2 { print $1 }' "$policies" "$MKECTL_WORK/now")
    [ -z "$other" ] || fail "these containers do not have the restart policy that they had: $(printf "%s" "$other" | tr "\n" " ")"
    if [ -n "$start" ]; then
        # shellcheck disable=SC2086
        docker start $start || fail "cannot start the containers of MKE 3 that ran before"
    fi
    rm -f "$policies"
}

. lib/main.sh
