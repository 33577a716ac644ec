"""A call's work in a child process, and an answer in time whatever becomes of the child.

The agent waits for a process that does nothing but wait: its child works, without a copy of the
agent's pipe. However the child fails, be it an endless read in the kernel, a crash of a library
or the out-of-memory killer, this process goes on, writes one line and ends: nothing has to be
interrupted, so nothing can be interrupted at a wrong moment.

What is imported before the fork has to be copied, page by page, as soon as either process touches
it: so this module and those that the parent needs import next to nothing, and not typing.

Source: fork(2), waitpid(2), setitimer(2), signal(7).
"""

import _signal as signal  # type: ignore[import-not-found]  # as _socket, see __init__
import marshal
import os
import select
from collections.abc import Callable
from time import monotonic, sleep

from zabbix_sockets.model.errors import InternalError, SocketsError, TimedOutError, UsageError

GRACE = 0.2
"""Seconds past its timeout after which a call's child is killed.

A child looks at the clock by itself and answers within the timeout. One that is still there by then
is stuck in a single step that doesn't look at the clock, which is what the message "something hung"
stands for: a system call that does not return, a regular expression of a rule that takes for ever,
a configuration file on a network file system that does not answer."""

_READ_SIZE = 1 << 20
_POLL = 0.001
_REAPING = 0.05
"""Seconds that a child which was killed has to be gone: one that hangs in the kernel stays."""

_ENDING = 0.2
"""Seconds that a child which has said everything has to end by itself."""

_ANSWER, _ERROR, _USAGE, _INTERNAL = range(4)
_LENGTH = 8
"""Bytes before a message that say how long it is: a child can be done and hang in its end."""
_NO_MEMORY = b"no memory left"
_NO_MEMORY_FRAMED = len(_NO_MEMORY).to_bytes(_LENGTH) + _NO_MEMORY
"""What the child says when there is not even memory to say anything else."""

_stuck: list[int] = []
"""Children that were killed and did not end; a service looks for them at its next call."""


class Answer:
    """What a call says.

    Attributes:
        text: on stdout.
        notes: on stderr.
        status: its exit status.
    """

    __slots__ = ("notes", "status", "text")

    def __init__(self, text: str, notes: str = "", status: int = 0) -> None:
        self.text = text
        self.notes = notes
        self.status = status


Make = Callable[[], Answer]


def give_up(message: str) -> None:
    """End the process with *message* as the call's error.

    `cli` puts a function in the place of this one that knows where its caller looks for errors. It
    is called in a signal handler, and only where no child could be started, so that no other
    process is there to write the message.
    """
    raise SystemExit(message)


def answer_within(seconds: float, make: Make, *, close: int = -1, silent: bool = True) -> Answer:
    """Return what *make* returns, made in a child.

    *close* is a descriptor that the child has no business with. A *silent* child has none of the
    caller's streams: whoever waits for their end need not wait for a child that is stuck.

    Raises:
        TimedOutError: that took longer than *seconds*; the child is killed.
        UsageError, SocketsError: as *make* raised them.
        InternalError: *make* raised something else, or the child ended without a word.
    """
    end = monotonic() + seconds
    _reap()
    try:
        receive, send = os.pipe()
    except OSError:
        return _answer_here(seconds, make)
    # An interruption right behind the fork would leave the child, so it waits for the try below.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        child = os.fork()
    except OSError:  # no room for one more process
        os.close(receive)
        os.close(send)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return _answer_here(seconds, make)
    if not child:
        _be_child(make, (send, receive, close), end, silent=silent)
    said = _Said(receive, end)
    try:
        os.close(send)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        said.read()
    finally:
        os.close(receive)
        status = _end(child, ended=said.closed)
    # A child that closed the pipe without a message has crashed, unless its own timer ended it.
    killed_by_timer = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
    if not said.complete and (not said.closed or killed_by_timer):
        raise TimedOutError(f"timed out after {seconds:.3g} s: something hung")
    return _understood(said.message, status)


