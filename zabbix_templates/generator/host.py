"""Metrics of the host and of the collector itself."""

from dataclasses import replace

from zabbix_sockets.document.document import Document

from . import macros as m
from . import ranks
from .fields import described
from .model import Kind, Metric

_TCP_STATES = (
    ("established", "Connections that can carry data."),
    ("syn_sent", "Outbound connections that wait for an answer: many mean an upstream is down."),
    ("syn_recv", "Inbound connections that wait for the last packet of the handshake."),
    ("fin_wait1", "Closed here; the other side has not acknowledged that yet."),
    ("fin_wait2", "Closed here and acknowledged; the other side has not closed yet."),
    ("time_wait", "Closed on both sides; the port rests for a minute."),
    ("close_wait", "Closed by the other side, and not yet by the process here."),
    ("last_ack", "Closed on both sides; the last acknowledgement is on its way."),
    ("listen", "Listening sockets."),
    ("closing", "Closed on both sides at the same moment."),
)

_OF_OWN = "Of the collector's own network namespace. "

_STATES = tuple(
    Metric(f"tcp.{state}", f"host.tcp.{state}", f"TCP {state.upper()}", _OF_OWN + meaning)
    for state, meaning in _TCP_STATES
)

_TOTALS = (
    (
        "tcp.active_opens",
        "active_opens",
        "TCP connections opened",
        "Attempts to connect (ActiveOpens).",
    ),
    (
        "tcp.passive_opens",
        "passive_opens",
        "TCP connections from outside",
        "Handshakes from outside that were completed (PassiveOpens).",
    ),
    (
        "tcp.attempt_fails",
        "attempt_fails",
        "TCP attempts failed",
        "That failed before they were established, begun here or outside (AttemptFails).",
    ),
    (
        "tcp.estab_resets",
        "estab_resets",
        "TCP connections reset",
        "Established connections that ended with a reset, from either side (EstabResets).",
    ),
    (
        "tcp.out_rsts",
        "out_rsts",
        "TCP resets sent",
        "Where nobody listens, or by a process that closes without having read all (OutRsts).",
    ),
    (
        "tcp.syn_cookies_sent",
        "syn_cookies_sent",
        "TCP SYN cookies sent",
        "Instead of remembering who begins a handshake, as those are too many (SyncookiesSent).",
    ),
    (
        "udp.in_errors",
        "udp_in_errors",
        "UDP datagrams dropped",
        "That came and reached no process, for whatever reason (InErrors).",
    ),
    (
        "udp.rcvbuf_errors",
        "udp_rcvbuf_errors",
        "UDP datagrams dropped, receive buffer full",
        "Of those dropped the ones for which a socket had no room (RcvbufErrors).",
    ),
    (
        "udp.no_ports",
        "udp_no_ports",
        "UDP datagrams to closed ports",
        "That came for a port which no process has (NoPorts).",
    ),
)
"""Counters of /proc/net/snmp and /proc/net/netstat: key, field, name and meaning."""

