"""The things that are done to a host, each with the command that a person could type instead.

Each tells whether it is done already. Before it is done its entries are put into the record.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.setup import files
from zabbix_sockets.setup.machine import Machine
from zabbix_sockets.setup.record import DIRECTORY, FILE, MEMBER, MODULE, Entry

DONE, TO_DO, KEPT = "ok", "to do", "kept"
"""The states of an action: nothing is to be done; it is to be done; a person decided otherwise."""


class Action:
    """A thing to do.

    Attributes:
        command: what a person could type to do it.
        what: what is so once it is done, in a few words.
        state: DONE, TO_DO or KEPT, as it was found.
        entries: what the record is to have of it.
    """

    command: str
    what: str
    state: str = TO_DO
    entries: tuple[Entry, ...] = ()

    def do(self) -> None:
        """Do it.

        Raises:
            OSError, SocketsError: it failed; the message says why.
        """
        raise NotImplementedError


class Command(Action):
    """A command, or several one after another, to be run unless it *is_done*."""

    def __init__(
        self,
        machine: Machine,
        what: str,
        *commands: Sequence[str],
        is_done: bool = False,
        entries: Sequence[Entry] = (),
    ) -> None:
        self._machine = machine
        self._commands = commands
        self.what = what
        self.command = " && ".join(map(shlex.join, commands))
        self.state = DONE if is_done else TO_DO
        self.entries = tuple(entries)

    def do(self) -> None:
        """Run the commands; the first that fails is the last."""
        for words in self._commands:
            answer = self._machine.run(words)
            if answer.status:
                reason = answer.complaint or f"it ended with status {answer.status}"
                raise SocketsError(f"{words[0]}: {reason}")


class WriteFile(Action):
    """A file with this content, unless a person changed the one that is there.

    Then the new one is put beside it as PATH.new, where *beside* allows it: a program may read all
    files of the folder.

    Args:
        machine: the host.
        path: the file's path on it.
        content: the bytes.
        command: what a person could type to make it.
        mode: the file's mode.
        is_ours: whether what is there now may be replaced: it was written by this package.
        beside: whether a file with the further ending .new does no harm.
    """

    def __init__(
        self,
        machine: Machine,
        path: str,
        content: bytes,
        command: str,
        mode: int = 0o644,
        *,
        is_ours: Callable[[bytes], bool],
        beside: bool = True,
    ) -> None:
        self._machine = machine
        self._path = path
        self._content = content
        self._mode = mode
        self.command = command
        self.what = f"{path} is there"
        self.entries = (Entry(FILE, path, files.digest(content)),)
        self._find_state(is_ours, beside=beside)

    def _find_state(self, is_ours: Callable[[bytes], bool], *, beside: bool) -> None:
        try:
            current = files.read(self._machine.path(self._path))
        except OSError as error:
            self._keep(f"{self._path} is kept: {error.strerror}", is_ours, beside=beside)
            return
        if current is None:
            return
        if current == self._content:
            mode = os.lstat(self._machine.path(self._path)).st_mode & 0o777
            self.state = DONE if mode == self._mode else TO_DO
        elif not is_ours(current):
            self._keep(f"{self._path} is kept, as somebody changed it", is_ours, beside=beside)

    def _keep(self, reason: str, is_ours: Callable[[bytes], bool], *, beside: bool) -> None:
        """Leave the file, and write the new one beside it, unless it is there or does harm.

        What a person has put there stays, too.
        """
        self.state = KEPT
        self.what = reason
        if not beside:
            self.entries = ()
            self.what += f"; the new one would be made by: {self.command}"
            return
        new = f"{self._path}.new"
        if not self._may_write(new, is_ours):
            self.entries = ()
            self.what += f"; so is {new}, which is somebody's"
            return
        self.what += f"; the new one is {new}"
        self.command = self.command.replace(self._path, new)
        self.entries = (Entry(FILE, new, files.digest(self._content)),)
        self._path = new

    def _may_write(self, path: str, is_ours: Callable[[bytes], bool]) -> bool:
        """Whether nothing of a person's is at *path*."""
        try:
            current = files.read(self._machine.path(path))
        except OSError:
            return False
        return current is None or current == self._content or is_ours(current)

    def do(self) -> None:
        """Write the file, and its folder where that isn't there."""
        whole = self._machine.path(self._path)
        if self.entries and not (self.state == KEPT and files.read(whole) == self._content):
            files.write(whole, self._content, self._mode)


class MakeFolder(Action):
    """A folder of root's, that all may enter."""

    def __init__(self, machine: Machine, path: str) -> None:
        self._path = machine.path(path)
        self.command = shlex.join(["mkdir", "-p", path])
        self.what = f"{path} is there"
        self.state = DONE if os.path.isdir(self._path) else TO_DO
        self.entries = (Entry(DIRECTORY, path),)

    def do(self) -> None:
        """Make it."""
        os.mkdir(self._path, 0o755)
        os.chmod(self._path, 0o755)  # noqa: S103  # whatever the umask: it has nothing secret


class RemoveFile(Action):
    """A file is gone whose place is another's now, such as a copy of a package's unit."""

    def __init__(self, machine: Machine, path: str, *, is_ours: Callable[[bytes], bool]) -> None:
        self._path = machine.path(path)
        self.command = shlex.join(["rm", path])
        self.what = f"there is no {path}"
        try:
            current = files.read(self._path)
        except OSError as error:
            self.state, self.what = KEPT, f"{path} is kept: {error.strerror}"
            return
        if current is None:
            self.state = DONE
        elif not is_ours(current):
            self.state, self.what = KEPT, f"{path} is kept, as somebody changed it"

    def do(self) -> None:
        """Remove it."""
        if self.state == TO_DO:
            files.remove(self._path)


def add_member(machine: Machine, user: str, group: str, *, is_member: bool) -> Action:
    """Return the action that brings *user* into *group*."""
    what, words = f"{user} is in the group {group}", ["usermod", "-aG", group, user]
    entries = [Entry(MEMBER, user, group)]
    return Command(machine, what, words, is_done=is_member, entries=entries)


def load_module(machine: Machine, path: str, name: str, *, is_done: bool) -> Action:
    """Return the action that loads the SELinux module *name* of the file *path*."""
    what, words = f"the SELinux module {name} is loaded", ["semodule", "-i", path]
    return Command(machine, what, words, is_done=is_done, entries=[Entry(MODULE, name)])
