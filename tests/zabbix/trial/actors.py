"""Processes under names of their own that do with sockets what they are told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = Path(__file__).with_name("actor.py")

MORTAL = ("setpriv", "--pdeathsig", "KILL")
"""What ends with the thread that started it, also when pytest is killed."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A running actor.py."""

    name: str
    process: subprocess.Popen[str]

    def do(self, *commands: str) -> None:
        """Return when it has done all of these."""
        assert self.process.stdin
        assert self.process.stdout
        for command in commands:
            self.process.stdin.write(f"{command}\n")
            self.process.stdin.flush()
            said = self.process.stdout.readline()
            assert said == "ok\n", f"{self.name}: {command}: status {self.process.poll()}"


@contextmanager
def acting(folder: Path, name: str, within: Sequence[str] = ()) -> Iterator[Actor]:
    """Run an actor under *name*, which the kernel takes from the file; *within* enters a namespace.

    Its name has 15 bytes at most.
    """
    link = folder / name
    if not link.is_symlink():
        link.symlink_to(sys.executable)
    command = [*within, *MORTAL, str(link), "-I", str(_SCRIPT)]
    with subprocess.Popen(
        command, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Actor(name, process)
        finally:
            process.kill()
