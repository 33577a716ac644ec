"""The read that an agent's call begins before it knows what else it is asked.

The kernel's iteration over all sockets takes a call longest. It is the same for nearly all
questions, so it begins as soon as the process has begun, and the parser and all that makes
documents are imported meanwhile. What is read is dropped if the options need something else.
"""

from __future__ import annotations

import os
from _collections_abc import Sequence

from zabbix_sockets.collector.record_reader import RecordReader
from zabbix_sockets.command.agent_call import last_value
from zabbix_sockets.command.lock import Lock
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError, SourceUnavailableError
from zabbix_sockets.model.paths import CONFIG, PINS
from zabbix_sockets.readers.bpf import records

_FILTERING = ("--config", "--filter")
"""The options that may bring a filter: then the tables are read, and not the iterator."""


def begin_to_read(arguments: Sequence[str], deadline: Deadline, lock: Lock) -> RecordReader | None:
    """Begin to read the pinned iterator for an agent's call with these *arguments*.

    None: the lock is not free, or nothing is pinned that the caller may read, or the call may need
    another source; then the plan begins later, or says why not. The arguments are not checked.
    """
    if (
        last_value(arguments, "--source") not in (None, "bpf")
        or any(last_value(arguments, option) is not None for option in _FILTERING)
        or os.path.exists(CONFIG)
        or not lock.take_if_free()
    ):
        return None
    folder = last_value(arguments, "--pins") or PINS
    try:
        return RecordReader(records.open_pinned(folder), "/proc", deadline)
    except (OSError, ParseError, SourceUnavailableError):
        return None  # the plan finds out why
