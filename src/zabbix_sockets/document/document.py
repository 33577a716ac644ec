"""The document: made of a Snapshot, within bounds of rows and bytes.

docs/document.md explains its fields; each is described in code once, in its Record's class.
"""

from _collections_abc import Iterable, Sequence

from zabbix_sockets.document.admission import NOTHING_NEW, Admission, count_left_out
from zabbix_sockets.document.completeness import complete_lists
from zabbix_sockets.document.head import Collector, HostFigures, collector_of, host_of, unseen_of
from zabbix_sockets.document.json_text import to_json
from zabbix_sockets.document.listener_row import ListenerRow
from zabbix_sockets.document.listeners import listener_rows
from zabbix_sockets.document.map_texts import MapTexts, map_texts
from zabbix_sockets.document.processes import ProcessRow, process_rows
from zabbix_sockets.document.record import (
    MOMENT,
    YES_NO,
    JsonObject,
    Record,
    absent_row,
    number,
    numbers,
    part,
    records_of,
    rows,
    sum_of,
    text,
    yes_no,
)
from zabbix_sockets.document.row import (
    ALL_ROWS,
    MOST_MADE,
    Choice,
    NetnsLabel,
    R,
    RankedRow,
    Row,
    facts_of,
    is_offered,
    netns_labels,
    set_measured_fields,
)
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
from zabbix_sockets.model.light_typing import Any, NamedTuple, Optional
from zabbix_sockets.model.snapshot import LISTS, Snapshot
from zabbix_sockets.version import __version__

ROWS: dict[str, type[Row]] = dict(
    zip(LISTS, (ProcessRow, ListenerRow, UpstreamRow)),
)
"""The classes of the lists' rows."""


class Document(Record):
    """All that one call answers.

    Attributes:
        time: Unix seconds.
        lists: for each list whether it is complete.
        absent: for each complete list the fields of its row `(absent)`.
        other: for each list the number of rows that the bounds left out (`rows`), and the sums of
            their additive fields.
        map: what the map of the service tells of this host; absent with a filter, and where the
            host's own addresses are not known.
    """

    version: str = text()
    time: int = number("", MOMENT)
    complete: int = yes_no()
    lists: dict[str, int] = numbers("", LISTS, YES_NO)
    collector: Collector = part(Collector)
    host: HostFigures = part(HostFigures)
    processes: list[ProcessRow] = rows(ProcessRow)
    listeners: list[ListenerRow] = rows(ListenerRow)
    upstreams: list[UpstreamRow] = rows(UpstreamRow)
    other: dict[str, JsonObject] = numbers("", LISTS)
    map: Optional[MapTexts] = part(MapTexts, default=None)
    absent: dict[str, JsonObject]

    def content(self) -> dict[str, Any]:
        """Return the fields of its JSON object, where `(absent)` is the last row of a list."""
        content = dict(super().content())
        for name, row in content.pop("absent").items():
            content[name] = [*content[name], row]
        return content

    def rows_of(self, kind: str) -> Sequence[Row]:
        """Return the rows of one of LISTS, sorted by id, without `(absent)`."""
        found: Sequence[Row] = getattr(self, kind)
        return found


class Limits(NamedTuple):
    """The bounds of a document: the number of rows of each list, and of bytes of all."""

    processes: int = 200
    listeners: int = 300
    upstreams: int = 100
    max_bytes: int = 500_000


NO_LIMITS = Limits(*(1 << 62,) * 4)


def read_document(text: str) -> Document:
    """Return the Document of a JSON text which a process of the same version has written."""
    from zabbix_sockets.model.json_reading import read_json  # noqa: PLC0415  # imports orjson, and no call of an agent reads a document

    content = read_json(text)
    absent = {}
    for name in LISTS:
        if content["lists"][name]:
            *content[name], absent[name] = content[name]
    (document,) = records_of(Document, [content | {"absent": absent}])
    return document


def build_document(
    snapshot: Snapshot,
    limits: Optional[Limits] = None,
    grouping: Optional[Grouping] = None,
    *,
    for_people: bool = False,
    admission: Optional[Admission] = None,
) -> Document:
    """Return the document of a Snapshot.

    *limits* None: those of Limits(); *grouping* None: by process. With *for_people* the labels of
    network namespaces have numbers and ids in them, else only names that survive recreation.
    *admission* admits rows to discovery; None: that is not asked for.

    Raises:
        SocketsError: not even a document without rows fits into *limits*.
    """
    return _bounded(snapshot, limits, grouping, admission, for_people=for_people)[0]


