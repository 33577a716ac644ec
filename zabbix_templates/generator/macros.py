"""The templates' user macros: thresholds, windows, filters, switches.

A window is at least twice the heartbeat: values that don't change are stored once in a
heartbeat, so a shorter window might hold none.
"""

from .model import Macro

GROUP_BY = Macro(
    "SOCKETS.GROUP.BY",
    "process",
    "What a row of processes stands for: process, unit, container or user. Set it before the"
    " first discovery: another grouping makes other rows.",
)
INTERVAL = Macro("SOCKETS.INTERVAL", "1m", "How often the document is asked for.")
TIMEOUT = Macro(
    "SOCKETS.TIMEOUT",
    "3s",
    "How long the server waits for the document (7.0 and later). The command ends by itself after"
    " 2.7 s at most.",
)
HEARTBEAT = Macro(
    "SOCKETS.HEARTBEAT",
    "5m",
    "A value that doesn't change is stored once in this time. Windows of triggers have to be at"
    " least twice as long.",
)
LLD_HEARTBEAT = Macro(
    "SOCKETS.LLD.HEARTBEAT", "1h", "Discovery that doesn't change is done once in this time."
)

NEVER = "CHANGE_IF_NEEDED"


def matches(name: str, value: str, what: str) -> Macro:
    """Return a macro that selects what is discovered."""
    return Macro(f"SOCKETS.LLD.FILTER.{name}.MATCHES", value, what)


def not_matches(name: str, what: str) -> Macro:
    """Return a macro that keeps out of discovery what it matches; by default nothing."""
    return Macro(f"SOCKETS.LLD.FILTER.{name}.NOT_MATCHES", NEVER, what)


PROCESS_MATCHES = matches("PROCESS", ".*", "Names of the processes to discover.")
PROCESS_NOT_MATCHES = not_matches("PROCESS", "Names of processes to leave out.")
LISTENER_MATCHES = matches("LISTENER", ".*", "Listeners to discover, such as ^tcp/ or :443$.")
LISTENER_NOT_MATCHES = not_matches("LISTENER", "Listeners to leave out, by id.")
UPSTREAM_MATCHES = matches(
    "UPSTREAM",
    "^$",
    "Upstreams to discover, by id: ^nginx> for all of nginx, >tcp/192.0.2.5:5432$ for a"
    " database. By default none.",
)
UPSTREAM_NOT_MATCHES = not_matches("UPSTREAM", "Upstreams to leave out, by id.")
NETNS_MATCHES = matches(
    "NETNS",
    "^$",
    "Network namespaces whose listeners and upstreams are discovered, by name; the collector's own"
    " has an empty one. .* for all.",
)
EPHEMERAL = Macro(
    "SOCKETS.LLD.LISTENER.EPHEMERAL",
    "0",
    "1 also discovers listeners on ports that the kernel picks (ip_local_port_range); they"
    " seldom last.",
)


def more(name: str) -> Macro:
    """Return the macro that asks for all metrics of some rows."""
    plural = {"PROCESS": "Processes", "LISTENER": "Listeners", "UPSTREAM": "Upstreams"}[name]
    what = f"{plural} of which all metrics are kept, by id. By default none."
    return Macro(f"SOCKETS.LLD.MORE.{name}.MATCHES", "^$", what)


MORE_PROCESS = more("PROCESS")
MORE_LISTENER = more("LISTENER")
MORE_UPSTREAM = more("UPSTREAM")
USUAL_MATCHES = Macro(
    "SOCKETS.LLD.USUAL.MATCHES",
    "^$",
    "Processes whose established connections are compared with their own usual level, by id."
    " By default none.",
)


def _of(name: str, value: str, description: str) -> Macro:
    """Return a threshold, window or switch that may differ by row: the id is its context."""
    return Macro(f"SOCKETS.{name}", value, description, contextual=True)


def _control(name: str, what: str) -> Macro:
    return _of(f"{name}.CONTROL", "1", f"0 silences {what}.")


