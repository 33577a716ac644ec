"""The spool: bounded, in order, whole after anything."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest
from spooling import LARGE, A, B, drained, packet

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.sending.database import HeldError
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import Spool, State


def test_oldest_first(spool: Spool) -> None:
    """Documents come out as they went in, in that order, for each destination by itself."""
    values = [Value('h"x', 'k["é\\"]', 5, 999_999_999, '{"a":"é\\n"}'), *packet(6)]
    spool.add([(A, values)])
    for clock in (7, 3, 9):  # a clock that was set back changes no order
        spool.add([(A, packet(clock))])
        spool.add([(B, packet(clock + 100))])
    head = spool.oldest(A)
    assert head is not None
    assert head.values == tuple(values)
    assert drained(spool, A) == [5, 7, 3, 9]
    assert drained(spool, B) == [107, 103, 109]
    assert spool.oldest("unknown") is None


def test_state(spool: Spool) -> None:
    """It tells how many wait, and since when."""
    assert spool.state(A) == State(0, 0, None)
    for clock in (8, 5, 9):
        spool.add([(A, packet(clock))])
    assert spool.state(A) == State(3, 0, 5)
    assert spool.state(B) == State(0, 0, None)


def test_survives_its_process(path: str) -> None:
    """Another one finds what was left, and numbers never repeat."""
    first = Spool(path, LARGE)
    first.add([(A, packet(1))])
    first.add([(A, packet(2))])
    head = first.oldest(A)
    assert head is not None
    first.remove(head.number)
    first.close()
    second = Spool(path, LARGE)
    assert drained(second, A) == [2]
    second.add([(A, packet(3))])
    last = second.oldest(A)
    assert last is not None
    assert last.number > head.number
    second.close()


def test_bound(path: str) -> None:
    """The oldest go, are counted, and the newest always has its place."""
    spool = Spool(path, 2000)
    noise = [os.urandom(400).hex() for _ in range(20)]  # about 400 bytes each, packed
    for clock, text in enumerate(noise):
        spool.add([(A, packet(clock, text))])
    spool.add([(B, packet(1))])
    state = spool.state(A)
    assert 2 <= state.waiting <= 5
    assert state.waiting + state.dropped == 20
    assert state.oldest == state.dropped
    assert spool.state(B) == State(1, 0, 1)
    spool.add([(A, packet(99, os.urandom(5000).hex()))])
    assert drained(spool, A) == [99]
    assert spool.state(A).dropped == 20
    spool.close()


@pytest.mark.parametrize("content", [b"", b"rubbish" * 1000, None])
def test_damaged_file(path: str, content: bytes | None) -> None:
    """A file that is no database is set aside for a person, and a new one begun."""
    spool = Spool(path, LARGE)
    for clock in range(200):
        spool.add([(A, packet(clock, os.urandom(100).hex()))])
    spool.close()
    file = Path(path)
    damaged = content if content is not None else file.read_bytes()
    if content is None:  # pages in the middle overwritten
        damaged = damaged[:4096] + b"\xa5" * 8192 + damaged[12288:]
    file.write_bytes(damaged)
    again = Spool(path, LARGE)
    again.add([(A, packet(7))])
    assert drained(again, A) == [7]
    again.close()
    if content == b"":  # an empty file is an empty database
        assert not again.renamed
    else:
        assert Path(again.renamed).read_bytes() == damaged


def test_full_disk(path: str) -> None:
    """What the disk has no room for waits in memory, in order, and is written when there is."""
    spool = Spool(path, LARGE)
    spool.add([(A, packet(1))])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path), hard))
    try:
        for clock in range(2, 40):
            spool.add([(A, packet(clock, os.urandom(500).hex()))])
        assert "spool" in spool.trouble
        assert spool.state(A) == State(39, 0, 1)
        head = spool.oldest(A)
        assert head is not None
        assert head.values[0].clock == 1
        spool.remove(head.number)
        assert spool.state(A) == State(38, 0, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    spool.add([(A, packet(40))])
    assert not spool.trouble
    spool.close()
    again = Spool(path, LARGE)
    assert drained(again, A) == list(range(2, 41))
    again.close()


@pytest.fixture
def full(path: str, monkeypatch: pytest.MonkeyPatch) -> Spool:
    """A spool on a disk that stays full."""
    spool = Spool(path, LARGE)

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(spool, "_make_room", fail)
    return spool


def test_delivered_from_memory(full: Spool) -> None:
    """What is in memory is still delivered, once."""
    for clock in range(5):
        full.add([(A, packet(clock))])
    assert drained(full, A) == [0, 1, 2, 3, 4]
    full.close()


def test_loss_at_the_end_is_said(full: Spool) -> None:
    """A process that ends with documents that no disk would take says so."""
    full.add([(A, packet(1))])
    with pytest.raises(SocketsError, match=r"1 documents are lost: .*disk is full"):
        full.close()


def test_delivered_is_not_sent_again(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a full disk has no room to delete is deleted when there is, at the end at last."""
    spool = Spool(path, LARGE)
    spool.add([(A, packet(1))])
    spool.add([(A, packet(2))])
    with monkeypatch.context() as full:

        def no_room() -> NoReturn:
            raise SocketsError("database or disk is full")

        full.setattr(spool._database, "transaction", no_room)
        head = spool.oldest(A)
        assert head is not None
        spool.remove(head.number)
        assert spool.trouble
    spool.close()
    again = Spool(path, LARGE)
    assert drained(again, A) == [2]
    again.close()


