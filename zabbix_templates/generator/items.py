"""Items and item prototypes: the master, the rows, the metrics."""

from __future__ import annotations

import json

from . import macros
from .model import Kind, Metric, Object, Rule, Template
from .naming import AGENT_AVAILABLE, calculation, item_key, row_key, title
from .uuids import uuid_of

YES_NO = "Yes or no"
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
    item["preprocessing"] = _steps_of_master(template, version)
    if way.polled and version != "6.0":
        item["timeout"] = str(macros.TIMEOUT)
    item["tags"] = [_tag("component", "raw")]
    return item


_NO_ANSWER = "The agent gave no document: zabbix_get -k sockets.get says why"
_NO_DOCUMENT = "What came is no document: zabbix_get -k sockets.get shows it"
_FAULTS = (
    ("[Tt]imeout|[Tt]imed out", "The agent's timeout ended the call: Timeout=3 or more is needed"),
    (
        "Unsupported item key|Unknown metric",
        "The agent has no key sockets.get: zabbix-sockets setup",
    ),
)
"""What 7.0 can tell from an agent's error, and what to say of it."""


def _steps_of_master(template: Template, version: str) -> list[Object]:
    """Return the preprocessing: whatever goes wrong becomes a document that says so.

    An error is a value, for the item of the collector's error. Were the master unsupported, 6.0
    would tell the dependent items nothing, and 7.0 make all of them unsupported, for as long as
    they store nothing.
    """

    def says(message: str) -> Object:
        text = json.dumps({"error": message}, separators=(",", ":"))
        return {"error_handler": "CUSTOM_VALUE", "error_handler_params": text}

    steps: list[Object] = []
    if template.way.polled:
        if version == "6.0":
            steps.append(step("CHECK_NOT_SUPPORTED", "") | says(_NO_ANSWER))
        else:
            steps += [
                {"type": "CHECK_NOT_SUPPORTED", "parameters": ["0", pattern]} | says(message)
                for pattern, message in _FAULTS
            ]
            steps.append(step("CHECK_NOT_SUPPORTED", "-1") | says(_NO_ANSWER))
    steps.append(step("MATCHES_REGEX", r"^\{.*\}$") | says(_NO_DOCUMENT))
    # No two documents are the same, but errors are. With a step that looks at the value before,
    # 7.0 takes the values of an item in turn; else those that come at once, as after an outage,
    # overtake each other on several workers, and rates and alarms go wrong.
    return [*steps, step("DISCARD_UNCHANGED_HEARTBEAT", "1s")]


AGENT_NAME = "Agent: Available"
AGENT_DESCRIPTION = (
    "As Zabbix itself knows it: 0 is not available, 1 available, 2 unknown. While it is not"
    " available nobody misses documents."
)


def agent_available(template: Template) -> Object:
    """Return Zabbix's own item on the availability of the agent, where the document is polled."""
    return {
        "uuid": uuid_of(template.way.name, "item", AGENT_AVAILABLE),
        "name": AGENT_NAME,
        "type": "INTERNAL",
        "key": item_key(AGENT_AVAILABLE, None),
        "delay": str(macros.INTERVAL),
        "history": "7d",
        "description": AGENT_DESCRIPTION,
        "preprocessing": [step("DISCARD_UNCHANGED_HEARTBEAT", str(macros.HEARTBEAT))],
        "tags": [_tag("component", "collector")],
    }


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
        "preprocessing": [step("JSONPATH", path) | DISCARD],
        "master_item": {"key": template.way.master_key},
        "tags": [_tag("component", "raw"), *(_tag(*each) for each in sorted(rule.tags))],
    }


def metric_item(template: Template, metric: Metric, rule: Rule | None, version: str) -> Object:
    """Return the item of a metric, or with a rule its prototype."""
    name = template.way.name
    place = (rule.kind, "item") if rule else ("item",)
    item: Object = {
        "uuid": uuid_of(name, *place, metric.key),
        "name": title(rule, metric.name),
        "type": "CALCULATED" if metric.formula else "DEPENDENT",
        "key": item_key(metric.key, rule),
        "delay": "0",
        "history": metric.history,
    }
    if metric.formula and template.way.polled:
        item["delay"] = str(macros.INTERVAL)
    elif metric.formula:
        del item["delay"]  # no macro has the interval of documents: a minute, the server's default
    if metric.kind not in _NOT_TEXT:
        item["trends"] = "0"
    if metric.kind is not Kind.UNSIGNED:
        item["value_type"] = metric.kind.value
    if metric.units:
        item["units"] = metric.units
    if metric.formula:
        item["params"] = calculation(metric.formula, rule)
    item["description"] = metric.description
    if rule and not metric.default:
        item["discover"] = "NO_DISCOVER"
    if metric.yes_no:
        item["valuemap"] = {"name": YES_NO}
    if metric.formula:
        item["preprocessing"] = _steps_of_calculated(version)
    else:
        item["preprocessing"] = _steps(metric)
        item["master_item"] = {"key": row_key(rule) if rule else template.way.master_key}
    tags = sorted(rule.tags) if rule else []
    component = rule.kind if rule else metric.component
    item["tags"] = [_tag("component", component), *(_tag(*each) for each in tags)]
    return item


def _steps(metric: Metric) -> list[Object]:
    """Return the preprocessing: JSONPath first, so that servers parse a master value once."""
    steps = [step("JSONPATH", f"$.{metric.path}") | DISCARD]
    if metric.inner:
        steps.append(step("JSONPATH", metric.inner) | DISCARD)
    if metric.otherwise is not None:
        steps[-1] |= {"error_handler": "CUSTOM_VALUE"}
        if metric.otherwise:
            steps[-1] |= {"error_handler_params": metric.otherwise}
    if metric.multiplier:
        steps.append(step("MULTIPLIER", metric.multiplier))
    if metric.script:
        steps.append(step("JAVASCRIPT", metric.script))
    if metric.rate:
        steps.append(step("CHANGE_PER_SECOND", ""))
    if metric.throttled:
        heartbeat = "1h" if metric.hourly else str(macros.HEARTBEAT)
        steps.append(step("DISCARD_UNCHANGED_HEARTBEAT", heartbeat))
    return steps


def _steps_of_calculated(version: str) -> list[Object]:
    """Return the preprocessing of what the server calculates; when it can't, nothing is stored."""
    return [
        # Servers discard that by default, and leave it out of what they export.
        step("CHECK_NOT_SUPPORTED", "" if version == "6.0" else "-1"),
        step("DISCARD_UNCHANGED_HEARTBEAT", str(macros.HEARTBEAT)),
    ]


DISCARD: Object = {"error_handler": "DISCARD_VALUE"}
"""What is not in the document is not known: nothing is stored."""


def step(kind: str, parameter: str) -> Object:
    """Return a step of preprocessing."""
    return {"type": kind, "parameters": [parameter]}


def _tag(name: str, value: str) -> Object:
    return {"tag": name, "value": value}
