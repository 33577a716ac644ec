"""A query, and the Snapshot of a host that answers it: sums over sockets, with their owners.

Nothing here does I/O. `None` means "not available from this source"; 0 was measured.
"""

from _collections_abc import Callable, Collection

from zabbix_sockets.model import gaps
from zabbix_sockets.model.deadline import DEFAULT_SECONDS
from zabbix_sockets.model.gaps import Gap
from zabbix_sockets.model.light_typing import NamedTuple, Optional
from zabbix_sockets.model.paths import PINS
from zabbix_sockets.model.wire import OWN_NETNS

TYPE_CHECKING = False  # as in zabbix_sockets/__init__.py
if TYPE_CHECKING:  # a call without them does without the modules
    from zabbix_sockets.model.clients import ClientSums, ListenerEndpoint
    from zabbix_sockets.model.totals import Totals

INBOUND, OUTBOUND, UNKNOWN = "inbound", "outbound", "unknown"

NOBODY = 0
"""Owner of a socket without an inode, which no process can hold: in TIME_WAIT or SYN_RECV, an
orphan, a connection not yet accepted."""
UNOWNED = 1
"""Owner of a socket that has an inode, but no process (or cgroup) that was seen to hold it: it may
not be inspected, or is outside of this pid namespace, or the kernel itself uses the socket."""
FIRST_OWNER = 2


FIRST_USER_UID = 1000
"""The least uid of people; those below are the system's."""


ROOT_CGROUP = 1
"""The id of the root of cgroup v2, which every process has where that is not used."""


class Process(NamedTuple):
    """A process that holds sockets, or a cgroup that stands for all of its own (pid 0).

    Names are safe to print; the command line is not, and is never printed. What the query's
    grouping doesn't need stays empty.
    """

    pid: int
    name: str
    age: Optional[float] = None  # seconds since it started
    fds: Optional[int] = None  # open file descriptors
    cgroup: int = 0  # id of its cgroup v2 directory, where the source tells it
    unit: str = ""
    container: str = ""
    user: str = ""
    uid: Optional[int] = None
    command: str = ""


class Counted(NamedTuple):
    """Whose the totals are of processes that the kernel counts together.

    *process* stands for all of them, living or not; *holders* are the indices in Snapshot.processes
    of those that hold sockets and may be among them: their name in the kernel, which may be cut,
    and their cgroup are the same. Those counted for another user have the same object.
    """

    process: Process
    holders: Collection[int] = ()


class Standing(NamedTuple):
    """The standing of a row: whose it is, by facts that a user can't choose.

    Attributes:
        order: SYSTEM_UNIT, SYSTEM_USER or USER.
        share: the name of the one whose share of a bounded number the row counts in; empty: root's,
            which has no bound of its own.
        age: the age in seconds of its oldest process; 0: unknown.
    """

    order: int
    share: str
    age: float = 0.0


SYSTEM_UNIT, SYSTEM_USER, USER = range(3)
"""A process in a unit that root has made; another one of root or of a system's user; one of a user,
in a container, or of which nothing is known."""


class Namespace(NamedTuple):
    """A network namespace other than the caller's own; names are safe to print.

    *name* is one that survives recreation, empty without one; *detail* is for people: the
    namespace's number, a container's short id. *ports* is None where its sockets in TIME_WAIT
    were not seen, or its range is unknown. *container* is the name of the container that it is of,
    or its short id; empty if it is of none. *published* are the ports of the host that lead to that
    (model.container_names.PublishedPorts). *pid* is a process in it; 0: none is known.
    """

    name: str = ""
    detail: str = ""
    ports: Optional["PortRange"] = None
    container: str = ""
    published: tuple[tuple[str, bytes, int, int], ...] = ()
    pid: int = 0

    @property
    def shown(self) -> str:
        """The name, with the detail in parentheses; one of them alone where the other is empty."""
        return (
            f"{self.name} ({self.detail})"
            if self.name and self.detail
            else self.name or self.detail
        )


DeviceName = Callable[[int, int], str]
"""Returns the safe name of a network device by its namespace and index; empty for index 0."""


class ListenerSocket(NamedTuple):
    """One listening TCP or bound UDP socket."""

    protocol: str
    netns: int
    address: bytes
    port: int
    device: str
    owner: int
    accept_queue: Optional[int]  # connections; None for UDP
    backlog: Optional[int]  # connections; None for UDP, and where the source has it not
    recv_queue: Optional[int] = None  # bytes; None for TCP
    drops: Optional[int] = None  # since it was made; None where the source has it not


class UnixListener(NamedTuple):
    """One listening unix socket, a stream or seqpacket one.

    Attributes:
        name: the path that it is bound to, or an abstract name behind a NUL.
        accepted: the number of connections that it has accepted and that are open; None where the
            source can't tell it apart from another one that was bound to the same name.
        accept_queue: the number of connections that wait to be accepted; None as *accepted*.
        backlog: the number that may wait, less one; None where the source doesn't tell it.
        uid: the uid of its creator; None where the source doesn't tell it.
    """

    netns: int
    name: bytes
    owner: int
    accepted: Optional[int]
    accept_queue: Optional[int]
    backlog: Optional[int]
    uid: Optional[int]


UnitEndpoint = tuple[str, bytes, int, str]
"""At what a socket unit listens: the protocol, the packed address, the port, the safe name of the
device that it is bound to (empty: none). Of a unix socket its name as of UnixListener, 0 and
empty."""


class Connection(NamedTuple):
    """What equal connections have in common; a Snapshot has the number of them.

    Attributes:
        direction: INBOUND, OUTBOUND or UNKNOWN; collector.directions decides.
        address: the listener's if inbound, the remote end's if outbound, where IPv4-mapped ones are
            IPv4 addresses. None if unknown, if the listener has closed, and beyond the bound on
            distinct endpoints.
        port: that of *address*; None without one.
        device: the safe name of the device that the socket is bound to; empty: none.
        source: if outbound, the local address as a number (addresses.fold_address); None without
            *address*.
        ephemeral: it is outbound, and its local port is one of ip_local_port_range.
        remote: the remote end's address if it is in CLOSE_WAIT, has an owner and is not outbound;
            None for others, and beyond the bound on these addresses (sums.MAX_REMOTES).
    """

    protocol: str
    netns: int
    owner: int
    state: int
    direction: str
    address: Optional[bytes] = None
    port: Optional[int] = None
    device: str = ""
    source: Optional[int] = None
    ephemeral: bool = False
    remote: Optional[bytes] = None


class PortRange(NamedTuple):
    """The ports that the kernel picks in a namespace: ip_local_port_range.

    Attributes:
        low, high: the first and the last one.
        size: the number of them that ip_local_reserved_ports doesn't reserve.
    """

    low: int
    high: int
    size: int

    def has(self, port: int) -> bool:
        """Whether the kernel picks *port*, unless it is reserved."""
        return self.low <= port <= self.high


HOST_ADDRESS, BRIDGE_ADDRESS, LOOPBACK_ADDRESS = "", "bridge", "loopback"
"""The kinds of a host's own addresses: by which others reach it; of a bridge that containers or
virtual machines are on, which other hosts may have as well; one that lo has besides 127.0.0.1."""
ADDRESSES_UNKNOWN = "own addresses are not known: "
"""What a warning begins with that says why a host tells nothing for a map."""


class OwnAddress(NamedTuple):
    """An address of the host itself, packed, with the length of its prefix in bits.

    *kind* is one of those above; *netns* the number of the network namespace that has it.
    """

    address: bytes
    prefix: int
    kind: str
    netns: int


class HostCounters(NamedTuple):
    """Figures of one namespace (memory, orphans, their limit, uptime: of the host) that no row has.

    *orphans* and *tcp_max_*... are sockets, *listen_overflows* and *listen_drops* connections and
    *retransmitted_segments* segments since the namespace began, *uptime* seconds since the boot;
    None: it can't be read. *totals* has the counters of document.head.HostTotals by name, as far as
    the kernel has them; None without any.
    """

    orphans: Optional[int] = None
    tcp_memory_bytes: Optional[int] = None
    tcp_memory_limit_bytes: Optional[int] = None
    listen_overflows: Optional[int] = None
    listen_drops: Optional[int] = None
    retransmitted_segments: Optional[int] = None
    tcp_max_orphans: Optional[int] = None
    tcp_max_tw_buckets: Optional[int] = None
    totals: Optional[dict[str, int]] = None
    uptime: Optional[int] = None


