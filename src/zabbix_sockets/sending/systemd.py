"""What a service tells systemd: that it is ready, alive, stopping. See sd_notify(3)."""

import os
import socket
from contextlib import suppress


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
