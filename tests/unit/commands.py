"""Runs the command as an agent or a person would."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping

COMMAND = (sys.executable, "-I", "-m", "zabbix_sockets")
PATIENT = ("--timeout", "60")
"""For calls that take a snapshot: others of this user may be running."""

_LIMIT = 120
_ENVIRONMENT = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8"}


Answer = subprocess.CompletedProcess[bytes]


def run(*arguments: str | bytes, stdout: int = subprocess.PIPE) -> Answer:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=_ENVIRONMENT,
        timeout=_LIMIT,
        check=False,
    )


def run_in_terminal(
    *arguments: str, columns: int, environment: Mapping[str, str] | None = None
) -> str:
    """Run the command in a terminal that is *columns* wide; return what it shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**_ENVIRONMENT, "TERM": "xterm", **(environment or {})},
    ) as process:
        os.close(theirs)
        shown = _read_terminal(ours)
        os.close(ours)
        assert process.wait(_LIMIT) == 0
    return shown.decode().replace("\r\n", "\n")


def run_by_hand(*arguments: str) -> tuple[bytes, str]:
    """Run the command with errors in a terminal; return its output, and what is shown there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=_ENVIRONMENT,
    ) as process:
        os.close(theirs)
        shown = _read_terminal(ours)
        os.close(ours)
        output, _ = process.communicate(timeout=_LIMIT)
    return output, shown.decode().replace("\r\n", "\n")


def _read_terminal(fd: int) -> bytes:
    """Return all that is written until the other side is closed, which Linux tells by EIO."""
    shown = b""
    while True:
        try:
            data = os.read(fd, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return shown
        if not data:
            return shown
        shown += data
