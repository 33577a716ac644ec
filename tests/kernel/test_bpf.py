"""What only the BPF source could get wrong."""

import ctypes
import os
import re
import resource
import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
import zoo
from children import Child, run_as, run_forked, set_comm
from json_documents import json_document
from netns import ip

import zabbix_sockets
from zabbix_sockets import Query, collect, iter_sockets
from zabbix_sockets.model.snapshot import Connection, ListenerSocket, Snapshot
from zabbix_sockets.model.wire import state_name
from zabbix_sockets.readers.bpf import records

CLONE_FILES, CLONE_NEWPID = 0x400, 0x20000000
SYS_CLONE = {"x86_64": 56, "aarch64": 220}

UNSTEADY = (
    *("tcp_memory_bytes", "orphans"),  # the kernel counts them for all network namespaces together
    *("retransmitted_segments", "listen_overflows", "listen_drops"),
)
"""Figures of the host that change while nothing happens in the namespace, or by looking at it."""

_libc = ctypes.CDLL(None, use_errno=True)


def test_objects_are_up_to_date(tmp_path: Path) -> None:
    """The objects in the package are what their source compiles to."""
    folder = Path(zabbix_sockets.__file__).parent / "readers" / "bpf"
    try:
        subprocess.run([folder / "build.sh", tmp_path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"clang, llvm or libbpf-dev is missing: {error}")
    for source in ("sockets", "minisocks", "totals", "totals_without_exchange"):
        for order in ("el", "eb"):
            name = f"{source}.bpf{order}.o"
            assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_objects_name_no_path() -> None:
    """Nothing of the machine that compiled them is in the objects."""
    for path in (Path(zabbix_sockets.__file__).parent / "readers" / "bpf").glob("*.o"):
        assert b".bpf.c" in path.read_bytes()
        assert not re.search(rb"\0/[^\0]*\.bpf\.[ch]\0", path.read_bytes())


def test_two_processes_with_one_descriptor_table(pins: str) -> None:
    """CLONE_FILES without CLONE_THREAD: two owners of each socket, though its file has one user."""
    zoo.listener(port=7102)
    pid = _libc.syscall(SYS_CLONE[os.uname().machine], CLONE_FILES | signal.SIGCHLD, 0, 0, 0, 0)
    if not pid:
        set_comm(b"tablemate")
        while True:
            signal.pause()
    try:

        def renamed() -> bool:
            with open(f"/proc/{pid}/comm") as comm:
                return comm.read() == "tablemate\n"

        zoo.wait_for(renamed, "the other process")
        document = json_document(collect(Query("bpf", netns="own", pins=pins)))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    rows = {row["id"]: row for row in document["processes"]}
    assert rows["tablemate"]["tcp"]["listen"] == 1
    (listener,) = [row for row in document["listeners"] if row["id"] == "tcp/127.0.0.1:7102"]
    assert (listener["sockets"], listener["processes"]) == (1, 2)


def _reads_again(pins: str) -> bool:
    """Whether one look at all files has to be continued because nothing came of a million."""
    fd = records.open_pinned(pins)(records.SOCKET_OWNERS)
    again = False
    while True:
        try:
            if not os.read(fd, 65536):
                break
        except BlockingIOError:
            again = True
    os.close(fd)
    return again


def test_a_million_files_without_a_socket(pins: str) -> None:
    """The kernel answers EAGAIN after a million files that wrote nothing: reading goes on."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    each = min(hard, 1 << 20) - 100
    if each < 10_000:
        pytest.skip(f"a process may have {hard} descriptors only")

    def open_many() -> object:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        null = os.open(os.devnull, os.O_RDONLY)
        for _ in range(each - 10):
            os.dup(null)
        return null

    with ExitStack() as children:
        for _ in range(2_300_000 // each + 1):  # another socket may lie within the first
            children.enter_context(Child(open_many))
        children.enter_context(Child(lambda: zoo.listener(port=7104), b"behind"))
        # A process of somebody else's with a socket may lie among them: try again then.
        again = any(_reads_again(pins) for _ in range(10))
        document = json_document(collect(Query("bpf", netns="own", pins=pins, timeout=60)))
    assert again
    assert "behind" in [row["name"] for row in document["processes"]]


def test_kernel_socket_is_unowned(pins: str) -> None:
    """A VXLAN device's socket belongs to no process, and is not lost."""
    try:
        ip("link", "add", "vx0", "type", "vxlan", "id", "1", "dev", "veth0", "dstport", "4789")
        ip("link", "set", "vx0", "up")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no VXLAN: {error}")
    for source in ("bpf", "sock_diag", "procfs"):
        document = json_document(collect(Query(source, netns="own", pins=pins)))
        ids = [row["id"] for row in document["listeners"]]
        assert "udp/0.0.0.0:4789" in ids
        assert document["collector"]["unowned"] == len(ids) - 1


def test_pids_are_the_readers(pins: str) -> None:
    """Inside a pid namespace the owners have the numbers of that namespace."""

    def inside() -> object:
        server = zoo.listener(port=7103)
        rows = [
            row
            for row in iter_sockets(Query("bpf", netns="own", pins=pins))
            if row.local_port == 7103
        ]
        server.close()
        return [os.getpid(), [owner.pid for row in rows for owner in row.owners]]

    def outside() -> object:
        if _libc.unshare(CLONE_NEWPID):
            raise OSError(ctypes.get_errno(), "unshare")
        return run_as(0, inside, capabilities=("CAP_DAC_READ_SEARCH",))

    list(iter_sockets(Query("bpf", netns="own", pins=pins)))
    assert run_forked(outside) == [1, [1]]


def figures(source: str, pins: str) -> dict[str, object]:
    """Return what a document says of sockets, without what changes by itself."""
    document = json_document(collect(Query(source, netns="own", pins=pins, timeout=30)))
    rows = document["processes"]
    assert isinstance(rows, list)
    for row in rows:
        row.pop("fds_max_pct", None)  # the walk itself opens a descriptor
    host = document["host"]
    assert isinstance(host, dict)
    for name in UNSTEADY:
        host.pop(name)
    names = ("host", "other", "processes", "listeners", "upstreams")
    found = {name: document[name] for name in names}
    for name in names[2:]:
        listed = found[name]
        assert isinstance(listed, list)
        # Whether a list is complete may differ: a process can be closed even to root.
        found[name] = [row for row in listed if row["id"] != "(absent)"]
    return found


def assert_agree(pins: str) -> None:
    """Both sources say the same as soon as nothing changes between two looks."""
    for _ in range(20):
        before = figures("sock_diag", pins)
        iterated = figures("bpf", pins)
        if figures("sock_diag", pins) == before:
            break
    assert iterated == before


def test_agrees_with_sock_diag(pins: str) -> None:
    """Lists and host figures are the same on a quiet host, on every field both have."""
    zoo.everything()
    zoo.unaccepted_and_closed()
    assert_agree(pins)


@pytest.mark.parametrize("state", ["syn_recv", "fin_wait1", "time_wait", "last_ack"])
def test_nothing_but_one_state(pins: str, state: str) -> None:
    """Whether the table of connections has to be scanned is never told wrong."""
    zoo.STATES[state]()
    assert_agree(pins)
    snapshot: Snapshot = collect(Query("bpf", netns="own", pins=pins))
    assert state in {state_name("tcp", each.state) for each in snapshot.connections}


@pytest.mark.parametrize("protocol", [0, zoo.IPPROTO_MPTCP], ids=["tcp", "mptcp"])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("port", [0, 7105], ids=["ephemeral", "fixed"])
def test_accepted_without_a_backlog(pins: str, port: int, address: str, protocol: int) -> None:
    """What listen(0) accepts is inbound from the first look on."""
    try:
        server = zoo.listener(address, port, 0, protocol=protocol)
    except OSError as error:
        pytest.skip(f"no MPTCP: {error}")
    zoo.connect(server, protocol=protocol)
    zoo.hold(server.accept()[0])
    zoo.hold(server.dup())  # the program visits the descriptors in the order of their numbers
    server.close()
    snapshot: Snapshot = collect(Query("bpf", netns="own", pins=pins))
    directions = {each.direction: count for each, count in snapshot.connections.items()}
    assert directions == {"inbound": 1, "outbound": 1}
    assert_agree(pins)


@pytest.mark.parametrize("backlog", [0, 5])
@pytest.mark.parametrize("port", [0, 7106], ids=["ephemeral", "fixed"])
def test_listener_has_closed(pins: str, port: int, backlog: int) -> None:
    """The connections of a listener that is gone: inbound, or as sock_diag guesses."""
    server = zoo.listener("127.0.0.1", port, backlog)
    zoo.pair(server)
    server.close()
    if backlog:
        snapshot: Snapshot = collect(Query("bpf", netns="own", pins=pins))
        assert sorted(each.direction for each in snapshot.connections) == ["inbound", "outbound"]
    else:
        assert_agree(pins)


@pytest.mark.parametrize("port", [0, 7107], ids=["ephemeral", "fixed"])
def test_bound_before_connecting(pins: str, port: int) -> None:
    """A port that bind(2) took, whoever chose it, makes no difference between the sources."""
    server = zoo.listener("127.0.0.1", 7108)
    client = zoo.hold(socket.socket())
    client.bind(("127.0.0.1", port))
    client.connect(server.getsockname())
    zoo.hold(server.accept()[0])
    snapshot: Snapshot = collect(Query("bpf", netns="own", pins=pins))
    assert sorted(each.direction for each in snapshot.connections) == ["inbound", "outbound"]
    assert_agree(pins)


def test_bounded_endpoints_lose_no_count(pins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound on distinct endpoints every connection still counts."""
    monkeypatch.setattr("zabbix_sockets.collector.iterator.record_fold.MAX_ENDPOINTS", 5)
    monkeypatch.setattr("zabbix_sockets.collector.iterator.record_fold.MAX_DISTINCT", 3)
    for number in range(1, 21):
        zoo.pair(zoo.listener(f"127.3.0.{number}"))
    snapshot: Snapshot = collect(Query("bpf", netns="own", pins=pins))
    document = json_document(snapshot)
    (row,) = [row for row in document["processes"] if row["tcp"]["listen"] == 20]
    tcp = row["tcp"]
    assert (tcp["established"], tcp["inbound"], tcp["outbound"]) == (40, 20, 20)
    assert document["lists"]["upstreams"] == 0
    kept = sum(each["established"] for each in document["upstreams"])
    assert kept + document["other"]["upstreams"]["established"] == 20
    assert all(isinstance(each, ListenerSocket) for each in snapshot.listeners)
    assert all(isinstance(each, Connection) for each in snapshot.connections)