CLOSE_WAIT_CONTROL = _control("CLOSE_WAIT", "the alarms on CLOSE_WAIT")
CLOSE_WAIT_PCT = _of(
    "CLOSE_WAIT.PCT.MAX.WARN",
    "20",
    "CLOSE_WAIT, as a percentage of established and CLOSE_WAIT together.",
)
CLOSE_WAIT_MIN = _of(
    "CLOSE_WAIT.MIN", "50", "Fewer connections in CLOSE_WAIT than this are no alarm."
)
CLOSE_WAIT_TIME = _of("CLOSE_WAIT.TIME", "15m", "How long CLOSE_WAIT has to be too much.")
CLOSE_WAIT_GROWTH = _of(
    "CLOSE_WAIT.GROWTH.MAX.WARN",
    "20",
    "By how many connections the fewest of a window exceed those of the one before, and the"
    " latest again those of the window.",
)
CLOSE_WAIT_GROWTH_TIME = _of("CLOSE_WAIT.GROWTH.TIME", "1h", "Each of the two windows.")

SYN_SENT_CONTROL = _control("SYN_SENT", "the alarms on connections that get no answer")
SYN_SENT = _of("SYN_SENT.MAX.WARN", "20", "Connections of a process that wait for an answer.")
SYN_SENT_UPSTREAM = _of(
    "SYN_SENT.UPSTREAM.MAX.WARN", "5", "Connections to one upstream that wait for an answer."
)
SYN_SENT_PCT = _of(
    "SYN_SENT.PCT.MAX.WARN",
    "10",
    "SYN_SENT of a process, as a percentage of established and SYN_SENT together.",
)
SYN_SENT_UPSTREAM_PCT = _of(
    "SYN_SENT.UPSTREAM.PCT.MAX.WARN",
    "50",
    "SYN_SENT to an upstream, as a percentage of established and SYN_SENT together.",
)
SYN_SENT_TIME = _of("SYN_SENT.TIME", "10m", "How long SYN_SENT has to be too much.")

FDS_CONTROL = _control("FDS", "the alarms on file descriptors")
FDS_WARN = _of("FDS.PCT.MAX.WARN", "80", "Open descriptors of a process, in % of its limit.")
FDS_HIGH = _of("FDS.PCT.MAX.HIGH", "95", "Open descriptors of a process, in % of its limit.")
FDS_TIME = _of("FDS.TIME", "10m", "How long descriptors have to be too many.")

USUAL_CONTROL = _control("USUAL", "the alarm on more connections than usual")
USUAL_FACTOR = _of(
    "USUAL.FACTOR.MAX.WARN", "3", "Established connections, in multiples of their usual level."
)
USUAL_MIN = _of("USUAL.MIN", "100", "Fewer established connections than this are no alarm.")
USUAL_PERIOD = _of(
    "USUAL.PERIOD",
    "168h:now/h",
    "The usual level is the average of this period, in the units in which it ends: hours.",
)
USUAL_TIME = _of("USUAL.TIME", "15m", "How long connections have to be far more than usual.")

RETRANSMITTING_CONTROL = _control("RETRANSMITTING", "the alarms on connections that retransmit")
RETRANSMITTING_PCT = _of(
    "RETRANSMITTING.PCT.MAX.WARN",
    "20",
    "Connections that retransmit at this moment, in % of those that sent or received lately.",
)
RETRANSMITTING_MIN = _of(
    "RETRANSMITTING.MIN", "10", "Fewer connections that retransmit than this are no alarm."
)
RETRANSMITTING_TIME = _of("RETRANSMITTING.TIME", "10m", "How long they have to be too many.")

RTT_CONTROL = _control("RTT", "the alarm on an upstream that has become slow")
RTT_FACTOR = _of(
    "RTT.FACTOR.MAX.WARN", "3", "Median round-trip time, in multiples of its usual level."
)
RTT_MIN = _of("RTT.MIN", "0.02", "Round trips of fewer seconds than this are no alarm.")
RTT_PERIOD = _of(
    "RTT.PERIOD",
    "24h:now/h",
    "The usual level is the average of this period, in the units in which it ends: hours.",
)
RTT_TIME = _of("RTT.TIME", "10m", "How long round trips have to be too long.")

