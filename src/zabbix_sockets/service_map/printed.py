"""The drawing as text, for programs other than Zabbix: DOT of Graphviz, or JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from zabbix_sockets.service_map.drawing import HOST, Drawing
from zabbix_sockets.service_map.labels import ARROW


def to_json(drawing: Drawing, names: Mapping[str, str]) -> str:
    """Return the drawing's elements and lines as one JSON object.

    *names* are the technical names of hosts by their ids.
    """
    elements = [
        {
            "key": each.key,
            "kind": each.kind,
            "name": each.name,
            "hosts": [names.get(hostid, hostid) for hostid in each.hostids],
            "inside": list(each.inside),
        }
        for each in drawing.elements.values()
    ]
    lines = [
        {
            "client": line.client,
            "server": line.server,
            "parts": [
                {
                    "client": part.client,
                    "server": part.server,
                    "upstreams": [
                        {"host": names.get(hostid, hostid), "id": row}
                        for hostid, row in part.upstreams
                    ],
                }
                for part in line.parts
            ],
        }
        for line in drawing.lines.values()
    ]
    return json.dumps({"elements": elements, "lines": lines}, ensure_ascii=False, indent=1)


def to_dot(drawing: Drawing) -> str:
    """Return the drawing in the language of Graphviz, from clients on the left to servers."""
    return "\n".join(_dot_lines(drawing))


def _dot_lines(drawing: Drawing) -> Iterator[str]:
    yield "digraph {"
    yield "    rankdir=LR; node [shape=box];"
    for each in drawing.elements.values():
        style = "" if each.kind == HOST else ", style=dashed"
        yield f"    {_quoted(each.key)} [label={_quoted(each.name)}{style}];"
    for line in drawing.lines.values():
        label = "\n".join(f"{part.client} {ARROW} {part.server}" for part in line.parts)
        ends = f"{_quoted(line.client)} -> {_quoted(line.server)}"
        yield f"    {ends} [label={_quoted(label)}];"
    yield "}"


def _quoted(text: str) -> str:
    """Return a text as a quoted string of DOT, which knows of no other escape than for quotes.

    A backslash is doubled: labels have escapes of their own.
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
