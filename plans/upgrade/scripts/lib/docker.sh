# Questions to Docker that several scripts ask.

# Whether this host is a manager of the swarm.
is_manager() {
    control=$(docker info --format '{{.Swarm.ControlAvailable}}') || later "Docker does not answer on this host"
    [ "$control" = true ]
}
