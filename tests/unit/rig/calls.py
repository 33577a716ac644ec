"""The calls that are tried: each way to an answer, as the verbs go it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from json_documents import JsonDocument, json_document

from zabbix_sockets.collector.collect import collect
from zabbix_sockets.collector.single import iter_sockets
from zabbix_sockets.collector.sources import choose
from zabbix_sockets.configuration import load
from zabbix_sockets.document.count import count
from zabbix_sockets.grouping.by_rules import by_rules
from zabbix_sockets.grouping.grouping import GROUPINGS
from zabbix_sockets.model.paths import CONFIG
from zabbix_sockets.model.snapshot import Query, Snapshot
from zabbix_sockets.terminal.sockets import ShownSocket, socket_json, socket_order

from .scene import HOST, UNPRIVILEGED, WITH_RULES, WITHOUT_NETLINK, WITHOUT_PINS, Scene


class Call(NamedTuple):
    """A way to an answer: *make* returns it. *least* is how many steps it has at least.

    *thorough*: all that can go wrong at a step is tried where it comes first.
    """

    name: str
    scene: Scene
    make: Callable[[], object]
    least: int
    thorough: bool = False
    by_rules: bool = False


def snapshot_of(query: Query) -> Snapshot:
    """Return what is collected, with the reading begun before as the verbs do it."""
    with choose(query) as plan:
        plan.begin(query)
        return collect(query, plan)


def document(grouping: str = "process", **options: object) -> Callable[[], JsonDocument]:
    """Return what makes a document."""
    of = GROUPINGS[grouping]
    query = Query(tcp_info=True, needs=of.needs)._replace(**options)  # type: ignore[arg-type]
    return lambda: json_document(snapshot_of(query), grouping=of)


def ruled() -> JsonDocument:
    """Return a document by the rules of the configuration file."""
    of = by_rules(load(CONFIG, required=True).groups)
    return json_document(snapshot_of(Query(needs=of.needs, tcp_info=True)), grouping=of)


def number() -> int:
    """Return what `count nginx tcp established` says."""
    return count(snapshot_of(Query()), "nginx", "tcp", "established")


def sockets(**options: object) -> Callable[[], Sequence[JsonDocument]]:
    """Return what makes the list of `show sockets`."""
    query = Query(tcp_info=True)._replace(**options)  # type: ignore[arg-type]

    def listed() -> Sequence[JsonDocument]:
        found = sorted(iter_sockets(query), key=socket_order)
        return [socket_json(ShownSocket(each)) for each in found]

    return listed


_BY_PROCESS = "process = nginx and not dport = :443"
_BY_PORT = "sport = :80 or dport = :5432"

CALLS = (
    Call("bpf", HOST, document(), 90, thorough=True),
    Call("bpf, own namespace", HOST, document(netns="own"), 60),
    Call("bpf with clients", HOST, document(clients=True), 90),
    Call("bpf by container", HOST, document("container"), 100),
    Call("bpf by user", HOST, document("user"), 90),
    Call("sock_diag", WITHOUT_PINS, document(), 280, thorough=True),
    Call("sock_diag with clients", WITHOUT_PINS, document(clients=True), 280),
    Call("sock_diag by unit", WITHOUT_PINS, document("unit"), 300),
    Call("sock_diag of one namespace", WITHOUT_PINS, document(netns="lab"), 250),
    Call("sock_diag without privilege", UNPRIVILEGED, document(), 180, thorough=True),
    Call("by cgroups", UNPRIVILEGED, document("unit"), 140),
    Call("procfs", WITHOUT_NETLINK, document(), 250, thorough=True),
    Call("bpf with a filter", HOST, document(filter=_BY_PROCESS), 140, thorough=True),
    Call("sock_diag with a filter", WITHOUT_PINS, document(filter=_BY_PORT), 250),
    Call("procfs with a filter", WITHOUT_NETLINK, document(filter=_BY_PROCESS), 230),
    Call("rules", WITH_RULES, ruled, 120, by_rules=True),
    Call("count", HOST, number, 90),
    Call("show sockets, bpf", HOST, sockets(netns="all"), 120, thorough=True),
    Call("show sockets, sock_diag", WITHOUT_PINS, sockets(), 240),
    Call("show sockets, procfs", WITHOUT_NETLINK, sockets(filter=_BY_PORT), 240),
)
