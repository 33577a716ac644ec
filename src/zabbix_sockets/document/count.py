"""One number for one process: `count`, and why it can't be said."""

import os

from zabbix_sockets.document.processes import ProcessRow, process_rows
from zabbix_sockets.document.record import fields_of
from zabbix_sockets.grouping.grouping import (
    DEFAULT_GROUPING,
    GROUPINGS,
    Grouping,
    Groups,
    hidden_facts,
)
from zabbix_sockets.model.errors import SocketsError, UsageError
from zabbix_sockets.model.names import from_parameter
from zabbix_sockets.model.snapshot import Snapshot
from zabbix_sockets.model.wire import PROTOCOLS

_HINT = "zabbix-sockets show processes --keys prints a key for each process"


def check_arguments(process: str, protocol: str, state: str) -> None:
    """Raise UsageError for what no process can have."""
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
    """Count the sockets that the processes named *process* hold, or those in a *state*.

    *process* is a name as the document shows it, as as_parameter() spells it, or the raw one. In
    state `syn_recv` there are the connections being opened at its listeners, too, which no process
    holds yet.

    Raises:
        SocketsError: it can't be known: a process of that name is hidden, or time ran out.
    """
    listed = snapshot.listed()
    rows = {each.row.id: each.row for each in process_rows(listed, Groups(listed, grouping))}
    name = from_parameter(os.fsencode(process), rows.keys() | snapshot.visibility.denied.keys())
    hidden = hidden_facts(snapshot.visibility, grouping)
    if hidden:
        raise SocketsError(f"/proc hides {hidden[0]} of some processes: the number can't be known")
    _check_known(snapshot, name, protocol, plain=grouping is GROUPINGS[DEFAULT_GROUPING])
    row = rows.get(name)
    if row is None:
        return 0
    states = {"tcp": row.tcp, "udp": row.udp}
    if state:
        return states[protocol].get(state, 0)
    udp = sum(row.udp.values())
    return {"tcp": row.sockets - udp, "udp": udp, "": row.sockets}[protocol]


def _check_known(snapshot: Snapshot, name: str, protocol: str, *, plain: bool) -> None:
    """Raise SocketsError where sockets may be missing; *plain*: groups are process names."""
    visibility = snapshot.visibility
    denied = visibility.denied.get(name, 0) if plain else sum(visibility.denied.values())
    if denied:
        named = f" named {name}" if plain else ""
        raise SocketsError(f"{denied} processes{named} can't be inspected: no privilege")
    if visibility.foreign_unowned:
        raise SocketsError("owners in other network namespaces can't be known: no privilege")
    if visibility.unplaced and not plain:
        raise SocketsError("the cgroups of some owners are not known")
    if visibility.undecided:
        raise SocketsError("filter: some sockets may fit or not: their processes can't be seen")
    if visibility.hidden or "" in visibility.denied:
        raise SocketsError("/proc hides other users' processes: the number can't be known")
    unfinished = snapshot.unfinished & ({protocol} if protocol else set(PROTOCOLS))
    if unfinished or snapshot.skipped or visibility.foreign_unseen:
        raise SocketsError("not every socket was read: the number can't be known")
    if visibility.short:
        raise SocketsError("no descriptor or memory was left: the number can't be known")
    if not (visibility.owners_complete and (plain or visibility.places_complete)):
        raise SocketsError("timed out: the number can't be known")
