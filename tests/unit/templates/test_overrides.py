"""What is discovered for which row: filters, overrides, and how much that is."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from zabbix_sockets.document.record import ABSENT_ID

from .exports import Change, Export, Object, Part, export_of, finds, name_of
from .expressions import expressions, functions, resolved
from .jsonpath import query
from .lld import KINDS, Labels, discovered, hit, is_selected, labels_of, prototypes

ITEMS, TRIGGERS, GRAPHS = KINDS
MORE = {
    f"{{$SOCKETS.LLD.MORE.{name}.MATCHES}}": "." for name in ("PROCESS", "LISTENER", "UPSTREAM")
}
GONE_ALARM = ": Nobody listens any more$"

# What an override or a filter may be about.
CHANGES_OF_ROWS: list[Labels] = [
    {},
    {"{#ADDRESS}": "127.0.0.1"},
    {"{#ADDRESS}": "::1"},
    {"{#NETNS}": "web"},
    {"{#EPHEMERAL}": "1"},
]


def offered(part: Part, document: Object, macros: dict[str, str]) -> list[Object]:
    """Return the rows of the document that a rule looks at."""
    step = next(each for each in part.rule["preprocessing"] if each["type"] == "JSONPATH")
    rows = query(document, resolved(step["parameters"][0], macros))
    assert isinstance(rows, list)
    return rows


def scenarios(export: Export, document: Object) -> Iterator[tuple[Part, Labels, Labels]]:
    """Yield each rule with each of its rows, as they are and changed, and the change."""
    for part in export.rules:
        for row in document[part.kind][:-1]:
            labels = labels_of(part, row)
            for change in CHANGES_OF_ROWS:
                if change.keys() <= labels.keys():
                    yield part, labels | change, change


def items_of(thing: Object, part: Part, export: Export) -> set[str]:
    """Return the keys of the items that a trigger or graph looks at."""
    if "expression" in thing:
        found = {each.key for each in functions(expressions(thing), export.macros)}
    else:
        found = {line["item"]["key"] for line in thing["graph_items"]}
    assert found <= part.keys.keys() | export.host.keys.keys()
    return found & part.keys.keys()


def blunt_overrides(export: Export) -> Iterator[str]:
    """Yield operations of overrides that hit nothing, and All metrics where it misses some."""
    for part in export.rules:
        labels = {each["lld_macro"]: "x" for each in part.rule["lld_macro_paths"]}
        steps = [override["step"] for override in part.rule["overrides"]]
        if steps != [str(at) for at in range(1, len(steps) + 1)]:
            yield f"{part.kind}: steps {steps}"
        for override in part.rule["overrides"]:
            for operation in override["operations"]:
                found = hit(part, operation, labels)
                if not found:
                    yield f"{part.kind}: {override['name']} hits nothing: {operation['value']}"
                if override["name"] == "All metrics" and len(found) < len(part.items):
                    yield f"{part.kind}: All metrics misses some"
        if "All metrics" not in [override["name"] for override in part.rule["overrides"]]:
            yield f"{part.kind}: no All metrics"


def test_overrides_hit(export: Export) -> None:
    """Each operation of an override changes a prototype, and All metrics every one."""
    assert not list(blunt_overrides(export))


def protocol_faults(export: Export, document: Object, protocol: str = "udp") -> set[str]:
    """Return what the overrides for protocols but TCP hit wrongly, or miss, for *protocol*."""
    part = export.part("listeners")
    row = next(each for each in document["listeners"] if each.get("protocol") == protocol)
    lacking = {
        item["key"]
        for item in part.items[1:]
        if item["preprocessing"][0]["parameters"][0].removeprefix("$.") not in row
    }
    wanted = {part.keys[key]["name"] for key in lacking}
    wanted |= {
        each["name"]
        for each in [*part.triggers, *part.graphs]
        if items_of(each, part, export) & lacking
    }
    overrides = [
        each
        for each in part.rule["overrides"]
        if {one["macro"] for one in each["filter"]["conditions"]} == {"{#PROTOCOL}"}
        and is_selected(each["filter"], labels_of(part, row), export.macros)
    ]
    for override in overrides:
        assert {each["discover"] for each in override["operations"]} == {"NO_DISCOVER"}
    found = {
        each["name"]
        for override in overrides
        for operation in override["operations"]
        for each in hit(part, operation, labels_of(part, row))
    }
    return wanted ^ found


@pytest.mark.parametrize("protocol", ["udp", "unix"])
def test_protocols(export: Export, document: Object, protocol: str) -> None:
    """For each but TCP exactly that is left out which looks at what its rows don't have."""
    assert not protocol_faults(export, document, protocol)