ACCEPT_CONTROL = _control("ACCEPT_QUEUE", "the alarms on the accept queue")
ACCEPT_WARN = _of("ACCEPT_QUEUE.PCT.MAX.WARN", "70", "Accept queue, in % of the backlog.")
ACCEPT_HIGH = _of("ACCEPT_QUEUE.PCT.MAX.HIGH", "95", "Accept queue, in % of the backlog.")
ACCEPT_MIN = _of(
    "ACCEPT_QUEUE.MIN", "10", "Fewer connections in the accept queue than this are no alarm."
)
ACCEPT_SAMPLES = _of(
    "ACCEPT_QUEUE.SAMPLES",
    "#3",
    "In how many samples the queue has to be too full, or for how long.",
)

GONE_CONTROL = _control("GONE", "the alarm on a listener that is gone")
GONE_TIME = _of("GONE.TIME", "10m", "For how long a listener has to be absent.")
SEEN_TIME = _of(
    "SEEN.TIME", "4h", "A listener counts if it was there for 90 % of this time before."
)

EPHEMERAL_CONTROL = _control("EPHEMERAL", "the alarms on ephemeral ports, the host's own too")
EPHEMERAL_WARN = _of("EPHEMERAL.PCT.MAX.WARN", "80", "Ephemeral ports taken to one destination.")
EPHEMERAL_HIGH = _of("EPHEMERAL.PCT.MAX.HIGH", "95", "Ephemeral ports taken to one destination.")
EPHEMERAL_TIME = _of("EPHEMERAL.TIME", "10m", "How long they have to be too many.")

DROPS_CONTROL = Macro(
    "SOCKETS.LISTEN.DROPS.CONTROL", "1", "0 silences the alarms on overflows and drops."
)
DROPS_WARN = Macro(
    "SOCKETS.LISTEN.DROPS.MAX.WARN", "0.1", "Connections refused or dropped per second."
)
DROPS_SAMPLES = Macro(
    "SOCKETS.LISTEN.DROPS.SAMPLES", "3", "In how many of the samples of that time, at least."
)
DROPS_TIME = Macro("SOCKETS.LISTEN.DROPS.TIME", "10m", "In which time samples are counted.")

MEMORY_CONTROL = Macro("SOCKETS.TCP.MEMORY.CONTROL", "1", "0 silences the alarm on TCP memory.")
MEMORY_HIGH = Macro("SOCKETS.TCP.MEMORY.PCT.MAX.HIGH", "80", "TCP memory, in % of its limit.")
MEMORY_TIME = Macro("SOCKETS.TCP.MEMORY.TIME", "10m", "How long it has to be too much.")

SECONDS_CONTROL = Macro(
    "SOCKETS.COLLECTOR.SECONDS.CONTROL", "1", "0 silences the alarm on a slow collector."
)
SECONDS_WARN = Macro("SOCKETS.COLLECTOR.SECONDS.MAX.WARN", "2", "Seconds that collecting takes.")
SECONDS_TIME = Macro("SOCKETS.COLLECTOR.SECONDS.TIME", "10m", "How long it has to be too slow.")
DEGRADED_CONTROL = Macro(
    "SOCKETS.COLLECTOR.DEGRADED.CONTROL", "1", "0 silences the alarm on a degraded collector."
)
DEGRADED_TIME = Macro("SOCKETS.COLLECTOR.DEGRADED.TIME", "30m", "How long it has to be so.")
NODATA_CONTROL = Macro(
    "SOCKETS.NODATA.CONTROL", "0", "1 alarms when no document comes; by default it doesn't."
)
NODATA_TIME = Macro("SOCKETS.NODATA.TIME", "10m", "How long no document has to come.")
PARTIAL_CONTROL = Macro(
    "SOCKETS.PARTIAL.CONTROL",
    "0",
    "1 alarms when processes may not be inspected or namespaces not be read; by default it"
    " doesn't, as agents without the BPF iterators are ordinary.",
)
PARTIAL_TIME = Macro("SOCKETS.PARTIAL.TIME", "30m", "How long it has to be so.")

ALL = tuple(each for each in list(globals().values()) if isinstance(each, Macro))
