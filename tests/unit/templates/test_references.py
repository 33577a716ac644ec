"""What one part of a template says of another is there: items, graphs, triggers, value maps."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from zabbix_sockets.document.discovery import macros_of
from zabbix_sockets.document.document import ROWS

from .exports import GONE, Change, Check, Export, Object, finds, name_of, texts
from .expressions import expressions, functions, lld_macros
from .lld import fields_of, script_of

SEVERITIES = ("NOT_CLASSIFIED", "INFO", "WARNING", "AVERAGE", "HIGH", "DISASTER")

_ROW_FIELD = re.compile(r"\brow\.(\w+)")
_ASKED_FIELD = re.compile(r"\brow\.(\w+) \?")


def lost_items(export: Export) -> Iterator[str]:
    """Yield what looks at an item that is not the host's, or not in the same rule."""
    of_its_own = [item for item in export.host.items if item.get("type") != "DEPENDENT"]
    (master,) = (item["key"] for item in of_its_own if item.get("type") != "INTERNAL")
    for part in export.parts:
        of_same_rule = {master, *part.keys}
        taken = [each for each in part.items if each.get("type") == "DEPENDENT"]
        for item in [*taken, *([part.rule] if part.rule else ())]:
            if item["master_item"]["key"] not in of_same_rule:
                yield f"{item['key']}: no master item {item['master_item']['key']}"
        for trigger in part.triggers:
            for each in functions(expressions(trigger), export.macros):
                if each.host != export.name or each.key not in part.keys | export.host.keys:
                    yield f"{trigger['name']}: no item /{each.host}/{each.key}"
        for graph in part.graphs:
            for item in (line["item"] for line in graph["graph_items"]):
                if item["host"] != export.name or item["key"] not in part.keys:
                    yield f"{graph['name']}: no item {item}"


def lost_triggers(export: Export) -> Iterator[str]:
    """Yield what depends on a trigger that is not the host's or in the same rule, or less bad."""
    for part in export.parts:
        known = {
            (each["name"], each["expression"], each.get("recovery_expression")): each
            for each in [*part.triggers, *export.host.triggers]
        }
        for trigger in part.triggers:
            for other in trigger.get("dependencies", ()):
                found = known.get(
                    (other["name"], other["expression"], other.get("recovery_expression"))
                )
                if found is None:
                    yield f"{trigger['name']}: no trigger {other}"
                elif _severity(found) < _severity(trigger):
                    yield f"{trigger['name']} is worse than {found['name']}"


def _severity(trigger: Object) -> int:
    return SEVERITIES.index(trigger["priority"])


def lost_widgets(export: Export) -> Iterator[str]:
    """Yield widgets that show nothing."""
    graphs = {graph["name"] for graph in export.host.graphs}
    prototypes = {graph["name"] for part in export.rules for graph in part.graphs}
    for widget in _widgets(export):
        shown = 0
        for field in widget["fields"]:
            value = field["value"]
            known = {
                "ITEM": lambda value: value["key"] in export.host.keys,
                "GRAPH": lambda value: value["name"] in graphs,
                "GRAPH_PROTOTYPE": lambda value: value["name"] in prototypes,
            }.get(field["type"])
            if known:
                shown += 1
                if value["host"] != export.name or not known(value):
                    yield f"{widget.get('name', 'a widget')}: no {value}"
        if not shown and widget["type"] != "problems":
            yield f"{widget.get('name', 'a widget')} shows nothing"


def _widgets(export: Export) -> list[Object]:
    return [
        widget
        for dashboard in export.body["dashboards"]
        for page in dashboard["pages"]
        for widget in page["widgets"]
    ]


def lost_value_maps(export: Export) -> Iterator[str]:
    """Yield value maps that are used and not there, or there and not used."""
    items = [item for part in export.parts for item in part.items]
    used = {item["valuemap"]["name"] for item in items if "valuemap" in item}
    for name in used ^ {valuemap["name"] for valuemap in export.body["valuemaps"]}:
        yield f"{name}: used and not there, or there and not used"


def lost_lld_macros(export: Export) -> Iterator[str]:
    """Yield LLD macros that no row has, and those that stand outside of rules."""
    for part in export.rules:
        known = {each["lld_macro"] for each in part.rule["lld_macro_paths"]}
        used = {macro for text in texts(part.rule) for macro in lld_macros(text)}
        for macro in used - known:
            yield f"{part.kind}: no path for {macro}"
        for macro in macros_of(ROWS[part.kind]).keys() - known - {"{#SETTLED}", "{#ADMITTED}"}:
            yield f"{part.kind}: no {macro}, which zabbix-sockets discover has"
    for value in (export.host.items, export.host.several, export.host.graphs):
        for macro in (macro for text in texts(value) for macro in lld_macros(text)):
            yield f"{macro} outside of a rule"


def lost_fields(export: Export) -> Iterator[str]:
    """Yield LLD macros whose path the JavaScript step doesn't make, and fields without one."""
    for part in export.rules:
        paths = [each["path"] for each in part.rule["lld_macro_paths"]]
        made = [f"$.{field}" for field in fields_of(part)]
        for path, count in (Counter(paths) - Counter(made)).items():
            yield f"{part.kind}: {path} is not made {count} times"
        for path in set(made) - set(paths):
            yield f"{part.kind}: nobody looks at {path}"


