"""Triggers, graphs and discovery rules."""

from __future__ import annotations

from zabbix_sockets.document.admission import LIFETIME_DAYS
from zabbix_sockets.document.discovery import macros_of
from zabbix_sockets.document.document import ROWS

from . import macros
from .items import DISCARD, metric_item, row, step
from .model import Condition, Graph, Object, Override, Rule, Template, Trigger
from .naming import (
    HOST,
    expand,
    figures,
    graph_name,
    item_key,
    references,
    rule_key,
    trigger_name,
    trigger_title,
)
from .uuids import uuid_of

_MADE = {"label": "{#LABEL}", "place": "{#PLACE}"}
"""The macros of the fields that a rule's JavaScript makes, where it has one for them."""


def trigger_object(template: Template, trigger: Trigger, rule: Rule | None) -> Object:
    """Return a trigger, or with a rule its prototype."""
    place = (rule.kind, "trigger") if rule else ("trigger",)
    made: Object = {
        "uuid": uuid_of(template.way.name, *place, trigger.id),
        "expression": expand(trigger.expression, template, rule),
    }
    if trigger.recovery:
        made["recovery_mode"] = "RECOVERY_EXPRESSION"
        made["recovery_expression"] = expand(trigger.recovery, template, rule)
    made["name"] = trigger_name(trigger, rule)
    event = figures(trigger.event_name, trigger, rule, "ITEM.VALUE")
    made["event_name"] = f"{trigger_title(rule)}: {event}"
    if trigger.now:
        made["opdata"] = figures(trigger.now, trigger, rule, "ITEM.LASTVALUE")
    if rule and not trigger.default:
        made["discover"] = "NO_DISCOVER"
    made["priority"] = trigger.severity.value
    made["description"] = trigger.description
    if trigger.manual_close:
        made["manual_close"] = "YES"
    if trigger.depends_on:
        found = [_dependency(template, each, rule) for each in trigger.depends_on]
        made["dependencies"] = sorted(found, key=lambda each: str(each["name"]))
    made["tags"] = [{"tag": "scope", "value": trigger.scope}]
    return made


def _dependency(template: Template, worse: str, rule: Rule | None) -> Object:
    if worse.startswith(HOST):
        return _dependency(template, worse.removeprefix(HOST), None)
    triggers = rule.triggers if rule else template.triggers
    (found,) = (each for each in triggers if each.id == worse)
    made: Object = {
        "name": trigger_name(found, rule),
        "expression": expand(found.expression, template, rule),
    }
    if found.recovery:
        made["recovery_expression"] = expand(found.recovery, template, rule)
    return made


def nest_triggers(
    items: list[Object], template: Template, triggers: tuple[Trigger, ...], rule: Rule | None
) -> list[Object]:
    """Put each trigger that looks at one item into that item, and return the others.

    That is where Zabbix's own export has them.
    """
    field = "trigger_prototypes" if rule else "triggers"
    by_key = {item["key"]: item for item in items}
    several = []
    for trigger in triggers:
        made = trigger_object(template, trigger, rule)
        keys = references(trigger)
        if len(keys) > 1:
            several.append(made)
            continue
        nested = by_key[item_key(keys[0], rule)].setdefault(field, [])
        assert isinstance(nested, list)
        nested.append(made)
    return several


def graph_object(template: Template, graph: Graph, rule: Rule | None) -> Object:
    """Return a graph, or with a rule its prototype."""
    place = (rule.kind, "graph") if rule else ("graph",)
    lines: list[Object] = []
    for order, line in enumerate(graph.lines):
        made: Object = {"sortorder": str(order)} if order else {}
        made["color"] = line.color
        if line.right_axis:
            made["yaxisside"] = "RIGHT"
        if line.peaks:
            made["calc_fnc"] = "MAX"
        made["item"] = {"host": template.way.name, "key": item_key(line.key, rule)}
        lines.append(made)
    axes: Object = {"ymin_type_1": "FIXED"}
    if graph.percent:
        axes["ymax_type_1"] = "FIXED"
    return {
        "uuid": uuid_of(template.way.name, *place, graph.name),
        "name": graph_name(graph, rule),
        **axes,
        "graph_items": lines,
    }


