"""What the readers' words mean: sockets, their owners, and one moment of a host.

Nothing here does I/O. `None` means "not available from this source"; 0 was measured.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple


class TcpState(IntEnum):
    """The kernel's socket states (include/net/tcp_states.h); UDP uses two of them."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11


TCP_STATES = {int(state): state.name.lower() for state in TcpState}
UDP_STATES = {TcpState.ESTABLISHED.value: "connected", TcpState.CLOSE.value: "bound"}
PROTOCOLS = ("tcp", "udp")


def state_name(protocol: str, state: int) -> str:
    """Return the name of *state*; kernel enums grow, so an unknown one is `state_13`."""
    names = TCP_STATES if protocol == "tcp" else UDP_STATES
    return names.get(state) or f"state_{state}"


INBOUND, OUTBOUND, UNKNOWN = "inbound", "outbound", "unknown"

OWN_NETNS = 0
"""The caller's own network namespace; others have a number of the kernel's."""

NOBODY = 0
"""Owner of inode 0: TIME_WAIT, SYN_RECV, orphans and connections not yet accepted."""
UNOWNED = 1
"""Owner of a socket that has an inode, but no owner that could be seen."""
FIRST_OWNER = 2


class Table(NamedTuple):
    """One of the kernel's socket tables: a protocol and a family in a network namespace."""

    protocol: str
    family: int  # socket.AF_INET or AF_INET6
    netns: int = 0  # OWN_NETNS, or the number of another one

    def __str__(self) -> str:
        """Return the table's name in /proc/net."""
        return self.protocol if self.family == 2 else f"{self.protocol}6"  # noqa: PLR2004


TABLES = tuple(Table(protocol, family) for protocol in PROTOCOLS for family in (2, 10))
"""All that are read of a namespace; 2 and 10 are AF_INET and AF_INET6."""

AddressToken = bytes | str

Row = tuple[int, int, int, AddressToken, AddressToken, int, int, int, int, int]
"""A socket as readers yield it: state, local port, remote port, local address, remote
address, interface index (0: not bound to a device), receive queue, send queue, uid, inode.

Ports and addresses are tokens of the reader's own encoding: hashing them needs no decoding,
and only distinct ones are ever decoded. A listener's queues are the accept queue and its
backlog, in connections; backlog -1 is unknown."""


class Encoding(NamedTuple):
    """How a reader writes addresses and ports in its rows."""

    address: Callable[[AddressToken], bytes]  # to 4 or 16 bytes in network order
    port: Callable[[int], int]  # to the port's number; its own inverse
    wildcard: Mapping[int, AddressToken]  # family: the token of 0.0.0.0 or ::


class TableRead(NamedTuple):
    """A table being read: batches of rows, listeners (UDP: bound sockets) first."""

    encoding: Encoding
    batches: Iterator[Iterable[Row]]


class Process(NamedTuple):
    """A process that holds sockets, or a cgroup that stands for all of its own (pid 0).

    Names are safe to print; the command line is not, and is never printed. What the query's
    grouping doesn't need stays empty.
    """

    pid: int
    name: str
    age: float | None = None  # seconds since it started
    fds: int | None = None  # open file descriptors
    cgroup: int = 0  # id of its cgroup v2 directory, where the source tells it
    unit: str = ""
    container: str = ""
    user: str = ""
    uid: int | None = None
    command: str = ""


class Namespace(NamedTuple):
    """A network namespace other than the caller's own; names are safe to print.

    *name* is one that survives recreation, empty without one; *detail* is for people: the
    namespace's number, a container's short id. *ports* is None where its sockets in TIME_WAIT
    were not seen, or its range is unknown.
    """

    name: str = ""
    detail: str = ""
    ports: "PortRange | None" = None

    @property
    def shown(self) -> str:
        """What people read."""
        return (
            f"{self.name} ({self.detail})"
            if self.name and self.detail
            else self.name or self.detail
        )


DeviceName = Callable[[int, int], str]
"""Returns the safe name of a network device by its namespace and index; empty for 0."""


class ListenerSocket(NamedTuple):
    """One listening TCP or bound UDP socket."""

    protocol: str
    netns: int
    address: bytes
    port: int
    device: str
    owner: int
    accept_queue: int | None  # connections; None for UDP
    backlog: int | None  # connections; None for UDP, and where the source has it not


class Connection(NamedTuple):
    """What equal connections share; a Snapshot counts them.

    Inbound: *address* and *port* are the listener's. Outbound: the remote end's, with
    *source* the local address as a number (addresses.fold_address); all three are None beyond
    the bound on distinct endpoints and for direction unknown. IPv4-mapped addresses of outbound
    ones are IPv4 addresses. *device*: the safe name of the one that the socket is bound to.
    """

    protocol: str
    netns: int
    owner: int
    state: int
    direction: str
    address: bytes | None = None
    port: int | None = None
    device: str = ""
    source: int | None = None
    ephemeral: bool = False  # outbound: the local port is one of ip_local_port_range


class PortRange(NamedTuple):
    """ip_local_port_range of a namespace, less what ip_local_reserved_ports takes."""

    low: int
    high: int
    size: int


