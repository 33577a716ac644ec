"""Which file fits which server, and what an import would change."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.provision.templates import (
    TEMPLATE_GROUP,
    TEMPLATES,
    Template,
    Version,
    check_version,
    decode_differences,
    import_rules,
    installed_folder,
    parse_version,
    read_source,
)

AGENT = TEMPLATES["agent"]


@pytest.mark.parametrize(
    ("text", "version"),
    [("6.0.14", (6, 0)), ("7.0.9", (7, 0)), ("7.2.0rc1", (7, 2)), ("10.4.0alpha1", (10, 4))],
)
def test_versions(text: str, version: Version) -> None:
    """Major and minor number count."""
    assert parse_version(text) == version
    check_version(version)


@pytest.mark.parametrize("text", ["", "7", "seven.zero", "<html>", "7.x.1"])
def test_no_versions(text: str) -> None:
    """Any other answer is no version."""
    with pytest.raises(ValueError, match=r"unpack|literal"):
        parse_version(text)


@pytest.mark.parametrize("version", [(5, 0), (5, 4), (4, 0)])
def test_too_old(version: Version) -> None:
    """A server before 6.0 is refused in one line."""
    shown = ".".join(map(str, version))
    with pytest.raises(SocketsError, match=f"is Zabbix {shown}: the templates need 6.0 or later"):
        check_version(version)


@pytest.mark.parametrize(
    ("version", "desired"),
    [
        ((6, 0), "6.0"),
        ((6, 2), "6.0"),
        ((6, 4), "6.0"),
        ((7, 0), "7.0"),
        ((7, 2), "7.0"),
        ((10, 0), "7.0"),
    ],
)
def test_source_by_version(tmp_path: Path, version: Version, desired: str) -> None:
    """From 7.0 on servers get the 7.0 file, others that of 6.0."""
    folder = tmp_path / "sockets_by_zabbix_agent"
    folder.mkdir()
    for each in ("6.0", "7.0"):
        (folder / f"sockets_by_zabbix_agent-{each}.yaml").write_text(f"zabbix_export: {each}")
    assert read_source(str(tmp_path), AGENT, version) == f"zabbix_export: {desired}"


def test_no_source(tmp_path: Path) -> None:
    """A file that is missing, or no text, is an error with its path."""
    with pytest.raises(SocketsError, match=r"sockets_by_zabbix_agent-7\.0\.yaml: No such file"):
        read_source(str(tmp_path), AGENT, (7, 0))
    path = tmp_path / "sockets_by_zabbix_agent" / "sockets_by_zabbix_agent-7.0.yaml"
    path.parent.mkdir()
    path.write_bytes(b"\xff")
    with pytest.raises(SocketsError, match=r"7\.0\.yaml: not UTF-8"):
        read_source(str(tmp_path), AGENT, (7, 0))


@pytest.mark.parametrize("version", [(6, 0), (7, 0)])
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda each: each.folder)
def test_installed(template: Template, version: Version) -> None:
    """Each template is installed for each version, with the names that are known here."""
    source = read_source(installed_folder(), template, version)
    assert source.startswith(f"zabbix_export:\n  version: '{version[0]}.{version[1]}'\n")
    assert re.findall(r"^      template: '?([^'\n]*)", source, re.MULTILINE) == [template.name]
    assert re.findall(r"^      name: (Templates/.*)", source, re.MULTILINE) == [TEMPLATE_GROUP]


@pytest.mark.parametrize(
    ("version", "groups"),
    [
        ((6, 0), {"groups"}),
        ((6, 2), {"template_groups", "host_groups"}),
        ((7, 0), {"template_groups", "host_groups"}),
    ],
)
def test_rules(version: Version, groups: set[str]) -> None:
    """All is created and updated; a server refuses the rules of another version's groups."""
    rules = import_rules(version, delete_missing=False)
    known = {"groups", "template_groups", "host_groups"}
    assert known & rules.keys() == groups
    assert all(rule["createMissing"] for rule in rules.values())
    linkage = rules.pop("templateLinkage")
    assert all(rule["updateExisting"] for rule in rules.values())
    assert not any(rule.get("deleteMissing") for rule in (*rules.values(), linkage))