def doubled_names(export: Export) -> Iterator[str]:
    """Yield keys and names that two things of a kind have."""
    items = [item for part in export.parts for item in part.items]
    graphs = [graph["name"] for part in export.parts for graph in part.graphs]
    keys = [each["key"] for each in [*items, *(part.rule for part in export.rules)]]
    for texts_of_kind in (keys, [item["name"] for item in items], graphs):
        for text, count in Counter(texts_of_kind).items():
            if count > 1:
                yield f"{text} is there {count} times"


CHECKS = (
    lost_items,
    lost_triggers,
    lost_widgets,
    lost_value_maps,
    lost_lld_macros,
    lost_fields,
    doubled_names,
)


@pytest.mark.parametrize("check", CHECKS)
def test_references(export: Export, check: Check) -> None:
    """What one part of a template says of another is there."""
    assert not list(check(export))


def test_labels_are_fields_of_rows(export: Export, document: Object) -> None:
    """The JavaScript of a rule takes what every row of its list has, or asks whether it has it.

    Unix sockets have no port.
    """
    for part in export.rules:
        script = script_of(part)
        wanted = set(_ROW_FIELD.findall(script)) - set(_ASKED_FIELD.findall(script))
        for row in document[part.kind][:-1]:
            lacking = wanted - row.keys()
            assert lacking <= ({"port"} if row.get("protocol") == "unix" else set())


BODY = "templates/0"
RULE = f"{BODY}/discovery_rules/sockets.listeners.discovery"
ITEM = f"{BODY}/items/sockets.complete"
PROTOTYPE = f'{RULE}/item_prototypes/sockets.listener.sockets["{{#ID}}"]'
LOW, OUT = "triggers/Sockets: Ephemeral ports run low", "triggers/Sockets: Ephemeral ports run out"
PAGE = f"{BODY}/dashboards/Sockets/pages/Overview"
GRAPHS = f"{PAGE}/widgets/Processes: TCP connections/fields/graphid.0/value"
LABEL = "{#LABEL}"
CHANGES: list[Change] = [
    (lost_items, f"{ITEM}/master_item/key", "sockets.get"),
    (lost_items, f"{PROTOTYPE}/master_item/key", 'sockets.process.get["{#ID}"]'),
    (lost_items, f"{RULE}/master_item/key", "sockets.get"),
    (lost_items, f"{LOW}/expression", "last(/Sockets by Zabbix agent/sockets.x)=1"),
    (lost_items, f"{LOW}/recovery_expression", "last(/Other/sockets.complete)=1"),
    (lost_items, f"{RULE}/trigger_prototypes/0/expression", "last(/Sockets by Zabbix agent/x)=1"),
    (lost_items, "graphs/TCP states/graph_items/0/item/key", "sockets.x"),
    (lost_items, f"{RULE}/graph_prototypes/0/graph_items/0/item/host", "Other"),
    (lost_triggers, f"{LOW}/dependencies/0/name", "Other"),
    (lost_triggers, f"{LOW}/dependencies/0/expression", "1=1"),
    (lost_triggers, f"{OUT}/recovery_expression", "1=1"),
    (lost_triggers, f"{OUT}/priority", "INFO"),
    (lost_widgets, f"{GRAPHS}/name", "Other"),
    (lost_widgets, f"{GRAPHS}/host", "Other"),
    (lost_widgets, f"{PAGE}/widgets/0/fields", []),
    (lost_widgets, f"{ITEM}/key", "sockets.x"),
    (lost_widgets, f"{RULE}/graph_prototypes/0/name", "Other"),
    (lost_value_maps, f"{BODY}/valuemaps", []),
    (lost_value_maps, f"{ITEM}/valuemap/name", "Other"),
    (lost_value_maps, f"{BODY}/valuemaps/0/name", "Other"),
    (lost_lld_macros, f"{PROTOTYPE}/name", "{#OTHER}"),
    (lost_lld_macros, f"{RULE}/filter/conditions/0/macro", "{#OTHER}"),
    (lost_lld_macros, f"{RULE}/overrides/1/filter/conditions/0/macro", "{#OTHER}"),
    (lost_lld_macros, f"{RULE}/lld_macro_paths/{LABEL}", GONE),
    (lost_lld_macros, f"{LOW}/name", "{#ID}"),
    (lost_fields, f"{RULE}/lld_macro_paths/{LABEL}/path", "$.other"),
    (lost_fields, f"{RULE}/preprocessing/2/parameters/0", "return {id: row.id};"),
    (doubled_names, f"{ITEM}/key", "sockets.version"),
    (doubled_names, f"{PROTOTYPE}/name", f"Listener {LABEL}: Get row"),
    (doubled_names, "graphs/TCP states/name", "TCP trouble"),
]


@pytest.mark.parametrize("change", CHANGES, ids=name_of)
def test_changes_are_found(change: Change) -> None:
    """Each check finds what is wrong."""
    assert finds(change)
