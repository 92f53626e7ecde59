# Shreds secrets and snapshots that steps of this plan left on this host, closes ports that nothing uses any more, and, on
# a controller, takes the labels of MKE 3 off the nodes. Backups stay.
. lib/base.sh

# Directory of the plan on this host.
plan=${MKECTL_WORK%/actions/*}
kubeconfig=$DATA_DIR/pki/admin.conf

# Steps whose results are secret and are needed until here. Not among them: backup-mke3, backup-swarm-defs.
secret_steps="record-state read-hashes final-snapshot copy-snapshot carry-keys start-lead hold-webhooks
clear-mke3-objects k0s-snapshot-1"

# Files of theirs: $MKECTL_WORK/secrets.
list_secrets() {
    : >"$MKECTL_WORK/secrets"
    for step in $secret_steps; do
        for directory in "$plan/actions/"*".$step/work" "$plan/actions/"*".$step/"*/out; do
            [ -d "$directory" ] || continue
            find "$directory" -type f >>"$MKECTL_WORK/secrets" || fail "cannot look into $directory"
        done
    done
    # What came from other hosts lies among the files of the plan, by its hash.
    if [ -d "$plan/files" ]; then
        find "$plan/files" -type f ! -path "$PORTS" >>"$MKECTL_WORK/secrets" || fail "cannot look into $plan/files"
    fi
}

# Once over: on the disks of today more does not help.
shred_secrets() {
    list_secrets
    while read -r file; do
        if command -v shred >/dev/null; then shred -n 1 -u "$file" 2>/dev/null; fi
        rm -f "$file" || fail "cannot remove $file"
    done <"$MKECTL_WORK/secrets"
}

# PORTS, a port and a protocol a line: $MKECTL_WORK/ports.
list_ports() {
    while IFS=/ read -r port protocols; do
        for protocol in $(printf '%s' "$protocols" | tr , ' '); do
            printf '%s/%s\n' "$port" "$protocol"
        done
    done <"$PORTS" >"$MKECTL_WORK/ports"
}

close_firewalld() {
    while read -r port; do
        option=port name=$port
        # IP protocols go by number.
        if [ "${port#*/}" = ip ]; then option=protocol name=${port%/ip}; fi
        # Without --permanent it is about the rules that are in force; --quiet stands for that.
        for scope in --permanent --quiet; do
            if firewall-cmd "$scope" "--query-$option=$name" >/dev/null 2>&1; then
                say "closing $port"
                firewall-cmd "$scope" "--remove-$option=$name" >/dev/null || fail "firewalld does not close $port"
            fi
        done
    done <"$MKECTL_WORK/ports"
}

close_ufw() {
    ufw show added >"$MKECTL_WORK/ufw" || fail "ufw does not tell its rules"
    while read -r port; do
        # It writes a range with a colon, and cannot name IP protocols.
        rule="allow $(printf '%s' "$port" | tr - :)"
        if grep -qxF "ufw $rule" "$MKECTL_WORK/ufw"; then
            say "closing $port"
            # shellcheck disable=SC2086
            ufw delete $rule >/dev/null || fail "ufw does not close $port"
        fi
    done <"$MKECTL_WORK/ports"
}

kube() { /usr/local/bin/k0s kubectl --kubeconfig "$kubeconfig" "$@"; }

# Labels with which MKE 3 said what a node is for: "NODE LABEL" in $MKECTL_WORK/labels.
list_labels() {
    kube get nodes --no-headers --show-labels >"$MKECTL_WORK/nodes" || later "the API server does not list the nodes"
    while read -r node _ _ _ _ labels; do
        for label in $(printf '%s' "$labels" | tr , ' '); do
            case $label in
            com.docker.ucp.*) printf '%s %s\n' "$node" "${label%%=*}" ;;
            esac
        done
    done <"$MKECTL_WORK/nodes" >"$MKECTL_WORK/labels"
}

remove_labels() {
    list_labels
    while read -r node label; do
        kube label node "$node" "$label-" </dev/null >/dev/null || later "the API server does not take $label off $node"
    done <"$MKECTL_WORK/labels"
}

probe() {
    list_secrets
    if [ -s "$MKECTL_WORK/secrets" ]; then not_done "$(grep -c . "$MKECTL_WORK/secrets") files with secrets are here"; fi
    [ -e "$MKECTL_WORK/closed" ] || not_done "ports were not closed yet"
    if [ -e "$kubeconfig" ]; then
        list_labels
        [ ! -s "$MKECTL_WORK/labels" ] || partly_done "nodes have labels of MKE 3"
    fi
    is_done
}

run() {
    list_ports
    if firewall-cmd --state >/dev/null 2>&1; then close_firewalld; fi
    if ufw status 2>/dev/null | grep -q '^Status: active'; then close_ufw; fi
    if [ -e "$kubeconfig" ]; then remove_labels; fi
    shred_secrets
    : >"$MKECTL_WORK/closed" || fail "cannot write $MKECTL_WORK/closed"
}

. lib/main.sh
