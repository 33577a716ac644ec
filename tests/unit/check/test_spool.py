"""The spool of the service, which root looks at as the service's user."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from zabbix_sockets.check import push
from zabbix_sockets.check.line import BROKEN, OK, Line
from zabbix_sockets.check.system import System
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import FILE, FOLDER, Spool, State

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")


@pytest.fixture
def root() -> Iterator[Path]:
    """A host whose spool is another user's, behind a folder that this user may not enter."""
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(f"{folder}{FOLDER}/{FILE}", 1_000_000)
        spool.add([("zabbix.example.com", [Value("h", "k", 2_000_000_000, 0, "{}")])])
        spool.close()
        for each in (Path(folder + FOLDER), *Path(folder + FOLDER).iterdir()):
            os.chown(each, NOBODY, NOBODY)
        yield Path(folder)


def line(root: Path, seconds: float = 60) -> Line:
    """Return the line of check."""
    return push._check_spool(System(str(root), "/proc", Deadline(seconds), "/nowhere", 0))


def test_is_read(root: Path) -> None:
    """What waits is said."""
    found = line(root)
    assert (found.state, found.message) == (OK, "1 documents wait")


def test_by_its_owner(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the database has SQLite do, it does as that user, and sees that folder alone."""

    def read(path: str, _patience: float) -> State:
        assert sorted(os.listdir("/")) == [FILE, f"{FILE}.lock"]
        assert path == f"/{FILE}"
        ids = {*os.getresuid(), *os.getresgid(), *os.getgroups()}
        return State(ids.pop(), len(ids), None)

    monkeypatch.setattr(push, "read_state", read)
    assert line(root).message == f"{NOBODY} documents wait"


def test_link(root: Path, tmp_path: Path) -> None:
    """Behind a link that the user puts there root finds nothing."""
    other = Spool(str(tmp_path / "other"), 1_000_000)
    other.close()
    path = Path(f"{root}{FOLDER}/{FILE}")
    path.unlink()
    path.symlink_to(tmp_path / "other")
    assert line(root).state == BROKEN


def test_fifo(root: Path) -> None:
    """One that never ends is given up."""
    path = Path(f"{root}{FOLDER}/{FILE}")
    path.unlink()
    os.mkfifo(path)
    os.chown(path, NOBODY, NOBODY)
    found = line(root, 0.7)
    assert found.state == BROKEN
    assert found.message.endswith(("took too long to read", "unable to open database file"))
