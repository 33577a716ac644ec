"""Alarms of the host."""

from __future__ import annotations

from dataclasses import replace

from . import collector_alarms
from . import macros as m
from .conditions import bursts, known, nearly_full, of_limit, over, two_levels, under
from .model import Macro, Severity, Trigger, Way

_SHOWN_ELSEWHERE = (
    f"max(<listeners.fullest>,{m.DROPS_TIME})<{m.ACCEPT_HIGH.without_context()}"
    f" and {known('listeners.fullest', m.DROPS_TIME)}"
)
"""No listener with an alarm of its own was full meanwhile: that alarm says which one it is."""


def _dropping(
    item: str,
    name: str,
    said: str,
    severity: Severity,
    description: str,
    *causes: tuple[str, Macro],
) -> Trigger:
    rate = f"tcp.{item}.rate"
    begins, ends = bursts(rate, m.DROPS_WARN, m.DROPS_SAMPLES, m.DROPS_TIME, *causes)
    return Trigger(
        id=item,
        name=name,
        event_name=f"{name}: up to <{rate} of {m.DROPS_TIME}:2> {said} (over {m.DROPS_WARN} in"
        f" {m.DROPS_SAMPLES} or more samples of {m.DROPS_TIME})",
        now=f"<{rate}:2> {said}",
        severity=severity,
        expression=f"{begins} and {_SHOWN_ELSEWHERE} and {m.DROPS_CONTROL}=1",
        recovery=f"({ends}) or {m.DROPS_CONTROL}=0",
        description=description,
        scope="performance",
    )


_OVERFLOWING = "tcp.listen_overflows.rate", m.DROPS_WARN
_DROPPING_TCP = "listeners.tcp_drops.rate", m.DROPPED_TCP.without_context()
_DROPPING_UDP = "listeners.udp_drops.rate", m.DROPPED_UDP.without_context()

_OVERFLOWS = _dropping(
    "listen_overflows",
    "Accept queues overflow",
    "attempts per second refused",
    Severity.AVERAGE,
    "A process accepts more slowly than connections come, and the kernel refuses them:"
    " clients wait for a second and more. Attempts are counted, not clients: each of these sends"
    " its SYN again and again, about four times in the first ten seconds. Look first which queue is"
    " long (`zabbix-sockets show listeners`), then whether that process is stuck or busy. Silent"
    " while the listener's own alarm says so.",
    _DROPPING_TCP,
)

_DROPS = _dropping(
    "listen_drops",
    "Listeners drop connections",
    "attempts per second dropped",
    Severity.WARNING,
    "The kernel drops connections on their way in, for lack of memory or routes, or"
    " because a queue is full. Look first at its own counters (nstat -az 'TcpExt*'), then at its"
    " log (dmesg) and at the queues (`zabbix-sockets show listeners`). Samples in which accept"
    " queues overflow, or a listener has an alarm of its own on what it drops, don't count.",
    _OVERFLOWING,
    _DROPPING_TCP,
)


_SENT_COOKIES, _SENT_NO_COOKIES = bursts(
    *("tcp.syn_cookies_sent.rate", m.COOKIES_WARN, m.COOKIES_SAMPLES, m.COOKIES_TIME), _OVERFLOWING
)
_COOKIES = Trigger(
    id="syn_cookies",
    name="SYN cookies are sent",
    event_name=f"SYN cookies are sent: up to <tcp.syn_cookies_sent.rate of {m.COOKIES_TIME}:2>"
    f" per second (over {m.COOKIES_WARN} in {m.COOKIES_SAMPLES} or more samples of"
    f" {m.COOKIES_TIME})",
    now="<tcp.syn_cookies_sent.rate:2> per second",
    severity=Severity.WARNING,
    expression=f"{_SENT_COOKIES} and {_SHOWN_ELSEWHERE} and {m.COOKIES_CONTROL}=1",
    recovery=f"({_SENT_NO_COOKIES}) or {m.COOKIES_CONTROL}=0",
    description="More handshakes are begun than a listener's backlog holds: a flood of SYNs, a"
    " rush, or a backlog that is too short. Look first from where they come (`zabbix-sockets show"
    " sockets --filter 'state syn-recv'`), then at the kernel's log, which names the port (dmesg)."
    " Samples in which accept queues overflow don't count.",
    scope="performance",
)


def _ephemeral(
    trigger_id: str, name: str, severity: Severity, limit: Macro, worse: tuple[str, ...]
) -> Trigger:
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
        event_name=f"{name} to <ephemeral.worst_endpoint>: <ephemeral.worst_pct> of those that one"
        f" source address has are taken (over {limit}% for {time})",
        now="<ephemeral.worst_pct> taken to <ephemeral.worst_endpoint>",
        severity=severity,
        expression=expression,
        recovery=recovery,
        description="Connections from one source address to this one destination take most of the"
        " ports that the kernel has for them; when none is left, connecting fails with"
        " EADDRNOTAVAIL. Look first who connects there (`zabbix-sockets show upstreams`), then"
        " whether it opens a connection for each request (`zabbix-sockets show sockets --filter"
        " 'state time-wait'`): keep-alive or a pool is the remedy; else more source addresses, or a"
        " wider net.ipv4.ip_local_port_range.",
        scope="capacity",
        depends_on=worse,
    )


