"""One call of zabbix_sender, and what of its answer can be believed.

Its exit status alone can't: 0 also when it skipped lines, and (7.0) when the server took none
of the values. What counts is that what the server says it took and refused adds up to what was
handed over.
"""

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from zabbix_sockets.errors import SocketsError, printable
from zabbix_sockets.sending.lines import Value, encode_line

PROGRAM = "zabbix_sender"

_RESPONSE = re.compile(
    r'^(?:Response from "[^"]*": )?.*?"?processed: (\d+); failed: (\d+); total: (\d+);',
    re.MULTILINE,
)
_PREFIX = re.compile(r"^zabbix_sender \[\d+\]: (?:(DEBUG|WARNING|ERROR|CRITICAL): )?")
_REASONS = re.compile(
    r"unable to connect|cannot |timed? ?out|time-out|TLS|SSL|PSK|certificate|interrupted|refused"
    r"|invalid |not allowed|failed to|reset by peer|no default hostname|negative response",
    re.IGNORECASE,
)
_TRACE = re.compile(r"\b(?:In|End of) \w+\(\)")
"""Lines of where the program is: they name timeouts, too."""
_GRACE = 5.0
"""Seconds that zabbix_sender may take beyond the timeout that it was given."""

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

    def command(self, destination: str, timeout: int) -> list[str]:
        """Return the command line for one destination."""
        config = ["-c", self.agent_config] if self.agent_config else []
        port = ["-p", str(self.port)] if self.port else []
        to = ["-z", destination, *port, "-t", str(timeout)]
        return [self.program, "-vv", *config, *to, *self.options, "-T", "-N", "-i", "-"]


def push(sender: Sender, destination: str, values: Sequence[Value], timeout: int) -> Outcome:
    """Hand *values* to zabbix_sender for one destination; *timeout* in seconds, 1 to 300.

    Raises:
        SocketsError: zabbix_sender can't be started, or a value can't be put into a line.
    """
    lines = b"".join(map(encode_line, values))
    try:
        process = subprocess.Popen(  # noqa: S603  # no shell; what is asked for by the caller
            sender.command(destination, timeout),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,  # it forks, and all of it has to end
        )
    except FileNotFoundError:
        raise SocketsError(
            f"there is no {sender.program}",
            "install it: the package is zabbix-sender (zabbix.com), or zabbix-agent (Debian 12)",
        ) from None
    except OSError as error:  # not executable, or no process or memory left
        raise SocketsError(f"{sender.program}: {error.strerror}") from None
    with process:
        try:
            said, _ = process.communicate(lines, timeout + _GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            late = f"{PROGRAM} did not end within {timeout + _GRACE:g} s"
            return parse_answer(said.decode("utf-8", "replace"), len(values), late)
    ended = f"{PROGRAM} ended with status {process.returncode} and said nothing"
    return parse_answer(said.decode("utf-8", "replace"), len(values), ended)


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
    """Return the last line that tells why, without the program's name and number."""
    lines = [
        line for line in text.split("\n") if " sending: " not in line and not _TRACE.search(line)
    ]
    said = [line for line in lines if _REASONS.search(_PREFIX.sub("", line))]
    loud = [line for line in said if "DEBUG:" not in line]
    if not (loud or said):
        return ""
    return printable(_PREFIX.sub("", (loud or said)[-1]).strip())[:_MAX_REASON]
