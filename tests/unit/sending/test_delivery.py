"""Delivery: in order, none lost, none twice, one dead destination delays no other."""

from __future__ import annotations

import fcntl
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.sending.delivery import (
    Delivery,
    Packet,
    Report,
    WaitPolicy,
    catching_up,
    push_all,
)
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import Spool
from zabbix_sockets.sending.transport import Outcome

TAKEN, REFUSED, DOWN = Outcome(1, 0), Outcome(0, 1), Outcome(0, 0, "Connection refused")


class Servers:
    """Destinations that take, refuse or are down, and what they have taken."""

    def __init__(self) -> None:
        self.mood: dict[str, Outcome] = {}
        self.taken: dict[str, list[int]] = {"a": [], "b": []}

    def push(self, destination: str, values: Sequence[Value]) -> Outcome:
        """Answer as the mood is."""
        outcome = self.mood.get(destination, TAKEN)
        if outcome is TAKEN:
            self.taken[destination] += [value.clock for value in values]
        return outcome


def packet(*clocks: int) -> dict[str, list[Packet]]:
    """Return documents of these moments for each."""
    packets: list[Packet] = [[Value("h", "k", clock, 0, "{}")] for clock in clocks]
    return dict.fromkeys("ab", packets)


@pytest.fixture
def servers() -> Servers:
    """Two of them, up."""
    return Servers()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """An empty spool."""
    spool = Spool(str(tmp_path / "spool.sqlite"), 1 << 30)
    yield spool
    spool.close()


@pytest.fixture
def delivery(servers: Servers, spool: Spool) -> Delivery:
    """To both servers."""
    return Delivery(servers.push, ["a", "b"], spool)


def test_delivered(delivery: Delivery, servers: Servers) -> None:
    """With all up each gets it, and nothing waits."""
    reports = delivery.deliver(packet(1))
    assert reports == [Report("a", TAKEN, 0), Report("b", TAKEN, 0)]
    assert all(report.delivered for report in reports)
    assert servers.taken == {"a": [1], "b": [1]}
    assert not delivery.drain(["a", "b"])


@pytest.mark.parametrize("mood", [DOWN, REFUSED])
def test_outage(delivery: Delivery, servers: Servers, mood: Outcome) -> None:
    """What one destination missed waits for it alone, and goes first when it is back."""
    servers.mood["a"] = mood
    for clock in (1, 2, 3):
        assert [report.waiting for report in delivery.deliver(packet(clock))] == [clock, 0]
    servers.mood.clear()
    first = delivery.deliver(packet(4))[0]
    assert (first.outcome, first.waiting, first.delivered) == (TAKEN, 3, False)
    assert servers.taken == {"a": [1], "b": [1, 2, 3, 4]}
    assert catching_up([first]) == ["a"]
    drained = [delivery.drain(["a"]) for _ in range(4)]
    assert [catching_up(reports) for reports in drained] == [["a"], ["a"], [], []]
    assert servers.taken == {"a": [1, 2, 3, 4], "b": [1, 2, 3, 4]}


def test_reports() -> None:
    """A line says how many were sent, failed, and why."""
    assert str(Report("a", TAKEN, 0)) == "a: sent 1, failed 0"
    assert str(Report("a;b", DOWN, 3)) == "a;b: sent 0, failed 0, 3 waiting: Connection refused"
    assert "no such host or item" in str(Report("a", REFUSED, 1))
    both = Report("a", TAKEN, 1, "cut").plus(Report("a", TAKEN, 0, "can't be read"))
    assert str(both) == "a: sent 2, failed 0, cut; can't be read"
    assert both.plus(Report("a", DOWN, None, "cut")).note == "cut; can't be read"


def test_without_a_spool(servers: Servers) -> None:
    """A failure is told; there is nothing to keep it in."""
    delivery = Delivery(servers.push, ["a"], None)
    servers.mood["a"] = DOWN
    assert delivery.deliver(packet(1)) == [Report("a", DOWN, 0)]
    assert delivery.state() is None
    assert not delivery.drain(["a"])


