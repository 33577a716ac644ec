"""Discovery of listeners: their metrics, alarms and graphs."""

from zabbix_sockets.document.listener_row import ListenerRow

from . import clients, quality, traffic
from . import macros as m
from .conditions import either, known, two_levels
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
    ("syn_recv", "SYN_RECV", "Connections in the handshake."),
    (
        "close_wait",
        "CLOSE_WAIT",
        "Connections that the other side has closed and the process has not.",
    ),
    (
        "fin_wait",
        "FIN_WAIT",
        "Closed here, not yet by the other side, or at the same moment.",
    ),
    (
        "last_ack",
        "LAST_ACK",
        "Closed on both sides, the last acknowledgement on its way.",
    ),
    (
        "time_wait",
        "TIME_WAIT",
        "Closed on both sides, first here; the port rests for a minute.",
    ),
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
        "Of its fullest socket. At 100 % the kernel refuses connections; those to a unix socket"
        " wait, or fail at once (EAGAIN).",
        throttled=False,
    ),
    Metric(
        "backlog",
        "backlog",
        "Accept queue, backlog",
        "How many connections may wait: what listen() asked for, net.core.somaxconn at most.",
        default=False,
    ),
    Metric(
        "drops.rate",
        "drops",
        "Drop rate",
        "What the kernel drops there per second: UDP datagrams for which there is no room, attempts"
        " to connect of TCP. It forgets what a socket dropped when that closes; such a change is no"
        " rate.",
    ),
    Metric(
        "recv_queue",
        "recv_queue_bytes",
        "Receive queue",
        "Bytes that have come and that the process has not read.",
        default=False,
    ),
    Metric("processes", "processes", "Processes", "Processes that hold the socket.", default=False),
    *(
        Metric(name, name, f"TCP {state}", description, default=False)
        for name, state, description in _STATES
    ),
    *quality.metrics(()),
    *traffic.metrics(
        (
            *("attempts", "opened", "failed", "failed_pct", "abandoned"),
            *("handshake", "handshake_mean", "lifetime", "lifetime_mean"),
        ),
        asked=("bytes_sent", "bytes_received"),
    ),
    *clients.METRICS,
)


_WHO_IS_STUCK = (
    " Look first whether the process is stuck or busy (its threads, its CPU), then for whom it"
    " waits itself (`zabbix-sockets show sockets` has the connections that it accepted: with"
    " --filter 'sport = :{#PORT}', of a unix socket with --protocol unix)."
)


def _accept(
    trigger_id: str, name: str, severity: Severity, limit: Macro, worse: tuple[str, ...]
) -> Trigger:
    return Trigger(
        id=trigger_id,
        name=name,
        event_name=f"{name}: <accept_queue_pct> of its backlog used, <accept_queue> connections"
        f" wait (over {limit}% in {m.ACCEPT_SAMPLES})",
        now="<accept_queue> connections wait, <accept_queue_pct> of the backlog",
        severity=severity,
        expression=f"min(<accept_queue_pct>,{m.ACCEPT_SAMPLES})>={limit}"
        f" and last(<accept_queue>)>={m.ACCEPT_MIN}"
        f" and {known('accept_queue_pct', m.ACCEPT_SAMPLES)} and {m.ACCEPT_CONTROL}=1",
        recovery=f"(max(<accept_queue_pct>,{m.ACCEPT_SAMPLES})<0.8*{limit}"
        f" and {known('accept_queue_pct', m.ACCEPT_SAMPLES)}) or {m.ACCEPT_CONTROL}=0",
        description="Connections come faster than the process accepts them; at 100 % the kernel"
        f" drops them and clients wait for a second and more.{_WHO_IS_STUCK} A longer backlog"
        " (listen(), net.core.somaxconn) only helps against bursts.",
        scope="performance",
        depends_on=worse,
    )


def _never_under(limit: Macro, time: Macro) -> str:
    """Return the condition that for all of that *time* so many waited.

    Every sample of the percentage is stored, and where anybody waits it is not 0; of the number of
    connections only changes are, so that there may be none within that time. It is known for a
    listener of the last minutes, too, as a count always is.
    """
    return (
        f'min(<accept_queue_pct>,{time})>0 and count(<accept_queue_pct>,#1:now-{time},"gt","0")=1'
        f" and {known('accept_queue_pct', time)} and last(<accept_queue>,#1:now-{time})>={limit}"
        " and " + either(f"count(<accept_queue>,{time})=0", f"min(<accept_queue>,{time})>={limit}")
    )


