"""The terminal while a table renews itself, in a real pty: it is as before, whatever ends it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import dedent

import pytest
from terminals import Terminal

_PROGRAM = dedent(
    """
    import itertools, sys
    from zabbix_sockets.terminal.monitor import run, RenderedTable

    class Changes:
        names = "thing", "things"
        def __init__(self, before, now):
            self.seen = now.seen
        def counts(self):
            return len(self.seen), 0, 0
        def table(self, style, most):
            shown = self.seen[:most]
            lines = ["x" * ((style.width or 20)), *shown]
            return RenderedTable("\\n".join(lines) + "\\n", (), len(self.seen) - len(shown))

    taken = itertools.count()
    def take():
        number = next(taken)
        if number == {fails}:
            raise ValueError("broken")
        return [f"{{number}}-{{each}}" for each in range(30 if number % 2 else 3)], ["a note"]

    run(take, Changes, {interval}, {count}, as_json=False)
    """
)


@contextmanager
def watching(
    interval: float = 0.1,
    count: int | None = None,
    fails: int | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[Terminal]:
    """Have a monitor of some lines of text, which fails at that snapshot, in a terminal."""
    program = _PROGRAM.format(interval=interval, count=count, fails=fails)
    with Terminal([sys.executable, "-c", program], 12, 40, environment) as terminal:
        yield terminal


def test_frames_take_each_others_place() -> None:
    """The screen has one frame, that fits; of a longer one before nothing is left."""
    with watching() as terminal:
        terminal.wait_for(lambda: terminal.frames >= 6)
        title = "  30 things, 0 new (+), 0 gone…"
        # A frame may come in pieces: its last line tells that it is whole.
        terminal.wait_for(
            lambda: (
                terminal.shown()[0].endswith(title)
                and terminal.shown()[10:] == ["and 22 more", "note: a note"]
            )
        )
        assert terminal.is_alternate
        assert not terminal.has_cursor
        assert terminal.shown()[1] == "x" * 39
        terminal.wait_for(lambda: len(terminal.shown()) == 6)
        terminal.type("q")
        assert terminal.end() == 0
        # No frame is erased before the next one: whoever looks sees no empty screen.
        assert terminal.written.count("\x1b[2J") == 1


@pytest.mark.parametrize("keys", ["q", "Q", "xyq", "\x03"], ids=["q", "Q", "others", "Ctrl-C"])
def test_keys_end_it(keys: str) -> None:
    """The terminal is as before, with the last table, and keys don't come to the shell."""
    with watching(30) as terminal:
        terminal.wait_for(lambda: terminal.frames == 2)
        last = terminal.shown()
        terminal.type(keys)
        assert terminal.end() == 0
        assert terminal.is_as_before()
        assert terminal.shown()[: len(last)] == last


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_signals_end_it(number: int) -> None:
    """The process ends by the signal, and the terminal is as before."""
    with watching(30) as terminal:
        terminal.wait_for(lambda: terminal.frames == 2)
        os.kill(terminal.pid, number)
        assert terminal.end() == -number
        assert terminal.is_as_before()


def test_an_error_ends_it() -> None:
    """The terminal is as before, and what went wrong is seen there."""
    with watching(fails=2) as terminal:
        assert terminal.end() == 1
        assert terminal.is_as_before()
        assert "ValueError: broken" in terminal.shown()
        assert not any("things" in line for line in terminal.shown())


def test_a_count_ends_it() -> None:
    """The last table stays."""
    with watching(count=3) as terminal:
        assert terminal.end() == 0
        assert terminal.is_as_before()
        assert terminal.shown()[2:5] == ["2-0", "2-1", "2-2"]


def test_first_failure_has_no_screen() -> None:
    """Without a first snapshot nothing of the terminal is changed."""
    with watching(fails=0) as terminal:
        assert terminal.end() == 1
        assert terminal.frames == 0


def test_another_size() -> None:
    """The frame is made anew at once, though the next snapshot is far."""
    with watching(30) as terminal:
        terminal.wait_for(lambda: terminal.frames == 2)
        terminal.resize(5, 20)
        terminal.wait_for(lambda: terminal.frames == 3)
        terminal.wait_for(lambda: len(terminal.shown()) == 5)
        assert terminal.shown()[1] == "x" * 19
        assert terminal.shown()[-2:] == ["and 2 more", "note: a note"]
        terminal.type("q")
        assert terminal.end() == 0


def test_stopped_and_continued() -> None:
    """Ctrl-Z gives the terminal back, and fg draws the frame anew."""
    with watching(30) as terminal:
        terminal.wait_for(lambda: terminal.frames == 2)
        os.kill(terminal.pid, signal.SIGTSTP)  # no shell: the session's leader goes on at once
        terminal.wait_for(lambda: terminal.frames == 4)
        assert terminal.written.count("\x1b[?1049l") == 1
        assert terminal.is_alternate
        terminal.type("q")
        assert terminal.end() == 0
        assert terminal.is_as_before()


def test_a_dumb_terminal() -> None:
    """Tables come one below the other where there is no cursor to move."""
    with watching(count=2, environment={"TERM": "dumb"}) as terminal:
        assert terminal.end() == 0
        assert "\x1b" not in terminal.written
        assert terminal.written.count("things, ") == 2
