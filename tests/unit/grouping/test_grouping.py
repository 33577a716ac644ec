"""Which names own a socket."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS, Grouping, Groups
from zabbix_sockets.model.snapshot import FIRST_OWNER, NOBODY, UNOWNED, Process, Snapshot

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    processes,
    snapshot_of,
    snapshots,
)

BY_PROCESS = GROUPINGS[DEFAULT_GROUPING]


def test_owner_alone() -> None:
    """A process that holds a socket alone is its only group."""
    snapshot = snapshot_of(processes("nginx", "postgres"))
    groups = Groups(snapshot, BY_PROCESS)
    assert groups.of(FIRST_OWNER) == ("nginx",)
    assert groups.of(FIRST_OWNER + 1) == ("postgres",)
    assert groups.instances == {"nginx": {0}, "postgres": {1}}


def test_equal_names_are_one_group() -> None:
    """Processes of one name are instances of one group, which has a shared socket once."""
    snapshot = snapshot_of(processes("nginx", "nginx", "cache"))
    snapshot.owners[9] = (2, 0, 1)
    groups = Groups(snapshot, BY_PROCESS)
    assert groups.of(9) == ("cache", "nginx")
    assert groups.instances["nginx"] == {0, 1}


def test_nobody_has_no_group() -> None:
    """Sockets without a known owner belong to no group."""
    groups = Groups(snapshot_of(processes("nginx")), BY_PROCESS)
    assert groups.of(NOBODY) == groups.of(UNOWNED) == groups.of(77) == ()
    assert groups.of_connected(77) == ()


def test_other_grouping() -> None:
    """A grouping is any function from all processes to their names, such as by their ages."""

    def names_of(processes: Sequence[Process]) -> list[str]:
        oldest = max(process.age or 0 for process in processes)
        return ["old" if process.age == oldest else "young" for process in processes]

    snapshot = snapshot_of([Process(1, "a", 5000.0), Process(2, "b", 1.0), Process(3, "c")])
    groups = Groups(snapshot, Grouping("age", names_of))
    assert groups.instances == {"old": {0}, "young": {1, 2}}


@given(snapshots(), st.data())
def test_groups_are_those_of_the_members(snapshot: Snapshot, data: st.DataObject) -> None:
    """An owner's groups are the distinct names of its processes, in order."""
    owner = data.draw(st.sampled_from(sorted(snapshot.owners)))
    names = {snapshot.processes[index].name for index in snapshot.owners[owner]}
    assert Groups(snapshot, BY_PROCESS).of(owner) == tuple(sorted(names))


@pytest.mark.parametrize(
    ("grouping", "name"),
    [("process", "java"), ("unit", "kafka.service"), ("container", "shop/cart"), ("user", "kafka")],
)
def test_groupings(grouping: str, name: str) -> None:
    """Each grouping takes one field, which is all that it needs; what is unknown is called so."""
    full = Process(1, "java", unit="kafka.service", container="shop/cart", user="kafka")
    made = GROUPINGS[grouping]
    assert made.names_of([full]) == [name]
    assert made.needs == ({grouping} if grouping != "process" else set())
    if made.needs:
        assert made.names_of([Process(2, "java")]) == ["(unknown)"]


def test_members_of_several_groups() -> None:
    """Processes of one name may be of different units: a socket that they share is each one's."""
    first, second = (Process(pid, "nginx", unit=f"{pid}.service") for pid in (1, 2))
    snapshot = snapshot_of([first, second])
    snapshot.owners[9] = (0, 1)
    groups = Groups(snapshot, GROUPINGS["unit"])
    assert groups.of(9) == ("1.service", "2.service")
    assert groups.of_all([FIRST_OWNER, 9]) == ["1.service", "2.service"]
