# What both scripts of facts share. They only read, and print lines:
#
#   = NAME VALUE      a fact
#   * NAME            a list that was read; its members follow
#   + NAME MEMBER     one of them; fields are separated by tabs
#   - NAME WHY        a fact that could not be told, which is not the same as "no"
#
# Whatever else is printed is told as a remark. Values come from the host and are data: nothing here or in mkectl runs them.
set -u
LC_ALL=C
PATH=${PATH:-/usr/bin:/bin}:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin
export LC_ALL PATH
umask 077
# shellcheck disable=SC2034
# Both scripts use it.
tab=$(printf '\t')

is() { printf '= %s %s\n' "$1" "$2"; }
list() { printf '* %s\n' "$1"; }
has() { printf '+ %s %s\n' "$1" "$2"; }
dunno() { printf -- '- %s %s\n' "$1" "$2"; }
here() { command -v "$1" >/dev/null 2>&1; }

# SECONDS COMMAND...: a program that hangs costs its own facts, and not all of them.
if here timeout && timeout 1 true 2>/dev/null; then
    within() { timeout "$@" </dev/null; }
else
    within() {
        shift
        "$@" </dev/null
    }
fi

# NAME COMMAND...: the first line that the command prints is the fact; none when it fails or prints nothing.
tell() {
    _name=$1
    shift
    if _told=$(within 10 "$@" 2>/dev/null) && [ -n "$_told" ]; then
        is "$_name" "$(printf '%s\n' "$_told" | head -n 1)"
    else
        dunno "$_name" "$1 does not tell"
    fi
}

# NAME FILE: the first line of a file is the fact.
file() {
    if [ -r "$2" ] && IFS= read -r _line <"$2" && [ -n "$_line" ]; then is "$1" "$_line"; else dunno "$1" "$2 cannot be read"; fi
}
