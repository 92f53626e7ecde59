# Collects what the API server of MKE 3 signs and decrypts with, and proves it by the final snapshot: by the signature of
# a service account's token, and by the names of the keys that values are encrypted with.
. lib/base.sh
. lib/docker.sh
. lib/keys.sh

keys=$MKECTL_WORK/keys
files=$MKECTL_WORK/files
# What is looked at on the way, and is nobody's to keep.
proof=$MKECTL_WORK/proof

probe() { not_done "keys are collected and proven again each time"; }

run() {
    command -v openssl >/dev/null || unplanned "openssl is not on this host, and keys cannot be proven without; install it"
    need_docker
    find_keys
    trap 'rm -rf "$files" "$proof"' EXIT
    rm -rf "$files" "$proof"
    mkdir -m 700 "$files" "$proof" || fail "cannot make $files"
    while read -r name flag path; do
        if ! cp "$path" "$files/$name" || ! chmod 600 "$files/$name"; then fail "cannot copy $path"; fi
        # Where k0s keeps it is another place, so the name is enough.
        [ "$name" = sa.key ] || printf '%s=%s\n' "$flag" "$name" >>"$files/args"
    done <"$MKECTL_WORK/keys.list"
    [ -e "$files/args" ] || : >"$files/args"
    openssl pkey -in "$files/sa.key" -pubout -out "$files/sa.pub" || fail "the key of service accounts is no private key"
    look_at_public_keys
    prove_encryption
    prove_tokens
    tar -cf "$keys.new" -C "$files" . || fail "cannot pack the keys"
    if ! chmod 600 "$keys.new" || ! sync "$keys.new" || ! mv -f "$keys.new" "$keys"; then fail "cannot keep the keys"; fi
    printf %s "$keys_hash" | replace "$MKECTL_WORK/hash" 600
    hand_on keys
    hand_on hash
}

# k0s knows one key. A second one whose tokens MKE 3 accepted would go, and with it what uses them.
look_at_public_keys() {
    flag_values service-account-key-file >"$proof/accepted"
    while read -r accepted; do
        outside_of "$accepted" || fail "--service-account-key-file of $apiserver names $accepted, which is not there"
        # It holds public keys, or a private one.
        openssl pkey -in "$outside" -pubout >"$proof/public" 2>/dev/null ||
            openssl pkey -pubin -in "$outside" -pubout >"$proof/public" 2>/dev/null ||
            fail "$accepted of $apiserver holds no key"
        cmp -s "$proof/public" "$files/sa.pub" || unplanned "$apiserver accepts tokens of a second key, $accepted:" \
            "MKE 4k takes one; have the applications get new tokens, then take the flag away"
    done <"$proof/accepted"
}

# EXPRESSION: what matches it in the snapshot, a line each, in $MKECTL_WORK/found. Texts lie in it as they are, between
# bytes of all kinds.
search() {
    { tr -cs 'A-Za-z0-9._+/=:-' '\n' <"$SNAPSHOT" && : >"$proof/searched"; } | grep -o "$1" | sort -u >"$proof/found"
    [ -e "$proof/searched" ] || fail "cannot read the snapshot"
    rm -f "$proof/searched"
}

prove_encryption() {
    search 'k8s:enc:[a-z0-9]*:v[0-9]*:[^:]*:'
    [ -s "$proof/found" ] || return 0
    config=$(sed -n 's/ encryption-provider-config .*//p' "$MKECTL_WORK/keys.list")
    [ -n "$config" ] || fail "values of the snapshot are encrypted, but no argument of $apiserver says with what"
    known=0 unknown=
    while IFS=: read -r _ _ provider _ name _; do
        if grep -q "name: *[\"']\{0,1\}${name}[\"']\{0,1\} *\$" "$files/$config"; then
            known=$((known + 1))
        else
            unknown="$unknown $provider/$name"
        fi
    done <"$proof/found"
    [ "$known" -gt 0 ] || fail "values of the snapshot are encrypted with$unknown, which $config does not have"
    # Values that were deleted or written anew may still lie in the file.
    [ -z "$unknown" ] || warn "the snapshot also holds values encrypted with$unknown, which $config does not have"
}

# TEXT FILE: decodes base64, of URLs as well.
decode() {
    case $((${#1} % 4)) in
    2) pad="==" ;;
    3) pad="=" ;;
    *) pad='' ;;
    esac
    printf '%s' "$1$pad" | tr '_-' '/+' | openssl base64 -d -A >"$2" 2>/dev/null
}

# TOKEN: whether the key has signed it.
signed() {
    body=${1%.*}
    decode "${1##*.}" "$proof/signature"
    # The builtin: arguments of programs are public.
    printf '%s' "$body" >"$proof/body"
    openssl dgst -sha256 -verify "$files/sa.pub" -signature "$proof/signature" "$proof/body" >/dev/null 2>&1
    verified=$?
    [ "$verified" -ne 0 ] || return 0
    # Of elliptic curves the signature is written otherwise. The key's own name is in the head of the token.
    case $(sed -n '2p' "$files/sa.pub") in
    MII*) return 1 ;;
    esac
    openssl pkey -pubin -in "$files/sa.pub" -outform DER | openssl dgst -sha256 -binary | openssl base64 -A |
        tr '/+' '_-' | tr -d = >"$proof/key-id"
    decode "${1%%.*}" "$proof/head"
    grep -qF "\"$(cat "$proof/key-id")\"" "$proof/head"
}

# Tokens in secrets: as they are where objects are stored in binary, encoded once more where they are stored as JSON.
prove_tokens() {
    part='[A-Za-z0-9_-]*'
    search "eyJ$part\\.eyJ$part\\.$part"
    mv "$proof/found" "$proof/tokens"
    search 'ZXlK[A-Za-z0-9+/]\{200,\}=*'
    while read -r encoded; do
        decode "$encoded" "$proof/token" && cat "$proof/token" && echo
    done <"$proof/found" >>"$proof/tokens"
    ours=0 proven=
    while read -r token; do
        payload=${token#*.}
        decode "${payload%%.*}" "$proof/payload"
        # Others sign tokens too.
        grep -q '"kubernetes/serviceaccount"' "$proof/payload" || continue
        ours=$((ours + 1))
        if signed "$token"; then
            proven=1
            break
        fi
    done <"$proof/tokens"
    if [ -n "$proven" ]; then
        say "the key has signed a token of a service account in the snapshot"
    elif [ "$ours" -gt 0 ]; then
        fail "the key has signed none of the $ours tokens of service accounts in the snapshot: it is not the key in use;" \
            "look at --service-account-signing-key-file of $apiserver"
    else
        say "the snapshot has no token of a service account to prove the key by; it is the one that $apiserver names"
    fi
}

. lib/main.sh
