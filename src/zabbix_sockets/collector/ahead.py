"""The BPF iterator, read by a thread of its own: the kernel is at work while Python is.

A call of the agent starts it as soon as it knows its options, and imports all else meanwhile;
so this module imports little.
"""

import sys
from _queue import SimpleQueue
from _thread import start_new_thread  # threading takes a millisecond to import
from collections.abc import Iterator
from time import sleep
from types import TracebackType
from typing import Self

from zabbix_sockets.deadline import Deadline
from zabbix_sockets.errors import DeadlineError, SourceUnavailableError
from zabbix_sockets.model import Query
from zabbix_sockets.readers import bpf
from zabbix_sockets.readers.host import read_current_established

_CHUNKS = 16  # of 1 MB, at most that far ahead: what the kernel gives while netlink is asked
_PAUSE = 0.001  # seconds
_SWITCH_INTERVAL = 0.0001  # seconds a thread that is back from the kernel waits for the other


class Ahead:
    """The records of all sockets, of which the kernel gives the first ones already.

    A context manager: the thread ends when it is left, for good.

    Attributes:
        established: the kernel's own count of established connections before the first record.
        complete: the iterator came to its end before the deadline.

    Raises:
        OSError: the iterator can't be opened. What reading raises is raised where the
            records are missed.
    """

    def __init__(self, open_iterator: bpf.Opener, proc: str, deadline: Deadline) -> None:
        self.complete = False
        self.established = read_current_established(proc)
        self._chunks = bpf.read_chunks(open_iterator(bpf.COUNT), bpf.RECORD.size, deadline)
        self._queue: SimpleQueue[bpf.Chunk | Exception | None] = SimpleQueue()
        self._left = False
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL)
        start_new_thread(self._read, ())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._left = True
        sys.setswitchinterval(self._interval)

    def _read(self) -> None:
        """Fill the queue, a little ahead of who empties it."""
        queue = self._queue
        try:
            for chunk in self._chunks:
                queue.put(chunk)
                while queue.qsize() > _CHUNKS and not self._left:
                    sleep(_PAUSE)
                if self._left:
                    return
            self.complete = True
        except DeadlineError:
            pass
        except Exception as error:  # noqa: BLE001  # raised again by the other thread
            queue.put(error)
        queue.put(None)

    def __iter__(self) -> Iterator[bpf.Chunk]:
        """Yield the records in pieces; fewer than all if the deadline passes."""
        while (chunk := self._queue.get()) is not None:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk


def read_pinned(query: Query, deadline: Deadline) -> Ahead | None:
    """Return the pinned iterator's records, if *query* is for these and they can be had."""
    if query.source not in {None, "bpf"}:
        return None
    try:
        return Ahead(bpf.open_pinned(query.pins), query.proc, deadline)
    except (OSError, SourceUnavailableError):
        return None  # the plan will find out why
