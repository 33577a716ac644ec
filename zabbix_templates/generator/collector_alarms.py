"""Alarms of the collector: it fails, is silent, slow, or does not see or tell all."""

from . import macros as m
from .conditions import known, over, under
from .model import Severity, Trigger, Way
from .naming import AGENT_AVAILABLE

_ERROR = "collector.error"

_FAILS = Trigger(
    id="collector_fails",
    name="Collector fails",
    event_name=f"zabbix-sockets fails: <{_ERROR}> (for {m.ERROR_TIME})",
    now=f"<{_ERROR}>",
    severity=Severity.AVERAGE,
    expression=f'count(<{_ERROR}>,{m.ERROR_TIME},"regexp","^$")=0'
    f" and length(last(<{_ERROR}>,#1:now-{m.ERROR_TIME}))>0"
    f" and {known(_ERROR, m.ERROR_TIME)} and {m.ERROR_CONTROL}=1",
    recovery=f"length(last(<{_ERROR}>))=0 or {m.ERROR_CONTROL}=0",
    description="No document of zabbix-sockets comes: all its other alarms are blind. The event"
    " says why. Look first on the host what is wrong and what to do (`zabbix-sockets check`), then"
    " ask by hand (`zabbix-sockets get`; from the server zabbix_get -k sockets.get).",
    scope="availability",
)


def _silent(way: Way) -> Trigger:
    # For all of the time: when an agent comes back, its first document is still to come.
    is_up = f' and count(<{AGENT_AVAILABLE}>,{m.NODATA_TIME},"eq","0")=0' if way.polled else ""
    return Trigger(
        id="nodata",
        name="No document comes",
        event_name=f"No document of zabbix-sockets comes, for {m.NODATA_TIME} now",
        now="The last one took <collector.seconds> to make",
        severity=Severity.WARNING,
        expression=f"nodata(<collector.seconds>,{m.NODATA_TIME})=1{is_up} and {m.NODATA_CONTROL}=1",
        description="Nobody asks or nobody answers: all other alarms of zabbix-sockets are blind."
        " Look first whether the item 'Get sockets' is enabled and whether the agent, or the"
        " service that pushes, runs (`zabbix-sockets check` on the host), then ask by hand"
        " (`zabbix-sockets get`; from the server zabbix_get -k sockets.get)."
        + (" Silent while Zabbix knows that the agent is down." if way.polled else ""),
        scope="availability",
        depends_on=(_FAILS.id,),
    )


_SLOW = Trigger(
    id="collector_slow",
    name="Collector is slow",
    event_name=f"Collector is slow: <collector.seconds> (over {m.SECONDS_WARN} s for"
    f" {m.SECONDS_TIME})",
    now="<collector.seconds>",
    severity=Severity.WARNING,
    expression=f"{over('collector.seconds', m.SECONDS_WARN, m.SECONDS_TIME)}"
    f" and {m.SECONDS_CONTROL}=1",
    recovery=f"({under('collector.seconds', f'0.8*{m.SECONDS_WARN}', m.SECONDS_TIME, '<')})"
    f" or {m.SECONDS_CONTROL}=0",
    description="After 2.5 s the document is incomplete, after the agent's timeout there is none."
    " Look at the collector's source first (`zabbix-sockets check`): with the BPF iterators"
    " (zabbix-sockets load) a million sockets take a second. Then at the load of the host.",
    scope="performance",
)

_PARTIAL = Trigger(
    id="collector_partial",
    name="Collector sees only a part",
    event_name="Collector sees only a part: <collector.denied> processes denied,"
    " <collector.namespaces_skipped> namespaces skipped",
    now="<collector.denied> processes denied, <collector.namespaces_skipped> namespaces skipped",
    severity=Severity.INFO,
    expression=f"max(<complete>,{m.PARTIAL_TIME})=0"
    f" and last(<complete>,#1:now-{m.PARTIAL_TIME})=0 and {known('complete', m.PARTIAL_TIME)}"
    f" and last(<collector.denied>)>=0"
    f" and last(<collector.namespaces_skipped>)>=0 and {m.PARTIAL_CONTROL}=1",
    recovery=f"last(<complete>)=1 or {m.PARTIAL_CONTROL}=0",
    description="Lists are not complete: no zero is stored for what is missing from them. Look at"
    " the collector's warnings first (`zabbix-sockets get`), then at what the agent would need"
    " (`zabbix-sockets check`).",
    scope="notice",
)

