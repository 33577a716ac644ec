"""Quality of connections: metrics and alarms that processes, listeners and upstreams share.

Only sockets that sent or received something lately count; where none did there is no round-trip
time, but there are zeros of what is counted.
"""

from dataclasses import replace

from . import macros as m
from .conditions import has_trend, known, over
from .model import Graph, Line, Metric, Severity, Trigger

_OF = "Of the sockets that count: "


_ROUND_TRIPS = tuple(
    Metric(
        f"rtt.{key}",
        f"rtt_us.{key}",
        f"Round-trip time, {name}",
        f"{_OF}smoothed by the kernel, within 6.25 %. {meaning}",
        default=False,
    )
    for key, name, meaning in (
        ("p50", "median", "Half of them have at most this round-trip time."),
        ("p95", "95 %", "95 of 100 have at most this round-trip time."),
        ("max", "greatest", "The greatest round-trip time of all."),
    )
)

_METRICS = (
    Metric(
        "measured",
        "measured",
        "Connections measured",
        "Sockets that count: they have a round-trip time, and sent or received something"
        " within the last minute.",
        default=False,
    ),
    *_ROUND_TRIPS,
    Metric(
        "retransmitting",
        "retransmitting",
        "Connections retransmitting",
        f"{_OF}those that wait at this moment for the acknowledgement of what they sent again.",
        default=False,
    ),
    Metric(
        "retransmitting_pct",
        "retransmitting_pct",
        "Connections retransmitting, share",
        f"{_OF}the share that is sending again at this moment.",
        default=False,
    ),
    Metric(
        "retransmits",
        "retransmits",
        "Segments retransmitted",
        f"{_OF}what they have sent again since they were opened.",
        default=False,
    ),
    Metric(
        "lost",
        "lost",
        "Segments lost",
        f"{_OF}what the kernel takes for lost at this moment.",
        default=False,
    ),
    Metric(
        "receiver_limited",
        "receiver_limited_ms",
        "Time limited by receivers",
        f"{_OF}how long they could not send since they were opened, as the other side's receive"
        " window was full: it does not read. Within 6.25 %.",
        default=False,
    ),
    Metric(
        "sender_buffer_limited",
        "sender_buffer_limited_ms",
        "Time limited by send buffers",
        f"{_OF}how long they could not send more since they were opened, as their own send"
        " buffer was too small (net.ipv4.tcp_wmem). Within 6.25 %.",
        default=False,
    ),
)


def metrics(defaults: tuple[str, ...]) -> tuple[Metric, ...]:
    """Return the metrics; *defaults* are the keys of those that are kept without being asked."""
    return tuple(replace(each, default=each.key in defaults) for each in _METRICS)


NAMES = "|".join(each.name for each in _METRICS)
"""Of the metrics, as a regular expression: what sockets of UDP have none of."""


def retransmitting(
    severity: Severity, description: str, *, to: str = "", also: str = ""
) -> Trigger:
    """Return the alarm on many connections that send again and again.

    *to* says in the event's name to whom, *also* is a further condition.
    """
    return Trigger(
        id="retransmitting",
        name="Connections retransmit",
        event_name=f"<retransmitting> connections retransmit{to}: <retransmitting_pct> of those in"
        f" use (over {m.RETRANSMITTING_PCT}% for {m.RETRANSMITTING_TIME})",
        now="<retransmitting> retransmit, <retransmitting_pct> of those in use",
        severity=severity,
        expression=f"{over('retransmitting', m.RETRANSMITTING_MIN, m.RETRANSMITTING_TIME, '>=')}"
        f" and {over('retransmitting_pct', m.RETRANSMITTING_PCT, m.RETRANSMITTING_TIME)}"
        f"{also} and {m.RETRANSMITTING_CONTROL}=1",
        recovery=f"(max(<retransmitting>,{m.RETRANSMITTING_TIME})<{m.RETRANSMITTING_MIN}"
        f" or max(<retransmitting_pct>,{m.RETRANSMITTING_TIME})<=0.8*{m.RETRANSMITTING_PCT})"
        f" and {known('retransmitting', m.RETRANSMITTING_TIME)}"
        f" or {m.RETRANSMITTING_CONTROL}=0",
        description=description,
        scope="performance",
    )


SLOW = Trigger(
    id="slow",
    name="Upstream has become slow",
    event_name=f"Upstream has become slow: round trips take <rtt.p50>, over"
    f" {m.RTT_FACTOR} times as long as usual for {m.RTT_TIME}",
    now="<rtt.p50> a round trip, <measured> connections in use",
    severity=Severity.WARNING,
    expression=f"min(<rtt.p50>,{m.RTT_TIME})>{m.RTT_FACTOR}*trendavg(<rtt.p50>,{m.RTT_PERIOD})"
    f" and {has_trend('rtt.p50')}"
    f" and {over('rtt.p50', m.RTT_MIN, m.RTT_TIME)} and last(<measured>)>0"
    f" and {m.RTT_CONTROL}=1",
    recovery=f"(max(<rtt.p50>,{m.RTT_TIME})<=0.8*{m.RTT_FACTOR}"
    f"*trendavg(<rtt.p50>,{m.RTT_PERIOD}) or max(<rtt.p50>,{m.RTT_TIME})<={m.RTT_MIN})"
    f" and {known('rtt.p50', m.RTT_TIME)}"
    f" or max(<measured>,{m.RTT_TIME})=0 and {known('measured', m.RTT_TIME)}"
    f" or {m.RTT_CONTROL}=0",
    description="Half of its connections or more have round trips far longer than usual: the way"
    " there has changed or is full, or the host does not get to answer. Look at the connections"
    " first (`zabbix-sockets show sockets --tcp-info --filter 'dport = :{#PORT}'`), then at the way"
    " (mtr {#ADDRESS}).",
    scope="performance",
)

ROUND_TRIPS = Graph("Round-trip time", (Line("rtt.p50", "1A7C11"), Line("rtt.p95", "F63100")))
