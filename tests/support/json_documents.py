"""The document as its readers get it: its JSON, read again."""

from __future__ import annotations

import json
from typing import Any

from zabbix_sockets.document.admission import Admission, AdmissionTable, CallMoment
from zabbix_sockets.document.document import Limits, build_document
from zabbix_sockets.document.json_text import to_json
from zabbix_sockets.grouping.grouping import Grouping
from zabbix_sockets.model.snapshot import SYSTEM_UNIT, Snapshot, Standing

JsonDocument = dict[str, Any]

_NOW = CallMoment(1_700_000_000, 0, bytes(16))


def _roots(_members: object) -> Standing:
    return Standing(SYSTEM_UNIT, "")


def json_document(
    snapshot: Snapshot,
    limits: Limits | None = None,
    grouping: Grouping | None = None,
    *,
    for_people: bool = False,
    admits: bool = False,
) -> JsonDocument:
    """Return the document of a Snapshot: the arguments are those of build_document().

    *admits*: rows are admitted to discovery, all as root's and of one unit, by a host that has a
    table without any.
    """
    admission = None
    if admits:
        table = AdmissionTable(bytes(AdmissionTable(None, _NOW).data), _NOW)
        admission = Admission(table, _roots, lambda _data: "", lambda _members: "app.service")
    document = build_document(
        snapshot, limits, grouping, for_people=for_people, admission=admission
    )
    content: JsonDocument = json.loads(to_json(document))
    return content
