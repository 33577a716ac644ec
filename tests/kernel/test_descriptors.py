"""How many descriptors a process has open: by the iterator, where procfs doesn't tell it."""

from __future__ import annotations

import grp
import os
import resource
from functools import partial
from pathlib import Path

import pytest
import zoo
from children import Child, run_as
from hidden_processes import NOBODY, hiding
from json_documents import json_document

from zabbix_sockets import Query, collect
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.paths import PINS_GROUP
from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.proc.process import count_fds, read_stat

NAME = b"descriptors"
LIMIT = 1000
MOST_COUNTED = 2_097_152  # MAX_WORDS of kernel.bpf.h, of 64 each
PLACES = {
    "no others": (),
    "a full word": range(20, 64),
    "one in the second word": range(20, 65),
    "eight full words": range(20, 512),
    "one behind these": range(20, 513),
    "many": range(20, 19_000),
    "far apart": (63, 64, 127, 4_095, 4_096, -1),
}


def open_at(numbers: range | tuple[int, ...], limit: int = LIMIT) -> None:
    """Have these descriptors open as well, and then a soft limit of *limit*; -1 is the last one.

    It is as far away as a process may have it here: 1048575 by default, if root has all rights.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(int(Path("/proc/sys/fs/nr_open").read_text()), MOST_COUNTED)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except ValueError:  # no CAP_SYS_RESOURCE
        most = hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    there = {int(name) for name in os.listdir("/proc/self/fd")}  # the Child's own among them
    for number in {most - 1 if each < 0 else each for each in numbers} - there:
        os.dup2(0, number)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))


def listed(pid: int) -> int:
    """Return how many descriptors /proc lists, once the Child *pid* has closed all that it will."""

    def sleeps() -> bool:
        return b"State:\tS" in Path(f"/proc/{pid}/status").read_bytes()

    zoo.wait_for(sleeps, "the child to be ready")
    return len(os.listdir(f"/proc/{pid}/fd"))


def counted(pins: str, pid: int) -> int | None:
    """Return what the iterator says of the process *pid*."""
    described = records.Processes(records.open_pinned(pins), Deadline(60))
    return described.count_fds(pid, int(read_stat("/proc", str(pid))[2]))


@pytest.mark.parametrize("numbers", PLACES.values(), ids=PLACES)
def test_each_is_counted(pins: str, numbers: range | tuple[int, ...]) -> None:
    """As many as /proc lists, wherever in the table they are."""
    with Child(partial(open_at, numbers)) as child:
        there = listed(child.pid)
        assert there >= len(numbers)  # at those places
        assert counted(pins, child.pid) == there
        assert count_fds("/proc", child.pid) in (there, 0)  # before Linux 6.2: 0


def test_without_its_main_thread(pins: str) -> None:
    """The other threads tell for it; procfs tells nothing then, whatever the kernel."""
    with zoo.leaderless() as (pid, thread):
        assert count_fds("/proc", pid) == 0
        assert counted(pins, pid) == len(os.listdir(f"/proc/{pid}/task/{thread}/fd"))


def used(pins: str, sieve: str, proc: str) -> object:
    """Return the share of its descriptors that the process of this test uses, and the source."""
    document = json_document(collect(Query("bpf", 30, proc, pins, netns="own", filter=sieve)))
    rows, collector = document["processes"], document["collector"]
    assert isinstance(rows, list)
    assert isinstance(collector, dict)
    return [row.get("fds_max_pct") for row in rows if row["name"] == NAME.decode()]


def opened() -> object:
    """Have a listener, and a third of LIMIT open."""
    server = zoo.listener(port=7711)
    open_at(range(20, 350))
    return server


@pytest.mark.parametrize("sieve", ["", "sport = :7711"])
def test_without_privilege(pins: str, sieve: str) -> None:
    """An alarm for the agent's user before Linux 6.2 as well, without and with a filter."""
    with Child(opened, NAME) as child:
        share = listed(child.pid) * 100 / LIMIT
        assert 33 < share < 40
        work = partial(used, pins, sieve, "/proc")
        assert run_as(NOBODY, work, grp.getgrnam(PINS_GROUP).gr_gid) == [round(share, 1)]


@pytest.mark.parametrize("hidepid", [1, 2])
def test_where_procfs_hides(pins: str, open_folder: Path, hidepid: int) -> None:
    """The iterator tells what hidepid hides, on each kernel."""
    with Child(opened, NAME) as child:
        share = listed(child.pid) * 100 / LIMIT
        work = partial(used, pins, "")
        assert hiding(hidepid, open_folder, work) == [round(share, 1)]
