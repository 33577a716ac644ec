"""What is watched of a process and of the kernel: memory, descriptors, and what BPF maps take."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

_OBJ_GET, _PROG_GET_FD_BY_ID, _MAP_GET_FD_BY_ID, _OBJ_GET_INFO_BY_FD = 7, 13, 14, 15  # bpf(2)
_SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
_MAPS_OF_A_PROGRAM = 64
_libc = ctypes.CDLL(None, use_errno=True)


class Sample(NamedTuple):
    """What a process and its children have at a moment."""

    seconds: float
    """Since the soak began."""
    own_bytes: int
    """Memory that nobody else has (USS)."""
    descriptors: int
    threads: int


def sample(seconds: float, pid: int, name: str = "") -> Sample:
    """Look at a process and those of its descendants whose name begins with *name*."""
    own = descriptors = threads = 0
    process = psutil.Process(pid)
    for each in (process, *process.children(recursive=True)):
        try:
            if each.pid != pid and not each.name().startswith(name):
                continue
            own += each.memory_full_info().uss
            descriptors += each.num_fds()
            threads += each.num_threads()
        except psutil.NoSuchProcess:
            continue
    return Sample(seconds, own, descriptors, threads)


def map_bytes(pins: Path) -> int:
    """Return what the maps of the programs pinned in a folder take of the kernel's memory."""
    maps: dict[int, int] = {}
    for path in pins.iterdir():
        if not path.name.endswith(".debug"):
            maps |= dict(_maps_of_link(path))
    return sum(maps.values())


def _maps_of_link(path: Path) -> Iterator[tuple[int, int]]:
    name = ctypes.create_string_buffer(os.fsencode(path))
    link = _bpf(_OBJ_GET, struct.pack("=QII", ctypes.addressof(name), 0, 0))
    try:
        # struct bpf_link_info: type, id, prog_id
        _, _, program = struct.unpack_from("=III", _info(link, bytes(64)))
    finally:
        os.close(link)
    program_fd = _bpf(_PROG_GET_FD_BY_ID, struct.pack("=III", program, 0, 0))
    try:
        ids = (ctypes.c_uint32 * _MAPS_OF_A_PROGRAM)()
        # struct bpf_prog_info: nr_map_ids at 52, map_ids at 56
        asked = bytearray(232)
        struct.pack_into("=IQ", asked, 52, len(ids), ctypes.addressof(ids))
        (number,) = struct.unpack_from("=I", _info(program_fd, bytes(asked)), 52)
    finally:
        os.close(program_fd)
    for each in ids[:number]:
        yield each, _memlock(each)


def _memlock(map_id: int) -> int:
    """Return the bytes that a map takes (since Linux 6.4 as it is filled)."""
    fd = _bpf(_MAP_GET_FD_BY_ID, struct.pack("=III", map_id, 0, 0))
    try:
        for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines():
            if line.startswith("memlock:"):
                return int(line.split()[1])
    finally:
        os.close(fd)
    raise AssertionError("no memlock in fdinfo")


def _info(fd: int, asked: bytes) -> bytes:
    """Return what the kernel says of an object, into which it also takes pointers from *asked*."""
    found = ctypes.create_string_buffer(asked, len(asked))
    _bpf(_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", fd, len(asked), ctypes.addressof(found)))
    return found.raw


def _bpf(command: int, attributes: bytes) -> int:
    result = int(_libc.syscall(_SYS_BPF, command, attributes, len(attributes)))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
