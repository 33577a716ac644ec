"""Discovery of upstreams: their metrics, alarms and graphs."""

from zabbix_sockets.document.upstreams import UpstreamRow

from . import macros as m
from . import quality, traffic
from .conditions import either, nearly_full, no_answer, two_levels
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
    *traffic.metrics(
        ("accepted",),
        every=("opened", "handshake", "closed", "lifetime"),
        chosen=("handshake",),
    ),
)


def _ephemeral(
    trigger_id: str, name: str, severity: Severity, limit: Macro, worse: tuple[str, ...]
) -> Trigger:
    # The host's alarm is on the destination that takes most: the same cause. A dependency would let
    # both fire where the values of one document are evaluated by two processes of the server.
    expression, recovery = nearly_full(
        "ephemeral_pct", limit, m.EPHEMERAL_TIME, m.EPHEMERAL_CONTROL, _unless_the_host_tells(limit)
    )
    return Trigger(
        id=trigger_id,
        name=name,
        event_name=f"{name}: <ephemeral_pct> of those that one source address has are taken"
        f" (over {limit}% for {m.EPHEMERAL_TIME})",
        now="<ephemeral_pct> taken",
        severity=severity,
        expression=expression,
        recovery=recovery,
        description="When no port is left, connecting to it fails with EADDRNOTAVAIL. Look first"
        " whether the client opens a connection for each request (`zabbix-sockets show sockets"
        " --filter 'dport = :{#PORT} state established state time-wait'`), then at its keep-alive"
        " or pool; else more source addresses, or a wider net.ipv4.ip_local_port_range, help."
        " Silent while the host's own alarm on ports says so.",
        scope="capacity",
        depends_on=worse,
    )


def _unless_the_host_tells(limit: Macro) -> str:
    """Return the condition that the host's own alarm is not near, nor just over, or is silenced."""
    time, control = (each.without_context() for each in (m.EPHEMERAL_TIME, m.EPHEMERAL_CONTROL))
    return either(
        f"max(<host/ephemeral.worst_pct>,{time})<={limit.without_context()}", f"{control}=0"
    )


_SYN_SENT = no_answer(
    ("syn_sent", "established"),
    (m.SYN_SENT_UPSTREAM, m.SYN_SENT_UPSTREAM_PCT),
    m.SYN_SENT_TIME,
    m.SYN_SENT_CONTROL,
    Severity.HIGH,
    "It does not answer: it is down, its own accept queue is full, or a firewall drops. Look first"
    " who waits (`zabbix-sockets show sockets --filter 'state syn-sent dport = :{#PORT}'`), then"
    " try to reach {#ADDRESS} from this host, and look at it.",
)

RULE = Rule(
    kind="upstreams",
    name="Upstreams discovery",
    title="Upstream {#ID}",
    description="Remote ends to which processes connect. None, until the macro"
    f" {m.UPSTREAM_MATCHES} selects some.",
    rows=f'$.upstreams[?(@.id != "(absent)" && {m.ADMITTED})]',
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
            " keep up. Look at the connections first (`zabbix-sockets show sockets --tcp-info"
            " --filter 'dport = :{#PORT}'`), then at the way (mtr {#ADDRESS}) and at the upstream's"
            " own host.",
        ),
        traffic.attempts_fail(
            "It refuses, is unreachable or doesn't answer: it is down, or a firewall rejects. Look"
            " first who connects (`zabbix-sockets show sockets --filter 'dport = :{#PORT}'`), then"
            " try to reach {#ADDRESS} from this host, and look at it.",
        ),
        traffic.SLOW_HANDSHAKES,
        traffic.resets(
            "Most connections to this upstream end by its reset instead of a close: it breaks them"
            " off, or does not read all. Look first who has them (`zabbix-sockets show sockets"
            " --filter 'dport = :{#PORT}'`), then into its log, and at timeouts of firewalls and"
            " balancers in between.",
        ),
    ),
    graphs=(
        Graph("Connections", (Line("established", "1A7C11"), Line("syn_sent", "2774A4"))),
        quality.ROUND_TRIPS,
        traffic.ATTEMPTS,
        traffic.HANDSHAKES,
        traffic.BYTES,
    ),
    conditions=(
        Condition("{#ID}", str(m.UPSTREAM_MATCHES)),
        Condition("{#ID}", str(m.UPSTREAM_NOT_MATCHES), negated=True),
        Condition("{#NETNS}", str(m.NETNS_MATCHES)),
    ),
    overrides=(all_metrics(m.MORE_UPSTREAM), traffic.resets_of(m.RESETS_UPSTREAM)),
    tags=(("upstream", "{#ID}"), ("process", "{#PROCESS}")),
)
