"""Readers of the totals in the kernel, and what they are compared with (traffic_zoo.Expected)."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
import traffic_zoo
from traffic_zoo import Expected, Sums

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.totals import COUNTERS, PackedCounters, Totals, counters_of
from zabbix_sockets.readers.bpf import loader, records, totals
from zabbix_sockets.readers.bpf.pins import load, unload

TIMES = ("handshake_ns", "lifetime_ns")

Found = tuple[Sums, Sums, Sums]
"""The totals by process, listener and upstream, as Expected has them."""


def fail(reason: str) -> None:
    """Refuse to go without totals."""
    pytest.fail(reason)


def folder_for_pins() -> str:
    """Return the path of a new folder that others may enter."""
    folder = tempfile.mkdtemp(prefix="zabbix-sockets-totals-")
    os.chmod(folder, 0o755)
    return folder


@contextmanager
def loaded() -> Iterator[str]:
    """Have the programs that count in a bpffs of the tests' own; give its path."""
    folder = folder_for_pins()
    try:
        load(folder, with_totals=True, warn=fail)
        yield folder
    finally:
        unload(folder)
        os.rmdir(folder)


BUILD = Path(totals.__file__).parent


def bounded(**most: int) -> AbstractContextManager[str]:
    """Have the programs that count with other bounds than usual, as changed() has them."""
    return changed(bounds(**most))


def bounds(**most: int) -> dict[str, str]:
    """Return the edits for changed() that make other bounds than usual."""
    return {rf"(#define {bound}) \d+": rf"\1 {number}" for bound, number in most.items()}


WITHOUT_SOFTIRQS = {
    r"1 << TCP_ESTABLISHED \| (?=1 << TCP_SYN_SENT \| 1 << TCP_CLOSE)": "",
    r" 1 << TCP_CLOSE \| (?=1 << TCP_LISTEN)": " ",
    r"(int count_ends\(__u64 \*ctx\)\n\{)": r"\1\n\treturn 0;",
}
"""What makes the programs of those of a kernel that skips them in each softirq."""


@contextmanager
def changed(edits: Mapping[str, str]) -> Iterator[str]:
    """Have the programs that count in a bpffs of the tests' own, made of an edited source.

    *edits* has what takes the place of each pattern, which is there once.
    """
    with tempfile.TemporaryDirectory() as name:
        for source in [*BUILD.glob("*.h"), *BUILD.glob("*.c"), BUILD / "build.sh"]:
            shutil.copy(source, name)
        text = (source := Path(name, "totals.bpf.c")).read_text()
        for pattern, instead in edits.items():
            text, changes = re.subn(pattern, instead, text)
            assert changes == 1, pattern
        source.write_text(text)
        build = Path(name, "build.sh")
        order = "el" if sys.byteorder == "little" else "eb"
        build.write_text(build.read_text().replace("in el eb", f"in {order}"))
        try:
            subprocess.run([f"{name}/build.sh", ".", "totals"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"clang, llvm or libbpf-dev is missing: {error}")
        with loaded_from(f"{name}/{Path(loader.object_path('totals')).name}") as folder:
            yield folder


@contextmanager
def loaded_from(path: str) -> Iterator[str]:
    """Have the programs that count in a bpffs of the tests' own, from another object."""
    usual = loader.object_path
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "object_path", lambda each: path if each == "totals" else usual(each))
        with loaded() as folder:
            yield folder


def without_exchange() -> AbstractContextManager[str]:
    """Have the programs that count as they are where the kernel has no atomic exchange."""
    return loaded_from(loader.object_path(totals.WITHOUT_EXCHANGE))


@contextmanager
def crowded(folder: str) -> Iterator[None]:
    """Have connections that take the room of programs that were bounded() to a few."""
    server, _ = traffic_zoo.listener()
    with server, ExitStack() as held:
        for _ in range(16):
            held.enter_context(socket.create_connection(server.getsockname()))
        look(folder)  # tells of these
        yield


def read_all(folder: str, wanted: Collection[int] | None = None) -> Totals:
    """Return the totals of the namespaces *wanted*, with their numbers as the kernel has them."""
    of_device = lambda _, index: str(index or "")  # noqa: E731
    return totals.TotalsReader(folder, -1, of_device, Deadline(60), wanted).read()


def read(folder: str) -> Found:
    """Return the totals of the caller's namespace that are not 0."""
    found = read_all(folder, {os.stat("/proc/thread-self/ns/net").st_ino})
    processes: Sums = {}
    for each in found.processes:
        processes.setdefault(each.comm, Counter()).update(figures(each.counters))
    listeners: Sums = {
        (each.address, each.port): figures(each.counters) for each in found.listeners
    }
    upstreams: Sums = {
        (found.processes[each.process].comm, (each.address, each.port)): figures(each.counters)
        for each in found.upstreams
        if each.process is not None
    }
    return processes, listeners, upstreams


def figures(packed: PackedCounters) -> Counter[str]:
    """Return the counters that tests know exactly."""
    counters = dict(zip(COUNTERS, counters_of(packed), strict=True))
    return Counter({name: value for name, value in counters.items() if name not in TIMES})


def risen(before: Found, after: Found) -> Found:
    """Return by how much totals have become more, without those that are as they were.

    Another namespace may have had the same number before.
    """
    processes, listeners, upstreams = (
        {key: more for key, each in now.items() if (more := each - then.get(key, Counter()))}
        for then, now in zip(before, after, strict=True)
    )
    return processes, listeners, upstreams


def wanted(expected: Expected) -> Found:
    """Return what is expected, without what is 0."""
    processes, listeners, upstreams = (
        {key: +each for key, each in part.items() if +each}
        for part in (expected.processes, expected.listeners, expected.upstreams)
    )
    return processes, listeners, upstreams


def assert_comes_to(
    folder: str,
    before: Found,
    expected: Expected,
    only: Callable[[Found], Found] = lambda all_: all_,
) -> None:
    """Wait until the last connections have ended, and compare the totals that *only* leaves."""
    want = only(wanted(expected))
    seen = risen(before, only(read(folder)))
    for _ in range(50):
        if seen == want:
            break
        threading.Event().wait(0.1)
        seen = risen(before, only(read(folder)))
    if seen != want:
        assert_has_room(folder)
    assert seen == want, (seen, want)


def assert_has_room(folder: str) -> None:
    """Skip where there was no room for a key or a connection.

    Programs at tracepoints count the connections of the whole machine, in whatever namespace.
    """
    overflow = read_all(folder).overflow
    if overflow:
        pytest.skip(f"others on this machine had all of the totals' room: overflow {overflow}")


def look(folder: str, part: int = records.WHOLE) -> None:
    """Let the iterator pass over all sockets, or over half of them."""
    fd = records.open_part(records.open_pinned(folder), part)
    for _ in records.read_chunks(fd, records.RECORD.size, Deadline(60)):
        pass
