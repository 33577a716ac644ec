"""The users and groups of a host by its files."""

from __future__ import annotations

from pathlib import Path

from zabbix_sockets.host.accounts import Account, Accounts


def test_numbers_that_no_user_has(tmp_path: Path) -> None:
    """Lines with another number than an id can be are left out."""
    long = "9" * 5000
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(f"a:x:{long}:1::/:/\nb:x:1:{long}::/:/\nc:x:7:8::/:/\n")
    (tmp_path / "etc/group").write_text(f"d:x:{long}:c\ne:x:8:c\n")
    accounts = Accounts(str(tmp_path))
    assert [accounts.user(name) for name in "abc"] == [None, None, Account("c", 7, 8)]
    assert (accounts.gid("d"), accounts.gid("e")) == (None, 8)
    assert accounts.user(long) is None
