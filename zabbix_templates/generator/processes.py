"""Discovery of processes: their metrics, alarms and graphs."""

from zabbix_sockets.document.processes import ProcessRow

from . import macros as m
from . import quality, traffic
from .conditions import (
    either,
    has_trend,
    known,
    nearly_full,
    no_answer,
    over,
    share_over,
    share_under,
    two_levels,
)
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
        "unix.listen",
        "unix.listen",
        "Unix listening",
        "Listening unix sockets, of streams and of packets.",
        default=False,
    ),
    Metric(
        "unix.connected",
        "unix.connected",
        "Unix connected",
        "Unix sockets with a connection, at either end of it.",
        default=False,
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
    Metric(
        "drops.rate",
        "drops",
        "Drop rate",
        "What the kernel drops per second at its UDP sockets and its listeners. It forgets what a"
        " socket dropped when that closes; such a change is no rate.",
        default=False,
    ),
    Metric(
        "worst_remote",
        "worst_remote",
        "Remote end in trouble",
        "With whom most of the connections are that are stuck, in CLOSE_WAIT or SYN_SENT. Nothing"
        " is stored while fewer than five are.",
    ),
    *quality.metrics(("retransmitting", "retransmitting_pct")),
    *traffic.metrics(  # their connections go to many places
        ("handshake_mean", "lifetime_mean"), asked=("failed_pct",)
    ),
)

_WITH = "<?worst_remote>"

_CLOSE_WAIT_SHARE = Trigger(
    id="close_wait_share",
    name="Connections stay in CLOSE_WAIT",
    event_name=f"<tcp.close_wait> connections stay in CLOSE_WAIT, most with {_WITH}"
    f" (for {m.CLOSE_WAIT_TIME} {m.CLOSE_WAIT_MIN} or more and {m.CLOSE_WAIT_PCT}% of them and"
    f" those established, or {m.CLOSE_WAIT_MAX})",
    now="<tcp.close_wait> in CLOSE_WAIT, <tcp.established> established",
    severity=Severity.AVERAGE,
    expression=f"{over('tcp.close_wait', m.CLOSE_WAIT_MIN, m.CLOSE_WAIT_TIME, '>=')} and "
    + either(
        share_over("tcp.close_wait", "tcp.established", m.CLOSE_WAIT_PCT, m.CLOSE_WAIT_TIME),
        f"min(<tcp.close_wait>,{m.CLOSE_WAIT_TIME})>={m.CLOSE_WAIT_MAX}"
        f" and last(<tcp.close_wait>,#1:now-{m.CLOSE_WAIT_TIME})>={m.CLOSE_WAIT_MAX}",
    )
    + f" and {m.CLOSE_WAIT_CONTROL}=1",
    recovery="("
    + either(
        f"max(<tcp.close_wait>,{m.CLOSE_WAIT_TIME})<{m.CLOSE_WAIT_MIN}",
        share_under("tcp.close_wait", "tcp.established", m.CLOSE_WAIT_PCT, m.CLOSE_WAIT_TIME)
        + f" and max(<tcp.close_wait>,{m.CLOSE_WAIT_TIME})<0.8*{m.CLOSE_WAIT_MAX}",
    )
    + f" and {known('tcp.close_wait', m.CLOSE_WAIT_TIME)}) or {m.CLOSE_WAIT_CONTROL}=0",
    description="The other sides closed these connections, and the process does not: it leaks"
    " them, and with them descriptors and memory. Look at whom they are with first"
    " (`zabbix-sockets show sockets --filter 'state close-wait'`), then at how the process handles"
    " the end of a connection: a pool without a check, a thread that hangs. A restart frees them.",
    scope="performance",
)

_CLOSE_WAIT_GROWTH = Trigger(
    id="close_wait_growth",
    name="CLOSE_WAIT grows",
    event_name=f"CLOSE_WAIT grows: <tcp.close_wait> connections, most with {_WITH}"
    f" (in {m.CLOSE_WAIT_GROWTH_TIME} at least {m.CLOSE_WAIT_GROWTH} more than in as long before,"
    " and still)",
    now="<tcp.close_wait> in CLOSE_WAIT",
    severity=Severity.WARNING,
    # The fewest of each window: a burst is no growth. And still growing: a single step is a pool
    # that rests and whose other side has closed. Only 255 bytes of a function's parameter count,
    # the rest is cut off without a word: two macros with an id of 64 bytes, but not three.
    expression=f"min(<tcp.close_wait>,{m.CLOSE_WAIT_TIME})"
    f">=min(<tcp.close_wait>,{m.CLOSE_WAIT_GROWTH_TIME})+{m.CLOSE_WAIT_GROWTH}"
    f" and min(<tcp.close_wait>,{m.CLOSE_WAIT_GROWTH_TIME})"
    f">=min(<tcp.close_wait>,{m.CLOSE_WAIT_GROWTH_TIME}:now-{m.CLOSE_WAIT_GROWTH_TIME})"
    f"+{m.CLOSE_WAIT_GROWTH} and {known('tcp.close_wait', m.CLOSE_WAIT_TIME)}"
    f" and {m.CLOSE_WAIT_CONTROL}=1",
    recovery=f"(min(<tcp.close_wait>,{m.CLOSE_WAIT_GROWTH_TIME})"
    f"<=min(<tcp.close_wait>,{m.CLOSE_WAIT_GROWTH_TIME}:now-{m.CLOSE_WAIT_GROWTH_TIME})"
    f" and {known('tcp.close_wait', m.CLOSE_WAIT_GROWTH_TIME)}) or {m.CLOSE_WAIT_CONTROL}=0",
    description="Connections that the other side closed become more and more: a slow leak, long"
    " before the descriptors run out. Look at whom they are with first"
    " (`zabbix-sockets show sockets --filter 'state close-wait'`), then at what the process did"
    " when it began.",
    scope="performance",
    depends_on=("close_wait_share",),
)


