"""The templates' YAML as these tests see it: the files, their parts, and changed copies of them.

A check yields a sentence for each fault of a template. Beside each stand changes that it has to
find: a check that can't fail checks nothing.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
PATHS = sorted(ROOT.glob("zabbix_templates/*/*.yaml"))

Object = dict[str, Any]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # not every PyYAML has the fast one

GONE = object()
"""For `Export.changed`: what is there goes."""


@dataclass(frozen=True)
class Part:
    """What belongs together: items, triggers and graphs of the host, or of one discovery rule."""

    kind: str
    """The list of the document; empty for the host."""
    rule: Object
    """Empty for the host."""
    items: list[Object]
    several: list[Object]
    """Triggers that lie outside of items."""
    graphs: list[Object]

    @property
    def keys(self) -> dict[str, Object]:
        """Return the items by key."""
        return {item["key"]: item for item in self.items}

    @property
    def triggers(self) -> list[Object]:
        """Return all triggers, within items and outside."""
        field = "trigger_prototypes" if self.rule else "triggers"
        return [each for item in self.items for each in item.get(field, ())] + self.several

    @property
    def is_default(self) -> dict[str, bool]:
        """Return by name what is discovered without being asked for."""
        things = [*self.items, *self.triggers, *self.graphs]
        return {each["name"]: each.get("discover") != "NO_DISCOVER" for each in things}


@dataclass(frozen=True)
class Export:
    """A whole file: one template for one version of Zabbix."""

    path: Path
    content: Object = field(repr=False)
    """What is below `zabbix_export`."""

    @property
    def version(self) -> str:
        """The version of Zabbix that it is for."""
        return str(self.content["version"])

    @property
    def body(self) -> Object:
        """The template itself."""
        (body,) = self.content["templates"]
        assert isinstance(body, dict)
        return body

    @property
    def name(self) -> str:
        """The template's name."""
        return str(self.body["template"])

    @property
    def macros(self) -> dict[str, str]:
        """The defaults of the user macros, by `{$NAME}`."""
        return {macro["macro"]: macro["value"] for macro in self.body["macros"]}

    @property
    def host(self) -> Part:
        """What every host has that is linked to the template."""
        content = self.content
        return Part("", {}, self.body["items"], content["triggers"], content["graphs"])

    @property
    def rules(self) -> list[Part]:
        """The discovery rules and their prototypes."""
        return [
            Part(
                rule["key"].split(".")[1],
                rule,
                rule["item_prototypes"],
                rule.get("trigger_prototypes", []),
                rule["graph_prototypes"],
            )
            for rule in self.body["discovery_rules"]
        ]

    @property
    def parts(self) -> list[Part]:
        """The host, then the rules."""
        return [self.host, *self.rules]

    def part(self, kind: str) -> Part:
        """Return the rule of a list of the document."""
        (found,) = (part for part in self.rules if part.kind == kind)
        return found

    def changed(self, place: str, value: object) -> Export:
        """Return a copy with another *value* at a *place*: `templates/0/items/sockets.get/key`."""
        content = copy.deepcopy(self.content)
        inside: Any = content
        *way, last = place.split("/")
        for step in way:
            inside = inside[_index(inside, step)]
        if value is GONE:
            del inside[_index(inside, last)]
        else:
            inside[_index(inside, last)] = value
        return Export(self.path, content)


def _index(inside: object, step: str) -> str | int:
    """Return the index for a step of a place: in a list a number, or what one of it is called."""
    if not isinstance(inside, list):
        return step
    if step.isdigit():
        return int(step)
    names = ("key", "name", "macro", "lld_macro")
    return next(at for at, each in enumerate(inside) if step in map(each.get, names))


@functools.cache
def load(path: Path) -> Export:
    """Return what a file holds; nobody changes it."""
    return Export(path, yaml.load(path.read_text("utf-8"), _LOADER)["zabbix_export"])


def exports() -> list[Export]:
    """Return all files."""
    return [load(path) for path in PATHS]


def export_of(template: str, version: str) -> Export:
    """Return the file of a template, by its folder, for a version."""
    (path,) = (path for path in PATHS if path.name == f"{template}-{version}.yaml")
    return load(path)


Check = Callable[[Export], Iterator[str]]
"""Yields a sentence for each fault."""

Change = tuple[Check, str, object]
"""A check, and what it finds when it is put at a place."""


def finds(change: Change) -> bool:
    """Whether a check finds the change in a sound template."""
    check, place, value = change
    sound = export_of("sockets_by_zabbix_agent", "7.0")
    return bool(set(check(sound.changed(place, value))) - set(check(sound)))


def name_of(change: Change) -> str:
    """Return what a report calls a change."""
    check, place, _ = change
    return f"{check.__name__}, {'/'.join(place.split('/')[-2:])}"


def leaves(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Yield every value that is no list and no object, with its place."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from leaves(each, f"{place}/{name}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from leaves(each, f"{place}/{number}")
    else:
        yield place.removeprefix("/"), value


def texts(value: object) -> Iterator[str]:
    """Yield every text within."""
    return (text for _, text in leaves(value) if isinstance(text, str))
