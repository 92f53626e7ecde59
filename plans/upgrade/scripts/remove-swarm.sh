# Moves the swarm's state on this host aside while Docker is held: Docker started with it would bring the agents of
# MKE 3 back.
. lib/base.sh
. lib/docker.sh

swarm=$DOCKER_ROOT/swarm

# Docker makes an empty directory anew; state is what it finds its cluster by.
has_state() { [ -e "$swarm/docker-state.json" ] || [ -e "$swarm/certificates" ] || [ -e "$swarm/raft" ]; }

probe() {
    if has_state; then not_done "$swarm holds the state of the swarm"; fi
    is_done
}

run() {
    has_state || return 0
    if docker_runs || unit_active docker.socket; then
        unplanned "Docker or its socket runs on this host, and must be held until the swarm's state is gone from all"
    fi
    [ -e "$hold" ] || unplanned "$hold is not there, so Docker may start at any time"
    move_aside "$swarm"
}

. lib/main.sh
