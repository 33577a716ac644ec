"""User macros: all are defined, used, described, and contexts are ids of rows."""

import re
from collections.abc import Iterator

import pytest

from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS

from .exports import ROOT, Change, Check, Export, Object, Part, finds, leaves, name_of, texts
from .expressions import user_macros

_NAME = re.compile(r"\{\$[A-Z0-9_.]+\}")
_CONTEXT = '"{#ID}"'
_PROSE = ("description",)
"""Where a macro may be named, and Zabbix doesn't look for it."""


def _used(value: object) -> set[str]:
    return {
        macro.name
        for place, text in leaves(value)
        if isinstance(text, str) and place.rpartition("/")[2] not in _PROSE
        for macro in user_macros(text)
    }


def _without_definitions(export: Export) -> Object:
    body = {name: value for name, value in export.body.items() if name != "macros"}
    return export.content | {"templates": [body]}


def undefined_macros(export: Export) -> Iterator[str]:
    """Yield macros that are named anywhere and have no default, and those that nobody uses."""
    content = _without_definitions(export)
    named = {macro.name for text in texts(content) for macro in user_macros(text)}
    named |= {macro.name for text in texts(export.body["macros"]) for macro in user_macros(text)}
    yield from (f"{name} is not defined" for name in named - export.macros.keys())
    yield from (f"{name} is not used" for name in export.macros.keys() - _used(content))


def odd_macros(export: Export) -> Iterator[str]:
    """Yield definitions that Zabbix refuses, or that say nothing to people."""
    listed = [macro["macro"] for macro in export.body["macros"]]
    if listed != sorted(set(listed)):
        yield "not in order, or there twice"
    for macro in export.body["macros"]:
        if not _NAME.fullmatch(macro["macro"]):
            yield f"{macro['macro']} is no name of a macro"
        if len(macro.get("description", "").split()) < 3:
            yield f"{macro['macro']} has no description"


def _prototypes(part: Part) -> list[object]:
    return [part.items, part.several, part.graphs]


def odd_contexts(export: Export) -> Iterator[str]:
    """Yield contexts that are no id of a row, or that stand where there is no row."""
    content = _without_definitions(export)
    contexts = [macro.context for text in texts(content) for macro in user_macros(text)]
    yield from (f"context {each}" for each in contexts if each not in (None, _CONTEXT))
    within = [
        macro
        for part in export.rules
        for text in texts(_prototypes(part))
        for macro in user_macros(text)
        if macro.context
    ]
    if len(within) != sum(each is not None for each in contexts):
        yield "a context outside of prototypes"


_ALIKE = {"{$SOCKETS.HEARTBEAT}", "{$SOCKETS.DROPS.TIME}", "{$SOCKETS.NEW.TIME}"}
"""The macros that are for all rows alike: a heartbeat, and times in functions that have no room for
an id, or that count of the host, too."""


def missing_contexts(export: Export) -> Iterator[str]:
    """Yield macros that alarms of a row use for all rows alike, but for those that are.

    One that has the row's context in the same alarm is the host's limit without it.
    """
    for part in export.rules:
        for trigger in part.triggers:
            # Those on which it depends may be the host's.
            own = {name: value for name, value in trigger.items() if name != "dependencies"}
            used = [macro for text in texts(own) for macro in user_macros(text)]
            known = {macro.name for macro in used if macro.context} | _ALIKE
            yield from (
                f"{trigger['name']}: {macro.name} without a context"
                for macro in used
                if not macro.context and macro.name not in known
            )


CHECKS = (undefined_macros, odd_macros, odd_contexts, missing_contexts)


@pytest.mark.parametrize("check", CHECKS)
def test_macros(export: Export, check: Check) -> None:
    """All macros are defined, used and described, and their contexts are ids of rows."""
    assert not list(check(export))


def test_switches_have_two_positions(export: Export) -> None:
    """What is compared with 0 and 1 is 0 or 1."""
    switches = {name: value for name, value in export.macros.items() if ".CONTROL" in name}
    assert len(switches) > 5
    assert set(switches.values()) <= {"0", "1"}


