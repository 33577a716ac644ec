"""What people read: names, descriptions, and of each alarm what it saw and how to silence it."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from .exports import GONE, Change, Check, Export, finds, name_of
from .expressions import expressions, functions, user_macros

SCOPES = {"availability", "capacity", "notice", "performance", "security"}
SEVERITIES = {"INFO", "WARNING", "AVERAGE", "HIGH", "DISASTER"}
COMPONENTS = {"raw", "network", "collector", "processes", "listeners", "upstreams"}

WITHOUT_FIGURE = {"Nobody listens any more", "No document comes"}
"""Alarms whose only value is that there is none."""

_FIGURE = re.compile(r"\{ITEM\.(?:LAST)?VALUE([1-9])\}")
_GREATEST = re.compile(r"\{\?max\(//(.*?),\{\$[A-Z_.]+\}\)\}")
_BY_KEY = re.compile(r"\{\?last\(//(.*?)\)\}")


def _short(trigger_name: str) -> str:
    return trigger_name.rpartition(": ")[2]


def undescribed(export: Export) -> Iterator[str]:
    """Yield what people have to guess: things with no or hardly any description."""
    if len(export.body["description"].split()) < 20:
        yield "the template"
    for part in export.parts:
        wanted = [(item, 2) for item in part.items] + [(trigger, 8) for trigger in part.triggers]
        wanted += [(part.rule, 5)] if part.rule else []
        for thing, words in wanted:
            description = thing.get("description", "")
            if len(description.split()) < words or not description.endswith("."):
                yield f"{thing['name']}: {description!r}"
            if len(thing["name"]) > 128:
                yield f"{thing['name']} is too long a name, when LLD macros are in it"


def odd_tags(export: Export) -> Iterator[str]:
    """Yield things without the tags by which people filter."""
    if {tag["tag"] for tag in export.body["tags"]} != {"class", "target"}:
        yield "the template's tags"
    for part in export.parts:
        for thing, name, known in (
            *((item, "component", COMPONENTS) for item in part.items),
            *((trigger, "scope", SCOPES) for trigger in part.triggers),
        ):
            values = [tag["value"] for tag in thing.get("tags", ()) if tag["tag"] == name]
            if len(values) != 1 or values[0] not in known:
                yield f"{thing['name']}: {name} {values}"
        if part.rule:
            of_rows = {tag["value"] for item in part.items for tag in item["tags"]}
            if not {"{#ID}", "{#PROCESS}"} & of_rows:
                yield f"{part.kind}: no tag says which row"


def odd_severities(export: Export) -> Iterator[str]:
    """Yield triggers of no known severity, and names that two triggers have."""
    triggers = [trigger for part in export.parts for trigger in part.triggers]
    for trigger in triggers:
        if trigger.get("priority") not in SEVERITIES:
            yield f"{trigger['name']}: {trigger.get('priority')}"
    for name, count in Counter(trigger["name"] for trigger in triggers).items():
        if count > 1:
            yield f"{name} is there {count} times"


def odd_events(export: Export) -> Iterator[str]:
    """Yield triggers whose problems don't say what was seen, and where, against which limit."""
    for part in export.parts:
        for trigger in part.triggers:
            event, name, now = trigger["event_name"], trigger["name"], trigger["opdata"]
            seen = [each.key for each in functions(trigger["expression"], export.macros)]
            figures = [int(number) for number in _FIGURE.findall(event)]
            greatest = _GREATEST.findall(event)
            if bool(figures or greatest) == (_short(name) in WITHOUT_FIGURE):
                yield f"{name}: {event}"
            # They count the functions of the expression, not its items.
            shown = [seen[number - 1] for number in figures if number <= len(seen)]
            if len(set(shown)) < len(figures) or len(figures) != event.count("{ITEM.VALUE"):
                yield f"{name}: an item twice, or none: {event}"
            found = [int(number) for number in _FIGURE.findall(now)]
            if not found or max(found) > len(seen) or len(found) != now.count("{ITEM.LASTVALUE"):
                yield f"{name}: no figure of now: {now}"
            yield from (f"{name}: {key} is another's" for key in greatest if key not in seen)
            yield from (
                f"{name}: no {key}" for key in _BY_KEY.findall(event) if key not in part.keys
            )
            in_expression = {macro.name for macro in user_macros(trigger["expression"])}
            yield from (
                f"{name}: {macro.name} is not in its expression"
                for macro in user_macros(event)
                if macro.name not in in_expression
            )
            if event.partition(": ")[0] != name.partition(": ")[0]:
                yield f"{name}: another row in {event}"


