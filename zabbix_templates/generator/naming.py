"""Keys, names and references: how the parts of a template point at each other."""

from __future__ import annotations

import re

from .model import Graph, Rule, Template, Trigger

_REFERENCE = re.compile(r"<([a-z0-9_./]+)>")
_FIGURE = re.compile(r"<(\??)([a-z0-9_./]+)(?: of ([^>:]+))?(?::([0-9]))?>")

HOST = "host/"
"""What begins a reference to an item or a trigger of the host from a row."""

AGENT_AVAILABLE = "agent.available"
"""Zabbix's own item on the agent's availability: 0 is down.

Zabbix's template of the agent has the key without quotes, and no host may have one key of two
templates.
"""
_INTERNAL = {AGENT_AVAILABLE: 'zabbix[host,"agent",available]'}


def item_key(key: str, rule: Rule | None) -> str:
    """Return the key of a metric of the host, or of a row; see Trigger for *key*."""
    if key.startswith(HOST):
        return item_key(key.removeprefix(HOST), None)
    if key in _INTERNAL:
        return _INTERNAL[key]
    return f'sockets.{rule.singular}.{key}["{{#ID}}"]' if rule else f"sockets.{key}"


def row_key(rule: Rule) -> str:
    """Return the key of the item that holds a row, until its metrics have been taken."""
    return item_key("get", rule)


def rule_key(rule: Rule) -> str:
    """Return the key of a discovery rule."""
    return f"sockets.{rule.kind}.discovery"


def title(rule: Rule | None, name: str) -> str:
    """Return what people read of a prototype, or of a thing of the host."""
    return f"{rule.title}: {name}" if rule else name


def figures(text: str, trigger: Trigger, rule: Rule | None, macro: str) -> str:
    """Return an event's name or operational data with Zabbix's macros for the items' values.

    ITEM.VALUE is the value that an event is of, ITEM.LASTVALUE the latest; *macro* is one of them.
    They count the functions of the expression. Of a figure <KEY of TIME> it is the greatest of that
    time, for conditions that look at many: the value of the moment may be none of them.
    """
    functions = _REFERENCE.findall(trigger.expression)

    def value(found: re.Match[str]) -> str:
        by_key, key, time, decimals = found.groups()
        if by_key:
            return f"{{?last(//{item_key(key, rule)})}}"
        made = f"{{{macro}{functions.index(key) + 1}}}"
        if time:
            made = f"{{?max(//{item_key(key, rule)},{time})}}"
        return f"{{{made}.fmtnum({decimals})}}" if decimals else made

    return _FIGURE.sub(value, text)


def references(trigger: Trigger) -> list[str]:
    """Return the keys of the metrics that a trigger looks at, each once."""
    return list(dict.fromkeys(_REFERENCE.findall(trigger.expression + trigger.recovery)))


def expand(expression: str, template: Template, rule: Rule | None) -> str:
    """Return an expression with its items as Zabbix names them."""
    return _REFERENCE.sub(
        lambda found: f"/{template.way.name}/{item_key(found[1], rule)}", expression
    )


def calculation(formula: str, rule: Rule | None) -> str:
    """Return a formula with its items as Zabbix names those of the same host."""
    return _REFERENCE.sub(lambda found: f"//{item_key(found[1], rule)}", formula)


def readable(expression: str, rule: Rule | None) -> str:
    """Return an expression for people: its items by their keys alone, without the row."""
    return _REFERENCE.sub(
        lambda found: item_key(found[1], rule).removesuffix('["{#ID}"]'), expression
    )


def trigger_name(trigger: Trigger, rule: Rule | None) -> str:
    """Return the name of a trigger, by which others depend on it."""
    return f"{trigger_title(rule)}: {trigger.name}"


def trigger_title(rule: Rule | None) -> str:
    """Return what an alarm is about: a row, or else the product, as mails name nothing else."""
    return rule.title if rule else "Sockets"


def graph_name(graph: Graph, rule: Rule | None) -> str:
    """Return the name of a graph, by which dashboards show it."""
    return title(rule, graph.name)
