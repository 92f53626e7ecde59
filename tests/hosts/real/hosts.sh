#!/bin/bash
# Real hosts of a small MKE 3 cluster on one machine, for tests. Each has its own root file system (overlayfs over one
# debootstrap tree), process tree, host name, machine id, SSH host key and network namespace. systemd is process 1; sshd,
# Docker Engine and the swarm are real, and so are etcd, etcdctl, etcdutl and kubectl. What stands in for MKE 3 lies in
# mke3/ beside this file.
#
#   hosts.sh base                 fetch the packages and build the tree that all hosts share
#   hosts.sh up MANAGERS WORKERS  start hosts and their MKE 3; an hour later they end by themselves
#   hosts.sh exec HOST COMMAND... run a command in a host, not over SSH
#   hosts.sh lan COMMAND...       run a command in the network of the hosts, from where they can be reached
#   hosts.sh crash HOST           cut its power: all processes end, the disk stays
#   hosts.sh boot HOST            start it again
#   hosts.sh freeze|thaw HOST     stop and continue every process of a host, process 1 too
#   hosts.sh link HOST down|up    pull its cable
#   hosts.sh slow HOST KBIT MS    so many kbit/s to and from it, and SSH to it takes so many ms more in each direction
#   hosts.sh fast HOST            no longer
#   hosts.sh down                 end everything and remove it; the shared tree stays
#
# MKECTL_REAL_DIR says where everything lies; each directory is a world of its own, and several do not disturb each other.
# Only namespaces are touched: no rule, route or service of this machine. Needs root, a cgroup v2 tree and the packages of
# `.ci/install real`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${MKECTL_REAL_DIR:-/var/tmp/mkectl-real}
# Where the packages are kept between runs; may be removed at any time.
cache=${MKECTL_REAL_CACHE:-/var/tmp/mkectl-real-cache}
suite=bookworm
version=3.8.5
net=10.99.0
balancer=$net.254
# Where what takes a long way comes from.
far=$net.253
tag=mkr$(printf %s "$dir" | sha256sum | cut -c 1-6)

say() { echo "hosts.sh: $*" >&2; }
die() {
    say "$*"
    exit 1
}

cgroups() { awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts; }

able() {
    [ "$(id -u)" = 0 ] || die "real hosts need root, for namespaces and mounts: run this as root"
    [ -n "$(cgroups)" ] || die "real hosts need a cgroup v2 tree, and none is mounted here (mount -t cgroup2 cgroup2 /sys/fs/cgroup)"
    local probe
    probe=$(cgroups)/$tag-probe
    mkdir "$probe" 2>/dev/null || die "real hosts need to make cgroups, and $(cgroups) cannot be written"
    rmdir "$probe"
    unshare --mount --pid --net --uts --ipc --cgroup --fork true 2>/dev/null ||
        die "real hosts need namespaces, and this machine does not let root make them"
    local program
    for program in debootstrap ip ssh-keygen openssl nsenter; do
        command -v $program >/dev/null || die "$program is missing: run .ci/install real"
    done
}

# ------------------------------------------------------------------------------------------------------ the shared tree

