"""Whose a row is: by cgroup, user and pid namespace, whatever its processes call themselves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from zabbix_sockets.collector.call_context import CallContext
from zabbix_sockets.collector.standing import Standings
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.snapshot import (
    FIRST_OWNER,
    SYSTEM_UNIT,
    SYSTEM_USER,
    USER,
    Process,
    Standing,
)

from ..proctree import ProcTree  # noqa: TID252  # a test folder is no installed package
from ..snapshots import snapshot_of  # noqa: TID252  # likewise

ID = "3f4e1c0b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f00f"
SCOPE = f"docker-{ID}.scope"
USERS = "user.slice/user-1000.slice"
MANAGER = f"{USERS}/user@1000.service"


@pytest.fixture
def proc(tmp_path: Path) -> ProcTree:
    """A host."""
    return ProcTree(tmp_path / "proc")


def add(proc: ProcTree, pid: int, cgroup: str, uid: int = 0, *, levels: int = 1) -> Process:
    """Add a process of a user in a cgroup, with an id in so many pid namespaces."""
    folder = proc.add(pid, b"nginx")
    (folder / "cgroup").write_text(f"0::/{cgroup}\n")
    ids = f"Uid:\t{uid}\t0\t0\t0\nNSpid:\t{pid}" + "\t1" * (levels - 1)
    (folder / "status").write_text(f"Name:\tnginx\n{ids}\n")
    return Process(pid, "nginx", 3600.0)


def standing(proc: ProcTree, members: Iterable[Process]) -> Standing | None:
    """Return the standing of a row of these processes."""
    snapshot = snapshot_of(list(members))
    context = CallContext(str(proc), Deadline(1e6))
    return Standings(snapshot, context).of(range(len(snapshot.processes)))


@pytest.mark.parametrize(
    ("cgroup", "uid", "levels", "order", "share"),
    [
        ("system.slice/nginx.service", 0, 1, SYSTEM_UNIT, ""),
        ("system.slice/nginx.service", 33, 1, SYSTEM_UNIT, "uid 33"),
        ("system.slice/app.service", 1001, 1, SYSTEM_UNIT, "unit app.service"),
        ("system.slice/app.socket", 33, 1, SYSTEM_UNIT, "uid 33"),
        ("", 0, 1, SYSTEM_USER, ""),
        ("", 33, 1, SYSTEM_USER, "uid 33"),
        (f"{USERS}/session-2.scope", 1000, 1, USER, "uid 1000"),
        (f"{MANAGER}/app.slice/a.service", 1000, 1, USER, "uid 1000"),
        (f"{MANAGER}/app.slice/a.service", 100_000, 1, USER, "uid 65536"),
        ("system.slice/nginx.service", 0, 2, USER, "inner uid 0"),
        (f"system.slice/{SCOPE}", 0, 2, USER, f"container {ID}"),
    ],
)
def test_of_a_process(
    proc: ProcTree, cgroup: str, uid: int, levels: int, order: int, share: str
) -> None:
    """Root has no share of its own; what a user could choose counts for nothing."""
    member = add(proc, 20, cgroup, uid, levels=levels)
    assert standing(proc, [member]) == Standing(order, share, 3600.0)


@pytest.mark.parametrize(
    ("cgroup", "uid", "levels", "share"),
    [
        ("user.slice/user-1000.slice/session-2.scope", 1000, 2, "uid 1000"),
        (f"{MANAGER}/app.slice/{SCOPE}", 1000, 1, "uid 1000"),
        (f"{MANAGER}/user.slice/libpod-{ID}.scope", 100_000, 2, "uid 1000"),
        (f"system.slice/app.service/{SCOPE}", 1001, 1, "unit app.service"),
    ],
    ids=["pid namespace", "like docker's", "rootless", "delegated"],
)
def test_no_share_can_be_made(
    proc: ProcTree, cgroup: str, uid: int, levels: int, share: str
) -> None:
    """A pid namespace, or a cgroup named like a container's, gives a user no further part."""
    member = add(proc, 20, cgroup, uid, levels=levels)
    assert standing(proc, [member]) == Standing(USER, share, 3600.0)


