"""The file of those who were admitted to discovery, whatever is in its place."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from zabbix_sockets.command import admitted
from zabbix_sockets.command.admitted import admission_of, file_name
from zabbix_sockets.document.admission import SIZE, CallMoment
from zabbix_sockets.document.document import Document, build_document
from zabbix_sockets.grouping.grouping import GROUPINGS
from zabbix_sockets.model.deadline import Deadline

from ..proctree import ProcTree  # noqa: TID252  # a test folder is no installed package
from ..snapshots import processes, snapshot_of, tcp_listener  # noqa: TID252

UID = os.geteuid()
NAME = file_name("process")
LOCK = f"{NAME}.lock"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the lock; there is no other one."""
    monkeypatch.setattr("zabbix_sockets.command.lock._SHARED_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr("zabbix_sockets.model.paths.STATE_FOLDER", str(tmp_path / "state"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    return tmp_path / f"zabbix-sockets-{UID}"


def asked(*names: str, grouping: str = "process", proc: str = "/nowhere") -> Document:
    """Return the document of a host with these processes, each of which listens."""
    listeners = [tcp_listener(2 + at, 80 + at) for at in range(len(names))]
    members = [each._replace(pid=2**30 + at) for at, each in enumerate(processes(*names))]
    snapshot = snapshot_of([each._replace(unit=each.name) for each in members], listeners)
    by = GROUPINGS[grouping]
    admission = admission_of(snapshot, by, Deadline(60), proc=proc)
    return build_document(snapshot, grouping=by, admission=admission)


def numbers(document: Document) -> dict[str, int | None]:
    """Return the numbers of processes."""
    return {row.id: row.admitted for row in document.processes}


def test_it_remembers(folder: Path) -> None:
    """The next call knows who was admitted; the file is the user's alone, and of one size."""
    assert numbers(asked("a", "b")) == {"a": 1, "b": 2}
    assert numbers(asked("b", "c")) == {"b": 2, "c": 3}
    status = (folder / NAME).stat()
    assert (status.st_size, status.st_mode & 0o777) == (SIZE, 0o600)
    assert sorted(path.name for path in folder.iterdir()) == [NAME, LOCK]


def test_each_grouping_has_its_own(folder: Path) -> None:
    """Units and processes of the same name are different rows."""
    asked("a", "b")
    assert numbers(asked("b", grouping="unit")) == {"b": 1}
    assert {NAME, file_name("unit")} <= {path.name for path in folder.iterdir()}


def test_new_listeners_have_units(folder: Path, tmp_path: Path) -> None:
    """A listener has its unit from the call that admits it on, but for those at first."""
    assert not folder.exists()
    proc = ProcTree(tmp_path / "proc")
    for at, unit in enumerate(("a.service", "b.service")):
        (proc.add(2**30 + at, b"x") / "cgroup").write_text(f"0::/system.slice/{unit}\n")
    asked("a", proc=str(proc))
    for _ in range(2):
        rows = asked("a", "b", proc=str(proc)).listeners
        assert [row.unit for row in rows] == [None, "b.service"]


def _symlink(path: Path) -> None:
    (path.parent / "target").write_bytes(b"precious")
    path.symlink_to(path.parent / "target")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def _unreadable(path: Path) -> None:
    path.chmod(0)


def _unreadable_new(path: Path) -> None:
    path.touch(0)


@pytest.mark.parametrize("damage", [_symlink, _fifo, _truncated, Path.touch, _unreadable])
def test_whatever_is_there(folder: Path, damage: Callable[[Path], None]) -> None:
    """What is no such file is replaced, and where a link leads is not touched."""
    asked("a")
    path = folder / NAME
    if damage is not _truncated and damage is not _unreadable:
        path.unlink()
    damage(path)
    document = asked("a", "b")
    assert document.collector.warnings == []
    assert numbers(document) == {"a": 1, "b": 2}
    assert not path.is_symlink()
    assert path.stat().st_size == SIZE
    target = folder / "target"
    assert not target.exists() or target.read_bytes() == b"precious"


def test_folder_in_its_place(folder: Path) -> None:
    """Where the file can't be, nothing new is admitted, and the document says so."""
    (folder / NAME).mkdir(parents=True)
    folder.chmod(0o700)
    document = asked("a")
    assert numbers(document) == {"a": 0}
    assert document.collector.not_admitted == 2
    assert document.collector.warnings == [
        f"nothing new is discovered: {folder / NAME}: Is a directory"
    ]
    assert sorted(path.name for path in folder.iterdir()) == [NAME, LOCK]


@pytest.mark.parametrize("damage", [_symlink, _fifo, _unreadable_new])
def test_whatever_is_where_a_new_file_begins(folder: Path, damage: Callable[[Path], None]) -> None:
    """It costs one call at most: the next one admits what is new."""
    asked("a")
    damage(folder / f"{NAME}.new")
    asked("a", "b")
    document = asked("a", "b")
    assert document.collector.warnings == []
    assert numbers(document) == {"a": 1, "b": 2}
    target = folder / "target"
    assert not target.exists() or target.read_bytes() == b"precious"


def test_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was admitted stays so, nothing new is, and no half of a file is left."""
    asked("a")
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *rest: real(_full(path), *rest))
    document = asked("a", "b")
    assert numbers(document) == {"a": 1, "b": 0}
    assert "No space left on device" in document.collector.warnings[0]
    monkeypatch.undo()
    assert sorted(path.name for path in folder.iterdir()) == [NAME, LOCK]


def _full(path: str) -> str:
    return "/dev/full" if path.endswith(".new") else path


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EIO])
def test_unreadable_now(folder: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """What can't be read now is not forgotten: nothing is admitted, and the file stays."""
    asked("a")
    before = (folder / NAME).read_bytes()
    real = os.open

    def fails(path: str, *rest: int) -> int:
        if path.endswith(NAME):
            raise OSError(number, os.strerror(number), path)
        return real(path, *rest)

    monkeypatch.setattr(os, "open", fails)
    document = asked("a", "b")
    assert numbers(document) == {"a": 0, "b": 0}
    (warning,) = document.collector.warnings
    assert warning == f"nothing new is discovered: {NAME} can't be read: {os.strerror(number)}"
    assert (folder / NAME).read_bytes() == before
    monkeypatch.undo()


def test_no_locks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where calls can't be kept apart, nothing new is admitted."""
    asked("a")

    def fails(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", fails)
    document = asked("a", "b")
    assert numbers(document) == {"a": 1, "b": 0}
    assert os.strerror(errno.ENOLCK) in document.collector.warnings[0]
    assert (folder / NAME).exists()


def test_calls_at_the_same_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two calls that have read the same file one admits rows, and the other one says why not."""
    asked("a")
    real = admitted._now

    def meanwhile(time: int) -> CallMoment:
        monkeypatch.setattr(admitted, "_now", real)
        asked("a", "quick")
        return real(time)

    monkeypatch.setattr(admitted, "_now", meanwhile)
    document = asked("a", "slow")
    assert numbers(document) == {"a": 1, "slow": 0}
    assert "another call admits rows" in document.collector.warnings[0]
    assert numbers(asked("quick", "slow")) == {"quick": 2, "slow": 3}
    assert (folder / NAME).exists()


def test_lock_of_somebody_else(folder: Path) -> None:
    """A lock on the folder, which others may be able to open, keeps nobody from anything."""
    asked("a")
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        assert numbers(asked("a", "b")) == {"a": 1, "b": 2}
    finally:
        os.close(fd)


def test_lock_of_another_call(folder: Path) -> None:
    """While another call writes the file, nothing new is admitted, and the document says so."""
    asked("a")
    with (folder / LOCK).open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        document = asked("a", "b")
    assert numbers(document) == {"a": 1, "b": 0}
    assert "another call admits rows" in document.collector.warnings[0]


def test_no_folder(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Without a folder nothing is discovered, and the document says so."""
    assert not folder.exists()
    monkeypatch.setattr("zabbix_sockets.command.lock._SHARED_FOLDERS", ())
    document = asked("a")
    assert numbers(document) == {"a": 0}
    assert document.collector.warnings == [
        "nothing new is discovered: no folder is safe and writable to remember what was"
    ]


def test_what_outlives_a_boot(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that setup has made, and a service's own, take over what is beside the lock."""
    assert numbers(asked("x", "a")) == {"a": 1, "x": 2}
    state = folder.parent / f"state-{UID}"
    state.mkdir(mode=0o700)
    assert numbers(asked("a", "b")) == {"a": 1, "b": 3}
    assert (state / NAME).stat().st_size == SIZE
    own = folder.parent / "private/own"
    own.mkdir(mode=0o700, parents=True)
    link = folder.parent / "own"
    link.symlink_to("private/own")  # as systemd makes it with DynamicUser=
    monkeypatch.setenv("STATE_DIRECTORY", f"{link}:/other")
    assert numbers(asked("c", "b")) == {"b": 3, "c": 4}
    assert (own / NAME).stat().st_size == SIZE


def test_foreign_folder(folder: Path) -> None:
    """A folder that others may write is none."""
    state = folder.parent / f"state-{UID}"
    state.mkdir()
    state.chmod(0o777)
    asked("a")
    assert not list(state.iterdir())
    assert (folder / NAME).exists()


def test_name_of_the_folder_is_taken_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes the name of the lock's folder, and gives it up again, has nothing forgotten."""
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setattr("zabbix_sockets.command.lock._SHARED_FOLDERS", (str(first), str(second)))
    monkeypatch.setattr("zabbix_sockets.model.paths.STATE_FOLDER", str(tmp_path / "state"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    taken = first / f"zabbix-sockets-{UID}"
    taken.mkdir(parents=True)
    second.mkdir()
    taken.chmod(0o777)
    assert numbers(asked("x", "a")) == {"a": 1, "x": 2}
    assert not list(taken.iterdir())
    taken.rmdir()
    assert numbers(asked("b", "x")) == {"x": 2, "b": 3}
    assert (taken / NAME).stat().st_size == SIZE