_WAITING = Trigger(
    id="accept_waiting",
    name="Connections wait to be accepted",
    event_name=f"<accept_queue> connections wait to be accepted, <accept_queue_pct> of the backlog"
    f" (never under {m.ACCEPT_WAITING_MIN} for {m.ACCEPT_WAITING_TIME},"
    f" or {m.ACCEPT_LONG} for {m.ACCEPT_LONG_TIME})",
    now="<accept_queue> connections wait, <accept_queue_pct> of the backlog",
    severity=Severity.AVERAGE,
    expression=either(
        _never_under(m.ACCEPT_WAITING_MIN, m.ACCEPT_WAITING_TIME),
        _never_under(m.ACCEPT_LONG, m.ACCEPT_LONG_TIME),
    )
    + f" and last(<accept_queue_pct>)<{m.ACCEPT_WARN} and {m.ACCEPT_CONTROL}=1",
    recovery=f'(count(<accept_queue_pct>,{m.ACCEPT_WAITING_TIME},"eq","0")>=2'
    f" or last(<accept_queue>)<{m.ACCEPT_WAITING_MIN}"
    f" and last(<accept_queue>,#1:now-{m.ACCEPT_WAITING_TIME})<{m.ACCEPT_WAITING_MIN})"
    f" and last(<accept_queue>)<0.8*{m.ACCEPT_LONG} or {m.ACCEPT_CONTROL}=0",
    description="The accept queue is never empty, or long, however long it may get: the process"
    f" accepts at its limit, or not at all any more.{_WHO_IS_STUCK}",
    scope="performance",
    depends_on=("accept_warn", "accept_high"),
)


def _dropped(
    trigger_id: str, name: str, said: str, limit: Macro, description: str, told: str = ""
) -> Trigger:
    """Return the alarm on what is dropped; *told* counts the samples of which another one tells."""
    counted = f'count(<drops.rate>,{m.DROPPED_TIME},"gt",{limit}){told}'
    return Trigger(
        id=trigger_id,
        name=name,
        event_name=f"{name}: up to <drops.rate of {m.DROPPED_TIME}:2> {said} (over {limit} in"
        f" {m.DROPPED_SAMPLES} or more samples of {m.DROPPED_TIME})",
        now=f"<drops.rate:2> {said}",
        severity=Severity.AVERAGE,
        expression=f"{counted}>={m.DROPPED_SAMPLES} and {m.DROPPED_CONTROL}=1",
        recovery=f"({counted}<=0 and {known('drops.rate', m.DROPPED_TIME)})"
        f" or {m.DROPPED_CONTROL}=0",
        description=description,
        scope="performance",
    )


_DROPPED_UDP = _dropped(
    "drops_udp",
    "Datagrams are dropped",
    "per second",
    m.DROPPED_UDP,
    "Datagrams come faster than the process reads them, and the kernel drops those that find no"
    " room in the socket's buffer. Look first whether the process is stuck or busy (its threads,"
    " its CPU; `zabbix-sockets show sockets --filter 'sport = :{#PORT}'` has its receive queue),"
    " then who sends so much (tcpdump 'udp port {#PORT}'); a larger SO_RCVBUF (net.core.rmem_max)"
    " only helps against bursts.",
)

_DROPPED_TCP = _dropped(
    "drops_tcp",
    "Connections are dropped",
    "attempts per second",
    m.DROPPED_TCP,
    "The kernel drops attempts to connect, since the accept queue is full for moments, or there is"
    f" no memory or route: clients wait for a second and more.{_WHO_IS_STUCK} A longer backlog"
    " (listen(), net.core.somaxconn) helps where the queue is full for moments only. Samples in"
    " which the queue is as full as its own alarm says don't count.",
    f'-count(<accept_queue_pct>,{m.DROPPED_TIME},"ge",{m.ACCEPT_WARN})'
    # The queue's length is stored at changes, and once in a heartbeat.
    f'*(count(<accept_queue>,{m.DROPPED_TIME},"ge",{m.ACCEPT_MIN})'
    f'+count(<accept_queue>,#1:now-{m.DROPPED_TIME},"ge",{m.ACCEPT_MIN})>0)',
)


