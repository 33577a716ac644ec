"""Files that somebody else writes."""

import os
import tempfile
import threading
from pathlib import Path

import pytest
from children import run_as

from zabbix_sockets.readers.files import read_regular


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 300_000])
def test_regular(tmp_path: Path, size: int) -> None:
    """A regular file is read whole up to the limit, and not at all beyond it."""
    data = bytes(at % 251 for at in range(size))
    (tmp_path / "file").write_bytes(data)
    assert read_regular(str(tmp_path / "file"), size) == data
    assert read_regular(str(tmp_path / "file"), size + 1) == data
    if size:
        with pytest.raises(OSError, match="File too large"):
            read_regular(str(tmp_path / "file"), size - 1)


def test_links(tmp_path: Path) -> None:
    """A link is followed, unless the caller says otherwise."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(str(tmp_path / "link"), 9) == b"x"
    with pytest.raises(OSError, match="symbolic links"):
        read_regular(str(tmp_path / "link"), 9, os.O_NOFOLLOW)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("fifo", "not a regular file"),
        ("folder", "Is a directory"),
        ("endless", "not a regular file"),
        ("missing", "No such file"),
    ],
)
def test_what_is_no_file(tmp_path: Path, kind: str, error: str) -> None:
    """A FIFO to which nobody writes and a device without end are told at once."""
    path = tmp_path / kind
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    said: list[str] = []

    def read() -> None:
        try:
            read_regular(str(path), 1000)
        except OSError as caught:
            said.append(str(caught))

    call = threading.Thread(target=read, daemon=True)
    call.start()
    call.join(20)
    assert len(said) == 1
    assert error in said[0]


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    """Who waits for a FIFO's reader goes on waiting; to open a device might reboot the host."""
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    opened: list[int] = []
    writer = threading.Thread(target=lambda: opened.append(os.open(path, os.O_WRONLY)), daemon=True)
    writer.start()
    for _ in range(50):
        with pytest.raises(OSError, match="not a regular file"):
            read_regular(path, 1000)
        writer.join(0.01)
    assert not opened
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer.join(20)
    os.close(reader)
    os.close(opened[0])


def test_a_file_that_is_closed() -> None:
    """The error names the file, and not a descriptor of this process."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = f"{folder}/file"
        os.close(os.open(path, os.O_CREAT, 0))

        def read() -> object:
            try:
                return read_regular(path, 9).decode()
            except PermissionError as error:
                return error.filename

        found = read() if os.geteuid() else run_as(65534, read)
    assert found == path


def test_a_file_without_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the limit is read, whatever fstat(2) says, as of files in /proc."""
    assert read_regular("/proc/self/status", 65536).startswith(b"Name:")
    (tmp_path / "file").write_bytes(b"x" * 200_000)
    empty = os.stat_result((0o100644, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: empty)
    assert len(read_regular(str(tmp_path / "file"), 200_000)) == 200_000
    with pytest.raises(OSError, match="File too large"):
        read_regular(str(tmp_path / "file"), 199_999)


def test_a_path_that_none_can_be() -> None:
    """Nothing is at a path with a NUL in it, such as one that a unit's file names."""
    with pytest.raises(FileNotFoundError):
        read_regular("/etc/a\0b", 9)
