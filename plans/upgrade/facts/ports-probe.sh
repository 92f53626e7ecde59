# Asks listeners and servers whether this host reaches them. Arguments: a word of the check, then for each target its kind,
# address and port with commas between: `l` is a listener of ports-listen.sh, `t` a server that speaks TLS.
. facts/base.sh

word=$1
shift

# ADDRESS: as it stands in a URL.
in_url() { case $1 in *:*) printf '[%s]' "$1" ;; *) printf '%s' "$1" ;; esac; }

# KIND ADDRESS PORT
ask() {
    url=$(in_url "$2"):$3/
    if [ "$1" = l ]; then
        said=$(curl -qsS --noproxy '*' --max-time 6 "http://$url" 2>&1)
        case $said in
        "$word "*" $3") has reach "$2$tab$3${tab}open$tab$said" ;;
        curl:*) has reach "$2$tab$3${tab}closed$tab${said#curl: }" ;;
        *) has reach "$2$tab$3${tab}other${tab}something else answers there" ;;
        esac
    else
        said=$(curl -qsSk --noproxy '*' --max-time 6 --output /dev/null --write-out '%{time_appconnect}' "https://$url" 2>&1)
        # Whatever the server then says: that it speaks TLS is enough.
        case $said in
        *[1-9]*) case $said in *'(6)'* | *'(7)'* | *'(28)'* | *'(35)'*) kind=closed ;; *) kind=open ;; esac ;;
        *) kind=closed ;;
        esac
        has reach "$2$tab$3$tab$kind$tab$(printf '%s' "$said" | head -n 1)"
    fi
}

if ! here curl; then
    dunno reach "this host has no curl: install it"
    exit 0
fi
list reach
running=0
for target in "$@"; do
    kind=${target%%,*} rest=${target#*,}
    ask "$kind" "${rest%,*}" "${rest##*,}" &
    running=$((running + 1))
    # So many at once: a dropped packet takes seconds to be noticed.
    if [ "$running" -ge 16 ]; then
        wait
        running=0
    fi
done
wait
