"""The thread that reads ahead: what it gives, what it leaves behind."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from zabbix_sockets import Query
from zabbix_sockets.collector import ahead
from zabbix_sockets.collector.ahead import Ahead, read_pinned
from zabbix_sockets.deadline import Deadline
from zabbix_sockets.readers import bpf

RECORD = bytes(bpf.RECORD.size)
LONG = 60.0


def opener(path: Path) -> bpf.Opener:
    """Return what opens the same file for each program."""
    return lambda _program: os.open(path, os.O_RDONLY)


def is_soon(condition: Callable[[], bool]) -> bool:
    """Whether *condition* holds within some seconds."""
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    return condition()


def open_descriptors() -> int:
    """Return how many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


def test_all_records(tmp_path: Path) -> None:
    """All comes, in order, and then it is complete; the interpreter is as it was."""
    interval, descriptors = sys.getswitchinterval(), open_descriptors()
    path = tmp_path / "records"
    wanted = b"".join(bytes([number]) * bpf.RECORD.size for number in range(200)) * 100
    path.write_bytes(wanted)
    with Ahead(opener(path), "/proc", Deadline(LONG)) as records:
        assert b"".join(records) == wanted
        assert records.complete
    assert sys.getswitchinterval() == interval
    assert is_soon(lambda: open_descriptors() == descriptors)


def test_partial_record(tmp_path: Path) -> None:
    """What went wrong in the thread is raised where the records are missed."""
    path = tmp_path / "records"
    path.write_bytes(RECORD + b"half")
    with Ahead(opener(path), "/proc", Deadline(LONG)) as records:
        with pytest.raises(Exception, match="cannot parse BPF iterator"):
            list(records)
        assert not records.complete


def test_deadline(tmp_path: Path) -> None:
    """Past the deadline the records end, and are not complete."""
    path = tmp_path / "records"
    path.write_bytes(RECORD)
    with Ahead(opener(path), "/proc", Deadline(0)) as records:
        assert list(records) == []
        assert not records.complete


def test_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread stays a little ahead, whatever there is, and ends when it is left."""
    monkeypatch.setattr(ahead, "_CHUNKS", 2)
    descriptors = open_descriptors()
    path = tmp_path / "records"
    with path.open("wb") as file:
        file.truncate(bpf.RECORD.size * 100_000)
    taken: list[bpf.Chunk] = []
    read_chunks = bpf.read_chunks

    def counted(fd: int, size: int, deadline: Deadline) -> object:
        for chunk in read_chunks(fd, size, deadline):
            taken.append(chunk)
            yield chunk

    monkeypatch.setattr(bpf, "read_chunks", counted)
    with Ahead(opener(path), "/proc", Deadline(LONG)):
        assert is_soon(lambda: len(taken) == 3)
        time.sleep(0.05)
        assert len(taken) == 3
    assert is_soon(lambda: open_descriptors() == descriptors)
    assert len(taken) <= 4


@pytest.mark.parametrize("source", [None, "bpf", "sock_diag", "procfs"])
def test_nothing_pinned(source: str | None, tmp_path: Path) -> None:
    """Without pins, and for other sources, nothing is begun."""
    assert read_pinned(Query(source, pins=str(tmp_path)), Deadline(LONG)) is None


def test_pinned(tmp_path: Path) -> None:
    """What is pinned is read from, but not for another source."""
    for program in bpf.PROGRAMS:
        Path(bpf.pin_path(str(tmp_path), program)).write_bytes(RECORD)
    query = Query(pins=str(tmp_path))
    with read_pinned(query, Deadline(LONG)) or pytest.fail("not read") as records:
        assert b"".join(records) == RECORD
    assert read_pinned(query._replace(source="procfs"), Deadline(LONG)) is None
