"""Gaps of a Snapshot: the things that could not be seen.

Code that passes something over adds a Gap to Visibility.gaps and decides nothing:
document.completeness says which lists are not complete because of it, which warnings are given, and
which numbers are not known.
"""

from zabbix_sockets.model.light_typing import NamedTuple
from zabbix_sockets.model.wire import OWN_NETNS

TABLE = "table"
"""Sockets of the own namespace: the tables of a protocol (*where*) were not read to their end, or
are approximate."""
UNIX = "unix sockets"
"""Unix sockets of any namespace, which were not read to their end."""
NAMESPACE = "namespace"
"""Sockets of another namespace (*netns*), which was not read to its end."""
NAMESPACES = "namespaces"
"""Whole namespaces: there may be some that were not found."""
NAMESPACE_NAMES = "names of namespaces"
"""Names of network namespaces: there may be some, but /proc hides the processes that tell them
(hidepid)."""

PLACES = "places"
"""Names of units, containers, users, namespaces and command lines: the deadline was before them."""
SHORTAGE = "shortage"
"""Names of units, containers, users, namespaces and command lines: no descriptor or memory was left
to read them."""
CONTAINER_NAMES = "names of containers"
"""Names of containers (*how_many*): the file that `zabbix-sockets names` keeps is older than these
containers."""

DENIED = "denied processes"
"""Processes named *where* (empty: not even that is known), which may not be inspected."""
HIDDEN = "hidden processes"
"""Other users' processes, which /proc doesn't list (hidepid)."""
UNASKED = "unasked processes"
"""Processes that were not asked for their sockets before the deadline."""
FOREIGN_OWNERS = "owners in other namespaces"
"""Owners are cgroups, and the sockets of a namespace were read without theirs."""
CGROUPS = "cgroups"
"""The cgroups of sockets, or of their owners."""
HIDDEN_NAMES = "hidden names"
"""Names of owners that are longer than comm: /proc hides the part behind that (hidepid)."""
HIDDEN_USERS = "hidden users"
"""Users of owners, which /proc hides (hidepid)."""
HIDDEN_COMMANDS = "hidden command lines"
"""Command lines of owners, which /proc hides (hidepid)."""
UNREAD_COMMANDS = "unread command lines"
"""Command lines of owners (*how_many*) that were not read: those of one user are too long
together."""
STUCK_COMMANDS = "stuck command lines"
"""Command lines of owners, none of which was read: whoever reads one of them waits for good."""

UNDECIDED = "undecided"
"""Sockets that may fit the filter or not: that depends on owners that were not seen."""
ENDPOINTS = "endpoints"
"""Remote endpoints beyond the bound: their connections are counted without them."""
DESCRIPTOR_LIMITS = "descriptor limits"
"""Limits of the owners' descriptors: the deadline was before them."""
CLIENTS = "clients"
"""Clients of listeners, which were asked for: they were not read to the end."""
ROWS = "rows"
"""Rows of a list (*where*) that are more than the document has room for."""

KINDS = (
    *(TABLE, UNIX, NAMESPACE, NAMESPACES, NAMESPACE_NAMES, PLACES, SHORTAGE, CONTAINER_NAMES),
    *(DENIED, HIDDEN, UNASKED, FOREIGN_OWNERS, CGROUPS),
    *(HIDDEN_NAMES, HIDDEN_USERS, HIDDEN_COMMANDS, UNREAD_COMMANDS, STUCK_COMMANDS),
    *(UNDECIDED, ENDPOINTS, DESCRIPTOR_LIMITS, CLIENTS, ROWS),
)
UNREAD = (TABLE, NAMESPACE, NAMESPACES)
"""The kinds of gaps in which there may be sockets that were not read."""


class Gap(NamedTuple):
    """Something that could not be seen.

    Attributes:
        kind: one of KINDS.
        where: a protocol, a list or the name of a process, for the kinds that say so; else empty.
        how_many: the number of such things; 1 if it isn't known.
        netns: the number of a network namespace, for the kinds that say so.
    """

    kind: str
    where: str = ""
    how_many: int = 1
    netns: int = OWN_NETNS