def uncontrolled(export: Export) -> Iterator[str]:
    """Yield triggers that can't be switched off, or stay when they are."""
    for part in export.parts:
        for trigger in part.triggers:
            if trigger.get("discover") == "NO_DISCOVER":
                continue
            wanted = r'(\{\$SOCKETS\.[A-Z_.]+\.CONTROL(?::"\{#ID\}")?\})'
            on = re.search(rf" and {wanted}=1$", trigger["expression"])
            recovery = trigger.get("recovery_expression", "")
            if not on:
                yield f"{trigger['name']} has no switch"
            elif recovery and not recovery.endswith(f" or {on[1]}=0"):
                yield f"{trigger['name']} stays when it is switched off"
            if bool(recovery) != (trigger.get("recovery_mode") == "RECOVERY_EXPRESSION"):
                yield f"{trigger['name']}: a recovery that Zabbix doesn't look at"


def misplaced(export: Export) -> Iterator[str]:
    """Yield triggers that an export of Zabbix' would have elsewhere.

    Within its item where they look at one, beside the items where they look at several.
    """
    for part in export.parts:
        field = "trigger_prototypes" if part.rule else "triggers"
        for item in part.items:
            for trigger in item.get(field, ()):
                keys = {each.key for each in functions(expressions(trigger), export.macros)}
                if keys != {item["key"]}:
                    yield f"{trigger['name']} is in {item['key']}"
        for trigger in part.several:
            keys = {each.key for each in functions(expressions(trigger), export.macros)}
            if len(keys) < 2:
                yield f"{trigger['name']} is not in {keys}"


CHECKS = (undescribed, odd_tags, odd_severities, odd_events, uncontrolled, misplaced)


@pytest.mark.parametrize("check", CHECKS)
def test_readable(export: Export, check: Check) -> None:
    """People find out what a thing is, what an alarm saw, and how to silence it."""
    assert not list(check(export))


def test_names_without_figure_exist(export: Export) -> None:
    """The list of exceptions holds no alarm that is gone."""
    names = {_short(trigger["name"]) for part in export.parts for trigger in part.triggers}
    assert names >= WITHOUT_FIGURE


BODY = "templates/0"
RULE = f"{BODY}/discovery_rules/sockets.listeners.discovery"
ITEM, ALARM = f"{BODY}/items/sockets.complete", "triggers/Sockets: Ephemeral ports run low"
PROTOTYPE = f"{RULE}/trigger_prototypes/0"
NESTED = f"{BODY}/items/sockets.collector.seconds/triggers/0"
CHANGES: list[Change] = [
    (undescribed, f"{BODY}/description", "Sockets."),
    (undescribed, f"{ITEM}/description", GONE),
    (undescribed, f"{ITEM}/description", "Complete."),
    (undescribed, f"{ALARM}/description", "Ports run low."),
    (undescribed, f"{RULE}/description", ""),
    (undescribed, f"{ITEM}/name", "x" * 129),
    (odd_tags, f"{BODY}/tags", []),
    (odd_tags, f"{ITEM}/tags", []),
    (odd_tags, f"{ALARM}/tags/0/value", "other"),
    (odd_severities, f"{ALARM}/priority", "BAD"),
    (odd_severities, f"{ALARM}/name", "Sockets: Ephemeral ports run out"),
    (odd_events, f"{ALARM}/event_name", "Sockets: Ephemeral ports run low"),
    (odd_events, f"{ALARM}/event_name", "Sockets: {ITEM.VALUE9}"),
    (odd_events, f"{ALARM}/event_name", "Sockets: {ITEM.LASTVALUE1}"),
    (odd_events, f"{ALARM}/event_name", "Sockets: {ITEM.VALUE1} to {ITEM.VALUE2}"),
    (odd_events, f"{ALARM}/event_name", "Sockets: {ITEM.VALUE1} over {$SOCKETS.HEARTBEAT}"),
    (odd_events, f"{ALARM}/event_name", "Sockets: {ITEM.VALUE1} {?last(//sockets.other)}"),
    (odd_events, f"{ALARM}/opdata", ""),
    (odd_events, f"{ALARM}/opdata", "{ITEM.VALUE1}"),
    (odd_events, f"{ALARM}/opdata", "{ITEM.LASTVALUE9}"),
    (odd_events, f"{PROTOTYPE}/event_name", "Listener {#ID}: {ITEM.VALUE1}"),
    (uncontrolled, f"{ALARM}/expression", "last(/Sockets by Zabbix agent/sockets.complete)=1"),
    (uncontrolled, f"{ALARM}/recovery_expression", "1=1"),
    (uncontrolled, f"{ALARM}/recovery_mode", GONE),
    (misplaced, f"{NESTED}/expression", "last(/Sockets by Zabbix agent/sockets.complete)=1"),
    (
        misplaced,
        f"{ALARM}/expression",
        "last(/Sockets by Zabbix agent/sockets.ephemeral.worst_pct)",
    ),
]


@pytest.mark.parametrize("change", CHANGES, ids=name_of)
def test_changes_are_found(change: Change) -> None:
    """Each check finds what is wrong."""
    assert finds(change)
