"""The local users, by a file like the system's."""

from pathlib import Path

import pytest

from zabbix_sockets.readers.proc import passwd
from zabbix_sockets.readers.proc.passwd import PasswdEntry, read_users

LINES = b"""root:x:0:0:root:/root:/bin/bash
+::::::
broken:x:many:1::/home/broken:/bin/sh
short:x:5
we{b}:x:1000:1000::/home/web:/bin/sh

most:x:4294967295:1::/:/bin/sh
huge:x:42949672950:1::/:/bin/sh
nogid:x:1001:many::/:/bin/sh
hugegid:x:1002:42949672950::/:/bin/sh"""


def test_users(tmp_path: Path) -> None:
    """Each line of a user's is one, and no other: not one with an id that nobody can have."""
    (tmp_path / "passwd").write_bytes(LINES)
    assert list(read_users(str(tmp_path / "passwd"))) == [
        PasswdEntry(b"root", 0, 0, b"/root"),
        PasswdEntry(b"we{b}", 1000, 1000, b"/home/web"),
        PasswdEntry(b"most", 4294967295, 1, b"/"),
    ]


def test_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file is not there, is no file or is too long, there are no users."""
    assert not list(read_users(str(tmp_path / "nowhere")))
    assert not list(read_users(str(tmp_path)))
    assert not list(read_users("/dev/zero"))
    (tmp_path / "passwd").write_bytes(LINES)
    monkeypatch.setattr(passwd, "MAX_BYTES", len(LINES) - 1)
    assert not list(read_users(str(tmp_path / "passwd")))


def test_this_machine() -> None:
    """The system's own file is understood."""
    if not Path(passwd.PATH).exists():
        pytest.skip("no users are known here")
    assert 0 in [user.uid for user in read_users()]
