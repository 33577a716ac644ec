"""The host that is looked at: its files, its programs' answers, and how much time there is."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from contextlib import suppress
from typing import NamedTuple

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.paths import SYSTEM_PATH
from zabbix_sockets.readers.files import read_regular

MAX_BYTES = 1_000_000
"""The most bytes that are read of any file."""
_MAX_OUTPUT = 1_000_000
"""The bytes that are kept of what a program says: a document has half of them at most."""
_PIECE = 1 << 16
_NO_PROGRAM = 127
_LAST_SECONDS = 0.05


class Output(NamedTuple):
    """What a program has said.

    Attributes:
        status: its exit status; 127: there is no such program.
        text: its standard output, and behind it its standard error, as far as it came.
        in_time: it ended by itself.
    """

    status: int
    text: str
    in_time: bool = True


class System(NamedTuple):
    """The host.

    Attributes:
        root: the folder that stands for "/"; empty: "/" itself. Other ones are for tests.
        proc: where procfs is mounted.
        deadline: when the last answer has to be there.
        pins: the folder of the pinned iterators.
        euid: the effective user of the caller.
        path: the folders of programs, as in $PATH.
        package: the folder of this package, seen from the caller.
    """

    root: str
    proc: str
    deadline: Deadline
    pins: str
    euid: int
    path: str = ":".join(SYSTEM_PATH)
    package: str = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

    def at(self, path: str) -> str:
        """Return where the absolute *path* is, seen from the caller."""
        return self.root + path

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder at the absolute *path* that the caller can see."""
        return os.path.exists(self.at(path))

    def read(self, path: str, most: int = MAX_BYTES) -> str | None:
        """Return the text of the file at the absolute *path*, of at most *most* bytes.

        Bytes that are no UTF-8 become lone surrogates. None if it isn't there, isn't a file, is
        longer, or may not be read.
        """
        try:
            return read_regular(self.at(path), most).decode("utf-8", "surrogateescape")
        except OSError:
            return None

    def find(self, program: str) -> str | None:
        """Return the path of a program, seen from the caller; None if this host has none."""
        for folder in self.path.split(":"):
            path = f"{self.at(folder)}/{program}"
            if os.path.isfile(path) and os.access(path, os.X_OK):
                return path
        return None

    def run(self, *command: str, seconds: float = 1.0) -> Output:
        """Return the output of *command* within *seconds*; then it and its children are killed.

        Its environment has only a path and the locale C, and its input is empty.
        """
        program = command[0] if "/" in command[0] else self.find(command[0])
        if program is None:
            return Output(_NO_PROGRAM, f"there is no {command[0]}")
        try:
            process = subprocess.Popen(  # noqa: S603  # of this package's own, or the agent's
                [program, *command[1:]],
                cwd="/",
                env={"PATH": self.path, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            return Output(_NO_PROGRAM, f"{program}: {error.strerror}")
        told, in_time = _told(process, Deadline(min(seconds, self.deadline.remaining())))
        if not in_time:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            try:
                process.wait(_LAST_SECONDS)
            except subprocess.TimeoutExpired:  # in an uninterruptible read: it is init's in the end
                process.returncode = -signal.SIGKILL
        text = b"\n".join(part.strip() for part in told if part.strip())
        return Output(process.poll() or 0, text.decode("utf-8", "backslashreplace"), in_time)


def _told(process: subprocess.Popen[bytes], deadline: Deadline) -> tuple[list[bytes], bool]:
    """Return the output and the errors of *process*, and whether it ended before the *deadline*.

    Of each the first _MAX_OUTPUT bytes are kept: a program may say gigabytes.
    """
    pipes = [pipe for pipe in (process.stdout, process.stderr) if pipe]
    told = {pipe.fileno(): bytearray() for pipe in pipes}
    waiting = set(told)
    while waiting and not deadline.passed():
        ready, _, _ = select.select(list(waiting), [], [], max(0.0, deadline.remaining()))
        for fd in ready:
            piece = os.read(fd, _PIECE)
            told[fd] += piece[: _MAX_OUTPUT - len(told[fd])]
            if not piece:
                waiting.discard(fd)
    for pipe in pipes:
        pipe.close()
    try:
        process.wait(max(0.0, deadline.remaining()))
    except subprocess.TimeoutExpired:
        waiting.add(process.pid)
    return list(map(bytes, told.values())), not waiting
