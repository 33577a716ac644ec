"""What of a filter is asked of the kernel, and what is decided when it doesn't answer so."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import nullcontext
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.collector.filtered import lookups
from zabbix_sockets.collector.filtered.selection import Selection
from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.collector.table_readers import TableReaders
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SocketsError, SourceUnavailableError, UsageError
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import Namespace, Process, Query, Visibility
from zabbix_sockets.model.wire import SocketRow, Table
from zabbix_sockets.readers.proc.mounts import Mounts
from zabbix_sockets.readers.proc.net_tables import ProcTables
from zabbix_sockets.readers.sock_diag.tables import NetlinkTables

from ...readers.sock_diag.messages import (  # noqa: TID252  # a test folder is no package
    cgroup,
    encode_row,
)
from ..fakes import TCP, row  # noqa: TID252  # a test folder is no package

LISTENER, ONE, OTHER = row(1, 10, 80), row(2, 1, 80), row(3, 1, 5000)
ROWS = (LISTENER, ONE, OTHER)
LISTENING = 1 << 10
AF_INET = int(socket.AF_INET)

MOUNTS = Mounts("/proc", Deadline(1e6))


class Kernel:
    """In the place of NetlinkTables: it has *ROWS*, and may refuse programs."""

    name = "sock_diag"

    def __init__(self, *, refuses: bool = False, cgroups: dict[int, int] | None = None) -> None:
        self.requests: list[tuple[int, bool]] = []
        self._refuses = refuses
        self._cgroups = cgroups or {}

    def select(
        self,
        _table: Table,
        _deadline: Deadline,
        states: int,
        program: bytes,
        *,
        tcp_info: bool = False,
    ) -> Iterator[list[tuple[SocketRow, bytes]]]:
        """Give the sockets in *states*; a program lets those with a local port of 80 through."""
        assert not tcp_info
        self.requests.append((states, bool(program)))
        if program and self._refuses:
            raise SourceUnavailableError("Invalid argument")
        port = socket.htons(80)
        rows = [each for each in ROWS if states >> each[0] & 1]
        yield [(each, self._message(each)) for each in rows if not program or each[1] == port]

    def _message(self, each: SocketRow) -> bytes:
        number = self._cgroups.get(each[9])
        return encode_row(each, AF_INET, 0, cgroup(number) if number else b"")

    def close(self) -> None:
        """Do nothing."""


def read(
    kernel: Kernel, expression: str, owners: Owners | None = None
) -> tuple[set[int], set[int]]:
    """Return the inodes that fit, and the ports of the listeners for the directions."""
    visibility = Visibility("sock_diag")
    readers = TableReaders(ProcTables("/nowhere"), cast("NetlinkTables", kernel))
    plan = Plan(visibility, readers)
    selection = Selection(Query(filter=expression, netns="own"), MOUNTS)
    selection.owners = owners or Owners()
    opened = selection.read(plan, TCP, Deadline(60), tcp_info=False)
    inodes: set[int] = set()
    ports: set[int] = set()
    for listeners, rows in opened.batches:
        ports |= {socket.ntohs(port) for port, _ in listeners}
        inodes |= {each[9] for each, _ in rows}
    selection.check_decided()
    return inodes, ports


@pytest.mark.parametrize(
    ("expression", "inodes", "ports", "dumps"),
    [
        ("sport 80", {1, 2}, {80}, [False, True, True]),
        ("sport 80 state established", {2}, {80}, [False, True]),
        ("sport 80 state listen", {1}, set(), [True]),
        ("state established", {2, 3}, {80}, [False, False]),
        ("state all", {1, 2, 3}, {80}, [False, False]),
        ("user 0 or sport 80", {1, 2, 3}, {80}, [False, False]),
        ("not state all", set(), set(), []),
        ("src [::1]", set(), set(), []),
    ],
)
def test_dumps(expression: str, inodes: set[int], ports: set[int], dumps: list[bool]) -> None:
    """Listeners are asked for apart unless all of them come, or nothing else does."""
    kernel = Kernel()
    assert read(kernel, expression) == (inodes, ports)
    assert [program for _, program in kernel.requests] == dumps
    if len(dumps) > 1:
        assert kernel.requests[0][0] == LISTENING


def test_refused_program_is_done_without() -> None:
    """An older kernel doesn't know each operation: then all is decided here."""
    kernel = Kernel(refuses=True)
    assert read(kernel, "sport 80") == ({1, 2}, {80})
    assert [program for _, program in kernel.requests] == [False, *[True, False] * 2]


def test_cgroups_are_decided_here_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what netlink tells, if it tells it."""
    monkeypatch.setattr("zabbix_sockets.collector.filtered.selection.cgroup_id", lambda *_: 7)
    told = {1: 7, 2: 9, 3: 7}
    assert read(Kernel(refuses=True, cgroups=told), "cgroup /x")[0] == {1, 3}
    assert read(Kernel(refuses=True, cgroups=told), "cgroup != /x")[0] == {2}
    with pytest.raises(SocketsError, match=r"5\.8"):
        read(Kernel(refuses=True), "cgroup /x")


def test_refused_mark_names_the_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may refuse marks though the capability is there: in a user namespace."""
    read_capabilities = "zabbix_sockets.collector.filtered.selection.read_capabilities"
    monkeypatch.setattr(read_capabilities, lambda _proc: -1)
    with pytest.raises(SocketsError, match="CAP_NET_ADMIN"):
        read(Kernel(refuses=True), "fwmark 1")
    monkeypatch.setattr(read_capabilities, lambda _proc: 0)
    with pytest.raises(SocketsError, match="CAP_NET_ADMIN"):
        read(Kernel(), "fwmark 1")


