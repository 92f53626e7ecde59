# k0s on one host. Scripts that use it have DATA_DIR.
k0s=/usr/local/bin/k0s
units=/etc/systemd/system

# ARGUMENT...: kubectl as administrator, against the API server of this host and not one behind a load balancer.
kube() { "$k0s" kubectl --kubeconfig "$DATA_DIR/pki/admin.conf" "$@"; }

# ARGUMENT...: what kubectl prints goes to $seen, or why it prints nothing. Warnings are no answer.
ask() {
    if seen=$(kube "$@" 2>"$MKECTL_WORK/said"); then return 0; fi
    seen=$(tail -n 1 "$MKECTL_WORK/said")
    return 1
}

# For wait_for. An etcd member answers only after it was let into the cluster, so this proves that as well.
api_ready() {
    if ask get --raw /readyz && [ "$seen" = ok ]; then return 0; fi
    seen="$seen; k0scontroller is $(unit_state k0scontroller)"
    return 1
}

# UNIT
unit_state() { systemctl show -p ActiveState,SubState --value "$1" | tr '\n' ' '; }

# For wait_for: the kubelet of this k0s serves the node, whose object was there before.
node_registered() {
    ask get node "$NODE_NAME" -o 'jsonpath={.status.nodeInfo.kubeletVersion}' && [ "$seen" = "${k0s_version%.*}" ]
}

# For wait_for.
node_ready() {
    ask get node "$NODE_NAME" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' && [ "$seen" = True ]
}

# The node takes new pods, or was cordoned by somebody before the upgrade.
uncordoned() {
    if grep -qxF "$NODE_NAME" "$CORDONED_BEFORE"; then return 0; fi
    ask get node "$NODE_NAME" -o 'jsonpath={.spec.unschedulable}' && [ "$seen" != true ]
}

let_pods_in() {
    if ! uncordoned; then kube uncordon "$NODE_NAME" || later "cannot let new pods in"; fi
}

# The version in $k0s_version, v1.32.3+k0s.0.
read_version() { k0s_version=$("$k0s" version) || fail "cannot run $k0s"; }

# FILE: this k0s goes where its unit and administrators look for it.
place_k0s() {
    hash_file "$1"
    _ours=$sha256
    if [ -e "$k0s" ]; then
        hash_file "$k0s"
        [ "$sha256" != "$_ours" ] || return 0
        move_aside "$k0s"
    fi
    printf '%s\n' "$_ours" >"$MKECTL_WORK/k0s.sha256" || fail "cannot write to $MKECTL_WORK"
    replace "$k0s" 0755 <"$1"
}

# FILE: what was carried over from MKE 3. Its service account key goes into the PKI, and files that flags of the API
# server name go into DATA_DIR, where MKE 4k has its encryption.cfg too.
place_carried() {
    _new=$DATA_DIR/pki/$tag.new
    mkdir -p "$_new" || fail "cannot make $_new"
    chmod 0755 "$DATA_DIR" && chmod 0751 "$DATA_DIR/pki" || fail "cannot open $DATA_DIR to the users of k0s"
    tar -xf "$1" -C "$_new" || fail "cannot unpack $1"
    # First, because undo finds the others by it.
    if [ -e "$_new/args" ]; then mv -f "$_new/args" "$DATA_DIR/pki/carried-flags" || fail "cannot write to $DATA_DIR"; fi
    for _file in "$_new"/*; do
        case ${_file##*/} in
        sa.key | sa.pub) _to=$DATA_DIR/pki/${_file##*/} ;;
        *) _to=$DATA_DIR/${_file##*/} ;;
        esac
        chmod 0640 "$_file" && mv -f "$_file" "$_to" || fail "cannot place $_to"
    done
    rmdir "$_new" || fail "$1 holds more than files"
    sync
}

# Moves aside what place_carried placed in DATA_DIR itself.
unplace_carried() {
    [ -e "$DATA_DIR/pki/carried-flags" ] || return 0
    while IFS='=' read -r _flag _file; do
        move_aside "$DATA_DIR/${_file##*/}"
    done <"$DATA_DIR/pki/carried-flags"
}

