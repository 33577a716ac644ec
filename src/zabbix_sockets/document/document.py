"""The document: what it is made of, and what its bounds leave out.

docs/document.md has its fields; each is described once, where its Record's class is.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from zabbix_sockets.document.completeness import complete_lists
from zabbix_sockets.document.head import Collector, Host, collector_of, host_of
from zabbix_sockets.document.listeners import ListenerRow, listener_rows
from zabbix_sockets.document.processes import ProcessRow, process_rows
from zabbix_sockets.document.record import (
    MOMENT,
    YES_NO,
    Figures,
    Record,
    absent_row,
    number,
    numbers,
    part,
    records_of,
    rows,
    sum_of,
    text,
    to_json,
    yes_no,
)
from zabbix_sockets.document.row import R, RankedRow, Row, facts_of, measure, netns_labels
from zabbix_sockets.document.upstreams import UpstreamRow, ephemeral_usage, upstream_rows
from zabbix_sockets.grouping.grouping import (
    DEFAULT_GROUPING,
    GROUPINGS,
    Grouping,
    Groups,
)
from zabbix_sockets.model import gaps
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.gaps import Gap
from zabbix_sockets.model.snapshot import LISTS, Snapshot
from zabbix_sockets.version import __version__

ROWS: dict[str, type[Row]] = dict(
    zip(LISTS, (ProcessRow, ListenerRow, UpstreamRow), strict=True),
)
"""The classes of the lists' rows."""


class Document(Record):
    """All that one call answers.

    Attributes:
        time: Unix seconds.
        lists: for each list whether it is complete.
        absent: for each complete list the fields of its row `(absent)`, as Field.zero has them.
        other: for each list the sums of what is in none of its rows: `rows`, and the additive
            fields.
    """

    version: str = text()
    time: int = number("", MOMENT)
    complete: int = yes_no()
    lists: dict[str, int] = numbers("", LISTS, YES_NO)
    collector: Collector = part(Collector)
    host: Host = part(Host)
    processes: list[ProcessRow] = rows(ProcessRow)
    listeners: list[ListenerRow] = rows(ListenerRow)
    upstreams: list[UpstreamRow] = rows(UpstreamRow)
    other: dict[str, Figures] = numbers("", LISTS)
    absent: dict[str, Figures]

    def content(self) -> dict[str, Any]:
        """Give the fields of its JSON object: each row `(absent)` is the last of its list."""
        content = dict(super().content())
        for name, row in content.pop("absent").items():
            content[name] = [*content[name], row]
        return content

    def rows_of(self, kind: str) -> Sequence[Row]:
        """Return the rows of one of LISTS, sorted by id, without `(absent)`."""
        found: Sequence[Row] = getattr(self, kind)
        return found


class Limits(NamedTuple):
    """How many rows each list may have, and how many bytes the document."""

    processes: int = 200
    listeners: int = 300
    upstreams: int = 100
    max_bytes: int = 500_000


NO_LIMITS = Limits(*(1 << 62,) * 4)


def read_document(text: str) -> Document:
    """Make a Document of its JSON, as another process of the same version has written it."""
    import orjson  # noqa: PLC0415  # no agent reads one

    content = orjson.loads(text)
    absent = {}
    for name in LISTS:
        if content["lists"][name]:
            *content[name], absent[name] = content[name]
    (document,) = records_of(Document, [content | {"absent": absent}])
    return document


def build_document(
    snapshot: Snapshot,
    limits: Limits | None = None,
    grouping: Grouping | None = None,
    *,
    for_people: bool = False,
) -> Document:
    """Make the document of a Snapshot.

    *for_people* names network namespaces by all that is known of them, not for ids that last.

    Raises:
        SocketsError: not even a document without rows fits into *limits*.
    """
    return _bounded(snapshot, limits, grouping, for_people=for_people)[0]


def document_json(snapshot: Snapshot, limits: Limits, grouping: Grouping) -> bytes:
    """Make the JSON of the document of a Snapshot, in one line without its end.

    Raises:
        SocketsError: as build_document().
    """
    return _bounded(snapshot, limits, grouping, for_people=False)[1]


