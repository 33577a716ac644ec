"""Whether a document's figures are right, beside those of the same call without a fault.

A complete list has the rows of the faultless one and the row `(absent)`, and each figure that
stands in it is the faultless one: a figure may only be left out, which says that it is not known.
A list that is not complete has no `(absent)`; its rows are some of the faultless ones, and what
is counted in them is at most what there is. So nothing is counted twice, under another name or
as something else, and no 0 stands for what was not read.

Two things are no fault of the call: who ended meanwhile may be missing anywhere; and where the
kernel says that a name may not be read, or is not there, a row has the name that it has on such
a host.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from json_documents import JsonDocument

from zabbix_sockets.document.record import ABSENT_ID
from zabbix_sockets.model.names import UNKNOWN_NAME

from .scene import USERS

_OF_GROUPS = ("processes", "upstreams")
LISTS = ("processes", "listeners", "upstreams")
_OF_OWNERS = ("process", "processes")
"""What a listener's row says of who holds it: less where not every owner is known."""
_SHARES = ("rtt_us", "p50", "p95", "max", "settled")
"""What is no sum: of fewer sockets it may be anything."""
_ADMITTED = "admitted"
"""What a fault of the file that remembers it makes another number, or 0."""
_DENIED = "denied_instances"
_UNEQUAL = ("worst_endpoint", "size", "uptime")
"""What of the host isn't the same in each call: which of equals is named, and the time."""
_WORST = "fds_max_pct"
"""The worst of the processes that can be looked at, in a complete list too."""
_ENDS = ("protocol", "local_address", "local_port", "remote_address", "remote_port")
_NAMES = (
    (r"prometheus-node-exporter", "prometheus-node"),
    (r"^node\b(?!-)", "node-MainThread"),
    (r"@(cart|lab)\b", "@(unnamed)"),
    (r"^cart\b", "(unnamed)"),
    *((rf"^{name}\b", f"uid {uid}") for name, uid in USERS.items()),
)
"""Names, and what stands for them on a host where they may not be read."""


_DEVICES = r"%(eth0|veth133|if\d+)\b"


class Excuse(NamedTuple):
    """What is no fault of the call.

    Somebody *ended*; names may be *hidden*; a table is procfs's, which tells no devices; or
    groups are *by_rules*: who can't be looked at has a name of its own then.
    """

    ended: bool = False
    hidden: bool = False
    without_devices: bool = False
    by_rules: bool = False


NONE = Excuse()


def of_document(
    document: JsonDocument, expected: JsonDocument, excuse: Excuse = NONE
) -> Iterator[str]:
    """Yield what is wrong with *document*; *expected* is the faultless one."""
    complete = document["lists"]
    assert isinstance(complete, dict)
    if document["complete"] != int(all(complete.values())):
        yield f"complete is {document['complete']}, lists are {complete}"
    if _is_from_procfs(document) or _is_from_procfs(expected):
        excuse = excuse._replace(without_devices=True)
    owners_known = bool(complete["processes"]) and not excuse.ended
    for name in LISTS:
        is_complete = bool(complete[name])
        lacking = excuse._replace(hidden=excuse.hidden or not is_complete)
        if not (excuse.by_rules and lacking.hidden and name in _OF_GROUPS):
            lists = document[name], expected[name]
            for fault in _of_list(*lists, lacking, is_complete, owners_known):
                yield f"{name}: {fault}"
    yield from _of_host(document, expected, exact=not excuse.ended)
    if not document["complete"] and not _says_why(document):
        yield "it is not complete, and doesn't say why"


def _of_list(
    found: object, expected: object, excuse: Excuse, is_complete: bool, owners_known: bool
) -> Iterator[str]:
    rows, wanted = _by_id(found, excuse), _by_id(expected, excuse)
    assert isinstance(found, list)
    if len(rows) != len(found):
        yield "an id comes twice"
    yield from _of_ids(rows, wanted, excuse, is_complete=is_complete)
    exact = is_complete and not excuse.ended
    for row_id in sorted(rows.keys() & wanted.keys()):
        if excuse.hidden and row_id.startswith("("):
            continue  # of all whose group is not known
        for fault in _of_row(rows[row_id], wanted[row_id], excuse, exact, owners_known):
            yield f"{row_id}: {fault}"


