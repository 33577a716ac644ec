"""The number of sockets that the processes of one name hold, for the verb `count`."""

import os

from zabbix_sockets.document.completeness import why_unknown
from zabbix_sockets.document.processes import ProcessRow, process_rows, unix_sockets
from zabbix_sockets.document.record import fields_of
from zabbix_sockets.document.row import netns_labels
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS, Grouping, Groups
from zabbix_sockets.model import gaps
from zabbix_sockets.model.errors import SocketsError, UsageError
from zabbix_sockets.model.names import from_parameter
from zabbix_sockets.model.snapshot import BY_CGROUPS, Snapshot
from zabbix_sockets.model.wire import PROTOCOLS, UNIX

_HINT = "zabbix-sockets show processes --keys prints a key for each process"


def check_arguments(process: str, protocol: str, state: str) -> None:
    """Check a name, a protocol and a state, of which the latter two may be empty.

    Raises:
        UsageError: the name is empty, there is no such protocol or no such state of it, or a state
            comes without a protocol.
    """
    if not process:
        raise UsageError("no process named", _HINT)
    known = (*PROTOCOLS, UNIX)
    if protocol not in ("", *known):
        raise UsageError(f"no protocol {protocol!r}: it is one of {', '.join(known)}")
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
    *protocol* and *state* choose the sockets; empty: all of TCP and UDP, or all states. In state
    `syn_recv` are the connections being opened at its listeners, too, which no process holds yet.

    Raises:
        SocketsError: the number can't be known, such as if a process of that name is hidden, or of
            unix sockets with a filter.
    """
    listed = snapshot.listed()
    groups, label = Groups(listed, grouping), netns_labels(snapshot, for_people=False)
    rows = {each.row.id: each.row for each in process_rows(listed, groups, label)}
    found = snapshot.visibility.gaps
    denied = {gap.where for gap in found if gap.kind == gaps.DENIED}
    unix = unix_sockets(listed, groups) or {}
    name = from_parameter(os.fsencode(process), rows.keys() | unix.keys() | denied)
    reason = why_unknown(found, grouping, name, protocol)
    if reason:
        raise SocketsError(reason)
    if protocol == UNIX:
        _check_unix(snapshot)
        counts = unix.get(name, {})
        return counts.get(state, 0) if state else sum(counts.values())
    row = rows.get(name)
    if row is None:
        return 0
    states = {"tcp": row.tcp, "udp": row.udp}
    if state:
        return states[protocol].get(state, 0)
    udp = sum(row.udp.values())
    return {"tcp": row.sockets - udp, "udp": udp, "": row.sockets}[protocol]


def _check_unix(snapshot: Snapshot) -> None:
    """Check that the unix sockets of groups can be known.

    Raises:
        SocketsError: they can't.
    """
    if snapshot.unix is None:
        raise SocketsError("a filter decides of TCP and UDP sockets alone, not of unix sockets")
    if snapshot.visibility.ownership == BY_CGROUPS:
        raise SocketsError("the kernel tells no unix socket's cgroup: no privilege")
