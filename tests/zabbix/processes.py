"""Processes of the tests' own, with sockets of known number and state."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .agents import free_port
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

HOSTILE = {
    'zs "quoted"': "zs %22quoted%22",
    "it's": "it%27s",
    "zs\\": "zs%5C",
    "\\": "%5C",
    "x]": "x]",
    "a,b": "a,b",
    "{$MACRO}": "%7B%24MACRO%7D",
    "{#ID}": "%7B#ID%7D",
    "{HOST.NAME}": "%7BHOST.NAME%7D",
    "žluťoučký": "žluťoučký",
    "tcp/x": "tcp/x",
    "zs>tcp/1": "zs>tcp/1",
    "(absent)": "%28absent)",
    " ": "%20",
    "\u200b": "%E2%80%8B",
    "zs\n- key 1": "zs%0A- key 1",
    "zs\udcff": "zs%FF",
    "fifteen bytes, ": "fifteen bytes,%20",
    "') || true": "%27) || true",
    "^$|.*": "^%24|.*",
    "zs": "zs",
    "ZS": "ZS",
}
"""Names of processes, and the ids of their rows: one name never becomes another's."""

_SOURCE = Path(__file__).with_name("holder.py").read_text()


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds what holder.py says; its ports, all on 127.0.0.1."""

    name: str
    busy: int
    idle: int
    bound: int


@contextmanager
def hold(
    stage: Stage, name: str, *, as_root: bool = False, ports: Sequence[int] = (0, 0, 0)
) -> Iterator[Holder]:
    """Run holder.py under *name* (15 bytes at most), which the kernel takes from the file.

    Its *ports* are two of TCP and one of UDP; the kernel picks for 0.
    """
    folder = Path(tempfile.mkdtemp(prefix="name-", dir=stage.root))
    folder.chmod(0o755)
    link = folder / name.replace("/", "_")
    link.symlink_to(stage.python)
    renamed = name if "/" in name else ""
    command = [str(link), "-I", "-c", _SOURCE, renamed, *map(str, ports)]
    with subprocess.Popen(
        command if as_root else as_zabbix(command),
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            held = process.stdout.readline()
            assert held, f"{command}: status {process.wait()}"
            yield Holder(name, **json.loads(held))
        finally:
            process.communicate()  # the end of its input ends it
            link.unlink()
            folder.rmdir()


def free_ports(number: int) -> list[int]:
    """Return ports that nobody has and that the kernel does not pick: discovery offers them."""
    ports: set[int] = set()
    while len(ports) < number:
        ports.add(free_port())
    return sorted(ports)


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
