"""Listens at a port, or at none, and connects to others, until standard input ends.

Arguments: the process's name, the port (0: none), and the addresses with ports to connect to.
"""

import os
import socket
import sys
import time
from pathlib import Path


def talk(name: str, port: int, ends: list[str]) -> None:
    """Open all, say that it is done, and wait; who does not listen yet is tried again."""
    Path("/proc/self/comm").write_bytes(os.fsencode(name))
    held = [socket.create_server(("0.0.0.0", port))] if port else []
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    for end in ends:
        address, _, number = end.rpartition(":")
        while True:
            try:
                held.append(socket.create_connection((address, int(number))))
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    talk(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
