"""Hosts whose documents are kept, and what each item has to have stored by them."""

from __future__ import annotations

import json
import math
import re
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from zabbix_sockets.document.document import ROWS

from .programs import wait_for
from .proxies import Proxy
from .servers import Host, Server
from .templates import template

Item = dict[str, Any]
Moment = tuple[int, int]
"""Seconds and nanoseconds: all that is made of one document has its time."""

# As the API numbers them.
_CALCULATED, _DEPENDENT, _TEXT = "15", "18", "4"
_FLOAT, _UNSIGNED = "0", "3"
_TABLES = {
    _FLOAT: "history",
    "1": "history_str",
    "2": "history_log",
    _UNSIGNED: "history_uint",
    _TEXT: "history_text",
}
"""Where values of each type are stored."""
_MULTIPLIER, _JSONPATH, _JAVASCRIPT, _PER_SECOND, _THROTTLED = "1", "12", "21", "10", "20"
_UNSUPPORTED = "1"

_ERROR = "$.error"
"""What there is instead of a document."""

_OF_ROWS = re.compile(rf"\$\.({'|'.join(ROWS)})\b")
"""What a host's items take from all rows of a list: tests/unit/templates/test_ranks.py."""

_FIELDS = re.compile(r"\$((?:\.\w+)+)")
_ROW = re.compile(
    r'\$\.(\w+)\[\?\(@\.id == "(.+)" \|\| @\.id == "\(absent\)"\)\]\.first\(\)', re.DOTALL
)

FAST = {"{$SOCKETS.INTERVAL}": "1s", "{$SOCKETS.HEARTBEAT}": "30s"}
"""Lets a host be asked once in a second. A value that a busy server or proxy has dropped, as it did
not know the item yet, comes again within a heartbeat."""

# Zabbix cuts texts at 65,535 characters; a document has 500,000 bytes at most.
_PART = 60_000
_PARTS = 9

_PAUSE_SECONDS = 0.3
_LATER_DOCUMENTS = 10
"""After so many more, while none comes, a value of a document is not stored any more."""
_ATTEMPTS = 15


