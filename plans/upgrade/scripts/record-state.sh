# Writes down how the host is before anything changes. The undo, the last step of a rollback but for the lock, compares the
# host with that record, class by class, and names every difference.
. lib/base.sh
. lib/docker.sh

# What is compared, and what a line of it is about. Pods come and go by themselves: theirs is only told.
classes="containers policies services nodes swarm units volumes files sysctls"

probe() { not_done "a record is only made, or compared"; }

run() {
    # The first record is the one to return to: a later attempt may already find a changed host.
    if [ ! -d "$MKECTL_WORK/before" ]; then
        rm -rf "$MKECTL_WORK/before.new"
        look "$MKECTL_WORK/before.new" || fail "cannot record the state of this host: $seen"
        for_people "$MKECTL_WORK/before.new"
        sync
        mv "$MKECTL_WORK/before.new" "$MKECTL_WORK/before" || fail "cannot keep the record"
    fi
    tar -cf "$MKECTL_WORK/state.new" -C "$MKECTL_WORK" before || fail "cannot pack the record: is the disk full?"
    mv -f "$MKECTL_WORK/state.new" "$MKECTL_WORK/state" || fail "cannot keep the record"
    hand_on state
}

verify() {
    for class in $classes; do
        [ -e "$MKECTL_WORK/before/$class" ] || fail "the record has no $class"
    done
}

undo() {
    # Compared before, or never recorded.
    [ -d "$MKECTL_WORK/before" ] || return 0
    # In a subshell, because giving up is not the end here. What comes back, comes back in its own time.
    if ! (wait_for "the host to be as it was" same); then
        same
        cat "$MKECTL_WORK/differences" >&2
        fail "this host is not as it was before: see the lines above, put it right by hand and roll back again"
    fi
    if ! cmp -s "$MKECTL_WORK/before/pods" "$MKECTL_WORK/after/pods"; then
        say "other pods run here than before, which can be by nature:"
        tell_difference pods
        cat "$MKECTL_WORK/differences"
    fi
    rm -rf "$MKECTL_WORK/compared"
    mv "$MKECTL_WORK/before" "$MKECTL_WORK/compared" || fail "cannot put the record away"
}

same() {
    rm -rf "$MKECTL_WORK/after"
    look "$MKECTL_WORK/after" || {
        printf '%s\n' "$seen" >"$MKECTL_WORK/differences"
        return 1
    }
    : >"$MKECTL_WORK/differences"
    for class in $classes; do tell_difference "$class"; done
    read -r seen <"$MKECTL_WORK/differences" || seen="no difference"
    [ ! -s "$MKECTL_WORK/differences" ]
}

# CLASS: adds a line for everything that differs.
tell_difference() {
    comm -23 "$MKECTL_WORK/before/$1" "$MKECTL_WORK/after/$1" | sed "s/^/$1: was there and is not now: /"
    comm -13 "$MKECTL_WORK/before/$1" "$MKECTL_WORK/after/$1" | sed "s/^/$1: is there and was not: /"
} >>"$MKECTL_WORK/differences"

# DIRECTORY: a file of sorted lines for each class. Fails with the reason in $seen.
look() {
    mkdir -p "$1" || fail "cannot write in $1: is the disk full?"
    seen="Docker does not answer"
    docker info --format '{{.Swarm.NodeID}} {{.Swarm.LocalNodeState}} manager={{.Swarm.ControlAvailable}}' >"$1/swarm" ||
        return 1
    docker ps -a --format '{{.Names}} {{.Image}} {{.State}}' >"$1/.all" &&
        docker ps -a --filter label=com.docker.swarm.service.name --format '{{.Names}}' >"$1/.tasks" &&
        docker ps -a --filter label=io.kubernetes.pod.uid --format '{{.Names}} {{.State}}' >"$1/.pods" || return 1
    # Tasks and pods get other names when they start again; ucp-reconcile and ucp run now and then.
    awk 'FILENAME != ARGV[ARGC - 1] { skip[$1]; next }
        !($1 in skip) && $1 != "ucp-reconcile" && $1 != "ucp"' "$1/.pods" "$1/.tasks" "$1/.all" | sort >"$1/containers"
    sed -n 's/_[0-9]* running$//p' "$1/.pods" | sort -u >"$1/pods"
    policies "$1" && services "$1" && units "$1" && volumes "$1" && files "$1" && sysctls "$1"
}

policies() {
    : >"$1/.policies"
    while read -r name rest; do
        docker inspect --type container --format '{{.Name}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}' \
            "$name" >>"$1/.policies" || return 1
    done <"$1/containers"
    sort "$1/.policies" >"$1/policies"
}

