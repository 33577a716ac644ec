"""Connections of the kernel's own threads, here of NFS: counted for (kernel), by address.

Run by test_kernels in a virtual machine, as this machine's own kernel may have no NFS.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zoo
from counted import loaded
from json_documents import json_document

from zabbix_sockets import Query, collect
from zabbix_sockets.model.names import KERNEL

pytestmark = pytest.mark.kernel

ADDRESS, PORT = "127.0.0.1", 7803
UPSTREAM = f"{KERNEL}>tcp/{ADDRESS}:{PORT}"


@pytest.fixture(autouse=True)
def nfs() -> None:
    """Skip where the kernel has no NFS."""
    if "\tnfs\n" not in Path("/proc/filesystems").read_text():
        pytest.skip("this kernel has no NFS")


@pytest.fixture
def pins() -> Iterator[str]:
    """Load the programs that count, in a bpffs of the test's own."""
    with loaded() as folder:
        yield folder


@contextmanager
def mounting(folder: Path) -> Iterator[None]:
    """Have a process that mounts by NFS from this machine, where nobody answers."""
    options = (
        *("vers=3", "proto=tcp", "mountproto=tcp", "nolock", "soft", "timeo=20", "retrans=1"),
        *(f"addr={ADDRESS}", "port=7802", f"mountaddr={ADDRESS}", f"mountport={PORT}"),
    )
    arguments = f"{ADDRESS}:/nowhere".encode(), os.fsencode(folder), b"nfs", 0
    pid = os.fork()
    if not pid:
        try:
            ctypes.CDLL(None).mount(*arguments, ",".join(options).encode())
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def totals_of(pins: str, name: str, row_id: str) -> Counter[str]:
    """Return the totals of a row of the document; none if it isn't there."""
    document = json_document(collect(Query("bpf", 60, pins=pins, netns="own")))
    rows = document[name]
    assert isinstance(rows, list)
    return Counter(next((each["totals"] for each in rows if each["id"] == row_id), {}))


def test_opened(pins: str, tmp_path: Path) -> None:
    """A worker of the kernel opens a connection, and not who called mount(2)."""
    with socket.create_server((ADDRESS, PORT)) as server, mounting(tmp_path):
        server.settimeout(60)
        accepted, _ = server.accept()
        call = accepted.recv(1000)
        found = totals_of(pins, "upstreams", UPSTREAM)
        assert (found["attempts"], found["opened"], found["failed"]) == (1, 1, 0)
        assert totals_of(pins, "processes", KERNEL)["opened"] == 1
        mounts = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
        assert totals_of(pins, "processes", mounts)["attempts"] == 0
        accepted.close()

        def is_told() -> bool:
            return totals_of(pins, "upstreams", UPSTREAM)["bytes_sent"] >= len(call)

        zoo.wait_for(is_told, "what it sent, once the connection has ended")


def test_failed(pins: str, tmp_path: Path) -> None:
    """Where nobody listens its attempts fail."""
    with mounting(tmp_path):

        def has_failed() -> bool:
            found = totals_of(pins, "upstreams", UPSTREAM)
            return bool(found["failed"]) and found["failed"] == found["attempts"]

        zoo.wait_for(has_failed, "a failed attempt")
        found = totals_of(pins, "processes", KERNEL)
        assert (found["opened"], bool(found["failed"])) == (0, True)
