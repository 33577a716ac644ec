"""Graphs of the host, which dashboards show."""

from .model import Graph, Line

CONNECTIONS = Graph(
    "TCP connections", (Line("tcp.established", "1A7C11"), Line("tcp.time_wait", "A54F10"))
)
# Those of a moment: beside the thousands of the others no one would see them grow.
STATES = Graph(
    "TCP states",
    (
        Line("tcp.syn_recv", "45CFDB"),
        Line("tcp.syn_sent", "2774A4"),
        Line("tcp.fin_wait1", "AC8C14"),
        Line("tcp.fin_wait2", "5CCD18"),
        Line("tcp.last_ack", "D56BC5"),
        Line("tcp.close_wait", "F63100"),
    ),
)
TROUBLE = Graph(
    "TCP trouble",
    (
        Line("tcp.retransmitted.rate", "2774A4", right_axis=True),
        Line("tcp.listen_drops.rate", "AC8C14", peaks=True),
        Line("tcp.listen_overflows.rate", "F63100", peaks=True),  # above drops: they are among them
    ),
)
COLLECTOR = Graph(
    "Collector time and sockets",
    (
        Line("collector.sockets", "2774A4"),
        Line("collector.seconds", "AC8C14", right_axis=True, peaks=True),
    ),
)
BLIND_SPOTS = Graph(
    "Collector blind spots",
    (
        Line("collector.unowned", "2774A4"),
        Line("collector.denied", "F63100"),
        Line("collector.namespaces_skipped", "AC8C14"),
    ),
)
PORTS = Graph("Ephemeral ports", (Line("ephemeral.worst_pct", "2774A4", peaks=True),), percent=True)
MEMORY = Graph(
    "TCP memory",
    (Line("tcp.memory", "2774A4"), Line("tcp.orphans", "AC8C14", right_axis=True)),
)
WORST_PROCESS = Graph(
    "Worst process",
    (
        Line("processes.worst.close_wait", "F63100"),
        Line("processes.worst.fds_pct", "2774A4", right_axis=True),
    ),
)
WORST_LISTENER = Graph(
    "Worst accept queue",
    (
        Line("listeners.worst.accept_queue_pct", "2774A4", peaks=True),
        Line("tcp.listen_overflows.rate", "F63100", right_axis=True, peaks=True),
    ),
)
OPENS = Graph(
    "TCP connections opened and accepted",
    (
        Line("tcp.active_opens.rate", "1A7C11"),
        Line("tcp.passive_opens.rate", "2774A4"),
        Line("tcp.attempt_fails.rate", "F63100"),
    ),
)
BREAKS = Graph(
    "TCP resets and retransmissions",
    (
        Line("tcp.estab_resets.rate", "F63100"),
        Line("tcp.retransmitted.rate", "2774A4", right_axis=True),
    ),
)

GRAPHS = (
    CONNECTIONS,
    STATES,
    TROUBLE,
    COLLECTOR,
    BLIND_SPOTS,
    PORTS,
    MEMORY,
    WORST_PROCESS,
    WORST_LISTENER,
    OPENS,
    BREAKS,
)