# The mirror that this machine's apt uses, where it is one of Debian.
find_mirror() {
    # shellcheck disable=SC2016 # apt-get fills it in.
    mirror=${MKECTL_REAL_MIRROR:-$(apt-get indextargets --format '$(SITE)' "Codename: $suite" 2>/dev/null | head -n 1)}
    mirror=${mirror:-http://deb.debian.org/debian}
}

# Debian's etcd of this suite is older than MKE 3's, so these come from the next one; they need nothing but libc.
fetch_newer() {
    local to=$cache/newer
    [ -e "$to/.done" ] && return
    rm -rf "$to"
    mkdir -p "$to/lists/partial" "$to/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$to/sources"
    (
        cd "$to"
        options=(-q -o "Dir::Etc::sourcelist=$to/sources" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$to/lists"
            -o "Dir::Cache=$to" -o Dir::State::status=/dev/null -o APT::Sandbox::User=root -o Acquire::Languages=none)
        apt-get "${options[@]}" update
        apt-get "${options[@]}" download etcd-server etcd-client kubectl
        for package in *.deb; do dpkg -x "$package" all; done
        mkdir -p tree/usr/bin
        mv all/usr/bin/{etcd,etcdctl,etcdutl,kubectl} tree/usr/bin/
        rm -rf all ./*.deb
    ) >"$cache/newer.log" 2>&1 || die "etcd and kubectl cannot be had: $(tail -n 1 "$cache/newer.log")"
    touch "$to/.done"
}

build_base() {
    local base=$cache/base
    [ -e "$base/.done" ] && return
    rm -rf --one-file-system "$base"
    mkdir -p "$cache"
    say "building the tree of the hosts: about a minute"
    debootstrap --variant=minbase \
        --include=openssh-server,systemd,systemd-sysv,dbus,iproute2,procps,ca-certificates,sudo,curl,python3,openssl,iptables,docker.io,busybox-static \
        $suite "$base" "$mirror" >"$cache/debootstrap.log" 2>&1 ||
        die "debootstrap failed: $(tail -n 1 "$cache/debootstrap.log")"
    rm -f "$base"/etc/ssh/ssh_host_* "$base"/var/cache/apt/archives/*.deb
    touch "$base/.done"
}

base() {
    mkdir -p "$cache"
    # Two at once would build in the same place.
    exec 9>"$cache/lock"
    flock 9
    find_mirror
    build_base
    fetch_newer
    flock -u 9
}

# A layer over the tree with what is ours: small, and written anew for each world.
make_layer() {
    local layer=$dir/layer unit
    rm -rf "$layer"
    mkdir -p "$layer"/{root/.ssh,run/sshd,etc/ssh/sshd_config.d,etc/systemd/system,etc/docker,usr/local/bin,opt,sbin}
    rmdir "$layer/sbin"
    chmod 700 "$layer/root/.ssh"
    : >"$layer/etc/machine-id"
    cp -r "$here/mke3" "$layer/opt/mke3"
    cp "$layer/opt/mke3/modprobe" "$layer/usr/local/bin/modprobe"
    # MKE 4k does not know Debian, whose programs these are.
    printf 'ID=ubuntu\nVERSION_ID="22.04"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n' >"$layer/etc/os-release"
    install -m 600 "$dir/id_ed25519.pub" "$layer/root/.ssh/authorized_keys"
    cat >"$layer/etc/ssh/sshd_config.d/test.conf" <<-end
	PermitRootLogin prohibit-password
	PasswordAuthentication no
	UseDNS no
	MaxStartups 100:30:200
	MaxSessions 64
	end
    echo '{"storage-driver": "overlay2", "log-opts": {"max-size": "10m"}}' >"$layer/etc/docker/daemon.json"
    for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
        systemd-timesyncd.service systemd-networkd.service systemd-resolved.service systemd-udevd.service \
        systemd-sysctl.service systemd-modules-load.service getty.target console-getty.service; do
        ln -sf /dev/null "$layer/etc/systemd/system/$unit"
    done
    # The shim between the kubelet of MKE 3 and Docker.
    cat >"$layer/etc/systemd/system/cri-dockerd-mke.service" <<-end
	[Unit]
	Description=CRI of Docker for MKE
	After=docker.service
	Requires=cri-dockerd-mke.socket
	[Service]
	ExecStart=/bin/sleep infinity
	[Install]
	WantedBy=multi-user.target
	end
    cat >"$layer/etc/systemd/system/cri-dockerd-mke.socket" <<-end
	[Unit]
	Description=Socket of the CRI of Docker for MKE
	PartOf=cri-dockerd-mke.service
	[Socket]
	ListenStream=/run/cri-dockerd-mke.sock
	[Install]
	WantedBy=sockets.target
	end
    mkdir -p "$layer/etc/systemd/system/multi-user.target.wants" "$layer/etc/systemd/system/sockets.target.wants"
    ln -s ../cri-dockerd-mke.service "$layer/etc/systemd/system/multi-user.target.wants/"
    ln -s ../cri-dockerd-mke.socket "$layer/etc/systemd/system/sockets.target.wants/"
}

# -------------------------------------------------------------------------------------------------------------- network

lan() { ip netns exec "$tag-lan" "$@"; }

make_lan() {
    ip netns add "$tag-lan"
    ip -n "$tag-lan" -batch - <<-end
	link set lo up
	link add lan type bridge
	addr add $balancer/24 dev lan
	link set lan up
	end
}

# HOST ADDRESS
make_link() {
    ip netns del "$tag-$1" 2>/dev/null || true
    ip -n "$tag-lan" link del "v-$1" 2>/dev/null || true
    ip netns add "$tag-$1"
    ip -n "$tag-lan" link add "v-$1" type veth peer name eth0 netns "$tag-$1"
    ip -n "$tag-lan" link set "v-$1" master lan up
    ip -n "$tag-$1" -batch - <<-end
	link set lo up
	addr add $2/24 dev eth0
	link set eth0 up
	route add default via $balancer
	end
}

# ---------------------------------------------------------------------------------------------------------------- hosts

address() { cat "$dir/hosts/$1/address"; }
names() { [ ! -d "$dir/hosts" ] || ls "$dir/hosts"; }

# HOST: process 1 as this machine sees it.
first() {
    local outer
    outer=$(cat "$dir/hosts/$1/pid" 2>/dev/null) || return 1
    tr -d ' ' <"/proc/$outer/task/$outer/children"
}

in_host() {
    local host=$1 process
    shift
    process=$(first "$host") || die "$host does not run"
    nsenter -t "$process" -a "$@"
}

# HOST ADDRESS
make_host() {
    local host=$dir/hosts/$1
    mkdir -p "$host/up/etc/ssh" "$host/work" "$host/root" "$host/disk/docker" "$host/disk/containerd" "$host/sys"
    echo "$2" >"$host/address"
    echo "$1" >"$host/up/etc/hostname"
    printf '127.0.0.1 localhost\n%s %s\n' "$2" "$1" >"$host/up/etc/hosts"
    # No name server: look-ups fail at once, and not after 20 seconds.
    printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >"$host/up/etc/resolv.conf"
    tr -d - </proc/sys/kernel/random/uuid >"$host/up/etc/machine-id"
    ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$host/up/etc/ssh/ssh_host_ed25519_key"
    # What a host sets in the kernel of this machine goes into files of its own.
    echo 0 >"$host/sys/kernel.panic"
    echo 0 >"$host/sys/kernel.panic_on_oops"
    echo 0 >"$host/sys/vm.overcommit_memory"
    echo 0 >"$host/sys/vm.panic_on_oom"
}

boot() {
    local host=$dir/hosts/$1 cgroup
    make_link "$1" "$(address "$1")"
    cgroup=$(cgroups)/$tag/$1
    mkdir -p "$cgroup"
    (
        echo "$BASHPID" >"$cgroup/cgroup.procs"
        exec setsid nsenter --net="/run/netns/$tag-$1" unshare --mount --uts --ipc --pid --cgroup --fork \
            --kill-child=KILL --propagation private "$here/init" "$host" "$dir/layer:$cache/newer/tree:$cache/base" \
            </dev/null >"$host/init.log" 2>&1 9>&-
    ) &
    echo $! >"$host/pid"
}

# SECONDS WHAT COMMAND...
within() {
    local until=$(($(date +%s) + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$until" ] || die "gave up waiting for $what"
        sleep 0.3
    done
}

answers() { lan timeout 2 bash -c "exec 3<>/dev/tcp/$(address "$1")/22"; }

reachable() { within 120 "sshd on $1: $(cat "$dir/hosts/$1/init.log")" answers "$1"; }

ready() {
    local host
    for host; do
        reachable "$host"
        within 120 "Docker on $host" in_host "$host" docker info
    done
}

kill_host() {
    local host=$dir/hosts/$1 outer cgroup rounds=0
    cgroup=$(cgroups)/$tag/$1
    outer=$(cat "$host/pid" 2>/dev/null || true)
    # The kernel ends the whole process tree with its first process.
    if [ -n "$outer" ] && kill -0 "$outer" 2>/dev/null; then kill -KILL "$outer" || true; fi
    [ ! -d "$cgroup" ] || echo 1 >"$cgroup/cgroup.kill" 2>/dev/null || true
    while [ -d "$cgroup" ] && ! find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null; do
        rounds=$((rounds + 1))
        [ "$rounds" -lt 200 ] || {
            say "$1: its cgroup does not go"
            break
        }
        sleep 0.05
    done
    # The kernel frees a dead namespace's link late, so the name would stay taken.
    ip -n "$tag-lan" link del "v-$1" 2>/dev/null || true
    ip netns del "$tag-$1" 2>/dev/null || true
    rm -f "$host/pid"
}

down() {
    local name process
    if [ -s "$dir/watch.pid" ] && [ "$(cat "$dir/watch.pid")" != "$$" ]; then
        kill -- "-$(cat "$dir/watch.pid")" 2>/dev/null || true
    fi
    if [ -s "$dir/balancer.pid" ]; then kill "$(cat "$dir/balancer.pid")" 2>/dev/null || true; fi
    for name in $(names); do kill_host "$name"; done
    if [ -e "/run/netns/$tag-lan" ]; then
        for process in $(ip netns pids "$tag-lan"); do kill -KILL "$process" 2>/dev/null || true; done
        ip netns del "$tag-lan"
    fi
    rmdir "$(cgroups)/$tag" 2>/dev/null || true
    rm -rf --one-file-system "$dir"
}

up() {
    local managers=$1 workers=$2 name number=0 all=() boss=()
    mkdir -p "$dir"
    [ ! -e "$dir/hosts" ] || die "hosts are there already: hosts.sh down"
    trap '[ $? -eq 0 ] || down' EXIT
    # Whoever asked for hosts may be killed, and they must not stay for ever.
    setsid sh -c "sleep 3600; exec '$0' down" </dev/null >/dev/null 2>&1 9>&- &
    echo $! >"$dir/watch.pid"
    base
    ssh-keygen -q -t ed25519 -N '' -C tests -f "$dir/id_ed25519"
    make_layer
    make_lan
    local i
    for ((i = 1; i <= managers; i++)); do boss+=("manager-$i"); done
    all=("${boss[@]}")
    for ((i = 1; i <= workers; i++)); do all+=("worker-$i"); done
    for name in "${all[@]}"; do
        number=$((number + 1))
        make_host "$name" "$net.$number"
        boot "$name"
    done
    {
        echo "hosts:"
        for name in "${all[@]}"; do
            printf -- '  - address: %s\n    port: 22\n    user: root\n    keyPath: %s\n' "$(address "$name")" "$dir/id_ed25519"
        done
    } >"$dir/hosts.yaml"
    for name in "${all[@]}"; do
        echo "$(address "$name") $(cut -d ' ' -f 1,2 "$dir/hosts/$name/up/etc/ssh/ssh_host_ed25519_key.pub")"
    done >"$dir/known_hosts"
    "$here/certificates.sh" "$dir" "$version" "${all[@]}"
    ready "${all[@]}"
    local addresses=()
    for name in "${boss[@]}"; do addresses+=("$(address "$name")"); done
    lan setsid python3 "$here/balancer.py" "$balancer" "${addresses[@]}" </dev/null >"$dir/balancer.log" 2>&1 9>&- &
    echo $! >"$dir/balancer.pid"
    # The swarm, then MKE 3 on all hosts at once.
    local lead=${boss[0]} token
    in_host "$lead" docker swarm init --advertise-addr "$(address "$lead")" >/dev/null
    for name in "${all[@]:1}"; do
        token=$(in_host "$lead" docker swarm join-token -q "${name%-*}")
        in_host "$name" docker swarm join --advertise-addr "$(address "$name")" --token "$token" "$(address "$lead"):2377" >/dev/null
    done
    local jobs=()
    for name in "${all[@]}"; do
        in_host "$name" /opt/mke3/install.sh "$version" "$(address "$name")" "${addresses[@]}" >"$dir/hosts/$name/install.log" 2>&1 &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do
        wait "$job" || die "MKE 3 did not start: $(tail -n 3 "$dir"/hosts/*/install.log)"
    done
    in_host "$lead" /opt/mke3/seed.sh "$version" "${all[@]}" >"$dir/seed.log" 2>&1 || die "MKE 3 has no content: $(tail -n 3 "$dir/seed.log")"
}

slow() {
    local host=$1 kbit=$2 ms=$3 at port
    at=$(address "$host")
    port=22${at##*.}
    ip netns exec "$tag-$host" tc qdisc add dev eth0 root tbf rate "${kbit}kbit" burst 16kb latency 2s
    lan tc qdisc add dev "v-$host" root tbf rate "${kbit}kbit" burst 16kb latency 2s
    lan ip addr add "$far/24" dev lan 2>/dev/null || true
    lan setsid python3 "$here/relay.py" "$balancer" "$port" "$far" "$at" 22 "$ms" </dev/null >"$dir/relay.log" 2>&1 9>&- &
    echo $! >"$dir/hosts/$host/relay.pid"
    lan chroot "$cache/base" iptables -w -t nat -A OUTPUT -p tcp -d "$at" --dport 22 ! -s "$far" -j DNAT --to-destination "$balancer:$port"
    # Connections that are there go the old way as long as they last.
    in_host "$host" pkill -KILL -f '^sshd: root' || true
}

fast() {
    local host=$1 at
    at=$(address "$host")
    ip netns exec "$tag-$host" tc qdisc del dev eth0 root
    lan tc qdisc del dev "v-$host" root
    lan chroot "$cache/base" iptables -w -t nat -F OUTPUT
    kill "$(cat "$dir/hosts/$host/relay.pid")"
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
base) able && base ;;
up)
    able
    up "${1:?managers}" "${2:?workers}"
    ;;
exec) in_host "$@" ;;
lan) exec ip netns exec "$tag-lan" "$@" ;;
crash) kill_host "$1" ;;
# Whether Docker starts is up to the plan that runs there.
boot) boot "$1" && reachable "$1" ;;
freeze) echo 1 >"$(cgroups)/$tag/$1/cgroup.freeze" ;;
thaw) echo 0 >"$(cgroups)/$tag/$1/cgroup.freeze" ;;
link) ip -n "$tag-lan" link set "v-$1" "$2" ;;
slow) slow "$1" "$2" "$3" ;;
fast) fast "$1" ;;
down) down ;;
*)
    sed -n '2,21s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