class HostCounters(NamedTuple):
    """Figures of one namespace (memory and orphans: of the host) that no socket row has."""

    orphans: int | None = None
    tcp_memory_bytes: int | None = None
    tcp_memory_limit_bytes: int | None = None
    listen_overflows: int | None = None
    listen_drops: int | None = None
    retransmitted_segments: int | None = None


BY_DESCRIPTORS, BY_CGROUPS = "descriptors", "cgroups"
"""Who owns a socket: the processes that have a descriptor of it, or the cgroup in which it
was made."""

ALL_NETNS, OWN = "all", "own"

HIDDEN_FACTS = {
    "name": "the whole name",
    "user": "the user",
    "command": "the command line",
}
"""What may decide an owner's group and be hidden (hidepid), in words."""

LISTS = ("processes", "listeners", "upstreams")
"""Of the document, and kinds of discovery."""

# The next two are no dataclasses: a call imports this before the kernel is at work for it.


class Visibility:
    """What could not be seen, and how what was seen came about."""

    def __init__(self, source: str, reason: str = "") -> None:
        self.source = source
        self.reason = reason
        self.ownership = BY_DESCRIPTORS
        self.degraded = False
        self.seconds = 0.0
        self.denied: dict[str, int] = {}  # process name: instances
        self.hidden = False  # /proc shows the caller's own processes only
        self.vanished = 0
        self.foreign_unowned = False  # other namespaces were read without their sockets' cgroups
        self.foreign_unseen = False  # there may be namespaces that were not found
        self.foreign_unnamed = False  # other namespaces may have names, but /proc hides of what
        self.short = False  # no descriptor or memory was left for what names rows
        self.hidden_facts: set[str] = set()  # of HIDDEN_FACTS, what /proc hides of an owner
        self.unplaced = False  # the cgroup of a socket or of its owner is not known
        self.places_complete = True  # units, containers, users: looked for before the deadline
        self.owners_complete = True  # every process was asked before the deadline
        self.undecided = False  # a filter needs owners that can't be known
        self.endpoints_complete = True  # every distinct remote endpoint has a count of its own
        self.warnings: list[str] = []


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
        self.unmeasured: set[int] | None = None  # namespaces without; None: nobody asked for any
        self.lacks_limited_times = False  # the kernel doesn't tell these of connections
        self.queues: dict[tuple[int, int], tuple[int, int]] = {}  # by owner and namespace
        self.uids: dict[int, int] = {}  # owner: lowest uid seen on its sockets
        self.fds_limits: dict[int, int] = {}  # process: soft RLIMIT_NOFILE
        self.unfinished: set[str] = set()  # protocols not read to the end, of the own namespace
        self.namespaces: dict[int, Namespace] = {}  # others that were found, by number
        self.skipped: set[int] = set()  # of these, those not read to the end
        self.selected: frozenset[int] | None = None  # what the lists are of; None: all
        self.filter = ""  # the expression that every socket here fits

    def listed(self) -> "Snapshot":
        """Return the part that the lists are of: itself, unless namespaces are selected."""
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
        holders = {each.owner for each in part.listeners}
        holders.update(each.owner for each in part.connections)
        part.owners = {owner: self.owners[owner] for owner in holders if owner in self.owners}
        return part

    def note_uids(self, uids: Mapping[int, int]) -> None:
        """Take over the lowest uids seen on owners' sockets."""
        for owner, uid in uids.items():
            self.uids[owner] = min(uid, self.uids.get(owner, uid))

    def ports_of(self, netns: int) -> PortRange | None:
        """Return the ephemeral ports of a namespace, None where what takes them is unknown."""
        if netns == OWN_NETNS:
            return self.ports
        found = self.namespaces.get(netns)
        return found.ports if found else None


PINS = "/run/zabbix-sockets"
"""Where the BPF iterators are pinned: a bpffs of their own, since /sys/fs/bpf is closed."""

PINS_GROUP = "zabbix"
"""The group that may read them, if no other is named."""


ACTIVE_WITHIN = (10, 30, 60, 120, 300, 600, 3600)
"""The choices: a BPF record tells no more of the time since a connection was used."""


class Query(NamedTuple):
    """What to collect, and how long it may take.

    *source*: `bpf`, `sock_diag` or `procfs`; None chooses the best that works. *proc* is
    where procfs is mounted, *pins* where the BPF iterators are pinned. *netns*: `all`, `own`,
    or the name or number of a network namespace. *needs*: the fields of Process that the
    grouping looks at. *filter*: an expression that chooses sockets (docs/filters.md).
    *tcp_info*: how good connections are, too; for a Snapshot, of those that sent or received
    data in the last *active_within* seconds, one of ACTIVE_WITHIN. *left_out*: pids of processes
    that own nothing here, such as those that ask; what nobody else has is in the host's figures
    alone.
    """

    source: str | None = None
    timeout: float = 2.5
    proc: str = "/proc"
    pins: str = PINS
    netns: str = ALL_NETNS
    needs: frozenset[str] = frozenset()
    filter: str = ""
    tcp_info: bool = False
    active_within: int = 60
    left_out: frozenset[int] = frozenset()
