"""The iterator's records, read ahead by one thread or two, or without one where none can be had."""

from __future__ import annotations

import os
import sys
from _thread import start_new_thread
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from zoo import wait_for

from zabbix_sockets.collector import record_reader
from zabbix_sockets.collector.record_reader import RecordReader
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.readers.bpf import records as bpf

RECORDS = bytes(range(bpf.RECORD.size % 256)) * 300


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No descriptor is left open, once the threads have ended."""
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    wait_for(lambda: sorted(os.listdir("/proc/self/fd")) == before, "closed descriptors")


def no_thread(*_: object) -> NoReturn:
    """Be a host whose process table is full (RLIMIT_NPROC, TasksMax)."""
    raise RuntimeError("can't start new thread")


@pytest.fixture(params=[True, False], ids=["thread", "no thread"])
def _threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr("zabbix_sockets.collector.record_reader.start_new_thread", no_thread)


def iterator_of(path: Path, data: bytes) -> bpf.Opener:
    """Return the opener of a file that stands for an iterator."""
    path.write_bytes(data)
    return lambda _program: os.open(path, os.O_RDONLY)


def complete_records(data: bytes) -> bytes:
    """Return *data* without an incomplete record at its end."""
    return data[: len(data) - len(data) % bpf.RECORD.size]


@pytest.mark.usefixtures("_threads")
def test_records(tmp_path: Path) -> None:
    """All records come, and that these are all is known."""
    data = complete_records(RECORDS)
    with RecordReader(iterator_of(tmp_path / "pin", data), "/proc", Deadline(60)) as records:
        assert b"".join(map(bytes, records)) == data
        assert records.complete


@pytest.mark.usefixtures("_threads")
def test_past_the_deadline(tmp_path: Path) -> None:
    """Past the deadline they are not all."""
    with RecordReader(
        iterator_of(tmp_path / "pin", complete_records(RECORDS)), "/proc", Deadline(0)
    ) as records:
        assert list(records) == []
        assert not records.complete


@pytest.mark.usefixtures("_threads")
def test_end_within_a_record(tmp_path: Path) -> None:
    """What reading raises is raised where the records are missed."""
    opener = iterator_of(tmp_path / "pin", complete_records(RECORDS) + b"half")
    with (
        RecordReader(opener, "/proc", Deadline(60)) as records,
        pytest.raises(ParseError, match="BPF iterator"),
    ):
        list(records)
    assert not records.complete


@pytest.fixture
def _halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with two processors, on which each connection is one of many."""
    monkeypatch.setattr(record_reader, "_MANY", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


@pytest.mark.usefixtures("_halves")
def test_a_thread_for_one_half_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other half is read where the records are iterated over."""
    data = complete_records(RECORDS)
    path = tmp_path / "pin"
    started: list[tuple[object, ...]] = []

    def start(*arguments: object) -> None:
        started.append(arguments)
        if len(started) > 1:
            no_thread()
        start_new_thread(*arguments)  # type: ignore[call-overload]  # as they came

    monkeypatch.setattr(record_reader, "start_new_thread", start)
    with RecordReader(iterator_of(path, data), "/proc", Deadline(60)) as records:
        assert b"".join(map(bytes, records)) == data * 2  # a file has no halves
        assert records.complete
    assert len(started) == 2


@pytest.mark.usefixtures("_halves")
def test_one_half_cannot_be_opened(tmp_path: Path) -> None:
    """It is as if neither could."""
    usual, opened = iterator_of(tmp_path / "pin", complete_records(RECORDS)), []

    def open_once(program: str) -> int:
        opened.append(program)
        if len(opened) > 1:
            raise OSError(24, os.strerror(24))
        return usual(program)

    interval = sys.getswitchinterval()
    with pytest.raises(OSError, match="Too many open files"):
        RecordReader(open_once, "/proc", Deadline(60))
    assert opened == [bpf.COUNT_SOCKETS] * 2
    assert sys.getswitchinterval() == interval


@pytest.mark.usefixtures("_halves")
def test_one_half_past_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came of the other is no answer that is complete."""
    data = complete_records(RECORDS)
    deadlines = iter((Deadline(60), Deadline(0)))
    usual = bpf.read_chunks

    def read_chunks(
        fd: int, size: int, _: Deadline, buffers: bpf.Buffers
    ) -> Iterator[memoryview | bytes]:
        return usual(fd, size, next(deadlines), buffers)

    monkeypatch.setattr(bpf, "read_chunks", read_chunks)
    with RecordReader(iterator_of(tmp_path / "pin", data), "/proc", Deadline(60)) as records:
        assert b"".join(map(bytes, records)) == data
        assert not records.complete


@pytest.mark.parametrize(
    ("connections", "processors", "parts"),
    [
        (None, 8, (bpf.WHOLE,)),
        (49_999, 8, (bpf.WHOLE,)),
        (50_000, 1, (bpf.WHOLE,)),
        (50_000, 2, bpf.HALVES),
    ],
)
def test_when_two_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    connections: int | None,
    processors: int,
    parts: tuple[int, ...],
) -> None:
    """Where there are many connections, and more than one processor that this process may use."""
    monkeypatch.setattr(record_reader, "read_current_established", lambda _: connections)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))
    data = complete_records(RECORDS)
    with RecordReader(iterator_of(tmp_path / "pin", data), "/proc", Deadline(60)) as records:
        assert b"".join(map(bytes, records)) == data * len(parts)


