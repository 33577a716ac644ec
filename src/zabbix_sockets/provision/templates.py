"""Templates: their names, the file for a server's version, and the differences of an import."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from zabbix_sockets.model.errors import SocketsError

Version = tuple[int, int]
"""A server's version: major, minor."""

Rules = dict[str, dict[str, bool]]
"""The rules of an import: for each kind of object the actions, such as createMissing, and whether
they are allowed."""

OLDEST: Version = (6, 0)
"""The oldest version that the templates are for."""
SEPARATE_GROUPS: Version = (6, 2)
"""The version from which hosts and templates have groups of their own: imports have no rule
`groups`, and a host's are asked for by another name."""
_FILES: tuple[Version, ...] = ((7, 0), (6, 0))
"""The versions that there are files for, newest first: a server takes the first one not newer."""


class Template(NamedTuple):
    """One of the templates; *needs_interface*: the server asks an agent for its items."""

    name: str
    needs_interface: bool = False

    @property
    def folder(self) -> str:
        """The name of the folder of its files."""
        return self.name.lower().replace(" ", "_")


TEMPLATES = {
    "agent": Template("Sockets by Zabbix agent", needs_interface=True),
    "active": Template("Sockets by Zabbix agent active"),
    "trapper": Template("Sockets by Zabbix trapper"),
}
"""Our templates by the choices of --template."""
TEMPLATE_GROUP = "Templates/Applications"
"""The group that the templates are in."""

NAMES = tuple(template.name for template in TEMPLATES.values())
"""The names of our templates on the server."""

_PLURALS = {
    "templates": "template",
    "template_groups": "template groups",
    "host_groups": "host groups",
    "groups": "groups",
    "items": "items",
    "triggers": "triggers",
    "graphs": "graphs",
    "discovery_rules": "discovery rules",
    "item_prototypes": "item prototypes",
    "trigger_prototypes": "trigger prototypes",
    "graph_prototypes": "graph prototypes",
    "host_prototypes": "host prototypes",
    "dashboards": "dashboards",
    "httptests": "web scenarios",
    "valuemaps": "value maps",
}
_GROUPS = ("template_groups", "host_groups", "groups")
_ORDERED = ("preprocessing", "steps", "mappings", "pages")
_CHANGES = ("added", "updated", "removed")


def installed_folder() -> str:
    """Return the path of the folder zabbix_templates: the installed one, or the source tree's."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    share = os.path.join(package, "share", "zabbix_templates")
    tree = os.path.join(os.path.dirname(os.path.dirname(package)), "zabbix_templates")
    return tree if not os.path.isdir(share) and os.path.isdir(tree) else share


def parse_version(text: str) -> Version:
    """Return the version of a text such as "7.0.5", as apiinfo.version returns it.

    Raises:
        ValueError: it is none.
    """
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def check_version(version: Version) -> None:
    """Raise SocketsError for a server older than OLDEST."""
    if version < OLDEST:
        shown, oldest = (f"{major}.{minor}" for major, minor in (version, OLDEST))
        raise SocketsError(f"the server is Zabbix {shown}: the templates need {oldest} or later")


def read_source(folder: str, template: Template, version: Version) -> str:
    """Return the YAML of a template for a server of *version*, from *folder*.

    Raises:
        SocketsError: it isn't there.
    """
    major, minor = next(each for each in _FILES if version >= each)
    path = os.path.join(folder, template.folder, f"{template.folder}-{major}.{minor}.yaml")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SocketsError(f"{path}: {what}", "install zabbix-sockets again") from None


def without_new_dashboards(rules: Rules) -> Rules:
    """Return *rules* for a user who may not see the dashboards that are there already.

    Zabbix shows a template's dashboards to an Admin by way of hosts that are linked to it, and
    only so; then it takes them for missing, and refuses to create them.
    """
    return {**rules, "templateDashboards": {**rules["templateDashboards"], "createMissing": False}}


def import_rules(version: Version, *, delete_missing: bool) -> Rules:
    """Return the rules of configuration.import for a server of *version*.

    All is created and updated; with *delete_missing* what the file doesn't have is deleted.
    """
    groups = ("template_groups", "host_groups") if version >= SEPARATE_GROUPS else ("groups",)
    both = {"createMissing": True, "updateExisting": True}
    delete = {"deleteMissing": delete_missing}
    parts = ("items", "triggers", "graphs", "discoveryRules", "httptests", "valueMaps")
    return {
        **dict.fromkeys((*groups, "templates"), both),
        **{part: {**both, **delete} for part in (*parts, "templateDashboards")},
        "templateLinkage": {"createMissing": True, **delete},
    }


class Differences(NamedTuple):
    """The changes that an import would make.

    Attributes:
        counts: numbers of objects, by kind, as the API calls it, and change: added, updated or
            removed.
    """

    counts: Counter[tuple[str, str]]

    @property
    def verb(self) -> str:
        """The change to the template: "create", "update", or empty for none."""
        if not self.counts:
            return ""
        return "create" if self.counts["templates", "added"] else "update"

    @property
    def adds_dashboards(self) -> bool:
        """Whether a template that is there lacks its dashboard, as far as the API user sees."""
        return self.verb == "update" and bool(self.counts["dashboards", "added"])

    @property
    def adds_groups(self) -> bool:
        """Whether the templates' group isn't there, as far as the API user sees."""
        return any(self.counts[kind, "added"] for kind in _GROUPS)

    def __str__(self) -> str:
        return "; ".join(filter(None, map(self._changes_of, _PLURALS)))

    def _changes_of(self, kind: str) -> str:
        changes = [(self.counts[kind, change], change) for change in _CHANGES]
        told = ", ".join(f"{count} {change}" for count, change in changes if count)
        return told and f"{_PLURALS[kind]}: {told}"


def decode_differences(comparison: Any) -> Differences:
    """Return the differences of a result of configuration.importcompare; an empty array is none."""
    return Differences(Counter(_changes(comparison or {})))


def _changes(entity: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield kind and change of each object below *entity* that differs."""
    for kind in entity.keys() & _PLURALS.keys():
        for change in _CHANGES:
            for each in entity[kind].get(change, ()):
                if change != "updated" or _differs(each):
                    yield kind, change
                yield from _changes(each)


def _differs(entity: dict[str, Any]) -> bool:
    """Whether an object differs in its own fields, and not in an order without meaning only."""
    before, after = (
        _in_order({**entity.get(side, {}), "uuid": ""}) for side in ("before", "after")
    )
    return _text(before) != _text(after)


def _in_order(value: Any, key: str = "") -> Any:
    """Return *value*, which is that of *key*, with its arrays of objects sorted.

    Each server's export has its own order of tags, macro paths and a widget's fields. Arrays whose
    order has a meaning (_ORDERED) stay.
    """
    if isinstance(value, dict):
        return {inner: _in_order(each, inner) for inner, each in value.items()}
    if not isinstance(value, list):
        return value
    rows = [_in_order(each) for each in value]
    has_order = key in _ORDERED or not all(isinstance(each, dict) for each in rows)
    return rows if has_order else sorted(rows, key=_text)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
