"""Keys, names and references: how the parts of a template point at each other."""

import re

from .model import Graph, Metric, Rule, Template, Trigger

_REFERENCE = re.compile(r"<([a-z0-9_.]+)>")


def item_key(key: str, rule: Rule | None) -> str:
    """Return the key of a metric of the host, or of a row."""
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


def references(trigger: Trigger) -> list[str]:
    """Return the keys of the metrics that a trigger looks at, each once."""
    return list(dict.fromkeys(_REFERENCE.findall(trigger.expression + trigger.recovery)))


def expand(expression: str, template: Template, rule: Rule | None) -> str:
    """Return an expression with its items as Zabbix names them."""
    return _REFERENCE.sub(
        lambda found: f"/{template.way.name}/{item_key(found[1], rule)}", expression
    )


def readable(expression: str, rule: Rule | None) -> str:
    """Return an expression for people: its items by their keys alone, without the row."""
    prefix = f"sockets.{rule.singular}." if rule else "sockets."
    return _REFERENCE.sub(lambda found: prefix + found[1], expression)


def trigger_name(trigger: Trigger, rule: Rule | None) -> str:
    """Return the name of a trigger, by which others depend on it."""
    return title(rule, trigger.name)


def graph_name(graph: Graph, rule: Rule | None) -> str:
    """Return the name of a graph, by which dashboards show it."""
    return title(rule, graph.name)


def metric_of(key: str, metrics: tuple[Metric, ...]) -> Metric:
    """Return the metric with that key."""
    (found,) = (metric for metric in metrics if metric.key == key)
    return found