class Document(NamedTuple):
    """A document as the server got it."""

    moment: Moment
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Watched:
    """A host linked to one of the templates, with items more that store the document's parts."""

    server: Server
    host: Host
    parts: list[str]
    reload: Callable[[], None]
    """Returns when whoever makes the values of documents knows all items."""

    def documents(self, since: float = 0) -> list[Document]:
        """Return the documents that have been stored, the oldest first."""
        stored: dict[Moment, dict[str, str]] = defaultdict(dict)
        for row in self.server.sql(
            f"SELECT itemid, clock, ns, value FROM history_text"
            f" WHERE itemid IN ({', '.join(self.parts)}) AND clock >= {int(since)}"
        ):
            stored[_moment(row)][row["itemid"]] = row["value"][1:-1]
        return [
            Document(moment, json.loads("".join(parts[itemid] for itemid in self.parts)))
            for moment, parts in sorted(stored.items())
            if len(parts) == len(self.parts)
        ]

    def next_documents(self) -> tuple[Document, Document]:
        """Return two successive documents, both complete, that the server gets from now on."""
        # 6.0 needs a moment for items that are new in a configuration that it read just before.
        now = time.time() + 2
        found: list[tuple[Document, Document]] = []

        def come() -> bool:
            found[:] = filter(both_complete, pairwise(self.documents(now)))
            return bool(found)

        wait(come, lambda: len(self.documents(now)))
        return found[0]

    def items(self, **parameters: object) -> dict[str, Item]:
        """Return all items of the templates by key."""
        found = self.server.items(self.host.hostid, **parameters)
        return {item["key_"]: item for item in found if item["itemid"] not in self.parts}

    def item_keys(self, kind: str = "") -> set[str]:
        """Return the keys of all items, or of those of `process`, `listener` or `upstream`."""
        prefix = f"sockets.{kind}." if kind else ""
        return {key for key in self.items(output=["key_"]) if key.startswith(prefix)}

    def rows(self, kind: str) -> set[str]:
        """Return the ids of the rows that discovery has made items for."""
        return {key.partition('["')[2].removesuffix('"]') for key in self.item_keys(kind)}

    def wait_for_values(self, values: Mapping[str, str]) -> None:
        """Return when the items with these keys have these last values."""
        if not values.keys() <= self.item_keys():
            self.wait_for_rows(set(values))
        wait(lambda: self._last(values) == values, lambda: self._last(values))

    def _last(self, keys: Mapping[str, str]) -> dict[str, str]:
        known = self.server.items(self.host.hostid, filter={"key_": list(keys)})
        return {item["key_"]: item["lastvalue"] for item in known if item["lastclock"] != "0"}

    def wait_for_no_faults(self) -> None:
        """Return when no item and no rule complains: one call of a busy machine's may fail."""
        wait(lambda: not self.faults(), self.faults)

    def faults(self) -> list[str]:
        """Return what items and discovery rules complain of."""
        rules = self.server.api.discoveryrule.get(hostids=self.host.hostid, output="extend")
        found = [*self.server.items(self.host.hostid), *rules]
        assert len(rules) == 3
        return [
            f"{each['key_']}: {each['error']}"
            for each in found
            if (each["state"] == _UNSUPPORTED or each["error"]) and not self._is_early(each)
        ]

    def _is_early(self, item: Item) -> bool:
        """Tell whether a calculated item complains of what it lacked when it was asked first.

        7.0 keeps that until there is a value (docs/troubleshooting.md), and of who has opened
        nothing none comes.
        """
        may_be = self.server.version == "7.0" and item.get("type") == _CALCULATED
        return may_be and item["lastclock"] == "0" and "not enough data" in item["error"]

    def wait_for_rows(self, keys: set[str]) -> None:
        """Return when discovery has made all these items and the server knows them."""
        wait(lambda: keys <= self.item_keys(), lambda: keys - self.item_keys())
        self.reload()

    def wait_for_truth(self) -> None:
        """Return when each item has had what a document says, of those that come from now on.

        A server or proxy that is busy may store some items' values later than others, or have begun
        with a document before it knew the newest items: what differs is looked at again by a later
        document.
        """
        items = self.items(selectPreprocessing=["type", "params"])
        self.reload()
        found = dict.fromkeys(items, "")
        for _ in range(_ATTEMPTS):
            before, now = self.next_documents()
            later = until = 0
            fewest = len(found) + 1
            while differing := differences(self.server, items, before, now, found):
                if len(differing) < fewest:
                    fewest, until = len(differing), later + _LATER_DOCUMENTS
                if later >= until:
                    break
                wait(partial(self._has_more_than, later, now), str)
                later = self._later(now)
            else:
                return
            found = differing
        raise AssertionError(list(found.values()))

    def _later(self, than: Document) -> int:
        """Return how many documents have been stored since that one."""
        return sum(each.moment > than.moment for each in self.documents(than.moment[0]))

    def _has_more_than(self, number: int, than: Document) -> bool:
        return self._later(than) > number


def both_complete(pair: tuple[Document, Document]) -> bool:
    """Tell whether these documents say that they have all there is."""
    return all(each.content.get("complete") == 1 for each in pair)


def differences(
    server: Server,
    items: Mapping[str, Item],
    before: Document,
    now: Document,
    keys: Collection[str],
) -> dict[str, str]:
    """Return where the items of these *keys* differ from what the document *now* says, by key.

    Rates are those since the document *before*.
    """
    by_id = {item["itemid"]: item for item in items.values()}
    kept = [items[key] for key in keys if items[key]["history"] != "0" and _is_field(items[key])]
    last = _last_values(server, kept, now.moment)
    found = {}
    for item in kept:
        expected = _expected(_steps(item, by_id), before, now)
        moment, value = last.get(item["itemid"], (None, None))
        if expected is None:
            if moment == now.moment:
                found[item["key_"]] = f"{item['key_']}: nothing, not {value!r}"
        elif moment != now.moment and (moment is None or not _is_throttled(item)):
            found[item["key_"]] = f"{item['key_']}: {expected!r}, but it has no value"
        elif not _is_near(value, expected):
            found[item["key_"]] = f"{item['key_']}: {expected!r}, not {value!r}"
    return found


def _is_field(item: Item) -> bool:
    """Tell whether an item is a field of the document: neither Zabbix's own nor of many rows."""
    paths = [step["params"] for step in item["preprocessing"] if step["type"] == _JSONPATH]
    return (
        item["type"] == _DEPENDENT
        and len(paths) == 1
        and paths != [_ERROR]
        and not _OF_ROWS.match(paths[0])
    )


