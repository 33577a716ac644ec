"""The read that begins before a call's arguments are parsed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zoo
from children import Child
from turns import one_at_a_time

from zabbix_sockets.collector.record_reader import RecordReader
from zabbix_sockets.command.agent_call import last_value
from zabbix_sockets.command.early_read import begin_to_read
from zabbix_sockets.command.lock import Lock, lock_folders
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.readers.bpf import records

TIME = Deadline(3600)  # of this module, which is imported long before its tests run
DATA = bytes(records.RECORD.size) * 3


@pytest.fixture
def pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files that stand for iterators; the lock and the configuration are elsewhere."""
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setattr("zabbix_sockets.command.lock._SHARED_FOLDERS", (str(shared),))
    monkeypatch.setattr("zabbix_sockets.command.early_read.CONFIG", str(tmp_path / "none.toml"))
    folder = tmp_path / "pins"
    folder.mkdir()
    for program in records.PROGRAMS:
        Path(records.pin_path(str(folder), program)).write_bytes(DATA)
    return folder


@pytest.fixture
def lock(pins: Path) -> Iterator[Lock]:
    """The user's lock, open and free."""
    assert pins.exists()
    with Lock() as lock:
        yield lock


def ended(reader: RecordReader | None) -> bool:
    """End a reader that must be there; return True."""
    assert reader
    reader.end()
    return True


def test_it_reads_all(pins: Path, lock: Lock) -> None:
    """What has been begun are all records."""
    reader = begin_to_read(("get", "--pins", str(pins), "--", "unit"), TIME, lock)
    assert reader
    with reader:
        assert b"".join(reader) == DATA


@pytest.mark.parametrize("options", [(), ("--source", "bpf"), ("--max-bytes", "9")])
def test_it_begins(pins: Path, lock: Lock, options: tuple[str, ...]) -> None:
    """It begins for each question that the iterator answers."""
    assert ended(begin_to_read(("get", f"--pins={pins}", *options), TIME, lock))


@pytest.mark.parametrize(
    "options",
    [
        ("--source", "procfs"),
        ("--source=sock_diag",),
        ("--filter", "sport = :1"),
        ("--filter=sport = :1",),
        ("--config", "/nowhere"),
    ],
)
def test_it_leaves_other_questions(pins: Path, lock: Lock, options: tuple[str, ...]) -> None:
    """What the tables may have to answer is left to the plan, and so is the lock."""
    assert begin_to_read(("get", f"--pins={pins}", *options), TIME, lock) is None
    with one_at_a_time(Deadline(0)) as turn:
        assert turn.answer is None


def test_a_configuration_may_have_a_filter(
    pins: Path, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is a configuration file the plan begins, which knows what is in it."""
    monkeypatch.setattr("zabbix_sockets.command.early_read.CONFIG", str(pins))
    assert begin_to_read(("get", f"--pins={pins}"), TIME, lock) is None


def test_nothing_is_pinned(tmp_path: Path, lock: Lock) -> None:
    """Without pins the plan finds out why."""
    assert begin_to_read(("get", f"--pins={tmp_path}"), TIME, lock) is None


def hold() -> object:
    """Take the lock and keep it until the process ends."""
    held = one_at_a_time(Deadline(60))
    held.__enter__()  # never left: the process is killed
    return held


def test_others_have_their_turn(pins: Path, lock: Lock) -> None:
    """While another call of the user holds the lock nothing is read."""
    with Child(hold):
        assert begin_to_read(("get", f"--pins={pins}"), TIME, lock) is None


def test_no_answer_is_older_than_its_question(pins: Path, lock: Lock) -> None:
    """A question that comes while a call parses its arguments doesn't get the call's answer.

    The read had begun before, and misses what has happened since.
    """
    question = ("get", f"--pins={pins}")
    assert ended(begin_to_read(question, TIME, lock))
    found: list[str | None] = []

    def ask() -> None:
        with one_at_a_time(TIME, question) as turn:
            found.append(turn.answer)

    thread = threading.Thread(target=ask)
    thread.start()
    folder = Path(next(lock_folders()))
    zoo.wait_for((folder / "zabbix-sockets.waiting").exists, "the question", 60)
    with lock.held(TIME, question) as turn:
        zoo.wait_for(turn._is_waited_for, "somebody to wait", 60)
        turn.share("answer")
    thread.join()
    assert found == [None]
    assert list(folder.glob("answer-*"))


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ((), None),
        (("get",), None),
        (("get", "--pins"), ""),
        (("get", "--pins", "a"), "a"),
        (("get", "--pins=a", "--pins", "b"), "b"),
        (("get", "--", "--pins", "b"), None),
        (("get", "--pins=", "x"), ""),
        (("get", "--pinstripe=1"), None),
    ],
)
def test_value_of_an_option(arguments: tuple[str, ...], value: str | None) -> None:
    """An option is found by its whole name, before the dashes that end the options."""
    assert last_value(arguments, "--pins") == value
