# The listeners that lb-listen starts and lb-close stops, one for each port.
ports="$PORTS ${GATEWAY_PORT:-}"

listens() { systemctl is-active --quiet "mkectl-listen-$port.service"; }

# How many listen, in $up, and a port on which none does, in $missing.
count_listeners() {
    up=0 missing=
    for port in $ports; do
        if listens; then up=$((up + 1)); else missing=$port; fi
    done
}

# A unit that is gone cannot be stopped, and need not be.
stop_listeners() {
    for port in $ports; do
        if listens; then
            systemctl stop "mkectl-listen-$port.service" || fail "cannot stop mkectl-listen-$port.service"
        fi
    done
}
