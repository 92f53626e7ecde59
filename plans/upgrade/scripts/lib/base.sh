# Common to all scripts, put in the place of its line ". lib/base.sh" when a plan is made, so that the plan shows every
# byte that runs. Names with an underscore in front belong to this file.
set -u

_begun=$(date +%s)
# A script that waits gives up somewhat before it would be ended, to say what it saw last.
_give_up=$((_begun + MKECTL_DEADLINE * 9 / 10))
_plan=${MKECTL_WORK%/actions/*}
_plan=${_plan##*/}
# What is moved aside gets this ending. It is the plan's, so that two plans never take each other's files.
tag=mkectl-$(printf '%.8s' "$_plan")

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }

# Ends of run, verify and undo.
fail() {
    warn "$*"
    exit 1
}
later() {
    warn "$*"
    exit 75
}
unplanned() {
    warn "$*"
    exit 78
}

# Ends of probe. Whatever else it ends with means that it cannot tell.
is_done() { exit 10; }
not_done() {
    say "$*"
    exit 11
}
partly_done() {
    say "$*"
    exit 12
}
cannot_tell() {
    warn "$*"
    exit 20
}

# WHAT COMMAND...: waits until COMMAND succeeds, and no longer than this action may last. COMMAND may leave in $seen what
# it saw; that is told whenever it changes, and in the end.
wait_for() {
    _what=$1
    shift
    seen=
    _told=
    until "$@"; do
        if [ "$(date +%s)" -ge "$_give_up" ]; then
            later "gave up waiting for $_what; last seen: ${seen:-nothing}"
        fi
        if [ "$seen" != "$_told" ]; then
            say "waiting for $_what: $seen"
            _told=$seen
        fi
        sleep "$MKECTL_POLL"
    done
}

# SECONDS: from now on waits end by then, where the action itself may last longer.
wait_at_most() {
    _soon=$(($(date +%s) + $1))
    [ "$_soon" -ge "$_give_up" ] || _give_up=$_soon
}

# PATH MODE: standard input becomes the file, whole or not at all.
replace() {
    mkdir -p "${1%/*}" || fail "cannot make ${1%/*}"
    if ! cat >"$1.$tag.new" || ! chmod "$2" "$1.$tag.new" || ! sync "$1.$tag.new" || ! mv -f "$1.$tag.new" "$1"; then
        rm -f "$1.$tag.new"
        fail "cannot write $1"
    fi
}

# PATH: renames it to PATH.<tag>, or .<tag>.2 and so on where that is taken. Nothing there is fine.
move_aside() {
    if [ ! -e "$1" ] && [ ! -L "$1" ]; then return 0; fi
    _n=1 _to=$1.$tag
    while [ -e "$_to" ] || [ -L "$_to" ]; do
        _n=$((_n + 1)) _to=$1.$tag.$_n
    done
    mv "$1" "$_to" || fail "cannot move $1 aside"
    sync "${1%/*}" 2>/dev/null || sync
}

# PATH: renames the first PATH.<tag> back. Fails when something else lies at PATH; nothing aside is fine.
move_back() {
    if [ ! -e "$1.$tag" ] && [ ! -L "$1.$tag" ]; then return 0; fi
    if [ -e "$1" ] || [ -L "$1" ]; then fail "cannot move $1.$tag back: something lies at $1"; fi
    mv "$1.$tag" "$1" || fail "cannot move $1.$tag back"
    sync "${1%/*}" 2>/dev/null || sync
}

# FILE: its SHA-256 in $sha256.
hash_file() {
    sha256=$(sha256sum <"$1") || fail "cannot read $1"
    sha256=${sha256%% *}
}

# NAME: hands on $MKECTL_WORK/NAME as output NAME. A link, because snapshots are large.
hand_on() {
    rm -f "$MKECTL_OUT/$1"
    ln "$MKECTL_WORK/$1" "$MKECTL_OUT/$1" 2>/dev/null || cp "$MKECTL_WORK/$1" "$MKECTL_OUT/$1" ||
        fail "cannot hand on $1"
}
