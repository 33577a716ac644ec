"""No process, no descriptor, no memory, no room left: an answer, or one line that says why not.

Whoever may fill the host's tables, or a unit's limits, makes calls fail that need one more; the
agent's user asks then, and leaves nothing behind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import witness
from asked import PROPERTY, Answer, Asker, Figure
from zoo import wait_for

pytestmark = pytest.mark.usefixtures("service")

Record = Callable[[str, object], None]
"""pytest's `record_property`."""

PATIENT = ("get", "--timeout", "50")


def check(asker: Asker, found: list[Answer], scenario: str, record_property: Record) -> None:
    """Check what must hold of all answers, and that all is well as soon as nothing is short."""
    again = asker.ask("bpf", *PATIENT)
    record_property(PROPERTY, Figure(scenario, [*found, again]))
    for each in found:
        witness.is_right_in(each)
    assert again.kind == "whole"
    assert witness.is_right_in(again)
    assert not asker.left()


@pytest.mark.short_form
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_no_process_left(asker: Asker, record_property: Record, processes: int) -> None:
    """At the limit of a user's processes (RLIMIT_NPROC): without a child and a thread, too."""
    words = asker.words("bpf", *PATIENT)
    at = words.index("--clear-groups") + 1
    words[at:at] = ["prlimit", f"--nproc={processes}"]
    answer = asker.start(words)()
    check(asker, [answer], f"{processes} processes at most", record_property)
    assert answer.kind == "whole"


@pytest.mark.short_form
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_full_cgroup(asker: Asker, record_property: Record, processes: int) -> None:
    """At a unit's limit of processes (TasksMax)."""
    with cgroup("pids", "pids.max", processes) as enter:
        answer = asker.ask("bpf", *PATIENT, within=enter)
    check(asker, [answer], f"{processes} processes at most in a cgroup", record_property)
    assert answer.kind == "whole"


FILLED = r"""
echo 350 2>/dev/null >/proc/sys/kernel/pid_max || exit 77
(while sleep 60 & do :; done) 2>/dev/null || :
exec "$@"
"""
"""Takes all pids of a pid namespace but two, and becomes a command."""
NO_LIMIT = 77


@pytest.mark.short_form
def test_full_pid_table(asker: Asker, record_property: Record) -> None:
    """No pid is left on the host, of which a pid namespace is a small one."""
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 14):
        pytest.skip("pid namespaces have no pid_max of their own before Linux 6.14")
    fresh = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    answer = asker.ask("bpf", *PATIENT, within=[*fresh, "sh", "-c", FILLED, "sh"])
    if answer.status == NO_LIMIT:
        pytest.skip("pid_max can't be written")
    record_property(PROPERTY, Figure("a full pid table", [answer, answer]))
    assert answer.kind == "whole"
    assert not asker.left()


@pytest.mark.parametrize("descriptors", range(4, 13))
def test_no_descriptor_left(asker: Asker, record_property: Record, descriptors: int) -> None:
    """With few descriptors there is an answer, or what is said is that these lack."""
    within = ["prlimit", f"--nofile={descriptors}"]
    answer = asker.ask("bpf", *PATIENT, within=within)
    if "Fatal Python error" in answer.err or "shared libraries" in answer.err:
        pytest.skip("too few for Python itself")
    check(asker, [answer], f"{descriptors} descriptors", record_property)
    if answer.kind not in ("whole", "marked"):
        assert "Too many open files" in answer.kind


@pytest.mark.short_form
@pytest.mark.parametrize("megabytes", [16, 24, 32])
def test_no_memory_left(asker: Asker, record_property: Record, megabytes: int) -> None:
    """In a cgroup with little memory; a call on a quiet host takes less than 32 MB."""
    with cgroup("memory", "memory.limit_in_bytes", megabytes << 20) as enter:
        answer = asker.ask("bpf", *PATIENT, within=enter)
    if answer.status is not None and answer.status < 0 and megabytes < ENOUGH:
        pytest.skip("too little for Python itself")
    check(asker, [answer], f"{megabytes} MB", record_property)
    if megabytes == ENOUGH:
        assert answer.kind == "whole"


ENOUGH = 32
"""The memory in MB in which a call on a quiet host has its answer."""


@contextmanager
def cgroup(controller: str, file: str, value: int) -> Iterator[list[str]]:
    """Have a cgroup with a limit; yield the words that run a command in it.

    The name is that of cgroup v1's file; v2 has memory.max for memory.limit_in_bytes.
    """
    mounts = [line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    roots = [
        path
        for _, path, kind, options, *_ in mounts
        if (kind == "cgroup" and controller in options.split(","))
        or (
            kind == "cgroup2" and controller in Path(path, "cgroup.controllers").read_text().split()
        )
    ]
    if not roots:
        pytest.skip(f"no cgroups with {controller} here")
    folder = Path(roots[0]) / f"zabbix-sockets-{os.getpid()}"
    folder.mkdir()
    try:
        limit = folder / file
        if not limit.exists():
            limit = folder / "memory.max"
        if not limit.exists():
            pytest.skip(f"{controller} is not handed on to cgroups below {roots[0]}")
        limit.write_text(str(value))
        yield ["sh", "-c", f'echo $$ >{folder}/cgroup.procs && exec "$@"', "sh"]
        wait_for(lambda: not (folder / "cgroup.procs").read_text(), "an empty cgroup")
    finally:
        folder.rmdir()


FULL = r"""
set -e
exec 3<"$1" 4<"$2"
for each in /dev/shm /tmp /run /var/lib; do
    mount -t tmpfs -o "$3" tmpfs $each
    mkdir -p $each/lock
    chmod 1777 $each $each/lock
done
mkdir -p "$1" "$2"
mount -c --bind /proc/self/fd/3 "$1"
mount -c --bind /proc/self/fd/4 "$2"
for each in /dev/shm /tmp /run /var/lib; do
    for i in $(seq 100); do touch $each/lock/$i || break; done 2>/dev/null
    cat /dev/zero >$each/lock/1 2>/dev/null || :
done
shift 3
exec "$@"
"""
"""Mounts full filesystems where a call may keep something; two folders below /tmp stay."""


@pytest.mark.short_form
@pytest.mark.parametrize(
    "option", ["size=64k", "size=1m,nr_inodes=12"], ids=["no block", "no inode"]
)
def test_full_disk(asker: Asker, record_property: Record, option: str) -> None:
    """No block or no inode is left on any filesystem where calls have a lock or keep something."""
    folders = [str(asker.folder.parent), asker.pins]
    within = ["unshare", "--mount", "sh", "-c", FULL, "sh", *folders, option]
    answer = asker.ask("bpf", *PATIENT, within=within)
    check(asker, [answer], f"full disks, {option}", record_property)
    assert answer.kind == "whole"
    assert witness.is_right_in(answer)
