"""Unix sockets: the sources and ss(8) see the same; listeners' rows and processes count them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import netns
import pytest
import ss_unix
import zoo
from children import Child

from zabbix_sockets import Query, build_document, collect
from zabbix_sockets.collector.single_unix import iter_unix_sockets
from zabbix_sockets.document.count import count
from zabbix_sockets.document.listener_row import ListenerRow
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.model.names import unix_name
from zabbix_sockets.model.socket import UnixSocket

SOURCES = ("bpf", "sock_diag", "procfs")
STREAM, SEQPACKET = socket.SOCK_STREAM, socket.SOCK_SEQPACKET
Read = Callable[..., list[UnixSocket]]
Rows = Callable[[str], dict[str, ListenerRow]]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of so short a name that no path in it is cut."""
    with tempfile.TemporaryDirectory(prefix="u", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def read(pins: str) -> Read:
    """Return what reads every unix socket of the namespace as a source has it."""

    def read_by(source: str, expression: str = "") -> list[UnixSocket]:
        query = Query(source=source, netns="own", timeout=30, pins=pins, filter=expression)
        return list(iter_unix_sockets(query))

    return read_by


@pytest.fixture
def rows(pins: str) -> Rows:
    """Return what makes the document's rows of unix listeners, by their addresses."""

    def rows_by(source: str) -> dict[str, ListenerRow]:
        document = build_document(collect(Query(source=source, netns="own", timeout=30, pins=pins)))
        assert document.lists["listeners"]
        assert not document.collector.warnings
        found = [row for row in document.listeners if row.protocol == "unix"]
        assert all(row.id == f"unix/{row.address}" for row in found)
        return {row.address: row for row in found}

    return rows_by


def listening(name: str | bytes, backlog: int = 16, kind: int = STREAM) -> socket.socket:
    """Return a listener that is held."""
    made = zoo.hold(socket.socket(socket.AF_UNIX, kind))
    made.bind(name)
    made.listen(backlog)
    return made


def connect(name: str | bytes, kind: int = STREAM) -> socket.socket:
    """Return a client that is held."""
    made = zoo.hold(socket.socket(socket.AF_UNIX, kind))
    made.setblocking(False)
    made.connect(name)
    return made


def accept(listener: socket.socket) -> socket.socket:
    """Return an accepted connection that is held."""
    made, _ = listener.accept()
    return zoo.hold(made)


@pytest.fixture
def everything(folder: Path) -> None:
    """Have sockets of every kind: names of all sorts, queues, pairs, an unlinked path."""
    full = listening(str(folder / "full.sock"), 3)
    for _ in range(4):
        connect(str(folder / "full.sock"))
    with pytest.raises(BlockingIOError):
        connect(str(folder / "full.sock"))
    accept(full)
    packets = listening(b"\0packets\0of many", 1, SEQPACKET)
    client = connect(b"\0packets\0of many", SEQPACKET)
    accept(packets)
    client.send(b"unread")
    for _ in range(2):
        path = str(folder / "twice")
        accepting = listening(path)
        connect(path)
        accept(accepting)
        os.unlink(path)
    listening("")  # the kernel picks a name
    named = zoo.hold(socket.socket(socket.AF_UNIX))
    named.bind(str(folder / "client"))
    named.connect(str(folder / "full.sock"))
    for kind in (STREAM, SEQPACKET, socket.SOCK_DGRAM):
        for end in socket.socketpair(socket.AF_UNIX, kind):
            zoo.hold(end)
    zoo.hold(socket.socket(socket.AF_UNIX))
    zoo.hold(socket.socket(socket.AF_UNIX)).bind(str(folder / "bound"))


@pytest.mark.parametrize("source", ["bpf", "sock_diag"])
@pytest.mark.usefixtures("everything")
def test_agrees_with_ss(read: Read, source: str) -> None:
    """Every row, every field: type, state, queue, backlog, name, inode, peer, owners."""
    with Child(lambda: None, b"heir"):
        lines = ss_unix.read_ss()
        assert len(lines) > 15
        assert {len(line.pids) for line in lines} == {2}
        assert sorted(map(ss_unix.as_ss, read(source))) == lines


@pytest.mark.usefixtures("everything")
def test_procfs_agrees_with_ss(read: Read) -> None:
    """The same but for backlogs and peers; what waits to be accepted has no inode.

    Of two listeners with one path their queues aren't known.
    """
    seen = [ss_unix.as_ss(each) for each in read("procfs") if each.inode]
    expected = [ss_unix.expected_of_procfs(line) for line in ss_unix.read_ss()]
    expected = [
        line._replace(accept_queue=None)
        if line.state == "LISTEN" and line.name.endswith("twice")
        else line
        for line in expected
    ]
    assert sorted(seen, key=str) == sorted(expected, key=str)


def as_ss_has_it(address: str) -> str:
    """Return the address of a row with "@" for a NUL, as ss and /proc/net/unix have names."""
    return address.replace("%00", "@").replace("%40", "@")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.usefixtures("everything")
def test_listeners_agree_with_ss(rows: Rows, source: str) -> None:
    """`ss -xl`: each listener has a row, with its queue, its backlog and its owner."""
    found = rows(source)
    lines = [line for line in ss_unix.read_ss() if line.state == "LISTEN"]
    by_name: dict[str, list[ss_unix.SsUnix]] = {}
    for line in lines:
        by_name.setdefault(line.name, []).append(line)
    assert {as_ss_has_it(address) for address in found} == by_name.keys()
    for address, row in found.items():
        same = by_name[as_ss_has_it(address)]
        assert row.sockets == len(same)
        assert row.processes == 1
        if source != "procfs":
            assert row.accept_queue == sum(line.accept_queue or 0 for line in same)
            assert row.backlog == sum(line.backlog or 0 for line in same)


@pytest.mark.parametrize("source", SOURCES)
def test_queue(rows: Rows, folder: Path, source: str) -> None:
    """A full queue is one more than the backlog; connections are those accepted or in it."""
    path = str(folder / "x")
    listener = listening(path, 3)
    for waiting in range(5):
        row = rows(source)[path]
        assert (row.accept_queue, row.established) == (min(waiting, 4), min(waiting, 4))
        if waiting < 4:
            connect(path)
    if source != "procfs":
        assert (row.accept_queue_pct, row.backlog) == (100.0, 3)
    else:
        assert row.accept_queue_pct is None
    accept(listener)
    row = rows(source)[path]
    assert (row.accept_queue, row.established) == (3, 4)


@pytest.mark.parametrize("source", SOURCES)
def test_path_bound_twice(rows: Rows, folder: Path, source: str) -> None:
    """After an unlink there are two listeners in a row; what a closed one accepted is in none.

    /proc/net/unix has names alone, and can't tell what is whose.
    """
    path = str(folder / "x")
    old = listening(path, 3)
    connect(path)
    accept(old)
    os.unlink(path)
    new = listening(path, 5)
    row = rows(source)[path]
    assert row.sockets == 2
    if source != "procfs":
        assert (row.established, row.backlog) == (1, 8)
    else:
        assert row.established is None
    old.close()
    row = rows(source)[path]
    assert row.sockets == 1
    if source != "procfs":
        assert row.established == 0
    connect(path)
    accept(new)
    assert rows(source)[path].established == (2 if source == "procfs" else 1)


@pytest.mark.parametrize("source", ["bpf", "sock_diag"])
@pytest.mark.parametrize(
    "name",
    [
        b"line\nfeed",
        b"\xff\xfe",
        b"\"quotes'`",
        b"{$MACRO}",
        b"@at",
        b"\0abstract\n\0",
        b"\0" + b"\xff" * 107,
        b"x" * 107,
        b" space ",
        b"%25",
        b"\x1b[2J",
    ],
)
def test_hostile_names(
    rows: Rows,
    read: Read,
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    source: str,
    name: bytes,
) -> None:
    """Any bytes are a name, whole in what is read and safe in what is said."""
    monkeypatch.chdir(folder)
    accepting = listening(name)
    connect(name)
    accept(accepting)
    (found,) = rows(source).values()
    assert (found.address, found.established) == (unix_name(name), 1)
    assert {each.name for each in read(source)} == {name, b""}


def test_line_feed_in_procfs(rows: Rows, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """There a name ends at its line feed, and whatever follows breaks nothing."""
    monkeypatch.chdir(folder)
    listening(b"one\ntwo: 3\n")
    listening(b"other")
    assert rows("procfs").keys() == {"one", "other"}


@pytest.mark.parametrize("source", SOURCES)
def test_autobound(rows: Rows, source: str) -> None:
    """A name that the kernel has picked is marked as one that seldom lasts."""
    listening("")
    listening("\0mine")
    found = rows(source)
    assert found.pop("@mine").ephemeral == 0
    assert [row.ephemeral for row in found.values()] == [1]


@pytest.mark.parametrize("source", SOURCES)
def test_both_ends(read: Read, folder: Path, source: str) -> None:
    """A connection shows the processes at both ends, and which one listened."""
    path = str(folder / "x")
    listener = listening(path)

    def client() -> object:
        made = socket.socket(socket.AF_UNIX)
        made.connect(path)
        return made

    with Child(client, b"client") as child:
        ours = accept(listener)
        inodes = {os.fstat(each.fileno()).st_ino for each in (listener, ours)}
        found = {each.direction: each for each in read(source)}
        inbound, outbound = found["inbound"], found.get("outbound") or found["unknown"]
        assert {inbound.inode, found[None].inode} == inodes
        assert [owner.name for owner in outbound.owners] == ["client"]
        if source == "procfs":
            assert inbound.peer is None
        else:
            assert inbound.peer
            assert outbound.peer
            assert inbound.peer.owners == outbound.owners
            assert outbound.peer.owners == inbound.owners
            assert outbound.peer.name == os.fsencode(path)
        assert child.pid == outbound.owners[0].pid


@pytest.mark.parametrize("source", SOURCES)
def test_processes(pins: str, folder: Path, source: str) -> None:
    """Processes count what listens and what is connected; what several share counts once."""
    path = str(folder / "x")
    listener = listening(path)
    query = Query(source=source, netns="own", timeout=30, pins=pins)

    def client() -> object:
        made = socket.socket(socket.AF_UNIX)
        made.connect(path)
        return made, socket.socketpair()

    with Child(client, b"client"):
        accept(listener)
        with Child(lambda: None, b"heir"):
            snapshot = collect(query)
    counts = {
        name: [count(snapshot, name, "unix", state) for state in ("listen", "connected")]
        for name in ("client", "heir")
    }
    assert counts == {"client": [1, 3], "heir": [1, 1]}  # forks of ours hold the listener, too
    row = next(row for row in build_document(snapshot).processes if row.id == "heir")
    assert row.unix == {"listen": 1, "connected": 1}
    assert (row.sockets, row.instances, row.settled) == (0, 1, 1)


@pytest.mark.parametrize("source", SOURCES)
def test_other_namespaces(pins: str, source: str) -> None:
    """A listener of another namespace has that one's label; an abstract name is of each its own."""
    listening("\0x")

    def elsewhere() -> object:
        netns.enter(netns.path_of("unix-elsewhere"))
        made = socket.socket(socket.AF_UNIX)
        made.bind("\0x")
        made.listen(1)
        return made

    with (
        netns.named("unix-elsewhere"),
        Child(elsewhere, b"elsewhere"),
    ):
        snapshot = collect(Query(source=source, timeout=30, pins=pins))
        found = {row.id: row for row in build_document(snapshot).listeners}
    assert found["unix/@x"].netns == ""
    assert found["unix/@x@unix-elsewhere"].process == "elsewhere"


@pytest.mark.parametrize("source", SOURCES)
def test_filter(read: Read, source: str) -> None:
    """States and processes are decided; ports and devices can't be, which is an error."""
    listening("\0x")
    client = connect("\0x")
    assert [each.state for each in read(source, "state listening")] == [10]
    assert [
        each.inode
        for each in read(source, f"pid {os.getpid()} and state established")
        if each.inode
    ] == [os.fstat(client.fileno()).st_ino]
    assert read(source, f"not pid {os.getpid()}") == [] or source == "procfs"
    for expression in ("sport = 80", "src 127.0.0.1", "dev lo", "fwmark 1", "cgroup /"):
        with pytest.raises(UsageError, match="can't be decided for unix sockets"):
            read(source, expression)


def test_command(pins: str) -> None:
    """`show sockets --protocol unix` has both ends; without it there are TCP and UDP alone."""
    listener = listening("\0x")
    connect("\0x")
    accept(listener)
    command = [sys.executable, "-I", "-m", "zabbix_sockets", "show", "sockets", "--pins", pins]

    def shown(*options: str) -> str:
        return subprocess.run(
            [*command, *options], check=True, capture_output=True, text=True
        ).stdout

    assert "@x" not in shown()
    assert shown("--protocol", "tcp") == shown()
    lines = shown("--protocol", "unix").splitlines()
    assert "PEER" in lines[0]
    assert sum("@x" in line for line in lines) == 3
    assert (
        sum("@x" in line for line in shown("--protocol", "unix", "--state", "listen").splitlines())
        == 1
    )
    both = shown("--protocol", "unix", "--protocol", "udp", "--json")
    assert both.count('"remote_owners"') == 2
