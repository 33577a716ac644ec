"""The record of what was done."""

from pathlib import Path

import pytest

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.setup.record import FILE, FOLDER, MEMBER, UNIT, Entry, SetupRecord


@pytest.fixture
def root(tmp_path: Path) -> str:
    """Return the root of a host without a record."""
    (tmp_path / "var/lib").mkdir(parents=True)
    return str(tmp_path)


def test_entries_last(root: str) -> None:
    """They are there the next time, in their order, each once; a file's digest is the last one."""
    record = SetupRecord(root)
    assert record.entries == []
    for entry in (
        Entry(FILE, "/a", "1"),
        Entry(UNIT, "u"),
        Entry(FILE, "/a", "2"),
        Entry(UNIT, "u"),
    ):
        record.add(entry)
    for group in ("g", "h"):
        record.add(Entry(MEMBER, "zabbix", group))
    again = SetupRecord(root)
    assert again.entries == [
        Entry(FILE, "/a", "2"),
        Entry(UNIT, "u"),
        Entry(MEMBER, "zabbix", "g"),
        Entry(MEMBER, "zabbix", "h"),
    ]
    assert (again.digest_of("/a"), again.digest_of("/b")) == ("2", None)


def test_it_goes_with_the_last_entry(root: str) -> None:
    """Its folder goes, too; root alone may enter it as long as it is there."""
    record = SetupRecord(root)
    record.add(Entry(UNIT, "u"))
    folder = Path(root + FOLDER)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "record.json").stat().st_mode & 0o777 == 0o600
    record.drop(Entry(UNIT, "u"))
    assert not folder.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[" * 100_000,
        "[]",
        '{"version": 2, "entries": []}',
        '{"version": 1, "entries": [1]}',
    ],
)
def test_what_is_no_record(root: str, text: str) -> None:
    """It is not overwritten: an error says where it is."""
    Path(root + FOLDER).mkdir()
    Path(f"{root}{FOLDER}/record.json").write_text(text)
    with pytest.raises(SocketsError, match=r"record\.json is no record"):
        SetupRecord(root)


@pytest.mark.parametrize("name", ["", "/record.json"])
def test_others_may_not_have_written_it(root: str, name: str) -> None:
    """What others may write says nothing to root, who would remove files by it."""
    SetupRecord(root).add(Entry(FILE, "/etc/passwd", "0"))
    Path(f"{root}{FOLDER}{name}").chmod(0o777)
    with pytest.raises(SocketsError, match="others than root may write it"):
        SetupRecord(root)


def test_link(root: str) -> None:
    """A link in the place of the file is not followed."""
    SetupRecord(root).add(Entry(UNIT, "u"))
    path = Path(f"{root}{FOLDER}/record.json")
    path.rename(f"{root}/elsewhere")
    path.symlink_to(f"{root}/elsewhere")
    with pytest.raises(SocketsError, match="symbolic link"):
        SetupRecord(root)
