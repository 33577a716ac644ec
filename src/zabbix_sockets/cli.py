"""The command: arguments in, one answer out, errors as messages.

Two kinds of callers: an agent (get, discover, count) takes stdout for the value, so a
failure is one line of JSON there and stderr stays silent unless it is a terminal; people get
a message on stderr that says what to do next. Stdout holds a complete answer or nothing else.
"""

import gc
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from zabbix_sockets.errors import SocketsError, UsageError, printable

ANSWERED, FAILED, USAGE = 0, 1, 2
INTERRUPTED = 130  # as a shell says it: 128 and SIGINT
_QUOTED = str.maketrans({'"': "'", "\\": "/"})


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 answered, 1 could not, 2 usage."""
    gc.disable()  # a short life makes little garbage, and looking for it costs 5 %
    for stream in (sys.stdout, sys.stderr):
        if stream is None:  # closed by the caller, who gets no answer and no work done
            os._exit(FAILED)
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    _leave(_run(sys.argv[1:] if argv is None else list(argv)))


def _run(arguments: list[str]) -> int:
    """Return the exit status, after the answer or the error has been written."""
    for_agent = False
    try:
        from zabbix_sockets.arguments import is_for_agent, parse  # noqa: PLC0415  # late, see main

        for_agent = is_for_agent(arguments)
        options = parse(arguments)
        options.run(options)
        sys.stdout.flush()
    except SocketsError as error:
        _report(str(error), error.hint, for_agent=for_agent)
        return USAGE if isinstance(error, UsageError) else FAILED
    except BrokenPipeError:
        return FAILED  # whoever read the answer has gone
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        _report(f"{error.filename or 'output'}: {error.strerror}", "", for_agent=for_agent)
        return FAILED
    except SystemExit as done:  # --help, --version
        return done.code if isinstance(done.code, int) else ANSWERED
    return ANSWERED


def _leave(status: int) -> NoReturn:
    """Exit without the interpreter's clean-up, which takes as long as the idle call's work."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            status = status or FAILED  # the disk is full, or nobody reads
    os._exit(status)


def _report(message: str, hint: str, *, for_agent: bool) -> None:
    if for_agent:
        sys.stdout.write(f"{error_json(message)}\n")
    else:
        sys.stderr.write(f"zabbix-sockets: {printable(message)}\n")
    if hint and (not for_agent or sys.stderr.isatty()):
        sys.stderr.write(f"{hint}\n")


def error_json(message: str) -> str:
    """Return a failure as the agent's master item expects it; no import that could fail."""
    return f'{{"error":"{printable(message).translate(_QUOTED)}"}}'
