"""What is known of a host before it is set up, and what all parts of the plan need."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from typing import NamedTuple

from zabbix_sockets.host import own_files
from zabbix_sockets.host.accounts import Accounts
from zabbix_sockets.host.agents import InstalledAgent
from zabbix_sockets.host.processes import may_only_root_change
from zabbix_sockets.host.programs import Program
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.paths import PINS_GROUP
from zabbix_sockets.setup import files
from zabbix_sockets.setup.actions import Action, MakeFolder, RemoveFile, WriteFile
from zabbix_sockets.setup.former import is_former
from zabbix_sockets.setup.machine import Machine
from zabbix_sockets.setup.options import SetupOptions
from zabbix_sockets.setup.record import SetupRecord

_PLAIN = 0o644


class Own(NamedTuple):
    """This installation.

    Attributes:
        conf: the folder with the files of conf/.
        command: how its command is called.
        is_packaged: a distribution's package installed it, with its units.
    """

    conf: str
    command: str
    is_packaged: bool

    def shipped(self, name: str) -> bytes:
        """Return the bytes of the file *name* of conf/.

        Raises:
            OSError: it can't be read.
        """
        with open(f"{self.conf}/{name}", "rb") as file:
            return file.read()

    def text(self, name: str) -> bytes:
        """Return the same, with this installation's call of the command.

        Raises:
            OSError: it can't be read.
        """
        text = self.shipped(name).decode("utf-8")
        return own_files.with_command(text, self.command).encode("utf-8")

    def copying(self, name: str, path: str, mode: int) -> str:
        """Return the shell command that puts that file to *path*."""
        source = f"{self.conf}/{name}"
        if self.command == own_files.COMMAND:
            return shlex.join(["install", "-m", f"{mode:04o}", source, path])
        script = f"s|{own_files.COMMAND}|{self.command}|"
        edit = f"{shlex.join(['sed', script, source])} >{shlex.join([path])}"
        return edit if mode == _PLAIN else f"{edit} && {shlex.join(['chmod', f'{mode:04o}', path])}"


def this_installation() -> Own:
    """Return the folder of files, the command and the kind of the installation that runs."""
    return Own(
        os.path.join(own_files.share_folder(), "conf"),
        own_files.command(),
        own_files.is_packaged(),
    )


class Part:
    """A part of the plan.

    Attributes:
        actions: in the order in which they are to be done.
        restarts: what is to be restarted after all of them.
        notes: what a person is to know or to do.
        faults: what stands in the way of something that is wanted, and what to do about it.
    """

    def __init__(self) -> None:
        self.actions: list[Action] = []
        self.restarts: list[Action] = []
        self.notes: list[str] = []
        self.faults: list[str] = []

    def add(self, other: Part) -> None:
        """Add all of *other*, behind what is there; a restart that is there already is left out."""
        self.actions += other.actions
        known = {each.command for each in self.restarts}
        self.restarts += [each for each in other.restarts if each.command not in known]
        self.notes += other.notes
        self.faults += other.faults


class Scene(NamedTuple):
    """The host, what is on it, and what is wanted.

    Attributes:
        machine: the host.
        own: this installation.
        record: what was done before.
        options: the caller's.
        accounts: the host's users and groups.
        agents: those that are installed.
        servers: Zabbix's servers and proxies.
        group: the group that is to read the pins.
        no_iterators: why this host can't load the BPF iterators; empty: it can.
        no_libbpf: why libbpf can't load them, and what to do about it; empty: it can.
    """

    machine: Machine
    own: Own
    record: SetupRecord
    options: SetupOptions
    accounts: Accounts
    agents: tuple[InstalledAgent, ...]
    servers: tuple[Program, ...]
    group: str
    no_iterators: str
    no_libbpf: str

    def is_ours(self, name: str, path: str) -> Callable[[bytes], bool]:
        """Return whether what is at *path* was written by setup or copied from a version's conf/.

        So may be what is beside it, with the further ending .new. *name* is the file's in conf/;
        empty: it isn't from there.
        """
        shipped = self.own.shipped(name) if name else b""
        plain = os.path.basename(name)

        def is_ours(content: bytes) -> bool:
            digests = map(self.record.digest_of, (path, f"{path}.new"))
            written = files.digest(content) in digests
            return written or (bool(name) and is_former(plain, content, shipped))

        return is_ours

    def may_name(self, by: str, folder: str, user: str) -> bool:
        """Whether root may write into *folder* since the file *by* of a program of *user* names it.

        A file that others than root may change names a folder below its own, or one of that user's:
        what root writes to others, such as apt's, their programs would read.
        """
        if may_only_root_change(by, self.machine.root):
            return True
        if folder.startswith(f"{os.path.dirname(by).rstrip('/')}/"):
            return True
        account = self.accounts.user(user)
        try:
            owner = os.stat(self.machine.path(folder)).st_uid
        except OSError:
            return False
        return account is not None and owner == account.uid

    def copy(self, name: str, path: str, mode: int = 0o644, *, beside: bool = True) -> WriteFile:
        """Return the action that puts the file *name* of conf/ to *path*."""
        return WriteFile(
            self.machine,
            path,
            self.own.text(name),
            self.own.copying(name, path, mode),
            mode,
            is_ours=self.is_ours(name, path),
            beside=beside,
        )

    def drop_in(self, unit: str, lines: Sequence[str]) -> list[Action]:
        """Return the actions that add *lines* to the section Service of *unit*.

        Without any, what a former call has added is taken away.

        Raises:
            SocketsError: a line has a character in it that may end it, for systemd.
        """
        for line in lines:
            if not line.isprintable():
                raise SocketsError(f"a unit can't have this line: {line}")
        folder = f"/etc/systemd/system/{unit}.d"
        path = f"{folder}/zabbix-sockets-setup.conf"
        if not lines:
            was_written = self.record.digest_of(path) is not None
            gone = RemoveFile(self.machine, path, is_ours=self.is_ours("", path))
            return [gone] if was_written else []
        text = "\n".join(["[Service]", *lines, ""])
        write = WriteFile(
            self.machine,
            path,
            text.encode("utf-8"),
            f"printf '%s\\n' {shlex.join(['[Service]', *lines])} >{path}",
            is_ours=self.is_ours("", path),
        )
        return [MakeFolder(self.machine, folder), write]


def choose_group(programs: Sequence[tuple[str, tuple[str, ...]]], accounts: Accounts) -> str:
    """Return the group that is to read the pins, by user and groups of each program to read them.

    It is zabbix, which their users join, unless all of them are in a group that is nobody else's.
    """
    groups = [names for user, names in programs if user != "root"]
    if not groups or all(PINS_GROUP in names for names in groups):
        return PINS_GROUP
    users = {user for user, _ in programs}
    for name in groups[0]:
        if all(name in names for names in groups) and accounts.is_private(name, users):
            return name
    return PINS_GROUP
