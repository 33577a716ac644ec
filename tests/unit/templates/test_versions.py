"""The files for 6.0 and 7.0 hold the same, but for what only one of them knows."""

import copy
from collections.abc import Iterator

import pytest

from .exports import Export, Object, export_of, exports, leaves

FOLDERS = sorted({export.path.parent.name for export in exports()})
TIMEOUT = "{$SOCKETS.TIMEOUT}"
COLUMNS = {"6.0": 24, "7.0": 72}
ROWS = 64
DEFAULTS = {"x": "0", "y": "0", "width": "1", "height": "2"}


def common(export: Export) -> Object:
    """Return what a file holds without all that only its version knows, which must be there."""
    content: Object = copy.deepcopy(export.content)
    (body,) = content["templates"]
    is_new = content.pop("version") == "7.0"
    content["groups"] = content.pop("template_groups" if is_new else "groups")
    for dashboard in body["dashboards"]:
        for page in dashboard["pages"]:
            del page["widgets"]  # other names, columns and kinds
    for rule in body["discovery_rules"]:
        if is_new:
            assert rule.pop("enabled_lifetime_type") == "DISABLE_NEVER"  # 6.0 knows nothing else
            rule.setdefault("lifetime", "7d")  # its default, which 6.0's is not
    if is_new:
        assert body.pop("vendor")["version"].startswith("7.0-")
        if "delay" in body["items"][0] and body["items"][0]["delay"] != "0":
            assert body["items"][0].pop("timeout") == TIMEOUT  # in 6.0 the agent's alone
            body["macros"] = [each for each in body["macros"] if each["macro"] != TIMEOUT]
    for item in (item for rule in body["discovery_rules"] for item in rule["item_prototypes"]):
        if item["type"] == "CALCULATED":  # the older one has one kind of "not supported"
            assert item["preprocessing"][0].pop("parameters") == (["-1"] if is_new else [""])
    steps = body["items"][0]["preprocessing"]
    # 6.0 tells no agent's errors from each other.
    steps[:] = [each for each in steps if each["type"] != "CHECK_NOT_SUPPORTED"]
    return content


def differences(old: Export, new: Export) -> Iterator[str]:
    """Yield the places at which two files differ where they must not."""
    one, other = (dict(leaves(common(export))) for export in (old, new))
    for place in dict.fromkeys([*one, *other]):
        if one.get(place) != other.get(place):
            yield f"{place}: {one.get(place)!r}, {other.get(place)!r}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_versions_hold_the_same(folder: str) -> None:
    """Who upgrades the server and imports the newer file finds everything as it was."""
    old, new = (export_of(folder, version) for version in ("6.0", "7.0"))
    assert not list(differences(old, new))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("templates/0/items/sockets.complete/uuid", "x"),
        ("templates/0/items/sockets.complete/timeout", "3s"),
        ("templates/0/macros/{$SOCKETS.HEARTBEAT}/value", "6m"),
        ("templates/0/discovery_rules/0/lifetime", "30d"),
        ("templates/0/dashboards/0/pages/0/name", "Other"),
        ("triggers/0/expression", "1=1"),
        ("graphs", []),
    ],
)
def test_differences_are_found(place: str, value: object) -> None:
    """The comparison finds what was changed in one version only."""
    old, new = (export_of("sockets_by_zabbix_agent", version) for version in ("6.0", "7.0"))
    assert list(differences(old, new.changed(place, value)))
    assert list(differences(old.changed(place, value), new))


def test_nothing_of_7_0_in_6_0(export: Export) -> None:
    """An older server refuses a field that it doesn't know."""
    fields = {
        step
        for place, _ in leaves(export.content)
        for step in place.split("/")
        if step in ("timeout", "vendor", "template_groups", "enabled_lifetime_type")
    }
    assert not fields or export.version == "7.0"
    assert export.version in export.path.name


def layout_faults(export: Export) -> Iterator[str]:
    """Yield widgets that leave the page, or lie on each other."""
    for page in export.body["dashboards"][0]["pages"]:
        taken: dict[tuple[int, int], Object] = {}
        for widget in page["widgets"]:
            x, y, width, height = (int(widget.get(field, DEFAULTS[field])) for field in DEFAULTS)
            if x + width > COLUMNS[export.version] or y + height > ROWS or min(width, height) < 1:
                yield f"{page['name']}: {widget['type']} leaves the page"
            for cell in ((x + right, y + down) for right in range(width) for down in range(height)):
                if taken.setdefault(cell, widget) is not widget:
                    yield f"{page['name']}: two widgets at {cell}"
        top = {column for column, row in taken if row == 0}
        if len(top) < COLUMNS[export.version]:
            yield f"{page['name']}: a hole in the first row"


def test_layout(export: Export) -> None:
    """The widgets of a page fill its width and don't lie on each other."""
    assert not list(layout_faults(export))


@pytest.mark.parametrize(
    ("field", "value"), [("width", "73"), ("width", "13"), ("width", "11"), ("y", "1"), ("y", "64")]
)
def test_layout_faults_are_found(field: str, value: str) -> None:
    """The check of the layout finds a widget that is moved or made larger."""
    sound = export_of("sockets_by_zabbix_agent", "7.0")
    widget = "templates/0/dashboards/0/pages/0/widgets/0"
    assert list(layout_faults(sound.changed(f"{widget}/{field}", value)))


def test_references_of_widgets(export: Export) -> None:
    """In 7.0 what other widgets may listen to has a name of its own, of five letters."""
    widgets = [
        widget for page in export.body["dashboards"][0]["pages"] for widget in page["widgets"]
    ]
    fields = [field for widget in widgets for field in widget["fields"]]
    found = [field["value"] for field in fields if field["name"] == "reference"]
    assert len(set(found)) == len(found)
    assert all(len(each) == 5 and each.isalpha() and each.isupper() for each in found)
    listened = [widget for widget in widgets if widget["type"] not in ("item", "ITEM")]
    assert len(found) == (len(listened) if export.version == "7.0" else 0)
