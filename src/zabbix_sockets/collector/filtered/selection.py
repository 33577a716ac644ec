"""The selection of sockets by a filter: the kernel decides what it can, a test of rows the rest.

docs/filters.md says which fields each source lacks.
"""

from __future__ import annotations

from _collections_abc import Iterator, Mapping

from zabbix_sockets.collector.filtered.lookups import cgroup_id, device_index, uid_of
from zabbix_sockets.collector.filtered.row_test import (
    OWNER_KINDS,
    Dumping,
    RowTest,
    select_matching,
)
from zabbix_sockets.collector.namespaces import is_own, select
from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.collector.table_readers import MatchingRows, Opened, TableRequest, fetch_first
from zabbix_sockets.filters.evaluate import OwnerMatcher, RowContext
from zabbix_sockets.filters.faults import fault
from zabbix_sockets.filters.kernel import Dump, by_state, dump_for, in_table
from zabbix_sockets.filters.parser import parse
from zabbix_sockets.filters.terms import (
    FALSE,
    CgroupCondition,
    Constant,
    DeviceCondition,
    Leaf,
    NameCondition,
    Node,
    UserCondition,
    kinds,
    leaves,
    rewrite,
)
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SocketsError, SourceUnavailableError
from zabbix_sockets.model.light_library import partial
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import ALL_NETNS, OWN, Namespace, Query
from zabbix_sockets.model.wire import LISTENING_MASK, OWN_NETNS, Drops, Table
from zabbix_sockets.readers.proc.mounts import Mounts
from zabbix_sockets.readers.proc.net_tables import ENCODING as PROCNET_ENCODING
from zabbix_sockets.readers.proc.net_tables import ProcTables
from zabbix_sockets.readers.proc.process import CAP_NET_ADMIN, read_capabilities
from zabbix_sockets.readers.sock_diag.messages import ENCODING, CgroupObserver
from zabbix_sockets.readers.sock_diag.tables import STATES

_NETLINK_KINDS = {"dev": "device", "fwmark": "mark", "cgroup": "cgroup"}


