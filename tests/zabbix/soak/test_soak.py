"""Hours of all that runs for long: nothing grows, nothing is missed, no counter falls, no drift."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import rounds

from zabbix_sockets.model.totals import RECENT

from ..agents import CACHE, Agents, Kind, Way  # noqa: TID252  # a test folder is no installed package
from ..outages import receiving  # noqa: TID252
from ..servers import Servers  # noqa: TID252
from ..stage import Stage, UnavailableError  # noqa: TID252
from . import course
from .course import Soak
from .punctual import delays

pytestmark = [pytest.mark.zabbix, pytest.mark.kernel]

REPORT = CACHE.parent / "soak.json"
"""What `make soak` draws."""

MB = 1 << 20
KINDS = ("send", "agent", "show")
IS_ALONE = not rounds.IS_SHORT
"""Whether the machine does nothing else: see tests/all.sh. Beside other tests much takes longer
than a second, and what they open and close is in the totals, too: rows and maps grow by it."""

MISSED = 0 if IS_ALONE else 0.7
"""The share of intervals that may be missed."""

IS_LONG = rounds.SOAK_SECONDS > 3 * RECENT / 10**9
"""Whether it goes on until the host has become as it stays: see halves()."""

GROWTH = (1 if IS_LONG else 64) * MB
DRIFT = 0.010 if IS_LONG else 0.5


@pytest.fixture(scope="module")
def soak(stage: Stage, agents: Agents, servers: Servers) -> Soak:
    """What was noted."""
    version = "7.0"
    try:
        agent = agents.get(Kind("zabbix_agentd", version), Way.PINNED)
        with (
            tempfile.TemporaryDirectory(prefix="zabbix-soak-") as folder,
            receiving(servers, version) as receiver,
        ):
            found = course.run(stage, agent, receiver, Path(folder), rounds.SOAK_SECONDS)
    except UnavailableError as exc:
        pytest.skip(str(exc))
    found.save(REPORT)
    return found


def halves(soak: Soak, timed: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return the values of the first half and of the second half of the time that is compared.

    That begins when the host has become as it stays: as many of the processes that come and go have
    rows for their totals as ever, since the programs were last loaded RECENT ago. In a short soak
    it is the last two thirds of the time. *timed* are values with their seconds since it began.
    """
    loaded = max(moment for moment, event in soak.events if event.startswith("load"))
    start = loaded + RECENT / 10**9 if IS_LONG else soak.seconds / 3
    middle = (start + soak.seconds) / 2
    before = [value for moment, value in timed if start <= moment < middle]
    return before, [value for moment, value in timed if moment >= middle]


def risen(soak: Soak, timed: Sequence[tuple[float, float]]) -> float:
    """Return by how much the second half is above the first, each while nothing goes on."""
    before, after = halves(soak, timed)
    return statistics.quantiles(after)[0] - statistics.quantiles(before)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_flat(soak: Soak, kind: str) -> None:
    """No process takes more in the end than it did before."""
    timed = [(each.seconds, each.own_bytes) for each in soak.samples[kind]]
    assert risen(soak, timed) <= GROWTH


@pytest.mark.parametrize("kind", KINDS)
def test_descriptors_are_as_many(soak: Soak, kind: str) -> None:
    """Nor are there more of them, or more threads."""
    for field in ("descriptors", "threads"):
        timed = [(each.seconds, getattr(each, field)) for each in soak.samples[kind]]
        assert risen(soak, timed) < 3, field


def test_kernel_memory_is_flat(soak: Soak) -> None:
    """The maps take what they took after the programs were last loaded."""
    last = max(moment for moment, event in soak.events if event.startswith("load"))
    taken = [size for moment, size in soak.maps if moment > last]
    assert min(taken) > MB
    assert risen(soak, soak.maps) <= GROWTH


def test_every_question_is_answered(soak: Soak) -> None:
    """With figures, also while the programs are loaded anew."""
    asked = len(soak.answers) + len(soak.failures)
    assert asked == len(soak.took)
    assert len(soak.failures) <= MISSED * asked, soak.failures[:3]
    assert all("timed out" in each for each in soak.failures), soak.failures[:3]
    assert asked >= (1 - MISSED) * soak.seconds - 1


def test_sources(soak: Soak) -> None:
    """All but those of the moment of a restart come from the iterators, with totals."""
    others = [each for each in soak.answers if each["source"] != "bpf" or not each["totals"]]
    assert len(others) <= 2 + MISSED * len(soak.answers)


def test_no_counter_falls(soak: Soak) -> None:
    """Neither the kernel's own nor those of rows, but where they are counted anew."""
    seen: dict[str, dict[str, int]] = {}
    since = None
    for each in soak.answers:
        if not each["totals"]:
            continue
        if each["totals"]["since"] != since:
            since, seen = each["totals"]["since"], {}
        for row, counters in each["rows"].items():
            if row.endswith("@(unnamed)"):
                continue  # of whichever namespaces without a name have that end
            before = seen.get(row, {})
            fallen = [name for name, value in counters.items() if value < before.get(name, 0)]
            assert not fallen, (row, before, counters)
            seen[row] = counters
    for one, other in pairwise(soak.answers):
        assert all(other["host"][name] >= value for name, value in one["host"].items())


def test_churn_is_counted(soak: Soak) -> None:
    """Since they were last loaded the totals say that as many connections came as were made."""
    counted = [each for each in soak.answers if each["totals"]]
    since = counted[-1]["totals"]["since"]
    last = [each for each in counted if each["totals"]["since"] == since]
    assert len(last) > 2  # the load unit was restarted some seconds before the end
    rates = [_accepted(other) - _accepted(one) for one, other in pairwise(last)]
    seconds = last[-1]["time"] - last[0]["time"]
    assert sum(rates) / seconds > 0.5 * rounds.SOAK_CONNECTIONS


def _accepted(answer: dict[str, Any]) -> int:
    return sum(
        counters["accepted"]
        for row, counters in answer["rows"].items()
        if row.startswith("processes churn")
    )


@pytest.mark.parametrize("of", ["made", "printed"])
def test_no_interval_is_missed(soak: Soak, of: str) -> None:
    """A document and a table comes each second, to the end.

    When a server goes away the service may wait for it as long as for a document: --send-timeout.
    """
    times: list[float] = getattr(soak, of)
    seconds = times[-1] - times[0]
    assert seconds >= soak.seconds - (5 if IS_ALONE else 0.2 * soak.seconds)
    outages = [event for _, event in soak.events if event == "server away" and of == "made"]
    assert len(times) + len(outages) >= (1 - MISSED) * int(seconds) + 1


@pytest.mark.short_form
@pytest.mark.parametrize("of", ["made", "printed"])
def test_drift(soak: Soak, of: str) -> None:
    """What is early in its second in the end is so by as much as it was before."""
    timed = list(delays(getattr(soak, of)))
    before, after = (statistics.quantiles(half, n=10)[0] for half in halves(soak, timed))
    assert abs(after - before) < DRIFT
