"""docs/alarms.md: each alarm, for whoever got a mail of it at night."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Optional

from .faults import FAULTS, NO_ALARM, ORDINARY
from .model import Macro, Rule, Template, Trigger
from .naming import trigger_name
from .pages import GENERATED, table

_LLD_MACRO = re.compile(r"\{#\w+\}")
_VALUE = re.compile(r"<[^>]+>|\{?\{ITEM\.[A-Z]+\d\}(?:\.fmtnum\(\d\)\})?")
_MACRO = re.compile(r"\{\$([A-Z0-9_.]+)(?::\"\{#ID\}\")?\}")

_INTRODUCTION = """\
The name of a problem begins with what it is of: `Process nginx: ...`, `Listener tcp/0.0.0.0:443
nginx: ...`, `Upstream nginx>tcp/192.0.2.5:5432: ...`; without that it is of the whole host, or of
the collector itself. Search this page for the words behind it: each alarm says what has happened
and what to do, and which macros change it. They are set on the host; where an alarm is of a row,
that row's id may be the context of most of them: `{$SOCKETS.CLOSE_WAIT.MIN:"java"}`. Where a macro
that ends with CONTROL is 0 the alarm is silent, where it is 1 it is not. `{#PORT}`, `{#ADDRESS}`
and `{#PLACE}` are the row's, as the problem's name has them. For what is in a container add
`--netns all` to the commands.

A condition has to hold for a whole window, mostly a macro that ends with TIME. So problems appear
that long after the fault, plus one `{$SOCKETS.HEARTBEAT}` at most where a value doesn't change, and
most of them recover as long after the repair. Those of the collector (it fails, says nothing, is
degraded, doesn't see or tell all) and of a listener that is gone recover with the next good value.
"""

_TRIED = """\
Each of these was made with real programs on servers and agents of Zabbix 6.0 and 7.0, with shorter
windows (tests/zabbix/trial): it raised this one problem and no other, on both, and the problem
recovered once the fault was mended. Alarms that are not here were made to fire and recover with
documents that were sent to the servers (tests/zabbix/alarms).
"""


_OTHERS = "none here: Zabbix's own template of the agent tells"

_Group = tuple[str, str, tuple[Trigger, ...], Optional[Rule]]
"""Triggers with the list that they are of, or "host", and the heading of their part."""


def alarms_page(template: Template) -> str:
    """Return the page of all alarms of the template."""
    groups: list[_Group] = [("host", "Of the host and the collector", template.triggers, None)]
    groups += [(rule.kind, f"Of {rule.kind}", rule.triggers, rule) for rule in template.rules]
    headings = {
        (kind, trigger.id): _LLD_MACRO.sub("...", trigger_name(trigger, rule))
        for kind, _, triggers, rule in groups
        for trigger in triggers
    }
    contents = [f"- {_link(heading)}\n" for heading in headings.values()]
    parts = [f"# Alarms\n\n{GENERATED}{_INTRODUCTION}\n", *contents]
    macros = {each.name: each for each in template.macros}
    for kind, group, triggers, rule in groups:
        parts.append(f"\n## {group}\n")
        parts += [
            f"\n### {headings[kind, each.id]}\n\n{_alarm(each, rule, macros)}" for each in triggers
        ]
    tried = [
        (each.what, _link(headings[each.alarm]) if each.alarm != NO_ALARM else _OTHERS, each.made)
        for each in FAULTS
    ]
    parts.append(f"\n## Faults that were tried\n\n{_TRIED}\n")
    parts.append(table(("Fault", "Alarm", "How it was made"), tried))
    parts.append("\nNo problem came of what happens on a host that is well:\n\n")
    parts += [f"- {each.what}\n" for each in ORDINARY]
    return "".join(parts)


def _alarm(trigger: Trigger, rule: Rule | None, macros: Mapping[str, Macro]) -> str:
    """Return severity, what a problem is called, what to do, and the macros.

    *rule* is the one that discovers it; None: it is of the host.
    """
    names = dict.fromkeys(
        _MACRO.findall("".join((*_asking(trigger, rule), trigger.expression, trigger.recovery)))
    )
    silent = any(name.endswith(".CONTROL") and macros[name].value == "0" for name in names)
    listed = "".join(
        f"- `{{${name}}}`, `{macros[name].value}`: {macros[name].description}\n" for name in names
    )
    off = ", off by default" if silent or not trigger.default else ""
    said = _MACRO.sub(lambda found: macros[found[1]].value, _VALUE.sub("...", trigger.event_name))
    severity = trigger.severity.value.capitalize()
    return f'{severity}{off}: "{said}"\n\n{trigger.description}\n\n{listed}'


def _asking(trigger: Trigger, rule: Rule | None) -> Iterator[str]:
    """Yield the macros that select the rows which have an alarm that is off by default."""
    if rule is None or trigger.default:
        return
    name = trigger_name(trigger, rule)
    for override in rule.overrides:
        if override.discover and override.triggers and re.search(override.triggers, name):
            yield from (each.macro + each.pattern for each in override.conditions)


def _link(heading: str) -> str:
    """Return a link to a heading, with the anchor that GitHub gives it."""
    anchor = re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")
    return f"[{heading}](#{anchor})"
