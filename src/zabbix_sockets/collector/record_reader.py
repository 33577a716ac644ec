"""The reading of the BPF iterator by a thread of its own: the kernel works while Python does.

The read is what takes a call longest, so it begins before all else, and the call imports its other
modules meanwhile. This module and those that it needs are small therefore, and don't need typing.
"""

from __future__ import annotations

import os
import sys
from _collections_abc import Iterator
from _queue import SimpleQueue
from _thread import start_new_thread  # threading takes a millisecond to import
from time import sleep

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError
from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.proc.snmp import read_current_established

_CHUNKS = 16  # of 1 MB at most in the queue: what the kernel gives while netlink is asked
_PAUSE = 0.001  # seconds
_SWITCH_INTERVAL = 0.0001  # seconds that a thread waits for the other after a system call


class RecordReader:
    """The records of all sockets by the BPF iterator, which are read from now on.

    Iteration yields the records in pieces. A context manager: the thread ends when its block is
    left, and no records come any more. Where no thread can be started (RLIMIT_NPROC, TasksMax) the
    records are read when they are iterated over.

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
        self._fd = open_iterator(records.COUNT_SOCKETS)
        self._queue: SimpleQueue[memoryview | bytes | Exception | None] = SimpleQueue()
        self._ended = False
        self._interval = sys.getswitchinterval()
        self._has_thread = True  # before the thread looks at it
        self._has_thread = self._start()

    def _start(self) -> bool:
        """Start the thread, and return whether there is one."""
        try:
            start_new_thread(self._read, ())
        except (RuntimeError, MemoryError):
            os.close(self._fd)
            return False
        sys.setswitchinterval(_SWITCH_INTERVAL)
        return True

    def __enter__(self) -> RecordReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Make the thread end, even if not all records are read."""
        self._ended = True
        sys.setswitchinterval(self._interval)

    def _read(self) -> None:
        """Put the records into the queue, at most _CHUNKS pieces before they are taken from it."""
        queue = self._queue
        try:
            for chunk in self._read_to_deadline():
                queue.put(chunk)
                while queue.qsize() > _CHUNKS and not self._ended:
                    sleep(_PAUSE)
                if self._ended:
                    return
        except Exception as error:  # noqa: BLE001  # raised again by the other thread
            queue.put(error)
        queue.put(None)

    def _read_to_deadline(self) -> Iterator[memoryview | bytes]:
        """Yield the records until the deadline; set *complete* if that were all."""
        fd = self._fd if self._has_thread else self._open_iterator(records.COUNT_SOCKETS)
        try:
            yield from records.read_chunks(fd, records.RECORD.size, self._deadline)
        except DeadlineError:
            return
        self.complete = True

    def __iter__(self) -> Iterator[memoryview | bytes]:
        """Yield the records in pieces; fewer than all if the deadline passes."""
        if not self._has_thread:
            yield from self._read_to_deadline()
            return
        while (chunk := self._queue.get()) is not None:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk
