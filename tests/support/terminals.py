"""A terminal for a command: a pty, and what its screens show of what the command writes.

It knows what zabbix_sockets.terminal.screen writes: the cursor's home, erasing, the two screens,
the cursor shown or not, and colours. Anything else fails.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Sequence
from typing import Any

_SEQUENCE = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])")
_PATIENCE = 60.0


class Terminal:
    """A command in a terminal of its own, with so many lines and columns.

    Attributes:
        pid: the process.
        written: all that it has written.
        frames: how often the alternate screen was erased below what was written: the frames that
            came whole, and the empty one before them.
        is_alternate, has_cursor: which screen is seen, and whether the cursor is.
    """

    def __init__(
        self,
        command: Sequence[str],
        lines: int = 24,
        columns: int = 80,
        environment: dict[str, str] | None = None,
    ) -> None:
        given = os.environ | {"TERM": "xterm", "LC_ALL": "C.UTF-8"} | (environment or {})
        for name in ("LINES", "COLUMNS"):
            given.pop(name, None)
        self.lines, self.columns = lines, columns
        self._former = -1, 0, 0  # the last frame that may have the size before, and that
        self.written = ""
        self.frames = self._begun = 0
        self.is_alternate, self.has_cursor = False, True
        self._screens: dict[bool, list[str]] = {False: [""], True: [""]}
        self._at = {False: (0, 0), True: (0, 0)}
        self._pending = ""
        self.pid, self._fd = _started(command, given, (lines, columns))
        self._status: int | None = None
        self.settings = self._settings()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)

    def shown(self) -> list[str]:
        """Return the lines of the screen that is seen, without spaces at their ends."""
        return [line.rstrip() for line in self._screens[self.is_alternate]]

    def wait_for(self, holds: Callable[[], object]) -> None:
        """Read what is written until *holds* says so."""
        until = time.monotonic() + _PATIENCE
        while not holds():
            assert time.monotonic() < until, self.written
            self._read(0.1)

    def type(self, keys: str) -> None:
        """Type keys."""
        os.write(self._fd, keys.encode())

    def resize(self, lines: int, columns: int) -> None:
        """Give the terminal another size; the frame that is being written may have that before."""
        while self._read(0):
            pass
        self._former = self._begun + 1, self.lines, self.columns
        self.lines, self.columns = lines, columns
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def end(self) -> int:
        """Wait until the process has ended, and return its status: below 0 a signal's number."""

        def has_ended() -> bool:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            return bool(pid)

        self.wait_for(has_ended)
        while self._read(0.1):
            pass
        assert self._status is not None
        return self._status

    def is_as_before(self) -> bool:
        """Whether screen, cursor and settings are as they were before the command."""
        seen = not self.is_alternate and self.has_cursor
        return seen and self._settings() == self.settings

    def _settings(self) -> list[Any]:
        return termios.tcgetattr(self._fd)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:  # EIO: nobody has it open any more
            return False
        self.written += data.decode(errors="replace")
        self._pending += data.decode(errors="replace")
        self._take()
        return bool(data)

    def _take(self) -> None:
        """Show what has come, but for the beginning of a sequence."""
        while self._pending:
            if self._pending[0] == "\x1b":
                found = _SEQUENCE.match(self._pending)
                if not found:
                    assert len(self._pending) < 10, self._pending
                    return
                self._do(*found.groups())
                self._pending = self._pending[found.end() :]
            else:
                self._put(self._pending[0])
                self._pending = self._pending[1:]

    def _put(self, character: str) -> None:
        last, *former = self._former
        lines, columns = former if self._begun <= last else (self.lines, self.columns)
        row, column = self._at[self.is_alternate]
        screen = self._screens[self.is_alternate]
        if character == "\r":
            column = 0
        elif character == "\n":
            row += 1
            screen += [""] * (row + 1 - len(screen))
        else:
            assert column < columns or not self.is_alternate, "a line is wider than the screen"
            line = screen[row].ljust(column)
            screen[row] = line[:column] + character + line[column + 1 :]
            column += 1
        assert row < lines or not self.is_alternate, "there are more lines than the screen has"
        self._at[self.is_alternate] = row, column

    def _do(self, parameters: str, letter: str) -> None:
        row, column = self._at[self.is_alternate]
        screen = self._screens[self.is_alternate]
        if (parameters, letter) == ("", "H"):
            self._at[self.is_alternate] = 0, 0
            self._begun += 1
        elif (parameters, letter) == ("", "K"):
            screen[row] = screen[row][:column]
        elif letter == "J":
            del screen[row + 1 :]
            screen[row] = screen[row][:column]
            self.frames += self.is_alternate
        elif parameters == "?1049":
            self.is_alternate = letter == "h"
        elif parameters == "?25":
            self.has_cursor = letter == "h"
        else:
            assert letter == "m", (parameters, letter)


def _started(
    command: Sequence[str], environment: dict[str, str], size: tuple[int, int]
) -> tuple[int, int]:
    """Return the pid of a command in a session with a terminal, and the terminal's other end."""
    pid, fd = pty.fork()
    if not pid:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        os.execve(command[0], list(command), environment)
    return pid, fd