def test_rules_that_delete() -> None:
    """All that a template is made of is deleted on demand, and never a group or template."""
    rules = import_rules((7, 0), delete_missing=True)
    keeping = {name for name in rules if not rules[name].get("deleteMissing")}
    assert keeping == {"templates", "template_groups", "host_groups"}


def entity(inner: dict[str, Any] | None = None, **changes: list[Any]) -> dict[str, Any]:
    """Return an entity of a comparison; a change is [before, after]."""
    before = {field: each[0] for field, each in changes.items()}
    after = {field: each[1] for field, each in changes.items()}
    return {"before": {"uuid": "x", **before}, "after": {"uuid": "x", **after}, **(inner or {})}


def compared(*entities: dict[str, Any]) -> str:
    """Return the words for templates that are updated so."""
    return str(decode_differences({"templates": {"updated": list(entities)}}))


@pytest.mark.parametrize("answer", [[], {}, None])
def test_unchanged(answer: object) -> None:
    """PHP says nothing as an empty array."""
    differences = decode_differences(answer)
    assert (differences.verb, str(differences)) == ("", "")


def test_created() -> None:
    """A template that is added is created, with all that is in it."""
    item = {"after": {"name": "a"}, "triggers": {"added": [{"after": {}}]}}
    rule: dict[str, Any] = {
        "after": {},
        "item_prototypes": {"added": [{"after": {}}, {"after": {}}]},
    }
    template = {"after": {}, "items": {"added": [item]}, "discovery_rules": {"added": [rule]}}
    differences = decode_differences({"templates": {"added": [template]}})
    assert differences.verb == "create"
    assert str(differences) == (
        "template: 1 added; items: 1 added; triggers: 1 added; discovery rules: 1 added;"
        " item prototypes: 2 added"
    )
    assert not differences.adds_groups


def test_updated() -> None:
    """What holds a change is not counted as changed itself."""
    items = {
        "added": [{"after": {}}],
        "updated": [entity(delay=["1m", "2m"]), entity(delay=["1m", "3m"])],
        "removed": [{"before": {}}],
    }
    differences = decode_differences({"templates": {"updated": [entity({"items": items})]}})
    assert differences.verb == "update"
    assert str(differences) == "items: 1 added, 2 updated, 1 removed"
    assert compared(entity({"items": items}, name=["a", "b"])).startswith("template: 1 updated; ")


def test_order_without_meaning() -> None:
    """Tags, macro paths and a widget's fields come back in an order of the server's own."""
    tags = [{"tag": "a", "value": "1"}, {"tag": "b"}]
    assert not compared(entity(tags=[tags, tags[::-1]]))
    widgets = [{"x": "1", "fields": tags}, {"x": "2", "fields": tags[::-1]}]
    turned = [{"fields": tags, "x": "2"}, {"fields": tags, "x": "1"}]
    pages = [[{"widgets": widgets}], [{"widgets": turned}]]
    assert not compared(entity(pages=pages))
    assert compared(entity(tags=[tags, tags[:1]])) == "template: 1 updated"


@pytest.mark.parametrize("field", ["preprocessing", "pages", "mappings", "steps"])
def test_order_with_meaning(field: str) -> None:
    """Preprocessing steps, a dashboard's pages and mappings stay in their order."""
    steps = [{"type": "A"}, {"type": "B"}]
    change: dict[str, Any] = {field: [steps, steps[::-1]]}
    assert compared(entity(**change)) == "template: 1 updated"
    assert compared(entity(parameters=[["a", "b"], ["b", "a"]])) == "template: 1 updated"


def test_other_uuids() -> None:
    """A uuid alone is no change: the server has set it to the file's for the comparison."""
    one = {"before": {"uuid": "1", "name": "a"}, "after": {"uuid": "2", "name": "a"}}
    assert not compared(one)


@pytest.mark.parametrize("kind", ["groups", "template_groups", "host_groups"])
def test_groups(kind: str) -> None:
    """Only some users may create the group of the templates."""
    differences = decode_differences({kind: {"added": [{"after": {"name": "Templates"}}]}})
    assert differences.adds_groups
    assert differences.verb == "update"
