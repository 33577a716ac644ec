"""Processes of the tests' own, with sockets of known number and state."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .stage import Stage, as_zabbix

TCP = {
    "listen": 2,
    "established": 5,
    "inbound": 2,
    "outbound": 3,
    "unknown": 0,
    "close_wait": 1,
    "syn_sent": 0,
    "fin_wait2": 0,
}
"""What holder.py holds: the unaccepted connection and the closed one have no owner."""

UDP = {"bound": 1, "connected": 1}

_SOURCE = Path(__file__).with_name("holder.py").read_text()


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds what holder.py says; its ports, both on 127.0.0.1."""

    name: str
    busy: int
    idle: int


@contextmanager
def hold(stage: Stage, name: str, *, as_root: bool = False) -> Iterator[Holder]:
    """Run holder.py under *name* (15 bytes at most), which the kernel takes from the file."""
    links = stage.root / "names"
    links.mkdir(mode=0o755, exist_ok=True)
    link = links / name
    link.symlink_to(stage.python)
    command = [str(link), "-I", "-c", _SOURCE]
    with subprocess.Popen(
        command if as_root else as_zabbix(command),
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield Holder(name, **json.loads(process.stdout.readline()))
        finally:
            process.communicate()  # the end of its input ends it
            link.unlink()


def denied_to_root() -> int:
    """Return how many processes even root may not inspect, such as a container's first one.

    Only these may be left to an agent with privilege: on most machines none.
    """
    denied = 0
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with suppress(FileNotFoundError):
                    os.readlink(f"/proc/{pid}/fd/{fd}")
        except PermissionError:
            denied += 1
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended
    return denied
