"""What `setup` asks of its own installation, which root is to run and the agent's user to call."""

from __future__ import annotations

import os
import re
import stat
import sys

from zabbix_sockets.host import own_files
from zabbix_sockets.host.processes import may_only_root_change, may_only_root_write
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.setup.scene import Own

_ENTER, _READ = 0o005, 0o004
_STICKY = 0o1000
_PLAIN = re.compile(r"/[A-Za-z0-9_./+@-]+( [A-Za-z0-9_.-]+)*")
"""A command that means the same to a shell, a unit and an agent."""
_ELSEWHERE = "install it as root in /opt, or the package"


def check_installation(own: Own) -> None:
    """Raise SocketsError unless root alone may change what runs, and everybody may read it.

    Units run it as root, and the agent's user calls it. A package's files are so; an environment
    may lie in a user's home, or have been made with another umask.
    """
    if own.is_packaged:
        return
    program = own.command.split()[0]
    if not (_PLAIN.fullmatch(own.command) and os.path.isfile(program)):
        raise SocketsError(
            f"units and agents' configurations can't call {own.command}: no blanks, no quotation"
            " marks in its path",
            _ELSEWHERE,
        )
    for path in (sys.executable, program, own.conf):
        _check_path(os.path.abspath(path))
        _check_path(os.path.realpath(path))
        if not may_only_root_change(os.path.abspath(path)):
            raise SocketsError(
                f"others than root may change a link on the way to {path}, and root is to run what"
                " is there",
                _ELSEWHERE,
            )
    if sys.prefix != sys.base_prefix:
        _check_files(os.path.realpath(sys.prefix))


def _check_files(folder: str) -> None:
    """Check all files of an environment: each module, and each list of folders of modules (*.pth).

    Raises:
        SocketsError: others than root may change one.
    """
    for above, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = os.path.join(above, name)
            found = os.lstat(path)
            is_link = stat.S_ISLNK(found.st_mode)  # whose mode says nothing
            is_roots = found.st_uid in {0, os.geteuid()}
            if not (is_roots and (is_link or may_only_root_write(found))):
                raise SocketsError(
                    f"others than root may change {path}, and root is to run what is there",
                    _ELSEWHERE,
                )


def _check_path(path: str) -> None:
    """Check *path* and each folder above it."""
    part = path
    while True:
        found = os.stat(part)
        is_sticky = os.path.isdir(part) and found.st_mode & _STICKY and found.st_uid == 0
        if not (is_sticky or may_only_root_write(found)):
            raise SocketsError(
                f"others than root may change {part}, and root is to run what is there",
                _ELSEWHERE,
            )
        wanted = _ENTER if os.path.isdir(part) else _READ
        if found.st_mode & wanted != wanted:
            command = own_files.opening(part)
            raise SocketsError(
                f"the agent's user may not read {part}",
                f"as root: {command}" if command else _ELSEWHERE,
            )
        if part == "/":
            return
        part = os.path.dirname(part)
