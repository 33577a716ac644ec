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
    "Network namespaces whose processes, listeners and upstreams are discovered, by name; the"
    " collector's own has an empty one, as has a process with a socket there. .* for all.",
)
EPHEMERAL = Macro(
    "SOCKETS.LLD.LISTENER.EPHEMERAL",
    "0",
    "1 also discovers listeners on ports and names that the kernel picks (ip_local_port_range,"
    " unix sockets that are bound to none); they seldom last.",
)

ROWS_MAX = Macro(
    "SOCKETS.LLD.ROWS.MAX",
    "400",
    "The most rows of each list that are discovered; the collector itself admits up to 400"
    " processes, 300 listeners and 150 upstreams.",
)
ADMITTED = f"@.admitted != 0 && @.admitted <= {ROWS_MAX}"
"""The JSONPath condition that a row is admitted, with a number within the macro's.

Collectors of former versions don't say which are: there all rows fulfil it, since to Zabbix a field
that is not there is no 0, and less than any number.
"""


def more(name: str) -> Macro:
    """Return the macro that asks for all metrics of some rows."""
    plural = {"PROCESS": "Processes", "LISTENER": "Listeners", "UPSTREAM": "Upstreams"}[name]
    what = f"{plural} of which all metrics are kept, by id. By default none."
    return Macro(f"SOCKETS.LLD.MORE.{name}.MATCHES", "^$", what)


MORE_PROCESS = more("PROCESS")
MORE_LISTENER = more("LISTENER")
MORE_UPSTREAM = more("UPSTREAM")
RESETS_PROCESS = Macro(
    "SOCKETS.LLD.RESETS.PROCESS.MATCHES",
    "^$",
    "Processes of which connections that the other end resets are an alarm, by id. By default none,"
    " as haproxy ends those to its servers with a reset.",
)
RESETS_UPSTREAM = Macro(
    "SOCKETS.LLD.RESETS.UPSTREAM.MATCHES",
    "^$",
    "Upstreams whose resets are an alarm, by id. By default none.",
)
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
CLOSE_WAIT_MAX = _of(
    "CLOSE_WAIT.MAX.WARN",
    "1000",
    "Connections in CLOSE_WAIT that are too many, whatever the share.",
)
CLOSE_WAIT_TIME = _of("CLOSE_WAIT.TIME", "15m", "How long CLOSE_WAIT has to be too much.")
CLOSE_WAIT_GROWTH = _of(
    "CLOSE_WAIT.GROWTH.MAX.WARN",
    "20",
    "The fewest connections of the last window have to be at least so many more than the fewest of"
    " the window before, and the fewest of the last CLOSE_WAIT.TIME at least so many more again.",
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
    "The usual level is the average of this period: a trend period, in whole hours.",
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
    "The usual level is the average of this period: a trend period, in whole hours.",
)
RTT_TIME = _of("RTT.TIME", "10m", "How long round trips have to be too long.")

FAILED_CONTROL = _control("FAILED", "the alarms on a row's attempts to connect that fail")
FAILED_MIN = _of("FAILED.MAX.WARN", "0.1", "Attempts to connect that fail per second.")
FAILED_PCT = _of(
    "FAILED.PCT.MAX.WARN", "50", "Attempts that fail, in % of those that fail and that succeed."
)
FAILED_TIME = _of("FAILED.TIME", "15m", "How long they have to be too many.")
RESET_CONTROL = _control("RESETS", "the alarms on connections that the other end resets")
RESET_MIN = _of("RESETS.MAX.WARN", "1", "Connections that the other end resets per second.")
RESET_PCT = _of("RESETS.PCT.MAX.WARN", "50", "Connections reset, in % of those that end.")
RESET_TIME = _of("RESETS.TIME", "15m", "How long they have to be too many.")
HANDSHAKE_CONTROL = _control("HANDSHAKE", "the alarm on an upstream whose handshakes are slow")
HANDSHAKE_FACTOR = _of(
    "HANDSHAKE.FACTOR.MAX.WARN", "3", "Mean time of a handshake, in multiples of its usual level."
)
HANDSHAKE_MIN = _of("HANDSHAKE.MIN", "0.02", "Handshakes of fewer seconds than this are no alarm.")
HANDSHAKE_OPENED = _of(
    "HANDSHAKE.OPENED.MIN", "0.1", "Fewer connections opened per second than this are no alarm."
)
HANDSHAKE_PERIOD = _of(
    "HANDSHAKE.PERIOD",
    "24h:now/h",
    "The usual level is the average of this period: a trend period, in whole hours.",
)
HANDSHAKE_TIME = _of("HANDSHAKE.TIME", "15m", "How long handshakes have to be too long.")

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
ACCEPT_WAITING_MIN = _of(
    "ACCEPT_QUEUE.WAITING.MIN",
    "10",
    "Connections in an accept queue that never gets shorter than that. 1: it is never empty, as"
    " that of a busy server may well be each time it is looked at.",
)
ACCEPT_WAITING_TIME = _of(
    "ACCEPT_QUEUE.WAITING.TIME",
    "5m",
    "How long so many have to wait. At least twice the interval of documents.",
)
ACCEPT_LONG = _of(
    "ACCEPT_QUEUE.MAX.WARN", "100", "Connections in the accept queue, whatever the backlog."
)
ACCEPT_LONG_TIME = _of(
    "ACCEPT_QUEUE.TIME",
    "3m",
    "How long the accept queue has to be so long. At least twice the interval of documents.",
)

