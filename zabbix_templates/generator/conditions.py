"""Conditions that several alarms share, and the alarms that differ in little.

In each of them a value has to hold for all of a time. The one that held when that time began
lies before it, by a heartbeat at most. Without it a trigger fires that much too early, and at
the first value of a new item. And there must be two values within the time: after a gap, of
the collector, the agent or the server, one alone says nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable

from .model import Macro, Severity, Trigger


def over(item: str, limit: object, time: Macro, compare: str = ">") -> str:
    """Return the condition that *item* compares so with *limit* for all of that *time*."""
    return (
        f"min(<{item}>,{time}){compare}{limit} and last(<{item}>,#1:now-{time}){compare}{limit}"
        f" and {known(item, time)}"
    )


def under(item: str, limit: object, time: Macro, compare: str = "<=") -> str:
    """Return the condition that *item* compares so with *limit* since that *time*."""
    return f"max(<{item}>,{time}){compare}{limit} and {known(item, time)}"


def known(item: str, time: Macro) -> str:
    """Return the condition that *item* has values within that *time*, not one alone."""
    return f"count(<{item}>,{time})>=2"


def has_trend(item: str) -> str:
    """Return the condition that *item* had values before this hour, as trendavg() needs.

    Without any that can't be evaluated, and the trigger would be unknown for its first hour.
    """
    return f"count(<{item}>,10m:now/h)>0"


def bursts(
    item: str, limit: Macro, samples: Macro, time: Macro, *causes: tuple[str, Macro]
) -> list[str]:
    """Return the conditions under which an alarm on bursts begins and ends.

    It begins when *item* was over *limit* in so many *samples* of that *time*, as a single burst is
    over when one looks, and ends when it was in none.

    Samples don't count that have a cause with an alarm of its own: another item of the document
    that is over its limit. A dependency on that alarm would let both fire where one process of the
    server evaluates *item* before another one has stored the cause.
    """
    counted = "-".join(
        f'count(<{each}>,{time},"gt","{most}")' for each, most in ((item, limit), *causes)
    )
    return [f"{counted}>={samples}", f"{counted}<=0 and {known(item, time)}"]


def share_over(item: str, others: str, percent: object, time: Macro) -> str:
    """Return the condition that *item* is that much of both together for all of that *time*."""
    before = f"#1:now-{time}"
    return (
        f"100*min(<{item}>,{time})>={percent}*(min(<{item}>,{time})+max(<{others}>,{time})) and "
        f"100*last(<{item}>,{before})>={percent}*(last(<{item}>,{before})+last(<{others}>,{before}))"
    )


def share_under(item: str, others: str, percent: object, time: Macro) -> str:
    """Return the condition that it was not for any of that *time*, and by a fifth less."""
    return f"100*max(<{item}>,{time})<0.8*{percent}*(max(<{item}>,{time})+min(<{others}>,{time}))"


def either(*conditions: str) -> str:
    """Return the condition that one of them holds."""
    return f"({' or '.join(f'({each})' for each in conditions)})"


def nearly_full(item: str, limit: Macro, time: Macro, control: Macro, also: str = "") -> list[str]:
    """Return expression and recovery of an alarm on a percentage; *also* has to hold, too."""
    holds = over(item, limit, time) + (f" and {also}" if also else "")
    return [
        f"{holds} and {control}=1",
        f"({under(item, f'0.9*{limit}', time)}) or {control}=0",
    ]


def of_limit(item: str, limit: str, percent: Macro, time: Macro, control: Macro) -> list[str]:
    """Return expression and recovery of an alarm on *item* near *limit*, which is an item, too."""
    full = f"{percent}*last(<{limit}>)"
    holds = f"100*min(<{item}>,{time})>{full} and 100*last(<{item}>,#1:now-{time})>{full}"
    return [
        f"{holds} and {known(item, time)} and {control}=1",
        f"(100*max(<{item}>,{time})<=0.9*{full} and {known(item, time)}) or {control}=0",
    ]


Make = Callable[[str, str, Severity, Macro, tuple[str, ...]], Trigger]
"""Makes a trigger of its id, name, severity, threshold, and the ids of worse ones."""


def two_levels(
    make: Make,
    trigger_id: str,
    names: tuple[str, str],
    limits: tuple[Macro, Macro],
    severity: Severity = Severity.WARNING,
) -> tuple[Trigger, Trigger]:
    """Return a warning of that *severity*, and the worse trigger that silences it."""
    worse = f"{trigger_id}_high"
    return (
        make(f"{trigger_id}_warn", names[0], severity, limits[0], (worse,)),
        make(worse, names[1], Severity.HIGH, limits[1], ()),
    )


def no_answer(
    states: tuple[str, str],
    limits: tuple[Macro, Macro],
    time: Macro,
    control: Macro,
    severity: Severity,
    description: str,
    *,
    to: str = "",
    also: str = "",
) -> Trigger:
    """Return the alarm on connections that get no answer.

    *states* are the items of those in SYN_SENT and of those established, *limits* how many may
    wait and which share: who connects often always has some that wait for one round trip. *to*
    says in the event's name from whom, *also* is a further condition.
    """
    waiting, established = states
    most, percent = limits
    return Trigger(
        id="syn_sent",
        name="Connections get no answer",
        event_name=f"<{waiting}> connections get no answer{to} (over {most}, and {percent}% of"
        f" them and those established, for {time})",
        now=f"<{waiting}> wait, <{established}> are established",
        severity=severity,
        expression=f"{over(waiting, most, time)} and "
        f"{share_over(waiting, established, percent, time)}{also} and {control}=1",
        recovery=f"(max(<{waiting}>,{time})<=0.8*{most} or "
        f"{share_under(waiting, established, percent, time)}) and {known(waiting, time)}"
        f" or {control}=0",
        description=description,
        scope="availability",
    )
