"""The document as its readers get it: its JSON, read again."""

import json
from typing import Any

from zabbix_sockets.document.document import Limits, build_document
from zabbix_sockets.document.json_text import to_json
from zabbix_sockets.grouping.grouping import Grouping
from zabbix_sockets.model.snapshot import Snapshot

JsonDocument = dict[str, Any]


def json_document(
    snapshot: Snapshot,
    limits: Limits | None = None,
    grouping: Grouping | None = None,
    *,
    for_people: bool = False,
) -> JsonDocument:
    """Return the document of a Snapshot: the arguments are those of build_document()."""
    document = build_document(snapshot, limits, grouping, for_people=for_people)
    content: JsonDocument = json.loads(to_json(document))
    return content
