"""A long way: leads a port to a port of a host, and every byte takes a while in each direction. Arguments: address and port
to listen on, address to come from, address and port to lead to, milliseconds."""
import queue
import socket
import sys
import threading
import time

here, port, source, there, to, late = sys.argv[1:]


def carry(start, end):
    """Bytes in flight are many: only each of them is late."""
    waiting = queue.Queue()

    def deliver():
        while True:
            due, data = waiting.get()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if not data:
                    return end.shutdown(socket.SHUT_WR)
                end.sendall(data)
            except OSError:
                return start.close()

    threading.Thread(target=deliver, daemon=True).start()
    data = b"-"
    while data:
        try:
            data = start.recv(65536)
        except OSError:
            data = b""
        waiting.put((time.monotonic() + int(late) / 1000, data))


def serve(client):
    try:
        server = socket.create_connection((there, int(to)), 10, (source, 0))
    except OSError:
        return client.close()
    server.settimeout(None)
    threading.Thread(target=carry, args=(client, server), daemon=True).start()
    carry(server, client)


listener = socket.create_server((here, int(port)), backlog=128)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
