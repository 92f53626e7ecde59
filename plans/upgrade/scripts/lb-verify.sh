# Reaches the new API, the join API and the tunnels through the load balancer, with the new CA. A load balancer that still
# asks for the health of MKE 3 has dropped the managers by now, and is waited for.
. lib/base.sh
. lib/balancer.sh

probe() { not_done "this only looks"; }

run() {
    for port in $PORTS; do
        wait_for "port $port of the load balancer $balancer to lead to k0s (its health checks must look at port 6443 and not at 443 or /_ping)" \
            leads
    done
}

verify() { :; }

# Whether a TLS connection comes about with a certificate of the new CA. What the server says then does not matter: none of
# the three is used without a login.
leads() {
    handshake=$(curl -qsS --noproxy '*' --max-time 10 --cacert "$CA" --output /dev/null --write-out '%{time_appconnect}' \
        "https://$balancer:$port/" 2>"$MKECTL_WORK/error")
    case $handshake in
    '' | 0 | 0.0 | 0.000000) ;;
    *) return 0 ;;
    esac
    # curl explains a certificate that it does not accept on several lines.
    seen=$(head -n 1 "$MKECTL_WORK/error")
    return 1
}
. lib/main.sh
