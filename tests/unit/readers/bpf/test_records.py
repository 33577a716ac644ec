"""The BPF iterator's bytes: whole records, whatever read(2) gives at a time."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, ParseError, SourceUnavailableError
from zabbix_sockets.readers.bpf import records


@given(st.lists(st.integers(1, 500), max_size=20), st.integers(1, 60))
def test_chunks_are_whole_records(cuts: list[int], count: int) -> None:
    """However the bytes come, they go on in whole records, in order, none lost."""
    size = 32
    data = os.urandom(size * count)
    read, write = os.pipe()

    def feed() -> None:
        at = 0
        for cut in [*cuts, len(data)]:
            os.write(write, data[at : at + cut])
            at += cut
        os.close(write)

    feeder = threading.Thread(target=feed)
    feeder.start()
    chunks = list(records.read_chunks(read, size, Deadline(30)))
    feeder.join()
    assert b"".join(chunks) == data
    assert all(len(chunk) % size == 0 for chunk in chunks)


def test_nothing_to_say_yet_is_asked_again() -> None:
    """EAGAIN means a million files without a socket: the next read goes on."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    chunks = records.read_chunks(read, 4, Deadline(30))

    def feed() -> None:
        os.write(write, b"abcd")
        os.close(write)

    feeder = threading.Timer(0.05, feed)
    feeder.start()
    assert list(chunks) == [b"abcd"]
    feeder.join()


def test_an_end_within_a_record_is_malformed() -> None:
    """A half record at the end is an error that shows it."""
    read, write = os.pipe()
    os.write(write, b"abcdef")
    os.close(write)
    with pytest.raises(ParseError, match="ef"):
        list(records.read_chunks(read, 4, Deadline(30)))


def test_descriptor_is_closed_at_the_deadline() -> None:
    """Whatever ends the reading, the descriptor doesn't stay open."""
    read, write = os.pipe()
    with pytest.raises(DeadlineError):
        list(records.read_chunks(read, 4, Deadline(0)))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(read)
    os.close(write)


def test_all_pins_or_none(tmp_path: Path) -> None:
    """One that can't be read is named; with all of this version each can be opened."""
    for program in records.PROGRAMS:
        (tmp_path / f"{program}-v{records.ABI - 1}").touch()
    for program in records.PROGRAMS:
        path = tmp_path / f"{program}-v{records.ABI}"
        with pytest.raises(SourceUnavailableError, match=f"^{path} can't be read$"):
            records.open_pinned(str(tmp_path))
        path.touch()
    for program in records.PROGRAMS:
        os.close(records.open_pinned(str(tmp_path))(program))


@pytest.mark.parametrize(
    ("release", "older"),
    [
        ("5.10.0-8-amd64", True),
        ("4.18.0-553.el8.x86_64", True),
        ("5.11.0", False),
        ("5.15-custom", False),
        ("6.1.0", False),
        ("10.0", False),
        ("next", False),
    ],
)
def test_kernel_versions_compare_as_numbers(release: str, *, older: bool) -> None:
    """What can't be read is not called old."""
    assert records.is_older_than(release, (5, 11)) is older


def test_parts_of_a_record() -> None:
    """The end is split off where it begins, and flags are looked at where they are."""
    socket = records.SOCKET.pack(*(1,) * 7, 77, *(1,) * 3, b"", b"", *(1,) * 6)
    end = records.QUALITY.pack(1, 2, 3, 4, 1, 6, 7)
    assert socket[records.FLAGS_AT] == 77
    assert records.RECORD.unpack(socket + end) == (socket + end,)
    assert records.RECORD_WITHOUT_QUALITY.unpack(socket + end) == (socket,)
    assert records.RECORD.size % 8 == 0  # as C lays it out
    assert records.INFORMATION.size % 8 == 0
    assert records.PROCESS.size % 4 == 0


def piped(data: bytes) -> int:
    """Return a descriptor to read *data* from."""
    read, write = os.pipe()
    with os.fdopen(write, "wb") as pipe:
        pipe.write(data)
    return read


def test_programs_that_begin_later() -> None:
    """A process that wasn't there is looked for again, and one that has ended not for ever."""
    answers = [
        records.PROCESS.pack(7, 1, 9, b"nginx"),
        records.PROCESS.pack(7, 1, 9, b"nginx")
        + records.PROCESS.pack(8, 2, records.UNCOUNTED, b"\xff" * 255),
    ]
    opened = []

    def open_iterator(program: str) -> int:
        opened.append(program)
        return piped(answers[min(len(opened), len(answers)) - 1])

    described = records.Processes(open_iterator, Deadline(30))
    assert opened == []
    assert described.executable(7, 1) == b"nginx"
    assert described.executable(7, 1) == b"nginx"
    assert opened == [records.DESCRIBE_PROCESSES]
    assert described.executable(8, 2) == b"\xff" * 255
    assert opened == [records.DESCRIBE_PROCESSES] * 2
    assert (described.count_fds(7, 1), described.count_fds(8, 2)) == (9, None)
    for _ in range(10):
        assert described.executable(7, 2) is None  # another process of that number
    assert opened == [records.DESCRIBE_PROCESSES] * 3


def test_programs_that_cannot_be_read() -> None:
    """Nobody's name is worth the answer: what fails tells no name."""

    def refuse(program: str) -> int:
        raise PermissionError(program)

    assert records.Processes(refuse, Deadline(30)).executable(1, 1) is None
    assert records.Processes(lambda _: piped(b"half"), Deadline(30)).executable(1, 1) is None
    assert records.Processes(lambda _: piped(b""), Deadline(0)).executable(1, 1) is None
