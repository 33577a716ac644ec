"""Servers and proxies that stop, are killed or hang, and come back as they were."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil

from . import programs
from .programs import Program, listens
from .servers import Host, Server, Servers
from .servers import _command as command_of_server

_TRAPPER, _TEXT = 2, 4

Row = tuple[int, int, str]
"""Seconds, nanoseconds and text of a stored document."""


@dataclass(slots=True)
class Receiver:
    """A server or proxy that can be stopped and started again as it was."""

    server: Server
    port: int
    command: list[str]
    program: Program
    assigned: dict[str, Any]
    """What makes a host one of the proxy's."""
    reload: Callable[[], None]

    def start(self) -> None:
        """Start it again: same port, same database."""
        self.program = programs.start([*self.command, "--foreground"], self.program.log)
        self.program.wait(lambda: listens(self.port))

    def signal(self, number: int) -> None:
        """Send a signal to each of its processes."""
        for each in psutil.Process(self.program.process.pid).children(recursive=True):
            each.send_signal(number)


@contextmanager
def receiving(servers: Servers, version: str, **settings: object) -> Iterator[Receiver]:
    """A server that no other test needs, with *settings* in its configuration."""
    with servers.fresh(version, **settings) as server:
        command = command_of_server(server.version, server.directory)
        own = Receiver(server, server.port, command, server.program, {}, server.reload)
        yield own
        own.program.stop()


@contextmanager
def stop(receiver: Receiver) -> Iterator[None]:
    """It ends in order, and is started again."""
    receiver.program.end()
    yield
    receiver.start()


@contextmanager
def kill(receiver: Receiver) -> Iterator[None]:
    """It is killed with all its processes, and started again."""
    receiver.program.stop()
    yield
    receiver.start()


@contextmanager
def hang(receiver: Receiver) -> Iterator[None]:
    """The kernel accepts connections for it, but nobody answers."""
    receiver.signal(signal.SIGSTOP)
    yield
    receiver.signal(signal.SIGCONT)


@contextmanager
def host_with_documents(receiver: Receiver) -> Iterator[Host]:
    """A host that keeps documents as text."""
    server = receiver.server
    host = server.create_host("outage", **receiver.assigned)
    server.api.item.create(
        hostid=host.hostid, name="all", key_="sockets.get", type=_TRAPPER, value_type=_TEXT
    )
    receiver.reload()
    yield host
    server.disable_host(host)


def stored(server: Server, host: Host) -> set[Row]:
    """Return what the host's item has in its history."""
    (item,) = server.items(host.hostid)
    rows = server.history(item["itemid"], _TEXT)
    return {(int(row["clock"]), int(row["ns"]), row["value"]) for row in rows}