def _answer_here(seconds: float, make: Make) -> Answer:
    """Return what *make* returns without a child; a hang in the kernel is not ended then."""

    def late(_signal: int, _frame: object) -> None:
        give_up(f"timed out after {seconds:.3g} s: something hung")

    before = signal.signal(signal.SIGALRM, late)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGALRM,))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return _understood(_message_of(make), 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _be_child(make: Make, pipes: tuple[int, int, int], end: float, *, silent: bool) -> None:
    """Answer through the pipe and end this process, so that nothing of the parent's runs in it."""
    send, *others = pipes
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        # Should the parent be killed: the kernel's own timer needs nothing of Python's to end this.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGALRM, signal.SIGINT))
        signal.setitimer(signal.ITIMER_REAL, max(_POLL, end - monotonic()))
        for descriptor in others:
            if descriptor >= 0:
                os.close(descriptor)
        if silent:
            _detach_streams()
        message = _message_of(make)
        left = memoryview(len(message).to_bytes(_LENGTH) + message)
        while left:
            left = left[os.write(send, left) :]
    except MemoryError:
        os.write(send, _NO_MEMORY_FRAMED)
    except OSError:
        pass  # nobody is left to be told
    finally:
        os._exit(0)


def _detach_streams() -> None:
    """Put /dev/null in the place of stdin, stdout and stderr."""
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    if nothing > 2:  # noqa: PLR2004  # else it is one of the three
        os.close(nothing)


def _message_of(make: Make) -> bytes:
    """Return what became of *make* as the child tells it: a kind and its parts."""
    try:
        answer = make()
        said: tuple[object, ...] = (_ANSWER, answer.text, answer.notes, answer.status)
    except UsageError as error:
        said = _USAGE, str(error), error.hint
    except InternalError as error:
        said = _INTERNAL, str(error), error.trace
    except SocketsError as error:
        said = _ERROR, str(error), error.hint
    except Exception as error:  # noqa: BLE001  # the last resort: whatever it is, it is said
        internal = InternalError.of(error)
        said = _INTERNAL, str(internal), internal.trace
    return marshal.dumps(said)  # type: ignore[arg-type]  # numbers and texts


def _understood(message: bytes, status: int) -> Answer:
    if message == _NO_MEMORY:
        raise InternalError(_NO_MEMORY.decode())
    try:
        kind, text, *more = marshal.loads(message)  # noqa: S302  # our own child's
    except (EOFError, ValueError, TypeError):
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        ended = f"by signal {number}" if number else "without an answer"
        raise InternalError(f"the process that collects was ended {ended}") from None
    if kind == _ANSWER:
        return Answer(text, *more)
    kinds = {_ERROR: SocketsError, _USAGE: UsageError, _INTERNAL: InternalError}
    raise kinds[kind](text, *more)


class _Said:
    """What comes through the child's pipe until its end, or until the moment *end*.

    Attributes:
        message: what has come, without its length.
        complete: that is all of it.
        closed: the child has closed its side: it has ended, or is about to.
    """

    def __init__(self, descriptor: int, end: float) -> None:
        self.complete = False
        self.closed = False
        self._descriptor = descriptor
        self._end = end + _POLL * 10  # a little later than the child's own timer
        self._data = bytearray()

    @property
    def message(self) -> bytes:
        return bytes(self._data[_LENGTH:])

    def read(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        while (left := self._end - monotonic()) > 0 and poll.poll(left * 1000):
            part = os.read(self._descriptor, _READ_SIZE)
            if not part:
                self.closed = True
                return
            self._data += part
            wanted = _LENGTH + int.from_bytes(self._data[:_LENGTH])
            if len(self._data) >= max(wanted, _LENGTH):
                self.complete = True
                self._end = min(self._end, monotonic() + _ENDING)


def _end(child: int, *, ended: bool) -> int:
    """Return the status of the child, which has *ended* or is killed now; 0 while it is stuck."""
    if ended:
        return os.waitpid(child, 0)[1]
    os.kill(child, signal.SIGKILL)
    end = monotonic() + _REAPING
    while monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status
        sleep(_POLL)
    _stuck.append(child)
    return 0


def _reap() -> None:
    """Let go of the children that were stuck, as far as they have ended meanwhile."""
    _stuck[:] = [child for child in _stuck if not os.waitpid(child, os.WNOHANG)[0]]