def _of_ids(
    rows: Mapping[str, JsonDocument],
    wanted: Mapping[str, JsonDocument],
    excuse: Excuse,
    *,
    is_complete: bool,
) -> Iterator[str]:
    """Yield which rows of a list are missing or too many."""
    if is_complete != (ABSENT_ID in rows):
        yield f"complete is {is_complete}, but {ABSENT_ID} says otherwise"
    if is_complete and ABSENT_ID not in wanted:
        yield "complete, which not even the faultless one is"
    for row_id in sorted(rows.keys() - wanted.keys()):
        if not (excuse.hidden and row_id.startswith(UNKNOWN_NAME)):
            yield f"there is no {row_id}"
    if is_complete and not excuse.ended:
        for row_id in sorted(wanted.keys() - rows.keys()):
            yield f"complete without {row_id}"


def _of_row(
    row: JsonDocument, wanted: JsonDocument, excuse: Excuse, exact: bool, owners_known: bool
) -> Iterator[str]:
    for place, value, right in _leaves(row, wanted):
        is_label = isinstance(value, str) and (excuse.hidden or place in ("id", "device"))
        if is_label or (place in _OF_OWNERS and not owners_known) or place in (_DENIED, _ADMITTED):
            continue
        if not _is_right(place, value, right, exact=exact and place != _WORST):
            yield f"{place} is {value}, not {right}"


def _of_host(document: JsonDocument, expected: JsonDocument, *, exact: bool) -> Iterator[str]:
    host, wanted = document["host"], expected["host"]
    assert isinstance(host, dict)
    for place, value, right in _leaves(host, wanted):
        is_right = _is_right(place, value, right, exact=exact)
        if place not in _UNEQUAL and not is_right:
            yield f"host: {place} is {value}, not {right}"


def _is_right(place: str, value: object, right: object, *, exact: bool) -> bool:
    """Whether a figure is right; one that the faultless document has not is another source's."""
    if right is None or value == right:
        return True
    if exact:
        return False
    if place in _SHARES or not isinstance(value, (int, float)):
        return True
    return 0 <= value <= right  # type: ignore[operator]


def _leaves(row: Mapping[str, object], wanted: object) -> Iterator[tuple[str, object, object]]:
    """Yield the name of each figure of a row, what it is, and what it should be."""
    assert isinstance(wanted, dict)
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _leaves(value, wanted.get(name, {}))
        else:
            yield name, value, wanted.get(name)


def _by_id(rows: object, excuse: Excuse) -> dict[str, JsonDocument]:
    assert isinstance(rows, list)
    return {_name(str(row["id"]), excuse): row for row in rows}


def _name(row_id: str, excuse: Excuse) -> str:
    for name, instead in _NAMES if excuse.hidden else ():
        row_id = re.sub(name, instead, row_id)
    return re.sub(_DEVICES, "", row_id) if excuse.hidden or excuse.without_devices else row_id


def _is_from_procfs(document: JsonDocument) -> bool:
    """Whether a table was read from procfs, and the document says so: it tells no devices."""
    collector = document["collector"]
    assert isinstance(collector, dict)
    elsewhere = any("/proc/net is tried instead" in each for each in collector["warnings"])
    return bool(collector["source"] == "procfs" or elsewhere)


def _says_why(document: JsonDocument) -> bool:
    collector = document["collector"]
    assert isinstance(collector, dict)
    return bool(
        collector["warnings"]
        or collector["denied_processes"]
        or any(collector["truncated"].values())
    )


def of_sockets(
    rows: list[JsonDocument], expected: list[JsonDocument], excuse: Excuse
) -> Iterator[str]:
    """Yield what is wrong with the rows of `show sockets`.

    They are the faultless ones; a field may be left out, and so may an owner be.
    """
    found, wanted = (
        {(bool(row["netns"]), *(str(row[name]) for name in _ENDS)): row for row in each}
        for each in (rows, expected)
    )
    if len(found) != len(rows):
        yield "sockets: one comes twice"
    for key in sorted(found.keys() ^ wanted.keys()):
        if key in found or not excuse.ended:
            yield f"sockets: {'too many' if key in found else 'missing'}: {key}"
    for key in sorted(found.keys() & wanted.keys()):
        for name, value in found[key].items():
            right = wanted[key].get(name)
            if name in ("netns", "device") or (excuse.ended and name == "direction"):
                continue  # for people: by what is known of it
            if name == "owners" and isinstance(value, list) and isinstance(right, list):
                known = [owner["pid"] for owner in right]
                if not all(owner["pid"] in known for owner in value):
                    yield f"sockets: {key}: owners are {value}, not {right}"
            elif value is not None and value != right:
                yield f"sockets: {key}: {name} is {value}, not {right}"
