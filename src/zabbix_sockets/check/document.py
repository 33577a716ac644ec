"""Parser of what an agent answers: the document, or in words why it is none."""

from __future__ import annotations

import json
from typing import Any

from zabbix_sockets.check.line import visible

_MAX_WARNING = 120


def parsed(text: str) -> dict[str, Any] | str:
    """Return the document that *text* is, or in words why it is none."""
    try:
        document = json.loads(text)
    except (RecursionError, ValueError):
        return f"no JSON: {visible(text, _MAX_WARNING) or 'nothing'}"
    if not isinstance(document, dict):
        return f"no document: {visible(text, _MAX_WARNING)}"
    if isinstance(document.get("error"), str):
        return str(document["error"])
    if not isinstance(document.get("collector"), dict):
        return f"no document: {visible(text, _MAX_WARNING)}"
    return document