def document_json(
    snapshot: Snapshot, limits: Limits, grouping: Grouping, admission: Admission
) -> bytes:
    """Return the JSON of a Snapshot's document, in one line without a line feed.

    Raises:
        SocketsError: not even a document without rows fits into *limits*.
    """
    return _bounded(snapshot, limits, grouping, admission, for_people=False)[1]


def _bounded(
    snapshot: Snapshot,
    limits: Optional[Limits],
    grouping: Optional[Grouping],
    admission: Optional[Admission],
    *,
    for_people: bool,
) -> tuple[Document, bytes]:
    """Return the document within *limits* and its JSON, which tells its length."""
    grouping = grouping or GROUPINGS[DEFAULT_GROUPING]
    limits = limits or Limits()
    usage = {} if snapshot.filter else ephemeral_usage(snapshot)
    listed = snapshot.listed()
    groups = Groups(listed, grouping)
    label = netns_labels(snapshot, for_people=for_people)
    upstreams, without_endpoint = upstream_rows(listed, groups, usage, label)
    choices = {name: _choice(name, limits, admission) for name in LISTS}
    ranked: dict[str, list[RankedRow[Any]]] = {
        "processes": sorted(process_rows(listed, groups, label, choices["processes"])),
        "listeners": sorted(listener_rows(listed, groups, label, choices["listeners"])),
        "upstreams": sorted(upstreams),
    }
    if listed.totals:
        from zabbix_sockets.document.row_totals import add_totals  # noqa: PLC0415  # takes 1 ms

        add_totals(ranked, listed, groups, label, choices)
        ranked = {name: sorted(each, key=_open_first) for name, each in ranked.items()}
    head = collector_of(snapshot, grouping), host_of(snapshot, usage)
    if admission:
        limits = _admit(ranked, admission, head[0], limits)
    while True:
        document = _assemble(snapshot, grouping, head, ranked, without_endpoint, limits)
        if not snapshot.filter:
            _add_map_texts(document, snapshot, label)
        text = to_json(document)
        if len(text) <= limits.max_bytes:
            return document, text
        limits = _tightened(limits, document, limits.max_bytes / len(text))


def _choice(name: str, limits: Limits, admission: Optional[Admission]) -> Choice:
    """Return the choice of the rows of a list that are made: all without bounds.

    Those that were admitted are among them, whatever their rank is.
    """
    limit: int = getattr(limits, name)
    if limit >= MOST_MADE:
        return ALL_ROWS
    if admission is None:
        return Choice(MOST_MADE, limit)
    return Choice(MOST_MADE, limit, admission.was_admitted(name))


def _add_map_texts(document: Document, snapshot: Snapshot, label: NetnsLabel) -> None:
    left_out = document.collector.truncated["listeners"], document.collector.truncated["upstreams"]
    texts = map_texts(snapshot, document.listeners, document.upstreams, label, left_out)
    if texts:
        document.map = texts


def _admit(
    ranked: dict[str, list[RankedRow[Any]]],
    admission: Admission,
    collector: Collector,
    limits: Limits,
) -> Limits:
    """Admit rows to discovery, sort those first that are, and return limits within which all stay.

    So no other row ever takes the place of an admitted one, unless not even all of these fit into
    the bytes: then those stay that were admitted first.
    """
    reason = admission.apply(ranked)
    if reason:
        collector.warnings.append(NOTHING_NEW + reason)
    collector.not_admitted = count_left_out([*ranked["processes"], *ranked["listeners"]])
    kept = {}
    for name, rows_of_list in ranked.items():
        rows_of_list.sort(key=_admitted_first)
        admitted = sum(bool(each.row.admitted) for each in rows_of_list)
        kept[name] = max(getattr(limits, name), admitted)
    return limits._replace(**kept)


def _admitted_first(ranked: RankedRow[Any]) -> tuple[bool, int]:
    return not ranked.row.admitted, ranked.row.admitted


def _tightened(limits: Limits, document: Document, share: float) -> Limits:
    """Return limits under which about *share* of a document's rows stay, and always fewer than now.

    Raises:
        SocketsError: it has no rows.
    """
    kept = {name: len(document.rows_of(name)) for name in LISTS}
    if not any(kept.values()):
        raise SocketsError(f"no document fits into {limits.max_bytes} bytes")
    return limits._replace(**{name: int(rows * share * 0.95) for name, rows in kept.items()})


