"""One call of zabbix_sender, and what of its answer can be believed.

Its exit status alone can't: 0 also when it skipped lines, and (7.0) when the server took none
of the values. What counts is that what the server says it took and refused adds up to what was
handed over.
"""

import errno
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from zabbix_sockets.model.errors import SocketsError, UsageError, printable
from zabbix_sockets.sending.launch import Ended, find, run
from zabbix_sockets.sending.lines import Value, encode_line

PROGRAM = "zabbix_sender"
_PACKAGES = "install it: the package is zabbix-sender (zabbix.com), or zabbix-agent (Debian 12)"

_RESPONSE = re.compile(
    r'^(?:Response from "[^"\n]*"|info from server): "processed: (\d+); failed: (\d+); total: \d+;',
    re.MULTILINE,
)
"""What it says of an answer whose "response" is "success"; of others it says that they are
incorrect, and repeats them."""
_PREFIX = re.compile(r"^zabbix_sender \[\d+\]: (?:(DEBUG|WARNING|ERROR|CRITICAL): )?")
_REASONS = re.compile(
    r"unable to connect|cannot |timed? ?out|time-out|TLS|SSL|PSK|certificate|interrupted|refused"
    r"|invalid |not allowed|failed to|reset by peer|no default hostname|negative response"
    r"|incorrect answer",
    re.IGNORECASE,
)
_TRACE = re.compile(r"\b(?:In|End of) \w+\(\)")
"""Lines of where the program is: they name timeouts, too."""
_PAYLOAD = re.compile(r" sending: ")
_SUM = re.compile(r"^(?:Sending failed\.|sent: \d+; skipped: |Response from |info from server: )")
GRACE = 5.0
"""Seconds that zabbix_sender may take beyond the timeout that it was given."""

_CHECK_SECONDS = 10

BATCH = 250
"""Values that zabbix_sender sends in one connection, each with an answer and a timeout of its
own. A packet has no more: what is answered for never goes again."""
_MAX_REASON = 300


class Outcome(NamedTuple):
    """What has become of the values of one call."""

    processed: int
    failed: int
    """Refused by the server: no such host or item, not of trapper type, not from here."""
    error: str = ""
    """Why the rest was not delivered; empty when all were."""
    settled: bool = False
    """Nothing has to be sent again: what was refused would be refused again."""

    @property
    def delivered(self) -> bool:
        """Whether the server took every value, or all that it ever will."""
        return not self.error and (self.settled or not self.failed)


class Sender(NamedTuple):
    """How zabbix_sender is called; *options* are what the user gave for TLS and the source."""

    agent_config: str | None = None
    options: tuple[str, ...] = ()
    port: int | None = None
    program: str = PROGRAM

    @property
    def folder(self) -> str | None:
        """Where it runs: what the agent's file includes may be relative to the file's folder.

        So it is in the file that the package of zabbix_agent2 brings.
        """
        return os.path.dirname(self.agent_config) if self.agent_config else None

    def command(self, destination: str, timeout: int) -> list[str]:
        """Return the command line for one destination.

        Raises:
            UsageError: there is no such program.
        """
        config = ["-c", self.agent_config] if self.agent_config else []
        port = ["-p", str(self.port)] if self.port else []
        to = ["-z", destination, *port, "-t", str(timeout)]
        program = find(self.program, _PACKAGES)
        return [program, "-vv", *config, *to, *self.options, "-T", "-N", "-i", "-"]


def push(sender: Sender, destination: str, values: Sequence[Value], timeout: int) -> Outcome:
    """Hand *values* to zabbix_sender for one destination; *timeout* in seconds, 1 to 300.

    Raises:
        SocketsError: zabbix_sender can't be started, or a value can't be put into a line.
    """
    lines = b"".join(map(encode_line, values))
    ended = run(sender.command(destination, timeout), lines, sender.folder, timeout + GRACE)
    return parse_answer(ended.said, len(values), _end(ended, timeout))


def check(sender: Sender, destination: str) -> None:
    """Let zabbix_sender read its configuration and its files for TLS, and send nothing.

    Raises:
        UsageError: there is no zabbix_sender, or it can't use them.
        SocketsError: it can't be started just now, or hangs.
    """
    command = sender.command(destination, _CHECK_SECONDS)
    ended = run(command, b"", sender.folder, _CHECK_SECONDS + GRACE)
    if ended.is_late:
        raise SocketsError(_end(ended, _CHECK_SECONDS))
    if ended.status:
        reason = _reason(ended.said) or _end(ended, _CHECK_SECONDS)
        raise UsageError(
            f"{PROGRAM} can't work so: {reason}",
            "a key of another user: see docs/send.md, Keys of other users"
            if os.strerror(errno.EACCES) in reason
            else "",
        )


def _end(ended: Ended, timeout: int) -> str:
    """Return in words how it ended, for want of a reason: by what it said last."""
    if ended.is_late:
        return f"{PROGRAM} did not end within {timeout + GRACE:g} s"
    lines = [line for line in _telling(ended.said) if "DEBUG:" not in line]
    if lines:
        return _shown(lines[-1])
    return f"{PROGRAM} ended with status {ended.status} and said nothing"


def parse_answer(text: str, sent: int, otherwise: str) -> Outcome:
    """Return what has become of *sent* values, by what zabbix_sender printed.

    *otherwise* is the reason where it gives none.
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
    """Leave out lines that repeat what was sent or received: values are no answers."""
    return "\n".join(line for line in text.split("\n") if "DEBUG:" not in line)


def _reason(text: str) -> str:
    """Return the last line that is known to tell why; empty: there is none."""
    said = [line for line in _telling(text) if _REASONS.search(_PREFIX.sub("", line))]
    loud = [line for line in said if "DEBUG:" not in line]
    return _shown((loud or said)[-1]) if said else ""


def _telling(text: str) -> list[str]:
    """Return the lines that may tell why, without traces, sums and what was sent."""
    return [
        line
        for line in text.split("\n")
        if line.strip() and not any(each.search(line) for each in (_TRACE, _PAYLOAD, _SUM))
    ]


def _shown(line: str) -> str:
    """Return a line without the program's name and number, for a terminal and a log."""
    return printable(_PREFIX.sub("", line).strip())[:_MAX_REASON]
