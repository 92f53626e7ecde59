# Finds the files by which the API server of MKE 3 signs tokens and encrypts: those that its arguments name. Put in the
# place of its line ". lib/keys.sh" when a plan is made; it takes lib/base.sh.

apiserver=ucp-kube-apiserver
# Where MKE 3 keeps the key of service accounts when no argument says so.
usual_key=/var/lib/docker/ucp/ucp-node-certs/service_account_key.pem

# FLAG: values of this flag of the API server, one a line. Go takes one dash or two, and the value after "=" or a blank.
flag_values() {
    wanted=$1 next=
    while read -r word; do
        if [ -n "$next" ]; then
            printf '%s\n' "$word"
            next=
            continue
        fi
        case $word in
        "--$wanted="* | "-$wanted="*) printf '%s\n' "${word#*=}" ;;
        "--$wanted" | "-$wanted") next=1 ;;
        esac
    done <"$MKECTL_WORK/apiserver.args"
}

# PATH in the container: the path on the host in $outside.
outside_of() {
    outside=
    longest=0
    while read -r target source; do
        case $1/ in
        "${target%/}"/*)
            if [ "${#target}" -gt "$longest" ]; then
                longest=${#target} outside=$source${1#"${target%/}"}
            fi
            ;;
        esac
    done <"$MKECTL_WORK/apiserver.mounts"
    [ -n "$outside" ] && [ -f "$outside" ]
}

# The files: "ROLE FLAG PATH" on the host, a line each, in $MKECTL_WORK/keys.list; their hash in $keys_hash. It is of
# names and contents, so that it is the same on every manager with the same keys.
find_keys() {
    docker inspect --type container --format '{{println .Path}}{{range .Args}}{{println .}}{{end}}' $apiserver \
        >"$MKECTL_WORK/apiserver.args" || fail "there is no container $apiserver to read arguments from"
    docker inspect --type container --format '{{range .Mounts}}{{println .Destination .Source}}{{end}}' $apiserver \
        >"$MKECTL_WORK/apiserver.mounts" || fail "there is no container $apiserver to read mounts from"
    : >"$MKECTL_WORK/keys.list"
    : >"$MKECTL_WORK/keys.hashes"
    signing=$(flag_values service-account-signing-key-file | tail -n 1)
    [ -n "$signing" ] || signing=$(flag_values service-account-key-file | tail -n 1)
    outside_of "${signing:-$usual_key}" || fail "the key of service accounts is not there: ${signing:-$usual_key}" \
        "of $apiserver; look at its --service-account-signing-key-file"
    note_key sa.key service-account-signing-key-file
    for flag in encryption-provider-config audit-policy-file admission-control-config-file; do
        value=$(flag_values $flag | tail -n 1)
        [ -n "$value" ] || continue
        outside_of "$value" || fail "--$flag of $apiserver names $value, which is not there"
        note_key "${value##*/}" $flag
    done
    hash_file "$MKECTL_WORK/keys.hashes"
    keys_hash=$sha256
}

# NAME FLAG
note_key() {
    printf '%s %s %s\n' "$1" "$2" "$outside" >>"$MKECTL_WORK/keys.list"
    hash_file "$outside"
    printf '%s %s %s\n' "$1" "$2" "$sha256" >>"$MKECTL_WORK/keys.hashes"
}

# What was found, for people.
key_names() {
    while read -r name _; do printf '%s ' "$name"; done <"$MKECTL_WORK/keys.list"
}
