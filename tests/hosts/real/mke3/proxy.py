"""Leads a port to a port of the first manager that accepts connections, the turn changing. Arguments: both ports, addresses."""
import itertools
import signal
import socket
import sys
import threading

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
listen, to, *managers = sys.argv[1:]
turn = itertools.count()


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for side in (source, target):
        try:
            side.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client):
    first = next(turn)
    for at in range(len(managers)):
        try:
            server = socket.create_connection((managers[(first + at) % len(managers)], int(to)), 3)
        except OSError:
            continue
        server.settimeout(None)
        threading.Thread(target=copy, args=(client, server), daemon=True).start()
        return copy(server, client)
    client.close()


listener = socket.create_server(("0.0.0.0", int(listen)), backlog=128)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
