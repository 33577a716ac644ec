"""Collection of single unix sockets, each with its owners, its peer and the peer's owners."""

from __future__ import annotations

from _collections_abc import Callable, Iterator

from zabbix_sockets.collector.call_context import CallContext
from zabbix_sockets.collector.namespaces import FoundNamespace, with_own
from zabbix_sockets.collector.places import Places
from zabbix_sockets.collector.single import (
    Holders,
    TellVisibility,
    other_namespaces,
    programs_of,
    read_owners_of,
)
from zabbix_sockets.collector.sources import Plan, choose
from zabbix_sockets.collector.table_readers import unix_rows
from zabbix_sockets.collector.visits import Visitor
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.light_library import count_elements
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import ALL_NETNS, INBOUND, OUTBOUND, OWN, UNKNOWN, Query
from zabbix_sockets.model.socket import UnixEnd, UnixSocket
from zabbix_sockets.model.wire import LISTENING, OWN_NETNS, UNIX, UnixRow

_LISTEN = LISTENING[UNIX]

Matches = Callable[[UnixRow, int], bool]
"""Whether a row of the namespace with that number matches the filter."""


def iter_unix_sockets(query: Query, tell: TellVisibility = lambda _: None) -> Iterator[UnixSocket]:
    """Yield every unix socket that *query* asks for with its owners, listeners first.

    They are stream and seqpacket sockets that listen or are connected. *tell* is called as by
    iter_sockets().

    Raises:
        DeadlineError: the timeout passed, after which no socket comes any more.
        SourceUnavailableError: no source can be used, or not the one that the query names; or a
            namespace may not be looked into.
        ParseError: the kernel's answer could not be understood.
        SocketsError: there is no network namespace of the query's name; or a socket may match the
            filter or not, since its owners can't be seen.
        UsageError: the filter is wrong, or asks for what unix sockets don't have.
    """
    deadline = Deadline(query.timeout)
    places = CallContext(query.proc, deadline).once(Places)
    query = with_own(query, places.mounts)
    selection = None
    if query.filter:
        from zabbix_sockets.collector.filtered.unix_selection import UnixSelection  # noqa: PLC0415  # takes 2 ms

        selection = UnixSelection(query, places.mounts)
    with choose(query, programs_of(query)) as plan:
        owners, _ = read_owners_of(plan, query, deadline)
        owners.excluded_pids = query.excluded_pids
        others, described = other_namespaces(query, places, deadline)
        matches = selection.matcher(owners, described) if selection else None
        reading = _Reading(owners, matches, deadline)
        if query.netns in (ALL_NETNS, OWN):
            yield from reading.sockets(plan, OWN_NETNS, "")
        visitor = Visitor(query.proc, plan.visibility, netlink=plan.has_netlink)
        for number, found in sorted(others.items()):
            yield from reading.visited(visitor, found, described[number].shown)
        tell(plan.visibility)
    if selection:
        selection.check_decided()


class _Reading:
    """The reading of the unix sockets of namespaces.

    Args:
        owners: the owners of all sockets.
        matches: the test of the filter; None without one.
        deadline: the moment after which nothing is read.
    """

    def __init__(self, owners: Owners, matches: Matches | None, deadline: Deadline) -> None:
        self._holders = Holders(owners)
        self._matches = matches
        self._deadline = deadline

    def visited(self, visitor: Visitor, found: FoundNamespace, shown: str) -> list[UnixSocket]:
        """Return the sockets of another namespace, *shown* to people so; see Visitor.visited()."""
        return visitor.visited(
            found, shown, lambda plan, _: list(self.sockets(plan, found.number, shown))
        )

    def sockets(self, plan: Plan, netns: int, shown: str) -> Iterator[UnixSocket]:
        """Yield the sockets of the namespace *netns*, which *plan* reads."""
        opened = plan.open(unix_rows(self._deadline, with_peers=True))
        rows = [row for batch in opened.batches for row in batch]
        if not opened.is_netlink:
            rows = _with_accept_queues(rows)
        by_inode = {row[2]: row for row in rows if row[2]}
        listening = {row[3:5] for row in rows if row[1] == _LISTEN}
        for row in rows:
            if self._matches is None or self._matches(row, netns):
                yield self._socket(row, by_inode, listening, shown)

    def _socket(
        self,
        row: UnixRow,
        by_inode: dict[int, UnixRow],
        listening: set[tuple[bytes, bytes]],
        shown: str,
    ) -> UnixSocket:
        """Return a row as a UnixSocket; *listening* has the names of listeners."""
        sock_type, state, inode, name, _, peer_inode, receive, send, uid = row
        is_listener = state == _LISTEN
        peer = by_inode.get(peer_inode) if peer_inode else None
        direction: str | None = UNKNOWN
        if is_listener:
            direction = None
        elif row[3:5] in listening:
            direction = INBOUND
        elif peer and peer[3:5] in listening:
            direction = OUTBOUND
        queues = [each if each >= 0 else None for each in (receive, send)]
        return UnixSocket(
            shown,
            sock_type,
            state,
            name,
            direction,
            inode,
            self._holders.of(inode) if inode else (),
            UnixEnd(peer_inode, peer[3], self._holders.of(peer_inode)) if peer else None,
            uid if uid >= 0 else None,
            *((None, None, *queues) if is_listener else queues),
        )


def _with_accept_queues(rows: list[UnixRow]) -> list[UnixRow]:
    """Return rows of procfs, with the accept queue of each listener that alone has its name.

    It has as many connections as there are sockets without an inode that bear the name.
    """
    waiting: dict[bytes, int] = {}
    listening: dict[bytes, int] = {}
    count_elements(waiting, (row[3] for row in rows if not row[2]))
    count_elements(listening, (row[3] for row in rows if row[1] == _LISTEN))
    return [
        (*row[:6], waiting.get(row[3], 0), *row[7:])
        if row[1] == _LISTEN and listening[row[3]] == 1
        else row
        for row in rows
    ]
