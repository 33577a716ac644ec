"""Snapshots and lists of sockets, from a /proc made of files and a netlink made by hand."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from json_documents import json_document

from zabbix_sockets import Query, Snapshot, collect, iter_sockets
from zabbix_sockets.document.completeness import unread_protocols
from zabbix_sockets.model import gaps
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, ParseError
from zabbix_sockets.model.snapshot import NOBODY, UNOWNED, HostCounters, PortRange

from ..proctree import ProcTree  # noqa: TID252  # a test folder is no installed package
from .fakes import AF_INET, TCP, UDP, FakeTables, Step, maker, row

SERVER = [3897262, 3897264, 3897267, 3897270, 3897272, 3897275, 3897277]
CLIENT = [3897263, 3897265, 3897271, 3897276]

Reader = Callable[[list[list[Step]]], FakeTables]

little_endian = pytest.mark.skipif(
    sys.byteorder == "big", reason="the captures were made on a little-endian machine"
)


@pytest.fixture
def proc(tmp_path: Path) -> ProcTree:
    """The captured sockets, held by a server and its client."""
    proc = ProcTree(tmp_path)
    proc.add(20, b"server", SERVER, fds_limit=200)
    proc.add(21, b"client", CLIENT, age=60)
    return proc


@pytest.fixture
def netlink(monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Return what gives netlink its scripts for the IPv4 TCP table."""
    monkeypatch.setattr(
        "zabbix_sockets.readers.bpf.records.why_kernel_cannot", lambda: "no BPF here"
    )

    def give(scripts: list[list[Step]]) -> FakeTables:
        tables = FakeTables({TCP: scripts})
        monkeypatch.setattr("zabbix_sockets.collector.table_readers.NetlinkTables", maker(tables))
        return tables

    return give


def from_netlink(proc: ProcTree) -> Snapshot:
    """Collect with netlink."""
    return collect(Query("sock_diag", 600, str(proc), netns="own"))


def from_files(proc: ProcTree) -> Snapshot:
    """Collect without netlink."""
    return collect(Query("procfs", 600, str(proc), netns="own"))


@little_endian
def test_captured_host(proc: ProcTree) -> None:
    """Every captured socket is counted with its owner, and the host's figures are there."""
    snapshot = from_files(proc)
    assert (snapshot.visibility.source, unread_protocols(snapshot.visibility.gaps)) == (
        "procfs",
        set(),
    )
    assert len(snapshot.listeners) == 6
    assert sum(snapshot.connections.values()) == 12
    assert snapshot.ports == PortRange(32768, 60999, 28232)
    assert snapshot.host.retransmitted_segments == 0
    assert snapshot.host != HostCounters()
    names = {
        snapshot.processes[index].name for members in snapshot.owners.values() for index in members
    }
    assert names == {"server", "client"}


@little_endian
def test_captured_document(proc: ProcTree) -> None:
    """The document of the capture says what was set up for it."""
    document = json_document(from_files(proc))
    rows = document["processes"]
    assert isinstance(rows, list)
    client, server, _ = sorted(rows, key=lambda row: str(row["id"]).replace("(", "~"))
    assert (server["tcp"]["listen"], server["tcp"]["inbound"], server["udp"]["bound"]) == (4, 1, 2)
    assert (client["tcp"]["outbound"], client["udp"]["connected"]) == (3, 1)
    assert (server["settled"], client["settled"]) == (1, 0)
    assert server["fds_max_pct"] == 5.5
    listeners = document["listeners"]
    assert isinstance(listeners, list)
    established = {row["id"]: row["established"] for row in listeners}
    assert established["tcp/127.0.0.1:7801"] == 2
    assert established["tcp/[::]:7804"] == 1
    collector = document["collector"]
    assert isinstance(collector, dict)
    assert (collector["unaccepted"], collector["unowned"]) == (4, 0)
    assert document["complete"] == 1


@little_endian
def test_captured_sockets(proc: ProcTree) -> None:
    """Every captured socket is listed once, with its direction and its owners."""
    sockets = list(iter_sockets(Query("procfs", 600, str(proc), netns="own")))
    assert len(sockets) == 18
    assert {each.device for each in sockets} == {None}  # /proc/net tells none
    owners = {each.inode: each.owners for each in sockets if each.inode}
    assert {inode for inode, (owner,) in owners.items() if owner == (20, "server")} == set(SERVER)
    assert {inode for inode, (owner,) in owners.items() if owner == (21, "client")} == set(CLIENT)
    assert all(not each.owners for each in sockets if not each.inode)
    directions = {each.inode: each.direction for each in sockets}
    assert (directions[3897262], directions[3897263], directions[3897264]) == (
        *(None, "outbound", "inbound"),
    )
    (mapped,) = (each for each in sockets if each.recv_queue == 3)
    assert mapped.direction == "inbound"
    assert mapped.local_address == socket.inet_pton(socket.AF_INET6, "::ffff:127.0.0.1")


