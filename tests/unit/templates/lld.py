"""What Zabbix' low-level discovery makes of a row: which items, triggers and graphs."""

import re
from collections.abc import Mapping

from .exports import Object, Part
from .expressions import lld_macros, resolved
from .jsonpath import query

Labels = dict[str, str]
"""The LLD macros of a row."""

KINDS = ("ITEM_PROTOTYPE", "TRIGGER_PROTOTYPE", "GRAPH_PROTOTYPE")


_FIELD = re.compile(r"(?:\{|, )(\w+): (row\.(\w+)(?: \|\| '([^']*)')?(?=[,}]))?")


def script_of(part: Part) -> str:
    """Return the JavaScript that makes rows of labels."""
    (step,) = (each for each in part.rule["preprocessing"] if each["type"] == "JAVASCRIPT")
    return str(step["parameters"][0])


def fields_of(part: Part) -> list[str]:
    """Return the fields of the rows that the JavaScript makes."""
    return [found[1] for found in _FIELD.finditer(script_of(part))]


def labels_of(part: Part, row: Object) -> Labels:
    """Return the LLD macros of a row of the document, by what the JavaScript and the paths say."""
    container = row.get("container")
    made = {
        "label": f"{row['id']} {row.get('process', '')}".rstrip(),
        "place": f" in container {container}" if container else "",
    }
    computed = set(made)
    for found in _FIELD.finditer(script_of(part)):
        name, expression, field, otherwise = found.groups()
        if expression:
            value = row.get(field, "") if otherwise is not None else row[field]
            made[name] = value if value != "" else otherwise or ""
        else:
            assert name in computed, f"not understood: {script_of(part)}"
    return {
        each["lld_macro"]: str(query(made, each["path"])) for each in part.rule["lld_macro_paths"]
    }


def is_selected(filters: Object, labels: Labels, macros: Mapping[str, str]) -> bool:
    """Whether a row passes all conditions of a filter."""
    conditions = filters["conditions"]
    # The default joins conditions on the same macro by "or".
    assert len(conditions) == 1 or filters["evaltype"] == "AND"
    for condition in conditions:
        found = re.search(resolved(condition["value"], macros), labels[condition["macro"]])
        negated = condition.get("operator") == "NOT_MATCHES_REGEX"
        if bool(found) == negated:
            return False
    return True


def prototypes(part: Part, kind: str) -> list[Object]:
    """Return the prototypes that an operation of an override is about."""
    return [part.items, part.triggers, part.graphs][KINDS.index(kind)]


def named(name: str, labels: Labels) -> str:
    """Return a name with the row's LLD macros in it."""
    for macro in lld_macros(name):
        name = name.replace(macro, labels[macro])
    return name


def hit(part: Part, operation: Object, labels: Labels) -> list[Object]:
    """Return the prototypes that an operation of an override changes for a row."""
    assert operation["operator"] == "REGEXP"
    return [
        each
        for each in prototypes(part, operation["operationobject"])
        if re.search(operation["value"], named(each["name"], labels))
    ]


def discovered(part: Part, labels: Labels, macros: Mapping[str, str]) -> dict[str, list[Object]]:
    """Return by kind which prototypes become real for a row, default and overrides considered."""
    wanted = {
        each["uuid"]: each.get("discover") != "NO_DISCOVER"
        for kind in KINDS
        for each in prototypes(part, kind)
    }
    for override in sorted(part.rule["overrides"], key=lambda each: int(each["step"])):
        assert "stop" not in override
        if not is_selected(override["filter"], labels, macros):
            continue
        for operation in override["operations"]:
            for each in hit(part, operation, labels):
                wanted[each["uuid"]] = operation["discover"] == "DISCOVER"
    return {
        kind: [each for each in prototypes(part, kind) if wanted[each["uuid"]]] for kind in KINDS
    }
