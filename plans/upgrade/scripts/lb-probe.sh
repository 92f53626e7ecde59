# Reaches the listeners of all managers from this host, directly and through the load balancer: a closed firewall or a port
# that is not forwarded is found while MKE 3 still serves.
. lib/base.sh
. lib/balancer.sh

probe() { not_done "this only looks"; }

run() {
    : >"$MKECTL_WORK/faults"
    for address in $MANAGERS; do
        for port in $NEW_PORTS $GATEWAY_PORT; do
            wait_or_note "the manager $address does not answer on port $port: open it for the hosts of the cluster" \
                "$address" "$port"
        done
    done
    for port in $PORTS; do
        case " $NEW_PORTS " in
        *" $port "*)
            wait_or_note "the load balancer $balancer does not forward port $port to the same port of the managers: add it" \
                "$balancer" "$port"
            tell_unseen "$port"
            ;;
        *) see_served "$port" ;;
        esac
    done
    if [ -s "$MKECTL_WORK/faults" ]; then
        cat "$MKECTL_WORK/faults" >&2
        unplanned "this host does not reach all that it will need: see the lines above"
    fi
}

verify() { :; }

# PORT: of MKE 3, whose certificate is its own: that something speaks TLS is enough.
see_served() {
    if ! curl -qsSk --noproxy '*' --max-time 10 --output /dev/null "https://$balancer:$1/" 2>"$MKECTL_WORK/error"; then
        note "the load balancer $balancer does not forward port $1 to the managers: $(cat "$MKECTL_WORK/error")"
    fi
}

note() { printf '%s\n' "$1" >>"$MKECTL_WORK/faults"; }

# TEXT ADDRESS PORT: asks three times, then notes the fault.
wait_or_note() {
    for _ in 1 2 3; do
        if ask "$2" "$3"; then return 0; fi
        sleep "$MKECTL_POLL"
    done
    note "$1 (last answer: $reply)"
}

# ADDRESS PORT: sets reply; succeeds when it came from a manager of this cluster.
ask() {
    reply=$(curl -qsS --noproxy '*' --max-time 5 "http://$1:$2/" 2>&1) || return 1
    case $reply in
    "$ANSWER "*" $2") ;;
    *) return 1 ;;
    esac
}

# PORT: says which managers the load balancer never led to. It may send one client always to the same, so this is no fault.
tell_unseen() {
    : >"$MKECTL_WORK/names"
    # As often as each could have had its turn three times.
    for _ in $MANAGERS $MANAGERS $MANAGERS; do
        if ask "$balancer" "$1"; then
            name=${reply#* }
            printf '%s\n' "${name% *}" >>"$MKECTL_WORK/names"
        fi
    done
    seen=$(sort -u "$MKECTL_WORK/names" | wc -l)
    wanted=0
    for _ in $MANAGERS; do wanted=$((wanted + 1)); done
    if [ "$seen" -lt "$wanted" ] && [ "$seen" -gt 0 ]; then
        say "the load balancer led port $1 to $((seen)) of $wanted managers: $(sort -u "$MKECTL_WORK/names" | tr '\n' ' ')"
    fi
}
. lib/main.sh
