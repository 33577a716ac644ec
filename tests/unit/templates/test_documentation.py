"""READMEs and docs/metrics.md name all that the templates hold."""

import re
from collections.abc import Iterator

import pytest

from .exports import ROOT, Change, Export, export_of
from .expressions import lld_macros

METRICS = ROOT / "docs" / "metrics.md"


def readme_of(export: Export) -> str:
    """Return the template's README."""
    return (export.path.parent / "README.md").read_text("utf-8")


def unnamed(export: Export, readme: str, metrics: str) -> Iterator[str]:
    """Yield what the README or the table of metrics don't name."""
    for macro in export.body["macros"]:
        row = f"| `{macro['macro']}` | `{macro['value']}` | {macro['description']}"
        if row not in readme:
            yield f"{macro['macro']} with its default and its description"
    for part in export.parts:
        for item in part.items:
            if f"`{item['key']}`" not in readme:
                yield item["key"]
            path = item["preprocessing"][0]["parameters"][0].removeprefix("$.")
            is_metric = {"tag": "component", "value": "raw"} not in item["tags"]
            is_metric = is_metric and item.get("type") == "DEPENDENT"
            name = item["name"].rpartition(": ")[2] if part.rule else item["name"]
            if is_metric and f"| `{item['key']}` | {name} | `{path}` |" not in metrics:
                yield f"{item['key']} in docs/metrics.md"
        for trigger in part.triggers:
            name = trigger["name"].rpartition(": ")[2]
            is_off = trigger.get("discover") == "NO_DISCOVER"
            row = f"| {name}{' (off)' * is_off} | {trigger['priority'].capitalize()} |"
            if row not in readme:
                yield f"{name}, {trigger['priority']}"
        if part.rule:
            macros = {each["lld_macro"] for each in part.rule["lld_macro_paths"]}
            wanted = [part.rule["key"], *macros, *(each["name"] for each in part.rule["overrides"])]
            section = readme.partition(f"\n## {part.rule['name']}\n")[2].partition("\n## ")[0]
            yield from (f"{part.kind}: {each}" for each in wanted if each not in section)


def test_named(export: Export) -> None:
    """Every key, macro, trigger and override is documented."""
    assert not list(unnamed(export, readme_of(export), METRICS.read_text("utf-8")))


def test_contexts_are_documented(export: Export) -> None:
    """The README says exactly of the macros that alarms of rows use that they have contexts."""
    used = set(re.findall(r'(\{\$[A-Z0-9_.]+):"\{#ID\}"\}', str(export.body["discovery_rules"])))
    said = set(re.findall(r"^\| `(\{\$[^`]+)\}` .* Context: ", readme_of(export), re.MULTILINE))
    assert said == used


def test_nothing_else_is_named(export: Export) -> None:
    """The README names no macro or key that the template has not."""
    readme = readme_of(export)
    of_newer = export_of(export.path.parent.name, "7.0")
    assert set(re.findall(r"\{\$[A-Z0-9_.]+\}", readme)) <= of_newer.macros.keys()
    keys = {item["key"] for part in export.parts for item in part.items}
    assert set(re.findall(r"\| `((?:sockets\.|zabbix\[)[^`]+)` \|", readme)) == keys
    known = {each["lld_macro"] for part in export.rules for each in part.rule["lld_macro_paths"]}
    assert lld_macros(readme) <= known


def test_setup_names_the_key(export: Export) -> None:
    """The README says how to ask for the document by hand, and names both files."""
    readme = readme_of(export)
    assert re.search(r"(-k|-) sockets\.get\b", readme)
    for version in ("6.0", "7.0"):
        assert f"`{export.path.parent.name}-{version}.yaml`" in readme


ITEM = "templates/0/items/sockets.complete"
RULE = "templates/0/discovery_rules/sockets.listeners.discovery"


def check(export: Export) -> Iterator[str]:
    """Compare a changed template with what is written of the sound one."""
    return unnamed(export, readme_of(export), METRICS.read_text("utf-8"))


CHANGES: list[Change] = [
    (check, f"{ITEM}/key", "sockets.other"),
    (check, f"{ITEM}/preprocessing/0/parameters/0", "$.other"),
    (check, "templates/0/macros/{$SOCKETS.HEARTBEAT}/value", "7m"),
    (check, "templates/0/macros/{$SOCKETS.HEARTBEAT}/macro", "{$SOCKETS.OTHER}"),
    (check, "triggers/0/name", "Other"),
    (check, "triggers/0/priority", "DISASTER"),
    (check, f"{RULE}/overrides/0/name", "Nothing of this name"),
    (check, f"{RULE}/lld_macro_paths/0/lld_macro", "{#OTHER}"),
]


@pytest.mark.parametrize(("function", "place", "value"), CHANGES)
def test_changes_are_found(function: object, place: str, value: object) -> None:
    """The check finds what nobody has written of."""
    assert function is check
    sound = export_of("sockets_by_zabbix_agent", "7.0")
    assert set(check(sound.changed(place, value))) - set(check(sound))