@pytest.mark.parametrize(
    ("name", "is_missed"),
    [
        ("/run/php/php8.2-fpm.sock", True),
        ("/var/lib/mysql/mysql.sock", True),
        ("@abstract", False),
        ("/tmp/x", False),
        ("/run/user/1000/bus", False),
        ("/run/containerd/s/0a1b2c3d4e5f60718293a4b5", False),
        ("/run/a~0123456789abcdef", False),
    ],
)
def test_unix_sockets_that_are_missed(
    export: Export, document: Object, name: str, is_missed: bool
) -> None:
    """That a listener is gone is an alarm unless its name says that it comes and goes."""
    part = export.part("listeners")
    row = next(row for row in document["listeners"] if row.get("protocol") == "unix")
    labels = labels_of(part, row | {"address": name, "id": f"unix/{name}"})
    found = discovered(part, labels, export.macros)["TRIGGER_PROTOTYPE"]
    assert any("Nobody listens" in each["name"] for each in found) == is_missed


def test_absent_is_no_row_to_discover(export: Export, document: Object) -> None:
    """The row for what is not there is no row: rules are offered all others of their list."""
    for part in export.rules:
        ids = [row["id"] for row in offered(part, document, export.macros)]
        assert ABSENT_ID not in ids, part.rule["preprocessing"][0]
        assert ids == [row["id"] for row in document[part.kind][:-1]]


def test_rows_that_are_not_offered(export: Export, document: Object) -> None:
    """A process that is not settled, and a listener on an ephemeral port, only when asked for."""
    document["processes"][0] |= {"settled": 0, "admitted": 0}
    document["processes"][1]["settled"] = 1  # (absent), so that there is one
    assert len(offered(export.part("processes"), document, export.macros)) == 1
    document["listeners"][0]["ephemeral"] = 1
    part, macro = export.part("listeners"), "{$SOCKETS.LLD.LISTENER.EPHEMERAL}"
    few, all_ = (offered(part, document, export.macros | {macro: value}) for value in "01")
    assert len(all_) == len(few) + 1


@pytest.mark.parametrize(
    ("settled", "admitted", "is_offered"),
    [
        (1, 400, True),
        (1, 401, False),
        (1, 0, False),
        (1, None, True),
        (0, None, False),
        (0, 0, False),
        (0, 400, True),
        (0, 401, False),
    ],
)
def test_admitted_rows(
    export: Export, document: Object, settled: int, admitted: int | None, is_offered: bool
) -> None:
    """Rows are offered that have a number within the macro's; without numbers those settled."""
    numbered = {} if admitted is None else {"admitted": admitted}
    for part in export.rules:
        row = {key: value for key, value in document[part.kind][0].items() if key != "admitted"}
        row |= {"settled": settled} if part.kind == "processes" else {}
        rows = [row | numbered, row | {"id": "other", "settled": 1, "admitted": 1}]
        ids = [each["id"] for each in offered(part, {part.kind: rows}, export.macros)]
        wanted = is_offered if part.kind == "processes" else admitted in {None, 400}
        assert ids == ([row["id"], "other"] if wanted else ["other"])


def test_filters(export: Export, document: Object) -> None:
    """By default all processes and listeners of the own namespace pass, and no upstream."""
    for part, labels, change in scenarios(export, document):
        wanted = part.kind != "upstreams" and "{#NETNS}" not in change
        assert is_selected(part.rule["filter"], labels, export.macros) == wanted
        leave_out = {name: "." for name in export.macros if ".NOT_MATCHES}" in name}
        assert not is_selected(part.rule["filter"], labels, export.macros | leave_out)


