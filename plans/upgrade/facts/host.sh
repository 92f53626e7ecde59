# Reads what one host is. Arguments: the paths whose file systems are wanted, `--`, kernel modules that must be there.
. facts/base.sh

identity() {
    file hostname /proc/sys/kernel/hostname
    file machine-id /etc/machine-id
    file boot-id /proc/sys/kernel/random/boot_id
}

system() {
    for release in /etc/os-release /usr/lib/os-release; do
        if [ ! -r "$release" ]; then continue; fi
        while IFS='=' read -r key value; do
            case $key in
            ID | VERSION_ID | PRETTY_NAME)
                # Quoted or not; nothing is evaluated.
                value=${value#[\"\']}
                is "os.$key" "${value%[\"\']}"
                ;;
            esac
        done <"$release"
        break
    done
    tell uname.machine uname -m
    tell uname.release uname -r
    tell uname.system uname -s
    if cpus=$(nproc 2>/dev/null) || cpus=$(getconf _NPROCESSORS_ONLN 2>/dev/null); then
        is cpus "$cpus"
    elif cpus=$(grep -c '^processor' /proc/cpuinfo); then
        is cpus "$cpus"
    fi
    while read -r key value _; do
        if [ "$key" = MemTotal: ]; then is memory-kib "$value"; fi
    done </proc/meminfo
    init=
    if [ -d /run/systemd/system ]; then
        init=systemd
    elif here systemctl; then
        # Where systemd is installed and another program is process 1, it says "offline".
        case $(within 10 systemctl is-system-running 2>/dev/null) in
        running | degraded | starting | initializing | maintenance | stopping) init=systemd ;;
        esac
    fi
    if [ -n "$init" ]; then is init "$init"; else file init /proc/1/comm; fi
    if [ "$init" = systemd ] && here systemd-run; then
        is detach systemd-run
    elif here setsid; then
        is detach setsid
    else
        is detach double-fork
    fi
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        is cgroup v2
    elif [ -d /sys/fs/cgroup/memory ]; then
        is cgroup v1
    fi
    if [ -r /proc/swaps ]; then
        if [ "$(grep -c . /proc/swaps)" -gt 1 ]; then is swap true; else is swap false; fi
    fi
}

policy() {
    if here getenforce && mode=$(within 10 getenforce 2>/dev/null); then
        is selinux "$(printf '%s' "$mode" | tr '[:upper:]' '[:lower:]')"
    elif [ -r /sys/fs/selinux/enforce ]; then
        case $(cat /sys/fs/selinux/enforce) in
        1) is selinux enforcing ;;
        0) is selinux permissive ;;
        esac
    else
        is selinux disabled
    fi
    firewall
    # Without systemd nobody would have started it.
    if within 10 systemctl is-active --quiet fapolicyd.service 2>/dev/null; then
        is fapolicyd true
    else
        is fapolicyd false
    fi
    # "iptables v1.8.7 (nf_tables)"
    if version=$(within 10 iptables --version 2>/dev/null); then
        case $version in
        *nf_tables*) is iptables nft ;;
        *) is iptables legacy ;;
        esac
    else
        dunno iptables "there is no iptables, or it does not tell its version"
    fi
}

firewall() {
    if here firewall-cmd && state=$(within 10 firewall-cmd --state 2>&1) && [ "$state" = running ]; then
        is firewall firewalld
        return
    fi
    if here ufw; then
        # It answers root alone.
        state=$(within 10 ufw status 2>/dev/null)
        case $? in
        0 | 127) ;;
        *)
            dunno firewall "ufw does not tell its state"
            return
            ;;
        esac
        case $state in
        "Status: active"*)
            is firewall ufw
            return
            ;;
        esac
    fi
    is firewall none
}