def test_who_is_down_is_not_asked_again(delivery: Delivery, servers: Servers) -> None:
    """While one catches up the other is left alone until the next push."""
    servers.mood |= {"a": DOWN, "b": DOWN}
    for clock in (1, 2, 3):
        delivery.deliver(packet(clock))
    del servers.mood["a"]
    assert catching_up(delivery.deliver(packet(4))) == ["a"]


def test_state_is_of_all_destinations(delivery: Delivery, servers: Servers) -> None:
    """The document tells the sum, and the oldest of all."""
    servers.mood |= {"a": DOWN}
    delivery.deliver(packet(5))
    servers.mood |= {"b": DOWN}
    delivery.deliver(packet(6))
    assert delivery.state() == (3, 0, 5)


def test_dead_destination_delays_no_other(spool: Spool) -> None:
    """All are pushed to at the same time."""
    both = threading.Barrier(2, timeout=10)

    def push(_destination: str, _values: Sequence[Value]) -> Outcome:
        both.wait()
        return TAKEN

    assert all(report.delivered for report in Delivery(push, ["a", "b"], spool).deliver(packet(1)))


def test_an_error_of_one_is_not_the_others(spool: Spool) -> None:
    """A call that raises is that destination's failure; the document waits for it."""

    def push(destination: str, _values: Sequence[Value]) -> Outcome:
        if destination == "a":
            raise SocketsError("there is no zabbix_sender")
        return TAKEN

    reports = Delivery(push, ["a", "b"], spool).deliver(packet(1))
    assert [report.waiting for report in reports] == [1, 0]
    assert "no zabbix_sender" in str(reports[0])


def test_on_disk_before_it_goes(spool: Spool) -> None:
    """Whoever is killed while it pushes has it in the file; what was taken is not there."""
    kept = []

    def push(destination: str, _values: Sequence[Value]) -> Outcome:
        other = Spool(spool.path, 1 << 30)
        kept.append(other.state(destination).waiting)
        other.close()
        return TAKEN

    Delivery(push, ["a"], spool).deliver(packet(1))
    assert kept == [1]
    assert spool.state("a").waiting == 0


def test_a_host_that_was_renamed(delivery: Delivery, servers: Servers) -> None:
    """What waited for another name goes no more once the new one is taken: it is counted."""
    servers.mood["a"] = REFUSED
    for clock in (1, 2):
        delivery.deliver({each: [[Value("typo", "k", clock, 0, "{}")]] for each in "ab"})
    delivery.deliver(packet(3))
    push = servers.push

    def picky(destination: str, values: Sequence[Value]) -> Outcome:
        return REFUSED if values[0].host == "typo" else push(destination, values)

    servers.mood.clear()
    delivery._push = picky
    assert catching_up(delivery.deliver(packet(4))) == ["a"]
    delivery.drain(["a"])
    assert servers.taken["a"] == [3, 4]
    state = delivery.state()
    assert state
    assert (state.waiting, state.dropped) == (0, 2)


def test_nothing_overtakes(delivery: Delivery, servers: Servers) -> None:
    """A server that takes what is new before it takes what is old gets nothing new."""
    servers.mood["a"] = REFUSED
    delivery.deliver(packet(1))
    push = servers.push

    def picky(destination: str, values: Sequence[Value]) -> Outcome:
        return REFUSED if values[0].clock == 1 else push(destination, values)

    servers.mood.clear()
    delivery._push = picky
    assert delivery.deliver(packet(2))[0].waiting == 2
    assert servers.taken["a"] == []


