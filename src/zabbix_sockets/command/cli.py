"""The command: arguments in, one answer out, errors as messages.

Two kinds of callers: an agent (get, discover, count) takes stdout for the value, so a
failure is one line of JSON there and stderr stays silent unless it is a terminal; people get
a message on stderr that says what to do next. Stdout holds a complete answer or nothing else.
This is the one place that turns errors into messages, those that nobody foresaw among them.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # as _socket, see __init__
import gc
import io
import os
import sys
from _collections_abc import Callable, Sequence
from time import monotonic

from zabbix_sockets.command import supervisor
from zabbix_sockets.command.agent_call import FOR_AGENT, TIMED, last_value
from zabbix_sockets.command.lock import Lock
from zabbix_sockets.command.supervisor import Answer
from zabbix_sockets.model.deadline import DEFAULT_SECONDS, MAX_SECONDS, Deadline
from zabbix_sockets.model.errors import InternalError, SocketsError, UsageError, printable

ANSWERED, FAILED, USAGE = 0, 1, 2
NOT_CHECKED = 3
"""The exit status of `check` where it fails, as 1 and 2 say what it has found (command.check)."""
INTERRUPTED = 130  # as a shell says it: 128 and SIGINT
_QUOTED = str.maketrans({'"': "'", "\\": "/"})


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with the arguments *argv* (None: sys.argv's) and exit.

    The exit status is 0 if there is an answer, 1 if there is none, 2 if the arguments are wrong;
    `check` has others.
    """
    gc.disable()  # a short life makes little garbage, and looking for it costs 5 %
    # Ignored, as a caller may leave it, children vanish with their status: see waitpid(2).
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    arguments = sys.argv[1:] if argv is None else list(argv)
    if sys.stdout is None:  # closed by the caller, who gets no answer and no work done
        os._exit(_failure(arguments, FAILED))
    if sys.stderr is None:  # closed, too: there is still an answer
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # open until the process ends
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    limit = _limit_of(arguments)
    _exit(_run(arguments, None) if limit is None else _supervised(arguments, limit))


def _limit_of(arguments: Sequence[str]) -> float | None:
    """Return the seconds that a call may take; None for verbs without a time limit.

    The arguments are not checked: that is a part of the work.
    """
    verb, *options = arguments or [""]
    if "--" in options:
        options = options[: options.index("--")]
    if verb not in TIMED or any(each.startswith("--interval") for each in options):
        return None
    seconds = DEFAULT_SECONDS
    given = last_value(arguments, "--timeout")
    if given is not None:
        try:
            seconds = float(given)
        except ValueError:
            pass  # the verb will refuse it
    in_bounds = min(max(seconds, 0.0), MAX_SECONDS)
    return in_bounds if in_bounds == seconds else DEFAULT_SECONDS  # what it refuses, nan among it


def _supervised(arguments: list[str], limit: float) -> int:
    """Do the work in a child, write its answer, and return the exit status.

    If the child gives no answer within *limit* seconds and a grace, an error is written.
    """
    for_agent = arguments[0] in FOR_AGENT
    try:
        answer = _answer_of_child(arguments, limit, for_agent=for_agent)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseException as error:  # noqa: BLE001  # the last resort: whatever it is, it is said
        return _report(_known(error), for_agent=for_agent)
    try:
        sys.stderr.write(answer.notes)
        sys.stdout.write(answer.text)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        return _output_failed(error, for_agent=for_agent)
    return answer.status


def _answer_of_child(arguments: list[str], limit: float, *, for_agent: bool) -> Answer:
    """Return the answer of a child, within *limit* seconds and a grace.

    Raises:
        SocketsError: there is none in time, or the work failed.
    """

    def give_up(message: str) -> None:
        _exit(_report(SocketsError(message), for_agent=for_agent))

    supervisor.give_up = give_up
    streams = _Captured(sys.stdout.isatty()), _Captured(sys.stderr.isatty())
    started = monotonic()
    with Lock() as lock:
        return supervisor.answer_within(
            limit + supervisor.GRACE,
            lambda: _captured(arguments, (lock, started, limit), *streams),
            silent=for_agent,
        )


_FromParent = tuple[Lock, float, float]
"""The user's lock, open in the parent; the moment of the monotonic clock since which the caller
waits; and the seconds that the call may take."""