def _bounded(
    snapshot: Snapshot, limits: Limits | None, grouping: Grouping | None, *, for_people: bool
) -> tuple[Document, bytes]:
    """Make the document within *limits*, and its JSON, by which its length is known."""
    grouping = grouping or GROUPINGS[DEFAULT_GROUPING]
    usage = {} if snapshot.filter else ephemeral_usage(snapshot)
    listed = snapshot.listed()
    groups = Groups(listed, grouping)
    label = netns_labels(snapshot, for_people=for_people)
    upstreams, without_endpoint = upstream_rows(listed, groups, usage, label)
    ranked: dict[str, list[RankedRow[Any]]] = {
        "processes": sorted(process_rows(listed, groups)),
        "listeners": sorted(listener_rows(listed, groups, label)),
        "upstreams": sorted(upstreams),
    }
    head = collector_of(snapshot, grouping), host_of(snapshot, usage)
    limits = limits or Limits()
    while True:
        document = _assemble(snapshot, grouping, head, ranked, without_endpoint, limits)
        text = to_json(document)
        if len(text) <= limits.max_bytes:
            return document, text
        limits = _tightened(limits, document, limits.max_bytes / len(text))


def _tightened(limits: Limits, document: Document, share: float) -> Limits:
    """Make limits under which about *share* of a document's rows stay, and always fewer.

    Raises:
        SocketsError: it has none.
    """
    kept = {name: len(document.rows_of(name)) for name in LISTS}
    if not any(kept.values()):
        raise SocketsError(f"no document fits into {limits.max_bytes} bytes")
    return limits._replace(**{name: int(rows * share * 0.95) for name, rows in kept.items()})


def _assemble(
    snapshot: Snapshot,
    grouping: Grouping,
    head: tuple[Collector, Host],
    ranked: dict[str, list[RankedRow[Any]]],
    without_endpoint: RankedRow[UpstreamRow],
    limits: Limits,
) -> Document:
    """Make the document of the rows that stay by their ranks, whatever its length.

    *ranked*: the rows of each list before any bound, those that stay first. *without_endpoint*: see
    upstream_rows().
    """
    truncated = {name: max(0, len(each) - getattr(limits, name)) for name, each in ranked.items()}
    cut = [Gap(gaps.ROWS, name, count) for name, count in truncated.items() if count]
    complete = complete_lists([*snapshot.visibility.gaps, *cut], grouping)
    facts = facts_of(snapshot, grouping)
    other: dict[str, Figures] = {}
    kept: dict[str, list[Any]] = {}
    for name, rows_of_list in ranked.items():
        limit: int = getattr(limits, name)
        kept[name] = _kept(rows_of_list[:limit], snapshot)
        left_out = [*rows_of_list[limit:], *([without_endpoint] if name == "upstreams" else ())]
        sums = _sums_of(ROWS[name], left_out, snapshot, facts)
        other[name] = {"rows": truncated[name]} | sums
    collector, host = head
    collector.truncated = truncated
    return Document(
        version=__version__,
        time=snapshot.time,
        complete=int(all(complete.values())),
        lists={name: int(whole) for name, whole in complete.items()},
        collector=collector,
        host=host,
        **kept,
        other=other,
        absent={name: absent_row(ROWS[name], facts) for name in LISTS if complete[name]},
    )


def _kept(ranked: Iterable[RankedRow[R]], snapshot: Snapshot) -> list[R]:
    """Return the rows sorted by id, with what is known of round-trip times in them."""
    kept = []
    for each in ranked:
        if each.quality is not None:
            measure(each.row, each.quality, lacks_limited_times=snapshot.lacks_limited_times)
        kept.append(each.row)
    return sorted(kept, key=_id_of)


def _id_of(row: Row) -> str:
    return row.id


def _sums_of(
    record: type[Row], ranked: Sequence[RankedRow[R]], snapshot: Snapshot, facts: set[str]
) -> Figures:
    """Add up the additive fields of rows of that class which are in no list."""
    sums = sum_of(record, (each.row for each in ranked), facts)
    together = Row(id="")  # only to turn the sum of their samples into fields
    samples = sum(each.quality or 0 for each in ranked)
    measure(together, samples, lacks_limited_times=snapshot.lacks_limited_times)
    return sums | {name: value for name, value in vars(together).items() if name in sums}
