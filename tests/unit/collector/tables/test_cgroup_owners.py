"""Owners by the cgroups in which sockets were made."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_documents import json_document

from zabbix_sockets import Query, Snapshot, collect
from zabbix_sockets.collector.tables.cgroup_owners import CgroupOwners, must_use_cgroups
from zabbix_sockets.grouping.grouping import GROUPINGS
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.snapshot import BY_CGROUPS, BY_DESCRIPTORS, UNOWNED
from zabbix_sockets.model.wire import SocketRow
from zabbix_sockets.readers.proc.mounts import Mounts
from zabbix_sockets.readers.sock_diag.messages import CgroupRow

from ...proctree import ProcTree  # noqa: TID252  # a test folder is no package
from ..fakes import (  # noqa: TID252  # a test folder is no package
    TCP,
    FakeTables,
    Step,
    maker,
    row,
)

CGROUP2 = "31 21 0:26 / {} rw,nosuid - cgroup2 cgroup2 rw\n"
BOTH = 1 << 2 | 1 << 19  # CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE
UNIT, USER = frozenset(("unit",)), frozenset(("user",))


def mount(proc: ProcTree, where: Path) -> None:
    """Let cgroup v2 be mounted."""
    (proc.root / "self").mkdir(exist_ok=True)
    with (proc.root / "self/mountinfo").open("a") as file:
        file.write(CGROUP2.format(where))


@pytest.fixture
def proc(tmp_path: Path) -> ProcTree:
    """A host with cgroups, and a reader without privilege."""
    proc = ProcTree(tmp_path / "proc")
    mount(proc, tmp_path / "cgroup")
    (tmp_path / "cgroup/system.slice/nginx.service").mkdir(parents=True)
    return proc


def refuses(proc: ProcTree, needs: frozenset[str]) -> bool:
    """Whether a call that needs these does without a walk."""
    return must_use_cgroups(Query(proc=str(proc), needs=needs), Mounts(str(proc), Deadline(600)))


@pytest.mark.parametrize(
    ("needs", "capabilities", "expected"),
    [
        ({"unit"}, 0, True),
        ({"container"}, 0, True),
        ({"unit", "container"}, 0, True),
        ({"unit"}, 1 << 2, True),
        ({"unit"}, 1 << 19, True),
        ({"unit"}, ~BOTH & 0xFFFFFFFF, True),
        ({"unit"}, BOTH, False),
        (set(), 0, False),
        ({"user"}, 0, False),
        ({"unit", "command"}, 0, False),
    ],
)
def test_choice(proc: ProcTree, needs: set[str], capabilities: int, expected: bool) -> None:
    """Cgroups are for questions that they answer, asked by who may not look into processes."""
    proc.write_capabilities(capabilities)
    assert refuses(proc, frozenset(needs)) == expected


def test_host_without_cgroups(tmp_path: Path) -> None:
    """Where cgroup v2 is not mounted its numbers say nothing."""
    assert not refuses(ProcTree(tmp_path), UNIT)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6))))
def test_noted(sockets: list[tuple[int, int]]) -> None:
    """Rows stay as they are; each inode has one owner, which is the first cgroup told of it."""
    owners = CgroupOwners()
    rows = [row(inode) for _, inode in sockets]
    pairs = [(number, each) for (number, _), each in zip(sockets, rows)]
    assert list(owners.observe(pairs)) == rows
    expected: dict[int, int] = {}
    for number, inode in sockets:
        if number and inode:
            expected.setdefault(inode, number)
    found = {
        inode: owners.processes[index].cgroup
        for inode, owner in owners.by_inode.items()
        for index in owners.members(owner)
    }
    assert found == expected
    assert len(owners.processes) == len({number for number, inode in sockets if inode} - {0})
    assert owners.lacks_cgroup == any(inode and not number for number, inode in sockets)
    assert not any(each.pid for each in owners.processes)


def test_owner_is_known_before_its_row_is_counted() -> None:
    """A row is given on only after its owner was noted."""
    owners = CgroupOwners()
    for each in owners.observe([(7, row(1)), (7, row(2)), (0, row(3))]):
        assert (each[9] in owners.by_inode) == (each[9] != 3)


def collect_with(
    proc: ProcTree, monkeypatch: pytest.MonkeyPatch, rows: list[list[Step]], needs: frozenset[str]
) -> Snapshot:
    """Collect with a netlink that tells these sockets."""
    tables = FakeTables({TCP: rows})
    monkeypatch.setattr("zabbix_sockets.collector.table_readers.NetlinkTables", maker(tables))
    return collect(Query("sock_diag", 600, str(proc), netns="own", needs=needs))


def test_snapshot(proc: ProcTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets belong to their cgroups, without a look at any descriptor."""
    proc.add(20, b"nginx", [5])
    rows: list[list[Step]] = [[[row(5), row(6), row(0)]]]
    snapshot = collect_with(proc, monkeypatch, rows, UNIT)
    assert snapshot.visibility.ownership == BY_CGROUPS
    assert {each.cgroup for each in snapshot.processes} == {500, 600}
    assert {(each.pid, each.name) for each in snapshot.processes} == {(0, "")}
    assert sum(snapshot.connections.values()) == 3
    assert len(snapshot.owners) == 2
    assert snapshot.fds_limits == {}


def test_walk_where_the_grouping_needs_processes(
    proc: ProcTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cgroup does not tell a user: the processes are asked, as far as they may be."""
    proc.add(20, b"nginx", [5])
    snapshot = collect_with(proc, monkeypatch, [[[row(5), row(6)]]], USER)
    assert snapshot.visibility.ownership == BY_DESCRIPTORS
    assert [each.pid for each in snapshot.processes] == [20]
    assert {key.owner for key in snapshot.connections} == {2, UNOWNED}


def observer_in(cgroup: int) -> Callable[[CgroupOwners, Iterable[CgroupRow]], Iterator[SocketRow]]:
    """Return a CgroupOwners.observe() for which all sockets were made in one cgroup."""
    observe = CgroupOwners.observe
    return lambda owners, rows: observe(owners, [(cgroup, each) for _, each in rows])


def test_document(proc: ProcTree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A unit's row has no number of processes, and is settled without listening."""
    inode = (tmp_path / "cgroup/system.slice/nginx.service").stat().st_ino
    monkeypatch.setattr(
        "zabbix_sockets.collector.tables.cgroup_owners.CgroupOwners.observe", observer_in(inode)
    )
    snapshot = collect_with(proc, monkeypatch, [[[row(5)]]], UNIT)
    document = json_document(snapshot, grouping=GROUPINGS["unit"])
    rows = document["processes"]
    assert isinstance(rows, list)
    assert [each["id"] for each in rows] == ["nginx.service", "(absent)"]
    assert rows[0]["settled"] == 1
    assert not {"instances", "denied_instances"} & rows[0].keys()
    collector = document["collector"]
    assert isinstance(collector, dict)
    assert (collector["ownership"], collector["grouping"]) == ("cgroups", "unit")
