"""Items and item prototypes: the master, the rows, the metrics."""

from . import macros
from .model import Kind, Metric, Object, Rule, Template
from .naming import item_key, row_key, title
from .uuids import uuid_of

YES_NO = "Yes or no"
_HISTORY = "7d"
_NOT_TEXT = (Kind.UNSIGNED, Kind.FLOAT)


def master(template: Template, version: str) -> Object:
    """Return the one item that is asked for; nothing of it is stored."""
    way = template.way
    item: Object = {
        "uuid": uuid_of(way.name, "item", way.master_key),
        "name": "Get sockets",
        "type": way.item_type,
        "key": way.master_key,
    }
    if way.item_type == "ZABBIX_PASSIVE":
        del item["type"]  # the default
    item["delay"] = str(macros.INTERVAL) if way.polled else "0"
    item |= {"history": "0", "trends": "0", "value_type": "TEXT"}
    item["description"] = (
        "The document: all that zabbix-sockets knows of this moment, one line of JSON."
    )
    # No two documents are the same. But with a step that looks at the value before, 7.0 takes
    # the values of an item in turn; else those that come at once, as after an outage, overtake
    # each other on several workers, and rates and alarms go wrong.
    item["preprocessing"] = [
        step("CHECK_JSON_ERROR", "$.error"),
        step("DISCARD_UNCHANGED", ""),
    ]
    if way.polled and version != "6.0":
        item["timeout"] = str(macros.TIMEOUT)
    item["tags"] = [_tag("component", "raw")]
    return item


def row(template: Template, rule: Rule) -> Object:
    """Return the prototype that takes a row out of the document, for its metrics to share.

    A complete list ends with the row (absent), whose figures are 0; a list that is not complete
    has none. So the first row of these two ids is the row, or the zeros that are known to be
    true; where there is neither, nothing is known and nothing is stored.
    """
    path = f'$.{rule.kind}[?(@.id == "{{#ID}}" || @.id == "(absent)")].first()'
    return {
        "uuid": uuid_of(template.way.name, rule.kind, "item", "get"),
        "name": title(rule, "Get row"),
        "type": "DEPENDENT",
        "key": row_key(rule),
        "delay": "0",
        "history": "0",
        "trends": "0",
        "value_type": "TEXT",
        "description": "Its row of the document; zeros when it is absent from a complete list.",
        "preprocessing": [step("JSONPATH", path) | _DISCARD],
        "master_item": {"key": template.way.master_key},
        "tags": [_tag("component", "raw"), *(_tag(*each) for each in sorted(rule.tags))],
    }


def metric_item(template: Template, metric: Metric, rule: Rule | None) -> Object:
    """Return the item of a metric, or with a rule its prototype."""
    name = template.way.name
    place = (rule.kind, "item") if rule else ("item",)
    item: Object = {
        "uuid": uuid_of(name, *place, metric.key),
        "name": title(rule, metric.name),
        "type": "DEPENDENT",
        "key": item_key(metric.key, rule),
        "delay": "0",
        "history": _HISTORY,
    }
    if metric.kind not in _NOT_TEXT:
        item["trends"] = "0"
    if metric.kind is not Kind.UNSIGNED:
        item["value_type"] = metric.kind.value
    if metric.units:
        item["units"] = metric.units
    item["description"] = metric.description
    if rule and not metric.default:
        item["discover"] = "NO_DISCOVER"
    if metric.yes_no:
        item["valuemap"] = {"name": YES_NO}
    item["preprocessing"] = _steps(metric)
    item["master_item"] = {"key": row_key(rule) if rule else template.way.master_key}
    tags = sorted(rule.tags) if rule else []
    component = rule.kind if rule else metric.component
    item["tags"] = [_tag("component", component), *(_tag(*each) for each in tags)]
    return item


def _steps(metric: Metric) -> list[Object]:
    """Return the preprocessing: JSONPath first, so that servers parse a master value once."""
    steps = [step("JSONPATH", f"$.{metric.path}") | _DISCARD]
    if metric.multiplier:
        steps.append(step("MULTIPLIER", metric.multiplier))
    if metric.script:
        steps.append(step("JAVASCRIPT", metric.script))
    if metric.rate:
        steps.append(step("CHANGE_PER_SECOND", ""))
    if metric.throttled:
        steps.append(step("DISCARD_UNCHANGED_HEARTBEAT", str(macros.HEARTBEAT)))
    return steps


_DISCARD: Object = {"error_handler": "DISCARD_VALUE"}
"""What is not in the document is not known: nothing is stored."""


def step(kind: str, parameter: str) -> Object:
    """Return a step of preprocessing."""
    return {"type": kind, "parameters": [parameter]}


def _tag(name: str, value: str) -> Object:
    return {"tag": name, "value": value}
