"""Units and containers by cgroup: by the records' ids, by netlink's, by /proc."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import netns
import pytest
import traffic_zoo
import zoo
from cgroups import find_root, inside, made
from children import Child, run_as
from counted import loaded
from json_documents import JsonDocument, json_document
from traffic_zoo import Expected

from zabbix_sockets import Query, collect
from zabbix_sockets.grouping.grouping import GROUPINGS
from zabbix_sockets.model.snapshot import BY_CGROUPS, BY_DESCRIPTORS, OWN

SOURCES = ("bpf", "sock_diag", "procfs")
NOBODY_UID = 65534
CONTAINER = "0123456789ab" * 5 + "cdef"
POD = "4f1c2d3e_0000_4000_8000_123456789abc"


@pytest.fixture
def cgroups(tmp_path: Path) -> Iterator[Path]:
    """Return the root of the cgroup2 hierarchy, mounted by this test if nobody has."""
    if os.geteuid():
        pytest.skip("cgroups need root")
    root = find_root()
    if root:
        yield root
        return
    subprocess.run(["mount", "-t", "cgroup2", "none", tmp_path], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def document_of(source: str | None, grouping: str, pins: str = "/nowhere") -> JsonDocument:
    """Return the document by units or containers."""
    needs = GROUPINGS[grouping].needs
    query = Query(source, 30, pins=pins, netns=OWN, needs=needs)
    return json_document(collect(query), grouping=GROUPINGS[grouping])


def rows_of(document: JsonDocument) -> dict[str, JsonDocument]:
    """Return the processes' rows by id."""
    rows = document["processes"]
    assert isinstance(rows, list)
    return {row["id"]: row for row in rows}


@pytest.mark.parametrize("source", SOURCES)
def test_units(pins: str, cgroups: Path, source: str) -> None:
    """Each unit's sockets count in its row; the processes of one unit count together."""
    slice_ = cgroups / "zstest.slice"
    one, two = slice_ / "one.service", slice_ / "two@a.service"
    with made(slice_, one, two), ExitStack() as stack:
        for port, folder in ((7401, one), (7402, one), (7403, two)):
            work = partial(zoo.listener, "127.0.0.1", port)
            stack.enter_context(Child(partial(inside, folder, work)))
        document = document_of(source, "unit", pins)
    rows = rows_of(document)
    assert (rows["one.service"]["sockets"], rows["one.service"]["instances"]) == (2, 2)
    assert (rows["two@a.service"]["sockets"], rows["two@a.service"]["instances"]) == (1, 1)
    collector = document["collector"]
    assert isinstance(collector, dict)
    assert (collector["grouping"], collector["ownership"]) == ("unit", BY_DESCRIPTORS)
    listeners = document["listeners"]
    assert isinstance(listeners, list)
    assert {row["process"] for row in listeners if row["id"] != "(absent)"} == {
        "one.service",
        "two@a.service",
    }


@pytest.mark.parametrize("source", SOURCES)
def test_containers(pins: str, cgroups: Path, source: str) -> None:
    """A container that no file names is counted as unnamed, the host's processes as its own."""
    folder = cgroups / f"docker-{CONTAINER}.scope"
    host = zoo.listener("127.0.0.1", 7404)
    with made(folder), Child(partial(inside, folder, partial(zoo.listener, port=7405))):
        rows = rows_of(document_of(source, "container", pins))
    assert rows["(host)"]["sockets"] == 1
    assert rows["(unnamed)"]["sockets"] == 2  # the child has inherited the host's, too
    host.close()


def unprivileged(grouping: str) -> JsonDocument:
    """Return the document as any user gets it, without pinned iterators."""
    document_of("sock_diag", grouping)  # imports what the other process needs
    answer = run_as(NOBODY_UID, lambda: document_of(None, grouping))
    assert isinstance(answer, dict)
    return answer


