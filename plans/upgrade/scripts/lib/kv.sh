# etcd of MKE 3, asked with the etcdctl and the certificates of its own container.
kv() {
    docker exec --env ETCDCTL_API=3 ucp-kv etcdctl --endpoints https://127.0.0.1:2379 \
        --cacert /etc/docker/ssl/ca.pem --cert /etc/docker/ssl/cert.pem --key /etc/docker/ssl/key.pem "$@"
}
