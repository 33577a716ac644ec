"""What the command shows of a few processes, one in a container, where nothing else is seen.

python -m tests.zabbix.terminal    prints it (as root)
"""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[1] / "support"))

import cgroups
import netns
from children import Child

_LOCAL = "127.0.0.1"
_COMMANDS = (
    "show processes",
    "show listeners",
    "show sockets --state close_wait --state syn_sent",
)
_ALONE = ("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc")
_INSIDE = "inside"
"""The argument of the call within these namespaces."""

_CONTAINER = "5d" * 32
_DATABASE = "172.17.0.2"
"""The container's address, on the other end of a veth pair."""


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


def _connect(port: int, times: int, host: str = _LOCAL) -> list[socket.socket]:
    return [socket.create_connection((host, port)) for _ in range(times)]


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


def _make_container() -> None:
    """Make the network of a container, named as docker's, and docker's file of it."""
    for folder in ("/run/netns", "/var/lib"):
        Path(folder).mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    netns.ip("netns", "add", "database")
    netns.ip("link", "add", "docker0", "type", "veth", "peer", "name", "eth0", "netns", "database")
    netns.ip("address", "add", "172.17.0.1/16", "dev", "docker0")
    netns.ip("link", "set", "docker0", "up")
    netns.ip("-n", "database", "address", "add", f"{_DATABASE}/16", "dev", "eth0")
    netns.ip("-n", "database", "link", "set", "eth0", "up")
    published = {"5432/tcp": [{"HostIp": "0.0.0.0", "HostPort": "5432"}]}
    file = Path(f"/var/lib/docker/containers/{_CONTAINER}/config.v2.json")
    file.parent.mkdir(parents=True)
    state = {"Name": "/shop-db", "State": {"Running": True}}
    file.write_text(json.dumps(state | {"NetworkSettings": {"Ports": published}}))


def _serve_in_container() -> list[socket.socket]:
    netns.enter(netns.path_of("database"))
    return _serve(5432)


def main() -> None:
    """Print the commands and what they say."""
    if sys.argv[1:] != [_INSIDE]:
        os.execvp(_ALONE[0], [*_ALONE, sys.executable, "-m", "tests.zabbix.terminal", _INSIDE])
    hierarchy = cgroups.find_root()
    assert hierarchy, "no cgroup v2"
    container = hierarchy / f"docker-{_CONTAINER}.scope"
    with cgroups.made(container):
        _show(container)


def _show(container: Path) -> None:
    """Print the commands and what they say, with a container that is this cgroup."""
    netns.ip("link", "set", "lo", "up")
    netns.ip("address", "add", "192.0.2.9/32", "dev", "lo")
    netns.ip("route", "add", "default", "dev", "lo", "src", "192.0.2.9")
    _make_container()
    children = [
        Child(lambda: cgroups.inside(container, _serve_in_container), b"postgres"),
        Child(lambda: [*_serve(5432), *_connect(5432, 8, _DATABASE)], b"docker-proxy"),
        Child(_leak, b"shop"),
        Child(lambda: [*_serve(80, 443), *_connect(8080, 12)], b"webserver"),
        Child(lambda: _serve(25, backlog=4, keep=False), b"mail"),
        Child(_visit, b"visitors"),
    ]
    netns.ip("netns", "del", "database")  # docker's have no such name
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
