"""The BPF iterator, read by a thread of its own: the kernel is at work while Python is.

A call begins as soon as the plan is made, and imports all else meanwhile.
"""

import os
import sys
from _queue import SimpleQueue
from _thread import start_new_thread  # threading takes a millisecond to import
from collections.abc import Iterator
from time import sleep
from types import TracebackType
from typing import Self

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError
from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.proc.counters import read_current_established

_CHUNKS = 16  # of 1 MB, at most that far ahead: what the kernel gives while netlink is asked
_PAUSE = 0.001  # seconds
_SWITCH_INTERVAL = 0.0001  # seconds a thread that is back from the kernel waits for the other


class RecordReader:
    """The records of all sockets, of which the kernel gives the first ones already.

    A context manager: the thread ends when it is left, for good. Where no thread can be had
    (RLIMIT_NPROC, TasksMax) the records are read when they are asked for.

    Attributes:
        established: the kernel's own count of established connections before the first record.
        complete: the iterator came to its end before the deadline.

    Raises:
        OSError, SourceUnavailableError: the iterator can't be opened. What reading raises is
            raised where the records are missed.
    """

    def __init__(self, open_iterator: records.Opener, proc: str, deadline: Deadline) -> None:
        self.complete = False
        self.established = read_current_established(proc)
        self._open_iterator = open_iterator
        self._deadline = deadline
        self._fd = open_iterator(records.COUNT_SOCKETS)
        self._queue: SimpleQueue[records.Chunk | Exception | None] = SimpleQueue()
        self._left = False
        self._interval = sys.getswitchinterval()
        self._is_ahead = True  # before the thread looks at it
        self._is_ahead = self._start()

    def _start(self) -> bool:
        """Start the thread, and return whether there is one."""
        try:
            start_new_thread(self._read, ())
        except (RuntimeError, MemoryError):
            os.close(self._fd)
            return False
        sys.setswitchinterval(_SWITCH_INTERVAL)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """Let the thread end, whatever is left to read."""
        self._left = True
        sys.setswitchinterval(self._interval)

    def _read(self) -> None:
        """Fill the queue, a little ahead of who empties it."""
        queue = self._queue
        try:
            for chunk in self._read_to_deadline():
                queue.put(chunk)
                while queue.qsize() > _CHUNKS and not self._left:
                    sleep(_PAUSE)
                if self._left:
                    return
        except Exception as error:  # noqa: BLE001  # raised again by the other thread
            queue.put(error)
        queue.put(None)

    def _read_to_deadline(self) -> Iterator[records.Chunk]:
        """Yield the records, and note whether these are all."""
        fd = self._fd if self._is_ahead else self._open_iterator(records.COUNT_SOCKETS)
        try:
            yield from records.read_chunks(fd, records.RECORD.size, self._deadline)
        except DeadlineError:
            return
        self.complete = True

    def __iter__(self) -> Iterator[records.Chunk]:
        """Yield the records in pieces; fewer than all if the deadline passes."""
        if not self._is_ahead:
            yield from self._read_to_deadline()
            return
        while (chunk := self._queue.get()) is not None:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk
