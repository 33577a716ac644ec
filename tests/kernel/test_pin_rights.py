"""What who may read the pinned iterators can do with them: read, and nothing else."""

from __future__ import annotations

import ctypes
import errno
import grp
import os
import socket
import stat
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zoo
from children import run_as, run_forked

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.paths import PINS_GROUP
from zabbix_sockets.readers.bpf import records, totals
from zabbix_sockets.readers.bpf.pins import load, unload

NOBODY = 65534
SYSCALL = {"x86_64": 321, "aarch64": 280}.get(os.uname().machine, 0)
OBJ_GET, PROG_BY_ID, MAP_BY_ID, LINK_BY_ID, LINK_DETACH = 7, 13, 14, 30, 34  # enum bpf_cmd
NEXT_LINK = 31
CLONE_NEWPID = 0x20000000
READ_ONLY, WRITE_ONLY = 8, 16  # BPF_F_RDONLY, BPF_F_WRONLY
REFUSED = {errno.EACCES, errno.EPERM, errno.EINVAL}
"""A link is opened for reading and writing or not at all (kernel/bpf/inode.c): EINVAL."""


@pytest.fixture(scope="module")
def all_pins() -> Iterator[Path]:
    """All that `load` pins, with the programs that count."""
    if os.geteuid():
        pytest.skip("loading BPF programs needs root")
    reason = records.why_kernel_cannot()
    if reason or not SYSCALL:
        pytest.skip(reason or "bpf(2) has an unknown number here")
    folder = tempfile.mkdtemp(prefix="zabbix-sockets-pins-")
    os.chmod(folder, 0o755)
    warned: list[str] = []
    load(folder, with_totals=True, warn=warned.append)
    assert not warned
    yield Path(folder)
    unload(folder)
    os.rmdir(folder)


def bpf(command: int, attributes: bytes) -> int:
    """Return what the system call gives, or an error's number below 0."""
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(SYSCALL, command, buffer, 128)
    return -ctypes.get_errno() if result < 0 else result


