"""What one process has that can't be read, or is very long, is no other process's misfortune."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import netns
import pytest
import zoo
from children import Child, drop_to
from json_documents import JsonDocument, json_document

from zabbix_sockets import Query, collect
from zabbix_sockets.document.document import NO_LIMITS
from zabbix_sockets.model.snapshot import ALL_NETNS, OWN

SOURCES = ("bpf", "sock_diag", "procfs")
UID = 1234
PORT = 7600
FOLDERS, LENGTH = 30, 200
DEVICES = 120


def document_of(source: str, pins: str, wanted: str = OWN) -> JsonDocument:
    """Return the document of a source."""
    return json_document(collect(Query(source, 30, pins=pins, netns=wanted)), NO_LIMITS)


def rows(document: JsonDocument, name: str) -> dict[str, JsonDocument]:
    """Return the rows of a list by their ids."""
    found = document[name]
    assert isinstance(found, list)
    return {row["id"]: row for row in found}


def denied(document: JsonDocument) -> object:
    """Return how many processes may not be inspected, even by root."""
    collector = document["collector"]
    assert isinstance(collector, dict)
    return collector["denied_processes"]


def hold_deep_file(folder: Path) -> object:
    """Become another user; hold a listener, and a file whose path is longer than a page."""
    drop_to(UID, UID)
    server = zoo.listener("127.0.0.1", PORT)
    os.chdir(folder)
    for _ in range(FOLDERS):
        os.mkdir("d" * LENGTH)
        os.chdir("d" * LENGTH)
    return server, open("x", "w")  # held until the process is ended


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of that user, deeper than most programs can remove."""
    path = Path(tempfile.mkdtemp(prefix="zabbix-sockets-"))
    os.chown(path, UID, UID)
    yield path
    here = os.getcwd()
    os.chdir(path)
    shutil.rmtree("d" * LENGTH)
    os.chdir(here)
    path.rmdir()


def refusals(pid: int) -> set[int | None]:
    """Return why links of a process's descriptors can't be read."""
    found: set[int | None] = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            link.readlink()
        except OSError as error:
            found.add(error.errno)
    return found


@pytest.mark.parametrize("source", SOURCES)
def test_path_longer_than_a_page(pins: str, folder: Path, source: str) -> None:
    """readlink(2) gives ENAMETOOLONG for the file; the process's sockets are seen nevertheless."""
    before = denied(document_of(source, pins))
    with Child(partial(hold_deep_file, folder), b"deep") as child:
        assert errno.ENAMETOOLONG in refusals(child.pid)
        document = document_of(source, pins)
    assert rows(document, "listeners")[f"tcp/127.0.0.1:{PORT}"]["process"] == "deep"
    assert denied(document) == before


def listen_on_each_device(name: str) -> object:
    """Enter a namespace, and hold a listener on each of many devices there."""
    netns.enter(netns.path_of(name))
    held = []
    for number in range(DEVICES):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"many%d" % number)
        sock.bind(("0.0.0.0", PORT))
        sock.listen()
        held.append(sock)
    return held


@pytest.mark.parametrize("source", ["bpf", "sock_diag"])
def test_more_devices_than_fit_into_a_page(pins: str, source: str) -> None:
    """Every listener's id has the name of its device, however many the namespace has."""
    name = f"zs{os.getpid()}-devices"
    with netns.named(name):
        with netns.inside(name):
            for number in range(0, DEVICES, 2):
                peer = ("type", "veth", "peer", "name", f"many{number + 1}")
                netns.ip("link", "add", f"many{number}", *peer)
            for number in range(DEVICES):
                netns.ip("address", "add", f"192.0.2.{number}/32", "dev", f"many{number}")
                netns.ip("link", "set", f"many{number}", "up")
        with Child(partial(listen_on_each_device, name)) as child:
            assert len(Path(f"/proc/{child.pid}/net/igmp").read_bytes()) > os.sysconf(
                "SC_PAGE_SIZE"
            )
            found = rows(document_of(source, pins, ALL_NETNS), "listeners")
    named = {row["device"] for row in found.values() if row.get("port") == PORT}
    assert named == {f"many{number}" for number in range(DEVICES)}
