"""The machine on which everything happens: network namespaces, daemons and processes.

What this process opens and starts is in a namespace of its own, 192.0.2.1. Clients and upstreams
are in another one, 192.0.2.2, beside an address that nobody has and that nobody refuses either.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import netns

from .actors import Actor, acting

HOST, OUTSIDE, SILENT = "192.0.2.1", "192.0.2.2", "192.0.2.9"

_NAME = "outside"
_WITHIN = ("nsenter", f"--net={netns.path_of(_NAME)}")
_SETTINGS = Path("/proc/sys/net/ipv4")
_RANGE = _SETTINGS / "ip_local_port_range"

PORTS = 1000
"""Ephemeral ports that there are: few, so that they can be exhausted."""

_Entered = TypeVar("_Entered")


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine; what it runs ends with *stack*."""

    folder: Path
    stack: ExitStack

    def run(self, context: AbstractContextManager[_Entered]) -> _Entered:
        """Return what *context* yields; it ends with the machine."""
        return self.stack.enter_context(context)

    def process(self, name: str, *commands: str) -> Actor:
        """Run a process of the host."""
        actor = self.run(acting(self.folder, name))
        actor.do(*commands)
        return actor

    def other_side(self, name: str, *commands: str) -> Actor:
        """Run a process of the other machine."""
        actor = self.run(acting(self.folder, name, _WITHIN))
        actor.do(*commands)
        return actor


def set_port_range(ports: int) -> None:
    """Let the kernel pick from that many ports."""
    _RANGE.write_text(f"60000 {59999 + ports}\n")


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Put this thread into the machine's namespace, and end all that was run in it."""
    with netns.own_namespace(), netns.named(_NAME):
        netns.ip("link", "set", "veth1", "netns", _NAME)
        outside = ("-n", _NAME)
        netns.ip(*outside, "address", "add", f"{OUTSIDE}/24", "dev", "veth1")
        netns.ip(*outside, "link", "set", "veth1", "address", "02:00:00:00:00:02", "up")
        # Segments to it arrive at the other machine, which is not meant and says nothing.
        to = ("lladdr", "02:00:00:00:00:02", "nud", "permanent", "dev", "veth0")
        netns.ip("neigh", "add", SILENT, *to)
        set_port_range(PORTS)
        (_SETTINGS / "tcp_syn_retries").write_text("12\n")  # a fault lasts until it is mended
        with ExitStack() as stack:
            yield Machine(folder, stack)
