"""The templates on a server, imported as a person would."""

from __future__ import annotations

import gzip
from pathlib import Path

from .servers import Server

_CURRENT = Path(__file__).parents[2] / "zabbix_templates"
_FROZEN = Path(__file__).parent / "frozen"

NAMES = {
    "agent": "Sockets by Zabbix agent",
    "agent_active": "Sockets by Zabbix agent active",
    "trapper": "Sockets by Zabbix trapper",
}
"""The templates by how the document comes."""

# What an import takes from the file, and whether it may also update and delete.
_RULES = {
    "templates": (True, False),
    "items": (True, True),
    "discoveryRules": (True, True),
    "triggers": (True, True),
    "graphs": (True, True),
    "templateDashboards": (True, True),
    "valueMaps": (True, True),
    "templateLinkage": (False, True),
}


def current(way: str, version: str) -> str:
    """Return the YAML of today for servers of *version*."""
    name = f"sockets_by_zabbix_{way}"
    return (_CURRENT / name / f"{name}-{version}.yaml").read_text("utf-8")


def frozen(way: str, version: str) -> str:
    """Return the YAML as first made; see frozen/README.md."""
    packed = _FROZEN / f"sockets_by_zabbix_{way}-{version}.yaml.gz"
    return gzip.decompress(packed.read_bytes()).decode()


def rules(version: str, *, delete: bool = False) -> dict[str, dict[str, bool]]:
    """Return what a server of *version* may do: create and update all, and *delete* the rest."""
    made = {"groups" if version == "6.0" else "template_groups": {"createMissing": True}}
    for what, (updates, deletes) in _RULES.items():
        made[what] = {"createMissing": True}
        if updates:
            made[what]["updateExisting"] = True
        if deletes and delete:
            made[what]["deleteMissing"] = True
    return made


def import_yaml(server: Server, source: str, *, delete: bool = False) -> None:
    """Import *source*; the API raises what the server has against it."""
    wanted = rules(server.version, delete=delete)
    assert server.api.configuration["import"](format="yaml", source=source, rules=wanted)


def template(server: Server, way: str) -> str:
    """Return the id of a template, imported if it isn't there yet."""
    found = find(server, way)
    if found is None:
        import_yaml(server, current(way, server.version))
        found = find(server, way)
    assert found is not None
    return found


def find(server: Server, way: str) -> str | None:
    """Return the id of a template, if the server has it."""
    found = server.api.template.get(output=["templateid"], filter={"host": NAMES[way]})
    return str(found[0]["templateid"]) if found else None
