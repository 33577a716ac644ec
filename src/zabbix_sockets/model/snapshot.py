"""A query, and the Snapshot of a host that answers it: sums over sockets, with their owners.

Nothing here does I/O. `None` means "not available from this source"; 0 was measured.
"""

from collections.abc import Callable
from typing import NamedTuple

from zabbix_sockets.model.gaps import NAMESPACE, Gap
from zabbix_sockets.model.wire import OWN_NETNS

INBOUND, OUTBOUND, UNKNOWN = "inbound", "outbound", "unknown"

NOBODY = 0
"""Owner of a socket without an inode, which no process can hold: in TIME_WAIT or SYN_RECV, an
orphan, a connection not yet accepted."""
UNOWNED = 1
"""Owner of a socket that has an inode, but no process (or cgroup) that was seen to hold it: it may
not be inspected, or is outside of this pid namespace, or the kernel itself uses the socket."""
FIRST_OWNER = 2


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
        """The name and the detail, as people read them."""
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
    accept_queue: int | None  # connections; None for UDP
    backlog: int | None  # connections; None for UDP, and where the source has it not


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
    ephemeral: bool = False


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
"""The two kinds of owners: the processes that have a descriptor of a socket, or the cgroup in which
it was made."""

ALL_NETNS, OWN = "all", "own"

LISTS = ("processes", "listeners", "upstreams")
"""The lists of the document, which are also the kinds of discovery."""

# The next two are no dataclasses: a call imports this before the kernel is at work for it.


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
        self.unmeasured: set[int] | None = None
        self.lacks_limited_times = False  # the kernel has no limited times of connections
        self.queues: dict[tuple[int, int], tuple[int, int]] = {}  # by owner and namespace
        self.uids: dict[int, int] = {}  # owner: lowest uid seen on its sockets
        self.fds_limits: dict[int, int] = {}  # process: soft RLIMIT_NOFILE
        self.namespaces: dict[int, Namespace] = {}  # others that were found, by number
        self.selected: frozenset[int] | None = None  # the namespaces in the lists; None: all
        self.filter = ""  # the expression that every socket here matches

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
        holders = {each.owner for each in part.listeners}
        holders.update(each.owner for each in part.connections)
        part.owners = {owner: self.owners[owner] for owner in holders if owner in self.owners}
        return part

    @property
    def skipped(self) -> set[int]:
        """Numbers of the other namespaces that were not read to the end."""
        return {gap.netns for gap in self.visibility.gaps if gap.kind == NAMESPACE}

    def ports_of(self, netns: int) -> PortRange | None:
        """Return the ephemeral ports of a namespace; None if some may be taken unseen."""
        if netns == OWN_NETNS:
            return self.ports
        found = self.namespaces.get(netns)
        return found.ports if found else None


PINS = "/run/zabbix-sockets"
"""The folder of the pinned BPF iterators: a bpffs of their own, since /sys/fs/bpf is root's
alone."""

PINS_GROUP = "zabbix"
"""The group that may read the pinned iterators, if no other is named."""


ACTIVE_WITHIN = (10, 30, 60, 120, 300, 600, 3600)
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
            the last so many seconds, one of ACTIVE_WITHIN.
        excluded_pids: pids of processes that own nothing here, such as those that ask; a socket
            that no other process has counts in the host's figures alone.
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
    excluded_pids: frozenset[int] = frozenset()