# The users of k0s are made by its installation. Until then what was carried over belongs to root.
own_carried() {
    id -u kube-apiserver >/dev/null 2>&1 || return 0
    while IFS='=' read -r _flag _file; do
        chown kube-apiserver "$DATA_DIR/${_file##*/}" || fail "cannot give --$_flag's file to kube-apiserver"
    done <"$DATA_DIR/pki/carried-flags"
}

# FILE: the k0s.yaml of this host goes to standard output: FILE with NODE_IP, and with flags of the API server for what
# was carried over.
k0s_yaml() {
    awk -v ip="$NODE_IP" -v data="$DATA_DIR" -v carried="$DATA_DIR/pki/carried-flags" '
        BEGIN {
            while ((getline line <carried) > 0) {
                name = line; sub(/=.*/, "", name)
                file = line; sub(/^[^=]*=/, "", file); sub(/.*\//, "", file)
                names[++count] = name; flags[name] = data "/" file
            }
        }
        $1 == "mkectl-host:" && $2 == "carried-flags" {
            for (at = 1; at <= count; at++) printf "      %s: \"%s\"\n", names[at], flags[names[at]]
            next
        }
        { key = $1; sub(/:$/, "", key); if (key in flags) next }
        { sub(/mkectl-host:private-address/, ip); print }
    ' "$1"
}

# ADDRESS: as URLs have it.
in_url() {
    case $1 in
    *:*) printf '[%s]' "$1" ;;
    *) printf '%s' "$1" ;;
    esac
}

# NAME: place_carried gave it to a file in DATA_DIR.
carried() {
    [ -e "$DATA_DIR/pki/carried-flags" ] || return 1
    while IFS='=' read -r _flag _file; do
        [ "${_file##*/}" != "$1" ] || return 0
    done <"$DATA_DIR/pki/carried-flags"
    return 1
}

# k0s reads the token from a file. It reads it only once, but its unit names the file for ever.
place_token() {
    set_aside /etc/k0s/k0stoken
    replace /etc/k0s/k0stoken 0600 <"$TOKEN_FILE"
}

# What is left is well-formed and opens nothing: some versions of k0s look at the file at every start.
forget_token() {
    [ -e /etc/k0s/k0stoken ] || return 0
    gzip -c >"$MKECTL_WORK/no-token" <<'end' || fail "cannot write to $MKECTL_WORK"
apiVersion: v1
kind: Config
clusters:
- {name: k0s, cluster: {server: "https://localhost:6443"}}
contexts:
- {name: k0s, context: {cluster: k0s, user: used-up}}
current-context: k0s
users:
- {name: used-up, user: {token: 000000.0000000000000000}}
end
    base64 <"$MKECTL_WORK/no-token" | tr -d '\n' | replace /etc/k0s/k0stoken 0600
}

# The token that was placed is not there any more.
token_forgotten() {
    [ -e /etc/k0s/k0stoken ] && [ -e "${TOKEN_FILE:-}" ] || return 0
    hash_file /etc/k0s/k0stoken
    _placed=$sha256
    hash_file "$TOKEN_FILE"
    [ "$sha256" != "$_placed" ]
}

# FILE: it is the CA of this cluster.
right_ca() {
    hash_file "$1"
    [ "$sha256" = "$CA_HASH" ] || fail "$1 is not the CA of the lead: this host joined another cluster"
}

# PATH: moves aside what is there before this action puts something of its own there.
set_aside() {
    _mark=$MKECTL_WORK/before$(printf '%s' "$1" | tr / .)
    [ ! -e "$_mark.looked" ] || return 0
    if [ -e "$1" ]; then : >"$_mark.was" || fail "cannot write to $MKECTL_WORK"; fi
    move_aside "$1"
    : >"$_mark.looked" || fail "cannot write to $MKECTL_WORK"
}

# PATH: moves aside what this action put there, and back what was there before.
put_back() {
    _mark=$MKECTL_WORK/before$(printf '%s' "$1" | tr / .)
    if [ ! -e "$_mark.was" ]; then
        [ ! -e "$_mark.looked" ] || move_aside "$1"
    elif [ -e "$1.$tag" ]; then
        move_aside "$1"
        move_back "$1"
    fi
}