BY_DESCRIPTORS, BY_CGROUPS = "descriptors", "cgroups"
"""The two kinds of owners: the processes that have a descriptor of a socket, or the cgroup in which
it was made."""

ALL_NETNS, OWN = "all", "own"

LISTS = ("processes", "listeners", "upstreams")
"""The lists of the document, which are also the kinds of discovery."""

# The next three are no dataclasses, which take time to make: a call imports this module before the
# kernel begins to iterate.


class Visibility:
    """The source of a Snapshot, and its gaps.

    Attributes:
        source: `bpf`, `sock_diag` or `procfs`.
        reason: the reason why it is that source.
        ownership: BY_DESCRIPTORS or BY_CGROUPS.
        degraded: this host could have a better source.
        seconds: the time that the collection took.
        vanished: the number of processes that ended before they could be asked.
        gaps: the things that could not be seen; document.completeness decides on their effects.
        warnings: other things that people should know: errors, readers that were replaced.
    """

    __slots__ = (
        *("source", "reason", "ownership", "degraded", "seconds"),
        *("vanished", "gaps", "warnings"),
    )

    def __init__(self, source: str, reason: str = "") -> None:
        self.source = source
        self.reason = reason
        self.ownership = BY_DESCRIPTORS
        self.degraded = False
        self.seconds = 0.0
        self.vanished = 0
        self.gaps: list[Gap] = []
        self.warnings: list[str] = []

    def add_gap(
        self, kind: str, where: str = "", how_many: int = 1, netns: int = OWN_NETNS
    ) -> None:
        """Add a Gap, something that could not be seen, of these fields."""
        self.gaps.append(Gap(kind, where, how_many, netns))

    def has_gap(self, *kinds: str) -> bool:
        """Whether there is a Gap of one of *kinds*."""
        return any(gap.kind in kinds for gap in self.gaps)


class UnixSockets:
    """The unix sockets of a Snapshot: stream and seqpacket ones, no datagrams.

    Attributes:
        listeners: those that listen, each by itself.
        connected: the number of connected ones by owner and network namespace: accepted ones, those
            that connected, and pairs.
        owners: the members of the owners in *connected*, as Snapshot.owners has them of all other
            sockets: processes that hold nothing but connected unix sockets are here alone.
    """

    __slots__ = ("connected", "listeners", "owners")

    def __init__(self) -> None:
        self.listeners: list[UnixListener] = []
        self.connected: dict[tuple[int, int], int] = {}
        self.owners: dict[int, tuple[int, ...]] = {}

    def within(self, wanted: frozenset[int]) -> "UnixSockets":
        """Return those in the network namespaces of the numbers *wanted*."""
        part = UnixSockets()
        part.listeners = [each for each in self.listeners if each.netns in wanted]
        part.connected = {key: count for key, count in self.connected.items() if key[1] in wanted}
        part.owners = self.owners
        return part


