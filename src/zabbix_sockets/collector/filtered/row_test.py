"""The test whether a row matches a filter, and the dump of a table by netlink with that test."""

from __future__ import annotations

from _collections_abc import Callable, Iterable, Iterator

from zabbix_sockets.collector.table_readers import ListenerAddress, MatchingRows, RowWithMessage
from zabbix_sockets.filters.evaluate import RowContext, Test, compile_test
from zabbix_sockets.filters.kernel import Dump, weakened
from zabbix_sockets.filters.terms import Node, kinds, rewrite
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.light_typing import NamedTuple
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.wire import LISTENING_MASK, SocketRow, Table, TcpState
from zabbix_sockets.readers.sock_diag.attributes import decode_cgroup_and_mark
from zabbix_sockets.readers.sock_diag.messages import CgroupObserver
from zabbix_sockets.readers.sock_diag.tables import NetlinkTables

OWNER_KINDS = frozenset(("process", "pid"))

_FACT_KINDS = frozenset(("fwmark", "cgroup"))
_FULL_STATES = (TcpState.ESTABLISHED, TcpState.LISTEN)


class RowTest:
    """The test whether rows match an expression.

    Args:
        node: the expression, with names looked up.
        context: the table's encoding and family, and the owners.
        owners: the owners of sockets, as far as they could be seen.
        note_undecided: called for each row that may match or not, since that depends on an owner,
            or an owner's name, that could not be seen.

    Attributes:
        needs_cgroup_or_mark: the expression needs a socket's cgroup or mark.
    """

    def __init__(
        self, node: Node, context: RowContext, owners: Owners, note_undecided: Callable[[], None]
    ) -> None:
        self._holds = compile_test(node, context)
        self.needs_cgroup_or_mark = bool(kinds(node) & _FACT_KINDS)
        self._needs_cgroup = "cgroup" in kinds(node)
        self._owned = owners.by_inode
        self._note_undecided = note_undecided
        self._tests: tuple[Test, Test] | None = None
        self._is_uncertain: Callable[[int], bool] = lambda _inode: False
        unseen = owners.denied or owners.hidden or not owners.complete
        if owners.uncertain and "process" in kinds(node):
            unseen = True
            pids = {owners.processes[index].pid for index in owners.uncertain}
            self._is_uncertain = context.owners.matching(lambda process: process.pid in pids)
        if unseen and kinds(node) & OWNER_KINDS:
            negated = rewrite(node, positive=False)
            may, may_not = (weakened(each, OWNER_KINDS) for each in (node, negated))
            self._tests = compile_test(may, context), compile_test(may_not, context)

    def holds(self, row: SocketRow, cgroup: int = 0, mark: int = 0) -> bool:
        """Whether a row matches, with its *cgroup* and *mark* (0: not known).

        Raises:
            SocketsError: the expression needs the cgroup, and the kernel doesn't tell it.
        """
        if self._tests and row[9] and (row[9] not in self._owned or self._is_uncertain(row[9])):
            may, may_not = self._tests
            if may(row, cgroup, mark) and may_not(row, cgroup, mark):
                self._note_undecided()
        if self._needs_cgroup and not cgroup and row[0] in _FULL_STATES:
            raise SocketsError("filter: this kernel tells no socket's cgroup: that takes 5.8")
        return self._holds(row, cgroup, mark)


class Dumping(NamedTuple):
    """The dump of one table by netlink.

    Attributes:
        netlink: the reader.
        table: the table.
        deadline: the moment at which reading ends with a DeadlineError.
        observer: called with the cgroups of the sockets that match; None: nobody needs them.
        tcp_info: the kernel puts tcp_info into the messages.
    """

    netlink: NetlinkTables
    table: Table
    deadline: Deadline
    observer: CgroupObserver | None
    tcp_info: bool

    def listeners(self, states: int) -> Iterator[MatchingRows]:
        """Yield the sockets in the mask *states* as listeners, and none as a matching row."""
        for rows in self.netlink.select(self.table, self.deadline, states, b""):
            yield [(row[1], row[3]) for row, _ in rows], ()

    def batches(self, dump: Dump, test: RowTest | None) -> Iterator[MatchingRows]:
        """Yield the rows that the kernel's program of *dump* and *test* (None: all) let through."""
        listening = 0 if dump.program else LISTENING_MASK[self.table.protocol]
        for rows in self.netlink.select(
            self.table, self.deadline, dump.states, dump.program, tcp_info=self.tcp_info
        ):
            listeners, matching = select_matching(rows, listening, test)
            yield listeners, self._observed(matching) if self.observer else matching

    def _observed(self, rows: list[RowWithMessage]) -> Iterable[RowWithMessage]:
        assert self.observer
        cgroups = ((decode_cgroup_and_mark(message)[0], row) for row, message in rows)
        return zip(self.observer(cgroups), (message for _, message in rows))


def select_matching(
    rows: list[RowWithMessage], listening: int, test: RowTest | None
) -> tuple[list[ListenerAddress], list[RowWithMessage]]:
    """Return the listeners among the rows, and the rows that match.

    *listening* is the mask of the states of listeners; 0: none are returned. *test* None: all
    match.
    """
    listeners = _listeners((row for row, _ in rows), listening)
    if test is None:
        return listeners, rows
    if test.needs_cgroup_or_mark:
        return listeners, [
            each for each in rows if test.holds(each[0], *decode_cgroup_and_mark(each[1]))
        ]
    return listeners, [each for each in rows if test.holds(each[0])]


def _listeners(rows: Iterable[SocketRow], listening: int) -> list[ListenerAddress]:
    return [(row[1], row[3]) for row in rows if listening >> row[0] & 1] if listening else []