_HOST = (
    *_STATES,
    Metric("udp.bound", "host.udp.bound", "UDP bound", _OF_OWN + "UDP sockets without a peer."),
    Metric(
        "udp.connected",
        "host.udp.connected",
        "UDP connected",
        _OF_OWN + "UDP sockets with a peer.",
    ),
    Metric(
        "tcp.orphans",
        "host.orphans",
        "TCP orphans",
        "Connections that no process holds any more and that the kernel still has to close."
        " It resets them where they are too many (net.ipv4.tcp_max_orphans).",
    ),
    Metric(
        "tcp.orphans.limit",
        "host.tcp_max_orphans",
        "TCP orphans limit",
        "Past it the kernel resets them (net.ipv4.tcp_max_orphans).",
    ),
    Metric(
        "tcp.time_wait.limit",
        "host.tcp_max_tw_buckets",
        "TCP TIME_WAIT limit",
        _OF_OWN + "Past it connections are forgotten at once (net.ipv4.tcp_max_tw_buckets).",
    ),
    Metric(
        "tcp.memory",
        "host.tcp_memory_bytes",
        "TCP memory",
        "Memory of all TCP buffers of the whole host.",
    ),
    Metric(
        "tcp.memory.limit",
        "host.tcp_memory_limit_bytes",
        "TCP memory limit",
        "The third number of net.ipv4.tcp_mem: past it the kernel drops packets and connections.",
    ),
    Metric(
        "tcp.listen_overflows.rate",
        "host.listen_overflows",
        "TCP accept queue overflows per second",
        _OF_OWN + "How often a connection was refused because the accept queue of a listener was"
        " full (ListenOverflows). Clients try again and again: each attempt counts, about four in"
        " the first ten seconds of one client.",
        throttled=False,
    ),
    Metric(
        "tcp.listen_drops.rate",
        "host.listen_drops",
        "TCP listen drops per second",
        _OF_OWN + "Connections dropped by listeners for whatever reason, overflows among them"
        " (ListenDrops).",
        throttled=False,
    ),
    Metric(
        "tcp.retransmitted.rate",
        "host.retransmitted_segments",
        "TCP segments retransmitted per second",
        _OF_OWN + "Segments sent again (RetransSegs): loss or congestion on some way.",
    ),
    *(
        Metric(f"{key}.rate", f"host.totals.{field}", f"{name} per second", _OF_OWN + meaning)
        for key, field, name, meaning in _TOTALS
    ),
    Metric(
        "ephemeral.size",
        "host.ephemeral.size",
        "Ephemeral ports",
        _OF_OWN + "How many ports the kernel has for outbound connections from one address to one"
        " destination (net.ipv4.ip_local_port_range).",
    ),
    Metric(
        "ephemeral.worst",
        "host.ephemeral.worst_used",
        "Ephemeral ports, taken to one destination",
        _OF_OWN + "From one source address to the destination that takes most, TIME_WAIT included.",
    ),
    Metric(
        "ephemeral.worst_pct",
        "host.ephemeral.worst_pct",
        "Ephemeral ports, share taken to one destination",
        _OF_OWN + "From one source address to the destination that takes most. At 100 % connecting"
        " fails with EADDRNOTAVAIL.",
    ),
    Metric(
        "ephemeral.worst_endpoint",
        "host.ephemeral.worst_endpoint",
        "Ephemeral ports, destination that takes most",
        _OF_OWN + "Protocol, address and port.",
    ),
    Metric("uptime", "host.uptime", "Uptime", "Time since boot."),
    Metric(
        "unseen.process",
        "host.unseen.id",
        "Process without items that has most connections stuck",
        "Of the processes that have no row: not settled yet, as a client in its first ten minutes,"
        " or left out. In all network namespaces.",
    ),
    Metric(
        "unseen.stuck",
        "host.unseen.stuck",
        "Process without items, connections stuck",
        "In CLOSE_WAIT and SYN_SENT together.",
    ),
)

