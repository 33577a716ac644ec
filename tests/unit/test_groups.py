"""Which names own a socket."""

from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.groups import DEFAULT_GROUPING, GROUPINGS, Groups
from zabbix_sockets.model import FIRST_OWNER, NOBODY, UNOWNED, Process, Snapshot

from .snapshots import processes, snapshot_of, snapshots

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


def test_other_grouping() -> None:
    """A grouping is any function from a process to a name."""

    def by_age(process: Process) -> str:
        return "old" if (process.age or 0) > 1000 else "young"

    snapshot = snapshot_of([Process(1, "a", 5000.0), Process(2, "b", 1.0), Process(3, "c")])
    groups = Groups(snapshot, by_age)
    assert groups.instances == {"old": {0}, "young": {1, 2}}


@given(snapshots(), st.data())
def test_groups_are_those_of_the_members(snapshot: Snapshot, data: st.DataObject) -> None:
    """An owner's groups are the distinct names of its processes, in order."""
    owner = data.draw(st.sampled_from(sorted(snapshot.owners)))
    names = {snapshot.processes[index].name for index in snapshot.owners[owner]}
    assert Groups(snapshot, BY_PROCESS).of(owner) == tuple(sorted(names))
