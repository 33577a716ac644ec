"""Restarts of Zabbix's programs, which make them read what was written, and join a group."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from zabbix_sockets.host.programs import Program
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.setup.actions import Command
from zabbix_sockets.setup.machine import Machine
from zabbix_sockets.setup.scene import Part, Scene

_CONNECT_SECONDS = 1.0
_PAUSE = 0.1
_SETTLED = 1.0  # seconds: by then a program that can't take its configuration has ended
_ACTIVE = "active"
_STOPPED = {"inactive", "failed", "deactivating", "unknown"}


class Restart(Command):
    """A restart, which ends when the program listens again: agents take seconds for that.

    *addresses* are those of which one is enough; none: it doesn't listen.
    """

    def __init__(self, scene: Scene, unit: str, addresses: Sequence[tuple[str, int]]) -> None:
        words = ["systemctl", "try-restart", unit]
        super().__init__(scene.machine, f"{unit} was restarted", words)
        self._unit = unit
        self._addresses = addresses
        self._patience = scene.machine.patience

    def do(self) -> None:
        """Restart it and wait until it listens, not for long: what else is wrong, check says.

        Raises:
            SocketsError: it ended at once, such as one that has a key twice.
        """
        super().do()
        begin = time.monotonic()
        settled = begin + min(self._patience, _SETTLED)
        while True:
            state = active_state(self._machine, self._unit)
            if state != _ACTIVE:
                raise SocketsError(f"it ended at once ({state}): journalctl -u {self._unit}")
            now = time.monotonic()
            listens = not self._addresses or any(map(_listens, self._addresses))
            if (listens and now >= settled) or now >= begin + self._patience:
                return
            time.sleep(_PAUSE)


def _listens(address: tuple[str, int]) -> bool:
    """Whether somebody accepts connections there."""
    try:
        with socket.create_connection(address, _CONNECT_SECONDS):
            return True
    except OSError:
        return False


def active_state(machine: Machine, unit: str) -> str:
    """Return the state of *unit* as systemd calls it, such as active, inactive or failed."""
    return machine.run(["systemctl", "is-active", unit]).text.strip() or "unknown"


def add_restart(
    scene: Scene, part: Part, program: Program, addresses: Sequence[tuple[str, int]] = ()
) -> None:
    """Add the restart of *program*, which listens at *addresses*; without a unit, a note of it.

    What somebody has stopped stays so, and a note says it.
    """
    if program.unit and scene.machine.has_systemd:
        if active_state(scene.machine, program.unit) in _STOPPED:
            part.notes.append(f"{program.unit} doesn't run: systemctl start {program.unit}")
        else:
            part.restarts.append(Restart(scene, program.unit, addresses))
        return
    deed = f"restart process {program.pid}," if program.pid else "start"
    part.notes.append(f"{deed} the {program.kind} of {program.config.path}")