def get(path: str, flags: int) -> int:
    """Return a descriptor of what is pinned at *path*, or an error's number below 0."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    return bpf(OBJ_GET, struct.pack("=QII", ctypes.addressof(name), 0, flags))


def refusals(attempts: dict[str, Callable[[], object]]) -> dict[str, int]:
    """Return of each attempt the number of the error that it ends with; 0: it succeeds."""
    found = {}
    for name, attempt in attempts.items():
        try:
            result = attempt()
            found[name] = -result if isinstance(result, int) and result < 0 else 0
        except OSError as error:
            found[name] = error.errno or -1
    return found


def test_modes(all_pins: Path) -> None:
    """Iterators are the group's to read; the programs that count are root's alone."""
    gid = grp.getgrnam(PINS_GROUP).gr_gid
    paths = {each.name.rpartition("-v")[0]: each.stat() for each in all_pins.glob("*-v*")}
    assert {*totals.PINS, *records.PROGRAMS} < paths.keys()
    for name, status in paths.items():
        wanted = (0o600, 0) if name in totals.TRACEPOINTS else (0o440, gid)
        assert (stat.S_IMODE(status.st_mode), status.st_gid) == wanted
        assert status.st_uid == 0
    assert all_pins.stat().st_mode & 0o777 == 0o755


def test_a_member_reads_and_does_nothing_else(all_pins: Path) -> None:
    """No pin gives the group a descriptor of a link, a program or a map; none can be changed."""

    def attempts(path: str) -> dict[str, Callable[[], object]]:
        return {
            "write": lambda: os.open(path, os.O_WRONLY),
            "both": lambda: os.open(path, os.O_RDWR),
            "get": lambda: get(path, 0),
            "get to read": lambda: get(path, READ_ONLY),
            "get to write": lambda: get(path, WRITE_ONLY),
            "remove": lambda: os.unlink(path),
            "rename": lambda: os.rename(path, f"{path}-mine"),
            "chmod": lambda: os.chmod(path, 0o666),
            "link": lambda: os.link(path, f"{path}-mine"),
            "beside": lambda: os.mkdir(f"{path}-mine"),
        }

    gid = grp.getgrnam(PINS_GROUP).gr_gid
    for pin in all_pins.glob("*-v*"):
        done = run_as(NOBODY, lambda path=str(pin): refusals(attempts(path)), gid=gid)  # type: ignore[misc]
        assert isinstance(done, dict)
        assert set(done.values()) <= REFUSED, (pin.name, done)
    assert not list(all_pins.glob("*-mine"))


def test_nothing_by_number(all_pins: Path) -> None:
    """Nor are links, programs and maps had by their ids, which root has them by."""
    assert any(all_pins.glob("*-v*"))
    buffer = ctypes.create_string_buffer(128)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.syscall(SYSCALL, NEXT_LINK, buffer, 128) == 0
    (_, link) = struct.unpack_from("=II", buffer)

    def attempts() -> dict[str, int]:
        ids = {"link": (LINK_BY_ID, link), "program": (PROG_BY_ID, 1), "map": (MAP_BY_ID, 1)}
        return refusals(
            {
                name: lambda command=command, number=number: bpf(command, struct.pack("=I", number))  # type: ignore[misc]
                for name, (command, number) in ids.items()
            }
        )

    gid = grp.getgrnam(PINS_GROUP).gr_gid
    assert run_as(NOBODY, attempts, gid=gid) == dict.fromkeys(
        ("link", "program", "map"), errno.EPERM
    )
    assert bpf(LINK_BY_ID, struct.pack("=I", link)) > 0


def test_root_may(all_pins: Path) -> None:
    """The same attempts succeed for root, who has what the group has not: they are real ones."""
    path = str(next(all_pins.glob(f"{records.COUNT_SOCKETS}-v*")))
    fd = get(path, 0)
    assert fd > 0
    assert -get(path, READ_ONLY) == errno.EINVAL
    assert -bpf(LINK_DETACH, struct.pack("=I", fd)) in {errno.EOPNOTSUPP, errno.EINVAL}
    os.close(fd)
    os.mkdir(f"{path}-mine")
    os.rmdir(f"{path}-mine")


def test_an_iterator_that_is_open(all_pins: Path) -> None:
    """A descriptor of an iterator that is being read is none of its link."""

    def attempts() -> dict[str, int]:
        path = str(next(all_pins.glob(f"{records.COUNT_SOCKETS}-v*")))
        fd = os.open(path, os.O_RDONLY)
        os.read(fd, 1 << 16)
        return refusals(
            {
                "detach": lambda: bpf(LINK_DETACH, struct.pack("=I", fd)),
                "write": lambda: os.write(fd, b"x"),
            }
        )

    found = run_as(NOBODY, attempts, gid=grp.getgrnam(PINS_GROUP).gr_gid)
    assert isinstance(found, dict)
    assert set(found.values()) <= REFUSED | {errno.EBADF}


def test_reader_in_a_pid_namespace(all_pins: Path) -> None:
    """It has the sockets of its own namespace's processes; but the totals are those of all."""
    listener = zoo.listener(port=7121)
    with socket.create_connection(listener.getsockname()) as client:

        def read(program: str) -> list[bytes]:
            fd = os.open(records.pin_path(str(all_pins), program), os.O_RDONLY)
            size = records.RECORD.size if program == records.COUNT_SOCKETS else totals._PROCESS.size
            chunks = records.read_chunks(fd, size, Deadline(60))
            data = b"".join(bytes(chunk) for chunk in chunks)
            return [data[at : at + size] for at in range(0, len(data), size)]

        own = Path("/proc/self/comm").read_bytes().rstrip()

        def look() -> list[bool]:
            return [
                any(own in record for record in read(program))
                for program in (records.COUNT_SOCKETS, records.TOTAL_PROCESSES)
            ]

        def look_from_within() -> object:
            zoo.release()  # what a fork inherits is its own
            client.close()
            assert ctypes.CDLL(None).unshare(CLONE_NEWPID) == 0
            return run_forked(look)

        assert look() == [True, True]
        assert run_forked(look_from_within) == [False, True]
