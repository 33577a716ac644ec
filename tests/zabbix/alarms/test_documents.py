"""Documents made by hand are like those that a real machine has sent, and those of now."""

import json
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from zabbix_sockets.model.snapshot import LISTS

from ..documents import Row, document, listener, process, quality, upstream  # noqa: TID252
from .test_healthy import RECORDED, recorded

pytestmark = pytest.mark.zabbix

QUALITY = quality(measured=1, rtt=0.01)

MADE = document(
    0,
    {
        "processes": [process("p", **QUALITY)],
        "listeners": [
            listener("tcp/0.0.0.0:80", **QUALITY, clients={"distinct": 1}),
            listener("udp/[::1%lo]:53"),
            listener("unix//run/x.sock"),
        ],
        "upstreams": [
            upstream("p", "tcp/192.0.2.1:80", **QUALITY),
            upstream("p", "udp/192.0.2.1:53"),
        ],
    },
)


def shape(value: Row) -> frozenset[tuple[str, object]]:
    """Return the fields of an object, and what kind of values they have."""
    return frozenset((key, kind(each)) for key, each in value.items())


def kind(value: object) -> object:
    """Return what kind of value it is; any number is as good as another."""
    if isinstance(value, dict):
        return shape(value)
    return float if isinstance(value, (int, float)) else type(value)


def fields(row: Row, above: str = "") -> set[tuple[str, object]]:
    """Return the fields of a row and of the objects in it, by their paths, and their kinds."""
    found: set[tuple[str, object]] = set()
    for key, value in row.items():
        inner = isinstance(value, dict)
        found |= fields(value, f"{above}{key}.") if inner else {(f"{above}{key}", kind(value))}
    return found


def rows_like(row: Row) -> str:
    """Return what rows with other fields are told from each other by."""
    return "(absent)" if row["id"] == "(absent)" else str(row.get("protocol"))


def made_shapes(part: str) -> dict[str, frozenset[tuple[str, object]]]:
    """Return the shapes of the rows of a list of MADE, by what they are told from each other by."""
    return {rows_like(row): shape(row) for row in MADE[part]}


@pytest.mark.parametrize("name", RECORDED)
def test_shape(name: str) -> None:
    """All fields are there, and of the same kind; a real row may lack what is not known of it."""
    for _, real in recorded(RECORDED[name]):
        assert set(real) == set(MADE)
        for part in set(real) - set(LISTS):
            assert kind(MADE[part]) == kind(real[part])
        for part in LISTS:
            made = made_shapes(part)
            assert not [row for row in real[part] if shape(row) - made[rows_like(row)]]


def test_shape_of_now(tmp_path: Path) -> None:
    """Of sockets of each kind the command tells the fields that are made, and no others.

    But for totals, which are there where the programs that count are loaded.
    """
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        client = stack.enter_context(socket.create_connection(server.getsockname()))
        accepted = stack.enter_context(server.accept()[0])
        client.sendall(b"x")
        accepted.recv(1)
        datagrams = [
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)
        ]
        datagrams[0].bind(("127.0.0.1", 0))
        datagrams[1].connect(datagrams[0].getsockname())
        local = stack.enter_context(socket.socket(socket.AF_UNIX))
        local.bind(str(tmp_path / "x"))
        local.listen()
        command = [str(Path(sys.executable).with_name("zabbix-sockets")), "get", "--clients"]
        real = json.loads(subprocess.check_output([*command, "--source", "sock_diag"], timeout=60))
    for part in LISTS:
        made = {rows_like(row): row for row in MADE[part]}
        assert {rows_like(row) for row in real[part]} == set(made)
        for like, row in made.items():
            found = [fields(each) for each in real[part] if rows_like(each) == like]
            wanted = {each for each in fields(row) if not each[0].startswith("totals.")}
            assert wanted == set().union(*found)
