"""What the server calculates of totals: shares and means between two documents, no spikes."""

from __future__ import annotations

import time

import pytest

from ..documents import document, process, upstream  # noqa: TID252  # a test folder is no installed package
from ..programs import wait_for  # noqa: TID252
from .conftest import Lab
from .replay import Replay

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*")]

ENDS = {"busy": "192.0.2.1:5432", "idle": "192.0.2.2:5432"}
MACROS = {
    "{$SOCKETS.LLD.FILTER.UPSTREAM.MATCHES}": ".*",
    "{$SOCKETS.LLD.MORE.UPSTREAM.MATCHES}": ".*",
    "{$SOCKETS.LLD.MORE.PROCESS.MATCHES}": ".*",
}
WITHIN = 8
"""Seconds in which the server does what is to be done now."""
KEYS = "failed_pct", "handshake_mean", "lifetime_mean"
OF_PROCESS = 'sockets.process.totals.failed_pct["busy"]'


def key(name: str, owner: str = "busy") -> str:
    """Return the key of an item of that upstream."""
    return f'sockets.upstream.totals.{name}["{owner}>tcp/{ENDS[owner]}"]'


class Now:
    """A host whose documents are of now, as calculations ask what there is now."""

    def __init__(self, lab: Lab) -> None:
        self.replay: Replay = lab.replay(0, MACROS)
        self._begun = time.time() - 60

    def say(self, seconds: int, **totals: int) -> None:
        """Send a document that is of so many seconds after a minute ago."""
        rows = [
            upstream("busy", f"tcp/{ENDS['busy']}", totals=totals),
            upstream("idle", f"tcp/{ENDS['idle']}"),
        ]
        moment = self._begun + seconds
        made = document(moment, {"processes": [process("busy", totals=totals)], "upstreams": rows})
        self.replay.play([(self.replay.minute(moment), made)])

    def calculate(self) -> dict[str, list[float]]:
        """Have all calculated now, and return the values that there are by then, by key."""
        items = self.replay.server.items(self.replay.host.hostid, filter={"type": "15"})
        assert len(items) >= len(KEYS) * len(ENDS)
        self.replay.server.run_now([item["itemid"] for item in items])
        time.sleep(WITHIN)
        keys = {item["key_"] for item in items}
        found = {each: of for each, of in self.replay.history().items() if each in keys}
        return {each: [float(value) for _, value in of] for each, of in found.items()}


def test_shares_and_means(lab: Lab) -> None:
    """Of what happened between two documents; a counter that begins again makes no spike."""
    now = Now(lab)
    now.say(0, opened=1, failed=1, closed=1, handshake_us=1000, lifetime_ms=1000)
    now.replay.server.reload()
    now.say(10, opened=1, failed=1, closed=1, handshake_us=1000, lifetime_ms=1000)
    now.say(20, opened=31, failed=11, closed=21, handshake_us=61_000, lifetime_ms=9000)
    wanted = {"failed_pct": 25.0, "handshake_mean": 0.002, "lifetime_mean": 0.4}
    all_keys = {OF_PROCESS, *map(key, KEYS)}
    wait_for(lambda: all_keys <= now.calculate().keys())
    values = now.calculate()
    assert values[OF_PROCESS] == [pytest.approx(25.0)]
    assert {each: values[key(each)] for each in KEYS} == {
        name: [pytest.approx(value)] for name, value in wanted.items()
    }
    assert not [each for each in values if each in {key(name, "idle") for name in KEYS}]
    # The handshakes come to more than before, those opened to less: that is no mean of 99 seconds.
    now.say(30, opened=2, failed=11, closed=2, handshake_us=99_000_000, lifetime_ms=99_000_000)
    values = now.calculate()
    assert all(each < 0.01 for each in values[key("handshake_mean")])
    assert all(each < 1 for each in values[key("lifetime_mean")])
    assert all(0 <= each <= 100 for each in values[key("failed_pct")])
    # In between two documents nothing happened: there is no mean of nothing.
    now.say(40, opened=2, failed=11, closed=2, handshake_us=99_000_000, lifetime_ms=99_000_000)
    before = values
    values = now.calculate()
    assert values[key("handshake_mean")] == before[key("handshake_mean")]
    assert not now.replay.faults()
