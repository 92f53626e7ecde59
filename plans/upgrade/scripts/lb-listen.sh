# Listens on the ports that nobody uses yet and that the load balancer has to forward, and tells whoever asks which cluster
# and host this is. The listeners end by themselves after half an hour.
. lib/base.sh

ports="9443 8132 $GATEWAY_PORT"

probe() {
    up=0 missing=
    for port in $ports; do
        if listens; then up=$((up + 1)); else missing=$port; fi
    done
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
printf 'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n%s %s\n' '$ANSWER' '$NODE_NAME'
EOT
    for port in $ports; do
        if listens; then continue; fi
        systemd-run --quiet --collect --unit="mkectl-listen-$port" --property=RuntimeMaxSec=1800 \
            "$program" --accept --inetd --listen="$port" /bin/sh "$MKECTL_WORK/answer.sh" ||
            fail "systemd does not start a listener on port $port"
    done
    wait_for "the listeners to answer" all_answer
}

verify() {
    for port in $ports; do
        answers || fail "the listener on port $port does not answer: $seen"
    done
}

undo() {
    for port in $ports; do
        # A unit that is gone cannot be stopped, and need not be.
        if listens; then
            systemctl stop "mkectl-listen-$port.service" || fail "cannot stop mkectl-listen-$port.service"
        fi
    done
}

listens() { systemctl is-active --quiet "mkectl-listen-$port.service"; }

all_answer() {
    for port in $ports; do
        listens || unplanned "port $port is taken by another program: look with ss -lntp, and free it"
        answers || return 1
    done
}

answers() {
    seen=$(curl -qsS --noproxy '*' --max-time 5 "http://127.0.0.1:$port/" 2>&1) || return 1
    [ "$seen" = "$ANSWER $NODE_NAME" ]
}
. lib/main.sh
