"""The way back: from the record's entries to actions that undo them, the last thing first.

What a person changed since stays, and is said.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from errno import EEXIST, ENOTEMPTY

from zabbix_sockets.host.accounts import Accounts
from zabbix_sockets.host.own_files import command
from zabbix_sockets.host.selinux_store import stored_modules
from zabbix_sockets.setup import files
from zabbix_sockets.setup.actions import DONE, KEPT, TO_DO, Action, Command
from zabbix_sockets.setup.machine import Machine
from zabbix_sockets.setup.record import (
    DIRECTORY,
    FILE,
    GROUP,
    LOADED,
    MEMBER,
    MODULE,
    MOUNT,
    RUNTIME,
    STATE,
    UNIT,
    Entry,
)


class _RemoveWritten(Action):
    """A file that was written is gone, unless it has other content now."""

    def __init__(self, machine: Machine, entry: Entry) -> None:
        self._path = machine.path(entry.name)
        self.command = shlex.join(["rm", entry.name])
        self.what = f"there is no {entry.name}"
        try:
            current = files.read(self._path)
        except OSError as error:
            self.state, self.what = KEPT, f"{entry.name} stays: {error.strerror}"
            return
        if current is None:
            self.state = DONE
        elif files.digest(current) != entry.more:
            self.state, self.what = KEPT, f"{entry.name} stays, as somebody changed it"

    def do(self) -> None:
        """Remove it."""
        if self.state == TO_DO:
            files.remove(self._path)


class _RemoveFolder(Action):
    """A folder that was made is gone, unless something is in it."""

    def __init__(self, machine: Machine, entry: Entry) -> None:
        self._name = entry.name
        self._path = machine.path(entry.name)
        self.command = shlex.join(["rmdir", "--ignore-fail-on-non-empty", entry.name])
        self.what = f"there is no {entry.name}"
        self.state = TO_DO if os.path.isdir(self._path) else DONE

    def do(self) -> None:
        """Remove it if it is empty."""
        try:
            os.rmdir(self._path)
        except OSError as error:
            if error.errno not in {ENOTEMPTY, EEXIST}:
                raise
            self.state, self.what = KEPT, f"{self._name} stays, as something is in it"


def undo(machine: Machine, entry: Entry) -> Action:
    """Return the action that takes back what *entry* says."""
    return _UNDOING[entry.kind](machine, entry)


def _disable(machine: Machine, entry: Entry) -> Action:
    known = machine.has_systemd and not machine.run(["systemctl", "cat", entry.name]).status
    words = ["systemctl", "disable", "--now", entry.name]
    return Command(machine, f"{entry.name} is off", words, is_done=not known)


def _unmount(machine: Machine, entry: Entry) -> Action:
    words = ["systemctl", "stop", entry.name]
    return Command(machine, f"{entry.name} is off", words, is_done=not machine.has_systemd)


def _remove_filled(machine: Machine, entry: Entry) -> Action:
    """Return the removal of a folder with all that is in it.

    Only this package has filled it: by a unit that is off now, or by calls of the agent's keys.
    """
    is_done = not os.path.isdir(machine.path(entry.name))
    what = f"there is no {entry.name}"
    return Command(machine, what, ["rm", "-rf", machine.path(entry.name)], is_done=is_done)


def _leave(machine: Machine, entry: Entry) -> Action:
    accounts = Accounts(machine.root)
    user = accounts.user(entry.name)
    is_member = user is not None and entry.more in accounts.groups_of(user)
    words = ["gpasswd", "-d", entry.name, entry.more]
    what = f"{entry.name} is not in the group {entry.more}"
    return Command(machine, what, words, is_done=not is_member)


def _unload_module(machine: Machine, entry: Entry) -> Action:
    words = ["semodule", "-r", entry.name]
    what = f"the SELinux module {entry.name} is not loaded"
    return Command(machine, what, words, is_done=not stored_modules(machine.root))


def _remove_group(machine: Machine, entry: Entry) -> Action:
    what = f"there is no group {entry.name}"
    is_there = Accounts(machine.root).gid(entry.name) is not None
    return Command(machine, what, ["groupdel", entry.name], is_done=not is_there)


def _unload(machine: Machine, entry: Entry) -> Action:
    words = [*command().split(), "unload", "--pins", entry.name]
    return Command(machine, f"nothing is loaded into {entry.name}", words)


_UNDOING: dict[str, Callable[[Machine, Entry], Action]] = {
    FILE: _RemoveWritten,
    DIRECTORY: _RemoveFolder,
    RUNTIME: _remove_filled,
    STATE: _remove_filled,
    UNIT: _disable,
    MOUNT: _unmount,
    MEMBER: _leave,
    MODULE: _unload_module,
    LOADED: _unload,
    GROUP: _remove_group,
}
