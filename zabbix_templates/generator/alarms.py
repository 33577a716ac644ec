"""Alarms of the host and of the collector itself, and graphs of the host."""

from . import macros as m
from .conditions import nearly_full, over, two_levels
from .model import Graph, Line, Macro, Severity, Trigger


def _often(item: str) -> str:
    """Return in how many samples it is over the limit: a single burst is over when one looks."""
    return f'count(<{item}>,{m.DROPS_TIME},"gt","{m.DROPS_WARN}")'


def _dropping(
    item: str, name: str, said: str, severity: Severity, description: str, depends_on: str = ""
) -> Trigger:
    return Trigger(
        id=item,
        name=name,
        event_name=f"{name}: {{{{ITEM.LASTVALUE1}}.fmtnum(2)}} {said} (over {m.DROPS_WARN} in"
        f" {m.DROPS_SAMPLES} or more samples of {m.DROPS_TIME})",
        severity=severity,
        expression=f"{_often(f'tcp.{item}.rate')}>={m.DROPS_SAMPLES} and {m.DROPS_CONTROL}=1",
        recovery=f"{_often(f'tcp.{item}.rate')}=0 or {m.DROPS_CONTROL}=0",
        description=description,
        scope="performance",
        depends_on=depends_on,
    )


_OVERFLOWS = _dropping(
    "listen_overflows",
    "Accept queues overflow",
    "connections per second refused",
    Severity.AVERAGE,
    description="A process accepts more slowly than connections come, and the kernel refuses them:"
    " clients wait for a second and more. The listeners' accept queues say which one; then look"
    " whether it is stuck or busy.",
)

_DROPS = _dropping(
    "listen_drops",
    "Listeners drop connections",
    "per second",
    Severity.WARNING,
    description="The kernel drops connections on their way in, for lack of memory or routes, or"
    " because a queue is full. Look at nstat -az 'TcpExt*' and at the kernel's log.",
    depends_on=_OVERFLOWS.id,
)


def _ephemeral(trigger_id: str, name: str, severity: Severity, limit: Macro, worse: str) -> Trigger:
    # The host's own alarm has no row, so its macros have no context.
    limit, time = limit.without_context(), m.EPHEMERAL_TIME.without_context()
    expression, recovery = nearly_full(
        "ephemeral.worst_pct",
        limit,
        time,
        m.EPHEMERAL_CONTROL.without_context(),
        "length(last(<ephemeral.worst_endpoint>))>0",
    )
    return Trigger(
        id=trigger_id,
        name=name,
        event_name=f"{name} to {{ITEM.LASTVALUE3}}: {{ITEM.LASTVALUE1}} taken"
        f" (over {limit}% for {time})",
        severity=severity,
        expression=expression,
        recovery=recovery,
        description="Connections from one source address to this one destination take nearly all"
        " ports that the kernel has for them; when none is left, connecting fails with"
        " EADDRNOTAVAIL. Look whether a client there opens a connection for each request:"
        " keep-alive or a pool is the remedy; else more source addresses, or a wider"
        " net.ipv4.ip_local_port_range.",
        scope="capacity",
        depends_on=worse,
    )


_MEMORY = Trigger(
    id="tcp_memory",
    name="TCP memory runs out",
    event_name=f"TCP memory runs out: {{ITEM.LASTVALUE1}} (over {m.MEMORY_HIGH}% of the limit for"
    f" {m.MEMORY_TIME})",
    severity=Severity.HIGH,
    expression=f"100*min(<tcp.memory>,{m.MEMORY_TIME})>{m.MEMORY_HIGH}*last(<tcp.memory.limit>)"
    f" and 100*last(<tcp.memory>,#1:now-{m.MEMORY_TIME})>{m.MEMORY_HIGH}*last(<tcp.memory.limit>)"
    f" and {m.MEMORY_CONTROL}=1",
    recovery=f"100*max(<tcp.memory>,{m.MEMORY_TIME})"
    f"<=0.9*{m.MEMORY_HIGH}*last(<tcp.memory.limit>) or {m.MEMORY_CONTROL}=0",
    description="At the limit the kernel drops packets and resets connections ('TCP: out of"
    " memory' in its log). Look at which process has long receive or send queues first"
    " (zabbix-sockets show processes): it does not read, or its peers don't; else raise"
    " net.ipv4.tcp_mem.",
    scope="capacity",
)

