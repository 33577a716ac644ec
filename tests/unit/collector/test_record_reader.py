"""The iterator's records, read ahead by a thread, or without one where none can be had."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from zabbix_sockets.collector.record_reader import RecordReader
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.readers.bpf import records as bpf

RECORDS = bytes(range(bpf.RECORD.size % 256)) * 300


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No descriptor is left open."""
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    assert sorted(os.listdir("/proc/self/fd")) == before


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
        assert b"".join(records) == data
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
