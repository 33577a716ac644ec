"""Transport of values by one call of zabbix_sender, and the parser of its output.

Its exit status decides nothing: it is 0 also when it skipped lines, and (7.0) when the server took
none of the values. What counts is that the numbers which the server took and refused add up to
those handed over.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from zabbix_sockets.model.errors import SocketsError, UsageError, printable
from zabbix_sockets.sending.launch import Completion, find, run
from zabbix_sockets.sending.lines import Value, encode_line

PROGRAM = "zabbix_sender"
"""The name of the program, which is looked for in $PATH."""
PACKAGES = (
    "install the package zabbix-sender (of zabbix.com, or of Debian from 13 on); Debian 12 and"
    " Ubuntu 24.04 have it in zabbix-agent"
)
"""Where zabbix_sender 6.0 or later is; the packages of older releases have one that is too old."""
_LACKS_TIMEOUT = re.compile(r"^zabbix_sender \[\d+\]: invalid option -- t$", re.MULTILINE)
"""What zabbix_sender before 6.0 says of its option -t, above its usage."""
_TOO_OLD = f"this {PROGRAM} is older than Zabbix 6.0"

_RESPONSE = re.compile(
    r'^(?:Response from "[^"\n]*"|info from server):'
    r' "processed: (\d{1,9}); failed: (\d{1,9}); total: \d+;',
    re.MULTILINE,
)
"""The line of its output for an answer whose "response" is "success". Of others it prints that they
are incorrect, and repeats them. The numbers are the server's words: longer ones are none."""
_PREFIX = re.compile(r"^zabbix_sender \[\d+\]: (?:(DEBUG|WARNING|ERROR|CRITICAL): )?")
_REASONS = re.compile(
    r"unable to connect|cannot |timed? ?out|time-out|TLS|SSL|PSK|certificate|interrupted|refused"
    r"|invalid |not allowed|failed to|reset by peer|no default hostname|negative response"
    r"|incorrect answer|missing header",
    re.IGNORECASE,
)
_TRACE = re.compile(r"\b(?:In|End of) \w+\(\)")
"""Lines that trace the program's functions: they name timeouts, too."""
_PAYLOAD = re.compile(r" sending: ")
_SUM = re.compile(r"^(?:Sending failed\.|sent: \d+; skipped: |Response from |info from server: )")
GRACE = 5.0
"""The seconds that zabbix_sender may take beyond the timeout that it was given."""

_CHECK_SECONDS = 10

BATCH = 250
"""The values that zabbix_sender sends in one connection, which has an answer and a timeout of its
own. A packet has no more, so that none is sent again for which there was an answer."""
_MAX_REASON = 300


class Outcome(NamedTuple):
    """The result of one call for the values that were handed over.

    Attributes:
        processed: the number of values that the server took.
        failed: the number of those that it refused: no such host or item, not of type trapper,
            not allowed from here.
        error: why all others were not delivered; empty when there are none.
        final: nothing has to be sent again: what was refused would be refused again.
    """

    processed: int
    failed: int
    error: str = ""
    final: bool = False

    @property
    def delivered(self) -> bool:
        """Whether the server took every value, or (`final`) all that it ever will."""
        return not self.error and (self.final or not self.failed)


class Sender(NamedTuple):
    """The program zabbix_sender and its settings.

    Attributes:
        agent_config: the path of the agent's configuration file, which it reads; None: no file.
        options: arguments for TLS and for the source address.
        port: the port of servers for which none is given; None: zabbix_sender's default.
        program: its path, or its name in $PATH.
    """

    agent_config: str | None = None
    options: tuple[str, ...] = ()
    port: int | None = None
    program: str = PROGRAM

    @property
    def folder(self) -> str | None:
        """The working directory to run it in, that of the agent's file; None: the caller's.

        Paths of Include= may be relative to it, as they are in the file of zabbix_agent2's package.
        """
        return os.path.dirname(self.agent_config) if self.agent_config else None

    def call(self, destination: str, timeout: int) -> list[str]:
        """Return the command line for one destination, without what is sent.

        *timeout* is in seconds, for each connection. All that the program does is told (-vv).

        Raises:
            UsageError: there is no such program.
        """
        config = ["-c", self.agent_config] if self.agent_config else []
        port = ["-p", str(self.port)] if self.port else []
        to = ["-z", destination, *port, "-t", str(timeout)]
        program = find(self.program, PACKAGES)
        return [program, "-vv", *config, *to, *self.options]

    def command(self, destination: str, timeout: int) -> list[str]:
        """Return the command line that sends the lines of its standard input.

        Raises:
            UsageError: there is no such program.
        """
        return [*self.call(destination, timeout), "-T", "-N", "-i", "-"]