_GONE = Trigger(
    id="gone",
    name="Nobody listens any more",
    event_name=f"Nobody listens any more, for {m.GONE_TIME} now",
    now="<sockets> listening sockets",
    severity=Severity.HIGH,
    # Absent for all that time (see conditions.py). There so long ago: a count is known without any
    # value. Values come at changes and once in a heartbeat: of those since then, without the first
    # zero and all of the time in which it has to be absent, nine in ten say that it was there: one
    # that comes and goes is no alarm. No function has two macros, as ids of listeners in other
    # namespaces have 131 bytes, and parameters 255.
    expression=f"max(<sockets>,{m.GONE_TIME})=0 and last(<sockets>,#1:now-{m.GONE_TIME})=0"
    f" and {known('sockets', m.GONE_TIME)} and "
    + either(
        f'count(<sockets>,#1:now-{m.SEEN_TIME},"gt","0")=1',
        f"{m.SEEN_TIME}<={m.GONE_TIME}+2*{m.HEARTBEAT}",
    )
    + f' and count(<sockets>,{m.SEEN_TIME},"gt","0")'
    f'>=9*(count(<sockets>,{m.SEEN_TIME},"eq","0")-count(<sockets>,{m.GONE_TIME})-1)'
    f" and {m.GONE_CONTROL}=1",
    recovery=f"last(<sockets>)>0 or {m.GONE_CONTROL}=0",
    description="A port that was served is not. Look first whether the service runs (systemctl"
    " status) and what its log says last, then who listens now (`zabbix-sockets show sockets"
    " --filter 'state listening sport = :{#PORT}'`, of a unix socket --protocol unix"
    " --state listen). If its address or port was changed on"
    " purpose, close the problem by hand; the row goes after a week. By default there is no such"
    " alarm on listeners on loopback, in other network namespaces and on ephemeral ports, nor on"
    " unix sockets with abstract names, with names made at random, or in /tmp, /var/tmp and users'"
    " folders.",
    scope="availability",
    manual_close=True,
)


_TOLD = "host/complete.listeners"

_NEW = Trigger(
    id="new",
    name="New listener",
    event_name="Something listens where nothing did{#PLACE} (<sockets> sockets)",
    now="<sockets> listening sockets",
    severity=Severity.INFO,
    # There, and its item has had no value for longer than a heartbeat, as discovery made it just
    # now. It makes many at once where the host was added, boots, or where its documents come again
    # or are complete again: for all of these half of that time has no complete list, or one is not.
    expression=f"last(<sockets>)>0 and count(<sockets>,#1:now-{m.HEARTBEAT})=0"
    f' and last(<host/uptime>)>{m.NEW_TIME} and count(<{_TOLD}>,#1:now-{m.NEW_TIME},"eq","1")=1'
    f' and 2*count(<{_TOLD}>,{m.NEW_TIME},"eq","1")*{m.HEARTBEAT}>={m.NEW_TIME}'
    f' and count(<{_TOLD}>,{m.NEW_TIME},"eq","0")=0 and {m.NEW_CONTROL}=1',
    recovery=f"count(<sockets>,#1:now-{m.NEW_TIME})=1 or {m.NEW_CONTROL}=0",
    description="A process has begun to listen at an address where nothing did as long as Zabbix"
    " remembers, of the unit and in the container that the event names, where these are known. Look"
    " first whether that was meant (`zabbix-sockets show listeners`; who deployed"
    " or enabled it), then who can reach it (the address, the firewall). There is none in the first"
    f" {m.NEW_TIME} of a host and after a boot, nor after a gap in its documents of half that time,"
    " nor while its list of listeners is not complete. Rows that a changed filter has discovered"
    " are new, too.",
    scope="notice",
    manual_close=True,
)


def _may_go(who: str, condition: Condition) -> Override:
    """Return the override for listeners that are no alarm when they are gone."""
    triggers = f": {_GONE.name}$"
    return Override(f"{who} may come and go", (condition,), discover=False, triggers=triggers)


_NOT_TCP = Condition("{#PROTOCOL}", "^(udp|unix)$")
_NOT_UDP = Condition("{#PROTOCOL}", "^(tcp|unix)$")
_PASSING_NAME = Condition(
    "{#ADDRESS}", r"^(@|/tmp/|/var/tmp/|/home/|/root/|/run/user/)|^/.*([0-9a-f]{12}|~)"
)
"""Unix sockets that come and go: abstract ones, those of sessions, and those with a random part."""

_ACCEPT_GRAPH = Graph(
    "Accept queue used", (Line("accept_queue_pct", "F63100", peaks=True),), percent=True
)

