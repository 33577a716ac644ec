"""Single values: known items in one call, new ones once they exist, each value once."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from zabbix_sockets.rows import JsonRow
from zabbix_sockets.sending.contents import Moment, SingleValues
from zabbix_sockets.sending.delivery import Delivery, Report, catching_up
from zabbix_sockets.sending.figures import Figures
from zabbix_sockets.sending.ledger import PATIENCE, SYNC
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import Spool
from zabbix_sockets.sending.transport import Outcome

START = 1_700_000_000
HOST_KEYS = ("sockets.processes.discovery", "sockets.complete")
ROW_KEYS = ("sockets.process.sockets", "sockets.process.instances")


class Clock:
    """The time that everything has, in the test's hands."""

    now = START


class Server:
    """Takes values of items that it has, tells how many, and can be down."""

    def __init__(self) -> None:
        self.items = set(HOST_KEYS)
        self.taken: list[Value] = []
        self.calls: list[list[str]] = []
        self.down = False

    def add_row(self, name: str) -> None:
        """Make the items of a process, as discovery does."""
        self.items |= {f'{key}["{name}"]' for key in ROW_KEYS}

    def push(self, _destination: str, values: Sequence[Value]) -> Outcome:
        """Answer as zabbix_sender does."""
        if self.down:
            return Outcome(0, 0, "Connection refused")
        self.calls.append([value.key for value in values])
        taken = [value for value in values if value.key in self.items]
        self.taken += taken
        return Outcome(len(taken), len(values) - len(taken))


def document(processes: Sequence[str], *, complete: bool = True) -> JsonRow:
    """Return a document with these processes."""
    fields = {"settled": 1, "instances": 1}
    rows: list[JsonRow] = [
        {"id": name, "name": name, "sockets": Clock.now - START, **fields} for name in processes
    ]
    absent: list[JsonRow] = [{"id": "(absent)", "sockets": 0, "instances": 0}]
    return {
        "complete": int(complete),
        "processes": rows + (absent if complete else []),
        "listeners": absent,
        "upstreams": absent,
    }


