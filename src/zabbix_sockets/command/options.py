"""Options of all verbs that collect, and of the agent's verbs."""

from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS
from zabbix_sockets.model.deadline import DEFAULT_SECONDS
from zabbix_sockets.model.light_typing import Annotated, NamedTuple, Optional
from zabbix_sockets.model.option import Option, name, positive, seconds
from zabbix_sockets.model.paths import CONFIG, PINS, PINS_GROUP
from zabbix_sockets.model.snapshot import (
    ACTIVE_WITHIN_CHOICES,
    ALL_NETNS,
    DEFAULT_ACTIVE_WITHIN,
    LISTS,
    OWN,
)
from zabbix_sockets.model.wire import PROTOCOLS, UNIX

SOURCES = ("bpf", "sock_diag", "procfs")
_MAX_BYTES = 500_000

PINS_FOLDER = Option(
    "--pins", f"the bpffs with the BPF iterators (default: {PINS})", "FOLDER", name
)
READERS_GROUP = Option(
    "--group",
    f"the group that may read what this leaves: the agent's user's (default: {PINS_GROUP})",
    "NAME",
    name,
)
ACTIVE_WITHIN = Option(
    "--active-within",
    "round-trip times and retransmissions are those of connections that sent or"
    " received data in the last so many seconds:"
    f" {', '.join(map(str, ACTIVE_WITHIN_CHOICES))} (default: {DEFAULT_ACTIVE_WITHIN})",
    "SECONDS",
    int,
    ACTIVE_WITHIN_CHOICES,
)
"""Options of several verbs."""


class Collecting(NamedTuple):
    """The options of every verb that collects: source, time, and choice of sockets."""

    source: Annotated[
        Optional[str],
        Option(
            "--source",
            "read from this source only (default: the best that works here)",
            choices=SOURCES,
        ),
    ] = None
    timeout: Annotated[
        float,
        Option(
            "--timeout",
            f"answer within this time, incomplete if need be (default: {DEFAULT_SECONDS})",
            "SECONDS",
            seconds,
        ),
    ] = DEFAULT_SECONDS
    netns: Annotated[
        Optional[str],
        Option(
            "--netns",
            "network namespaces: all, own, or one by its name or number"
            " (default: all; for show sockets and show clients own, or all if the filter is about"
            " netns)",
            "NAME",
            name,
            words=(ALL_NETNS, OWN),
        ),
    ] = None
    filter: Annotated[
        Optional[str],
        Option(
            "--filter",
            "only the sockets that fit, such as 'dport = :443 and state established':"
            " the language of ss(8), see docs/filters.md",
            "EXPRESSION",
        ),
    ] = None
    group_by: Annotated[
        str,
        Option(
            "--group-by",
            f"processes with the same one of these are one row (default: {DEFAULT_GROUPING})",
            choices=tuple(GROUPINGS),
        ),
    ] = DEFAULT_GROUPING
    config: Annotated[
        Optional[str],
        Option(
            "--config",
            "the configuration file: rules that name processes, a filter, the map's aliases"
            f" (default: {CONFIG}, if it is there)",
            "FILE",
        ),
    ] = None
    pins: Annotated[str, PINS_FOLDER] = PINS


class Measuring(NamedTuple):
    """The options for what is measured of connections: round-trip times, and whose they are.

    *clients* None: as the configuration file says.
    """

    active_within: Annotated[int, ACTIVE_WITHIN] = DEFAULT_ACTIVE_WITHIN
    tcp_info: Annotated[
        bool,
        Option(
            "--no-tcp-info",
            "leave out round-trip times and retransmissions: less work with sock_diag",
            action="store_false",
        ),
    ] = True
    clients: Annotated[
        Optional[bool],
        Option(
            "--clients",
            "count the remote addresses of each listener, and say which has most connections"
            " (default: as the configuration file says, else no)",
            action="optional",
        ),
    ] = None


NOT_MEASURING = Measuring(tcp_info=False, clients=False)


class Bounds(NamedTuple):
    """The option for the bound of a document's length."""

    max_bytes: Annotated[
        int,
        Option(
            "--max-bytes",
            f"the greatest length of the document, in bytes (default: {_MAX_BYTES})",
            "N",
            positive,
        ),
    ] = _MAX_BYTES


class GetOptions(NamedTuple):
    """The options of `get`.

    *grouping* and *namespace*, unless empty, are used in the place of --group-by and --netns.
    """

    collecting: Collecting = Collecting()
    bounds: Bounds = Bounds()
    measuring: Measuring = Measuring()
    grouping: Annotated[str, Option("", "as --group-by", "GROUPING", words=tuple(GROUPINGS))] = ""
    namespace: Annotated[str, Option("", "as --netns", "NETNS", words=(ALL_NETNS, OWN))] = ""


class DiscoverOptions(NamedTuple):
    """The options of `discover`; *kind* is the list."""

    kind: Annotated[str, Option("", ", ".join(LISTS), "KIND", choices=LISTS)]
    collecting: Collecting = Collecting()
    bounds: Bounds = Bounds()


def _states() -> tuple[str, ...]:
    """Return the states of all protocols that `count` knows: for completions alone."""
    from zabbix_sockets.document.processes import TCP_PARTS, UDP_PARTS  # noqa: PLC0415  # no call has them so early

    return (*TCP_PARTS, *UDP_PARTS)  # those of unix sockets are among them


class CountOptions(NamedTuple):
    """The options of `count`; an empty *protocol* or *state* stands for all."""

    process: Annotated[
        str,
        Option(
            "",
            "a name as the document shows it, or as show processes --keys spells it",
            "PROCESS",
        ),
    ]
    protocol: Annotated[
        str,
        Option(
            "",
            "tcp, udp or unix (default: tcp and udp)",
            "PROTOCOL",
            words=(*PROTOCOLS, UNIX),
        ),
    ] = ""
    state: Annotated[
        str,
        Option(
            "",
            "of that protocol, such as listen, close_wait or inbound (default: all)",
            "STATE",
            words=_states,
        ),
    ] = ""
    collecting: Collecting = Collecting()
