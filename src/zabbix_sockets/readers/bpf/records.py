"""Reader and record layouts of the BPF iterators of sockets.bpf.c: each socket with its owner.

Source: record.bpf.h and sockets.bpf.c have the records; Documentation/bpf/bpf_iterators.rst and
kernel/bpf/{bpf_iter,task_iter}.c what reading means. A pinned iterator is a file: who may
open it reads it, without a capability. It sees the processes of the reader's pid namespace,
in all network namespaces.

An agent's call imports this before it begins to read, and all else later: so nothing here needs
typing, which takes 6 ms to import.
"""

from __future__ import annotations

import fcntl
import os
import struct
from _collections_abc import Callable, Iterator

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, ParseError, SourceUnavailableError

ABI = 10
"""Version of the records, and of what the flags of a descriptor ask for (HALVES); part of the pins'
names. Raised with every change of either."""

COUNT_SOCKETS, SOCKET_OWNERS, INFORM_SOCKETS = "count_sockets", "own_sockets", "inform_sockets"
DESCRIBE_PROCESSES, COUNT_CLIENTS = "describe_processes", "count_clients"
PROGRAMS = (COUNT_SOCKETS, SOCKET_OWNERS, INFORM_SOCKETS, DESCRIBE_PROCESSES, COUNT_CLIENTS)
"""The iterators of sockets.bpf.c, by their functions' names; their pins are called so, too."""

WHOLE = 0
HALVES = os.O_APPEND, os.O_APPEND | os.O_NONBLOCK
"""Which sockets a descriptor of COUNT_SOCKETS gives, by its flags, which mean nothing else to a
reader: all, or a half of them, so that two threads can read at once (record.bpf.h)."""

COUNT_MINISOCKS = "count_minisocks"
"""The iterator of minisocks.bpf.c, pinned beside them; calls do without where it is not."""

KIND_LISTENER, KIND_INBOUND, KIND_OUTBOUND, KIND_UNDECIDED = 1, 2, 3, 4
"""The kinds of records: a listening TCP or bound UDP socket; a connection that was accepted; one
whose local port connect(2) took; one of which listeners decide (collector.directions)."""
KIND_UNIX_LISTENER, KIND_UNIX_CONNECTED, KIND_UNIX_NAME = 5, 6, 7
"""Those of unix sockets: a listening one; a connected one; a listening one's name, or a part."""
IPV6, SHARED, AGAIN, DROPS = 1, 2, 4, 8
"""The flags of records: addresses have 16 bytes; the socket may have other owners; what a listener
accepted may have been taken for outbound, so all has to be read a second time; it is the second one
of a listener or UDP socket, and its receive queue is the number of packets dropped there."""
UNCOUNTED = 0xFFFFFFFF
"""The number of descriptors in a struct process of one that was just ending, or has millions."""
NO_LIMIT = 0xFFFFFFFF
"""The fds_limit of a record whose owner has no limit, or one that 32 bits can't hold."""

# struct record: its fields are explained there; from `rtt` on they are QUALITY.
SOCKET = struct.Struct("=IIQIBBBBHHI16s16sIIIIII")
QUALITY = struct.Struct("=BBBBB3xII")
RECORD = struct.Struct(f"={SOCKET.size + QUALITY.size}s")
RECORD_WITHOUT_QUALITY = struct.Struct(f"={SOCKET.size}s{QUALITY.size}x")
"""The bytes of a record: those of SOCKET, followed by those of QUALITY; and the former alone."""
UNIX_SOCKET = struct.Struct("=IIQIBBxB8x16sQ8xIIIII4x")
"""The part SOCKET of a record of a unix socket: pid, netns, cgroup, uid, kind, state, flags, comm,
name (a number; 0: none), receive queue, send queue, inode, started, fds_limit."""
UNIX_NAME = struct.Struct("=IIQ8x64s")
"""The same of struct unix_name: part, length, name (the number), bytes."""
FLAGS_AT = 23  # offset of a record's flags
OWNER = struct.Struct("=III16s")  # struct owner
INFORMATION = struct.Struct("=QI4x16s216s")  # struct information
PROCESS = struct.Struct("=III256s")  # struct process
CLIENT = struct.Struct("=IIIHBBI16s")  # struct client
CLIENT_END = struct.Struct("=IIIHBB")  # the beginning of it, which tells the listener

