# Stops kubelet, pods, MKE 3 and Docker on this host, in this order, and takes out of k0s' way what they leave: mounts,
# CNI configuration, state files of the kubelet, rules in the iptables backend that k0s will not look at. Docker stays
# held: the way back puts the files back, and arm-hold.sh starts Docker once no manager runs k0s any more.
. lib/base.sh
. lib/docker.sh

cni=/etc/cni/net.d
# What was moved aside, a path a line.
moved=$MKECTL_WORK/moved
# Kubelet's health, kubelet, kube-proxy's health.
ports="10248 10250 10256"

k0s_runs() { unit_active k0scontroller.service || unit_active k0sworker.service; }

# --------------------------------------------------------------------------------------------------------- looking

# Mounts below the kubelet's root, latest first, as mountinfo writes them. The root itself may be a disk of its own.
list_mounts() {
    while read -r _ _ _ _ where _; do
        case $where in
        "$KUBELET_ROOT"/*) printf '%s\n' "$where" ;;
        esac
    done </proc/self/mountinfo >"$MKECTL_WORK/mounts.down" || fail "cannot read /proc/self/mountinfo"
    sed -n '1!G;h;$p' "$MKECTL_WORK/mounts.down" >"$MKECTL_WORK/mounts"
}

# PORT: whether something listens on it, in /proc/net: a host may have neither ss nor netstat.
listens() {
    port=$(printf '%04X' "$1")
    for table in /proc/net/tcp /proc/net/tcp6; do
        [ -r $table ] || continue
        while read -r _ local _ state _; do
            case $local:$state in
            *":$port:0A") return 0 ;;
            esac
        done <$table
    done
    return 1
}

# Processes of Docker's containers, by what keeps them: $shims.
list_shims() {
    shims=
    for process in /proc/[0-9]*; do
        line=$(tr '\0' ' ' 2>/dev/null <"$process/cmdline") || continue
        case $line in
        *containerd-shim*" -namespace moby "*) shims="$shims ${process#/proc/}" ;;
        esac
    done
}

# DIRECTORY: processes that use something in it: $users.
list_users() {
    users=
    for process in /proc/[0-9]*; do
        for link in "$process/cwd" "$process/root" "$process/exe" "$process"/fd/*; do
            case $(readlink "$link" 2>/dev/null) in
            "$1" | "$1"/*)
                read -r name <"$process/comm" && users="$users $name(${process#/proc/})"
                break
                ;;
            esac
        done
    done
}

# What is in the way of k0s: CNI configuration of MKE 3 and state files that name its pods.
list_leftovers() {
    leftovers=
    for file in "$cni"/* "$KUBELET_ROOT/cpu_manager_state" "$KUBELET_ROOT/memory_manager_state"; do
        case $file in
        *.mkectl-*) continue ;;
        esac
        if [ -e "$file" ] || [ -L "$file" ]; then leftovers="$leftovers
$file"; fi
    done
}

# What still stands against k0s, in words: $wrong.
look() {
    wrong=
    [ -e "$hold" ] || wrong="Docker is not held"
    held_units
    for unit in $held; do
        ! unit_active "$unit" || wrong="$unit runs"
    done
    # What k0s has made since is not looked at.
    if k0s_runs; then return 0; fi
    list_shims
    [ -z "$shims" ] || wrong="processes of containers run on:$shims"
    for number in $ports; do
        ! listens "$number" || wrong="something listens on port $number"
    done
    list_mounts
    [ ! -s "$MKECTL_WORK/mounts" ] || wrong="$(head -n 1 "$MKECTL_WORK/mounts") is mounted"
    list_leftovers
    [ -z "$leftovers" ] || wrong="these are in the way of k0s:$leftovers"
    ! stale_rules || wrong="rules of MKE 3 are left in the $stale tables"
}

probe() {
    [ -e "$MKECTL_WORK/began" ] || not_done "pods and Docker were not stopped here"
    look
    [ -z "$wrong" ] || partly_done "$wrong"
    is_done
}

# ----------------------------------------------------------------------------------------------------- containers

not_a_task='{{if not (index .Config.Labels "com.docker.swarm.task.id")}}'
about='{{.Name}} {{index .Config.Labels "annotation.io.kubernetes.pod.terminationGracePeriod"}}'

# FILE: running containers that are not tasks of the swarm, "NAME GRACE". Tasks end with Docker: the swarm would start
# others in their place.
list_running() {
    ids=$(docker ps -q --no-trunc) || fail "Docker does not list its containers"
    : >"$1"
    [ -n "$ids" ] || return 0
    # shellcheck disable=SC2086
    docker inspect --type container --format "$not_a_task$about{{end}}" $ids >"$1.all" ||
        fail "a container went away while it was looked at"
    sed -n 's,^/,,p' "$1.all" >"$1"
    rm -f "$1.all"
}

# PATTERN GRACE: stops the running containers whose names fit, all of one grace at a time. "own" is the pod's grace.
stop_all() {
    list_running "$MKECTL_WORK/running"
    while read -r name grace _; do
        # shellcheck disable=SC2254
        case $name in
        k8s_POD_*) [ "$1" = pause ] || continue ;;
        k8s_*) [ "$1" = pods ] || continue ;;
        ucp-*) [ "$1" = mke ] || continue ;;
        *) continue ;;
        esac
        case $grace in
        '' | *[!0-9]*) grace=30 ;;
        esac
        printf '%s %s\n' "$grace" "$name"
    done <"$MKECTL_WORK/running" | sort -n >"$MKECTL_WORK/stop"
    for grace in $(cut -d ' ' -f 1 "$MKECTL_WORK/stop" | uniq); do
        sed -n "s/^$grace //p" "$MKECTL_WORK/stop" >"$MKECTL_WORK/batch"
        say "stopping $(grep -c . "$MKECTL_WORK/batch") containers with up to $grace s each"
        xargs docker stop -t "$grace" <"$MKECTL_WORK/batch" >/dev/null || fail "Docker could not stop all containers"
    done
}

stop_containers() {
    # Kubelet first, which would start pods again.
    for name in ucp-kubelet ucp-kube-proxy; do
        look_at_container $name
        [ "$running" != true ] || docker stop -t 60 $name >/dev/null || fail "cannot stop $name"
    done
    stop_all pods
    stop_all pause
    stop_all mke
    list_running "$MKECTL_WORK/running"
    while read -r name _; do
        case $name in
        k8s_* | ucp-*) fail "$name runs again; an agent or a kubelet of MKE 3 must still be at work" ;;
        *) printf '%s\n' "$name" ;;
        esac
    done <"$MKECTL_WORK/running" >"$MKECTL_WORK/beside" || exit 1
}

# --------------------------------------------------------------------------------------------------------- cleaning

unmount_all() {
    list_mounts
    while read -r where; do
        # mountinfo writes blanks and backslashes in octal.
        where=$(printf '%b.' "$(printf '%s' "$where" | sed 's/\\\([0-7][0-7][0-7]\)/\\0\1/g')")
        where=${where%.}
        if ! umount "$where"; then
            list_users "$where"
            fail "$where is busy${users:+, used by}$users; end these processes or, where there are none, restart the host"
        fi
    done <"$MKECTL_WORK/mounts"
}

# BACKEND: whether the kubelet left its mark in it. That is where k0s looks for the backend to use, nft first.
marked() {
    command -v "iptables-$1-save" >/dev/null || return 1
    "iptables-$1-save" >"$MKECTL_WORK/rules" 2>/dev/null || return 1
    grep -q '^:KUBE-\(IPTABLES-HINT\|KUBELET-CANARY\) ' "$MKECTL_WORK/rules"
}

# The backend that k0s will not use: $unused.
choose_backend() {
    if marked nft; then
        unused=legacy
    elif marked legacy; then
        unused=nft
    else
        case $(iptables -V 2>/dev/null) in
        *nf_tables*) unused=legacy ;;
        *legacy*) unused=nft ;;
        *) unused= ;;
        esac
    fi
}

# Whether rules of MKE 3 are left where k0s will not look: $stale.
stale_rules() {
    choose_backend
    [ -n "$unused" ] || return 1
    for tool in iptables ip6tables; do
        stale=$tool-$unused
        command -v "$stale-save" >/dev/null || continue
        "$stale-save" >"$MKECTL_WORK/rules" || fail "$stale-save cannot read its rules"
        if grep -q '^:\(KUBE-\|cali-\)' "$MKECTL_WORK/rules"; then return 0; fi
    done
    return 1
}

# There they would send traffic to pods that are gone. Rules of others are written back as they were.
clear_rules() {
    while stale_rules; do
        sed '/^:KUBE-/d; /^:cali-/d; /^-A KUBE-/d; /^-A cali-/d; / -[jg] KUBE-/d; / -[jg] cali-/d' \
            "$MKECTL_WORK/rules" >"$MKECTL_WORK/rules.kept"
        "$stale-restore" <"$MKECTL_WORK/rules.kept" || fail "$stale-restore cannot write its rules"
    done
}

# Overlays of the swarm may be left in their namespaces, with the port that Calico needs.
drop_namespaces() {
    for namespace in /run/docker/netns/*; do
        [ -e "$namespace" ] || continue
        umount "$namespace" 2>/dev/null
        rm -f "$namespace" || warn "cannot remove the network namespace $namespace of Docker"
    done
}

# ------------------------------------------------------------------------------------------------------------ verbs

run() {
    held_units
    for unit in $held; do
        case $(systemctl show -p DropInPaths --value "$unit") in
        *"/$unit.d/$drop_in_name"*) ;;
        *) unplanned "nothing would keep $unit from coming back: its $drop_in_name is gone" ;;
        esac
    done
    : >"$MKECTL_WORK/began" || fail "cannot write $MKECTL_WORK/began"
    if docker_runs; then
        stop_containers
        unmount_all
        # With what has to be started again beside MKE 3. An earlier attempt may have got here with more running.
        [ -e "$hold" ] || replace "$hold" 600 <"$MKECTL_WORK/beside"
    else
        [ -e "$hold" ] || replace "$hold" 600 </dev/null
        unmount_all
    fi
    for unit in $held; do
        systemctl stop "$unit" || fail "cannot stop $unit"
    done
    list_leftovers
    # Noted before it is done: only these come back, and not what others put aside there.
    printf '%s\n' "$leftovers" | sed /^$/d >"$MKECTL_WORK/leftovers"
    cat "$MKECTL_WORK/leftovers" >>"$moved" || fail "cannot write $moved"
    while read -r file; do move_aside "$file"; done <"$MKECTL_WORK/leftovers"
    clear_rules
    drop_namespaces
    look
    [ -z "$wrong" ] || fail "$wrong"
}

# FILE: as it was before k0s. What k0s wrote in its place is kept in this directory.
put_back() {
    [ -e "$1.$tag" ] || [ -L "$1.$tag" ] || return 0
    if [ -e "$1" ] || [ -L "$1" ]; then
        mkdir -p "$MKECTL_WORK/of-k0s" || fail "cannot write in $MKECTL_WORK"
        mv -f "$1" "$MKECTL_WORK/of-k0s/" || fail "cannot move $1 away"
    fi
    move_back "$1"
}

undo() {
    [ -e "$MKECTL_WORK/began" ] || return 0
    if k0s_runs; then later "k0s still runs on this host"; fi
    if [ -s "$moved" ]; then
        while read -r file; do put_back "$file"; done <"$moved"
        # The list is all that tells what lies aside.
        while read -r file; do
            if [ -e "$file.$tag" ] || [ -L "$file.$tag" ]; then fail "$file.$tag was not put back"; fi
        done <"$moved"
    fi
    rm -f "$moved"
    rm -f "$MKECTL_WORK/began"
}

. lib/main.sh
