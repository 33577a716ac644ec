"""A line: safe for a terminal, bounded, and with a command that can be pasted."""

from __future__ import annotations

import shlex

from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.check.line import BROKEN, OK, broken, degraded, ok, then, typed, unknown, worst


@given(st.text())
def test_messages_are_visible(text: str) -> None:
    """Whatever a process or a file says, a message is one printable line of bounded length."""
    message = ok("pins", text).message
    assert message.isprintable()
    assert len(message) <= 400


@given(st.text())
def test_commands_are_quoted(path: str) -> None:
    """A file's name stays one word; what a terminal would not show is no command at all."""
    command = broken("pins", "", typed("rm", path)).next
    assert not command or shlex.split(command) == ["rm", path]
    assert bool(command) == path.isprintable()


def test_commands_follow_each_other() -> None:
    """Those that are empty are left out."""
    assert (
        then("chmod a+rx /x", "", "systemctl restart y") == "chmod a+rx /x && systemctl restart y"
    )


def test_worst() -> None:
    """Broken is worse than degraded, and that than unknown."""
    assert worst([]) == OK
    lines = [ok("a", ""), unknown("b", ""), degraded("c", "")]
    assert worst(lines) == "degraded"
    assert worst([broken("d", ""), *lines]) == BROKEN
