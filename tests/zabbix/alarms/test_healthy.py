"""No alarm on a host that is well, be it idle or busy, and no trigger that can't be evaluated."""

import gzip
import json
from collections.abc import Callable, Collection, Iterable
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
from rounds import HEALTHY_MINUTES, IS_SHORT

from ..documents import Row, document, listener, process, upstream  # noqa: TID252
from ..programs import wait_for  # noqa: TID252
from .conftest import Lab
from .hosts import busy, idle
from .replay import MINUTE, settle

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("6.0*")]

RECORDED = {
    path.name.partition(".")[0]: path
    for path in sorted((Path(__file__).parents[1] / "recorded").glob("*.jsonl.gz"))
    if not IS_SHORT or path.name.startswith("quiet")
}
"""Documents of a real machine: see the README beside them. The loaded one has 2,100 items."""

UPSTREAMS = {
    "{$SOCKETS.LLD.FILTER.UPSTREAM.MATCHES}": ".*",
    "{$SOCKETS.NODATA.CONTROL}": "0",  # of now, which a replay is not
}

ALL = UPSTREAMS | {
    "{$SOCKETS.LLD.LISTENER.EPHEMERAL}": "1",
    "{$SOCKETS.LLD.MORE.LISTENER.MATCHES}": ".*",
    "{$SOCKETS.LLD.MORE.PROCESS.MATCHES}": ".*",
    "{$SOCKETS.LLD.MORE.UPSTREAM.MATCHES}": ".*",
}
"""Macros that have everything discovered, but for the comparison with a usual level."""


def recorded(path: Path) -> list[tuple[float, Row]]:
    """Return recorded documents, and the minutes since the first of them.

    Fields of host, collector and `other` that are newer have the values of a host where nothing
    happens.
    """
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    later = document(0, {})
    for row in rows:
        row |= {part: later[part] | row[part] for part in ("host", "collector")}
        row["other"] = {name: later["other"][name] | sums for name, sums in row["other"].items()}
    return [((row["time"] - rows[0]["time"]) / MINUTE, row) for row in rows]


MADE: dict[str, Callable[[], Iterable[tuple[float, Row]]]] = {
    "idle": lambda: idle(range(HEALTHY_MINUTES)),
    "busy": lambda: islice(busy(1), 2 * HEALTHY_MINUTES),
    **({} if IS_SHORT else {"other": lambda: islice(busy(2), HEALTHY_MINUTES // 2)}),
    **{name: partial(recorded, path) for name, path in RECORDED.items()},
}


def test_enough_documents() -> None:
    """There are many, and a few dozen of them have been recorded."""
    assert sum(len(list(made())) for made in MADE.values()) >= 3 * HEALTHY_MINUTES
    assert sum(len(recorded(path)) for path in RECORDED.values()) >= (15 if IS_SHORT else 30)


@pytest.fixture(scope="module")
def faults(lab: Lab) -> dict[str, list[str]]:
    """What was not well on each host, after its second document and in the end."""
    told = {name: list(made()) for name, made in MADE.items()}
    replays = {
        name: lab.replay(int(each[-1][0]) + 1, ALL if name == "idle" else UPSTREAMS)
        for name, each in told.items()
    }
    for name, replay in replays.items():
        replay.tell(told[name][:1])
    settle(lab.server)
    lab.server.reload()
    for at in (1, 2):  # one after the other: on a busy server the first ones could change places
        for name, replay in replays.items():
            replay.tell(told[name][at : at + 1])
        settle(lab.server)
    found = {name: replay.faults() for name, replay in replays.items()}
    for name, replay in replays.items():
        replay.tell(told[name][3:])
    settle(lab.server)
    return {name: found[name] + replay.faults() for name, replay in replays.items()}


@pytest.mark.parametrize("name", MADE)
def test_healthy_host_has_no_problems(name: str, faults: dict[str, list[str]]) -> None:
    """A host that is well is silent from its second document on, and so are its triggers."""
    assert not faults[name]


def test_long_names(lab: Lab) -> None:
    """All is discovered and evaluated of names as long as they get; labels are cut, ids not.

    A unix socket's has whatever a user likes, but for what is made safe.
    """
    name, other = "n" * 64, "o" * 64
    place = "tcp/[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff%fifteen-bytes-1]:31999"
    path = "unix/@/run/%0A%7E[a](b)c>&;|*?#^!,= \u00e9 x.y:z".ljust(65, "w")  # what names may keep
    lists = {
        "processes": [process(name, established=1)],
        "listeners": [
            listener(place, f"{name},{other},{name},..."),
            listener(path, f"{name},{other},{name},..."),
        ],
        "upstreams": [upstream(name, "tcp/198.51.100.100:15432", established=1)],
    }
    replay = lab.replay(3, ALL)
    rows = (name, place, path, f"{name}>tcp/198.51.100.100:15432")

    def all_among(keys: Collection[str]) -> bool:
        return all(any(key.endswith(f'["{row}"]') for key in keys) for row in rows)

    def is_discovered() -> bool:
        return all_among([item["key_"] for item in replay.server.items(replay.host.hostid)])

    replay.play([(0, document(0, lists))])
    wait_for(is_discovered)
    replay.server.reload()
    replay.play((minute, document(60 * minute, lists)) for minute in (1, 2))
    assert not replay.faults()
    assert all_among(replay.history().keys())
    # What is longer is cut off without a word.
    (longest,) = replay.server.sql(
        "SELECT max(length(parameter)) AS length FROM functions JOIN items USING (itemid)"
        f" WHERE hostid = {replay.host.hostid}"
    )
    assert 150 < int(longest["length"]) < 255
