"""The verb send: a document, or its figures, through zabbix_sender, once or at every interval."""

from functools import partial
from typing import NamedTuple

from zabbix_sockets.command.admitted import admission_of
from zabbix_sockets.command.call import Call, collected, with_filter
from zabbix_sockets.command.lock import Lock
from zabbix_sockets.command.options import Bounds, Collecting, Measuring
from zabbix_sockets.command.supervisor import GRACE, Answer, answer_within
from zabbix_sockets.document.document import Limits, document_json
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.sending import command
from zabbix_sockets.sending.options import Pushing

_PATIENCE = 30.0
"""Seconds that a single document to send waits for other calls of the same user; a service waits
half of its timeout, and tries again."""


class SendOptions(NamedTuple):
    """The options of `send`."""

    collecting: Collecting = Collecting()
    bounds: Bounds = Bounds()
    measuring: Measuring = Measuring()
    pushing: Pushing = Pushing()


def send(options: SendOptions, _call: Call) -> None:
    """Push the document, or its figures, through zabbix_sender, once or at every interval.

    Raises:
        SocketsError: the options are wrong, or nothing could be sent.
    """
    options = options._replace(collecting=with_filter(options.collecting))
    timeout = options.collecting.timeout
    command.send(options.pushing, timeout, partial(_document_to_send, options))


def _document_to_send(options: SendOptions) -> str:
    """Return the JSON of a new document.

    It is made in a child, so that a long-running service doesn't gather the garbage of hundreds.

    Raises:
        SocketsError: nothing can be collected as the options say, or another call of this user held
            the lock for too long.
    """
    timeout = options.collecting.timeout
    patience = timeout / 2 if options.pushing.how.interval else _PATIENCE
    with Lock() as lock, lock.held(Deadline(patience)):
        deadline = Deadline(timeout)

        def make() -> Answer:
            return Answer(_text(options, deadline))

        answer = answer_within(timeout + GRACE, make, close=lock.fd)
    return answer.text


def _text(options: SendOptions, deadline: Deadline) -> str:
    snapshot, grouping = collected(options.collecting, deadline, options.measuring, addresses=True)
    limits = Limits(max_bytes=options.bounds.max_bytes)
    admission = admission_of(snapshot, grouping, deadline)
    return document_json(snapshot, limits, grouping, admission).decode()
