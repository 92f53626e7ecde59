# Places the service account key and the files of the API server that come from MKE 3, and the configuration of k0s. The
# cluster CA is not among them: k0s makes a new one.
. lib/base.sh
. lib/k0s.sh

probe() {
    if [ ! -e "$DATA_DIR/pki" ] && [ ! -e /etc/k0s/k0s.yaml ]; then not_done "there is no PKI"; fi
    if [ ! -s "$DATA_DIR/pki/sa.key" ] || [ ! -s "$DATA_DIR/pki/sa.pub" ] || [ -e "$DATA_DIR/pki/$tag.new" ]; then
        partly_done "keys are missing in $DATA_DIR/pki"
    fi
    [ -e /etc/k0s/k0s.yaml ] || partly_done "there is no /etc/k0s/k0s.yaml"
    while IFS='=' read -r flag file; do
        [ -s "$DATA_DIR/${file##*/}" ] || partly_done "the file of --$flag is missing in $DATA_DIR"
    done <"$DATA_DIR/pki/carried-flags"
    is_done
}

run() {
    if [ ! -e "$MKECTL_WORK/begun" ]; then
        if [ -e "$DATA_DIR/pki" ] || [ -e "$DATA_DIR/etcd" ]; then
            unplanned "$DATA_DIR has a cluster already: move it away, or leave this host out"
        fi
        begin
    fi
    set_aside /etc/k0s/k0s.yaml
    place_carried "$KEYS"
    k0s_yaml "$K0S_CONFIG" >"$MKECTL_WORK/k0s.yaml" || fail "cannot write to $MKECTL_WORK"
    "$K0S" config validate --config "$MKECTL_WORK/k0s.yaml" ||
        fail "k0s does not accept its configuration; mkectl show --scripts prints it"
    replace /etc/k0s/k0s.yaml 0600 <"$MKECTL_WORK/k0s.yaml"
}

verify() {
    if command -v openssl >/dev/null; then
        # The keys must be a pair, or no token that pods hold would be accepted.
        openssl pkey -in "$DATA_DIR/pki/sa.key" -pubout >"$MKECTL_WORK/sa.pub" ||
            fail "$DATA_DIR/pki/sa.key is no private key"
        openssl pkey -pubin -in "$DATA_DIR/pki/sa.pub" -pubout >"$MKECTL_WORK/sa.pub.placed" ||
            fail "$DATA_DIR/pki/sa.pub is no public key"
        hash_file "$MKECTL_WORK/sa.pub"
        one=$sha256
        hash_file "$MKECTL_WORK/sa.pub.placed"
        [ "$sha256" = "$one" ] || fail "sa.key and sa.pub in $DATA_DIR/pki are no pair"
    fi
    if [ -e "$DATA_DIR/pki/ca.crt" ] && [ ! -e /etc/systemd/system/k0scontroller.service ]; then
        fail "$DATA_DIR/pki has a cluster CA, and k0s is to make a new one"
    fi
    "$K0S" config validate --config /etc/k0s/k0s.yaml || fail "k0s does not accept /etc/k0s/k0s.yaml"
}

undo() {
    [ -e "$MKECTL_WORK/begun" ] || return 0
    unplace_carried
    put_back /etc/k0s/k0s.yaml
    move_aside "$DATA_DIR/pki"
    rm -f "$MKECTL_WORK/begun" || fail "cannot write to $MKECTL_WORK"
}
. lib/main.sh
