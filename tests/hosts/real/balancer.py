"""A load balancer in front of the managers: leads each port to the same port of a manager that accepts connections."""
import itertools
import socket
import sys
import threading

PORTS = (443, 6443, 9443, 8132)
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


def serve(client, port, managers):
    first = next(turn)
    for at in range(len(managers)):
        try:
            server = socket.create_connection((managers[(first + at) % len(managers)], port), 3)
        except OSError:
            continue
        server.settimeout(None)
        threading.Thread(target=copy, args=(client, server), daemon=True).start()
        copy(server, client)
        return
    client.close()


def listen(address, port, managers):
    listener = socket.create_server((address, port), backlog=128)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, port, managers), daemon=True).start()


threads = [threading.Thread(target=listen, args=(sys.argv[1], port, sys.argv[2:])) for port in PORTS]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