_DEGRADED = Trigger(
    id="collector_degraded",
    name="Collector is degraded",
    event_name="Collector is degraded: <collector.reason>",
    now="<collector.reason>",
    severity=Severity.INFO,
    expression=f"{over('collector.degraded', 1, m.DEGRADED_TIME, '=')}"
    f" and length(last(<collector.reason>))>=0 and {m.DEGRADED_CONTROL}=1",
    recovery=f"last(<collector.degraded>)=0 or {m.DEGRADED_CONTROL}=0",
    description="This host could be read better and faster: the BPF iterators could be loaded."
    " Look first why they aren't (`zabbix-sockets check` on the host says so, and what to do), then"
    " who may read them (ls -l /run/zabbix-sockets).",
    scope="notice",
)

_NOT_ADMITTED = Trigger(
    id="collector_not_admitted",
    name="Rows are left out of discovery",
    event_name="Rows are left out of discovery: <collector.not_admitted> processes and listeners"
    f" (at least {m.NOT_ADMITTED_WARN} for {m.NOT_ADMITTED_TIME})",
    now="<collector.not_admitted> processes and listeners",
    severity=Severity.WARNING,
    expression=f"{over('collector.not_admitted', m.NOT_ADMITTED_WARN, m.NOT_ADMITTED_TIME, '>=')}"
    f" and {m.NOT_ADMITTED_CONTROL}=1",
    recovery=f"({under('collector.not_admitted', m.NOT_ADMITTED_WARN, m.NOT_ADMITTED_TIME, '<')})"
    f" or {m.NOT_ADMITTED_CONTROL}=0",
    description="These have no items and no alarms: somebody runs many names or ports, or new ones"
    " again and again, and the collector admits only so many, so that the server's cache is not"
    " filled. What was discovered before is watched as ever. Look first whose they are"
    " (`zabbix-sockets show processes`, `zabbix-sockets show listeners`), then at the collector's"
    " warnings (`zabbix-sockets check`): where its file can't be written, nothing new is admitted."
    " A service that shall be discovered today should run in a unit of its own.",
    scope="capacity",
)

_TOLD = f'count(<collector.not_admitted>,{m.TRUNCATED_TIME},"ge","{m.NOT_ADMITTED_WARN}")'
"""How many samples say that rows are left out of discovery, which has its own alarm."""

_LEFT_OUT = "last(<collector.truncated.processes>)+last(<collector.truncated.listeners>)"

_TRUNCATED = Trigger(
    id="truncated",
    name="The document leaves rows out",
    event_name="The document leaves rows out: <collector.truncated.processes> processes,"
    f" <collector.truncated.listeners> listeners (for {m.TRUNCATED_TIME}"
    f" {m.TRUNCATED_MAX} or more)",
    now="<collector.truncated.processes> processes, <collector.truncated.listeners> listeners",
    severity=Severity.WARNING,
    expression=f"min(<collector.truncated.processes>,{m.TRUNCATED_TIME})"
    f"+min(<collector.truncated.listeners>,{m.TRUNCATED_TIME})>={m.TRUNCATED_MAX}"
    f" and last(<collector.truncated.processes>,#1:now-{m.TRUNCATED_TIME})"
    f"+last(<collector.truncated.listeners>,#1:now-{m.TRUNCATED_TIME})>={m.TRUNCATED_MAX}"
    f" and {known('collector.truncated.processes', m.TRUNCATED_TIME)}"
    f" and {_TOLD}=0 and {m.TRUNCATED_CONTROL}=1",
    recovery=f"({_LEFT_OUT}<{m.TRUNCATED_MAX}"
    f" and {known('collector.truncated.processes', m.TRUNCATED_TIME)}) or {_TOLD}>0"
    f" or {m.TRUNCATED_CONTROL}=0",
    description="More names or addresses than the document has room for: the rows that it leaves"
    " out raise no alarm, and none is discovered. Those that are discovered already are left out"
    " last, and keep their last values then; and as long as listeners are left out, none that is"
    " gone raises an alarm. Look first who they are (`zabbix-sockets show processes`,"
    " `zabbix-sockets show listeners`), then group what differs in name alone (docs/grouping.md)."
    " Silent while the alarm on rows left out of discovery says so.",
    scope="notice",
)


def triggers(way: Way) -> tuple[Trigger, ...]:
    """Return the alarms of the collector in the template of that way."""
    return (_FAILS, _silent(way), _SLOW, _DEGRADED, _PARTIAL, _NOT_ADMITTED, _TRUNCATED)
