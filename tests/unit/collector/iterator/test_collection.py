"""A Snapshot by the iterator and netlink, with a fault at each of the two.

The iterator is a file with records, the netlink one made by hand.
"""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from json_documents import json_document

from zabbix_sockets import Query, Snapshot, collect, iter_sockets
from zabbix_sockets.collector.iterator import collection, unseen
from zabbix_sockets.document.completeness import unread_protocols
from zabbix_sockets.model.addresses import fold_address
from zabbix_sockets.model.errors import (
    DeadlineError,
    ParseError,
    SocketsError,
    SourceUnavailableError,
)
from zabbix_sockets.model.snapshot import NOBODY
from zabbix_sockets.model.wire import Table
from zabbix_sockets.readers.bpf import records as bpf
from zabbix_sockets.readers.bpf.minisocks import LOCAL_END, MINISOCK

from ...proctree import ProcTree, number_of  # noqa: TID252  # a test folder is no package
from ..fakes import (  # noqa: TID252  # a test folder is no package
    AF_INET6,
    TCP,
    UDP,
    FakeTables,
    Step,
    maker,
    row,
)

LISTEN, TIME_WAIT = 10, 6
LOCAL = socket.inet_aton("127.0.0.1")
SERVER, CLIENT = 20, 21
FAULTS = [
    ParseError("netlink message", b"?"),
    SourceUnavailableError("the kernel refused the dump"),
    OSError(105, "No buffer space available"),
]
names = [type(each).__name__ for each in FAULTS]


def record(netns: int, pid: int, kind: int, inode: int, **fields: Any) -> bytes:
    """Return a record: a listener on 127.0.0.1:80, or a connection to it."""
    listening = kind == bpf.KIND_LISTENER
    end = bpf.SOCKET.pack(
        *(pid, netns, 0, fields.get("uid", 5), kind, LISTEN if listening else 1, 6, 0),
        *(80 if listening else 0, 0 if listening else 80, 0),
        *(b"server" if listening else b"client", LOCAL * (1 if listening else 2)),
        *(0, 128 if listening else 0, inode, 5, 1024, fields.get("requests", 0)),
    )
    return end + bytes(bpf.QUALITY.size)


class IteratedHost:
    """A host whose iterator tells of a listener of one process, and a connection of another."""

    def __init__(self, root: Path) -> None:
        self.proc = ProcTree(root / "proc")
        self.proc.add(SERVER, b"server", [10])
        self.proc.add(CLIENT, b"client", [11])
        self.netns = number_of(self.proc.own)
        (self.proc.root / "net/snmp").write_text("Tcp: CurrEstab\nTcp: 1\n")
        self.pins = root / "pins"
        self.pins.mkdir()
        self.scripts: dict[Table, list[list[Step]]] = {
            TCP: [[[row(10, LISTEN, 80, 0), row(0, TIME_WAIT, 40001, 80)], [row(11, 1, 40000, 80)]]]
        }
        self.tables = FakeTables(self.scripts)
        records = [
            record(self.netns, SERVER, bpf.KIND_LISTENER, 10),
            record(self.netns, CLIENT, bpf.KIND_OUTBOUND, 0),
        ]
        self.write(b"".join(records))

    def write(self, records: bytes) -> None:
        """Let the iterators tell this."""
        owners = bpf.OWNER.pack(SERVER, 10, 5, b"server")
        owners += bpf.OWNER.pack(CLIENT, 11, 5, b"client")
        told = dict.fromkeys(bpf.PROGRAMS, b"") | {
            bpf.COUNT_SOCKETS: records,
            bpf.SOCKET_OWNERS: owners,
        }
        for program, words in told.items():
            Path(bpf.pin_path(str(self.pins), program)).write_bytes(words)

    def query(self, netns: str = "own", **query: Any) -> Query:
        """Return a query of this host."""
        return Query(None, 600, str(self.proc), str(self.pins), netns=netns, **query)

    def collect(self, netns: str = "own", **query: Any) -> Snapshot:
        """Return the Snapshot."""
        return collect(self.query(netns, **query))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IteratedHost:
    """Return the host."""
    monkeypatch.setattr(
        "zabbix_sockets.readers.bpf.records.why_kernel_cannot", lambda: "no BPF here"
    )
    made = IteratedHost(tmp_path)
    monkeypatch.setattr("zabbix_sockets.collector.table_readers.NetlinkTables", maker(made.tables))
    return made


