"""What a document can't say is stored by nobody, least of all as 0; what it says is."""

from collections.abc import Iterable

import pytest

from zabbix_sockets.model.snapshot import LISTS

from ..documents import Row, document, listener, process, quality, upstream  # noqa: TID252
from .conftest import Lab
from .replay import Replay

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("6.0*")]

BEFORE = range(-300, 0, 5)

TRUNCATED, DENIED, SKIPPED, TIMED_OUT, FAILED = (
    range(first, first + 20) for first in range(10, 160, 30)
)
"""Longer than a listener may be absent, with ten minutes between them."""

VANISHED = 170
"""From then on all is seen, and the rows that had been left out are really gone."""

MINUTES = range(176)

FAILURE = "no source can be read"

MACROS = {
    "{$SOCKETS.LLD.FILTER.UPSTREAM.MATCHES}": ".*",
    "{$SOCKETS.NODATA.CONTROL}": "0",  # of now, which a replay is not
    "{$SOCKETS.TRUNCATED.CONTROL}": "0",
}

LOST = {
    "process": [f"p{number}" for number in (3, 4, 5)],
    "listener": [f"tcp/0.0.0.0:{port}" for port in (8003, 8004, 8005)],
    "upstream": [f"p3>tcp/192.0.2.{number}:5432" for number in (3, 4, 5)],
}
"""The rows of each kind that documents lose."""


def rows(numbers: Iterable[int], minute: int) -> dict[str, list[Row]]:
    """Return rows of that minute in which no default metric is 0."""
    numbers = list(numbers)
    dropped = 3 * (minute - BEFORE[0])
    figures = {"established": 20, "close_wait": 3, "syn_sent": 1}
    figures |= quality(measured=9, retransmitting=1, rtt=0.01)
    return {
        "processes": [process(f"p{number}", fds=12, **figures) for number in numbers],
        "listeners": [
            listener(place, sockets=2, established=9, queue=4, drops=dropped)
            for place in (f"tcp/0.0.0.0:{8000 + number}" for number in numbers)
        ],
        "upstreams": [
            upstream("p3", f"tcp/192.0.2.{number}:5432", taken=2.5, **figures) for number in numbers
        ],
    }


def made(minute: int) -> Row:
    """Return the document of that minute, or what the command prints instead."""
    whole, half = rows(range(6), minute), rows(range(3), minute)
    if minute in TRUNCATED:
        return document(minute, half, truncated=dict.fromkeys(LISTS, 3))
    if minute in DENIED:
        lists = {**half, "listeners": whole["listeners"]}
        denied = {"denied_processes": 3, "warnings": ["3 processes may not be inspected"]}
        return document(minute, lists, collector=denied, partial=("processes", "upstreams"))
    if minute in SKIPPED:
        listeners = [without(row, "established") for row in half["listeners"]]
        skipped = {"namespaces_skipped": 1, "warnings": ["1 network namespaces were not read"]}
        return document(minute, {**half, "listeners": listeners}, collector=skipped, partial=LISTS)
    if minute in TIMED_OUT:
        late = document(minute, {"listeners": half["listeners"]}, partial=LISTS)
        return late | {"host": without(late["host"], "tcp", "ephemeral")}
    if minute in FAILED:
        return {"error": FAILURE}
    return document(minute, half if minute >= VANISHED else whole)


def without(row: Row, *fields: str) -> Row:
    """Return a row without some of its fields."""
    return {key: value for key, value in row.items() if key not in fields}


@pytest.fixture(scope="module")
def replay(lab: Lab) -> Replay:
    """A host of which most could be seen most of the time, until its collector fails."""
    replay = lab.replay(len(MINUTES), MACROS)
    replay.discover(BEFORE[0], made(BEFORE[0]))
    replay.play((minute, made(minute)) for minute in (*BEFORE, *range(FAILED.stop)))
    return replay


def test_failure_is_a_value(replay: Replay) -> None:
    """The collector's message is a value and an alarm's text, and no item has an error of it."""
    items = replay.server.items(replay.host.hostid)
    assert {(item["state"], item["error"]) for item in items} == {("0", "")}
    assert replay.server.last_values(replay.host.hostid)["sockets.collector.error"] == FAILURE
    (problem,) = replay.problems()
    assert problem.name == f"Sockets: zabbix-sockets fails: {FAILURE} (for 5m)"
    assert (problem.opened, problem.closed) == (FAILED.start + 5, None)