class Selection:
    """The filter of a query, with its names looked up on this host.

    Attributes:
        kinds: the kinds of its conditions (filters.terms.kinds).
        needs_owners: the filter asks for processes.
        owners: the owners of sockets as far as they are known, to be set before anything is read.
        undecided: the number of sockets that may match or not, since their owners could not be
            seen.

    Raises:
        UsageError: the expression is wrong, or names a user, a cgroup or (with the own namespace
            alone) a device that this host doesn't have.
        SocketsError: it needs CAP_NET_ADMIN, which the caller lacks.
    """

    def __init__(self, query: Query, mounts: Mounts) -> None:
        self._mounts = mounts
        self._text = expression = parse(query.filter)
        self.kinds = found = expression.kinds
        self._netns = query.netns
        self._node = rewrite(expression.node, self._looked_up)
        self._named_namespaces: dict[str, frozenset[int]] = {}  # numbers of other ones by name
        self._devices: dict[str, bool] = {}  # whether there is one, of those looked for
        self.undecided = 0
        self.owners = Owners()
        self.needs_owners = bool(found & OWNER_KINDS)
        if "fwmark" in found and not read_capabilities(query.proc) >> CAP_NET_ADMIN & 1:
            raise _no_marks()

    def _looked_up(self, leaf: Leaf, _wanted: bool) -> Node:
        """Return the condition *leaf* with its user, cgroup or device looked up.

        These mean the same in all network namespaces; other conditions are returned as they are.
        """
        if not isinstance(leaf, NameCondition):
            return leaf
        if leaf.what == "user":
            return UserCondition(
                self._found(leaf, uid_of(leaf.name), "no such user in /etc/passwd")
            )
        if leaf.what == "cgroup":
            number = cgroup_id(self._mounts, leaf.name)
            return CgroupCondition(self._found(leaf, number, "there is no such cgroup (v2)"))
        if leaf.what == "dev" and self._netns == OWN:
            self._found(leaf, device_index(leaf.name), "there is no such network device")
        return leaf

    def _found(self, leaf: NameCondition, number: int | None, otherwise: str) -> int:
        if number is None:
            raise fault(self._text, leaf.at, leaf.end, otherwise)
        return number

    def find_named_namespaces(
        self, namespaces: Mapping[int, Namespace], *, complete: bool = True
    ) -> None:
        """Look for the filter's names of network namespaces among *namespaces*.

        These are the other ones that were found, by their numbers; unless they are *complete*, a
        name may be none of theirs. Nothing is looked for if the own namespace alone is read, where
        the name of another one matches no socket.

        Raises:
            SocketsError: one of the names is not there.
        """
        if self._netns == OWN:
            return
        for leaf in leaves(self._node):
            if (
                isinstance(leaf, NameCondition)
                and leaf.what == "netns"
                and not self._is_own(leaf.name)
            ):
                try:
                    self._named_namespaces[leaf.name] = select(
                        namespaces, leaf.name, complete=complete
                    )
                except SocketsError as error:
                    what = "no network namespace of this name can be seen"
                    raise self._absent(leaf, what, error.hint) from None

    def look_for_devices(self, netns: int) -> None:
        """Look for the filter's devices in *netns*, the namespace that this thread is in."""
        rewrite(self.reduced(netns), partial(self._with_devices, netns))

    def check_devices(self) -> None:
        """Check that each device of the filter was found; to be called when all has been read.

        Raises:
            SocketsError: a device is in none of the namespaces that were read.
        """
        nowhere = {name for name, found in self._devices.items() if not found}
        for leaf in leaves(self._node):
            if isinstance(leaf, NameCondition) and leaf.what == "dev" and leaf.name in nowhere:
                what = "there is no such network device where its sockets were looked for"
                raise self._absent(leaf, what)

    def _absent(self, leaf: NameCondition, what: str, hint: str = "") -> SocketsError:
        """Return the error for a name that is not there now, which is no wrong usage."""
        error = fault(self._text, leaf.at, leaf.end, what)
        return SocketsError(str(error), f"{error.hint}\n{hint}" if hint else error.hint)

    def check_decided(self) -> None:
        """Check that every socket was decided.

        Raises:
            SocketsError: some may match or not, so a list of sockets would not be complete.
        """
        if self.undecided:
            raise SocketsError(
                f"filter: {self.undecided} sockets may fit or not: their processes can't be seen",
                "that takes CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, or root",
            )

    def wants(self, netns: int) -> bool:
        """Whether a socket of the network namespace with the number *netns* may match."""
        return self.reduced(netns) != FALSE

    def reduced(self, netns: int) -> Node:
        """Return the expression for sockets of *netns*, with names of namespaces decided."""

        def replace(leaf: Leaf, _wanted: bool) -> Node:
            if isinstance(leaf, NameCondition) and leaf.what == "netns":
                return Constant(self._is_called(netns, leaf.name))
            return leaf

        return rewrite(self._node, replace)

    def _is_called(self, netns: int, name: str) -> bool:
        if netns == OWN_NETNS:
            return self._is_own(name)
        return netns in self._named_namespaces.get(name, ())

    def _is_own(self, name: str) -> bool:
        return name == OWN or is_own(self._mounts, name)

    def read(
        self,
        plan: Plan,
        table: Table,
        deadline: Deadline,
        *,
        tcp_info: bool,
        observer: CgroupObserver | None = None,
    ) -> Opened[MatchingRows]:
        """Start to read the sockets of *table* that match.

        With *tcp_info* the netlink messages have that. *observer* is called with the cgroups of
        the sockets that match. Messages of listeners and UDP sockets have their drops.

        Raises:
            SocketsError: the expression needs a field that this source lacks.
            SourceUnavailableError: no reader can read the table.
            DeadlineError: the time is over.
            ParseError: the kernel's answer could not be understood.
        """
        node = in_table(self.reduced(table.netns), table.family)
        if node == FALSE:
            return Opened(ENCODING, iter(()), is_netlink=True)
        drops: Drops = {}
        request = TableRequest(
            table,
            lambda netlink: self._from_netlink(
                Dumping(netlink, table, deadline, observer, tcp_info), node
            ),
            lambda procnet: self._from_procnet(procnet, table, deadline, node, drops),
            drops,
        )
        return plan.open(request)

    def _from_procnet(
        self, procnet: ProcTables, table: Table, deadline: Deadline, node: Node, drops: Drops
    ) -> Iterator[MatchingRows]:
        remaining = by_state(node, sum(STATES[table.protocol]))
        if not remaining:
            return
        for kind in sorted(_NETLINK_KINDS.keys() & frozenset[str]().union(*map(kinds, remaining))):
            raise SocketsError(
                f"filter: procfs, which {table} is read from, tells no socket's"
                f" {_NETLINK_KINDS[kind]}: {kind} can't be decided",
                "sock_diag tells it; in other network namespaces only to CAP_SYS_ADMIN",
            )
        test = self._test(
            node, RowContext(table.family, PROCNET_ENCODING, OwnerMatcher(self.owners))
        )
        for rows in procnet.read(table, deadline, drops):
            with_messages = [(row, b"") for row in rows]
            yield select_matching(with_messages, LISTENING_MASK[table.protocol], test)

    def _from_netlink(self, dumping: Dumping, node: Node) -> Iterator[MatchingRows]:
        table = dumping.table
        node = rewrite(node, partial(self._with_devices, table.netns))
        listening = LISTENING_MASK[table.protocol]
        dumps = [dump_for(node, states) for states in STATES[table.protocol]]
        has_all_listeners = any(each.states & listening and not each.program for each in dumps)
        if not has_all_listeners and any(each.states & ~listening for each in dumps):
            yield from dumping.listeners(listening)
        context = RowContext(table.family, ENCODING, OwnerMatcher(self.owners))
        for each in dumps:
            if each.states:
                yield from self._dumped(dumping, each, node, context)

    def _dumped(
        self, dumping: Dumping, dump: Dump, node: Node, context: RowContext
    ) -> Iterator[MatchingRows]:
        """Yield the rows that the kernel lets through, and the test where that can't decide all.

        A kernel that doesn't know an operation of the program refuses it: then it gets none, and
        the test decides all.
        """
        test = None if dump.exact else self._test(node, context)
        try:
            batches = fetch_first(dumping.batches(dump, test))
        except SourceUnavailableError:
            if not dump.program:
                raise
            if "fwmark" in kinds(node):
                raise _no_marks() from None
            dump = dump._replace(program=b"", exact=False)
            batches = dumping.batches(dump, self._test(node, context))
        yield from batches

    def _test(self, node: Node, context: RowContext) -> RowTest:
        return RowTest(node, context, self.owners, self.note_undecided)

    def _with_devices(self, netns: int, leaf: Leaf, _wanted: bool) -> Node:
        """Replace a device's name by its index in *netns*, which this thread is in.

        Whether there is one is kept for check_devices().
        """
        if not isinstance(leaf, NameCondition) or leaf.what != "dev":
            return leaf
        index = device_index(leaf.name)
        if netns != OWN_NETNS or self._netns in (ALL_NETNS, OWN):
            self._devices[leaf.name] = index is not None or self._devices.get(leaf.name, False)
        return FALSE if index is None else DeviceCondition(index)

    def note_undecided(self) -> None:
        """Count a socket that may match or not."""
        self.undecided += 1


def _no_marks() -> SocketsError:
    return SocketsError(
        "filter: fwmark takes CAP_NET_ADMIN: without it the kernel tells no socket's mark",
        "run it as root, or leave fwmark out",
    )
