"""What the command shows of a few processes, in a network namespace of their own.

python -m tests.zabbix.terminal    prints it (as root)
"""

import socket
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[1] / "support"))

import netns
from children import Child

_LOCAL = "127.0.0.1"
_COMMANDS = (
    "show processes --netns own",
    "show listeners --netns own",
    "show sockets --netns own --state close_wait --state syn_sent",
)


def _serve(*ports: int, backlog: int = 128, keep: bool = True) -> list[socket.socket]:
    """Listen, and accept what comes; without *keep* nothing is accepted."""
    listeners = [socket.create_server(("", port), backlog=backlog) for port in ports]
    held = list(listeners)

    def accept(listener: socket.socket) -> None:
        while True:
            held.append(listener.accept()[0])

    for listener in listeners if keep else ():
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
    return held


def _connect(port: int, times: int) -> list[socket.socket]:
    return [socket.create_connection((_LOCAL, port)) for _ in range(times)]


def _leak() -> list[socket.socket]:
    """Keep connections that their other sides have closed."""
    held = [*_serve(8080), *_connect(5432, 8)]
    with socket.create_server((_LOCAL, 9000)) as other:
        for _ in range(5):
            held.append(socket.create_connection((_LOCAL, 9000)))
            other.accept()[0].close()
    return held


def _visit() -> list[socket.socket]:
    """Visit, and try what does not answer."""
    silent = socket.socket()
    silent.setblocking(False)
    silent.connect_ex(("192.0.2.5", 443))
    return [*_connect(443, 40), *_connect(80, 6), *_connect(25, 3), silent]


def main() -> None:
    """Print the commands and what they say."""
    netns.unshare()
    netns.ip("address", "add", "192.0.2.9/32", "dev", "lo")
    netns.ip("route", "add", "default", "dev", "lo", "src", "192.0.2.9")
    children = [
        Child(lambda: _serve(5432), b"database"),
        Child(_leak, b"shop"),
        Child(lambda: [*_serve(80, 443), *_connect(8080, 12)], b"webserver"),
        Child(lambda: _serve(25, backlog=4, keep=False), b"mail"),
        Child(_visit, b"visitors"),
    ]
    program = str(Path(sys.executable).with_name("zabbix-sockets"))
    try:
        for command in _COMMANDS:
            print(f"# zabbix-sockets {command}", flush=True)  # noqa: T201
            subprocess.run([program, *command.split()], check=True)
            print(flush=True)  # noqa: T201
    finally:
        for child in children:
            child.end()


if __name__ == "__main__":
    main()
