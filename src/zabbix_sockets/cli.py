"""The command: arguments in, one answer out, errors as messages.

Two kinds of callers: an agent (get, discover, count) takes stdout for the value, so a
failure is one line of JSON there and stderr stays silent unless it is a terminal; people get
a message on stderr that says what to do next. Stdout holds a complete answer or nothing else.
This is the one place that turns errors into messages, those that nobody foresaw among them.
"""

import gc
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from zabbix_sockets.errors import InternalError, SocketsError, UsageError, printable

ANSWERED, FAILED, USAGE = 0, 1, 2
INTERRUPTED = 130  # as a shell says it: 128 and SIGINT
FOR_AGENT = ("get", "discover", "count")
"""Verbs of which an agent takes stdout for the value, also that of a failure."""
_QUOTED = str.maketrans({'"': "'", "\\": "/"})


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 answered, 1 could not, 2 usage."""
    gc.disable()  # a short life makes little garbage, and looking for it costs 5 %
    if sys.stdout is None:  # closed by the caller, who gets no answer and no work done
        os._exit(FAILED)
    if sys.stderr is None:  # closed, too: there is still an answer
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # to the end
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    _leave(_run(sys.argv[1:] if argv is None else list(argv)))


def _run(arguments: list[str]) -> int:
    """Return the exit status, after the answer or the error has been written."""
    for_agent = bool(arguments) and arguments[0] in FOR_AGENT
    try:
        return _answered(arguments, for_agent=for_agent)
    except SystemExit as done:  # --help, --version
        return done.code if isinstance(done.code, int) else ANSWERED
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        return _output_failed(error, for_agent=for_agent)
    except BaseException as error:  # noqa: BLE001  # the last resort: whatever it is, it is said
        known = error if isinstance(error, SocketsError) else InternalError.of(error)
        _trace(known, arguments)
        return _report(known, for_agent=for_agent)


def _output_failed(error: OSError, *, for_agent: bool) -> int:
    """Return the exit status; what names no file is the answer's own: nothing follows its half."""
    if error.filename is not None:
        return _report(InternalError.of(error), for_agent=for_agent)
    if not for_agent and not isinstance(error, BrokenPipeError):
        sys.stderr.write(f"zabbix-sockets: output: {error.strerror}\n")
    return FAILED


def _answered(arguments: list[str], *, for_agent: bool) -> int:
    from zabbix_sockets import supervisor  # noqa: PLC0415  # within the last resort
    from zabbix_sockets.arguments import parse  # noqa: PLC0415  # the same

    def give_up(message: str) -> NoReturn:
        _leave(_report(SocketsError(message), for_agent=for_agent))

    supervisor.give_up = give_up
    options = parse(arguments)
    if for_agent:
        options.question = tuple(arguments)
    options.run(options)
    sys.stdout.flush()
    return ANSWERED


def _leave(status: int) -> NoReturn:
    """Exit without the interpreter's clean-up, which takes as long as the idle call's work."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            status = status or FAILED  # the disk is full, or nobody reads
    os._exit(status)


def _report(error: SocketsError, *, for_agent: bool) -> int:
    """Write an error to where the caller looks for it, and return the exit status."""
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


def _trace(error: SocketsError, arguments: Sequence[str]) -> None:
    """Write where an error comes from that nobody foresaw, if that was asked for."""
    if isinstance(error, InternalError) and "--debug" in arguments:
        sys.stderr.write(error.trace)


def error_json(message: str) -> str:
    """Return a failure as the agent's master item expects it; no import that could fail."""
    return f'{{"error":"{printable(message).translate(_QUOTED)}"}}'