@pytest.mark.parametrize("more", [{}, MORE], ids=["default", "more"])
def test_nothing_looks_at_what_is_not_there(
    export: Export, document: Object, more: dict[str, str]
) -> None:
    """The items of each discovered trigger and graph are discovered too."""
    for part, labels, _ in scenarios(export, document):
        found = discovered(part, labels, export.macros | more)
        keys = {item["key"] for item in found[ITEMS]}
        for each in found[TRIGGERS] + found[GRAPHS]:
            assert items_of(each, part, export) <= keys, each["name"]
        for item in found[ITEMS]:
            if item["type"] == "CALCULATED":
                used = {each.key for each in functions(item["params"], export.macros)}
            else:
                used = {item["master_item"]["key"]}
            assert used <= keys | {export.body["items"][0]["key"]}


def test_all_metrics(export: Export, document: Object) -> None:
    """Who asks for more gets every item that the row has a field for."""
    for part, labels, _ in scenarios(export, document):
        found = discovered(part, labels, export.macros | MORE)[ITEMS]
        few = discovered(part, labels, export.macros)[ITEMS]
        assert len(few) < len(found)
        if labels.get("{#PROTOCOL}") not in ("udp", "unix"):
            lacking = ": Receive queue" if part.kind == "listeners" else ()
            wanted = [
                each for each in prototypes(part, ITEMS) if not each["name"].endswith(lacking)
            ]
            assert found == wanted


def test_who_may_come_and_go(export: Export, document: Object) -> None:
    """Only listeners of the own namespace, reached from outside, on a fixed port, may be missed."""
    for part, labels, change in scenarios(export, document):
        if part.kind == "listeners":
            names = [each["name"] for each in discovered(part, labels, export.macros)[TRIGGERS]]
            assert any(re.search(GONE_ALARM, name) for name in names) == (not change)


def test_usual_level(export: Export, document: Object) -> None:
    """A process is compared with its usual level only when asked for."""
    part = export.part("processes")
    labels = labels_of(part, document["processes"][0])
    few = discovered(part, labels, export.macros)[TRIGGERS]
    asked = export.macros | {"{$SOCKETS.LLD.USUAL.MATCHES}": f"^{labels['{#ID}']}$"}
    found = discovered(part, labels, asked)[TRIGGERS]
    (more,) = (each["name"] for each in found if each not in few)
    assert more.endswith(": Far more connections than usual")


def test_volume(export: Export, document: Object) -> None:
    """By default a row costs few items, the one that holds it included."""
    most = {"processes": 14, "tcp": 7, "udp": 4, "unix": 6, "upstreams": 16}
    for part, labels, _ in scenarios(export, document):
        kind = labels["{#PROTOCOL}"] if part.kind == "listeners" else part.kind
        found = discovered(part, labels, export.macros)[ITEMS]
        assert 2 <= len(found) <= most[kind]


RULE = "templates/0/discovery_rules/sockets.listeners.discovery/overrides"
CHANGES: list[Change] = [
    (blunt_overrides, f"{RULE}/All metrics/operations/0/value", ": Accept"),
    (blunt_overrides, f"{RULE}/All metrics/name", "Some metrics"),
    (blunt_overrides, f"{RULE}/All metrics/step", "2"),
    (blunt_overrides, f"{RULE}/UDP has no accept queue/operations/1/value", ": Accept queue$"),
    (blunt_overrides, f"{RULE}/UDP has no accept queue/operations/1/operationobject", GRAPHS),
]


@pytest.mark.parametrize("change", CHANGES, ids=name_of)
def test_changes_are_found(change: Change) -> None:
    """Each check finds what is wrong."""
    assert finds(change)


@pytest.mark.parametrize("pattern", [": Accept queue", ": Accept queue$", ": Accept .*|: Connec"])
def test_changes_of_udp_are_found(document: Object, pattern: str) -> None:
    """The check of UDP finds a pattern that is too narrow or too wide."""
    place = f"{RULE}/UDP has no accept queue/operations/0/value"
    sound = export_of("sockets_by_zabbix_agent", "7.0")
    is_fault = pattern != ": Accept queue"
    assert bool(protocol_faults(sound.changed(place, pattern), document)) == is_fault
