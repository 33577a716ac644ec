"""Processes that call themselves as they like take their own part of discovery alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zoo
from children import Child

from zabbix_sockets import Query, collect
from zabbix_sockets.command.admitted import admission_of
from zabbix_sockets.document.admission import QUOTAS
from zabbix_sockets.document.document import build_document
from zabbix_sockets.document.processes import ProcessRow
from zabbix_sockets.grouping.grouping import GROUPINGS
from zabbix_sockets.model.deadline import Deadline

PART = QUOTAS["processes"].first // 4

LISTENING = """
import ctypes, os, socket, sys
server = socket.create_server(("127.0.0.1", 0))
if {uid}:
    os.setuid({uid})
for name in sys.stdin:
    ctypes.CDLL(None).prctl(15, name.strip().encode())
    print(flush=True)
"""
"""Listens and takes each name that it is told (PR_SET_NAME), as a user, or as root."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember in a folder of the test's own."""
    monkeypatch.setattr("zabbix_sockets.command.lock._SHARED_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr("zabbix_sockets.model.paths.STATE_FOLDER", str(tmp_path / "state"))


def rows() -> dict[str, ProcessRow]:
    """Return the rows of processes, as the next call of an agent has them."""
    snapshot = collect(Query(source="procfs", timeout=60, netns="own"))
    admission = admission_of(snapshot, GROUPINGS["process"], Deadline(60))
    return {row.id: row for row in build_document(snapshot, admission=admission).processes}


@contextmanager
def renaming(uid: int, *command: str) -> Iterator[Callable[[str], None]]:
    """Run a process that listens as a user, begun by *command*; yield what gives it a name."""
    script = [sys.executable, "-c", LISTENING.format(uid=uid)]
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, *script], stdin=pipe, stdout=pipe, text=True) as process:
        to, told = process.stdin, process.stdout
        assert to
        assert told

        def rename(name: str) -> None:
            to.write(f"{name}\n")
            to.flush()
            assert told.readline() == "\n"

        yield rename
        process.kill()


@pytest.mark.parametrize(
    ("uid", "command"),
    [
        (65_533, ()),
        (0, ("unshare", "--pid", "--fork", "--kill-child")),
    ],
    ids=["user", "root of another pid namespace"],
)
def test_who_renames_itself(uid: int, command: tuple[str, ...]) -> None:
    """Each name would be a new settled row; a part of them is admitted, and all of root's own."""
    with Child(zoo.listener, b"service"), renaming(uid, *command) as rename:
        assert rows()["service"].admitted
        names = [f"flood {number}" for number in range(PART + 10)]
        numbers = []
        for name in names:
            rename(name)
            seen = rows()
            numbers.append(seen[name].admitted)
            assert seen["service"].admitted
        assert all(numbers[:PART])
        assert not any(numbers[PART:])
        with Child(zoo.listener, b"late service"):
            assert rows()["late service"].admitted
        rename("service")
        assert rows()["service"].instances == 2
