"""How values are taken and stored: preprocessing, history, trends, throttling and windows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from .exports import GONE, Change, Check, Export, Object, finds, name_of
from .expressions import expressions, functions, resolved, seconds

HEARTBEAT, LLD_HEARTBEAT = "{$SOCKETS.HEARTBEAT}", "{$SOCKETS.LLD.HEARTBEAT}"
THROTTLE = "DISCARD_UNCHANGED_HEARTBEAT"
NUMBERS = ("UNSIGNED", "FLOAT")
ERROR = "sockets.collector.error"
"""The item that has a value also where there is no document, and an empty one where there is."""
_EMPTY = re.compile(r"count\(/[^/]+/([^,]+\]),([^,)]+)\)=0\) or")
"""Key and window where an expression asks first whether a window has no value."""
HOURLY = {"sockets.map.listeners", "sockets.map.upstreams"}
"""Texts that no trigger looks at."""
OF_ROWS = {
    "sockets.listeners.fullest",
    "sockets.listeners.tcp_drops.rate",
    "sockets.listeners.udp_drops.rate",
    "sockets.upstreams.waiting",
    "sockets.upstreams.retransmitting",
}
"""Items of many rows, which have no error where no row is as they look for: a value, or none."""


def throttle(thing: Object) -> str | None:
    """Return after what time an unchanged value is stored again; None: each one is stored."""
    for step in thing["preprocessing"]:
        if step["type"] == THROTTLE:
            return str(step["parameters"][0])
        is_document = thing.get("type") != "DEPENDENT"  # which has another time each time
        assert is_document or not step["type"].startswith("DISCARD_UNCHANGED"), (
            "a value might never come again"
        )
    return None


def odd_masters(export: Export) -> Iterator[str]:
    """Yield what is wrong with the item that all others take their values from."""
    masters = [
        item for item in export.host.items if item.get("type") not in ("DEPENDENT", "INTERNAL")
    ]
    of_rows = [item for part in export.rules for item in part.items]
    masters += [item for item in of_rows if item["type"] not in ("DEPENDENT", "CALCULATED")]
    masters += [part.rule for part in export.rules if part.rule["type"] != "DEPENDENT"]
    if len(masters) != 1:
        yield f"{len(masters)} items that are asked for"
    for item in masters:
        *faults, no_document, last = item["preprocessing"]
        wanted = ["CHECK_NOT_SUPPORTED"] * (1 if export.version == "6.0" else 3)
        if [each["type"] for each in faults] != wanted * (item.get("type") != "TRAP"):
            yield f"{item['key']} is not supported where its agent can't answer"
        if no_document["type"] != "MATCHES_REGEX":
            yield f"{item['key']} may be no document"
        for each in [*faults, no_document]:
            made = json.loads(each.get("error_handler_params", "{}")).keys()
            if (each.get("error_handler"), made) != ("CUSTOM_VALUE", {"error"}):
                yield f"{item['key']}: {each} is no error of the collector"
        if last != {"type": THROTTLE, "parameters": ["1s"]}:
            yield f"{item['key']} has documents that overtake each other"
        if (item.get("history"), item.get("trends"), item.get("value_type")) != ("0", "0", "TEXT"):
            yield f"{item['key']} is stored"
        if {"tag": "component", "value": "raw"} not in item["tags"]:
            yield f"{item['key']} is not tagged as raw"


def odd_steps(export: Export) -> Iterator[str]:
    """Yield dependent items whose document is parsed again, or that store what is not known."""
    for part in export.parts:
        for item in part.items:
            if item.get("type") != "DEPENDENT":
                continue
            first = item["preprocessing"][0]
            handler = "CUSTOM_VALUE" if item["key"] == ERROR else "DISCARD_VALUE"
            if first["type"] != "JSONPATH" or first.get("error_handler") != handler:
                yield f"{item['key']}: {first}"
            allowed = "JSONPATH" if item["key"] in OF_ROWS else ""
            if [
                step
                for step in item["preprocessing"][1:]
                if "error_handler" in step and step["type"] != allowed
            ]:
                yield f"{item['key']} hides an error"
            if item["delay"] != "0":
                yield f"{item['key']} has an interval"


def odd_rules(export: Export) -> Iterator[str]:
    """Yield discovery that is done at each value, or fails where a list has no row."""
    for part in export.rules:
        guard, first, *others = part.rule["preprocessing"]
        wanted = {"type": "CHECK_JSON_ERROR", "parameters": ["$.error"]}
        if guard != wanted | {"error_handler": "DISCARD_VALUE"}:
            yield f"{part.kind}: all rows are lost when the collector fails"
        handler = (first["type"], first.get("error_handler"), first.get("error_handler_params"))
        if handler != ("JSONPATH", "CUSTOM_VALUE", "[]"):
            yield f"{part.kind}: {first}"
        if others[-1] != {"type": THROTTLE, "parameters": [LLD_HEARTBEAT]}:
            yield f"{part.kind} is not throttled"
        row, *metrics = part.items
        if row["master_item"] != part.rule["master_item"]:
            yield f"{row['key']} is no row of the document"
        yield from (
            f"{item['key']} is not taken from its row"
            for item in metrics
            if item["type"] != "CALCULATED" and item["master_item"]["key"] != row["key"]
        )


def odd_calculations(export: Export) -> Iterator[str]:
    """Yield what is calculated in vain, stores that it can't be, or doesn't know when to stop."""
    which = ["" if export.version == "6.0" else "-1"]
    # That it is discarded then is what servers do anyway, and leave out of what they export.
    unsupported = {"type": "CHECK_NOT_SUPPORTED", "parameters": which}
    heartbeat = seconds(export.macros[HEARTBEAT])
    for part in export.rules:
        for item in part.items:
            if item["type"] != "CALCULATED":
                continue
            if item["preprocessing"][0] != unsupported:
                yield f"{item['key']} has errors"
            needed = functions(item["params"], export.macros)
            for each in needed:
                found = part.keys.get(each.key, {})
                if found.get("type") != "DEPENDENT" or each.host:
                    yield f"{item['key']}: {each.key} is no value of the row"
                if "discover" in found and "discover" not in item:
                    yield f"{item['key']}: {each.key} may not be there"
            windows = [seconds(each.window) for each in needed if each.name == "count"]
            if min(windows, default=0) < 2 * heartbeat:
                yield f"{item['key']} is calculated of values that are over"
            if any(each.name == "last" and each.window for each in needed):
                yield f"{item['key']} is not of the last values"


def odd_storage(export: Export) -> Iterator[str]:
    """Yield text with trends, numbers without, masters that are stored or throttled."""
    for part in export.parts:
        masters = {item["master_item"]["key"] for item in part.items if "master_item" in item}
        for item in part.items:
            is_number = item.get("value_type", "UNSIGNED") in NUMBERS
            if is_number == (item.get("trends") == "0"):
                yield f"{item['key']} has trends and is text, or is a number without"
            is_master = item["key"] in masters
            if item.get("type") not in ("DEPENDENT", "INTERNAL", "CALCULATED"):
                continue  # another document each time
            if is_master == (item["history"] != "0"):
                yield f"{item['key']} is stored, or its value is lost"
            if is_master and throttle(item):
                yield f"{item['key']} keeps values from the items that depend on it"
            if throttle(item) not in (None, "1h" if item["key"] in HOURLY else HEARTBEAT):
                yield f"{item['key']} has a heartbeat of its own"
            if throttle(item) and item["preprocessing"][-1]["type"] != THROTTLE:
                yield f"{item['key']} changes after it was found unchanged"


def short_windows(export: Export) -> Iterator[str]:
    """Yield windows of triggers that may hold no value, as unchanged ones are not stored."""
    heartbeat = seconds(export.macros[HEARTBEAT])
    for part in export.parts:
        for trigger in part.triggers:
            may_be_empty = _EMPTY.findall(resolved(expressions(trigger), export.macros))
            for function in functions(expressions(trigger), export.macros):
                item = part.keys.get(function.key) or export.host.keys[function.key]
                where = f"{trigger['name']}: {function.name}({function.key},{function.window})"
                if function.name.startswith("trend") and item.get("trends") == "0":
                    yield f"{where} of an item without trends"
                if not throttle(item) or not function.window:
                    continue
                if function.name in ("last", "count") and function.window == "#1":
                    continue  # an unchanged value is the one that holds, however old
                if function.window.startswith("#"):
                    yield f"{where} counts values that are not stored"
                elif (function.key, function.window) in may_be_empty:
                    continue  # it is asked whether there is one
                elif seconds(function.window) < 2 * heartbeat:
                    yield f"{where} is shorter than two heartbeats"


CHECKS = (odd_masters, odd_steps, odd_rules, odd_calculations, odd_storage, short_windows)


@pytest.mark.parametrize("check", CHECKS)
def test_items(export: Export, check: Check) -> None:
    """Values are taken once from the document, and windows hold at least one."""
    assert not list(check(export))


def test_documents_come_within_two_heartbeats(export: Export) -> None:
    """The heartbeat is longer than the interval: else nothing is ever left out."""
    if "{$SOCKETS.INTERVAL}" in export.macros:
        interval = seconds(resolved(export.body["items"][0]["delay"], export.macros))
        assert 2 * interval <= seconds(export.macros[HEARTBEAT])
    assert seconds(export.macros[LLD_HEARTBEAT]) > seconds(export.macros[HEARTBEAT])


BODY = "templates/0"
MASTER = f"{BODY}/items/sockets.get[{{$SOCKETS.GROUP.BY}}]"
ITEM, TEXT = f"{BODY}/items/sockets.complete", f"{BODY}/items/sockets.collector.reason"
RULE = f"{BODY}/discovery_rules/sockets.listeners.discovery"
ROW = f'{RULE}/item_prototypes/sockets.listener.get["{{#ID}}"]'
METRIC = f'{RULE}/item_prototypes/sockets.listener.accept_queue_pct["{{#ID}}"]'
OTHER = "sockets.upstream"
MEAN = (
    f"{BODY}/discovery_rules/sockets.upstreams.discovery/item_prototypes/"
    f'{OTHER}.totals.handshake_mean["{{#ID}}"]'
)
ALIVE = f'count(//{OTHER}.totals.opened["{{#ID}}"],10m)'
THROTTLED = {"type": THROTTLE, "parameters": [HEARTBEAT]}
STEPS = [{"type": "JSONPATH", "parameters": ["$.x"], "error_handler": "DISCARD_VALUE"}, THROTTLED]
LOW = "triggers/Sockets: Ephemeral ports run low/expression"
WORST = "/Sockets by Zabbix agent/sockets.ephemeral.worst"
CHANGES: list[Change] = [
    (odd_masters, f"{MASTER}/preprocessing/0/type", "TRIM"),
    (odd_masters, f"{MASTER}/preprocessing/0/error_handler", "DISCARD_VALUE"),
    (odd_masters, f"{MASTER}/preprocessing/2", GONE),
    (odd_masters, f"{MASTER}/preprocessing/2/error_handler_params", "{}"),
    (odd_masters, f"{MASTER}/preprocessing/3/type", "TRIM"),
    (odd_masters, f"{MASTER}/preprocessing/4/type", "TRIM"),
    (odd_masters, f"{MASTER}/preprocessing/4/parameters/0", "5m"),
    (odd_masters, f"{MASTER}/history", "7d"),
    (odd_masters, f"{MASTER}/tags", []),
    (odd_masters, f"{ITEM}/type", "ZABBIX_ACTIVE"),
    (odd_steps, f"{ITEM}/preprocessing/0/type", "JAVASCRIPT"),
    (odd_steps, f"{METRIC}/preprocessing/0/error_handler", "CUSTOM_VALUE"),
    (odd_steps, f"{ITEM}/preprocessing/1/error_handler", "DISCARD_VALUE"),
    (odd_steps, f"{ITEM}/delay", "1m"),
    (odd_rules, f"{RULE}/preprocessing/0/error_handler", GONE),
    (odd_rules, f"{RULE}/preprocessing/1/error_handler", GONE),
    (odd_rules, f"{RULE}/preprocessing/3/parameters/0", HEARTBEAT),
    (odd_rules, f"{RULE}/preprocessing/3", GONE),
    (odd_rules, f"{METRIC}/master_item/key", "sockets.get[{$SOCKETS.GROUP.BY}]"),
    (odd_rules, f"{ROW}/master_item/key", "sockets.complete"),
    (odd_calculations, f"{MEAN}/preprocessing/0", GONE),
    (odd_calculations, f"{MEAN}/params", 'last(//sockets.upstream.totals.opened["{#ID}"])'),
    (odd_calculations, f"{MEAN}/params", f"{ALIVE}/last(//sockets.tcp.established)"),
    (odd_calculations, f"{MEAN}/params", f'{ALIVE}/last(//{OTHER}.totals.abandoned["{{#ID}}"])'),
    (odd_calculations, f"{BODY}/macros/{{$SOCKETS.HANDSHAKE.TIME}}/value", "9m"),
    (odd_storage, f"{TEXT}/trends", GONE),
    (odd_storage, f"{ITEM}/trends", "0"),
    (odd_storage, f"{ITEM}/value_type", "TEXT"),
    (odd_storage, f"{ITEM}/history", "0"),
    (odd_storage, f"{ROW}/history", "7d"),
    (odd_storage, f"{ROW}/preprocessing", STEPS),
    (odd_storage, f"{ITEM}/preprocessing/1/parameters/0", "10m"),
    (odd_storage, f"{BODY}/items/sockets.map.upstreams/preprocessing/1/parameters/0", HEARTBEAT),
    (odd_storage, f"{ITEM}/preprocessing", STEPS[::-1]),
    (short_windows, f"{METRIC}/preprocessing", STEPS),
    (short_windows, f"{BODY}/macros/{{$SOCKETS.FDS.TIME}}/value", "9m"),
    (short_windows, f"{BODY}/macros/{{$SOCKETS.FDS.TIME}}/value", "#10"),
    (short_windows, f"{BODY}/macros/{HEARTBEAT}/value", "6m"),
    (short_windows, LOW, f"trendavg({WORST}_endpoint,1h)=1"),
    (short_windows, LOW, f"last({WORST}_pct,#2:now-1h)=1"),
    (short_windows, LOW, f"min({WORST}_pct,#1)=1"),
]


@pytest.mark.parametrize("change", CHANGES, ids=name_of)
def test_changes_are_found(change: Change) -> None:
    """Each check finds what is wrong."""
    assert finds(change)