def _assemble(
    snapshot: Snapshot,
    grouping: Grouping,
    head: tuple[Collector, HostFigures],
    ranked: dict[str, list[RankedRow[Any]]],
    without_endpoint: RankedRow[UpstreamRow],
    limits: Limits,
) -> Document:
    """Return the document with the rows of lowest rank within the limits of rows.

    *ranked* has the rows of each list by rising rank, the last of which may stand for many.
    *without_endpoint* is the row of outbound connections whose endpoints were not kept, which is
    added to `other`. A list is complete without the rows of what has no socket, which are there for
    their totals.
    """
    truncated = {
        name: sum(each.stands_for for each in rows_of_list[getattr(limits, name) :] if each.is_open)
        for name, rows_of_list in ranked.items()
    }
    cut = [Gap(gaps.ROWS, name, count) for name, count in truncated.items() if count]
    complete = complete_lists([*snapshot.visibility.gaps, *cut], grouping)
    facts = facts_of(snapshot, grouping)
    other: dict[str, JsonObject] = {}
    kept: dict[str, list[Any]] = {}
    for name, rows_of_list in ranked.items():
        limit: int = getattr(limits, name)
        kept[name] = _kept(rows_of_list[:limit], snapshot)
        left_out = [each for each in rows_of_list[limit:] if each.is_open]
        if name == "upstreams":
            left_out.append(without_endpoint)
        sums = _sums_of(ROWS[name], left_out, snapshot, facts)
        other[name] = {"rows": truncated[name]} | sums
    collector, host = head
    collector.truncated = truncated
    if not snapshot.filter:
        _set_unseen(host, ranked["processes"], limits, snapshot, grouping)
    return Document(
        version=__version__,
        time=snapshot.time,
        complete=int(all(complete.values())),
        lists={name: int(is_complete) for name, is_complete in complete.items()},
        collector=collector,
        host=host,
        processes=kept["processes"],
        listeners=kept["listeners"],
        upstreams=kept["upstreams"],
        other=other,
        absent={name: absent_row(ROWS[name], facts) for name in LISTS if complete[name]},
    )


def _set_unseen(
    host: HostFigures,
    ranked: Sequence[RankedRow[ProcessRow]],
    limits: Limits,
    snapshot: Snapshot,
    grouping: Grouping,
) -> None:
    """Set the host's worst process of those not offered to discovery, if it is known.

    That the bounds leave rows out doesn't matter: *ranked* has the worst of all of them.
    """
    unseen = unseen_of(
        (
            each.row
            for at, each in enumerate(ranked)
            if each.is_open and (at >= limits.processes or not is_offered(each.row))
        ),
        is_complete=bool(complete_lists(snapshot.visibility.gaps, grouping)["processes"]),
    )
    if unseen is not None:
        host.unseen = unseen


def _kept(ranked: Iterable[RankedRow[R]], snapshot: Snapshot) -> list[R]:
    """Return rows sorted by id, with their totals, round-trip times and retransmissions set."""
    kept = []
    for each in ranked:
        if each.totals is not None:
            vars(each.row)["totals"] = each.totals()
        if each.quality is not None:
            set_measured_fields(
                each.row, each.quality, lacks_limited_times=snapshot.lacks_limited_times
            )
        kept.append(each.row)
    return sorted(kept, key=_id_of)


def _id_of(row: Row) -> str:
    return row.id


def _open_first(ranked: RankedRow[Any]) -> tuple[bool, tuple[bool, bool, int, str]]:
    """Return the key by which rows are sorted: idle ones behind those with open sockets."""
    return not ranked.is_open, ranked.rank


def _sums_of(
    record: type[Row], ranked: Sequence[RankedRow[R]], snapshot: Snapshot, facts: set[str]
) -> JsonObject:
    """Return the sums of the additive fields of rows of that class, which are in no list."""
    sums = sum_of(record, (each.row for each in ranked), facts)
    # Rows that are left out have no measured fields, but samples.
    totals = Row(id="", netns="", admitted=None)
    samples = sum(each.quality or 0 for each in ranked)
    set_measured_fields(totals, samples, lacks_limited_times=snapshot.lacks_limited_times)
    return sums | {name: value for name, value in vars(totals).items() if name in sums}