def test_file_that_is_locked(path: str, spool: Spool) -> None:
    """While somebody else has sqlite's lock nothing is lost; then all is there, in order."""
    spool.add([(A, packet(1))])
    spool._database.connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    spool.add([(A, packet(2))])
    with pytest.raises(SocketsError, match="locked"):  # what is in the file is not known
        spool.state(A)
    assert "locked" in spool.trouble
    other.execute("ROLLBACK")
    other.close()
    assert drained(spool, A) == [1, 2]
    assert not spool.trouble


def test_while_another_sends(path: str, spool: Spool) -> None:
    """The lock of who sends keeps nobody from adding: what is added is on disk at once."""
    other = Spool(path, LARGE)
    beats: list[State] = []
    with other.alone():
        spool.add([(A, packet(1))])
        assert other.state(A) == State(1, 0, 1)
        with (
            pytest.raises(HeldError, match="another process uses it"),
            spool.alone(0.2, lambda: beats.append(other.state(A))),
        ):
            pass
    assert set(beats) == {State(1, 0, 1)}
    with spool.alone(0.2):
        assert drained(spool, A) == [1]
    other.close()


def test_numbers(spool: Spool) -> None:
    """What was added has the numbers that it is found under, on disk or in memory."""
    numbers = spool.add([(A, packet(1)), (B, packet(2)), (A, packet(3))])
    found = [*spool.all(A), *spool.all(B)]
    assert sorted(each.number for each in found) == sorted(numbers)
    assert [spool.oldest(each).number for each in (A, B)] == numbers[:2]  # type: ignore[union-attr]


def test_numbers_in_memory(full: Spool) -> None:
    """A disk without room changes nothing of that."""
    numbers = full.add([(A, packet(1)), (A, packet(2))])
    assert [each.number for each in full.all(A)] == numbers
    assert drained(full, A) == [1, 2]
    full.close()


def test_half_of_a_surrogate(spool: Spool) -> None:
    """It is no text: an error of ours, and nothing else is lost."""
    spool.add([(A, packet(1))])
    with pytest.raises(SocketsError, match="can't be kept"):
        spool.add([(A, packet(2, "\ud800"))])
    assert drained(spool, A) == [1]


def test_no_place(tmp_path: Path) -> None:
    """A folder that can't be made, or a file that can't be opened, is an error with its path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SocketsError, match=r"spool .*/file/spool\.sqlite"):
        Spool(str(tmp_path / "file/spool.sqlite"), LARGE)
    with pytest.raises(SocketsError, match="spool"):
        Spool(str(tmp_path), LARGE)


@pytest.mark.parametrize("mode", [0o700, 0o777])
def test_root_in_the_folder_of_others(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """Whoever may put a link there, or a journal, does not have root open it."""
    folder, target = Path(path).parent, tmp_path / "roots"
    folder.mkdir()
    folder.chmod(mode)
    if os.geteuid():
        monkeypatch.setattr(os, "geteuid", lambda: 0)
    elif mode == 0o700:
        os.chown(folder, 65534, -1)
    for name in ("spool.sqlite", "spool.sqlite.lock"):
        (folder / name).symlink_to(target)
    with pytest.raises(SocketsError, match="another user's") as caught:
        Spool(path, LARGE)
    assert "--spool" in caught.value.hint
    assert not target.exists()


def test_a_link_for_a_lock(path: str, tmp_path: Path) -> None:
    """It is not followed, whoever put it there."""
    Path(path).parent.mkdir()
    Path(f"{path}.lock").symlink_to(tmp_path / "target")
    with pytest.raises(SocketsError, match="symbolic links"):
        Spool(path, LARGE)
    assert not (tmp_path / "target").exists()


_WRITER = """
import sys
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import Spool
spool = Spool(sys.argv[1], 1 << 30)
clock = int(sys.argv[2])
print("ready", flush=True)
while True:
    spool.add([("a", [Value("h", "k", clock, 0, "x" * 3000)])])
    print(clock, flush=True)
    clock += 1
"""


def test_kill(path: str) -> None:
    """Killed at any moment, it holds all that it said it had, and nothing twice."""
    clock = 0
    for round_number in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, path, str(clock)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            for _ in range(round_number * 3 + 1):
                clock = int(writer.stdout.readline()) + 1
            writer.kill()
            rest = writer.stdout.read().split()
            clock = int(rest[-1]) + 1 if rest else clock
        spool = Spool(path, LARGE)
        assert not spool.renamed
        held = [row[0] for row in spool._database.connection.execute("SELECT clock FROM waiting")]
        # The last one may have been written, and its line not.
        assert held in (list(range(clock)), list(range(clock + 1)))
        clock = len(held)
        spool.close()


def test_damaged_document(path: str, spool: Spool) -> None:
    """One that can't be read any more is counted, and holds up no other."""
    spool.add([(A, packet(1))])
    spool.add([(A, packet(2))])
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE waiting SET packet = ? WHERE clock = 1", (b"rubbish",))
    assert drained(spool, A) == [2]
    assert spool.state(A) == State(0, 1, None)


def test_lines(spool: Spool) -> None:
    """A destination may have several, which share its bound; each has an order of its own."""
    for clock, line in enumerate((A, f"{A}\nx", f"{A}\ny", f"{A}\nx", f"{A}x\nz")):
        spool.add([(line, packet(clock))])
    assert spool.lines(A) == ["x", "y"]
    assert drained(spool, f"{A}\nx") == [1, 3]
    assert spool.state(A).waiting == 1


def test_memory_and_disk(path: str, spool: Spool) -> None:
    """What goes from memory to disk between two looks is the same document."""
    spool._database.connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    spool.add([(A, packet(1))])
    spool.add([(B, packet(1))])
    other.execute("ROLLBACK")
    other.close()
    heads = [spool.oldest(A), spool.oldest(B)]
    for head in heads:
        assert head
        spool.remove(head.number)
    assert (drained(spool, A), drained(spool, B)) == ([], [])