_COLLECTOR = (
    Metric("version", "version", "Collector: Version", "Of zabbix-sockets."),
    Metric(
        "complete",
        "complete",
        "Collector: Complete",
        "All three lists are complete: nothing truncated, denied, skipped or timed out. Where it is"
        " no, the lists and warnings below say what is missing.",
    ),
    *(
        Metric(
            f"complete.{name}",
            f"lists.{name}",
            f"Collector: List of {name} complete",
            "Only from a complete list can a row be missing because there is no such thing. From"
            " a list that is not, no zero is stored.",
        )
        for name in ("processes", "listeners", "upstreams")
    ),
    Metric(
        "collector.source",
        "collector.source",
        "Collector: Source",
        "What was read: bpf (best), sock_diag or procfs.",
    ),
    Metric(
        "collector.reason",
        "collector.reason",
        "Collector: Why no better source",
        "Empty for the best one.",
        kind=Kind.TEXT,
    ),
    Metric(
        "collector.degraded",
        "collector.degraded",
        "Collector: Degraded",
        "A better source is possible on this host: the iterators could be loaded.",
    ),
    Metric(
        "collector.grouping",
        "collector.grouping",
        "Collector: Rows of processes are",
        "process, unit, container or user.",
    ),
    Metric(
        "collector.ownership",
        "collector.ownership",
        "Collector: Ownership by",
        "descriptors: the processes that hold a descriptor; cgroups: the cgroup that made it.",
    ),
    Metric(
        "collector.seconds",
        "collector.seconds",
        "Collector: Time",
        "What reading sockets and owners took.",
        throttled=False,
    ),
    Metric(
        "collector.sockets",
        "collector.sockets",
        "Collector: Sockets",
        "All sockets read, in all network namespaces.",
    ),
    Metric(
        "collector.unowned",
        "collector.unowned",
        "Collector: Sockets without a known owner",
        "Sockets of the kernel, descriptors in flight, and those of processes that may not be"
        " inspected.",
    ),
    Metric(
        "collector.unaccepted",
        "collector.unaccepted",
        "Collector: Connections not accepted",
        "Complete, but not yet accepted by any process.",
    ),
    Metric(
        "collector.denied",
        "collector.denied_processes",
        "Collector: Processes denied",
        "Processes that may not be inspected: load the BPF iterators (zabbix-sockets load).",
    ),
    Metric(
        "collector.vanished",
        "collector.vanished_processes",
        "Collector: Processes vanished",
        "Processes that ended while they were asked.",
    ),
    Metric(
        "collector.namespaces",
        "collector.namespaces",
        "Collector: Network namespaces",
        "Read to the end, the own one included.",
    ),
    Metric(
        "collector.namespaces_skipped",
        "collector.namespaces_skipped",
        "Collector: Network namespaces skipped",
        "Not read to the end.",
    ),
    Metric(
        "collector.totals.keys",
        "collector.totals.keys",
        "Collector: Processes and listeners counted",
        "Those that have totals in the kernel, of 16,383. Nothing is stored where none have.",
    ),
    Metric(
        "collector.totals.overflow",
        "collector.totals.overflow",
        "Collector: No room to count, per second",
        "How often there was none for a further process, listener or connection.",
    ),
    Metric(
        "collector.totals.missed",
        "collector.totals.missed",
        "Collector: Connections not counted, per second",
        "Those of which nothing was known when they ended.",
    ),
    *(
        Metric(
            f"collector.truncated.{name}",
            f"collector.truncated.{name}",
            f"Collector: {name.capitalize()} left out",
            "Rows beyond the document's bounds; `other` in the document has their sums.",
        )
        for name in ("processes", "listeners", "upstreams")
    ),
    Metric(
        "collector.not_admitted",
        "collector.not_admitted",
        "Collector: Rows left out of discovery",
        "Processes and listeners of the host's own network namespace that are not discovered, since"
        " the collector admits only so many new ones a day, of each user and in all"
        " (docs/document.md, Admission).",
    ),
    Metric(
        "collector.warnings",
        "collector.warnings",
        "Collector: Warnings",
        "What a person should know, a line each.",
        kind=Kind.TEXT,
        script="return JSON.parse(value).join('\\n');",
    ),
)

_ERROR = Metric(
    "collector.error",
    "error",
    "Collector: Error",
    "Why there is no document; empty while there is one. Every document stores one.",
    kind=Kind.TEXT,
    throttled=False,
    otherwise="",
    component="collector",
)
"""It is in no document: it comes instead of one."""

_IS_DISCOVERED = (
    f'@.id =~ "{m.UPSTREAM_MATCHES}" && !(@.id =~ "{m.UPSTREAM_NOT_MATCHES}")'
    f' && @.netns =~ "{m.NETNS_MATCHES}"'
)


def _drops(protocol: str, name: str, meaning: str) -> Metric:
    """Return the metric of what the discovered listeners of a protocol drop together."""
    return Metric(
        f"listeners.{protocol}_drops.rate",
        "listeners",
        name,
        f"{_OF_OWN}{meaning} While their own alarms tell of it, the host's don't.",
        kind=Kind.FLOAT,
        inner=f'$[?(@.protocol == "{protocol}" && @.netns == "" && @.ephemeral <= {m.EPHEMERAL}'
        f' && @.id =~ "{m.LISTENER_MATCHES}" && !(@.id =~ "{m.LISTENER_NOT_MATCHES}")'
        ")].drops.sum()",
        rate=True,
    )


