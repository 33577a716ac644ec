"""The verb send, called as a user calls it, with the real zabbix_sender of a version."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.sending.spool import Spool

from .agents import Kind

QUICK = ("--netns", "own", "--source", "sock_diag")
"""The quickest document that needs no privilege."""

BUSY_SECONDS = 30
"""By how much a service on a busy machine may be late, with a document or with its end."""

_TRIES = 10


def sender(version: str) -> Path:
    """Return the zabbix_sender of a version, or say in an UnavailableError that there is none."""
    return Kind("zabbix_sender", version).path("zabbix_sender")


def with_sender(version: str, command: Sequence[str]) -> list[str]:
    """Return *command* with a PATH where zabbix_sender is that of *version*."""
    return ["env", f"PATH={sender(version).parent}:/usr/bin:/bin", *command]


def push(version: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Push a quick document once, from this very installation."""
    command = [sys.executable, "-m", "zabbix_sockets", "send", *QUICK, *arguments]
    return subprocess.run(
        with_sender(version, command), capture_output=True, text=True, check=False
    )


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command*, a `send --interval`; SIGTERM has to end it with success."""
    with log.open("wb") as output, subprocess.Popen(command, stderr=output) as process:
        try:
            yield process
            assert process.poll() is None, log.read_text()
            process.terminate()
            assert process.wait(BUSY_SECONDS) == 0, log.read_text()
        finally:
            process.kill()


def waiting(spool: Path, destination: str) -> int:
    """Return how many documents wait on disk for a server.

    On a busy machine the service may keep the file to itself for longer than a call waits.
    """
    for left in reversed(range(_TRIES)):
        try:
            opened = Spool(str(spool), 1 << 30)
            try:
                return opened.state(destination).waiting
            finally:
                opened.close()
        except SocketsError as error:
            if not left or "locked" not in str(error):
                raise
    raise AssertionError("never reached")
