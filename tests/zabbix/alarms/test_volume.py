"""How many values a host stores a second once it is discovered: few."""

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from ..documents import Row, document, listener, process, quality  # noqa: TID252  # no installed package
from .conftest import Lab
from .hosts import idle

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0-ordinary")]

HOUR = range(60)
BUSY, MODERATE, QUIET = range(8), range(8, 20), range(20, 40)
TCP, UDP, UNIX = range(26), range(26, 40), range(10)


def _process(number: int, load: int, stuck: int, totals: dict[str, int], rng: random.Random) -> Row:
    retransmitting = int(number in BUSY and rng.random() < 0.25)
    return process(
        f"process-{number}",
        listen=1,
        established=load,
        close_wait=stuck,
        fds=load / 10,
        totals=totals,
        **quality(measured=load, retransmitting=retransmitting, rtt=0.01),
    )


def _count(totals: dict[str, int], number: int, rng: random.Random) -> None:
    """Add what was counted of a process within a minute: half of them connect, all accept."""
    for name, most in ("accepted", 300), ("closed", 300), ("bytes_sent", 10**7), ("opened", 90):
        if name != "opened" or number % 2:
            totals[name] += rng.randint(1, most)
    totals["bytes_received"] += rng.randint(1, 10**6)
    totals["failed"] += number % 2 and rng.random() < 0.1


def ordinary(minutes: range) -> Iterator[tuple[float, Row]]:
    """Yield the documents of an ordinary host: 40 processes, 40 listeners, and ten unix sockets.

    Of the listeners 14 are UDP. Eight processes are busy: their connections change each minute,
    with them their sockets and what they use of their descriptors, and in one minute of three their
    CLOSE_WAIT; in one of four one of their connections retransmits. Of twelve these change in three
    minutes of ten, and twenty are at rest. What the listeners of six busy and six other processes
    have established changes as often, and so it is with two of the unix sockets; in one minute of
    twenty somebody waits to be accepted. What the host has established and in TIME_WAIT, its
    memory, the sockets read and the ten greatest processes change each minute, and segments are
    retransmitted; the destination that takes most ports changes in one minute of five. Whatever
    changes has opened or accepted connections, too, and carried data.
    """
    rng = random.Random(40)
    load = {number: rng.randint(5, 400) for number in range(40)}
    stuck = dict.fromkeys(range(40), 0)
    totals: dict[int, dict[str, int]] = {number: Counter() for number in range(40)}
    for minute in minutes:
        for number in (*BUSY, *MODERATE):
            if number in BUSY or rng.random() < 0.3:
                load[number] = max(1, load[number] + rng.choice([-3, -2, -1, 1, 2, 3]))
                stuck[number] = rng.randint(0, 3) if rng.random() < 0.3 else stuck[number]
                _count(totals[number], number, rng)
        processes = [
            _process(number, load[number], stuck[number], totals[number], rng)
            for number in range(40)
        ]
        listeners = [
            listener(
                f"tcp/0.0.0.0:{8000 + number}",
                f"process-{number}",
                established=load[number] if number in range(2, 14) else 3,
                queue=int(number in BUSY and rng.random() < 0.05),
                totals={name: totals[number][name] for name in ("accepted", "closed")},
            )
            for number in TCP
        ]
        listeners += [listener(f"udp/0.0.0.0:{number}", f"process-{number}") for number in UDP]
        listeners += [
            listener(f"unix//run/{number}.sock", established=load[number] if number < 2 else 3)
            for number in UNIX
        ]
        host = {
            "tcp_memory_bytes": rng.randint(1000, 2000) * 4096,
            "retransmitted_segments": minute * 60 + rng.randint(0, 59),
            "ephemeral": {"worst_pct": minute // 5 / 10, "worst_used": minute // 5},
        }
        lists = {"processes": processes, "listeners": listeners}
        made = document(60 * minute, lists, host=host, collector={"seconds": rng.random() / 10})
        made["host"]["tcp"]["time_wait"] = rng.randint(0, 500)
        yield minute, made


@pytest.mark.parametrize(
    ("documents", "most"), [(ordinary, 5.0), (idle, 1.0)], ids=["ordinary", "idle"]
)
def test_values_a_second(
    lab: Lab,
    documents: Callable[[range], Iterator[tuple[float, Row]]],
    most: float,
    record_property: Callable[[str, object], None],
) -> None:
    """In an hour after discovery a host with all defaults stores at most so many a second."""
    first, *rest = documents(range(-11, HOUR.stop))
    replay = lab.replay(len(HOUR))
    replay.discover(*first)
    replay.play(rest)
    stored = replay.history()
    counts = {
        key: sum(0 <= minute < HOUR.stop for minute, _ in values) for key, values in stored.items()
    }
    rate = sum(counts.values()) / 3600
    without = sum(count for key, count in counts.items() if ".totals." not in key) / 3600
    record_property("values a second", rate)
    sys.stdout.write(
        f"{replay.server.version}: {len(stored)} items, {rate:.2f} values a second,"
        f" {without:.2f} where connections are not counted in the kernel\n"
    )
    assert 0.1 < rate <= most
