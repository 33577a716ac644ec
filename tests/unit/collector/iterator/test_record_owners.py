"""Whose sockets the iterators' records are of: each process once, named in time."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from zabbix_sockets.collector.iterator import record_owners
from zabbix_sockets.collector.iterator.record_owners import RecordOwners, read_owners
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, SourceUnavailableError
from zabbix_sockets.readers.bpf import records as bpf

from ..fakes import Looks  # noqa: TID252  # a test folder is no package

TIME = Deadline(600)


def tells(told: bytes, opened: list[str]) -> Callable[[str], int]:
    """Return what opens iterators that tell this, and notes which."""

    def open_iterator(program: str) -> int:
        opened.append(program)
        read, write = os.pipe()
        with os.fdopen(write, "wb") as pipe:
            pipe.write(told)
        return read

    return open_iterator


def test_each_process_once() -> None:
    """A process has one number, whatever comes between its sockets; shared ones have several."""
    told = [(1, 10), (1, 11), (2, 20), (1, 12), (2, 12), (2, 12)]
    data = b"".join(bpf.OWNER.pack(pid, inode, 5, b"name") for pid, inode in told)
    owners = read_owners(tells(data, []), "/proc", TIME)
    assert [each.pid for each in owners.processes] == [1, 2]
    pids = {
        inode: {owners.processes[at].pid for at in owners.members(number)}
        for inode, number in owners.by_inode.items()
    }
    assert pids == {10: {1}, 11: {1}, 20: {2}, 12: {1, 2}}


def test_half_a_record() -> None:
    """An iterator that breaks off is a source that can't be used."""
    with pytest.raises(SourceUnavailableError, match="the iterator failed"):
        read_owners(tells(b"half", []), "/proc", TIME)


def test_owners_that_take_too_long() -> None:
    """Past the deadline no process is asked for its name for a filter or single sockets either."""
    data = b"".join(bpf.OWNER.pack(pid, pid, 5, b"name") for pid in range(1, 51))
    assert len(read_owners(tells(data, []), "/proc", TIME).processes) == 50
    with pytest.raises(DeadlineError):
        read_owners(tells(data, []), "/proc", Looks(30))


def test_name_by_what_a_process_executes() -> None:
    """A thread's name gives way to the program's, which the iterator tells; once for all."""
    opened: list[str] = []
    told = bpf.PROCESS.pack(10, 5, 3, b"traefik") + bpf.PROCESS.pack(11, 5, 4, b"vector")
    described = bpf.Processes(tells(told, opened), Deadline(60))
    owners = RecordOwners("/nowhere", 1000.0, described, TIME)
    numbers = [owners.add_process((pid, b"main\0", 5)) for pid in (10, 11)]
    assert [each.name for each in owners.processes] == ["traefik", "vector"]
    assert [each.age for each in owners.processes] == [995.0, 995.0]
    assert list(owners.numbers.values()) == numbers
    assert opened == [bpf.DESCRIBE_PROCESSES]


GONE = OSError()


@pytest.mark.parametrize(
    ("by_procfs", "hidden", "fds", "asked"),
    [
        (12, False, 12, False),
        (0, False, 7, True),
        (GONE, True, 7, True),
        (GONE, False, None, False),
    ],
    ids=["procfs tells", "procfs says 0", "hidepid", "it has ended"],
)
def test_descriptors(
    monkeypatch: pytest.MonkeyPatch,
    by_procfs: int | OSError,
    *,
    hidden: bool,
    fds: int | None,
    asked: bool,
) -> None:
    """The iterator is asked where procfs doesn't tell, and not for what has ended."""

    def count(*_: object) -> int:
        if isinstance(by_procfs, OSError):
            raise by_procfs
        return by_procfs

    monkeypatch.setattr(record_owners, "count_fds", count)
    monkeypatch.setattr(record_owners, "is_hidden", lambda *_: hidden)
    opened: list[str] = []
    told = bpf.PROCESS.pack(10, 5, 7, b"web")
    owners = RecordOwners(
        "/nowhere", 1000.0, bpf.Processes(tells(told, opened), Deadline(60)), TIME
    )
    owners.add_process((10, b"web\0", 5))
    owners.count_fds(0)
    assert (owners.processes[0].fds, owners.fds_known) == (fds, True)
    assert bool(opened) is asked


def test_descriptors_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """An iterator that breaks off may have kept the fullest: nobody's are known then."""
    monkeypatch.setattr(record_owners, "count_fds", lambda *_: 0)
    owners = RecordOwners("/nowhere", 1000.0, bpf.Processes(tells(b"half", []), TIME), TIME)
    owners.add_process((10, b"web\0", 5))
    owners.count_fds(0)
    assert (owners.processes[0].fds, owners.fds_known) == (None, False)


def test_descriptors_are_read_once() -> None:
    """What began later, or is ending, isn't worth another pass over all processes."""
    opened: list[str] = []
    described = bpf.Processes(tells(bpf.PROCESS.pack(10, 5, 7, b"web"), opened), Deadline(60))
    assert [described.count_fds(pid, 5) for pid in (10, 11, 12)] == [7, None, None]
    assert opened == [bpf.DESCRIBE_PROCESSES]
    assert described.executable(11, 5) is None
    assert opened == [bpf.DESCRIBE_PROCESSES] * 3