RULE = Rule(
    kind="listeners",
    name="Listeners discovery",
    title="Listener {#LABEL}",
    description="Listening TCP and bound UDP addresses and listening unix sockets, without those on"
    " ports or names that the kernel picks, as far as the collector admits them.",
    # To Zabbix the field that "(absent)" doesn't have is less than any number.
    rows=f'$.listeners[?(@.ephemeral <= {m.EPHEMERAL} && @.id != "(absent)" && {m.ADMITTED})]',
    metrics=described(ListenerRow, _METRICS),
    triggers=(
        *two_levels(
            _accept,
            "accept",
            ("Accept queue fills", "Accept queue is full"),
            (m.ACCEPT_WARN, m.ACCEPT_HIGH),
            Severity.AVERAGE,
        ),
        _WAITING,
        _DROPPED_TCP,
        _DROPPED_UDP,
        _GONE,
        _NEW,
        clients.ONE_HAS_MOST,
    ),
    graphs=(
        _ACCEPT_GRAPH,
        Graph("Connections", (Line("established", "1A7C11"),)),
        traffic.ACCEPTED,
    ),
    conditions=(
        Condition("{#ID}", str(m.LISTENER_MATCHES)),
        Condition("{#ID}", str(m.LISTENER_NOT_MATCHES), negated=True),
        Condition("{#NETNS}", str(m.NETNS_MATCHES)),
    ),
    overrides=(
        all_metrics(m.MORE_LISTENER),
        clients.of(m.CLIENTS_MATCHES),
        Override(
            "UDP has no accept queue",
            (Condition("{#PROTOCOL}", "^udp$"),),
            discover=False,
            items=": Accept queue(| used|, backlog)$",
            triggers=": (Accept queue (fills|is full)|Connections wait to be accepted"
            f"|{_DROPPED_TCP.name})$",
            graphs=f": {_ACCEPT_GRAPH.name}$",
        ),
        Override(
            "Only UDP has datagrams",
            (_NOT_UDP,),
            discover=False,
            items=": Receive queue$",
            triggers=f": {_DROPPED_UDP.name}$",
        ),
        Override(
            "Unix sockets drop nothing",
            (Condition("{#PROTOCOL}", "^unix$"),),
            discover=False,
            items=": Drop rate$",
            triggers=f": {_DROPPED_TCP.name}$",
        ),
        Override(
            "Only TCP has states",
            (_NOT_TCP,),
            discover=False,
            items=": TCP [A-Z_]+$",
        ),
        Override(
            "Only TCP has clients",
            (_NOT_TCP,),
            discover=False,
            items=": Clients(|, .+)$",
            triggers=f": {clients.ONE_HAS_MOST.name}$",
        ),
        Override(
            "Only TCP has round trips",
            (_NOT_TCP,),
            discover=False,
            items=f": ({quality.NAMES})$",
        ),
        Override(
            "Only TCP is counted",
            (_NOT_TCP,),
            discover=False,
            items=": .* per second$",
            graphs=f": {traffic.ACCEPTED.name}$",
        ),
        _may_go("Loopback", Condition("{#ADDRESS}", r"^(127\.|::1$|::ffff:127\.)")),
        _may_go("Unix sockets of users or with names made at random", _PASSING_NAME),
        _may_go("Other network namespaces", Condition("{#NETNS}", ".")),
        _may_go("Ephemeral ports", Condition("{#EPHEMERAL}", "^1$")),
        Override(
            "Ephemeral ports are always new",
            (Condition("{#EPHEMERAL}", "^1$"),),
            discover=False,
            triggers=f": {_NEW.name}$",
        ),
        Override(
            "Missed all the same",
            (Condition("{#ID}", str(m.GONE_MATCHES)),),
            discover=True,
            triggers=f": {_GONE.name}$",
        ),
    ),
    tags=(("listener", "{#ID}"), ("process", "{#PROCESS}")),
    # Of what systemd holds, its own unit says nothing, but the one for which it does.
    place="(row.socket_unit ? ' of unit ' + row.socket_unit"
    " : row.unit ? ' of unit ' + row.unit : '')"
    " + (row.container ? ' in container ' + row.container : '')",
    # A graph's name has 128 characters; nothing is made of a row with one that is longer.
    label="(row.id + (row.process ? ' ' + row.process : '')).slice(0, Math.max(row.id.length, 90))",
)