class _Captured(io.StringIO):
    """A buffer in the place of a stream; *is_terminal* says whether that is a terminal."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._is_terminal


def _captured(
    arguments: list[str], given: _FromParent, text: _Captured, notes: _Captured
) -> Answer:
    """Run a verb; return the texts that it writes to stdout and stderr, and its exit status."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = text, notes
    try:
        status = _run(arguments, given)
    finally:
        sys.stdout, sys.stderr = streams
    return Answer(text.getvalue(), notes.getvalue(), status)


def _run(arguments: list[str], given: _FromParent | None) -> int:
    """Run a verb, write its answer or an error, and return the exit status.

    *given* is from the parent; None: this process has no parent that waits.
    """
    for_agent = bool(arguments) and arguments[0] in FOR_AGENT
    try:
        try:
            answer = _parsed(arguments, given, for_agent=for_agent)
        except SystemExit as done:  # --help, --version
            return done.code if isinstance(done.code, int) else ANSWERED
        status = answer()
        sys.stdout.flush()
        return status or ANSWERED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseException as error:  # noqa: BLE001  # the last resort: whatever it is, it is said
        if given is None and isinstance(error, OSError):  # else all that is written is captured
            failed = _output_failed(error, for_agent=for_agent)
        else:
            known = _known(error)
            if isinstance(known, InternalError) and "--debug" in arguments:
                sys.stderr.write(known.trace)
            failed = _report(known, for_agent=for_agent)
        return _failure(arguments, failed)


def _failure(arguments: list[str], status: int) -> int:
    """Return the exit status of a failure, FAILED or USAGE for all verbs but one."""
    return NOT_CHECKED if arguments[:1] == ["check"] else status


def _parsed(
    arguments: list[str], given: _FromParent | None, *, for_agent: bool
) -> Callable[[], int | None]:
    """Return the function that does the work, prints the answer, and returns the exit status.

    The imports are made here, so that a missing module is reported as any other error.
    """
    lock, started, reader = None, None, None
    if given:
        lock, started, limit = given
        if for_agent:
            from zabbix_sockets.command.early_read import begin_to_read  # noqa: PLC0415  # the parent, which only waits, doesn't need it

            reader = begin_to_read(arguments, Deadline(limit, started), lock)
    from zabbix_sockets.command.call import Call  # noqa: PLC0415  # nor this
    from zabbix_sockets.command.verbs import parse_plain  # noqa: PLC0415  # nor this

    request = parse_plain(arguments)
    if not request:
        from zabbix_sockets.command.arguments import parse  # noqa: PLC0415  # argparse and what comes with it take 8 ms

        request = parse(arguments)
    call = Call(lock, started, tuple(arguments) if for_agent else (), reader)
    return lambda: request.answer(call)


def _known(error: BaseException) -> SocketsError:
    return error if isinstance(error, SocketsError) else InternalError.of(error)


def _output_failed(error: OSError, *, for_agent: bool) -> int:
    """Report that the answer could not be written, if that is possible; return the exit status.

    An error without a file's name is one of writing to stdout or stderr. A part of the answer may
    be out by then, so an agent gets no more on stdout; a person is told on stderr, unless it is the
    reader that has gone. An error of a file is one of the work's, and is reported as any other.
    """
    if error.filename is not None:
        return _report(InternalError.of(error), for_agent=for_agent)
    if not for_agent and not isinstance(error, BrokenPipeError):
        sys.stderr.write(f"zabbix-sockets: output: {error.strerror}\n")
    return FAILED


def _exit(status: int) -> None:
    """Exit without the interpreter's clean-up, which takes as long as the idle call's work."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            status = status or FAILED  # the disk is full, or nobody reads
    os._exit(status)


def _report(error: SocketsError, *, for_agent: bool) -> int:
    """Write an error to stdout for an agent, else to stderr; return the exit status."""
    message = str(error)
    try:
        if for_agent:
            sys.stdout.write(f"{error_json(message)}\n")
        else:
            sys.stderr.write(f"zabbix-sockets: {printable(message)}\n")
        if error.hint and (not for_agent or sys.stderr.isatty()):
            sys.stderr.write(f"{error.hint}\n")
    except OSError:
        pass  # there is nowhere to say it: the status does
    return USAGE if isinstance(error, UsageError) else FAILED


def error_json(message: str) -> str:
    """Return the JSON object of a failure, as agents get it; made without any import."""
    return f'{{"error":"{printable(message).translate(_QUOTED)}"}}'