class Host:
    """Pushes through a spool; started again it knows what the file knows."""

    def __init__(self, path: Path, server: Server) -> None:
        self._path = path
        self._server = server
        self.start()

    def start(self) -> None:
        """Begin, with what the file has."""
        self.spool = Spool(str(self._path), 1 << 30)
        self.content = SingleValues("h", Figures(), self.spool, self._server.push)
        self._delivery = Delivery(self._push, ["s"], self.spool)

    def _push(self, destination: str, values: Sequence[Value]) -> Outcome:
        return self.content.judge(destination, self._server.push(destination, values))

    def push(self, processes: Sequence[str], *, complete: bool = True, later: int = 60) -> Report:
        """Push a document, *later* seconds after the one before."""
        Clock.now += later
        made = document(processes, complete=complete)
        packets = self.content.packets(made, Moment(Clock.now, 5), ["s"])
        (report,) = self._delivery.deliver(packets)
        return self.content.settle(report)

    def drain(self) -> None:
        """Send what waited, until the server takes no more."""
        reports = self._delivery.drain(["s"])
        while catching_up(reports):
            reports = self._delivery.drain(["s"])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server with the items of the host, at the beginning of time."""
    Clock.now = START
    monkeypatch.setattr("zabbix_sockets.sending.contents.time.time", lambda: Clock.now)
    return Server()


@pytest.fixture
def host(tmp_path: Path, server: Server) -> Iterator[Host]:
    """A host with an empty spool."""
    host = Host(tmp_path / "s.sqlite", server)
    yield host
    host.spool.close()


def taken(server: Server, key: str) -> list[tuple[int, str]]:
    """Return what an item has got: times since the start, and texts."""
    return [(each.clock - START, each.text) for each in server.taken if each.key == key]


def test_items_that_are_not_there_yet(host: Host, server: Server) -> None:
    """Their values wait until the server has made them; then all go in one call a push."""
    report = host.push(["a", "b"])
    assert (report.delivered, report.note) == (True, "2 rows wait for items")
    assert report.outcome.failed == 0
    server.add_row("a")
    report = host.push(["a", "b"])
    assert (report.outcome.failed, report.note) == (0, "1 rows wait for items")
    assert taken(server, 'sockets.process.sockets["a"]') == [(60, "60"), (120, "120")]
    server.calls.clear()
    host.push(["a", "b"], later=SYNC - 1)
    assert len(server.calls) == 1
    assert 'sockets.process.sockets["a"]' in server.calls[0]


def test_what_the_user_has_no_items_for(host: Host, server: Server) -> None:
    """Some items of a row are missing for good: no failure, and the rest comes every time."""
    server.add_row("a")
    server.items.discard('sockets.process.instances["a"]')
    for _ in range(3):
        report = host.push(["a"])
        assert (report.delivered, report.outcome.failed, report.note) == (True, 0, "")
    assert [at for at, _ in taken(server, 'sockets.process.sockets["a"]')] == [60, 120, 180]


def test_real_failures(host: Host, server: Server) -> None:
    """More refused than known is a failure, once; then it is known who has items."""
    for name in ("a", "b"):
        server.add_row(name)
    host.push(["a", "b"])
    assert host.push(["a", "b"]).outcome.failed == 0
    server.items -= {f'{key}["b"]' for key in ROW_KEYS}
    report = host.push(["a", "b"])
    assert (report.delivered, report.outcome.failed) == (False, 2)
    assert host.push(["a", "b"]).note == "1 rows wait for items"
    assert host.push(["a", "b"]).outcome.failed == 0
    moments = [at for at, _ in taken(server, 'sockets.process.sockets["a"]')]
    assert moments == [60, 120, 180, 240, 300]


def test_given_up(host: Host, server: Server) -> None:
    """Rows that the user's discovery leaves out are tried ever less, and not kept for ever."""
    calls = []
    for _ in range(PATIENCE // 60 + 5):
        server.calls.clear()
        report = host.push(["a"])
        calls.append(len(server.calls))
    assert report.note == ""
    assert sum(calls) < len(calls) + 12
    assert not host.spool.all("s\nprocesses a")


def test_a_row_that_has_gone(host: Host, server: Server) -> None:
    """It gets zeros from a complete list, and nothing from one that is not."""
    server.add_row("a")
    host.push(["a"])
    host.push([])
    host.push([], complete=False)
    assert taken(server, 'sockets.process.sockets["a"]') == [(60, "60"), (120, "0")]


def test_it_remembers(host: Host, server: Server) -> None:
    """A new call knows what the last one found out."""
    server.add_row("a")
    host.push(["a"])
    host.push(["a"])
    server.calls.clear()
    host.spool.close()
    host.start()
    host.push(["a"])
    assert len(server.calls) == 1


def test_outage(host: Host, server: Server) -> None:
    """What goes together waits together, what is new waits too; nothing comes twice."""
    server.add_row("a")
    host.push(["a"])
    server.down = True
    assert not host.push(["a", "b"]).delivered
    host.push(["a", "b"])
    server.down = False
    server.add_row("b")
    host.push(["a", "b"])
    host.drain()
    host.push(["a", "b"])
    for name, first in (("a", 60), ("b", 120)):
        moments = [at for at, _ in taken(server, f'sockets.process.sockets["{name}"]')]
        assert moments == list(range(first, 301, 60))


def test_weather(host: Host, server: Server) -> None:
    """Whatever comes between, each value of an item that comes to be arrives once, in order."""
    weather = random.Random(3)  # the same in each run
    names: list[str] = []
    for step in range(120):
        if step % 10 == 0:
            names.append(f"p{step}")
        server.down = weather.random() < 0.3
        if weather.random() < 0.5:
            server.add_row(weather.choice(names))
        host.push(names)
        if weather.random() < 0.2:
            host.spool.close()
            host.start()
        host.drain()
    server.down = False
    for name in names:
        server.add_row(name)
    for _ in range(80):
        host.push(names)
        host.drain()
    for number, name in enumerate(names):
        moments = [at for at, _ in taken(server, f'sockets.process.sockets["{name}"]')]
        born = number * 600 + 60
        assert moments == list(range(born, Clock.now - START + 1, 60)), name
    assert max(Counter(server.taken).values()) == 1
