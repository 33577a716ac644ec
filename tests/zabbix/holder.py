"""Holds sockets of known number and state until standard input ends; see processes.py.

TCP: two listeners; four connections to the first of them, one still to be accepted, one
closed by the accepting side. UDP: one bound, one connected to it.
"""

import json
import socket
import sys


def hold() -> None:
    """Open everything, print the ports, wait."""
    busy, idle = (socket.create_server(("127.0.0.1", 0), backlog=8) for _ in range(2))
    clients = [socket.create_connection(busy.getsockname()) for _ in range(4)]
    accepted = [busy.accept()[0] for _ in range(3)]
    accepted.pop().close()
    # The end of the stream has come: from here on that client is in CLOSE_WAIT.
    clients[2].recv(1)
    bound = socket.socket(type=socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", 0))
    connected = socket.socket(type=socket.SOCK_DGRAM)
    connected.connect(bound.getsockname())
    ports = {"busy": busy.getsockname()[1], "idle": idle.getsockname()[1]}
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    hold()
