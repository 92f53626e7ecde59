#!/bin/sh
# The keys of the etcd that k0s runs on this host, as keys.py prints them. Arguments: prefixes of keys that change by themselves.
pki=/var/lib/k0s/pki/etcd
etcdctl --endpoints https://127.0.0.1:2379 --cacert $pki/ca.crt --cert $pki/server.crt --key $pki/server.key \
    get --prefix '' --write-out json | python3 /opt/mke3/keys.py "$@" | sort
