"""The drawing as DOT and as JSON, whatever names there are."""

from __future__ import annotations

import json
import re

from hypothesis import given

from zabbix_sockets.service_map.drawing import Aliases, draw
from zabbix_sockets.service_map.matching import MapHost, flows
from zabbix_sockets.service_map.printed import to_dot, to_json

from .worlds import shop, worlds


def test_json() -> None:
    """It has elements, and lines with the ids of upstreams by technical names of hosts."""
    hosts = shop()
    names = {each.hostid: each.name for each in hosts}
    found = json.loads(to_json(draw(hosts, flows(hosts), Aliases()), names))
    assert found["elements"][0] == {
        "key": "end/198.51.100.7",
        "kind": "end",
        "name": "198.51.100.7",
        "hosts": [],
        "inside": [],
    }
    first = found["lines"][1]
    assert (first["client"], first["server"]) == ("host/1001", "host/1002")
    assert first["parts"] == [
        {
            "client": "nginx",
            "server": "php-fpm",
            "upstreams": [{"host": "host1", "id": "nginx>tcp/10.0.0.2:9000"}],
        }
    ]


@given(worlds(5))
def test_dot(hosts: list[MapHost]) -> None:
    """Each line is one statement, and no name ends a string before its end."""
    drawing = draw(hosts, flows(hosts), Aliases())
    lines = to_dot(drawing).split("\n")
    string = r'"(?:[^"\\]|\\.)*"'
    statement = rf"    {string}(?: -> {string})? \[label={string}(?:, style=dashed)?\];"
    statements = lines[2:-1]
    assert len(statements) == len(drawing.elements) + len(drawing.lines)
    assert all(re.fullmatch(statement, line, re.DOTALL) for line in statements)
