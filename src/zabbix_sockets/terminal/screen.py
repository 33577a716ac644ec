"""The terminal while a table renews itself: frames without flicker, keys, and its former state.

Whatever ends it but SIGKILL, the terminal is as it was before. Source: termios(3), and "XTerm
Control Sequences": private modes 25 (the cursor is seen) and 1049 (the alternate screen).
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import termios
import time
import tty
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from zabbix_sockets.terminal.layout import Style, style_of

_ENTER, _LEAVE = b"\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J", b"\x1b[?25h\x1b[?1049l"
_HOME, _ERASE_LINE, _ERASE_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_ENDING = signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT
_READ = 4096

Frame = Callable[[Style, int], str]
"""Returns the text for a terminal of that style and so many lines."""


class _Ended(BaseException):
    """A signal ends the process; *number* is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def can_renew(out: TextIO) -> bool:
    """Whether *out* is a terminal that has a cursor to move."""
    return out.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")


class Screen:
    """The alternate screen of a terminal, as a context manager.

    Keys are read from *keys*, unless that is closed or no terminal, or this process is in the
    background.
    Ctrl-C raises KeyboardInterrupt, as ever. SIGTERM, SIGHUP and SIGQUIT end the process, as ever,
    when the terminal is as it was; so does Ctrl-Z stop it, until it is continued. What was drawn
    last stays on the usual screen, unless an error or such a signal was the end.
    """

    def __init__(self, out: TextIO, keys: TextIO | None) -> None:
        self._out = out
        self._keys = keys.fileno() if keys and keys.isatty() else -1
        self._settings: list[Any] | None = None
        self._frame: Frame = lambda _style, _height: ""
        self._former: dict[int, Any] = {}
        self._is_leaving = False
        self._is_resized = False

    def __enter__(self) -> Screen:
        self._woken, wake_up = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wake_up = wake_up
        self._former_fd = signal.set_wakeup_fd(wake_up, warn_on_full_buffer=False)
        handlers = {
            signal.SIGINT: self._end,
            signal.SIGWINCH: self._resize,
            signal.SIGTSTP: self._stop,
            **dict.fromkeys(_ENDING, self._end),
        }
        try:
            for number, handler in handlers.items():
                if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
                    self._former[number] = signal.signal(number, handler)
            self._begin()
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        self._give_back()
        if isinstance(error, _Ended):
            signal.signal(error.number, signal.SIG_DFL)
            os.kill(os.getpid(), error.number)
        if kind is None or kind is KeyboardInterrupt:
            self._out.write(self._text())
            self._out.flush()

    def draw(self, frame: Frame) -> None:
        """Show what *frame* returns, now and again when the terminal gets another size."""
        self._frame = frame
        text = "\n".join(self._text().splitlines()[: shutil.get_terminal_size().lines])
        erased = text.replace("\n", f"{_ERASE_LINE}\n")
        self._write(f"{_HOME}{erased}{_ERASE_LINE}{_ERASE_BELOW}".encode(errors="replace"))

    def wait(self, seconds: float) -> bool:
        """Wait so long, and renew the frame when the size changes; return False if q came."""
        until = time.monotonic() + seconds
        while (remaining := until - time.monotonic()) > 0:
            fds = [self._woken, *([] if self._settings is None else [self._keys])]
            ready, _, _ = select.select(fds, [], [], remaining)
            if self._woken in ready:
                with suppress(BlockingIOError):
                    os.read(self._woken, _READ)
            elif ready and not self._goes_on():
                return False
            if self._is_resized:
                self._is_resized = False
                self.draw(self._frame)
        return True

    def _goes_on(self) -> bool:
        """Read what keys were pressed; return False if q was, or the terminal is gone."""
        try:
            pressed = os.read(self._keys, _READ)
        except OSError:
            return False
        return bool(pressed) and not set(pressed) & set(b"qQ")

    def _text(self) -> str:
        """Return the frame's text: a cell narrower than the terminal.

        In a line as wide as that, terminals erase the last character with what is behind it.
        """
        style = style_of(self._out)
        width = None if style.width is None else max(1, style.width - 1)
        return self._frame(style._replace(width=width), shutil.get_terminal_size().lines)

    def _write(self, data: bytes) -> None:
        """Write *data* at once, so that nobody sees a part of it."""
        self._out.flush()
        while data:
            data = data[os.write(self._out.fileno(), data) :]

    def _begin(self) -> None:
        if self._keys >= 0 and os.tcgetpgrp(self._keys) == os.getpgrp():
            self._settings = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys, termios.TCSADRAIN)
        self._write(_ENTER)

    def _leave(self) -> None:
        with suppress(OSError):  # the terminal may be gone
            self._write(_LEAVE)
        if self._settings is not None:
            with suppress(OSError, termios.error):
                termios.tcsetattr(self._keys, termios.TCSAFLUSH, self._settings)

    def _give_back(self) -> None:
        """Leave the terminal as it was, undisturbed by any signal, and then the signals."""
        self._is_leaving = True
        self._leave()
        for number, handler in self._former.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._former_fd)
        os.close(self._woken)
        os.close(self._wake_up)

    def _end(self, number: int, _: object) -> None:
        if not self._is_leaving:
            raise KeyboardInterrupt if number == signal.SIGINT else _Ended(number)

    def _resize(self, _number: int, _: object) -> None:
        self._is_resized = True

    def _stop(self, number: int, _: object) -> None:
        """Stop as Ctrl-Z lets others stop, and begin anew when the process is continued."""
        if self._is_leaving:
            return
        self._leave()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # the next line is executed when it goes on
        signal.signal(number, self._stop)
        self._begin()
        self._is_resized = True
