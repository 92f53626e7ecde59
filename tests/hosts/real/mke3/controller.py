"""The controller of MKE 3: answers /_ping when its etcd and API server do, and leads the port of Kubernetes to the API
server. Argument: the address of this host."""
import http.client
import http.server
import runpy
import signal
import socketserver
import ssl
import sys
import threading

address = sys.argv[1]
certs = "/var/lib/docker/ucp/ucp-node-certs"
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    def setup(self):
        self.request.settimeout(30)
        self.request.do_handshake()
        super().setup()

    def log_message(self, *_):
        pass

    def do_GET(self):
        code, text = 200, b"OK"
        if self.path == "/_ping":
            try:
                context = ssl.create_default_context(cafile=f"{certs}/ca.pem")
                connection = http.client.HTTPSConnection(address, 12388, context=context, timeout=10)
                connection.request("GET", "/readyz")
                if connection.getresponse().read() != b"ok":
                    code, text = 500, b"Unhealthy Kubernetes API"
            except OSError as error:
                code, text = 500, str(error).encode()
        else:
            code, text = 401, b"unauthorized"
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def ping():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain("/var/lib/docker/ucp/ucp-controller-server-certs/cert.pem", "/var/lib/docker/ucp/ucp-controller-server-certs/key.pem")
    server = Server(("0.0.0.0", 8080), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


threading.Thread(target=ping, daemon=True).start()
sys.argv = ["proxy.py", "8081", "12388", address]
runpy.run_path("/opt/mke3/proxy.py")
