"""A whole template as Zabbix imports it, for one version.

The order and the omissions are those of Zabbix's own export, so that an import that changes
nothing compares as equal.
"""

from .dashboards import dashboard
from .items import YES_NO, agent_available, master, metric_item
from .macros import TIMEOUT
from .model import Object, Template
from .parts import discovery_rule, graph_object, nest_triggers
from .uuids import uuid_of

VERSIONS = ("6.0", "7.0")
VENDOR = "zabbix-sockets"

_GROUP = {"uuid": "a571c0d144b14fd4a87a9d9b2aa9fcd6", "name": "Templates/Applications"}


def export(template: Template, version: str, release: str) -> Object:
    """Return the whole file; *release* is the vendor's version."""
    name = template.way.name
    items = [master(template, version)]
    if template.way.polled:
        items.append(agent_available(template))
    items += [metric_item(template, metric, None, version) for metric in template.metrics]
    several = nest_triggers(items, template, template.triggers, None)
    body: Object = {
        "uuid": uuid_of(name),
        "template": name,
        "name": name,
        "description": template.way.overview,
    }
    if version != "6.0":
        body["vendor"] = {"name": VENDOR, "version": release}
    body |= {
        "groups": [{"name": _GROUP["name"]}],
        "items": items,
        "discovery_rules": [discovery_rule(template, rule, version) for rule in template.rules],
        "tags": [{"tag": "class", "value": "network"}, {"tag": "target", "value": "sockets"}],
        "macros": [
            {
                "macro": str(each.without_context()),
                "value": each.value,
                "description": each.description,
            }
            for each in template.macros
            if version != "6.0" or each is not TIMEOUT
        ],
        "dashboards": [dashboard(template, version)],
        "valuemaps": [_yes_no(name)],
    }
    return {
        "zabbix_export": {
            "version": version,
            "groups" if version == "6.0" else "template_groups": [_GROUP],
            "templates": [body],
            "triggers": several,
            "graphs": [graph_object(template, each, None) for each in template.graphs],
        }
    }


def _yes_no(name: str) -> Object:
    mappings = [{"value": "0", "newvalue": "No"}, {"value": "1", "newvalue": "Yes"}]
    return {"uuid": uuid_of(name, "valuemap", YES_NO), "name": YES_NO, "mappings": mappings}