# The nearest directory above a path that is there.
above() {
    found=$1
    while [ ! -e "$found" ]; do
        found=${found%/*}
        if [ -z "$found" ]; then found=/; fi
    done
}

disks() {
    list filesystem
    for path in $paths; do
        above "$path"
        # The last line: NAME BLOCKS USED FREE CAPACITY MOUNT; a mount point may have spaces.
        within 10 df -P -k "$found" 2>/dev/null | tail -n 1 | {
            read -r _ size _ free _ mount || exit 0
            inodes=$(within 10 df -P -i "$found" 2>/dev/null | tail -n 1 | { read -r _ _ _ inodes _ && echo "$inodes"; })
            has filesystem "$path$tab$mount$tab$size$tab$free$tab${inodes:-}"
        }
    done
    noexec=false
    for path in /usr/local/bin /var/lib/k0s; do
        above "$path"
        longest=
        while read -r _ mount _ options _; do
            case $found/ in
            "${mount%/}"/*)
                if [ "${#mount}" -ge "${#longest}" ]; then longest=$mount kept=$options; fi
                ;;
            esac
        done </proc/self/mounts
        case ,${kept:-}, in *,noexec,*) noexec=true ;; esac
    done
    is noexec "$noexec"
    if here modprobe; then
        list missing-module
        for module in $modules; do
            if [ -d "/sys/module/$module" ]; then continue; fi
            # With -n nothing is loaded.
            within 10 modprobe -n -q "$module" 2>/dev/null || has missing-module "$module"
        done
    else
        dunno missing-module "there is no modprobe"
    fi
}

network() {
    # NUMBER: NAME FAMILY ADDRESS/LENGTH …, with -o on one line for each.
    if shown=$(within 10 ip -o address show 2>/dev/null); then
        list address
        printf '%s\n' "$shown" | while read -r _ interface family address _; do
            case $family in inet | inet6) has address "$interface$tab${address%%/*}" ;; esac
        done
    else
        dunno address "there is no ip, or it does not list addresses"
    fi
    if shown=$(within 10 ip route show 2>/dev/null); then
        printf '%s\n' "$shown" | while read -r to via gateway dev interface _; do
            if [ "$to" != default ]; then continue; fi
            if [ "$via" = dev ]; then interface=$gateway; elif [ "$dev" != dev ]; then continue; fi
            is route-interface "$interface"
            break
        done
    fi
    if shown=$(within 10 ss -H -l -n -t -p 2>/dev/null); then
        list listening
        printf '%s\n' "$shown" | while read -r state _ _ local _ process _; do
            if [ "$state" != LISTEN ]; then continue; fi
            # users:(("sshd",pid=812,fd=3))
            case $process in
            *'"'*'"'*) process=${process#*\"} process=${process%%\"*} ;;
            *) process= ;;
            esac
            has listening "${local##*:}$tab$process"
        done
    elif [ -r /proc/net/tcp ]; then
        # Who listens cannot be told from here without looking at every process.
        list listening
        cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | while read -r _ local _ state _; do
            if [ "$state" = 0A ]; then has listening "$(printf %d "0x${local##*:}")$tab"; fi
        done
    else
        dunno listening "there is no ss, and no /proc/net/tcp"
    fi
}

engine() {
    docker_root=
    if ! here docker; then
        dunno docker "there is no docker"
        return
    fi
    # With docker.service down, asking would make its socket start it.
    if [ "$init" = systemd ] && [ "$(within 10 systemctl is-active docker.service)" != active ]; then
        dunno docker "docker.service is not active"
        return
    fi
    if ! about=$(within 20 docker info --format '= docker.version {{.ServerVersion}}
= docker.root {{.DockerRootDir}}
= docker.driver {{.Driver}}
= docker.live-restore {{.LiveRestoreEnabled}}
= docker.cgroup-driver {{.CgroupDriver}}
= docker.cgroup-version {{.CgroupVersion}}
= docker.cpus {{.NCPU}}
= docker.memory {{.MemTotal}}
= docker.machine {{.Architecture}}
= docker.release {{.KernelVersion}}
= docker.system {{.OSType}}
= swarm.node-id {{.Swarm.NodeID}}
= swarm.state {{.Swarm.LocalNodeState}}
= swarm.address {{.Swarm.NodeAddr}}
= swarm.manager {{.Swarm.ControlAvailable}}
= swarm.cluster {{with .Swarm.Cluster}}{{.ID}}{{end}}' 2>/dev/null); then
        dunno docker "the engine does not answer"
        return
    fi
    printf '%s\n' "$about"
    docker_root=$(printf '%s\n' "$about" | sed -n 's/^= docker\.root //p')
    containers
    # Adds up the sizes of all layers, which takes its time where there are many.
    if shown=$(within 30 docker system df --format '{{.Type}}{{"\t"}}{{.Size}}' 2>/dev/null); then
        printf '%s\n' "$shown" | while IFS=$tab read -r type size; do
            if [ "$type" = Images ]; then is docker.images "$size"; fi
        done
    fi
}

containers() {
    if ! all=$(within 20 docker ps --all --format '{{.Names}}{{"\t"}}{{.State}}{{"\t"}}{{.Image}}' 2>/dev/null) ||
        ! pods=$(within 20 docker ps --all --filter label=io.kubernetes.pod.uid --format '{{.Names}}' 2>/dev/null) ||
        ! tasks=$(within 20 docker ps --all --filter label=com.docker.swarm.task.id --format '{{.Names}}' 2>/dev/null); then
        dunno container "docker does not list containers"
        return
    fi
    # Names of containers have no spaces.
    known=" $(printf '%s %s' "$pods" "$tasks" | tr '\n' ' ') "
    list container
    printf '%s\n' "$all" | while IFS=$tab read -r name state _; do
        case $known in *" $name "*) continue ;; esac
        if [ -n "$name" ]; then has container "$name$tab$state"; fi
    done
    if proxy=$(within 10 docker inspect --type container \
        --format '{{index .Config.Labels "com.docker.ucp.version"}}' ucp-proxy 2>/dev/null); then
        is mke-version "$proxy"
    fi
    # Images that users' pods and containers here use and that came from no registry.
    if ! used=$(within 20 docker ps --filter label=io.kubernetes.pod.namespace --format '{{.Image}}' 2>/dev/null); then return; fi
    used=$(printf '%s\n' "$used" | sort -u)
    if [ -z "$used" ]; then
        list local-image
        return
    fi
    # shellcheck disable=SC2086
    # References of images have no spaces. One that is gone meanwhile is no fault.
    shown=$(within 30 docker image inspect \
        --format '{{len .RepoDigests}}{{range .RepoTags}}{{"\t"}}{{.}}{{end}}' $used 2>/dev/null) || [ -n "$shown" ] || return 0
    list local-image
    printf '%s\n' "$shown" | while IFS=$tab read -r digests name _; do
        if [ "$digests" = 0 ] && [ -n "$name" ]; then has local-image "$name"; fi
    done
}

# Certificates whose end would hit the upgrade: of the swarm, of MKE's node and of etcd.
certificates() {
    here openssl || return 0
    root=${docker_root:-/var/lib/docker}
    list certificate
    for file in "$root/swarm/certificates/swarm-node.crt" "$root/volumes/ucp-node-certs/_data/cert.pem" \
        "$root/volumes/ucp-kv-certs/_data/cert.pem" "$root/volumes/ucp-controller-server-certs/_data/cert.pem"; do
        if [ ! -r "$file" ]; then continue; fi
        # notAfter=Jan  1 00:00:00 2027 GMT
        if end=$(within 10 openssl x509 -noout -enddate -in "$file" 2>/dev/null); then
            has certificate "$file$tab${end#notAfter=}"
        fi
    done
}

traces() {
    list k0s
    for binary in /usr/local/bin/k0s /usr/bin/k0s; do
        if [ -e "$binary" ]; then
            has k0s binary
            break
        fi
    done
    for unit in k0scontroller k0sworker; do
        if [ -e "/etc/systemd/system/$unit.service" ]; then
            has k0s service
            break
        fi
    done
    if [ -e /var/lib/k0s/pki ] || [ -e /var/lib/k0s/etcd ] || [ -e /var/lib/k0s/kubelet ]; then has k0s data; fi
}

paths='' modules=''
while [ "$#" -gt 0 ] && [ "$1" != -- ]; do
    paths="$paths $1"
    shift
done
if [ "$#" -gt 0 ]; then shift; fi
modules=$*

identity
system
policy
disks
network
engine
certificates
traces
