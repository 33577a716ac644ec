"""The document: the one place that knows its shape. See docs/document.md for its fields."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import orjson

from zabbix_sockets.document.completeness import complete_lists
from zabbix_sockets.document.head import collector_of, host_of
from zabbix_sockets.document.listeners import absent_listener, listener_rows
from zabbix_sockets.document.processes import absent_process, process_rows
from zabbix_sockets.document.row import JsonRow, RankedRow, netns_labels
from zabbix_sockets.document.upstreams import (
    absent_upstream,
    ephemeral_usage,
    upstream_rows,
)
from zabbix_sockets.grouping.grouping import (
    DEFAULT_GROUPING,
    GROUPINGS,
    Grouping,
    Groups,
)
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.gaps import ROWS, Gap
from zabbix_sockets.model.quality import LIMITED_TIMES, Quality, figures_of
from zabbix_sockets.model.snapshot import BY_CGROUPS, LISTS, Snapshot
from zabbix_sockets.version import __version__

_ABSENT: dict[str, Callable[[], JsonRow]] = {
    "processes": absent_process,
    "listeners": absent_listener,
    "upstreams": absent_upstream,
}


class Limits(NamedTuple):
    """How many rows each list may have, and how many bytes the document."""

    processes: int = 200
    listeners: int = 300
    upstreams: int = 100
    max_bytes: int = 500_000


NO_LIMITS = Limits(*(1 << 62,) * 4)


def build_document(
    snapshot: Snapshot,
    limits: Limits | None = None,
    grouping: Grouping | None = None,
    *,
    for_people: bool = False,
) -> JsonRow:
    """Return the document of a Snapshot: objects, lists, strings and numbers only.

    *for_people* names network namespaces by all that is known of them, not for ids that last.

    Raises:
        SocketsError: not even a document without rows fits into *limits*.
    """
    grouping = grouping or GROUPINGS[DEFAULT_GROUPING]
    usage = {} if snapshot.filter else ephemeral_usage(snapshot)
    listed = snapshot.listed()
    groups = Groups(listed, grouping)
    label = netns_labels(snapshot, for_people=for_people)
    upstreams, uncounted = upstream_rows(listed, groups, usage, label)
    lists = {
        "processes": sorted(process_rows(listed, groups)),
        "listeners": sorted(listener_rows(listed, groups, label)),
        "upstreams": sorted(upstreams),
    }
    head: JsonRow = {
        "version": __version__,
        "time": snapshot.time,
        "complete": 0,
        "lists": {},
        "collector": collector_of(snapshot, grouping),
        "host": host_of(snapshot, usage),
    }
    limits = limits or Limits()
    while True:
        document = _assemble(head, snapshot, grouping, lists, uncounted, limits)
        size = len(orjson.dumps(document))
        if size <= limits.max_bytes:
            return document
        limits = _tightened(limits, lists, limits.max_bytes / size)


def _tightened(limits: Limits, lists: dict[str, list[RankedRow]], share: float) -> Limits:
    """Return limits under which about *share* of the rows stay, and always fewer."""
    kept = {name: min(getattr(limits, name), len(lists[name])) for name in LISTS}
    if not any(kept.values()):
        raise SocketsError(f"no document fits into {limits.max_bytes} bytes")
    return limits._replace(**{name: int(rows * share * 0.95) for name, rows in kept.items()})


def _assemble(
    head: JsonRow,
    snapshot: Snapshot,
    grouping: Grouping,
    lists: dict[str, list[RankedRow]],
    uncounted: RankedRow,
    limits: Limits,
) -> JsonRow:
    truncated = {
        name: max(0, len(ranked) - getattr(limits, name)) for name, ranked in lists.items()
    }
    left_out = [Gap(ROWS, name, count) for name, count in truncated.items() if count]
    complete = complete_lists([*snapshot.visibility.gaps, *left_out], grouping)
    other: dict[str, JsonRow] = {}
    document: JsonRow = dict(head)
    for name, ranked in lists.items():
        limit: int = getattr(limits, name)
        rows = sorted(
            (each.row | _quality(each.quality, snapshot) for each in ranked[:limit]),
            key=lambda row: str(row["id"]),
        )
        document[name] = [*rows, _absent(name, snapshot, grouping)] if complete[name] else rows
        rest = [*ranked[limit:], *([uncounted] if name == "upstreams" else ())]
        other[name] = _summed(_zero(name, snapshot, grouping), rest, snapshot)
    other["upstreams"]["rows"] = truncated["upstreams"]
    document["other"] = other
    document["lists"] = {name: int(whole) for name, whole in complete.items()}
    document["complete"] = int(all(complete.values()))
    document["collector"] = {**_object(head["collector"]), "truncated": truncated}
    return document


def _absent(name: str, snapshot: Snapshot, grouping: Grouping) -> JsonRow:
    """Return the row for all that is not in a list, without what no row of it has."""
    row = _ABSENT[name]() | _quality(None if snapshot.unmeasured else 0, snapshot)
    if grouping is not GROUPINGS[DEFAULT_GROUPING]:
        row.pop("denied_instances", None)
    if snapshot.visibility.ownership == BY_CGROUPS:
        for field in ("instances", "processes", "fds_max_pct"):
            row.pop(field, None)
    if snapshot.filter:
        row.pop("ephemeral_pct", None)
    return row


def _zero(name: str, snapshot: Snapshot, grouping: Grouping) -> JsonRow:
    """Return zeros for all fields of a list that can be added: percentages can't."""
    row = _absent(name, snapshot, grouping)
    return {
        field: value
        for field, value in row.items()
        if not isinstance(value, str) and not field.endswith("_pct")
    }


def _quality(quality: Quality | None, snapshot: Snapshot) -> JsonRow:
    """Return the fields that say how good a row's connections are, where that is known."""
    if quality is None or snapshot.unmeasured is None:
        return {}
    lacking = LIMITED_TIMES if snapshot.lacks_limited_times else ()
    return {name: each for name, each in figures_of(quality).items() if name not in lacking}


def _summed(zero: JsonRow, ranked: Iterable[RankedRow], snapshot: Snapshot) -> JsonRow:
    """Add the fields of rows that *zero* has."""
    total = {"rows": 0, **zero}
    quality = 0
    for _, row, of_row in ranked:
        quality += of_row or 0
        for name, value in total.items():
            if isinstance(value, dict):
                for key, count in _object(row[name]).items():
                    value[key] = _number(value.get(key, 0)) + _number(count)
            elif name == "rows":
                total[name] = _number(value) + 1
            else:
                total[name] = _number(value) + _number(row.get(name, 0))
    sums = _quality(quality, snapshot)
    return total | {name: value for name, value in sums.items() if name in zero}


def _object(value: object) -> JsonRow:
    assert isinstance(value, dict)
    return value


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value
