"""Discovery of upstreams: their metrics, alarms and graphs."""

from zabbix_sockets.document.upstreams import UpstreamRow

from . import macros as m
from . import quality
from .conditions import nearly_full, no_answer, two_levels
from .fields import described
from .model import (
    Condition,
    Graph,
    Line,
    Macro,
    Metric,
    Rule,
    Severity,
    Trigger,
    all_metrics,
)

_METRICS = (
    Metric("established", "established", "Connections", "Connections that can carry data."),
    Metric(
        "syn_sent",
        "syn_sent",
        "Connecting",
        "Connections that wait for its answer.",
    ),
    Metric(
        "ephemeral_pct",
        "ephemeral_pct",
        "Ephemeral ports taken",
        "From one source address, by all processes of the namespace, TIME_WAIT included.",
    ),
    Metric(
        "close_wait",
        "close_wait",
        "CLOSE_WAIT",
        "Connections that it closed and the process has not.",
        default=False,
    ),
    *quality.metrics(("measured", "rtt.p50", "rtt.p95", "retransmitting", "retransmitting_pct")),
)


def _ephemeral(trigger_id: str, name: str, severity: Severity, limit: Macro, worse: str) -> Trigger:
    expression, recovery = nearly_full(
        "ephemeral_pct", limit, m.EPHEMERAL_TIME, m.EPHEMERAL_CONTROL
    )
    return Trigger(
        id=trigger_id,
        name=name,
        event_name=f"{name}: {{ITEM.LASTVALUE1}} taken (over {limit}% for {m.EPHEMERAL_TIME})",
        severity=severity,
        expression=expression,
        recovery=recovery,
        description="When no port is left, connecting to it fails with EADDRNOTAVAIL. Look whether"
        " the client opens a connection for each request: keep-alive or a pool is the remedy;"
        " else more source addresses, or a wider net.ipv4.ip_local_port_range.",
        scope="capacity",
        depends_on=worse,
    )


_SYN_SENT = no_answer(
    ("syn_sent", "established"),
    (m.SYN_SENT_UPSTREAM, m.SYN_SENT_UPSTREAM_PCT),
    m.SYN_SENT_TIME,
    m.SYN_SENT_CONTROL,
    Severity.HIGH,
    "It does not answer: it is down, its own accept queue is full, or a firewall drops. Try to"
    " reach it from this host, then look at it.",
)

RULE = Rule(
    kind="upstreams",
    name="Upstreams discovery",
    title="Upstream {#ID}",
    description="Remote ends to which processes connect. None, until the macro"
    f" {m.UPSTREAM_MATCHES} selects some.",
    rows='$.upstreams[?(@.id != "(absent)")]',
    metrics=described(UpstreamRow, _METRICS),
    triggers=(
        *two_levels(
            _ephemeral,
            "ephemeral",
            ("Ephemeral ports run low", "Ephemeral ports run out"),
            (m.EPHEMERAL_WARN, m.EPHEMERAL_HIGH),
        ),
        _SYN_SENT,
        quality.SLOW,
        quality.retransmitting(
            Severity.AVERAGE,
            "Segments on the way to this upstream get lost: the way is full or broken, or it can't"
            " keep up. Look at the way (mtr) and at the upstream's own host.",
        ),
    ),
    graphs=(
        Graph("Connections", (Line("established", "1A7C11"), Line("syn_sent", "2774A4"))),
        quality.ROUND_TRIPS,
    ),
    conditions=(
        Condition("{#ID}", str(m.UPSTREAM_MATCHES)),
        Condition("{#ID}", str(m.UPSTREAM_NOT_MATCHES), negated=True),
        Condition("{#NETNS}", str(m.NETNS_MATCHES)),
    ),
    overrides=(all_metrics(m.MORE_UPSTREAM),),
    tags=(("upstream", "{#ID}"), ("process", "{#PROCESS}")),
)
