"""Real agents of both kinds and versions on loopback, and zabbix_get to ask them."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Any

import rounds

from .stage import Stage, UnavailableError, as_zabbix, require

CACHE = Path(__file__).parents[2] / ".cache/zabbix"
"""Where fetch.sh unpacks, a directory per version."""

# What a careless unit file might hand to every check: -I must keep it out of the answer.
HOSTILE_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LC_ALL": "C",
    "PYTHONHOME": "/nonexistent",
    "PYTHONIOENCODING": "utf-16",
    "PYTHONVERBOSE": "1",
}

TIMEOUT_SECONDS = 30
"""The most that agents and servers allow: by default it is 3, and a machine may be busy."""

_TRIES = 10
# A busy machine may take this long to start an agent.
_START_SECONDS = 120


class Way(Enum):
    """How the agent is allowed to look at other users' processes."""

    UNPRIVILEGED = "unprivileged"
    CAPABLE = "capable"
    SUDO = "sudo"
    PINNED = "pinned"


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the programs under test."""

    program: str
    version: str

    def __str__(self) -> str:
        return f"{self.program}-{self.version}"

    def path(self, name: str) -> Path:
        """Return the unpacked program *name* of this version."""
        found = [CACHE / self.version / "usr" / place / name for place in ("sbin", "bin")]
        for path in found:
            if path.exists():
                return path
        raise UnavailableError(f"no {name} {self.version}: tests/requirements.sh fetches it")


KINDS = [
    Kind(program, version)
    for version in ("6.0", "7.0")
    for program in ("zabbix_agentd", "zabbix_agent2")
]

TESTED = [KINDS[0], KINDS[-1]] if rounds.IS_SHORT else KINDS
"""Those that this run asks all that it asks: each program and each version, or all."""


@dataclass(frozen=True, slots=True)
class Agent:
    """A running agent."""

    kind: Kind
    way: Way
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def ask(self, key: str) -> str:
        """Return the agent's answer as zabbix_get prints it, with no line end.

        The exit code says nothing: 6.0 has 0 for an unsupported item, 7.0 has 1.
        """
        result = self._get(key)
        assert not result.stderr, f"{result.stderr}\n{self.log.read_text(errors='replace')}"
        return result.stdout.removesuffix("\n")

    def ask_json(self, key: str) -> Any:
        """Return the answer decoded; it has to be one line of JSON and nothing around it.

        On a busy machine a call may get too little of the processor to end in time: then it is
        asked again, a few times.
        """
        for _ in range(_TRIES):
            answer = self.ask(key)
            if not answer.startswith('{"error":"timed out after'):
                break
        assert answer.startswith(("{", "[")), answer
        assert "\n" not in answer
        return json.loads(answer)

    def wait(self) -> None:
        """Return when the agent answers; fail with its log when it doesn't."""
        deadline = time.monotonic() + _START_SECONDS
        while self._get("agent.ping").stdout != "1\n":
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.kind}: {self.log.read_text(errors='replace')}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the agent; its own children end with it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _get(self, key: str) -> subprocess.CompletedProcess[str]:
        # A 7.0 agent takes the timeout from the request.
        timeout = str(TIMEOUT_SECONDS)
        to = ["-s", "127.0.0.1", "-p", str(self.port), "-t", timeout, "-k", key]
        command = [str(self.kind.path("zabbix_get")), *to]
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


@dataclass(frozen=True, slots=True)
class Active:
    """A server or proxy that the agent asks for its active checks, and as which host."""

    server: str
    hostname: str


@dataclass(slots=True)
class Agents:
    """Starts each agent once, when it is first wanted."""

    stage: Stage
    running: dict[tuple[Kind, Way, Active | None], Agent] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)

    def get(self, kind: Kind, way: Way, active: Active | None = None) -> Agent:
        """Return the agent, which answers.

        The host of an *active* one has to be known to the server: it asks when it starts,
        and 6.0 then once a minute.
        """
        wanted = kind, way, active
        if wanted not in self.running:
            agent = self._start(kind, way, active)
            self.running[wanted] = agent
            agent.wait()
        return self.running[wanted]

    def stop_active(self) -> None:
        """End those with active checks, which go on for a minute when their host is gone."""
        for wanted in [each for each in self.running if each[2]]:
            self.running.pop(wanted).stop()

    def stop(self) -> None:
        """End them all, at once."""
        for agent in self.running.values():
            agent.process.terminate()
        for agent in self.running.values():
            agent.stop()

    def _start(self, kind: Kind, way: Way, active: Active | None) -> Agent:
        program = kind.path(kind.program)
        if way is Way.CAPABLE:
            require(as_zabbix(["true"], capable=True))
        if way is Way.SUDO:
            require(["sudo", "--version"])
        if way is Way.PINNED:
            self.stage.load()
        directory = self.stage.root / f"{kind}-{way.value}-{next(self.numbers)}"
        directory.mkdir(mode=0o755)
        packaged = "zabbix_sockets_sudo.conf" if way is Way.SUDO else "zabbix_sockets.conf"
        shutil.copyfile(self.stage.conf / packaged, directory / packaged)
        port = free_port()
        config = directory / f"{kind.program}.conf"
        config.write_text(configuration(kind, directory, port, packaged, active))
        shutil.chown(directory, "zabbix", "zabbix")
        command = as_zabbix([str(program), "-f", "-c", str(config)], capable=way is Way.CAPABLE)
        log = directory / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.stage.inside(command, sudoers=way is Way.SUDO, pins=way is Way.PINNED),
                cwd="/",
                env=HOSTILE_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return Agent(kind, way, port, process, log)


def configuration(
    kind: Kind, directory: Path, port: int, include: str, active: Active | None = None
) -> str:
    """Return the text of a configuration file for an agent whose files are in *directory*."""
    lines = [
        "LogType=console",
        f"Hostname={active.hostname if active else 'tested'}",
        "Server=127.0.0.1",
        "ListenIP=127.0.0.1",
        f"ListenPort={port}",
        f"PidFile={directory}/pid",
        f"Timeout={TIMEOUT_SECONDS}",
        f"Include={directory}/{include}",
    ]
    if active:
        refresh = 60 if kind.version == "6.0" else 1  # the least that each allows
        lines += [f"ServerActive={active.server}", f"RefreshActiveChecks={refresh}", "BufferSend=1"]
    if kind.program == "zabbix_agent2":
        lines.append(f"ControlSocket={directory}/control")
    return "\n".join(lines) + "\n"


def free_port() -> int:
    """Return a port that nobody has, TCP or UDP, from those that an agent takes: below 32768."""
    for port in random.sample(range(20000, 32768), 100):
        with (
            suppress(OSError),
            socket.create_server(("127.0.0.1", port)),
            socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        ):
            datagrams.bind(("127.0.0.1", port))
            return port
    raise UnavailableError("100 ports, none of them free")
