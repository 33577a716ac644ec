"""The state file: what was written is read, and what is none is said to be none."""

import stat
from pathlib import Path

import pytest

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.service_map.state import (
    Seen,
    default_path,
    nothing_seen,
    read_state,
    write_state,
)

SEEN = Seen({"host/1": 5}, {"host/1\thost/2": 6}, {"host/1\thost/2": "7"}, {"a\tb": ("label", 8)})


def test_written_and_read(tmp_path: Path) -> None:
    """The folder is made, and only its user may read the file."""
    path = tmp_path / "a" / "b" / "state.json"
    assert read_state(str(path)) == {}
    for sheets in ({"Map": SEEN, "Map / naïve": nothing_seen()}, {"Map": SEEN}):
        write_state(str(path), sheets)
        assert read_state(str(path)) == sheets
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["state.json"]


SHEET = '{"version": 1, "sheets": {"a": {"elements": {"b": %s}}}}'


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "[" * 100_000, '{"version": 2, "sheets": {}}'),
        *('{"version": 1, "sheets": {"a": {}}}', SHEET % "Infinity", SHEET % ("9" * 5000)),
    ],
)
def test_no_state(tmp_path: Path, text: str) -> None:
    """Another file, and one of another version, are not written over."""
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(SocketsError, match="no state of a map"):
        read_state(str(path))


def test_no_place_to_write(tmp_path: Path) -> None:
    """That is said, with what to do."""
    (tmp_path / "file").touch()
    with pytest.raises(SocketsError) as caught:
        write_state(str(tmp_path / "file" / "state.json"), {})
    assert "--state" in caught.value.hint


def test_default_path() -> None:
    """Each map of each server has its own, in the user's folder."""
    paths = {
        default_path(url, name, {"HOME": "/home/a"})
        for url in ("https://a", "https://b")
        for name in ("one", "two")
    }
    assert len(paths) == 4
    assert all(each.startswith("/home/a/.local/state/zabbix-sockets/map-") for each in paths)
    assert default_path("u", "n", {"XDG_STATE_HOME": "/x"}).startswith("/x/zabbix-sockets/")
    assert default_path("u", "n", {}).startswith("/var/lib/.local/state/")
