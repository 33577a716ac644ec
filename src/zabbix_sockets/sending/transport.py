"""Transport of values by one call of zabbix_sender, and the parser of its output.

Its exit status decides nothing: it is 0 also when it skipped lines, and (7.0) when the server took
none of the values. What counts is that the numbers which the server took and refused add up to
those handed over.
"""

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
_PACKAGES = "install it: the package is zabbix-sender (zabbix.com), or zabbix-agent (Debian 12)"

_RESPONSE = re.compile(
    r'^(?:Response from "[^"\n]*"|info from server): "processed: (\d+); failed: (\d+); total: \d+;',
    re.MULTILINE,
)
"""The line of its output for an answer whose "response" is "success". Of others it prints that they
are incorrect, and repeats them."""
_PREFIX = re.compile(r"^zabbix_sender \[\d+\]: (?:(DEBUG|WARNING|ERROR|CRITICAL): )?")
_REASONS = re.compile(
    r"unable to connect|cannot |timed? ?out|time-out|TLS|SSL|PSK|certificate|interrupted|refused"
    r"|invalid |not allowed|failed to|reset by peer|no default hostname|negative response"
    r"|incorrect answer",
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

    def command(self, destination: str, timeout: int) -> list[str]:
        """Return the command line for one destination; *timeout* is in seconds.

        Raises:
            UsageError: there is no such program.
        """
        config = ["-c", self.agent_config] if self.agent_config else []
        port = ["-p", str(self.port)] if self.port else []
        to = ["-z", destination, *port, "-t", str(timeout)]
        program = find(self.program, _PACKAGES)
        return [program, "-vv", *config, *to, *self.options, "-T", "-N", "-i", "-"]


def push(sender: Sender, destination: str, values: Sequence[Value], timeout: int) -> Outcome:
    """Hand *values* to zabbix_sender for one destination; return the outcome.

    *timeout* is in seconds, 1 to 300, for each connection of BATCH values.

    Raises:
        SocketsError: zabbix_sender can't be started, or a value can't be put into a line.
    """
    lines = b"".join(map(encode_line, values))
    completion = run(sender.command(destination, timeout), lines, sender.folder, timeout + GRACE)
    return parse_answer(completion.output, len(values), _end(completion, timeout))


def check(sender: Sender, destination: str) -> None:
    """Raise an error unless zabbix_sender can read its configuration and its files for TLS.

    It sends nothing.

    Raises:
        UsageError: there is no zabbix_sender, or it can't use them.
        SocketsError: it can't be started just now, or hangs.
    """
    command = sender.command(destination, _CHECK_SECONDS)
    completion = run(command, b"", sender.folder, _CHECK_SECONDS + GRACE)
    if completion.timed_out:
        raise SocketsError(_end(completion, _CHECK_SECONDS))
    if completion.status:
        reason = _reason(completion.output) or _end(completion, _CHECK_SECONDS)
        raise UsageError(
            f"{PROGRAM} can't work so: {reason}",
            "a key of another user: see docs/send.md, Keys of other users"
            if os.strerror(errno.EACCES) in reason
            else "",
        )


def _end(completion: Completion, timeout: int) -> str:
    """Return in words the end of zabbix_sender: its last line of output, or its status."""
    if completion.timed_out:
        return f"{PROGRAM} did not end within {timeout + GRACE:g} s"
    lines = [line for line in _candidates(completion.output) if "DEBUG:" not in line]
    if lines:
        return _shown(lines[-1])
    return f"{PROGRAM} ended with status {completion.status} and said nothing"


def parse_answer(text: str, sent: int, otherwise: str) -> Outcome:
    """Return the outcome for *sent* values by *text*, the output of zabbix_sender.

    *otherwise* is the error's text where the output has no reason.
    """
    answers = [tuple(map(int, found)) for found in _RESPONSE.findall(_without_payload(text))]
    processed = sum(answer[0] for answer in answers)
    failed = sum(answer[1] for answer in answers)
    if processed + failed == sent:
        return Outcome(processed, failed)
    reason = _reason(text) or otherwise
    if answers:
        reason = f"only {processed + failed} of {sent} values were answered for: {reason}"
    return Outcome(processed, failed, reason)


def _without_payload(text: str) -> str:
    """Return *text* without the lines that repeat sent or received values, which are no answers."""
    return "\n".join(line for line in text.split("\n") if "DEBUG:" not in line)


def _reason(text: str) -> str:
    """Return the last line of *text* that is known to give a reason; empty: there is none."""
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