def _last_values(
    server: Server, items: list[Item], until: Moment
) -> dict[str, tuple[Moment, object]]:
    """Return the last value of each of these items by its id, with its time, not after *until*."""
    values: dict[str, tuple[Moment, object]] = {}
    for kind in {item["value_type"] for item in items}:
        ids = ", ".join(item["itemid"] for item in items if item["value_type"] == kind)
        for row in server.sql(
            f"SELECT DISTINCT ON (itemid) itemid, clock, ns, value FROM {_TABLES[kind]}"
            f" WHERE itemid IN ({ids}) AND (clock, ns) <= ({until[0]}, {until[1]})"
            f" ORDER BY itemid, clock DESC, ns DESC"
        ):
            value = row["value"]
            is_number = kind in (_FLOAT, _UNSIGNED)
            values[row["itemid"]] = _moment(row), float(value) if is_number else value
    return values


wait = partial(wait_for, pause=_PAUSE_SECONDS)
"""For what the API has to be asked."""


def watch(
    server: Server,
    way: str,
    macros: Mapping[str, str] | None = None,
    agent: int | None = None,
    proxy: Proxy | None = None,
) -> Watched:
    """Create a host linked to the template of that *way*, whose documents are kept."""
    listed = [{"macro": name, "value": value} for name, value in (macros or FAST).items()]
    linked = [template(server, way)]
    through = proxy.assignment if proxy else {}
    host = server.create_host("watched", agent=agent, templates=linked, macros=listed, **through)
    (master,) = server.items(host.hostid, filter={"name": "Get sockets"})
    what = {"type": _DEPENDENT, "value_type": _TEXT, "master_itemid": master["itemid"]}
    created = server.api.item.create(
        *(what | {"hostid": host.hostid} | _part(number) for number in range(_PARTS))
    )
    watched = Watched(server, host, created["itemids"], proxy.reload if proxy else server.reload)
    watched.reload()
    return watched


def _part(number: int) -> dict[str, object]:
    """Return what makes an item of a part of the document; its ends are not trimmed."""
    script = f"return '|' + value.substr({number * _PART}, {_PART}) + '|';"
    step = {"type": _JAVASCRIPT, "params": script, "error_handler": "0", "error_handler_params": ""}
    return {"name": f"part {number}", "key_": f"part.{number}", "preprocessing": [step]}


def _moment(row: Mapping[str, str]) -> Moment:
    return int(row["clock"]), int(row["ns"])


def _steps(item: Item, by_id: Mapping[str, Item]) -> list[tuple[str, str]]:
    """Return what is done with the document until it is the item's value."""
    own = [(step["type"], step["params"]) for step in item["preprocessing"]]
    master = by_id[item["master_itemid"]]
    return own if master["master_itemid"] == "0" else [*_steps(master, by_id), *own]


def _is_throttled(item: Item) -> bool:
    """Tell whether an unchanged value is not stored again."""
    return any(step["type"] == _THROTTLED for step in item["preprocessing"])


def _expected(steps: list[tuple[str, str]], before: Document, now: Document) -> object:
    """Return the value that *steps* make of *now*; None where they store nothing."""
    value = _walk(steps, now.content)
    kinds = {kind for kind, _ in steps}
    if value is None:
        return None
    if _PER_SECOND in kinds:
        seconds = now.moment[0] - before.moment[0] + (now.moment[1] - before.moment[1]) / 1e9
        return (value - _walk(steps, before.content)) / seconds
    if _JAVASCRIPT in kinds:
        return "\n".join(value)
    return value


def _walk(steps: list[tuple[str, str]], content: Any) -> Any:
    for kind, path in steps:
        if kind == _MULTIPLIER:
            content = None if content is None else content * float(path)
        if kind != _JSONPATH:
            continue
        if found := _ROW.fullmatch(path):
            rows = [row for row in content[found[1]] if row["id"] in (found[2], "(absent)")]
            content = rows[0] if rows else None
        else:
            fields = _FIELDS.fullmatch(path)
            assert fields, path
            for field in fields[1].split(".")[1:]:
                content = None if content is None else content.get(field)
    return content


def _is_near(value: object, expected: object) -> bool:
    """Tell whether they are the same, or as near as floating point takes them."""
    if isinstance(value, float) and isinstance(expected, (int, float)):
        return math.isclose(value, expected, rel_tol=1e-6)
    return value == expected
