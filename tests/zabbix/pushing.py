"""The verb send, called as a user calls it, with the real zabbix_sender of a version."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .agents import Kind

QUICK = ("--netns", "own", "--source", "sock_diag")
"""The quickest document that needs no privilege."""

_STOP_SECONDS = 30


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
            assert process.wait(_STOP_SECONDS) == 0, log.read_text()
        finally:
            process.kill()
