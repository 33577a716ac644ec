"""Conditions that several alarms share, and the alarms that differ in little.

In each of them a value has to hold for all of a time. The one that held when that time began
lies before it, by a heartbeat at most. Without it a trigger fires that much too early, and at
the first value of a new item.
"""

from collections.abc import Callable

from .model import Macro, Severity, Trigger


def over(item: str, limit: object, time: Macro, compare: str = ">") -> str:
    """Return the condition that *item* compares so with *limit* for all of that *time*."""
    return f"min(<{item}>,{time}){compare}{limit} and last(<{item}>,#1:now-{time}){compare}{limit}"


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


def nearly_full(item: str, limit: Macro, time: Macro, control: Macro, also: str = "") -> list[str]:
    """Return expression and recovery of an alarm on a percentage; *also* has to hold, too."""
    holds = over(item, limit, time) + (f" and {also}" if also else "")
    return [f"{holds} and {control}=1", f"max(<{item}>,{time})<=0.9*{limit} or {control}=0"]


Make = Callable[[str, str, Severity, Macro, str], Trigger]
"""Makes a trigger of its id, name, severity, threshold, and the id of a worse one."""


def two_levels(
    make: Make, trigger_id: str, names: tuple[str, str], limits: tuple[Macro, Macro]
) -> tuple[Trigger, Trigger]:
    """Return a warning, and the worse trigger that silences it."""
    worse = f"{trigger_id}_high"
    return (
        make(f"{trigger_id}_warn", names[0], Severity.WARNING, limits[0], worse),
        make(worse, names[1], Severity.HIGH, limits[1], ""),
    )


def no_answer(
    states: tuple[str, str],
    limits: tuple[Macro, Macro],
    time: Macro,
    control: Macro,
    severity: Severity,
    description: str,
) -> Trigger:
    """Return the alarm on connections that get no answer.

    *states* are the items of those in SYN_SENT and of those established, *limits* how many may
    wait and which share: who connects often always has some that wait for one round trip.
    """
    waiting, established = states
    most, percent = limits
    return Trigger(
        id="syn_sent",
        name="Connections get no answer",
        event_name=f"{{ITEM.LASTVALUE1}} connections get no answer (over {most} for {time})",
        severity=severity,
        expression=f"{over(waiting, most, time)} and "
        f"{share_over(waiting, established, percent, time)} and {control}=1",
        recovery=f"max(<{waiting}>,{time})<=0.8*{most} or "
        f"{share_under(waiting, established, percent, time)} or {control}=0",
        description=description,
        scope="availability",
    )
