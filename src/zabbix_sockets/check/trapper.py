"""A question to a server through zabbix_sender, as the service pushes; and what the answer means.

The question is a value for a key that no host has. A server or a proxy that answers has been
reached, has taken the handshake of TLS, and speaks the protocol of trapper items: it says that one
value has failed, and changes nothing. At its usual level of logging (6.0, 7.0) it writes no line.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from typing import NamedTuple

from zabbix_sockets.check.line import typed
from zabbix_sockets.check.push_service import PushService
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.target import Target
from zabbix_sockets.sending.transport import Sender, push

ANSWERS, NO_CONNECTION, TLS, REJECTS, STRANGE, HANGS, CANNOT = (
    *("answers", "no connection", "tls", "rejects", "strange", "hangs", "cannot"),
)
"""What a question shows: the server answers; there is no connection to it; no handshake of TLS; it
answers that it takes nothing; what answers is no Zabbix server; no answer comes in time;
zabbix_sender can't ask, as its settings or its files don't let it."""

KEY = "sockets.check"
"""The key that no template and no host has."""

_NO_HOST = "zabbix-sockets"
_AGAIN_SECONDS = 10
_GRACE = 0.4
"""Seconds that zabbix_sender may take beyond its own time, which it counts for each node."""
_TLS = "cannot establish TLS to "
_HANDSHAKE = re.compile(rf"{_TLS}|\bzbx_tls_connect\(\)")
_WAITED = re.compile(r"timed? ?out|timeout|did not end within|interrupted", re.IGNORECASE)
_NOT_OURS = re.compile(r"missing header|incorrect answer", re.IGNORECASE)
_NOT_CONNECTED = re.compile(r"unable to connect|cannot connect", re.IGNORECASE)
_RESPONSE = '"response"'


class Finding(NamedTuple):
    """What a question has shown.

    Attributes:
        kind: one of the above.
        reason: zabbix_sender's words for it; empty: there are none.
        again: the command that asks once more, and tells more; empty: nothing can be asked.
    """

    kind: str
    reason: str
    again: str


def question(
    service: PushService, program: str, destination: str, seconds: int
) -> Iterator[Finding]:
    """Ask *destination* with *program*, a zabbix_sender, as the service pushes.

    The last finding counts. The first, yielded before the question, is that no answer comes: so it
    is known how to ask again where the caller can't wait for the second, which takes at most
    *seconds* for each node of a cluster, and a bit. Who calls it should be the service's user, who
    may read what it reads.
    """
    try:
        target = Target(service.options, service.credentials)
        sender = target.sender._replace(program=program)
        again = _again(sender, destination, target.host)
        yield Finding(HANGS, f"{os.path.basename(program)} did not end", again)
        value = Value(target.host, KEY, int(time.time()), 0, "0")
        outcome = push(sender, destination, [value], seconds, _GRACE)
    except SocketsError as error:
        yield Finding(CANNOT, str(error), "")
        return
    yield Finding(*judged(outcome.error), again)


def judged(error: str) -> tuple[str, str]:
    """Return the kind of a finding, and its reason, by the *error* of a push; empty: none."""
    error = error.removeprefix("Warning: ").rstrip(". ")
    if not error:
        return ANSWERS, ""
    if _WAITED.search(error):
        return HANGS, error
    if _HANDSHAKE.search(error):
        reason = error.partition(_TLS)[2].partition("]: ")[2] or error
        return TLS, reason.rstrip("]. ")
    if _NOT_OURS.search(error):
        return (REJECTS if _RESPONSE in error else STRANGE), error
    return (NO_CONNECTION if _NOT_CONNECTED.search(error) else CANNOT), error


def _again(sender: Sender, destination: str, host: str) -> str:
    """Return the command that asks once more, with all that zabbix_sender has to say of it."""
    call = sender.call(destination, _AGAIN_SECONDS)
    return typed(*call, "-s", host or _NO_HOST, "-k", KEY, "-o", "0")
