# Reads the password hashes of local users from the auth store of MKE 3, a RethinkDB: no API returns them. The output has
# a line for each user: name and hash.
. lib/base.sh

# Database, table and fields are those of the auth service's sources; that a client certificate is enough to log in is
# inferred from how they connect. The query in RethinkDB's terms: of accounts that are no organisation and have a hash,
# the name, a blank and the hash.
accounts='[15,[[14,["enzi"]],"accounts"]]'
row='[10,[1]]'
users='[39,['$accounts',[69,[[2,[1]],[67,[[17,[[31,['$row',"isOrg"]],false]],[18,[[31,['$row',"passwordHash"]],""]]]]]]]]'
lines='[38,['$users',[69,[[2,[1]],[24,[[31,['$row',"name"]]," ",[31,['$row',"passwordHash"]]]]]]]]'
query='[1,[51,['$lines',"array"]],{}]'

probe() { not_done "hashes are only read for this run"; }

run() {
    certs=$(docker volume inspect --format '{{.Mountpoint}}' ucp-auth-store-certs) ||
        later "Docker does not know the volume with the certificates of the auth store"
    cd "$MKECTL_WORK" || fail "cannot use $MKECTL_WORK"
    rm -f questions answer
    mkfifo questions || fail "cannot make a pipe in $MKECTL_WORK"
    openssl s_client -quiet -no_ign_eof -verify_return_error -connect 127.0.0.1:12383 -CAfile "$certs/ca.pem" \
        -cert "$certs/cert.pem" -key "$certs/key.pem" <questions >answer 2>errors &
    client=$!
    trap 'rm -f answer questions' EXIT
    exec 3>questions
    # Version 0.4 of the protocol with an empty key, and JSON; then the query, behind a number of ours and its length.
    printf '\040\055\014\100\000\000\000\000\307\160\151\176' >&3
    length=${#query}
    # shellcheck disable=SC2059 # Bytes can only be written as a format.
    printf "\\001\\000\\000\\000\\000\\000\\000\\000\\$(printf %03o $((length % 256)))\\$(printf %03o $((length / 256)))\\000\\000" >&3
    printf '%s' "$query" >&3
    wait_for "the auth store" answered
    exec 3>&-
    wait "$client"

    # {"t":1,"r":[["NAME HASH",...]],...}; 1 means that one value follows. Neither names nor hashes can have quotes, commas or
    # brackets.
    text=$(tail -c +21 answer)
    case $text in
    '{"t":1,"r":[['*) ;;
    '{"t":1'[678]*) fail "the auth store refused the query: $text" ;;
    *) fail "the auth store answered in an unexpected form" ;;
    esac
    text=${text#*\[\[}
    printf '%s' "${text%%\]\]*}" | tr ',' '\n' | sed 's/^ *"//; s/"$//' >hashes.new
    echo >>hashes.new
    # An empty list leaves an empty line.
    sed '/^$/d' hashes.new | sort >hashes
    rm -f hashes.new
    check
    hand_on hashes
}

# Whether the greeting and the whole answer have come: 8 bytes, then a number, a length, and so many bytes.
answered() {
    if ! kill -0 "$client" 2>/dev/null; then
        later "the auth store cannot be reached: $(tail -n 1 errors)"
    fi
    seen="$(wc -c <answer) bytes"
    [ "$(wc -c <answer)" -ge 20 ] || return 1
    [ "$(head -c 7 answer)" = SUCCESS ] || fail "the auth store refuses to talk: $(head -c 100 answer | tr -d '\000')"
    length=$(od -An -tu1 -j16 -N4 answer | awk '{ print $1 + 256 * ($2 + 256 * ($3 + 256 * $4)) }')
    [ "$(wc -c <answer)" -ge $((20 + length)) ]
}

check() {
    if grep -qvE '^[^] "\,]+ [^] "\,]+$' "$MKECTL_WORK/hashes"; then
        fail "the auth store answered in an unexpected form"
    fi
    [ -s "$MKECTL_WORK/hashes" ] || fail "the auth store has no user with a password, which cannot be"
}

verify() { check; }
. lib/main.sh
