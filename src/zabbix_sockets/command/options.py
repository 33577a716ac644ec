"""Options of all verbs that collect, and of the agent's verbs."""

from typing import Annotated, NamedTuple

from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS
from zabbix_sockets.model.deadline import DEFAULT_SECONDS
from zabbix_sockets.model.option import Option, name, positive, seconds
from zabbix_sockets.model.snapshot import ACTIVE_WITHIN as CHOICES
from zabbix_sockets.model.snapshot import LISTS, PINS

CONFIG = "/etc/zabbix/zabbix-sockets.toml"
"""The path of the configuration file, which need not be there."""

SOURCES = ("bpf", "sock_diag", "procfs")
_MAX_BYTES = 500_000
_DEFAULT_CHOICE = CHOICES[2]

PINS_FOLDER = Option(
    "--pins", f"the bpffs with the BPF iterators (default: {PINS})", "FOLDER", name
)
ACTIVE_WITHIN = Option(
    "--active-within",
    "round-trip times and retransmissions are those of connections that sent or"
    " received data in the last so many seconds:"
    f" {', '.join(map(str, CHOICES))} (default: {_DEFAULT_CHOICE})",
    "SECONDS",
    int,
    CHOICES,
)
"""Options of several verbs."""


class Collecting(NamedTuple):
    """The options of every verb that collects: source, time, and choice of sockets."""

    source: Annotated[
        str | None,
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
        str | None,
        Option(
            "--netns",
            "network namespaces: all, own, or one by its name or number"
            " (default: all; for show sockets own)",
            "NAME",
            name,
        ),
    ] = None
    filter: Annotated[
        str | None,
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
        str | None,
        Option(
            "--config",
            f"file with rules that name processes (default: {CONFIG}, if it is there)",
            "FILE",
        ),
    ] = None
    pins: Annotated[str, PINS_FOLDER] = PINS


class Measuring(NamedTuple):
    """The options for round-trip times and retransmissions: of which connections, or none."""

    active_within: Annotated[int, ACTIVE_WITHIN] = _DEFAULT_CHOICE
    tcp_info: Annotated[
        bool,
        Option(
            "--no-tcp-info",
            "leave out round-trip times and retransmissions: less work with sock_diag",
            action="store_false",
        ),
    ] = True


NOT_MEASURING = Measuring(tcp_info=False)


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
    """The options of `get`; *grouping*, unless it is empty, is used in the place of --group-by."""

    collecting: Collecting = Collecting()
    bounds: Bounds = Bounds()
    measuring: Measuring = Measuring()
    grouping: Annotated[str, Option("", "as --group-by", "GROUPING")] = ""


class DiscoverOptions(NamedTuple):
    """The options of `discover`; *kind* is the list."""

    kind: Annotated[str, Option("", ", ".join(LISTS), "KIND", choices=LISTS)]
    collecting: Collecting = Collecting()
    bounds: Bounds = Bounds()


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
    protocol: Annotated[str, Option("", "tcp or udp", "PROTOCOL")] = ""
    state: Annotated[str, Option("", "such as listen", "STATE")] = ""
    collecting: Collecting = Collecting()
