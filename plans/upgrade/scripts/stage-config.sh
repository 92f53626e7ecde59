# Checks the k0s configuration with k0s itself and prepares the host for it: kernel modules, sysctls, certificates of the
# registries, ports of an active firewall. What was there before is recorded first.
. lib/base.sh
. lib/docker.sh

modules=/etc/modules-load.d/mkectl.conf
settings=/etc/sysctl.d/90-mkectl.conf
certs=/etc/k0s/certs.d
drop_in=/etc/k0s/containerd.d/mkectl.toml

# What the kubelet and kube-proxy of k0s ask for.
wanted_modules="overlay
br_netfilter
nf_conntrack"
wanted_sysctls="net.ipv4.ip_forward=1
net.bridge.bridge-nf-call-iptables=1
vm.overcommit_memory=1
kernel.panic=10
kernel.panic_on_oops=1"

probe() {
    # The firewall stays out of this: it may forget ports that are opened by others as well.
    if [ ! -e "$MKECTL_WORK/begun" ]; then not_done "nothing is prepared"; fi
    for file in "$modules" "$settings"; do
        if [ ! -e "$file" ]; then partly_done "$file is missing"; fi
    done
    if [ ! -e "$MKECTL_WORK/done" ]; then partly_done "the preparation did not come to its end"; fi
    is_done
}

run() {
    sed "s|mkectl-host:private-address|$NODE_IP|" "$K0S_CONFIG" >"$MKECTL_WORK/k0s.yaml" || fail "cannot read $K0S_CONFIG"
    "$K0S" config validate --config "$MKECTL_WORK/k0s.yaml" ||
        unplanned "k0s does not accept the configuration of this plan: see the lines above"
    : >"$MKECTL_WORK/begun" || fail "cannot write in $MKECTL_WORK: is the disk full?"

    for module in $wanted_modules; do
        modprobe "$module" || unplanned "the kernel has no module $module: install the package with the kernel's modules"
    done
    printf '%s\n' "$wanted_modules" | replace "$modules" 0644

    for setting in $wanted_sysctls; do
        remember "${setting%%=*}"
        sysctl -q -w "$setting" || fail "cannot set $setting"
    done
    printf '%s\n' "$wanted_sysctls" | replace "$settings" 0644

    if [ -s "$REGISTRY_CAS" ]; then trust_registries; fi
    if firewall-cmd --state >/dev/null 2>&1; then open_firewalld; fi
    if ufw status 2>/dev/null | grep -q '^Status: active'; then open_ufw; fi
    : >"$MKECTL_WORK/done"
}

undo() {
    rm -f "$MKECTL_WORK/done"
    if [ -e "$MKECTL_WORK/opened" ]; then close_ports; fi
    for directory in "$certs" "${drop_in%/*}"; do
        if [ -e "$MKECTL_WORK/begun" ] && [ -e "$directory/.mkectl" ]; then move_aside "$directory"; fi
    done
    # Only when nothing else is in it.
    rmdir /etc/k0s 2>/dev/null || :
    if [ -e "$MKECTL_WORK/begun" ]; then
        rm -f "$modules" "$settings" || fail "cannot remove $modules and $settings"
    fi
    if [ -e "$MKECTL_WORK/sysctls" ]; then
        while read -r setting; do
            sysctl -q -w "$setting" || fail "cannot set $setting as it was"
        done <"$MKECTL_WORK/sysctls"
    fi
    rm -f "$MKECTL_WORK/begun" "$MKECTL_WORK/sysctls" "$MKECTL_WORK/opened"
}

# KEY: keeps its first value.
remember() {
    if [ -e "$MKECTL_WORK/sysctls" ] && grep -q "^$1=" "$MKECTL_WORK/sysctls"; then return 0; fi
    value=$(sysctl -n "$1") || unplanned "the kernel does not know $1"
    printf '%s=%s\n' "$1" "$value" >>"$MKECTL_WORK/sysctls" || fail "cannot write in $MKECTL_WORK: is the disk full?"
}

