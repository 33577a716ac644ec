"""The command: arguments in, one answer out, errors as messages.

Two kinds of callers: an agent (get, discover, count) takes stdout for the value, so a
failure is one line of JSON there and stderr stays silent; people get a message on stderr
that says what to do next. Stdout holds a complete answer or nothing else.
"""

import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from zabbix_sockets.errors import SocketsError, UsageError

ANSWERED, FAILED, USAGE = 0, 1, 2
_QUOTED = str.maketrans({'"': "'", "\\": "/"})


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 answered, 1 could not, 2 usage."""
    gc.disable()  # a short life makes little garbage, and looking for it costs 5 %
    from zabbix_sockets.arguments import is_for_agent, parse  # noqa: PLC0415  # no sooner

    arguments = sys.argv[1:] if argv is None else list(argv)
    for_agent = is_for_agent(arguments)
    status = ANSWERED
    try:
        options = parse(arguments)
        options.run(options)
        sys.stdout.flush()
    except SocketsError as error:
        status = USAGE if isinstance(error, UsageError) else FAILED
        _report(str(error), error.hint, for_agent=for_agent)
    except BrokenPipeError:
        status = FAILED  # whoever read the answer has gone
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except OSError as error:
        status = FAILED
        _report(f"{error.filename or 'system call'}: {error.strerror}", "", for_agent=for_agent)
    _leave(status)


def _leave(status: int) -> NoReturn:
    """Exit without the interpreter's clean-up, which takes as long as the idle call's work."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        status = FAILED
    os._exit(status)


def _report(message: str, hint: str, *, for_agent: bool) -> None:
    if for_agent:
        sys.stdout.write(f"{error_json(message)}\n")
        return
    sys.stderr.write(f"zabbix-sockets: {_printable(message)}\n")
    if hint:
        sys.stderr.write(f"{hint}\n")


def _printable(text: str) -> str:
    """Make a message with parts of the arguments safe for a terminal, on one line."""
    return "".join(char if char.isprintable() else "?" for char in text)


def error_json(message: str) -> str:
    """Return a failure as the agent's master item expects it; no import that could fail."""
    return f'{{"error":"{_printable(message).translate(_QUOTED)}"}}'
