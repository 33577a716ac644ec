"""The document as single values: which keys, which texts, and what is not known is not sent."""

import json

import pytest
from json_documents import JsonDocument

from zabbix_sockets.document.document import read_document
from zabbix_sockets.sending.figures import HOST, Figures, Group

PROCESS: JsonDocument = {
    "id": 'a "b",c',
    "name": 'a "b",c',
    "settled": 1,
    "sockets": 3,
    "tcp": {"established": 2, "close_wait": 0},
    "fds_max_pct": 1.5,
}
ABSENT: JsonDocument = {"id": "(absent)", "sockets": 0, "tcp": {"established": 0}, "fds_max_pct": 0}
CONTENT: JsonDocument = {
    "version": "1",
    "complete": 1,
    "lists": {"processes": 1, "listeners": 0, "upstreams": 1},
    "other": {},
    "collector": {"source": "bpf", "reason": "", "warnings": ["one", "two"]},
    "host": {"tcp": {"established": 2}},
    "processes": [PROCESS, PROCESS | {"id": "new", "name": "new", "settled": 0}, ABSENT],
    "listeners": [{"id": "tcp/0.0.0.0:80", "process": "x", "protocol": "tcp", "port": 80}
                  | dict.fromkeys(("address", "netns"), "") | {"ephemeral": 0, "backlog": 7}],
    "upstreams": [{"id": "(absent)", "established": 0}],
}  # fmt: skip
DOCUMENT = read_document(json.dumps(CONTENT))


@pytest.fixture(scope="module")
def groups() -> dict[str, Group]:
    """All groups of the document."""
    return {each.name: each for each in Figures().groups(DOCUMENT)}


def test_groups(groups: dict[str, Group]) -> None:
    """One of the host, and one for each row that discovery offers."""
    assert list(groups) == [HOST, 'processes a "b",c', "listeners tcp/0.0.0.0:80"]


def test_host(groups: dict[str, Group]) -> None:
    """Discovery goes first; what the document lacks is not sent; warnings are lines."""
    keys = [key for key, _ in groups[HOST].values]
    assert keys[:3] == [f"sockets.{x}.discovery" for x in ("processes", "listeners", "upstreams")]
    values = dict(groups[HOST].values)
    (row,) = json.loads(values["sockets.processes.discovery"])
    assert row == {"{#ID}": 'a "b",c', "{#PROCESS}": 'a "b",c', "{#SETTLED}": 1}
    assert values["sockets.tcp.established"] == "2"
    assert values["sockets.collector.warnings"] == "one\ntwo"
    assert values["sockets.collector.reason"] == ""
    assert "sockets.tcp.listen" not in values
    assert "sockets.processes.top" not in values


def test_row(groups: dict[str, Group]) -> None:
    """The id is the key's parameter, quoted as Zabbix quotes it."""
    assert groups['processes a "b",c'].values == (
        (r'sockets.process.sockets["a \"b\",c"]', "3"),
        (r'sockets.process.tcp.established["a \"b\",c"]', "2"),
        (r'sockets.process.tcp.close_wait["a \"b\",c"]', "0"),
        (r'sockets.process.fds_max_pct["a \"b\",c"]', "1.5"),
    )


def test_zeros() -> None:
    """A row that has gone has the zeros of a complete list, and nothing without one."""
    gone = Figures().zeros(DOCUMENT, "processes gone")
    assert gone
    assert dict(gone.values)['sockets.process.tcp.established["gone"]'] == "0"
    assert Figures().zeros(DOCUMENT, "listeners tcp/0.0.0.0:81") is None


def test_wanted() -> None:
    """Only what fits the patterns is sent, and no groups without any value."""
    figures = Figures(["sockets.process.tcp.*"])
    assert set(figures.keys()) >= {"sockets.process.tcp.established"}
    names = {each.name: dict(each.values) for each in figures.groups(DOCUMENT)}
    assert list(names[HOST]) == ["sockets.processes.discovery"]
    assert [key.partition("[")[0] for key in names['processes a "b",c']] == [
        "sockets.process.tcp.established",
        "sockets.process.tcp.close_wait",
    ]
    assert len(names) == 2
    assert not Figures(["nothing"]).keys()
