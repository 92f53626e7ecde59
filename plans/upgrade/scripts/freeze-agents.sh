# Keeps the agents of MKE 3 off every node by a constraint that no node fulfils. Service and id stay, so that one more
# update brings the agents back.
. lib/base.sh
. lib/docker.sh

services="ucp-manager-agent ucp-worker-agent-x"
constraint='node.labels.mkectl.hold == never'

# SERVICE: whether it has the constraint. Docker keeps constraints as they were written.
frozen() {
    constraints=$(docker service inspect --format \
        '{{with .Spec.TaskTemplate.Placement}}{{range .Constraints}}{{println .}}{{end}}{{end}}' "$1") ||
        later "the swarm does not tell about $1; it needs more than half of its managers"
    case "
$constraints
" in
    *"
$constraint
"*) return 0 ;;
    *) return 1 ;;
    esac
}

# SERVICE: whether it is there. A cluster without workers may have no agent for them.
exists() {
    count_tasks "$1"
    [ -n "$tasks" ]
}

no_tasks() {
    count_tasks "$service"
    seen="$tasks tasks"
    [ "$tasks" = 0/0 ]
}

probe() {
    if ! docker_runs; then cannot_tell "Docker does not run on this host"; fi
    with=0 without=0
    for service in $services; do
        exists "$service" || continue
        if frozen "$service" && no_tasks; then with=$((with + 1)); else without=$((without + 1)); fi
    done
    [ "$without" -gt 0 ] || is_done
    [ "$with" -eq 0 ] || partly_done "$with services of agents are frozen, $without are not"
    not_done "the agents are not frozen"
}

run() {
    need_docker
    for service in $services; do
        exists "$service" || continue
        frozen "$service" || docker service update --detach --constraint-add "$constraint" "$service" ||
            fail "cannot update $service"
    done
    for service in $services; do
        exists "$service" || continue
        wait_for "the tasks of $service to end" no_tasks
        frozen "$service" || fail "$service lost its constraint again; does another ucp-cluster-agent run?"
    done
}

undo() {
    docker_runs || later "Docker does not run on this host"
    for service in $services; do
        exists "$service" || continue
        if frozen "$service"; then
            docker service update --detach --constraint-rm "$constraint" "$service" || later "cannot update $service"
        fi
    done
}

. lib/main.sh