# Only managers can be asked about services and nodes.
services() {
    : >"$1/services"
    : >"$1/nodes"
    grep -q 'manager=true' "$1/swarm" || return 0
    seen="the swarm has no leader"
    docker service ls --format '{{.Name}} {{.Image}} {{.Mode}} {{.Replicas}}' >"$1/.names" || return 1
    : >"$1/.services"
    while read -r name image mode replicas rest; do
        constraints=$(docker service inspect --format '{{with .Spec.TaskTemplate.Placement}}{{range .Constraints}} {{.}}{{end}}{{end}}' \
            "$name") || return 1
        # Of the replicas, how many are wanted and not how many run.
        echo "$name $image $mode ${replicas#*/}$constraints" >>"$1/.services"
    done <"$1/.names"
    sort "$1/.services" >"$1/services"
    docker node ls --format '{{.Hostname}} {{.Status}} {{.Availability}}{{if .ManagerStatus}} manager{{end}}' >"$1/.nodes" ||
        return 1
    sort "$1/.nodes" >"$1/nodes"
}

units() {
    seen="systemd does not answer"
    : >"$1/.units"
    for unit in containerd.service cri-dockerd-mke.service cri-dockerd-mke.socket docker.service docker.socket \
        k0scontroller.service k0sworker.service; do
        systemctl show --property LoadState,ActiveState,UnitFileState,DropInPaths "$unit" >"$1/.unit" || return 1
        printf '%s %s\n' "$unit" "$(tr '\n' ' ' <"$1/.unit")" >>"$1/.units"
    done
    sort "$1/.units" >"$1/units"
}

# All volumes by name, with content where nothing writes in normal operation. Those with 64 digits for a name belong to a
# container and go with it.
volumes() {
    seen="Docker does not list its volumes"
    docker volume ls --format '{{.Name}}' >"$1/.names" || return 1
    : >"$1/.volumes"
    while read -r name; do
        [ "${#name}" -ne 64 ] || continue
        mountpoint=$(docker volume inspect --format '{{.Mountpoint}}' "$name") || return 1
        if [ ! -d "$mountpoint" ]; then
            echo "$name"
            continue
        fi
        case $name in
        ucp-*-certs | ucp-*-ca)
            echo "$name"
            hashes "$mountpoint" "$1/.hashes" || return 1
            sed "s|^|$name |" "$1/.hashes"
            ;;
        *)
            if [ -n "$(ls -A "$mountpoint")" ]; then echo "$name holds data"; else echo "$name is empty"; fi
            ;;
        esac
    done <"$1/.names" >"$1/.volumes" || return 1
    sort "$1/.volumes" >"$1/volumes"
}

# DIRECTORY FILE: hash and name of every file below it, but for what was moved aside.
hashes() {
    seen="cannot read all of $1"
    (cd "$1" && find . -type f ! -path "*.mkectl-*" -exec sha256sum {} +) >"$2"
}

files() {
    : >"$1/.files"
    for directory in /etc/cni/net.d /etc/docker /etc/systemd/system/docker.service.d \
        /etc/systemd/system/docker.socket.d; do
        [ -d "$directory" ] || continue
        hashes "$directory" "$1/.hashes" || return 1
        # Calico renews this one by itself.
        sed -e "s|  \./|  $directory/|" -e 's|^[^ ]*\( .*/calico-kubeconfig\)$|renewed\1|' "$1/.hashes" >>"$1/.files"
    done
    for path in "$DOCKER_ROOT/swarm/docker-state.json" "$KUBELET_ROOT/cpu_manager_state" \
        "$KUBELET_ROOT/memory_manager_state" /etc/k0s/k0s.yaml /usr/local/bin/k0s /var/lib/mkectl/hold; do
        if [ -e "$path" ]; then echo "$path is there"; fi
    done >>"$1/.files"
    sort "$1/.files" >"$1/files"
}

# Keys that had no value before are not asked for again: a kernel module that was loaded meanwhile brings them.
sysctls() {
    if [ ! -e "$MKECTL_WORK/sysctl-keys" ]; then
        for key in net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.bridge.bridge-nf-call-iptables \
            net.bridge.bridge-nf-call-ip6tables vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops \
            kernel.keys.root_maxkeys kernel.keys.root_maxbytes; do
            if sysctl -n "$key" >/dev/null 2>&1; then echo "$key"; fi
        done >"$MKECTL_WORK/sysctl-keys.new"
        mv "$MKECTL_WORK/sysctl-keys.new" "$MKECTL_WORK/sysctl-keys" || return 1
    fi
    while read -r key; do
        seen="sysctl does not tell $key"
        value=$(sysctl -n "$key") || return 1
        echo "$key $value"
    done <"$MKECTL_WORK/sysctl-keys" >"$1/.sysctls" || return 1
    sort "$1/.sysctls" >"$1/sysctls"
}

# DIRECTORY: what nobody compares, but a person may want who has to put something right by hand.
for_people() {
    while read -r name rest; do
        docker inspect --type container "$name"
    done <"$1/containers" >"$1/containers.json"
    if [ -s "$1/services" ]; then
        while read -r name rest; do
            docker service inspect "$name"
        done <"$1/services" >"$1/services.json"
    fi
    cp -pR /etc/cni/net.d "$1/cni" 2>/dev/null || :
    cp -pR /etc/docker "$1/docker" 2>/dev/null || :
    { ip address && ip route; } >"$1/network" 2>&1 || :
}
. lib/main.sh
