"""Holds sockets of known number and state until standard input ends; see processes.py.

TCP: two listeners; four connections to the first of them, one still to be accepted, one
closed by the accepting side. UDP: one bound, one connected to it.

Arguments: the process's name if the kernel can't take it from a file, else nothing; the
ports of the three, 0 for one that the kernel picks.
"""

import json
import os
import socket
import sys
from pathlib import Path


def hold(name: str, *ports: int) -> None:
    """Open everything, print the ports, wait."""
    if name:
        Path("/proc/self/comm").write_bytes(os.fsencode(name))
    busy, idle = (socket.create_server(("127.0.0.1", port), backlog=8) for port in ports[:2])
    clients = [socket.create_connection(busy.getsockname()) for _ in range(4)]
    accepted = [busy.accept()[0] for _ in range(3)]
    accepted.pop().close()
    # The end of the stream has come: from here on that client is in CLOSE_WAIT.
    clients[2].recv(1)
    bound = socket.socket(type=socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", ports[2]))
    connected = socket.socket(type=socket.SOCK_DGRAM)
    connected.connect(bound.getsockname())
    held = {"busy": busy, "idle": idle, "bound": bound}
    sys.stdout.write(json.dumps({what: it.getsockname()[1] for what, it in held.items()}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    hold(sys.argv[1], *map(int, sys.argv[2:]))