class Snapshot:
    """One moment of a host; its size grows with what is distinct, not with the sockets.

    *owners* maps an owner's number to indices of *processes*: a socket may have several
    (fork, SCM_RIGHTS). *queues* are bytes waiting to be read and to be acknowledged.
    """

    def __init__(
        self, time: int, visibility: Visibility, ports: PortRange, host: HostCounters
    ) -> None:
        self.time = time  # Unix seconds
        self.visibility = visibility
        self.ports = ports
        self.host = host
        self.processes: list[Process] = []
        self.owners: dict[int, tuple[int, ...]] = {}
        self.listeners: list[ListenerSocket] = []
        self.connections: dict[Connection, int] = {}
        self.qualities: dict[Connection, int] = {}  # established ones; see quality.py
        # Namespaces whose connections could not be asked for tcp_info; None: nothing was asked.
        self.unmeasured: Optional[set[int]] = None
        self.lacks_limited_times = False  # the kernel has no limited times of connections
        self.queues: dict[tuple[int, int], tuple[int, int]] = {}  # by owner and namespace
        # What was dropped at listeners and UDP sockets, as far as known, by owner and namespace.
        self.drops: dict[tuple[int, int], int] = {}
        self.unix: Optional[UnixSockets] = None  # None: they are not known, such as with a filter
        # For which socket units systemd listens; empty if it holds no listener.
        self.socket_units: dict[UnitEndpoint, str] = {}
        self.uids: dict[int, int] = {}  # owner: lowest uid seen on its sockets
        self.fds_limits: dict[int, int] = {}  # process: soft RLIMIT_NOFILE
        self.namespaces: dict[int, Namespace] = {}  # others that were found, by number
        # Further ones that have a name, in which nothing is open: there are totals of them alone.
        self.idle_namespaces: dict[int, Namespace] = {}
        self.addresses: Optional[list[OwnAddress]] = None  # None: not asked for, or not known
        self.selected: Optional[frozenset[int]] = None  # the namespaces in the lists; None: all
        self.filter = ""  # the expression that every socket here matches
        self.totals: Optional[Totals] = None  # of the namespaces in the lists; None: not loaded
        self.clients: Optional[ClientSums[ListenerEndpoint]] = None  # None: nobody asked for them
        self.counted: list[Counted] = []  # for each of the totals' processes

    def listed(self) -> "Snapshot":
        """Return the Snapshot for the lists: itself, or that of the selected namespaces alone."""
        if self.selected is None:
            return self
        part = Snapshot(self.time, self.visibility, self.ports, self.host)
        part.__dict__.update(self.__dict__)
        wanted = self.selected
        part.listeners = [each for each in self.listeners if each.netns in wanted]
        part.connections = {
            each: count for each, count in self.connections.items() if each.netns in wanted
        }
        part.queues = {key: sums for key, sums in self.queues.items() if key[1] in wanted}
        part.drops = {key: drops for key, drops in self.drops.items() if key[1] in wanted}
        if self.clients:
            part.clients = self.clients.part(lambda end: end[0] in wanted)
        holders = {each.owner for each in part.listeners}
        holders.update(each.owner for each in part.connections)
        if self.unix:
            part.unix = self.unix.within(wanted)
            holders.update(each.owner for each in part.unix.listeners)
        part.owners = {owner: self.owners[owner] for owner in holders if owner in self.owners}
        return part

    @property
    def lacks_without_file(self) -> bool:
        """Whether sockets without a file, such as in TIME_WAIT, are unseen in other namespaces."""
        return self.visibility.source == "bpf" and not self.filter

    @property
    def skipped(self) -> set[int]:
        """Numbers of the other namespaces that were not read to the end."""
        return {gap.netns for gap in self.visibility.gaps if gap.kind == gaps.NAMESPACE}

    def ports_of(self, netns: int) -> Optional[PortRange]:
        """Return the ephemeral ports of a namespace; None if some may be taken unseen."""
        if netns == OWN_NETNS:
            return self.ports
        found = self.namespaces.get(netns)
        return found.ports if found else None


ACTIVE_WITHIN_CHOICES = (10, 30, 60, 120, 300, 600, 3600)
DEFAULT_ACTIVE_WITHIN = 60
"""The seconds to choose from: a BPF record has no finer time since a connection was used."""


class Query(NamedTuple):
    """A question for a Snapshot or for single sockets.

    Attributes:
        source: `bpf`, `sock_diag` or `procfs`; None: the best that works.
        timeout: the seconds within which the answer is due.
        proc: the path where procfs is mounted.
        pins: the folder of the pinned BPF iterators.
        netns: `all`, `own`, or the name or number of a network namespace.
        needs: the fields of Process that the grouping looks at.
        filter: an expression that chooses sockets (docs/filters.md); empty: all.
        tcp_info: round-trip times and retransmissions are collected, too.
        active_within: for a Snapshot they are those of connections that sent or received data in
            the last so many seconds, one of ACTIVE_WITHIN_CHOICES.
        clients: the clients of listeners are counted, too.
        excluded_pids: pids of processes that own nothing here, such as those that ask; a socket
            that no other process has counts in the host's figures alone.
        addresses: the host's own addresses are collected, too.
    """

    source: Optional[str] = None
    timeout: float = DEFAULT_SECONDS
    proc: str = "/proc"
    pins: str = PINS
    netns: str = ALL_NETNS
    needs: frozenset[str] = frozenset()
    filter: str = ""
    tcp_info: bool = False
    active_within: int = DEFAULT_ACTIVE_WITHIN
    clients: bool = False
    excluded_pids: frozenset[int] = frozenset()
    addresses: bool = False