def numbers(snapshot: Snapshot) -> tuple[int, int]:
    """Return how many listeners and connections there are."""
    return len(snapshot.listeners), sum(snapshot.connections.values())


def pin_minisocks(host: IteratedHost, data: bytes) -> None:
    """Let the iterator of sockets without a file tell this."""
    Path(bpf.pin_path(str(host.pins), bpf.COUNT_MINISOCKS)).write_bytes(data)


def say_time_wait(host: IteratedHost, count: int) -> None:
    """Let the kernel count so many sockets in TIME_WAIT; one is established."""
    (host.proc.root / "net/sockstat").write_text(
        f"TCP: inuse 2 orphan 0 tw {count} alloc 2 mem 0\n"
    )


def test_few_in_time_wait(host: IteratedHost) -> None:
    """Where most sockets are established, netlink tells, which takes less time for these."""
    pin_minisocks(host, b"not to be read")
    (host.proc.root / "net/snmp").write_text("Tcp: CurrEstab\nTcp: 3\n")
    say_time_wait(host, 2)
    snapshot = host.collect()
    assert json_document(snapshot)["host"]["tcp"]["time_wait"] == 1
    assert snapshot.visibility.warnings == []


def minisock(state: int) -> bytes:
    """Return a record of a socket without a file at the listener on 127.0.0.1:80."""
    return MINISOCK.pack(LOCAL_END, state, 0, 80, 0, fold_address(LOCAL), 0, b"")


def lists(snapshot: Snapshot) -> dict[str, int]:
    """Return which lists of the document are complete."""
    document: dict[str, Any] = json_document(snapshot)
    for name, complete in document["lists"].items():
        assert [each["id"] for each in document[name]].count("(absent)") == complete
    return document["lists"]  # type: ignore[no-any-return]


def test_both_together(host: IteratedHost) -> None:
    """What the iterator tells, and of netlink what it can't see."""
    snapshot = host.collect()
    assert (snapshot.visibility.source, snapshot.visibility.warnings) == ("bpf", [])
    assert numbers(snapshot) == (1, 2)
    assert set(lists(snapshot).values()) == {1}


def test_sockets_without_a_file(host: IteratedHost) -> None:
    """Where their iterator is pinned it tells of them, and netlink of listeners alone."""
    pin_minisocks(host, minisock(TIME_WAIT) * 5)
    say_time_wait(host, 5)
    host.scripts[TCP] = [[[row(10, LISTEN, 80, 0)]]]
    snapshot = host.collect()
    assert numbers(snapshot) == (1, 6)
    assert host.tables.states == [1 << LISTEN]
    assert json_document(snapshot)["host"]["tcp"]["time_wait"] == 5
    assert set(lists(snapshot).values()) == {1}


def test_sockets_without_a_file_are_cut(host: IteratedHost) -> None:
    """If their iterator fails, what it told by then counts, and no list is complete."""
    pin_minisocks(host, minisock(TIME_WAIT) * 5 + b"half")
    say_time_wait(host, 5)
    host.scripts[TCP] = [[[row(10, LISTEN, 80, 0), row(30, LISTEN, 81, 0)]]]
    snapshot = host.collect()
    assert (snapshot.visibility.source, numbers(snapshot)) == ("bpf", (2, 6))
    assert unread_protocols(snapshot.visibility.gaps) == {"tcp"}
    assert any("without a descriptor" in each for each in snapshot.visibility.warnings)


