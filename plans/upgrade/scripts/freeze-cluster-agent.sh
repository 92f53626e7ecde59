# Scales the service ucp-cluster-agent to nothing: it would put the other agents back to work. The number of replicas is
# recorded before, for the way back.
. lib/base.sh
. lib/docker.sh

service=ucp-cluster-agent

read_wanted() {
    wanted=$(docker service inspect --format '{{.Spec.Mode.Replicated.Replicas}}' $service) ||
        later "the swarm does not tell about $service; it needs more than half of its managers"
}

no_tasks() {
    count_tasks $service
    seen="$tasks tasks"
    [ "$tasks" = 0/0 ]
}

all_tasks() {
    count_tasks $service
    seen="$tasks tasks"
    [ "$tasks" = "$replicas/$replicas" ]
}

probe() {
    if ! docker_runs; then cannot_tell "Docker does not run on this host"; fi
    read_wanted
    [ "$wanted" = 0 ] || not_done "$service has $wanted replicas"
    [ -s "$MKECTL_WORK/replicas" ] || not_done "$service is scaled to nothing, and by somebody else"
    no_tasks || partly_done "a task of $service still runs"
    is_done
}

run() {
    need_docker
    read_wanted
    if [ "$wanted" != 0 ]; then
        printf %s "$wanted" | replace "$MKECTL_WORK/replicas" 600
    elif [ ! -s "$MKECTL_WORK/replicas" ]; then
        unplanned "$service is scaled to nothing already, so the number to go back to is unknown;" \
            "give it back: docker service scale $service=1"
    fi
    hand_on replicas
    docker service scale --detach $service=0 || fail "cannot scale $service to nothing"
    wait_for "the last task of $service to end" no_tasks
}

undo() {
    [ -s "$MKECTL_WORK/replicas" ] || return 0
    need_docker
    replicas=$(cat "$MKECTL_WORK/replicas")
    docker service scale --detach "$service=$replicas" || later "cannot scale $service to $replicas"
    wait_for "the tasks of $service to run" all_tasks
    rm -f "$MKECTL_WORK/replicas"
}

. lib/main.sh
