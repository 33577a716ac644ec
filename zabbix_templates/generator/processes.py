"""Discovery of processes: their metrics, alarms and graphs."""

from zabbix_sockets.document.processes import ProcessRow

from . import macros as m
from . import quality
from .conditions import nearly_full, no_answer, over, share_over, share_under, two_levels
from .fields import described
from .model import (
    Condition,
    Graph,
    Line,
    Macro,
    Metric,
    Override,
    Rule,
    Severity,
    Trigger,
    all_metrics,
)

_STATES = (
    ("syn_recv", "Inbound connections in the handshake."),
    ("fin_wait1", "Closed here, not yet acknowledged by the other side."),
    ("fin_wait2", "Closed here, not yet closed by the other side."),
    ("last_ack", "Closed on both sides, the last acknowledgement on its way."),
    ("closing", "Closed on both sides at the same moment."),
)

_METRICS = (
    Metric("sockets", "sockets", "Sockets", "All its TCP and UDP sockets."),
    Metric(
        "tcp.established",
        "tcp.established",
        "TCP ESTABLISHED",
        "Connections that can carry data.",
    ),
    Metric(
        "tcp.close_wait",
        "tcp.close_wait",
        "TCP CLOSE_WAIT",
        "Connections that the other side has closed and the process has not: where they stay,"
        " it forgets to close them, and each keeps a descriptor.",
    ),
    Metric(
        "tcp.syn_sent",
        "tcp.syn_sent",
        "TCP SYN_SENT",
        "Connections that wait for the other side's answer.",
    ),
    Metric(
        "fds_max_pct",
        "fds_max_pct",
        "File descriptors used",
        "Of the process of that name that is nearest to its own limit (ulimit -n, LimitNOFILE=).",
    ),
    Metric(
        "instances",
        "instances",
        "Processes",
        "Live processes of that name that hold sockets.",
        default=False,
    ),
    Metric(
        "denied_instances",
        "denied_instances",
        "Processes denied",
        "Processes of that name that may not be inspected.",
        default=False,
    ),
    Metric("tcp.listen", "tcp.listen", "TCP LISTEN", "Listening sockets.", default=False),
    Metric(
        "tcp.inbound",
        "tcp.inbound",
        "TCP ESTABLISHED inbound",
        "Connections that one of its host's listeners accepted.",
        default=False,
    ),
    Metric(
        "tcp.outbound",
        "tcp.outbound",
        "TCP ESTABLISHED outbound",
        "Connections that it opened.",
        default=False,
    ),
    Metric(
        "tcp.unknown",
        "tcp.unknown",
        "TCP ESTABLISHED of unknown direction",
        "No listener, and a local port that the kernel doesn't pick.",
        default=False,
    ),
    *(
        Metric(f"tcp.{state}", f"tcp.{state}", f"TCP {state.upper()}", meaning, default=False)
        for state, meaning in _STATES
    ),
    Metric("udp.bound", "udp.bound", "UDP bound", "UDP sockets without a peer.", default=False),
    Metric(
        "udp.connected", "udp.connected", "UDP connected", "UDP sockets with a peer.", default=False
    ),
    Metric(
        "recv_queue",
        "recv_queue_bytes",
        "Receive queues",
        "Bytes that have come and that it has not read.",
        default=False,
    ),
    Metric(
        "send_queue",
        "send_queue_bytes",
        "Send queues",
        "Bytes that the other sides have not acknowledged.",
        default=False,
    ),
    Metric(
        "accept_queue",
        "accept_queue",
        "Accept queues",
        "Connections that wait to be accepted.",
        default=False,
    ),
    Metric(
        "accept_queue_max_pct",
        "accept_queue_max_pct",
        "Accept queue, fullest",
        "Of its listener whose accept queue is fullest.",
        default=False,
    ),
    *quality.metrics(("retransmitting", "retransmitting_pct")),
)

_CLOSE_WAIT_SHARE = Trigger(
    id="close_wait_share",
    name="Connections stay in CLOSE_WAIT",
    event_name="{ITEM.LASTVALUE1} connections stay in CLOSE_WAIT"
    f" (over {m.CLOSE_WAIT_PCT}% for {m.CLOSE_WAIT_TIME})",
    severity=Severity.AVERAGE,
    expression=f"{over('tcp.close_wait', m.CLOSE_WAIT_MIN, m.CLOSE_WAIT_TIME, '>=')} and "
    + share_over("tcp.close_wait", "tcp.established", m.CLOSE_WAIT_PCT, m.CLOSE_WAIT_TIME)
    + f" and {m.CLOSE_WAIT_CONTROL}=1",
    recovery=f"max(<tcp.close_wait>,{m.CLOSE_WAIT_TIME})<{m.CLOSE_WAIT_MIN} or "
    + share_under("tcp.close_wait", "tcp.established", m.CLOSE_WAIT_PCT, m.CLOSE_WAIT_TIME)
    + f" or {m.CLOSE_WAIT_CONTROL}=0",
    description="The other sides closed these connections, and the process does not: it leaks"
    " them, and with them descriptors and memory. Look at whom they are with first"
    " (zabbix-sockets show sockets --state close_wait), then at how the process handles the end"
    " of a connection: a pool without a check, a thread that hangs. A restart frees them.",
    scope="performance",
)