def _near_limit(
    trigger_id: str,
    name: str,
    item: str,
    macros: tuple[Macro, Macro, Macro],
    severity: Severity,
    description: str,
) -> Trigger:
    """Return the alarm on an item near its limit: *macros* are percentage, window and switch."""
    percent, time, control = macros
    expression, recovery = of_limit(item, f"{item}.limit", percent, time, control)
    return Trigger(
        id=trigger_id,
        name=name,
        event_name=f"{name}: <{item}> of <{item}.limit> (over {percent}% of this limit for {time})",
        now=f"<{item}> of <{item}.limit>",
        severity=severity,
        expression=expression,
        recovery=recovery,
        description=description,
        scope="capacity",
    )


_MEMORY = _near_limit(
    "tcp_memory",
    "TCP memory runs out",
    "tcp.memory",
    (m.MEMORY_HIGH, m.MEMORY_TIME, m.MEMORY_CONTROL),
    Severity.HIGH,
    "At the limit the kernel drops packets and resets connections ('TCP: out of memory' in its"
    " log). Look first which process has long receive or send queues (`zabbix-sockets show"
    " processes`): it does not read, or its peers don't; then at its sockets (`zabbix-sockets show"
    " sockets --filter 'state established'`); else raise net.ipv4.tcp_mem.",
)

_ORPHANS = _near_limit(
    "orphans",
    "TCP orphans near their limit",
    "tcp.orphans",
    (m.ORPHANS_PCT, m.ORPHANS_TIME, m.ORPHANS_CONTROL),
    Severity.WARNING,
    "Processes closed these connections and the other sides don't acknowledge: past the limit the"
    " kernel resets them and what was not sent yet is lost. Look first with whom they are"
    " (`zabbix-sockets show sockets --filter 'state fin-wait-1 state last-ack state closing'`),"
    " then at net.ipv4.tcp_orphan_retries and tcp_max_orphans.",
)

_TIME_WAIT = _near_limit(
    "time_wait",
    "TIME_WAIT near its limit",
    "tcp.time_wait",
    (m.TIME_WAIT_PCT, m.TIME_WAIT_TIME, m.TIME_WAIT_CONTROL),
    Severity.WARNING,
    "Past the limit the kernel forgets closed connections at once ('time wait bucket table"
    " overflow' in its log), and late packets may reach new ones. Look first with whom they are"
    " (`zabbix-sockets show sockets --filter 'state time-wait'`), then whether a client opens a"
    " connection for each request; else raise net.ipv4.tcp_max_tw_buckets.",
)


def _rate(
    trigger_id: str,
    name: str,
    item: str,
    macros: tuple[Macro, Macro, Macro],
    severity: Severity,
    description: str,
    *,
    also: str = "",
    said: str = "",
) -> Trigger:
    """Return the alarm on a rate: *macros* are threshold, window and switch.

    *also* is a further condition, which *said* tells.
    """
    most, time, control = macros
    return Trigger(
        id=trigger_id,
        name=name,
        event_name=f"{name}: <{item}:2> per second (over {most}{said} for {time})",
        now=f"<{item}:2> per second",
        severity=severity,
        expression=f"{over(item, most, time)}{also} and {control}=1",
        recovery=f"({under(item, f'0.8*{most}', time)}) or {control}=0",
        description=description,
        scope="availability" if severity is Severity.WARNING else "notice",
    )


_FAILS = _rate(
    "attempt_fails",
    "Attempts to connect fail",
    "tcp.attempt_fails.rate",
    (m.FAILS_WARN, m.FAILS_TIME, m.FAILS_CONTROL),
    Severity.WARNING,
    "Connections are refused or reset before they are established: something that processes here"
    " connect to does not listen, or others begin handshakes and give up. Look first at whom"
    " processes try to reach (`zabbix-sockets show sockets --filter 'state syn-sent'`), then into"
    " their logs for 'Connection refused'.",
)

_RESETS = _rate(
    "estab_resets",
    "Connections are reset",
    "tcp.estab_resets.rate",
    (m.RESETS_WARN, m.RESETS_TIME, m.RESETS_CONTROL),
    Severity.WARNING,
    "Established connections end with a reset instead of a close, and most of them do: a process or"
    " a middlebox breaks them off, or does not read all. Look first who loses connections (the logs"
    " of the busiest of `zabbix-sockets show processes`: 'Connection reset by peer'), then at"
    " timeouts of firewalls and balancers in between.",
    also=f" and 100*min(<tcp.estab_resets.rate>,{m.RESETS_TIME})>={m.RESETS_PCT}"
    f"*(max(<tcp.active_opens.rate>,{m.RESETS_TIME})"
    f"+max(<tcp.passive_opens.rate>,{m.RESETS_TIME}))",
    said=f", and {m.RESETS_PCT}% of those opened,",
)

