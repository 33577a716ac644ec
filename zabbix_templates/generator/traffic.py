"""Traffic: metrics and alarms of what the kernel counts, as rates.

Where nothing is counted rows have no totals, and nothing is stored. A counter that begins again is
less than before, of which no rate is made, or more by what really came since.
"""

from __future__ import annotations

from dataclasses import replace

from . import macros as m
from .conditions import has_trend, known, over, share_over, share_under
from .model import Condition, Graph, Kind, Line, Macro, Metric, Override, Severity, Trigger

_OF = "Counted in the kernel, those between two documents among them. "

_METRICS = (
    Metric(
        "totals.attempts",
        "totals.attempts",
        "Attempts per second",
        f"{_OF}Connections that it began to open.",
        default=False,
    ),
    Metric(
        "totals.opened",
        "totals.opened",
        "Connections opened per second",
        f"{_OF}Attempts whose handshake was completed.",
    ),
    Metric(
        "totals.failed",
        "totals.failed",
        "Attempts failed per second",
        f"{_OF}Refused, timed out or unreachable.",
    ),
    Metric(
        "totals.abandoned",
        "totals.abandoned",
        "Attempts abandoned per second",
        f"{_OF}Closed by the caller before there was an answer, as the slower of two that are tried"
        " at once is; or no ephemeral port was left.",
        default=False,
    ),
    Metric(
        "totals.accepted",
        "totals.accepted",
        "Connections accepted per second",
        f"{_OF}They have completed the handshake; whether accept() was called is not asked.",
    ),
    Metric(
        "totals.closed",
        "totals.closed",
        "Connections closed per second",
        f"{_OF}However they ended; of a process those that it accepted, too.",
        default=False,
    ),
    Metric(
        "totals.resets",
        "totals.resets",
        "Connections reset per second",
        f"{_OF}Those closed that the other end reset.",
        default=False,
    ),
    Metric(
        "totals.bytes_sent",
        "totals.bytes_sent",
        "Bytes sent per second",
        f"{_OF}Payload, without what was sent again.",
    ),
    Metric(
        "totals.bytes_received",
        "totals.bytes_received",
        "Bytes received per second",
        f"{_OF}Payload that arrived in order.",
    ),
    Metric(
        "totals.retransmitted",
        "totals.retransmitted",
        "Segments retransmitted per second",
        f"{_OF}SYNs among them.",
        default=False,
    ),
    Metric(
        "totals.handshake",
        "totals.handshake_us",
        "Time of handshakes per second",
        f"{_OF}By connections opened per second it is the mean time of a handshake.",
        default=False,
    ),
    Metric(
        "totals.lifetime",
        "totals.lifetime_ms",
        "Lifetime of closed connections per second",
        f"{_OF}Of those that it opened. Divided by those closed per second it is their mean"
        " lifetime, if it accepts none.",
        default=False,
    ),
)

_KNOWN = "(count(<totals.opened>,{0})>0)"
"""1 while values come, within that time; else 0, and nothing can be divided by it."""
_AT_ONCE = "(count(<totals.{0}>,{2})=count(<totals.{1}>,{2}))"
"""1 if both have a rate of each document; a counter that begins again has none."""

_CALCULATED = (
    Metric(
        "totals.failed_pct",
        "",
        "Attempts failed, share",
        "Of those that failed or were opened between two documents. Nothing is stored while there"
        " are none.",
        formula="100*last(<totals.failed>)/((last(<totals.failed>)+last(<totals.opened>))*"
        f"{_KNOWN.format(m.FAILED_TIME)})",
        kind=Kind.FLOAT,
        units="%",
    ),
    Metric(
        "totals.handshake_mean",
        "",
        "Time of a handshake, mean",
        "Of those that were completed between two documents. Nothing is stored while there are"
        " none.",
        formula="last(<totals.handshake>)/(last(<totals.opened>)*"
        f"{_KNOWN.format(m.HANDSHAKE_TIME)}*"
        f"{_AT_ONCE.format('handshake', 'opened', m.HANDSHAKE_TIME)})",
        kind=Kind.FLOAT,
        units="s",
    ),
    Metric(
        "totals.lifetime_mean",
        "",
        "Lifetime of a connection, mean",
        "Of those that were closed between two documents. Nothing is stored while there are none.",
        formula="last(<totals.lifetime>)/(last(<totals.closed>)*"
        f"{_KNOWN.format(m.HANDSHAKE_TIME)}*"
        f"{_AT_ONCE.format('lifetime', 'closed', m.HANDSHAKE_TIME)})",
        kind=Kind.FLOAT,
        units="s",
        default=False,
    ),
)


