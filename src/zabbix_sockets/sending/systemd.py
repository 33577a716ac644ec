"""Notifications to systemd that a service is ready, alive or stopping. See sd_notify(3)."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

_SELDOM = 30.0  # twice the seconds between two heartbeats where there is no watchdog


def notify(*states: str) -> None:
    """Send *states*, such as READY=1, to the service manager; without one nothing is done."""
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
    """Return the seconds without a heartbeat after which systemd kills this service (WatchdogSec=).

    None: it doesn't. They are in the environment, in microseconds: see sd_watchdog_enabled(3).
    """
    given = os.environ.get("WATCHDOG_USEC", "")
    is_set = given.isascii() and given.isdecimal() and int(given)
    return int(given) / 1e6 if is_set else None


class Heartbeat:
    """The heartbeat of a service: WATCHDOG=1, at least twice in the limit of the watchdog.

    The code that does the service's work calls beat() while that goes on as it should, and no
    other does: a service that hangs is killed.

    Attributes:
        seconds: half of the limit; whoever waits calls beat() more often than that.
    """

    def __init__(self) -> None:
        limit = watchdog_seconds()
        self.seconds = limit / 2 if limit else _SELDOM
        self._next = 0.0

    def beat(self) -> None:
        """Send WATCHDOG=1, if the last one is long enough ago."""
        now = time.monotonic()
        if now >= self._next:
            notify("WATCHDOG=1")
            self._next = now + self.seconds / 2
