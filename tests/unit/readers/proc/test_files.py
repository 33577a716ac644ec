"""Files of /proc, of any length."""

from pathlib import Path

import pytest

from zabbix_sockets.readers.proc.files import MAX_BYTES, read_bytes, read_lines

from .conftest import PAGE


@pytest.mark.usefixtures("read_by_pages")
@pytest.mark.parametrize("size", [0, 1, PAGE - 1, PAGE, PAGE + 1, 5 * PAGE, 200_000])
def test_file_of_more_than_a_page(tmp_path: Path, size: int) -> None:
    """A file is read whole, however little one read(2) gives."""
    data = bytes(at % 251 for at in range(size))
    (tmp_path / "file").write_bytes(data)
    assert read_bytes(str(tmp_path / "file")) == data


@pytest.mark.parametrize("limit", [1, PAGE, 10_000, 65536, 100_000])
def test_file_beyond_its_limit(tmp_path: Path, read_by_pages: list[int], limit: int) -> None:
    """Of a file as long as somebody likes, its beginning is read and nothing more."""
    (tmp_path / "file").write_bytes(b"x" * 300_000)
    assert read_bytes(str(tmp_path / "file"), limit) == b"x" * limit
    assert len(read_by_pages) == -(-limit // PAGE)


def test_file_without_end() -> None:
    """No file can take more than its limit."""
    assert read_bytes("/dev/zero") == bytes(MAX_BYTES)


@pytest.mark.usefixtures("read_by_pages")
def test_lines_beyond_the_limit(tmp_path: Path) -> None:
    """A line that the limit cuts is none; short files keep a last line without an end."""
    line = b"7 eth0\n"
    (tmp_path / "file").write_bytes(line * (MAX_BYTES // 7 + 5))
    lines = read_lines(str(tmp_path / "file"))
    assert set(lines) == {b"7 eth0"}
    assert len(lines) == MAX_BYTES // 7
    (tmp_path / "file").write_bytes(line + b"8 eth1")
    assert read_lines(str(tmp_path / "file")) == [b"7 eth0", b"8 eth1"]
