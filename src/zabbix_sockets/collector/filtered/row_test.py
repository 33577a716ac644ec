"""How a table's rows come, and which of them fit: a test of rows, a dump of netlink's."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from zabbix_sockets.collector.sources import ChosenRows, ListeningEnd, Whole
from zabbix_sockets.filters.evaluate import RowContext, Test, compile_test
from zabbix_sockets.filters.kernel import Dump, weakened
from zabbix_sockets.filters.terms import Node, kinds, rewrite
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.wire import LISTENING_MASK, Row, Table, TcpState
from zabbix_sockets.readers.sock_diag.attributes import decode_cgroup_and_mark
from zabbix_sockets.readers.sock_diag.messages import CgroupObserver
from zabbix_sockets.readers.sock_diag.tables import NetlinkTables

OWNER_KINDS = frozenset(("process", "pid"))

_FACT_KINDS = frozenset(("fwmark", "cgroup"))
_FULL_STATES = (TcpState.ESTABLISHED, TcpState.LISTEN)


class RowTest:
    """Decides row by row whether an expression holds.

    *note* is called for each row that fits or not because of owners that can't be seen, or
    whose names can't.
    """

    def __init__(
        self, node: Node, reading: RowContext, owners: Owners, note: Callable[[], None]
    ) -> None:
        self._holds = compile_test(node, reading)
        self.needs_facts = bool(kinds(node) & _FACT_KINDS)
        self._needs_cgroup = "cgroup" in kinds(node)
        self._owned = owners.by_inode
        self._note = note
        self._tests: tuple[Test, Test] | None = None
        self._is_uncertain: Callable[[int], bool] = lambda _inode: False
        unseen = owners.denied or owners.hidden or not owners.complete
        if owners.uncertain and "process" in kinds(node):
            unseen = True
            pids = {owners.processes[index].pid for index in owners.uncertain}
            self._is_uncertain = reading.owners.matching(lambda process: process.pid in pids)
        if unseen and kinds(node) & OWNER_KINDS:
            negated = rewrite(node, positive=False)
            may, may_not = (weakened(each, OWNER_KINDS) for each in (node, negated))
            self._tests = compile_test(may, reading), compile_test(may_not, reading)

    def holds(self, row: Row, cgroup: int = 0, mark: int = 0) -> bool:
        """Whether a row fits; note it if that depends on owners that can't be seen."""
        if self._tests and row[9] and (row[9] not in self._owned or self._is_uncertain(row[9])):
            may, may_not = self._tests
            if may(row, cgroup, mark) and may_not(row, cgroup, mark):
                self._note()
        if self._needs_cgroup and not cgroup and row[0] in _FULL_STATES:
            raise SocketsError("filter: this kernel tells no socket's cgroup: that takes 5.8")
        return self._holds(row, cgroup, mark)


class Dumping(NamedTuple):
    """How one table is dumped by netlink."""

    netlink: NetlinkTables
    table: Table
    deadline: Deadline
    observer: CgroupObserver | None
    tcp_info: bool

    def listeners(self, states: int) -> Iterator[ChosenRows]:
        """Yield all in *states* for the directions of others, and none as a row."""
        for wholes in self.netlink.select(self.table, self.deadline, states, b""):
            yield [(row[1], row[3]) for row, _ in wholes], ()

    def batches(self, dump: Dump, test: RowTest | None) -> Iterator[ChosenRows]:
        """Yield the rows that the kernel and *test* let through."""
        listening = 0 if dump.program else LISTENING_MASK[self.table.protocol]
        for wholes in self.netlink.select(
            self.table, self.deadline, dump.states, dump.program, tcp_info=self.tcp_info
        ):
            ends, fitting = chosen(wholes, listening, test)
            yield ends, self._observed(fitting) if self.observer else fitting

    def _observed(self, wholes: list[Whole]) -> Iterable[Whole]:
        assert self.observer
        cgroups = ((decode_cgroup_and_mark(message)[0], row) for row, message in wholes)
        return zip(self.observer(cgroups), (message for _, message in wholes), strict=True)


def chosen(
    wholes: list[Whole], listening: int, test: RowTest | None
) -> tuple[list[ListeningEnd], list[Whole]]:
    """Return the listeners among the rows (*listening* is a mask), and the rows that fit."""
    ends = _ends((row for row, _ in wholes), listening)
    if test is None:
        return ends, wholes
    if test.needs_facts:
        return ends, [
            each for each in wholes if test.holds(each[0], *decode_cgroup_and_mark(each[1]))
        ]
    return ends, [each for each in wholes if test.holds(each[0])]


def _ends(rows: Iterable[Row], listening: int) -> list[ListeningEnd]:
    return [(row[1], row[3]) for row in rows if listening >> row[0] & 1] if listening else []