FIRST_KERNEL = (5, 11)
"""The first version of Linux with all that the iterators need."""
_KERNEL_BUFFER = 32768  # kernel/bpf/bpf_iter.c: PAGE_SIZE << 3
_PIECES = 32
_READS_OF_PROCESSES = 3


TOTAL_PROCESSES = "total_processes"
"""One of the iterators of totals.bpf.c, which are pinned together."""

Opener = Callable[[str], int]
"""Returns a new descriptor, from which the records of one of PROGRAMS, or of COUNT_MINISOCKS, can
be read once."""


def pin_path(directory: str, program: str) -> str:
    """Return the path of the pin of *program* in the folder *directory*, for this version (ABI)."""
    return f"{directory}/{program}-v{ABI}"


def are_totals_pinned(directory: str) -> bool:
    """Whether totals are pinned in the folder *directory*, for this version (ABI)."""
    return os.path.exists(pin_path(directory, TOTAL_PROCESSES))


def open_pinned(directory: str) -> Opener:
    """Return the opener of the iterators that are pinned in the folder *directory*.

    Each descriptor that it opens sees the sockets that there are while it is read.

    Raises:
        SourceUnavailableError: not all of PROGRAMS are pinned there, or this process may not read
            them; pinned.why_not_pinned() finds out why.
    """
    for program in PROGRAMS:
        path = pin_path(directory, program)
        if not os.access(path, os.R_OK):
            raise SourceUnavailableError(f"{path} can't be read")

    def open_pin(program: str) -> int:
        return os.open(pin_path(directory, program), os.O_RDONLY | os.O_CLOEXEC)

    return open_pin


def open_part(open_iterator: Opener, part: int) -> int:
    """Return a new descriptor of COUNT_SOCKETS that gives the *part*, WHOLE or one of HALVES.

    Raises:
        OSError, SourceUnavailableError: it can't be opened.
    """
    fd = open_iterator(COUNT_SOCKETS)
    if part != WHOLE:
        fcntl.fcntl(fd, fcntl.F_SETFL, part)
    return fd


class Buffers:
    """Memory that records are read into, one buffer for each read, to be used again.

    The kernel clears memory before a process gets it, and to clear 1 MB takes as long as to give a
    thousand records. So what read_chunks() has yielded can be given back once it has been looked
    at. All that is given back is of reads of one length of records.
    """

    def __init__(self) -> None:
        self._spare: list[bytearray] = []

    def take(self, length: int) -> bytearray:
        """Return a buffer of that length, one that was given back if there is one."""
        try:
            buffer = self._spare.pop()
        except IndexError:
            return bytearray(length)
        return buffer if len(buffer) == length else bytearray(length)

    def give_back(self, chunk: memoryview | bytes) -> None:
        """Let the buffer of a chunk, which nobody looks at any more, be used again."""
        if isinstance(chunk, memoryview) and isinstance(chunk.obj, bytearray):
            self._spare.append(chunk.obj)


def read_chunks(
    fd: int, size: int, deadline: Deadline, buffers: Buffers | None = None
) -> Iterator[memoryview | bytes]:
    """Yield the records, of *size* bytes each, of the iterator *fd*, many at a time.

    None of them is cut. *fd* is closed at the end. What has been given back to *buffers* is used
    first.

    Raises:
        DeadlineError: the time is over.
        ParseError: it ended within a record.
        OSError: the kernel's iterator failed (readv(2)).
    """
    buffers = buffers or Buffers()
    partial = b""  # the beginning of a record
    piece = _KERNEL_BUFFER // size * size
    try:
        buffer, vector = _pieces(buffers.take(piece), piece)
        while True:
            deadline.check()
            try:
                data = buffer[: os.readv(fd, vector)]
            except BlockingIOError:
                continue  # a million files, and none was a socket
            if not data:
                break
            # Memory for 1 MB takes long to get: only for many records, and not for the last ones.
            # And it is got before others are given the records: whoever counts them keeps the
            # interpreter's lock meanwhile, which reading does without.
            pieces = min(4 * len(vector), _PIECES) if len(data) == len(buffer) else 1
            buffer, vector = _pieces(buffers.take(pieces * piece), piece)
            if not partial and not len(data) % size:
                yield data
                continue
            joined = partial + bytes(data)
            end = len(joined) - len(joined) % size
            partial = joined[end:]
            yield joined[:end]
    finally:
        os.close(fd)
    if partial:
        raise ParseError("BPF iterator", partial)


