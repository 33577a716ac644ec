"""Collection of single sockets, each with its owners and, on request, its tcp_info."""

from __future__ import annotations

from _collections_abc import Callable, Iterable, Iterator
from itertools import chain

from zabbix_sockets.collector.call_context import CallContext
from zabbix_sockets.collector.directions import Directions
from zabbix_sockets.collector.namespaces import (
    FoundNamespace,
    describe,
    device_names,
    find,
    select,
    with_own,
)
from zabbix_sockets.collector.places import Places
from zabbix_sockets.collector.sources import Plan, choose
from zabbix_sockets.collector.table_readers import (
    MatchingRows,
    Opened,
    RowWithMessage,
    rows_with_messages_of,
)
from zabbix_sockets.collector.visits import Visitor
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError, SourceUnavailableError
from zabbix_sockets.model.light_typing import Protocol
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import (
    ALL_NETNS,
    OWN,
    DeviceName,
    Namespace,
    PortRange,
    Query,
    Visibility,
)
from zabbix_sockets.model.socket import Owner, Socket, TcpInfo
from zabbix_sockets.model.wire import (
    INODE,
    LISTENING,
    OWN_NETNS,
    STATE,
    TABLES,
    SocketRow,
    Table,
    TcpState,
)
from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.proc.counters import read_port_range
from zabbix_sockets.readers.proc.descriptors import walk
from zabbix_sockets.readers.sock_diag.attributes import decode_drops
from zabbix_sockets.readers.sock_diag.tcp_info import (
    TcpInfoByInode,
    decode_details,
    decode_information,
)


class TableReader(Protocol):
    """A function that starts to read a table."""

    def __call__(
        self, plan: Plan, table: Table, deadline: Deadline, *, tcp_info: bool
    ) -> Opened[MatchingRows]:
        """Return the table's rows; with *tcp_info* their netlink messages have that.

        Raises:
            SourceUnavailableError: no reader can read the table.
            DeadlineError: the time is over.
            ParseError: the kernel's answer could not be understood.
        """


TellVisibility = Callable[[Visibility], None]
"""Is told, when all sockets have been read, from which source they are, and what that lacked."""


def iter_sockets(query: Query, tell: TellVisibility = lambda _: None) -> Iterator[Socket]:
    """Yield every socket that *query* asks for with its owners, table by table, listeners first.

    *tell* is called behind the last one: a table that changed while it was read is a warning there,
    and so is another reader that took the place of a better one.

    Raises:
        DeadlineError: the timeout passed, after which no socket comes any more.
        SourceUnavailableError: no source can be used, or not the one that the query names; or a
            namespace may not be looked into.
        ParseError: the kernel's answer could not be understood.
        SocketsError: there is no network namespace of the query's name; the filter needs a field
            that the source doesn't have, or names something that is not on this host; or a socket
            may match it or not, since its owners can't be seen.
        UsageError: the filter is wrong.
    """
    deadline = Deadline(query.timeout)
    places = CallContext(query.proc, deadline).once(Places)
    query = with_own(query, places.mounts)
    selection = None
    if query.filter:
        from zabbix_sockets.collector.filtered.selection import Selection  # noqa: PLC0415  # takes 2 ms

        selection = Selection(query, places.mounts)
    with choose(query, programs_of(query)) as plan:
        owners, tcp_info_by_inode = read_owners_of(plan, query, deadline)
        owners.excluded_pids = query.excluded_pids
        others, described = other_namespaces(query, places, deadline)
        shown = {number: each.shown for number, each in described.items()}
        if selection:
            selection.owners = owners
            selection.find_named_namespaces(described)
            others = {number: each for number, each in others.items() if selection.wants(number)}
        read = selection.read if selection else _read_all
        holders = Holders(owners)
        details = _Details(tcp_info_by_inode, tcp_info=query.tcp_info)
        names = device_names(places, others)
        decoding = _Decoding(holders, names, shown, details, read)
        ports = read_port_range(query.proc)
        if query.netns in (ALL_NETNS, OWN):
            yield from decoding.sockets(plan, OWN_NETNS, ports, deadline)
        visitor = Visitor(query.proc, plan.visibility, netlink=plan.has_netlink)
        for _, found in sorted(others.items()):
            yield from decoding.visited(visitor, found, ports, deadline)
        tell(plan.visibility)
    if selection:
        selection.check_devices()
        selection.check_decided()


