"""How many values a host stores a second once it is discovered: few."""

import random
import sys
from collections.abc import Callable, Iterator

import pytest

from ..documents import Row, document, listener, process, quality  # noqa: TID252  # no installed package
from .conftest import Lab
from .hosts import idle

pytestmark = pytest.mark.zabbix

HOUR = range(60)
BUSY, MODERATE, QUIET = range(8), range(8, 20), range(20, 40)
TCP, UDP = range(26), range(26, 40)


def _process(number: int, load: int, stuck: int, rng: random.Random) -> Row:
    retransmitting = int(number in BUSY and rng.random() < 0.25)
    return process(
        f"process-{number}",
        listen=1,
        established=load,
        close_wait=stuck,
        fds=load / 10,
        **quality(measured=load, retransmitting=retransmitting, rtt=0.01),
    )


def ordinary(minutes: range) -> Iterator[tuple[float, Row]]:
    """Yield the documents of an ordinary host: 40 processes, 40 listeners, 14 of them UDP.

    Eight processes are busy: their connections change each minute, with them their sockets and
    what they use of their descriptors, and in one minute of three their CLOSE_WAIT; in one of four
    one of their connections retransmits. Of twelve these change in three minutes of ten, and twenty
    are at rest. What the listeners of six busy and six other processes have established changes as
    often, and in one minute of twenty somebody waits to be accepted. What the host has established
    and in TIME_WAIT, its memory, the sockets read and the ten greatest processes change each
    minute, and segments are retransmitted; the destination that takes most ports changes in one
    minute of five.
    """
    rng = random.Random(40)
    load = {number: rng.randint(5, 400) for number in range(40)}
    stuck = dict.fromkeys(range(40), 0)
    for minute in minutes:
        for number in (*BUSY, *MODERATE):
            if number in BUSY or rng.random() < 0.3:
                load[number] = max(1, load[number] + rng.choice([-3, -2, -1, 1, 2, 3]))
                stuck[number] = rng.randint(0, 3) if rng.random() < 0.3 else stuck[number]
        processes = [_process(number, load[number], stuck[number], rng) for number in range(40)]
        listeners = [
            listener(
                f"tcp/0.0.0.0:{8000 + number}",
                f"process-{number}",
                established=load[number] if number in range(2, 14) else 3,
                queue=int(number in BUSY and rng.random() < 0.05),
            )
            for number in TCP
        ]
        listeners += [listener(f"udp/0.0.0.0:{number}", f"process-{number}") for number in UDP]
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
    ("documents", "most"), [(ordinary, 3.0), (idle, 1.0)], ids=["ordinary", "idle"]
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
    counted = sum(0 <= minute < HOUR.stop for values in stored.values() for minute, _ in values)
    rate = counted / 3600
    record_property("values a second", rate)
    sys.stdout.write(f"{replay.server.version}: {len(stored)} items, {rate:.2f} values a second\n")
    assert 0.1 < rate <= most
