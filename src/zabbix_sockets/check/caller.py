"""The caller of `check`: what it may look at, and whether root is all that it is elsewhere."""

from __future__ import annotations

import pwd
from collections.abc import Iterator, Sequence

from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.line import Line, degraded, ok, unknown
from zabbix_sockets.check.system import System
from zabbix_sockets.readers.bpf.capabilities import missing_capabilities

CALLER = "caller"


def check_caller(system: System, _agents: Sequence[Agent]) -> Iterator[Line]:
    """Yield the line of the caller's privilege."""
    if system.euid:
        yield unknown(
            CALLER,
            f"run as {_name(system.euid)}: what only root may look at is unknown, and calls are"
            " made as this user instead of the agent's",
            "sudo zabbix-sockets check",
        )
        return
    missing = missing_capabilities(system.proc)
    if missing:
        yield degraded(
            CALLER,
            f"root has no {' and no '.join(missing)} here, as in a container: `zabbix-sockets load`"
            f" has to run on the host itself, and {system.pins} to be mounted into this container",
        )
        return
    yield ok(CALLER, "root, with the capabilities to load BPF iterators")


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user with the id {uid}"