# An action begins, unless it has begun before; what an undo left behind is forgotten.
begin() {
    rm -f "$MKECTL_WORK"/before.* && : >"$MKECTL_WORK/begun" || fail "cannot write to $MKECTL_WORK"
}

# UNIT: takes this host for a k0s of its own. One that somebody else installed is not touched.
claim() {
    if [ ! -e "$MKECTL_WORK/begun" ]; then
        if [ -e "$units/$1" ]; then
            unplanned "$units/$1 is there already: remove that k0s, or leave this host out"
        fi
        begin
        # Missing where no pod ever ran here.
        ls "$KUBELET_ROOT/pods" >"$MKECTL_WORK/pods" 2>/dev/null || :
    fi
    # A client certificate of the old kubelet would be taken for one of the new cluster.
    set_aside "$KUBELET_ROOT/pki"
}

# controller|worker ARGUMENT...: writes the unit, with what both have in common.
install_k0s() {
    if [ -n "${PROFILE:-}" ]; then set -- "$@" "--profile=$PROFILE"; fi
    "$k0s" install "$@" --force --data-dir="$DATA_DIR" --kubelet-root-dir="$KUBELET_ROOT" \
        --kubelet-extra-args="--hostname-override=$NODE_NAME --node-ip=$NODE_IP" ||
        fail "k0s could not install its unit"
}

# Directories of pods that this k0s made go aside together. Those of MKE 3's pods stay for its kubelet.
set_pods_aside() {
    [ -e "$MKECTL_WORK/pods" ] || return 0
    for _pod in "$KUBELET_ROOT"/pods/*; do
        if [ ! -d "$_pod" ] || grep -qxF -e "${_pod##*/}" "$MKECTL_WORK/pods"; then continue; fi
        mkdir -p "$KUBELET_ROOT/pods.$tag" && mv "$_pod" "$KUBELET_ROOT/pods.$tag/${_pod##*/}.$_begun" ||
            fail "cannot move $_pod aside"
    done
}

# UNIT NAME...: takes the k0s of this action from the host, deleting nothing but the binary. NAMEs in DATA_DIR belong to
# other actions and stay, as what lies aside does.
remove_k0s() {
    [ -e "$MKECTL_WORK/begun" ] || return 0
    _unit=$1
    shift
    if [ -e "$units/$_unit" ]; then
        systemctl stop "$_unit" || fail "cannot stop $_unit; see journalctl -u $_unit"
    fi
    end_shims
    unmount_below "$KUBELET_ROOT"
    unmount_below "$DATA_DIR"
    unmount_below /run/k0s
    if [ -e "$units/$_unit" ]; then
        systemctl disable "$_unit" || fail "cannot disable $_unit"
        move_aside "$units/$_unit"
    fi
    systemctl daemon-reload || fail "systemd cannot load its units"
    for _path in "$DATA_DIR"/* /etc/cni/net.d/*; do
        case $_path in *".$tag" | *".$tag".*) continue ;; esac
        case " $* " in *" ${_path##*/} "*) continue ;; esac
        if ! carried "${_path##*/}"; then move_aside "$_path"; fi
    done
    move_aside /etc/k0s/containerd.toml
    put_back /etc/k0s/k0stoken
    move_aside /run/k0s
    put_back "$KUBELET_ROOT/pki"
    set_pods_aside
    remove_links
    ports_free 2380 6443 9443 10250
    remove_binary
    rm -f "$MKECTL_WORK/begun" || fail "cannot write to $MKECTL_WORK"
}

# The binary is a copy of what lies in the run directory, so it is deleted, and one that was there before comes back.
remove_binary() {
    [ -e "$MKECTL_WORK/k0s.sha256" ] || return 0
    if [ -e "$k0s" ]; then
        hash_file "$k0s"
        [ "$sha256" != "$(cat "$MKECTL_WORK/k0s.sha256")" ] || rm -f "$k0s" || fail "cannot remove $k0s"
    fi
    [ -e "$k0s" ] || move_back "$k0s"
    rm -f "$MKECTL_WORK/k0s.sha256" || fail "cannot write to $MKECTL_WORK"
}