def metrics(
    left_out: tuple[str, ...] = (),
    every: tuple[str, ...] = (),
    chosen: tuple[str, ...] = (),
    asked: tuple[str, ...] = (),
) -> tuple[Metric, ...]:
    """Return the metrics but those *left_out*.

    Of those in *every* all values are kept: what is divided by each other. Those *chosen* are kept
    without being asked, besides the usual ones, those in *asked* only where somebody asks.
    """
    made = []
    for each in (*_METRICS, *_CALCULATED):
        key = each.key.removeprefix("totals.")
        if key not in left_out:
            default = key in chosen or (each.default and key not in asked)
            throttled = each.throttled and key not in every
            made.append(replace(each, default=default, throttled=throttled))
    return tuple(made)


_OF_RESETS = "totals.closed", "totals.resets"


def attempts_fail(description: str) -> Trigger:
    """Return the alarm on attempts to connect of which many, and most, fail."""
    failed, opened, time = "totals.failed", "totals.opened", m.FAILED_TIME
    return Trigger(
        id="attempts_fail",
        name="Attempts to connect fail",
        event_name=f"<{failed}:2> attempts to connect fail per second, <{opened}:2> succeed"
        f" (over {m.FAILED_MIN}, and {m.FAILED_PCT}% of both, for {time})",
        now=f"<{failed}:2> fail per second, <{opened}:2> succeed",
        severity=Severity.WARNING,
        expression=f"{over(failed, m.FAILED_MIN, time)}"
        f" and {share_over(failed, opened, m.FAILED_PCT, time)} and {known(opened, time)}"
        f" and {m.FAILED_CONTROL}=1",
        recovery=f"(max(<{failed}>,{time})<=0.8*{m.FAILED_MIN}"
        f" or {share_under(failed, opened, m.FAILED_PCT, time)}) and {known(failed, time)}"
        f" or {m.FAILED_CONTROL}=0",
        description=description,
        scope="availability",
        # Its window is shorter, and the cause the same.
        depends_on=("host/attempt_fails",),
    )


_RESETS_NAME = "Connections are reset by the other end"


def resets(description: str) -> Trigger:
    """Return the alarm on connections of which many, and most, end by a reset."""
    item, closed, time = "totals.resets", "totals.closed", m.RESET_TIME
    before = f"#1:now-{time}"
    return Trigger(
        id="resets",
        name=_RESETS_NAME,
        event_name=f"<{item}:2> connections per second are reset by the other end, of <{closed}:2>"
        f" that end (over {m.RESET_MIN}, and {m.RESET_PCT}% of these, for {time})",
        now=f"<{item}:2> reset per second, of <{closed}:2> that end",
        severity=Severity.WARNING,
        expression=f"{over(item, m.RESET_MIN, time)}"
        f" and 100*min(<{item}>,{time})>={m.RESET_PCT}*max(<{closed}>,{time})"
        f" and 100*last(<{item}>,{before})>={m.RESET_PCT}*last(<{closed}>,{before})"
        f" and {known(closed, time)} and {m.RESET_CONTROL}=1",
        recovery=f"(max(<{item}>,{time})<=0.8*{m.RESET_MIN}"
        f" or 100*max(<{item}>,{time})<0.8*{m.RESET_PCT}*min(<{closed}>,{time}))"
        f" and {known(item, time)} or {m.RESET_CONTROL}=0",
        description=description,
        scope="performance",
        depends_on=("host/estab_resets",),
        default=False,
    )


