"""The reading of the BPF iterator by threads of its own: the kernel works while Python does.

The read is what takes a call longest, so it begins before all else, and the call imports its other
modules meanwhile. This module and those that it needs are small therefore, and don't need typing.

Where there are many connections and more than one processor, two threads read, a half of the
sockets each. That costs the host nearly a quarter more processor time, since the kernel visits each
file for both; so few connections are read by one.
"""

from __future__ import annotations

import os
import sys
from _collections_abc import Iterator, Sequence
from _queue import SimpleQueue
from _thread import start_new_thread  # threading takes a millisecond to import
from time import sleep

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError
from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.proc.snmp import read_current_established

_CHUNKS = 8  # of 1 MB at most in the queue: what the kernel gives while netlink is asked
_PAUSE = 0.004  # seconds; for a chunk the other thread takes at least 0.001
_MANY = 50_000
"""Established connections of the own network namespace from which on two threads read: below, the
second one wins nothing."""
_SWITCH_INTERVAL = 0.0001  # seconds that a thread waits for the other after a system call


class RecordReader:
    """The records of all sockets by the BPF iterator, which are read from now on.

    Iteration yields the records in pieces, each of which is valid until the next one is asked for.
    A context manager: the threads end when its block is left, and no records come any more. What no
    thread can be started for (RLIMIT_NPROC, TasksMax) is read when it is iterated over.

    Args:
        open_iterator: opens a BPF iterator by the name of its program.
        proc: the path where procfs is mounted.
        deadline: the moment after which nothing is read.

    Attributes:
        current_established: the number of TCP connections in ESTABLISHED or CLOSE_WAIT before the
            first record, as the kernel counts them; None where it can't be read.
        complete: the iterator came to its end before the deadline.

    Raises:
        OSError, SourceUnavailableError: the iterator can't be opened. Errors of reading are raised
            where the records are iterated over.
    """

    def __init__(self, open_iterator: records.Opener, proc: str, deadline: Deadline) -> None:
        self.complete = False
        self.current_established = read_current_established(proc)
        self._open_iterator = open_iterator
        self._deadline = deadline
        self._buffers = records.Buffers()
        self._queue: SimpleQueue[memoryview | bytes | Exception | None] = SimpleQueue()
        self._ended = False
        self._interval = sys.getswitchinterval()
        self._cut = False  # the deadline came before the end of a part
        self._without_thread: int | None = None
        self._threads = 0
        try:
            for part in _parts(self.current_established):
                if not self._start(part):
                    self._without_thread = part if self._threads else records.WHOLE
                    break
        except BaseException:
            self.end()
            raise

    def _start(self, part: int) -> bool:
        """Start a thread that reads the part; return whether there is one.

        Raises:
            OSError, SourceUnavailableError: the iterator can't be opened.
        """
        fd = records.open_part(self._open_iterator, part)
        try:
            start_new_thread(self._read, (fd,))
        except (RuntimeError, MemoryError):
            os.close(fd)
            return False
        self._threads += 1
        sys.setswitchinterval(_SWITCH_INTERVAL)
        return True

    def __enter__(self) -> RecordReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Make the threads end, even if not all records are read."""
        self._ended = True
        sys.setswitchinterval(self._interval)

    def _read(self, fd: int) -> None:
        """Put records into the queue, at most _CHUNKS pieces before they are taken from it."""
        queue = self._queue
        try:
            for chunk in self._read_to_deadline(fd):
                queue.put(chunk)
                while queue.qsize() > _CHUNKS and not self._ended:
                    sleep(_PAUSE)
                if self._ended:
                    return
        except Exception as error:  # noqa: BLE001  # raised again by the other thread
            queue.put(error)
        queue.put(None)

    def _read_to_deadline(self, fd: int) -> Iterator[memoryview | bytes]:
        """Yield the records of *fd* until the deadline, and note if that came before their end."""
        try:
            yield from records.read_chunks(fd, records.RECORD.size, self._deadline, self._buffers)
        except DeadlineError:
            self._cut = True

    def __iter__(self) -> Iterator[memoryview | bytes]:
        """Yield the records in pieces; fewer than all if the deadline passes."""
        while self._threads:
            chunk = self._queue.get()
            if chunk is None:
                self._threads -= 1
            elif isinstance(chunk, Exception):
                raise chunk
            else:
                yield chunk
                self._buffers.give_back(chunk)
        if self._without_thread is not None:
            fd = records.open_part(self._open_iterator, self._without_thread)
            yield from self._read_to_deadline(fd)
        self.complete = not self._cut


def _parts(connections: int | None) -> Sequence[int]:
    """Return the parts in which so many established connections are read, None if unknown.

    Which processors may be used the affinity tells; a quota of their time is not looked at.
    """
    if (connections or 0) < _MANY or len(os.sched_getaffinity(0)) < 2:  # noqa: PLR2004
        return (records.WHOLE,)
    return records.HALVES