# containerd looks for CAs in a directory per registry, once a configuration says so. Both directories are k0s' own, which
# is not installed yet.
trust_registries() {
    for directory in "$certs" "${drop_in%/*}"; do
        if [ -e "$directory" ] && [ ! -e "$directory/.mkectl" ]; then
            unplanned "$directory is there already, from another k0s: move it away"
        fi
        mkdir -p "$directory" || fail "cannot make $directory"
        : >"$directory/.mkectl"
    done
    for registry in "$IMAGE_REGISTRY" "${CHART_REGISTRY#oci://}"; do
        registry=${registry%%/*}
        [ -n "$registry" ] || continue
        mkdir -p "$certs/$registry" || fail "cannot make $certs/$registry"
        replace "$certs/$registry/ca.crt" 0644 <"$REGISTRY_CAS"
        printf 'server = "https://%s"\n[host."https://%s"]\n  ca = "%s/ca.crt"\n' "$registry" "$registry" \
            "$certs/$registry" | replace "$certs/$registry/hosts.toml" 0644
    done
    printf 'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "%s"\n' "$certs" |
        replace "$drop_in" 0644
}

# Lines of PORTS for this host, `port/protocol`, one protocol each.
ports_of_host() {
    role=workers
    if is_manager; then role=managers; fi
    awk -v role="$role" '$2 == "all" || $2 == role {
        split($1, part, "/")
        count = split(part[2], protocols, ",")
        for (i = 1; i <= count; i++) print part[1] "/" protocols[i]
    }' "$PORTS"
}

# Only what is closed is opened, and written down before.
open_firewalld() {
    ports_of_host >"$MKECTL_WORK/ports"
    while read -r port; do
        option=port name=$port
        # IP protocols go by number.
        if [ "${port#*/}" = ip ]; then option=protocol name=${port%/ip}; fi
        # Without --permanent it is about the rules that are in force; --quiet stands for that.
        for scope in --permanent --quiet; do
            if ! firewall-cmd "$scope" "--query-$option=$name" >/dev/null 2>&1; then
                printf 'firewalld %s %s %s\n' "$option" "$name" "$scope" >>"$MKECTL_WORK/opened"
                firewall-cmd "$scope" "--add-$option=$name" >/dev/null || fail "firewalld does not open $port"
            fi
        done
    done <"$MKECTL_WORK/ports"
}

open_ufw() {
    ports_of_host >"$MKECTL_WORK/ports"
    ufw show added >"$MKECTL_WORK/ufw" || fail "ufw does not tell its rules"
    while read -r port; do
        # ufw cannot name IP protocols; those on the list were in use before.
        [ "${port#*/}" != ip ] || continue
        # It writes a range with a colon.
        rule="allow $(printf '%s' "$port" | tr - :)"
        if ! grep -qxF "ufw $rule" "$MKECTL_WORK/ufw"; then
            printf 'ufw %s\n' "$rule" >>"$MKECTL_WORK/opened"
            # shellcheck disable=SC2086 # Two words.
            ufw $rule >/dev/null || fail "ufw does not open $port"
        fi
    done <"$MKECTL_WORK/ports"
}

close_ports() {
    while read -r program option name scope; do
        if [ "$program" = firewalld ]; then
            # A firewall that was stopped meanwhile has only what is permanent, and that in files.
            if ! firewall-cmd --state >/dev/null 2>&1; then later "firewalld does not run: start it, then go on"; fi
            if firewall-cmd "$scope" "--query-$option=$name" >/dev/null 2>&1; then
                firewall-cmd "$scope" "--remove-$option=$name" >/dev/null || fail "firewalld does not close $name"
            fi
        else
            ufw delete "$option" "$name" >/dev/null || fail "ufw does not close $name"
        fi
    done <"$MKECTL_WORK/opened"
}
. lib/main.sh
