# Saves the definitions of services, configs, secrets and networks of the swarm that are not MKE's, for whoever builds them
# again elsewhere. Values of secrets cannot be read; their names are listed.
. lib/base.sh

probe() { not_done "a backup is only made for this run"; }

run() {
    rm -rf "$MKECTL_WORK/swarm"
    mkdir "$MKECTL_WORK/swarm" || fail "cannot write in $MKECTL_WORK"
    cd "$MKECTL_WORK/swarm" || fail "cannot use $MKECTL_WORK/swarm"
    save service
    save config
    save secret
    save network --filter driver=overlay --filter scope=swarm
    docker stack ls --format '{{.Name}} {{.Services}}' >stacks || later "Docker does not list the stacks"
    docker node ls --format '{{.ID}} {{.Hostname}} {{.Status}} {{.Availability}}' >nodes ||
        later "Docker does not list the nodes"
    # A volume's data lies on its node and is not touched; the names say what to look for.
    while read -r name; do
        echo "$name"
        docker service inspect --format '{{range .Spec.TaskTemplate.ContainerSpec.Mounts}}{{println .Type .Source .Target}}{{end}}' \
            "$name" || later "Docker does not describe the service $name"
    done <service.names >mounts
    tar -czf "$MKECTL_WORK/definitions.new" -C "$MKECTL_WORK" swarm || fail "cannot pack the definitions: is the disk full?"
    mv -f "$MKECTL_WORK/definitions.new" "$MKECTL_WORK/definitions" || fail "cannot keep the definitions"
    check
    hand_on definitions
}

# KIND FILTER...: names, and what Docker knows about each that is not MKE's.
save() {
    kind=$1
    shift
    docker "$kind" ls "$@" --format '{{.Name}}' >names || later "Docker does not list what it has of $kind"
    : >"$kind.names"
    : >"$kind.json"
    while read -r name; do
        case $name in
        ucp-* | com.docker.ucp.* | com.docker.license* | ingress) continue ;;
        esac
        docker "$kind" inspect "$name" >>"$kind.json" || later "$kind $name went away while it was saved"
        echo "$name" >>"$kind.names"
    done <names
    rm -f names
}

check() {
    tar -tzf "$MKECTL_WORK/definitions" >/dev/null || fail "the packed definitions cannot be read back"
    [ -s "$MKECTL_WORK/swarm/service.names" ] || unplanned "the swarm has no services of users any more: make the plan again"
}

verify() { check; }
. lib/main.sh