@pytest.mark.parametrize("fault", FAULTS, ids=names)
@pytest.mark.parametrize(("table", "protocol"), [(TCP, "tcp"), (UDP, "udp")])
def test_netlink_fails(host: IteratedHost, table: Table, protocol: str, fault: Exception) -> None:
    """The iterator's sockets are there all the same; no list is complete, and it is said why."""
    host.scripts[table] = [[fault]]
    if isinstance(fault, SourceUnavailableError):  # then it would be read from here
        for name in ("tcp", "udp", "udp6"):
            (host.proc.root / "net" / name).unlink()
    snapshot = host.collect()
    assert (snapshot.visibility.source, snapshot.visibility.reason) == ("bpf", "")
    assert unread_protocols(snapshot.visibility.gaps) == {protocol}
    assert len(snapshot.processes) == 2
    assert any(each.startswith(f"{protocol}: ") for each in snapshot.visibility.warnings)
    assert set(lists(snapshot).values()) == {0}
    assert protocol not in json_document(snapshot)["host"]


@pytest.mark.parametrize("fault", [*FAULTS, DeadlineError("late")], ids=[*names, "deadline"])
@pytest.mark.parametrize("table", [TCP, UDP, UDP._replace(family=AF_INET6)])
def test_netlink_fails_half_way(host: IteratedHost, table: Table, fault: Exception) -> None:
    """What came by then counts once; nothing is counted again."""
    rows = [row(10, LISTEN, 80, 0)] if table == TCP else [row(30, 7, 53, 0)]
    host.scripts[table] = [[rows, fault]]
    snapshot = host.collect()
    assert snapshot.visibility.source == "bpf"
    assert unread_protocols(snapshot.visibility.gaps) == {table.protocol}
    listeners, connections = numbers(snapshot)
    assert listeners == (1 if table == TCP else 2)
    assert connections == (1 if table == TCP else 2)


