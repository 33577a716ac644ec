"""Every single socket with its owners, for people."""

from collections.abc import Callable, Iterator
from functools import cache

from zabbix_sockets.collector.plan import choose
from zabbix_sockets.deadline import Deadline
from zabbix_sockets.fold import Directions
from zabbix_sockets.model import (
    INBOUND,
    TABLES,
    Encoding,
    Owner,
    PortRange,
    Query,
    Row,
    Socket,
    Table,
    TcpState,
)
from zabbix_sockets.owners import Owners
from zabbix_sockets.readers.bpf import OWN
from zabbix_sockets.readers.fds import walk
from zabbix_sockets.readers.host import read_device_name, read_port_range


def iter_sockets(query: Query) -> Iterator[Socket]:
    """Yield every socket with its owners, table by table, listeners first.

    Raises:
        DeadlineError: the timeout passed: a list is whole, or an error.
        DumpInterruptedError: a table changed too much while it was read; call again.
        SourceUnavailableError, ParseError: as collect().
    """
    deadline = Deadline(query.timeout)
    with choose(query) as plan:
        if plan.open_iterator:
            from zabbix_sockets.collector.iterated import read_owners  # noqa: PLC0415  # 1 ms

            owners = read_owners(plan.open_iterator(OWN), query.proc, deadline)
        else:
            owners = walk(query.proc, deadline)
            deadline.check()
        holders = _Holders(owners)
        ports = read_port_range(query.proc)
        device_name = cache(read_device_name)
        for table in TABLES:
            encoding, batches = plan.open(table, deadline)
            decoder = _SocketDecoder(table, encoding, ports, holders, device_name)
            seen: set[int] = set()
            for rows in batches:
                for row in rows:
                    inode = row[9]
                    if inode not in seen:
                        yield decoder.decode(row)
                    if inode:
                        seen.add(inode)


class _Holders:
    """The owners of an inode, as people read them."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._known: dict[int, tuple[Owner, ...]] = {}

    def of(self, inode: int) -> tuple[Owner, ...]:
        number = self._owners.by_inode.get(inode, 0)
        if number not in self._known:
            processes = [self._owners.processes[at] for at in self._owners.members(number)]
            self._known[number] = tuple(sorted(Owner(each.pid, each.name) for each in processes))
        return self._known[number]


class _SocketDecoder:
    """Makes a Socket of a row; the table's listeners must come first."""

    def __init__(
        self,
        table: Table,
        encoding: Encoding,
        ports: PortRange,
        holders: _Holders,
        device_name: Callable[[int], str],
    ) -> None:
        self._table = table
        self._encoding = encoding
        self._directions = Directions(table, encoding, ports)
        self._holders = holders
        self._device_name = device_name
        self._listening = TcpState.LISTEN if table.protocol == "tcp" else TcpState.CLOSE

    def decode(self, row: Row) -> Socket:
        state, lport, rport, laddr, raddr, ifindex, recv, send, uid, inode = row
        address, port = self._encoding.address, self._encoding.port
        accepting = state == TcpState.LISTEN
        return Socket(
            *self._table,
            state=state,
            direction=self._direction(row),
            local_address=address(laddr),
            local_port=port(lport),
            remote_address=address(raddr),
            remote_port=port(rport),
            device=self._device_name(ifindex),
            owners=self._holders.of(inode) if inode else (),
            uid=uid,
            inode=inode,
            recv_queue=None if accepting else recv,
            send_queue=None if accepting else send,
            accept_queue=recv if accepting else None,
            backlog=send if accepting and send >= 0 else None,
        )

    def _direction(self, row: Row) -> str | None:
        state, local_port, remote_port, local_address = row[:4]
        if state == self._listening:
            self._directions.add_listener(local_port, local_address)
            return None
        if self._directions.server(local_port, local_address) is not None:
            return INBOUND
        return self._directions.unmatched(local_port, remote_port)
