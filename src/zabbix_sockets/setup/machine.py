"""The host that is set up: where its files are, and how commands are run on it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from typing import NamedTuple

from zabbix_sockets.model.errors import printable

_SECONDS = 120.0  # a unit has 90 by default to start or stop
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_NOT_FOUND = 127  # as a shell says it


class CommandResult(NamedTuple):
    """What a command gave: its exit status, what it printed, and its last words on stderr."""

    status: int
    text: str = ""
    complaint: str = ""


Run = Callable[[Sequence[str]], CommandResult]


def run(words: Sequence[str]) -> CommandResult:
    """Run a command with a plain environment, and return what it gave."""
    try:
        done = subprocess.run(  # noqa: S603  # fixed commands; names in them come from root's files
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_ENVIRONMENT,
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        return CommandResult(_NOT_FOUND, "", f"there is no {words[0]} here")
    except subprocess.TimeoutExpired:
        return CommandResult(_NOT_FOUND, "", f"no end after {_SECONDS:g} s")
    said = done.stderr.decode("utf-8", "replace").strip().split("\n")
    return CommandResult(
        done.returncode, done.stdout.decode("utf-8", "replace"), printable(said[-1])
    )


class Machine(NamedTuple):
    """The host that is set up.

    Attributes:
        root: the folder that its files are below; empty: this host.
        run: runs a command there.
        patience: the seconds that a restarted agent may take until it listens.
    """

    root: str = ""
    run: Run = run
    patience: float = 15.0

    def path(self, path: str) -> str:
        """Return where the host's file *path* is."""
        return self.root + path

    def has(self, *paths: str) -> bool:
        """Whether any of these files is there."""
        return any(os.path.exists(self.root + each) for each in paths)

    @property
    def has_systemd(self) -> bool:
        """Whether systemd runs it (sd_booted(3))."""
        return self.has("/run/systemd/system")
