"""The uuids: by them an import knows what it updates, and what it deletes."""

import itertools
import re
import uuid
from collections import Counter
from collections.abc import Iterator

import pytest

from .exports import GONE, Change, Export, export_of, exports, finds, name_of

GROUP = "a571c0d144b14fd4a87a9d9b2aa9fcd6"
"""Templates/Applications, of Zabbix' own templates."""

FOLDERS = sorted({export.path.parent.name for export in exports()})


def things(value: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield each thing that has a uuid, by the names of what it is in, and its uuid."""
    if isinstance(value, list):
        for each in value:
            yield from things(each, place)
    elif isinstance(value, dict):
        place += f"/{value.get('key') or value.get('name') or ''}"
        if "uuid" in value:
            yield place, value["uuid"]
        for name, each in value.items():
            yield from things(each, f"{place}/{name.replace('template_groups', 'groups')}")


def invalid_uuids(export: Export) -> Iterator[str]:
    """Yield what is no random uuid, written as Zabbix does, or is not there."""
    for place, text in things(export.content):
        if not re.fullmatch(r"[0-9a-f]{32}", text):
            yield f"{place}: {text} is not 32 hexadecimal digits"
        elif uuid.UUID(text).version != 4 or uuid.UUID(text).variant != uuid.RFC_4122:
            yield f"{place}: {text} is of no version 4"
    for part in export.parts:
        for each in [*part.items, *part.triggers, *part.graphs, *([part.rule] * bool(part.rule))]:
            if "uuid" not in each:
                yield f"{each['name']} has no uuid"


def doubled_uuids(export: Export) -> Iterator[str]:
    """Yield each uuid that is there twice, and each name that two things of a kind have."""
    places, uuids = zip(*things(export.content))
    for text, count in (Counter(places) + Counter(uuids)).items():
        if count > 1:
            yield f"{text} is there {count} times"


def test_valid(export: Export) -> None:
    """Each uuid is a random one of RFC 4122, or Zabbix refuses the file."""
    assert not list(invalid_uuids(export))


def test_unique(export: Export) -> None:
    """No two things of a file share a uuid."""
    assert not list(doubled_uuids(export))


@pytest.mark.parametrize("folder", FOLDERS)
def test_same_in_both_versions(folder: str) -> None:
    """A thing keeps its uuid, and so its history, when the server becomes a newer one."""
    old, new = (dict(things(export_of(folder, version).content)) for version in ("6.0", "7.0"))
    assert old == new


def test_templates_share_nothing() -> None:
    """Templates that are linked to hosts of one server have no uuid in common."""
    of_folders = {
        folder: {text for _, text in things(export_of(folder, "7.0").content)} for folder in FOLDERS
    }
    for one, other in itertools.combinations(of_folders.values(), 2):
        assert one & other == {GROUP}


ITEM = "templates/0/items/sockets.complete"
CHANGES: list[Change] = [
    (invalid_uuids, f"{ITEM}/uuid", "7020be0e57f742d6b0ff7516f65439f"),
    (invalid_uuids, f"{ITEM}/uuid", "7020BE0E57F742D6B0FF7516F65439FF"),
    (invalid_uuids, f"{ITEM}/uuid", "7020be0e57f712d6b0ff7516f65439ff"),
    (invalid_uuids, f"{ITEM}/uuid", "7020be0e57f742d6c0ff7516f65439ff"),
    (invalid_uuids, f"{ITEM}/uuid", GONE),
    (doubled_uuids, f"{ITEM}/uuid", GROUP),
    (doubled_uuids, f"{ITEM}/key", "sockets.version"),
]


@pytest.mark.parametrize("change", CHANGES, ids=name_of)
def test_changes_are_found(change: Change) -> None:
    """Each check finds what is wrong."""
    assert finds(change)
