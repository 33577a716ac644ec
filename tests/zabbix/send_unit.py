"""The unit of send: what ExecStart= says, run in the sandbox of its settings."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from zabbix_sockets.sending import schedule

from .pushing import sender
from .sandbox import Sandbox, parse, sandbox
from .stage import Stage, UnavailableError

UNIT = "systemd/zabbix-sockets-send.service"
DROP_IN = "systemd/sys-ptrace.conf"
CREDENTIALS = "systemd/credentials.conf"
INTERVAL = 60.0
"""Seconds between two pushes, as the unit has it."""

NAMES = [f"host {number}" for number in range(1000)]
"""Hosts: the name decides at which second of each interval a host pushes."""

APART = 2.0
"""Seconds between the moments of two hosts, of which one is to be soon."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit, with the version of zabbix_sender that its host has."""

    box: Sandbox
    version: str
    log: Path

    def configure(self, destination: str, *lines: str, names: Iterable[str] = NAMES) -> str:
        """Write the agent's file; return the host's name, whose moment is a few seconds ahead."""
        name = next(name for name in names if 4 < _seconds_to_first(name) < 4 + 2 * APART)
        folder = self.box.root / "etc/zabbix"
        text = "\n".join([f"ServerActive={destination}", f"Hostname={name}", *lines, ""])
        (folder / "zabbix_agentd.conf").write_text(text)
        return name

    def watch_sender(self) -> None:
        """Let zabbix_sender say what it has of its caller, before it does its work."""
        program = self.box.root / "bin/zabbix_sender"
        program.rename(program.with_name("real"))
        program.write_text(
            "#!/bin/sh\ncat /proc/$$/status >/var/lib/zabbix-sockets/status.$$\n"
            'exec /usr/local/bin/real "$@"\n'
        )
        program.chmod(0o755)

    def fails(self, **environment: str) -> tuple[int, str]:
        """Run what ExecStart= says, which has to end by itself; return its status and its log."""
        command = self.box.command(self.box.exec_start, pins=True, **environment)
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        return answer.returncode, answer.stderr

    @contextmanager
    def running(self, *, pins: bool, **environment: str) -> Iterator["Told"]:
        """Run what ExecStart= says; yield what it tells systemd. SIGTERM has to end it in time."""
        name = f"\0zabbix-sockets-{os.getpid()}-{time.monotonic_ns()}"
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified,
            self.log.open("wb") as to,
        ):
            notified.bind(name)
            notified.settimeout(30)
            told = Told(notified, self.log)
            environment["NOTIFY_SOCKET"] = f"@{name[1:]}"
            command = self.box.command(self.box.exec_start, pins=pins, **environment)
            with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=to) as process:
                try:
                    told.receive()
                    yield told
                    process.terminate()
                    status = process.wait(float(self.box.one("TimeoutStopSec")))
                    assert status == 0, self.log.read_text()
                    notified.settimeout(0)
                    while not told[-1].startswith("STOPPING"):
                        told.receive()
                finally:
                    process.kill()


class Told(list[str]):
    """What a unit has told systemd so far."""

    def __init__(self, notified: socket.socket, log: Path) -> None:
        super().__init__()
        self._notified = notified
        self._log = log

    def receive(self) -> str:
        """Return what it tells next; fail with its log where it doesn't."""
        try:
            self.append(self._notified.recv(4096).decode())
        except OSError as exc:
            raise AssertionError(self._log.read_text()) from exc
        return self[-1]


def _seconds_to_first(host: str) -> float:
    return schedule.seconds_to_first(time.time(), INTERVAL, schedule.offset(host, INTERVAL))


@contextmanager
def installed(stage: Stage, version: str, *drop_ins: str) -> Iterator[Unit]:
    """Prepare a machine with the packaged unit, and zabbix_sender in its PATH."""
    root = Path(tempfile.mkdtemp(prefix="zabbix-unit-"))
    try:
        root.chmod(0o755)
        box = sandbox(parse(*(stage.conf / each for each in (UNIT, *drop_ins))), stage, root)
        (root / "bin").mkdir()
        shutil.copy(sender(version), root / "bin")
        box.steps.insert(0, ["bind", str(root / "bin"), "/usr/local/bin"])
        (root / "etc/zabbix").mkdir(exist_ok=True)
        stage.load()
        yield Unit(box, version, root / "log")
    except UnavailableError as exc:
        pytest.skip(str(exc))
    finally:
        shutil.rmtree(root)
