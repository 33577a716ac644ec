"""Whose sockets the iterators' records are of: each process once, named in time."""

import os
from collections.abc import Callable

import pytest

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
