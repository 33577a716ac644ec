"""A listener that is new raises an event; those that the server only begins to know raise none."""

from __future__ import annotations

from typing import Any

import pytest

from ..documents import Row, document, listener  # noqa: TID252  # no installed package
from .conftest import Lab
from .replay import Replay

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*")]

OLD = ("tcp/0.0.0.0:22", "udp/0.0.0.0:53")
"""There from the beginning."""
FIRST = "tcp/0.0.0.0:8001"
"""Begins in the first hour of the host."""
NEW = "tcp/0.0.0.0:8002"
BRIEF = "tcp/127.0.0.1:8003"
"""Comes for some minutes, is gone, and comes again."""
SILENCED = "udp/0.0.0.0:8004"
UNSEEN = "tcp/0.0.0.0:8005"
"""Begins while the list is not complete, which is so for five minutes."""
MEANWHILE = "tcp/0.0.0.0:8006"
"""Begins while no documents come, for forty minutes."""
BOOTED = "udp/0.0.0.0:871"
"""Has another port after each boot, as rpc.statd has."""
LATER = "tcp/0.0.0.0:8007"
"""Begins an hour and more after a boot."""
UNIX = "unix//run/new.sock"

BEGINS = {
    FIRST: 20,
    NEW: 100,
    BRIEF: 130,
    SILENCED: 131,
    UNSEEN: 172,
    MEANWHILE: 290,
    BOOTED: 400,
    LATER: 480,
    UNIX: 481,
}
PLACES: dict[str, dict[str, Any]] = {
    NEW: {"container": "web", "unit": "docker.service"},
    LATER: {"unit": "init.scope", "socket_unit": "server.socket"},
    UNIX: {"unit": "server.service"},
}
PARTIAL = range(170, 175)
SILENCE = range(270, 310)
REBOOT = range(397, 400)
MINUTES = range(620)

MACROS = {
    "{$SOCKETS.NODATA.CONTROL}": "0",  # of now, which a replay is not
    f'{{$SOCKETS.NEW.CONTROL:"{SILENCED}"}}': "0",
}


def made(minute: int) -> Row:
    """Return the document of that minute."""
    ids = [*OLD, *(row_id for row_id, begins in BEGINS.items() if minute >= begins)]
    if minute in range(140, 150):
        ids.remove(BRIEF)
    partial = ("listeners",) if minute in PARTIAL else ()
    uptime = 60 * (minute - REBOOT.start if minute >= REBOOT.stop else 10_000 + minute)
    rows = [listener(row_id, "server", **PLACES.get(row_id, {})) for row_id in ids]
    return document(60 * minute, {"listeners": rows}, host={"uptime": uptime}, partial=partial)


@pytest.fixture(scope="module")
def replay(lab: Lab) -> Replay:
    """A host with a past of ten hours; a server knows each row as soon as its items are made."""
    replay = lab.replay(len(MINUTES), MACROS)
    told = [minute for minute in MINUTES if minute not in (*SILENCE, *REBOOT)]
    changes = {0, SILENCE.stop, REBOOT.stop, *BEGINS.values()}
    part: list[int] = []
    for minute in told:
        part.append(minute)
        if minute in changes or minute == told[-1]:
            replay.play((each, made(each)) for each in part)
            replay.server.reload()
            part = []
    return replay


def test_only_new_ones(replay: Replay) -> None:
    """Each once, within minutes; it ends after an hour by itself."""
    problems = replay.problems()
    assert {each.name.partition(": ")[0] for each in problems} == {
        f"Listener {row_id} server" for row_id in (NEW, BRIEF, LATER, UNIX)
    }
    for each in problems:
        row_id = each.name.split()[1].rstrip(":")
        assert BEGINS[row_id] <= each.opened <= BEGINS[row_id] + 5
        assert each.severity == 1
        assert each.closed is not None
        assert 60 <= each.closed - each.opened <= 66


def test_name(replay: Replay) -> None:
    """It has the address, the process, the unit and the container."""
    names = {each.name for each in replay.problems()}
    said = "Something listens where nothing did"
    where = "of unit docker.service in container web"
    assert f"Listener {NEW} server: {said} {where} (1 sockets)" in names
    assert f"Listener {UNIX} server: {said} of unit server.service (1 sockets)" in names
    assert f"Listener {BRIEF} server: {said} (1 sockets)" in names
    assert f"Listener {LATER} server: {said} of unit server.socket (1 sockets)" in names


def test_all_are_known(replay: Replay) -> None:
    """Those without an event were discovered as well, and no trigger lacks a value."""
    discovered = {each["description"] for each in replay.triggers()}
    assert {f"Listener {row_id} server: New listener" for row_id in (*OLD, *BEGINS)} <= discovered
    assert not [each for each in replay.triggers() if each["error"] or each["state"] != "0"]
