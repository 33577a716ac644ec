"""All sources tell the same of one host: what they see is made of one scene."""

import json
import os
from pathlib import Path

import pytest
from json_documents import JsonDocument

from . import figures
from .calls import document
from .kernel import Kernel
from .scene import HOST, NGINX, WITHOUT_NETLINK, WITHOUT_PINS, WORKER, Scene

SCENES = {"bpf": HOST, "sock_diag": WITHOUT_PINS, "procfs": WITHOUT_NETLINK}


def document_of(root: Path, scene: Scene, grouping: str) -> JsonDocument:
    """Return the document of a scene, made in a process of its own."""
    receive, send = os.pipe()
    if not os.fork():
        Kernel(root, scene).write().install()
        os.write(send, json.dumps(document(grouping)()).encode())
        os._exit(0)
    os.close(send)
    with open(receive, "rb") as answer:
        found: JsonDocument = json.load(answer)
    os.wait()
    return found


@pytest.mark.parametrize("grouping", ["process", "unit", "container", "user"])
def test_sources_agree(tmp_path: Path, grouping: str) -> None:
    """Every figure that a source tells is the same as the others'; all lists are complete."""
    documents = {
        source: document_of(tmp_path / source, scene, grouping) for source, scene in SCENES.items()
    }
    for source, found in documents.items():
        collector = found["collector"]
        assert isinstance(collector, dict)
        assert collector["source"] == source
        assert found["complete"] == 1
        for other in documents.values():
            assert not list(figures.of_document(found, other))
            assert not list(figures.of_document(other, found))


def test_scene_is_what_it_says(tmp_path: Path) -> None:
    """The document has the sockets of the scene, each once."""
    found = document_of(tmp_path, WITHOUT_PINS, "process")
    collector, host = found["collector"], found["host"]
    assert isinstance(collector, dict)
    assert isinstance(host, dict)
    assert collector["sockets"] == len(HOST.sockets)
    assert collector["namespaces"] == 3
    assert collector["unaccepted"] == 1
    assert host["tcp"]["time_wait"] == 2
    assert host["tcp_memory_bytes"] == 7 * os.sysconf("SC_PAGE_SIZE")
    rows = found["processes"]
    assert isinstance(rows, list)
    nginx = next(row for row in rows if row["id"] == "nginx")
    held = [each for each in HOST.sockets if {NGINX, WORKER} & set(each.holders)]
    assert nginx["sockets"] == len(held)
    assert nginx["retransmits"] == 3
    assert nginx["recv_queue_bytes"] == 17
    dnsmasq = next(row for row in rows if row["id"] == "dnsmasq")
    assert dnsmasq["drops"] == 7
    listeners = found["listeners"]
    assert isinstance(listeners, list)
    units = {row["id"]: row["socket_unit"] for row in listeners if "socket_unit" in row}
    assert units == {"unix//run/dbus/system_bus_socket": "dbus.socket"}