def test_deadline_within_a_table(proc: ProcTree, netlink: Reader) -> None:
    """Past the deadline what was counted stays, and the protocol is not called complete."""
    netlink([[[row(SERVER[0]), row(99)], DeadlineError("late")]])
    snapshot = from_netlink(proc)
    assert sum(snapshot.connections.values()) == 2
    assert unread_protocols(snapshot.visibility.gaps) == {"tcp"}
    assert snapshot.owners


def test_deadline_before_a_table(proc: ProcTree, netlink: Reader) -> None:
    """A table that could not be begun leaves nothing, and spoils no other protocol."""
    netlink([[DeadlineError("late")]])
    snapshot = from_netlink(proc)
    assert snapshot.connections == {}
    assert unread_protocols(snapshot.visibility.gaps) == {"tcp"}


def test_no_time_at_all(proc: ProcTree) -> None:
    """Without any time the answer is that nothing is known, and still a Snapshot."""
    snapshot = collect(Query("procfs", 0.0, str(proc), netns="own"))
    assert unread_protocols(snapshot.visibility.gaps) == {"tcp", "udp"}
    assert snapshot.visibility.has_gap(gaps.UNASKED)
    assert json_document(snapshot)["complete"] == 0


def test_repeated_rows_are_listed_once(proc: ProcTree, netlink: Reader) -> None:
    """A socket that the kernel shows twice is one; those without an inode are each one."""
    netlink([[[row(5), row(0), row(5)], [row(5), row(0)]]])
    inodes = [each.inode for each in iter_sockets(Query("sock_diag", 600, str(proc), netns="own"))]
    assert inodes == [5, 0, 0]


@pytest.mark.parametrize("error", [DeadlineError("late"), ParseError("netlink message", b"?")])
def test_list_is_whole_or_an_error(proc: ProcTree, netlink: Reader, error: Exception) -> None:
    """A list of sockets that can't be finished is an error, never a shorter list."""
    netlink([[[row(5)], error]])
    with pytest.raises(type(error)):
        list(iter_sockets(Query("sock_diag", 600, str(proc), netns="own")))


def test_directions_in_a_list(proc: ProcTree, netlink: Reader) -> None:
    """A connection to a listener's port is inbound, to an ephemeral one unknown, else outbound."""
    netlink(
        [[[row(1, 10, 80, 0), row(2, 1, 80, 40000), row(3, 1, 81, 40000), row(4, 1, 40000, 80)]]]
    )
    sockets = list(iter_sockets(Query("sock_diag", 600, str(proc), netns="own")))
    directions = [each.direction for each in sockets]
    assert directions == [None, "inbound", "unknown", "outbound"]
    assert [each.accept_queue for each in sockets] == [0, None, None, None]
    assert {each.device for each in sockets} == {""}


def test_approximate_table_is_not_complete(proc: ProcTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every look at UDP differed its lists are not called complete."""
    monkeypatch.setattr(
        "zabbix_sockets.collector.sources.Plan.is_exact", lambda _, table: table != UDP
    )
    assert unread_protocols(from_files(proc).visibility.gaps) == {"udp"}


def test_walk_that_ran_out_of_time(proc: ProcTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not every process was asked, owners are not called complete; sockets are."""
    whole = Deadline.part

    def part(deadline: Deadline, share: float) -> Deadline:
        return whole(deadline, 0 * share)

    monkeypatch.setattr(Deadline, "part", part)
    snapshot = from_files(proc)
    assert snapshot.visibility.has_gap(gaps.UNASKED)
    assert unread_protocols(snapshot.visibility.gaps) == set()
    assert {each.owner for each in snapshot.connections} == {NOBODY, UNOWNED}


def test_limits_of_holders_only(proc: ProcTree) -> None:
    """Descriptor limits are read for the processes that hold sockets of these tables."""
    proc.add(22, b"dbus", [123456])
    snapshot = from_files(proc)
    limits = {snapshot.processes[at].name: limit for at, limit in snapshot.fds_limits.items()}
    if sys.byteorder == "little":
        assert limits == {"server": 200, "client": 1024}


def test_families(proc: ProcTree, netlink: Reader) -> None:
    """Each protocol is read in both families of the caller's namespace."""
    tables = netlink([[]])
    from_netlink(proc)
    read = [(table.protocol, table.family == AF_INET) for table, _ in tables.reads]
    assert sorted(read) == [("tcp", False), ("tcp", True), ("udp", False), ("udp", True)]
    assert all(not table.netns for table, _ in tables.reads)
