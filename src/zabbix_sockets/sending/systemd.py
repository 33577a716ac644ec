"""What a service tells systemd: that it is ready, alive, stopping. See sd_notify(3)."""

import os
import socket
import time
from contextlib import suppress

_SELDOM = 30.0


def notify(*states: str) -> None:
    """Tell the service manager *states*, such as READY=1; nothing without one."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with (
        suppress(OSError),  # a manager that has gone is no reason to stop
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to,
    ):
        to.sendto("\n".join(states).encode(), address)


def watchdog_seconds() -> float | None:
    """Return after which silence systemd kills this service (WatchdogSec=); None: it doesn't.

    It is in the environment, in microseconds: see sd_watchdog_enabled(3).
    """
    given = os.environ.get("WATCHDOG_USEC", "")
    if not (given.isascii() and given.isdecimal() and int(given)):
        return None
    return int(given) / 1e6


class Pulse:
    """Says that the service is alive, twice in the time after which it would be killed.

    Who does the service's work calls it while that goes on as it should, and nobody else does:
    a service that hangs is killed.
    """

    def __init__(self) -> None:
        limit = watchdog_seconds()
        self.seconds = limit / 2 if limit else _SELDOM
        """Between two beats; whoever waits has to come by more often."""
        self._next = 0.0

    def beat(self) -> None:
        """Tell it, if it is time to."""
        now = time.monotonic()
        if now >= self._next:
            notify("WATCHDOG=1")
            self._next = now + self.seconds / 2
