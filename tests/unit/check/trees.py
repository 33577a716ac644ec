"""A host made of files, as `check` looks at it, and the faults that tests make there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from zabbix_sockets.check.agents import Agent, AgentProcess
from zabbix_sockets.check.children import User
from zabbix_sockets.check.line import Line
from zabbix_sockets.check.system import System
from zabbix_sockets.host.zabbix_config import Setting
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.readers.bpf.records import COUNT_MINISOCKS, PROGRAMS, pin_path

PINS = "/run/zabbix-sockets"
CONFIG = "/etc/zabbix/zabbix_agentd.conf"
KEYS = "/etc/zabbix/zabbix_agentd.d/zabbix_sockets.conf"
PROGRAM = "/usr/bin/zabbix-sockets"

GROUP = os.getgid() or 4711
"""The group that the pins of the tree are for."""
READER = User("zabbix", os.getuid() + 4242, GROUP, ())
"""A user who reads what that group may."""
STRANGER = User("other", os.getuid() + 4243, GROUP + 4243, ())
"""One who reads what everybody may."""


class Tree:
    """A host below *root*: a healthy one, until a test changes something."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.chmod(0o755)
        self.euid = 0
        self.seconds = 10.0
        self.mounts = [
            "22 1 0:21 / /proc rw - proc proc rw",
            "23 1 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
        ]
        self.write("/proc/self/mountinfo", "")
        self.write("/proc/thread-self/status", "Name:\tsh\nCapEff:\t000001ffffffffff\n")
        self.write("/sys/kernel/btf/vmlinux", "")
        self.write("/etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
        self.write(PROGRAM, "#!/bin/sh\n", 0o755)
        self.write_keys(KEYS)

    def __call__(self) -> System:
        """Return the host as checks take it."""
        self.write("/proc/self/mountinfo", "".join(f"{line}\n" for line in self.mounts))
        proc = str(self.root / "proc")
        return System(str(self.root), proc, Deadline(self.seconds), PINS, self.euid)

    def write(self, path: str, text: str, mode: int = 0o644) -> Path:
        """Write a file of the host."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def write_keys(self, path: str, program: str = PROGRAM) -> list[Setting]:
        """Write our file for agents; return its settings."""
        parameters = [
            f'sockets.get[*],{program} get -- "$1"',
            f'sockets.discovery[*],{program} discover -- "$1"',
            f'sockets.count[*],{program} count -- "$1" "$2" "$3"',
        ]
        self.write(path, "".join(f"UserParameter={each}\n" for each in parameters))
        return [Setting("UserParameter", each, path) for each in parameters]

    def program(self, name: str, script: str) -> str:
        """Write a program of the host, a shell script; return its path."""
        self.write(f"/usr/bin/{name}", f"#!/bin/sh\n{script}\n", 0o755)
        return f"/usr/bin/{name}"

    def boot_systemd(self, unit: str, *others: str, journal: str = "", **properties: str) -> None:
        """Let systemd run here: each unit has a file, and all have *properties*."""
        for each in (unit, *others):
            self.write(f"/usr/lib/systemd/system/{each}", "[Unit]\n")
        (self.root / "run/systemd/system").mkdir(parents=True, exist_ok=True)
        shown = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
        shown.update(properties)
        lines = "\n".join(f"{name}={value}" for name, value in shown.items())
        self.program("systemctl", f"cat <<'END'\n{lines}\nEND")
        self.program("journalctl", f"cat <<'END'\n{journal}\nEND")

    def pin(self, mode: int = 0o440, version: str = "") -> None:
        """Pin the iterators, of this version or of another one, and mount their folder."""
        for program in (*PROGRAMS, COUNT_MINISOCKS):
            path = f"{PINS}/{program}-v{version}" if version else pin_path(PINS, program)
            file = self.write(path, "", 0o644)
            file.chmod(mode)
            if not os.geteuid():
                os.chown(file, -1, GROUP)
        self.mount_pins()

    def mount_pins(self) -> None:
        """Let the folder of the pins be a bpffs."""
        folder = self.root / PINS.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        device = os.stat(folder).st_dev
        numbers = f"{os.major(device)}:{os.minor(device)}"
        self.mounts.append(f"40 1 {numbers} / {folder} rw - bpf bpf rw")

    def agent(
        self,
        *more: tuple[str, str],
        keys: list[Setting] | None = None,
        user: User | None = READER,
        process: AgentProcess | None = None,
        running: bool = True,
        trouble: str = "",
        unit: str = "zabbix-agent.service",
        program: str = "/usr/sbin/zabbix_agentd",
    ) -> Agent:
        """Return an agent with our keys (or *keys*) and the settings *more*."""
        settings = [Setting("Server", "127.0.0.1", CONFIG)]
        settings += [Setting(name, value, CONFIG) for name, value in more]
        settings += self.write_keys(KEYS) if keys is None else keys
        self.write(CONFIG, "".join(f"{each.name}={each.value}\n" for each in settings))
        if running and process is None and user:
            process = AgentProcess(4_000_000, 4e9, user)  # started after all that is written
        files = tuple(dict.fromkeys([CONFIG, *(each.path for each in settings)]))
        return Agent(
            *("agentd", program, CONFIG, tuple(settings), files, trouble, user, process, unit),
            *("/etc/zabbix/zabbix_agentd.d", ""),
        )


class Fault(NamedTuple):
    """A state of the host that a check names.

    Attributes:
        name, state: those of its line.
        message: a part of the line's message.
        next: the line's command, or the beginning of it if it ends with "...".
        make: makes the state in a tree, and returns the lines of the check.
    """

    name: str
    state: str
    message: str
    next: str
    make: Callable[[Tree], Iterable[Line]]

    def __str__(self) -> str:
        return self.make.__name__.lstrip("_")


Faults = list[Fault]


def fault(
    faults: Faults, name: str, state: str, message: str, command: str = ""
) -> Callable[[Callable[[Tree], Iterable[Line]]], Callable[[Tree], Iterable[Line]]]:
    """Add the decorated function to *faults*."""

    def add(make: Callable[[Tree], Iterable[Line]]) -> Callable[[Tree], Iterable[Line]]:
        faults.append(Fault(name, state, message, command, make))
        return make

    return add
