"""The auth store of MKE 3, a RethinkDB, as far as one query goes: version 0.4 of its protocol over TLS with certificates of
both sides."""
import json
import signal
import socketserver
import ssl
import sys

HANDSHAKE = b"\x20\x2d\x0c\x40\0\0\0\0\xc7\x70\x69\x7e"
USERS = {"admin": "$2a$10$abcdefghijklmnopqrstuuvwxyzabcdefghijklmnopqrstuvwxyza", "bob": "$2a$10$bbcdefghijklmnopqrstuuvwxyzabcdefghijklmnopqrstuvwxyzb"}
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile="/tls/ca.pem")
context.load_cert_chain("/tls/cert.pem", "/tls/key.pem")
context.verify_mode = ssl.CERT_REQUIRED


class Handler(socketserver.StreamRequestHandler):
    def setup(self):
        self.request = context.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self):
        if self.rfile.read(len(HANDSHAKE)) != HANDSHAKE:
            self.wfile.write(b"ERROR: Received an unsupported protocol version.\0")
            return
        self.wfile.write(b"SUCCESS\0")
        while len(head := self.rfile.read(12)) == 12:
            query = json.loads(self.rfile.read(int.from_bytes(head[8:], "little")))
            if query[0] == 1 and '"passwordHash"' in json.dumps(query[1]):
                rows = [f"{name} {hash}" for name, hash in USERS.items()]
                text = json.dumps({"t": 1, "r": [rows], "n": []}, separators=(",", ":"))
            else:
                text = json.dumps({"t": 18, "r": ["Not understood."], "n": []}, separators=(",", ":"))
            self.wfile.write(head[:8] + len(text).to_bytes(4, "little") + text.encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("0.0.0.0", 12383), Handler).serve_forever()