def other_namespaces(
    query: Query, places: Places, deadline: Deadline
) -> tuple[dict[int, FoundNamespace], dict[int, Namespace]]:
    """Return the other namespaces to read, and the names of all others; both by number.

    Raises:
        SourceUnavailableError: there may be more, since a process could not be read.
    """
    if query.netns == OWN:
        return {}, {}
    try:
        others, _ = find(places.mounts, deadline, strict=True)
    except OSError as error:
        raise SourceUnavailableError(f"network namespaces: {error}") from error
    found = {each.number: each for each in others}
    described = {number: describe(places, each) for number, each in found.items()}
    if query.netns != ALL_NETNS:
        selected = select(described, query.netns)
        found = {number: each for number, each in found.items() if number in selected}
    return found, described


def _read_all(
    plan: Plan, table: Table, deadline: Deadline, *, tcp_info: bool
) -> Opened[MatchingRows]:
    opened = plan.open(rows_with_messages_of(table, deadline, tcp_info=tcp_info))
    batches: Iterator[MatchingRows] = (((), rows) for rows in opened.batches)
    return opened.with_batches(batches)


class Holders:
    """The owners of sockets by inode, as Owner tuples sorted by pid."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._known: dict[int, tuple[Owner, ...]] = {}

    def of(self, inode: int) -> tuple[Owner, ...]:
        """Return the owners of the socket *inode*; none if it has none that are seen."""
        number = self._owners.by_inode.get(inode, 0)
        if number not in self._known:
            processes = [self._owners.processes[at] for at in self._owners.members(number)]
            self._known[number] = tuple(sorted(Owner(each.pid, each.name) for each in processes))
        return self._known[number]


def read_owners_of(
    plan: Plan, query: Query, deadline: Deadline
) -> tuple[Owners, TcpInfoByInode | None]:
    """Return the owners, and by inode the tcp_info of sockets; None if netlink is to tell that.

    Both are read from the BPF iterators. Without iterators, or if they fail, the owners are read by
    a walk over /proc/PID/fd.
    """
    if plan.open_iterator:
        from zabbix_sockets.collector.iterator.record_owners import read_owners  # noqa: PLC0415  # takes 1 ms

        try:
            owners: Owners = read_owners(plan.open_iterator, query.proc, deadline)
            tcp_info_by_inode = (
                _read_tcp_info(plan.open_iterator, deadline) if query.tcp_info else {}
            )
        except SourceUnavailableError as error:
            plan.give_up_iterator(error)
        else:
            return owners, tcp_info_by_inode
    owners = walk(query.proc, deadline)
    deadline.check()
    return owners, None


def programs_of(query: Query) -> tuple[str, ...]:
    """Return the names of the BPF iterators that single sockets are read from."""
    owners, tcp_info = records.SOCKET_OWNERS, records.INFORM_SOCKETS
    return (owners, tcp_info) if query.tcp_info else (owners,)


def _read_tcp_info(open_iterator: records.Opener, deadline: Deadline) -> TcpInfoByInode:
    """Return the tcp_info of all sockets that have a descriptor, from the BPF iterator.

    Raises:
        DeadlineError: the time is over.
        SourceUnavailableError: the iterator failed.
    """
    size, unpack = records.INFORMATION.size, records.INFORMATION.iter_unpack
    try:
        chunks = records.read_chunks(open_iterator(records.INFORM_SOCKETS), size, deadline)
        return decode_information(chain.from_iterable(map(unpack, chunks)))
    except (OSError, ParseError) as error:
        raise SourceUnavailableError(f"the iterator failed: {error}") from error


class _Details:
    """The details of a socket that its row doesn't have: cookie, and tcp_info on request.

    *tcp_info_by_inode* is from the BPF iterator; None: netlink's messages have it.

    Attributes:
        needs_messages_with_tcp_info: it is requested, and netlink has to tell it.
    """

    def __init__(self, tcp_info_by_inode: TcpInfoByInode | None, *, tcp_info: bool) -> None:
        self._tcp_info_by_inode = tcp_info_by_inode
        self.needs_messages_with_tcp_info = tcp_info and tcp_info_by_inode is None

    def of(self, row: SocketRow, message: bytes) -> tuple[int | None, TcpInfo | None]:
        """Return cookie and tcp_info of a socket; each is None where it is not known.

        A listener has no tcp_info: the kernel puts other things into these fields.
        """
        cookie, info = decode_details(message) if message else (None, None)
        if row[STATE] == TcpState.LISTEN:
            return cookie, None
        if self._tcp_info_by_inode:
            known, info = self._tcp_info_by_inode.get(row[INODE], (0, None))
            if known and cookie and known != cookie:
                info = None  # the inode is another socket's by now
        return cookie, info


class _Decoding:
    """The Sockets of tables' rows, with owners, names of devices and details."""

    def __init__(
        self,
        holders: Holders,
        device_name: DeviceName,
        shown: dict[int, str],
        details: _Details,
        read: TableReader,
    ) -> None:
        self._details = details
        self._holders = holders
        self._device_name = device_name
        self._shown = shown
        self._read = read

    def visited(
        self, visitor: Visitor, found: FoundNamespace, own_ports: PortRange, deadline: Deadline
    ) -> list[Socket]:
        """Return the sockets of another namespace; see Visitor.visited()."""
        number = found.number
        return visitor.visited(
            found,
            self._shown[number],
            lambda plan, ports: list(self.sockets(plan, number, ports or own_ports, deadline)),
        )

    def sockets(
        self, plan: Plan, netns: int, ports: PortRange, deadline: Deadline
    ) -> Iterator[Socket]:
        """Yield the sockets of the namespace *netns*, which *plan* reads.

        *ports* are its ephemeral ones.
        """
        for each in TABLES:
            table = each._replace(netns=netns)
            tcp_info = self._details.needs_messages_with_tcp_info
            opened = self._read(plan, table, deadline, tcp_info=tcp_info)
            directions = Directions(opened.encoding, table.family, ports)
            rows = _without_repeats(opened.batches, directions)
            yield from self._decoded(table, opened, directions, rows)
            plan.is_exact(table)  # or there is a warning

    def _decoded(
        self,
        table: Table,
        opened: Opened[MatchingRows],
        directions: Directions,
        rows: Iterable[RowWithMessage],
    ) -> Iterator[Socket]:
        """Yield a table's sockets; its listeners come first."""
        address, port = opened.encoding.address, opened.encoding.port
        listening = LISTENING[table.protocol]
        for row, message in rows:
            state, lport, rport, laddr, raddr, ifindex, recv, send, uid, inode = row
            cookie, tcp_info = self._details.of(row, message)
            accepting = state == TcpState.LISTEN
            direction = server = None
            if state == listening:
                directions.add_listener(lport, laddr)
            else:
                direction, server = directions.of(lport, laddr, rport)
            yield Socket(
                protocol=table.protocol,
                family=table.family,
                netns=self._shown.get(table.netns, ""),
                state=state,
                direction=direction,
                local_address=address(laddr),
                local_port=port(lport),
                remote_address=address(raddr),
                remote_port=port(rport),
                device=self._device_name(table.netns, ifindex) if opened.is_netlink else None,
                owners=self._holders.of(inode) if inode else (),
                uid=uid,
                inode=inode,
                recv_queue=None if accepting else recv,
                send_queue=None if accepting else send,
                accept_queue=recv if accepting else None,
                backlog=send if accepting and send >= 0 else None,
                drops=_drops_of(row, message, opened),
                listener=None if server is None else address(server),
                cookie=cookie,
                tcp_info=tcp_info,
            )


def _drops_of(row: SocketRow, message: bytes, opened: Opened[MatchingRows]) -> int | None:
    """Return the packets dropped at a socket; None where its netlink message or procfs lacks it."""
    return decode_drops(message) if message else opened.drops.get(row[INODE])


def _without_repeats(
    batches: Iterable[MatchingRows], directions: Directions
) -> Iterator[RowWithMessage]:
    """Yield the rows, those with an inode once; add the other listeners to *directions*."""
    seen: set[int] = set()
    for listeners, rows in batches:
        for port, local in listeners:
            directions.add_listener(port, local)
        for row, message in rows:
            inode = row[INODE]
            if inode not in seen:
                yield row, message
            if inode:
                seen.add(inode)
