"""etcd over its JSON gateway: real TLS, real answers."""
import base64
import http.client
import json
import ssl
import threading
import urllib.parse


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


class Etcd:
    """One connection for each thread; a broken one is made again once."""

    def __init__(self, url, ca, cert, key):
        self.url = urllib.parse.urlparse(url)
        self.context = ssl.create_default_context(cafile=ca)
        self.context.load_cert_chain(cert, key)
        self.local = threading.local()

    def call(self, path, body):
        data = json.dumps(body)
        for attempt in (1, 2):
            connection = getattr(self.local, "connection", None)
            if connection is None:
                connection = http.client.HTTPSConnection(self.url.hostname, self.url.port, context=self.context, timeout=10)
                self.local.connection = connection
            try:
                connection.request("POST", path, data)
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                self.local.connection = None
                if attempt == 2:
                    raise
                continue
            if answer.status != 200:
                raise OSError(f"etcd: {answer.status} {text[:200]!r}")
            return json.loads(text)

    def get(self, prefix):
        """Key, value and revision of everything below a prefix that ends with a slash; of one key otherwise."""
        body = {"key": b64(prefix)}
        if prefix.endswith("/"):
            body["range_end"] = b64(prefix[:-1] + "0")
        found = self.call("/v3/kv/range", body).get("kvs", [])
        return [
            (base64.b64decode(kv["key"]).decode(), base64.b64decode(kv.get("value", "")), int(kv["mod_revision"])) for kv in found
        ]

    def put(self, key, value, lease=None):
        body = {"key": b64(key), "value": b64(value)}
        if lease:
            body["lease"] = lease
        return int(self.call("/v3/kv/put", body)["header"]["revision"])

    def put_all(self, pairs):
        """A hundred in one transaction, which is one revision."""
        pairs = list(pairs)
        for at in range(0, len(pairs), 100):
            puts = [{"requestPut": {"key": b64(key), "value": b64(value)}} for key, value in pairs[at : at + 100]]
            self.call("/v3/kv/txn", {"success": puts})

    def delete(self, key):
        return int(self.call("/v3/kv/deleterange", {"key": b64(key)}).get("deleted", 0))

    def lease(self, seconds):
        return self.call("/v3/lease/grant", {"TTL": seconds})["ID"]