_CLOSE_WAIT_GROWTH = Trigger(
    id="close_wait_growth",
    name="CLOSE_WAIT grows",
    event_name="CLOSE_WAIT grows: {ITEM.LASTVALUE1} connections"
    f" (in {m.CLOSE_WAIT_GROWTH_TIME} at least {m.CLOSE_WAIT_GROWTH} more than in as long before,"
    " and still)",
    severity=Severity.WARNING,
    # The fewest of each window: a burst is no growth. And still growing: a single step is a pool
    # that rests and whose other side has closed. Only 255 bytes of a function's parameter count,
    # the rest is cut off without a word: two macros with an id of 64 bytes, but not three.
    expression=f"min(<tcp.close_wait>,{m.CLOSE_WAIT_TIME})"
    f">=min(<tcp.close_wait>,{m.CLOSE_WAIT_GROWTH_TIME})+{m.CLOSE_WAIT_GROWTH}"
    f" and min(<tcp.close_wait>,{m.CLOSE_WAIT_GROWTH_TIME})"
    f">=min(<tcp.close_wait>,{m.CLOSE_WAIT_GROWTH_TIME}:now-{m.CLOSE_WAIT_GROWTH_TIME})"
    f"+{m.CLOSE_WAIT_GROWTH} and {m.CLOSE_WAIT_CONTROL}=1",
    recovery=f"min(<tcp.close_wait>,{m.CLOSE_WAIT_GROWTH_TIME})"
    f"<=min(<tcp.close_wait>,{m.CLOSE_WAIT_GROWTH_TIME}:now-{m.CLOSE_WAIT_GROWTH_TIME})"
    f" or {m.CLOSE_WAIT_CONTROL}=0",
    description="Connections that the other side closed become more and more: a slow leak, long"
    " before the descriptors run out. Look at whom they are with (zabbix-sockets show sockets"
    " --state close_wait) and at what the process did when it began.",
    scope="performance",
    depends_on="close_wait_share",
)

_SYN_SENT = no_answer(
    ("tcp.syn_sent", "tcp.established"),
    (m.SYN_SENT, m.SYN_SENT_PCT),
    m.SYN_SENT_TIME,
    m.SYN_SENT_CONTROL,
    Severity.AVERAGE,
    "The process connects to something that does not answer: an upstream that is down, or a"
    " firewall that drops. zabbix-sockets show sockets --state syn_sent says to whom; then try to"
    " reach that address from this host.",
)


def _fds(trigger_id: str, name: str, severity: Severity, limit: Macro, worse: str) -> Trigger:
    expression, recovery = nearly_full("fds_max_pct", limit, m.FDS_TIME, m.FDS_CONTROL)
    return Trigger(
        id=trigger_id,
        name=name,
        event_name=f"{name}: {{ITEM.LASTVALUE1}} of its limit (over {limit}% for {m.FDS_TIME})",
        severity=severity,
        expression=expression,
        recovery=recovery,
        description="At the limit accept(), open() and socket() fail with EMFILE: new connections"
        " are refused or hang. Look whether descriptors leak (ls /proc/PID/fd | wc -l again and"
        " again, CLOSE_WAIT), else raise LimitNOFILE= of its unit.",
        scope="capacity",
        depends_on=worse,
    )


_USUAL = Trigger(
    id="usual",
    name="Far more connections than usual",
    event_name=f"Far more connections than usual: {{ITEM.LASTVALUE1}}, over {m.USUAL_FACTOR}"
    f" times the usual level for {m.USUAL_TIME}",
    severity=Severity.WARNING,
    expression=f"min(<tcp.established>,{m.USUAL_TIME})>{m.USUAL_FACTOR}"
    f"*trendavg(<tcp.established>,{m.USUAL_PERIOD})"
    f" and {over('tcp.established', m.USUAL_MIN, m.USUAL_TIME)} and {m.USUAL_CONTROL}=1",
    recovery=f"max(<tcp.established>,{m.USUAL_TIME})<=0.8*{m.USUAL_FACTOR}"
    f"*trendavg(<tcp.established>,{m.USUAL_PERIOD})"
    f" or max(<tcp.established>,{m.USUAL_TIME})<={m.USUAL_MIN} or {m.USUAL_CONTROL}=0",
    description="A rush, an attack, a pool that grows without bound, or clients that connect again"
    " and again. Look at the other ends: zabbix-sockets show sockets.",
    scope="performance",
    default=False,
)

RULE = Rule(
    kind="processes",
    name="Processes discovery",
    title="Process {#PROCESS}",
    description="Processes by name that listen, or of which one is older than 10 minutes.",
    rows="$.processes[?(@.settled == 1)]",
    metrics=described(ProcessRow, _METRICS),
    triggers=(
        _CLOSE_WAIT_SHARE,
        _CLOSE_WAIT_GROWTH,
        _SYN_SENT,
        *two_levels(
            _fds, "fds", ("Descriptors run low", "Descriptors run out"), (m.FDS_WARN, m.FDS_HIGH)
        ),
        quality.retransmitting(
            Severity.WARNING,
            "Segments of many of its connections get lost: a way is full or broken, a network card"
            " or its driver drops, or the other sides can't keep up. Look with whom: zabbix-sockets"
            " show sockets --tcp-info; then at the network's own counters (ip -s link).",
        ),
        _USUAL,
    ),
    graphs=(
        Graph(
            "TCP connections",
            (
                Line("tcp.established", "1A7C11"),
                Line("tcp.close_wait", "F63100"),
                Line("tcp.syn_sent", "2774A4"),
            ),
        ),
    ),
    conditions=(
        Condition("{#PROCESS}", str(m.PROCESS_MATCHES)),
        Condition("{#PROCESS}", str(m.PROCESS_NOT_MATCHES), negated=True),
    ),
    overrides=(
        all_metrics(m.MORE_PROCESS),
        Override(
            "Usual level",
            (Condition("{#ID}", str(m.USUAL_MATCHES)),),
            discover=True,
            triggers=": Far more connections than usual$",
        ),
    ),
    tags=(("process", "{#PROCESS}"),),
)