def resets_of(macro: Macro) -> Override:
    """Return the override for the rows whose resets are an alarm: their ids match *macro*."""
    names = "|".join(each.name for each in _METRICS if each.key in _OF_RESETS)
    return Override(
        "Resets",
        (Condition("{#ID}", str(macro)),),
        discover=True,
        items=f": ({names})$",
        triggers=f": {_RESETS_NAME}$",
    )


_OPENED, _TOOK = "totals.opened", "totals.handshake"
_USUAL_TIME = f"{m.HANDSHAKE_FACTOR}*trendavg(<{_TOOK}>,{m.HANDSHAKE_PERIOD})"
_USUAL_NUMBER = f"trendavg(<{_OPENED}>,{m.HANDSHAKE_PERIOD})"
"""Their quotient is how long a handshake may take."""
_LEAST, _MOST = (
    {each: f"{function}(<{each}>,{m.HANDSHAKE_TIME})" for each in (_OPENED, _TOOK)}
    for function in ("min", "max")
)
_BEFORE = f"#1:now-{m.HANDSHAKE_TIME}"

# By the least time and the greatest number: a single SYN that is sent again is in one sample only.
SLOW_HANDSHAKES = Trigger(
    id="handshake_slow",
    name="Handshakes have become slow",
    event_name=f"Handshakes have become slow: over {m.HANDSHAKE_FACTOR} times as long as usual for"
    f" {m.HANDSHAKE_TIME}, <{_OPENED}:2> connections opened per second",
    now=f"<{_OPENED}:2> opened per second",
    severity=Severity.WARNING,
    expression=f"{_LEAST[_OPENED]}>={m.HANDSHAKE_OPENED}"
    f" and {_LEAST[_TOOK]}*{_USUAL_NUMBER}>{_USUAL_TIME}*{_MOST[_OPENED]}"
    f" and {_LEAST[_TOOK]}>{m.HANDSHAKE_MIN}*{_MOST[_OPENED]}"
    f" and last(<{_TOOK}>,{_BEFORE})>{m.HANDSHAKE_MIN}*last(<{_OPENED}>,{_BEFORE})"
    f" and {has_trend(_OPENED)} and {has_trend(_TOOK)}"
    f" and {known(_OPENED, m.HANDSHAKE_TIME)} and {m.HANDSHAKE_CONTROL}=1",
    recovery=f"({_MOST[_TOOK]}*{_USUAL_NUMBER}<=0.8*{_USUAL_TIME}*{_LEAST[_OPENED]}"
    f" or {_MOST[_TOOK]}<={m.HANDSHAKE_MIN}*{_LEAST[_OPENED]})"
    f" and {known(_OPENED, m.HANDSHAKE_TIME)} or {m.HANDSHAKE_CONTROL}=0",
    description="Opening a connection takes far longer than usual: SYNs get lost, or its host, a"
    " balancer or a firewall in between answers late. Look first at who waits (`zabbix-sockets show"
    " sockets --filter 'state syn-sent dport = :{#PORT}'`), then at the way (mtr {#ADDRESS}) and at"
    " the upstream's accept queue.",
    scope="performance",
    depends_on=("slow",),
)

OPENED = Graph(
    "Connections opened, accepted, failed",
    (
        Line("totals.opened", "1A7C11"),
        Line("totals.accepted", "2774A4"),
        Line("totals.failed", "F63100"),
    ),
)
ACCEPTED = Graph("Connections accepted", (Line("totals.accepted", "2774A4"),))
ATTEMPTS = Graph(
    "Opened and failed",
    (Line("totals.opened", "1A7C11"), Line("totals.failed", "F63100")),
)
HANDSHAKES = Graph("Time of a handshake", (Line("totals.handshake_mean", "2774A4"),))
BYTES = Graph(
    "Bytes", (Line("totals.bytes_received", "1A7C11"), Line("totals.bytes_sent", "2774A4"))
)
