"""Several network namespaces in one Snapshot: what is read, and whose it is."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from json_documents import json_document

from zabbix_sockets.document.completeness import unread_protocols
from zabbix_sockets.model import gaps
from zabbix_sockets.model.errors import ParseError, SocketsError, SourceUnavailableError
from zabbix_sockets.model.snapshot import FIRST_OWNER, UNOWNED
from zabbix_sockets.model.wire import TABLES

from ...proctree import key_of, number_of  # noqa: TID252  # a test folder is no package
from ..fakes import TCP, UDP, Step, row  # noqa: TID252  # a test folder is no package
from ..hosts import (  # noqa: TID252  # a test folder is no package
    ADMIN,
    LISTEN,
    Host,
    counts,
    holders,
    line,
)


def test_namespaces_are_read_one_after_another(host: Host) -> None:
    """Each namespace has its own sockets, by its own netlink socket, with the host's owners."""
    number = number_of(host.add_netns("web", 30))
    host.proc.add(20, b"own", [200])
    host.scripts[TCP] = [[[row(200), row(7)]]]
    host.scripts[TCP._replace(netns=number)] = [[[row(300), row(301), row(200)]]]
    snapshot = host.collect()
    assert counts(snapshot) == {0: 2, number: 2}  # inode 200 was counted already
    assert holders(snapshot, number) == {30}
    assert host.entered == [host.path(30)]
    assert host.closed_inside == [1]  # it is left when all is done there
    assert snapshot.namespaces[number].ports is not None
    assert (snapshot.skipped, unread_protocols(snapshot.visibility.gaps)) == (set(), set())