_RSTS = replace(
    _rate(
        "out_rsts",
        "Resets are sent",
        "tcp.out_rsts.rate",
        (m.RSTS_WARN, m.RSTS_TIME, m.RSTS_CONTROL),
        Severity.INFO,
        "This host refuses or breaks off many connections: others connect to ports where nobody"
        " listens (a service that is gone, a scan), or processes close without having read all."
        " Look first whether all listen that should (`zabbix-sockets show listeners`), then who"
        " connects (tcpdump 'tcp[tcpflags] & tcp-rst != 0').",
    ),
    depends_on=(_FAILS.id, _RESETS.id),
)


def _udp(
    item: str,
    name: str,
    severity: Severity,
    description: str,
    *causes: tuple[str, Macro],
) -> Trigger:
    rate = f"udp.{item}.rate"
    begins, ends = bursts(rate, m.UDP_WARN, m.UDP_SAMPLES, m.UDP_TIME, *causes)
    return Trigger(
        id=f"udp_{item}",
        name=name,
        event_name=f"{name}: up to <{rate} of {m.UDP_TIME}:2> per second (over {m.UDP_WARN} in"
        f" {m.UDP_SAMPLES} or more samples of {m.UDP_TIME})",
        now=f"<{rate}:2> per second",
        severity=severity,
        expression=f"{begins} and {m.UDP_CONTROL}=1",
        recovery=f"({ends}) or {m.UDP_CONTROL}=0",
        description=description,
        scope="performance",
    )


_RCVBUF = _udp(
    "rcvbuf_errors",
    "UDP receive buffers overflow",
    Severity.AVERAGE,
    "Datagrams come faster than a process reads them, and the kernel drops them. Look first which"
    " socket has a long receive queue or drops (`zabbix-sockets show sockets --filter 'state"
    " closed'`, ss -uamn), then whether that process is stuck or busy; a larger SO_RCVBUF"
    " (net.core.rmem_max) only helps against bursts. Samples in which a listener has an alarm of"
    " its own don't count.",
    _DROPPING_UDP,
)

_IN_ERRORS = _udp(
    "in_errors",
    "UDP datagrams are dropped",
    Severity.WARNING,
    "Datagrams that came are dropped: damaged ones, no memory, or no room in a socket's buffer."
    " Look first at the kernel's own counters (nstat -az 'Udp*'), then at the network's (ip -s"
    " link) and who receives (`zabbix-sockets show sockets --filter 'state closed'`). Samples in"
    " which receive buffers overflow, or a listener has an alarm of its own, don't count.",
    ("udp.rcvbuf_errors.rate", m.UDP_WARN),
    _DROPPING_UDP,
)

_NO_PORTS = _rate(
    "udp_no_ports",
    "UDP datagrams find nobody",
    "udp.no_ports.rate",
    (m.NO_PORTS_WARN, m.NO_PORTS_TIME, m.NO_PORTS_CONTROL),
    Severity.INFO,
    "Datagrams come for ports that no process has: a service is gone, somebody sends to the wrong"
    " host, or scans. Look first whether all listen that should (`zabbix-sockets show listeners`),"
    " then what comes (tcpdump 'icmp[icmptype] == icmp-unreach').",
)

_UNSEEN = Trigger(
    id="unseen",
    name="A process without items has connections stuck",
    event_name="<unseen.stuck> connections of <unseen.process> stay in CLOSE_WAIT or get no answer"
    f" (over {m.UNSEEN_WARN} for {m.UNSEEN_TIME})",
    now="<unseen.stuck> of <unseen.process>",
    severity=Severity.WARNING,
    expression=f"{over('unseen.stuck', m.UNSEEN_WARN, m.UNSEEN_TIME)}"
    f" and length(last(<unseen.process>))>0 and {m.UNSEEN_CONTROL}=1",
    recovery=f"({under('unseen.stuck', f'0.8*{m.UNSEEN_WARN}', m.UNSEEN_TIME)})"
    f" or {m.UNSEEN_CONTROL}=0",
    description="A process without a row leaks connections or reaches nobody: none that doesn't"
    " listen is discovered in its first ten minutes, and none beyond what the collector admits."
    " Look first with whom they are"
    " (`zabbix-sockets show sockets --filter 'state close-wait state syn-sent'`), then what was"
    " deployed or restarted just now. Once the process has a row, its own alarms tell of it.",
    scope="performance",
)

_OF_HOST = (
    _OVERFLOWS,
    _DROPS,
    _COOKIES,
    *two_levels(
        _ephemeral,
        "ephemeral",
        ("Ephemeral ports run low", "Ephemeral ports run out"),
        (m.EPHEMERAL_WARN, m.EPHEMERAL_HIGH),
    ),
    _FAILS,
    _RESETS,
    _RSTS,
    _ORPHANS,
    _TIME_WAIT,
    _MEMORY,
    _RCVBUF,
    _IN_ERRORS,
    _NO_PORTS,
    _UNSEEN,
)


def triggers(way: Way) -> tuple[Trigger, ...]:
    """Return all alarms of the host in the template of that way."""
    return (*_OF_HOST, *collector_alarms.triggers(way))
