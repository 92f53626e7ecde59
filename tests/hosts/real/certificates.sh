#!/bin/sh
# Makes the certificates of an MKE 3: one CA, and for each host a certificate that is servers' and clients'. Arguments: where
# the hosts are, the version of MKE, names of hosts.
set -eu
dir=$1
shift 2
certs=$dir/certs
mkdir -p "$certs"
ec() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

ec "$certs/ca.key"
openssl req -x509 -new -key "$certs/ca.key" -days 365 -subj "/CN=MKE Cluster Root CA" -out "$certs/ca.pem"
openssl genrsa -out "$certs/service_account_key.pem" 2048 2>/dev/null
for host; do
    to=$dir/hosts/$host/up/opt/certs
    mkdir -p "$to"
    ec "$to/key.pem"
    openssl req -new -key "$to/key.pem" -subj "/O=system:nodes/CN=system:node:$host" -out "$certs/$host.csr"
    printf 'subjectAltName=IP:127.0.0.1,IP:%s,DNS:localhost,DNS:%s\nextendedKeyUsage=serverAuth,clientAuth\n' \
        "$(cat "$dir/hosts/$host/address")" "$host" >"$certs/$host.ext"
    openssl x509 -req -in "$certs/$host.csr" -CA "$certs/ca.pem" -CAkey "$certs/ca.key" -CAcreateserial -days 200 \
        -extfile "$certs/$host.ext" -out "$to/cert.pem" 2>/dev/null
    cp "$certs/ca.pem" "$to/ca.pem"
    cp "$certs/service_account_key.pem" "$to/"
    chmod 600 "$to"/*.pem
done
