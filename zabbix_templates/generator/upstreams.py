"""Discovery of upstreams: their metrics, alarms and graphs."""

from . import macros as m
from .model import Condition, Graph, Kind, Line, Macro, Metric, Override, Rule, Severity, Trigger

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
        units="%",
        kind=Kind.FLOAT,
    ),
    Metric(
        "close_wait",
        "close_wait",
        "CLOSE_WAIT",
        "Connections that it closed and the process has not.",
        default=False,
    ),
)


def _ephemeral(trigger_id: str, name: str, severity: Severity, limit: Macro, worse: str) -> Trigger:
    return Trigger(
        id=trigger_id,
        name=name,
        event_name=f"{name}: {{ITEM.LASTVALUE1}} taken (over {limit}% for {m.EPHEMERAL_TIME})",
        severity=severity,
        expression=f"{m.over('ephemeral_pct', limit, m.EPHEMERAL_TIME)}"
        f" and {m.EPHEMERAL_CONTROL}=1",
        recovery=f"max(<ephemeral_pct>,{m.EPHEMERAL_TIME})<=0.9*{limit} or {m.EPHEMERAL_CONTROL}=0",
        description="When no port is left, connecting to it fails with EADDRNOTAVAIL. Look whether"
        " the client opens a connection for each request: keep-alive or a pool is the remedy;"
        " else more source addresses, or a wider net.ipv4.ip_local_port_range.",
        scope="capacity",
        depends_on=worse,
    )


_SYN_SENT = Trigger(
    id="syn_sent",
    name="Connections get no answer",
    event_name=f"{{ITEM.LASTVALUE1}} connections get no answer (over {m.SYN_SENT_UPSTREAM}"
    f" for {m.SYN_SENT_TIME})",
    severity=Severity.HIGH,
    # Who connects often always has some that wait for one round trip.
    expression=f"{m.over('syn_sent', m.SYN_SENT_UPSTREAM, m.SYN_SENT_TIME)} and "
    + m.share_over("syn_sent", "established", m.SYN_SENT_UPSTREAM_PCT, m.SYN_SENT_TIME)
    + f" and {m.SYN_SENT_CONTROL}=1",
    recovery=f"max(<syn_sent>,{m.SYN_SENT_TIME})<=0.8*{m.SYN_SENT_UPSTREAM} or "
    + m.share_under("syn_sent", "established", m.SYN_SENT_UPSTREAM_PCT, m.SYN_SENT_TIME)
    + f" or {m.SYN_SENT_CONTROL}=0",
    description="It does not answer: it is down, its own accept queue is full, or a firewall"
    " drops. Try to reach it from this host, then look at it.",
    scope="availability",
)

RULE = Rule(
    kind="upstreams",
    singular="upstream",
    name="Upstreams discovery",
    title="Upstream {#ID}",
    description="Remote ends to which processes connect. None, until the macro"
    f" {m.UPSTREAM_MATCHES} selects some.",
    rows='$.upstreams[?(@.id != "(absent)")]',
    metrics=_METRICS,
    triggers=(
        _ephemeral(
            "ephemeral_warn",
            "Ephemeral ports run low",
            Severity.WARNING,
            m.EPHEMERAL_WARN,
            "ephemeral_high",
        ),
        _ephemeral(
            "ephemeral_high", "Ephemeral ports run out", Severity.HIGH, m.EPHEMERAL_HIGH, ""
        ),
        _SYN_SENT,
    ),
    graphs=(Graph("Connections", (Line("established", "1A7C11"), Line("syn_sent", "2774A4"))),),
    conditions=(
        Condition("{#ID}", str(m.UPSTREAM_MATCHES)),
        Condition("{#ID}", str(m.UPSTREAM_NOT_MATCHES), negated=True),
        Condition("{#NETNS}", str(m.NETNS_MATCHES)),
    ),
    overrides=(
        Override(
            "All metrics",
            (Condition("{#ID}", str(m.MORE_UPSTREAM)),),
            discover=True,
            items=".*",
        ),
    ),
    tags=(("upstream", "{#ID}"), ("process", "{#PROCESS}")),
)
