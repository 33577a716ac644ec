"""Discovery of listeners: their metrics, alarms and graphs."""

from zabbix_sockets.document.listeners import ListenerRow

from . import macros as m
from . import quality
from .conditions import two_levels
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

_METRICS = (
    Metric(
        "sockets",
        "sockets",
        "Listening sockets",
        "More than one with SO_REUSEPORT; 0 when nobody listens there.",
    ),
    Metric(
        "established",
        "established",
        "Connections",
        "Connections that it accepted or still has to accept; UDP: connected sockets on its port.",
    ),
    Metric(
        "accept_queue",
        "accept_queue",
        "Accept queue",
        "Connections that wait to be accepted.",
    ),
    Metric(
        "accept_queue_pct",
        "accept_queue_pct",
        "Accept queue used",
        "Of its fullest socket. At 100 % the kernel refuses connections.",
        throttled=False,
    ),
    Metric(
        "backlog",
        "backlog",
        "Accept queue, backlog",
        "How many connections may wait: what listen() asked for, net.core.somaxconn at most.",
        default=False,
    ),
    Metric("processes", "processes", "Processes", "Processes that hold the socket.", default=False),
    *quality.metrics(()),
)


def _accept(trigger_id: str, name: str, severity: Severity, limit: Macro, worse: str) -> Trigger:
    return Trigger(
        id=trigger_id,
        name=name,
        event_name=f"{name}: {{ITEM.LASTVALUE1}} used, {{ITEM.LASTVALUE2}} connections wait"
        f" (over {limit}% in {m.ACCEPT_SAMPLES})",
        severity=severity,
        expression=f"min(<accept_queue_pct>,{m.ACCEPT_SAMPLES})>={limit}"
        f" and last(<accept_queue>)>={m.ACCEPT_MIN} and {m.ACCEPT_CONTROL}=1",
        recovery=f"max(<accept_queue_pct>,{m.ACCEPT_SAMPLES})<0.8*{limit} or {m.ACCEPT_CONTROL}=0",
        description="Connections come faster than the process accepts them; at 100 % the kernel"
        " drops them and clients wait for a second and more. Look first whether the process is"
        " stuck or busy (its threads, its CPU), then at its own upstreams; a longer backlog"
        " (listen(), net.core.somaxconn) only helps against bursts.",
        scope="performance",
        depends_on=worse,
    )


_GONE = Trigger(
    id="gone",
    name="Nobody listens any more",
    event_name=f"Nobody listens any more, for {m.GONE_TIME} now",
    severity=Severity.HIGH,
    # Absent for all that time (see conditions.py). There before the time in which it has to be
    # seen; and of the values since then, which come at changes and once in a heartbeat, nine in
    # ten say so: one that comes and goes is no alarm. A count is known without any value.
    expression=f"max(<sockets>,{m.GONE_TIME})=0 and last(<sockets>,#1:now-{m.GONE_TIME})=0"
    f' and count(<sockets>,{m.SEEN_TIME}:now-{m.SEEN_TIME},"gt","0")>0'
    f' and count(<sockets>,{m.SEEN_TIME}:now-{m.GONE_TIME},"gt","0")'
    f">=0.9*count(<sockets>,{m.SEEN_TIME}:now-{m.GONE_TIME})"
    f" and {m.GONE_CONTROL}=1",
    recovery=f"last(<sockets>)>0 or {m.GONE_CONTROL}=0",
    description="A port that was served is not. Look whether the service runs (systemctl status),"
    " what its log says last, and whether its address or port was changed on purpose: then close"
    " the problem by hand; the row goes after a week.",
    scope="availability",
    manual_close=True,
)


def _may_go(who: str, condition: Condition) -> Override:
    """Return the override for listeners that are no alarm when they are gone."""
    triggers = f": {_GONE.name}$"
    return Override(f"{who} may come and go", (condition,), discover=False, triggers=triggers)


_ACCEPT_GRAPH = Graph(
    "Accept queue used", (Line("accept_queue_pct", "F63100", peaks=True),), percent=True
)

RULE = Rule(
    kind="listeners",
    name="Listeners discovery",
    title="Listener {#LABEL}",
    description="Listening TCP and bound UDP addresses, without those on ephemeral ports.",
    # To Zabbix the field that "(absent)" doesn't have is less than any number.
    rows=f'$.listeners[?(@.ephemeral <= {m.EPHEMERAL} && @.id != "(absent)")]',
    metrics=described(ListenerRow, _METRICS),
    triggers=(
        *two_levels(
            _accept,
            "accept",
            ("Accept queue fills", "Accept queue is full"),
            (m.ACCEPT_WARN, m.ACCEPT_HIGH),
        ),
        _GONE,
    ),
    graphs=(_ACCEPT_GRAPH, Graph("Connections", (Line("established", "1A7C11"),))),
    conditions=(
        Condition("{#ID}", str(m.LISTENER_MATCHES)),
        Condition("{#ID}", str(m.LISTENER_NOT_MATCHES), negated=True),
        Condition("{#NETNS}", str(m.NETNS_MATCHES)),
    ),
    overrides=(
        all_metrics(m.MORE_LISTENER),
        Override(
            "UDP has no accept queue",
            (Condition("{#PROTOCOL}", "^udp$"),),
            discover=False,
            items=": Accept queue(| used|, backlog)$",
            triggers=": Accept queue (fills|is full)$",
            graphs=f": {_ACCEPT_GRAPH.name}$",
        ),
        Override(
            "UDP has no round trips",
            (Condition("{#PROTOCOL}", "^udp$"),),
            discover=False,
            items=f": ({quality.NAMES})$",
        ),
        _may_go("Loopback", Condition("{#ADDRESS}", r"^(127\.|::1$|::ffff:127\.)")),
        _may_go("Other network namespaces", Condition("{#NETNS}", ".")),
        _may_go("Ephemeral ports", Condition("{#EPHEMERAL}", "^1$")),
    ),
    tags=(("listener", "{#ID}"), ("process", "{#PROCESS}")),
    # A graph's name has 128 characters; nothing is made of a row with one that is longer.
    label="(row.id + (row.process ? ' ' + row.process : '')).slice(0, Math.max(row.id.length, 90))",
)