# Process ids of the shims of k0s' containerd. They outlive k0s, as its unit kills only the main process.
shims() {
    for _process in $(grep -ls containerd-shim /proc/[0-9]*/cmdline); do
        if grep -qs /run/k0s/containerd.sock "$_process"; then
            _process=${_process#/proc/}
            printf '%s\n' "${_process%/cmdline}"
        fi
    done
}

# Process ids of what runs in the containers.
contained() {
    for _shim in $(shims); do
        cat "/proc/$_shim/task/"*/children 2>/dev/null
    done
}

# SECONDS LIST: waits until LIST lists nothing.
gone_within() {
    _until=$(($(date +%s) + $1))
    while [ -n "$($2)" ]; do
        [ "$(date +%s)" -lt "$_until" ] || return 1
        sleep "$MKECTL_POLL"
    done
}

# Ends containers with the grace that Kubernetes gives by default, then their shims. A process that is gone meanwhile is
# no failure of kill.
end_shims() {
    # shellcheck disable=SC2046 # one word per process
    if ! gone_within 0 contained; then
        kill $(contained) 2>/dev/null
        gone_within 30 contained || kill -9 $(contained) 2>/dev/null
    fi
    # shellcheck disable=SC2046
    if ! gone_within 0 shims; then
        kill $(shims) 2>/dev/null
        gone_within 10 shims || kill -9 $(shims) 2>/dev/null
        gone_within 10 shims || fail "processes of containers do not end: $(shims | tr '\n' ' ')"
    fi
}

# DIRECTORY: unmounts everything below it, what was mounted last first. Never lazily: a file that is still open would go
# on being written to, unseen.
unmount_below() {
    awk -v below="$1/" 'index($5 "/", below) == 1 && $5 "/" != below { mounts[++count] = $5 }
        END { while (count) print mounts[count--] }' /proc/self/mountinfo >"$MKECTL_WORK/mounts" ||
        fail "cannot read the list of mounts"
    while read -r _mount; do
        # The kernel writes blanks and backslashes in octal, and printf wants a 0 before that.
        _mount=$(printf '%b' "$(printf '%s' "$_mount" | sed 's/\\\([0-7][0-7][0-7]\)/\\0\1/g')")
        umount "$_mount" ||
            fail "$_mount is in use: end what uses it (fuser -vm $_mount), or restart this host, and try again"
    done <"$MKECTL_WORK/mounts"
}

# Calico makes them again; left behind they carry routes of the other cluster's pods.
remove_links() {
    command -v ip >/dev/null || return 0
    ip -o link show >"$MKECTL_WORK/links" || fail "cannot list network interfaces"
    while read -r _number _link _rest; do
        _link=${_link%:}
        _link=${_link%@*}
        case $_link in cali* | vxlan.calico) ip link delete "$_link" || fail "cannot delete $_link" ;; esac
    done <"$MKECTL_WORK/links"
}

# PORT: whether something listens on it.
port_used() {
    _hex=$(printf ':%04X' "$1")
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v hex="$_hex" '
        $4 == "0A" && substr($2, length($2) - 4) == hex { used = 1 }
        END { exit !used }'
}

# PORT...: nothing listens on them.
ports_free() {
    for _port; do
        ! port_used "$_port" || fail "something still listens on port $_port of this host"
    done
}

# UNIT PORT...: starts it once the ports are free that it needs, which it has a minute for. k0s would try for ever to start
# what cannot listen, and say so in its journal alone. Where systemd is about to start it again, the ports may be held by what
# the k0s before left behind, which the next one ends.
start_k0s() {
    _unit=$1 _until=$(($(date +%s) + 60))
    shift
    case $(systemctl show -p ActiveState --value "$_unit") in inactive | failed) ;; *) set -- ;; esac
    for _port; do
        while port_used "$_port"; do
            [ "$(date +%s)" -lt "$_until" ] ||
                fail "something of this host listens on port $_port, which k0s needs (see ss -ltnp): stop it"
            sleep "$MKECTL_POLL"
        done
    done
    systemctl start "$_unit" || fail "systemd cannot start $_unit; see journalctl -u $_unit"
}