def test_filters_are_expressions(export: Export) -> None:
    """Filters are regular expressions, and what leaves out leaves out nothing by default."""
    filters = {name: value for name, value in export.macros.items() if "MATCHES}" in name}
    assert len(filters) > 5
    for name, value in filters.items():
        re.compile(value)
        assert (value == "CHANGE_IF_NEEDED") == name.endswith(".NOT_MATCHES}")


def test_thresholds_are_numbers_in_order(export: Export) -> None:
    """Thresholds are numbers, and the one of the worse alarm is higher."""
    limits = {
        name: float(value)
        for name, value in export.macros.items()
        if re.search(r"\.(MIN|MAX\.(WARN|HIGH))\}", name)
    }
    assert len(limits) > 5
    assert min(limits.values()) > 0
    pairs = {name: name.replace(".WARN}", ".HIGH}") for name in limits if ".WARN}" in name}
    assert any(high in limits for high in pairs.values())
    for low, high in pairs.items():
        assert high not in limits or limits[low] < limits[high]


def test_groupings(export: Export) -> None:
    """The agents' master asks for a grouping that zabbix-sockets has, by a key that agents have."""
    macro = "{$SOCKETS.GROUP.BY}"
    key = export.body["items"][0]["key"]
    if "trapper" in export.path.name:
        assert key == "sockets.get"
        assert macro not in export.macros
        return
    assert key == f"sockets.get[{macro}]"
    assert export.macros[macro] == DEFAULT_GROUPING
    (description,) = (
        each["description"] for each in export.body["macros"] if each["macro"] == macro
    )
    assert set(GROUPINGS) <= set(re.findall(r"\w+", description))
    parameters = re.findall(r"^UserParameter=([^,]+),", _agent_configuration(), re.MULTILINE)
    assert "sockets.get[*]" in parameters


def _agent_configuration() -> str:
    return (ROOT / "conf" / "zabbix_sockets.conf").read_text("utf-8")


LOW = "triggers/Sockets: Ephemeral ports run low"
LISTENERS = "templates/0/discovery_rules/sockets.listeners.discovery"
EXPRESSION = f"{LISTENERS}/trigger_prototypes/0/expression"
FIRST = "templates/0/macros/{$SOCKETS.ACCEPT_QUEUE.CONTROL}"
CHANGES: list[Change] = [
    (undefined_macros, f"{LOW}/event_name", "{$SOCKETS.OTHER}"),
    (undefined_macros, "templates/0/description", "{$SOCKETS.OTHER}"),
    (undefined_macros, f"{FIRST}/description", "{$SOCKETS.OTHER}"),
    (undefined_macros, f"{FIRST}/macro", "{$SOCKETS.OTHER}"),
    (undefined_macros, "templates/0/items/sockets.get[{$SOCKETS.GROUP.BY}]/timeout", "3s"),
    (odd_macros, f"{FIRST}/macro", "{$SOCKETS.Other}"),
    (odd_macros, f"{FIRST}/macro", "{$SOCKETS.ACCEPT_QUEUE.MIN}"),
    (odd_macros, f"{FIRST}/description", "Some."),
    (odd_contexts, EXPRESSION, 'last(/x/y)>{$SOCKETS.ACCEPT_QUEUE.MIN:"{#PROCESS}"}'),
    (odd_contexts, EXPRESSION, "last(/x/y)>{$SOCKETS.ACCEPT_QUEUE.MIN:x}"),
    (odd_contexts, f"{LOW}/expression", 'last(/x/y)>{$SOCKETS.ACCEPT_QUEUE.MIN:"{#ID}"}'),
    (missing_contexts, EXPRESSION, "last(/x/y)>{$SOCKETS.ACCEPT_QUEUE.MIN}"),
]


@pytest.mark.parametrize("change", CHANGES, ids=name_of)
def test_changes_are_found(change: Change) -> None:
    """Each check finds what is wrong."""
    assert finds(change)


@pytest.mark.parametrize("text", ["{$SOCKETS.X", '{$SOCKETS.X:"{#ID}}', "{${$X}}"])
def test_broken_macros_are_found(text: str) -> None:
    """What begins as a macro and is none is an error, not a text without macros."""
    with pytest.raises(ValueError, match="a broken macro"):
        list(user_macros(text))