def test_owners() -> None:
    """Processes decide, and where they can't be seen it is an error if that matters."""
    owners = Owners()
    owners.add(Process(7, "nginx"), [1, 2])
    assert read(Kernel(), "process nginx", owners)[0] == {1, 2}
    assert read(Kernel(), "not pid 7", owners)[0] == {3}
    owners.denied = {"x": 1}
    assert read(Kernel(), "process nginx sport 80", owners)[0] == {1, 2}
    for expression in ("process nginx", "not process nginx"):
        with pytest.raises(SocketsError, match="1 sockets may fit or not"):
            read(Kernel(), expression, owners)


OTHERS = {5: Namespace("shop", "net:[5]"), 6: Namespace("", "net:[6]")}


def test_namespaces() -> None:
    """A namespace in which nothing can fit is not read."""
    selection = Selection(Query(filter="netns shop or (netns own and sport 80)"), MOUNTS)
    selection.find_named_namespaces(OTHERS)
    assert [selection.wants(number) for number in (0, 5, 6)] == [True, True, False]
    selection = Selection(Query(filter="not netns own"), MOUNTS)
    selection.find_named_namespaces({})
    assert [selection.wants(number) for number in (0, 6)] == [False, True]


@pytest.mark.parametrize("expression", ["netns nope", "netns shop or netns nope", "! netns nope"])
def test_unknown_namespace(expression: str) -> None:
    """As with --netns it is an error, shown at its place, and no wrong usage: it may come back."""
    with pytest.raises(SocketsError, match='"nope": no network namespace of this name') as raised:
        Selection(Query(filter=expression), MOUNTS).find_named_namespaces(OTHERS)
    assert not isinstance(raised.value, UsageError)
    _, carets, known = raised.value.hint.split("\n")
    assert carets == " " * (2 + expression.index("nope")) + "^^^^"
    assert known == "with a name there are: shop"


def test_a_namespace_that_nobody_had_the_time_to_find() -> None:
    """It matches nothing: the lists are incomplete anyway."""
    selection = Selection(Query(filter="netns nope"), MOUNTS)
    selection.find_named_namespaces({}, complete=False)
    assert not selection.wants(0)


def test_names_of_namespaces_where_one_alone_is_read() -> None:
    """In the own one alone, another's name fits nothing, whether it is there or not."""
    for name in ("shop", "nope"):
        selection = Selection(Query(filter=f"netns {name}", netns="own"), MOUNTS)
        selection.find_named_namespaces({})
        assert not selection.wants(0)
    selection = Selection(Query(filter="netns shop", netns="net:[6]"), MOUNTS)
    selection.find_named_namespaces(OTHERS)
    assert [selection.wants(number) for number in (5, 6)] == [True, False]


@pytest.mark.parametrize(
    ("expression", "asked", "nowhere"),
    [
        ("dev eth0", "all", False),
        ("dev eth5", "all", False),
        ("not dev nope", "all", True),
        ("dev eth5 or dev nope", "all", True),
        ("netns own dev eth5", "all", True),
        ("netns own dev eth5 or dev eth5", "all", False),
        ("dev eth0", "shop", True),
        ("dev eth5", "shop", False),
        ("dev 77", "all", False),
    ],
)
def test_device_that_is_nowhere(
    monkeypatch: pytest.MonkeyPatch, expression: str, asked: str, *, nowhere: bool
) -> None:
    """A device is to be in one of the namespaces that are asked for, and may be in one alone."""
    there: list[str] = []
    monkeypatch.setattr(
        "zabbix_sockets.collector.filtered.selection.device_index",
        lambda name: 3 if name in there else None,
    )
    selection = Selection(Query(filter=expression, netns=asked), MOUNTS)
    selection.find_named_namespaces(OTHERS)
    for netns, devices in {0: ["eth0"], 5: ["eth5"]}.items():
        there[:] = devices
        selection.look_for_devices(netns)
    with pytest.raises(SocketsError, match="no such network device") if nowhere else nullcontext():
        selection.check_devices()


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("user nobody-here", "no such user"),
        ("dev nodevice0", "no such network device"),
        ("cgroup /no/such", "no such cgroup"),
    ],
)
def test_unknown_names(expression: str, message: str) -> None:
    """What this host doesn't have is shown at its place."""
    with pytest.raises(UsageError, match=message) as raised:
        Selection(Query(filter=f"sport 1 or {expression}", netns="own"), MOUNTS)
    name = expression.split()[1]
    assert raised.value.hint.endswith(" " * 6 + "^" * len(name))


def test_lookups() -> None:
    """What is there is found; NULs and the like are nothing."""
    assert lookups.uid_of("root") == 0
    assert lookups.device_index("lo") == socket.if_nametoindex("lo")
    for name in ("\0", "", "é" * 50, "/"):
        assert lookups.uid_of(name) is None
        assert lookups.device_index(name) is None
    assert lookups.cgroup_id(MOUNTS, "\0") is None
    assert lookups.cgroup_id(Mounts(os.devnull, Deadline(60)), "/") is None


CONDITIONS = ["dev", "cgroup", "user", "netns", "process", "pid", "fwmark", "sport", "src", "not"]


@given(st.lists(st.one_of(st.sampled_from(CONDITIONS), st.text(max_size=4))).map(" ".join))
def test_any_text_is_a_selection_or_an_error(text: str) -> None:
    """Whatever a caller writes, and whatever this host has of it."""
    for netns in ("own", "all"):
        try:
            Selection(Query(filter=text, netns=netns), MOUNTS).wants(0)
        except SocketsError as error:
            assert str(error)  # noqa: PT017  # it need not be raised
