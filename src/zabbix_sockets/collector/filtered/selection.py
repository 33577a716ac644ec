"""The sockets that fit a filter: what the kernel can't decide is decided here.

Source: docs/filters.md says what each source can't know.
"""

from collections.abc import Iterator, Mapping
from functools import partial

from zabbix_sockets.collector.filtered.lookups import cgroup_id, device_index, uid_of
from zabbix_sockets.collector.filtered.row_test import (
    OWNER_KINDS,
    Dumping,
    RowTest,
    chosen,
)
from zabbix_sockets.collector.namespaces import is_own, select
from zabbix_sockets.collector.sources import ChosenRows, Opened, Plan, Wish, started
from zabbix_sockets.filters.evaluate import OwnerMatcher, RowContext
from zabbix_sockets.filters.faults import fault
from zabbix_sockets.filters.kernel import Dump, by_state, dump_for, in_table
from zabbix_sockets.filters.parser import parse
from zabbix_sockets.filters.terms import (
    FALSE,
    Cgroup,
    Constant,
    Device,
    Leaf,
    Named,
    Node,
    User,
    kinds,
    leaves,
    rewrite,
)
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SocketsError, SourceUnavailableError
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import ALL_NETNS, OWN, Namespace, Query
from zabbix_sockets.model.wire import LISTENING_MASK, OWN_NETNS, Table
from zabbix_sockets.readers.proc.mounts import Mounts
from zabbix_sockets.readers.proc.net_tables import ENCODING as PROCNET_ENCODING
from zabbix_sockets.readers.proc.net_tables import ProcTables
from zabbix_sockets.readers.proc.process import CAP_NET_ADMIN, read_capabilities
from zabbix_sockets.readers.sock_diag.messages import ENCODING, CgroupObserver
from zabbix_sockets.readers.sock_diag.tables import STATES

_NETLINK_KINDS = {"dev": "device", "fwmark": "mark", "cgroup": "cgroup"}


