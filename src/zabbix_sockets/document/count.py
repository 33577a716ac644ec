"""The number of sockets that the processes of one name hold, for the verb `count`."""

import os

from zabbix_sockets.document.completeness import why_unknown
from zabbix_sockets.document.processes import ProcessRow, process_rows
from zabbix_sockets.document.record import fields_of
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS, Grouping, Groups
from zabbix_sockets.model.errors import SocketsError, UsageError
from zabbix_sockets.model.gaps import DENIED
from zabbix_sockets.model.names import from_parameter
from zabbix_sockets.model.snapshot import Snapshot
from zabbix_sockets.model.wire import PROTOCOLS

_HINT = "zabbix-sockets show processes --keys prints a key for each process"


def check_arguments(process: str, protocol: str, state: str) -> None:
    """Check a name, a protocol and a state, of which the latter two may be empty.

    Raises:
        UsageError: the name is empty, there is no such protocol or no such state of it, or a state
            comes without a protocol.
    """
    if not process:
        raise UsageError("no process named", _HINT)
    if protocol not in ("", *PROTOCOLS):
        raise UsageError(f"no protocol {protocol!r}: it is one of {', '.join(PROTOCOLS)}")
    if state and not protocol:
        raise UsageError("a state needs a protocol")
    states = fields_of(ProcessRow)[protocol].parts if protocol else ()
    if state and state not in states:
        raise UsageError(f"no {protocol} state {state!r}: it is one of {', '.join(states)}")


def count(
    snapshot: Snapshot,
    process: str,
    protocol: str = "",
    state: str = "",
    grouping: Grouping = GROUPINGS[DEFAULT_GROUPING],
) -> int:
    """Return the number of sockets that the processes named *process* hold.

    *process* is a name as the document shows it, as as_parameter() spells it, or the raw one.
    *protocol* and *state* choose the sockets; empty: all. In state `syn_recv` are the connections
    being opened at its listeners, too, which no process holds yet.

    Raises:
        SocketsError: the number can't be known, such as if a process of that name is hidden.
    """
    listed = snapshot.listed()
    rows = {each.row.id: each.row for each in process_rows(listed, Groups(listed, grouping))}
    gaps = snapshot.visibility.gaps
    denied = {gap.where for gap in gaps if gap.kind == DENIED}
    name = from_parameter(os.fsencode(process), rows.keys() | denied)
    reason = why_unknown(gaps, grouping, name, protocol)
    if reason:
        raise SocketsError(reason)
    row = rows.get(name)
    if row is None:
        return 0
    states = {"tcp": row.tcp, "udp": row.udp}
    if state:
        return states[protocol].get(state, 0)
    udp = sum(row.udp.values())
    return {"tcp": row.sockets - udp, "udp": udp, "": row.sockets}[protocol]