DROPPED_CONTROL = _control("DROPS", "the alarms on what is dropped at a listener")
DROPPED_TCP = _of(
    "DROPS.TCP.MAX.WARN", "0.1", "Attempts to connect that are dropped per second at a listener."
)
DROPPED_UDP = _of("DROPS.UDP.MAX.WARN", "1", "Datagrams that are dropped per second at a listener.")
DROPPED_SAMPLES = _of(
    "DROPS.SAMPLES", "3", "In how many of the samples of that time, at least, at one listener."
)
# A function has no room for two ids.
DROPPED_TIME = Macro("SOCKETS.DROPS.TIME", "10m", "In which time samples are counted.")

NEW_CONTROL = _control("NEW", "the event that something listens where nothing did")
NEW_TIME = Macro(
    "SOCKETS.NEW.TIME",
    "1h",
    "How long the event of a new listener lasts; and how long the host has to be up, and its"
    " documents to come, before there is any. At least four heartbeats.",
)
CLIENTS_MATCHES = Macro(
    "SOCKETS.LLD.CLIENTS.MATCHES",
    "^$",
    "Listeners whose clients are kept, with an alarm, by id: :443$ or .* for all. By default none;"
    " the host's documents have them with clients = true in zabbix-sockets.toml.",
)
CLIENTS_CONTROL = _control("CLIENTS", "the alarm on a client with most of the connections")
CLIENTS_PCT = _of(
    "CLIENTS.PCT.MAX.WARN", "50", "Connections of a single client, in % of the listener's."
)
CLIENTS_MIN = _of(
    "CLIENTS.MIN", "100", "Fewer connections of a single client than this are no alarm."
)
CLIENTS_TIME = _of("CLIENTS.TIME", "15m", "How long a client has to have so many.")

