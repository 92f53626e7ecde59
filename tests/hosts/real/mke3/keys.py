"""A line for each key of an etcd: name, hash of the value, revision of the last change. Standard input is what etcdctl says;
arguments are prefixes of keys that change by themselves."""
import base64
import hashlib
import json
import sys

for kv in json.load(sys.stdin)["kvs"]:
    key = base64.b64decode(kv["key"]).decode()
    if not key.startswith(tuple(sys.argv[1:])):
        print("key", key, hashlib.sha256(kv.get("value", "").encode()).hexdigest()[:16], kv["mod_revision"])
