"""A process whose memory map is locked for good: whoever reads its command line waits.

It replaces a mapping of a file that it has written to, on a filesystem that another of its user's
processes serves (FUSE), which never takes what was written: mmap(2) waits for that, with the lock
of the memory map. The kernel reads no command line out of a file (FOLL_ANON), but waits for the
lock; only SIGKILL ends that.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import asked
import pytest
import witness
import zoo
from asked import TIMEOUT, Asker
from children import Child, set_comm

INIT, LOOKUP, GETATTR, OPEN, READ, WRITE = 26, 1, 3, 14, 15, 16
FORGET, INTERRUPT, BATCH_FORGET = 2, 36, 42
"""Requests of FUSE (linux/fuse.h); the last three have no answer."""
ENOSYS = 38
LENGTH = 65536
LONG = b"fifteen-bytes-x"
PORT = 7990

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]


def attributes(node: int) -> bytes:
    """Return a struct fuse_attr: node 1 is the folder, 2 the file in it."""
    mode, size = (0o40777, 0) if node == 1 else (0o100666, LENGTH)
    return struct.pack("<6Q10I", node, size, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer_to(request: int, node: int, data: bytes) -> bytes | None:
    """Return what a request is answered with; None: there is nothing such."""
    if request == INIT:
        return struct.pack("<4I2H2I2HI28x", 7, 31, LENGTH, 0, 10, 10, LENGTH, 1, 1, 0, 0)
    if request == LOOKUP:
        return struct.pack("<4Q2I", 2, 1, 60, 60, 0, 0) + attributes(2)
    if request == GETATTR:
        return struct.pack("<Q2I", 60, 0, 0) + attributes(node)
    if request == OPEN:
        return struct.pack("<Q2I", 1, 2, 0)
    if request == READ:
        return bytes(struct.unpack_from("<2QI", data, 40)[2])
    return None


def serve(server: int) -> None:
    """Answer the requests of a filesystem with one file, but not those to write."""
    while True:
        data = os.read(server, 2 * LENGTH)
        _, request, unique, node = struct.unpack_from("<2I2Q", data)
        if request in (WRITE, FORGET, INTERRUPT, BATCH_FORGET):
            continue
        answer = answer_to(request, node, data)
        error = -ENOSYS if answer is None else 0
        head = struct.pack("<IiQ", 16 + len(answer or b""), error, unique)
        os.write(server, head + (answer or b""))


@contextmanager
def filesystem(folder: Path) -> Iterator[Path]:
    """Yield a file on a filesystem which never takes what is written."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("no FUSE in this kernel")
    server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0,allow_other"
    place = str(folder).encode()
    if _libc.mount(b"zstest", place, b"fuse", 0, options.encode()):
        pytest.skip(f"FUSE can't be mounted here: {os.strerror(ctypes.get_errno())}")

    def work() -> object:
        if not os.fork():
            asked.end_with_parent()
            serve(server)
        os.close(server)
        return None

    try:
        with Child(work):
            os.close(server)
            yield folder / "file"
    finally:
        _libc.umount2(place, 2)  # MNT_DETACH


def lock_own_memory(path: Path) -> object:
    """Have a listener, and a thread of this process wait for good while it changes the map."""
    asked.become_hostile()
    server = zoo.listener(port=PORT)
    pid = os.fork()
    if pid:
        return server, pid
    asked.end_with_parent()
    set_comm(LONG)
    fd = os.open(path, os.O_RDWR)
    place = _libc.mmap(None, LENGTH, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)
    ctypes.memmove(place, b"x" * 100, 100)
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x10  # MAP_FIXED
    _libc.mmap(place, LENGTH, mmap.PROT_READ, private, -1, 0)
    os._exit(0)


def waits_for_ever() -> bool:
    """Whether the process that locks its memory is in state D."""
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            continue  # it has ended
        if b"(" + LONG + b") D" in stat:
            return True
    return False


@pytest.mark.short_form
@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("source", ["bpf", "sock_diag"])
def test_command_line_that_hangs(
    asker: Asker, open_folder: Path, record_property: Callable[[str, object], None], source: str
) -> None:
    """The call answers in time without command lines, which is marked; nothing waits behind it."""
    with filesystem(open_folder) as path, Child(partial(lock_own_memory, path), b"locks"):
        zoo.wait_for(waits_for_ever, "the process that locks its memory")
        found = [asker.ask(source) for _ in range(3)]
        zoo.wait_for(lambda: not asker.left(), "the end of what hung")
    zoo.wait_for(lambda: not waits_for_ever(), "the end of the process that locked its memory")
    again = asker.ask("bpf", "get", "--timeout", "50")
    figure = asked.Figure(f"a command line that hangs, {source}", [*found, again])
    record_property(asked.PROPERTY, figure)
    assert min(each.wall for each in found) < TIMEOUT
    for each in found:
        assert each.kind == "marked"
        # Without privilege sock_diag sees no owner of another user's.
        assert source != "bpf" or witness.is_right_in(each)
    assert again.kind == "whole"
    assert witness.is_right_in(again)


@pytest.mark.short_form
@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("source", ["bpf", "sock_diag"])
def test_monitor_and_a_command_line_that_hangs(
    asker: Asker, open_folder: Path, source: str
) -> None:
    """`show --interval` goes on without command lines, which is noted, and ends as ever."""
    question = ("show", "processes", "--json", "--interval", "0.2", "--count", "3")
    timeout = 10
    with filesystem(open_folder) as path, Child(partial(lock_own_memory, path), b"locks"):
        zoo.wait_for(waits_for_ever, "the process that locks its memory")
        words = asker.words(source, *question, "--timeout", str(timeout), uid=0)
        found = asker.start(words)()
    assert (found.status, found.out.count("\n")) == (0, 3), found
    assert "no command line was read" in found.err
    for line in found.out.splitlines():
        names = {row["name"] for row in json.loads(line)["processes"]}
        assert LONG.decode() in names, line
    assert found.wall < 3 * timeout
