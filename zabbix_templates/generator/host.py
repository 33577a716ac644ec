"""Metrics of the host and of the collector itself."""

from dataclasses import replace

from zabbix_sockets.document.document import Document

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
        _OF_OWN + "Connections refused because the accept queue of a listener was full"
        " (ListenOverflows).",
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
)

_TOP = """\
var rows = JSON.parse(value).filter(function (row) { return row.id !== '(absent)'; });
rows.sort(function (a, b) { return b.sockets - a.sockets || (a.id < b.id ? -1 : 1); });
function column(text, width) {
    text = String(text);
    while (text.length < width) { text = ' ' + text; }
    return text;
}
return rows.slice(0, 10).map(function (row) {
    return column(row.sockets, 8) + column(row.tcp.established, 8)
        + column(row.tcp.close_wait, 8) + '  ' + row.name;
}).join('\\n');
"""

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
        "collector.warnings",
        "collector.warnings",
        "Collector: Warnings",
        "What a person should know, a line each.",
        kind=Kind.TEXT,
        script="return JSON.parse(value).join('\\n');",
    ),
)

_TOP_PROCESSES = Metric(
    "processes.top",
    "processes",
    "Top 10 processes",
    "The processes with most sockets; the columns are sockets, TCP established, CLOSE_WAIT"
    " and the name.",
    kind=Kind.TEXT,
    script=_TOP,
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

METRICS = described(
    Document,
    (
        *_HOST,
        *(replace(each, component="collector") for each in _COLLECTOR),
        _TOP_PROCESSES,
        *_OTHER,
    ),
)