_SLOW = Trigger(
    id="collector_slow",
    name="Collector is slow",
    event_name=f"Collector is slow: {{ITEM.LASTVALUE1}} (over {m.SECONDS_WARN} s for"
    f" {m.SECONDS_TIME})",
    severity=Severity.WARNING,
    expression=f"{over('collector.seconds', m.SECONDS_WARN, m.SECONDS_TIME)}"
    f" and {m.SECONDS_CONTROL}=1",
    recovery=f"max(<collector.seconds>,{m.SECONDS_TIME})<0.8*{m.SECONDS_WARN}"
    f" or {m.SECONDS_CONTROL}=0",
    description="After 2.5 s the document is incomplete, after the agent's timeout there is none."
    " Look at the collector's source first: with the BPF iterators (zabbix-sockets load) a"
    " million sockets take a second.",
    scope="performance",
)

_DEGRADED = Trigger(
    id="collector_degraded",
    name="Collector is degraded",
    event_name="Collector is degraded: {ITEM.LASTVALUE3}",
    severity=Severity.INFO,
    expression=f"{over('collector.degraded', 1, m.DEGRADED_TIME, '=')}"
    f" and length(last(<collector.reason>))>=0 and {m.DEGRADED_CONTROL}=1",
    recovery=f"last(<collector.degraded>)=0 or {m.DEGRADED_CONTROL}=0",
    description="This host could be read better and faster: the BPF iterators could be loaded."
    " Enable zabbix-sockets-load.service (README.md), or look why it failed.",
    scope="notice",
)

_PARTIAL = Trigger(
    id="collector_partial",
    name="Collector sees only a part",
    event_name="Collector sees only a part: {ITEM.LASTVALUE3} processes denied,"
    " {ITEM.LASTVALUE4} namespaces skipped",
    severity=Severity.INFO,
    expression=f"max(<complete>,{m.PARTIAL_TIME})=0"
    f" and last(<complete>,#1:now-{m.PARTIAL_TIME})=0 and last(<collector.denied>)>=0"
    f" and last(<collector.namespaces_skipped>)>=0 and {m.PARTIAL_CONTROL}=1",
    recovery=f"last(<complete>)=1 or {m.PARTIAL_CONTROL}=0",
    description="Lists are not complete: no zero is stored for what is missing from them. Look at"
    " the collector's warnings; they say what the agent would need.",
    scope="notice",
)

_NODATA = Trigger(
    id="nodata",
    name="No document comes",
    event_name=f"No document comes, for {m.NODATA_TIME} now",
    severity=Severity.WARNING,
    expression=f"nodata(<collector.seconds>,{m.NODATA_TIME})=1 and {m.NODATA_CONTROL}=1",
    description="Look at the master item's error first, then ask by hand: zabbix_get -k"
    " sockets.get, or zabbix-sockets get on the host.",
    scope="availability",
)

TRIGGERS = (
    _OVERFLOWS,
    _DROPS,
    *two_levels(
        _ephemeral,
        "ephemeral",
        ("Ephemeral ports run low", "Ephemeral ports run out"),
        (m.EPHEMERAL_WARN, m.EPHEMERAL_HIGH),
    ),
    _MEMORY,
    _SLOW,
    _DEGRADED,
    _PARTIAL,
    _NODATA,
)

CONNECTIONS = Graph(
    "TCP connections", (Line("tcp.established", "1A7C11"), Line("tcp.time_wait", "A54F10"))
)
# Those of a moment: beside the thousands of the others no one would see them grow.
STATES = Graph(
    "TCP states",
    (
        Line("tcp.syn_recv", "6C59DC"),
        Line("tcp.syn_sent", "2774A4"),
        Line("tcp.fin_wait1", "AC8C14"),
        Line("tcp.fin_wait2", "5CCD18"),
        Line("tcp.last_ack", "89ABF8"),
        Line("tcp.close_wait", "F63100"),
    ),
)
TROUBLE = Graph(
    "TCP trouble",
    (
        Line("tcp.retransmitted.rate", "2774A4", right_axis=True),
        Line("tcp.listen_drops.rate", "A54F10", peaks=True),
        Line("tcp.listen_overflows.rate", "F63100", peaks=True),  # above drops: they are among them
    ),
)
COLLECTOR = Graph(
    "Collector time and sockets",
    (
        Line("collector.sockets", "2774A4"),
        Line("collector.seconds", "6C59DC", right_axis=True, peaks=True),
    ),
)
BLIND_SPOTS = Graph(
    "Collector blind spots",
    (
        Line("collector.unowned", "A54F10"),
        Line("collector.denied", "F63100"),
        Line("collector.namespaces_skipped", "6C59DC"),
    ),
)

GRAPHS = (CONNECTIONS, STATES, TROUBLE, COLLECTOR, BLIND_SPOTS)
