"""Single values: known items in one call, new ones once they exist, each value once."""

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from zabbix_sockets.document.document import Document, read_document
from zabbix_sockets.sending.contents import SingleValues, ValueTime
from zabbix_sockets.sending.delivery import Delivery, Report, catching_up
from zabbix_sockets.sending.figures import Figures
from zabbix_sockets.sending.ledger import ATTEMPTS, FIRST_RETRY_SECONDS, Ledger
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
        self.breaks_at = 0
        """At which of the calls it resets the connection."""

    def add_row(self, name: str) -> None:
        """Make the items of a process, as discovery does."""
        self.items |= {f'{key}["{name}"]' for key in ROW_KEYS}

    def push(self, _destination: str, values: Sequence[Value]) -> Outcome:
        """Answer as zabbix_sender does."""
        if self.down:
            return Outcome(0, 0, "Connection refused")
        self.calls.append([value.key for value in values])
        if len(self.calls) == self.breaks_at:
            return Outcome(0, 0, "Connection reset")
        taken = [value for value in values if value.key in self.items]
        self.taken += taken
        return Outcome(len(taken), len(values) - len(taken))


def document(
    processes: Sequence[str], more: Mapping[str, int], *, complete: bool = True
) -> Document:
    """Return a document with these processes, and *more* fields in each row."""
    fields = {"settled": 1, "instances": 1, **more}
    rows = [
        {"id": name, "name": name, "sockets": Clock.now - START, **fields} for name in processes
    ]
    absent = [{"id": "(absent)", "sockets": 0, "instances": 0}]
    content = {
        "complete": int(complete),
        "lists": {"processes": int(complete), "listeners": 1, "upstreams": 1},
        "processes": rows + (absent if complete else []),
        "listeners": absent,
        "upstreams": absent,
    }
    return read_document(json.dumps(content))


class Host:
    """Pushes through a spool; started again it knows what the file knows."""

    def __init__(self, path: Path, server: Server) -> None:
        self._path = path
        self._server = server
        self.more: dict[str, int] = {}
        self.start()

    def start(self) -> None:
        """Begin, with what the file has."""
        self.spool = Spool(str(self._path), 1 << 30)
        self.content = SingleValues("h", Figures(), self.spool, self._server.push)
        self._delivery = Delivery(self._push, ["s"], self.spool)

    def _push(self, destination: str, values: Sequence[Value]) -> Outcome:
        return self.content.judge(destination, values, self._server.push(destination, values))

    def push(self, processes: Sequence[str], *, complete: bool = True, later: int = 60) -> Report:
        """Push a document, *later* seconds after the one before."""
        Clock.now += later
        made = document(processes, self.more, complete=complete)
        packets = self.content.packets(made, ValueTime(Clock.now, 5), ["s"])
        (report,) = self._delivery.deliver(packets)
        return self.content.finish([report], lambda: False)[0]

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


def test_forgets_destinations(host: Host, tmp_path: Path) -> None:
    """What is known of a server that nobody sends to any more goes after a week."""
    path = str(tmp_path / "s.sqlite")
    other = Ledger(path, "gone")
    other.learn("row", 1, 0, Clock.now)
    other.save()
    host.push([], later=7 * 86_400 - 1)
    assert Ledger(path, "gone").names() == {"row"}
    host.push([], later=3600)
    assert not Ledger(path, "gone").names()


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
    host.push(["a", "b"], later=FIRST_RETRY_SECONDS - 1)
    assert len(server.calls) == 2
    assert 'sockets.process.sockets["a"]' in server.calls[1]


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
    for _ in range(2 * FIRST_RETRY_SECONDS * 2**ATTEMPTS // 300):
        report = host.push(["a"], later=300)
    asked = [keys for keys in server.calls if 'sockets.process.sockets["a"]' in keys]
    assert len(asked) == ATTEMPTS
    assert report.note == ""
    assert not host.spool.lines("s")


def test_an_outage_is_no_reason_to_give_up(host: Host, server: Server) -> None:
    """Only while the server answers can it be known that it has no items."""
    host.push(["a"], later=600)
    server.down = True
    for _ in range(2 * FIRST_RETRY_SECONDS * 2**ATTEMPTS // 600):
        host.push(["a"], later=600)
    server.down = False
    server.add_row("a")
    host.push(["a"], later=600)
    host.drain()
    host.push(["a"], later=600)
    moments = [at for at, _ in taken(server, 'sockets.process.sockets["a"]')]
    assert moments == list(range(600, Clock.now - START + 1, 600))


def test_row_of_an_outage(host: Host, server: Server) -> None:
    """A row that was there only while the server was down is not forgotten."""
    host.push(["a"])
    server.down = True
    host.push(["a", "b"])
    host.push(["a", "b"])
    server.down = False
    server.add_row("b")
    host.spool.close()
    host.start()
    host.push(["a"])
    host.drain()
    host.push(["a"])
    assert [at for at, _ in taken(server, 'sockets.process.sockets["b"]')][:2] == [120, 180]


def test_clock_set_back(host: Host, server: Server) -> None:
    """It is asked again at once, and values keep the order in which they were made."""
    for _ in range(5):
        host.push(["a"])
    server.add_row("a")
    host.push(["a"], later=-100_000)
    moments = [at for at, _ in taken(server, 'sockets.process.sockets["a"]')]
    assert moments == [60, 120, 180, 240, 300, -99_700]


def test_fields_that_come_and_go(host: Host, server: Server) -> None:
    """A figure that a row has only now and then, and that has no item, is no failure."""
    server.add_row("a")
    for step in range(6):
        host.more = {"lost": 1} if step % 2 else {}
        report = host.push(["a"])
        assert (report.delivered, report.outcome.failed) == (True, 0), step
    assert [at for at, _ in taken(server, 'sockets.process.sockets["a"]')] == [*range(60, 361, 60)]


def test_many_rows(host: Host, server: Server) -> None:
    """What is more than one connection takes goes in several calls; what broke off goes on."""
    names = [f"p{number}" for number in range(200)]
    for name in names:
        server.add_row(name)
    host.push(names)
    server.calls.clear()
    assert host.push(names).outcome.processed == 402
    assert [len(keys) <= 250 for keys in server.calls] == [True] * 3
    server.calls.clear()
    server.breaks_at = 2
    report = host.push(names)
    assert (report.delivered, report.outcome.error) == (False, "Connection reset")
    server.breaks_at = 0
    host.drain()
    assert max(Counter(server.taken).values()) == 1
    assert [at for at, _ in taken(server, 'sockets.process.sockets["p199"]')] == [60, 120, 180]


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
    assert len(server.calls) == 2


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


def test_little_time(host: Host, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the time is up after each of them, the others go later: in order, and none twice."""
    names = ["a", "b", "c"]
    for name in names:
        server.add_row(name)
    with monkeypatch.context() as hurried:
        hurried.setattr("zabbix_sockets.sending.contents.ASKING_SECONDS", -1.0)
        for _ in range(11):
            host.push(names)
    host.push(names)
    for name in names:
        moments = [at for at, _ in taken(server, f'sockets.process.sockets["{name}"]')]
        assert moments == list(range(60, 721, 60)), name
    assert max(Counter(server.taken).values()) == 1


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
