"""Who holds which inode, against sets of holders."""

from hypothesis import example, given
from hypothesis import strategies as st

from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import FIRST_OWNER, Process

HELD = st.lists(st.lists(st.integers(1, 12), max_size=10), max_size=8)


@given(HELD)
@example([[1, 2, 3], [1, 2, 3], [2, 3], [3, 3]])
def test_every_owner_of_every_socket(held: list[list[int]]) -> None:
    """Each inode has exactly the processes that hold it, each once; equal sets share a number."""
    owners = Owners()
    for pid, inodes in enumerate(held):
        owners.add(Process(pid, f"p{pid}"), inodes)
    expected = {
        inode: {pid for pid, inodes in enumerate(held) if inode in inodes}
        for inode in {inode for inodes in held for inode in inodes}
    }
    found = {inode: owners.members(number) for inode, number in owners.by_inode.items()}
    assert {inode: set(members) for inode, members in found.items()} == expected
    assert all(len(set(members)) == len(members) for members in found.values())
    assert [process.pid for process in owners.processes] == list(range(len(held)))
    numbers = set(owners.by_inode.values())
    assert len(numbers) == len({frozenset(members) for members in expected.values()})
    assert all(number >= FIRST_OWNER for number in numbers)


@given(HELD, st.sets(st.integers(1, 12)))
def test_marks_are_taken_back(held: list[list[int]], counted: set[int]) -> None:
    """After a failed read every socket has the owner it had before."""
    owners = Owners()
    for pid, inodes in enumerate(held):
        owners.add(Process(pid, "p"), inodes)
    before = dict(owners.by_inode)
    for inode in counted & before.keys():
        owners.by_inode[inode] *= -1
    owners.forget_counted()
    assert owners.by_inode == before


def test_no_members() -> None:
    """Nobody, and an owner who could not be seen, have no processes."""
    assert Owners().members(0) == Owners().members(1) == ()
