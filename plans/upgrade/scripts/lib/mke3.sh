# The API of MKE 3's Kubernetes, asked with the node's own certificate through the proxy that MKE 3 has on every node.
# Where the certificates lie and what they allow is inferred from how MKE's own components use them.
mke3_kubectl() {
    if [ -z "${node_certs:-}" ]; then
        node_certs=$(docker volume inspect --format '{{.Mountpoint}}' ucp-node-certs) || return 1
    fi
    # Without a kubeconfig of its own, k0s would take that of a k0s that runs.
    "$K0S" kubectl --kubeconfig /dev/null --server https://127.0.0.1:6444 --certificate-authority "$node_certs/ca.pem" \
        --client-certificate "$node_certs/cert.pem" --client-key "$node_certs/key.pem" --request-timeout 30s "$@"
}