def _pieces(memory: bytearray, piece: int) -> tuple[memoryview, list[memoryview]]:
    """Return *memory*, and the list of its parts of *piece* bytes, for readv.

    The kernel fills at most 32 KB at a time, whatever the buffer; but it goes on with the next
    one of a vector as long as each is filled. So one call, during which other threads run,
    brings 1 MB if each piece is as long as the records that 32 KB have room for.
    """
    buffer = memoryview(memory)
    return buffer, [buffer[at : at + piece] for at in range(0, len(buffer), piece)]


class Processes:
    """What processes execute, and how many descriptors they have: by describe_processes.

    It is for callers who may not read /proc/PID/exe, and for what procfs doesn't tell. The iterator
    is read when the first process is asked for, and again for processes that it didn't know, three
    times in all: they may have begun since, or ended.

    Attributes:
        complete: each read came to its end.
    """

    def __init__(self, open_iterator: Opener, deadline: Deadline) -> None:
        self._open_iterator = open_iterator
        self._deadline = deadline
        self._reads_left = _READS_OF_PROCESSES
        self._found: dict[tuple[int, int], tuple[int, bytes]] = {}
        self.complete = True

    def executable(self, pid: int, started: int) -> bytes | None:
        """Return the name of the file that the process *pid* executes, without its folder.

        *started* is the whole seconds from boot to the process's start. The name is b"" if the
        file has none any more; None if the process is not found, or the iterator can't be read.
        """
        key = pid, started
        while key not in self._found and self._reads_left and self._read_once():
            pass
        found = self._found.get(key)
        return None if found is None else found[1]

    def count_fds(self, pid: int, started: int) -> int | None:
        """Return how many descriptors the process had open when the iterator was read.

        It isn't read again for a process that it didn't know. None as executable(), and if
        UNCOUNTED.
        """
        if self._reads_left == _READS_OF_PROCESSES:
            self._read_once()
        found = self._found.get((pid, started))
        return None if found is None or found[0] == UNCOUNTED else found[0]

    def _read_once(self) -> bool:
        """Read the iterator, and return whether it came to its end."""
        self._reads_left -= 1
        try:
            self._read()
        except (DeadlineError, OSError, ParseError, SourceUnavailableError):
            self.complete = False
            return False
        return True

    def _read(self) -> None:
        """Add all processes that there are now.

        Raises:
            DeadlineError, OSError, ParseError: as read_chunks().
        """
        fd = self._open_iterator(DESCRIBE_PROCESSES)
        for chunk in read_chunks(fd, PROCESS.size, self._deadline):
            for pid, started, fds, name in PROCESS.iter_unpack(chunk):
                self._found[pid, started] = fds, name.split(b"\0", 1)[0]


def why_kernel_cannot() -> str | None:
    """Return in words why no BPF iterator runs on this kernel, whatever the privilege; else None.

    A distribution may have brought the iterators to an older kernel, so the version only
    explains why none is pinned; whether they load is for the kernel to say.
    """
    if is_older_than(os.uname().release, FIRST_KERNEL):
        return "the kernel is too old: 5.11 is needed"
    return why_not_permitted()


def is_older_than(release: str, version: tuple[int, int]) -> bool:
    """Whether a kernel's release, such as "5.10.0-8-amd64", is older than *version* (major, minor).

    False for a release that begins with no two numbers.
    """
    major, _, behind = release.partition(".")
    minor = behind.partition(".")[0].partition("-")[0]
    if not (major.isdecimal() and minor.isdecimal()):
        return False
    return (int(major), int(minor)) < version


def why_not_permitted() -> str | None:
    """Return in words what of the kernel's set-up forbids BPF iterators; None if nothing does.

    It is the lack of BTF, or lockdown in confidentiality mode.
    """
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        return "the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)"
    try:
        with open("/sys/kernel/security/lockdown", "rb") as file:
            if b"[confidentiality]" in file.read():
                return "kernel lockdown is in confidentiality mode"
    except OSError:
        pass  # no lockdown in this kernel, or securityfs is not mounted
    return None
