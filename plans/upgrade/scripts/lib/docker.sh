# What the scripts that deal with Docker share, put in the place of its line ". lib/docker.sh" when a plan is made.

hold=/var/lib/mkectl/hold
drop_in_name=00-mkectl-hold.conf

unit_active() { [ "$(systemctl is-active "$1")" = active ]; }

# Whether Docker runs. To be asked before any docker command where it may be down: its socket would start it.
docker_runs() { unit_active docker.service; }

need_docker() {
    docker_runs || later "Docker does not run on this host; start it, or let what started it before do so again"
}

# UNIT: whether systemd knows it.
unit_known() { [ "$(systemctl show -p LoadState --value "$1")" = loaded ]; }

# The shim of MKE between kubelet and Docker goes by either name. Sockets first: they start the services again.
cri_units="cri-dockerd-mke.socket cri-dockerd-mke.service cri-docker.socket cri-docker.service"

known_cri_units() {
    known=
    for unit in $cri_units; do
        if unit_known "$unit"; then known="$known $unit"; fi
    done
}

# UNIT: the drop-in that keeps it from starting, in $drop_in.
name_drop_in() { drop_in=/etc/systemd/system/$1.d/$drop_in_name; }

# All that would come back with the host and serve MKE 3 beside k0s, in the order in which it is stopped: $held. The shim
# runs without Docker too, so it has the condition as well.
held_units() {
    known_cri_units
    held="$known docker.socket docker.service"
}

# NAME: whether this container runs; fails when Docker cannot tell. $running is true, false or absent.
look_at_container() {
    if running=$(docker inspect --type container --format '{{.State.Running}}' "$1" 2>"$MKECTL_WORK/inspect.err"); then
        return 0
    fi
    case $(cat "$MKECTL_WORK/inspect.err") in
    *"No such"*) running=absent ;;
    *) fail "Docker cannot tell about $1: $(cat "$MKECTL_WORK/inspect.err")" ;;
    esac
}

# SERVICE: "RUNNING/WANTED" tasks in $tasks; empty when there is no such service.
count_tasks() {
    docker service ls --filter "name=$1" --format '{{.Name}} {{.Replicas}}' >"$MKECTL_WORK/services" ||
        later "the swarm does not answer; it needs more than half of its managers"
    tasks=
    while read -r listed tasks_of _; do
        if [ "$listed" = "$1" ]; then tasks=$tasks_of; fi
    done <"$MKECTL_WORK/services"
}

# Whether this host is a manager of the swarm.
is_manager() {
    control=$(docker info --format '{{.Swarm.ControlAvailable}}') || later "Docker does not answer on this host"
    [ "$control" = true ]
}