def test_units_without_privilege(cgroups: Path) -> None:
    """Any user gets every unit's sockets, in all states, and is told whose they are."""
    slice_ = cgroups / "zstest.slice"
    folder = slice_ / "served.service"
    with made(slice_, folder), Child(partial(inside, folder, served)):
        document = unprivileged("unit")
    row = rows_of(document)["served.service"]
    tcp, udp = row["tcp"], row["udp"]
    assert isinstance(tcp, dict)
    assert isinstance(udp, dict)
    assert (tcp["listen"], tcp["inbound"], tcp["outbound"], udp["bound"]) == (2, 2, 2, 1)
    assert row["settled"] == 1
    assert "instances" not in row
    collector = document["collector"]
    assert isinstance(collector, dict)
    assert (collector["ownership"], collector["source"]) == (BY_CGROUPS, "sock_diag")
    assert (collector["denied_processes"], collector["unowned"]) == (0, 0)
    assert document["complete"] == 1
    upstreams = document["upstreams"]
    assert isinstance(upstreams, list)
    assert {row["process"] for row in upstreams if row["id"] != "(absent)"} == {"served.service"}


def served() -> object:
    """Hold listeners of both families with a connection each, and a UDP socket."""
    servers = zoo.listener("127.0.0.1", 7406), zoo.listener("::1", 7406)
    return [zoo.pair(server) for server in servers], zoo.udp_bound("127.0.0.1", 7406)


def test_nobody_s_sockets_without_privilege(cgroups: Path) -> None:
    """What has no owner is no unit's, and the host's figures are the same as ever."""

    def leave_open() -> object:
        server = zoo.listener("127.0.0.1", 7412)
        waiting = [zoo.connect(server) for _ in range(5)]
        return server, waiting, zoo.STATES["fin_wait2"](), zoo.STATES["time_wait"]()

    slice_ = cgroups / "zstest.slice"
    folder = slice_ / "open.service"
    with made(slice_, folder), Child(partial(inside, folder, leave_open)):
        by_cgroups = unprivileged("unit")
        document_of("sock_diag", "process")
        by_process = run_as(NOBODY_UID, lambda: document_of("sock_diag", "process"))
    assert isinstance(by_process, dict)
    for document in (by_cgroups, by_process):
        assert document["collector"]["unaccepted"] >= 5
    host = by_cgroups["host"]
    assert isinstance(host, dict)
    assert host["tcp"] == by_process["host"]["tcp"]
    assert host["tcp"]["time_wait"] >= 1
    listeners = by_cgroups["listeners"]
    assert isinstance(listeners, list)
    (row,) = [row for row in listeners if row.get("port") == 7412]
    assert (row["established"], row["accept_queue"]) == (5, 5)


def test_containers_without_privilege(cgroups: Path) -> None:
    """The same for containers: those of a pod are told by its slice."""
    slice_ = cgroups / f"kubepods-pod{POD}.slice"
    folder = slice_ / f"cri-containerd-{CONTAINER}.scope"
    with made(slice_, folder), Child(partial(inside, folder, served)):
        rows = rows_of(unprivileged("container"))
    assert rows["(unnamed)"]["sockets"] == 7


def test_maker_and_owner(pins: str, cgroups: Path) -> None:
    """A socket that was handed on is its maker's by cgroup, and its owner's by descriptor."""
    slice_ = cgroups / "zstest.slice"
    maker, owner = slice_ / "maker.service", slice_ / "owner.service"
    ours, theirs = map(zoo.hold, socket.socketpair())

    def make() -> object:
        server = zoo.listener("127.0.0.1", 7407)
        socket.send_fds(ours, [b"x"], [server.fileno()])
        server.close()
        return None

    with (
        made(slice_, maker, owner),
        Child(partial(inside, maker, make)),
        Child(partial(inside, owner, partial(socket.recv_fds, theirs, 1, 1))),
    ):
        by_descriptors = rows_of(document_of("bpf", "unit", pins))
        by_cgroups = rows_of(unprivileged("unit"))
    assert "maker.service" not in by_descriptors
    assert by_descriptors["owner.service"]["sockets"] == 1
    assert "owner.service" not in by_cgroups
    assert by_cgroups["maker.service"]["sockets"] == 1


