"""Readers that yield what a test tells them to."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Union

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.wire import Drops, SocketRow, Table, UnixRow
from zabbix_sockets.readers.sock_diag.attributes import TcpInfoFigures
from zabbix_sockets.readers.sock_diag.messages import CgroupObserver, MeasuredBatch

AF_INET, AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)
TCP, UDP = Table("tcp", AF_INET), Table("udp", AF_INET)

Step = Union[Iterable[SocketRow], Exception]
"""A batch to yield, or an error to raise in its place."""


def row(inode: int, state: int = 1, port: int = 40000, remote: int = 5432) -> SocketRow:
    """Return a row in netlink's encoding, told by its inode."""
    local = socket.inet_aton("127.0.0.1")
    return (state, socket.htons(port), socket.htons(remote), local, local, 0, 0, 0, 0, inode)


class FakeTables:
    """In the place of NetlinkTables: each read of a table takes its next script.

    The last script of a table stays; a table without one is empty.
    """

    name = "sock_diag"

    def __init__(self, scripts: dict[Table, list[list[Step]]] | None = None) -> None:
        self.closed = 0
        self.reads: list[tuple[Table, Deadline]] = []
        self.states: list[int] = []  # the masks of read_both()
        self.drops: Drops = {}  # told whatever is read
        self.figures: dict[int, TcpInfoFigures] = {}  # by inode
        self.asked_for_tcp_info = False
        self.unix: list[list[UnixRow] | Exception] = []
        self._scripts = scripts or {}

    def read(
        self,
        table: Table,
        deadline: Deadline,
        drops: Drops,
        _states: int | None = None,
        observer: CgroupObserver | None = None,
    ) -> Iterator[Iterable[SocketRow]]:
        """Start the table's next script; *observer* sees cgroups: 100 times the sockets' inodes."""
        self.reads.append((table, deadline))
        drops.update(self.drops)
        scripts = self._scripts.get(table, [[]])
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        batches = self._batches(script)
        if observer:
            return (observer([(row[9] * 100, row) for row in rows]) for rows in batches)
        return batches

    def read_both(
        self, deadline: Deadline, states: int, drops: Drops
    ) -> Iterator[tuple[int, Iterable[SocketRow]]]:
        """Start the next scripts of both TCP tables, without the rows in other *states*."""
        self.states.append(states)
        for table in (TCP, TCP._replace(family=AF_INET6)):
            for rows in self.read(table, deadline, drops):
                yield table.family, [each for each in rows if states >> each[0] & 1]

    def read_with_messages(
        self, table: Table, deadline: Deadline, *, tcp_info: bool
    ) -> Iterator[list[tuple[SocketRow, bytes]]]:
        """Start the table's next script; no row has a message to look at."""
        self.asked_for_tcp_info |= tcp_info
        return ([(row, b"") for row in rows] for rows in self.read(table, deadline, {}))

    def read_measured(
        self,
        table: Table,
        deadline: Deadline,
        drops: Drops,
        _states: int | None = None,
        observer: CgroupObserver | None = None,
    ) -> Iterator[MeasuredBatch]:
        """Start the table's next script, with the figures of *figures*."""
        self.asked_for_tcp_info = True
        return self._measured(self.read(table, deadline, drops, None, observer))

    def _measured(self, batches: Iterator[Iterable[SocketRow]]) -> Iterator[MeasuredBatch]:
        for batch in batches:
            rows = list(batch)
            yield rows, [self.figures.get(row[9], ()) for row in rows]

    def read_unix(self, _deadline: Deadline, *, with_peers: bool) -> Iterator[list[UnixRow]]:
        """Yield the batches of *unix*, or raise what is there in the place of one."""
        del with_peers  # they are there, or not
        for batch in self.unix:
            if isinstance(batch, Exception):
                raise batch
            yield batch

    def close(self) -> None:
        """Count."""
        self.closed += 1

    @staticmethod
    def _batches(script: list[Step]) -> Iterator[Iterable[SocketRow]]:
        for step in script:
            if isinstance(step, Exception):
                raise step
            yield step


def maker(tables: FakeTables | Exception) -> Callable[..., FakeTables]:
    """Return what makes *tables*, or raises it."""

    def make(*, stays: bool = True) -> FakeTables:
        del stays  # it has no socket to make anew
        if isinstance(tables, Exception):
            raise tables
        return tables

    return make


class Looks(Deadline):
    """A deadline that passes when it has been looked at so many times."""

    def __init__(self, looks: int) -> None:
        super().__init__(600)
        self.left = looks

    def passed(self) -> bool:
        """Count down."""
        self.left -= 1
        return self.left < 0