def push(
    sender: Sender,
    destination: str,
    values: Sequence[Value],
    timeout: int,
    grace: float = GRACE,
) -> Outcome:
    """Hand *values* to zabbix_sender for one destination; return the outcome.

    *timeout* is in seconds, 1 to 300, for each connection of BATCH values; *grace* what it may take
    beyond.

    Raises:
        SocketsError: zabbix_sender can't be started, or a value can't be put into a line.
    """
    lines = b"".join(map(encode_line, values))
    seconds = timeout + grace
    completion = run(sender.command(destination, timeout), lines, sender.folder, seconds)
    # Of one that was killed, the last word is what it has just done, which failed at nothing.
    text = _without_debug(completion.output) if completion.timed_out else completion.output
    return parse_answer(text, len(values), _end(completion, seconds))


def check(sender: Sender, destination: str) -> None:
    """Raise an error unless zabbix_sender can read its configuration and its files for TLS.

    It sends nothing.

    Raises:
        UsageError: there is no zabbix_sender, or it can't use them.
        SocketsError: it can't be started just now, or hangs.
    """
    command, seconds = sender.command(destination, _CHECK_SECONDS), _CHECK_SECONDS + GRACE
    completion = run(command, b"", sender.folder, seconds)
    if completion.timed_out:
        raise SocketsError(_end(completion, seconds))
    if completion.status:
        reason = _reason(completion.output) or _end(completion, seconds)
        raise UsageError(
            f"{PROGRAM} can't work so: {reason}",
            _hint(reason),
        )


def _hint(reason: str) -> str:
    if reason == _TOO_OLD:
        return PACKAGES
    closed = os.strerror(errno.EACCES) in reason
    return "a key of another user: see docs/send.md, Keys of other users" if closed else ""


def _end(completion: Completion, seconds: float) -> str:
    """Return in words the end of zabbix_sender: its last line of output, or its status."""
    if completion.timed_out:
        return f"{PROGRAM} did not end within {seconds:g} s"
    lines = [line for line in _candidates(completion.output) if "DEBUG:" not in line]
    if lines:
        return _shown(lines[-1])
    return f"{PROGRAM} ended with status {completion.status} and said nothing"


def parse_answer(text: str, sent: int, otherwise: str) -> Outcome:
    """Return the outcome for *sent* values by *text*, the output of zabbix_sender.

    *otherwise* is the error's text where the output has no reason.
    """
    answers = [tuple(map(int, found)) for found in _RESPONSE.findall(_without_debug(text))]
    processed = sum(answer[0] for answer in answers)
    failed = sum(answer[1] for answer in answers)
    if processed + failed == sent:
        return Outcome(processed, failed)
    reason = _reason(text) or otherwise
    if answers:
        reason = f"only {processed + failed} of {sent} values were answered for: {reason}"
    return Outcome(processed, failed, reason)


def _without_debug(text: str) -> str:
    """Return *text* without debugging: such lines repeat values, which are no answers."""
    return "\n".join(line for line in text.split("\n") if "DEBUG:" not in line)


def _reason(text: str) -> str:
    """Return the last line of *text* that is known to give a reason; empty: there is none.

    Of a program that is too old, which prints its usage, that is the reason.
    """
    if _LACKS_TIMEOUT.search(text):
        return _TOO_OLD
    reasons = [line for line in _candidates(text) if _REASONS.search(_PREFIX.sub("", line))]
    messages = [line for line in reasons if "DEBUG:" not in line]
    return _shown((messages or reasons)[-1]) if reasons else ""


def _candidates(text: str) -> list[str]:
    """Return the lines that may give a reason: no traces, no sums, no sent values."""
    return [
        line
        for line in text.split("\n")
        if line.strip() and not any(each.search(line) for each in (_TRACE, _PAYLOAD, _SUM))
    ]


def _shown(line: str) -> str:
    """Return the first 300 characters of a line, safe for a terminal, without program and pid."""
    return printable(_PREFIX.sub("", line).strip())[:_MAX_REASON]