@pytest.fixture(scope="module")
def history(replay: Replay) -> dict[str, list[tuple[float, str]]]:
    """All that was ever stored of that host, whose collector has recovered."""
    replay.play((minute, made(minute)) for minute in range(FAILED.stop, MINUTES.stop))
    return replay.history()


def during(values: list[tuple[float, str]], minutes: range) -> list[str]:
    """Return what was stored in these minutes."""
    return [value for minute, value in values if minute in minutes]


def of_rows(history: dict[str, list[tuple[float, str]]], *kinds: str) -> list[str]:
    """Return the keys of the items of the rows that documents lose."""
    ends = tuple(f'["{row}"]' for kind in kinds for row in LOST[kind])
    keys = [key for key in history if key.endswith(ends)]
    assert len(keys) >= len(ends) * 3
    return keys


@pytest.mark.parametrize(
    ("minutes", "kinds"),
    [
        (TRUNCATED, ("process", "listener", "upstream")),
        (DENIED, ("process", "upstream")),
        (SKIPPED, ("process", "listener", "upstream")),
        (TIMED_OUT, ("process", "listener", "upstream")),
    ],
    ids=["truncated", "denied", "skipped", "timed-out"],
)
def test_rows_left_out_are_not_stored(
    minutes: range, kinds: tuple[str, ...], history: dict[str, list[tuple[float, str]]]
) -> None:
    """Nothing is stored of a row that is not in a list that is not complete."""
    assert not [key for key in of_rows(history, *kinds) if during(history[key], minutes)]


def test_rows_that_are_there_are_stored(history: dict[str, list[tuple[float, str]]]) -> None:
    """The rows of a list that is not complete are as good as any."""
    sockets = 'sockets.listener.sockets["tcp/0.0.0.0:8001"]'
    for minutes in (TRUNCATED, DENIED, SKIPPED, TIMED_OUT):
        assert set(during(history[sockets], minutes)) == {"2"}
    denied = 'sockets.listener.sockets["tcp/0.0.0.0:8004"]'
    assert set(during(history[denied], DENIED)) == {"2"}


def test_host_without_tables(history: dict[str, list[tuple[float, str]]]) -> None:
    """Tables that were not read to the end are no figures of the host, nor of a listener."""
    absent = [key for key in history if key.startswith("sockets.ephemeral.")]
    absent += [f"sockets.tcp.{state}" for state in ("established", "listen", "time_wait")]
    assert len(absent) == 7
    assert not [key for key in absent if during(history[key], TIMED_OUT)]
    connections = 'sockets.listener.established["tcp/0.0.0.0:8001"]'
    assert not during(history[connections], SKIPPED)


def test_no_document_stores_nothing(history: dict[str, list[tuple[float, str]]]) -> None:
    """While the collector fails nothing is stored but that, each time."""
    stored = {key: found for key, values in history.items() if (found := during(values, FAILED))}
    assert stored == {"sockets.collector.error": [FAILURE] * len(FAILED)}
    others = set(history["sockets.collector.error"]) - {(minute, FAILURE) for minute in FAILED}
    assert {value for _, value in others} == {""}


def test_nothing_fires_or_breaks(
    replay: Replay, history: dict[str, list[tuple[float, str]]]
) -> None:
    """No other problem ever, no item or trigger without a value; all is well again."""
    assert history
    (problem,) = replay.problems()
    assert problem.closed == FAILED.stop
    assert replay.faults() == [problem.name]


def test_absent_rows_are_zero(history: dict[str, list[tuple[float, str]]]) -> None:
    """A row that has vanished from a complete list is 0 in all but round trips and counters.

    It has no round trips, and counters that aren't there are not 0.
    """
    keys = [
        key
        for key in of_rows(history, "process", "listener", "upstream")
        if ".rtt." not in key and ".totals." not in key
    ]
    known = {key: [value for minute, value in history[key] if minute < VANISHED] for key in keys}
    assert not [key for key, values in known.items() if "0" in values]
    zeros = {key: set(during(history[key], range(VANISHED, MINUTES.stop))) for key in keys}
    assert not {key: values for key, values in zeros.items() if values != {"0"}}


def test_only_rows_are_discovered(history: dict[str, list[tuple[float, str]]]) -> None:
    """What stands for the rows that are absent is none itself."""
    assert not [key for key in history if "(absent)" in key]