@pytest.mark.parametrize("fault", [*FAULTS[:3], OSError(5, "Input/output error")])
def test_fallback_counts_nothing_twice(
    host: IteratedHost, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """A failure after the iterator's Snapshot was filled leaves nothing of it behind."""
    move = unseen.Unseen.move

    def fail(*arguments: Any) -> None:
        move(*arguments)
        raise SourceUnavailableError(str(fault))

    monkeypatch.setattr(unseen.Unseen, "move", fail)
    snapshot = host.collect()
    assert snapshot.visibility.source == "sock_diag"
    assert snapshot.visibility.degraded
    assert numbers(snapshot) == (1, 2)
    assert {each.name for each in snapshot.processes} == {"client", "server"}


def test_iterator_fails(host: IteratedHost) -> None:
    """Half a record: the tables tell instead, and nothing of the records is left."""
    host.write(record(host.netns, SERVER, bpf.KIND_LISTENER, 10) + b"half")
    snapshot = host.collect()
    assert snapshot.visibility.source == "sock_diag"
    assert snapshot.visibility.reason.startswith("bpf: the iterator failed")
    assert numbers(snapshot) == (1, 2)
    assert set(lists(snapshot).values()) == {1}


def test_a_file_that_makes_no_sense_in_the_end(
    host: IteratedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can't be understood after the records have come is a failure like one before."""

    def fail(_proc: str) -> int:
        raise ParseError("/proc/net/snmp", b"nonsense")

    monkeypatch.setattr(collection, "read_current_established", fail)
    snapshot = host.collect()
    assert snapshot.visibility.source == "sock_diag"
    assert "nonsense" in snapshot.visibility.reason
    assert numbers(snapshot) == (1, 2)


def test_lowest_uid_of_nobodys_sockets(host: IteratedHost) -> None:
    """It is the lowest of all tables, as with the other sources."""
    system = (*row(0, TIME_WAIT, 40001, 80)[:8], 0, 0)
    user = (*row(0, TIME_WAIT, 40001, 80)[:8], 1000, 0)
    host.scripts[TCP] = [[[system]]]
    host.scripts[TCP._replace(family=AF_INET6)] = [[[(*user[:3], LOCAL * 4, LOCAL * 4, *user[5:])]]]
    assert host.collect().uids[NOBODY] == 0


def test_host_figures_that_cannot_be(host: IteratedHost) -> None:
    """They are left out, and all else is answered."""
    (host.proc.root / "net/netstat").write_text("TcpExt: A B\nTcpExt: 1\n")
    snapshot = host.collect()
    assert snapshot.host.listen_drops is None
    assert any("netstat" in each for each in snapshot.visibility.warnings)
    assert numbers(snapshot) == (1, 2)


def test_hidden_port_range(host: IteratedHost) -> None:
    """What is assumed instead is said."""
    (host.proc.root / "sys/net/ipv4/ip_local_port_range").unlink()
    snapshot = host.collect()
    assert any("ip_local_port_range" in each for each in snapshot.visibility.warnings)


def test_approximate_rest(host: IteratedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """UDP that kept changing while it was read from /proc/net may be missing in the lists."""
    host.scripts[UDP] = [[SourceUnavailableError("no diag module")]]
    monkeypatch.setattr("zabbix_sockets.readers.proc.net_tables.UDP_READS", 1)
    snapshot = host.collect()
    assert unread_protocols(snapshot.visibility.gaps) == {"udp"}
    assert set(lists(snapshot).values()) == {0}


def test_no_time_to_look_for_a_namespace(
    host: IteratedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is incomplete, not an error: of what is asked for nothing is known."""

    def late(*_: object) -> None:
        raise DeadlineError("timed out")

    monkeypatch.setattr("zabbix_sockets.collector.namespaces.find", late)
    snapshot = host.collect("web")
    document: dict[str, Any] = json_document(snapshot)
    assert set(lists(snapshot).values()) == {0}
    assert [document[name] for name in document["lists"]] == [[], [], []]
    assert document["host"]["tcp"]["listen"] == 1


def test_no_such_namespace(host: IteratedHost) -> None:
    """With the time to look it is an error."""
    with pytest.raises(SocketsError, match="no network namespace 'web'"):
        host.collect("web")


def test_no_time_for_a_known_namespace(host: IteratedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose sockets were read is known by its number, however late it is."""

    def late(*_: object) -> None:
        raise DeadlineError("timed out")

    monkeypatch.setattr("zabbix_sockets.collector.namespaces.find", late)
    host.write(record(9, SERVER, bpf.KIND_LISTENER, 10))
    snapshot = host.collect("9")
    assert [each.netns for each in snapshot.listed().listeners] == [9]
    assert set(lists(snapshot).values()) == {0}


def unload(pins: Path) -> None:
    """Take the iterators away after they were found."""
    for program in bpf.PROGRAMS:
        Path(bpf.pin_path(str(pins), program)).unlink()


def half(program: str) -> Callable[[IteratedHost], object]:
    """Return what makes an iterator end within a record."""
    return lambda host: Path(bpf.pin_path(str(host.pins), program)).write_bytes(b"half")


@pytest.mark.parametrize(
    "break_it",
    [lambda host: unload(host.pins), half(bpf.SOCKET_OWNERS), half(bpf.INFORM_SOCKETS)],
    ids=["unloaded", "owners", "tcp_info"],
)
def test_single_sockets_fall_back(
    host: IteratedHost,
    monkeypatch: pytest.MonkeyPatch,
    break_it: Callable[[IteratedHost], object],
) -> None:
    """`show sockets` has the owners from /proc when the iterators fail or are unloaded."""
    choose = bpf.open_pinned

    def open_pinned(directory: str) -> bpf.Opener:
        opener = choose(directory)
        break_it(host)
        return opener

    monkeypatch.setattr("zabbix_sockets.readers.bpf.records.open_pinned", open_pinned)
    sockets = list(iter_sockets(host.query(tcp_info=True)))
    owners = {each.inode: [owner.name for owner in each.owners] for each in sockets}
    assert owners == {10: ["server"], 11: ["client"], 0: []}