GONE_CONTROL = _control("GONE", "the alarm on a listener that is gone")
GONE_TIME = _of("GONE.TIME", "10m", "For how long a listener has to be absent.")
SEEN_TIME = _of(
    "SEEN.TIME",
    "4h",
    "The alarm is for a listener that was there this long ago, and in nine of ten samples since. If"
    " this is no longer than GONE.TIME and two heartbeats together, it need not have been there at"
    " the beginning.",
)
GONE_MATCHES = Macro(
    "SOCKETS.LLD.GONE.MATCHES",
    "^$",
    "Listeners on loopback, on ephemeral ports, in other network namespaces, and unix sockets with"
    " abstract names, names made at random, or in /tmp, /home and /run/user, that are missed too"
    " when they are gone, by id: ^tcp/127\\.0\\.0\\.1:9000$ or @web$. By default none.",
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
COOKIES_CONTROL = Macro("SOCKETS.SYN_COOKIES.CONTROL", "1", "0 silences the alarm on SYN cookies.")
COOKIES_WARN = Macro("SOCKETS.SYN_COOKIES.MAX.WARN", "0.1", "SYN cookies sent per second.")
COOKIES_SAMPLES = Macro(
    "SOCKETS.SYN_COOKIES.SAMPLES", "3", "In how many of the samples of that time, at least."
)
COOKIES_TIME = Macro("SOCKETS.SYN_COOKIES.TIME", "10m", "In which time samples are counted.")

FAILS_CONTROL = Macro(
    "SOCKETS.ATTEMPT_FAILS.CONTROL", "1", "0 silences the alarm on attempts to connect that fail."
)
FAILS_WARN = Macro(
    "SOCKETS.ATTEMPT_FAILS.MAX.WARN", "5", "Attempts to connect that fail per second."
)
FAILS_TIME = Macro("SOCKETS.ATTEMPT_FAILS.TIME", "10m", "How long they have to be too many.")
RESETS_CONTROL = Macro(
    "SOCKETS.ESTAB_RESETS.CONTROL",
    "0",
    "1 alarms on connections that are reset; by default it doesn't, as haproxy ends those to its"
    " servers with a reset, and each of them counts, on both hosts.",
)
RESETS_WARN = Macro("SOCKETS.ESTAB_RESETS.MAX.WARN", "20", "Connections reset per second.")
RESETS_PCT = Macro(
    "SOCKETS.ESTAB_RESETS.PCT.MAX.WARN", "50", "Connections reset, in % of those opened meanwhile."
)
RESETS_TIME = Macro("SOCKETS.ESTAB_RESETS.TIME", "10m", "How long they have to be too many.")
RSTS_CONTROL = Macro("SOCKETS.OUT_RSTS.CONTROL", "1", "0 silences the alarm on resets sent.")
RSTS_WARN = Macro(
    "SOCKETS.OUT_RSTS.MAX.WARN",
    "1000",
    "Resets sent per second. haproxy sends one for each request without keep-alive.",
)
RSTS_TIME = Macro("SOCKETS.OUT_RSTS.TIME", "10m", "How long they have to be too many.")

ORPHANS_CONTROL = Macro("SOCKETS.ORPHANS.CONTROL", "1", "0 silences the alarm on TCP orphans.")
ORPHANS_PCT = Macro("SOCKETS.ORPHANS.PCT.MAX.WARN", "80", "TCP orphans, in % of their limit.")
ORPHANS_TIME = Macro("SOCKETS.ORPHANS.TIME", "10m", "How long they have to be too many.")
TIME_WAIT_CONTROL = Macro("SOCKETS.TIME_WAIT.CONTROL", "1", "0 silences the alarm on TIME_WAIT.")
TIME_WAIT_PCT = Macro(
    "SOCKETS.TIME_WAIT.PCT.MAX.WARN", "90", "Connections in TIME_WAIT, in % of their limit."
)
TIME_WAIT_TIME = Macro("SOCKETS.TIME_WAIT.TIME", "10m", "How long they have to be too many.")

UDP_CONTROL = Macro("SOCKETS.UDP.ERRORS.CONTROL", "1", "0 silences the alarms on UDP's errors.")
UDP_WARN = Macro("SOCKETS.UDP.ERRORS.MAX.WARN", "1", "Datagrams dropped per second.")
UDP_SAMPLES = Macro(
    "SOCKETS.UDP.ERRORS.SAMPLES", "3", "In how many of the samples of that time, at least."
)
UDP_TIME = Macro("SOCKETS.UDP.ERRORS.TIME", "10m", "In which time samples are counted.")
NO_PORTS_CONTROL = Macro(
    "SOCKETS.UDP.NO_PORTS.CONTROL", "1", "0 silences the alarm on datagrams that nobody receives."
)
NO_PORTS_WARN = Macro(
    "SOCKETS.UDP.NO_PORTS.MAX.WARN", "20", "Datagrams per second to ports that nobody has."
)
NO_PORTS_TIME = Macro("SOCKETS.UDP.NO_PORTS.TIME", "10m", "How long they have to be too many.")
UNSEEN_CONTROL = Macro(
    "SOCKETS.UNSEEN.CONTROL", "1", "0 silences the alarm on a process without items."
)
UNSEEN_WARN = Macro(
    "SOCKETS.UNSEEN.MAX.WARN", "50", "Connections in CLOSE_WAIT and SYN_SENT of such a process."
)
UNSEEN_TIME = Macro("SOCKETS.UNSEEN.TIME", "10m", "How long they have to be too many.")

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
NOT_ADMITTED_CONTROL = Macro(
    "SOCKETS.NOT_ADMITTED.CONTROL", "1", "0 silences the alarm on rows left out of discovery."
)
NOT_ADMITTED_WARN = Macro(
    "SOCKETS.NOT_ADMITTED.MAX.WARN", "1", "Processes and listeners left out of discovery."
)
NOT_ADMITTED_TIME = Macro("SOCKETS.NOT_ADMITTED.TIME", "10m", "How long there have to be so many.")
ERROR_CONTROL = Macro(
    "SOCKETS.COLLECTOR.ERROR.CONTROL", "1", "0 silences the alarm on a collector that fails."
)
ERROR_TIME = Macro(
    "SOCKETS.COLLECTOR.ERROR.TIME",
    "5m",
    "How long it has to fail. At least twice the interval of documents.",
)
NODATA_CONTROL = Macro(
    "SOCKETS.NODATA.CONTROL", "1", "0 silences the alarm on documents that do not come."
)
NODATA_TIME = Macro("SOCKETS.NODATA.TIME", "10m", "How long no document has to come.")
TRUNCATED_CONTROL = Macro(
    "SOCKETS.TRUNCATED.CONTROL", "1", "0 silences the alarm on rows that the document leaves out."
)
TRUNCATED_MAX = Macro(
    "SOCKETS.TRUNCATED.MAX.WARN", "1", "Processes and listeners left out that are an alarm."
)
TRUNCATED_TIME = Macro("SOCKETS.TRUNCATED.TIME", "10m", "How long it has to leave them out.")
PARTIAL_CONTROL = Macro(
    "SOCKETS.PARTIAL.CONTROL",
    "0",
    "1 alarms when processes may not be inspected or namespaces not be read; by default it"
    " doesn't, as agents without the BPF iterators are ordinary.",
)
PARTIAL_TIME = Macro("SOCKETS.PARTIAL.TIME", "30m", "How long it has to be so.")

ALL = tuple(each for each in list(globals().values()) if isinstance(each, Macro))
