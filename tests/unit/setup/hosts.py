"""Hosts to set up: trees of files, and a systemd that remembers what it was told."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zabbix_sockets.host import own_files
from zabbix_sockets.setup import files
from zabbix_sockets.setup.actions import KEPT, TO_DO, Action
from zabbix_sockets.setup.command import carry_out
from zabbix_sockets.setup.machine import CommandResult, Machine
from zabbix_sockets.setup.options import SetupOptions
from zabbix_sockets.setup.plan import look, make_plan
from zabbix_sockets.setup.record import FILE, Entry, SetupRecord
from zabbix_sockets.setup.removal import undo
from zabbix_sockets.setup.scene import Own, Part, Scene

LOAD = "zabbix-sockets-load.service"
CONF = Path(__file__).parents[3] / "conf"
VENV = "/opt/zabbix-sockets/bin/python3 -I -m zabbix_sockets"
PACKAGE = Own(str(CONF), own_files.COMMAND, is_packaged=True)
ENVIRONMENT = Own(str(CONF), VENV, is_packaged=False)
RUNNING = ("zabbix-agent.service", "zabbix-agent2.service", "zabbix-server.service")
"""The units of Zabbix's programs, which run unless a test stops them."""
SYSTEMD = {"run/systemd/system/.keep": "", "etc/systemd/system/.keep": ""}


class Systemd:
    """Answers commands as a host with systemd does, and remembers them."""

    def __init__(self, *on: str, failing: str = "") -> None:
        self.on = {*on, *RUNNING}
        self.ending = ""  # the unit that ends as soon as it is restarted
        self.failing = failing
        self.calls: list[str] = []
        self.has_loaded = False
        self.store = Path("/nonexistent")

    def __call__(self, words: Sequence[str]) -> CommandResult:
        """Return what the command gives."""
        said = " ".join(words)
        if self.failing and self.failing in said:
            return CommandResult(1, "", "it is broken")
        if words[0] == "systemctl" and words[1] == "--quiet":
            return CommandResult(0 if words[3] in self.on else 1)
        if words[:2] == ["systemctl", "is-active"]:
            return (
                CommandResult(0, "active\n")
                if words[2] in self.on
                else CommandResult(3, "inactive\n")
            )
        self._change(words)
        if words[1] != "cat" or words[0] != "systemctl":
            self.calls.append(said)
        return CommandResult(0)

    def _change(self, words: Sequence[str]) -> None:
        """Remember what the command changes."""
        if words[:2] == ["systemctl", "try-restart"]:
            self.on -= {self.ending}
        if words[:3] == ["systemctl", "enable", "--now"]:
            self.on |= set(words[3:])
        if words[0] == "systemctl" and words[1] in {"enable", "reload"} and LOAD in words:
            self.has_loaded = True
        if words[:3] == ["systemctl", "disable", "--now"]:
            self.on -= set(words[3:])
        if words[:2] == ["install", "-d"]:
            os.mkdir(words[-1], int(words[words.index("-m") + 1], 8))
        if words[:2] == ["rm", "-rf"]:
            shutil.rmtree(words[-1])
        if words[:2] == ["semodule", "-i"]:
            self.store.mkdir(parents=True)
            (self.store / "hll").write_bytes(Path(words[2]).read_bytes())
        if words[:2] == ["semodule", "-r"]:
            shutil.rmtree(self.store)


def never(executable: str) -> None:
    """Fail: nobody should have to ask for the version of *executable*."""
    raise AssertionError(executable)


class Host:
    """A host below *root*, with an installation of this package."""

    def __init__(self, root: Path, systemd: Systemd | None = None, own: Own = ENVIRONMENT) -> None:
        self.root = root
        self.systemd = systemd or Systemd()
        self.systemd.store = root / "var/lib/selinux/targeted/active/modules/400/zabbix_sockets"
        self.own = own
        self.no_iterators = self.no_libbpf = ""

    @property
    def machine(self) -> Machine:
        """The machine as setup has it."""
        return Machine(str(self.root), self.systemd, patience=0)

    def scene(self, **options: Any) -> Scene:
        """Return what setup finds."""
        wanted = SetupOptions()._replace(**options)
        record = SetupRecord(str(self.root))
        obstacles = (self.no_iterators, self.no_libbpf)
        return look(self.machine, self.own, wanted, record, *obstacles, never)

    def plan(self, **options: Any) -> Part:
        """Return what setup would do."""
        return make_plan(self.scene(**options))

    def set_up(self, **options: Any) -> list[str]:
        """Set it up, with restarts; return the problems."""
        scene = self.scene(**options)
        return carry_out(make_plan(scene), scene.record, restart=lambda _: True)

    def record(self, path: str, text: str) -> None:
        """Have it recorded that setup wrote *text* to *path*."""
        entry = Entry(FILE, path, files.digest(text.encode()))
        SetupRecord(str(self.root)).add(entry)

    def take_back(self) -> list[Action]:
        """Take back what was done; return what was kept."""
        record = SetupRecord(str(self.root))
        kept = []
        for entry in reversed(list(record.entries)):
            action = undo(self.machine, entry)
            if action.state == TO_DO:
                action.do()
            elif action.state == KEPT:
                kept.append(action)
            record.drop(entry)
        return kept

    @property
    def remembering(self) -> str:
        """The command that makes the folder in which the agent's user remembers."""
        return f"install -d -m 0700 -o 110 -g 115 {self.root}/var/lib/zabbix-sockets-110"

    def text(self, path: str) -> str:
        """Return the text of a file of the host."""
        return (self.root / path.lstrip("/")).read_text()

    def files(self) -> Mapping[str, tuple[int, bytes | str]]:
        """Return mode and content of all that is there."""
        found: dict[str, tuple[int, bytes | str]] = {}
        for folder, folders, names in os.walk(self.root):
            for name in (*names, *folders):
                path = Path(folder, name)
                mode = path.lstat().st_mode
                content = str(path.readlink()) if path.is_symlink() else b""
                if path.is_file() and not path.is_symlink():
                    content = path.read_bytes()
                found[str(path)] = (mode, content)
        return found


def to_do(plan: Part) -> list[str]:
    """Return the commands of what is to be done."""
    return [each.command for each in (*plan.actions, *plan.restarts) if each.state == TO_DO]


def copy_conf(name: str, target: Path, command: str) -> None:
    """Put a file of conf/ where an administrator of 0.1.0 copied it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(CONF / name, target)
    target.write_text(target.read_text().replace(own_files.COMMAND, command))