class Selection:
    """A filter, with its names looked up on this host.

    Attributes:
        needs_owners: it asks for processes.
        owners: who holds which socket, as far as it is known: to be set before anything is read.
        undecided: how many sockets may fit or not, since their owners can't be seen.

    Raises:
        UsageError: the expression is wrong, or names what this host doesn't have.
        SocketsError: it needs a privilege that the caller has not.
    """

    def __init__(self, query: Query, mounts: Mounts) -> None:
        self._mounts = mounts
        self._text = expression = parse(query.filter)
        found = expression.kinds
        self._netns = query.netns
        self._node = rewrite(expression.node, self._looked_up)
        self._called: dict[str, frozenset[int]] = {}  # other network namespaces by their names
        self._devices: dict[str, bool] = {}  # whether there is one, of those looked for
        self.undecided = 0
        self.owners = Owners()
        self.needs_owners = bool(found & OWNER_KINDS)
        if "fwmark" in found and not read_capabilities(query.proc) >> CAP_NET_ADMIN & 1:
            raise _no_marks()

    def _looked_up(self, leaf: Leaf, _wanted: bool) -> Node:
        """Replace a name that means the same in all network namespaces."""
        if not isinstance(leaf, Named):
            return leaf
        if leaf.what == "user":
            return User(self._found(leaf, uid_of(leaf.name), "no such user in /etc/passwd"))
        if leaf.what == "cgroup":
            number = cgroup_id(self._mounts, leaf.name)
            return Cgroup(self._found(leaf, number, "there is no such cgroup (v2)"))
        if leaf.what == "dev" and self._netns == OWN:
            self._found(leaf, device_index(leaf.name), "there is no such network device")
        return leaf

    def _found(self, leaf: Named, number: int | None, otherwise: str) -> int:
        if number is None:
            raise fault(self._text, leaf.at, leaf.end, otherwise)
        return number

    def find_called(self, namespaces: Mapping[int, Namespace]) -> None:
        """Look for the names of network namespaces among the others that were found.

        Not where the own one alone is read: a name of another fits nothing in it.

        Raises:
            SocketsError: one is not there, as if it had been asked for by --netns.
        """
        if self._netns == OWN:
            return
        for leaf in leaves(self._node):
            if isinstance(leaf, Named) and leaf.what == "netns" and not self._is_own(leaf.name):
                try:
                    self._called[leaf.name] = select(namespaces, leaf.name)
                except SocketsError as error:
                    what = "no network namespace of this name can be seen"
                    raise self._absent(leaf, what, error.hint) from None

    def look_for_devices(self, netns: int) -> None:
        """Look for the names of devices in a network namespace, which this thread is in."""
        rewrite(self._left_in(netns), partial(self._with_devices, netns))

    def check_devices(self) -> None:
        """Raise SocketsError if a device is in no namespace: call it when all have been read."""
        nowhere = {name for name, found in self._devices.items() if not found}
        for leaf in leaves(self._node):
            if isinstance(leaf, Named) and leaf.what == "dev" and leaf.name in nowhere:
                what = "there is no such network device where its sockets were looked for"
                raise self._absent(leaf, what)

    def _absent(self, leaf: Named, what: str, hint: str = "") -> SocketsError:
        """Return the error for what may be there at another time: no wrong usage."""
        error = fault(self._text, leaf.at, leaf.end, what)
        return SocketsError(str(error), f"{error.hint}\n{hint}" if hint else error.hint)

    def check_decided(self) -> None:
        """Raise SocketsError if a socket may fit or not: a list would not be whole."""
        if self.undecided:
            raise SocketsError(
                f"filter: {self.undecided} sockets may fit or not: their processes can't be seen",
                "that takes CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, or root",
            )

    def wants(self, netns: int) -> bool:
        """Whether a socket of a namespace may fit."""
        return self._left_in(netns) != FALSE

    def _left_in(self, netns: int) -> Node:
        """Return what is left of the expression for sockets of a namespace."""

        def replace(leaf: Leaf, _wanted: bool) -> Node:
            if isinstance(leaf, Named) and leaf.what == "netns":
                return Constant(self._is_called(netns, leaf.name))
            return leaf

        return rewrite(self._node, replace)

    def _is_called(self, netns: int, name: str) -> bool:
        if netns == OWN_NETNS:
            return self._is_own(name)
        return netns in self._called.get(name, ())

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
    ) -> Opened[ChosenRows]:
        """Start reading the sockets of *table* that fit; *observer* sees their cgroups.

        *tcp_info*: the messages have it.

        Raises:
            SocketsError: this source can't know what the expression asks for.
            SourceUnavailableError, DeadlineError, ParseError: as Plan.open().
        """
        node = in_table(self._left_in(table.netns), table.family)
        if node == FALSE:
            return Opened(ENCODING, iter(()), is_netlink=True)
        wish = Wish(
            table,
            lambda netlink: self._from_netlink(
                Dumping(netlink, table, deadline, observer, tcp_info), node
            ),
            lambda procnet: self._from_procnet(procnet, table, deadline, node),
        )
        return plan.open(wish)

    def _from_procnet(
        self, procnet: ProcTables, table: Table, deadline: Deadline, node: Node
    ) -> Iterator[ChosenRows]:
        left = by_state(node, sum(STATES[table.protocol]))
        if not left:
            return
        for kind in sorted(_NETLINK_KINDS.keys() & frozenset[str]().union(*map(kinds, left))):
            raise SocketsError(
                f"filter: procfs, which {table} is read from, tells no socket's"
                f" {_NETLINK_KINDS[kind]}: {kind} can't be decided",
                "sock_diag tells it; in other network namespaces only to CAP_SYS_ADMIN",
            )
        test = self._test(
            node, RowContext(table.family, PROCNET_ENCODING, OwnerMatcher(self.owners))
        )
        for rows in procnet.read(table, deadline):
            wholes = [(row, b"") for row in rows]
            yield chosen(wholes, LISTENING_MASK[table.protocol], test)

    def _from_netlink(self, dumping: Dumping, node: Node) -> Iterator[ChosenRows]:
        table = dumping.table
        node = rewrite(node, partial(self._with_devices, table.netns))
        listening = LISTENING_MASK[table.protocol]
        dumps = [dump_for(node, states) for states in STATES[table.protocol]]
        whole = any(each.states & listening and not each.program for each in dumps)
        if not whole and any(each.states & ~listening for each in dumps):
            yield from dumping.listeners(listening)
        reading = RowContext(table.family, ENCODING, OwnerMatcher(self.owners))
        for each in dumps:
            if each.states:
                yield from self._dumped(dumping, each, node, reading)

    def _dumped(
        self, dumping: Dumping, dump: Dump, node: Node, reading: RowContext
    ) -> Iterator[ChosenRows]:
        """Yield what the kernel lets through, and the test if there is more to decide.

        A kernel that doesn't know an operation of the program refuses it: it has to do without.
        """
        test = None if dump.exact else self._test(node, reading)
        try:
            batches = started(dumping.batches(dump, test))
        except SourceUnavailableError:
            if not dump.program:
                raise
            if "fwmark" in kinds(node):
                raise _no_marks() from None
            dump = dump._replace(program=b"", exact=False)
            batches = dumping.batches(dump, self._test(node, reading))
        yield from batches

    def _test(self, node: Node, reading: RowContext) -> RowTest:
        return RowTest(node, reading, self.owners, self._note_undecided)

    def _with_devices(self, netns: int, leaf: Leaf, _wanted: bool) -> Node:
        """Replace a device's name by its index in *netns*, which this thread is in; note it."""
        if not isinstance(leaf, Named) or leaf.what != "dev":
            return leaf
        index = device_index(leaf.name)
        if netns != OWN_NETNS or self._netns in (ALL_NETNS, OWN):
            self._devices[leaf.name] = index is not None or self._devices.get(leaf.name, False)
        return FALSE if index is None else Device(index)

    def _note_undecided(self) -> None:
        self.undecided += 1


def _no_marks() -> SocketsError:
    return SocketsError(
        "filter: fwmark takes CAP_NET_ADMIN: without it the kernel tells no socket's mark",
        "run it as root, or leave fwmark out",
    )