def _unless(item: str) -> str:
    """Return the condition that no discovered upstream of the process has this alarm of its own.

    A dependency on a prototype of another rule is lost on hosts.
    """
    return f' and find(<host/{item}>,,"like","\\"{{#ID}}\\"")=0'


_SYN_SENT = no_answer(
    ("tcp.syn_sent", "tcp.established"),
    (m.SYN_SENT, m.SYN_SENT_PCT),
    m.SYN_SENT_TIME,
    m.SYN_SENT_CONTROL,
    Severity.AVERAGE,
    "The process connects to something that does not answer: an upstream that is down, or a"
    " firewall that drops. Look to whom first (`zabbix-sockets show sockets --filter 'state"
    " syn-sent'`), then try to reach that address from this host. Silent while an upstream of the"
    " process has this alarm itself.",
    to=f", most to {_WITH}",
    also=_unless("upstreams.waiting"),
)


def _fds(
    trigger_id: str, name: str, severity: Severity, limit: Macro, worse: tuple[str, ...]
) -> Trigger:
    expression, recovery = nearly_full("fds_max_pct", limit, m.FDS_TIME, m.FDS_CONTROL)
    return Trigger(
        id=trigger_id,
        name=name,
        event_name=f"{name}: <fds_max_pct> of the limit of one of its processes"
        f" (over {limit}% for {m.FDS_TIME})",
        now="<fds_max_pct> of the limit",
        severity=severity,
        expression=expression,
        recovery=recovery,
        description="At the limit accept(), open() and socket() fail with EMFILE: new connections"
        " are refused or hang. Look first whether sockets leak (`zabbix-sockets show sockets"
        " --filter 'state close-wait'`), then at which files the process has (ls -l /proc/PID/fd);"
        " else raise LimitNOFILE= of its unit.",
        scope="capacity",
        depends_on=worse,
    )


_USUAL = Trigger(
    id="usual",
    name="Far more connections than usual",
    event_name=f"Far more connections than usual: <tcp.established>, over {m.USUAL_FACTOR}"
    f" times the usual level for {m.USUAL_TIME}",
    now="<tcp.established> established",
    severity=Severity.WARNING,
    expression=f"min(<tcp.established>,{m.USUAL_TIME})>{m.USUAL_FACTOR}"
    f"*trendavg(<tcp.established>,{m.USUAL_PERIOD}) and {has_trend('tcp.established')}"
    f" and {over('tcp.established', m.USUAL_MIN, m.USUAL_TIME)} and {m.USUAL_CONTROL}=1",
    recovery=f"(max(<tcp.established>,{m.USUAL_TIME})<=0.8*{m.USUAL_FACTOR}"
    f"*trendavg(<tcp.established>,{m.USUAL_PERIOD})"
    f" or max(<tcp.established>,{m.USUAL_TIME})<={m.USUAL_MIN})"
    f" and {known('tcp.established', m.USUAL_TIME)} or {m.USUAL_CONTROL}=0",
    description="A rush, an attack, a pool that grows without bound, or clients that connect again"
    " and again. Look at the other ends first (`zabbix-sockets show sockets --filter 'state"
    " established'`), then at the rate of new connections (nstat -az TcpPassiveOpens).",
    scope="performance",
    default=False,
)

RULE = Rule(
    kind="processes",
    name="Processes discovery",
    title="Process {#PROCESS}",
    description="Processes by name that listen, or of which one is older than 10 minutes, as far as"
    " the collector admits them.",
    # One that is admitted was settled once.
    rows=f"$.processes[?(@.settled == 1 && {m.ADMITTED} || @.admitted > 0 && {m.ADMITTED})]",
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
            " or its driver drops, or the other sides can't keep up. Look with whom first"
            " (`zabbix-sockets show sockets --tcp-info --filter 'state established'`), then at the"
            " network's own counters (ip -s link). Silent while an upstream of the process has this"
            " alarm itself.",
            also=_unless("upstreams.retransmitting"),
        ),
        traffic.attempts_fail(
            "Most of what the process connects to refuses, is unreachable or doesn't answer."
            " Look first to whom (`zabbix-sockets show upstreams`), then into its log, and try to"
            " reach that address from this host.",
        ),
        traffic.resets(
            "Most connections of the process end by a reset of the other side instead of a close."
            " Look first with whom it has them (`zabbix-sockets show sockets --filter 'state"
            " established'`), then into its log ('Connection reset by peer'), and at timeouts of"
            " firewalls and balancers in between.",
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
        traffic.OPENED,
        traffic.BYTES,
    ),
    # In the order of the macros: the server has another one as changed at each import.
    conditions=(
        Condition("{#NETNS}", str(m.NETNS_MATCHES)),
        Condition("{#PROCESS}", str(m.PROCESS_MATCHES)),
        Condition("{#PROCESS}", str(m.PROCESS_NOT_MATCHES), negated=True),
    ),
    overrides=(
        all_metrics(m.MORE_PROCESS),
        traffic.resets_of(m.RESETS_PROCESS),
        Override(
            "Usual level",
            (Condition("{#ID}", str(m.USUAL_MATCHES)),),
            discover=True,
            triggers=": Far more connections than usual$",
        ),
    ),
    tags=(("process", "{#PROCESS}"),),
)
