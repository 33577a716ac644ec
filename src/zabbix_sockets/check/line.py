"""A line of `check`: a thing, its state, why, and the command that mends it. Pure."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from zabbix_sockets.model.errors import printable

OK, DEGRADED, BROKEN, UNKNOWN = "ok", "degraded", "broken", "unknown"
"""The states: it works; it works, but this host could do better; it doesn't work; it is not known,
as the caller may not look, or nothing can be asked."""
STATES = (OK, UNKNOWN, DEGRADED, BROKEN)
"""All of them, the worst last."""

_MAX_MESSAGE = 400
_CUT = "..."


class Line(NamedTuple):
    """What is known of a thing.

    Attributes:
        name: the thing, in lower case: "pins", "agent2 timeout". docs/troubleshooting.md has a
            heading for each.
        state: one of STATES.
        message: why it is in that state; one line, safe for a terminal.
        next: the command for a person to type next; empty: none is needed, or none is known.
    """

    name: str
    state: str
    message: str
    next: str


def ok(name: str, message: str) -> Line:
    """Return the line of a thing that works."""
    return Line(name, OK, visible(message), "")


def degraded(name: str, message: str, command: str = "") -> Line:
    """Return the line of a thing that works, though *command* would make it work better."""
    return Line(name, DEGRADED, visible(message), _typed(command))


def broken(name: str, message: str, command: str = "") -> Line:
    """Return the line of a thing that doesn't work until *command* is run."""
    return Line(name, BROKEN, visible(message), _typed(command))


def unknown(name: str, message: str, command: str = "") -> Line:
    """Return the line of a thing of which nothing is known; *command* may tell more."""
    return Line(name, UNKNOWN, visible(message), _typed(command))


def visible(text: str, most: int = _MAX_MESSAGE) -> str:
    """Return *text* in one line of at most *most* characters, safe for a terminal and a log.

    White space of any kind becomes a space, and what else is not printable "?".
    """
    shown = printable(" ".join(text[: 4 * most].split()))
    return shown if len(shown) <= most else shown[: most - len(_CUT)] + _CUT


def typed(*words: str) -> str:
    """Return the command of these words, quoted for a shell (POSIX)."""
    return shlex.join(words)


def then(*commands: str) -> str:
    """Return the command that runs *commands* one after the other, each if the one before worked.

    Empty ones are left out.
    """
    return " && ".join(filter(None, commands))


def _typed(command: str) -> str:
    """Return *command* for a person to type; empty if it holds what a terminal would not show."""
    return command if command.isprintable() else ""


def worst(lines: list[Line]) -> str:
    """Return the worst state of *lines*; that is ok if there are none."""
    return max((each.state for each in lines), key=STATES.index, default=OK)
