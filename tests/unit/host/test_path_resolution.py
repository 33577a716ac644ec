"""The places on the way to a file."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from zabbix_sockets.host.path_resolution import END, FOLDER, LINK, steps


def way(path: str, root: Path) -> list[tuple[str, str]]:
    """Return the steps to *path* below *root*, whose name is left out."""
    return [(place[len(str(root)) :], kind) for place, kind in steps(path, str(root))]


def test_through_links(tmp_path: Path) -> None:
    """A link is a step, and so are the folders that it leads through, from *root* on."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").touch()
    (tmp_path / "a/absolute").symlink_to("/a/b")
    (tmp_path / "a/b/relative").symlink_to("../b/./file")
    assert way("/a/b//file", tmp_path) == [
        *(("", FOLDER), ("/a", FOLDER), ("/a/b", FOLDER), ("/a/b/file", END)),
    ]
    assert way("/a/absolute/file", tmp_path) == [
        *(("", FOLDER), ("/a", FOLDER), ("/a/absolute", LINK)),
        *(("", FOLDER), ("/a", FOLDER), ("/a/b", FOLDER), ("/a/b/file", END)),
    ]
    assert way("/a/b/relative", tmp_path)[3:] == [
        *(("/a/b/relative", LINK), ("/a/b", FOLDER), ("/a", FOLDER), ("/a/b", FOLDER)),
        ("/a/b/file", END),
    ]
    assert list(steps("/")) == [("/", END)]


def test_a_circle_of_links(tmp_path: Path) -> None:
    """It has an end, which is an error."""
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OSError, match="Too many levels") as raised:
        way("/link", tmp_path)
    assert raised.value.errno == errno.ELOOP