def test_cgroup_is_gone(pins: str, cgroups: Path) -> None:
    """The sockets of a cgroup that was removed still count, under no name of its own."""
    slice_ = cgroups / "zstest.slice"
    folder = slice_ / "gone.service"
    kept = []

    def make() -> object:
        ours.close()
        server = zoo.listener("127.0.0.1", 7408)
        socket.send_fds(theirs, [b"x"], [server.fileno()])
        return None

    with made(slice_, folder):
        ours, theirs = map(zoo.hold, socket.socketpair())
        with Child(partial(inside, folder, make)):
            kept = socket.recv_fds(ours, 1, 1)[1]
    assert not folder.exists()
    rows = rows_of(unprivileged("unit"))
    assert rows["(unknown)"]["sockets"] == 1
    assert "(absent)" not in rows  # whoever it was may be asked for by name
    assert rows_of(document_of("bpf", "unit", pins))  # the owner's cgroup is still there
    for fd in kept:
        os.close(fd)


def test_users(pins: str) -> None:
    """Sockets by the user of their processes."""

    def as_nobody() -> object:
        server = zoo.listener("127.0.0.1", 7409)
        os.setresuid(NOBODY_UID, NOBODY_UID, NOBODY_UID)
        return server

    with Child(as_nobody):
        for source in SOURCES:
            rows = rows_of(document_of(source, "user", pins))
            assert rows["nobody"]["sockets"] == 1


def test_namespace_is_named_by_its_unit(pins: str, cgroups: Path) -> None:
    """A namespace without a name of its own has that of the one service in it."""
    slice_ = cgroups / "zstest.slice"
    folder = slice_ / "private.service"

    def private() -> object:
        netns.unshare()
        return zoo.listener("127.0.0.1", 7410)

    with made(slice_, folder), Child(partial(inside, folder, private)):
        for source in SOURCES:
            document = json_document(collect(Query(source, 30, pins=pins)))
            listeners = document["listeners"]
            assert isinstance(listeners, list)
            assert "tcp/127.0.0.1:7410@private.service" in [row["id"] for row in listeners]


def test_namespace_without_a_socket_keeps_its_name(cgroups: Path) -> None:
    """Its upstreams are in the same row as when something is open, as long as the cgroup lasts."""
    slice_ = cgroups / "zstest.slice"
    folder = slice_ / "idle.service"

    def idle() -> None:
        netns.unshare()
        traffic_zoo.short_lived(Expected(), 20)

    def closed(pins: str) -> dict[str, int]:
        document = json_document(collect(Query("bpf", 30, pins=pins)))
        rows = [row for row in document["upstreams"] if not row["established"]]
        return {row["netns"]: row["totals"]["closed"] for row in rows if row["id"] != "(absent)"}

    with loaded() as pins:
        with made(slice_, folder):
            with Child(partial(inside, folder, idle)):
                zoo.wait_for(lambda: closed(pins).get("idle.service") == 20, "connections")
            assert closed(pins)["idle.service"] == 20
        assert "idle.service" not in closed(pins)


def test_hidden_processes(pins: str, cgroups: Path, open_folder: Path) -> None:
    """With hidepid=2 the iterators still tell each socket's unit, to who may read them."""
    proc = open_folder / "proc"
    proc.mkdir()
    slice_ = cgroups / "zstest.slice"
    folder = slice_ / "hidden.service"
    group = os.stat(f"{pins}/{os.listdir(pins)[0]}").st_gid
    query = Query("bpf", 30, str(proc), pins, OWN, GROUPINGS["unit"].needs)

    def ask() -> JsonDocument:
        return json_document(collect(query), grouping=GROUPINGS["unit"])

    subprocess.run(["mount", "-t", "proc", "-o", "hidepid=2", "proc", proc], check=True)
    try:
        ask()  # imports what the other process needs
        with made(slice_, folder), Child(partial(inside, folder, partial(zoo.listener, port=7411))):
            document = run_as(NOBODY_UID, ask, group)
    finally:
        subprocess.run(["umount", proc], check=True)
    assert isinstance(document, dict)
    assert rows_of(document)["hidden.service"]["sockets"] == 1
    assert document["complete"] == 1