def test_spool_that_cannot_be_read_for_once(
    delivery: Delivery, servers: Servers, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is unknown then, which is not nothing: it is tried, and no one says delivered."""
    servers.mood["a"] = DOWN
    delivery.deliver(packet(1))
    servers.mood.clear()
    read = spool._rows
    tried: list[str] = []

    def fails_once(query: str, parameters: tuple[object, ...]) -> list[object] | None:
        if "UNION ALL" in query and not tried:
            tried.append(query)
            spool.trouble = "spool: disk I/O error"
            return None
        return read(query, parameters)

    monkeypatch.setattr(spool, "_rows", fails_once)
    report = delivery.deliver(packet(2))[0]
    assert (report.outcome, report.waiting, report.delivered) == (TAKEN, None, False)
    assert str(report) == "a: sent 1, failed 0, spool: disk I/O error"
    assert catching_up([report]) == ["a"]
    assert [each.waiting for each in delivery.drain(["a"])] == [0]
    assert servers.taken["a"] == [1, 2]


def test_several_packets(delivery: Delivery, servers: Servers) -> None:
    """All of a moment go at once, one after the other, as long as they are taken."""
    (report, _) = delivery.deliver(packet(1, 2, 3))
    assert (report.outcome.processed, report.waiting) == (3, 0)
    servers.mood["a"] = DOWN
    assert delivery.deliver(packet(4, 5))[0].waiting == 2
    servers.mood.clear()
    delivery.drain(["a"])
    delivery.drain(["a"])
    assert servers.taken["a"] == [1, 2, 3, 4, 5]


def test_weather(delivery: Delivery, servers: Servers) -> None:
    """Through any weather each destination gets every document once, in order."""
    weather = random.Random(5)  # the same in each run
    for clock in range(300):
        for name in servers.taken:
            servers.mood[name] = weather.choice((TAKEN, TAKEN, DOWN, REFUSED))
        delivery.deliver(packet(clock))
        if weather.random() < 0.7:
            delivery.drain(["a", "b"])
    servers.mood.clear()
    delivery.deliver(packet(300))
    while delivery.drain(["a", "b"]):
        pass
    assert servers.taken == {"a": list(range(301)), "b": list(range(301))}


class Beats:
    """Counts."""

    def __init__(self) -> None:
        self.number = 0
        self.last = 0.0

    def beat(self) -> None:
        """Count one more."""
        self.number += 1
        self.last = time.monotonic()


def test_on_disk_before_anything_is_waited_for(servers: Servers, spool: Spool) -> None:
    """While another process sends for long a document is kept, and said to wait; it goes next."""
    lock = os.open(f"{spool.path}.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    other = Spool(spool.path, 1 << 30)
    on_disk: list[int] = []
    waits = WaitPolicy(lambda: on_disk.append(other.state("a").waiting), lock_seconds=0.2)
    delivery = Delivery(servers.push, ["a", "b"], spool, waits)
    reports = delivery.deliver(packet(1))
    assert on_disk[0] == 1
    assert [(each.waiting, each.delivered) for each in reports] == [(1, False), (1, False)]
    assert "another process uses it" in str(reports[0])
    assert not delivery.drain(["a", "b"])
    assert servers.taken == {"a": [], "b": []}
    os.close(lock)
    assert [each.outcome for each in delivery.deliver(packet(2))] == [TAKEN, TAKEN]
    delivery.drain(["a", "b"])
    assert servers.taken == {"a": [1, 2], "b": [1, 2]}
    other.close()


def test_sent_by_another(servers: Servers, spool: Spool) -> None:
    """What another process sends while this one waits for it is delivered, and not sent again."""
    other = Spool(spool.path, 1 << 30)
    theirs = Delivery(servers.push, ["a", "b"], other)
    lock = os.open(f"{spool.path}.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)

    def meanwhile() -> None:
        nonlocal lock
        if lock >= 0:
            os.close(lock)
            lock = -1
            theirs.drain(["a", "b"])

    delivery = Delivery(servers.push, ["a", "b"], spool, WaitPolicy(meanwhile))
    reports = delivery.deliver(packet(1))
    assert servers.taken == {"a": [1], "b": [1]}
    assert all(each.delivered for each in reports)
    assert str(reports[0]) == "a: sent 0, failed 0, another process has sent it"
    other.close()


def test_two_that_add_at_once(servers: Servers, spool: Spool) -> None:
    """Who comes second is second: its document waits behind the other's, and is not lost."""
    other = Spool(spool.path, 1 << 30)
    add, added = spool.add, []

    def add_after_the_other(packets: Iterable[tuple[str, Packet]]) -> list[int]:
        other.add([("a", packet(1)["a"][0])])
        added.extend(add(packets))
        return added

    spool.add = add_after_the_other  # type: ignore[method-assign]
    first, second = Delivery(servers.push, ["a", "b"], spool).deliver(packet(2))
    assert (first.waiting, first.catches_up) == (1, True)
    assert second.waiting == 0
    assert servers.taken == {"a": [1], "b": [2]}
    other.close()


_SENDER = """
import sys
from zabbix_sockets.sending.delivery import Delivery, catching_up
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import Spool
from zabbix_sockets.sending.transport import Outcome

def push(destination, values):
    with open(sys.argv[2], "a") as file:
        file.writelines(f"{value.clock}\\n" for value in values)
    return Outcome(len(values), 0)

spool = Spool(sys.argv[1], 1 << 30)
delivery = Delivery(push, ["a"], spool)
for number in range(20):
    reports = delivery.deliver({"a": [[Value("h", "k", int(sys.argv[3]) * 100 + number, 0, "1")]]})
    while catching_up(reports):
        reports = delivery.drain(["a"])
spool.close()
"""


def test_several_processes(tmp_path: Path) -> None:
    """However many push at once, all arrive, each once, and each one's own in order."""
    log, spool = tmp_path / "log", tmp_path / "spool.sqlite"
    commands = [
        [sys.executable, "-c", _SENDER, str(spool), str(log), str(number)] for number in range(4)
    ]
    processes = [subprocess.Popen(command) for command in commands]
    assert [each.wait(60) for each in processes] == [0] * 4
    taken = [int(line) for line in log.read_text().split()]
    assert sorted(taken) == [100 * who + number for who in range(4) for number in range(20)]
    for who in range(4):
        own = [clock for clock in taken if clock // 100 == who]
        assert own == sorted(own)


def test_no_more_threads(
    delivery: Delivery, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none can be started they are pushed to one after the other."""

    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    assert all(each.delivered for each in delivery.deliver(packet(1)))
    assert servers.taken == {"a": [1], "b": [1]}


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), MemoryError(), KeyError(1)])
def test_any_error_of_a_push(spool: Spool, error: Exception) -> None:
    """Whatever goes wrong with one is said, its document waits, and the others go on."""

    def push(destination: str, _values: Sequence[Value]) -> Outcome:
        if destination == "a":
            raise error
        return TAKEN

    first, second = Delivery(push, ["a", "b"], spool).deliver(packet(1))
    assert (first.waiting, second.waiting) == (1, 0)
    assert type(error).__name__ in str(first)


def test_beats_while_it_waits() -> None:
    """There are beats while pushes take as long as they may, and none when one hangs beyond."""
    beats, ended = Beats(), threading.Event()

    def push(_destination: str, _values: Sequence[Value]) -> Outcome:
        ended.wait(30)
        return TAKEN

    started = time.monotonic()
    threading.Timer(3, ended.set).start()
    assert push_all(push, {"a": []}, WaitPolicy(beats.beat, push_seconds=1)) == {"a": TAKEN}
    assert beats.number >= 2
    assert beats.last - started < 2


def test_no_more_packets(spool: Spool, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the time for a moment's packets, or at a signal, the rest waits: in order, once."""
    stopping = Delivery(servers.push, ["a", "b"], spool, WaitPolicy(is_stopping=lambda: True))
    assert [each.waiting for each in stopping.deliver(packet(1, 2, 3))] == [2, 2]
    monkeypatch.setattr("zabbix_sockets.sending.delivery.BATCHES_SECONDS", -1.0)
    delivery = Delivery(servers.push, ["a", "b"], spool)
    while catching_up(delivery.drain(["a", "b"])):
        pass
    assert [each.waiting for each in delivery.deliver(packet(4, 5))] == [1, 1]
    delivery.drain(["a", "b"])
    assert servers.taken == {"a": [1, 2, 3, 4, 5], "b": [1, 2, 3, 4, 5]}


def test_state_is_of_servers_that_are_gone_too(spool: Spool, servers: Servers) -> None:
    """What waits for one that is no more in the configuration is not forgotten."""
    servers.mood["a"] = DOWN
    Delivery(servers.push, ["a", "b"], spool).deliver(packet(5))
    assert Delivery(servers.push, ["b"], spool).state() == (1, 0, 5)