def test_namespace_that_cannot_be_read_is_left(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails when a namespace has just been entered doesn't leave the thread in it."""

    def fail(_proc: str) -> NoReturn:
        raise ParseError("ip_local_port_range", "")

    monkeypatch.setattr("zabbix_sockets.collector.visits.read_port_range", fail)
    number = number_of(host.add_netns("web", 30))
    snapshot = host.collect()  # looks whether it has been left
    assert host.entered == [host.path(30)]
    assert any(str(number) in each for each in snapshot.visibility.warnings)


def test_own_alone(host: Host) -> None:
    """Who asks for the own namespace pays for no other one."""
    host.add_netns("web", 30)
    snapshot = host.collect(netns="own")
    assert (snapshot.namespaces, host.entered) == ({}, [])
    assert {table.netns for table, _ in host.tables.reads} == {0}


def test_selection(host: Host) -> None:
    """Of the others only the chosen one is read; the own one is, for the host's figures."""
    web, db = host.add_netns("web", 30), host.add_netns("db", 40)
    for each in (web, db):
        host.proc.mount_netns(each, f"/run/netns/{each.name.removeprefix('netns-')}")
        host.scripts[TCP._replace(netns=number_of(each))] = [[[row(number_of(each))]]]
    host.scripts[TCP] = [[[row(7)]]]
    snapshot = host.collect(netns="db")
    assert snapshot.selected == frozenset((number_of(db),))
    assert counts(snapshot) == {0: 1, number_of(db): 1}
    assert counts(snapshot.listed()) == {number_of(db): 1}
    assert host.entered == ["/run/netns/db"]
    with pytest.raises(SocketsError, match="no network namespace 'cache'"):
        host.collect(netns="cache")


@pytest.mark.parametrize("netlink", [True, False])
def test_process_that_ends_meanwhile(host: Host, netlink: bool) -> None:
    """Another process of the namespace is tried, and no socket counts twice or not at all."""
    web, second = host.add_netns("web", 30), host.proc.add_netns("second")
    (second / "net/dev").unlink()
    os.link(web / "net/dev", second / "net/dev")
    (second / "nsfs").unlink()
    os.link(web / "nsfs", second / "nsfs")
    host.proc.add(31, b"nginx", [310])
    host.proc.join(31, second)
    for each in (web, second):
        (each / "net/tcp").write_text("titles\n" + line(300) + line(310) + line(77))
        (each / "net/udp").write_text("titles\n" + line(301, 7, 53, 0))
    (web / "net/udp").unlink()  # as if it had ended behind the tables of TCP
    host.refused = {host.path(pid): PermissionError() for pid in (30, 31)}
    snapshot = host.collect(netlink=netlink)
    assert counts(snapshot) == {number_of(web): 4}
    assert holders(snapshot, number_of(web)) == {30, 31}
    assert snapshot.skipped == set()


def test_all_processes_end_meanwhile(host: Host) -> None:
    """A namespace that nothing tells of any more is skipped, and leaves no half of its sockets."""
    web = host.add_netns("web", 30)
    host.refused = {host.path(30): FileNotFoundError()}
    host.scripts[TCP._replace(netns=number_of(web))] = [[[row(300)]]]
    snapshot = host.collect()
    assert (counts(snapshot), snapshot.skipped) == ({}, {number_of(web)})
    document = json_document(snapshot)
    assert document["complete"] == 0


def test_mounted_without_processes(host: Host) -> None:
    """A namespace that is only mounted is entered by its path, or skipped without privilege."""
    number = number_of(host.add_netns("web"))
    host.proc.mount_netns(host.proc.root / "netns-web", "/run/netns/web")
    host.scripts[TCP._replace(netns=number)] = [[[row(300)]]]
    snapshot = host.collect()
    assert (counts(snapshot), host.entered) == ({number: 1}, ["/run/netns/web"])
    assert snapshot.namespaces[number].name == "web"
    host.proc.write_capabilities(ADMIN - 1)
    snapshot = host.collect()
    assert (counts(snapshot), snapshot.skipped) == ({}, {number})
    assert len(host.entered) == 1


def test_without_privilege(host: Host) -> None:
    """By /proc the same sockets are found, under the number of the namespace's files."""
    web = host.add_netns("web", 30, secret=True)
    host.proc.write_capabilities(0)
    (web / "net/tcp").write_text("titles\n" + line(300) + line(0, 6))
    snapshot = host.collect()
    assert host.entered == []
    assert counts(snapshot) == {key_of(web): 2}
    assert holders(snapshot, key_of(web)) == {30}
    assert snapshot.namespaces[key_of(web)].ports is None
    assert snapshot.skipped == set()


def test_empty_namespace_is_not_read(host: Host) -> None:
    """Where /proc says that a namespace has no sockets its tables are left alone."""
    web = host.add_netns("web", 30)
    empty = "TCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\nUDP: inuse 0 mem 0\n"
    (web / "net/sockstat").write_text(empty)
    (web / "net/tcp").unlink()
    snapshot = host.collect(netlink=False)
    assert (counts(snapshot), snapshot.skipped) == ({}, set())
    (web / "net/sockstat").write_text(empty.replace("TCP: inuse 0", "TCP: inuse 1"))
    assert host.collect(netlink=False).skipped == {number_of(web)}


def test_queues_and_owners_of_two_namespaces(host: Host) -> None:
    """One process may hold sockets of several namespaces: its queues are told apart."""
    number = number_of(host.add_netns("web", 30))
    for netns, inode, queue in ((0, 300, 5), (number, 301, 7)):
        connection = (*row(inode)[:6], queue, 0, 33, inode)
        host.scripts[TCP._replace(netns=netns)] = [[[connection]]]
        host.scripts[UDP._replace(netns=netns)] = [[[(*row(inode + 2)[:6], 1, 2, 0, inode + 2)]]]
    snapshot = host.collect()
    (owner,) = snapshot.owners
    assert owner >= FIRST_OWNER
    assert snapshot.queues == {(owner, 0): (6, 2), (owner, number): (8, 2)}
    assert snapshot.uids == {owner: 0}


def test_owners_by_cgroup_elsewhere(host: Host, tmp_path: Path) -> None:
    """By /proc no cgroup is told: sockets of other namespaces have no owner, which is said."""
    web = host.add_netns("web", 30, secret=True)
    (web / "net/tcp").write_text("titles\n" + line(300))
    host.proc.write_capabilities(0)
    (host.proc.root / "self").mkdir()
    mountinfo = f"31 21 0:26 / {tmp_path} rw - cgroup2 cgroup2 rw\n"
    (host.proc.root / "self/mountinfo").write_text(mountinfo)
    host.scripts[TCP] = [[[row(7)]]]
    snapshot = host.collect(needs=frozenset(("unit",)))
    assert snapshot.visibility.ownership == "cgroups"
    assert {each.netns: each.owner for each in snapshot.connections} == {
        0: FIRST_OWNER,
        key_of(web): UNOWNED,
    }
    assert snapshot.visibility.has_gap(gaps.FOREIGN_OWNERS)


def test_table_that_fails_halfway(host: Host) -> None:
    """What was counted of a table that failed counts again by the next process."""
    web = host.add_netns("web", 30, 31)
    broken: list[Step] = [[row(300)], SourceUnavailableError("gone")]
    host.scripts[TCP._replace(netns=number_of(web))] = [broken, [[row(300)]]]
    (web / "net/tcp").unlink()  # nor is it in /proc
    snapshot = host.collect()
    assert (counts(snapshot), snapshot.skipped) == ({number_of(web): 1}, set())
    assert holders(snapshot, number_of(web)) == {30}


REFUSED = SourceUnavailableError("no diag module")
BROKEN = ParseError("netlink message", b"?")
NO_ROOM = OSError(105, "No buffer space available")


@pytest.mark.parametrize("fault", [REFUSED, BROKEN, NO_ROOM], ids=["refused", "broken", "room"])
def test_own_table_that_cannot_be_read(host: Host, fault: Exception) -> None:
    """What the other tables tell is answered; no list is complete."""
    host.proc.add(30, b"nginx", [300, 301])
    host.scripts[TCP] = [[[row(300, LISTEN, 80, 0)]]]
    host.scripts[UDP] = [[[row(301, 7, 53, 0)], fault]] if fault is not REFUSED else [[fault]]
    (host.proc.root / "net/udp").unlink()
    snapshot = host.collect()
    assert unread_protocols(snapshot.visibility.gaps) == {"udp"}
    assert any(each.startswith("udp: ") for each in snapshot.visibility.warnings)
    document: dict[str, Any] = json_document(snapshot)
    assert set(document["lists"].values()) == {0}
    assert counts(snapshot)[0] == (1 if fault is REFUSED else 2)


def test_no_own_table_can_be_read(host: Host) -> None:
    """That is no answer."""
    for table in TABLES:
        host.scripts[table] = [[REFUSED]]
        (host.proc.root / "net" / str(table)).unlink()
    (host.proc.root / "net").rename(host.proc.root / "gone")
    with pytest.raises(SourceUnavailableError):
        host.collect()


@pytest.mark.parametrize("ends", [False, True])
def test_unix_sockets_of_another_namespace_that_cannot_be_read(host: Host, ends: bool) -> None:
    """They are a gap with its reason, unless the namespace has ended meanwhile."""
    host.add_netns("web", 30)
    host.proc.write_capabilities(ADMIN)
    reads: list[int] = []

    class Unix(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            reads.append(len(reads))
            if reads == [0]:
                return iter(())  # the own namespace's
            if ends:
                shutil.rmtree(host.proc.root / "30")
            return iter((NO_ROOM,))

    host.tables.unix = Unix()
    visibility = host.collect().visibility
    assert reads == [0, 1]
    assert visibility.has_gap(gaps.UNIX) == (not ends)
    warnings = [] if ends else [f"unix: {NO_ROOM}"]
    assert [each for each in visibility.warnings if each.startswith("unix")] == warnings


@pytest.mark.parametrize("fault", [BROKEN, NO_ROOM], ids=["broken", "room"])
def test_table_of_another_namespace_that_cannot_be_read(host: Host, fault: Exception) -> None:
    """That namespace is not read to the end, and all else is answered."""
    number = number_of(host.add_netns("web", 30))
    host.proc.write_capabilities(ADMIN)
    host.scripts[TCP] = [[[row(1, LISTEN, 22, 0)]]]
    host.scripts[TCP._replace(netns=number)] = [[[row(300)], fault]]
    snapshot = host.collect()
    assert snapshot.skipped == {number}
    assert counts(snapshot) == {0: 1, number: 1}


def test_limits_of_an_ending_process(host: Host) -> None:
    """Its file may be empty: its use of descriptors is not known, all else is."""
    host.proc.add(30, b"nginx", [300])
    host.proc.add(31, b"redis", [301])
    (host.proc.root / "30/limits").write_bytes(b"")
    host.scripts[TCP] = [[[row(300), row(301)]]]
    snapshot = host.collect()
    assert [snapshot.processes[index].name for index in snapshot.fds_limits] == ["redis"]
    assert sum(snapshot.connections.values()) == 2