# What alarms of one row can't ask of the rows of another rule: whether these tell already.
_SHARED = (
    Metric(
        "listeners.fullest",
        "listeners",
        "Accept queue, fullest that has an alarm",
        _OF_OWN + "In % of its backlog, of the discovered listeners at which at least as many wait"
        f" as {m.ACCEPT_MIN.without_context()} says. While its own alarm tells of it, those on"
        " overflows and drops don't.",
        kind=Kind.FLOAT,
        units="%",
        inner=f'$[?(@.netns == "" && @.protocol != "unix" && @.ephemeral <= {m.EPHEMERAL}'
        f' && @.id =~ "{m.LISTENER_MATCHES}" && !(@.id =~ "{m.LISTENER_NOT_MATCHES}")'
        f" && @.accept_queue >= {m.ACCEPT_MIN.without_context()})].accept_queue_pct.max()",
        otherwise="0",
    ),
    _drops(
        "tcp",
        "Attempts dropped per second at listeners with an alarm",
        "Of the discovered TCP listeners: attempts to connect.",
    ),
    _drops(
        "udp",
        "Datagrams dropped per second at listeners with an alarm",
        "Of the discovered UDP listeners.",
    ),
    Metric(
        "upstreams.waiting",
        "upstreams",
        "Processes with an upstream that does not answer",
        "Of the discovered upstreams, by name. While their own alarms tell of it, those of the"
        " processes don't.",
        kind=Kind.TEXT,
        inner=f"$[?(@.syn_sent > {m.SYN_SENT_UPSTREAM.without_context()}"
        f" && {_IS_DISCOVERED})].process",
        otherwise="[]",
    ),
    Metric(
        "upstreams.retransmitting",
        "upstreams",
        "Processes with an upstream to which they retransmit",
        "Of the discovered upstreams, by name. While their own alarms tell of it, those of the"
        " processes don't.",
        kind=Kind.TEXT,
        inner=f"$[?(@.retransmitting >= {m.RETRANSMITTING_MIN.without_context()}"
        f" && @.retransmitting_pct > {m.RETRANSMITTING_PCT.without_context()}"
        f" && {_IS_DISCOVERED})].process",
        otherwise="[]",
    ),
)

_OTHER = tuple(
    Metric(
        f"other.{name}.{path}",
        f"other.{name}.{path}",
        f"Left out {name}: {label}",
        "Sum of the rows that the document's bounds left out, which no discovered row has.",
    )
    for name, path, label in (
        ("processes", "sockets", "Sockets"),
        ("processes", "tcp.established", "TCP ESTABLISHED"),
        ("processes", "tcp.close_wait", "TCP CLOSE_WAIT"),
        ("listeners", "sockets", "Sockets"),
        ("listeners", "established", "Connections"),
        ("upstreams", "established", "Connections"),
        ("upstreams", "syn_sent", "Connecting"),
    )
)

_MAP = (
    Metric(
        "map.listeners",
        "map.listeners",
        "Map: Addresses and listeners",
        "What others may reach here, for `zabbix-sockets provision map`: the host's own addresses,"
        " and listeners with their process and container, a line each (docs/map.md).",
        kind=Kind.TEXT,
        hourly=True,
    ),
    Metric(
        "map.upstreams",
        "map.upstreams",
        "Map: Upstreams",
        "To whom processes connect by TCP, for `zabbix-sockets provision map`: the process and the"
        " remote end, a line each (docs/map.md).",
        kind=Kind.TEXT,
        hourly=True,
    ),
)
"""Of what a server's map is drawn."""

METRICS = (
    *described(
        Document,
        (
            *_HOST,
            *(replace(each, component="collector") for each in _COLLECTOR),
            *ranks.TEXTS,
            *ranks.WORST,
            *_OTHER,
            *_MAP,
        ),
    ),
    _ERROR,
    *_SHARED,
)
