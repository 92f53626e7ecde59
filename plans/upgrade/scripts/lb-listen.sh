# Listens on the ports that nobody uses yet and that the load balancer has to forward, and tells whoever asks which cluster,
# host and port this is. The listeners end by themselves after half an hour.
. lib/base.sh
. lib/listeners.sh

probe() {
    count_listeners
    [ -n "$missing" ] || is_done
    [ "$up" -eq 0 ] || partly_done "nothing listens on port $missing"
    not_done "nothing listens"
}

run() {
    program=$(command -v systemd-socket-activate) ||
        unplanned "this host has no systemd-socket-activate, which is a part of systemd"
    # A request is read to its end first: a connection that is closed before would be reset.
    cat >"$MKECTL_WORK/answer.sh" <<EOT || fail "cannot write in $MKECTL_WORK: is the disk full?"
while IFS= read -r line; do
    case \$line in ? | '') break ;; esac
done
printf 'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n%s %s %s\n' '$ANSWER' '$NODE_NAME' "\$1"
EOT
    for port in $ports; do
        if listens; then continue; fi
        systemd-run --quiet --collect --unit="mkectl-listen-$port" --property=RuntimeMaxSec=1800 \
            "$program" --accept --inetd --listen="$port" /bin/sh "$MKECTL_WORK/answer.sh" "$port" ||
            fail "systemd does not start a listener on port $port"
    done
    wait_for "the listeners to answer" all_answer
}

verify() {
    for port in $ports; do
        answers || fail "the listener on port $port does not answer: $seen"
    done
}

undo() { stop_listeners; }

all_answer() {
    for port in $ports; do
        listens || unplanned "port $port is taken by another program: look with ss -lntp, and free it"
        answers || return 1
    done
}

answers() {
    seen=$(curl -qsS --noproxy '*' --max-time 5 "http://127.0.0.1:$port/" 2>&1) || return 1
    [ "$seen" = "$ANSWER $NODE_NAME $port" ]
}
. lib/main.sh
