"""Files are written and removed, and nothing behind a link is."""

import os
from pathlib import Path

import pytest

from zabbix_sockets.setup import files


def test_write_and_read(tmp_path: Path) -> None:
    """The content is there with its mode, whatever the umask, and no other file is left."""
    path = tmp_path / "a"
    before = os.umask(0o077)
    try:
        files.write(str(path), b"one", 0o644)
        files.write(str(path), b"two", 0o755)
    finally:
        os.umask(before)
    assert files.read(str(path)) == b"two"
    assert path.stat().st_mode & 0o7777 == 0o755
    assert os.listdir(tmp_path) == ["a"]


def test_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """Who may write the folder can put a link there: what it leads to stays as it is."""
    target = tmp_path / "shadow"
    target.write_text("secret")
    link = tmp_path / "folder" / "a"
    link.parent.mkdir()
    link.symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"):
        files.read(str(link))
    files.write(str(link), b"new", 0o644)
    assert (target.read_text(), link.is_symlink(), link.read_bytes()) == ("secret", False, b"new")
    link.unlink()
    link.symlink_to(target)
    files.remove(str(link))
    assert (target.read_text(), link.is_symlink()) == ("secret", False)


@pytest.mark.parametrize("form", ["absolute", "relative"])
def test_links_on_the_way(tmp_path: Path, form: str) -> None:
    """The folder may be behind a link of root's, and not behind one that others may have put."""
    (tmp_path / "real/folder").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    link = tmp_path / "mine/link"
    link.symlink_to("../real" if form == "relative" else tmp_path / "real")
    path = f"{link}/folder/../folder/./a"
    files.write(path, b"x", 0o644)
    assert (tmp_path / "real/folder/a").read_bytes() == b"x"
    (tmp_path / "mine").chmod(0o777)  # as an agent's user has it whose folder it is
    with pytest.raises(OSError, match="link on the way is not root's"):
        files.write(path, b"y", 0o644)
    with pytest.raises(OSError, match="link on the way is not root's"):
        files.remove(path)
    assert (tmp_path / "real/folder/a").read_bytes() == b"x"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a link to another user")
def test_link_of_another_user(tmp_path: Path) -> None:
    """Whoever owns a link may let it lead elsewhere, by making it anew in a folder such as /tmp."""
    (tmp_path / "real").mkdir()
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    (tmp_path / "shared/link").symlink_to(tmp_path / "real")
    files.write(f"{tmp_path}/shared/link/a", b"x", 0o644)
    os.chown(tmp_path / "shared/link", 65534, -1, follow_symlinks=False)
    with pytest.raises(OSError, match="link on the way is not root's"):
        files.write(f"{tmp_path}/shared/link/a", b"y", 0o644)


def test_a_circle(tmp_path: Path) -> None:
    """Links that lead to each other are an error, and no descriptor is left of it."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="Too many levels"):
        files.write(f"{tmp_path}/a/file", b"x", 0o644)
    assert os.listdir("/proc/self/fd") == before


def test_what_is_no_file(tmp_path: Path) -> None:
    """A FIFO is not waited for; what isn't there is None."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="not a regular file"):
        files.read(str(tmp_path / "fifo"))
    assert files.read(str(tmp_path / "none/none")) is None
    files.remove(str(tmp_path / "none"))


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    """A file that can't take its place, as a folder has it, leaves nothing."""
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError):
        files.write(str(tmp_path / "a"), b"x", 0o644)
    assert os.listdir(tmp_path) == ["a"]