def test_buffers_are_used_again(tmp_path: Path) -> None:
    """One that was given back is the next one of its length; what was not given back stays."""
    data = complete_records(os.urandom(8_000_000))
    path = tmp_path / "pin"
    path.write_bytes(data)
    for given_back in (True, False):
        buffers, held = bpf.Buffers(), []
        read = b""
        fd = os.open(path, os.O_RDONLY)
        for chunk in bpf.read_chunks(fd, bpf.RECORD.size, Deadline(60), buffers):
            assert isinstance(chunk, memoryview)
            read += chunk
            held.append(chunk)
            if given_back:
                buffers.give_back(chunk)
        assert read == data
        used = {id(chunk.obj) for chunk in held}
        if (
            given_back
        ):  # the next one is got before this one is yielded: two of full length by turns
            assert len(used) < len(held) - 3
        else:
            assert len(used) == len(held)
            assert b"".join(held) == data


def records_of(letters: str) -> bytes:
    """Return 40,000 records for each letter, which begin with it and are numbered."""
    size = bpf.RECORD.size
    return b"".join(
        f"{letter}{number}".encode().ljust(size) for letter in letters for number in range(40_000)
    )


@pytest.mark.usefixtures("_halves")
def test_two_threads_keep_out_of_each_others_way(tmp_path: Path) -> None:
    """Each record of both comes once, though their buffers are used again while others are read."""
    opened: list[int] = []

    def open_next(_program: str) -> int:
        path = tmp_path / str(len(opened))
        path.write_bytes(records_of("ab"[len(opened)]))
        opened.append(os.open(path, os.O_RDONLY))
        return opened[-1]

    found: Counter[bytes] = Counter()
    with RecordReader(open_next, "/proc", Deadline(60)) as records:
        for chunk in records:
            found.update(record for (record,) in bpf.RECORD.iter_unpack(chunk))
        assert records.complete
    assert found == Counter(record for (record,) in bpf.RECORD.iter_unpack(records_of("ab")))


@pytest.mark.usefixtures("_halves")
@pytest.mark.parametrize("broken", [0, 1])
def test_one_half_ends_within_a_record(tmp_path: Path, broken: int) -> None:
    """Its error is raised, whatever the other one gives."""
    opened: list[int] = []

    def open_next(_program: str) -> int:
        path = tmp_path / str(len(opened))
        path.write_bytes(records_of("a") + b"half" * (len(opened) == broken))
        opened.append(os.open(path, os.O_RDONLY))
        return opened[-1]

    with (
        RecordReader(open_next, "/proc", Deadline(60)) as records,
        pytest.raises(ParseError, match="BPF iterator"),
    ):
        for _ in records:
            pass
    assert not records.complete


@pytest.mark.usefixtures("_halves")
def test_no_thread_for_either_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is read at once then, as where there are few connections."""
    monkeypatch.setattr(record_reader, "start_new_thread", no_thread)
    data = complete_records(RECORDS)
    with RecordReader(iterator_of(tmp_path / "pin", data), "/proc", Deadline(60)) as records:
        assert b"".join(map(bytes, records)) == data
        assert records.complete