def test_of_several_processes(proc: ProcTree) -> None:
    """The one that stands highest counts, and the age of the oldest."""
    members = [
        add(proc, 20, f"{USERS}/session-2.scope", 1000)._replace(age=7200.0),
        add(proc, 21, "system.slice/nginx.service", 33),
    ]
    assert standing(proc, members) == Standing(SYSTEM_UNIT, "uid 33", 7200.0)


def test_of_many_processes(proc: ProcTree) -> None:
    """Only a few are looked at: the oldest, whichever was found first."""
    young = [add(proc, 20 + at, "system.slice/new.service", 1000) for at in range(5)]
    old = add(proc, 30, "system.slice/old.service", 33)._replace(age=7200.0)
    assert standing(proc, [*young, old]) == Standing(SYSTEM_UNIT, "uid 33", 7200.0)
    standings = Standings(snapshot_of([*young, old]), CallContext(str(proc), Deadline(1e6)))
    assert standings.unit(range(6)) is None
    assert standings.unit(range(5)) == "new.service"


@pytest.mark.parametrize(
    ("uids", "order"),
    [
        ([1000, 1000, 1000, 1000, 33], SYSTEM_USER),
        ([1000, 1000, 1000, 1000, 1000], USER),
        ([None, None, None, None, 33], SYSTEM_USER),  # unknown is as a user's
    ],
)
def test_lowest_uid_is_looked_at(proc: ProcTree, uids: list[int | None], order: int) -> None:
    """Of many processes those are looked at whose sockets have the lowest uid, and not the oldest.

    The last one is the youngest, and has a socket of a user's beside its own.
    """
    members = [add(proc, 40 + at, "", 1000) for at in range(4)]
    members.append(add(proc, 99, "", 33)._replace(age=1.0))
    snapshot = snapshot_of(members)
    snapshot.owners[FIRST_OWNER + 5] = (4,)
    found = [*uids, 1000]
    snapshot.uids = {FIRST_OWNER + at: uid for at, uid in enumerate(found) if uid is not None}
    context = CallContext(str(proc), Deadline(1e6))
    told = Standings(snapshot, context).of(range(5))
    assert told is not None
    assert (told.order, told.age) == (order, 3600.0)


def test_of_no_process(proc: ProcTree) -> None:
    """Nobody knows whose it is."""
    assert standing(proc, []) == Standing(USER, "unknown", 0.0)


def test_of_what_is_not_seen(proc: ProcTree) -> None:
    """A process that is gone or hidden is like one of a user whom nobody knows."""
    assert standing(proc, [Process(99, "nginx", 3600.0)]) == Standing(USER, "unknown", 3600.0)


def test_no_time(proc: ProcTree) -> None:
    """After the deadline nothing is looked up."""
    context = CallContext(str(proc), Deadline(0))
    assert Standings(snapshot_of([Process(99, "nginx")]), context).of([0]) is None


@pytest.mark.parametrize(
    ("cgroups", "unit"),
    [
        (["system.slice/nginx.service"] * 2, "nginx.service"),
        (["system.slice/x@y%.service"], None),
        (["system.slice/run-u17.service"], "run-u*.service"),
        (["system.slice/nginx.service", "system.slice/app.service"], None),
        ([f"{USERS}/session-2.scope"], "session-*.scope"),
        ([f"system.slice/{SCOPE}"], None),
        ([""], None),
        ([], None),
    ],
)
def test_unit(proc: ProcTree, cgroups: list[str], unit: str | None) -> None:
    """It is that of all processes that are looked at, in the form that lasts."""
    members = [add(proc, 20 + at, cgroup) for at, cgroup in enumerate(cgroups)]
    snapshot = snapshot_of(members)
    standings = Standings(snapshot, CallContext(str(proc), Deadline(1e6)))
    assert standings.unit(range(len(members))) == unit
    late = Standings(snapshot, CallContext(str(proc), Deadline(0)))
    assert late.unit(range(len(members))) is None
