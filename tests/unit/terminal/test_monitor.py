"""Sockets again and again: what is new, gone, and how fast it goes."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator, Sequence

import pytest

from zabbix_sockets.command.arguments import parse
from zabbix_sockets.command.call import Call
from zabbix_sockets.model.errors import SocketsError, UsageError
from zabbix_sockets.model.socket import Socket, TcpInfo
from zabbix_sockets.terminal import monitor
from zabbix_sockets.terminal.layout import Style
from zabbix_sockets.terminal.monitor import Moment, frame, moments, print_json, print_tables
from zabbix_sockets.terminal.socket_changes import SocketChanges, Sockets, compare
from zabbix_sockets.terminal.sockets import socket_json

from .test_sockets import ACCEPTED, LISTENER

OPEN = ACCEPTED._replace(cookie=7, tcp_info=TcpInfo(bytes_sent=1000, retransmits=2, rtt_us=50))
LATER = OPEN._replace(tcp_info=TcpInfo(bytes_sent=3000, retransmits=3, rtt_us=60))


PLAIN = Style(colours=False, width=None)


def at(seconds: float, *sockets: Socket) -> Moment[Sockets]:
    """Return what there was then."""
    return Moment(seconds, 1_700_000_000 + seconds, sockets)


def test_rates() -> None:
    """Counters per second, of those that both snapshots have."""
    (row,) = compare(at(1, OPEN), at(3, LATER))
    assert socket_json(row)["rates"] == dict(row.rates)
    assert row.rates == {"sent_bytes_per_s": 1000.0, "retransmits_per_s": 0.5}
    assert not row.change


def test_first_snapshot() -> None:
    """Nothing is new in it."""
    (row,) = compare(None, at(1, OPEN))
    assert (row.change, row.rates) == ("", {})


def test_new_and_gone() -> None:
    """Both are marked; the same ends with another cookie are another socket."""
    other = OPEN._replace(cookie=8)
    rows = compare(at(1, LISTENER, OPEN), at(2, LISTENER, other))
    changes = [(row.socket, row.change) for row in rows]
    assert [socket_json(row).get("change") for row in rows] == [None, "new", "gone"]
    assert changes == [(LISTENER, ""), (other, "new"), (OPEN, "gone")]


def test_without_cookies() -> None:
    """From procfs sockets are told apart by inode and ends; there are no rates."""
    plain = ACCEPTED._replace(inode=9)
    (row,) = compare(at(1, plain), at(2, plain))
    assert (row.change, row.rates) == ("", {})
    rows = compare(at(1, plain), at(2, plain._replace(inode=10)))
    assert [row.change for row in rows] == ["new", "gone"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in which nothing takes any but sleeping."""
    now = [100.0]
    monkeypatch.setattr("zabbix_sockets.terminal.monitor.time.monotonic", lambda: now[0])

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr("zabbix_sockets.terminal.monitor.time.sleep", sleep)
    return now


def test_pace(clock: list[float]) -> None:
    """Snapshots come at their moments; those that passed meanwhile are left out."""
    spent = iter([0.3, 2.5, 0.1, 0.1])

    def take() -> tuple[Sockets, Sequence[str]]:
        clock[0] += next(spent)
        return (), ()

    seen = [each.at for each in moments(take, 1.0, 4) if isinstance(each, Moment)]
    assert seen == pytest.approx([100.3, 103.5, 104.1, 105.1])


def test_whoever_waits_may_end_it() -> None:
    """It is asked how long to wait, and whether to go on."""
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return len(waited) < 3

    assert len(list(moments(lambda: ((), ()), 5.0, None, wait))) == 3
    assert all(4 < each <= 5 for each in waited)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("error", [SocketsError("timed out"), OSError("timed out")])
def test_a_snapshot_that_fails(error: Exception) -> None:
    """Later ones go on, and it is said; a first one is an error."""

    def take(results: Iterator[bool]) -> tuple[Sockets, Sequence[str]]:
        if not next(results):
            raise error
        return (OPEN,), ()

    results = iter([True, False, True])
    out = io.StringIO()
    print_json(moments(lambda: take(results), 1.0, 3), SocketChanges, out)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line.get("error") for line in lines] == [None, "timed out", None]
    assert [line.get("seconds") for line in lines] == [None, None, 2.0]
    with pytest.raises(type(error)):
        list(moments(lambda: take(iter([False])), 1.0, 3))


def printed(*seen: Moment[Sockets] | str) -> list[str]:
    """Return the lines of the tables."""
    out = io.StringIO()
    print_tables(seen, SocketChanges, out)
    return out.getvalue().splitlines()


def test_tables() -> None:
    """A headline with what has changed, a mark for new and gone, rates for people."""
    lines = printed(at(1, LISTENER, OPEN), at(2, OPEN._replace(cookie=9), LISTENER), "timed out")
    headlines = [line for line in lines if " sockets, " in line]
    assert headlines[0].endswith("  2 sockets, 0 new (+), 0 gone (-)")
    assert headlines[1].endswith("  2 sockets, 1 new (+), 1 gone (-)")
    assert [line[0] for line in lines if "40000" in line] == ["t", "+", "-"]
    assert lines[-1] == "no snapshot: timed out"
    assert "  1 socket, " in printed(at(1, OPEN))[0]
    lines = printed(at(1, OPEN), at(2, LATER))
    titles = "PROTO STATE RECV-Q SEND-Q SENT/S RECV/S RETR/S RTT"
    assert lines[-3].split()[:8] == titles.split()
    assert lines[-2].split()[4:8] == ["2.0k", "-", "1.0", "60us"]


def test_terminal() -> None:
    """On a terminal there is what changed most, and what can't be seen is said below."""
    many = [OPEN._replace(cookie=each, remote_port=each) for each in range(1, 40)]
    busy = [each._replace(tcp_info=LATER.tcp_info) if each.cookie == 30 else each for each in many]
    before, now = at(1, *many), at(2, *busy)
    now.notes = ("not all owners are seen",)
    lines = frame(now, SocketChanges(before, now), PLAIN, 10).splitlines()
    assert len(lines) == 10
    assert ":30 " in lines[2]
    assert lines[-2:] == ["and 33 more", "note: not all owners are seen"]
    few = frame(now, SocketChanges(None, at(2, OPEN)), PLAIN, 10).splitlines()
    assert len(few) == 4


def test_notes_are_written_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Where tables come one below the other, notes go to stderr."""
    seen = [at(1, OPEN), at(2, OPEN)]
    for each in seen:
        each.notes = ("a note",)
    print_tables(seen, SocketChanges, io.StringIO())
    print_json(seen, SocketChanges, io.StringIO())
    assert capsys.readouterr().err == "note: a note\n" * 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("sockets", "--count", "2"),
        ("processes", "--keys", "--interval", "1"),
        ("sockets", "--sort", "recv-q"),
        ("processes", "--sort", "backlog"),
        ("processes", "--sort", "sent/s"),
        ("listeners", "--sort", "opened/s", "--interval", "1"),
        ("listeners", "--sort", "estab", "--json"),
    ],
)
def test_usage(arguments: Sequence[str]) -> None:
    """A count is for an interval, keys for none; only columns that there are sort rows."""
    with pytest.raises(UsageError):
        parse(["show", *arguments]).answer(Call())


def test_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C is the way to end it."""
    taken = itertools.count()

    def take() -> tuple[Sockets, Sequence[str]]:
        if next(taken):
            raise KeyboardInterrupt
        return (OPEN,), ()

    monitor.run(take, SocketChanges, 0.01, None, as_json=True)
    assert len(capsys.readouterr().out.splitlines()) == 1