def discovery_rule(template: Template, rule: Rule, version: str) -> Object:
    """Return the rule with all its prototypes."""
    prototypes = [row(template, rule)]
    prototypes += [metric_item(template, metric, rule, version) for metric in rule.metrics]
    several = nest_triggers(prototypes, template, rule.triggers, rule)
    made: Object = {
        "uuid": uuid_of(template.way.name, rule.kind),
        "name": rule.name,
        "type": "DEPENDENT",
        "key": rule_key(rule),
        "delay": "0",
        "filter": _filter(rule.conditions),
    }
    if version == "6.0":
        made["lifetime"] = f"{LIFETIME_DAYS}d"  # the default since 7.0
    else:
        made["enabled_lifetime_type"] = "DISABLE_NEVER"
    made |= {
        "description": rule.description,
        "item_prototypes": prototypes,
    }
    if several:
        made["trigger_prototypes"] = several
    made |= {
        "graph_prototypes": [graph_object(template, each, rule) for each in rule.graphs],
        "master_item": {"key": template.way.master_key},
        "lld_macro_paths": [
            {"lld_macro": macro, "path": f"$.{field}"}
            for macro, field in sorted(fields_of(rule).items())
        ],
        "preprocessing": _steps(rule),
        "overrides": [_override(number, each) for number, each in enumerate(rule.overrides, 1)],
    }
    return made


def fields_of(rule: Rule) -> dict[str, str]:
    """Return the macros of a row, and the field that each is read from."""
    fields = macros_of(ROWS[rule.kind])
    for macro in ("{#SETTLED}", "{#ADMITTED}"):
        fields.pop(macro, None)  # rows that are not are not offered
    return fields | {macro: name for name, macro in _MADE.items() if getattr(rule, name)}


def _steps(rule: Rule) -> list[Object]:
    """Return the preprocessing: rows down to their labels, so that they seldom change.

    A collector's error is no list without rows, by which all would be lost.
    """
    fields = [field for field in dict.fromkeys(fields_of(rule).values()) if field not in _MADE]
    # Collectors of former versions don't say of a process in which namespace it is.
    labels = [f"{field}: row.{field}" + " || ''" * (field in ("netns", "port")) for field in fields]
    labels += [f"{name}: {made}" for name in _MADE if (made := getattr(rule, name))]
    script = (
        "return JSON.stringify(JSON.parse(value).map(function (row) {\n    return {"
        + ", ".join(labels)
        + "};\n}));\n"
    )
    return [
        step("CHECK_JSON_ERROR", "$.error") | DISCARD,
        step("JSONPATH", rule.rows)
        | {"error_handler": "CUSTOM_VALUE", "error_handler_params": "[]"},
        step("JAVASCRIPT", script),
        step("DISCARD_UNCHANGED_HEARTBEAT", str(macros.LLD_HEARTBEAT)),
    ]


def _filter(conditions: tuple[Condition, ...]) -> Object:
    made: Object = {}
    if len(conditions) > 1:
        made["evaltype"] = "AND"
    listed: list[Object] = []
    for letter, each in zip("ABCDEF", conditions):
        condition: Object = {"macro": each.macro, "value": each.pattern}
        if each.negated:
            condition["operator"] = "NOT_MATCHES_REGEX"
        listed.append(condition | {"formulaid": letter})
    made["conditions"] = listed
    return made


def _override(number: int, override: Override) -> Object:
    operations: list[Object] = []
    for target, pattern in (
        ("ITEM_PROTOTYPE", override.items),
        ("TRIGGER_PROTOTYPE", override.triggers),
        ("GRAPH_PROTOTYPE", override.graphs),
    ):
        if pattern:
            discover = "DISCOVER" if override.discover else "NO_DISCOVER"
            operations.append(
                {
                    "operationobject": target,
                    "operator": "REGEXP",
                    "value": pattern,
                    "discover": discover,
                }
            )
    return {
        "name": override.name,
        "step": str(number),
        "filter": _filter(override.conditions),
        "operations": operations,
    }
