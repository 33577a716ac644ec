"""Supervision of a call's work in a child process, with an answer in time whatever that does.

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
from _collections_abc import Callable
from time import monotonic, sleep

from zabbix_sockets.model.errors import InternalError, SocketsError, TimedOutError, UsageError

GRACE = 0.2
"""Seconds past its timeout after which a call's child is killed.

A child looks at the clock by itself and answers within the timeout. One that is still there by then
is stuck in a single step that doesn't look at the clock, which is what the message "something hung"
stands for: a system call that does not return, a regular expression of a rule that takes for ever,
a configuration file on a network file system that does not answer."""

_PATIENCE = 0.4
"""The part of its time after which a child is looked at that has not answered yet."""
_LOOK = 0.2
"""Seconds between two looks at a child that waits in the kernel, and between such pairs: longer
than one read of a disk that works."""

_READ_SIZE = 1 << 20
_POLL = 0.001
_REAPING = 0.05
"""The seconds to wait for the end of a child that was killed: one that hangs in the kernel
stays."""

_ENDING = 0.2
"""The seconds to wait for the end of a child that has written its whole message."""

_HANDLED = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGALRM),
    *(signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGWINCH),
)
"""The signals for which a caller may have handlers (a service, and a terminal's table), which are
not for its child."""

_ANSWER, _ERROR, _USAGE, _INTERNAL = range(4)
_LENGTH = 8
"""The bytes of a message's length, which precedes it: so a child that hangs while it ends is no
loss."""
_NO_MEMORY = b"no memory left"
_NO_MEMORY_FRAMED = len(_NO_MEMORY).to_bytes(_LENGTH, "big") + _NO_MEMORY
"""The message of a child without memory, made beforehand since that takes memory."""

_MOST_STUCK = 8
"""The number of children that may be stuck at a time; with as many none is started."""
_stuck: list[int] = []
"""Children that were killed and did not end; whoever stays looks for them at its next call."""


class Answer:
    """The answer of a call.

    Attributes:
        text: the text for stdout.
        notes: the text for stderr.
        status: the exit status.
        data: what is for the calling process alone.
    """

    __slots__ = ("data", "notes", "status", "text")

    def __init__(self, text: str, notes: str = "", status: int = 0, data: bytes = b"") -> None:
        self.text = text
        self.notes = notes
        self.status = status
        self.data = data


MakeAnswer = Callable[[], Answer]
"""The work of a call, which returns its answer or raises an error."""


def _without_command_lines(make: MakeAnswer) -> Answer:
    """Return the Answer of *make*, which reads no process's command line: that is a gap."""
    from zabbix_sockets.collector import collect  # noqa: PLC0415  # in a child, and hardly ever

    collect.stop_reading_command_lines()
    return make()


def give_up(message: str) -> None:
    """End the process with *message* as the call's error.

    `cli` puts a function in the place of this one that knows where its caller looks for errors. It
    is called in a signal handler, and only where no child could be started, so that no other
    process is there to write the message.
    """
    raise SystemExit(message)


class _StuckError(Exception):
    """A child waits in the kernel for something that may never come."""


def answer_within(
    seconds: float,
    make: MakeAnswer,
    *,
    close: int = -1,
    silent: bool = True,
) -> Answer:
    """Call *make* in a child, and return the Answer that it returns there.

    If that child hangs in the kernel, as whoever reads the command line of a user's process can be
    made to, *make* is called in a second one, which reads none, in the time that is left. *close*
    is a descriptor that the child closes; -1: none. A *silent* child has none of the caller's
    streams: whoever waits for their end need not wait for a child that is stuck.

    Raises:
        TimedOutError: that took longer than *seconds*, and the child is killed; or too many
            children of earlier calls are stuck.
        UsageError, SocketsError: *make* raised it.
        InternalError: *make* raised something else, or the child ended without a word.
    """
    end = monotonic() + seconds
    look = monotonic() + seconds * _PATIENCE
    _reap()
    if len(_stuck) >= _MOST_STUCK:
        raise TimedOutError(f"{len(_stuck)} processes of earlier calls hang in the kernel")
    try:
        return _answer_of_child(seconds, make, (end, look), close=close, silent=silent)
    except _StuckError:
        return _answer_of_child(
            seconds, lambda: _without_command_lines(make), (end, end), close=close, silent=silent
        )


def _answer_of_child(
    seconds: float, make: MakeAnswer, times: tuple[float, float], *, close: int, silent: bool
) -> Answer:
    """Call *make* in a child as answer_within(), until the first one of *times*.

    From the second one on it is looked whether the child is stuck.

    Raises:
        _StuckError: it is, and was killed.
    """
    end, look = times
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
    reader = _PipeReader(receive, end, child, look)
    try:
        try:
            os.close(send)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        reader.read()
    finally:
        os.close(receive)
        status = _end(child, ended=reader.closed)
    if reader.is_stuck:
        raise _StuckError
    # A child that closed the pipe without a message has crashed, unless its own timer ended it.
    killed_by_timer = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
    if not reader.complete and (not reader.closed or killed_by_timer):
        raise TimedOutError(f"timed out after {seconds:.3g} s: something hung")
    return _decoded(reader.message, status)


def _answer_here(seconds: float, make: MakeAnswer) -> Answer:
    """Call *make* in this process and return its Answer; a hang in the kernel is not ended then.

    Raises:
        UsageError, SocketsError, InternalError: as for answer_within().
    """

    def late(_signal: int, _frame: object) -> None:
        give_up(f"timed out after {seconds:.3g} s: something hung")

    before = signal.signal(signal.SIGALRM, late)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGALRM,))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return _decoded(_message_of(make), 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _be_child(make: MakeAnswer, pipes: tuple[int, int, int], end: float, *, silent: bool) -> None:
    """Answer through the pipe and end this process, so that nothing of the parent's runs in it."""
    send, *others = pipes
    try:
        for number in _HANDLED:
            if callable(signal.getsignal(number)):
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
        left = memoryview(len(message).to_bytes(_LENGTH, "big") + message)
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


def _message_of(make: MakeAnswer) -> bytes:
    """Call *make*; return the message with its Answer or its error, in the form of marshal."""
    try:
        answer = make()
        of_answer = answer.text, answer.notes, answer.status, answer.data
        message: tuple[object, ...] = (_ANSWER, *of_answer)
    except UsageError as error:
        message = _USAGE, str(error), error.hint
    except InternalError as error:
        message = _INTERNAL, str(error), error.trace
    except SocketsError as error:
        message = _ERROR, str(error), error.hint
    except Exception as error:  # noqa: BLE001  # the last resort: whatever it is, it is said
        internal = InternalError.of(error)
        message = _INTERNAL, str(internal), internal.trace
    return marshal.dumps(message)  # type: ignore[arg-type]  # numbers and texts


def _decoded(message: bytes, status: int) -> Answer:
    """Return the Answer in a child's message; *status* is the child's, as of waitpid(2).

    Raises:
        UsageError, SocketsError: that was the message.
        InternalError: that was the message, or there was none.
    """
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


class _PipeReader:
    """The message that a child writes to its pipe, read until its end or the moment *end*.

    From the moment *look* on it is read no further if *child* is stuck before it has written.

    Attributes:
        message: the bytes that have come, without the length before them.
        complete: the message has the length that it says.
        closed: the child has closed its side: it has ended, or is about to.
        is_stuck: the child waits in the kernel for good, as it seems.
    """

    def __init__(self, descriptor: int, end: float, child: int, look: float) -> None:
        self.complete = False
        self.closed = False
        self.is_stuck = False
        self._child = child
        self._look = look
        self._descriptor = descriptor
        self._end = end + _POLL * 10  # a little later than the child's own timer
        self._data = bytearray()

    @property
    def message(self) -> bytes:
        return bytes(self._data[_LENGTH:])

    def read(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        while (left := self._end - monotonic()) > 0:
            until_look = max(0.0, self._look - monotonic())
            if not poll.poll(min(left, until_look) * 1000):
                if until_look < left:
                    self.is_stuck = _waits_in_kernel(self._child)
                    self._look = monotonic() + _LOOK
                if self.is_stuck:
                    return
                continue
            self._look = self._end + _ENDING  # it writes
            part = os.read(self._descriptor, _READ_SIZE)
            if not part:
                self.closed = True
                return
            self._data += part
            wanted = _LENGTH + int.from_bytes(self._data[:_LENGTH], "big")
            if len(self._data) >= max(wanted, _LENGTH):
                self.complete = True
                self._end = min(self._end, monotonic() + _ENDING)


def _waits_in_kernel(pid: int) -> bool:
    """Whether a process's main thread is in state D, and was all the time between two looks."""
    before = _sleeps_of(pid)
    if not before:
        return False
    sleep(_LOOK)
    return _sleeps_of(pid) == before


def _sleeps_of(pid: int) -> bytes:
    """Return the line of /proc/PID/status that says how often its main thread has slept by itself.

    It is empty if the thread is not in state D now, or if that can't be read. Source: proc(5).
    """
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = file.read().split(b"\n")
    except OSError:
        return b""
    if not any(line.startswith(b"State:\tD") for line in lines):
        return b""
    return next((line for line in lines if line.startswith(b"voluntary_ctxt_switches:")), b"")


def _end(child: int, *, ended: bool) -> int:
    """Wait for a child that has *ended*, or kill it; return its status, 0 if it is stuck."""
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
    """Wait for those of the stuck children that have ended meanwhile."""
    _stuck[:] = [child for child in _stuck if not os.waitpid(child, os.WNOHANG)[0]]
